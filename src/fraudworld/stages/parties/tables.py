"""S1 as published rows."""

from __future__ import annotations

import numpy as np

from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.batches import Batch, Rows, ids, ref, whole
from fraudworld.stages.columns import Geography, Parties


def party_base(parties: Parties) -> Rows:
    """`s1_party_base_6A`, in order of party."""

    def batch(low: int, high: int) -> Batch:
        rows = slice(low, high)
        return {
            "party_id": ids(low, high),
            "party_type": parties.type[rows],
            "segment_id": parties.segment[rows],
            "region_id": parties.region[rows],
            "country_iso": parties.country[rows],
            "household_id": ref(parties.household[rows]),
            "business_group_id": ref(parties.business_group[rows]),
        }

    return Rows(parties.n, batch)


def party_summary(pack: PolicyPack, parties: Parties, geo: Geography) -> Rows:
    """`s1_party_summary_6A`, in order of country and segment; no rows of zero."""
    segments, types = pack.codes("segment"), pack.codes("party_type")
    counts = np.bincount(
        parties.country.astype(np.int64) * len(segments) + parties.segment,
        minlength=len(geo.countries) * len(segments),
    )
    cells = np.flatnonzero(counts)
    country, segment = np.divmod(cells, len(segments))
    type_of = np.array([types.index(pack.party_taxonomy.segments[s]) for s in segments], np.uint8)
    batch: Batch = {
        "country_iso": country.astype(np.uint8),
        "region_id": geo.region[country],
        "party_type": type_of[segment],
        "segment_id": segment.astype(np.uint8),
        "party_count": counts[cells].astype(np.int64),
    }
    return whole(batch)
