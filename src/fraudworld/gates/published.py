"""The datasets of one run, read a block at a time.

A block is a Parquet row group: in a published run, one part. A block is counted and released, so
that no table is in memory as a whole unless it was reordered. A dataset that is missing, empty or
lacks a column is an InputError; so is a value that `columns.py` refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fraudworld.contracts import TABLES, Column, Kind, Table
from fraudworld.contracts.table import IDENTITY
from fraudworld.documents import JsonObject, load_json
from fraudworld.errors import InputError
from fraudworld.gates.columns import invalid, needs_check, values_of
from fraudworld.gates.prefetch import prefetch
from fraudworld.gates.tally import Array
from fraudworld.machine import let_through
from fraudworld.policy.pack import PolicyPack
from fraudworld.store.reader import open_part

Result = TypeVar("Result")
Columns = dict[str, Array]
OPEN_LISTS = ("country", "currency")
"""Code lists that are open in the policy: the values of the column, sorted."""


@dataclass(frozen=True)
class Block:
    """A row group: its file, and the rows of its dataset that it holds."""

    path: Path
    group: int
    low: int
    high: int


@dataclass(frozen=True)
class Part:
    """What is known of a part before its columns are counted.

    groups: rows of every row group; needs_check: columns that may hold values to be refused;
    stamps: every (seed, fingerprint, parameter hash) its rows carry.
    """

    path: Path
    groups: tuple[int, ...]
    needs_check: frozenset[str]
    stamps: frozenset[tuple[int, str, str]]


class Published:
    """The datasets of one run, read by column."""

    def __init__(self, run: Path, pack: PolicyPack) -> None:
        self._layer = run / "data/layer3/6A"
        self._pack = pack
        self._parts: dict[str, tuple[Part, ...]] = {}
        self._lists: dict[tuple[str, str], tuple[str, ...]] = {}
        self._judged: set[tuple[str, str]] = set()

    def map(
        self, fn: Callable[[Columns], Result], table: Table, names: Sequence[str]
    ) -> Iterator[Result]:
        """`fn` of the named columns of every block, in published order, with prefetch.

        Raises InputError as the module states.
        """
        return self.aligned(fn, (table, names))

    def aligned(
        self, fn: Callable[[Columns], Result], *wanted: tuple[Table, Sequence[str]]
    ) -> Iterator[Result]:
        """`map` over columns of several tables with equal numbers of rows, by blocks of the first.

        Published blocks hold the same rows; tables with other row groups are read where they
        overlap.
        """
        read = [_Reader(self, table, names) for table, names in wanted]
        first, *others = read

        def one(block: Block) -> Result:
            columns = first.block(block)
            for other in others:
                columns |= other.rows(block.low, block.high)
            return fn(columns)

        yield from prefetch(one, first.blocks)
        self._judged |= {(table.name, name) for table, names in wanted for name in names}

    def columns(self, table: Table, *names: str) -> Columns:
        """The named columns in published row order; for small tables, or one that needs sorting."""
        return joined(list(self.map(lambda columns: columns, table, names)))

    def rows(self, table: Table) -> int:
        """Rows of a dataset."""
        return self.blocks(table)[-1].high

    def is_dense_id(self, table: Table, name: str) -> bool:
        """Whether a column is 1, 2, 3, … in published order."""

        def ends(columns: Columns) -> tuple[int, int, bool]:
            ids = columns[name]
            return int(ids[0]), int(ids[-1]), bool((ids[1:] > ids[:-1]).all())

        spans = zip(self.map(ends, table, (name,)), self.blocks(table), strict=False)
        return all(
            rising and first == block.low + 1 and last == block.high
            for (first, last, rising), block in spans
        )

    def code_list(self, table: Table, column: Column) -> tuple[str, ...]:
        """The codes a column may hold, in the order of their positions."""
        if column.codes not in OPEN_LISTS:
            return self._pack.codes(column.codes) if column.codes else ()
        at = (table.name, column.name)
        if at not in self._lists:
            held = prefetch(lambda block: _dictionary(block, table, column), self.blocks(table))
            self._lists[at] = tuple(sorted(set().union(*held)))
        return self._lists[at]

    def document(self, name: str) -> Any:
        """One JSON document of the run's validation folder."""
        path = self._layer / "validation" / f"{name}.json"
        try:
            return load_json(path)
        except (OSError, ValueError) as error:
            raise InputError(
                "6A.S5.EVIDENCE_MISSING",
                f"{name} cannot be read: {error}",
                where=str(path),
                remedy="judge a run as it was published",
            ) from error

    def identity(self) -> JsonObject:
        """The seed, parameter_hash and fingerprint that every row of every table has.

        Raises InputError where a table is missing, empty or without a column, and where
        tables do not belong together.
        """
        stamps: set[tuple[int, str, str]] = set()
        for table in TABLES:
            stamps = stamps.union(*(part.stamps for part in self._of(table)))
        if len(stamps) != 1:
            raise InputError(
                "6A.S5.SEALED_INPUTS_CONFLICT",
                "the run's tables do not belong together",
                where=str(self._layer),
                remedy="judge a run as it was published; tables of two runs cannot be mixed",
            )
        seed, fingerprint, policy = stamps.pop()
        return {"seed": seed, "parameter_hash": policy, "manifest_fingerprint": fingerprint}

    def check_unread(self) -> None:
        """Reads the columns no gate has read, and refuses invalid values in them too."""
        for table in TABLES:
            names = set().union(*(part.needs_check for part in self._of(table)))
            names -= {name for of, name in self._judged if of == table.name}
            if names:
                look = _Reader(self, table, names, open_lists=True)
                for _ in prefetch(look.scan, self.blocks(table)):
                    pass

    def blocks(self, table: Table) -> tuple[Block, ...]:
        """The non-empty blocks of a dataset."""
        sizes = [(p.path, g, n) for p in self._of(table) for g, n in enumerate(p.groups)]
        ends = accumulate(n for _, _, n in sizes)
        blocks = (Block(p, g, end - n, end) for (p, g, n), end in zip(sizes, ends, strict=True))
        return tuple(block for block in blocks if block.high > block.low)

    def _of(self, table: Table) -> tuple[Part, ...]:
        if table.name not in self._parts:
            paths = sorted((self._layer / table.name).rglob("part-*.parquet"))
            if not paths:
                raise invalid(table, "is missing")
            self._parts[table.name] = tuple(prefetch(lambda path: _part(path, table), paths))
        return self._parts[table.name]


