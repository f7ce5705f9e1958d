"""How a published table is declared: columns, key, sort order, visibility.

A declaration is data. Writers build Arrow schemas from it, validators and the verifier
check against it, and the reference pages in `docs/` are generated from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import pyarrow as pa


class Kind(StrEnum):
    """Value type of a column: three are enough for the whole contract."""

    INT = "int64"
    CODE = "string"
    REAL = "float64"


class Visibility(StrEnum):
    """OBSERVABLE: a bank could see it. TRUTH: only the generator knows."""

    OBSERVABLE = "observable"
    TRUTH = "truth"


@dataclass(frozen=True)
class Column:
    """One column; `codes` names the taxonomy list its values come from, if any."""

    name: str
    kind: Kind
    meaning: str
    nullable: bool = False
    codes: str | None = None


@dataclass(frozen=True)
class Table:
    """One dataset of the binding contract (page 1.5).

    `key` is unique; `sort` is the published row order. With `identity`, the three
    columns `seed`, `manifest_fingerprint`, `parameter_hash` close every row.
    """

    name: str
    state: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    sort: tuple[str, ...]
    identity: bool = True
    visibility: Visibility = Visibility.OBSERVABLE

    @cached_property
    def content_columns(self) -> tuple[Column, ...]:
        """Columns that make up the content digest: all but the identity."""
        return self.columns

    @cached_property
    def all_columns(self) -> tuple[Column, ...]:
        """Columns in published order, identity included."""
        return self.columns + (IDENTITY if self.identity else ())

    @cached_property
    def schema(self) -> pa.Schema:
        """Arrow schema as published: codes are dictionaries of strings."""
        return pa.schema(
            [pa.field(c.name, _arrow(c), nullable=c.nullable) for c in self.all_columns]
        )


def _arrow(column: Column) -> pa.DataType:
    if column.kind is Kind.INT:
        return pa.int64()
    if column.kind is Kind.REAL:
        return pa.float64()
    return pa.dictionary(pa.int8(), pa.string())


def integer(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """An id or a count."""
    return Column(name, Kind.INT, meaning, nullable)


def code(name: str, meaning: str, codes: str | None, *, nullable: bool = False) -> Column:
    """A short string out of a closed list; `codes` names that list in the taxonomy."""
    return Column(name, Kind.CODE, meaning, nullable, codes)


def real(name: str, meaning: str) -> Column:
    """A measured quantity."""
    return Column(name, Kind.REAL, meaning)


IDENTITY = (
    integer("seed", "the realisation"),
    code("manifest_fingerprint", "what was sealed: policy, inputs, contract, RNG law", None),
    code("parameter_hash", "the resolved policy pack", None),
)
