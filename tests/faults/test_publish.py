"""Publishing is all or nothing, also when the process is killed or the disk fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from fraudworld.errors import InputError, RefusedError
from fraudworld.store.bundle import FLAG
from fraudworld.store.layout import BUNDLE_INDEX
from fraudworld.store.publish import AREA, MARKER, publish, staging, tidy

RUN = "0" * 31 + "1"
OTHER = "0" * 31 + "2"
INDEX = BUNDLE_INDEX.as_posix()


def assemble(folder: Path, text: str = "same", *, flag: bool = True) -> None:
    """A run of one data file, its index and its flag."""
    index = folder / INDEX
    index.parent.mkdir(parents=True)
    (folder / "data/file").write_text(text)
    index.write_text(json.dumps({"content": text}))
    if flag:
        (index.parent / FLAG).write_text("sha256_hex = 0")


def run(root: Path, text: str = "same", *, flag: bool = True) -> bool:
    with staging(root, RUN) as folder:
        assemble(folder, text, flag=flag)
        return publish(folder, root / RUN, INDEX)


def tree(root: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below `root` outside the staging area, with the time it was written."""
    return {
        p.relative_to(root).as_posix(): (p.read_bytes(), p.stat().st_mtime_ns)
        for p in root.rglob("*")
        if p.is_file() and AREA not in p.parts
    }


def staged(root: Path) -> list[str]:
    """Names in the staging area, without locks."""
    return sorted(p.name for p in (root / AREA).iterdir() if p.suffix != ".lock")


def start(code: str, *args: object) -> subprocess.Popen[str]:
    """A Python process that imports the names of this module and writes to standard output."""
    # Background jobs of a shell ignore SIGINT, and children inherit that.
    interruptible = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"import time\nfrom test_publish import *\n{interruptible}\n{textwrap.dedent(code)}"
    environment = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, args)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def exit_code(process: subprocess.Popen[str]) -> int:
    code = process.wait(timeout=60)
    assert process.stdout is not None
    process.stdout.close()
    return code


def test_a_run_appears_whole_and_leaves_no_staging(tmp_path: Path) -> None:
    with staging(tmp_path, RUN) as folder:
        assemble(folder)
        assert not (tmp_path / RUN).exists()
        assert publish(folder, tmp_path / RUN, INDEX)
    assert {Path(name).name for name in tree(tmp_path)} == {"file", Path(INDEX).name, FLAG}
    assert staged(tmp_path) == []


def test_publishing_the_same_run_again_changes_nothing(tmp_path: Path) -> None:
    assert run(tmp_path)
    before = tree(tmp_path)
    assert not run(tmp_path)
    assert tree(tmp_path) == before
    assert staged(tmp_path) == []


@pytest.mark.parametrize(("text", "flag"), [("other", True), ("same", False)])
def test_another_run_in_the_same_place_is_refused(tmp_path: Path, text: str, flag: bool) -> None:
    run(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(RefusedError) as caught:
        run(tmp_path, text, flag=flag)
    assert (caught.value.code, caught.value.exit_code) == ("6A.S5.OUTPUT_CONFLICT", 3)
    assert tree(tmp_path) == before
    assert staged(tmp_path) == []


@pytest.mark.parametrize("content", ["empty folder", "file", "dangling link"])
def test_a_place_that_holds_something_else_is_refused(tmp_path: Path, content: str) -> None:
    place = tmp_path / RUN
    if content == "empty folder":
        place.mkdir()
    elif content == "file":
        place.write_text("mine")
    else:
        place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(RefusedError, match="OUTPUT_CONFLICT"):
        run(tmp_path)
    assert os.path.lexists(place)
    assert not (tmp_path / "nowhere").exists()


def test_a_failure_midway_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with staging(tmp_path, RUN) as folder:
            assemble(folder)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert tree(tmp_path) == {}
    assert staged(tmp_path) == []


def test_the_next_run_of_any_name_removes_the_staging_folder_of_a_killed_one(
    tmp_path: Path,
) -> None:
    code = """
        with staging(Path(sys.argv[1]), sys.argv[2]) as folder:
            assemble(folder)
            print("staged", flush=True)
            time.sleep(60)
    """
    for name in (RUN, OTHER):
        process = start(code, tmp_path, name)
        assert line_of(process) == "staged"
        process.send_signal(signal.SIGKILL)
        assert exit_code(process) == -signal.SIGKILL
        # The second run has removed the staging folder of the first.
        assert [folder.partition("-")[0] for folder in staged(tmp_path)] == [name]
    assert run(tmp_path)
    assert staged(tmp_path) == []


def test_staging_folders_of_living_runs_and_foreign_folders_stay(tmp_path: Path) -> None:
    foreign = tmp_path / AREA / f"{OTHER}-1-00000000"
    foreign.mkdir(parents=True)
    (foreign / "keep").write_text("not ours")
    (tmp_path / AREA / "notes").mkdir()
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / AREA / f"{OTHER}-2-00000000").symlink_to(target)
    with staging(tmp_path, OTHER) as alive:
        assemble(alive)
        assert run(tmp_path)
        assert (alive / "data/file").read_text() == "same"
    assert staged(tmp_path) == [f"{OTHER}-1-00000000", f"{OTHER}-2-00000000", "notes"]
    assert target.is_dir()


