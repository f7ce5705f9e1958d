"""One folder a bank, with what that bank sees; and a folder of what everybody sees.

A bank sees its accounts and their instruments, the parties that hold them, the devices these
parties use or that reach its accounts, and the endpoints of these devices. Of links and events it
sees those whose other end it sees too.

Every dataset is sorted by bank once, into a spool on disk; a folder is then a contiguous range of
rows. The work grows with the rows, not with rows times banks.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fraudworld.api import World
from fraudworld.contracts import Table, Visibility
from fraudworld.documents import write_json
from fraudworld.export import checked, files, metadata
from fraudworld.export.graph import EDGES, NODES
from fraudworld.layers.clock import Report
from fraudworld.request import Progress
from fraudworld.store.sql import quoted

if TYPE_CHECKING:
    import duckdb

ACCOUNTS = "p2_account_profile_6P"
"""The table that states the bank of every account."""

REFERENCE = (
    "p0_place_6P",
    "p0_merchant_6P",
    "p0_outlet_6P",
    "p0_terminal_6P",
    "s5_merchant_fraud_roles_6A",
)
"""Tables that are the same for every bank: written once, whole."""

NO_BANK = (
    "s1_party_summary_6A",
    "s2_party_product_holdings_6A",
    "s2_account_summary_6A",
    "s4_network_summary_6A",
    "p4_unlinked_pool_6P",
)
"""Tables that no bank sees: counts over all banks, and devices and endpoints nobody has used."""

OF = "of_bank"
"""Column of the spool: the bank whose row it is. A row of two banks is there twice."""

BLOCK = 1 << 14
"""Bytes of the blocks of a bank's database. Every column and index takes one at least: in blocks of
the default size the databases of a world of 540 banks and 93 000 parties take 9 GB, in these 1 GB.
"""

MEMORY = "4GiB"
_CHUNK = 1 << 22


def _of(entity: str, *, unknown: str = "") -> str:
    """The rows of a table, `{table}`, by the banks that see its key.

    unknown: a column of party ids, null where the party is no customer of the bank.
    """
    if not unknown:
        return f"SELECT m.{OF}, t.* FROM {{table}} t JOIN of_{entity} m USING ({entity}_id)"
    return (
        f"SELECT m.{OF}, t.* REPLACE (k.party_id AS {unknown}) FROM {{table}} t"
        f" JOIN of_{entity} m USING ({entity}_id)"
        f" LEFT JOIN of_party k ON k.{OF} = m.{OF} AND k.party_id = t.{unknown}"
    )


SHARES: dict[str, str] = {
    "s1_party_base_6A": _of("party"),
    "s2_account_base_6A": _of("account"),
    "s3_instrument_base_6A": _of("instrument"),
    "s3_account_instrument_links_6A": _of("instrument"),
    "s4_circle_members_6A": _of("party"),
    "s4_device_base_6A": _of("device", unknown="primary_party_id"),
    "s4_ip_base_6A": _of("ip"),
    "s4_device_links_6A": (
        f"{_of('party')} UNION ALL {_of('account')} UNION ALL {_of('instrument')}"
    ),
    "s4_ip_links_6A": _of("device"),
    "s5_party_fraud_roles_6A": _of("party"),
    "s5_account_fraud_roles_6A": _of("account"),
    "s5_device_fraud_roles_6A": _of("device"),
    "s5_ip_fraud_roles_6A": _of("ip"),
    "p1_party_profile_6P": _of("party", unknown="employer_party_id"),
    "p1_party_identity_6P": _of("party"),
    "p2_account_profile_6P": _of("account"),
    "p3_instrument_profile_6P": _of("instrument"),
    "p4_device_profile_6P": _of("device"),
    "p4_ip_profile_6P": _of("ip"),
    "p5_entity_event_6P": (
        f"{_of('party')} WHERE entity_type IN ('PARTY', 'DEVICE')"
        f" UNION ALL SELECT m.{OF}, t.* FROM {{table}} t JOIN of_account m"
        " ON t.entity_type = 'ACCOUNT' AND t.entity_id = m.account_id"
        f" UNION ALL SELECT m.{OF}, t.* FROM {{table}} t JOIN of_instrument m"
        " ON t.entity_type = 'INSTRUMENT' AND t.entity_id = m.instrument_id"
    ),
}
"""The rows of every dataset by bank; `{table}` is its name."""

MEMBERS = {
    "account": f"SELECT account_id, bank_id AS {OF} FROM {ACCOUNTS}",
    "party": (
        f"SELECT DISTINCT {OF}, party_id FROM (SELECT m.{OF}, a.owner_party_id AS party_id"
        " FROM s2_account_base_6A a JOIN of_account m USING (account_id) UNION ALL"
        f" SELECT bank_id, joint_party_id FROM {ACCOUNTS} WHERE joint_party_id IS NOT NULL)"
    ),
    "instrument": (
        f"SELECT i.instrument_id, m.{OF} FROM s3_instrument_base_6A i"
        " JOIN of_account m USING (account_id)"
    ),
    "device": (
        f"SELECT DISTINCT {OF}, device_id FROM"
        f" ({SHARES['s4_device_links_6A'].format(table='s4_device_links_6A')})"
    ),
    "ip": (
        f"SELECT DISTINCT m.{OF}, l.ip_id FROM s4_ip_links_6A l JOIN of_device m USING (device_id)"
    ),
}
"""Which bank sees which entity: queries of the tables `of_<entity>`, in this order."""


@dataclass
class Spool:
    """Datasets sorted by bank, in a database in `folder`, which is removed at the end."""

    source: duckdb.DuckDBPyConnection
    folder: Path
    banks: tuple[int, ...] = ()
    rows: dict[int, dict[str, int]] = field(default_factory=dict)  # bank → dataset → rows

    def open(self) -> None:
        """Makes the tables `of_<entity>`, and lists the banks."""
        self.folder.mkdir()
        self.source.execute(
            f"SET temp_directory = {quoted(self.folder)}; SET memory_limit = {quoted(MEMORY)};"
            f" ATTACH {quoted(self.folder / 'spool.duckdb')} AS spool"
        )
        for entity, query in MEMBERS.items():
            self.source.execute(f"CREATE TABLE spool.of_{entity} AS {query}")
            self.source.execute(f"CREATE VIEW of_{entity} AS FROM spool.of_{entity}")
        found = self.source.execute(f"SELECT DISTINCT {OF} FROM of_account ORDER BY 1").fetchall()
        self.banks = tuple(int(bank) for (bank,) in found)
        self.rows = {bank: {} for bank in self.banks}

    def sort(self, table: Table) -> list[int]:
        """Makes `spool.<table>`, in order of bank, then of sort order and key.

        Returns the rows of every bank, in order of bank.
        """
        order = ", ".join(dict.fromkeys((OF, *table.sort, *table.key)))
        query = SHARES[table.name].format(table=table.name)
        self.source.execute(
            f"CREATE TABLE spool.{table.name} AS"
            f" SELECT {OF}, {files.names(table)} FROM ({query}) ORDER BY {order}"
        )
        counted = self.source.execute(
            f"SELECT {OF}, count(*) FROM spool.{table.name} GROUP BY {OF}"
        ).fetchall()
        counts = {int(bank): int(n) for bank, n in counted}
        for bank in self.banks:
            self.rows[bank][table.name] = counts.get(bank, 0)
        return [self.rows[bank][table.name] for bank in self.banks]

    def close(self) -> None:
        """Closes all databases and removes the spool."""
        self.source.close()
        shutil.rmtree(self.folder)


@dataclass
class _Steps:
    """Reports the steps of one part of the work as they end."""

    progress: Report | None
    part: str
    count: int
    start: float = field(default_factory=time.perf_counter)
    done: int = 0
    rows: int = 0

    def ended(self, name: str, rows: int) -> None:
        self.done += 1
        self.rows += rows
        if self.progress is not None:
            seconds = time.perf_counter() - self.start
            self.progress(Progress(self.part, name, self.done, self.count, self.rows, seconds))


def split(tables: Sequence[Table]) -> tuple[tuple[Table, ...], tuple[Table, ...]]:
    """The tables that differ by bank, and those that are the same for every bank."""
    by_bank = tuple(t for t in tables if t.name in SHARES)
    return by_bank, tuple(t for t in tables if t.name in REFERENCE)


def bank_folder(folder: Path, bank: int) -> Path:
    """The folder of a bank."""
    return folder / f"bank-{bank}"


def write(
    to: str,
    world: World,
    folder: Path,
    *,
    observable: bool,
    profiles: Sequence[Table],
    progress: Report | None,
) -> None:
    """A folder `bank-<id>` for every bank and a folder `reference`, each with a `manifest.json`.

    to: one of `WRITERS`. profiles: the tables of 6P that the run has. A manifest states whose
    folder it is, and the rows of every table. Raises as `checked.source`.
    """
    tables = (*metadata.published(observable=observable), *profiles)
    by_bank, reference = split(tables)
    spool = Spool(checked.source(world, tables), folder / ".spool")
    spool.open()
    shared = folder / "reference"
    for path in (shared, *(bank_folder(folder, bank) for bank in spool.banks)):
        path.mkdir()
    counts = {table.name: _count(spool.source, table) for table in reference}
    WRITERS[to](world, spool, folder, by_bank, reference, progress)
    spool.close()
    whose = {key: world.receipt[key] for key in ("run_id", "seed", "manifest_fingerprint")}
    whose["observable"] = observable
    write_json(shared / "manifest.json", {**whose, "tables": counts})
    for bank in spool.banks:
        document = {"bank_id": bank, **whose, "tables": spool.rows[bank]}
        write_json(bank_folder(folder, bank) / "manifest.json", document)
    write_json(folder / "run_receipt.json", world.receipt)


def _count(source: duckdb.DuckDBPyConnection, table: Table) -> int:
    row = source.execute(f"SELECT count(*) FROM {table.name}").fetchone()
    return int(row[0]) if row else 0


def _to_csv(
    world: World,
    spool: Spool,
    folder: Path,
    by_bank: Sequence[Table],
    reference: Sequence[Table],
    progress: Report | None,
) -> None:
    """A CSV a table in every folder, and its `datapackage.json`."""
    steps = _Steps(progress, "export", len(by_bank))
    whole = spool.folder / "rows.csv"
    for table in reference:
        rows = f"SELECT {files.cells(table)} FROM {table.name} ORDER BY {', '.join(table.sort)}"
        files.write_csv(spool.source, rows, table, folder / "reference" / f"{table.name}.csv")
    for table in by_bank:
        counts = spool.sort(table)
        rows = f"SELECT {files.cells(table)} FROM spool.{table.name}"
        files.write_csv(spool.source, rows, table, whole, header=False)
        spool.source.execute(f"DROP TABLE spool.{table.name}")
        paths = [bank_folder(folder, bank) / f"{table.name}.csv" for bank in spool.banks]
        cut(whole, ",".join(c.name for c in table.columns), counts, paths)
        steps.ended(table.name, sum(counts))
    name = files.package_name(world.receipt)
    write_json(
        folder / "reference/datapackage.json", metadata.frictionless(reference, f"{name}-reference")
    )
    for bank in spool.banks:
        package = metadata.frictionless(by_bank, f"{name}-bank-{bank}")
        write_json(bank_folder(folder, bank) / "datapackage.json", package)


def cut(rows: Path, header: str, counts: Sequence[int], paths: Sequence[Path]) -> None:
    """Cuts a CSV without header into one file per count, each below the header.

    counts: lines of every file, in order. No value holds a line break (`checked.FORMS`).
    """
    ends = line_ends(rows, np.cumsum(counts, dtype=np.int64))
    with rows.open("rb") as source:
        for (low, high), path in zip(pairwise([0, *ends.tolist()]), paths, strict=True):
            with path.open("wb") as out:
                out.write(f"{header}\n".encode())
                for at in range(low, high, _CHUNK):
                    out.write(source.read(min(_CHUNK, high - at)))
    rows.unlink()


def line_ends(path: Path, lines: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bytes of a file up to and including the end of some of its lines.

    lines: (n,) in ascending order, counted from 1; 0 is the start of the file.
    """
    ends = np.zeros(lines.size, dtype=np.int64)
    seen = offset = 0
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            breaks = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == ord("\n"))
            low, high = np.searchsorted(lines, (seen, seen + breaks.size), side="right")
            ends[low:high] = offset + breaks[lines[low:high] - seen - 1] + 1
            seen += breaks.size
            offset += len(block)
    return ends


