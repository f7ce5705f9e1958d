"""RNG evidence: audit, trace and events, byte-identical for the same run.

Uses of one stream in one plan cell are one event, however the work was cut into shards, and no
clock is read, so a replay writes the same bytes. docs/contract.md describes the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from fraudworld.documents import canonical_json, digest
from fraudworld.errors import InternalError
from fraudworld.rng import RNG_LAW_VERSION, Stream, StreamUse

ENGINE = "philox4x64-10"
DRAWS_PER_BLOCK = 4


def write_rng_logs(folder: Path, seed: int, uses: Sequence[StreamUse]) -> list[Path]:
    """Writes the three logs below `folder`; returns their paths.

    audit: engine, law and per stream the SHA-256 of the canonical JSON of its key (two
    integers). trace: per stream the draws, blocks and entities. events: per stream and cell
    the range of flat positions (hex; `counter_after` is the first one not reached) and the
    draws. Raises InternalError `6A.S0.RNG_ACCOUNTING_MISMATCH` where one label is used with
    two widths or families, or draws are not entities times width.
    """
    events = merge(uses)
    streams: dict[str, list[StreamUse]] = {}
    for use in events:
        streams.setdefault(use.label, []).append(use)
    logs: dict[str, list[object]] = {
        "audit": [_audit(seed, streams)],
        "trace": [_trace(label, mine) for label, mine in streams.items()],
        "events": [_event(use) for use in events],
    }
    paths = []
    for name, rows in logs.items():
        path = folder / name / f"rng_{name}_6A.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_lines(rows))
        paths.append(path)
    return paths


def merge(uses: Iterable[StreamUse]) -> list[StreamUse]:
    """Adds uses of one stream and cell; ordered by label, position and cell."""
    cells: dict[tuple[str, str], StreamUse] = {}
    laws: dict[str, tuple[str, int]] = {}
    for use in uses:
        if laws.setdefault(use.label, (use.family, use.width)) != (use.family, use.width):
            raise _mismatch(use, f"used as {use.family} × {use.width} and as {laws[use.label]}")
        if use.draws != use.entities * use.width:
            raise _mismatch(use, f"{use.draws} draws of {use.entities} entities × {use.width}")
        other = cells.get((use.label, use.cell))
        cells[use.label, use.cell] = use if other is None else _joined(other, use)
    return sorted(cells.values(), key=lambda u: (u.label, u.first_entity, u.cell))


def _joined(a: StreamUse, b: StreamUse) -> StreamUse:
    # A use without entities has no range, and must not widen another's.
    if not a.entities or not b.entities:
        return b if b.entities else a
    return replace(
        a,
        first_entity=min(a.first_entity, b.first_entity),
        last_entity=max(a.last_entity, b.last_entity),
        entities=a.entities + b.entities,
        draws=a.draws + b.draws,
    )


def _range(use: StreamUse) -> tuple[int, int]:
    """Flat positions of the draws: the first, and the one after the last."""
    first = use.first_entity * use.width
    return first, (use.last_entity + 1) * use.width if use.entities else first


def _audit(seed: int, streams: dict[str, list[StreamUse]]) -> dict[str, object]:
    keys = {}
    for label, (use, *_) in streams.items():
        key = Stream(seed, label, use.family, use.width).key
        keys[label] = digest([int(word) for word in key])
    return {
        "engine": ENGINE,
        "rng_law_version": RNG_LAW_VERSION,
        "seed": seed,
        "streams": len(streams),
        "key_sha256": keys,
    }


def _trace(label: str, uses: list[StreamUse]) -> dict[str, object]:
    blocks = 0
    for first, after in map(_range, uses):
        blocks += -(-after // DRAWS_PER_BLOCK) - first // DRAWS_PER_BLOCK
    return {
        "stream": label,
        "family": uses[0].family,
        "width": uses[0].width,
        "cells": len(uses),
        "entities": sum(u.entities for u in uses),
        "draws": sum(u.draws for u in uses),
        "blocks": blocks,
    }


def _event(use: StreamUse) -> dict[str, object]:
    first, after = _range(use)
    return {
        "stream": use.label,
        "cell": use.cell,
        "counter_before": f"{first:016x}",
        "counter_after": f"{after:016x}",
        "entities": use.entities,
        "draws": use.draws,
    }


def _mismatch(use: StreamUse, what: str) -> InternalError:
    return InternalError(
        "6A.S0.RNG_ACCOUNTING_MISMATCH",
        f"stream {use.label}, cell {use.cell}: {what}",
        where=use.label,
        remedy="report this; nothing was published",
    )


def _lines(rows: Iterable[object]) -> bytes:
    return b"".join(canonical_json(row) + b"\n" for row in rows)
