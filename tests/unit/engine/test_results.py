"""Results stay in memory up to a limit; the least recently used go to files."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fraudworld.engine.results import ALIGNMENT, SMALL, Results, bytes_in

LENGTH = SMALL  # of a u8 array: the smallest that is spilled


@dataclass(frozen=True)
class Columns:
    owner: NDArray[np.uint32]
    kind: NDArray[np.uint8]
    name: str


def _columns(seed: int) -> Columns:
    rng = np.random.default_rng(seed)
    return Columns(
        rng.integers(0, 1 << 32, LENGTH, dtype=np.uint32),
        rng.integers(0, 256, LENGTH + 7, dtype=np.uint8),
        f"columns {seed}",
    )


def _same(a: Columns, b: Columns) -> bool:
    return a.name == b.name and all(
        np.array_equal(x, y) and x.dtype == y.dtype
        for x, y in ((a.owner, b.owner), (a.kind, b.kind))
    )


def _files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def test_results_beyond_the_limit_are_read_back_equal(tmp_path: Path) -> None:
    size = bytes_in(_columns(0))
    results = Results(2 * size, tmp_path / "spilled")
    kept = [results.put(_columns(seed)) for seed in range(5)]
    assert results.spilled == 3 * size
    assert len(_files(tmp_path / "spilled")) == 3
    assert all(_same(k.get(), _columns(seed)) for seed, k in enumerate(kept))


def test_the_oldest_result_is_spilled_first(tmp_path: Path) -> None:
    results = Results(2 * bytes_in(_columns(0)), tmp_path)
    first = results.put(_columns(0))
    second, third = results.put(_columns(1)), results.put(_columns(2))
    assert first.get() is not first.get()  # read from its file, a new copy each time
    assert (second.get() is second.get(), third.get() is third.get()) == (True, True)


def test_memory_and_files_are_freed_with_the_last_reference(tmp_path: Path) -> None:
    size = bytes_in(_columns(0))
    results = Results(2 * size, tmp_path)
    kept = [results.put(_columns(seed)) for seed in range(4)]
    mapped = kept[0].get()  # a memory map, valid after the file is deleted
    del kept
    gc.collect()
    assert _files(tmp_path) == []
    assert _same(mapped, _columns(0))
    new = [results.put(_columns(seed)) for seed in range(2)]
    assert results.spilled == 2 * size  # deleted results no longer count
    assert len(new) == 2


def test_writing_to_a_spilled_array_does_not_change_its_file(tmp_path: Path) -> None:
    kept = Results(0, tmp_path).put(_columns(3))
    copy = kept.get()
    copy.owner[:] = 0
    assert _same(kept.get(), _columns(3))


def test_spilled_arrays_are_aligned(tmp_path: Path) -> None:
    value = Results(0, tmp_path).put(_columns(3)).get()
    assert value.owner.ctypes.data % ALIGNMENT == value.kind.ctypes.data % ALIGNMENT == 0


def test_small_results_are_never_spilled(tmp_path: Path) -> None:
    results = Results(0, tmp_path)
    kept = results.put(np.zeros(SMALL - 1, np.uint8))
    assert (results.spilled, kept.get().size) == (0, SMALL - 1)


@pytest.mark.parametrize(("limit", "spills"), [(None, True), (0, False)])
def test_without_limit_or_folder_nothing_is_spilled(
    tmp_path: Path, limit: int | None, spills: bool
) -> None:
    results = Results(limit, tmp_path if spills else None)
    kept = [results.put(_columns(seed)) for seed in range(3)]
    assert results.spilled == 0
    assert all(k.get() is k.get() for k in kept)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (np.zeros(3, np.int64), 24),
        ({"a": np.zeros(3, np.uint8), "b": [np.zeros(2, np.uint8)]}, 5),
        ((np.zeros(3, np.uint8), None, "text", 7), 3),
        (Columns(np.zeros(2, np.uint32), np.zeros(3, np.uint8), ""), 11),
        (Columns, 0),
        (partial(print, np.zeros(3, np.uint8), end=np.zeros(2, np.uint8)), 5),
    ],
)
def test_the_size_of_a_value_is_that_of_its_arrays(value: Any, size: int) -> None:
    assert bytes_in(value) == size
