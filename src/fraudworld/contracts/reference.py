"""Writes the reference pages of tables, docs/tables.md and docs/profile-tables.md."""

from __future__ import annotations

from collections.abc import Iterator

from fraudworld.contracts import CONTRACT_VERSION, TABLES, Table
from fraudworld.contracts.profiles import PROFILE_TABLES, PROFILES_VERSION

_IDENTITY = "`seed`, `manifest_fingerprint`, `parameter_hash`"


def page() -> str:
    """The page as Markdown: one section a dataset, in the order in which they are written."""
    lines = [
        "# Tables",
        "",
        f"Contract {CONTRACT_VERSION}, written by `make docs`. Ids",
        "are int64, dense from 1; codes are strings out of closed lists",
        "(`fraudworld policy show` lists them); `?` marks columns that may be null. *Truth* is",
        "known to the generator alone; exports can leave it out.",
        "",
    ]
    return _joined(lines, TABLES)


def profiles_page() -> str:
    """The page of the tables of 6P, likewise."""
    lines = [
        "# Tables of profiles",
        "",
        f"Contract {PROFILES_VERSION}, written by `make docs`. All of them are observable, in",
        "`data/layer3/6P`. Words are texts of a list that may be long, as dictionaries; `?` marks",
        "columns that may be null. [profiles.md](profiles.md) has the laws.",
        "",
    ]
    return _joined(lines, PROFILE_TABLES)


def _joined(lines: list[str], tables: tuple[Table, ...]) -> str:
    return "\n".join([*lines, *(line for table in tables for line in _section(table))]) + "\n"


def _section(table: Table) -> Iterator[str]:
    yield f"## {table.name}"
    yield ""
    yield f"{table.meaning} State {table.state}; {table.visibility.value}."
    key, sort = (", ".join(f"`{c}`" for c in names) for names in (table.key, table.sort))
    label = "Key and order" if key == sort else f"Order {sort}. Key"
    yield f"{label}: {key}." + (f" Every row ends with {_IDENTITY}." if table.identity else "")
    yield ""
    yield "| column | type | meaning |"
    yield "|---|---|---|"
    for c in table.columns:
        yield f"| `{c.name}`{'?' if c.nullable else ''} | {c.kind.value} | {c.meaning} |"
    yield ""
