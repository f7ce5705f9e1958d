"""S1 as a recipe: plan, draw, publish."""

from __future__ import annotations

from fraudworld.contracts.world import PARTY_BASE, PARTY_SUMMARY
from fraudworld.stages.context import Context
from fraudworld.stages.parties.draw import PartyLaws, draw_parties
from fraudworld.stages.parties.plan import plan_counts
from fraudworld.stages.parties.tables import party_base, party_summary
from fraudworld.stages.pieces import Parties


def run(context: Context) -> Parties:
    """The closed population of one seed."""
    geo = context.geo
    with context.step("S1", "load_contracts_inputs"):
        pack = context.contracts("S1")
        segments = pack.codes("segment")
        laws = PartyLaws.of(pack, context.seed)
    with context.step("S1", "plan_counts"):
        plan = plan_counts(pack, context.seed, geo)
        context.plans["s1_parties"] = {
            "scale_draw": plan.scale_draw,
            "world": int(plan.counts.sum()),
            "cells": {
                country: {s: int(n) for s, n in zip(segments, row, strict=True) if n}
                for country, row in zip(geo.countries, plan.counts, strict=True)
            },
        }
    with context.step("S1", "emit_party_base"):
        parties, draws = draw_parties(laws, geo, plan, context.parties_per_shard, context.engine)
        context.emit(PARTY_BASE, party_base(parties))
        context.emit(PARTY_SUMMARY, party_summary(pack, parties, geo))
    with context.step("S1", "rng_publish"):
        context.publish_rng(*plan.rng, *draws)
    return parties
