"""Counts parties, and their accounts, devices and instruments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import BY_NAME
from fraudworld.gates.census import Census
from fraudworld.gates.entities import Ids, Kind, Rows
from fraudworld.gates.tally import (
    I64,
    Array,
    ColumnBuffer,
    CountPerEntity,
    Occurrences,
    crosstab,
    narrow,
    occurrences,
    ravel_codes,
    sum_over_slices,
)
from fraudworld.policy.pack import PolicyPack

ASSETS = ("account", "device")
"""Assets of a party that its risk propagates to."""

NOBODY = -1


class Owners:
    """Every party in one or two bytes: its cell of (party type, region, raw role, risky?)."""

    def __init__(self, kind: Kind, pack: PolicyPack) -> None:
        self.census = Census(kind, pack)
        regions = len(pack.codes("region"))
        self.shape = (len(kind.groups), regions, len(kind.raw_roles), 2)
        self.ids: Ids = kind.ids
        kept = ColumnBuffer(self.ids.n, narrow(int(np.prod(self.shape))))
        for counts, traits in kind.map(lambda rows: (self.census.of(rows), self._traits(rows))):
            self.census.add(counts)
            kept.append(traits)
        self.traits = kept.values

    def _traits(self, rows: Rows) -> Array:
        columns = (rows.group, rows.region, rows.raw, rows.risky)
        return ravel_codes(*zip(columns, self.shape, strict=True))

    def counts(self, tally: CountPerEntity) -> I64:
        """Parties by (risky?, count of a thing)."""
        most = int(tally.counts.max(initial=0)) + 1
        return sum_over_slices(
            lambda part: crosstab((self.traits[part] % 2, 2), (tally.counts[part], most)),
            self.ids.n,
        )


@dataclass(frozen=True)
class AssetCounts:
    """Counts of some assets; `owner` is the row of each asset's party, or NOBODY."""

    joint: I64
    each: Occurrences
    risky_each: Occurrences
    owner: NDArray[np.int32]


class Owned:
    """Assets of one kind with their owners' traits.

    joint: by (party type, region, raw role, risky?) of the owner and (group, raw role, risky?);
    each, risky_each: how many a party has, and risky ones.
    """

    def __init__(self, kind: Kind, owners: Owners) -> None:
        self.kind, self.owners = kind, owners
        self.table = BY_NAME[kind.source.table]
        self.shape = (len(kind.groups), len(kind.raw_roles), 2)
        self.joint = np.zeros((*owners.shape, *self.shape), dtype=np.int64)
        self.each, self.risky_each = CountPerEntity(owners.ids.n), CountPerEntity(owners.ids.n)

    def of(self, rows: Rows) -> AssetCounts:
        """Counts of some assets, for `add`."""
        assert rows.owner is not None
        asset = ravel_codes(*zip((rows.group, rows.raw, rows.risky), self.shape, strict=True))
        risky, ids, owned = rows.risky, rows.owner, rows.owner > 0
        if not owned.all():
            asset, risky, ids = asset[owned], risky[owned], ids[owned]
        party = self.owners.ids.rows_of(ids, self.table, "party")
        sizes = int(np.prod(self.owners.shape)), int(np.prod(self.shape))
        joint = crosstab((self.owners.traits[party], sizes[0]), (asset, sizes[1]))
        owner = np.full(owned.size, NOBODY, dtype=np.int32)
        owner[owned] = party
        return AssetCounts(
            joint.reshape(self.joint.shape), occurrences(party), occurrences(party[risky]), owner
        )

    def add(self, counts: AssetCounts) -> None:
        """Adds counts of `of`."""
        self.joint += counts.joint
        self.each.add(counts.each)
        self.risky_each.add(counts.risky_each)

    @property
    def patterns(self) -> I64:
        """Parties with assets, by (risky?, assets, risky assets)."""
        most = int(self.each.counts.max(initial=0)) + 1

        def of_slice(part: slice) -> I64:
            own = self.each.counts[part] > 0
            return crosstab(
                (self.owners.traits[part][own] % 2, 2),
                (self.each.counts[part][own], most),
                (self.risky_each.counts[part][own], most),
            )

        return sum_over_slices(of_slice, self.owners.ids.n)

    @property
    def strata(self) -> I64:
        """(party type × region × group, owner risky?, asset risky?)."""
        by = self.joint.sum(axis=(2, 5))  # type, region, owner risky, group, asset risky
        return np.ascontiguousarray(by.transpose(0, 1, 3, 2, 4)).reshape(-1, 2, 2)

    @property
    def role_pairs(self) -> I64:
        """(owner's raw role, own raw role)."""
        return np.asarray(self.joint.sum(axis=(0, 1, 3, 4, 6)))

    @property
    def owner_risk(self) -> I64:
        """(owner's raw role, risky?)."""
        return np.asarray(self.joint.sum(axis=(0, 1, 3, 4, 5)))

    @property
    def n(self) -> int:
        """Assets with an owner."""
        return int(self.joint.sum())
