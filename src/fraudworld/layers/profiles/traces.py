"""Guard P5: roles leave faint traces only in profiles.

For every role with enough cases, against all other entities of its kind: the area under the ROC
curve of every single column, and that of a decision tree of depth three over all columns of the
table. Texts tell how many parties have the same one; for a mailbox, with any tag. Code columns are
read as the rate of cases by code, and trees are fitted, on one half of the entities and judged on
the other, so that rare codes prove nothing; what no half can judge counts as told. Of every role,
and of all others together, at most `MOST` entities are read, evenly by id.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import Kind, Table
from fraudworld.contracts import profiles as tables
from fraudworld.layers.profiles.sharing_gate import made
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.store.sql import quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

MOST = 50_000
DEPTH, LEAF = 3, 50
PROFILES = (
    ("party", tables.PARTY_PROFILE),
    ("party", tables.PARTY_IDENTITY),
    ("account", tables.ACCOUNT_PROFILE),
    ("device", tables.DEVICE_PROFILE),
    ("ip", tables.IP_PROFILE),
    ("merchant", tables.MERCHANT),
)
"""Entities, and the tables judged against their roles."""

SHARED = {
    "email": "at_mailbox",
    "phone_e164": "at_phone",
    "street_address": "at_address",
    "tax_id": "case when has_tax then at_tax else 0 end",
}
"""Texts that parties may share, and the columns of `party_contact` that count who does."""

MADE_UP = ("party", "SYNTHETIC_ID")
"""The role that tenure and the number of sharers may tell more of: its cells are recent customers
and share contact data by law."""


@dataclass(frozen=True)
class Trace:
    """An area under the ROC curve, at least one half, and what it is of."""

    area: float
    cases: int
    what: str  # entity/role/column, or entity/role/tree
    of_cells: bool = False  # tenure, or sharers, of synthetic identities


def traces(
    connection: duckdb.DuckDBPyConnection, inputs: Inputs, least: int
) -> tuple[list[Trace], list[Trace]]:
    """Areas of single columns and of trees; least: cases of a role that is judged."""
    single: list[Trace] = []
    trees: list[Trace] = []
    for entity, table in PROFILES:
        if not made(connection, table):
            continue
        clean = _clean_roles(inputs, entity)
        roles = [r for r in inputs.codes(f"{entity}_raw_role") if r not in clean]
        columns, role, ids = _read(connection, entity, table, clean)
        half = halves(ids)
        for name in roles:
            cases = role == name
            if cases.sum() < least:
                continue
            single += _single(columns, cases, half, entity, name)
            area = _tree(columns, cases, half)
            trees.append(Trace(area, int(cases.sum()), f"{table.name}/{name}/tree"))
    return single, trees


def halves(ids: NDArray[np.int64]) -> Mask:
    """Half of every entity: a bit of its id times 2^64 ÷ the golden ratio, (n,).

    Ids are read at even steps, so that their own last bit may be the same for all.
    """
    mixed = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray((mixed >> np.uint64(63)).astype(bool))


def _clean_roles(inputs: Inputs, entity: str) -> set[str]:
    taxonomy = inputs.pack.fraud_role_taxonomy.entities[entity]
    return {raw for raw, family in taxonomy.mapping.items() if family == taxonomy.clean_family}


def _read(
    connection: duckdb.DuckDBPyConnection, entity: str, table: Table, clean: set[str]
) -> tuple[dict[str, F64], NDArray[Any], NDArray[np.int64]]:
    """Columns as reals, NaN for null; codes as numbers in order of their text; roles and ids."""
    key, roles = f"{entity}_id", f"s5_{entity}_fraud_roles_6A"
    shown = [
        c for c in table.columns if c.name != key and (c.kind is not Kind.TEXT or c.name in SHARED)
    ]
    chosen = ", ".join(_column(c.name, c.kind) for c in shown)
    others = ", ".join(map(quoted, sorted(clean)))
    counts = connection.execute(f"""
        select case when raw_role in ({others}) then '' else raw_role end as r, count(*)
        from {roles} group by 1""").fetchall()
    steps = {role: -(-n // MOST) for role, n in counts}
    # A world may have no role but clean ones.
    rest = steps.pop("", 1)
    of_role = "".join(f" when raw_role = {quoted(r)} then {step}" for r, step in steps.items())
    step = f"case{of_role} else {rest} end" if of_role else str(rest)
    found: pa.Table = connection.sql(f"""
        with chosen as (
          select {key}, raw_role from {roles}
          where {key} % ({step}) = 0)
        select {chosen}, raw_role, {key} from {_with_sharers(table)} join chosen using ({key})
        order by {key}""").to_arrow_table()
    columns = {c.name: _numbers(found[c.name], c.kind) for c in shown}
    return columns, found["raw_role"].cast("string").to_numpy(), found[key].to_numpy()


def _with_sharers(table: Table) -> str:
    """A table, in SQL; texts of the identities by the number of parties that have each."""
    if table is not tables.PARTY_IDENTITY:
        return table.name
    counted = ", ".join(f"{count} as {name}" for name, count in SHARED.items())
    return f"""(select party_id, given_name, family_name, {counted}
        from {table.name} join party_contact using (party_id))"""


def _column(name: str, kind: Kind) -> str:
    return f"{name} - date '1970-01-01' as {name}" if kind is Kind.DATE else name


def _numbers(values: pa.ChunkedArray, kind: Kind) -> F64:
    """A column as reals; a code is its place among the sorted codes."""
    if kind in (Kind.CODE, Kind.WORD):
        coded = values.cast("string").combine_chunks().dictionary_encode()
        place = np.empty(len(coded.dictionary) + 1)
        place[np.argsort(coded.dictionary.to_numpy(zero_copy_only=False))] = np.arange(
            len(coded.dictionary)
        )
        place[-1] = np.nan
        return np.asarray(place[coded.indices.fill_null(-1).to_numpy()])
    return np.asarray(values.cast("float64").to_numpy(), dtype=np.float64)


def _single(
    columns: dict[str, F64], cases: Mask, half: Mask, entity: str, role: str
) -> Iterator[Trace]:
    for name, values in columns.items():
        codes = np.unique(values[~np.isnan(values)]).size
        scores = _rates(values, cases, half) if codes <= 256 else [(np.nan_to_num(values), cases)]
        found = [area(score, mine) for score, mine in scores if mine.any() and not mine.all()]
        worst = float(np.mean(found)) if found else 1.0
        what = f"{entity}/{role}/{name}"
        of_cells = (entity, role) == MADE_UP and (name == "customer_since" or name in SHARED)
        yield Trace(max(worst, 1.0 - worst), int(cases.sum()), what, of_cells)


def _rates(values: F64, cases: Mask, half: Mask) -> list[tuple[F64, Mask]]:
    """Rates of cases by value, learnt on one half and given to the other: (scores, cases) each."""
    _, code = np.unique(np.nan_to_num(values, nan=-1.0), return_inverse=True)
    out = []
    for learn in (half, ~half):
        total = np.bincount(code[learn], minlength=code.max() + 1)
        hits = np.bincount(code[learn], cases[learn], code.max() + 1)
        # One case of the overall rate is added, so that rare codes say little.
        rate = (hits + cases.mean()) / (total + 1.0)
        out.append((rate[code[~learn]], cases[~learn]))
    return out


def _tree(columns: dict[str, F64], cases: Mask, half: Mask) -> float:
    """Mean area of a tree fitted on each half and judged on the other."""
    from sklearn.tree import DecisionTreeClassifier

    data = np.column_stack([np.nan_to_num(v, nan=-1e9) for v in columns.values()])
    found = []
    for learn in (half, ~half):
        if any(side.all() or not side.any() for side in (cases[learn], cases[~learn])):
            continue
        tree = DecisionTreeClassifier(max_depth=DEPTH, min_samples_leaf=LEAF, random_state=0)
        tree.fit(data[learn], cases[learn])
        found.append(area(tree.predict_proba(data[~learn])[:, -1], cases[~learn]))
    return float(np.mean(found)) if found else 1.0


def area(score: F64, cases: Mask) -> float:
    """Area under the ROC curve: the chance that a case scores above another, ties counted half."""
    order = np.argsort(score, kind="stable")
    _, start, count = np.unique(score[order], return_index=True, return_counts=True)
    rank = np.empty(score.size)
    rank[order] = np.repeat(start + (count + 1) / 2.0, count)
    positive = int(cases.sum())
    negative = score.size - positive
    return float((rank[cases].sum() - positive * (positive + 1) / 2.0) / (positive * negative))
