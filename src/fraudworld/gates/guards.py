"""Guards: properties a good score must not be bought with. A failing guard blocks B+."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.errors import InputError
from fraudworld.gates.evidence import Evidence
from fraudworld.gates.gate import Guard, Row, number_or_null
from fraudworld.gates.homes import household_composition
from fraudworld.gates.joints import (
    engagement_factor,
    foreign_edges,
    market_heterogeneity,
    wallet_devices,
)
from fraudworld.gates.network import degrees, quantile
from fraudworld.gates.owners import ASSETS
from fraudworld.gates.prefetch import prefetch
from fraudworld.gates.roles import ENTITIES, role_counts
from fraudworld.gates.statistics import auc, mantel_haenszel, poisson_interval, wilson
from fraudworld.gates.tally import I64
from fraudworld.gates.transmission import named
from fraudworld.policy.pairs import MULE_ACCOUNT, MULE_OWNERS, SHARED_DEVICE
from fraudworld.policy.validation import GuardBounds

GuardCheck = Callable[[Evidence, tuple[Row, ...]], Iterator[Guard]]


def _bounds(evidence: Evidence) -> GuardBounds:
    return evidence.pack.validation_policy.guards


def separability(evidence: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Risk is a tendency, not a label: odds ratios are bounded, no feature reveals risky owners."""
    bounds = _bounds(evidence)
    ratios = {r.metric_name: r.value for r in rows if r.test_id == "T7_RISK_PROPAGATION_EFFECT"}
    known = [v for v in ratios.values() if v is not None]
    yield Guard(
        "separability_odds_ratio",
        len(known) == 2 and max(known) <= bounds.separability_max_odds_ratio,
        max(known, default=None),
        f"<= {bounds.separability_max_odds_ratio:g}",
        ratios,
    )
    features = {name: counts.astype(np.float64) for name, counts in evidence.features().items()}
    areas = {name: auc(counts[1], counts[0]) for name, counts in features.items()}
    worst = float(np.max(list(areas.values())))  # NaN if any is
    yield Guard(
        "separability_single_feature",
        worst <= bounds.separability_max_auc,
        number_or_null(worst),
        f"<= {bounds.separability_max_auc:g}",
        {name: number_or_null(area) for name, area in areas.items()},
    )


