"""Identifiers of the kernels are those of their plain twins, over all countries."""

from __future__ import annotations

import numpy as np
import pytest

from fraudworld.layers.profiles.identity import addresses, cards, emails, names, networks, numbers
from reference import identity as twin
from support.identities import COUNTRY_CODES, SEED, all_of, policy, rows

EACH = 7


@pytest.fixture(scope="module")
def name_law() -> names.NameLaw:
    return names.name_law(policy(), COUNTRY_CODES)


def test_numbers() -> None:
    country, counter = rows(EACH)
    kind, bank = (counter % 2).astype(np.int32), (counter % 9).astype(np.int32)
    laws = (numbers.phone_law, numbers.tax_law, numbers.iban_law)
    phones, taxes, ibans = (law(policy(), SEED, COUNTRY_CODES) for law in laws)
    columns = zip(
        country.tolist(),
        counter.tolist(),
        numbers.phones(phones, country, counter).rows(),
        numbers.tax_ids(taxes, country, kind, counter).rows(),
        numbers.ibans(ibans, country, bank, counter).rows(),
        strict=True,
    )
    for c, n, phone, tax_id, iban in columns:
        iso = COUNTRY_CODES[c]
        assert phone == twin.phone(policy(), SEED, iso, n)
        assert tax_id == twin.tax_id(policy(), SEED, iso, n % 2, n)
        assert iban == twin.iban(policy(), SEED, iso, n % 9, n)


def test_cards() -> None:
    schemes = ("ACH", "AMEX", "APPLE_PAY", "DISCOVER", "GOOGLE_PAY", "MASTERCARD", "VISA")
    counter = np.arange(700, dtype=np.int64) * 97
    scheme, bank = np.arange(700) % len(schemes), np.arange(700) % 693
    law = cards.card_law(policy(), SEED, schemes)
    for i, number in enumerate(cards.card_numbers(law, scheme, bank, counter).rows()):
        assert number == twin.card(policy(), SEED, schemes[scheme[i]], bank[i], int(counter[i]))


def test_names_and_emails(name_law: names.NameLaw) -> None:
    country, counter = rows(EACH)
    person = np.arange(country.size, dtype=np.int64) * 31
    family = person // 62
    found = names.person_names(name_law, SEED, country, person, family)
    firms = names.firm_names(name_law, SEED, country, person)
    law = emails.email_law(
        policy(), SEED, COUNTRY_CODES, name_law, all_of(1000 * EACH), all_of(EACH)
    )
    word = names.firm_families(name_law, SEED, country, person)[:, 0].copy()
    tag = (counter % 3 * 8).astype(np.int32)
    own = emails.emails(law, country, found.given, found.family, 999 * counter, tag).rows()
    shared = emails.firm_emails(law, country, word, counter, counter * 5).rows()
    for i, text in enumerate(firms.rows()):
        iso, n = COUNTRY_CODES[country[i]], int(counter[i])
        given, surname = found.given[i], found.family[i]
        assert (found.sex[i], name_law.given_words[given], name_law.family_words[surname]) == (
            twin.person_name(policy(), SEED, iso, int(person[i]), int(family[i]))
        )
        assert text == twin.firm_name(policy(), SEED, iso, int(person[i]))
        assert own[i] == twin.email(
            policy(), SEED, iso, name_law, given, surname, 999 * n, 1000 * EACH, tag[i]
        )
        assert shared[i] == twin.firm_email(policy(), SEED, iso, name_law, word[i], n, 5 * n, EACH)


@pytest.mark.parametrize("addresses_in_use", [EACH, 100_000])
def test_addresses(addresses_in_use: int) -> None:
    country, counter = rows(EACH)
    address = np.arange(country.size, dtype=np.int64)
    law = addresses.street_law(policy(), SEED, COUNTRY_CODES, all_of(addresses_in_use))
    streets = addresses.street_addresses(law, country, counter).rows()
    postal = addresses.postal_law(policy(), COUNTRY_CODES)
    codes = addresses.postal_codes(postal, SEED, country, address // 3, address).rows()
    for i, (street, code) in enumerate(zip(streets, codes, strict=True)):
        iso = COUNTRY_CODES[country[i]]
        assert street == twin.street_address(policy(), SEED, iso, int(counter[i]), addresses_in_use)
        assert code == twin.postal_code(policy(), SEED, iso, i // 3, i)


@pytest.mark.parametrize("version", [4, 6])
def test_networks(version: int) -> None:
    used = np.array([3, 0, 1000, 57, 1] * 60, dtype=np.int64)
    cell = np.repeat(np.arange(used.size), np.minimum(used, 4))
    counter = np.concatenate([np.arange(min(n, 4)) for n in used]).astype(np.int64)
    entity = np.arange(cell.size, dtype=np.int64) * 7
    systems = 1 + np.arange(used.size) % 6
    law = networks.network_law(policy(), SEED, version, used, systems)
    found = networks.endpoints(law, SEED, cell, counter, entity)
    for i, address in enumerate(found.address.rows()):
        assert (address, found.system[i]) == twin.endpoint(
            policy(),
            SEED,
            version,
            used.tolist(),
            systems.tolist(),
            int(cell[i]),
            int(counter[i]),
            int(entity[i]),
        )


def test_zeros_of_ipv6_are_shortened_as_the_library_does() -> None:
    network = np.array([0, 1, 0x10000, 0, 0xABCD, 0, 0x12340000], dtype=np.int64)
    low = np.array([0, 0, 1, 0xFFFF << 48, 1 << 32, 1 << 16, 5 << 48], dtype=np.uint64)
    text = networks._written(network, low).rows()
    base = 0x20010DB8 << 96
    assert text == [
        str(twin.ipaddress.IPv6Address(base + (int(n) << 64) + int(m)))
        for n, m in zip(network, low, strict=True)
    ]
