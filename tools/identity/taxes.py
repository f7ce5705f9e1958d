"""Finds tax ids that are well formed and fail their country's checksum, by `python-stdnum`.

For every module the template starts from the module's own example and frees one position after
the other, as long as every number stays well formed: whatever the library says of random numbers
is "valid" or "wrong check digit" and nothing else. The last position whose every change breaks the
checksum becomes the check character, and `learn` finds which characters fail for which payload.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from types import ModuleType
from typing import Any

from stdnum.exceptions import InvalidChecksum, ValidationError

from identity.learn import Learned, NotLearnedError, automaton

DIGITS, LETTERS = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SAMPLES, SEEN = 3_000, 300
FAILED = 5_000
LEAST_SPACE = 10**6
MOST_FREE = 9
FEW_STATES, MOST_STATES = 36, 128
WELL_FORMED = frozenset({"valid", "InvalidChecksum"})
OUT_OF_RANGE = frozenset({"InvalidComponent", "InvalidFormat", "InvalidChecksum"})

EXAMPLES = {"mu.nid": "A010170123450E"}
"""Numbers of modules without a valid one in their documentation; the check character is sought."""

CHECKSUMS = {
    "AT": ("at.tin", "at.uid"), "AU": ("au.tfn", "au.abn"), "BE": ("be.nn", "be.vat"),
    "BG": ("bg.egn", "bg.vat"), "BR": ("br.cpf", "br.cnpj"), "CA": ("ca.sin", "ca.bn"),
    "CH": ("ch.ssn", "ch.uid"), "CL": ("cl.rut", "cl.rut"), "CO": ("co.nit", "co.nit"),
    "CY": ("cy.vat", "cy.vat"), "CZ": ("cz.rc", "cz.dic"), "DE": (None, "de.vat"),
    "DK": (None, "dk.cvr"), "DO": ("do.cedula", "do.rnc"), "EC": ("ec.ci", None),
    "EE": (None, "ee.kmkr"), "ES": ("es.dni", "es.cif"), "FI": ("fi.hetu", "fi.ytunnus"),
    "FR": ("fr.nif", "fr.siren"), "GB": ("gb.utr", "gb.utr"), "GH": ("gh.tin", "gh.tin"),
    "GR": ("gr.vat", "gr.vat"), "GT": ("gt.nit", "gt.nit"), "HR": ("hr.oib", "hr.oib"),
    "HU": (None, "hu.anum"), "ID": ("id.npwp", "id.npwp"), "IE": ("ie.pps", "ie.vat"),
    "IL": ("il.idnr", "il.idnr"), "IS": ("is_.kennitala", "is_.kennitala"),
    "IT": ("it.codicefiscale", "it.iva"), "JP": ("jp.in_", "jp.cn"), "KR": ("kr.rrn", None),
    "LT": (None, None), "LU": (None, "lu.tva"), "LV": ("lv.pvn", "lv.pvn"),
    "MA": (None, "ma.ice"), "MT": (None, "mt.vat"), "MU": ("mu.nid", None),
    "NL": ("nl.bsn", "nl.bsn"), "NO": (None, "no.orgnr"), "NZ": ("nz.ird", "nz.ird"),
    "PE": ("pe.ruc", "pe.ruc"), "PL": (None, "pl.nip"), "PT": ("pt.nif", "pt.nif"),
    "RO": ("ro.cnp", "ro.cui"), "SE": (None, "se.orgnr"), "SG": (None, "sg.uen"),
    "SI": ("si.ddv", "si.ddv"), "SK": ("sk.rc", None), "SN": (None, "sn.ninea"),
    "TH": ("th.pin", "th.moa"), "TR": ("tr.tckimlik", "tr.vkn"), "UY": (None, "uy.rut"),
    "AR": ("ar.cuit", "ar.cuit"), "VN": ("vn.mst", "vn.mst"), "ZA": ("za.tin", "za.tin"),
}  # fmt: skip
"""Country → module of a person's and of a firm's id (authored: what the tax office asks for)."""

RANGES = {
    "CR": (("cr.cpf", "[6789]#########"), ("cr.cpj", "[6789]#########")),  # classes 6 to 9
    "DE": (("de.idnr", "0##########"), None),  # a leading zero: test numbers
    "DK": (("dk.cpr", "[012]#1[3456789]######"), None),  # months 13 to 19
    "EC": (None, ("ec.ruc", "2[56789]###########")),
    "EE": (("ee.ik", "[3456]##1[3456789]######"), None),
    "KR": (None, ("kr.brn", "0#########")),
    "LT": (
        ("lt.asmens", "[3456]##1[3456789]######"),
        ("lt.pvm", "#######[023456789]#"),  # the eighth digit of a firm is 1
    ),
    "IN": (("in_.pan", "[A-Z][A-Z][A-Z]Z[A-Z]####[A-Z]"),) * 2,  # no holder is of type Z
    "MX": (
        ("mx.rfc", "[A-Z][A-Z][A-Z][A-Z]##1[3456789]##[A-Z]##"),
        ("mx.rfc", "[A-Z][A-Z][A-Z]##1[3456789]##[A-Z]##"),
    ),
    "MY": (("my.nric", "##1[3456789]########"), None),
    "NO": (("no.fodselsnummer", "[012]#1[3456789]#######"), None),
    "PL": (("pl.pesel", "##1[3456789]#######"), None),
    "SE": (("se.personnummer", "##1[3456789]##-####"), None),
    "SK": (None, ("sk.dph", "[123456789]#6[3456789]######")),
    "US": (("us.ssn", "###00####"), ("us.ein", "[01][789]#######")),  # group 00; no such campus
}
"""Country → module and template outside the issued range, where ids have no checksum."""

Verdict = Callable[[str], str]


def module(name: str) -> ModuleType:
    """A module of stdnum by its dotted name."""
    return importlib.import_module(f"stdnum.{name}")


def verdict(name: str) -> Verdict:
    """number → "valid", or the name of the library's exception."""
    library = module(name)

    def judge(number: str) -> str:
        try:
            library.validate(number)
        except InvalidChecksum:
            return "InvalidChecksum"
        except ValidationError as error:
            return type(error).__name__
        return "valid"

    return judge


