"""Tables of S4: devices, IP endpoints, and their links to parties, accounts and merchants."""

from __future__ import annotations

from fraudworld.contracts.table import Table, Visibility, code, integer, real
from fraudworld.contracts.world import COUNTRY, REGION

METRICS = ("devices", "linked_devices", "device_ip_links", "ips", "shared_devices")
"""Metrics of `s4_network_summary_6A`."""

DEVICE_BASE = Table(
    name="s4_device_base_6A",
    state="S4",
    meaning="One row per device; party devices in order of owner, then merchant terminals.",
    columns=(
        integer("device_id", "dense from 1"),
        code("device_type", "phone, laptop, terminal, …", "device_type"),
        code("device_group", "group of the type; count laws are given per group", "device_group"),
        code("os_family", "operating system", "os_family"),
        code("ua_family", "browser or app family, drawn given the operating system", "ua_family"),
        integer("primary_party_id", "owner, null for terminals", nullable=True),
        integer("primary_merchant_id", "merchant, null for party devices", nullable=True),
        code("home_region_id", "region of the owner", "region"),
        code("home_country_iso", "country of the owner", "country"),
    ),
    key=("device_id",),
    sort=("device_id",),
)
IP_BASE = Table(
    name="s4_ip_base_6A",
    state="S4",
    meaning="One row per IP endpoint, in order of country and type.",
    columns=(
        integer("ip_id", "dense from 1"),
        code("ip_type", "residential, mobile, corporate, …", "ip_type"),
        code("asn_class", "operator of the network", "asn_class"),
        code("ip_version", "IPV4 or IPV6", "ip_version"),
        REGION,
        COUNTRY,
    ),
    key=("ip_id",),
    sort=("ip_id",),
)
CIRCLE_MEMBERS = Table(
    name="s4_circle_members_6A",
    state="S4",
    meaning="One row per member of a circle: retail parties of several homes who share things."
    " Empty where the policy has none.",
    columns=(
        integer("circle_id", "dense from 1"),
        integer("party_id", "a member; a party is in one circle at most"),
    ),
    key=("party_id",),
    sort=("circle_id", "party_id"),
    visibility=Visibility.TRUTH,
    may_be_empty=True,
)
DEVICE_LINKS = Table(
    name="s4_device_links_6A",
    state="S4",
    meaning="Links of a device to a party, account, instrument or merchant: one target per row.",
    columns=(
        integer("device_id", "the device"),
        integer("party_id", "owner or co-user", nullable=True),
        integer("account_id", "account accessed", nullable=True),
        integer("instrument_id", "instrument accessed", nullable=True),
        integer("merchant_id", "merchant of a terminal", nullable=True),
        code("link_role", "how the target is related to the device", "device_link_role"),
    ),
    key=("device_id", "party_id", "account_id", "instrument_id", "merchant_id", "link_role"),
    sort=("device_id",),
)
IP_LINKS = Table(
    name="s4_ip_links_6A",
    state="S4",
    meaning="Links of an IP endpoint to a device or merchant: one target per row.",
    columns=(
        integer("ip_id", "the endpoint"),
        integer("device_id", "device that uses the endpoint", nullable=True),
        integer("merchant_id", "merchant that uses the endpoint", nullable=True),
        code("link_role", "how the target is related to the endpoint", "ip_link_role"),
    ),
    key=("ip_id", "device_id", "merchant_id", "link_role"),
    sort=("ip_id",),
)
NETWORK_SUMMARY = Table(
    name="s4_network_summary_6A",
    state="S4",
    meaning="Size and shape of the network per region.",
    columns=(REGION, code("metric_id", "name of the metric", None), real("value", "its value")),
    key=("region_id", "metric_id"),
    sort=("region_id", "metric_id"),
    identity=False,
)
