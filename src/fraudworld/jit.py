"""How kernels are compiled.

Division is that of numpy: Python's looks for a zero first, and a loop that may raise is never
compiled to vector instructions. Whoever divides makes sure that the divisor is none, or handles
what comes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

Law = Callable[..., Any]


def kernel(law: Law) -> Law:
    """What Python calls: cached across processes, and run without the interpreter's lock."""
    return njit(law, cache=True, nogil=True, error_model="numpy")


def inlined(law: Law) -> Law:
    """A step inside of kernels, compiled into each of them."""
    return njit(law, forceinline=True, error_model="numpy")