def examples(name: str) -> list[str]:
    """Valid numbers of the module's own documentation, compact."""
    library = module(name)
    texts = re.findall(r"validate\(['\"]([^'\"]+)['\"]\)", library.__doc__ or "")
    judge = verdict(name)
    out = []
    for text in texts:
        try:
            compact = library.compact(text)
        except ValidationError:
            continue
        if judge(compact) == "valid" and compact not in out:
            out.append(compact)
    if name in EXAMPLES:
        ends = (EXAMPLES[name][:-1] + c for c in DIGITS + LETTERS)
        out += [number for number in ends if judge(number) == "valid"]
    return out


@dataclass(frozen=True)
class Found:
    """A template and its law: allowed characters by position, check position, automaton."""

    alphabets: tuple[str, ...]
    check: int
    letters: str  # characters of the check position
    learned: Learned
    any_last: bool = False  # the last position is free and not read by the automaton


def search(name: str) -> Found:
    """The template of a module; raises NotLearnedError where none is found."""
    judge = verdict(name)
    problems = []
    for example in examples(name):
        try:
            return _from_example(example, judge)
        except NotLearnedError as error:
            problems.append(f"{example}: {error}")
    raise NotLearnedError("; ".join(problems) or "no example")


def _from_example(example: str, judge: Verdict) -> Found:
    random = Random(example)
    check, letters = _check_position(example, judge)
    alphabets = list(example)
    alphabets[check] = letters

    def holds(trial: list[str]) -> bool:
        return all(
            judge("".join(random.choice(a) for a in trial)) in WELL_FORMED for _ in range(SAMPLES)
        )

    if not holds(alphabets):
        raise NotLearnedError("the check character alone breaks the form")
    order = [i for i in range(len(example) - 1, -1, -1) if i != check]
    for i in order:
        if sum(len(a) > 1 for a in alphabets) > MOST_FREE:
            break
        kind = DIGITS if example[i] in DIGITS else LETTERS
        alone = "".join(c for c in kind if judge(example[:i] + c + example[i + 1 :]) in WELL_FORMED)
        for candidate in dict.fromkeys((alone, alone[:9], alone[1:9], alone[:3], alone[:2])):
            trial = [*alphabets[:i], candidate, *alphabets[i + 1 :]]
            if len(candidate) > 1 and example[i] in kind and holds(trial):
                alphabets = trial
                break
    free = [i for i, a in enumerate(alphabets) if len(a) > 1 and i != check]
    space = 1
    for i in free:
        space *= len(alphabets[i])
    if space < LEAST_SPACE:
        raise NotLearnedError(f"only {space} numbers")

    with suppress(NotLearnedError):
        return _learned(alphabets, check, "", judge, FEW_STATES)
    if check == len(alphabets) - 1 and len(alphabets[check - 1]) > 1:
        # Two check characters: the first is made wrong, the last may be any.
        with suppress(NotLearnedError):
            return _learned(alphabets, check - 1, letters, judge, FEW_STATES)
    constant = _constant_ending(alphabets, judge)
    return constant or _learned(alphabets, check, "", judge, MOST_STATES)


