"""S3: cards, bank handles and wallet tokens on accounts."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from fraudworld.inputs.arrays import Geography
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.policy.pack import PolicyPack
from reference.accounts import Account, products
from reference.allocation import Law, allocate
from reference.draws import Draws, nearest, pick
from reference.parties import Party, Row


@dataclass(frozen=True)
class Instrument:
    """One instrument; `account` is a position in the list of accounts."""

    account: int
    type: str
    scheme: str


def make(
    pack: PolicyPack, seed: int, geo: Geography, parties: list[Party], accounts: list[Account]
) -> list[Instrument]:
    """All instruments, in order of account, then type; each draws its scheme."""
    held: dict[int, dict[str, int]] = {}
    for product in products(pack):
        held |= wallets(pack, seed, product, parties, accounts)
    draws = Draws(seed, "s3/scheme", "instrument_attribute_sampling")
    names = pack.codes("scheme")
    out: list[Instrument] = []
    for a, account in enumerate(accounts):
        country = parties[account.owner].country
        for kind, count in sorted(held[a].items()):
            for _ in range(count):
                scheme = pick(draws(len(out)), schemes(pack, geo, kind, country), names)
                out.append(Instrument(a, kind, scheme))
    return out


def wallets(
    pack: PolicyPack, seed: int, product: str, parties: list[Party], accounts: list[Account]
) -> dict[int, dict[str, int]]:
    """Instruments of every account of one product: account → type → how many.

    The floor comes first and counts towards the plan; the rest of a region's plan is shared
    by the gated, weighted, capped law. Types that need a card come last, and only accounts
    that hold a card by then take part.
    """
    region = {
        a: parties[account.owner].region for a, account in enumerate(accounts)
        if account.type == product
    }  # fmt: skip
    declared = pack.instrument_taxonomy.instrument_types
    kinds = sorted(pack.instrument_mix_priors.shares[product])
    plans = plan(pack, product, Counter(region.values()))
    floors = floor(pack, seed, product, list(region))
    held = {a: {kind: int(floors.get(a) == kind) for kind in kinds} for a in region}
    for kind in sorted(kinds, key=lambda k: declared[k].needs_card):
        rule = pack.instrument_per_account_priors.counts[product][kind]
        cells: dict[str, list[int]] = defaultdict(list)
        rest = dict(plans[kind])
        for a, where in region.items():
            cards = sum(n for k, n in held[a].items() if declared[k].family == "CARD")
            if cards or not declared[kind].needs_card:
                cells[where].append(a)
                rest[where] -= held[a][kind]
        family = "instrument_allocation_sampling"
        law = Law(
            rule.zero_share,
            rule.sigma,
            Draws(seed, f"s3/instrument_allocation/{product}/{kind}", family, 2),
            Draws(seed, f"s3/cap_redistribution/{product}/{kind}", family, rule.cap),
        )
        room = {a: rule.cap - held[a][kind] for members in cells.values() for a in members}
        more = allocate(cells, {r: max(n, 0) for r, n in rest.items()}, law, room)
        for a, count in more.items():
            held[a][kind] += count
    return held


def plan(pack: PolicyPack, product: str, population: Counter[str]) -> dict[str, dict[str, int]]:
    """type → region → instruments: λ · accounts rounded, split by share, then by accounts."""
    mix, regions = pack.instrument_mix_priors, pack.codes("region")
    kinds = sorted(mix.shares[product])
    total = nearest(mix.lambda_per_account[product] * population.total())
    per_kind = largest_remainder(total, [mix.shares[product][k] for k in kinds])
    weights = [population[r] for r in regions] if population else [1] * len(regions)
    return {
        kind: dict(zip(regions, largest_remainder(int(n), weights).tolist(), strict=True))
        for kind, n in zip(kinds, per_kind, strict=True)
    }


def floor(pack: PolicyPack, seed: int, product: str, members: list[int]) -> dict[int, str]:
    """The instrument an account starts with, drawn by the floor's shares; none without a floor."""
    mix = pack.instrument_mix_priors
    shares = mix.floors.get(product, {})
    if mix.floor == "none" or not shares:
        return {}
    draws = Draws(seed, f"s3/floor/{product}", "instrument_count_realisation")
    return {a: pick(draws(a), shares, sorted(shares)) for a in members}


def schemes(pack: PolicyPack, geo: Geography, kind: str, country: int) -> dict[str, float]:
    """Scheme mix of an instrument: its country's where there is one, else its region's."""
    mix = pack.instrument_mix_priors
    family = pack.instrument_taxonomy.instrument_types[kind].family
    own = mix.scheme_country_overrides.get(family, {}).get(geo.countries[country])
    return own or mix.scheme_mix[family][pack.codes("region")[geo.region[country]]]


def instrument_base(accounts: list[Account], instruments: list[Instrument]) -> list[Row]:
    """`s3_instrument_base_6A`: one row an instrument."""
    return [
        {
            "instrument_id": number,
            "account_id": instrument.account + 1,
            "owner_party_id": accounts[instrument.account].owner + 1,
            "instrument_type": instrument.type,
            "scheme": instrument.scheme,
        }
        for number, instrument in enumerate(instruments, 1)
    ]


def account_instrument_links(instruments: list[Instrument]) -> list[Row]:
    """`s3_account_instrument_links_6A`: the same, in order of account."""
    return [
        {
            "account_id": instrument.account + 1,
            "instrument_id": number,
            "instrument_type": instrument.type,
            "scheme": instrument.scheme,
        }
        for number, instrument in enumerate(instruments, 1)
    ]
