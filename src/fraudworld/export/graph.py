"""The property graph of a world: which tables are nodes and which are edges, for all exporters.

The id of a node is the key of its table. An edge is a query with the columns `source`, `target`
and the edge's properties. Fraud roles are node properties, which observable exports omit; so are
the columns of profiles, where an export has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fraudworld.contracts import BY_NAME, Column, Table


@dataclass(frozen=True)
class Node:
    """A node label; `table` is None for merchants, of which only roles are published."""

    label: str
    entity: str
    table: str | None
    profiles: tuple[str, ...] = ()  # tables of 6P with one row per node

    @property
    def key(self) -> str:
        """Name of the key column."""
        return f"{self.entity}_id"

    @property
    def roles(self) -> str | None:
        """Table of fraud roles, or None."""
        name = f"s5_{self.entity}_fraud_roles_6A"
        return name if name in BY_NAME else None

    def columns(self, *, truth: bool, profiles: Sequence[Table] = ()) -> list[Column]:
        """The properties, without the key.

        truth: with the fraud role; profiles: the tables of 6P that an export has.
        """
        names = [self.table, self.roles if truth else None]
        tables = [BY_NAME[name] for name in names if name] + self._profiled(profiles)
        columns = {c.name: c for table in tables for c in table.columns}
        return [c for c in columns.values() if c.name != self.key]

    def query(self, *, truth: bool, profiles: Sequence[Table] = ()) -> str:
        """SELECT of key and properties, ordered by key; arguments as those of `columns`."""
        known = self.columns(truth=truth, profiles=profiles)
        columns = ", ".join([self.key, *(c.name for c in known)])
        # Merchant ids are observable, their roles are not.
        rows = self.table or self.roles
        if self.table and truth and self.roles:
            rows = f"{rows} JOIN {self.roles} USING ({self.key})"
        for table in self._profiled(profiles):
            rows = f"{rows} LEFT JOIN {table.name} USING ({self.key})"
        return f"SELECT {columns} FROM {rows} ORDER BY {self.key}"

    def _profiled(self, profiles: Sequence[Table]) -> list[Table]:
        return [table for table in profiles if table.name in self.profiles]


@dataclass(frozen=True)
class Edge:
    """An edge type between two node labels."""

    type: str
    source: str
    target: str
    query: str
    columns: tuple[str, ...] = ()

    @property
    def view(self) -> str:
        """Name of its view in a database."""
        return f"edge_{self.source}_{self.type}_{self.target}".lower()


NODES = (
    Node("Party", "party", "s1_party_base_6A", ("p1_party_profile_6P", "p1_party_identity_6P")),
    Node("Account", "account", "s2_account_base_6A", ("p2_account_profile_6P",)),
    Node("Instrument", "instrument", "s3_instrument_base_6A", ("p3_instrument_profile_6P",)),
    Node("Device", "device", "s4_device_base_6A", ("p4_device_profile_6P",)),
    Node("Ip", "ip", "s4_ip_base_6A", ("p4_ip_profile_6P",)),
    Node("Merchant", "merchant", None, ("p0_merchant_6P",)),
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
