"""Guards: what a good score must not be bought with. One that fails blocks B+."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import BY_NAME
from fraudworld.gates.evidence import Evidence, crossed
from fraudworld.gates.gate import Guard, Row
from fraudworld.gates.network import degrees, quantile
from fraudworld.gates.roles import ENTITIES, role_counts
from fraudworld.gates.statistics import auc, mantel_haenszel

GuardCheck = Callable[[Evidence, tuple[Row, ...]], Iterator[Guard]]


def _bounds(seen: Evidence):  # type: ignore[no-untyped-def]
    return seen.pack.validation_policy.guards


def separability(seen: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Risk is a tendency, not a label: odds ratios bounded, no feature gives owners away."""
    bounds = _bounds(seen)
    ratios = {r.metric_name: r.value for r in rows if r.test_id == "T7_RISK_PROPAGATION_EFFECT"}
    known = [v for v in ratios.values() if v is not None]
    yield Guard(
        "separability_odds_ratio",
        len(known) == 2 and max(known) <= bounds.separability_max_odds_ratio,
        max(known, default=None),
        f"<= {bounds.separability_max_odds_ratio:g}",
        ratios,
    )
    risky = seen.of("party").risky
    features = {"instruments": seen.instruments[1]}
    for kind in ("account", "device"):
        features[f"{kind}s"], features[f"risky_{kind}s"] = seen.per_party(kind)
    areas = {}
    for name, values in features.items():
        counts = crossed((risky, 2), (values, int(values.max()) + 1)).astype(np.float64)
        areas[name] = auc(counts[1], counts[0]) if counts[1].sum() else float("nan")
    worst = max(areas.values())
    yield Guard(
        "separability_single_feature",
        worst <= bounds.separability_max_auc,
        worst,
        f"<= {bounds.separability_max_auc:g}",
        areas,
    )


