"""S1 as published rows."""

from __future__ import annotations

import numpy as np

from fraudworld.engine.shards import Shard
from fraudworld.inputs.arrays import Geography
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.batches import Batch, Columns, Rows, ids, optional, same, whole
from fraudworld.stages.pieces import Parties, PartyShard


def party_base(parties: Parties) -> Rows:
    """`s1_party_base_6A`, in order of party."""
    columns = (
        parties.shards,
        parties.region,
        parties.household_first[:-1].tolist(),
        parties.business_group_first[:-1].tolist(),
        parties.items,
    )
    return Rows(parties.first, _party_rows, columns)


def _party_rows(
    shard: Shard,
    region: int,
    household_first: int,
    group_first: int,
    of: PartyShard,
    low: int,
    high: int,
) -> Batch:
    rows = slice(low, high)
    return {
        "party_id": ids(shard.first, low),
        "party_type": of.type[rows],
        "segment_id": of.segment[rows],
        "region_id": same(region),
        "country_iso": same(shard.country),
        "household_id": optional(of.household[rows], household_first),
        "business_group_id": optional(of.business_group[rows], group_first),
    }


def party_summary(pack: PolicyPack, parties: Parties, geo: Geography) -> Rows:
    """`s1_party_summary_6A`, in order of country and segment; no rows of zero."""
    segments, types = pack.codes("segment"), pack.codes("party_type")
    counts = parties.by_country(len(geo.countries))
    country, segment = np.nonzero(counts)
    type_of = np.array([types.index(pack.party_taxonomy.segments[s]) for s in segments], np.uint8)
    batch: Columns = {
        "country_iso": country.astype(np.uint8),
        "region_id": geo.region[country],
        "party_type": type_of[segment],
        "segment_id": segment.astype(np.uint8),
        "party_count": counts[country, segment],
    }
    return whole(batch)
