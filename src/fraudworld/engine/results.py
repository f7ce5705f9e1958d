"""Results of tasks in memory up to a limit, the longest unused ones in files beyond it.

A spilled result is read back through a private memory map: arrays come back without a
copy, may be written to, and leave memory with the last reference to them.
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
from typing import Any

import numpy as np

ALIGNMENT = 64
"""Bytes; every array of a spilled result starts at a multiple."""

SMALL = 1 << 16
"""Results below so many bytes are not worth a file."""

GIVE_BACK = 1 << 28
"""Bytes spilled between two times that freed memory goes back to the system: page after page of
it has to be looked at, and touched anew by whoever needs it next."""


class Kept:
    """One result: in memory, or in a file."""

    def __init__(self, value: Any, size: int) -> None:
        self._value: tuple[Any] | None = (value,)
        self._file: Path | None = None
        self.size = size

    def get(self) -> Any:
        """The value; from its file a new copy each time."""
        held, file = self._value, self._file
        if held is not None:
            return held[0]
        assert file is not None
        return _load(file)

    def spill(self, file: Path) -> None:
        """Move the value into `file`."""
        held = self._value
        if held is None:
            return
        _save(held[0], file)
        # In this order: whoever finds no value finds a file.
        self._file = file
        self._value = None


class Results:
    """Keeps results; those beyond `limit` bytes go to `folder`, the longest unused first."""

    def __init__(self, limit: int | None, folder: Path | None) -> None:
        self._limit = limit if folder is not None else None
        self._folder = folder
        self._lock = threading.RLock()
        self._number = itertools.count()
        self._live: OrderedDict[int, weakref.ref[Kept]] = OrderedDict()
        self._bytes = 0
        self.spilled = 0
        self._given_back = 0

    def put(self, value: Any) -> Kept:
        """Keep a value for as long as somebody holds what is returned."""
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
                if kept is None:  # its finaliser is about to come here
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


def bytes_in(value: Any) -> int:
    """Bytes of the arrays inside a result, or inside the constants of a task."""
    total, left = 0, [value]
    while left:
        value = left.pop()
        if isinstance(value, np.ndarray):
            total += value.nbytes
        elif isinstance(value, list | tuple):
            left.extend(value)
        elif isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, partial):
            left += [*value.args, *value.keywords.values()]
        elif hasattr(type(value), "__dataclass_fields__"):
            left.extend(vars(value).values())
    return total


def _save(value: Any, file: Path) -> None:
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
    """Ask the C library to give back what it holds freed; elsewhere than glibc a no-op."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
