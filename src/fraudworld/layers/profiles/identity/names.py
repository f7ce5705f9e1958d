"""Names of persons and firms: codes of word lists, drawn by country.

A family draws a list of its country and a quantile of its family names, a person its sex and a
given name of the same list. Where a language writes family names by sex, the lists of both are
in the same order of the alphabet, so that one quantile gives like names. Weights are those of the
source; a list without weights is uniform.

Twins: tests/reference/identity.py:person_name, firm_name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import inlined, kernel
from fraudworld.kernels.discrete import category, thresholds
from fraudworld.layers.profiles.identity.text import I32, I64, U8, U64, Text, filled, put, words
from fraudworld.policy.identity import IdentityPolicy, People, Word
from fraudworld.rng import identities as streams
from fraudworld.rng import philox

FEMALE, MALE = 0, 1
LONGEST_FORM = 3
"""Family names in the name of a firm, at most."""


class Lists(NamedTuple):
    """Word lists behind one another."""

    start: I32  # (lists + 1,)
    word: I32  # code of every entry
    threshold: U64  # cumulative, 63 bits, of every entry in its list


class NameLaw(NamedTuple):
    """Lists by country, and the words that codes stand for."""

    share: U64  # thresholds of a country's lists, (countries, most lists)
    chosen: I32  # number of the list, in the same shape
    given: Lists  # list 2 · number + sex
    family: Lists
    form: Lists  # legal forms, by country
    parts: U64  # thresholds of the number of names of a firm, (1, 3)
    given_words: tuple[str, ...]
    given_latin: tuple[str, ...]  # lower-case ASCII letters of each
    family_words: tuple[str, ...]  # the lists' words, then their near misses
    family_latin: tuple[str, ...]
    near_miss: I32  # code of the word that is one edit apart, for every word of the lists
    form_words: tuple[str, ...]
    family_text: Text  # `family_words` and `form_words` as bytes
    form_text: Text


class Words:
    """Codes of words, in order of first use."""

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self.latin: list[str] = []

    def code(self, text: str, latin: str) -> int:
        """Code of a word; a known word keeps its first ASCII form."""
        if text not in self.codes:
            self.codes[text] = len(self.codes)
            self.latin.append(latin)
        return self.codes[text]


def name_law(policy: IdentityPolicy, countries: Sequence[str]) -> NameLaw:
    """The law of `countries`, whose positions are the rows' country numbers."""
    policy.require(countries)
    given, family, form = Words(), Words(), Words()
    of_given: list[list[tuple[int, int]]] = []
    of_family: list[list[tuple[int, int]]] = []
    numbers: dict[tuple[str, bool], int] = {}
    most = max(len(policy.locales.countries[iso].people) for iso in countries)
    shares, chosen = np.zeros((len(countries), most)), np.zeros((len(countries), most), np.int32)
    forms = []
    for c, iso in enumerate(countries):
        locale = policy.locales.countries[iso]
        for k, (name, share) in enumerate(sorted(locale.people.items())):
            if (name, locale.latin) not in numbers:
                numbers[name, locale.latin] = len(numbers)
                people = policy.people[name]
                for sex in (FEMALE, MALE):
                    of_given.append(_coded(_given(people, sex), given, locale.latin))
                    of_family.append(_coded(_family(people, sex), family, locale.latin))
            shares[c, k], chosen[c, k] = share, numbers[name, locale.latin]
        forms.append([(form.code(f, ""), 1) for f in policy.locales.forms[locale.forms]])
    listed = tuple(family.codes)
    near = np.array(
        [family.code(near_word(w), near_word(family.latin[i])) for i, w in enumerate(listed)],
        dtype=np.int32,
    )
    return NameLaw(
        thresholds(shares / shares.sum(axis=1, keepdims=True)),
        chosen,
        _lists(of_given),
        _lists(of_family),
        _lists(forms),
        thresholds([list(policy.numbers.firm_name_parts)]),
        tuple(given.codes),
        tuple(given.latin),
        tuple(family.codes),
        tuple(family.latin),
        near,
        tuple(form.codes),
        words(family.codes),
        words(form.codes),
    )


