"""Kernels on disk are loaded beside other work; nothing is compiled for it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest

from fraudworld import jit
from fraudworld.kernels import philox

FRESH = """
from fraudworld import jit
from fraudworld.kernels import philox
assert not philox.fill.signatures
with jit.loading():
    pass
print(len(philox.fill.signatures), len(philox.fill.stats.cache_misses))
"""


def test_a_new_process_loads_what_another_one_compiled():
    philox.fill(np.uint64(1), np.uint64(2), np.uint64(0), np.empty(8, dtype=np.uint64))
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, check=True)
    loaded, compiled = map(int, done.stdout.split())
    assert loaded >= 1
    assert compiled == 0


class Kernel:
    """What `jit` asks a kernel for: on disk for `types`, whose first is of another processor."""

    def __init__(self, types, ready):
        self.compiled = []
        self.targetctx = SimpleNamespace(codegen=lambda: ready.wait(10) and "this")
        index = [(name, "other" if i == 0 else "this") for i, name in enumerate(types)]
        self._cache = SimpleNamespace(
            _cache_file=SimpleNamespace(_load_index=lambda: index),
            _index_key=lambda name, processor: (name, processor),
        )

    def compile(self, name):
        self.compiled.append(name)


@pytest.fixture
def waiting(monkeypatch):
    """Kernels nobody has loaded, and the event their loading waits for."""
    ready = threading.Event()
    kernels = [Kernel(("f4", "f8", "i8"), ready) for _ in range(3)]
    monkeypatch.setattr(jit, "_NOT_LOADED", deque(kernels))
    return kernels, ready


def test_what_is_on_disk_for_this_processor_is_loaded_once(waiting):
    kernels, ready = waiting
    ready.set()
    for _ in range(2):
        with jit.loading():
            pass
    assert [k.compiled for k in kernels] == [["f8", "i8"]] * 3


def test_no_more_is_loaded_once_the_body_has_failed(waiting):
    kernels, ready = waiting
    with pytest.raises(ValueError, match="refused"), jit.loading():
        raise ValueError("refused")
    ready.set()
    for thread in threading.enumerate():
        if thread.name == "kernels":
            thread.join(10)
    assert kernels[-1].compiled == []
