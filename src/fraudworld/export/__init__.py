"""Writes a published world in the format of another tool, into a new folder.

A format is a function (world, folder, observable, profiles) in the list FORMATS. With
`observable`, it writes only what a bank could observe: no role table and no role column. `profiles`
are the tables of layer 6P that go with it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from fraudworld.api import World
from fraudworld.arguments import place
from fraudworld.documents import JsonObject
from fraudworld.errors import InputError, RefusedError
from fraudworld.export import by_bank as banks
from fraudworld.export import files, graphs, layer
from fraudworld.layers.clock import Report
from fraudworld.machine import let_through
from fraudworld.store.atomic import atomic_directory
from fraudworld.store.layout import RunPlace
from fraudworld.store.seal import check_run


@dataclass(frozen=True)
class Format:
    """One export format."""

    name: str
    holds: str
    write: Callable[..., None]
    extra: str = ""  # optional dependencies it needs


FORMATS = (
    Format("duckdb", "one database file with keys, comments and graph views", files.to_duckdb),
    Format("csv", "a CSV per dataset; Frictionless, Croissant and SDV metadata", files.to_csv),
    Format("neo4j", "CSV for neo4j-admin's bulk import, and the command", graphs.to_neo4j),
    Format(
        "ladybug", "an embedded graph database that speaks Cypher", graphs.to_ladybug, "graphdb"
    ),
    Format("pyg", "a PyTorch Geometric HeteroData", graphs.to_pyg, "pyg"),
)
_FULL = os.strerror(errno.ENOSPC)
_NOT_WRITTEN = (duckdb.IOException, duckdb.TransactionException, duckdb.FatalException)
"""What DuckDB raises where a disk fails: at once, when it commits, or when it closes a database."""

BY_FORMAT = {f.name: f for f in FORMATS}


def export(
    world: World,
    to: str,
    dest: Path,
    *,
    observable: bool = False,
    profiles: bool = True,
    by_bank: bool = False,
    progress: Report | None = None,
) -> Path:
    """Writes `world` in the format `to` into the new folder `dest`, atomically.

    profiles: with the tables of layer 6P, where the run has it. by_bank: one folder for every bank,
    with what that bank sees; `progress` is called after every dataset or bank of it. The run and
    its layer 6P are checked against their seals first, columns and strings against the contracts.

    Raises InputError for an unknown format, a missing library, a dataset that cannot be read or is
    not as the contract says (`6A.CLI.EXPORT_SOURCE_INVALID`), a failed write, and `by_bank` without
    profiles (`6A.CLI.DATASET_NOT_FOUND`); RefusedError where `dest` exists, the run or its layer
    was changed after publishing, or the layer is of another run (`6P.P5.OUTPUT_CONFLICT`).
    """
    if to not in BY_FORMAT:
        raise InputError(
            "6A.CLI.ARGUMENT_INVALID",
            f"there is no format {to!r}",
            where="--to",
            remedy=f"choose one of {', '.join(BY_FORMAT)}",
        )
    if by_bank:
        _require_divisible(to, profiles=profiles)
    dest = place(dest, "--out")
    if os.path.lexists(dest):
        raise RefusedError(
            "6A.CLI.EXPORT_EXISTS",
            "the folder exists already",
            where=str(dest),
            remedy="name a folder that does not exist yet",
        )
    check_run(RunPlace(world.root))
    tables = layer.sealed_tables(world) if profiles else ()
    if by_bank and not tables:
        raise InputError(
            "6A.CLI.DATASET_NOT_FOUND",
            "this run has no profiles, which state the bank of every account",
            where=str(world.root),
            remedy=f"make them: fraudworld profiles {world.root.name}",
        )
    try:
        with atomic_directory(dest) as staged:
            if by_bank:
                banks.write(
                    to, world, staged, observable=observable, profiles=tables, progress=progress
                )
            else:
                BY_FORMAT[to].write(world, staged, observable=observable, profiles=tables)
    except (OSError, *_NOT_WRITTEN) as error:
        let_through(error)
        why = getattr(error, "strerror", None) or str(error)[:300]
        raise InputError(
            "6A.CLI.EXPORT_FAILED",
            f"writing failed: {_FULL if _FULL in str(error) else why}",
            where=str(getattr(error, "filename", None) or dest),
            remedy="free space or choose a writable folder; no partial export was kept",
        ) from error
    except (duckdb.Error, pa.ArrowException) as error:
        let_through(error)
        raise InputError(
            "6A.CLI.EXPORT_FAILED",
            f"a dataset of the run cannot be read: {str(error)[:300]}",
            where=str(world.root),
            remedy="verify the run: fraudworld verify RUN; no partial export was kept",
        ) from error
    return dest


def _require_divisible(to: str, *, profiles: bool) -> None:
    """Raises InputError unless an export in this format can have a folder for every bank."""
    if to not in banks.WRITERS:
        raise InputError(
            "6A.CLI.ARGUMENT_INVALID",
            f"{to} has no folders by bank",
            where="--by-bank",
            remedy=f"choose one of {', '.join(banks.WRITERS)}",
        )
    if not profiles:
        raise InputError(
            "6A.CLI.ARGUMENT_INVALID",
            "an export by bank needs profiles, which state the bank of every account",
            where="--by-bank",
            remedy="leave out --without-profiles",
        )


def size_of(folder: Path) -> JsonObject:
    """Number of files and bytes of an export."""
    sizes = [p.stat().st_size for p in folder.rglob("*") if p.is_file()]
    return {"files": len(sizes), "bytes": sum(sizes)}