def _learned(alphabets: list[str], check: int, last: str, judge: Verdict, most: int) -> Found:
    """The automaton of a check position; `last`: characters of a check character after it."""
    free = [
        i
        for i, a in enumerate([*alphabets[:check], "x", *alphabets[check + 1 :]])
        if len(a) > 1 and not (last and i > check)
    ]

    def outcome(payload: str, letters: str = "") -> frozenset[str]:
        text = [a[0] for a in alphabets]
        for i, c in zip(free, payload, strict=True):
            text[i] = c
        head, tail = "".join(text[:check]), "".join(text[check + 1 :])
        tails = [tail[:-1] + c for c in last] if last else [tail]
        return frozenset(
            c for c in letters or used if any(judge(head + c + t) == "valid" for t in tails)
        )

    random, parts = Random(check), [alphabets[i] for i in free]
    used = "".join(
        sorted(
            set().union(
                *(
                    outcome("".join(random.choice(a) for a in parts), alphabets[check])
                    for _ in range(SEEN)
                )
            )
        )
    )
    if len(used) < 2:
        raise NotLearnedError("no check characters")
    learned = automaton(parts, outcome, most)
    if any(len(valid) == len(used) for valid in learned.outcomes):  # type: ignore[arg-type]
        raise NotLearnedError("numbers that no check character makes fail")
    return Found(tuple(alphabets), check, used, learned, bool(last))


def _constant_ending(alphabets: list[str], judge: Verdict) -> Found | None:
    """Endings of two or three digits that fail for every payload: remainders that do not occur."""
    random = Random("".join(alphabets))
    for n in (2, 3):
        heads = ["".join(random.choice(a) for a in alphabets[:-n]) for _ in range(FAILED)]
        if any(not set(a) <= set(DIGITS) for a in alphabets[-n:]):
            return None
        endings = [f"{k:0{n}d}" for k in range(10**n)]
        for head in heads:
            endings = [e for e in endings if judge(head + e) == "InvalidChecksum"]
        if endings:
            first = endings[-1][:-1]  # those that differ in the last digit alone
            letters = "".join(e[-1] for e in endings if e[:-1] == first)
            whole = (*alphabets[:-n], *first, letters)
            # The automaton has one state, in which nothing is valid.
            free = [a for a in whole[:-1] if len(a) > 1]
            moves = tuple(((0,) * len(a),) for a in free)
            return Found(whole, len(whole) - 1, letters, Learned(moves, (frozenset(),)))
    return None


def _check_position(example: str, judge: Verdict) -> tuple[int, str]:
    for i in range(len(example) - 1, -1, -1):
        kind = DIGITS + LETTERS
        others = {c: judge(example[:i] + c + example[i + 1 :]) for c in kind if c != example[i]}
        wrong = "".join(c for c, v in others.items() if v == "InvalidChecksum")
        if len(wrong) >= 2 and "valid" not in others.values():
            return i, "".join(sorted(wrong + example[i]))
    raise NotLearnedError("no check character")


def failing(found: Found) -> list[str]:
    """A check character that fails, by last state of the automaton."""
    out = []
    for outcome in found.learned.outcomes:
        valid = set(outcome)  # type: ignore[call-overload]
        start = max((found.letters.index(c) for c in valid), default=0) + 1
        turned = found.letters[start:] + found.letters[:start]
        out.append(next(c for c in turned if c not in valid))
    return out


def check_failing(name: str, found: Found) -> None:
    """Raises ValueError unless numbers of a template fail their checksum, all that are tried."""
    judge, random = verdict(name), Random(name)
    free = [i for i, a in enumerate(found.alphabets) if len(a) > 1 and i != found.check]
    read = free[:-1] if found.any_last else free
    endings = failing(found)
    for _ in range(4 * FAILED):
        text = [random.choice(a) for a in found.alphabets]
        state = 0
        for i, moves in zip(read, found.learned.moves, strict=True):
            state = moves[state][found.alphabets[i].index(text[i])]
        text[found.check] = endings[state]
        if judge("".join(text)) != "InvalidChecksum":
            raise ValueError(f"{name}: {''.join(text)} is {judge(''.join(text))}")


def check_range(name: str, template: str) -> None:
    """Raises ValueError unless every number of a template lies outside the issued range."""
    judge, random = verdict(name), Random(template)
    tokens = re.findall(r"\[[^\]]+\]|.", template)
    for _ in range(FAILED):
        number = "".join(random.choice(_characters(token)) for token in tokens)
        if judge(number) not in OUT_OF_RANGE:
            raise ValueError(f"{name}: {number} is {judge(number)}")


def overlap(one: dict[str, Any] | None, other: dict[str, Any] | None) -> bool:
    """Whether some text is of both templates."""
    if one is None or other is None:
        return False
    sides = [
        [set(_characters(token)) for token in re.findall(r"\[[^\]]+\]|.", side["template"])]
        for side in (one, other)
    ]
    return len(sides[0]) == len(sides[1]) and all(a & b for a, b in zip(*sides, strict=True))


def _characters(token: str) -> str:
    if token in "#*?":
        return DIGITS + (LETTERS if token == "?" else "")
    return LETTERS if token == "[A-Z]" else token.strip("[]")
