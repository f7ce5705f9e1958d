"""Joint properties of published worlds, from their Parquet files alone, beside what must hold.

    .venv/bin/python benches/joints.py RUN [RUN …]

Crosses columns that no gate crosses by itself: who lives together, whose the mule accounts are,
which systems a country uses, whether a wallet has a device, who is seen on a campus or abroad, who
is risky beside whom. With two runs or more, also how far their seeds differ. Imports nothing of the
package.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

TABLES = (
    "s1_party_base", "s2_account_base", "s3_instrument_base", "s4_device_base", "s4_device_links",
    "s4_ip_base", "s4_ip_links", "s5_party_fraud_roles", "s5_account_fraud_roles",
    "s5_device_fraud_roles", "s4_circle_members",
)  # fmt: skip


@dataclass(frozen=True)
class Property:
    """A figure of one world: what it is, what must hold, and how to compute it."""

    name: str
    must_hold: str
    holds: Callable[[float], bool]
    query: str


def at_least(bound: float) -> tuple[str, Callable[[float], bool]]:
    """The bound as text, and whether a value keeps it."""
    return f">= {bound:g}", lambda value: value >= bound


def at_most(bound: float) -> tuple[str, Callable[[float], bool]]:
    """The bound as text, and whether a value keeps it."""
    return f"<= {bound:g}", lambda value: value <= bound


def between(low: float, high: float) -> tuple[str, Callable[[float], bool]]:
    """The bounds as text, and whether a value keeps them."""
    return f"{low:g} .. {high:g}", lambda value: low <= value <= high


HOMES = """WITH p AS (SELECT party_id, segment_id AS s, household_id AS h, country_iso AS c
  FROM s1_party_base WHERE party_type = 'RETAIL'),
 n AS (SELECT h, count(*) AS n, count(*) FILTER (s = 'RETAIL_STUDENT') AS students,
  count(*) FILTER (s = 'RETAIL_RETIRED') AS retired,
  count(*) FILTER (s IN ('RETAIL_FAMILY', 'RETAIL_MATURE')) AS parents FROM p GROUP BY h)
"""
OWNERS = """WITH r AS (SELECT a.raw_role AS role, o.raw_role AS owner
  FROM s5_account_fraud_roles a JOIN s2_account_base USING (account_id)
  JOIN s5_party_fraud_roles o ON o.party_id = owner_party_id)
"""
PHONES = """WITH d AS (SELECT primary_party_id AS p, home_country_iso AS c, os_family = 'IOS' AS ios
  FROM s4_device_base WHERE device_type = 'MOBILE_PHONE' AND primary_party_id IS NOT NULL)
"""
WALLETS = """WITH t AS (SELECT DISTINCT owner_party_id AS p, scheme FROM s3_instrument_base
  WHERE scheme IN ('APPLE_PAY', 'GOOGLE_PAY')),
 d AS (SELECT DISTINCT primary_party_id AS p, os_family AS os FROM s4_device_base
  WHERE primary_party_id IS NOT NULL AND device_type IN ('MOBILE_PHONE', 'WEARABLE', 'TABLET'))
"""
SEEN = """WITH n AS (SELECT segment_id AS s, ip_type AS t, count(*) AS n FROM s4_ip_links l
  JOIN s4_ip_base USING (ip_id) JOIN s4_device_base d ON d.device_id = l.device_id
  JOIN s1_party_base ON party_id = d.primary_party_id GROUP BY ALL),
 f AS (SELECT s, t, n / sum(n) OVER (PARTITION BY s) AS share FROM n)
"""
ABROAD = """SELECT avg((i.country_iso <> d.home_country_iso)::INT) FROM s4_ip_links
  JOIN s4_ip_base i USING (ip_id) JOIN s4_device_base d USING (device_id) WHERE ip_type IN {}"""
HELD = """WITH a AS (SELECT owner_party_id AS p, count(*) AS n FROM s2_account_base GROUP BY ALL),
 d AS (SELECT primary_party_id AS p, count(*) AS n FROM s4_device_base GROUP BY ALL),
 x AS (SELECT segment_id AS s, coalesce(a.n, 0) AS a, coalesce(d.n, 0) AS d FROM s1_party_base
  LEFT JOIN a ON a.p = party_id LEFT JOIN d ON d.p = party_id)
