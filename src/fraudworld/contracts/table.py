"""How a published table is declared: columns, key, sort order, visibility.

Writers build Arrow schemas from a declaration, readers and the verifier check files against it,
and `docs/tables.md` is generated from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import pyarrow as pa


class Kind(StrEnum):
    """Value type of a column.

    CODE is a short string of a closed list of at most 128, WORD one of a longer list; both are
    dictionaries. TEXT is any string. DATE counts days, MOMENT milliseconds, since 1970-01-01 UTC.
    6A uses the first three.
    """

    INT = "int64"
    CODE = "string"
    REAL = "float64"
    DATE = "date32"
    MOMENT = "timestamp[ms, UTC]"
    WORD = "word"
    TEXT = "text"
    FLAG = "bool"


class Visibility(StrEnum):
    """Who knows a table: a bank could (OBSERVABLE), or the generator alone (TRUTH)."""

    OBSERVABLE = "observable"
    TRUTH = "truth"


@dataclass(frozen=True)
class Column:
    """One column; `codes` names the closed list of its values, None where there is none."""

    name: str
    kind: Kind
    meaning: str
    nullable: bool = False
    codes: str | None = None


@dataclass(frozen=True)
class Table:
    """One published dataset.

    `key` is unique and `sort` is the order of the rows. With `identity`, every row ends with the
    columns `seed`, `manifest_fingerprint`, `parameter_hash`. `state` is the one that writes the
    table: S1 to S5. Only a table that `may_be_empty` is published without rows.
    """

    name: str
    state: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    sort: tuple[str, ...]
    identity: bool = True
    visibility: Visibility = Visibility.OBSERVABLE
    may_be_empty: bool = False

    @cached_property
    def content_columns(self) -> tuple[Column, ...]:
        """Columns under the content digest: all but the identity."""
        return self.columns

    @cached_property
    def all_columns(self) -> tuple[Column, ...]:
        """Columns in published order, identity included."""
        return self.columns + (IDENTITY if self.identity else ())

    @cached_property
    def schema(self) -> pa.Schema:
        """Arrow schema as published; codes are dictionary-encoded strings."""
        return pa.schema(
            [pa.field(c.name, _arrow(c), nullable=c.nullable) for c in self.all_columns]
        )


def _arrow(column: Column) -> pa.DataType:
    return _ARROW[column.kind]


_ARROW: dict[Kind, pa.DataType] = {
    Kind.INT: pa.int64(),
    Kind.CODE: pa.dictionary(pa.int8(), pa.string()),
    Kind.REAL: pa.float64(),
    Kind.DATE: pa.date32(),
    Kind.MOMENT: pa.timestamp("ms", tz="UTC"),
    Kind.WORD: pa.dictionary(pa.int32(), pa.string()),
    Kind.TEXT: pa.string(),
    Kind.FLAG: pa.bool_(),
}


def integer(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """A column of ids, counts, moments or amounts."""
    return Column(name, Kind.INT, meaning, nullable)


def code(name: str, meaning: str, codes: str | None, *, nullable: bool = False) -> Column:
    """A column of short strings; `codes` names the closed list they come from."""
    return Column(name, Kind.CODE, meaning, nullable, codes)


def real(name: str, meaning: str) -> Column:
    """A column of measured quantities."""
    return Column(name, Kind.REAL, meaning)


def date(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """A column of days."""
    return Column(name, Kind.DATE, meaning, nullable)


def moment(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """A column of moments, to the millisecond, UTC."""
    return Column(name, Kind.MOMENT, meaning, nullable)


def word(name: str, meaning: str, codes: str, *, nullable: bool = False) -> Column:
    """A column of strings out of a list that may be long; `codes` names the list."""
    return Column(name, Kind.WORD, meaning, nullable, codes)


def text(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """A column of strings of no list."""
    return Column(name, Kind.TEXT, meaning, nullable)


def flag(name: str, meaning: str) -> Column:
    """A column of true or false."""
    return Column(name, Kind.FLAG, meaning)


IDENTITY = (
    integer("seed", "seed of the run"),
    code("manifest_fingerprint", "digest of policy, inputs, contract and RNG law", None),
    code("parameter_hash", "digest of the resolved policy pack", None),
)
