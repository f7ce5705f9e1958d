"""Stdout and stderr that never raise: a lost output is told by the status, not by a traceback."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ABANDONED = (errno.EPIPE, errno.EBADF)
"""Errors of an output nobody wants: the reader of a pipe ended, or the output is closed."""


class Sink(io.RawIOBase):
    """The bytes of one output; after its first failure they are dropped and it is remembered."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.failure: OSError | None = None

    def writable(self) -> bool:
        """True: what cannot be written is dropped."""
        return True

    def fileno(self) -> int:
        """The descriptor of the output."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether the output is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data: ReadableBuffer) -> int:
        """Writes what the output takes; after a failure everything is taken and dropped."""
        size = memoryview(data).nbytes
        while self.failure is None:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                select.select([], [self._descriptor], [])
            except OSError as error:
                self.failure = error
        return size


@contextmanager
def outputs() -> Iterator[list[Sink]]:
    """Puts a `Sink` behind stdout and stderr while the body runs; yields that of stdout, if any.

    Streams that are no files, as those of `redirect_stdout`, stay as they are.
    """
    _occupy()
    before = sys.stdout, sys.stderr
    sys.stdout, out = _careful(sys.stdout, 1)
    sys.stderr, _ = _careful(sys.stderr, 2)
    try:
        yield [out] if out else []
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        sys.stdout, sys.stderr = before


def _careful(stream: TextIO | None, number: int) -> tuple[TextIO, Sink | None]:
    try:
        descriptor = number if stream is None else stream.fileno()
    except (AttributeError, OSError, ValueError):
        return stream, None  # type: ignore[return-value]  # of a caller that reads it
    sink = Sink(descriptor)
    if stream is None:
        sink.failure = OSError(errno.EBADF, os.strerror(errno.EBADF))
    else:
        stream.flush()
    text = io.TextIOWrapper(
        io.BufferedWriter(sink),
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors="replace",
        line_buffering=number == 2 or sink.isatty(),
    )
    return text, sink


def _occupy() -> None:
    """Opens closed standard descriptors on the null device, so that no file gets their number."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
