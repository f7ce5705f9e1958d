"""Street addresses and postal codes.

A street address is a street of the country's list and a house number: the place of a counter
under a keyed permutation of (house number, street). It is unique inside a country, as a street's
name holds no digits. A postal code has the country's form; its first characters are those of the
place.

Twins: tests/reference/identity.py:street_address, postal_code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.kernels import permute
from fraudworld.layers.profiles.identity.formats import (
    LITERAL,
    Formats,
    check_space,
    pack,
)
from fraudworld.layers.profiles.identity.text import (
    I32,
    I64,
    U64,
    Text,
    digits_in,
    filled,
    offsets_of,
    put,
    put_number,
    words,
)
from fraudworld.policy.identity import IdentityPolicy
from fraudworld.rng import identities as streams

ROOM = 1.25
"""House numbers of a country hold at least so many times the addresses in use."""


class StreetLaw(NamedTuple):
    """Streets of `countries`."""

    space: U64  # addresses of every country
    keys: U64  # (countries, rounds)
    first: I32  # a country's first street in `street`
    streets: I32  # streets of a country
    number_first: NDArray[np.bool_]
    street: Text


def street_law(
    policy: IdentityPolicy, seed: int, countries: Sequence[str], addresses: NDArray[np.integer]
) -> StreetLaw:
    """The law of `countries`; addresses: (countries,), counters in use.

    Streets get as many house numbers as the addresses need, and at least those of the policy.
    """
    policy.require(countries)
    known: dict[tuple[str, bool], tuple[int, int]] = {}
    names: list[str] = []
    first, streets = [], []
    for iso in countries:
        locale = policy.locales.countries[iso]
        key = (locale.streets, locale.latin)
        if key not in known:
            listed = [w.text for w in policy.streets[locale.streets].streets.words()]
            known[key] = (len(names), len(listed))
            names += listed
        first.append(known[key][0])
        streets.append(known[key][1])
    count = np.array(streets, dtype=np.int64)
    needed = np.ceil(np.asarray(addresses) * ROOM / count).astype(np.int64)
    numbers = np.maximum(needed, policy.numbers.house_numbers)
    return StreetLaw(
        (numbers * count).astype(np.uint64),
        np.array([streams.ADDRESS_PLACE.of(seed, code=c).draws(0, 1)[0] for c in countries]),
        np.array(first, dtype=np.int32),
        count.astype(np.int32),
        np.array([policy.locales.countries[iso].number_first for iso in countries]),
        words(names),
    )


@kernel
def write_streets(law, country, place, offsets, data, fill):  # type: ignore[no-untyped-def]
    """Street addresses: `12 High Street` or `Hauptstraße 12`.

    Parameters
    ----------
    law : tuple
        first, streets and number_first of a StreetLaw, the streets as bytes and offsets.
    country : integer (n,)
    place : int64 (n,)
        House number, from 0, times the country's streets, plus the street.
    offsets : int32 (n + 1,)
        Without `fill`, filled with lengths from 1 on; else read.
    data : uint8
        Filled if `fill`.
    fill : bool
    """
    first, streets, number_first, word, word_at = law
    for i in range(place.size):
        c = country[i]
        street, number = first[c] + place[i] % streets[c], place[i] // streets[c] + 1
        width = digits_in(number)
        if not fill:
            offsets[i + 1] = width + 1 + word_at[street + 1] - word_at[street]
            continue
        at = offsets[i]
        if number_first[c]:
            at = put_number(data, at, number, width)
            data[at] = 32
            put(data, at + 1, word, word_at, street)
        else:
            at = put(data, at, word, word_at, street)
            data[at] = 32
            put_number(data, at + 1, number, width)


def street_addresses(law: StreetLaw, country: NDArray[np.integer], counter: I64) -> Text:
    """Street addresses, unique by (country, counter).

    country: (n,); counter: int64 (n,), of a home or site: its members share it.
    """
    check_space(country.astype(np.int32), counter, law.space, "street address")
    place = permute.grouped_places(law.space, law.keys, country, counter)
    parts = (law.first, law.streets, law.number_first, law.street.data, law.street.offsets)
    return filled(write_streets, (parts, country, place), place.size)


class PostalLaw(NamedTuple):
    """Postal codes of `countries`."""

    formats: Formats
    template: I32  # (countries,): −1 where a country has no postal codes
    of_place: I32  # free positions of a template that belong to the place


def postal_law(policy: IdentityPolicy, countries: Sequence[str]) -> PostalLaw:
    """The law of `countries`."""
    policy.require(countries)
    of = [policy.postal_codes.templates[iso] for iso in countries]
    known = [t for t in of if t is not None]
    place = np.cumsum([t is not None for t in of], dtype=np.int32) - 1
    template = np.where([t is not None for t in of], place, -1).astype(np.int32)
    return PostalLaw(pack(known), template, np.array([t.place for t in known], dtype=np.int32))


@kernel
def write_postal(formats, of_place, template, place_draw, street_draw, offsets, data):  # type: ignore[no-untyped-def]
    """Postal codes.

    Parameters
    ----------
    formats : Formats
    of_place : int32 (templates,)
    template : int32 (n,)
        −1: none is written.
    place_draw, street_draw : uint64 (n,)
        First free positions are digits of the former in a mixed radix, the rest of the latter.
    offsets : int32 (n + 1,)
    data : uint8
        Filled.
    """
    for i in range(template.size):
        t = template[i]
        if t < 0:
            continue
        low, high = formats.start[t], formats.start[t + 1]
        place, street = place_draw[i] >> np.uint64(1), street_draw[i] >> np.uint64(1)
        free = 0
        for p in range(low, high):
            pick = np.int64(0)
            if formats.radix[p] > LITERAL:
                size = np.uint64(formats.radix[p])
                if free < of_place[t]:
                    pick = np.int64(place % size)
                    place //= size
                else:
                    pick = np.int64(street % size)
                    street //= size
                free += 1
            data[offsets[i] + p - low] = formats.alphabet[formats.chars[p] + pick]


def postal_codes(
    law: PostalLaw, seed: int, country: NDArray[np.integer], place: I64, address: I64
) -> Text:
    """Postal codes, null where the country has none. Many addresses may share one.

    country: (n,); place: int64 (n,), id of the place (town); address: int64 (n,), id of the home
    or site.
    """
    template = law.template[country]
    lengths = np.append(np.diff(law.formats.start), 0)[template]
    offsets = offsets_of(lengths)
    data = np.empty(offsets[-1], dtype=np.uint8)
    write_postal(
        law.formats, law.of_place, template, streams.POSTAL_PLACE.of(seed).at(place),
        streams.POSTAL_STREET.of(seed).at(address), offsets, data,
    )  # fmt: skip
    valid = template >= 0
    return Text(offsets, data, None if valid.all() else valid)
