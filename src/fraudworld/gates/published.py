"""Published columns as arrays, refused wherever the judge could be misled by them.

Codes become u8 positions in the policy's lists, ids stay int64 with 0 for null. A dataset
that is missing, empty, without a column, with a null or NaN where none belongs or with a
code the taxonomy does not know is an InputError that names it, never a value left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fraudworld.contracts import TABLES, Column, Kind, Table
from fraudworld.errors import InputError
from fraudworld.policy.pack import PolicyPack

Result = TypeVar("Result")
Block = dict[str, NDArray[Any]]
READERS = 2
OPEN_LISTS = ("country", "currency")
"""Lists the policy does not close: they are what a column holds, sorted."""


class Published:
    """The datasets of one run, read by column."""

    def __init__(self, run: Path, pack: PolicyPack) -> None:
        self._layer = run / "data/layer3/6A"
        self._pack = pack

    def columns(self, table: Table, *names: str) -> dict[str, NDArray[Any]]:
        """The named columns in published row order. Raises InputError as the module says."""
        blocks = self.map(table, names, lambda block: block)
        return {name: np.concatenate([b[name] for b in blocks]) for name in names}

    def map(
        self, table: Table, names: Sequence[str], fn: Callable[[Block], Result]
    ) -> list[Result]:
        """`fn` of the named columns of every part, in order: for what need not be kept."""
        wanted = [c for c in table.columns if c.name in names]
        lists = {c.name: self._list(table, c) for c in wanted if c.kind is Kind.CODE}

        def part(path: Path) -> Result:
            data = self._read(path, table, wanted)
            return fn(
                {
                    c.name: _values(table, c, data[c.name].chunks, lists.get(c.name, ()))
                    for c in wanted
                }
            )

        return self._each_part(table, part)

    def _list(self, table: Table, column: Column) -> tuple[str, ...]:
        """The codes a column may hold."""
        if column.codes not in OPEN_LISTS:
            return self._pack.codes(column.codes) if column.codes else ()
        held = self._each_part(
            table,
            lambda path: {
                value
                for chunk in self._read(path, table, [column])[column.name].chunks
                for value in chunk.dictionary.to_pylist()
            },
        )
        return tuple(sorted(set().union(*held)))

    def document(self, name: str) -> Any:
        """One JSON document of the run's validation folder."""
        path = self._layer / "validation" / f"{name}.json"
        try:
            return json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                "6A.S5.EVIDENCE_MISSING",
                f"{name} cannot be read: {error}",
                where=str(path),
                remedy="judge a run as it was published",
            ) from error

    def check(self) -> dict[str, Any]:
        """Read what every table must have; returns seed, parameter_hash and fingerprint.

        Raises InputError, as the module says, and where tables do not belong together.
        """
        found = set()
        for table in TABLES:
            for rows, identities in self._each_part(table, partial(self._check, table)):
                found |= identities
                if not rows:
                    raise invalid(table, "has no rows")
        if len(found) != 1:
            raise InputError(
                "6A.S5.SEALED_INPUTS_CONFLICT",
                "the run's tables do not belong together",
                where=str(self._layer),
                remedy="judge a run as it was published; tables of two runs cannot be mixed",
            )
        seed, fingerprint, policy = found.pop()
        return {"seed": seed, "parameter_hash": policy, "manifest_fingerprint": fingerprint}

    def _check(self, table: Table, path: Path) -> tuple[int, set[tuple[int, str, str]]]:
        """Rows and identities of one part whose columns are all there, filled and known."""
        schema = _opened(path, table).schema_arrow
        missing = {c.name for c in table.all_columns} - set(schema.names)
        if missing:
            raise invalid(table, f"lacks {', '.join(sorted(missing))}")
        # Integers that Parquet itself holds to be required cannot be null.
        doubtful = [
            c
            for c in table.all_columns
            if c.kind is not Kind.INT or (schema.field(c.name).nullable and not c.nullable)
        ]
        data = self._read(path, table, doubtful)
        for column in doubtful:
            if column.codes not in OPEN_LISTS:
                known = self._list(table, column) if column.codes else None
                _values(table, column, data[column.name].chunks, known)
        if not table.identity:
            return data.num_rows, set()
        fingerprints, policies = (
            {v for chunk in data[name].chunks for v in chunk.dictionary.to_pylist()}
            for name in ("manifest_fingerprint", "parameter_hash")
        )
        seeds = self._seeds(path, table)
        return data.num_rows, {(s, f, p) for s in seeds for f in fingerprints for p in policies}

    def _seeds(self, path: Path, table: Table) -> set[int]:
        """The seeds of one part: from its statistics, or by reading it where it has none."""
        with _opened(path, table) as file:
            at = file.schema_arrow.get_field_index("seed")
            found = [
                file.metadata.row_group(g).column(at).statistics
                for g in range(file.metadata.num_row_groups)
            ]
            if all(s is not None and s.has_min_max and s.min == s.max for s in found):
                return {s.min for s in found}
            return set(pc.unique(file.read(["seed"])["seed"]).to_pylist())

    def _each_part(self, table: Table, fn: Callable[[Path], Result]) -> list[Result]:
        parts = sorted((self._layer / table.name).rglob("part-*.parquet"))
        if not parts:
            raise invalid(table, "is missing")
        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(fn, parts))

    def _read(self, path: Path, table: Table, columns: Sequence[Column]) -> pa.Table:
        codes = [c.name for c in columns if c.kind is Kind.CODE]
        with _opened(path, table, codes) as file:
            absent = {c.name for c in columns} - set(file.schema_arrow.names)
            if absent:
                raise invalid(table, f"lacks {', '.join(sorted(absent))}")
            try:
                data = file.read([c.name for c in columns], use_threads=False)
            except (OSError, pa.ArrowException) as error:
                raise invalid(table, f"cannot be read: {path.name}: {error}") from error
        for name in codes:
            kind = data.schema.field(name).type
            if not pa.types.is_dictionary(kind):
                raise invalid(table, f"holds {kind} in {name}, which is a code")
        return data


