"""Run folders made to harm: links, pipes, sparse files, bombs, and files nothing accounts for.

Every command ends in time with status 1, 2 or 3, small in memory, and changes nothing outside the
run. Nothing is believed because it is sealed: the hostile owner seals again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudworld.contracts import BY_NAME
from fraudworld.documents import DEEPEST, LARGEST, canonical_json, load_json, read_bounded
from fraudworld.errors import InputError, RefusedError
from fraudworld.inputs import embedded
from fraudworld.inputs.embedded.build import FIXED, SCALED, SEGMENTS
from fraudworld.layers.beside import accounted
from fraudworld.layers.transactions.layout import LAYER, StreamPlace
from fraudworld.perf.evidence import read_evidence
from fraudworld.request import PROFILES
from fraudworld.store import bundle, decisions, folder, produce
from fraudworld.store.layout import RunPlace
from fraudworld.store.prune import find
from fraudworld.store.publish import AREA, hold_run, staging
from fraudworld.store.reader import open_part
from fraudworld.store.receipt import read_receipt
from fraudworld.store.roles import LOCK, locked
from fraudworld.store.seal import check_outside, check_run, renew_reports
from support import tampering
from support.calling import CallResult, program

Call = Callable[..., CallResult]
HUGE = 12 << 30
GIB2 = 2 << 30
PART = "data/layer3/6A/s1_party_summary_6A"
INDEX = "data/layer3/6A/validation/validation_bundle_index_6A.json"
COMMANDS = ("verify", "gates", "report", "export", "attest", "transactions", "show", "perf")


@pytest.fixture
def run(small_world: Path, tmp_path: Path) -> Path:
    """A copy of hard links: a change must replace a file, not write to it."""
    (tmp_path / "runs").mkdir()
    return tampering.copied(small_world, tmp_path / "runs" / small_world.name)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder beside the runs root that no command may change."""
    place = tmp_path / "outside"
    place.mkdir()
    for name in ("report.html", "report.json", "attestation.json", "precious"):
        (place / name).write_text(f"{name} of somebody else")
    before = {p.name: p.read_bytes() for p in place.iterdir()}
    yield place
    assert {p.name: p.read_bytes() for p in place.iterdir()} == before


def part(run: Path) -> Path:
    return min((run / PART).rglob("part-*.parquet"))


def seal_again(run: Path) -> None:
    """Index, flag, receipt and run index of the bytes that are there now, as a forger would."""
    place = RunPlace(run)

    def renewed(document: dict) -> dict:
        for member in document["members"]:
            file = run / member["path"]
            member["bytes"], member["sha256_hex"] = file.stat().st_size, bundle.sha256_file(file)
        return document

    document = renewed(json.loads(place.bundle_index.read_text()))
    digest = bundle.bundle_digest(document)
    tampering.replace(place.bundle_index, canonical_json(document) + b"\n")
    tampering.replace(place.flag, bundle.flag_line(digest).encode())
    receipt = json.loads(place.receipt.read_text()) | {"bundle_digest": digest}
    tampering.replace(place.receipt, json.dumps(receipt).encode())
    index = renewed(json.loads(place.run_index.read_text()))
    tampering.replace(place.run_index, canonical_json(index) + b"\n")


def state_size(run: Path, name: str, size: int) -> None:
    """Lets the index of a run state another size for a member."""
    document = json.loads((run / INDEX).read_text())
    next(m for m in document["members"] if m["path"] == name)["bytes"] = size
    tampering.replace(run / INDEX, canonical_json(document))


def sparse(path: Path, size: int = HUGE) -> None:
    path.unlink(missing_ok=True)
    path.touch()
    os.truncate(path, size)


def sparse_and_stated(run: Path, _: Path) -> None:
    sparse(part(run))
    state_size(run, part(run).relative_to(run).as_posix(), HUGE)


