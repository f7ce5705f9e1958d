"""Small aggregates of published tables, by SQL. Rows of entities never leave this module."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from fraudworld.audit.world import PublishedWorld
from fraudworld.report.evidence import Z95, Row, odds_ratio

ASSETS = (
    ("account", "s2_account_base", "owner_party_id"),
    ("device", "s4_device_base", "primary_party_id"),
)
LARGEST_COUNTRIES = 30


def rows_of(world: PublishedWorld, query: str) -> list[Row]:
    """A query's result as plain rows."""
    found = world.sql.execute(query)
    names = [column[0] for column in found.description]
    return [dict(zip(names, values, strict=True)) for values in found.fetchall()]


def population(world: PublishedWorld) -> list[Row]:
    """Parties by country, region, party type and segment."""
    return rows_of(
        world,
        "SELECT country_iso AS country, region_id AS region, party_type, segment_id AS segment,"
        " party_count::BIGINT AS parties FROM s1_party_summary ORDER BY ALL",
    )


def lorenz(cells: Sequence[Row]) -> list[Row]:
    """Countries from the largest down: parties, share, and the shares accumulated."""
    parties: dict[tuple[str, str], int] = defaultdict(int)
    for cell in cells:
        parties[cell["country"], cell["region"]] += cell["parties"]
    ordered = sorted(parties.items(), key=lambda item: (-item[1], item[0]))
    total, reached, rows = sum(parties.values()), 0, []
    for rank, ((country, region), n) in enumerate(ordered, 1):
        reached += n
        rows.append(
            {
                "rank": rank,
                "country": country,
                "region": region,
                "parties": n,
                "share": n / total,
                "share_so_far": reached / total,
                "countries_so_far": rank / len(ordered),
            }
        )
    return rows


def party_types(world: PublishedWorld, cells: Sequence[Row]) -> list[Row]:
    """Share of party types per region, beside the policy's."""
    mix = world.pack.population_priors.party_type_mix
    return [
        {**dict(zip(("region", "party_type"), key, strict=True)), **_share(n, of, policy)}
        for key, n, of, policy in _shares(
            cells, ("region",), "party_type", lambda key: mix[key[0]].get(key[1], 0.0)
        )
    ]


def segments(world: PublishedWorld, cells: Sequence[Row]) -> list[Row]:
    """Segments within a party type per region, with Pearson's residual (O − E) / √E."""
    mix = world.pack.segmentation_priors.segment_mix
    return [
        {**dict(zip(("region", "party_type", "segment"), key, strict=True)), **_share(n, of, share)}
        for key, n, of, share in _shares(
            cells, ("region", "party_type"), "segment", lambda key: mix[key[0]][key[1]][key[2]]
        )
    ]


def segments_by_country(world: PublishedWorld, cells: Sequence[Row]) -> list[Row]:
    """Segments within a party type in the largest countries, largest first, beside their
    region's policy.
    """
    mix = world.pack.segmentation_priors.segment_mix
    shown = {row["country"]: row["rank"] for row in lorenz(cells)[:LARGEST_COUNTRIES]}
    names = ("country", "region", "party_type", "segment")
    rows = [
        {**dict(zip(names, key, strict=True)), **_share(n, of, share)}
        for key, n, of, share in _shares(
            [cell for cell in cells if cell["country"] in shown],
            names[:3],
            "segment",
            lambda key: mix[key[1]][key[2]][key[3]],
        )
    ]
    return sorted(rows, key=lambda row: shown[row["country"]])


def products(world: PublishedWorld, cells: Sequence[Row]) -> list[Row]:
    """Accounts per party of the product's type, beside λ0, which profiles tilt."""
    parties: dict[str, int] = defaultdict(int)
    for cell in cells:
        parties[cell["party_type"]] += cell["parties"]
    held = rows_of(
        world,
        "SELECT account_type, party_type, sum(account_count)::BIGINT AS accounts"
        " FROM s2_account_summary GROUP BY ALL ORDER BY ALL",
    )
    priors = world.pack.product_mix_priors.lambda_per_party
    return [
        {
            **row,
            "policy": priors[row["account_type"]],
            "observed": row["accounts"] / parties[row["party_type"]],
        }
        for row in held
    ]


