"""Rows of the figures that come from sealed evidence: the counts and rows of the gates.

Every function takes parsed evidence and returns rows; nothing is judged again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.documents import Json, JsonObject
from fraudworld.gates.counts import Counts
from fraudworld.gates.statistics import Z95, wilson
from fraudworld.policy.pack import PolicyPack

Row = JsonObject
I64 = NDArray[np.int64]
BASIS_POINTS = 10_000
LEAST_EXPECTED = 5.0
"""Cells with fewer expected pairs get no odds ratio: it would be noise."""


def allowances(tests: Iterable[Mapping[str, Json]]) -> list[Row]:
    """The share of its grade-B bound that every metric uses; 1 is the limit.

    value / bound for upper bounds, bound / value for lower bounds; metrics that must equal a
    figure, and those without a value, are omitted.
    """
    rows = []
    for test in tests:
        b, bplus = test["threshold_B"], test["threshold_Bplus"]
        if b == bplus or not test["value"]:
            continue

        def used(value: float | None, *, above: bool = bplus > b, bound: float = b) -> float | None:
            return None if not value else bound / value if above else value / bound

        ends = sorted(v for v in (used(test["ci_low"]), used(test["ci_high"])) if v is not None)
        rows.append(
            {
                "test": test["test_id"].split("_")[0],
                "metric": test["metric_name"],
                "value": test["value"],
                "used": used(test["value"]),
                "low": ends[0] if len(ends) == 2 else None,
                "high": ends[-1] if len(ends) == 2 else None,
                "bplus": used(bplus),
                "verdict": verdict(test),
            }
        )
    return rows


def verdict(test: Mapping[str, Json]) -> str:
    """`B+`, `B`, `FAIL`, or `NO EVIDENCE` for insufficient evidence."""
    if test["status"] == "INSUFFICIENT_EVIDENCE":
        return "NO EVIDENCE"
    return "B+" if test["pass_Bplus"] else "B" if test["pass_B"] else "FAIL"


def ccdf(histogram: I64) -> list[Row]:
    """Share of holders with at least k, for every k ≥ 1 that occurs; histogram over 0, 1, …"""
    total = int(histogram[1:].sum())
    above = np.cumsum(histogram[::-1])[::-1]
    return [
        {"k": int(k), "count": int(histogram[k]), "share": int(above[k]) / total}
        for k in np.flatnonzero(histogram)
        if k
    ]


def per_owner(counts: Counts, asset: str) -> I64:
    """Parties by how many accounts or devices they own, from the owners' patterns."""
    owners: I64 = counts.patterns[asset].sum(axis=(0, 2))
    return owners


def owner_bounds(pack: PolicyPack) -> list[Row]:
    """The largest numbers of accounts and devices per party that the policy allows."""
    products = pack.account_taxonomy.account_types.items()
    laws = pack.account_per_party_priors.counts
    together = (
        sum(laws[product].cap for product, kind in products if kind.party_type == owner)
        for owner in pack.codes("party_type")
    )
    return [
        {"what": "accounts", "bound": max(together), "why": "sum of K_max of a party type"},
        {
            "what": "devices",
            "bound": pack.device_count_priors.max_owned_per_party,
            "why": "max_owned_per_party",
        },
    ]


def caps(counts: Counts, pack: PolicyPack) -> list[Row]:
    """Per product: the cap, the largest holding, and the breaches of the cap."""
    rows = []
    for product, held in zip(pack.codes("account_type"), counts.held, strict=True):
        cap = pack.account_per_party_priors.counts[product].cap
        n = np.arange(held.size)
        beyond = held * np.maximum(n - cap, 0)
        rows.append(
            {
                "product": product,
                "k_max": cap,
                "largest": int(np.flatnonzero(held).max(initial=0)),
                "holders": int(held[1:].sum()),
                "parties_over": int(held[cap + 1 :].sum()),
                "accounts_over": int(beyond.sum()),
            }
        )
    return rows


