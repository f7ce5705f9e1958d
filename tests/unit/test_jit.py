"""Loading cached kernels in a thread, recompiling after changes, and damaged caches."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fraudworld import jit
from fraudworld.rng import philox

LOAD_ONLY = """
from fraudworld import jit
from fraudworld.rng import philox
assert not philox.fill.signatures
with jit.loading():
    pass
print(len(philox.fill.signatures), len(philox.fill.stats.cache_misses))
"""


def test_a_new_process_loads_kernels_compiled_by_another():
    philox.fill(np.uint64(1), np.uint64(2), np.uint64(0), np.empty(8, dtype=np.uint64))
    done = subprocess.run(
        [sys.executable, "-c", LOAD_ONLY], capture_output=True, text=True, check=True
    )
    loaded, compiled = map(int, done.stdout.split())
    assert loaded >= 1
    assert compiled == 0


class Kernel:
    """A stand-in for a kernel, cached for `types`; the first entry is of another processor."""

    def __init__(self, types, ready):
        self.compiled = []
        self.targetctx = SimpleNamespace(codegen=lambda: ready.wait(10) and "this")
        index = [(name, "other" if i == 0 else "this") for i, name in enumerate(types)]
        self._cache = SimpleNamespace(
            signatures=lambda processor: [name for name, of in index if of == processor]
        )

    def compile(self, name):
        self.compiled.append(name)


@pytest.fixture
def unloaded(monkeypatch):
    """Kernels not yet loaded, and the event their loading waits for."""
    ready = threading.Event()
    kernels = [Kernel(("f4", "f8", "i8"), ready) for _ in range(3)]
    monkeypatch.setattr(jit, "_NOT_LOADED", deque(kernels))
    return kernels, ready


def test_cached_kernels_of_this_processor_are_loaded_once(unloaded):
    kernels, ready = unloaded
    ready.set()
    for _ in range(2):
        with jit.loading():
            pass
    assert [k.compiled for k in kernels] == [["f8", "i8"]] * 3


def test_loading_stops_when_the_body_fails(unloaded):
    kernels, ready = unloaded
    with pytest.raises(ValueError, match="refused"), jit.loading():
        raise ValueError("refused")
    ready.set()
    for thread in threading.enumerate():
        if thread.name == "kernels":
            thread.join(10)
    assert kernels[-1].compiled == []


ONE_KERNEL = """
import numpy as np
from fraudworld.jit import kernel, loading

@kernel
def triple(x, out):
    for i in range(x.size):
        out[i] = 3 * x[i]

with loading():
    pass
out = np.empty(4, dtype=np.int64)
triple(np.arange(4), out)
hits = getattr(getattr(triple, "stats", None), "cache_hits", {})
print(out.tolist(), sum(hits.values()))
"""


@pytest.fixture
def one_kernel(tmp_path: Path):
    """Runs a script with one kernel in a new process, which prints values and cache hits."""
    script = tmp_path / "own.py"
    script.write_text(ONE_KERNEL)

    def run(**environment: str) -> str:
        words = [sys.executable, str(script)]
        done = subprocess.run(
            words, capture_output=True, text=True, env=os.environ | environment, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()

    return run, tmp_path / "__pycache__"


STEP = """
from fraudworld.jit import inlined

@inlined
def step(x):
    return {factor} * x
"""
USER = """
import numpy as np
import steps
from fraudworld.jit import kernel

@kernel
def apply(x, out):
    for i in range(x.size):
        out[i] = steps.step(x[i])

out = np.empty(3, dtype=np.int64)
apply(np.arange(3), out)
print(out.tolist(), sum(apply.stats.cache_hits.values()))
"""


def test_a_changed_inlined_function_recompiles_its_callers(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(USER)
    shown = []
    for factor in (2, 2, 5):
        (tmp_path / "steps.py").write_text(STEP.format(factor=factor))
        if factor == 2:
            os.utime(tmp_path / "steps.py", ns=(10**18, 10**18))
        words = [sys.executable, str(tmp_path / "user.py")]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        shown.append(done.stdout.strip())
    assert shown == ["[0, 2, 4] 0", "[0, 2, 4] 1", "[0, 5, 10] 0"]


COMPILED, FROM_CACHE = "[0, 3, 6, 9] 0", "[0, 3, 6, 9] 1"
DAMAGE = {
    "index cut": ("*.nbi", lambda data: data[: len(data) // 2]),
    "index empty": ("*.nbi", lambda data: b""),
    "index of a lost type": (
        "*.nbi",
        lambda data: data.split(b".", 1)[0] + b"." + b"cfraudworld.jit\ngone\n.",
    ),
    "code cut": ("*.nbc", lambda data: data[: len(data) // 2]),
    "code empty": ("*.nbc", lambda data: b""),
    "code flipped": ("*.nbc", lambda data: data[:-9] + bytes(b ^ 255 for b in data[-9:])),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_cache_entry_is_a_miss_and_is_replaced(one_kernel, name: str) -> None:
    run, cache = one_kernel
    assert (run(), run()) == (COMPILED, FROM_CACHE)
    pattern, damage = DAMAGE[name]
    (path,) = cache.glob(pattern)
    path.write_bytes(damage(path.read_bytes()))
    assert (run(), run()) == (COMPILED, FROM_CACHE)


def test_kernels_run_without_a_writable_cache_and_without_compilation(
    one_kernel, tmp_path: Path
) -> None:
    run, cache = one_kernel
    cache.write_text("a file where the folder should be")
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    assert run(HOME=str(nowhere), XDG_CACHE_HOME=str(nowhere)) == COMPILED
    assert run(NUMBA_CACHE_DIR=str(nowhere)) == COMPILED
    assert run(NUMBA_DISABLE_JIT="1") == COMPILED
