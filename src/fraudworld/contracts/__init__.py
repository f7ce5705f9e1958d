"""Contract of layer 6A: every published table, in the order in which S1 to S5 write them."""

from fraudworld.contracts import network, posture, world
from fraudworld.contracts.table import Column, Kind, Table, Visibility

CONTRACT_VERSION = "6A.2"

TABLES: tuple[Table, ...] = (
    world.PARTY_BASE,
    world.PARTY_SUMMARY,
    world.ACCOUNT_BASE,
    world.HOLDINGS,
    world.ACCOUNT_SUMMARY,
    world.INSTRUMENT_BASE,
    world.INSTRUMENT_LINKS,
    network.CIRCLE_MEMBERS,
    network.DEVICE_BASE,
    network.IP_BASE,
    network.DEVICE_LINKS,
    network.IP_LINKS,
    network.NETWORK_SUMMARY,
    posture.PARTY_ROLES,
    posture.ACCOUNT_ROLES,
    posture.MERCHANT_ROLES,
    posture.DEVICE_ROLES,
    posture.IP_ROLES,
)
BY_NAME = {table.name: table for table in TABLES}

__all__ = ["BY_NAME", "CONTRACT_VERSION", "TABLES", "Column", "Kind", "Table", "Visibility"]