def role_rate_ratio(seen: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Every non-clean role near its prior rate wherever enough of it is expected."""
    bounds = _bounds(seen)
    least = seen.pack.validation_policy.support.min_expected_for_rate_ratio
    regions = (*seen.pack.codes("region"), "world")
    judged: dict[str, float] = {}
    rare: dict[str, float] = {}
    sample = seen.sample
    for entity in ENTITIES:
        counts = role_counts(sample, entity)
        priors = getattr(seen.pack, f"{entity}_role_priors")
        remainders = set(priors.remainder.values())
        for r, region in enumerate(regions):
            for i, role in enumerate(counts.roles):
                if role in remainders or counts.expected[r, i] <= 0:
                    continue
                ratio = counts.observed[r, i] / counts.expected[r, i]
                target = judged if counts.expected[r, i] >= least else rare
                target[f"{entity} {role} {region}"] = float(ratio)
    low, high = bounds.role_rate_ratio_low, bounds.role_rate_ratio_high
    worst = max(judged, key=lambda k: abs(np.log(max(judged[k], 1e-9))), default="")
    yield Guard(
        "role_rate_ratio",
        bool(judged) and all(low <= v <= high for v in judged.values()),
        judged.get(worst),
        f"{low:g} .. {high:g} where >= {least:g} expected",
        {"worst": worst, "judged": len(judged), "rarer": rare},
    )


def or_ip(seen: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """HIGH_RISK_IP given a risky linked device, within IP group and degree decile."""
    strata = []
    for table in seen.sharing.astype(np.float64):
        n = table.sum(axis=(1, 2))
        # percent_rank of a degree inside its group: the share of IPs below it.
        below = (np.cumsum(n) - n) / max(n.sum() - 1.0, 1.0)
        decile = np.floor(10 * below).astype(np.int64)
        strata += [table[(decile == d) & (n > 0)].sum(axis=0) for d in range(11)]
    strata = [s for s in strata if s.sum() > 0]
    ratio, low, high = mantel_haenszel(np.array(strata).reshape(-1, 2, 2))
    least = _bounds(seen).or_ip_min
    yield Guard(
        "or_ip",
        bool(ratio >= least and low > 1.0),
        ratio if np.isfinite(ratio) else None,
        f">= {least:g}, interval above 1",
        {"interval": [low, high] if np.isfinite(low) else None, "strata": len(strata)},
    )


def coverage_not_forced(seen: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Some devices stay unseen."""
    linked, devices = (int(n) for n in seen.counts.coverage)
    bound = _bounds(seen).max_coverage
    yield Guard("coverage_not_forced", linked / devices <= bound, linked / devices, f"<= {bound:g}")


def tail_is_a_tail(seen: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Sharing of IPs is heavy-tailed: p99.9 far above the median."""
    value, count = degrees(seen.counts)
    weights = count.astype(np.float64)
    ratio = float(quantile(value, weights, 0.999) / quantile(value, weights, 0.5))
    bound = _bounds(seen).min_tail_ratio
    yield Guard("tail_is_a_tail", ratio >= bound, ratio, f">= {bound:g}")


def product_coverage(seen: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Required products are held by the share of parties the policy asks for."""
    found, holds = {}, True
    holders = seen.held[:, 1:].sum(axis=1)
    types = seen.pack.codes("account_type")
    population = crossed((seen.of("party").codes["party_type"], len(seen.groups("party"))))
    for code, share in seen.pack.product_mix_priors.required_coverage.items():
        kind = seen.pack.account_taxonomy.account_types[code].party_type
        held = holders[types.index(code)] / population[seen.groups("party").index(kind)]
        found[code] = float(held)
        holds &= bool(held >= share)
    yield Guard("product_coverage", holds, min(found.values()), "policy required_coverage", found)


def instrument_means(seen: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Mean instruments over all accounts of a type against λ; three rounding errors allowed."""
    mix = seen.pack.instrument_mix_priors
    tolerance = _bounds(seen).instrument_mean_tolerance
    accounts = _accounts(seen)
    made = seen.instrument_pairs
    worst, where, holds = 0.0, "", True
    for account, shares in mix.shares.items():
        for kind, share in shares.items():
            expected = mix.lambda_per_account[account] * share * accounts.get(account, 0)
            if expected <= 0:
                continue
            error = abs(made.get((account, kind), 0) - expected)
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


def country_heterogeneity(seen: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Countries differ from their region in segment mix: noticeably, and within bounds."""
    rule = seen.pack.segmentation_priors.country_modulation
    summary = seen.published.columns(
        BY_NAME["s1_party_summary_6A"], "country_iso", "region_id", "segment_id", "party_count"
    )
    segments = len(seen.pack.codes("segment"))
    mixes: dict[int, dict[int, NDArray[np.int64]]] = {}
    for country, region, segment, n in zip(*summary.values(), strict=True):
        mix = mixes.setdefault(int(region), {}).setdefault(
            int(country), np.zeros(segments, dtype=np.int64)
        )
        mix[segment] += n
    distances = [d for inside in mixes.values() for d in _distances(inside, rule.min_parties)]
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


def _distances(inside: dict[int, NDArray[np.int64]], least: int) -> Iterator[float]:
    """Total-variation distance of each country of one region from the region's mix."""
    counts = np.array(list(inside.values()), dtype=np.float64)
    region = counts.sum(axis=0) / counts.sum()
    for row in counts[counts.sum(axis=1) >= least]:
        yield float(0.5 * np.abs(row / row.sum() - region).sum())


def enrichment(seen: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """The busiest endpoints are riskier than the rest."""
    by_degree = seen.sharing.sum(axis=(0, 2)).astype(np.float64)
    n, high = by_degree.sum(axis=1), by_degree[:, 1]
    cut = int(quantile(np.arange(n.size), n, 0.99))
    top, overall = high[cut:].sum() / n[cut:].sum(), high.sum() / n.sum()
    ratio = float(top / overall) if overall > 0 else 0.0
    bound = _bounds(seen).min_enrichment
    yield Guard("enrichment", ratio >= bound, ratio, f">= {bound:g}")


def conservation(seen: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Integer plans equal published rows, except what was dropped and counted."""
    plans = seen.published.document("integer_plans_6A")
    broken: list[str] = []
    if plans["s1_parties"]["world"] != seen.of("party").n:
        broken.append("s1_parties")
    made = _accounts(seen)
    broken += [
        code
        for code, p in plans["s2_accounts"].items()
        if made.get(code, 0) != p["plan"] - p["dropped"]
    ]
    carried = {f"{a}/{k}": n for (a, k), n in seen.instrument_pairs.items()}
    broken += [
        pair
        for pair, p in plans["s3_instruments"].items()
        if carried.get(pair, 0) != p["plan"] - p["dropped"] + p["floor_excess"]
    ]
    links = int(seen.counts.link_types.sum())
    planned = sum(map(sum, plans["s4_ips"]["edge_quotas"]))
    if links != planned - plans["s4_ips"]["unplaced"]:
        broken.append("s4_ips")
    yield Guard("conservation", not broken, float(len(broken)), "0 plans off", {"broken": broken})


LEAKAGE_KINDS = ("party", "account", "device", "ip")


def leakage(seen: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """A shallow tree on one table's observable columns does not recover the label.

    Merchants publish no observable column of their own; their guard says so.
    """
    bound = _bounds(seen).max_leakage_auc
    for kind in LEAKAGE_KINDS:
        found = seen.of(kind)
        risky = found.risky
        if kind == "ip":
            risky = found.raw == seen.pack.codes("ip_raw_role").index("HIGH_RISK_IP")
        # Few distinct rows: counted first, and the tree sees the whole table exactly.
        values, bad, good = seen.observed(kind, risky)
        areas, weights = [], []
        for g in np.unique(values[:, 0]):
            inside = values[:, 0] == g
            if bad[inside].sum() > 0 and good[inside].sum() > 0:
                areas.append(_tree_auc(values[inside, 1:], bad[inside], good[inside]))
                weights.append(bad[inside].sum())
        value = float(np.average(areas, weights=weights)) if areas else float("nan")
        yield Guard(f"leakage_{kind}", value <= bound, value if areas else None, f"<= {bound:g}")


def _accounts(seen: Evidence) -> dict[str, int]:
    return dict(zip(seen.pack.codes("account_type"), seen.accounts_by_type.tolist(), strict=True))


def _tree_auc(
    features: NDArray[np.int64], bad: NDArray[np.int64], good: NDArray[np.int64]
) -> float:
    """AUC of a depth-3 tree fitted on every row (by weight); codes are one-hot encoded."""
    from sklearn.tree import DecisionTreeClassifier

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
)