class _Reader:
    """Reads some columns of one table, by block or by row; open code lists only if asked."""

    def __init__(
        self, published: Published, table: Table, names: Collection[str], open_lists: bool = False
    ) -> None:
        self._table = table
        self._wanted = [c for c in table.columns if c.name in names]
        self._code_lists = {
            c.name: None if open_lists and c.codes in (None, *OPEN_LISTS)
            else published.code_list(table, c)
            for c in self._wanted
        }  # fmt: skip
        self.blocks = published.blocks(table)
        self._ends = np.array([block.high for block in self.blocks])

    def block(self, block: Block) -> Columns:
        data = _read(block.path, block.group, self._table, self._wanted)
        return {
            c.name: values_of(self._table, c, data[c.name].chunks, self._code_lists[c.name])
            for c in self._wanted
        }

    def scan(self, block: Block) -> None:
        """Reads a block only to refuse invalid values in it."""
        self.block(block)

    def rows(self, low: int, high: int) -> Columns:
        """Rows low … high − 1, from one or more blocks."""
        first = int(np.searchsorted(self._ends, low, side="right"))
        last = int(np.searchsorted(self._ends, high, side="left"))
        pieces = []
        for block in self.blocks[first : last + 1]:
            inside = slice(max(low - block.low, 0), min(high, block.high) - block.low)
            pieces.append({name: v[inside] for name, v in self.block(block).items()})
        return pieces[0] if len(pieces) == 1 else joined(pieces)


def joined(pieces: Sequence[Columns]) -> Columns:
    """Concatenates pieces of columns."""
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _part(path: Path, table: Table) -> Part:
    """Opens a part and checks that it has all columns, rows, and an identity in every row."""
    with _opened(path, table) as file:
        schema, meta = file.schema_arrow, file.metadata
        missing = {c.name for c in table.all_columns} - set(schema.names)
        if missing:
            raise invalid(table, f"lacks {', '.join(sorted(missing))}")
        groups = tuple(meta.row_group(g).num_rows for g in range(meta.num_row_groups))
        if not sum(groups) and not table.may_be_empty:
            raise invalid(table, "has no rows")
        fields = {c.name: (c, schema.field(c.name)) for c in table.all_columns}
    look = {n for n, (c, field) in fields.items() if needs_check(c, field.type, field.nullable)}
    stamps: set[tuple[int, str, str]] = set()
    for group in range(len(groups)) if table.identity else ():
        stamps |= _stamps(path, group, table, "seed" in look)
    return Part(path, groups, frozenset(look & {c.name for c in table.columns}), frozenset(stamps))


def _stamps(
    path: Path, group: int, table: Table, seed_needs_check: bool
) -> set[tuple[int, str, str]]:
    """Every (seed, fingerprint, parameter hash) of one row group."""
    with _opened(path, table) as file:
        at = file.schema_arrow.get_field_index("seed")
        statistics = file.metadata.row_group(group).column(at).statistics
    plain = statistics is not None and statistics.has_min_max and statistics.min == statistics.max
    wanted = [c for c in IDENTITY if c.kind is Kind.CODE or seed_needs_check or not plain]
    data = _read(path, group, table, wanted)
    values = {c.name: values_of(table, c, data[c.name].chunks, None) for c in wanted}
    seeds = {statistics.min} if plain else _distinct(values["seed"])
    fingerprints, policies = (
        {v for chunk in data[name].chunks for v in chunk.dictionary.to_pylist()}
        for name in ("manifest_fingerprint", "parameter_hash")
    )
    return {(s, f, p) for s in seeds for f in fingerprints for p in policies}


def _distinct(values: NDArray[np.int64]) -> set[int]:
    """Distinct values; in a published part there is one, which is tested first."""
    if not values.size or values.min() == values.max():
        return set(values[:1].tolist())
    return set(np.unique(values).tolist())


def _dictionary(block: Block, table: Table, column: Column) -> set[str]:
    """Distinct codes of a column in one block."""
    data = _read(block.path, block.group, table, [column])
    return {v for chunk in data[column.name].chunks for v in chunk.dictionary.to_pylist()}


def _read(path: Path, group: int, table: Table, columns: Sequence[Column]) -> pa.Table:
    codes = [c.name for c in columns if c.kind is Kind.CODE]
    with _opened(path, table, codes) as file:
        try:
            data = file.read_row_group(group, [c.name for c in columns], use_threads=False)
        except (OSError, pa.ArrowException) as error:
            let_through(error)
            raise invalid(table, f"cannot be read: {path.name}: {error}") from error
    for name in codes:
        kind = data.schema.field(name).type
        if not pa.types.is_dictionary(kind):
            raise invalid(table, f"holds {kind} in {name}, which is a code")
    return data


def _opened(path: Path, table: Table, codes: Sequence[str] = ()) -> pq.ParquetFile:
    return open_part(path, table, codes, state=table.state)