def ip_types(counts: Counts, pack: PolicyPack) -> list[Row]:
    """Share of device–IP links by region of the device and IP type, and the policy's share."""
    rows = []
    for region, links in zip(pack.codes("region"), counts.link_types, strict=True):
        mix = pack.ip_count_priors.edge_shares[region]
        for kind, n in zip(pack.codes("ip_type"), links, strict=True):
            share = int(n) / max(int(links.sum()), 1)
            policy = mix.get(kind, 0.0)
            rows.append(
                {
                    "region": region,
                    "ip_type": kind,
                    "links": int(n),
                    "policy": policy,
                    "observed": share,
                    "error_pp": 100 * (share - policy),
                }
            )
    return rows


def role_shares(counts: Counts, pack: PolicyPack) -> list[Row]:
    """Share of every raw role per entity type, and the share that the priors imply."""
    tiers = pack.fraud_role_taxonomy.tier_shares
    rows = []
    for kind in pack.fraud_role_taxonomy.entities:
        priors = getattr(pack, f"{kind}_role_priors")
        weights, observed = _groups(counts, pack, kind)
        expected = dict.fromkeys(pack.codes(f"{kind}_raw_role"), 0.0)
        for group, weight in weights.items():
            remainder = weight
            for role, figures in priors.roles[group].items():
                share = weight * sum(t * f for t, f in zip(tiers, figures, strict=True))
                expected[role] += share / BASIS_POINTS
                remainder -= share / BASIS_POINTS
            expected[priors.remainder[group]] += remainder
        n = max(int(observed.sum()), 1)
        rows += [
            {"entity": kind, "role": role, "policy": expected[role], "observed": int(k) / n}
            for role, k in zip(pack.codes(f"{kind}_raw_role"), observed, strict=True)
        ]
    return rows


def _groups(counts: Counts, pack: PolicyPack, kind: str) -> tuple[dict[str, float], I64]:
    """Share of entities per role group, and entities per raw role."""
    if kind == "merchant":
        return dict(pack.merchant_role_priors.class_mix), counts.merchants.sum(axis=1)
    roles = counts.roles[kind]
    sizes = roles.sum(axis=(0, 2)) / max(int(roles.sum()), 1)
    names = pack.codes("party_type" if kind == "party" else f"{kind}_group")
    return dict(zip(names, map(float, sizes), strict=True)), roles.sum(axis=(0, 1))


def strata(counts: Counts, pack: PolicyPack) -> list[Row]:
    """Odds ratio of a risky asset given a risky owner, per region and owned asset group."""
    regions = pack.codes("region")
    rows = []
    for asset, flat in counts.strata.items():
        groups = pack.codes(f"{asset}_group")
        cells = flat.reshape(-1, len(regions), len(groups), 2, 2).sum(axis=0)
        for r, region in enumerate(regions):
            rows += [
                {"asset": asset, "region": region, "group": group, **odds_ratio(cells[r, g])}
                for g, group in enumerate(groups)
                if cells[:, g].sum()
            ]
    return rows


def odds_ratio(cells: I64) -> Row:
    """Haldane's odds ratio of a 2×2 table (owner, asset) with Woolf's 95 % interval.

    All three are None where a cell expects fewer than LEAST_EXPECTED. The interval treats
    assets as independent; that of T7 resamples owners and is wider.
    """
    total = int(cells.sum())
    expected = np.outer(cells.sum(axis=1), cells.sum(axis=0)) / max(total, 1)
    support = {"assets": total, "risky_pairs": int(cells[1, 1]), "expected": float(expected[1, 1])}
    if not total or expected.min() < LEAST_EXPECTED:
        return {**support, "odds_ratio": None, "low": None, "high": None}
    (a, b), (c, d) = (cells + 0.5).tolist()
    centre = math.log(a * d / (b * c))
    half = Z95 * math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    ends = {"low": math.exp(centre - half), "high": math.exp(centre + half)}
    return {**support, "odds_ratio": math.exp(centre), **ends}


def instruments(counts: Counts, pack: PolicyPack) -> list[Row]:
    """Mean instruments per account by account and instrument type, with λ and its floor."""
    mix, kinds = pack.instrument_mix_priors, pack.codes("instrument_type")
    rows = []
    for a, account in enumerate(pack.codes("account_type")):
        accounts = int(np.arange(counts.held.shape[1]) @ counts.held[a])
        if account not in mix.shares or not accounts:
            continue
        rows += [
            {
                "account_type": account,
                "instrument_type": kind,
                "floor": kind in mix.floors.get(account, {}),
                "policy": mix.lambda_per_account[account] * share,
                "observed": int(counts.instruments[a, kinds.index(kind)]) / accounts,
            }
            for kind, share in mix.shares[account].items()
        ]
    return rows


