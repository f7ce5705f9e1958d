"""Joint properties of published worlds, from their Parquet files alone, beside what must hold.

    .venv/bin/python benches/joints.py RUN [RUN …]

Crosses columns that no gate crosses by itself: who lives together, whose the mule accounts are,
which systems a country uses, whether a wallet has a device, who is seen on a campus. With two runs
or more, also how far their seeds differ. Imports nothing of the package.
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
    "s5_device_fraud_roles",
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
HELD = """WITH a AS (SELECT owner_party_id AS p, count(*) AS n FROM s2_account_base GROUP BY ALL),
 d AS (SELECT primary_party_id AS p, count(*) AS n FROM s4_device_base GROUP BY ALL),
 x AS (SELECT segment_id AS s, coalesce(a.n, 0) AS a, coalesce(d.n, 0) AS d FROM s1_party_base
  LEFT JOIN a ON a.p = party_id LEFT JOIN d ON d.p = party_id)
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
    Property("correlation of accounts and devices in a segment", *between(0.15, 0.4),
             HELD + "SELECT avg(r) FROM (SELECT corr(a, d) AS r FROM x WHERE s LIKE 'RETAIL%'"
             " GROUP BY s)"),
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
