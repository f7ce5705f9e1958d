"""Whether the keys of 6P's policy are the words of a world, and its tables can be drawn from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fraudworld.contracts.profiles import CHANGES, CODES, INDUSTRIES, OCCUPATIONS
from fraudworld.policy.profiles.models import ProfilePack
from fraudworld.policy.source import Fault


def file_of(stem: str) -> str:
    """Name of a file of the pack: `people` → `people_6P.v1.yaml`."""
    return f"{stem}_6P.v1.yaml"


Words = Mapping[str, Iterable[str]]
"""The vocabulary of a world: name of a code list → its codes."""


def check_words(pack: ProfilePack, words: Words) -> list[Fault]:
    """Faults where the keys of the pack are not the codes of the world: missing ones, unknown ones.

    words: `segment`, `account_type`, `instrument_type`, `device_type`, `os_family`, `ip_type`,
    `asn_class`, `merchant_class`, `region`, `party_type`, `country`, `currency`; and by party type
    its segments, as `segments_of_<TYPE>`.
    """
    return [
        *(
            Fault(file_of(stem), key, f"{what} {name}")
            for stem, key, given, needed, exact in _keys(pack, words)
            for what, name in _differences(set(given), set(needed), exact=exact)
        ),
        *_tables(pack, words),
    ]


def _tables(pack: ProfilePack, words: Words) -> Iterator[Fault]:
    """Faults of tables of weights or shares by code: unknown codes, no weight, a sum beside one."""
    people, work, devices = pack.people, pack.work, pack.devices
    for stem, key, rows, known in (
        ("people", "kyc_shares", people.kyc_shares, CODES["kyc_risk"]),
        ("work", "occupations", work.occupations, OCCUPATIONS),
        ("work", "industries", work.industries, INDUSTRIES),
        ("devices", "model_classes", devices.model_classes, None),
        ("devices", "os_versions", devices.os_versions, None),
        ("pool", "operators", pack.pool.operators, words["asn_class"]),
    ):
        for name, row in rows.items():
            where = f"{key}.{name}"
            for code in sorted(set(row) - set(row if known is None else known)):
                yield Fault(file_of(stem), where, f"has the unknown {code}")
            if not sum(row.values()) > 0:
                yield Fault(file_of(stem), where, "has no weight above 0")
    for name, shares in people.kyc_shares.items():
        if abs(sum(shares.values()) - 1.0) > 1e-9:
            what = f"sums to {sum(shares.values())}, not to 1"
            yield Fault(file_of("people"), f"kyc_shares.{name}", what)


def _differences(given: set[str], needed: set[str], *, exact: bool) -> Iterator[tuple[str, str]]:
    yield from (("lacks", name) for name in sorted(needed - given))
    if exact:
        yield from (("has the unknown", name) for name in sorted(given - needed))


def _keys(
    pack: ProfilePack, words: Words
) -> Iterator[tuple[str, str, Iterable[str], Iterable[str], bool]]:
    """(stem, key, keys given, keys needed, whether others are faults) of every mapping."""
    persons = set(words["segments_of_RETAIL"])
    bodies = set(words["segment"]) - persons
    people, work, money = pack.people, pack.work, pack.money
    yield "people", "ages", [*people.ages, *people.adult_ages.segments], persons, True
    yield "people", "adult_ages.regions", people.adult_ages.regions, words["region"], True
    yield "people", "generations", people.generations, persons, True
    yield "people", "alone_below", people.alone_below, persons, True
    yield "people", "firm_age_years", people.firm_age_years, bodies, True
    yield "people", "tenure_years", people.tenure_years, words["segment"], True
    yield "people", "kyc_shares", people.kyc_shares, words["segment"], True
    yield "work", "employed_share", work.employed_share, persons, True
    yield "work", "occupations", work.occupations, persons, True
    yield "work", "firm_size", work.firm_size, bodies, True
    yield "work", "industries", work.industries, bodies, True
    yield "money", "ppp_units_per_dollar", money.ppp_units_per_dollar, words["country"], False
    yield "places", "terminals", pack.places.terminals, words["merchant_class"], True
    yield "accounts", "may_be_joint", pack.accounts.may_be_joint, words["account_type"], False
    yield "instruments", "card_months", pack.instruments.card_months, words["card_type"], True
    yield "devices", "life_years", pack.devices.life_years, words["device_type"], True
    yield "devices", "model_classes", pack.devices.model_classes, words["device_type"], True
    yield "devices", "os_versions", pack.devices.os_versions, words["os_family"], True
    yield "endpoints", "cgnat_share", pack.endpoints.cgnat_share, words["ip_type"], True
    yield "endpoints", "systems", pack.endpoints.systems, words["asn_class"], True
    yield "pool", "devices", words["device_type"], pack.pool.devices, False
    yield "pool", "endpoints", words["ip_type"], pack.pool.endpoints, False
    yield "pool", "operators", pack.pool.operators, pack.pool.endpoints, True
    for name, law in pack.sharing.buildings.items():
        yield "sharing", f"buildings.{name}.segments", words["segment"], law.segments, False
    yield "events", "rates_per_year", pack.events.rates_per_year, CHANGES, True
