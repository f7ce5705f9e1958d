"""Accounts and instruments: means under caps, coverage, floors, legality."""

from __future__ import annotations

import math
from collections.abc import Iterator

from fraudworld.policy import models as m
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules import counts
from fraudworld.policy.rules.finding import Findings, Severity, fault


def account_means_fit(pack: PolicyPack) -> Findings:
    """λ of every segment and product is at most K_max times the share that may hold one.

    A country's factor is divided by its region's mean, so it lies within exp(±2 · clip).
    """
    rates = pack.product_mix_priors.country_rates
    for product, law in pack.account_per_party_priors.counts.items():
        by_country = rates.market == "country" and rates.strength.get(product, 0.0) != 0.0
        most = math.exp(2.0 * rates.clip) if by_country else 1.0
        room = law.cap * min(1.0 - law.zero_share, 1.0 / most)
        owner = pack.account_taxonomy.account_types[product].party_type
        means = {s: counts.account_lambda(pack, product, s) for s in _segments(pack, owner)}
        worst = max(means, key=lambda s: means[s])
        if means[worst] > room:
            yield fault(
                "account_per_party_priors",
                f"counts.{product}",
                f"{worst} expects more {product} per party than caps and hurdle allow",
                figure=means[worst],
                bound=room,
                remedy="raise cap, lower zero_share, or lower λ or its tilt in product_mix_priors",
            )


def total_lambda_fits(pack: PolicyPack) -> Findings:
    """Σλ over a segment's products stays under its party type's limit."""
    products = pack.account_taxonomy.account_types
    for owner, limit in pack.product_mix_priors.max_total_lambda.items():
        for segment in _segments(pack, owner):
            total = math.fsum(
                counts.account_lambda(pack, p, segment)
                for p, a in products.items()
                if a.party_type == owner
            )
            if total > limit:
                yield fault(
                    "product_mix_priors",
                    f"max_total_lambda.{owner}",
                    f"{segment} expects more accounts than the limit",
                    figure=total,
                    bound=limit,
                    remedy="lower λ or tilts of its products, or raise the limit",
                )


def coverage_reachable(pack: PolicyPack) -> Findings:
    """The share of parties that hold a required product reaches the required share."""
    rho = pack.account_per_party_priors.party_factor_correlation
    for product, wanted in pack.product_mix_priors.required_coverage.items():
        owner = pack.account_taxonomy.account_types[product].party_type
        law = pack.account_per_party_priors.counts[product]
        share = {
            s: counts.coverage(counts.account_lambda(pack, product, s), law, rho)
            for s in _segments(pack, owner)
        }
        by_region = {
            region: math.fsum(
                share[s] * w for s, w in counts.segments_of(pack, region, owner).items()
            )
            for region in pack.party_taxonomy.regions
        }
        worst = min(by_region, key=lambda r: by_region[r])
        if by_region[worst] < wanted:
            yield fault(
                "product_mix_priors",
                f"required_coverage.{product}",
                f"the law covers fewer {owner} parties of {worst} than required",
                figure=by_region[worst],
                bound=wanted,
                remedy="raise lambda_per_party, lower zero_share or sigma, or require less",
            )


def instrument_means_fit(pack: PolicyPack) -> Findings:
    """λ · share of an instrument is at most what cap, hurdle and floor allow."""
    for product, instrument, mean, law, floor in _pairs(pack):
        room = (1.0 - law.zero_share) * law.cap + law.zero_share * floor
        if pack.instrument_taxonomy.instrument_types[instrument].needs_card:
            room *= _card_holders(pack, product)
        if mean > room:
            yield fault(
                "instrument_per_account_priors",
                f"counts.{product}.{instrument}",
                "more are expected per account than cap, hurdle and parent cards allow",
                figure=mean,
                bound=room,
                remedy="raise cap, lower zero_share, or lower the share in instrument_mix_priors",
            )


def floors_do_not_inflate(pack: PolicyPack) -> Findings:
    """A floor puts no more instruments on an account type than its mean allows."""
    universal = pack.instrument_mix_priors.floor == "universal"
    replay = universal and pack.posture == "baseline_replay"
    for product, instrument, mean, _, floor in _pairs(pack):
        if floor > mean:
            yield fault(
                "instrument_mix_priors",
                f"floors.{product}.{instrument}",
                "the floor alone exceeds λ · share, so the mean over all accounts cannot hold",
                figure=floor,
                bound=mean,
                remedy="lower the floor's share or raise λ or the share",
                severity=Severity.KNOWN_DEFECT if replay else Severity.ERROR,
            )