def instruments(world: PublishedWorld) -> list[Row]:
    """Instruments per account by account and instrument type, beside λ, floors marked."""
    mix = world.pack.instrument_mix_priors
    accounts = {
        row["account_type"]: row["n"]
        for row in rows_of(
            world,
            "SELECT account_type, sum(account_count)::BIGINT AS n FROM s2_account_summary"
            " GROUP BY ALL",
        )
    }
    carried = {
        (row["account_type"], row["instrument_type"]): row["n"]
        for row in rows_of(
            world,
            "SELECT account_type, instrument_type, count(*) AS n FROM s3_instrument_base"
            " JOIN s2_account_base USING (account_id) GROUP BY ALL",
        )
    }
    return [
        {
            "account_type": account,
            "instrument_type": kind,
            "floor": kind in mix.floors.get(account, {}),
            "policy": mix.lambda_per_account[account] * share,
            "observed": carried.get((account, kind), 0) / accounts[account],
        }
        for account, shares in mix.shares.items()
        for kind, share in shares.items()
        if account in accounts
    ]


def role_pairs(world: PublishedWorld) -> list[Row]:
    """Every pair of an owner's raw role and its asset's: count, odds ratio and interval."""
    rows: list[Row] = []
    for asset, base, owner in ASSETS:
        seen = {
            (row["owner_role"], row["asset_role"]): row["n"]
            for row in rows_of(
                world,
                "SELECT p.raw_role AS owner_role, r.raw_role AS asset_role, count(*) AS n"
                f" FROM {base} b JOIN s5_{asset}_fraud_roles r USING ({asset}_id)"
                f" JOIN s5_party_fraud_roles p ON p.party_id = b.{owner} GROUP BY ALL",
            )
        }
        owners, assets = world.pack.codes("party_raw_role"), world.pack.codes(f"{asset}_raw_role")
        grid = np.array([[seen.get((o, a), 0) for a in assets] for o in owners], dtype=np.int64)
        for (i, o), (j, a) in product(enumerate(owners), enumerate(assets)):
            both, of_owner, of_asset = grid[i, j], grid[i].sum(), grid[:, j].sum()
            rest = grid.sum() - of_owner - of_asset + both
            two = np.array([[rest, of_asset - both], [of_owner - both, both]])
            rows.append({"asset": asset, "owner_role": o, "asset_role": a, **odds_ratio(two)})
    return rows


def risk_by_degree(world: PublishedWorld) -> list[Row]:
    """Share of HIGH_RISK_IP among IPs by devices on them, in doubling bins, with intervals."""
    bins = rows_of(
        world,
        "SELECT floor(log2(k))::INT AS bin, count(*) AS ips,"
        " count(*) FILTER (raw_role = 'HIGH_RISK_IP') AS risky FROM ("
        "SELECT ip_id, count(DISTINCT device_id) AS k FROM s4_ip_links WHERE device_id IS NOT NULL"
        " GROUP BY ip_id) JOIN s5_ip_fraud_roles USING (ip_id) GROUP BY ALL ORDER BY ALL",
    )
    rows = []
    for row in bins:
        low, high = wilson(row["risky"], row["ips"])
        least, most = 2 ** row["bin"], 2 ** (row["bin"] + 1) - 1
        label = str(least) if least == most else f"{least}–{most}"
        counted = {"ips": row["ips"], "risky": row["risky"], "share": row["risky"] / row["ips"]}
        rows.append({"devices": label, "least": least, **counted, "low": low, "high": high})
    return rows


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share; n > 0."""
    share, z2 = hits / n, Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * ((share * (1 - share) + z2 / (4 * n)) / n) ** 0.5 / (1 + z2 / n)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def _shares(cells: Sequence[Row], outer: Sequence[str], inner: str, policy: Any) -> list[Any]:
    """(key, count, count of the outer key, policy share) of every combination seen."""
    counts: dict[tuple[str, ...], int] = defaultdict(int)
    totals: dict[tuple[str, ...], int] = defaultdict(int)
    for cell in cells:
        group = tuple(cell[name] for name in outer)
        counts[*group, cell[inner]] += cell["parties"]
        totals[group] += cell["parties"]
    return [(key, n, totals[key[:-1]], policy(key)) for key, n in sorted(counts.items())]


def _share(n: int, of: int, policy: float) -> Row:
    expected = of * policy
    return {
        "parties": n,
        "of": of,
        "policy": policy,
        "observed": n / of,
        "difference_pp": 100 * (n / of - policy),
        "residual": (n - expected) / expected**0.5 if expected else None,
    }
