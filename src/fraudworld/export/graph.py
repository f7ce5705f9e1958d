"""The property graph of a world: which tables are nodes and which are edges, for all exporters.

The id of a node is the key of its table. An edge is a query with the columns `source`, `target`
and the edge's properties. Fraud roles are node properties, which observable exports omit.
"""

from __future__ import annotations

from dataclasses import dataclass

from fraudworld.contracts import BY_NAME, Table


@dataclass(frozen=True)
class Node:
    """A node label; `table` is None for merchants, of which only roles are published."""

    label: str
    entity: str
    table: str | None

    @property
    def key(self) -> str:
        """Name of the key column."""
        return f"{self.entity}_id"

    @property
    def roles(self) -> str | None:
        """Table of fraud roles, or None."""
        name = f"s5_{self.entity}_fraud_roles_6A"
        return name if name in BY_NAME else None

    def columns(self, *, truth: bool) -> list[str]:
        """Names of the properties, without the key; truth: with the fraud role."""
        names = [] if self.table is None else [c.name for c in _table(self.table).columns]
        if truth and self.roles:
            names += [c.name for c in _table(self.roles).columns]
        return [name for name in dict.fromkeys(names) if name != self.key]

    def query(self, *, truth: bool) -> str:
        """SELECT of key and properties, ordered by key."""
        columns = ", ".join([self.key, *self.columns(truth=truth)])
        if self.table is None:  # merchant ids are observable, their roles are not
            return f"SELECT {columns} FROM {self.roles} ORDER BY {self.key}"
        joined = f" JOIN {self.roles} USING ({self.key})" if truth and self.roles else ""
        return f"SELECT {columns} FROM {self.table}{joined} ORDER BY {self.key}"


@dataclass(frozen=True)
class Edge:
    """An edge type between two node labels."""

    type: str
    source: str
    target: str
    query: str
    columns: tuple[str, ...] = ()


NODES = (
    Node("Party", "party", "s1_party_base_6A"),
    Node("Account", "account", "s2_account_base_6A"),
    Node("Instrument", "instrument", "s3_instrument_base_6A"),
    Node("Device", "device", "s4_device_base_6A"),
    Node("Ip", "ip", "s4_ip_base_6A"),
    Node("Merchant", "merchant", None),
)
NODE = {node.label: node for node in NODES}


def _device_link(type_: str, target: str, column: str, *roles: str) -> Edge:
    listed = ", ".join(f"'{r}'" for r in roles)
    return Edge(
        type_,
        "Device",
        target,
        f"SELECT device_id AS source, {column} AS target, link_role FROM s4_device_links_6A"
        f" WHERE link_role IN ({listed})",
        ("link_role",),
    )


EDGES = (
    Edge(
        "OWNS",
        "Party",
        "Account",
        "SELECT owner_party_id AS source, account_id AS target FROM s2_account_base_6A",
    ),
    Edge(
        "CARRIES",
        "Account",
        "Instrument",
        "SELECT account_id AS source, instrument_id AS target FROM s3_account_instrument_links_6A",
    ),
    _device_link("USED_BY", "Party", "party_id", "PRIMARY_OWNER", "SECONDARY_USER"),
    _device_link("REACHES", "Account", "account_id", "ASSOCIATED_ACCOUNT_ACCESS"),
    _device_link("PAYS_WITH", "Instrument", "instrument_id", "ASSOCIATED_INSTRUMENT_ACCESS"),
    _device_link("TERMINAL_OF", "Merchant", "merchant_id", "MERCHANT_TERMINAL"),
    Edge(
        "SEEN_ON",
        "Device",
        "Ip",
        "SELECT device_id AS source, ip_id AS target, link_role FROM s4_ip_links_6A"
        " WHERE device_id IS NOT NULL",
        ("link_role",),
    ),
    Edge(
        "ENDPOINT_OF",
        "Ip",
        "Merchant",
        "SELECT ip_id AS source, merchant_id AS target, link_role FROM s4_ip_links_6A"
        " WHERE merchant_id IS NOT NULL",
        ("link_role",),
    ),
)


def _table(name: str) -> Table:
    return BY_NAME[name]