def moved_behind_a_link(path: Path, to: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    path.symlink_to(to)


def listening(path: Path) -> None:
    """A socket; its path may have 108 bytes at most, so it is bound from its folder."""
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def deep(run: Path, _: Path) -> None:
    place = run / "reports"
    for _level in range(folder.DEEPEST + 1):
        place = place / "x"
    place.mkdir(parents=True)


HOSTILE: dict[str, Callable[[Path, Path], object]] = {
    "a part is a link": lambda r, o: moved_behind_a_link(part(r), o / "precious"),
    "a folder of data is a link": lambda r, o: moved_behind_a_link(r / PART, o),
    "a link in logs": lambda r, o: (r / "logs/more").symlink_to(o),
    "reports is a link": lambda r, o: moved_behind_a_link(r / "reports", o),
    "the report is a link": lambda r, o: moved_behind_a_link(
        r / "reports/report.html", o / "report.html"
    ),
    "the attestation is a link": lambda r, o: moved_behind_a_link(
        r / "reports/attestation.json", o / "attestation.json"
    ),
    "a dangling link in reports": lambda r, o: (r / "reports/new").symlink_to(o / "nowhere"),
    "a link where a part file goes": lambda r, o: (
        (r / "reports/.report.html-00000000.part").symlink_to(o / "precious")
    ),
    "the receipt is a link": lambda r, o: moved_behind_a_link(
        r / "run_receipt.json", o / "precious"
    ),
    "the flag is a link": lambda r, o: moved_behind_a_link(RunPlace(r).flag, o / "precious"),
    "the run index is a link": lambda r, o: moved_behind_a_link(
        r / "run_index.json", o / "precious"
    ),
    "a pipe in logs": lambda r, o: os.mkfifo(r / "logs/pipe"),
    "a pipe in reports": lambda r, o: os.mkfifo(r / "reports/pipe"),
    "a pipe where a part file goes": lambda r, o: os.mkfifo(
        r / "reports/.report.html-00000000.part"
    ),
    "a part is a pipe": lambda r, o: to_pipe(part(r)),
    "the receipt is a pipe": lambda r, o: to_pipe(r / "run_receipt.json"),
    "the flag is a pipe": lambda r, o: to_pipe(RunPlace(r).flag),
    "the index is a pipe": lambda r, o: to_pipe(r / INDEX),
    "a socket": lambda r, o: listening(r / "reports/socket"),
    "folders in folders": deep,
    "a name with a terminal sequence": lambda r, o: (r / "data/\x1b[31m").touch(),
    "a name that is no text": lambda r, o: Path(os.fsdecode(bytes(r) + b"/logs/\xff")).touch(),
    "a sparse file more": lambda r, o: sparse(r / "data/more"),
    "a sparse report": lambda r, o: sparse(r / "reports/report.html"),
    "a sparse part": lambda r, o: sparse(part(r)),
    "a sparse part as sealed": sparse_and_stated,
    "a sparse index": lambda r, o: sparse(r / INDEX),
    "a sparse flag": lambda r, o: sparse(RunPlace(r).flag),
    "a file more beside 6B": lambda r, o: (r / "data/layer3/6C").write_text("x"),
}  # fmt: skip


WHOLE = ("a file more beside 6B",)
"""Runs whose folders hold nothing unsafe: `prune` may remove them."""


def every_command(run: Path, tmp_path: Path) -> list[tuple[object, ...]]:
    return [
        ("verify", run), ("gates", run), ("report", run),
        ("export", run, "--to", "csv", "--out", tmp_path / "export"), ("attest", run),
        ("transactions", run, "--days", "1"), ("runs", "show", run), ("perf", "show", run),
        ("runs", "prune", "--yes", "--runs-root", run.parent),
    ]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_no_command_follows_waits_or_fills_memory(
    run: Path, outside: Path, tmp_path: Path, name: str
) -> None:
    HOSTILE[name](run, outside)
    statuses, peak, output = program(*every_command(run, tmp_path))
    by_command = dict(zip(COMMANDS, statuses, strict=False))
    assert by_command["verify"] == 1, output
    assert by_command["attest"] == 1
    assert by_command["report"] in (2, 3)
    assert by_command["export"] in (2, 3)
    assert by_command["transactions"] in (2, 3)
    assert set(statuses) <= {0, 1, 2, 3}, output
    assert "Traceback" not in output
    assert "\x1b" not in output
    assert peak < GIB2
    if name not in WHOLE:
        assert run.exists(), "prune keeps a folder that is not safe to delete from"


def test_a_run_folder_may_be_reached_through_a_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").symlink_to(run)
    assert check_run(RunPlace(tmp_path / "mine")).passed
    assert check_outside(RunPlace(tmp_path / "mine")) == ([], [])


def test_sizes_come_before_any_hash(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hashed(path: Path) -> str:
        raise AssertionError(f"{path} is hashed")

    os.truncate(shutil.copy(part(run), run / "copy"), 100)
    os.replace(run / "copy", part(run))
    monkeypatch.setattr(produce, "sha256_file", hashed)
    with pytest.raises(RefusedError, match="is 100 bytes long"):
        check_run(RunPlace(run))


def test_an_index_that_states_another_size_is_refused(run: Path) -> None:
    """The digest is right, so the size in the index was never looked at before."""
    state_size(run, part(run).relative_to(run).as_posix(), 1)
    with pytest.raises(RefusedError, match="sealed with 1 bytes"):
        check_run(RunPlace(run))


@pytest.mark.parametrize(
    "change",
    [
        {"bytes": "7"}, {"bytes": True}, {"bytes": None}, {"sha256_hex": 7}, {"sha256_hex": "0"},
        {"path": 7}, {"path": "/etc/hostname"}, {"path": "a/../../b"}, {"path": "./x"},
    ],
)  # fmt: skip
def test_a_malformed_line_of_the_index_is_refused(run: Path, change: dict) -> None:
    document = json.loads((run / INDEX).read_text())
    document["members"][0] |= change
    tampering.replace(run / INDEX, canonical_json(document))
    with pytest.raises(RefusedError, match="index cannot be read"):
        check_run(RunPlace(run))


def test_an_index_that_lists_a_file_twice_is_refused(run: Path) -> None:
    document = json.loads((run / INDEX).read_text())
    document["members"].append(document["members"][0])
    tampering.replace(run / INDEX, canonical_json(document))
    with pytest.raises(RefusedError, match="lists a file twice"):
        check_run(RunPlace(run))
    outer = json.loads((run / "run_index.json").read_text())
    outer["members"].append(outer["members"][0])
    tampering.replace(run / "run_index.json", canonical_json(outer))
    with pytest.raises(InputError, match="lists a file twice"):
        check_outside(RunPlace(run))


def test_the_number_of_entries_is_bounded(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MOST_ENTRIES", 10)
    with pytest.raises(RefusedError, match="more than 10 entries"):
        check_run(RunPlace(run))


def test_reports_are_never_written_through_a_link(run: Path, outside: Path) -> None:
    """`renew_reports` is the one writer of a published run, and checks for itself."""
    place = RunPlace(run)
    moved_behind_a_link(place.reports, outside)
    with pytest.raises(RefusedError, match="reports is a link"):
        renew_reports(place, {place.report: b"mine"})


def test_a_run_with_a_link_is_not_pruned(run: Path, outside: Path) -> None:
    assert [r.run_id for r in find(run.parent).runs] == [run.name]
    (run / "reports/layer3/notes").symlink_to(outside)
    found = find(run.parent)
    assert found.runs == ()
    assert "is a link" in dict(found.left_alone)[run.name]


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_lock_that_is_no_file_is_refused(tmp_path: Path, outside: Path, kind: str) -> None:
    root = tmp_path / "root"
    (root / AREA).mkdir(parents=True)
    for lock in (root / LOCK, root / AREA / "x.lock"):
        if kind == "link":
            lock.symlink_to(outside / "new")
        elif kind == "pipe":
            os.mkfifo(lock)
        else:
            lock.mkdir()
    with pytest.raises(InputError, match="LEDGER_INVALID"), locked(root):
        pass
    with pytest.raises(InputError, match="IO_WRITE_FAILED"), staging(root, "x"):
        pass
    with pytest.raises(OSError, match="no regular file"), hold_run(root, "x"):
        pass


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"[" * (DEEPEST + 1) + b"1" + b"]" * (DEEPEST + 1), "too deeply"),
        (b'{"a":' * 3_000 + b"1" + b"}" * 3_000, "too deeply"),
        (b'{"a": 1, "a": 2}', "a key twice"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b"[-Infinity]", "-Infinity is no JSON number"),
        (b" " * LARGEST + b"{}", "more than 16 MiB"),
    ],
    ids=["deep", "deeper", "twice", "NaN", "infinity", "huge"],
)
def test_one_reader_refuses_what_two_could_read_apart(
    tmp_path: Path, data: bytes, why: str
) -> None:
    path = tmp_path / "document.json"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=why):
        load_json(path)
    target = decisions.place(tmp_path, "P0")
    target.parent.mkdir(parents=True)
    target.write_bytes(data)
    with pytest.raises(InputError, match="DECISION_INVALID"):
        decisions.read_decision(tmp_path, "P0")