def _given(people: People, sex: int) -> tuple[Word, ...]:
    return (people.female if sex == FEMALE else people.male).words()


def _family(people: People, sex: int) -> tuple[Word, ...]:
    own = people.family_male if sex == MALE else people.family_female
    return (people.family_female if own is None else own).words()


def _coded(entries: Sequence[Word], into: Words, latin: bool) -> list[tuple[int, int]]:
    """(code, weight) of a list's words; in Latin letters where the country writes them so."""
    return [
        (into.code(w.latin.capitalize() if latin and not w.text.isascii() else w.text, w.latin),
         w.weight)
        for w in entries
    ]  # fmt: skip


def _lists(lists: Sequence[Sequence[tuple[int, int]]]) -> Lists:
    start = np.zeros(len(lists) + 1, dtype=np.int32)
    np.cumsum([len(entries) for entries in lists], out=start[1:])
    codes = [code for entries in lists for code, _ in entries]
    levels = []
    for entries in lists:
        weights = np.array([weight for _, weight in entries], dtype=np.float64)
        levels.append(thresholds(weights / weights.sum()))
    return Lists(start, np.array(codes, dtype=np.int32), np.concatenate(levels))


def near_word(text: str) -> str:
    """A word one edit apart: a doubled letter written once, else the second (or only) doubled."""
    for i in range(1, len(text)):
        if text[i].lower() == text[i - 1].lower():
            return text[: i - 1] + text[i:] if i > 1 else text[:1] + text[2:]
    return text[:2] + text[1:] if len(text) > 1 else text * 2


@inlined
def _entry(lists, number, draw):  # type: ignore[no-untyped-def]
    """Code of the word that a u64 draw takes in list `number`."""
    low, high, d = lists.start[number], lists.start[number + 1], draw >> np.uint64(1)
    # The first entry whose threshold is above d.
    while low < high:
        middle = (low + high) >> 1
        if lists.threshold[middle] <= d:
            low = middle + 1
        else:
            high = middle
    return lists.word[low]


@kernel
def draw_persons(law, person_key, family_key, country, person, family, sex, given, surname):  # type: ignore[no-untyped-def]
    """Names of persons.

    Parameters
    ----------
    law : NameLaw
        Its text fields are not read.
    person_key, family_key : (uint64, uint64)
        Keys of the streams PERSON_NAME and FAMILY_NAME.
    country : integer (n,)
    person, family : int64 (n,)
        Entities of the two streams.
    sex, given, surname : uint8, int32, int32 (n,)
        Filled.
    """
    share, chosen, of_given, of_family = law
    for i in range(country.size):
        a, b = philox.pair(person_key[0], person_key[1], np.uint64(person[i]))
        c, d = philox.pair(family_key[0], family_key[1], np.uint64(family[i]))
        number = chosen[country[i], category(c, share, country[i])]
        sex[i] = a >> np.uint64(63)
        given[i] = _entry(of_given, 2 * number + sex[i], b)
        surname[i] = _entry(of_family, 2 * number + sex[i], d)


class Names(NamedTuple):
    """Names of n persons: codes of `NameLaw.given_words` and `NameLaw.family_words`."""

    sex: U8  # FEMALE or MALE
    given: I32
    family: I32


def person_names(
    law: NameLaw, seed: int, country: NDArray[np.integer], person: I64, family: I64
) -> Names:
    """Names of persons.

    country: (n,) positions in the law's countries; person: int64 (n,), an id; family: int64 (n,),
    an id that a family shares: its members get one family name and one list of given names.
    """
    n = country.size
    out = Names(np.empty(n, np.uint8), np.empty(n, np.int32), np.empty(n, np.int32))
    draw_persons(
        (law.share, law.chosen, law.given, law.family),
        streams.PERSON_NAME.of(seed).key, streams.FAMILY_NAME.of(seed).key,
        country, person, family, *out,
    )  # fmt: skip
    return out


