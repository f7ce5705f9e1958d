"""Guards: what a good score must not be bought with. One that fails blocks B+."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from fraudworld.gates.evidence import Evidence
from fraudworld.gates.gate import Guard, Row
from fraudworld.gates.network import quantile
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
    features = {
        "accounts": "SELECT owner AS id, count(*) AS v FROM account GROUP BY owner",
        "risky_accounts": "SELECT owner AS id, count(*) FILTER (risky) AS v"
        " FROM account GROUP BY owner",
        "devices": "SELECT owner AS id, count(*) AS v FROM device GROUP BY owner",
        "risky_devices": "SELECT owner AS id, count(*) FILTER (risky) AS v"
        " FROM device GROUP BY owner",
        "instruments": "SELECT owner_party_id AS id, count(*) AS v"
        " FROM s3_instrument_base GROUP BY ALL",
    }
    areas = {}
    for name, query in features.items():
        counts = np.array(
            seen.sql.execute(
                f"SELECT count(*) FILTER (risky), count(*) FILTER (NOT risky) FROM party"
                f" LEFT JOIN ({query}) f ON f.id = party_id GROUP BY coalesce(v, 0) ORDER BY"
                f" coalesce(v, 0)"
            ).fetchall(),
            dtype=np.float64,
        )
        areas[name] = auc(counts[:, 0], counts[:, 1]) if counts[:, 0].sum() else float("nan")
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
    for entity in ENTITIES:
        counts = role_counts(seen, entity)
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
    strata = np.array(
        seen.sql.execute(
            "SELECT count(*) FILTER (n_risky = 0 AND NOT h), count(*) FILTER (n_risky = 0 AND h),"
            " count(*) FILTER (n_risky > 0 AND NOT h), count(*) FILTER (n_risky > 0 AND h) FROM"
            " (SELECT *, raw_role = 'HIGH_RISK_IP' AS h,"
            "  floor(10 * percent_rank() OVER (PARTITION BY role_group ORDER BY k)) AS decile"
            "  FROM ip WHERE k > 0) GROUP BY role_group, decile ORDER BY role_group, decile"
        ).fetchall(),
        dtype=np.float64,
    ).reshape(-1, 2, 2)
    ratio, low, high = mantel_haenszel(strata)
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
    linked, devices = seen.coverage
    bound = _bounds(seen).max_coverage
    yield Guard("coverage_not_forced", linked / devices <= bound, linked / devices, f"<= {bound:g}")


def tail_is_a_tail(seen: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Sharing of IPs is heavy-tailed: p99.9 far above the median."""
    value, count = seen.degrees.T
    weights = count.astype(np.float64)
    ratio = float(quantile(value, weights, 0.999) / quantile(value, weights, 0.5))
    bound = _bounds(seen).min_tail_ratio
    yield Guard("tail_is_a_tail", ratio >= bound, ratio, f">= {bound:g}")


