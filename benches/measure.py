"""Shared by the benches: measured runs in child processes, medians, Markdown tables.

As a program it is such a child: it makes a world or a stream and prints its timings, or encodes the
tables of one again and prints the floor.

    python benches/measure.py run ROOT PROFILE SCALE SEED
    python benches/measure.py floor RUN
    python benches/measure.py stream RUN FLOWS TO
    python benches/measure.py stream_floor RUN TO
    python benches/measure.py profiles RUN TO
    python benches/measure.py profiles_floor RUN TO
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fraudworld.perf.child import measure

STATES = ("S1", "S2", "S3", "S4", "S5")
APART = ("S0", "gates", "report")
HERE = Path(__file__).resolve()


def child(*words: object) -> dict[str, Any]:
    """The document that `measure.py` prints for these arguments, and `peak_rss_mib`.

    Raises RuntimeError with its standard error if it fails.
    """
    done = measure([sys.executable, str(HERE), *(str(word) for word in words)])
    if done.status:
        raise RuntimeError(f"{words}: {done.err}")
    return {**json.loads(done.out), "peak_rss_mib": round(done.peak_rss_mib, 1)}


def cold_run(root: Path, profile: str, scale: float, seed: int) -> dict[str, Any]:
    """A cold run: a new process below `root`, whose earlier runs are removed.

    Upstream and compiled kernels of an earlier call are reused; without them `start` of the
    document is `first_ever`.
    """
    for folder in root.glob("[0-9a-f]" * 32):
        shutil.rmtree(folder)
    return child("run", root, profile, scale, seed)


def generate(root: Path, profile: str, scale: float, seed: int) -> dict[str, Any]:
    """Makes a world in this process and returns its timings.

    `segment`: S1–S5 with publishing and with time outside of steps, without S0, gates and report.
    `accounted`: share of the process's CPU-seconds that the events hold.
    """
    from fraudworld.perf.compare import sample
    from fraudworld.perf.evidence import read_evidence
    from fraudworld.perf.recorder import Recorder
    from fraudworld.request import RunRequest
    from fraudworld.run import pipeline

    request = RunRequest(profile=profile, scale=scale, seed=seed, runs_root=root)
    recorder = Recorder()
    wall, cpu = time.perf_counter(), time.process_time()
    outcome = pipeline.run(request, recorder=recorder)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    evidence = read_evidence(outcome.place.root)
    if outcome.reused or evidence.missing:
        raise RuntimeError(f"no fresh, complete run: {evidence.missing or 'reused'}")
    # The report is made after the timings were written, so only the recorder has its step.
    walls = {s: recorder.seconds(s) for s in (*APART, *STATES)}
    cpus = {s: sum(e.cpu_s for e in recorder.events if e.state == s) for s in walls}
    steps = [e for e in evidence.events if not e.beside]
    before_gates = [e.peak_rss_mib for e in steps if e.state != "gates"][:-1]
    segment = {
        "wall_s": wall - sum(walls[s] for s in APART),
        "cpu_s": cpu - sum(cpus[s] for s in APART),
    }
    accounted = sum(cpus.values()) / cpu
    walls["outside"] = segment["wall_s"] - sum(walls[s] for s in STATES)
    cpus["outside"] = segment["cpu_s"] - sum(cpus[s] for s in STATES)
    return {
        "run": str(outcome.place.root),
        "sample": asdict(sample(outcome.place.root, evidence.summary["peak_rss_mib"])),
        "start": evidence.summary["start"],
        "grade": outcome.grade,
        "parties": outcome.rows["s1_party_base_6A"],
        "rows": sum(outcome.rows.values()),
        "bytes": sum(p.stat().st_size for p in outcome.place.layer.rglob("*.parquet")),
        "wall_s": walls,
        "cpu_s": cpus,
        "accounted": accounted,
        "segment": segment,
        "segment_peak_rss_mib": max(before_gates),
        "rows_per_state": {s: sum(e.rows for e in steps if e.state == s) for s in STATES},
    }


def encode(run: Path) -> dict[str, Any]:
    """The floor of a run, measured in this process."""
    from fraudworld.perf import floor

    return asdict(floor.measure(run))


def transact(run: Path, flows: int, to: Path) -> dict[str, Any]:
    """Makes a stream in this process: seconds by step, total wall and CPU-seconds."""
    from fraudworld.layers.transactions.request import StreamRequest
    from fraudworld.layers.transactions.stream import stream

    wall, cpu = time.perf_counter(), time.process_time()
    outcome = stream(StreamRequest(run=run, flows=flows, to=to))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if outcome.reused or not outcome.passed:
        raise RuntimeError("no fresh stream that passes")
    return {"wall_s": wall, "cpu_s": cpu, "seconds": outcome.seconds}


def encode_stream(run: Path, to: Path) -> dict[str, Any]:
    """The floor of a stream, measured in this process."""
    from fraudworld.contracts.transactions import DOWNSTREAM_TABLES
    from fraudworld.layers.transactions.layout import StreamPlace
    from fraudworld.perf import floor
    from fraudworld.store.layout import RunPlace
    from fraudworld.store.receipt import read_receipt

    identity, place = read_receipt(RunPlace(run)).identity, StreamPlace.below(to)
    tables = [(t, place.dataset(t.name, identity)) for t in DOWNSTREAM_TABLES]
    return asdict(floor.of_datasets(tables))


def profile_run(run: Path, to: Path) -> dict[str, Any]:
    """Makes profiles in this process: wall seconds by step, total wall and CPU-seconds."""
    from fraudworld.layers.profiles.layer import make_profiles
    from fraudworld.layers.profiles.request import ProfilesRequest

    wall, cpu = time.perf_counter(), time.process_time()
    outcome = make_profiles(ProfilesRequest(run=run, to=to))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if outcome.reused or not outcome.passed:
        raise RuntimeError("no fresh profiles that pass")
    return {"wall_s": wall, "cpu_s": cpu, "seconds": outcome.seconds}


def encode_profiles(run: Path, to: Path) -> dict[str, Any]:
    """The floor of profiles, measured in this process."""
    from fraudworld.contracts.profiles import PROFILE_TABLES
    from fraudworld.layers.profiles.layout import ProfilesPlace
    from fraudworld.perf import floor
    from fraudworld.store.layout import RunPlace
    from fraudworld.store.receipt import read_receipt

    identity, place = read_receipt(RunPlace(run)).identity, ProfilesPlace.below(to)
    tables = [(t, place.dataset(t.name, identity)) for t in PROFILE_TABLES]
    return asdict(floor.of_datasets(tables))


def medians(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians, key by key, of documents with equal keys; other values are taken from the first."""
    first = samples[0]
    return {key: _median([sample[key] for sample in samples]) for key in first}


