"""Column writers overwrite every value of the output array."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fraudworld.stages import batches

POSITIONS = np.array([4, 0, 2, 2], dtype=np.int32)


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        (batches.ids(10, 5), [16, 17, 18, 19]),
        (batches.same(3), [3, 3, 3, 3]),
        (batches.ref(POSITIONS, 100), [105, 101, 103, 103]),
        (batches.ref(POSITIONS.astype(np.uint32), 2**40), [2**40 + n for n in (5, 1, 3, 3)]),
        (batches.optional(np.array([-1, 0, -1, 7], np.int32), 20), [0, 21, 0, 28]),
        (batches.of_each(np.arange(50, 55, dtype=np.uint32), POSITIONS.astype(np.uint32), 1000),
         [1054, 1050, 1052, 1052]),
    ],
)  # fmt: skip
def test_every_writer_fills_the_whole_column(
    fill: Callable[..., object], expected: list[int]
) -> None:
    out = np.full(4, -9, dtype=np.int64)
    fill(out)
    assert out.tolist() == expected


def test_a_value_outside_the_dtype_is_an_error() -> None:
    with pytest.raises(OverflowError):
        batches.same(256)(np.zeros(2, dtype=np.uint8))
