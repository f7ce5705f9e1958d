"""Files and folders are written atomically: complete or absent."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from fraudworld.errors import InputError
from fraudworld.store.atomic import atomic_directory, write_atomic


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_is_written_and_replaced_without_leftovers(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.json"
    for data in (b"first", b"second"):
        write_atomic(path, data)
        assert path.read_bytes() == data
    assert names(path.parent) == ["file.json"]


def test_a_file_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(InputError) as caught:
        write_atomic(tmp_path / "file", b"data")
    assert caught.value.code == "6A.S0.IO_WRITE_FAILED"
    assert names(tmp_path) == ["file"]


def test_a_folder_appears_at_the_end_and_never_after_a_failure(tmp_path: Path) -> None:
    dest = tmp_path / "dest"

    def fail() -> None:
        with atomic_directory(dest) as staged:
            (staged / "file").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(tmp_path) == []
    with atomic_directory(dest) as staged:
        (staged / "file").write_text("whole")
        assert not dest.exists()
    assert names(tmp_path) == ["dest"]


def test_a_folder_created_in_the_meantime_is_not_replaced(tmp_path: Path) -> None:
    dest = tmp_path / "dest"

    def write_and_race() -> None:
        with atomic_directory(dest) as staged:
            (staged / "file").write_text("mine")
            dest.mkdir()

    with pytest.raises(FileExistsError):
        write_and_race()
    assert names(tmp_path) == ["dest"]
    assert names(dest) == []


def test_only_staging_folders_of_killed_processes_are_removed(tmp_path: Path) -> None:
    dead = tmp_path / ".dest-0123abcd.part"
    alive = tmp_path / ".dest-abcd0123.part"
    for folder in (dead, alive):
        folder.mkdir()
        (folder / "file").write_text("half")
    unrelated = [tmp_path / n for n in (".dest-mine.part", ".other-0123abcd.part", "dest-0123abcd")]
    for path in unrelated:
        path.write_text("not ours")
    handle = os.open(alive, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with atomic_directory(tmp_path / "dest"):
            assert not dead.exists()
            assert alive.exists()
    finally:
        os.close(handle)
    assert all(path.read_text() == "not ours" for path in unrelated)
