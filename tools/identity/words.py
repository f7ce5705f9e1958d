"""Reads names, street words and legal forms from Faker's provider lists, once.

A word is written with its ASCII form, lower-case letters only, for e-mail addresses (`anyascii`;
Japanese by the Latin reading that Faker states) and with its weight where the list has weights.
Long lists are thinned evenly: 240 given names a sex, 600 family names, 300 streets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

import faker
from anyascii import anyascii

GIVEN, FAMILY, STREETS, FORMS = 240, 600, 300, 16
SAMPLED = 6_000
LEAST = 9
"""A list of so many words or fewer is a stub of the library's."""
UNIT = 10_000
"""Weights are whole numbers of which the largest of a list is this."""

Words = dict[str, float]


def ascii_form(text: str) -> str:
    """Lower-case ASCII letters of a word; empty where it has none."""
    return re.sub(r"[^a-z]", "", anyascii(text).lower())


def _provider(kind: str, locale: str) -> Any:
    return import_module(f"faker.providers.{kind}.{locale}").Provider


def _listed(provider: Any, names: Iterable[str]) -> Words | None:
    for name in names:
        value = getattr(provider, name, None)
        if isinstance(value, Mapping) and len(value) > LEAST:
            return {str(word): float(weight) for word, weight in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)) and len(value) > LEAST:
            words = sorted(value) if isinstance(value, (set, frozenset)) else value
            return {str(word): 1.0 for word in words if isinstance(word, str)}
    return None


def _readings(provider: Any) -> dict[str, str]:
    """Written word → Latin reading, where a provider states pairs."""
    names = [n for n in vars(provider) if n.endswith("_pairs")]
    pairs = [p for n in names for p in (getattr(provider, n) or ()) if len(p) == 3]
    return {written: latin for written, _, latin in pairs}


def _thinned(words: Words, most: int) -> Words:
    if len(set(words.values())) > 1:
        kept = set(sorted(words, key=lambda w: (-words[w], w))[:most])
        return {w: x for w, x in words.items() if w in kept}
    items = list(words.items())
    step = max(len(items) / most, 1.0)
    return dict(items[int(i * step)] for i in range(min(most, len(items))))


def _lines(words: Words, most: int, readings: Mapping[str, str]) -> list[str]:
    clean: Words = {}
    for word, weight in words.items():
        text = re.sub(r"\s+", " ", word).strip()
        if text and not re.search(r"[;|{}\"\\0-9]", text) and len(text.encode()) <= 60:
            clean[text] = clean.get(text, 0.0) + weight
    usable = {w: x for w, x in clean.items() if len(ascii_form(readings.get(w, w))) >= 2}
    kept = _thinned(usable, most)
    heaviest, weighted = max(kept.values()), len(set(kept.values())) > 1
    out = []
    for word, weight in sorted(kept.items()):
        latin = ascii_form(readings.get(word, word))
        parts = [word, "" if latin == re.sub(r"[^a-z]", "", word.lower()) else latin]
        parts.append(str(max(round(weight / heaviest * UNIT), 1)) if weighted else "")
        out.append(";".join(parts).rstrip(";"))
    return out


def people(locale: str) -> dict[str, list[str]]:
    """Lists of given names by sex and of family names (by sex where the language has both)."""
    provider = _provider("person", locale)
    readings = _readings(provider)
    either = _listed(provider, ("first_names",))
    women = _listed(provider, ("first_names_female",)) or either
    men = _listed(provider, ("first_names_male",)) or either
    family = _listed(provider, ("last_names", "unisex_last_names", "last_names_male"))
    if locale == "is_IS":  # patronymics
        stems = provider.last_names_without_suffix
        given = {sex: {f"{stem}{sex}": 1.0 for stem in stems} for sex in ("dóttir", "son")}
        return {
            "female": _lines(women or {}, GIVEN, readings),
            "male": _lines(men or {}, GIVEN, readings),
            "family_female": _lines(given["dóttir"], FAMILY, readings),
            "family_male": _lines(given["son"], FAMILY, readings),
        }
    female = _listed(provider, ("last_names_female",))
    male = _listed(provider, ("last_names_male",))
    if women is None or men is None or (family is None and male is None):
        raise ValueError(f"{locale}: a list is missing")
    out = {
        "female": _lines(women, GIVEN, readings),
        "male": _lines(men, GIVEN, readings),
    }
    if female is not None and male is not None and set(female) != set(male):
        out["family_female"] = _lines(female, FAMILY, readings)
        out["family_male"] = _lines(male, FAMILY, readings)
    else:
        out["family_female"] = out["family_male"] = _lines(family or {}, FAMILY, readings)
    return out


def streets(locale: str) -> list[str]:
    """Street names of an address locale, from Faker's patterns over its lists, without digits."""
    towns = getattr(_provider("address", locale), "towns", None)
    if locale == "ja_JP" and towns:  # addresses go by town, not by street
        return _lines(dict.fromkeys(map(str, towns), 1.0), STREETS, {})
    generator = faker.Faker(locale)
    generator.seed_instance(6)
    words = dict.fromkeys(
        (re.sub(r"\s+", " ", generator.street_name()).strip() for _ in range(SAMPLED)), 1.0
    )
    return _lines(dict(sorted(words.items())), STREETS, {})


def forms(locale: str) -> list[str]:
    """Legal forms of firms, as a company provider lists them."""
    listed = getattr(_provider("company", locale), "company_suffixes", ())
    flat = [str(x) for x in (listed or ())]
    return sorted(dict.fromkeys(x for x in flat if x and ";" not in x))[:FORMS]


def number_first(locale: str) -> bool:
    """Whether a house number stands before the street."""
    formats = getattr(_provider("address", locale), "street_address_formats", None)
    if not formats:
        return False
    one = next((f for f in formats if "building_number" in f), "")
    return one.find("building_number") < one.find("street") if one else False
