"""The two golden worlds, golden profiles and stream, and the command that rewrites their files.

    cd tests && ../.venv/bin/python -m golden.golden_worlds

rewrites `demo.json`, `tiny.json`, `profiles.json` and `transactions.json`, and adds to `laws.json`
the law versions it lacks. Commit these files alone, with the reason in the message: a world, layer
or stream of an older version can then no longer be made again.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from fraudworld.contracts import TABLES, Kind, Table
from fraudworld.documents import digest
from fraudworld.engine.local import LocalEngine
from fraudworld.engine.tasks import Engine
from fraudworld.layers.profiles.layer import make_profiles
from fraudworld.layers.profiles.layout import ProfilesPlace
from fraudworld.layers.profiles.request import ProfilesRequest
from fraudworld.layers.transactions.layout import StreamPlace, check_stream
from fraudworld.layers.transactions.request import StreamRequest
from fraudworld.layers.transactions.stream import stream
from fraudworld.policy.loader import load_pack
from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from fraudworld.stages.batches import Rows
from fraudworld.stages.context import Context
from fraudworld.stages.network.tables import METRICS
from fraudworld.stages.posture import stage as posture
from fraudworld.stages.versions import LAW_VERSIONS
from fraudworld.store.bundle import sha256_file
from fraudworld.store.evidence import write_rng_logs
from fraudworld.store.identity import Identity
from fraudworld.store.layout import RunPlace
from fraudworld.store.seal import check_run
from fraudworld.store.tables import Writing
from support import chain, worlds

HERE = Path(__file__).resolve().parent
SEED = 42
TINY_PARTIES = 6_000
STREAM_DAYS = 1

LAWS = HERE / "laws.json"
"""State → law version → digest over the tiny world's tables of that state; never rewritten."""

Golden = dict[str, dict[str, str]]


def of_run(root: Path) -> Golden:
    """Content digests and RNG logs of a published run."""
    place = RunPlace(root)
    return {"datasets": check_run(place).content_digests, "rng_logs": _logs(place.rng_logs)}


def tiny(
    folder: Path, parties_per_shard: int | None = None, engine: Engine | None = None
) -> Golden:
    """S1–S5 over nine countries and 60 merchants, without upstream files."""
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
            written.append((writing, pipeline.submit_parts(engine, writing, rows)))
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
        posture.run(context, *chain.first_four(context))
        records = [writing.record(engine.fetch(parts)) for writing, parts in written]
    logs = folder / "logs"
    write_rng_logs(logs, SEED, context.evidence)
    return {"datasets": {r.table: r.content_digest for r in records}, "rng_logs": _logs(logs)}


def transactions(run: Path, to: Path, block_flows: int = 1 << 17) -> Golden:
    """The first day of transactions over a run, published below `to` in blocks of `block_flows`."""
    stream(StreamRequest(run=run, days=STREAM_DAYS, to=to, block_flows=block_flows))
    place = StreamPlace.below(to)
    return {"datasets": check_stream(place).content_digests, "rng_logs": _logs(place.rng_logs)}


def profiles(run: Path, to: Path, block_rows: int = 1 << 17) -> Golden:
    """Profiles of a run, published below `to`, by laws over blocks of `block_rows`."""
    make_profiles(ProfilesRequest(run=run, to=to, block_rows=block_rows))
    place = ProfilesPlace.below(to)
    return {"datasets": place.check().content_digests, "rng_logs": _logs(place.rng_logs)}


def read(name: str) -> Golden:
    """Committed digests."""
    digests: Golden = json.loads((HERE / f"{name}.json").read_text("utf-8"))
    return digests


def of_states(world: Golden) -> dict[str, str]:
    """State → digest over the content digests of its tables."""
    digests = world["datasets"]
    return {
        state: digest({t.name: digests[t.name] for t in TABLES if t.state == state})
        for state in LAW_VERSIONS
    }


def recorded_laws() -> dict[str, dict[str, str]]:
    """Committed digest of every law version of every state."""
    laws: dict[str, dict[str, str]] = json.loads(LAWS.read_text("utf-8"))
    return laws


def unversioned(recorded: Mapping[str, Mapping[str, str]], digests: Mapping[str, str]) -> list[str]:
    """States whose tables differ from the digest recorded for their law version."""
    return [
        state
        for state, version in LAW_VERSIONS.items()
        if recorded[state].get(version) != digests[state]
    ]


def changed_digests(golden: Golden, actual: Golden) -> list[str]:
    """Names whose digest differs from the golden one, in order of states."""
    return [
        name
        for part in ("datasets", "rng_logs")
        for name in {**actual[part], **golden[part]}
        if golden[part].get(name) != actual[part].get(name)
    ]


def _logs(folder: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in sorted(folder.rglob("*.jsonl"))}


def main() -> None:
    """Rewrites all files and records new law versions."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        outcome = pipeline.run(RunRequest(profile="demo", seed=SEED, runs_root=root / "runs"))
        demo = outcome.place.root
        results = {
            "demo": of_run(demo),
            "tiny": tiny(root / "tiny"),
            "profiles": profiles(demo, root / "profiles"),
            "transactions": transactions(demo, root / "stream"),
        }
        for name, golden in results.items():
            text = json.dumps(golden, indent=1, sort_keys=True)
            (HERE / f"{name}.json").write_text(text + "\n", "utf-8")
        laws, states = recorded_laws(), of_states(read("tiny"))
        for state, version in LAW_VERSIONS.items():
            laws[state].setdefault(version, states[state])
        LAWS.write_text(json.dumps(laws, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