"""
RISK = """WITH r AS (SELECT party_id AS p, party_type AS t, region_id AS g, household_id AS h,
  (canonical_role_family <> 'CLEAN')::INT AS bad
  FROM s1_party_base JOIN s5_party_fraud_roles USING (party_id)),
 base AS (SELECT t, g, avg(bad) AS rate FROM r GROUP BY ALL)
"""
ON_DEVICE = """SELECT DISTINCT a.party_id AS p, b.party_id AS q FROM s4_device_links a
  JOIN s4_device_links b ON a.device_id = b.device_id AND a.party_id <> b.party_id"""
AT_HOME = """SELECT DISTINCT a.o AS p, b.o AS q FROM seen a JOIN seen b ON a.ip_id = b.ip_id
  AND a.o <> b.o"""
SEEN_AT_HOME = """, line AS (SELECT ip_id FROM s4_ip_links JOIN s4_ip_base USING (ip_id)
  WHERE ip_type = 'RESIDENTIAL' GROUP BY ip_id HAVING count(device_id) <= 80),
 seen AS (SELECT DISTINCT ip_id, primary_party_id AS o FROM s4_ip_links JOIN line USING (ip_id)
  JOIN s4_device_base USING (device_id) WHERE primary_party_id IS NOT NULL)
"""
BOTH_RISKY = """, pair AS ({}) SELECT sum(x.bad * y.bad) / sum(a.rate * b.rate) FROM pair
  JOIN r x ON x.p = pair.p JOIN r y ON y.p = pair.q JOIN base a ON a.t = x.t AND a.g = x.g
  JOIN base b ON b.t = y.t AND b.g = y.g"""
NEIGHBOURS = f""", near AS (SELECT a.p, b.p AS q FROM r a JOIN r b ON a.h = b.h AND a.p <> b.p
  UNION {ON_DEVICE} UNION SELECT a.party_id, b.party_id FROM s4_circle_members a
  JOIN s4_circle_members b ON a.circle_id = b.circle_id AND a.party_id <> b.party_id),
 s AS (SELECT near.p, avg(y.bad) AS share FROM near JOIN r y ON y.p = near.q GROUP BY near.p),
 k AS (SELECT bad, rank() OVER (ORDER BY share) + (count(*) OVER (PARTITION BY share) - 1) / 2 AS k
  FROM s JOIN r USING (p))
 SELECT (sum(k) FILTER (bad = 1) - sum(bad) * (sum(bad) + 1) / 2) / (sum(bad) * sum(1 - bad)) FROM k
"""
CIRCLES = """, c AS (SELECT circle_id, count(*) AS n, sum(bad) AS bad FROM s4_circle_members
  JOIN r ON p = party_id GROUP BY ALL)
