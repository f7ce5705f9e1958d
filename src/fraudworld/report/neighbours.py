"""Graph neighbourhoods of a few dozen parties: household, accounts, instruments, devices, IPs.

The sample is deterministic: PER_ROLE parties of every party type and fraud role, chosen by a
multiplicative hash of their ids. Every column of nodes is truncated at LONGEST, and the number
of omitted nodes is stated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from fraudworld.documents import JsonObject
from fraudworld.report.evidence import Row
from fraudworld.report.tables import rows_of
from fraudworld.store.published import PublishedWorld

PER_ROLE = 3
LONGEST = 12
"""Nodes of one type in a picture at most, to keep it legible."""
COLUMNS = {"ip": 0, "device": 1, "party": 2, "account": 3, "instrument": 4}
SHARED = "SHARED_IP"
"""The family of endpoints that is neither clean nor a sign of fraud."""
HASH = "({id} * 2654435761) % 4294967296"

SAMPLE = f"""
CREATE OR REPLACE TEMP TABLE ego AS
SELECT unnest(ids) AS ego, party_type, raw_role FROM (
  SELECT party_type, raw_role, min_by(party_id, {HASH.format(id="party_id")}, {PER_ROLE}) AS ids
  FROM s1_party_base JOIN s5_party_fraud_roles USING (party_id) GROUP BY ALL)
"""
PEOPLE = """
SELECT ego, party_id AS id, string_agg(DISTINCT how, ', ' ORDER BY how) AS how FROM (
  SELECT ego, ego AS party_id, 'chosen' AS how FROM ego
  UNION ALL SELECT e.ego, o.party_id, 'shares the home' FROM ego e
    JOIN s1_party_base p ON p.party_id = e.ego
    JOIN s1_party_base o ON o.household_id = p.household_id AND o.party_id <> e.ego
  UNION ALL SELECT e.ego, o.party_id, 'same firm' FROM ego e
    JOIN s1_party_base p ON p.party_id = e.ego
    JOIN s1_party_base o ON o.business_group_id = p.business_group_id AND o.party_id <> e.ego
  UNION ALL SELECT d.ego, o.party_id, 'shares a device' FROM ego_device d
    JOIN s4_device_links o ON o.device_id = d.device_id
    WHERE o.party_id IS NOT NULL AND o.party_id <> d.ego)
GROUP BY ALL
"""
NODES = {
    "party": """SELECT ego, id, how, segment_id AS what, country_iso AS place, raw_role, risk_tier
      FROM ego_party JOIN s1_party_base p ON p.party_id = id
      JOIN s5_party_fraud_roles r ON r.party_id = id""",
    "account": """SELECT ego, id, 'owns' AS how, account_type AS what, currency AS place,
        raw_role, risk_tier
      FROM ego_account JOIN s2_account_base a ON a.account_id = id
      JOIN s5_account_fraud_roles r ON r.account_id = id""",
    "instrument": """SELECT ego, instrument_id AS id, 'on the account' AS how,
        instrument_type AS what, scheme AS place, NULL AS raw_role, NULL AS risk_tier
      FROM ego_account e JOIN s3_instrument_base i ON i.account_id = e.id""",
    "device": """SELECT ego, d.device_id AS id, link_role AS how, device_type AS what,
        os_family AS place, raw_role, risk_tier
      FROM ego_device d JOIN s4_device_base USING (device_id)
      JOIN s5_device_fraud_roles USING (device_id)""",
    "ip": """SELECT ego, ip_id AS id, 'seen on' AS how, ip_type AS what, country_iso AS place,
        raw_role, risk_tier, devices
      FROM ego_ip JOIN s4_ip_base USING (ip_id) JOIN s5_ip_fraud_roles USING (ip_id)
      JOIN busy USING (ip_id)""",
}
EDGES = """
SELECT ego, 'party' AS a, e.ego AS a_id, 'account' AS b, id AS b_id FROM ego_account e
UNION ALL SELECT ego, 'account', e.id, 'instrument', instrument_id FROM ego_account e
  JOIN s3_instrument_base i ON i.account_id = e.id
UNION ALL SELECT DISTINCT d.ego, 'device', d.device_id, 'party', l.party_id FROM ego_device d
  JOIN s4_device_links l USING (device_id) WHERE l.party_id IS NOT NULL
