"""S3 as a recipe: plan, place floors, allocate, draw schemes, publish."""

from __future__ import annotations

import numpy as np

from fraudworld.contracts.world import INSTRUMENT_BASE, INSTRUMENT_LINKS
from fraudworld.stages.columns import Accounts, Instruments, Parties
from fraudworld.stages.context import Context
from fraudworld.stages.instruments import tables
from fraudworld.stages.instruments.draw import (
    allocate_instruments,
    instruments_of,
    plan_instruments,
)


def run(context: Context, parties: Parties, accounts: Accounts) -> Instruments:
    """Cards, handles and tokens of every account."""
    pack, seed, engine = context.pack, context.seed, context.engine
    with context.step("S3", "load_contracts_inputs"):
        kinds, products = pack.codes("instrument_type"), pack.codes("account_type")
    with context.step("S3", "load_account_base"):
        region = parties.region[accounts.owner]
    with context.step("S3", "plan_counts"):
        plans = plan_instruments(pack, accounts, region)
    with context.step("S3", "allocate_instruments"):
        wallets = allocate_instruments(pack, seed, accounts, region, plans, engine)
    with context.step("S3", "emit_instrument_base_links"):
        instruments, scheme_draws = instruments_of(
            pack, seed, wallets, accounts, parties, context.geo, engine
        )
        context.emit(INSTRUMENT_BASE, tables.instrument_base(instruments, accounts))
        context.emit(INSTRUMENT_LINKS, tables.account_instrument_links(instruments))
    with context.step("S3", "rng_publish"):
        context.evidence += [*wallets.rng, *scheme_draws]
        pair = accounts.type[instruments.account].astype(np.int64) * len(kinds) + instruments.type
        rows = np.bincount(pair, minlength=len(products) * len(kinds)).reshape(-1, len(kinds))
        context.plans["s3_instruments"] = {
            f"{p.account_type}/{p.instrument_type}": {
                "plan": int(p.cells.sum()),
                "rows": int(rows[products.index(p.account_type), kinds.index(p.instrument_type)]),
                "floor": wallets.floors[f"{p.account_type}/{p.instrument_type}"],
                "floor_excess": wallets.floor_excess[f"{p.account_type}/{p.instrument_type}"],
                "dropped": wallets.dropped[f"{p.account_type}/{p.instrument_type}"],
            }
            for p in plans
        }
    return instruments