def _to_duckdb(
    world: World,
    spool: Spool,
    folder: Path,
    by_bank: Sequence[Table],
    reference: Sequence[Table],
    progress: Report | None,
) -> None:
    """A database in every folder: tables with keys and comments, and views of the graph."""
    source, steps = spool.source, _Steps(progress, "sort", len(by_bank))
    template = spool.folder / files.DATABASE
    _declared(world, source, template, by_bank)
    for table in by_bank:
        steps.ended(table.name, sum(spool.sort(table)))
    shared = folder / "reference" / files.DATABASE
    _declared(world, source, shared, reference)
    _fill(source, shared, {t: f"SELECT {files.names(t)} FROM {t.name}" for t in reference})
    steps = _Steps(progress, "export", len(spool.banks))
    for bank in spool.banks:
        path = bank_folder(folder, bank) / files.DATABASE
        shutil.copyfile(template, path)
        # Rows of a bank are neighbours, so DuckDB reads a few row groups of each table.
        rows = {
            t: f"SELECT {files.names(t)} FROM spool.{t.name} WHERE {OF} = {bank}" for t in by_bank
        }
        _fill(source, path, rows)
        steps.ended(f"bank {bank}", sum(spool.rows[bank].values()))


def _declared(
    world: World, source: duckdb.DuckDBPyConnection, path: Path, tables: Sequence[Table]
) -> None:
    """Makes a database with tables and views, and without rows but those of `run`."""
    here = {t.name for t in tables}
    files.attach(source, path, block=BLOCK)
    for table in tables:
        files.declare(source, table, here)
        files.comment(source, table)
    files.state_run(source, world)
    source.execute("USE out")
    truth = any(t.visibility is Visibility.TRUTH for t in tables)
    for node in NODES:
        if node.table in here:
            query = node.query(truth=truth, profiles=tables)
            source.execute(f"CREATE VIEW node_{node.entity} AS {query}")
    for edge in EDGES:
        if "Merchant" not in (edge.source, edge.target) and "s2_account_base_6A" in here:
            source.execute(f"CREATE VIEW {edge.view} AS {edge.query}")
    source.execute("USE memory")
    source.execute("DETACH out")


def _fill(source: duckdb.DuckDBPyConnection, path: Path, rows: Mapping[Table, str]) -> None:
    """Inserts the rows of queries into the tables of a database."""
    files.attach(source, path, block=BLOCK)
    source.execute("BEGIN")  # one flush to disk, not one a table
    for table, query in rows.items():
        source.execute(f"INSERT INTO out.{table.name} {query}")
    source.execute("COMMIT")
    source.execute("DETACH out")


WRITERS = {"csv": _to_csv, "duckdb": _to_duckdb}
"""Formats that have a folder for every bank."""
