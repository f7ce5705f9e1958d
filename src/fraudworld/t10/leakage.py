"""Leakage guards of 6B: can one observable column, or a shallow tree on one table, predict fraud?

A label that one observable column gives away teaches a model nothing about fraud.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts.table import Kind, Table, Visibility
from fraudworld.contracts.transactions import CODES, DOWNSTREAM_BY_NAME, DOWNSTREAM_TABLES
from fraudworld.layers.transactions.layout import StreamPlace
from fraudworld.store.identity import Identity
from fraudworld.store.reader import blocks, parts
from fraudworld.t10.estimators import NAN, area
from fraudworld.t10.learning import TRAIN_SHARE
from fraudworld.t10.sample import Sample

Array = NDArray[Any]
Columns = dict[str, Array]
MOST_FLOWS = 1_000_000
"""Flows the guards sample at most: every k-th of a longer stream, over all its time."""

TREE_DEPTH = 3
MIN_LEAF = 50


def sampled_flows(sample: Sample) -> NDArray[np.bool_]:
    """Flags the flows that the guards sample."""
    flow = sample.first_flow + np.arange(sample.size)
    return np.asarray(flow % _step(sample.size) == 0)


def observable_tables(
    stream: StreamPlace, identity: Identity, flows: int
) -> Iterator[tuple[str, Columns]]:
    """Yields the columns of every observable table, one row a sampled flow, in time order.

    Tables with several rows a flow (events, case steps) yield the number of rows, the span of
    every number, and the count of every code. Nulls are 0; codes are positions in their lists.
    """
    step = _step(flows)
    lists = _place_lists(stream, identity)
    flow = _sampled(stream, identity, DOWNSTREAM_BY_NAME["s1_arrival_entities_6B"], "flow_id",
                    lists, step)  # fmt: skip
    for table in DOWNSTREAM_TABLES:
        if table.visibility is Visibility.OBSERVABLE:
            yield table.name, _per_flow(stream, identity, table, lists, flow, step)


def _step(flows: int) -> int:
    """Sampling step that keeps at most MOST_FLOWS flows."""
    return -(-flows // MOST_FLOWS)


def _place_lists(stream: StreamPlace, identity: Identity) -> dict[str, tuple[str, ...]]:
    """The codes that occur in columns without a closed list: countries and currencies."""
    import pyarrow.parquet as pq

    occurring: dict[str, set[str]] = {}
    for table in DOWNSTREAM_TABLES:
        open_lists = [c for c in table.columns if c.codes and c.codes not in CODES]
        if table.visibility is not Visibility.OBSERVABLE or not open_lists:
            continue
        names = [c.name for c in open_lists]
        for path in parts(stream.dataset(table.name, identity)):
            with pq.ParquetFile(path, read_dictionary=names) as file:
                data = file.read(names)
            for column in open_lists:
                for chunk in data[column.name].chunks:
                    occurring.setdefault(str(column.codes), set()).update(
                        chunk.dictionary.to_pylist()
                    )
    return {name: tuple(sorted(words)) for name, words in occurring.items()}


def _sampled(
    stream: StreamPlace, identity: Identity, table: Table, name: str,
    lists: Mapping[str, tuple[str, ...]], step: int,
) -> Array:  # fmt: skip
    """Reads a column for the rows whose flow id is a multiple of `step`."""
    key = table.key[0]
    codes = {c.name: CODES.get(c.codes) or lists[c.codes] for c in table.columns if c.codes}
    pieces = []
    for path in parts(stream.dataset(table.name, identity)):
        for block in blocks(path, table, sorted({key, name}), codes):
            pieces.append(block[name][block[key].astype(np.int64) % step == 0])
    return np.concatenate(pieces)


def _per_flow(
    stream: StreamPlace, identity: Identity, table: Table, lists: Mapping[str, tuple[str, ...]],
    flow: NDArray[np.int64], step: int,
) -> Columns:  # fmt: skip
    """Columns of one table with one row a sampled flow; `flow` holds the sampled ids."""
    columns = {
        c.name: _sampled(stream, identity, table, c.name, lists, step) for c in table.columns
    }
    if len(table.key) == 1:
        return {n: v for n, v in columns.items() if n != table.key[0]}
    row = np.searchsorted(flow, columns.pop(table.key[0]))
    counts = np.bincount(row, minlength=flow.size)
    out: Columns = {"rows": counts}
    ends = np.cumsum(counts)
    for column in table.columns:
        values = columns.get(column.name)
        if values is None or column.name == table.key[1]:
            continue
        if column.kind is Kind.CODE:
            for code in np.unique(values):
                name = f"{column.name}_{CODES[str(column.codes)][code]}"
                out[name] = np.bincount(row[values == code], minlength=flow.size)
        elif counts.any():
            # The rows of a flow are adjacent and in time order.
            first, last = values[np.maximum(ends - counts, 0) % values.size], values[ends - 1]
            out[f"{column.name}_span"] = np.where(counts > 0, last - first, -1)
    return out


def label_leak(
    tables: Iterator[tuple[str, Columns]], bad: NDArray[np.bool_]
) -> dict[str, dict[str, float]]:
    """Test areas of the two guards: of every column, and of a tree on every table.

    A column's AUC is that of its raw value in the better direction; codes are ranked by their
    fraud rate in the training part. A tree of depth TREE_DEPTH trains on the first 70 % of
    time and is scored on the rest. An area is NaN where one part has a single class.

    tables: as `observable_tables` yields them; bad: (n,) labels of the sampled flows.
    """
    columns: dict[str, float] = {}
    trees: dict[str, float] = {}
    split = round(TRAIN_SHARE * bad.size)
    for name, raw in tables:
        coded = {c.name for c in DOWNSTREAM_BY_NAME[name].columns if c.kind is Kind.CODE}
        ranked = {n: ranked_codes(v, bad, split) if n in coded else v for n, v in raw.items()}
        for column, values in ranked.items():
            columns[f"{name}.{column}"] = _area(values, bad)
        trees[name] = tree_area(np.stack(list(ranked.values()), axis=1), bad, split)
    return {"label_leak_column": columns, "label_leak_tree": trees}


def ranked_codes(
    codes: NDArray[np.integer], bad: NDArray[np.bool_], split: int
) -> NDArray[np.int64]:
    """Replaces codes by the rank of their fraud rate in the training part."""
    size = int(codes.max(initial=0)) + 1
    hits = np.bincount(codes[:split][bad[:split]], minlength=size)
    rate = hits / np.maximum(np.bincount(codes[:split], minlength=size), 1)
    return np.asarray(np.argsort(np.argsort(rate, kind="stable"), kind="stable")[codes])


def _area(values: Array, bad: NDArray[np.bool_]) -> float:
    """AUC of the values in the better direction."""
    auc = area(values, bad, np.zeros(bad.size, np.int8)).value
    return max(auc, 1.0 - auc)


def tree_area(columns: Array, bad: NDArray[np.bool_], split: int) -> float:
    """Test AUC of a shallow tree on these columns; NaN where either part has a single class."""
    from sklearn.tree import DecisionTreeClassifier

    sides = (bad[:split], bad[split:])
    if not all(s.any() and not s.all() for s in sides):
        return NAN
    tree = DecisionTreeClassifier(
        max_depth=TREE_DEPTH, min_samples_leaf=MIN_LEAF, class_weight="balanced", random_state=0
    )
    tree.fit(columns[:split], bad[:split])
    score = tree.predict_proba(columns[split:])[:, 1]
    return area(score, bad[split:], np.zeros(score.size, np.int8)).value
