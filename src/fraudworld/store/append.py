"""Writing a dataset whose rows come as a stream of batches, in published order.

Batches are collected into blocks of `PART_ROWS`, which are encoded on a pool meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import Column, Table
from fraudworld.store.content import DTYPES, PART_ROWS
from fraudworld.store.identity import Identity
from fraudworld.store.tables import Columns, DatasetRecord, PartRecord, Writing

IN_FLIGHT = 3
"""Parts that may wait for the pool; bounds the memory of a stream."""


class DatasetWriter:
    """Writes the parts of one dataset on a shared pool; `append` batches, then `close`.

    `codes` maps each code column to its list.
    """

    def __init__(
        self,
        table: Table,
        folder: Path,
        identity: Identity,
        codes: Mapping[str, Sequence[str]],
        pool: ThreadPoolExecutor,
    ) -> None:
        self._writing = Writing.of(table, folder, identity, codes)
        self._pool = pool
        self._pending: deque[Columns] = deque()
        self._pending_rows = 0
        self._futures: deque[Future[PartRecord]] = deque()
        self._parts: list[PartRecord] = []
        self._count = 0
        self._flushed = False
        self.rows = 0

    def append(self, batch: Columns) -> None:
        """Adds rows: int64 ids and counts (0 = null), uint8 codes, float64 reals.

        The arrays are encoded later and not copied, so the caller must not change them. Raises
        InternalError where names, types or lengths differ from the contract.
        """
        rows = len(next(iter(batch.values()), ()))
        self._writing.check(rows, batch)
        if self._flushed:
            raise self._writing.broken("rows came after the last part was written")
        if not rows:
            return
        self._pending.append(batch)
        self._pending_rows += rows
        self.rows += rows
        while self._pending_rows >= PART_ROWS:
            self._submit(PART_ROWS)

    def flush(self) -> None:
        """Submits the remaining rows without waiting; an empty dataset gets one empty part."""
        if not self._flushed and (self._pending_rows or not self._count):
            self._submit(self._pending_rows)
        self._flushed = True

    def close(self) -> DatasetRecord:
        """Flushes, waits until every part is on disk, and returns the record of the dataset.

        Raises the first exception of the pool: InternalError for values outside the contract,
        OSError for a failed write.
        """
        self.flush()
        while self._futures:
            self._parts.append(self._futures.popleft().result())
        return self._writing.record(self._parts)

    def _submit(self, rows: int) -> None:
        columns = {c.name: self._take(c, rows) for c in self._writing.table.columns}
        self._drop(rows)
        while len(self._futures) >= IN_FLIGHT:
            self._parts.append(self._futures.popleft().result())
        self._futures.append(self._pool.submit(self._writing.write, self._count, columns))
        self._count += 1

    def _take(self, column: Column, rows: int) -> NDArray[np.generic]:
        """The next `rows` values of a column, as one array of its canonical type."""
        pieces, missing = [], rows
        for batch in self._pending:
            piece = batch[column.name][:missing]
            pieces.append(piece)
            missing -= len(piece)
            if missing <= 0:
                break
        return np.concatenate([np.empty(0, DTYPES[column.kind]), *pieces])

    def _drop(self, rows: int) -> None:
        self._pending_rows -= rows
        while rows:
            batch = self._pending.popleft()
            size = len(next(iter(batch.values())))
            if size > rows:
                self._pending.appendleft({k: v[rows:] for k, v in batch.items()})
            rows -= min(size, rows)
