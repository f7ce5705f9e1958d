"""Segments are seen where they study, work and travel; from published tables of a demo world."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudworld import find_run

SHARES = """
SELECT segment_id, ip_type, n / sum(n) OVER (PARTITION BY segment_id) AS share
FROM (SELECT segment_id, ip_type, count(*) AS n FROM s4_ip_links_6A l
JOIN s4_ip_base_6A USING (ip_id)
JOIN s4_device_base_6A d ON d.device_id = l.device_id
JOIN s1_party_base_6A p ON p.party_id = d.primary_party_id
GROUP BY segment_id, ip_type)
"""


@pytest.fixture(scope="module")
def shares(demo_world: Path) -> dict[tuple[str, str], float]:
    """Share of a segment's links on a type of endpoint."""
    with find_run(demo_world).duckdb() as connection:
        rows = connection.sql(SHARES).fetchall()
    return {(segment, ip_type): share for segment, ip_type, share in rows}


@pytest.mark.parametrize(
    ("ip_type", "more", "fewer", "times"),
    [
        ("EDUCATION", "RETAIL_STUDENT", "RETAIL_RETIRED", 4.0),
        ("CORPORATE", "RETAIL_EARLY_CAREER", "RETAIL_STUDENT", 1.3),
        ("HOTEL_TRAVEL", "RETAIL_AFFLUENT", "RETAIL_VALUE", 3.0),
    ],
)
def test_a_segment_is_seen_where_it_belongs(
    shares: dict[tuple[str, str], float], ip_type: str, more: str, fewer: str, times: float
) -> None:
    assert shares[more, ip_type] >= times * shares[fewer, ip_type]


def test_homes_and_mobile_networks_are_everybodys(shares: dict[tuple[str, str], float]) -> None:
    for ip_type in ("RESIDENTIAL", "MOBILE"):
        retail = [v for (s, t), v in shares.items() if t == ip_type and s.startswith("RETAIL")]
        assert max(retail) < 1.4 * min(retail)
