"""RNG evidence: audit, trace and events, byte-identical for the same run (contract 1.6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from fraudworld.rng import RNG_LAW_VERSION, Stream, StreamUse
from fraudworld.store.identity import canonical_json, digest


def write_rng_logs(folder: Path, seed: int, uses: Sequence[StreamUse]) -> list[Path]:
    """Write the three logs below `folder`; returns their paths.

    audit: engine, law and a digest of every key. trace: per stream the draws, blocks and
    entities. events: per stream and plan cell the counter range and draws. No wall clock.
    """
    streams = sorted({(u.label, u.family, u.width) for u in uses})
    audit = [
        {
            "engine": "philox4x64-10",
            "rng_law_version": RNG_LAW_VERSION,
            "seed": seed,
            "streams": len(streams),
            "keys": {label: _key_digest(seed, label, family, width) for label, family, width in streams},
        }
    ]
    trace = []
    for label, family, width in streams:
        mine = [u for u in uses if u.label == label]
        draws = sum(u.draws for u in mine)
        trace.append(
            {
                "stream": label,
                "family": family,
                "width": width,
                "entities": sum(u.entities for u in mine),
                "draws": draws,
                "blocks": sum(_blocks(u) for u in mine),
            }
        )
    events = [
        {
            "stream": u.label,
            "cell": u.cell,
            "counter_before": u.first_entity * u.width,
            "counter_after": (u.last_entity + 1) * u.width,
            "entities": u.entities,
            "draws": u.draws,
        }
        for u in sorted(uses, key=lambda u: (u.label, u.first_entity, u.cell))
    ]
    paths = []
    for name, rows in (("audit", audit), ("trace", trace), ("events", events)):
        path = folder / name / f"rng_{name}_6A.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_lines(rows))
        paths.append(path)
    return paths


def _key_digest(seed: int, label: str, family: str, width: int) -> str:
    return digest([int(k) for k in Stream(seed, label, family, width).key])


def _blocks(use: StreamUse) -> int:
    """Philox blocks of four draws that cover the counter range."""
    first, last = use.first_entity * use.width, (use.last_entity + 1) * use.width
    return -(-last // 4) - first // 4


def _lines(rows: Iterable[object]) -> bytes:
    return b"".join(canonical_json(row) + b"\n" for row in rows)