def test_of_two_processes_racing_for_one_place_one_publishes(tmp_path: Path) -> None:
    code = """
        print("ready", flush=True)
        with staging(Path(sys.argv[1]), RUN) as folder:
            assemble(folder, sys.argv[2])
            time.sleep(0.2)
            try:
                print("new" if publish(folder, Path(sys.argv[1]) / RUN, INDEX) else "same")
            except RefusedError:
                print("refused")
    """
    for texts, expected in ((("same", "same"), "same"), (("same", "other"), "refused")):
        root = tmp_path / expected
        root.mkdir()
        racers = [start(code, root, text) for text in texts]
        assert [line_of(p) for p in racers] == ["ready", "ready"]
        outcomes = sorted(line_of(p) for p in racers)
        assert [exit_code(p) for p in racers] == [0, 0]
        assert outcomes == sorted(["new", expected])
        assert len(tree(root)) == 3
        assert staged(root) == []


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    code = """
        with staging(Path(sys.argv[1]), RUN) as folder:
            assemble(folder)
            print("staged", flush=True)
            time.sleep(60)
    """
    process = start(code, tmp_path)
    assert line_of(process) == "staged"
    process.send_signal(signal.SIGINT)
    assert exit_code(process) != 0
    assert staged(tmp_path) == []


def test_a_root_that_is_a_file_is_bad_input(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.write_text("a file")
    with pytest.raises(InputError) as caught:
        run(root)
    assert caught.value.code == "6A.S0.IO_WRITE_FAILED"
    assert root.read_text() == "a file"


def test_read_errors_are_not_reported_as_write_failures(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), staging(tmp_path / "runs", RUN):
        (tmp_path / "policy.yaml").read_text()


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no mount command here")
    if done.returncode:
        pytest.skip(f"small file systems cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_publishes_nothing_and_is_named(mounted: Path) -> None:
    with pytest.raises(InputError, match="No space left") as caught:
        run(mounted, "too much" * (1 << 18))
    assert caught.value.code == "6A.S0.IO_WRITE_FAILED"
    assert "--runs-root" in caught.value.remedy
    assert tree(mounted) == {}
    assert staged(mounted) == []
    assert run(mounted)


def test_a_disk_that_cannot_be_written_is_bad_input(mounted: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    with pytest.raises(InputError, match="Read-only") as caught:
        run(mounted)
    assert caught.value.code == "6A.S0.IO_WRITE_FAILED"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_bad_input(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir(mode=0o500)
    with pytest.raises(InputError, match="Permission denied"):
        run(root)


def test_what_a_failed_run_left_is_tidied_where_nothing_is_staged(tmp_path: Path) -> None:
    tidy(tmp_path)  # without a staging area there is nothing to do
    with staging(tmp_path, OTHER) as alive:
        left = alive.parent.with_name(f"{RUN}-1-01234567")
        left.mkdir()
        (left / MARKER).write_text("{}")
        foreign = tmp_path / AREA / "mine"
        foreign.mkdir()
        tidy(tmp_path)
        assert not left.exists()
        assert alive.is_dir()
        assert foreign.is_dir()
    area = tmp_path / AREA
    left.mkdir()
    (left / MARKER).write_text("{}")
    area.chmod(0o500)
    try:
        tidy(tmp_path)
    finally:
        area.chmod(0o700)