@kernel
def draw_firms(law, key, country, firm, parts, form):  # type: ignore[no-untyped-def]
    """Names of firms as codes.

    Parameters
    ----------
    law : tuple
        share, chosen, family, form and parts of a NameLaw.
    key : (uint64, uint64)
        Of the stream FIRM_NAME, width 8.
    country, firm : integer (n,)
    parts : int32 (n, 3)
        Filled: family names, −1 behind the last.
    form : int32 (n,)
        Filled.
    """
    share, chosen, of_family, of_form, of_parts = law
    for i in range(country.size):
        block = np.uint64(firm[i]) * np.uint64(2)
        of, number_of, first, second = philox.block(key[0], key[1], block)
        third, form_of, _, _ = philox.block(key[0], key[1], block + np.uint64(1))
        number = 2 * chosen[country[i], category(of, share, country[i])] + MALE
        count = category(number_of, of_parts, 0) + 1
        parts[i, 0] = _entry(of_family, number, first)
        parts[i, 1] = _entry(of_family, number, second) if count > 1 else -1
        parts[i, 2] = _entry(of_family, number, third) if count > 2 else -1
        form[i] = _entry(of_form, country[i], form_of)


@kernel
def _firm_texts(word, word_at, form_word, form_at, parts, form, offsets, data, fill):  # type: ignore[no-untyped-def]
    """Names of firms as text: `A form`, `A & B form`, `A, B & C form`.

    Parameters
    ----------
    word, word_at, form_word, form_at
        Bytes and offsets of the family names and of the legal forms.
    parts : int32 (n, 3)
    form : int32 (n,)
    offsets : int32 (n + 1,)
        Filled with lengths, from 1 on, unless `fill`; else read.
    data : uint8
        Filled if `fill`.
    """
    for i in range(form.size):
        count = (parts[i] >= 0).sum()
        if not fill:
            size = form_at[form[i] + 1] - form_at[form[i]] + 1
            for k in range(count):
                size += word_at[parts[i, k] + 1] - word_at[parts[i, k]]
            offsets[i + 1] = size + (3 if count > 1 else 0) + (2 if count > 2 else 0)
            continue
        at = put(data, offsets[i], word, word_at, parts[i, 0])
        for k in range(1, count):
            if k < count - 1:
                data[at], data[at + 1] = 44, 32  # ", "
                at += 2
            else:
                data[at], data[at + 1], data[at + 2] = 32, 38, 32  # " & "
                at += 3
            at = put(data, at, word, word_at, parts[i, k])
        data[at] = 32
        put(data, at + 1, form_word, form_at, form[i])


def firm_names(law: NameLaw, seed: int, country: NDArray[np.integer], firm: I64) -> Text:
    """Names of firms: one to three family names and a legal form. Firms may share a name.

    country: (n,); firm: int64 (n,), an id.
    """
    parts, form = _firms(law, seed, country, firm)
    family, forms = law.family_text, law.form_text
    lists = (family.data, family.offsets, forms.data, forms.offsets)
    return filled(_firm_texts, (*lists, parts, form), form.size)


def firm_families(law: NameLaw, seed: int, country: NDArray[np.integer], firm: I64) -> I32:
    """Codes of the family names in the names of firms, −1 behind the last, (n, 3)."""
    return _firms(law, seed, country, firm)[0]


def _firms(law: NameLaw, seed: int, country: NDArray[np.integer], firm: I64) -> tuple[I32, I32]:
    n = country.size
    parts, form = np.empty((n, LONGEST_FORM), np.int32), np.empty(n, np.int32)
    draw_firms(
        (law.share, law.chosen, law.family, law.form, law.parts),
        streams.FIRM_NAME.of(seed).key, country, firm, parts, form,
    )  # fmt: skip
    return parts, form
