"""START HERE for 6B: one stream, from a published run to a sealed folder beside it.

    S0 open and verify → S3 plan campaigns → for every stretch of hours: S1 attach, S2 flows,
    S4 labels and bank view → S5 checks, seal, publish

Stretches are independent of each other, so windows, workers and their cut change nothing.
Memory holds the world and a few stretches; how long a stream is costs disk only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import Kind, Table, Visibility
from fraudworld.contracts import transactions as tables
from fraudworld.documents import load_json, write_json
from fraudworld.engine.local import LocalEngine
from fraudworld.errors import InputError, RefusedError
from fraudworld.inputs.arrivals import Arrivals, load_arrivals
from fraudworld.layers.transactions import campaigns, checks, flows, labels, visits, world
from fraudworld.layers.transactions.inputs import Inputs, open_inputs
from fraudworld.layers.transactions.layout import (
    CONFLICT,
    INDEX,
    StreamPlace,
    check_stream,
    seal_stream,
)
from fraudworld.layers.transactions.request import StreamOutcome, StreamRequest, outside
from fraudworld.layers.transactions.rows import BlockBuilder, Window
from fraudworld.request import Progress
from fraudworld.rng import RNG_LAW_VERSION, StreamUse
from fraudworld.store.append import DatasetWriter
from fraudworld.store.evidence import write_rng_logs
from fraudworld.store.publish import publish, staging
from fraudworld.store.roles import require_run_open
from fraudworld.store.tables import DatasetRecord

Report = Callable[[Progress], None]
ENCODERS = 2
"""Threads that turn rows into Parquet while the next stretch is computed."""


@dataclass
class _Clock:
    """Seconds per step, told to `progress` as steps end."""

    progress: Report | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, state: str, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        taken = time.perf_counter() - began
        self.seconds[f"{state}.{name}"] = round(taken, 3)
        self.tell(state, name, 1, 1, 0, taken)

    def tell(self, state: str, name: str, done: int, total: int, rows: int, seconds: float) -> None:
        if self.progress is not None:
            self.progress(Progress(f"6B.{state}", name, done, total, rows, seconds))


def stream(request: StreamRequest, progress: Report | None = None) -> StreamOutcome:
    """Make, check, seal and publish one stream; the same request again changes nothing.

    Raises InputError for a bad window or world, RefusedError for a run without flag or
    changed after publishing, and where another stream is published already.
    """
    clock = _Clock(progress)
    target = StreamPlace.below(request.to or request.run)
    if request.to is None and not target.layer.exists():
        require_run_open(request.run, "no stream can be made inside it; publish it --to elsewhere")
    with clock.step("S0", "verify_run"):
        inputs = open_inputs(
            request.run, request.upstream_dir, allow_unflagged=request.allow_unflagged
        )
        arrivals = load_arrivals(inputs.upstream, inputs.identity.seed, inputs.geo.countries)
        window = make_window(request, arrivals)
        receipt = _receipt(request, inputs, window)
    if target.layer.exists():
        return _reuse(target, receipt, clock)
    root = request.run.resolve().parent if request.to is None else request.to
    with staging(root, f"{request.run.resolve().name}.6B") as folder:
        place = StreamPlace(folder)
        records, summary = _generate(request, inputs, arrivals, window, place, clock)
        write_json(place.receipt, receipt)
        with clock.step("S5", "checks"):
            found = checks.run_checks(inputs, place, observable=request.observable)
        good = not request.rewired and all(check["violations"] == 0 for check in found)
        report = {"checks": found, "passed": good, "summary": summary}
        write_json(place.report, report)
        with clock.step("S5", "seal_and_publish"):
            seal_stream(place, records, passed=good)
            target.layer.parent.mkdir(parents=True, exist_ok=True)
            publish(folder, target.layer, INDEX.as_posix())
    rows = {record.table: record.rows for _, record in records}
    return StreamOutcome(target.layer, good, False, rows, report, clock.seconds)


def make_window(request: StreamRequest, arrivals: Arrivals) -> Window:
    """The hours a request asks for, with their arrivals.

    Raises InputError `6B.S0.WINDOW_OUTSIDE_HORIZON`.
    """
    first = request.from_day - 1
    if first >= arrivals.days or (request.days or 0) > arrivals.days - first:
        raise outside(
            f"days {request.from_day} to {first + (request.days or 1)} are asked for, the horizon "
            f"has {arrivals.days}",
            f"stay inside days 1 to {arrivals.days}",
        )
    skipped = int(_totals(arrivals, 0, 24 * first).sum())
    hours = 24 * ((request.days or arrivals.days - first) + first)
    totals = np.cumsum(_totals(arrivals, 24 * first, hours))
    wanted = int(totals[-1]) if request.flows is None else request.flows
    if wanted > totals[-1]:
        raise outside(
            f"{wanted} flows are asked for, the horizon holds {totals[-1]} from day "
            f"{request.from_day}",
            f"ask for at most {totals[-1]}, or make a larger world",
        )
    last = int(np.searchsorted(totals, wanted)) + 1
    if request.days is not None:
        last = len(totals)
    if wanted == 0:
        raise outside("nothing arrives in these days", "ask for more days")
    counts = arrivals.counts(24 * first, 24 * first + last)
    before = np.concatenate([[0], totals[:last]]) + skipped
    return Window(24 * first, counts, before, skipped + wanted)


def _totals(arrivals: Arrivals, first: int, last: int) -> NDArray[np.int64]:
    """Arrivals of every hour, a week of hours at a time."""
    pieces = [
        arrivals.counts(low, min(low + 168, last)).sum(axis=1, dtype=np.int64)
        for low in range(first, last, 168)
    ]
    return np.concatenate([np.empty(0, np.int64), *pieces])


def _generate(
    request: StreamRequest,
    inputs: Inputs,
    arrivals: Arrivals,
    window: Window,
    place: StreamPlace,
    clock: _Clock,
) -> tuple[list[tuple[Path, DatasetRecord]], dict[str, Any]]:
    """S1–S4: every table of the stream, and the figures S5 reports."""
    with clock.step("S1", "load_world"):
        people = world.load_world(inputs, rewired=request.rewired)
        if not people.activity[-1]:
            raise InputError(
                "6B.S1.NO_ATTACHABLE_PARTY",
                "nobody in this world has both a payable account and a device",
                where=str(request.run),
                remedy="make a world with instruments and devices",
            )
    with clock.step("S3", "plan_campaigns"):
        plan = campaigns.plan(inputs, people, arrivals, window.first, window.first + window.hours)
    builder = BlockBuilder(inputs, people, arrivals, plan, window)
    writers: dict[str, tuple[Path, DatasetWriter]] = {}
    tally = _Tally(len(plan.campaigns.kind))
    began = time.perf_counter()
    with LocalEngine(request.workers) as engine, ThreadPoolExecutor(ENCODERS) as encoders:
        for table in tables.DOWNSTREAM_TABLES:
            if not (request.observable and table.visibility is Visibility.TRUTH):
                folder = place.dataset(table.name, inputs.identity)
                writer = DatasetWriter(
                    table, folder, inputs.identity, _codes(table, inputs), encoders
                )
                writers[table.name] = folder, writer
        blocks = list(window.blocks(request.block_flows))
        left = iter(blocks)
        done = 0
        while group := list(islice(left, 2 * request.workers)):
            for rows in engine.collect(builder.block, *zip(*group, strict=True)):
                tally.add(rows)
                for name, batch in rows.items():
                    if name in writers:
                        writers[name][1].append(batch)
            done += len(group)
            clock.tell("S2", "flows", done, len(blocks), tally.flows, time.perf_counter() - began)
        if tables.CAMPAIGN_CATALOGUE.name in writers:
            writers[tables.CAMPAIGN_CATALOGUE.name][1].append(builder.catalogue(tally.struck))
        records = [(folder, writer.close()) for folder, writer in writers.values()]
    clock.seconds["S1-S4.flows"] = round(time.perf_counter() - began, 3)
    evidence = _evidence(builder, tally)
    if request.rewired:
        links = people.device_endpoint.size
        evidence.append(world.rewiring_stream(inputs.identity.seed).use("world", 0, links))
    write_rng_logs(place.rng_logs, inputs.identity.seed, evidence)
    return records, tally.summary(builder, observable=request.observable)


@dataclass
class _Tally:
    """Counts over all blocks."""

    campaigns: int
    flows: int = 0
    visits: int = 0
    strikes: int = 0  # visits of campaigns
    struck: NDArray[np.int64] = field(init=False)
    causes: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.struck = np.zeros(self.campaigns, dtype=np.int64)
        self.causes = np.zeros(len(tables.CODES["cause"]), dtype=np.int64)

    def add(self, rows: dict[str, dict[str, NDArray[np.integer]]]) -> None:
        truth = rows[tables.TRUTH_LABELS.name]
        entities = rows[tables.ARRIVAL_ENTITIES.name]
        by_campaign = np.bincount(truth["campaign_id"], minlength=self.campaigns + 1)
        self.struck += by_campaign[1:]
        self.causes += np.bincount(truth["cause"], minlength=self.causes.size)
        self.flows += truth["cause"].size
        begins = entities["session_id"] == entities["flow_id"]
        struck = begins & (truth["campaign_id"] > 0)
        self.strikes += int(struck.sum())
        self.visits += int(begins.sum()) - int(struck.sum())

    def summary(self, builder: BlockBuilder, *, observable: bool) -> dict[str, Any]:
        """What the report tells of the stream; nothing of the truth where `observable`."""
        countries = builder.inputs.geo.countries
        activity = builder.world.activity[builder.world.country_party]
        nobody = [c for c, n in zip(countries, np.diff(activity), strict=True) if n == 0]
        said: dict[str, Any] = {
            "flows": self.flows,
            "visits": self.visits + self.strikes,
            "countries_without_attachable_party": nobody,
        }
        if observable:
            return said
        kinds = np.bincount(builder.plan.campaigns.kind, self.struck, len(tables.CAMPAIGN_TYPES))
        causes = dict(zip(tables.CODES["cause"], self.causes.tolist(), strict=True))
        return said | {
            "prevalence": 1.0 - causes["NONE"] / max(self.flows, 1),
            "flows_by_cause": causes,
            "flows_by_campaign_type": dict(
                zip(tables.CAMPAIGN_TYPES, kinds.astype(np.int64).tolist(), strict=True)
            ),
            "campaign_types_without_merchants": list(builder.plan.unplanned),
        }


def _evidence(builder: BlockBuilder, tally: _Tally) -> list[StreamUse]:
    """What was drawn: per flow densely, per visit as many as there were."""
    seed, window = builder.inputs.identity.seed, builder.window
    first, n = int(window.before[0]), window.flows
    flow, visit, strike = visits.streams(seed)
    cells = builder.arrivals.cells.merchant.size
    counted = builder.arrivals.count_stream
    dense = [flow, flows.stream(seed), *labels.streams(seed)]
    return [
        counted.use("window", window.first * cells, window.hours * cells),
        builder.arrivals.moment_stream.use("window", first, int(window.before[-1]) - first),
        world.activity_stream(seed).use("world", 0, builder.world.parties),
        visit.use("window", 2 * first, 2 * n, entities=tally.visits),
        strike.use("window", 0, visits.strike_entities(tally.campaigns), entities=tally.strikes),
        *(s.use("window", first, n) for s in dense),
        *builder.plan.evidence,
    ]


def _codes(table: Table, inputs: Inputs) -> dict[str, tuple[str, ...]]:
    return {
        c.name: tables.CODES.get(str(c.codes)) or inputs.codes(str(c.codes))
        for c in table.columns
        if c.kind is Kind.CODE
    }


def _receipt(request: StreamRequest, inputs: Inputs, window: Window) -> dict[str, Any]:
    """Who the stream is: its run, its upstream, its window. The same for the same request."""
    return {
        "contract_version": tables.DOWNSTREAM_VERSION,
        "rng_law_version": RNG_LAW_VERSION,
        "run_id": inputs.receipt.run_id,
        "seed": inputs.identity.seed,
        "parameter_hash": inputs.identity.parameter_hash,
        "manifest_fingerprint": inputs.identity.manifest_fingerprint,
        "world_bundle_digest": inputs.bundle_digest,
        "world_passed": inputs.receipt.passed,
        "upstream_segments": inputs.segments,
        "first_flow": int(window.before[0]) + 1,
        "last_flow": window.end,
        "first_hour": window.first,
        "hours": window.hours,
        "visibility": "observable" if request.observable else "all",
        "rewired": request.rewired,
    }


def _reuse(place: StreamPlace, receipt: dict[str, Any], clock: _Clock) -> StreamOutcome:
    """The stream that is already here, if it is this one and intact."""
    with clock.step("S5", "verify_published"):
        check_stream(place)
        found = load_json(place.receipt)
    if found != receipt:
        differing = sorted(k for k in receipt if found.get(k) != receipt[k])
        raise RefusedError(
            CONFLICT,
            f"another stream is published here: it differs in {', '.join(differing)}",
            where=str(place.layer),
            remedy="publish elsewhere with --to, or move that folder away",
        )
    report = load_json(place.report)
    rows = {
        folder.name: sum(_rows_of(part) for part in folder.rglob("part-*.parquet"))
        for folder in sorted(place.layer.glob("s*_6B"))
    }
    return StreamOutcome(place.layer, report["passed"], True, rows, report, clock.seconds)


def _rows_of(part: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(part).num_rows)
