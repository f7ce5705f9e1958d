"""A short machine is no fault of what is read."""

from __future__ import annotations

import errno
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fraudworld as fw
from fraudworld.contracts import BY_NAME
from fraudworld.machine import let_through, memory_ran_out
from fraudworld.store.reader import bounded_parts
from fraudworld.verification import checks, verify

SHORT = [
    MemoryError(),
    pa.ArrowMemoryError("malloc of size 1048576 failed"),
    duckdb.OutOfMemoryException("failed to allocate"),
    OSError(errno.EMFILE, "Too many open files"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    RuntimeError("can't start new thread"),
    ImportError("x.so: failed to map segment from shared object"),
]
OTHER = [
    OSError(errno.ENOENT, "No such file or directory"),
    pa.ArrowInvalid("not a Parquet file"),
    pa.ArrowMemoryError("malloc of size 9223372036854775807 failed"),
    duckdb.IOException("No files found"),
    RuntimeError("a bug"),
]


@pytest.mark.parametrize("error", SHORT, ids=repr)
def test_a_short_machine_is_let_through(error: Exception) -> None:
    with pytest.raises(type(error)):
        let_through(error)


@pytest.mark.parametrize("error", OTHER, ids=repr)
def test_a_fault_of_a_file_is_not(error: Exception) -> None:
    let_through(error)
    assert not memory_ran_out(error)


@pytest.mark.parametrize("error", SHORT[:4], ids=repr)
def test_readers_do_not_call_a_short_machine_a_damaged_run(
    small_world: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    world, table = fw.open_run(small_world), BY_NAME["s1_party_base_6A"]
    monkeypatch.setattr(pq, "ParquetFile", fail)
    for read in (
        lambda: bounded_parts(small_world / "data/layer3/6A" / table.name, table),
        lambda: world.table(table.name),
        world.gates,
        lambda: verify(small_world),
    ):
        with pytest.raises(type(error)):
            read()


def test_a_check_that_meets_a_short_machine_gives_no_verdict(
    small_world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(checks, "CHECKS", (("seal", short),))
    with pytest.raises(MemoryError):
        verify(small_world)
