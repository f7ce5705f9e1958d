# mypy: allow-untyped-calls
"""How kernels are compiled, and how compiled code is loaded from the cache on disk.

Division follows numpy (`error_model="numpy"`): Python's tests for a zero divisor first, and a loop
that may raise is never compiled to vector instructions. Callers guard against a zero divisor.

The cache is an accelerator, never a need: where it cannot be read, written or placed, a kernel is
compiled in this process.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from numba import njit
from numba.core import event as events
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.dispatcher import Dispatcher

Law = Callable[..., Any]

_NOT_LOADED: deque[Any] = deque()
"""Cached kernels whose machine code was not looked for yet, in the order of their modules."""


class _Compilations(events.Listener):
    """Counts kernels of this package that are compiled because no cache holds them."""

    def __init__(self) -> None:
        self.count = 0

    def on_start(self, event: Any) -> None:
        """Numba starts to compile; code from the cache does not come here."""
        law = event.data["dispatcher"].py_func
        self.count += law.__module__.partition(".")[0] == __name__.partition(".")[0]

    def on_end(self, event: Any) -> None:
        """Nothing to do: a compilation is counted when it starts."""


_COMPILATIONS = _Compilations()
events.register("numba:compile", _COMPILATIONS)


def compiled() -> int:
    """Compilations of kernels in this process so far: 0 where all code came from the cache."""
    return _COMPILATIONS.count


class _CheckedFile(IndexDataCacheFile):
    """Numba's files of a kernel, machine code behind its SHA-256: LLVM aborts on damaged code."""

    def _save_data(self, name: str, data: Any) -> None:
        code = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(hashlib.sha256(code).digest() + code)

    def _load_data(self, name: str) -> Any:
        with open(self._data_path(name), "rb") as file:
            stated, code = file.read(32), file.read()
        if hashlib.sha256(code).digest() != stated:
            raise ValueError("compiled code is damaged")
        return pickle.loads(code)


_CACHES: list[_Cache] = []
"""Caches of the kernels that have one."""


@dataclass(frozen=True)
class CacheState:
    """What lies on disk for the kernels imported so far."""

    folder: Path
    entries: int
    damaged: int


def cache_state() -> CacheState | None:
    """The state of the cache; None where kernels have none: no place for it, or no compiler."""
    if not _CACHES:
        return None
    folder = Path(_CACHES[0].cache_path)
    entries = list(folder.glob("*.nbc"))
    return CacheState(folder, len(entries), sum(not _whole(path) for path in entries))


def _whole(path: Path) -> bool:
    try:
        stated, code = (data := path.read_bytes())[:32], data[32:]
    except OSError:
        return False
    return hashlib.sha256(code).digest() == stated


class _Cache(FunctionCache):
    """Numba's cache on disk, in which an entry that cannot be used is a cache miss."""

    def __init__(self, law: Law) -> None:
        super().__init__(law)
        self._cache_file.__class__ = _CheckedFile
        # Numba's own stamp is of the kernel's file alone.
        self._cache_file._source_stamp = _stamp(law)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # unpickling a damaged or outdated entry raises anything
            self.discard()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception:
            # A full or read-only disk, or an index that cannot be read: try once more, empty.
            self.discard()
            with suppress(Exception):
                super().save_overload(sig, data)

    def signatures(self, processor: Any) -> list[Any]:
        """Signatures this kernel is compiled for on disk."""
        try:
            keys = self._cache_file._load_index()
        except Exception:
            self.discard()
            return []
        return [key[0] for key in keys if key == self._index_key(key[0], processor)]

    def discard(self) -> None:
        """Empties the index of this kernel, if the disk lets it."""
        with suppress(OSError):
            self._cache_file.flush()


def _stamp(law: Law) -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of every source file that is compiled into a kernel."""
    compiled, pending = {law}, [law]
    while pending:
        step = pending.pop()
        names, scope = step.__code__.co_names, step.__globals__
        # What a name of the code may be: a global, or an attribute of a global module.
        modules = [scope[n] for n in names if isinstance(scope.get(n), ModuleType)]
        values = [scope.get(n) for n in names] + [
            getattr(m, n, None) for m in modules for n in names
        ]
        called = {f.py_func for f in values if isinstance(f, Dispatcher)} - compiled
        compiled |= called
        pending += called
    files = sorted({step.__code__.co_filename for step in compiled})
    return tuple((file, os.stat(file).st_mtime_ns, os.stat(file).st_size) for file in files)


def kernel(law: Law) -> Law:
    """Compiles what Python calls: cached across processes, without the interpreter's lock."""
    compiled = njit(law, nogil=True, error_model="numpy")
    # Plain functions (NUMBA_DISABLE_JIT=1) have no cache, and numba finds no folder for one
    # where neither the package nor the home can be written.
    with suppress(RuntimeError):
        if hasattr(compiled, "_cache"):
            compiled._cache = _Cache(law)
            _CACHES.append(compiled._cache)
            _NOT_LOADED.append(compiled)
    return compiled


def inlined(law: Law) -> Law:
    """Compiles a step of kernels into each of its callers."""
    return njit(law, forceinline=True, error_model="numpy")


@contextmanager
def loading() -> Iterator[None]:
    """Loads cached kernels on a thread while the body runs, and waits for it at the end.

    A kernel's first call would load it too, but others would wait for the lock. An exception of
    the body ends the loading. Nothing is compiled.
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
            dispatcher = _NOT_LOADED.popleft()
        except IndexError:
            return
        for signature in dispatcher._cache.signatures(dispatcher.targetctx.codegen()):
            dispatcher.compile(signature)