def _median(values: Sequence[Any]) -> Any:
    if isinstance(values[0], dict):
        return medians(values)
    number = isinstance(values[0], int | float) and not isinstance(values[0], bool)
    return statistics.median(values) if number else values[0]


def machine() -> str:
    """Cores, memory and Python version, for the line above a table."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table, first column left-aligned, others right-aligned."""
    lines = [f"| {' | '.join(head)} |", "|---" + "|--:" * (len(head) - 1) + "|"]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def save(path: Path, document: object) -> None:
    """Writes a result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")


def main(words: Sequence[str]) -> None:
    """Runs as a child: executes the command and prints one JSON document."""
    command, *arguments = words
    if command == "run":
        root, profile, scale, seed = arguments
        document = generate(Path(root), profile, float(scale), int(seed))
    elif command == "stream":
        run, flows, to = arguments
        document = transact(Path(run), int(flows), Path(to))
    elif command == "stream_floor":
        document = encode_stream(*map(Path, arguments))
    elif command == "profiles":
        document = profile_run(*map(Path, arguments))
    elif command == "profiles_floor":
        document = encode_profiles(*map(Path, arguments))
    else:
        document = encode(Path(arguments[0]))
    print(json.dumps(document))


if __name__ == "__main__":
    main(sys.argv[1:])
