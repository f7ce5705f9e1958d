"""Results in memory up to a limit, the longest unused in files beyond it."""

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

LENGTH = SMALL  # of a u8 array: just worth a file


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


def test_what_is_beyond_the_limit_comes_back_from_files_equal(tmp_path: Path) -> None:
    one = bytes_in(_columns(0))
    results = Results(2 * one, tmp_path / "spilled")
    kept = [results.put(_columns(seed)) for seed in range(5)]
    assert results.spilled == 3 * one
    assert len(_files(tmp_path / "spilled")) == 3
    assert all(_same(k.get(), _columns(seed)) for seed, k in enumerate(kept))


def test_the_longest_kept_goes_first(tmp_path: Path) -> None:
    results = Results(2 * bytes_in(_columns(0)), tmp_path)
    first = results.put(_columns(0))
    second, third = results.put(_columns(1)), results.put(_columns(2))
    assert first.get() is not first.get()  # from its file, a copy each time
    assert (second.get() is second.get(), third.get() is third.get()) == (True, True)


def test_memory_and_files_go_with_the_last_reference(tmp_path: Path) -> None:
    one = bytes_in(_columns(0))
    results = Results(2 * one, tmp_path)
    kept = [results.put(_columns(seed)) for seed in range(4)]
    held = kept[0].get()  # a map of its file, which outlives it
    del kept
    gc.collect()
    assert _files(tmp_path) == []
    assert _same(held, _columns(0))
    again = [results.put(_columns(seed)) for seed in range(2)]
    assert results.spilled == 2 * one  # those before no longer count
    assert len(again) == 2


def test_a_spilled_array_may_be_written_to_and_the_file_stays(tmp_path: Path) -> None:
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
def test_without_limit_or_folder_everything_stays(
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
def test_bytes_are_those_of_the_arrays_inside(value: Any, size: int) -> None:
    assert bytes_in(value) == size
