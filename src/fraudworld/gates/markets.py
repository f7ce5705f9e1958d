"""Counts products and mobile systems by country, and wallets against their holders' devices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import BY_NAME, Table
from fraudworld.gates.columns import invalid
from fraudworld.gates.owners import Owners
from fraudworld.gates.published import Columns, Published
from fraudworld.gates.tally import I64, Array, crosstab, sum_histograms
from fraudworld.policy.pack import PolicyPack

Flags = NDArray[np.uint8]


@dataclass(frozen=True)
class Markets:
    """Mobile systems and wallets of a world.

    segment: of every party; countries, regions: ISO code and region of every country; parties: by
    (country, segment);
    accounts: by (country, product); phones: phones and watches of parties by (country, segment of
    the owner, mobile system); holders: parties by (mobile system of a wallet they hold, have they
    a device of it?); unissued: instruments on a scheme that does not issue them.
    """

    segment: NDArray[np.uint8]
    countries: tuple[str, ...]
    regions: tuple[str, ...]
    parties: I64
    accounts: I64
    phones: I64
    holders: I64
    unissued: int


def count_markets(published: Published, pack: PolicyPack, owners: Owners) -> Markets:
    """Counts devices of the wallet group and instruments, in a pass each."""
    rule = pack.device_count_priors.mobile_platform
    systems = sorted(rule.wallets)
    table = BY_NAME["s1_party_base_6A"]
    column = next(c for c in table.columns if c.name == "country_iso")
    countries = published.code_list(table, column)
    segment, region_of, parties = _parties(published, pack, owners, len(countries))
    phones, has = _phones(published, pack, owners, systems, segment, countries)
    holds, unissued = _wallets(published, pack, owners, systems)
    holders = np.zeros((len(systems), 2), dtype=np.int64)
    for s in range(len(systems)):
        able = has[holds & (1 << s) > 0] & (1 << s) > 0
        holders[s] = np.bincount(able, minlength=2)
    regions = pack.codes("region")
    return Markets(
        segment,
        countries,
        tuple(regions[r] for r in region_of),
        parties,
        _accounts(published, pack, countries),
        phones,
        holders,
        unissued,
    )


def _parties(
    published: Published, pack: PolicyPack, owners: Owners, countries: int
) -> tuple[NDArray[np.uint8], I64, I64]:
    """Segment of every party, region of every country, parties by (country, segment)."""
    table = BY_NAME["s1_party_base_6A"]
    segment = np.zeros(owners.ids.n, dtype=np.uint8)
    shape = countries, len(pack.codes("segment"))

    def count(block: Columns) -> tuple[I64, I64]:
        segment[owners.ids.rows_of(block["party_id"], table, "party")] = block["segment_id"]
        country = block["country_iso"]
        return crosstab((country, countries), (block["segment_id"], shape[1])), crosstab(
            (country, countries), (block["region_id"], len(pack.codes("region")))
        )

    parties = np.zeros(shape, np.int64)
    regions = np.zeros((countries, len(pack.codes("region"))), np.int64)
    wanted = ("party_id", "segment_id", "country_iso", "region_id")
    for counts, by_region in published.map(count, table, wanted):
        parties += counts
        regions += by_region
    return segment, regions.argmax(axis=1), parties


def _accounts(published: Published, pack: PolicyPack, countries: tuple[str, ...]) -> I64:
    """Accounts by (country, product)."""
    table, products = BY_NAME["s2_account_base_6A"], len(pack.codes("account_type"))
    place = _places(published, table, "country_iso", countries)

    def count(block: Columns) -> I64:
        country = place[block["country_iso"]]
        return crosstab((country, len(countries)), (block["account_type"], products))

    return sum_histograms(published.map(count, table, ("country_iso", "account_type")))


def _places(
    published: Published, table: Table, name: str, countries: tuple[str, ...]
) -> NDArray[np.int64]:
    """Position in `countries` of every code of a column; refuses a country without parties."""
    column = next(c for c in table.columns if c.name == name)
    codes = published.code_list(table, column)
    unknown = sorted(set(codes) - set(countries))
    if unknown:
        raise invalid(table, f"names country {unknown[0]}, where no party lives")
    return np.array([countries.index(code) for code in codes], dtype=np.int64)


def _phones(
    published: Published,
    pack: PolicyPack,
    owners: Owners,
    systems: list[str],
    segment: NDArray[np.uint8],
    countries: tuple[str, ...],
) -> tuple[I64, Flags]:
    """Phones as of `Markets`, and the mobile systems a party has, as bits."""
    table, codes = BY_NAME["s4_device_base_6A"], pack.codes("os_family")
    groups, kinds = pack.codes("device_group"), pack.codes("device_type")
    shape = len(countries), len(pack.codes("segment")), len(systems)
    of_owner = _places(published, table, "home_country_iso", countries)
    number = np.full(len(codes), len(systems), dtype=np.uint8)
    for s, name in enumerate(systems):
        number[codes.index(name)] = s
    rule = pack.device_count_priors.mobile_platform
    pays = np.array([t in rule.follow for t in kinds])
    is_phone = np.arange(len(groups)) == groups.index(rule.wallet_group)
    has = np.zeros(owners.ids.n, dtype=np.uint8)

    def count(block: Columns) -> tuple[I64, Array, Flags]:
        country, owner = of_owner[block["home_country_iso"]], block["primary_party_id"]
        system = number[block["os_family"]]
        mobile = (owner > 0) & (system < len(systems)) & pays[block["device_type"]]
        party = owners.ids.rows_of(owner[mobile], table, "party")
        phone = is_phone[block["device_group"]][mobile]
        return crosstab(
            (country[mobile][phone], shape[0]), (segment[party[phone]], shape[1]),
            (system[mobile][phone], shape[2]),
        ), party, np.uint8(1) << system[mobile]  # fmt: skip

    phones = np.zeros(shape, np.int64)
    wanted = ("home_country_iso", "primary_party_id", "os_family", "device_type", "device_group")
    for counted, party, bits in published.map(count, table, wanted):
        phones += counted
        np.bitwise_or.at(has, party, bits)
    return phones, has


def _wallets(
    published: Published, pack: PolicyPack, owners: Owners, systems: list[str]
) -> tuple[Flags, int]:
    """Systems of the wallets a party holds, as bits; instruments no such scheme issues."""
    table, schemes = BY_NAME["s3_instrument_base_6A"], pack.codes("scheme")
    kinds = pack.codes("instrument_type")
    wallets = pack.device_count_priors.mobile_platform.wallets
    bit = np.zeros(len(schemes), dtype=np.uint8)
    for s, name in enumerate(systems):
        bit[schemes.index(wallets[name])] = 1 << s
    excluded = np.zeros((len(kinds), len(schemes)), dtype=np.bool_)
    for kind, names in pack.instrument_mix_priors.scheme_exclusions.items():
        excluded[kinds.index(kind), [schemes.index(n) for n in names]] = True
    holds = np.zeros(owners.ids.n, dtype=np.uint8)

    def count(block: Columns) -> tuple[Array, Flags, int]:
        of = bit[block["scheme"]]
        held = of > 0
        party = owners.ids.rows_of(block["owner_party_id"][held], table, "party")
        return party, of[held], int(excluded[block["instrument_type"], block["scheme"]].sum())

    unissued = 0
    wanted = ("owner_party_id", "instrument_type", "scheme")
    for party, bits, unfit in published.map(count, table, wanted):
        np.bitwise_or.at(holds, party, bits)
        unissued += unfit
    return holds, unissued
