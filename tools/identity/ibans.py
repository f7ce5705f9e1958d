"""Builds IBAN templates of banks that no registry of `schwifty` lists, one for every bank.

A bank gets a code in the largest gap of the registry, or, where codes are letters, one that starts
with QX. Digits of branch and account are free; national check digits follow from an automaton
or a sum learned from `schwifty` itself. Formats that `schwifty` calls aspirational are left out:
their countries issue no IBAN.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice, pairwise, product
from random import Random

from schwifty import registry
from schwifty.bban import BBAN
from schwifty.checksum import Algorithm, algorithms
from schwifty.domain import Component, IBANSpec
from schwifty.exceptions import SchwiftyException

from identity.learn import COMPARED, Learned, NotLearnedError, automaton

BANKS = 9
MOST_FREE = 14
MOST_STATES = 36
DIGITS, LETTERS = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

FIXED = {
    "CZ": {Component.BRANCH_CODE: "000000"},  # the prefix has a checksum of its own
    "SK": {Component.BRANCH_CODE: "000000"},
    "ES": {Component.BRANCH_CODE: "0001"},  # so that the first check digit is the bank's
    "IS": {Component.ACCOUNT_TYPE: "26", Component.ACCOUNT_HOLDER_ID: "00########"},  # no such day
    "BG": {Component.BRANCH_CODE: "9000", Component.ACCOUNT_TYPE: "10"},
    "GT": {Component.ACCOUNT_TYPE: "01", Component.CURRENCY_CODE: "02"},
    "BR": {Component.ACCOUNT_TYPE: "C", Component.ACCOUNT_ID: "1"},
    "MU": {Component.CURRENCY_CODE: "MUR", Component.BRANCH_CODE: "01"},
    "PL": {},
}
"""Components that are not free (authored: the least that keeps a number in form)."""

WIDE = {"NO": 1}
"""Last digits of a bank's code that are free, where account numbers are short: a bank has ten."""

REPAIRED = {
    "CZ": Component.ACCOUNT_CODE,
    "SK": Component.ACCOUNT_CODE,
    "IS": Component.ACCOUNT_HOLDER_ID,
    "NO": Component.BANK_CODE,
}
"""Component with a digit of its own for payloads that no check digit fits."""

CHECKS = {"CZ": 19, "SK": 19, "IS": 20}
"""Positions in the BBAN of check digits that are no component of their own."""


@dataclass(frozen=True)
class Sum:
    """check = least + (start + Σ terms[i][digit of position i] − least) mod modulus."""

    modulus: int
    least: int
    start: int
    terms: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class BankFormat:
    """A bank's BBAN: literals, `#` free, `?` check, `!` a digit that is 1 where 0 has no check."""

    code: str
    template: str
    law: Sum | Learned | None


def formats(countries: Iterable[str]) -> dict[str, list[BankFormat]]:
    """Country → formats of its banks; countries without IBAN are left out."""
    out = {}
    for iso in sorted(countries):
        try:
            spec = registry.get_iban_spec(iso)
        except SchwiftyException:
            continue
        if not spec.aspirational:
            out[iso] = _of_country(iso, spec)
    return out


def _of_country(iso: str, spec: IBANSpec) -> list[BankFormat]:
    codes = _codes(iso, spec)
    algorithm = algorithms.get(f"{iso}:default")
    first = _format(iso, spec, codes[0])
    if algorithm is None or Component.BANK_CODE in algorithm.accepts:
        return [first, *(_format(iso, spec, code) for code in codes[1:])]
    # The check digits do not depend on the bank.
    length = len(codes[0])
    return [BankFormat(code, code + first.template[length:], first.law) for code in codes]


