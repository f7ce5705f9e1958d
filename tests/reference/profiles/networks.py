"""Twin of P4: devices and endpoints.

Twin of layers/profiles/networks.py.
"""

from __future__ import annotations

import math
from datetime import timedelta

from reference.profiles.people import START, YEAR, People, weighted
from reference.profiles.towns import Row, coordinate, draws
from reference.transactions.choices import Urn, below, happens, unit


def devices(people: People, world: dict[str, list[Row]], terminal_rows: list[Row]) -> list[Row]:
    """Rows of p4_device_profile_6P."""
    law, draw = people.policy.devices, draws(people.seed, "6P.P4/device", 8)
    linked = {r["device_id"] for r in world["s4_ip_links_6A"] if r["device_id"]}
    stands = {r["device_id"]: r["place_id"] for r in terminal_rows if r["device_id"]}
    towns = people.towns.all()
    models = tuple(sorted({c for of in law.model_classes.values() for c in of}))
    versions = tuple(sorted({v for of in law.os_versions.values() for v in of}))
    rows = []
    for e, d in enumerate(world["s4_device_base_6A"]):
        owner = d["primary_party_id"] and people.parties[d["primary_party_id"] - 1]
        low, high = (1.0 - law.life_width), (1.0 + law.life_width)
        biased = math.sqrt(low**2 + unit(draw(e, 0)) * (high**2 - low**2))
        life = YEAR * law.life_years[d["device_type"]] * biased
        first = START - timedelta(1 + math.floor(unit(draw(e, 1)) * life))
        if owner:
            first = max(first, owner.since)
        retired = None
        last = START - timedelta(1)
        if d["device_id"] not in linked and happens(draw(e, 2), law.retired_share) and first < last:
            retired = first + timedelta(1 + below(draw(e, 3), (last - first).days))
        country = d["home_country_iso"]
        at = stands.get(d["device_id"])
        town = (owner.town if owner else towns[at - 1] if at
                else people.towns.by_country[country][0])  # fmt: skip
        language = owner.language if owner else people.native[country]
        rows.append({
            "device_id": e + 1, "first_seen_on": first, "retired_on": retired,
            "model_class": weighted(draw(e, 4), law.model_classes[d["device_type"]], models),
            "os_version": weighted(draw(e, 5), law.os_versions[d["os_family"]], versions),
            "language": law.other_language if happens(draw(e, 6), law.other_language_share)
                else language,
            "tzid": town.tzid,
        })  # fmt: skip
    return rows


def endpoints(people: People, world: dict[str, list[Row]]) -> list[Row]:
    """Rows of p4_ip_profile_6P."""
    law, draw = people.policy.endpoints, draws(people.seed, "6P.P4/endpoint", 2)
    first_device: dict[int, int] = {}
    for link in world["s4_ip_links_6A"]:
        if link["device_id"]:
            ip = link["ip_id"]
            first_device[ip] = min(first_device.get(ip, link["device_id"]), link["device_id"])
    urns = {
        iso: Urn({t.id: t.population for t in of}) for iso, of in people.towns.by_country.items()
    }
    towns, rows = people.towns.all(), []
    for e, ip in enumerate(world["s4_ip_base_6A"]):
        country = ip["country_iso"]
        device = first_device.get(e + 1)
        owner = device and world["s4_device_base_6A"][device - 1]["primary_party_id"]
        at = urns[country].pick(draw(e, 0))
        assert at is not None
        town = towns[at - 1]
        if ip["ip_type"] == "RESIDENTIAL" and owner:
            person = people.parties[owner - 1]
            if person.row["country_iso"] == country:
                assert person.town is not None
                town = person.town
        shared = ip["ip_version"] == "IPV4" and happens(draw(e, 1), law.cgnat_share[ip["ip_type"]])
        rows.append({
            "ip_id": e + 1, "lat": coordinate(town.lat), "lon": coordinate(town.lon),
            "is_cgnat": shared,
        })  # fmt: skip
    return rows
