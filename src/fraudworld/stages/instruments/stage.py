"""S3 as a recipe: plan, place floors, allocate, draw schemes, publish."""

from __future__ import annotations

from fraudworld.contracts.world import INSTRUMENT_BASE, INSTRUMENT_LINKS
from fraudworld.stages.context import Context
from fraudworld.stages.instruments import tables
from fraudworld.stages.instruments.draw import (
    accounts_by_region,
    allocate_instruments,
    instruments_of,
    plan_instruments,
    scheme_table,
)
from fraudworld.stages.pieces import Accounts, Instruments, Parties


def run(context: Context, parties: Parties, accounts: Accounts) -> Instruments:
    """Cards, handles and tokens of every account."""
    seed, engine = context.seed, context.engine
    with context.step("S3", "load_contracts_inputs"):
        pack = context.contracts("S3")
        schemes = scheme_table(pack, context.geo)
    with context.step("S3", "load_account_base"):
        population = accounts_by_region(accounts, parties.region, len(pack.codes("region")))
    with context.step("S3", "plan_counts"):
        plans = plan_instruments(pack, population)
    with context.step("S3", "allocate_instruments"):
        wallets = allocate_instruments(pack, seed, parties, accounts, plans, engine)
    with context.step("S3", "emit_instrument_base_links"):
        instruments, scheme_draws = instruments_of(
            pack, seed, context.geo, schemes, wallets, parties, accounts, engine
        )
        context.emit(INSTRUMENT_BASE, tables.instrument_base(instruments, accounts, parties))
        context.emit(INSTRUMENT_LINKS, tables.account_instrument_links(instruments, accounts))
    with context.step("S3", "rng_publish"):
        context.publish_rng(*wallets.rng, *scheme_draws)
        context.plans["s3_instruments"] = {
            p.name: {
                "plan": int(p.cells.sum()),
                "rows": wallets.rows[p.name],
                "floor": wallets.floors[p.name],
                "floor_excess": wallets.floor_excess[p.name],
                "dropped": wallets.dropped[p.name],
            }
            for p in plans
        }
    return instruments
