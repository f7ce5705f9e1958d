"""Plain twin of `stages/instruments` (S3): cards, bank handles and wallet tokens on accounts."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from fraudworld.inputs.arrays import Geography
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.policy.pack import PolicyPack
from reference import platforms
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
    wallets_of: dict[int, dict[str, int]] = {}
    for product in products(pack):
        wallets_of |= wallets(pack, seed, product, parties, accounts)
    draws = Draws(seed, "s3/scheme", "instrument_attribute_sampling")
    names = pack.codes("scheme")
    out: list[Instrument] = []
    follows = platforms.follows_country(pack)
    wallet_of = platforms.wallets(pack, seed, geo, parties) if follows else []
    for a, account in enumerate(accounts):
        country = parties[account.owner].country
        for instrument_type, count in sorted(wallets_of[a].items()):
            for _ in range(count):
                scheme = pick(draws(len(out)), schemes(pack, geo, instrument_type, country), names)
                if follows and family_of(pack, instrument_type) == "WALLET":
                    scheme = wallet_of[account.owner]
                out.append(Instrument(a, instrument_type, scheme))
    return out


def wallets(
    pack: PolicyPack, seed: int, product: str, parties: list[Party], accounts: list[Account]
) -> dict[int, dict[str, int]]:
    """Instruments of every account of one product: account → type → count.

    The floor is placed first and counts towards the plan; capped allocation shares the remainder of
    a region's plan. Types that need a card come last, on accounts that hold a card by then.
    """
    region = {
        a: parties[account.owner].region for a, account in enumerate(accounts)
        if account.type == product
    }  # fmt: skip
    declared = pack.instrument_taxonomy.instrument_types
    instrument_types = sorted(pack.instrument_mix_priors.shares[product])
    plans = plan(pack, product, Counter(region.values()))
    floors = floor(pack, seed, product, list(region))
    held = {
        a: {
            instrument_type: int(floors.get(a) == instrument_type)
            for instrument_type in instrument_types
        }
        for a in region
    }
    for instrument_type in sorted(instrument_types, key=lambda k: declared[k].needs_card):
        rule = pack.instrument_per_account_priors.counts[product][instrument_type]
        cells: dict[str, list[int]] = defaultdict(list)
        remaining = dict(plans[instrument_type])
        for a, account_region in region.items():
            cards = sum(n for k, n in held[a].items() if declared[k].family == "CARD")
            if cards or not declared[instrument_type].needs_card:
                cells[account_region].append(a)
                remaining[account_region] -= held[a][instrument_type]
        family = "instrument_allocation_sampling"
        law = Law(
            rule.zero_share,
            rule.sigma,
            Draws(seed, f"s3/instrument_allocation/{product}/{instrument_type}", family, 2),
            Draws(seed, f"s3/cap_redistribution/{product}/{instrument_type}", family, rule.cap),
        )
        room = {
            a: rule.cap - held[a][instrument_type] for members in cells.values() for a in members
        }
        added = allocate(cells, {r: max(n, 0) for r, n in remaining.items()}, law, room)
        for a, count in added.items():
            held[a][instrument_type] += count
    return held


def plan(pack: PolicyPack, product: str, population: Counter[str]) -> dict[str, dict[str, int]]:
    """type → region → instruments: λ · accounts rounded, split by share, then by accounts."""
    mix, regions = pack.instrument_mix_priors, pack.codes("region")
    instrument_types = sorted(mix.shares[product])
    total = nearest(mix.lambda_per_account[product] * population.total())
    per_type = largest_remainder(total, [mix.shares[product][k] for k in instrument_types])
    weights = [population[r] for r in regions] if population else [1] * len(regions)
    return {
        instrument_type: dict(
            zip(regions, largest_remainder(int(n), weights).tolist(), strict=True)
        )
        for instrument_type, n in zip(instrument_types, per_type, strict=True)
    }


def floor(pack: PolicyPack, seed: int, product: str, members: list[int]) -> dict[int, str]:
    """First instrument of every account, drawn by the shares of the floor; empty without floor."""
    mix = pack.instrument_mix_priors
    shares = mix.floors.get(product, {})
    if mix.floor == "none" or not shares:
        return {}
    draws = Draws(seed, f"s3/floor/{product}", "instrument_count_realisation")
    return {a: pick(draws(a), shares, sorted(shares)) for a in members}


def schemes(
    pack: PolicyPack, geo: Geography, instrument_type: str, country: int
) -> dict[str, float]:
    """Scheme mix of an instrument: that of its country if given, else that of its region.

    Schemes that do not issue it are left out, and the others share the whole.
    """
    mix = pack.instrument_mix_priors
    family = family_of(pack, instrument_type)
    of_country = mix.scheme_country_overrides.get(family, {}).get(geo.countries[country])
    shares = of_country or mix.scheme_mix[family][pack.codes("region")[geo.region[country]]]
    excluded = mix.scheme_exclusions.get(instrument_type, ())
    if not excluded:
        return shares
    issued = {scheme: share for scheme, share in shares.items() if scheme not in excluded}
    return {scheme: share / sum(issued.values()) for scheme, share in issued.items()}


def family_of(pack: PolicyPack, instrument_type: str) -> str:
    """Family of an instrument type."""
    return pack.instrument_taxonomy.instrument_types[instrument_type].family


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
