"""Links across borders, from published tables of a demo world."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from fraudworld import find_run
from fraudworld.policy.borders import CROSSING
from fraudworld.policy.loader import load_pack

SHARE = load_pack().pack.graph_linkage_rules.abroad
LINKS = """
CREATE TEMP TABLE links AS
SELECT ip_id, device_id, link_role, ip_type, i.country_iso AS stands, home_country_iso AS lives,
i.region_id AS region, p.party_type
FROM s4_ip_links_6A JOIN s4_ip_base_6A i USING (ip_id) JOIN s4_device_base_6A USING (device_id)
LEFT JOIN s1_party_base_6A p ON p.party_id = primary_party_id
"""


@pytest.fixture(scope="module")
def links(demo_world: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Links of devices to endpoints, as table `links`."""
    with find_run(demo_world).duckdb() as connection:
        connection.execute(LINKS)
        yield connection


def test_the_share_abroad_is_that_of_the_policy(links: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT ip_type, avg((stands <> lives)::INT) FROM links GROUP BY ip_type"
    shares = dict(links.sql(query).fetchall())
    for name, share in shares.items():
        # Countries with few links of a type round.
        assert share == pytest.approx(SHARE.get(name, 0.0), abs=0.01), name
        assert (share > 0) == (name in CROSSING)


def test_devices_of_firms_are_seen_abroad_too(links: duckdb.DuckDBPyConnection) -> None:
    (proxies,) = links.sql(
        "SELECT avg((stands <> lives)::INT) FROM links WHERE party_type = 'BUSINESS'"
        " AND ip_type IN ('DATACENTRE', 'VPN_PROXY')"
    ).fetchall()
    assert 0.3 < proxies[0] < 0.5


def test_typical_endpoints_are_at_home(links: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT count(*) FROM links WHERE stands <> lives AND link_role = 'TYPICAL_DEVICE_IP'"
    assert links.sql(query).fetchall() == [(0,)]


def test_visitors_share_endpoints_with_residents(links: duckdb.DuckDBPyConnection) -> None:
    rows = links.sql(
        "SELECT count(*), avg((residents > 0)::INT), avg((countries >= 3)::INT) FROM"
        " (SELECT ip_id, count(*) AS n, count(DISTINCT lives) AS countries,"
        " sum((stands = lives)::INT) AS residents, sum((stands <> lives)::INT) AS visitors"
        " FROM links WHERE ip_type IN ('DATACENTRE', 'VPN_PROXY') GROUP BY ip_id)"
        " WHERE visitors > 0 AND n >= 10"
    ).fetchall()
    ((endpoints, with_residents, of_three_countries),) = rows
    assert endpoints > 500
    assert with_residents > 0.99
    assert of_three_countries > 0.9