def role_rate_ratio(evidence: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Every non-clean role is near its prior rate, wherever enough of it is expected.

    Rarer roles are reported with ratio and 95 % interval.
    """
    bounds = _bounds(evidence)
    least = evidence.pack.validation_policy.support.min_expected_for_rate_ratio
    regions = (*evidence.pack.codes("region"), "world")
    judged: dict[str, float] = {}
    rare: dict[str, list[float]] = {}
    sample = evidence.sample
    for entity in ENTITIES:
        counts = role_counts(sample, entity)
        priors = getattr(evidence.pack, f"{entity}_role_priors")
        remainders = set(priors.remainder.values())
        for r, region in enumerate(regions):
            for i, role in enumerate(counts.roles):
                if role in remainders or counts.expected[r, i] <= 0:
                    continue
                name, expected = f"{entity} {role} {region}", float(counts.expected[r, i])
                ratio = float(counts.observed[r, i]) / expected
                if expected >= least:
                    judged[name] = ratio
                else:
                    low, high = poisson_interval(float(counts.observed[r, i]))
                    rare[name] = [ratio, low / expected, high / expected]
    low, high = bounds.role_rate_ratio_low, bounds.role_rate_ratio_high
    worst = max(judged, key=lambda k: abs(np.log(max(judged[k], 1e-9))), default="")
    yield Guard(
        "role_rate_ratio",
        bool(judged) and all(low <= v <= high for v in judged.values()),
        judged.get(worst),
        f"{low:g} .. {high:g} where >= {least:g} expected",
        {"worst": worst, "judged": len(judged), "rarer": rare},
    )


def or_ip(evidence: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """HIGH_RISK_IP given a risky linked device, within IP group and degree decile."""
    strata = []
    for table in evidence.network.sharing.astype(np.float64):
        n = table.sum(axis=(1, 2))
        # percent_rank of a degree inside its group: the share of IPs below it.
        below = (np.cumsum(n) - n) / max(n.sum() - 1.0, 1.0)
        decile = np.floor(10 * below).astype(np.int64)
        strata += [table[(decile == d) & (n > 0)].sum(axis=0) for d in range(11)]
    strata = [s for s in strata if s.sum() > 0]
    ratio, low, high = mantel_haenszel(np.array(strata).reshape(-1, 2, 2))
    least = _bounds(evidence).or_ip_min
    yield Guard(
        "or_ip",
        bool(ratio >= least and low > 1.0),
        number_or_null(ratio),
        f">= {least:g}, interval above 1",
        {"interval": [low, high] if np.isfinite(low) else None, "strata": len(strata)},
    )


def coverage_not_forced(evidence: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Some devices have no IP link."""
    linked, devices = (int(n) for n in evidence.counts.coverage)
    bound = _bounds(evidence).max_coverage
    yield Guard("coverage_not_forced", linked / devices <= bound, linked / devices, f"<= {bound:g}")


def tail_is_a_tail(evidence: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Sharing of IPs is heavy-tailed: p99.9 far above the median."""
    value, count = degrees(evidence.counts)
    weights = count.astype(np.float64)
    ratio = float(quantile(value, weights, 0.999) / quantile(value, weights, 0.5))
    bound = _bounds(evidence).min_tail_ratio
    yield Guard("tail_is_a_tail", ratio >= bound, number_or_null(ratio), f">= {bound:g}")


def product_coverage(evidence: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Required products are held by the share of parties that the policy requires."""
    holders, population = evidence.holders, evidence.parties_by_type
    required = evidence.pack.product_mix_priors.required_coverage
    coverage = {}
    for code in required:
        parties = population[evidence.pack.account_taxonomy.account_types[code].party_type]
        coverage[code] = holders[code] / parties if parties else 0.0
    yield Guard(
        "product_coverage",
        all(coverage[code] >= share for code, share in required.items()),
        min(coverage.values()),
        "policy required_coverage",
        coverage,
    )


def instrument_means(evidence: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Mean instruments over all accounts of a type against λ; three rounding errors allowed."""
    mix = evidence.pack.instrument_mix_priors
    tolerance = _bounds(evidence).instrument_mean_tolerance
    accounts = evidence.accounts_by_type
    observed = evidence.instrument_pairs
    worst, where, holds = 0.0, "", True
    for account, shares in mix.shares.items():
        for kind, share in shares.items():
            expected = mix.lambda_per_account[account] * share * accounts.get(account, 0)
            if expected <= 0:
                continue
            error = abs(observed.get((account, kind), 0) - expected)
            holds &= error <= max(tolerance * expected, 3.0)
            if error / expected > worst:
                worst, where = error / expected, f"{account} {kind}"
    yield Guard(
        "instrument_means",
        holds,
        worst,
        f"relative error <= {tolerance:g} or 3 instruments",
        {"worst": where},
    )


def country_heterogeneity(evidence: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Countries differ from their region in segment mix, visibly and within bounds."""
    rule = evidence.pack.segmentation_priors.country_modulation
    mixes = evidence.census("party").by("region", "country_iso", "segment_id")
    distances = [d for inside in mixes for d in _distances(inside, rule.min_parties)]
    median = float(np.median(distances)) if distances else float("nan")
    yield Guard(
        "country_heterogeneity",
        bool(distances)
        and rule.median_tv_low <= median <= rule.median_tv_high
        and max(distances) <= rule.max_tv,
        median if distances else None,
        f"median {rule.median_tv_low:g} .. {rule.median_tv_high:g}, max <= {rule.max_tv:g}",
        {"countries": len(distances), "max": max(distances, default=None)},
    )


def _distances(inside: NDArray[np.int64], least: int) -> Iterator[float]:
    """Total-variation distance of every country (countries, segments) from all of them."""
    whole = inside.sum(axis=0) / max(inside.sum(), 1)
    for row in inside[inside.sum(axis=1) >= max(least, 1)]:
        yield float(0.5 * np.abs(row / row.sum() - whole).sum())


def enrichment(evidence: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Endpoints of the highest degree are riskier than others."""
    by_degree = evidence.network.sharing.sum(axis=(0, 2)).astype(np.float64)
    n, high = by_degree.sum(axis=1), by_degree[:, 1]
    ratio = float("nan")
    if high.sum():
        cut = int(quantile(np.arange(n.size), n, 0.99))
        ratio = float((high[cut:].sum() / n[cut:].sum()) / (high.sum() / n.sum()))
    bound = _bounds(evidence).min_enrichment
    yield Guard("enrichment", ratio >= bound, number_or_null(ratio), f">= {bound:g}")


def conservation(evidence: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Integer plans equal published rows, except what was dropped and counted.

    Raises InputError for malformed plans.
    """
    document = evidence.published.document("integer_plans_6A")
    published = {
        "s1_parties": evidence.census("party").n,
        "s4_ips": int(evidence.counts.link_types.sum()),
    }
    published |= {code: n for code, n in evidence.accounts_by_type.items() if n}
    published |= {f"{a}/{k}": n for (a, k), n in evidence.instrument_pairs.items()}
    try:
        planned = _planned(document)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            "6A.S5.EVIDENCE_MISSING",
            f"integer_plans_6A is malformed: {type(error).__name__} {error}",
            where="integer_plans_6A.json",
            remedy="judge a run as it was published",
        ) from error
    broken = sorted(
        k for k in published.keys() | planned if published.get(k, 0) != planned.get(k, 0)
    )
    yield Guard("conservation", not broken, float(len(broken)), "0 plans off", {"broken": broken})


def _planned(document: Any) -> dict[str, int]:
    """Rows that the plans of S1–S4 imply, after counted drops and additions."""
    accounts, instruments = document["s2_accounts"], document["s3_instruments"]
    ips = document["s4_ips"]
    return {
        "s1_parties": int(document["s1_parties"]["world"]),
        **{code: int(p["plan"] - p["dropped"]) for code, p in accounts.items()},
        **{
            pair: int(p["plan"] - p["dropped"] + p["floor_excess"])
            for pair, p in instruments.items()
        },
        "s4_ips": int(sum(map(sum, ips["edge_quotas"])) - ips["unplaced"]),
    }


def role_coherence(evidence: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Role words of owners and assets belong together, and no owner role decides its assets."""
    bounds = _bounds(evidence)
    support = evidence.pack.validation_policy.support
    least_mules, least_users, most = (
        bounds.role_coherence_min_mule_owners,
        bounds.role_coherence_min_several_users,
        bounds.role_coherence_max_non_clean,
    )
    stated = {
        "role_coherence_mule_accounts": f">= {least_mules:g}",
        "role_coherence_shared_devices": f">= {least_users:g}",
        "role_coherence_non_clean": f"<= {most:g} where >= {support.min_risky_owners:g} assets",
    }
    owners, account, device = (
        evidence.pack.codes(f"{e}_raw_role") for e in ("party", "account", "device")
    )
    mules = evidence.owned("account").role_pairs[:, account.index(MULE_ACCOUNT)]
    run_by = np.array([owner in MULE_OWNERS for owner in owners])
    shared = evidence.network.users[device.index(SHARED_DEVICE)]
    for (name, bound), hits, of, least in zip(
        stated.items(),
        (int(mules[run_by].sum()), int(shared[1])),
        (int(mules.sum()), int(shared.sum())),
        (least_mules, least_users),
        strict=False,
    ):
        value = hits / of if of else float("nan")
        yield Guard(
            name,
            of >= support.min_for_share and value >= least,
            number_or_null(value),
            bound,
            {
                "interval": list(wilson(hits, of)),
                "support": of,
                "minimum_support": support.min_for_share,
            },
        )
    shares = {
        f"{asset} of {owner}": float(risky / (clean + risky))
        for asset in ASSETS
        for owner, (clean, risky) in zip(owners, evidence.owned(asset).owner_risk, strict=True)
        if clean + risky >= support.min_risky_owners
    }
    worst = max(shares, key=lambda name: shares[name], default="")
    yield Guard(
        "role_coherence_non_clean",
        bool(shares) and shares[worst] <= most,
        shares.get(worst),
        stated["role_coherence_non_clean"],
        {"worst": worst, "shares": shares},
    )


def network_transmission(evidence: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Risk is next to risk, on devices and on home lines, and does not give itself away there."""
    bounds = _bounds(evidence)
    least, most = bounds.transmission_min_odds_ratio, bounds.transmission_max_odds_ratio
    for place, strata in named(evidence.transmission):
        ratio, low, high = mantel_haenszel(strata.astype(np.float64))
        yield Guard(
            f"network_transmission_{place}",
            bool(low > least and ratio <= most),
            number_or_null(ratio),
            f"interval above {least:g}, <= {most:g}",
            {
                "interval": [low, high] if np.isfinite(low) else None,
                "exposed": int(strata[:, 1].sum()),
                "exposed_risky": int(strata[:, 1, 1].sum()),
            },
        )


LEAKAGE_KINDS = ("party", "account", "device", "ip")


def leakage(evidence: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """A depth-3 tree on one table's observable columns does not recover the label.

    Merchants have no guard: none of their tables has an observable column.
    """
    bound = _bounds(evidence).max_leakage_auc
    for kind in LEAKAGE_KINDS:
        # Distinct rows are few: the tree is fitted on their counts, so on the whole table.
        values, bad, good = evidence.census(kind).observed()
        inside = [values[:, 0] == group for group in np.unique(values[:, 0])]
        judged = [rows for rows in inside if bad[rows].sum() > 0 and good[rows].sum() > 0]
        tree = partial(_tree_auc, values[:, 1:], bad, good)
        areas, weights = list(prefetch(tree, judged)), [bad[rows].sum() for rows in judged]
        value = float(np.average(areas, weights=weights)) if areas else float("nan")
        yield Guard(f"leakage_{kind}", value <= bound, number_or_null(value), f"<= {bound:g}")


def _tree_auc(features: I64, bad: I64, good: I64, inside: NDArray[np.bool_]) -> float:
    """AUC of a depth-3 tree fitted on weighted rows inside a group; codes are one-hot encoded."""
    from sklearn.tree import DecisionTreeClassifier

    features, bad, good = features[inside], bad[inside], good[inside]
    hot = np.concatenate(
        [(f[:, None] == np.unique(f)[None, :]).astype(np.float32) for f in features.T], axis=1
    )
    rows = np.vstack([hot, hot])
    label = np.repeat([1, 0], bad.size)
    weight = np.concatenate([bad, good])
    tree = DecisionTreeClassifier(max_depth=3, random_state=0)
    tree.fit(rows, label, sample_weight=weight)
    score = tree.predict_proba(hot)[:, 1]
    values, at = np.unique(score, return_inverse=True)
    positive, negative = (np.bincount(at, w, values.size).astype(float) for w in (bad, good))
    return auc(positive, negative)


GUARDS: tuple[GuardCheck, ...] = (
    separability,
    role_rate_ratio,
    or_ip,
    coverage_not_forced,
    tail_is_a_tail,
    product_coverage,
    instrument_means,
    country_heterogeneity,
    enrichment,
    conservation,
    leakage,
    market_heterogeneity,
    wallet_devices,
    engagement_factor,
    household_composition,
    role_coherence,
    network_transmission,
    foreign_edges,
)