def _values(
    table: Table, column: Column, chunks: list[pa.Array], known: Sequence[str] | None
) -> NDArray[Any]:
    """Canonical values of one part; `known=None` takes any code."""
    if not column.nullable and any(c.null_count for c in chunks):
        raise invalid(table, f"holds nulls in {column.name}, which must be filled")
    if column.kind is Kind.CODE:
        return _codes(table, column, chunks, known)
    kind, zero = (pa.int64(), 0) if column.kind is Kind.INT else (pa.float64(), np.nan)
    try:
        plain = [
            pc.fill_null(c, zero) if c.null_count else c for c in (x.cast(kind) for x in chunks)
        ]
    except pa.ArrowException as error:
        raise invalid(table, f"holds {chunks[0].type} in {column.name}: {error}") from error
    values = np.concatenate([np.empty(0, kind.to_pandas_dtype()), *(c.to_numpy() for c in plain)])
    if column.kind is Kind.REAL and not np.isfinite(values).all():
        raise invalid(table, f"holds NaN or an infinity in {column.name}")
    return values


def _codes(
    table: Table,
    column: Column,
    chunks: Iterable[pa.DictionaryArray],
    known: Sequence[str] | None,
) -> NDArray[np.uint8]:
    values = [np.empty(0, np.uint8)]
    for chunk in chunks if known is not None else ():
        place = pc.index_in(chunk.dictionary.cast(pa.string()), pa.array(known, pa.string()))
        indices = chunk.indices.to_numpy()
        if place.null_count:
            strange = np.flatnonzero(place.is_null().to_numpy(zero_copy_only=False))
            used = strange[np.isin(strange, indices)]
            if used.size:
                raise InputError(
                    f"6A.{table.state}.TAXONOMY_COMPATIBILITY_FAILED",
                    f"{table.name}: {column.name} holds {chunk.dictionary[int(used[0])]},"
                    " which the taxonomy does not know",
                    where=table.name,
                    remedy="judge a run as it was published",
                )
        values.append(pc.fill_null(place, 0).to_numpy().astype(np.uint8)[indices])
    return np.concatenate(values)


def _opened(path: Path, table: Table, codes: Sequence[str] = ()) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, read_dictionary=list(codes))
    except (OSError, pa.ArrowException) as error:
        raise invalid(table, f"has a part that is no Parquet: {path.name}: {error}") from error


def invalid(table: Table, what: str) -> InputError:
    """A table the judge will not read on."""
    name = table.name.removesuffix("_6A").upper()
    return InputError(
        f"6A.{table.state}.{name}_SCHEMA_OR_KEY_INVALID",
        f"{table.name} {what}",
        where=table.name,
        remedy="judge a run as it was published",
    )