def test_a_document_of_the_deepest_level_is_read(tmp_path: Path) -> None:
    path = tmp_path / "document.json"
    path.write_bytes(b"[" * DEEPEST + b"1" + b"]" * DEEPEST)
    assert json.dumps(load_json(path)).count("[") == DEEPEST


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "socket", "device"])
def test_only_regular_files_are_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "document.json"
    if kind == "link":
        (tmp_path / "there").write_text("{}")
        path.symlink_to(tmp_path / "there")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        listening(path)
    else:
        path = Path("/dev/zero")
    for read in (load_json, bundle.sha256_file, lambda p: read_bounded(p, 10)):
        with pytest.raises(OSError, match="no regular file"):
            read(path)


def test_timings_behind_a_pipe_are_not_waited_for(run: Path) -> None:
    events = min((run / "reports").rglob("perf_events_6A.jsonl"))
    to_pipe(events)
    with pytest.raises(InputError, match="no regular file"):
        read_evidence(run)


def bomb(path: Path, rows: int) -> None:
    """A part of the same row, `rows` times, in row groups of a million."""
    row = pq.read_table(path, partitioning=None).slice(0, 1)
    piece = row.take(pa.array(np.zeros(min(rows, 1 << 20), np.int32)))
    path.unlink()
    with pq.ParquetWriter(path, piece.schema, compression="zstd") as writer:
        for at in range(0, rows, 1 << 20):
            writer.write_table(piece.slice(0, min(rows - at, 1 << 20)))


