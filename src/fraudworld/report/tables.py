"""Aggregates of published tables, by SQL; no row of a single entity leaves this module."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from fraudworld.report.evidence import Row
from fraudworld.store.published import PublishedWorld

LARGEST_COUNTRIES = 30


def rows_of(world: PublishedWorld, query: str) -> list[Row]:
    """Rows of a query, as dicts."""
    result = world.sql.execute(query)
    names = [column[0] for column in result.description]
    return [dict(zip(names, values, strict=True)) for values in result.fetchall()]


def population(world: PublishedWorld) -> list[Row]:
    """Parties by country, region, party type and segment."""
    return rows_of(
        world,
        "SELECT country_iso AS country, region_id AS region, party_type, segment_id AS segment,"
        " party_count::BIGINT AS parties FROM s1_party_summary ORDER BY ALL",
    )


def lorenz(cells: Sequence[Row]) -> list[Row]:
    """Countries by decreasing size: parties, share and cumulative share."""
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
    """Share of party types per region, in the world and in the policy."""
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
    """Segments within a party type in the largest countries, largest first, and
    the policy of their region.
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
    """Accounts per party of the product's party type, and the base rate λ0 before profiles."""
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


def _shares(cells: Sequence[Row], outer: Sequence[str], inner: str, policy: Any) -> list[Any]:
    """(key, count, count of the outer key, policy share) of every occurring combination."""
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
