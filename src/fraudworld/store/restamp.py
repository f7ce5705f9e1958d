"""A dataset of an earlier run under a new identity: the same values, other constant columns.

Values are copied through Arrow and encoded with the settings every dataset shares, so the
parts are, byte for byte, those a run from scratch would have written. Where nothing but the
folder's name changes (the same identity, or a table that carries none) the file is linked.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fraudworld.contracts import Kind, Table
from fraudworld.store.identity import Identity
from fraudworld.store.reader import parts
from fraudworld.store.tables import DatasetRecord, PartRecord, write_parquet


class Restamp:
    """One dataset on its way; `close` waits for its parts.

    `source` is the folder of a run that was checked against its index, `content_digest`
    what that index says: neither depends on the identity. Records carry no leaves.
    """

    def __init__(
        self,
        table: Table,
        source: Path,
        folder: Path,
        content_digest: str,
        identities: tuple[Identity, Identity],
        pool: ThreadPoolExecutor,
    ) -> None:
        self._table = table
        self._digest = content_digest
        folder.mkdir(parents=True, exist_ok=True)
        old, new = identities
        same = old == new or not table.identity
        self._futures: list[Future[PartRecord]] = [
            pool.submit(_link, path, folder / path.name)
            if same
            else pool.submit(_restamp, table, path, folder / path.name, new)
            for path in parts(source)
        ]

    def raise_failure(self) -> None:
        """Raise what a part that is finished already died of, if one did."""
        for future in self._futures:
            if future.done():
                future.result()

    def close(self) -> DatasetRecord:
        """Wait until every part is on disk. Raises OSError where the disk does not take it."""
        made = tuple(future.result() for future in self._futures)
        return DatasetRecord(self._table.name, sum(p.rows for p in made), made, self._digest)


def _link(source: Path, target: Path) -> PartRecord:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
    data = target.read_bytes()
    rows = pq.ParquetFile(target).metadata.num_rows
    return PartRecord(target.name, rows, len(data), hashlib.sha256(data).hexdigest(), ())


def _restamp(table: Table, source: Path, target: Path, identity: Identity) -> PartRecord:
    codes = [c.name for c in table.columns if c.kind is Kind.CODE]
    with pq.ParquetFile(source, read_dictionary=codes) as file:
        data = file.read([c.name for c in table.columns], use_threads=False).combine_chunks()
    rows = data.num_rows
    zeros = pa.array(np.zeros(rows, dtype=np.int8))
    columns = [
        *(data[c.name].cast(table.schema.field(c.name).type) for c in table.columns),
        pa.array(np.full(rows, identity.seed, dtype=np.int64)),
        *(
            pa.DictionaryArray.from_arrays(zeros, pa.array([value]))
            for value in (identity.manifest_fingerprint, identity.parameter_hash)
        ),
    ]
    sink = pa.BufferOutputStream()
    write_parquet(pa.Table.from_arrays(columns, schema=table.schema), table, sink)
    encoded = sink.getvalue()
    sha = hashlib.sha256(encoded).hexdigest()
    target.write_bytes(encoded)
    return PartRecord(target.name, rows, encoded.size, sha, ())
