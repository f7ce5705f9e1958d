"""Figures of identifiers (6P): templates, word lists, ranges that nobody is given.

They lie in `policy/profiles/identity`, a pack of their own: no figure of them enters
`parameter_hash`. Tables that a library knows (formats, check digits, registries) are written by
`tools/identity_tables.py`, with the library's version in `source`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, field_validator, model_validator

from fraudworld.documents import canonical_json
from fraudworld.errors import InputError
from fraudworld.policy import source
from fraudworld.policy.limits import Share, Shares
from fraudworld.policy.models import Model
from fraudworld.policy.source import Fault, PackFile

SHIPPED = Path(__file__).resolve().parent / "profiles" / "identity"

INVALID = "6P.S0.PRIOR_PACK_SCHEMA_INVALID"
MISSING = "6P.S0.PRIOR_PACK_MISSING"

DIGITS = "0123456789"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
BASE = DIGITS + LETTERS.lower()
_TEMPLATE = re.compile(r"\[[A-Z0-9-]+\]|[#?!*]|[A-Z0-9+ -]")
MOST_POSITIONS = 40

Iso = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Label = Annotated[str, Field(pattern=r"^[a-z]{2,20}$")]
Line = Annotated[str, Field(max_length=1000)]


class Position(NamedTuple):
    """One character of a template."""

    characters: str  # that may stand here; of a check, none
    check: bool = False
    repair: bool = False  # 0, or 1 where no check character fits
    read: bool = True  # by the automaton


class Law(NamedTuple):
    """How check characters follow: an automaton over the free positions."""

    moves: tuple[NDArray[np.int16], ...]  # of every position it reads: (states, characters)
    initial: int
    endings: tuple[str, ...]  # check characters by last state; empty: none fits


class Automaton(Model):
    """A check law by its states.

    `moves` has a line for every position read: for every state, in base 36 and `width` characters
    each, the next state of every character. `endings`: check characters by last state, `-`: none.
    """

    width: Annotated[int, Field(ge=1, le=2)]
    moves: Annotated[tuple[str, ...], Field(max_length=MOST_POSITIONS)]
    endings: Line

    def law(self) -> Law:
        """The law as arrays."""
        w = self.width
        moves = tuple(
            np.array(
                [[int(s[i : i + w], 36) for i in range(0, len(s), w)] for s in line.split()],
                dtype=np.int16,
            )
            for line in self.moves
        )
        return Law(moves, 0, tuple("" if e == "-" else e for e in self.endings.split()))


class Sum(Model):
    """A check number of two digits: least + (start + Σ terms − least) mod modulus.

    `terms` has a line for every position: the term of each of its characters.
    """

    modulus: Annotated[int, Field(ge=2, le=97)]
    least: Annotated[int, Field(ge=0, le=99)]
    start: Annotated[int, Field(ge=0, le=99)]
    terms: Annotated[tuple[Line, ...], Field(max_length=MOST_POSITIONS)]

    def law(self) -> Law:
        """The law as arrays: a state for every remainder."""
        states = np.arange(self.modulus, dtype=np.int16)[:, None]
        moves = tuple(
            ((states + np.array(line.split(), dtype=np.int16)) % self.modulus).astype(np.int16)
            for line in self.terms
        )
        numbers = [self.least + (k - self.least) % self.modulus for k in range(self.modulus)]
        return Law(moves, self.start % self.modulus, tuple(f"{k:02d}" for k in numbers))


class Template(Model):
    """Texts of one form.

    In `template`, `#` is a digit, `[ABC]` or `[A-Z]` one of these characters, `*` a digit that no
    check reads, `?` a check character, `!` a digit that is 0, or 1 where 0 has no check character;
    all else stands for itself.
    """

    template: Annotated[str, Field(min_length=1, max_length=200)]
    automaton: Automaton | None = None
    sum: Sum | None = None

    def positions(self) -> Iterator[Position]:
        """The characters of the template, in order."""
        for token in _TEMPLATE.findall(self.template):
            if token in "#*":
                yield Position(DIGITS, read=token == "#")
            elif token == "?":
                yield Position("", check=True)
            elif token == "!":
                yield Position("01", repair=True)
            elif token[0] == "[":
                yield Position("".join(_members(token[1:-1])))
            else:
                yield Position(token)

    def law(self) -> Law | None:
        """Law of the check characters; None where the template has none."""
        one = self.automaton or self.sum
        return None if one is None else one.law()

    @model_validator(mode="after")
    def _fits(self) -> Template:
        if "".join(_TEMPLATE.findall(self.template)) != self.template:
            raise ValueError("a character that a template does not have")
        positions = tuple(self.positions())
        law = self.law()
        checks = sum(p.check for p in positions)
        if (law is None) != (checks == 0):
            raise ValueError("check characters need an automaton or a sum, and the reverse")
        if law is not None:
            read = [len(p.characters) for p in positions if len(p.characters) > 1 and p.read]
            if [m.shape[1] for m in law.moves] != read:
                raise ValueError("the check law reads other positions than the template has")
            sizes = [m.shape[0] for m in law.moves[1:]] + [len(law.endings)]
            low = [int(m.max()) for m in law.moves]
            if any(most >= size for most, size in zip(low, sizes, strict=True)):
                raise ValueError("the check law moves to a state that it does not have")
            if any(len(e) not in (0, checks) for e in law.endings):
                raise ValueError("an ending has another length than the check characters")
            if not all(law.endings) and not _repaired(law, positions):
                raise ValueError("a text that no check character fits, with `!` or without")
        return self


def _repaired(law: Law, positions: tuple[Position, ...]) -> bool:
    """Whether every payload has an ending with its `!` at 0 or at 1: all pairs of states."""
    pairs = {(law.initial, law.initial)}
    read = [p for p in positions if len(p.characters) > 1 and p.read]
    for moves, position in zip(law.moves, read, strict=True):
        table = moves.tolist()
        if position.repair:
            pairs = {(table[a][0], table[b][1]) for a, b in pairs}
        else:
            pairs = {(table[a][k], table[b][k]) for a, b in pairs for k in range(len(table[0]))}
    return all(law.endings[a] or law.endings[b] for a, b in pairs)


def _members(text: str) -> Iterator[str]:
    i = 0
    while i < len(text):
        if text[i + 1 : i + 2] == "-" and i + 2 < len(text):
            yield from map(chr, range(ord(text[i]), ord(text[i + 2]) + 1))
            i += 3
        else:
            yield text[i]
            i += 1


class Phones(Model):
    """`phones_6P.v1`: a range of each country that is possible and not valid."""

    source: Line
    templates: dict[Iso, str]

    @field_validator("templates")
    @classmethod
    def _of_digits(cls, templates: dict[str, str]) -> dict[str, str]:
        wrong = [iso for iso, t in templates.items() if not re.fullmatch(r"\+[0-9]+#{6,}", t)]
        if wrong:
            raise ValueError(f"no `+`, digits and at least six `#`: {', '.join(wrong)}")
        return templates


class Bank(Template):
    """A bank's account numbers (BBAN), and its code, or how its codes begin: no registry has it."""

    code: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,8}$")]


