"""A sealed upstream of nine countries and 24 merchants, and runs over it: small, quickly made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fraudworld.policy.loader import write_pack
from fraudworld.policy.pack import PolicyPack
from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from fraudworld.store import bundle
from support import worlds

Row = dict[str, Any]

FLOOR = 40
"""Least parties of a country: nine of them fit into a world of two thousand."""

MERCHANTS = 24
_HARMONIC = sum(1 / (m + 1) for m in range(MERCHANTS))
DAYS = 90
ZONES = {
    "AE": ("Asia/Dubai",),
    "AU": ("Australia/Adelaide", "Australia/Sydney"),
    "BR": ("America/Sao_Paulo",),
    "DE": ("Europe/Berlin",),
    "GB": ("Europe/London",),
    "KE": ("Africa/Nairobi",),
    "MT": ("Europe/Malta",),
    "US": ("America/Los_Angeles", "America/New_York"),
    "ZA": ("Africa/Johannesburg",),
}
"""Zones of every country; Adelaide is half an hour off, and most change their clock."""

DEMAND = ("bills_utilities", "bursty_promo", "consumer_daytime", "evening_weekend",
          "fuel_convenience", "office_hours", "online_24h", "travel_hospitality")  # fmt: skip


def upstream(folder: Path, pack: PolicyPack, parties: int = 2_000, dispersion: int = 8) -> Path:
    """Seal the eight segments of an upstream whose arrivals support `parties` parties."""
    priors = pack.population_priors
    weekly = parties * priors.arrivals_per_active_party * priors.active_share
    law = {"dispersion": dispersion, "horizon_days": DAYS}
    for name, rows in _tables(pack, weekly).items():
        path = folder / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), path)
    (folder / "5B/arrival_law.json").write_text(json.dumps(law), "utf-8")
    for segment in folder.iterdir():
        bundle.seal(segment, [member.name for member in segment.iterdir()])
    return folder


@dataclass(frozen=True)
class Bank:
    """Folders of a published run and of the upstream it was made from."""

    run: Path
    upstream: Path


def publish(folder: Path, seed: int, pack: PolicyPack, parties: int = 2_000) -> Bank:
    """Publish a run of a policy below `folder`, floors lowered to FLOOR, over its own upstream."""
    priors = pack.population_priors
    floor = priors.country_floor.model_copy(update={"minimum": FLOOR})
    lowered = priors.model_copy(update={"country_floor": floor})
    pack = pack.model_copy(update={"population_priors": lowered})
    source = upstream(folder / "upstream", pack, parties)
    request = RunRequest(
        profile="demo",
        seed=seed,
        runs_root=folder / "runs",
        policy_dir=folder / "policy",
        overlays=tuple(map(str, write_pack(pack, folder / "policy"))),
        upstream_dir=source,
        workers=1,
    )
    return Bank(pipeline.run(request).place.root, source)


def _tables(pack: PolicyPack, weekly: float) -> dict[str, list[Row]]:
    """Table → rows. Volumes fall with the merchant's number as 1, ½, ⅓, …"""
    classes, countries = pack.codes("merchant_class"), list(worlds.COUNTRIES)
    sites, profile, virtual, effects = [], [], [], []
    for m in range(MERCHANTS):
        home = countries[m % len(countries)]
        served = sorted({home, *countries[m % 4 :: 4 + m % 3]})
        places = [(country, zone) for country in served for zone in ZONES[country]]
        for country in served:
            outlets = 1 + 7 * (m + len(country) * countries.index(country)) % 23
            sites += [
                {
                    "merchant_id": m + 1,
                    "home_country_iso": home,
                    "legal_country_iso": country,
                    "merchant_class": classes[m % len(classes)],
                    "mcc": "5999",
                    "final_country_outlet_count": outlets,
                    "site_order": order,
                }
                for order in range(1, outlets + 1)
            ]
        volume = weekly / (m + 1) / _HARMONIC / len(places)
        profile += [
            {
                "merchant_id": m + 1,
                "legal_country_iso": country,
                "tzid": zone,
                "demand_class": DEMAND[(m + 2) % len(DEMAND)],
                "weekly_volume_expected": volume,
            }
            for country, zone in places
        ]
        virtual.append(
            {"merchant_id": m + 1, "is_virtual": m % 7 == 3, "virtual_mode": "NON_VIRTUAL"}
        )
        effects += list(_effects(m))
    for number, site in enumerate(sites, 1):
        site["site_id"] = number
    return {
        "1A/outlet_catalogue": sites,
        "1A/country_geography": [
            {"country_iso": country, "region_id": region, "currency": currency}
            for country, (region, currency) in worlds.COUNTRIES.items()
        ],
        "1B/site_locations": [
            {
                **_site(site),
                "lat": number * 37 % 120 - 49.25,
                "lon": number * 101 % 359 - 179.5,
            }
            for number, site in enumerate(sites)
        ],
        "2A/site_timezones": [
            {**_site(site), "tzid": ZONES[str(site["legal_country_iso"])][0]} for site in sites
        ],
        "2B/day_effects": effects,
        "3A/zone_alloc": [
            {key: row[key] for key in ("merchant_id", "legal_country_iso", "tzid")}
            | {"zone_site_count": 1}
            for row in profile
        ],
        "3B/virtual_classification": virtual,
        "5A/merchant_zone_profile_5A": profile,
        "5B/arrival_events_5B": [
            {
                "scenario_id": "baseline",
                "merchant_id": 1,
                "arrival_seq": 1,
                "ts_utc": 1_767_225_600,
                "tzid": "Europe/Berlin",
                "channel_group": "POS",
                "is_virtual": False,
            }
        ],
    }


def _site(row: Row) -> Row:
    return {key: row[key] for key in ("merchant_id", "legal_country_iso", "site_order")}


def _effects(merchant: int) -> Iterator[Row]:
    """Every other merchant has effects, some of them zero, on four days of five."""
    for day in range(1, DAYS + 1):
        if merchant % 2 and day % 5:
            effect = (day * (merchant + 3) % 7) / 4.0
            yield {"merchant_id": merchant + 1, "tz_group": 0, "day": day, "effect": effect}
