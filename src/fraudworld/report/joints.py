"""Rows of the figures that cross columns: homes, markets, risk next to risk, two circles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from fraudworld.documents import Json
from fraudworld.gates.statistics import wilson
from fraudworld.report.evidence import Row
from fraudworld.report.tables import rows_of
from fraudworld.store.published import PublishedWorld

LEAST_PHONES = 300
"""Phones, or retail parties, of a country below which it is not shown."""
FEWEST, MOST = 8, 14
"""Members of the two circles that are drawn."""
DRAWN_DEVICES = 30
"""Devices drawn for one circle at most."""

TOGETHER = """
WITH p AS (SELECT party_id, household_id AS h, segment_id AS s, region_id AS r FROM s1_party_base
  WHERE household_id IS NOT NULL),
 met AS (SELECT a.s AS segment, b.s AS other, a.r, count(*) AS pairs
  FROM p a JOIN p b ON a.h = b.h AND a.party_id <> b.party_id GROUP BY ALL),
 side AS (SELECT segment, r, sum(pairs) AS pairs FROM met GROUP BY ALL),
 chance AS (SELECT a.segment, b.segment AS other,
  sum(a.pairs * b.pairs / t.pairs ORDER BY r) AS expected
  FROM side a JOIN side b USING (r)
  JOIN (SELECT r, sum(pairs) AS pairs FROM side GROUP BY r) t USING (r) GROUP BY ALL),
 seen AS (SELECT segment, other, sum(pairs)::BIGINT AS pairs FROM met GROUP BY ALL)
SELECT segment, other, coalesce(pairs, 0) AS pairs, expected,
  CASE WHEN expected >= 5 THEN coalesce(pairs, 0) / expected END AS lift
FROM chance LEFT JOIN seen USING (segment, other) ORDER BY ALL
"""
HOMES = """
WITH n AS (SELECT household_id AS h, count(*) AS n FROM s1_party_base
  WHERE household_id IS NOT NULL GROUP BY h),
 k AS (SELECT segment_id AS segment, least(n, 6)::INTEGER AS lives_with, count(*) AS parties
  FROM s1_party_base JOIN n ON h = household_id GROUP BY ALL)
SELECT *, parties / sum(parties) OVER (PARTITION BY segment) AS share FROM k ORDER BY ALL
"""
SYSTEMS = """
SELECT home_country_iso AS country, any_value(home_region_id) AS region, count(*) AS phones,
  count(*) FILTER (os_family = 'IOS') AS ios
FROM s4_device_base WHERE device_type = 'MOBILE_PHONE' AND primary_party_id IS NOT NULL
GROUP BY ALL HAVING count(*) >= {least} ORDER BY country
"""
CARDS = """
WITH held AS (SELECT DISTINCT owner_party_id AS party_id FROM s2_account_base
  WHERE account_type LIKE 'RETAIL_CREDIT_CARD%')
SELECT country_iso AS country, any_value(region_id) AS region, count(*) AS parties,
  count(held.party_id) AS holders
FROM s1_party_base LEFT JOIN held USING (party_id) WHERE party_type = 'RETAIL'
GROUP BY ALL HAVING count(*) >= {least} ORDER BY country
"""
RISKY = """
CREATE OR REPLACE TEMP TABLE circle AS
SELECT circle_id, count(*) AS members, count(*) FILTER (canonical_role_family <> 'CLEAN') AS risky
FROM s4_circle_members JOIN s5_party_fraud_roles USING (party_id) GROUP BY circle_id
"""
BINS = """
SELECT least(ceil(10 * risky / members), 10)::INTEGER AS tenths, count(*) AS circles,
  sum(members)::BIGINT AS members, sum(risky)::BIGINT AS risky
FROM circle GROUP BY ALL ORDER BY ALL
"""
CHOSEN = """
SELECT circle_id, members, risky FROM circle WHERE members BETWEEN {fewest} AND {most}
ORDER BY {order} LIMIT 1
"""
MEMBERS = """
SELECT party_id AS id, segment_id AS what, raw_role, canonical_role_family <> 'CLEAN' AS risky
FROM s4_circle_members JOIN s1_party_base USING (party_id)
JOIN s5_party_fraud_roles USING (party_id) WHERE circle_id = {circle} ORDER BY household_id, id
"""
DEVICES = """
WITH m AS (SELECT party_id FROM s4_circle_members WHERE circle_id = {circle}),
 used AS (SELECT DISTINCT device_id, party_id FROM s4_device_links JOIN m USING (party_id))
SELECT device_id AS id, device_type AS what, raw_role,
  canonical_role_family <> 'CLEAN_DEVICE' AS risky,
  list(DISTINCT party_id ORDER BY party_id) AS ends
FROM used JOIN s4_device_base USING (device_id) JOIN s5_device_fraud_roles USING (device_id)
GROUP BY ALL HAVING count(DISTINCT party_id) > 1 ORDER BY id LIMIT {most}
"""
LINES = """
WITH m AS (SELECT device_id, party_id FROM s4_device_base
  JOIN s4_circle_members ON party_id = primary_party_id WHERE circle_id = {circle})
SELECT ip_id AS id, ip_type AS what, raw_role, raw_role = 'HIGH_RISK_IP' AS risky,
  list(DISTINCT party_id ORDER BY party_id) AS ends