def long_text(path: Path) -> None:
    """A part with one text of 32 MiB, which a dictionary holds once for all rows."""
    table = pq.read_table(path, partitioning=None)
    at = next(i for i, f in enumerate(table.schema) if pa.types.is_string(f.type))
    text = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(table.num_rows, np.int32)), pa.array(["x" * (32 << 20)])
    )
    path.unlink()
    pq.write_table(table.set_column(at, table.column_names[at], text), path, compression="zstd")


def garbled(path: Path) -> None:
    """A part whose pages are noise under a footer that is right."""
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)
    tampering.replace(path, bytes(data))


@pytest.mark.parametrize(
    "name", ["data/layer3/6A/s0_gate_receipt_6A.json", "data/layer3/6A/sealed_inputs_6A.json",
             "data/layer3/6A/validation/realism_gate_6A.json",
             "data/layer3/6A/validation/integer_plans_6A.json",
             "data/layer3/6A/validation/s2_kmax_counters_6A.json",
             "data/layer3/6A/validation/s5_validation_report_6A.json",
             "logs/layer3/6A/rng/events/rng_events_6A.jsonl"],
)  # fmt: skip
@pytest.mark.parametrize("data", [b"{}", b"[]", b'{"segments": [{}]}'])
def test_a_document_that_is_sealed_again_is_refused(
    fraudworld: Call, run: Path, name: str, data: bytes
) -> None:
    tampering.replace(run / name, data)
    seal_again(run)
    assert fraudworld("verify", run).status == 1
    # The overlay moves S5 alone, so the states before it are read from the base.
    again = ("run", "--scale", 0.4, "--seed", 7, "--from", "S5", "--base", run, "--runs-root",
             run.parent, "--overlay", "delta_c_propagation", "--quiet")  # fmt: skip
    for words in (("gates", run), ("report", run), again, ("transactions", run, "--days", "1")):
        result = fraudworld(*words)
        assert result.status in (0, 1, 2, 3), (words, result.err)


