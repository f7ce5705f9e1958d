"""E-mail addresses: letters of a name, digits that make the address unique, a domain for examples.

The place of a counter under a keyed permutation is cut into a style (provider, separator) and a
number inside the style. An address states both, so that two counters never share one, whatever
the names are. The names only decide how an address reads.

Twins: tests/reference/identity.py:email, firm_email.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import inlined, kernel
from fraudworld.kernels import permute
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.layers.profiles.identity.formats import check_space
from fraudworld.layers.profiles.identity.names import NameLaw
from fraudworld.layers.profiles.identity.text import (
    I32,
    I64,
    U8,
    U64,
    Text,
    digits_in,
    filled,
    put,
    put_number,
    words,
)
from fraudworld.policy.identity import IdentityPolicy
from fraudworld.rng import identities as streams

NO_SEPARATOR = 0


class Styles(NamedTuple):
    """Styles of addresses and how a place is cut into them."""

    style: I32  # of every slot
    rank: I32  # of a slot among the slots of its style
    slots: I32  # of every style
    domain: I32  # of every style, in the list of endings
    separator: U8  # of every style: a character, or NO_SEPARATOR
    initial: NDArray[np.bool_]  # given name by its first letter


class EmailLaw(NamedTuple):
    """Addresses of `countries`."""

    space: U64  # counters of every country
    keys: U64  # (countries, rounds)
    styles: Styles
    given: Text  # ASCII forms of the words of a NameLaw
    family: Text
    ending: Text  # `@provider.country.example`, provider + providers × country
    providers: int
    firm_space: U64
    firm_keys: U64
    firm_words: Text
    boxes: Text
    firm_ending: Text  # `.country.test`


def email_law(
    policy: IdentityPolicy,
    seed: int,
    countries: Sequence[str],
    names: NameLaw,
    persons: NDArray[np.integer],
    firms: NDArray[np.integer],
) -> EmailLaw:
    """The law of addresses.

    persons, firms: (countries,), counters that are in use: the fewer, the shorter the numbers.
    """
    emails = policy.numbers.emails
    low = [iso.lower() for iso in countries]
    return EmailLaw(
        np.maximum(persons, 1).astype(np.uint64),
        np.array([streams.EMAIL_PLACE.of(seed, code=c).draws(0, 1)[0] for c in countries]),
        styles(policy),
        words(names.given_latin),
        words(names.family_latin),
        words(f"@{p}.{c}.example" for c in low for p in emails.providers),
        len(emails.providers),
        np.maximum(firms, 1).astype(np.uint64),
        np.array([streams.DOMAIN_PLACE.of(seed, code=c).draws(0, 1)[0] for c in countries]),
        words(emails.firm_words),
        words(emails.firm_boxes),
        words(f".{c}.test" for c in low),
    )


def styles(policy: IdentityPolicy) -> Styles:
    """Styles by their shares, as slots by largest remainder.

    Without a separator, `a` + `schmidt` and `as` + `chmidt` read alike: there, initials share the
    numbers of full names, being one style in two readings.
    """
    emails = policy.numbers.emails
    share, domain, separator, initial = [], [], [], []
    for d, part in enumerate(emails.providers.values()):
        for mark, of_mark in emails.separators.items():
            for short in (False, True):
                of_short = emails.initial_share if short else 1.0 - emails.initial_share
                share.append(part * of_mark * of_short)
                domain.append(d)
                separator.append(NO_SEPARATOR if mark == "NONE" else ord(mark))
                initial.append(short)
    slots = largest_remainder(emails.slots, share)
    style = np.repeat(np.arange(slots.size), slots).astype(np.int32)
    # Numbers of a style are counted over its group: the provider and what the separator tells.
    group = np.array([(d, s, s != NO_SEPARATOR and i)
                      for d, s, i in zip(domain, separator, initial, strict=True)])  # fmt: skip
    same = (group[:, None, :] == group[None, :, :]).all(axis=2)
    of_group = same @ slots
    rank = np.zeros(style.size, dtype=np.int32)
    for k in range(style.size):
        rank[k] = same[style[k], style[:k]].sum()
    return Styles(
        style, rank, of_group.astype(np.int32), np.array(domain, np.int32),
        np.array(separator, np.uint8), np.array(initial, np.bool_),
    )  # fmt: skip


@inlined
def _put_if(data, at, number):  # type: ignore[no-untyped-def]
    """Writes a number in decimal, nothing for 0; returns the end."""
    return put_number(data, at, number, digits_in(number)) if number > 0 else at


@kernel
def write_persons(law, country, given, family, place, tag, offsets, data, fill):  # type: ignore[no-untyped-def]
    """Addresses of persons.

    Parameters
    ----------
    law : tuple
        styles, given and its offsets, family and its offsets, endings and their offsets, number
        of providers.
    country, given, family : integer (n,)
    place : int64 (n,)
        Style and number of the address.
    tag : integer (n,)
        Written as `+tag` behind the local part; 0 is not written.
    offsets : int32 (n + 1,)
        Without `fill`, filled with lengths from 1 on; else read.
    data : uint8
        Filled if `fill`.
    fill : bool
    """
    styles, given_word, given_at, family_word, family_at, end, end_at, providers = law
    slots = np.int64(styles.style.size)
    for i in range(place.size):
        c, g, f = country[i], given[i], family[i]
        slot = place[i] % slots
        s = styles.style[slot]
        number = place[i] // slots * styles.slots[s] + styles.rank[slot]
        ending = c * providers + styles.domain[s]
        separator = styles.separator[s]
        letters = 1 if styles.initial[s] else given_at[g + 1] - given_at[g]
        if not fill:
            size = letters + (separator != NO_SEPARATOR) + family_at[f + 1] - family_at[f]
            size += digits_in(number) if number > 0 else 0
            size += 1 + digits_in(tag[i]) if tag[i] > 0 else 0
            offsets[i + 1] = size + end_at[ending + 1] - end_at[ending]
            continue
        at = offsets[i]
        for k in range(letters):
            data[at + k] = given_word[given_at[g] + k]
        at += letters
        if separator != NO_SEPARATOR:
            data[at] = separator
            at += 1
        at = put(data, at, family_word, family_at, f)
        at = _put_if(data, at, number)
        if tag[i] > 0:
            data[at] = 43  # +
            at = put_number(data, at + 1, tag[i], digits_in(tag[i]))
        put(data, at, end, end_at, ending)


@kernel
def write_firms(law, country, word, place, member, offsets, data, fill):  # type: ignore[no-untyped-def]
    """Addresses of members of firms: `box[number]@name-word[number].country.test`.

    Parameters
    ----------
    law : tuple
        family and its offsets, firm_words and their offsets, boxes and their offsets, endings
        and their offsets.
    country, word : integer (n,)
        word: a family name, the first in the name of the firm.
    place, member : int64 (n,)
        place: word and number of the domain; member: number inside the firm, from 0.
    offsets, data, fill
        As in `write_persons`.
    """
    family, family_at, extra, extra_at, box, box_at, end, end_at = law
    extras, boxes = extra_at.size - 1, box_at.size - 1
    for i in range(place.size):
        c, w = country[i], word[i]
        e, number = place[i] % extras, place[i] // extras
        b, again = (member[i] + place[i]) % boxes, member[i] // boxes
        if not fill:
            size = box_at[b + 1] - box_at[b] + (digits_in(again) if again > 0 else 0) + 2
            size += family_at[w + 1] - family_at[w] + extra_at[e + 1] - extra_at[e]
            size += digits_in(number) if number > 0 else 0
            offsets[i + 1] = size + end_at[c + 1] - end_at[c]
            continue
        at = put(data, offsets[i], box, box_at, b)
        at = _put_if(data, at, again)
        data[at] = 64  # @
        at = put(data, at + 1, family, family_at, w)
        data[at] = 45  # -
        at = put(data, at + 1, extra, extra_at, e)
        at = _put_if(data, at, number)
        put(data, at, end, end_at, c)


def emails(
    law: EmailLaw, country: NDArray[np.integer], given: I32, family: I32, counter: I64, tag: I32
) -> Text:
    """Addresses of persons, unique by (country, counter, tag).

    country: (n,); given, family: int32 (n,), codes of the NameLaw; counter: int64 (n,), below the
    persons of the country; tag: int32 (n,), number inside a shared mailbox, 0 for its owner. Rows
    that share a mailbox have one counter and one name.
    """
    check_space(country.astype(np.int32), counter, law.space, "e-mail address")
    lists = (law.given.data, law.given.offsets, law.family.data, law.family.offsets)
    endings = (law.ending.data, law.ending.offsets, law.providers)
    place = permute.grouped_places(law.space, law.keys, country, counter)
    parts = (law.styles, *lists, *endings)
    return filled(write_persons, (parts, country, given, family, place, tag), place.size)


def firm_emails(
    law: EmailLaw, country: NDArray[np.integer], word: I32, counter: I64, member: I64
) -> Text:
    """Addresses at the domains of firms, unique by (country, counter, member).

    country: (n,); word: int32 (n,), first family name of the firm, `names.firm_families(…)[:, 0]`;
    counter: int64 (n,), of the firm, below the firms of the country: members of a firm share it
    and so the domain; member: int64 (n,), number of the row inside the firm.
    """
    check_space(country.astype(np.int32), counter, law.firm_space, "domain")
    lists = (law.family, law.firm_words, law.boxes, law.firm_ending)
    place = permute.grouped_places(law.firm_space, law.firm_keys, country, counter)
    parts = tuple(a for t in lists for a in (t.data, t.offsets))
    return filled(write_firms, (parts, country, word, place, member), place.size)
