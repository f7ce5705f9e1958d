"""Endpoint types that devices of other countries may use; all others are where their users live."""

from __future__ import annotations

PROXIES = ("DATACENTRE", "VPN_PROXY")
"""Exits and hosts, chosen in any country."""

TRAVEL = ("HOTEL_TRAVEL", "MOBILE")
"""Networks of travellers: hotels, and operators that phones roam to."""

CROSSING = (*PROXIES, *TRAVEL)
