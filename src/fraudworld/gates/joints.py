"""Guards of joints: columns that belong together, across tables.

A world is judged by the policy's figures whatever law made it, so one that leaves a joint to chance
fails.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fraudworld.gates.evidence import Evidence
from fraudworld.gates.gate import Guard, Row, number_or_null
from fraudworld.gates.statistics import mantel_haenszel, wilson
from fraudworld.policy.borders import CROSSING, PROXIES, TRAVEL
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules.counts import account_lambda


def market_heterogeneity(evidence: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Products and mobile systems follow the country's market, systems also the segment's income.

    Every country is judged by the policy's figures, whatever law made the world.
    """
    bounds = evidence.pack.validation_policy.guards
    systems, rates = _system_errors(evidence), _rate_errors(evidence)
    ratio, low, high = mantel_haenszel(_systems_by_income(evidence))
    worst = [max(errors, key=lambda k: abs(errors[k]), default="") for errors in (systems, rates)]
    largest = [abs(errors.get(k, float("nan")))
               for errors, k in zip((systems, rates), worst, strict=True)]  # fmt: skip
    yield Guard(
        "market_heterogeneity",
        bool(
            largest[0] <= bounds.market_tolerance
            and largest[1] <= bounds.market_rate_tolerance
            and ratio >= bounds.min_income_odds_ratio
            and low > 1.0
        ),
        number_or_null(largest[0]),
        f"<= {bounds.market_tolerance:g} from policy where >= {bounds.market_min_phones} phones;"
        f" accounts within {bounds.market_rate_tolerance:g};"
        f" odds ratio by income >= {bounds.min_income_odds_ratio:g}, interval above 1",
        {
            "worst_system": worst[0],
            "countries": len(systems),
            "worst_rate": worst[1],
            "rate_error": number_or_null(largest[1]),
            "rates": len(rates),
            "income_odds_ratio": number_or_null(ratio),
            "interval": [low, high] if np.isfinite(low) else None,
        },
    )


def _system_errors(evidence: Evidence) -> dict[str, float]:
    """Share of iOS minus the policy's, in every country with enough phones."""
    rule, markets = evidence.pack.device_count_priors.mobile_platform, evidence.markets
    ios, policy = sorted(rule.wallets).index("IOS"), rule.ios_share
    out = {}
    for c, (country, region) in enumerate(zip(markets.countries, markets.regions, strict=True)):
        phones = markets.phones[c].sum(axis=0)
        if phones.sum() >= evidence.pack.validation_policy.guards.market_min_phones:
            share = policy.countries.get(country, policy.regions[region])
            out[country] = float(phones[ios] / phones.sum() - share)
    return out


def _systems_by_income(evidence: Evidence) -> NDArray[np.float64]:
    """By country: (poorest, best-off retail segment) × (other systems, iOS)."""
    pack, phones = evidence.pack, evidence.markets.phones
    ios = sorted(pack.device_count_priors.mobile_platform.wallets).index("IOS")
    profiles, segments = pack.segmentation_priors.profiles, pack.codes("segment")
    retail = [s for s in segments if pack.party_taxonomy.segments[s] == "RETAIL"]
    ends = [segments.index(f(retail, key=lambda s: profiles[s].income)) for f in (min, max)]
    others = np.delete(phones, ios, axis=2).sum(axis=2)
    strata = np.stack([others, phones[:, :, ios]], axis=2)[:, ends]
    return np.asarray(strata[strata.sum(axis=(1, 2)) > 0], dtype=np.float64)


def _rate_errors(evidence: Evidence) -> dict[str, float]:
    """Accounts over those the policy implies, minus 1, by product and country where enough are.

    A country's factor is (ownership / geometric mean of its region)^strength, clipped, over its
    mean in the region; the weights are parties. A seed draws the world's total of a product, so
    expected numbers are scaled to it.
    """
    pack, markets = evidence.pack, evidence.markets
    rule, products = pack.product_mix_priors.country_rates, pack.codes("account_type")
    least = pack.validation_policy.support.min_expected_for_rate_ratio
    out = dict[str, float]()
    for product, strength in rule.strength.items():
        accounts = markets.accounts[:, products.index(product)]
        expected = _implied_accounts(evidence, product, strength)
        expected *= accounts.sum() / max(expected.sum(), 1.0)
        for c in np.flatnonzero(expected >= least):
            out[f"{product} {markets.countries[c]}"] = float(accounts[c] / expected[c] - 1.0)
    return out


