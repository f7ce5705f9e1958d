"""RNG evidence: audit, trace and events, byte-identical for the same run.

Uses of one stream in one plan cell are one event, however the work was cut into shards, and no
clock is read, so a replay writes the same bytes. docs/contract.md describes the files.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fraudworld.documents import canonical_json, digest
from fraudworld.errors import InternalError
from fraudworld.rng import RNG_LAW_VERSION, Stream, StreamUse

ENGINE = "philox4x64-10"
DRAWS_PER_BLOCK = 4


@dataclass(frozen=True)
class RngShare:
    """The share of some streams in the logs: every stream of one state, encoded.

    keys: stream → SHA-256 (hex) of its key, in order of stream. trace, events: lines.
    """

    keys: dict[str, str]
    trace: bytes
    events: bytes


def encode_rng(seed: int, uses: Sequence[StreamUse]) -> RngShare:
    """Merges uses and encodes their lines.

    Raises InternalError `6A.S0.RNG_ACCOUNTING_MISMATCH` where one label is used with two widths
    or families, or draws are not entities times width.
    """
    events = merge(uses)
    streams: dict[str, list[StreamUse]] = {}
    for use in events:
        streams.setdefault(use.label, []).append(use)
    return RngShare(
        {label: _key_digest(seed, of[0]) for label, of in streams.items()},
        _lines(_trace(label, mine) for label, mine in streams.items()),
        _lines(_event(use) for use in events),
    )


def write_rng_logs(folder: Path, seed: int, uses: Sequence[StreamUse]) -> list[Path]:
    """Encodes uses and writes the logs; raises as `encode_rng` does."""
    return write_rng_shares(folder, seed, [encode_rng(seed, uses)])


def write_rng_shares(folder: Path, seed: int, shares: Iterable[RngShare]) -> list[Path]:
    """Writes the three logs below `folder`; returns their paths.

    shares: of states, which have no stream in common. audit: engine, law and per stream the
    SHA-256 of the canonical JSON of its key (two integers). trace: per stream the draws, blocks
    and entities. events: per stream and cell the range of flat positions (hex; `counter_after`
    is the first one not reached) and the draws. Raises InternalError
    `6A.S0.RNG_ACCOUNTING_MISMATCH` where the streams of two shares overlap, as lines are in
    order of stream.
    """
    ordered = sorted((s for s in shares if s.keys), key=lambda s: min(s.keys))
    for a, b in itertools.pairwise(ordered):
        if max(a.keys) >= min(b.keys):
            raise _mismatch(f"streams {max(a.keys)} and {min(b.keys)}", "two states share them")
    logs = {
        "audit": _lines([_audit(seed, {k: v for s in ordered for k, v in s.keys.items()})]),
        "trace": b"".join(s.trace for s in ordered),
        "events": b"".join(s.events for s in ordered),
    }
    paths = []
    for name, lines in logs.items():
        path = folder / name / f"rng_{name}_6A.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lines)
        paths.append(path)
    return paths


def merge(uses: Iterable[StreamUse]) -> list[StreamUse]:
    """Adds uses of one stream and cell; ordered by label, position and cell."""
    cells: dict[tuple[str, str], StreamUse] = {}
    laws: dict[str, tuple[str, int]] = {}
    for use in uses:
        if laws.setdefault(use.label, (use.family, use.width)) != (use.family, use.width):
            raise _mismatch(
                _named(use), f"used as {use.family} × {use.width} and as {laws[use.label]}"
            )
        if use.draws != use.entities * use.width:
            raise _mismatch(
                _named(use), f"{use.draws} draws of {use.entities} entities × {use.width}"
            )
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


def _key_digest(seed: int, use: StreamUse) -> str:
    key = Stream(seed, use.label, use.family, use.width).key
    return digest([int(word) for word in key])


def _audit(seed: int, keys: dict[str, str]) -> dict[str, object]:
    return {
        "engine": ENGINE,
        "rng_law_version": RNG_LAW_VERSION,
        "seed": seed,
        "streams": len(keys),
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


def _named(use: StreamUse) -> str:
    return f"stream {use.label}, cell {use.cell}"


def _mismatch(where: str, what: str) -> InternalError:
    return InternalError(
        "6A.S0.RNG_ACCOUNTING_MISMATCH",
        f"{where}: {what}",
        where=where,
        remedy="report this; nothing was published",
    )


def _lines(rows: Iterable[object]) -> bytes:
    return b"".join(canonical_json(row) + b"\n" for row in rows)