def product_coverage(seen: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Required products are held by the share of parties the policy asks for."""
    found, holds = {}, True
    for code, share in seen.pack.product_mix_priors.required_coverage.items():
        kind = seen.pack.account_taxonomy.account_types[code].party_type
        held = seen.world.value(
            f"SELECT count(DISTINCT owner) FROM account WHERE account_type = '{code}'"
        ) / seen.world.value(f"SELECT count(*) FROM party WHERE party_type = '{kind}'")
        found[code] = held
        holds &= held >= share
    yield Guard("product_coverage", holds, min(found.values()), "policy required_coverage", found)


def instrument_means(seen: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Mean instruments over all accounts of a type against λ; three rounding errors allowed."""
    mix = seen.pack.instrument_mix_priors
    tolerance = _bounds(seen).instrument_mean_tolerance
    accounts = dict(
        seen.sql.execute("SELECT account_type, count(*) FROM account GROUP BY ALL").fetchall()
    )
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
    rows_ = seen.sql.execute(
        "SELECT country_iso, region_id, segment_id, sum(party_count)::BIGINT FROM s1_party_summary"
        " GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    mixes: dict[str, dict[str, dict[str, int]]] = {}
    for country, region, segment, n in rows_:
        mixes.setdefault(region, {}).setdefault(country, {})[segment] = n
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


def _distances(inside: dict[str, dict[str, int]], least: int) -> Iterator[float]:
    """Total-variation distance of each country of one region from the region's mix."""
    segments = sorted({s for mix in inside.values() for s in mix})
    counts = np.array([[mix.get(s, 0) for s in segments] for mix in inside.values()], dtype=float)
    region = counts.sum(axis=0) / counts.sum()
    for row in counts[counts.sum(axis=1) >= least]:
        yield float(0.5 * np.abs(row / row.sum() - region).sum())


def enrichment(seen: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """The busiest endpoints are riskier than the rest."""
    ratio = seen.world.value(
        "WITH t AS (SELECT quantile_disc(k, 0.99) AS cut FROM ip WHERE k > 0)"
        " SELECT avg((raw_role = 'HIGH_RISK_IP')::INT) FILTER (k >= cut)"
        " / avg((raw_role = 'HIGH_RISK_IP')::INT) FROM ip, t WHERE k > 0"
    )
    bound = _bounds(seen).min_enrichment
    yield Guard("enrichment", ratio >= bound, ratio, f">= {bound:g}")


def conservation(seen: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """Integer plans equal published rows, except what was dropped and counted."""
    path = seen.world.run / "data/layer3/6A/validation/integer_plans_6A.json"
    plans = json.loads(path.read_text("utf-8"))
    broken: list[str] = []
    parties = int(seen.world.value("SELECT count(*) FROM party"))
    if plans["s1_parties"]["world"] != parties:
        broken.append("s1_parties")
    made: dict[str, int] = dict(
        seen.sql.execute("SELECT account_type, count(*) FROM account GROUP BY ALL").fetchall()
    )
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
    links = int(seen.link_types.sum())
    planned = sum(map(sum, plans["s4_ips"]["edge_quotas"]))
    if links != planned - plans["s4_ips"]["unplaced"]:
        broken.append("s4_ips")
    yield Guard("conservation", not broken, float(len(broken)), "0 plans off", {"broken": broken})


LEAKAGE_SOURCES = {
    "party": (
        "SELECT party_type AS g, risky, segment_id, region_id, country_iso FROM party"
        " JOIN s1_party_base USING (party_id, party_type, segment_id, region_id)"
    ),
    "account": (
        "SELECT role_group AS g, risky, a.account_type, b.segment_id, b.region_id, b.currency"
        " FROM account a JOIN s2_account_base b USING (account_id)"
    ),
    "device": "SELECT role_group AS g, risky, device_type, os_family, ua_family, region_id"
    " FROM device",
    "ip": (
        "SELECT role_group AS g, raw_role = 'HIGH_RISK_IP' AS risky, ip_type, asn_class,"
        " ip_version,"
        " region_id FROM ip"
    ),
}


def leakage(seen: Evidence, rows: tuple[Row, ...]) -> Iterator[Guard]:
    """A shallow tree on one table's observable columns does not recover the label."""
    bound = _bounds(seen).max_leakage_auc
    for entity, source in LEAKAGE_SOURCES.items():
        # Few distinct rows: group first, and the tree sees the whole table exactly.
        table = seen.sql.execute(
            f"SELECT * EXCLUDE (risky), count(*) FILTER (risky), count(*) FILTER (NOT risky)"
            f" FROM ({source}) GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        columns = list(zip(*table, strict=True))
        features = np.stack([_numbered(c) for c in columns[1:-2]], axis=1)
        groups = _numbered(columns[0])
        bad, good = (np.array(c, dtype=np.float64) for c in columns[-2:])
        areas, weights = [], []
        for g in np.unique(groups):
            inside = groups == g
            if bad[inside].sum() > 0 and good[inside].sum() > 0:
                areas.append(_tree_auc(features[inside], bad[inside], good[inside]))
                weights.append(bad[inside].sum())
        value = float(np.average(areas, weights=weights)) if areas else float("nan")
        yield Guard(f"leakage_{entity}", value <= bound, value if areas else None, f"<= {bound:g}")


def _numbered(values: tuple[object, ...]) -> NDArray[np.float64]:
    names = sorted({str(v) for v in values})
    return np.array([names.index(str(v)) for v in values], dtype=np.float64)


def _tree_auc(
    features: NDArray[np.float64], bad: NDArray[np.float64], good: NDArray[np.float64]
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