class Ibans(Model):
    """`ibans_6P.v1`: banks of the countries with IBAN."""

    source: Line
    banks: dict[Iso, tuple[Bank, ...]]


class TaxId(Template):
    """A tax id that is not one: it fails its checksum, or lies outside the issued range."""

    module: Annotated[str, Field(pattern=r"^[a-z_]+\.[a-z_]+$")]
    rule: Literal["CHECKSUM", "RANGE"]


class TaxIds(Model):
    """`tax_ids_6P.v1`: ids of persons and firms; null where no library knows a form."""

    source: Line
    person: dict[Iso, TaxId | None]
    firm: dict[Iso, TaxId | None]


class PostalCode(Template):
    """Form of postal codes; the first `place` free positions are a town's, the rest a street's."""

    place: Annotated[int, Field(ge=0, le=8)]


class PostalCodes(Model):
    """`postal_codes_6P.v1`: null where a country has none."""

    source: Line
    templates: dict[Iso, PostalCode | None]


class Locale(Model):
    """Which lists a country's names and streets come from."""

    people: Shares  # list of names → share of persons
    streets: str
    forms: str
    latin: bool  # names are written in Latin letters, whatever the list's script
    number_first: bool  # 12 High Street, not Hauptstraße 12


class Locales(Model):
    """`locales_6P.v1`."""

    source: Line
    countries: dict[Iso, Locale]
    forms: dict[str, tuple[str, ...]]  # list → legal forms of firms


