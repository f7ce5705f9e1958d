"""The two golden worlds, and how their files are made again.

    cd tests && ../.venv/bin/python -m golden.golden_worlds

rewrites `demo.json` and `tiny.json`. Do that only in a commit of its own whose message says
why the worlds had to change: whoever has a world of an older version cannot make it again.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import worlds
from fraudworld import pipeline
from fraudworld.contracts import Kind, Table
from fraudworld.engine.local import LocalEngine
from fraudworld.engine.tasks import Engine
from fraudworld.policy.loader import load_pack
from fraudworld.request import RunRequest
from fraudworld.stages.accounts import stage as accounts
from fraudworld.stages.batches import Rows
from fraudworld.stages.context import Context
from fraudworld.stages.instruments import stage as instruments
from fraudworld.stages.network import stage as network
from fraudworld.stages.network.tables import METRICS
from fraudworld.stages.parties import stage as parties
from fraudworld.stages.posture import stage as posture
from fraudworld.store.bundle import sha256_file
from fraudworld.store.evidence import write_rng_logs
from fraudworld.store.identity import Identity
from fraudworld.store.layout import RunPlace
from fraudworld.store.seal import check_run
from fraudworld.store.tables import Writing

HERE = Path(__file__).resolve().parent
SEED = 42
TINY_PARTIES = 6_000

Golden = dict[str, dict[str, str]]


def of_run(root: Path) -> Golden:
    """Content digests and RNG logs of a published run."""
    place = RunPlace(root)
    return {"datasets": check_run(place).content_digests, "rng_logs": _logs(place.rng_logs)}


def tiny(
    folder: Path, parties_per_shard: int | None = None, engine: Engine | None = None
) -> Golden:
    """S1–S5 over nine countries and 60 merchants, without upstream: the laws alone."""
    pack = load_pack().pack
    geo = worlds.geography(pack, TINY_PARTIES)
    identity = Identity(SEED, "0" * 64, "0" * 64)
    known: Mapping[str, tuple[str, ...]] = {"country": geo.countries, "currency": geo.currencies}
    written = []
    with LocalEngine(2) if engine is None else nullcontext(engine) as engine:

        def emit(table: Table, rows: Rows) -> int:
            codes = {
                c.name: known.get(c.codes) or pack.codes(c.codes) if c.codes else sorted(METRICS)
                for c in table.columns
                if c.kind is Kind.CODE
            }
            writing = Writing.of(table, folder / table.name, identity, codes)
            written.append((writing, pipeline.started(engine, writing, rows)))
            return rows.n

        context = Context(
            pack=pack,
            seed=SEED,
            geo=geo,
            merchants=worlds.merchants(pack),
            parties_per_shard=parties_per_shard,
            engine=engine,
            step=lambda state, name: nullcontext(),
            emit=emit,
        )
        people = parties.run(context)
        held = accounts.run(context, people)
        carried = instruments.run(context, people, held)
        graph = network.run(context, people, held, carried)
        posture.run(context, people, held, carried, graph)
        records = [writing.record(engine.fetch(parts)) for writing, parts in written]
    logs = folder / "logs"
    write_rng_logs(logs, SEED, context.evidence)
    return {"datasets": {r.table: r.content_digest for r in records}, "rng_logs": _logs(logs)}


def read(name: str) -> Golden:
    """The digests as committed."""
    found: Golden = json.loads((HERE / f"{name}.json").read_text("utf-8"))
    return found


def moved(golden: Golden, found: Golden) -> list[str]:
    """Names whose digest is not the golden one, in the order they are made."""
    return [
        name
        for part in ("datasets", "rng_logs")
        for name in {**found[part], **golden[part]}
        if golden[part].get(name) != found[part].get(name)
    ]


def _logs(folder: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in sorted(folder.rglob("*.jsonl"))}


def main() -> None:
    """Write both files from worlds made now."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        made = pipeline.run(RunRequest(profile="demo", seed=SEED, runs_root=root / "runs"))
        for name, golden in (("demo", of_run(made.place.root)), ("tiny", tiny(root / "tiny"))):
            text = json.dumps(golden, indent=1, sort_keys=True)
            (HERE / f"{name}.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
