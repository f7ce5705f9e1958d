"""Twin of P5: what happened before the horizon. Twin of layers/profiles/events.py."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

from fraudworld.contracts.profiles import CHANGES
from reference.draws import category
from reference.profiles.people import START, YEAR, People, Person
from reference.profiles.towns import Row, draws
from reference.transactions.choices import below, unit

EPOCH = date(1970, 1, 1)
DAY_MS, HOUR_MS = 86_400_000, 3_600_000


def events(
    people: People, world: dict[str, list[Row]], accounts: list[Row], instruments: list[Row],
    devices: list[Row],
) -> list[Row]:  # fmt: skip
    """Rows of p5_entity_event_6P."""
    law, seed = people.policy.events, people.seed
    found: list[tuple[int, int, str, int, str]] = []

    def add(p: Person, kind: str, entity: int, name: str, day: date | None, draw: int,
            quarter: int) -> None:  # fmt: skip
        if day is None or day >= START:
            return
        assert p.town is not None
        start = law.day_from - p.town.lon / 15.0
        end = min(start + law.day_hours, 24.0)
        start = min(max(start, 0.0), 23.0)
        length = math.floor((end - start) * HOUR_MS) // 4
        ms = math.floor(start * HOUR_MS) + quarter * length + below(draw, length)
        found.append((p.id, (day - EPOCH).days * DAY_MS + ms, name, entity, kind))

    joined, opening = draws(seed, "6P.P5/party"), draws(seed, "6P.P5/account", 2)
    issue, life = draws(seed, "6P.P5/instrument"), draws(seed, "6P.P5/device", 2)
    for p in people.parties:
        add(p, "PARTY", p.id, "CUSTOMER_JOINED", p.since, joined(p.id - 1), 0)
    owner = [people.parties[a["owner_party_id"] - 1] for a in world["s2_account_base_6A"]]
    for e, (p, a) in enumerate(zip(owner, accounts, strict=True)):
        add(p, "ACCOUNT", e + 1, "ACCOUNT_OPENED", a["opened_on"], opening(e, 0), 1)
        add(p, "ACCOUNT", e + 1, "ACCOUNT_CLOSED", a["closed_on"], opening(e, 1), 3)
    kinds = people.pack.instrument_taxonomy.instrument_types
    for e, base in enumerate(world["s3_instrument_base_6A"]):
        if kinds[base["instrument_type"]].family == "CARD":
            p = owner[base["account_id"] - 1]
            add(p, "INSTRUMENT", e + 1, "CARD_ISSUED", instruments[e]["issued_on"], issue(e), 2)
    for e, base in enumerate(world["s4_device_base_6A"]):
        if base["primary_party_id"] is not None:
            p = people.parties[base["primary_party_id"] - 1]
            add(p, "DEVICE", e + 1, "DEVICE_ENROLLED", devices[e]["first_seen_on"], life(e, 0), 2)
            add(p, "DEVICE", e + 1, "DEVICE_RETIRED", devices[e]["retired_on"], life(e, 1), 3)
    for name in CHANGES:
        found += _changes(people, name)
    found.sort()
    return [
        {"event_id": i, "ts_utc": _moment(ms), "party_id": party, "entity_type": kind,
         "entity_id": entity, "event": name}
        for i, (party, ms, name, entity, kind) in enumerate(found, 1)
    ]  # fmt: skip


def _changes(people: People, name: str) -> list[tuple[int, int, str, int, str]]:
    law, draw = people.policy.events, draws(people.seed, f"6P.P5/change/{name}", 4)
    mean = law.rates_per_year[name] * law.window_years
    shares = [round(math.exp(-mean) * mean**k / math.factorial(k), 12) for k in range(3)]
    window = int(law.window_years * YEAR) * DAY_MS
    begin = (START - EPOCH).days * DAY_MS - window
    found: list[tuple[int, int, str, int, str]] = []
    for p in people.parties:
        for k in range(category(draw(p.id - 1, 0), (*shares, 1.0 - sum(shares)))):
            ms = begin + math.floor(unit(draw(p.id - 1, 1 + k)) * window)
            if ms >= ((p.since - EPOCH).days + 1) * DAY_MS:
                found.append((p.id, ms, name, p.id, "PARTY"))
    return found


def _moment(ms: int) -> Any:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
