"""Entities of one kind, counted by their codes in one pass."""

from __future__ import annotations

import numpy as np

from fraudworld.gates.entities import Kind, Rows
from fraudworld.gates.tally import I64, crosstab
from fraudworld.policy.pack import PolicyPack


class Census:
    """roles: by (region, group, raw role, family). seen: by (codes a bank sees, region, label)."""

    def __init__(self, kind: Kind, pack: PolicyPack) -> None:
        self.kind = kind
        regions = len(pack.codes("region"))
        self.roles = np.zeros(
            (regions, len(kind.groups), len(kind.raw_roles), len(kind.families)), dtype=np.int64
        )
        self.seen = np.zeros((*kind.sizes, regions, 2), dtype=np.int64)

    def of(self, rows: Rows) -> tuple[I64, I64]:
        """Counts of some entities, for `add`."""
        codes = (rows.region, rows.group, rows.raw, rows.family)
        columns = (*rows.codes.values(), rows.region, rows.label)
        return (
            crosstab(*zip(codes, self.roles.shape, strict=True)),
            crosstab(*zip(columns, self.seen.shape, strict=True)),
        )

    def add(self, counts: tuple[I64, I64]) -> None:
        """Adds counts of `of`."""
        self.roles += counts[0]
        self.seen += counts[1]

    @property
    def n(self) -> int:
        """Entities."""
        return int(self.roles.sum())

    @property
    def risky(self) -> int:
        """Risky entities."""
        return int(self.roles.sum(axis=(0, 1))[self.kind.risky].sum())

    @property
    def labelled(self) -> int:
        """Entities with the label that observable columns must not reveal."""
        return int(self.roles.sum(axis=(0, 1))[self.kind.label].sum())

    def by(self, *columns: str) -> I64:
        """Counts of entities by the named codes, one axis each; `region` is one of the codes."""
        names = (*self.kind.source.codes, "region")
        axes = [names.index(column) for column in columns]
        others = tuple(a for a in range(self.seen.ndim) if a not in axes)
        return np.transpose(self.seen.sum(axis=others), np.argsort(np.argsort(axes)))

    def observed(self) -> tuple[I64, I64, I64]:
        """Distinct rows (group, codes, region), sorted; entities with the label, and without.

        Returns (rows, columns) int64 values and two (rows,) int64 counts.
        """
        cells = self.seen.reshape(-1, 2)
        present = np.flatnonzero(cells.sum(axis=1))
        codes = np.unravel_index(present, self.seen.shape[:-1])
        group = self.kind.group_of(dict(zip(self.kind.source.codes, codes, strict=False)))
        order = np.argsort(group, kind="stable")
        values = np.stack([group, *codes], axis=1).astype(np.int64)[order]
        return values, cells[present, 1][order], cells[present, 0][order]
