"""Distinct values are those of numpy.unique."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fraudworld.distinct import distinct


@given(arrays.arrays(st.sampled_from([np.uint32, np.int64]), st.integers(0, 40)))
def test_distinct_values_are_those_of_numpy(values: np.ndarray) -> None:
    found = distinct(values)
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, np.unique(values))


@pytest.mark.parametrize("values", [[], [7], [7, 7, 7]])
def test_none_one_and_only_repeated_values(values: list[int]) -> None:
    assert distinct(np.array(values, dtype=np.int64)).tolist() == values[:1]