def role_pairs(counts: Counts, pack: PolicyPack) -> list[Row]:
    """Count, odds ratio and interval for every pair of owner role and asset role."""
    rows: list[Row] = []
    for asset, grid in counts.role_pairs.items():
        owners, assets = pack.codes("party_raw_role"), pack.codes(f"{asset}_raw_role")
        for (i, o), (j, a) in itertools.product(enumerate(owners), enumerate(assets)):
            count, of_owner, of_asset = grid[i, j], grid[i].sum(), grid[:, j].sum()
            rest = grid.sum() - of_owner - of_asset + count
            two = np.array([[rest, of_asset - count], [of_owner - count, count]])
            rows.append({"asset": asset, "owner_role": o, "asset_role": a, **odds_ratio(two)})
    return rows


def risk_by_degree(counts: Counts) -> list[Row]:
    """Share of HIGH_RISK_IP by the number of devices on an IP, in doubling bins, with intervals."""
    rows, table = [], counts.high_risk_degrees
    for exponent in range(int(table.shape[0] - 1).bit_length()):
        least, most = 2**exponent, 2 ** (exponent + 1) - 1
        clean, risky = table[least : most + 1].sum(axis=0).tolist()
        if not clean + risky:
            continue
        low, high = wilson(risky, clean + risky)
        label = str(least) if least == most else f"{least}–{most}"
        counted = {"ips": clean + risky, "risky": risky, "share": risky / (clean + risky)}
        rows.append({"devices": label, "least": least, **counted, "low": low, "high": high})
    return rows


def effects(tests: Iterable[Mapping[str, Json]], guards: Iterable[Mapping[str, Json]]) -> list[Row]:
    """The odds ratios of T7 and of the IP guard, with all intervals in the evidence."""
    rows = []
    for test in tests:
        if test["test_id"].startswith("T7") and test["value"] is not None:
            what, more = test["metric_name"].removeprefix("or_"), test["details"]
            rows.append(_effect(what, "crude, parties resampled", test["value"], _ends(test)))
            rows.append(
                _effect(what, "crude, row by row", test["value"], more.get("row_wise_interval"))
            )
            if more.get("mantel_haenszel") is not None:
                stratified, ends = more["mantel_haenszel"], more.get("mantel_haenszel_interval")
                rows.append(_effect(what, "within strata", stratified, ends))
    for guard in guards:
        if guard["guard_id"] == "or_ip" and guard["value"] is not None:
            ends = guard["details"].get("interval")
            rows.append(_effect("ip", "within strata", guard["value"], ends))
    return rows


def _ends(test: Mapping[str, Json]) -> tuple[Any, Any]:
    return test["ci_low"], test["ci_high"]


def _effect(asset: str, method: str, value: float, ends: Sequence[Any] | None) -> Row:
    low, high = ends if ends else (None, None)
    return {"asset": asset, "method": method, "odds_ratio": value, "low": low, "high": high}


def steps(events: Iterable[Mapping[str, Json]]) -> list[Row]:
    """Wall seconds, CPU seconds, rows and peak memory of every timed substep, in order."""
    keys = ("sequence", "state", "step", "elapsed_s", "cpu_s", "rows", "peak_rss_mib", "status")
    return [{key: event[key] for key in keys} for event in events]


def seeds(summary: Mapping[str, Json] | None) -> list[Row]:
    """Every metric of T9 by seed, relative to its mean over the seeds.

    Distances are omitted: their target is zero, so a ratio to their mean is meaningless.
    """
    if summary is None:
        return []
    names = list(summary["seeds"])
    rows = []
    for metric in summary["stability"]:
        values = metric["values"]
        if metric["scale"] != "mean" or None in values or not sum(values):
            continue
        mean = sum(values) / len(values)
        rows += [
            {
                "metric": metric["metric_name"],
                "seed": seed,
                "value": value,
                "ratio": value / mean,
                "spread": metric["value"],
            }
            for seed, value in zip(names, values, strict=True)
        ]
    return rows
