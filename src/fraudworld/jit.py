"""How kernels are compiled, and how what earlier processes compiled is loaded.

Division is that of numpy: Python's looks for a zero first, and a loop that may raise is never
compiled to vector instructions. Whoever divides makes sure that the divisor is none, or handles
what comes of it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba import njit

Law = Callable[..., Any]

_NOT_LOADED: deque[Any] = deque()
"""Kernels whose machine code nobody has looked for, in the order of their modules."""


def kernel(law: Law) -> Law:
    """What Python calls: cached across processes, and run without the interpreter's lock."""
    made = njit(law, cache=True, nogil=True, error_model="numpy")
    _NOT_LOADED.append(made)
    return made


def inlined(law: Law) -> Law:
    """A step inside of kernels, compiled into each of them."""
    return njit(law, forceinline=True, error_model="numpy")


@contextmanager
def loading() -> Iterator[None]:
    """While the body runs a thread loads the kernels that are on disk; all are when this ends.

    A kernel's first call would do so as well, but others would wait for it. Where the body fails,
    loading is given up. Nothing is compiled.
    """
    failed = threading.Event()
    thread = threading.Thread(target=_load, args=(failed,), name="kernels")
    thread.start()
    try:
        yield
    except BaseException:
        failed.set()
        raise
    thread.join()


def _load(failed: threading.Event) -> None:
    while not failed.is_set():
        try:
            made = _NOT_LOADED.popleft()
        except IndexError:
            return
        # Numba has no public way to ask for which types a kernel is on disk.
        cache, processor = made._cache, made.targetctx.codegen()
        for key in cache._cache_file._load_index():
            if key == cache._index_key(key[0], processor):
                made.compile(key[0])