class Emails(Model):
    """How e-mail addresses are made."""

    providers: Shares  # label of a provider's domain → share; `.example` follows the country
    separators: Shares  # between given and family name: `.`, `_`, `-`, or none (`NONE`)
    initial_share: Share  # given name by its first letter
    firm_boxes: Annotated[tuple[Label, ...], Field(min_length=1, max_length=64)]  # local parts
    firm_words: Annotated[tuple[Label, ...], Field(min_length=1, max_length=64)]  # in domains
    slots: Annotated[int, Field(ge=64, le=4096)]  # shares are multiples of one in `slots`

    @model_validator(mode="after")
    def _labels(self) -> Emails:
        if any(not re.fullmatch("[a-z]+", name) for name in self.providers):
            raise ValueError("a provider's label is lower-case letters")
        if not set(self.separators) <= {".", "_", "-", "NONE"}:
            raise ValueError("separators are `.`, `_`, `-` and `NONE`")
        for shares in (self.providers, self.separators):
            if abs(sum(shares.values()) - 1.0) > 1e-9:
                raise ValueError("shares do not sum to 1")
        return self


class Cards(Model):
    """Card numbers: 99, a digit of the scheme, three of the bank, then the account's."""

    prefix: Annotated[str, Field(pattern=r"^9[0-9]{1,3}$")]
    schemes: dict[str, Annotated[int, Field(ge=0, le=9)]]  # scheme of cards → digit
    wallets: dict[str, Annotated[int, Field(ge=0, le=9)]]  # scheme of tokens → digit
    short: dict[str, Annotated[int, Field(ge=12, le=19)]]  # scheme → length, where not 16

    @model_validator(mode="after")
    def _apart(self) -> Cards:
        digits = [*self.schemes.values(), *self.wallets.values()]
        if len(set(digits)) < len(digits):
            raise ValueError("two schemes share a digit")
        return self


class Networks(Model):
    """Addresses and autonomous systems."""

    spare: Annotated[float, Field(ge=1.0, le=1024.0)]  # addresses of a cell ÷ addresses in use


class Numbers(Model):
    """`numbers_6P.v1`."""

    source: Line
    emails: Emails
    cards: Cards
    networks: Networks
    house_numbers: Annotated[int, Field(ge=1, le=9999)]  # of a street, at least
    firm_name_parts: tuple[Share, Share, Share]  # firms named after one, two, three families


class Word(NamedTuple):
    """A word, its ASCII form in lower-case letters, and its weight."""

    text: str
    latin: str
    weight: int


