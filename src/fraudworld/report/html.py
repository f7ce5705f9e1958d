"""HTML that is escaped by construction: every string but `Safe` is escaped.

Unprintable characters become visible escapes, since bidi marks would reorder a line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from html import escape

from fraudworld.text import printable, printable_json

VOID = frozenset({"meta", "br", "hr"})


class Safe(str):
    """Markup that is already escaped."""

    __slots__ = ()


def el(tag: str, *children: object, **attributes: object) -> Safe:
    """`<tag …>children</tag>`; a trailing underscore of an attribute's name is dropped."""
    said = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_escaped(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    inside = "".join(child if isinstance(child, Safe) else _escaped(child) for child in children)
    return Safe(f"<{tag}{said}>" if tag in VOID else f"<{tag}{said}>{inside}</{tag}>")


def data(name: str, value: object) -> Safe:
    """JSON in a script element; `<` is escaped, so that no string can close the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    inert = printable_json(text).replace("<", "\\u003c")
    return el("script", Safe(inert), type="application/json", id=name)


def join(parts: Iterable[Safe]) -> Safe:
    """Concatenates markup."""
    return Safe("".join(parts))


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Safe:
    """A table with a caption; the first cell of a row is its header, numbers align right."""
    top = el("tr", join(el("th", head, scope="col") for head in heads))
    body = join(
        el("tr", el("th", row[0], scope="row"), join(_cell(cell) for cell in row[1:]))
        for row in rows
    )
    grid = el("table", el("caption", caption), el("thead", top), el("tbody", body))
    return el("div", grid, class_="scroll", tabindex="0", role="region", aria_label=caption)


def figure_text(value: object) -> str:
    """Formats a value for readers: grouped thousands, four significant digits, — for None."""
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return figure_text(int(value))
        small = abs(value) < 10_000 or not math.isfinite(value)
        return f"{value:.4g}" if small else figure_text(round(value))
    return str(value)


def _escaped(value: object) -> str:
    return escape(printable(str(value)))


def _cell(value: object) -> Safe:
    if isinstance(value, Safe):
        return el("td", value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return el("td", figure_text(value), class_="n" if number else None)