def _implied_accounts(evidence: Evidence, product: str, strength: float) -> NDArray[np.float64]:
    """Accounts of a product that the policy implies for the parties of every country."""
    pack, markets = evidence.pack, evidence.markets
    rule, rates = pack.product_mix_priors.country_rates, _rates(pack, product)
    own, regions = rule.card_ownership, np.array(markets.regions)
    where = zip(markets.countries, markets.regions, strict=True)
    log = np.log([own.countries.get(c, own.regions[r]) for c, r in where])
    people, out = markets.parties.sum(axis=1), np.zeros(len(regions))
    for region in set(markets.regions):
        inside = regions == region
        away = log[inside] - np.average(log[inside], weights=people[inside])
        factor = np.exp(np.clip(strength * away, -rule.clip, rule.clip))[:, None]
        parties = markets.parties[inside]
        mean = (parties * factor).sum(axis=0) / np.maximum(parties.sum(axis=0), 1)
        out[inside] = (parties * factor / np.where(mean > 0, mean, 1.0) * rates).sum(axis=1)
    return out


def _rates(pack: PolicyPack, product: str) -> NDArray[np.float64]:
    """Accounts of a product per party, by segment; 0 for segments of other party types."""
    owner = pack.account_taxonomy.account_types[product].party_type
    return np.array(
        [
            account_lambda(pack, product, s) if pack.party_taxonomy.segments[s] == owner else 0.0
            for s in pack.codes("segment")
        ]
    )


def engagement_factor(evidence: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Inside a segment, parties with more accounts have more devices, and not only they."""
    pack, bounds = evidence.pack, evidence.pack.validation_policy.guards
    least = pack.validation_policy.support.min_for_share
    accounts, devices = (evidence.owned(asset).each.counts for asset in ("account", "device"))
    segment, found = evidence.markets.segment, dict[str, float]()
    sizes = np.bincount(segment, minlength=len(pack.codes("segment")))
    for s, name in enumerate(pack.codes("segment")):
        inside = segment == s
        if sizes[s] >= least and accounts[inside].std() > 0 and devices[inside].std() > 0:
            found[name] = float(np.corrcoef(accounts[inside], devices[inside])[0, 1])
    weights = [sizes[pack.codes("segment").index(name)] for name in found]
    mean = float(np.average(list(found.values()), weights=weights)) if found else float("nan")
    low, high = bounds.engagement_low, bounds.engagement_high
    yield Guard(
        "engagement_factor",
        low <= mean <= high,
        number_or_null(mean),
        f"correlation {low:g} .. {high:g}, mean over segments of >= {least} parties",
        found,
    )


def wallet_devices(evidence: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Holders of wallet tokens have a device of the wallet's system; cards have their schemes."""
    bound, markets = (
        evidence.pack.validation_policy.guards.min_wallet_device_share,
        evidence.markets,
    )
    support = evidence.pack.validation_policy.support.min_for_share
    systems = sorted(evidence.pack.device_count_priors.mobile_platform.wallets)
    held = dict(zip(systems, markets.holders.tolist(), strict=True))
    shares = {s: able / (able + unable) for s, (unable, able) in held.items() if able + unable}
    enough = all(sum(counts) >= support for counts in held.values())
    yield Guard(
        "wallet_devices",
        enough and min(shares.values()) >= bound and markets.unissued == 0,
        min(shares.values(), default=None),
        f">= {bound:g} of the holders of each wallet, 0 cards on a scheme that does not issue them",
        {
            "holders": {s: sum(counts) for s, counts in held.items()},
            "unissued": markets.unissued,
            "support_needed": support,
        },
    )


def foreign_edges(evidence: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Links of proxies, hosts, hotels and operators cross borders; all others stay at home."""
    bounds = evidence.pack.validation_policy.guards
    support = evidence.pack.validation_policy.support.min_for_share
    types = evidence.pack.codes("ip_type")
    links, abroad = evidence.network.link_types.sum(axis=0), evidence.network.abroad
    for name, kinds, low, high in (
        ("foreign_edges_proxies", PROXIES, bounds.abroad_min_proxies, bounds.abroad_max_proxies),
        ("foreign_edges_travel", TRAVEL, bounds.abroad_min_travel, bounds.abroad_max_travel),
    ):
        of = [types.index(t) for t in kinds]
        hits, n = int(abroad[of].sum()), int(links[of].sum())
        share = hits / n if n else float("nan")
        yield Guard(
            name,
            n >= support and low <= share <= high,
            number_or_null(share),
            f"{low:g} .. {high:g} of the links of {' and '.join(kinds)}",
            {
                "interval": list(wilson(hits, n)),
                "support": n,
                "minimum_support": support,
                "shares": {
                    types[t]: number_or_null(abroad[t] / links[t]) if links[t] else None for t in of
                },
            },
        )
    misplaced = {t: int(n) for t, n in zip(types, abroad, strict=True) if n and t not in CROSSING}
    yield Guard(
        "foreign_edges_at_home",
        not misplaced,
        float(sum(misplaced.values())),
        "0 links abroad of other types",
        misplaced,
    )