def _codes(iso: str, spec: IBANSpec) -> list[str]:
    """Codes of banks, of the components a registry looks a bank up by, that none lists."""
    parts = spec.bic_lookup_components or [Component.BANK_CODE]
    length = sum(spec.positions[p].length for p in parts) - WIDE.get(iso, 0)
    listed = {b.bank_code[:length] for b in registry.get_banks_by_country(iso)}
    start = spec.positions[Component.BANK_CODE].start
    kinds = _kinds(spec)[start : start + length]
    if kinds[0] == "a":
        tails = product(*(LETTERS if k == "a" else DIGITS for k in kinds[2:]))
        codes = ("QX" + "".join(tail) for tail in tails)
        return list(islice((c for c in codes if c not in listed), BANKS))
    numbers = sorted({0, 10**length} | {int(code) for code in listed if code.isdecimal()})
    gaps = sorted(
        ((low + 1, high) for low, high in pairwise(numbers) if high - low > 1),
        key=lambda gap: (gap[0] - gap[1], gap[0]),
    )
    chosen: list[int] = []
    for low, high in gaps:
        step = max((high - low) // (BANKS - len(chosen) + 1), 1)
        chosen += range(low + step - 1, high, step)[: BANKS - len(chosen)]
        if len(chosen) == BANKS:
            break
    return [f"{k:0{length}d}" for k in sorted(chosen)]


def _kinds(spec: IBANSpec) -> str:
    """n, a or c of every position of the BBAN; c is written with digits."""
    return "".join(
        kind * int(count) for count, kind in re.findall(r"(\d+)!?([nac])", spec.bban_spec)
    )


def _format(iso: str, spec: IBANSpec, code: str) -> BankFormat:
    kinds = _kinds(spec)
    text = ["#" if k in "nc" else "A" for k in kinds]
    parts = spec.bic_lookup_components or [Component.BANK_CODE]
    rest = code
    for part in parts:
        place = spec.positions[part]
        own = rest[: place.length]
        text[place.start : place.start + len(own)] = own
        rest = rest[place.length :]
    for part, value in FIXED.get(iso, {}).items():
        place = spec.positions[part]
        text[place.start : place.end] = value
    algorithm = algorithms.get(f"{iso}:default")
    check = spec.positions.get(Component.NATIONAL_CHECKSUM_DIGITS)
    spots = list(range(check.start, check.end)) if check and not check.is_empty else []
    if iso in CHECKS:
        spots = [CHECKS[iso]]
    if iso == "PL":  # the check digit is part of the bank's code
        text[:8] = _polish(code)
        return BankFormat("".join(text[:8]), "".join(_bounded(text)), None)
    if algorithm is None:
        for i in spots:
            text[i] = "0"  # no library knows these digits
        return BankFormat(code, "".join(_bounded(text)), None)
    for i in spots:
        text[i] = "?"
    if iso == "NO":
        # Accounts that begin with 00 have a checksum of their own.
        text[spec.positions[Component.ACCOUNT_CODE].start] = "[123456789]"
    tokens = _bounded(text)
    law = _law(iso, spec, tokens, algorithm)
    if isinstance(law, Learned) and any(not o for o in law.outcomes):
        # A digit of its own that makes every remainder possible.
        tokens[tokens.index("#", spec.positions[REPAIRED[iso]].start)] = "!"
        law = _law(iso, spec, tokens, algorithm)
    return BankFormat(code, "".join(tokens), law)


def _bounded(text: list[str]) -> list[str]:
    """Leading free positions become zeros, so that at most MOST_FREE stay free."""
    out, free = list(text), [i for i, c in enumerate(text) if c == "#"]
    for i in free[: max(len(free) - MOST_FREE, 0)]:
        out[i] = "0"
    return out


def _polish(code: str) -> str:
    for digit in DIGITS:
        trial = code[:7] + digit
        listed = registry.get_banks_by_code("PL", trial)
        if not listed and _valid("PL", trial + "0" * 16):
            return trial
    raise NotLearnedError(f"{code}: no check digit")


def _valid(iso: str, bban: str) -> bool:
    try:
        return BBAN(iso, bban).validate_national_checksum()
    except SchwiftyException:
        return False


def _law(iso: str, spec: IBANSpec, tokens: list[str], algorithm: Algorithm) -> Sum | Learned:
    free = [i for i, token in enumerate(tokens) if token in "#!" or len(token) > 1]
    spots = [i for i, token in enumerate(tokens) if token == "?"]
    alphabets = [{"#": DIGITS, "!": "01"}.get(tokens[i], tokens[i].strip("[]")) for i in free]

    def filled(payload: str, check: str) -> str:
        out = list(tokens)
        for i, c in zip((*free, *spots), payload + check, strict=True):
            out[i] = c
        return "".join(out)

    def cut(bban: str) -> list[str]:
        ranges = [spec.positions.get(part) for part in algorithm.accepts]
        return [bban[r.start : r.end] if r else "" for r in ranges]

    def outcome(payload: str) -> frozenset[str]:
        if iso in CHECKS:
            each = ((d, cut(filled(payload, d))) for d in DIGITS)
            return frozenset(d for d, parts in each if algorithm.validate(parts, ""))
        components = cut(filled(payload, "0" * len(spots)))
        try:
            return frozenset([algorithm.compute(components)])
        except SchwiftyException:
            return frozenset()

    if len(spots) == 2 and iso not in ("ES",):
        return _sum(alphabets, outcome)
    return automaton(alphabets, outcome, MOST_STATES)


def _sum(alphabets: list[str], outcome) -> Sum:  # type: ignore[no-untyped-def]
    """The sum modulo 97 of a two-digit check; raises NotLearnedError where it is none."""
    random, modulus = Random(97), 97

    def value(payload: str) -> int:
        (check,) = outcome(payload)
        return int(check)

    zero = "".join(a[0] for a in alphabets)
    start = value(zero)
    terms = tuple(
        tuple((value(zero[:i] + c + zero[i + 1 :]) - start) % modulus for c in alphabet)
        for i, alphabet in enumerate(alphabets)
    )
    least = 100
    seen = []
    for _ in range(COMPARED):
        payload = "".join(random.choice(a) for a in alphabets)
        total = start + sum(
            t[a.index(c)] for t, a, c in zip(terms, alphabets, payload, strict=True)
        )
        seen.append((total, value(payload)))
        least = min(least, seen[-1][1])
    if any(least + (total - least) % modulus != got for total, got in seen):
        raise NotLearnedError("no sum modulo 97")
    return Sum(modulus, least, start, terms)