UNION ALL SELECT DISTINCT ego, 'ip', ip_id, 'device', device_id FROM ego_seen
"""


def neighbourhoods(world: PublishedWorld) -> dict[str, list[Row]]:
    """Rows of `parties`, with the counts of omitted nodes, and of their `nodes` and `edges`.

    Nodes have coordinates: x is the column of their type, y lies in −1 … 1.
    """
    _gather(world)
    risky = {
        (kind, raw)
        for kind, vocabulary in world.pack.fraud_role_taxonomy.entities.items()
        for raw, family in vocabulary.mapping.items()
        if family not in (vocabulary.clean_family, SHARED)
    }
    kept: dict[tuple[int, str], list[Row]] = defaultdict(list)
    cut: dict[int, list[str]] = defaultdict(list)
    for kind, query in NODES.items():
        for row in rows_of(world, f"{query} ORDER BY ego, how <> 'chosen', id"):
            node = {**row, "kind": kind, "risky": (kind, row["raw_role"]) in risky}
            kept[row["ego"], kind].append(node)
    for (ego, kind), nodes in kept.items():
        if len(nodes) > LONGEST:
            cut[ego].append(f"{len(nodes) - LONGEST} more {kind}s")
            del nodes[LONGEST:]
        if kind == "party":
            nodes.insert(len(nodes) // 2, nodes.pop(0))  # the chosen party is in the middle
    edges = rows_of(world, f"{EDGES} ORDER BY ALL")
    drawn = _drawn(kept, edges)
    chosen = rows_of(world, "SELECT * FROM ego ORDER BY party_type DESC, raw_role, ego")
    parties = [
        {**row, "label": _label(row), "left_out": ", ".join(cut[row["ego"]])} for row in chosen
    ]
    return {
        "parties": parties,
        "nodes": [_place(node, nodes) for nodes in kept.values() for node in nodes],
        "edges": list(drawn),
    }


def _gather(world: PublishedWorld) -> None:
    """Creates temporary tables of the chosen parties' entities, scanning each dataset once."""
    world.sql.execute(SAMPLE)
    for name, query in (
        (
            "ego_account",
            "SELECT ego, account_id AS id FROM s2_account_base JOIN ego ON owner_party_id = ego",
        ),
        (
            "ego_device",
            "SELECT ego, device_id, min(link_role) AS link_role FROM s4_device_links"
            " JOIN ego ON party_id = ego GROUP BY ALL",
        ),
        (
            "ego_seen",
            "SELECT ego, ip_id, device_id FROM s4_ip_links JOIN ego_device USING (device_id)",
        ),
        ("ego_ip", "SELECT DISTINCT ego, ip_id FROM ego_seen"),
        (
            "busy",
            "SELECT ip_id, count(DISTINCT device_id) AS devices FROM s4_ip_links"
            " WHERE ip_id IN (SELECT ip_id FROM ego_ip) GROUP BY ip_id",
        ),
        ("ego_party", PEOPLE),
    ):
        world.sql.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}")


def _drawn(kept: dict[tuple[int, str], list[Row]], edges: Iterable[Row]) -> Iterator[Row]:
    """Yields the edges between kept nodes, with the coordinates of both ends."""
    places = {
        (ego, kind, node["id"]): _place(node, nodes)
        for (ego, kind), nodes in kept.items()
        for node in nodes
    }
    for edge in edges:
        a = places.get((edge["ego"], edge["a"], edge["a_id"]))
        b = places.get((edge["ego"], edge["b"], edge["b_id"]))
        if a and b:
            ends = {"x": a["x"], "y": a["y"], "x2": b["x"], "y2": b["y"]}
            yield {"ego": edge["ego"], **ends, "risky": a["risky"] and b["risky"]}


def _place(node: Row, column: Sequence[Row]) -> Row:
    """Adds coordinates to a node: a column per type, evenly spaced and centred."""
    at = next(i for i, other in enumerate(column) if other["id"] == node["id"])
    y = 1 - 2 * (at + 0.5) / len(column)
    return {**node, "x": COLUMNS[node["kind"]], "y": round(y, 4)}


def _label(row: JsonObject) -> str:
    return f"{row['party_type']} {row['raw_role']}: party {row['ego']}"
