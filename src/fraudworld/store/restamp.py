"""A dataset of an earlier run under a new identity: equal values, other constant columns.

A part holds its identity as two uncompressed digests (`tables.write_parquet`), so it is copied
with those bytes replaced, and equals byte for byte what a run from scratch would write. Where only
the folder's name changes (equal identity, or a table without identity) the file is hard-linked.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from concurrent.futures import Executor, Future
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fraudworld.contracts import Table
from fraudworld.documents import read_bounded
from fraudworld.errors import InternalError
from fraudworld.store.folder import LARGEST_FILE
from fraudworld.store.identity import Identity
from fraudworld.store.reader import parts
from fraudworld.store.tables import DatasetRecord, PartRecord

REPLACED = ["manifest_fingerprint", "parameter_hash"]
"""Identity columns that a new policy changes; reused states have the same seed."""


class Restamp:
    """One dataset being copied; `close` waits for its parts.

    source: folder of a run that was checked against its index. content_digest: the one that index
    states, which does not depend on the identity. Records carry no leaves.
    """

    def __init__(
        self,
        table: Table,
        source: Path,
        folder: Path,
        content_digest: str,
        identities: tuple[Identity, Identity],
        pool: Executor,
    ) -> None:
        self._table = table
        self._digest = content_digest
        folder.mkdir(parents=True, exist_ok=True)
        old, new = identities
        same = old == new or not table.identity
        self._futures: list[Future[PartRecord]] = [
            pool.submit(_link, path, folder / path.name)
            if same
            else pool.submit(_restamp, path, folder / path.name, identities)
            for path in parts(source)
        ]

    def close(self) -> DatasetRecord:
        """Waits until every part is on disk. Raises OSError for a failed write."""
        results = tuple(future.result() for future in self._futures)
        return DatasetRecord(self._table.name, sum(p.rows for p in results), results, self._digest)


def _link(source: Path, target: Path) -> PartRecord:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
    data = read_bounded(target, LARGEST_FILE)
    rows = pq.ParquetFile(pa.BufferReader(data)).metadata.num_rows
    return PartRecord(target.name, rows, len(data), hashlib.sha256(data).hexdigest(), ())


def _restamp(source: Path, target: Path, identities: tuple[Identity, Identity]) -> PartRecord:
    """Copies a part with the two digests of the old identity replaced by the new ones.

    They are hexadecimal SHA-256 of equal length in uncompressed dictionaries, so the file keeps
    its layout. Identity and number of rows are read back.
    """
    data = read_bounded(source, LARGEST_FILE)
    for name in REPLACED:
        old, new = (getattr(identity, name).encode() for identity in identities)
        data = data.replace(old, new)
    with pq.ParquetFile(pa.BufferReader(data), read_dictionary=REPLACED) as file:
        rows = file.metadata.num_rows
        stamped = file.read(REPLACED, use_threads=False)
    for name in REPLACED:
        wanted = [getattr(identities[1], name)]
        if stamped[name].unique().to_pylist() != wanted[: min(rows, 1)]:
            raise InternalError(
                "6A.S0.RESTAMP_FAILED",
                f"{name} of a reused part could not be replaced",
                where=str(source),
                remedy="report this, and run without --from: nothing was published",
            )
    target.write_bytes(data)
    return PartRecord(target.name, rows, len(data), hashlib.sha256(data).hexdigest(), ())
