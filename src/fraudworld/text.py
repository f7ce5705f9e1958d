"""Foreign text made inert: no string may control a terminal, reorder a line or break an encoder."""

from __future__ import annotations

KEPT = "\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
"""Spaces that `str.isprintable` refuses and that do no harm."""


def printable(text: str, *, kept: str = "\n\t") -> str:
    """`text` with control characters, bidi marks and lone surrogates as Python escapes.

    kept: control characters that stay.
    """
    return "".join(c if c.isprintable() or c in KEPT or c in kept else _escape(c) for c in text)


def one_line(text: str) -> str:
    """`printable`, line breaks and tabs escaped too: the text cannot forge a line of its own."""
    return printable(text, kept="")


def printable_json(text: str) -> str:
    """A JSON text of the same value whose strings hold no unprintable character.

    Such characters occur inside strings only, where JSON has an escape for each.
    """
    return "".join(c if c.isprintable() or c in KEPT or c == "\n" else _json(c) for c in text)


def _escape(character: str) -> str:
    return ascii(character)[1:-1]


def _json(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
