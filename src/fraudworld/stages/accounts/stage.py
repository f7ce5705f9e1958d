"""S2 as a recipe: plan, apportion, enforce the caps, publish."""

from __future__ import annotations

from dataclasses import asdict

from fraudworld.contracts.world import ACCOUNT_BASE, ACCOUNT_SUMMARY, HOLDINGS
from fraudworld.stages.accounts import tables
from fraudworld.stages.accounts.draw import (
    account_rates,
    allocate_accounts,
    enforce_kmax_per_party_account_type,
    places_of,
    plan_accounts,
)
from fraudworld.stages.context import Context
from fraudworld.stages.pieces import Accounts, Parties


def run(context: Context, parties: Parties) -> Accounts:
    """Accounts of the population, every holding within its K_max."""
    seed, engine = context.seed, context.engine
    with context.step("S2", "load_contracts_inputs"):
        pack = context.contracts("S2")
        codes, rates = pack.codes("account_type"), account_rates(pack)
    with context.step("S2", "load_party_base"):
        population = parties.population(len(pack.codes("region")))
    with context.step("S2", "allocate_accounts"):
        by_region, total_draws = plan_accounts(pack, seed, rates, population)
        places, plans = places_of(pack, context.geo, parties, by_region)
        draft, draws = allocate_accounts(pack, seed, parties, places, plans, engine)
    with context.step("S2", "enforce_kmax"):
        holdings, slot_draws = enforce_kmax_per_party_account_type(
            pack, seed, parties, draft, engine
        )
        del draft
    with context.step("S2", "emit_account_base"):
        accounts = holdings.accounts
        context.emit(ACCOUNT_BASE, tables.account_base(accounts, parties, context.geo))
    with context.step("S2", "emit_holdings"):
        context.emit(HOLDINGS, tables.holdings(holdings, parties))
    with context.step("S2", "emit_summary"):
        context.emit(ACCOUNT_SUMMARY, tables.account_summary(pack, accounts, parties, context.geo))
    with context.step("S2", "rng_publish"):
        context.publish_rng(*total_draws, *draws, *slot_draws)
        rows = accounts.types.sum(axis=0)
        context.documents["s2_kmax_counters_6A"] = {
            **asdict(holdings.counters),
            "cap_enforcement_mode": pack.account_per_party_priors.constraints.cap_enforcement_mode,
            "dropped_by_product": holdings.dropped,
        }
        context.plans["s2_accounts"] = {
            code: {
                "plan": int(plan.cells.sum()),
                "rows": int(rows[plan.product]),
                "dropped": holdings.dropped[code],
                "cells": plan.cells.tolist(),
            }
            for code, plan in zip(codes, plans, strict=True)
        }
    return accounts
