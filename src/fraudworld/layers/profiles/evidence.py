"""What profiles state of themselves: draws for the RNG logs, figures for the report."""

from __future__ import annotations

import numpy as np

from fraudworld.contracts import profiles as tables
from fraudworld.distinct import distinct
from fraudworld.documents import JsonObject
from fraudworld.layers.profiles.identity.evidence import contact_keys, drawn_by, issued_keys
from fraudworld.layers.profiles.make import Profiles
from fraudworld.layers.profiles.observed import observed
from fraudworld.layers.profiles.parties import DAY_0
from fraudworld.rng import StreamUse, identities, registry
from fraudworld.rng import profiles as streams
from fraudworld.rng.law import StreamLaw
from fraudworld.store.content import NO_TIME


def summary(of: Profiles) -> JsonObject:
    """Shares beside the figures of the policy, and the counts that the report draws."""
    policy, world, (opened, closed) = of.policy, of.world, of.account_dates
    median = of.markets.median_spending[world.base.party_country, world.base.party_segment]
    law = of.people
    spent = median * law.spending_deviation(0, world.base.parties)
    fixed = policy.money.rent_share + policy.money.mandate_share
    outflow = spent + fixed * of.income
    at_floor = of.income * policy.money.floor_to_outflow <= outflow * (1 + 1e-6)
    return {
        "accounts_closed_share": _both(policy.accounts.closed_share, (closed != NO_TIME).mean()),
        "accounts_opened_inside_share": _both(
            policy.accounts.opens_inside, (opened >= DAY_0).mean()
        ),
        "joined_inside_share": _both(policy.people.joins_inside, (of.lives.since >= DAY_0).mean()),
        "income_to_outflow_median": _both(
            policy.money.income_to_outflow, np.median(of.income / outflow)
        ),
        "incomes_at_the_floor_share": {"observed": float(at_floor.mean())},
        "terminals_of_the_world": int((of.terminals.device >= 0).sum()),
        "homes": int(world.home_first[-1]),
        **observed(of),
    }


def _both(policy: float, observed: float) -> JsonObject:
    return {"policy": policy, "observed": float(observed)}


def evidence(of: Profiles) -> list[StreamUse]:
    """What was drawn: every stream is dense over its entities."""
    base, seed = of.world.base, of.inputs.identity.seed
    parties, accounts = base.parties, int(base.account_owner.size)
    outlets, terminals = of.outlets.n, of.terminals
    sites = int(terminals.first[outlets])
    dense = (
        (streams.MERCHANT_NAME, 1),
        (streams.TERMINALS, outlets),
        (streams.TERMINAL_KIND, sites),
        (streams.CASH_MACHINE, terminals.n - sites),
        (streams.AGE, parties),
        (streams.TENURE, parties),
        (streams.FIRM, parties),
        (streams.WORK, parties),
        (streams.INCOME, parties),
        (streams.MANNER, parties),
        (registry.ACTIVITY, parties),
        (streams.MAIN_BANK, parties),
        (streams.ACCOUNT, accounts),
        (streams.OTHER_BANK, accounts),
        (streams.LIMIT, accounts),
        (streams.INSTRUMENT, int(of.world.instrument_account.size)),
        (streams.DEVICE, int(base.device_type.size)),
        (streams.ENDPOINT, int(base.ip_type.size)),
        (streams.POOL, of.pool.n),
        (streams.PARTY_EVENT, parties),
        (streams.ACCOUNT_EVENT, accounts),
        (streams.INSTRUMENT_EVENT, int(of.world.instrument_account.size)),
        (streams.DEVICE_EVENT, int((base.device_owner >= 0).sum())),
    )
    uses = [law.of(seed).use("world", 0, n) for law, n in dense]
    homes = int(of.world.home_first[-1])
    uses += [
        law.of(seed).use("world", 0, parties, entities=homes)
        for law in (streams.HOME_POINT, streams.HOME_RANK)
    ]
    uses += [streams.CHANGE.of(seed, code=code).use("world", 0, parties) for code in tables.CHANGES]
    uses += [_place_use(seed, code) for code in of.inputs.geo.countries]
    shared, countries = of.shared[1], of.inputs.geo.countries
    schemes, operators = of.inputs.codes("scheme"), of.inputs.codes("asn_class")
    cells = len(countries) * len(operators)
    uses += issued_keys(of.identity, seed, countries, schemes, cells)
    drawn = {law: (parties, drew) for law, drew in shared.items()}
    is_v4 = of.addressing.is_v4
    drawn[identities.INTERFACE] = (is_v4.size, int((~is_v4).sum()))
    if of.identities:
        uses += contact_keys(of.identity, seed, countries)
        drawn |= _contact(of)
    return uses + list(drawn_by(seed, drawn))


def _contact(of: Profiles) -> dict[StreamLaw, tuple[int, int]]:
    """Parties, families, places and addresses that draw for names and addresses."""
    person, sharing = of.world.person, of.sharing
    parties, persons = person.size, int(person.sum())
    return {
        identities.PERSON_NAME: (parties, persons),
        identities.FAMILY_NAME: (parties, distinct(sharing.name_of[person]).size),
        identities.FIRM_NAME: (parties, parties - persons),
        identities.POSTAL_PLACE: (of.places.n, distinct(of.home_place).size),
        identities.POSTAL_STREET: (parties, distinct(sharing.address_of).size),
    }


def _place_use(seed: int, code: str) -> StreamUse:
    return streams.HOME_PLACE.of(seed, code=code).use("world", 0, 1)