def test_a_profile_no_release_knows_is_refused(fraudworld: Call, run: Path) -> None:
    receipt = json.loads((run / "run_receipt.json").read_text()) | {"profile": "huge"}
    tampering.replace(run / "run_receipt.json", json.dumps(receipt).encode())
    result = fraudworld("transactions", run, "--days", "1")
    assert (result.status, "RECEIPT_INVALID" in result.err) == (2, True)


BOMBS: dict[str, Callable[[Path], object]] = {
    "rows": lambda p: bomb(p, 40_000_000),
    "text": long_text,
    "noise": garbled,
    "no Parquet": lambda p: tampering.replace(p, b"PAR1" * 100),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_that_is_sealed_again_is_refused(run: Path, tmp_path: Path, name: str) -> None:
    BOMBS[name](part(run))
    seal_again(run)
    statuses, peak, output = program(*every_command(run, tmp_path))
    assert statuses[0] == 1, output
    assert set(statuses) <= {0, 1, 2, 3}, output
    assert "Traceback" not in output
    assert peak < GIB2


@pytest.mark.parametrize("name", ["rows", "text", "no Parquet"])
def test_a_part_is_bounded_before_it_is_decoded(run: Path, name: str) -> None:
    path = part(run)
    BOMBS[name](path)
    with pytest.raises(InputError, match="S1_PARTY_SUMMARY_SCHEMA_OR_KEY_INVALID") as caught:
        open_part(path, BY_NAME["s1_party_summary_6A"])
    assert caught.value.where == str(path)


def test_columns_and_row_groups_of_a_part_are_bounded(tmp_path: Path) -> None:
    table = BY_NAME["s1_party_summary_6A"]
    path = tmp_path / "part-00000.parquet"
    pq.write_table(pa.table({f"c{i}": [1] for i in range(folder.MOST_COLUMNS + 1)}), path)
    with pytest.raises(InputError, match="33 columns"):
        open_part(path, table)
    pq.write_table(pa.table({"a": np.zeros(3_000)}), path, row_group_size=2)
    with pytest.raises(InputError, match="1500 row groups"):
        open_part(path, table)


@pytest.fixture
def streamed(run: Path, small_stream: Path) -> Path:
    """A run with a stream of its own below it."""
    shutil.copytree(small_stream / LAYER, run / LAYER, copy_function=os.link)
    return run


def wrong(run: Path) -> list[str]:
    return [f"{name}: {what}" for name, holds, what in accounted(RunPlace(run)) if not holds]


def test_a_run_and_its_stream_are_accounted_for(run: Path, streamed: Path) -> None:
    assert wrong(streamed) == []
    shutil.rmtree(run / LAYER)
    assert wrong(run) == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda p: (p.layer / "notes.txt").write_text("x"), "notes.txt is not in its index"),
        (lambda p: (p.layer / "validation/more.json").write_text("{}"), "more.json is not in"),
        (lambda p: tampering.replace(p.report, b"{}"), "bytes long, sealed with"),
        (lambda p: shutil.rmtree(p.layer / "logs"), "is missing"),
        (lambda p: p.index.unlink(), "its index cannot be read"),
        (lambda p: tampering.replace(p.flag, b"x" * 200), "its flag cannot be read"),
    ],
)
def test_what_no_stream_seals_is_named(
    streamed: Path, change: Callable[[StreamPlace], object], why: str
) -> None:
    change(StreamPlace.below(streamed))
    assert len(wrong(streamed)) == 1
    assert why in wrong(streamed)[0]


