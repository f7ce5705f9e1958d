"""Identifiers are unique, belong to nobody's range by form, and do not depend on the shard."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from fraudworld.errors import InputError
from fraudworld.layers.profiles.identity import (
    addresses,
    cards,
    emails,
    evidence,
    names,
    networks,
    numbers,
)
from fraudworld.layers.profiles.identity.text import Text
from fraudworld.rng import Stream
from fraudworld.rng.identities import FIRM_NAME, IDENTITIES, PERSON_NAME
from fraudworld.rng.law import CODE
from support.identities import COUNTRY_CODES, SEED, all_of, policy, rows

EACH = 1_400
Column = Callable[[NDArray[np.int32], NDArray[np.int64]], list[str | None]]
SCHEMES = ("ACH", "AMEX", "APPLE_PAY", "DISCOVER", "GOOGLE_PAY", "MASTERCARD", "VISA")


@pytest.fixture(scope="module")
def columns() -> dict[str, Column]:
    """Name of a column → its law, from country and counter."""
    name_law = names.name_law(policy(), COUNTRY_CODES)
    phone, tax, iban = (
        law(policy(), SEED, COUNTRY_CODES)
        for law in (numbers.phone_law, numbers.tax_law, numbers.iban_law)
    )
    card = cards.card_law(policy(), SEED, SCHEMES)
    email = emails.email_law(policy(), SEED, COUNTRY_CODES, name_law, all_of(EACH), all_of(EACH))
    street = addresses.street_law(policy(), SEED, COUNTRY_CODES, all_of(EACH))
    postal = addresses.postal_law(policy(), COUNTRY_CODES)
    each = all_of(EACH)
    network = {v: networks.network_law(policy(), SEED, v, each, 1 + each % 5) for v in (4, 6)}

    def entity(country: NDArray[np.int32], counter: NDArray[np.int64]) -> NDArray[np.int64]:
        return country * np.int64(EACH) + counter

    def persons(country: NDArray[np.int32], counter: NDArray[np.int64]) -> names.Names:
        ids = entity(country, counter)
        return names.person_names(name_law, SEED, country, ids, ids // 3)

    def texts(text: Text) -> list[str | None]:
        return text.rows()

    return {
        "phone": lambda c, n: texts(numbers.phones(phone, c, n)),
        "tax id": lambda c, n: texts(numbers.tax_ids(tax, c, n % 2, n)),
        "iban": lambda c, n: texts(numbers.ibans(iban, c, n % 9, n)),
        "card": lambda c, n: texts(
            cards.card_numbers(card, c % len(SCHEMES), c * 9 + n % 9, entity(c, n))
        ),
        "given name": lambda c, n: [name_law.given_words[k] for k in persons(c, n).given],
        "family name": lambda c, n: [name_law.family_words[k] for k in persons(c, n).family],
        "firm": lambda c, n: texts(names.firm_names(name_law, SEED, c, entity(c, n))),
        "email": lambda c, n: texts(
            emails.emails(email, c, persons(c, n).given, persons(c, n).family, n, n % 3)
        ),
        "firm email": lambda c, n: texts(
            emails.firm_emails(email, c, persons(c, n // 5 * 5).family, n // 5, n % 5)
        ),
        "street": lambda c, n: texts(addresses.street_addresses(street, c, n)),
        "postal code": lambda c, n: texts(
            addresses.postal_codes(postal, SEED, c, entity(c, n) // 40, entity(c, n))
        ),
        "ipv4": lambda c, n: texts(
            networks.endpoints(network[4], SEED, c, n, entity(c, n)).address
        ),
        "ipv6": lambda c, n: texts(
            networks.endpoints(network[6], SEED, c, n, entity(c, n)).address
        ),
    }


UNIQUE = ("phone", "iban", "card", "email", "firm email", "ipv4", "ipv6")
"""Unique over the world."""

UNIQUE_IN_COUNTRY = ("tax id", "street")
LEAST = 100_000


@pytest.mark.parametrize("name", UNIQUE)
def test_identifiers_are_unique_over_the_world(columns: dict[str, Column], name: str) -> None:
    found = [text for text in columns[name](*rows(EACH)) if text is not None]
    assert len(set(found)) == len(found) >= (50_000 if name == "iban" else 90_000)


@pytest.mark.parametrize("name", UNIQUE_IN_COUNTRY)
def test_identifiers_are_unique_in_their_country(columns: dict[str, Column], name: str) -> None:
    country, counter = rows(EACH)
    pairs = zip(country.tolist(), columns[name](country, counter), strict=True)
    found = [(c, text) for c, text in pairs if text is not None]
    assert len(set(found)) == len(found) > 70_000


def test_rows_with_one_counter_share_an_identifier(columns: dict[str, Column]) -> None:
    country = np.array([3, 3, 3], dtype=np.int32)
    a, b, c = columns["phone"](country, np.array([5, 6, 5]))
    assert a == c != b


@pytest.mark.parametrize(
    "name",
    [*UNIQUE, *UNIQUE_IN_COUNTRY, "given name", "family name", "firm", "postal code"],
)
def test_a_shard_has_the_rows_of_the_world(columns: dict[str, Column], name: str) -> None:
    country, counter = rows(20)
    whole = columns[name](country, counter)
    order = np.random.default_rng(1).permutation(country.size)
    for part in np.array_split(order, 7):
        cut = columns[name](country[part], counter[part])
        assert cut == [whole[i] for i in part]


def test_numbers_are_those_of_ranges_that_nobody_is_given(columns: dict[str, Column]) -> None:
    country, counter = rows(EACH)
    emails_ = columns["email"](country, counter) + columns["firm email"](country, counter)
    person = r"[a-z0-9._-]+(\+[12])?@[a-z]+\.[a-z]{2}\.example"
    form = rf"{person}|[a-z0-9]+@[a-z]+-[a-z]+[0-9]*\.[a-z]{{2}}\.test"
    assert all(re.fullmatch(form, str(text)) for text in emails_)
    assert max(len(str(text).partition("@")[0]) for text in emails_) <= 64  # RFC 5321
    v4 = [ipaddress.IPv4Address(str(t)) for t in columns["ipv4"](country, counter)]
    assert all(int(a) >> 28 == 15 and int(a) != 2**32 - 1 for a in v4)
    v6 = [ipaddress.IPv6Address(str(t)) for t in columns["ipv6"](country, counter)]
    assert all(int(a) >> 96 == 0x20010DB8 for a in v6)
    assert [str(a) for a in v6] == columns["ipv6"](country, counter)
    assert [str(a) for a in v4] == columns["ipv4"](country, counter)
    # ISO 3166-1 numbers from 900 name no country, so 99 and what follows no national body.
    assert all(str(t).startswith("99") for t in columns["card"](country, counter) if t)


def test_systems_are_private_and_each_has_one_cell() -> None:
    law = networks.network_law(policy(), SEED, 4, np.full(600, 50), 1 + np.arange(600) % 7)
    cell, counter = np.repeat(np.arange(600), 50), np.tile(np.arange(50), 600)
    system = networks.endpoints(law, SEED, cell, counter, counter).system
    (low, high), (first, last) = networks.SHORT_SYSTEMS, networks.LONG_SYSTEMS
    assert (((system >= low) & (system <= high)) | ((system >= first) & (system <= last))).all()
    cells = {s: set(cell[system == s]) for s in np.unique(system).tolist()}
    assert {len(c) for c in cells.values()} == {1}
    assert system.max() > high


def test_members_of_a_family_share_its_name() -> None:
    law = names.name_law(policy(), COUNTRY_CODES)
    n = 3_000
    country = np.full(n, COUNTRY_CODES.index("DE"), dtype=np.int32)
    person = np.arange(n, dtype=np.int64)
    found = names.person_names(law, SEED, country, person, person // 3)
    assert (found.family.reshape(-1, 3) == found.family[::3, None]).all()
    # Women: 1 in 2. Standard error .009; false alarm below 1e-6.
    assert abs((found.sex == names.FEMALE).mean() - 0.5) < 0.045


def test_weights_of_names_are_those_of_the_list() -> None:
    law = names.name_law(policy(), COUNTRY_CODES)
    n = 200_000
    country = np.full(n, COUNTRY_CODES.index("US"), dtype=np.int32)
    ids = np.arange(n, dtype=np.int64)
    family = names.person_names(law, SEED, country, ids, ids).family
    listed = policy().people["en_US"].family_female.words()
    expected = np.array([w.weight for w in listed]) / sum(w.weight for w in listed)
    codes = [law.family_words.index(w.text) for w in listed]
    observed = np.bincount(family, minlength=max(codes) + 1)[codes] / n
    # Half of the L1 distance of 600 shares from 200 000 draws is .02 on average.
    assert np.abs(observed - expected).sum() / 2 < 0.03


def test_a_near_miss_is_one_edit_away() -> None:
    law = names.name_law(policy(), COUNTRY_CODES)
    for code, near in enumerate(law.near_miss.tolist()):
        a, b = law.family_words[code], law.family_words[near]
        short, long = sorted((a, b), key=len)
        assert len(long) == len(short) + 1
        assert any(long[:i] + long[i + 1 :] == short for i in range(len(long)))


def test_a_counter_beyond_the_space_is_an_error() -> None:
    law = numbers.phone_law(policy(), SEED, COUNTRY_CODES)
    country = np.array([COUNTRY_CODES.index("IS")], dtype=np.int32)
    last = law.space(int(country[0])) - 1
    assert numbers.phones(law, country, np.array([last])).rows()[0] is not None
    for counter in (last + 1, -1):
        with pytest.raises(InputError, match=r"6P\.S1\.ID_SPACE_EXHAUSTED"):
            numbers.phones(law, country, np.array([counter]))
    with pytest.raises(InputError, match=r"6P\.S1\.ID_SPACE_EXHAUSTED"):
        networks.network_law(policy(), SEED, 4, np.array([2**27]), np.array([4]))


@pytest.mark.parametrize(
    "law",
    [
        lambda p, c: numbers.phone_law(p, SEED, c),
        lambda p, c: numbers.tax_law(p, SEED, c),
        lambda p, c: numbers.iban_law(p, SEED, c),
        lambda p, c: names.name_law(p, c),
        lambda p, c: addresses.street_law(p, SEED, c, np.array([1, 1])),
        lambda p, c: addresses.postal_law(p, c),
    ],
)
def test_a_country_without_figures_is_an_error(law: Callable[..., object]) -> None:
    with pytest.raises(InputError, match=r"6P\.S0\.COUNTRY_UNKNOWN.*FJ"):
        law(policy(), ("DE", "FJ"))


def test_every_country_has_room_for_a_large_world() -> None:
    phone, tax, iban = (
        law(policy(), SEED, COUNTRY_CODES)
        for law in (numbers.phone_law, numbers.tax_law, numbers.iban_law)
    )
    for c in range(len(COUNTRY_CODES)):
        assert phone.space(c) >= 10**6
        assert all(tax.space(c, k) == 0 or tax.space(c, k) >= 10**6 for k in (0, 1))
        assert all(iban.space(c, b) == 0 or iban.space(c, b) >= 10**5 for b in range(9))


def test_every_stream_that_is_drawn_from_is_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: set[str] = set()
    key = Stream.key.fget  # type: ignore[attr-defined]

    def recorded(self: Stream) -> object:
        opened.add(self.label)
        return key(self)

    monkeypatch.setattr(Stream, "key", property(recorded))
    countries = ("AE", "DE", "GB", "US")
    country, one = np.arange(4, dtype=np.int32), np.ones(4, dtype=np.int64)
    name_law = names.name_law(policy(), countries)
    for law in (numbers.phone_law, numbers.tax_law, numbers.iban_law):
        law(policy(), SEED, countries)
    cards.card_law(policy(), SEED, SCHEMES)
    emails.email_law(policy(), SEED, countries, name_law, one, one)
    addresses.street_law(policy(), SEED, countries, one)
    addresses.postal_codes(addresses.postal_law(policy(), countries), SEED, country, one, one)
    names.person_names(name_law, SEED, country, one, one)
    names.firm_names(name_law, SEED, country, one)
    for version in (4, 6):
        network = networks.network_law(policy(), SEED, version, one, one)
        networks.endpoints(network, SEED, country, 0 * one, one)
    stated = [
        *evidence.contact_keys(policy(), SEED, countries),
        *evidence.issued_keys(policy(), SEED, countries, SCHEMES, 4),
    ]
    by_entity = {law.label for law in IDENTITIES if CODE not in law.label}
    assert {use.label for use in stated} | by_entity == opened


def test_uses_by_entity_state_who_drew() -> None:
    (use,) = evidence.drawn_by(SEED, {PERSON_NAME: (10, 4), FIRM_NAME: (10, 0)})
    assert (use.label, use.last_entity, use.entities) == (PERSON_NAME.label, 9, 4)