FROM s4_ip_links JOIN m USING (device_id) JOIN s4_ip_base USING (ip_id)
JOIN s5_ip_fraud_roles USING (ip_id) WHERE ip_type = 'RESIDENTIAL'
GROUP BY ALL HAVING count(DISTINCT party_id) > 2 ORDER BY count(DISTINCT party_id) DESC, id LIMIT 1
"""


def homes(world: PublishedWorld) -> list[Row]:
    """Retail parties of a segment by the parties of their home, 6 standing for more."""
    return rows_of(world, HOMES)


def living_together(world: PublishedWorld) -> list[Row]:
    """Ordered pairs of segments in one home, against chance among those who share one in a region.

    lift: pairs over expected ones, None where fewer than five are expected.
    """
    return rows_of(world, TOGETHER)


def systems_by_country(world: PublishedWorld) -> list[Row]:
    """Share of iOS among phones, with Wilson's interval, and the policy's share."""
    policy = world.pack.device_count_priors.mobile_platform.ios_share
    return [
        {**row, "policy": policy.countries.get(row["country"], policy.regions[row["region"]]),
         **_share(row["ios"], row["phones"])}
        for row in rows_of(world, SYSTEMS.format(least=LEAST_PHONES))
    ]  # fmt: skip


def cards_by_country(world: PublishedWorld) -> list[Row]:
    """Share of retail parties with a credit card, and the policy's card ownership of adults."""
    policy = world.pack.product_mix_priors.country_rates.card_ownership
    return [
        {**row, "policy": policy.countries.get(row["country"], policy.regions[row["region"]]),
         **_share(row["holders"], row["parties"])}
        for row in rows_of(world, CARDS.format(least=LEAST_PHONES))
    ]  # fmt: skip


def transmission(guards: Iterable[Mapping[str, Json]]) -> Iterator[Row]:
    """Odds ratios of the guards `network_transmission_*` that are known, with intervals."""
    said = {"device": "on a device", "endpoint": "on a home line"}
    for guard in guards:
        place = guard["guard_id"].removeprefix("network_transmission_")
        interval = guard["details"].get("interval")
        if place in said and guard["value"] is not None and interval:
            low, high = interval
            exposed = {k: guard["details"][k] for k in ("exposed", "exposed_risky")}
            yield {"beside": said[place], "odds_ratio": guard["value"], "low": low,
                   "high": high if math.isfinite(high) else None, **exposed}  # fmt: skip


def circles(world: PublishedWorld) -> dict[str, list[Row]]:
    """Circles by share of risky members, and two of them drawn: nodes and edges.

    The bad one has most risky members among circles of 8 to 14; the innocent one has none.
    Coordinates lie in −1 … 1. All lists are empty in a world without circles.
    """
    world.sql.execute(RISKY)
    total = max(int(world.value("SELECT count(*) FROM circle")), 1)
    bins = [{**row, "share": row["circles"] / total} for row in rows_of(world, BINS)]
    nodes, edges = list[Row](), list[Row]()
    orders = {
        "a circle with risk": "risky DESC, circle_id",
        "an innocent circle": f"risky, abs(members - {FEWEST + 4}), circle_id",
    }
    for which, order in orders.items():
        for row in rows_of(world, CHOSEN.format(fewest=FEWEST, most=MOST, order=order)):
            drawn = _drawn(world, row["circle_id"], which)
            nodes += drawn[0]
            edges += drawn[1]
    return {"circle_risk": bins, "circle_nodes": nodes, "circle_edges": edges}


def _drawn(world: PublishedWorld, circle: int, which: str) -> tuple[list[Row], list[Row]]:
    """Members on a ring, each shared device between its users, the line in the middle."""
    members = rows_of(world, MEMBERS.format(circle=circle))
    at: dict[int, tuple[float, float]] = {}
    nodes, edges = list[Row](), list[Row]()
    for i, member in enumerate(members):
        angle = 2.0 * math.pi * i / len(members)
        at[member["id"]] = (math.sin(angle), math.cos(angle))
        nodes.append({"which": which, "kind": "party", **member, **_point(*at[member["id"]])})
    things = [("device", row) for row in
              rows_of(world, DEVICES.format(circle=circle, most=DRAWN_DEVICES))]  # fmt: skip
    things += [("line", row) for row in rows_of(world, LINES.format(circle=circle))]
    risky = {member["id"] for member in members if member["risky"]}
    for kind, thing in things:
        ends = thing.pop("ends")
        x, y = (sum(at[end][axis] for end in ends) / len(ends) for axis in (0, 1))
        x, y = (0.0, 0.0) if kind == "line" else (0.8 * x, 0.8 * y)
        nodes.append({"which": which, "kind": kind, **thing, **_point(x, y)})
        for end in ends:
            far = {"x2": round(at[end][0], 4), "y2": round(at[end][1], 4)}
            edges.append({"which": which, "kind": kind, **_point(x, y), **far,
                          "risky": thing["risky"] and end in risky})  # fmt: skip
    return nodes, edges


def _point(x: float, y: float) -> Row:
    return {"x": round(x, 4), "y": round(y, 4)}


def _share(hits: int, n: int) -> Row:
    low, high = wilson(hits, n)
    return {"observed": hits / n, "low": low, "high": high}