def test_a_file_below_6b_without_a_stream_is_named(run: Path) -> None:
    (run / LAYER).mkdir(parents=True)
    (run / LAYER / "hidden.bin").write_bytes(b"x")
    assert "its index cannot be read" in wrong(run)[0]


def test_a_stream_of_another_run_is_named(streamed: Path) -> None:
    place = RunPlace(streamed)
    receipt = json.loads(place.receipt.read_text()) | {"bundle_digest": "0" * 64}
    tampering.replace(place.receipt, json.dumps(receipt).encode())
    assert "was made over this run" in wrong(streamed)[0]
    assert read_receipt(place).bundle_digest == "0" * 64


def test_leftovers_of_killed_commands_are_named(run: Path) -> None:
    name = "reports/.report.html-0123abcd.part"
    (run / name).write_bytes(b"half a page")
    assert check_run(RunPlace(run)).passed
    rows = {row[0]: row for row in accounted(RunPlace(run))}
    assert rows["leftovers of killed commands are named as such"][1:] == (True, name)


LITTER = (".DS_Store", "Thumbs.db", "desktop.ini", "._part-00000.parquet", "._run_receipt.json")


def strew(root: Path) -> list[str]:
    """Puts what desktops leave into every folder below `root`; returns the paths."""
    folders = [root, *(p for p in root.rglob("*") if p.is_dir())]
    files = [folder / name for folder in folders for name in LITTER]
    for path in files:
        path.write_bytes(b"\0\0\0\1Bud1 of a desktop")
    return [path.relative_to(root).as_posix() for path in files]