"""
ALONE = "SELECT avg((n = 1)::INT) FROM p JOIN n USING (h) WHERE s = 'RETAIL_{}'"
CARDS = """SELECT (SELECT count(DISTINCT owner_party_id) FROM s2_account_base
  WHERE country_iso = '{0}' AND account_type LIKE 'RETAIL_CREDIT_CARD%')
  / (SELECT count(*) FROM s1_party_base WHERE country_iso = '{0}' AND party_type = 'RETAIL')"""

PROPERTIES = (
    Property("retail parties per home", *between(1.56, 1.84),
             HOMES + "SELECT avg(n) FROM n"),
    Property("FAMILY alone", *at_most(0.25), HOMES + ALONE.format("FAMILY")),
    Property("STUDENT in a shared home or with FAMILY or MATURE", *at_least(0.5),
             HOMES + "SELECT avg((students > 1 OR parents > 0)::INT) FROM p JOIN n USING (h)"
             " WHERE s = 'RETAIL_STUDENT'"),
    Property("RETIRED with RETIRED", *at_least(0.35),
             HOMES + "SELECT avg((retired > 1)::INT) FROM p JOIN n USING (h)"
             " WHERE s = 'RETAIL_RETIRED'"),
    Property("lift of two of one segment in homes of two", *at_least(2.0),
             HOMES + ", two AS (SELECT s, h, c FROM p JOIN n USING (h) WHERE n = 2),"
             " seen AS (SELECT c, avg((a = b)::INT) AS same, count(*) AS k FROM"
             " (SELECT h, any_value(c) AS c, min(s) AS a, max(s) AS b FROM two GROUP BY h)"
             " GROUP BY c), chance AS (SELECT c, sum(f * f) AS same FROM (SELECT c,"
             " n / sum(n) OVER (PARTITION BY c) AS f FROM (SELECT c, s, count(*) AS n FROM two"
             " GROUP BY c, s)) GROUP BY c)"
             " SELECT sum(seen.same * k) / sum(chance.same * k) FROM seen JOIN chance USING (c)"),
    Property("mule accounts of MULE, ASSOCIATE or ORGANISER", *at_least(0.4),
             OWNERS + "SELECT avg((owner IN ('MULE', 'ASSOCIATE', 'ORGANISER'))::INT) FROM r"
             " WHERE role = 'MULE_ACCOUNT'"),
    Property("largest non-clean share of accounts of an owner role", *at_most(0.35),
             OWNERS + "SELECT max(f) FROM (SELECT avg((role <> 'CLEAN_ACCOUNT')::INT) AS f FROM r"
             " GROUP BY owner)"),
    Property("SHARED_SUSPICIOUS devices with two users or more", *at_least(0.9),
             "SELECT avg((n > 1)::INT) FROM (SELECT device_id, count(party_id) AS n"
             " FROM s4_device_links JOIN s5_device_fraud_roles USING (device_id)"
             " WHERE raw_role = 'SHARED_SUSPICIOUS_DEVICE' GROUP BY device_id)"),
    Property("iOS among phones, US minus NG", *at_least(0.3),
             PHONES + "SELECT avg(ios::INT) FILTER (c = 'US') - avg(ios::INT) FILTER (c = 'NG')"
             " FROM d"),
    Property("iOS among phones, AFFLUENT minus VALUE", *at_least(0.1),
             PHONES + "SELECT avg(ios::INT) FILTER (segment_id = 'RETAIL_AFFLUENT')"
             " - avg(ios::INT) FILTER (segment_id = 'RETAIL_VALUE')"
             " FROM d JOIN s1_party_base ON party_id = p"),
    Property("holders of a credit card, JP over BD", *at_least(1.4),
             f"SELECT ({CARDS.format('JP')}) / ({CARDS.format('BD')})"),
    Property("APPLE_PAY owners with an iOS device", *at_least(0.98),
             WALLETS + "SELECT avg((p IN (SELECT p FROM d WHERE os = 'IOS'))::INT) FROM t"
             " WHERE scheme = 'APPLE_PAY'"),
    Property("GOOGLE_PAY owners with an Android device", *at_least(0.98),
             WALLETS + "SELECT avg((p IN (SELECT p FROM d WHERE os = 'ANDROID'))::INT) FROM t"
             " WHERE scheme = 'GOOGLE_PAY'"),
    Property("debit cards of AMEX", *at_most(0.0),
             "SELECT count(*) FROM s3_instrument_base WHERE instrument_type LIKE '%DEBIT%'"
             " AND scheme = 'AMEX'"),
    Property("EDUCATION links, STUDENT over RETIRED", *at_least(4.0),
             SEEN + "SELECT max(share) FILTER (s = 'RETAIL_STUDENT')"
             " / max(share) FILTER (s = 'RETAIL_RETIRED') FROM f WHERE t = 'EDUCATION'"),
    Property("HOTEL_TRAVEL links, AFFLUENT over VALUE", *at_least(2.0),
             SEEN + "SELECT max(share) FILTER (s = 'RETAIL_AFFLUENT')"
             " / max(share) FILTER (s = 'RETAIL_VALUE') FROM f WHERE t = 'HOTEL_TRAVEL'"),
    Property("VPN_PROXY and DATACENTRE links abroad", *between(0.25, 0.6),
             ABROAD.format("('VPN_PROXY', 'DATACENTRE')")),
    Property("HOTEL_TRAVEL and MOBILE links abroad", *between(0.03, 0.08),
             ABROAD.format("('HOTEL_TRAVEL', 'MOBILE')")),
    Property("other links abroad", *at_most(0.0),
             ABROAD.format("('RESIDENTIAL', 'CORPORATE', 'EDUCATION', 'PUBLIC_WIFI')")),
    Property("correlation of accounts and devices in a segment", *between(0.15, 0.4),
             HELD + "SELECT avg(r) FROM (SELECT corr(a, d) AS r FROM x WHERE s LIKE 'RETAIL%'"
             " GROUP BY s)"),
    Property("retail parties in circles", *between(0.11, 0.13),
             "SELECT (SELECT count(*) FROM s4_circle_members)"
             " / (SELECT count(*) FROM s1_party_base WHERE party_type = 'RETAIL')"),
    Property("members of a circle", *between(11.0, 13.0),
             RISK + CIRCLES + "SELECT avg(n) FROM c"),
    Property("circles with more than a fifth risky", *between(0.10, 0.20),
             RISK + CIRCLES + "SELECT avg((bad > .2 * n)::INT) FROM c"),
    Property("risky retail parties that are in these", *between(0.28, 0.48),
             RISK + CIRCLES + "SELECT sum(c.bad) FILTER (c.bad > .2 * n) / (SELECT sum(bad) FROM r"
             " WHERE t = 'RETAIL') FROM c"),
    Property("risky members of these", *between(0.3, 0.5),
             RISK + CIRCLES + "SELECT sum(bad) / sum(n) FROM c WHERE bad > .2 * n"),
    Property("pairs on a device both risky, over chance", *at_least(4.0),
             RISK + BOTH_RISKY.format(ON_DEVICE)),
    Property("pairs on a home line both risky, over chance", *at_least(4.0),
             RISK + SEEN_AT_HOME + BOTH_RISKY.format(AT_HOME)),
    Property("AUC of the share of risky neighbours", *between(0.65, 0.85), RISK + NEIGHBOURS),
)  # fmt: skip

SEEDS = {
    "region × segment": "SELECT region_id, segment_id, count(*) FROM s1_party_base GROUP BY ALL",
    "product": "SELECT account_type, '', count(*) FROM s2_account_base GROUP BY ALL",
    "device type": "SELECT device_type, '', count(*) FROM s4_device_base"
    " WHERE primary_party_id IS NOT NULL GROUP BY ALL",
}
"""What the seeds of several runs are compared in: cells and counts."""


def opened(run: Path) -> duckdb.DuckDBPyConnection:
    """The datasets of a run as views without their suffix."""
    connection = duckdb.connect()
    for name in TABLES:
        parts = sorted((run / "data/layer3/6A" / f"{name}_6A").rglob("part-*.parquet"))
        connection.read_parquet([str(p) for p in parts], hive_partitioning=False).create_view(name)
    return connection


def figures(world: duckdb.DuckDBPyConnection) -> Iterator[tuple[Property, float]]:
    """Every property of a world; NaN where it has none."""
    for of in PROPERTIES:
        ((value,),) = world.sql(of.query).fetchall()
        yield of, float("nan") if value is None else float(value)


def homogeneity(worlds: list[duckdb.DuckDBPyConnection], query: str) -> float:
    """χ² over degrees of freedom of the same cells in several worlds."""
    tables = [{(a, b): n for a, b, n in w.sql(query).fetchall()} for w in worlds]
    cells = sorted(set().union(*tables))
    seen = np.array([[t.get(c, 0) for c in cells] for t in tables], dtype=float)
    expected = np.outer(seen.sum(axis=1), seen.sum(axis=0)) / seen.sum()
    return float(((seen - expected) ** 2 / expected).sum() / (len(tables) - 1) / (len(cells) - 1))


def main() -> int:
    """Prints the table; status 1 if anything does not hold."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("runs", type=Path, nargs="+", help="folders of published runs")
    runs = options.parse_args().runs
    worlds = [opened(run) for run in runs]
    columns = [{p.name: v for p, v in figures(w)} for w in worlds]
    names = [run.name[:8] for run in runs]
    print(f"| property | must hold | {' | '.join(names)} |")
    print(f"|---|---|{'--:|' * len(names)}")
    missed = 0
    for of in PROPERTIES:
        values = [column[of.name] for column in columns]
        fails = [not of.holds(v) for v in values]
        missed += sum(fails)
        shown = [f"{v:.3g}{' FAILS' * bad}" for v, bad in zip(values, fails, strict=True)]
        print(f"| {of.name} | {of.must_hold} | {' | '.join(shown)} |")
    if len(worlds) > 1:
        print("\n| seeds, χ² / df | must hold | |\n|---|---|--:|")
        for name, query in SEEDS.items():
            ratio = homogeneity(worlds, query)
            bad = not 0.5 <= ratio <= 6.0
            missed += bad
            print(f"| {name} | 0.5 .. 6 | {ratio:.3g}{' FAILS' * bad} |")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
