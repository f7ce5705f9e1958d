"""Results of tasks: in memory up to a limit, the oldest ones in files beyond it.

A spilled result is read back through a private memory map: its arrays are not copied, may be
written to, and leave memory with the last reference to them.
"""

from __future__ import annotations

import ctypes
import itertools
import mmap
import pickle
import threading
import weakref
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

R = TypeVar("R")

ALIGNMENT = 64
"""Bytes; every array of a spilled result starts at a multiple."""

SMALL = 1 << 16
"""Bytes below which a result is never spilled."""

GIVE_BACK = 1 << 28
"""Bytes spilled between two calls of malloc_trim: it walks all free pages, which fault again when
they are next used."""


class Kept(Generic[R]):
    """One result: in memory, or in a file."""

    def __init__(self, value: R, size: int) -> None:
        self._value: tuple[R] | None = (value,)
        self._file: Path | None = None
        self.size = size

    def get(self) -> R:
        """The value; from its file a new copy at each call."""
        held, file = self._value, self._file
        if held is not None:
            return held[0]
        assert file is not None
        value: R = _load(file)
        return value

    def spill(self, file: Path) -> None:
        """Moves the value into `file`."""
        held = self._value
        if held is None:
            return
        _save(held[0], file)
        # In this order: a reader that sees no value sees the file.
        self._file = file
        self._value = None


class Results:
    """Keeps results; beyond `limit` bytes the oldest go to files in `folder`."""

    def __init__(self, limit: int | None, folder: Path | None) -> None:
        self._limit = limit if folder is not None else None
        self._folder = folder
        self._lock = threading.RLock()
        self._number = itertools.count()
        self._live: OrderedDict[int, weakref.ref[Kept[Any]]] = OrderedDict()
        self._bytes = 0
        self.spilled = 0
        self._given_back = 0

    def put(self, value: R) -> Kept[R]:
        """Keeps a value until the last reference to what is returned goes."""
        if self._limit is None:
            return Kept(value, 0)
        kept = Kept(value, bytes_in(value))
        if kept.size >= SMALL:
            with self._lock:
                number = next(self._number)
                self._live[number] = weakref.ref(kept)
                self._bytes += kept.size
            weakref.finalize(kept, self._forget, number, kept.size).atexit = False
            self._make_room()
        return kept

    def _forget(self, number: int, size: int) -> None:
        with self._lock:
            if self._live.pop(number, None) is not None:
                self._bytes -= size
                return
        if self._folder is not None:
            self._file(number).unlink(missing_ok=True)

    def _make_room(self) -> None:
        while True:
            with self._lock:
                if self._limit is None or self._bytes <= self._limit or not self._live:
                    return
                number, reference = self._live.popitem(last=False)
                kept = reference()
                if kept is None:  # collected: its finaliser is about to run
                    self._live[number] = reference
                    self._live.move_to_end(number, last=False)
                    return
                self._bytes -= kept.size
            kept.spill(self._file(number))
            with self._lock:
                self.spilled += kept.size
                due = self.spilled - self._given_back >= GIVE_BACK
                if due:
                    self._given_back = self.spilled
            if due:
                _return_freed_memory()

    def _file(self, number: int) -> Path:
        assert self._folder is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{number}.result"


def bytes_in(value: object) -> int:
    """Bytes of the arrays inside a result, or inside the constants of a task."""
    total, stack = 0, [value]
    while stack:
        value = stack.pop()
        if isinstance(value, np.ndarray):
            total += value.nbytes
        elif isinstance(value, list | tuple):
            stack.extend(value)
        elif isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, partial):
            stack += [*value.args, *value.keywords.values()]
        elif hasattr(type(value), "__dataclass_fields__"):
            stack.extend(vars(value).values())
    return total


def _save(value: object, file: Path) -> None:
    """Writes the sizes, the pickle without buffers, and every buffer at an aligned offset."""
    buffers: list[pickle.PickleBuffer] = []
    shell = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    raw = [b.raw() for b in buffers]
    table = pickle.dumps([r.nbytes for r in raw])
    head = np.array([len(table), len(shell)], dtype=np.int64).tobytes()
    with file.open("wb") as out:
        out.write(head + table + shell)
        for r in raw:
            out.write(b"\0" * (-out.tell() % ALIGNMENT))
            out.write(r)


def _load(file: Path) -> Any:
    """Reads what `_save` wrote, its buffers as views of a private memory map."""
    with file.open("rb") as source:
        data = memoryview(mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_COPY))
    table_size, shell_size = (int(n) for n in np.frombuffer(data[:16], dtype=np.int64))
    sizes = pickle.loads(data[16 : 16 + table_size])
    at = 16 + table_size + shell_size
    shell = data[16 + table_size : at]
    buffers = []
    for size in sizes:
        at += -at % ALIGNMENT
        buffers.append(data[at : at + size])
        at += size
    return pickle.loads(shell, buffers=buffers)


def _return_freed_memory() -> None:
    """Makes glibc return freed memory to the system; a no-op under other C libraries."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