def test_what_desktops_leave_in_a_run_is_ignored_and_listed(
    fraudworld: Call, run: Path, tmp_path: Path
) -> None:
    strewn = strew(run)
    for words in (("gates", run), ("runs", "show", run), ("report", run, "--out", tmp_path / "p")):
        assert fraudworld(*words).status == 0
    verdict = json.loads(fraudworld("verify", run, "--json").out)
    assert verdict["holds"] is True
    listed = [c["what"] for c in verdict["checks"] if "desktops leave" in c["name"]]
    assert len(listed) == 1
    assert set(listed[0].split(", ")) <= set(strewn)
    script = subprocess.run(
        [sys.executable, "-I", run / "reports/verify.py", run],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert script.returncode == 0, script.stdout
    assert script.stdout.count("ignored  ") == len(strewn)


@pytest.mark.parametrize("name", ["x.DS_Store", "thumbs.txt", "._", "_.x", ".x"])
def test_other_files_are_not_ignored(run: Path, name: str) -> None:
    (run / PART / name).write_bytes(b"x")
    with pytest.raises(RefusedError, match="OUTPUT_CONFLICT"):
        check_run(RunPlace(run))


def test_a_link_named_like_litter_is_refused(run: Path, outside: Path) -> None:
    (run / PART / ".DS_Store").symlink_to(outside / "precious")
    with pytest.raises(RefusedError, match="a link"):
        check_run(RunPlace(run))


def test_litter_that_an_index_lists_is_refused(run: Path) -> None:
    """A sealed file is never ignored: what is sealed is what is read."""
    data = b"sealed"
    (run / PART / ".DS_Store").write_bytes(data)
    index = load_json(run / INDEX)
    row = {"path": f"{PART}/.DS_Store", "bytes": len(data)}
    row["sha256_hex"] = hashlib.sha256(data).hexdigest()
    index["members"] = sorted([*index["members"], row], key=lambda m: m["path"])
    tampering.replace(run / INDEX, canonical_json(index))
    digest = hashlib.sha256(canonical_json(index)).hexdigest()
    flag = run / INDEX.replace("validation_bundle_index_6A.json", "_passed.flag")
    tampering.replace(flag, f"sha256_hex = {digest}\n".encode())
    with pytest.raises(RefusedError, match="OUTPUT_CONFLICT"):
        check_run(RunPlace(run))


def test_what_desktops_leave_in_an_upstream_is_ignored(fraudworld: Call, tmp_path: Path) -> None:
    embedded.build(tmp_path / "up", volume_scale=0.02)
    strew(tmp_path / "up")
    assert fraudworld("upstream", "check", tmp_path / "up").status == 0


def test_the_pinned_digests_are_those_of_a_build(tmp_path: Path) -> None:
    scales = [nominal / PROFILES["authority"] for nominal in PROFILES.values()]
    assert sorted(SCALED) == sorted(f"{scale:.12g}" for scale in scales)
    for number, scale in enumerate(scales):
        place = tmp_path / str(number)
        embedded.build(place, volume_scale=scale)
        digests = {s: bundle.verify(place / s, s).digest for s in SEGMENTS}
        assert digests == FIXED | SCALED[f"{scale:.12g}"]


@pytest.mark.parametrize("scale", [PROFILES["demo"] / PROFILES["authority"], 0.0123])
@pytest.mark.parametrize("table", ["1A/outlet_catalogue", "5A/merchant_zone_profile_5A"])
def test_a_poisoned_cache_is_replaced_although_it_is_sealed(
    tmp_path: Path, scale: float, table: str
) -> None:
    place = embedded.ensure_embedded(tmp_path, scale)
    before = {p.relative_to(place): p.read_bytes() for p in place.rglob("*") if p.is_file()}
    path = place / f"{table}.parquet"
    data = pq.read_table(path)
    pq.write_table(data.slice(0, data.num_rows - 1), path)
    own = {bundle.FLAG, bundle.INDEX}
    bundle.seal(path.parent, [p.name for p in path.parent.iterdir() if p.name not in own])
    bundle.verify(path.parent, "poisoned")
    assert embedded.ensure_embedded(tmp_path, scale) == place
    assert before == {p.relative_to(place): p.read_bytes() for p in place.rglob("*") if p.is_file()}
    assert [p.name for p in tmp_path.iterdir()] == [place.name]


def test_a_cache_that_is_a_link_is_replaced_and_its_target_kept(
    tmp_path: Path, outside: Path
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "upstream-v2-0.5").symlink_to(outside)
    place = embedded.ensure_embedded(cache, 0.5)
    assert place.is_dir()
    assert not place.is_symlink()
    assert [p.name for p in cache.iterdir()] == [place.name]


def script(run: Path, seconds: int = 60) -> subprocess.CompletedProcess[str]:
    path = Path(bundle.__file__).parent / "standalone" / "verify.py"
    return subprocess.run(
        [sys.executable, str(path), str(run)], capture_output=True, text=True, timeout=seconds,
        errors="surrogateescape",
    )  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_the_script_in_a_run_reads_strictly_too(run: Path, outside: Path, name: str) -> None:
    HOSTILE[name](run, outside)
    if name in ("folders in folders", "a sparse report"):
        pytest.skip("no file outside the seal is its business")
    result = script(run)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "FAIL" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("data", [b'{"a": 1, "a": 2}', b"[NaN]", b"[" * 200_000, b"\xff"])
def test_the_script_in_a_run_refuses_ambiguous_json(run: Path, data: bytes) -> None:
    tampering.replace(run / INDEX, data)
    result = script(run)
    assert result.returncode == 1
    assert "not JSON" in result.stderr
    assert "Traceback" not in result.stderr