def floors_exist(pack: PolicyPack) -> Findings:
    """Every card account starts with a card, every main or carded current account with a handle."""
    mix, kinds = pack.instrument_mix_priors, pack.instrument_taxonomy.instrument_types
    for product, account in pack.account_taxonomy.account_types.items():
        families = {kinds[i].family for i in mix.shares[product]}
        revolving = account.ledger == "REVOLVING"
        if not (revolving or account.required or "CARD" in families):
            continue
        wanted = "CARD" if revolving else "BANK_DOMESTIC"
        floors = mix.floors.get(product, {}) if mix.floor != "none" else {}
        covered = math.fsum(s for i, s in floors.items() if kinds[i].family == wanted)
        if covered < 1.0 - 1e-12:
            yield fault(
                "instrument_mix_priors",
                f"floors.{product}",
                f"not every account gets a {wanted} instrument",
                figure=covered,
                bound=1.0,
                remedy="set floor: by_account_type and give the floor shares that sum to one",
            )


def instruments_legal(pack: PolicyPack) -> Findings:
    """An instrument sits only on ledgers it may reach; a token only on accounts with a card."""
    kinds = pack.instrument_taxonomy.instrument_types
    for product, shares in pack.instrument_mix_priors.shares.items():
        ledger = pack.account_taxonomy.account_types[product].ledger
        for instrument in shares:
            if ledger not in kinds[instrument].ledgers:
                yield fault(
                    "instrument_mix_priors",
                    f"shares.{product}.{instrument}",
                    f"not legal on a {ledger} ledger",
                    figure=ledger,
                    bound=", ".join(kinds[instrument].ledgers),
                    remedy="move the share to an instrument that may reach this ledger",
                )
            if kinds[instrument].needs_card and not any(kinds[i].family == "CARD" for i in shares):
                yield fault(
                    "instrument_mix_priors",
                    f"shares.{product}.{instrument}",
                    "a token without a parent card on the account",
                    figure=None,
                    bound="a CARD share",
                    remedy="add a card to the account type or drop the token",
                )


def instrument_caps_fit(pack: PolicyPack) -> Findings:
    """Caps of one account add up to at most the hard limit, in prior and validation alike."""
    limit = min(
        pack.instrument_per_account_priors.max_per_account,
        pack.validation_policy.linkage_checks.max_instruments_per_account,
    )
    for product, laws in pack.instrument_per_account_priors.counts.items():
        total = sum(law.cap for law in laws.values())
        if total > limit:
            yield fault(
                "instrument_per_account_priors",
                f"counts.{product}",
                "caps add up above the limit",
                figure=float(total),
                bound=float(limit),
                remedy="lower a cap or raise both limits",
            )


def _segments(pack: PolicyPack, party_type: str) -> list[str]:
    return [s for s, owner in pack.party_taxonomy.segments.items() if owner == party_type]


def _pairs(pack: PolicyPack) -> Iterator[tuple[str, str, float, m.HurdleCount, float]]:
    """(account type, instrument, mean per account, count law, floor share)."""
    mix = pack.instrument_mix_priors
    for product, shares in mix.shares.items():
        floors = mix.floors.get(product, {}) if mix.floor != "none" else {}
        for instrument, share in shares.items():
            law = pack.instrument_per_account_priors.counts[product][instrument]
            yield (
                product,
                instrument,
                mix.lambda_per_account[product] * share,
                law,
                floors.get(instrument, 0.0),
            )


def _card_holders(pack: PolicyPack, product: str) -> float:
    """Least share of the type's accounts that carry a card."""
    kinds = pack.instrument_taxonomy.instrument_types
    best = 0.0
    floored = 0.0
    for name, instrument, mean, law, floor in _pairs(pack):
        if name == product and kinds[instrument].family == "CARD":
            best = max(best, counts.coverage(mean, law, 0.0))
            floored += floor
    return max(best, min(floored, 1.0))