class WordList(Model):
    """A list of words: lines of word, ASCII form (if other than its letters), weight (if any)."""

    lines: Annotated[str, Field(min_length=1)]

    def words(self) -> tuple[Word, ...]:
        """The words; a missing weight is 1."""
        out = []
        for line in self.lines.splitlines():
            text, latin, weight = (*line.split(";"), "", "")[:3]
            out.append(Word(text, latin or re.sub(r"[^a-z]", "", text.lower()), int(weight or 1)))
        return tuple(out)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        return {"lines": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _all_words(self) -> WordList:
        words = self.words()
        if any(not w.text or not re.fullmatch("[a-z]{2,}", w.latin) for w in words):
            raise ValueError("a line without a word, or whose ASCII form is not two letters")
        if any(w.weight < 1 for w in words):
            raise ValueError("a weight below 1")
        if len({w.text for w in words}) < len(words):
            raise ValueError("a word appears twice")
        return self


class People(Model):
    """`people/<list>`: given names by sex, and family names as each sex writes them."""

    source: Line
    female: WordList
    male: WordList
    family_female: WordList
    family_male: WordList | None  # null: as `family_female`


class Streets(Model):
    """`streets/<list>`: names of streets."""

    source: Line
    streets: WordList


class IdentityPolicy(Model):
    """All figures of identifiers."""

    phones: Phones
    ibans: Ibans
    tax_ids: TaxIds
    postal_codes: PostalCodes
    locales: Locales
    numbers: Numbers
    people: dict[str, People]
    streets: dict[str, Streets]

    def require(self, countries: Iterable[str]) -> None:
        """Raises InputError `6P.S0.COUNTRY_UNKNOWN` for countries without figures."""
        unknown = sorted(set(countries) - set(self.locales.countries))
        if unknown:
            raise InputError(
                "6P.S0.COUNTRY_UNKNOWN",
                f"no names, numbers and addresses of {', '.join(unknown)}",
                where="locales_6P.v1.yaml: countries",
                remedy="add the countries to the figures of identifiers, or make the layer "
                "`--without-identities`",
            )

    @model_validator(mode="after")
    def _complete(self) -> IdentityPolicy:
        for iso, locale in self.locales.countries.items():
            for name in locale.people:
                if name not in self.people:
                    raise ValueError(f"locales: {iso}: no list of names {name}")
            if locale.streets not in self.streets or not self.locales.forms.get(locale.forms):
                raise ValueError(f"locales: {iso}: no list of streets or of legal forms")
        used = {
            "people": {n for locale in self.locales.countries.values() for n in locale.people},
            "streets": {locale.streets for locale in self.locales.countries.values()},
        }
        for folder, lists in (("people", self.people), ("streets", self.streets)):
            if unused := set(lists) - used[folder]:
                raise ValueError(f"{folder}: no country uses {', '.join(sorted(unused))}")
        known = set(self.locales.countries)
        for name, of in (
            ("phones", self.phones.templates),
            ("postal_codes", self.postal_codes.templates),
            ("tax_ids.person", self.tax_ids.person),
            ("tax_ids.firm", self.tax_ids.firm),
        ):
            if set(of) != known:
                raise ValueError(f"{name}: other countries than locales: {set(of) ^ known}")
        return self


FILES = ("phones", "ibans", "tax_ids", "postal_codes", "locales", "numbers")
FOLDERS = ("people", "streets")


@dataclass(frozen=True)
class LoadedIdentity:
    """The policy, its files by path (size and SHA-256), and its digest.

    `digest`: 64 hex digits over the resolved values, not over bytes.
    """

    policy: IdentityPolicy
    files: Mapping[str, PackFile]
    digest: str


def load_identity(directory: Path | None = None) -> LoadedIdentity:
    """Loads the figures of identifiers in `directory` (default: the shipped ones).

    Raises InputError `6P.S0.PRIOR_PACK_MISSING` or `6P.S0.PRIOR_PACK_SCHEMA_INVALID`, naming every
    fault with its file and key.
    """
    root = Path(directory) if directory is not None else SHIPPED
    faults: list[Fault] = []
    files: dict[str, PackFile] = {}
    data: dict[str, object] = {}
    for stem in FILES:
        name = f"{stem}_6P.v1.yaml"
        read = source.read(root / name, name, root, faults)
        if read is not None:
            data[stem], files[name] = read.data, read.file
    for folder in FOLDERS:
        lists: dict[str, object] = {}
        for path in sorted((root / folder).glob("*.yaml")):
            name = f"{folder}/{path.name}"
            read = source.read(path, name, root, faults)
            if read is not None:
                lists[path.stem], files[name] = read.data, read.file
        data[folder] = lists
    faults += [
        Fault(path.name, "", "no such file among the figures of identifiers")
        for path in sorted(root.glob("*.y*ml"))
        if path.name not in {f"{stem}_6P.v1.yaml" for stem in FILES}
    ]
    if faults:
        raise _error(faults)
    try:
        policy = IdentityPolicy.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        raise _error([_fault(p["loc"], p["msg"]) for p in error.errors()]) from error
    digest = hashlib.sha256(canonical_json(policy.model_dump(mode="json"))).hexdigest()
    return LoadedIdentity(policy, MappingProxyType(dict(sorted(files.items()))), digest)


def _fault(location: tuple[int | str, ...], message: str) -> Fault:
    stem, *keys = [str(part) for part in location] or [""]
    if stem in FOLDERS and keys:
        return Fault(f"{stem}/{keys[0]}.yaml", ".".join(keys[1:]), message)
    return Fault(f"{stem}_6P.v1.yaml" if stem else "", ".".join(keys), message)


def _error(faults: list[Fault]) -> InputError:
    missing = all(f.missing_file for f in faults)
    return InputError(
        MISSING if missing else INVALID,
        "; ".join(map(str, faults)),
        where=str(faults[0].file),
        remedy="correct the files, or leave the folder out to use the shipped ones",
    )
