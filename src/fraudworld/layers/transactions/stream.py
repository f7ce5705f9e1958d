"""START HERE for 6B: one stream, from a published run to a sealed folder.

    S0 open and verify, make profiles where there are none → S3 plan campaigns →
    for every block of hours: S1 visits, S2 flows, S4 labels and bank view →
    S5 check, seal, publish

Blocks are independent of each other, so windows, threads and block sizes change no row. Memory
holds the world and a few blocks, whatever the length of the stream.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import Kind, Table, Visibility
from fraudworld.contracts import transactions as tables
from fraudworld.documents import JsonObject, read_object, write_json
from fraudworld.engine.local import LocalEngine
from fraudworld.errors import InputError, RefusedError
from fraudworld.inputs.arrivals import WEEK, Arrivals, load_arrivals
from fraudworld.layers.clock import Clock, Report
from fraudworld.layers.profiles.layer import ensure_profiles
from fraudworld.layers.profiles.request import ProfilesRequest
from fraudworld.layers.transactions import checks, flows, labels, visits
from fraudworld.layers.transactions.inputs import Inputs, open_inputs
from fraudworld.layers.transactions.layout import (
    CONFLICT,
    INDEX,
    StreamPlace,
    check_stream,
    seal_stream,
)
from fraudworld.layers.transactions.plan import plan_campaigns
from fraudworld.layers.transactions.request import StreamOutcome, StreamRequest, outside_horizon
from fraudworld.layers.transactions.rows import BlockBuilder, Rows, Window
from fraudworld.layers.transactions.world import (
    World,
    activity_stream,
    load_world,
    rewiring_stream,
)
from fraudworld.request import Progress
from fraudworld.rng import RNG_LAW_VERSION, StreamUse
from fraudworld.store.append import DatasetWriter
from fraudworld.store.evidence import write_rng_logs
from fraudworld.store.publish import publish, staging, tidy
from fraudworld.store.reader import open_part
from fraudworld.store.roles import require_run_open
from fraudworld.store.tables import DatasetRecord

Records = list[tuple[Path, DatasetRecord]]
"""Folder and record of every dataset written."""

ENCODERS = 2
"""Threads that encode Parquet while the next blocks are computed."""


def stream(request: StreamRequest, progress: Report | None = None) -> StreamOutcome:
    """Makes, checks, seals and publishes one stream; repeating a request changes nothing.

    Raises InputError for an invalid window or world, RefusedError for a run without flag or
    changed after publishing, and where another stream is published already.
    """
    clock = Clock("6B", progress)
    target = StreamPlace.below(request.to or request.run)
    if request.to is None and not target.layer.exists():
        require_run_open(
            request.run, "no stream can be published inside it; use --to for another folder"
        )
    with clock.step("S0", "verify_run"):
        inputs = open_inputs(
            request.run, request.upstream_dir, allow_unflagged=request.allow_unflagged
        )
        arrivals = load_arrivals(inputs.upstream, inputs.identity.seed, inputs.geo.countries)
        window = make_window(request, arrivals)
        receipt = _receipt(request, inputs, window)
    if request.profiles:
        ensure_profiles(
            ProfilesRequest(
                run=request.run, to=request.to, allow_unflagged=request.allow_unflagged,
                upstream_dir=request.upstream_dir, workers=request.workers,
            ),
            progress,
        )  # fmt: skip
    root = request.run.resolve().parent if request.to is None else request.to
    if target.layer.exists():
        tidy(root)
        return _reuse(target, receipt, clock)
    with staging(root, f"{request.run.resolve().name}.6B") as folder:
        place = StreamPlace(folder)
        records, summary = _generate(request, inputs, arrivals, window, place, clock)
        write_json(place.receipt, receipt)
        with clock.step("S5", "checks"):
            results = checks.run_checks(inputs, place, observable=request.observable)
        passed = not request.rewired and all(row["violations"] == 0 for row in results)
        report = {"checks": results, "passed": passed, "summary": summary}
        write_json(place.report, report)
        with clock.step("S5", "seal_and_publish"):
            seal_stream(place, records, passed=passed)
            target.layer.parent.mkdir(parents=True, exist_ok=True)
            publish(folder, target.layer, INDEX.as_posix())
    rows = {record.table: record.rows for _, record in records}
    return StreamOutcome(target.layer, passed, False, rows, report, clock.seconds)


def make_window(request: StreamRequest, arrivals: Arrivals) -> Window:
    """The hours of a request, with their arrivals.

    Raises InputError `6B.S0.WINDOW_OUTSIDE_HORIZON`.
    """
    first = request.from_day - 1
    if first >= arrivals.days or (request.days or 0) > arrivals.days - first:
        raise outside_horizon(
            f"the request is for days {request.from_day} to {first + (request.days or 1)}, the "
            f"horizon has {arrivals.days}",
            f"stay inside days 1 to {arrivals.days}",
        )
    skipped = int(_totals(arrivals, 0, 24 * first).sum())
    hours = 24 * ((request.days or arrivals.days - first) + first)
    totals = np.cumsum(_totals(arrivals, 24 * first, hours))
    wanted = int(totals[-1]) if request.flows is None else request.flows
    if wanted > totals[-1]:
        raise outside_horizon(
            f"the request is for {wanted} flows, the horizon has {totals[-1]} from day "
            f"{request.from_day} on",
            f"ask for at most {totals[-1]}, or make a larger world",
        )
    if wanted == 0:
        raise outside_horizon("these days have no arrivals", "ask for more days")
    last = len(totals) if request.days else int(np.searchsorted(totals, wanted)) + 1
    counts = arrivals.counts(24 * first, 24 * first + last)
    before = np.concatenate([[0], totals[:last]]) + skipped
    return Window(24 * first, counts, before, skipped + wanted)


def _totals(arrivals: Arrivals, first: int, last: int) -> NDArray[np.int64]:
    """Arrivals of every hour first … last − 1; counts by cell are held for a week at a time."""
    pieces = [
        arrivals.counts(low, min(low + WEEK, last)).sum(axis=1, dtype=np.int64)
        for low in range(first, last, WEEK)
    ]
    return np.concatenate([np.empty(0, np.int64), *pieces])


def _generate(
    request: StreamRequest,
    inputs: Inputs,
    arrivals: Arrivals,
    window: Window,
    place: StreamPlace,
    clock: Clock,
) -> tuple[Records, dict[str, object]]:
    """S1 to S4: writes every table of the stream; returns their records and the S5 summary."""
    with clock.step("S1", "load_world"):
        world = _open_world(request, inputs)
    with clock.step("S3", "plan_campaigns"):
        plan = plan_campaigns(inputs, world, arrivals, window.first, window.first + window.hours)
    builder = BlockBuilder(inputs, world, arrivals, plan, window)
    tally = _Tally(len(plan.attacks.campaigns.kind))
    start = time.perf_counter()
    records = _write_tables(request, builder, place, tally, clock)
    clock.seconds["S1-S4.flows"] = round(time.perf_counter() - start, 3)
    evidence = _evidence(builder, tally)
    if request.rewired:
        links = world.device_endpoint.size
        evidence.append(rewiring_stream(inputs.identity.seed).use("world", 0, links))
    write_rng_logs(place.rng_logs, inputs.identity.seed, evidence)
    return records, tally.summary(builder, observable=request.observable)


def _open_world(request: StreamRequest, inputs: Inputs) -> World:
    """Raises InputError `6B.S1.NO_ATTACHABLE_PARTY` for a world in which nobody can pay."""
    world = load_world(inputs, rewired=request.rewired)
    if not world.activity[-1]:
        raise InputError(
            "6B.S1.NO_ATTACHABLE_PARTY",
            "no party of this world has both a payable account and a device in use",
            where=str(request.run),
            remedy="make a world with instruments and devices",
        )
    return world


def _write_tables(
    request: StreamRequest,
    builder: BlockBuilder,
    place: StreamPlace,
    tally: _Tally,
    clock: Clock,
) -> Records:
    """Computes all blocks, a group at a time, and appends their rows to the datasets."""
    inputs = builder.inputs
    writers: dict[str, tuple[Path, DatasetWriter]] = {}
    start = time.perf_counter()
    with LocalEngine(request.workers) as engine, ThreadPoolExecutor(ENCODERS) as encoders:
        for table in tables.DOWNSTREAM_TABLES:
            if not (request.observable and table.visibility is Visibility.TRUTH):
                folder = place.dataset(table.name, inputs.identity)
                writer = DatasetWriter(
                    table, folder, inputs.identity, _codes(table, inputs), encoders
                )
                writers[table.name] = folder, writer
        blocks = list(builder.window.blocks(request.block_flows))
        remaining = iter(blocks)
        done = 0
        while group := list(islice(remaining, 2 * request.workers)):
            for rows in engine.collect(builder.block, *zip(*group, strict=True)):
                tally.add(rows)
                for name, columns in rows.items():
                    if name in writers:
                        writers[name][1].append(columns)
            done += len(group)
            seconds = time.perf_counter() - start
            clock.report(Progress("6B.S2", "flows", done, len(blocks), tally.flows, seconds))
        if tables.CAMPAIGN_CATALOGUE.name in writers:
            catalogue = builder.catalogue(tally.by_campaign)
            writers[tables.CAMPAIGN_CATALOGUE.name][1].append(catalogue)
        return [(folder, writer.close()) for folder, writer in writers.values()]


@dataclass
class _Tally:
    """Counts over all blocks."""

    campaigns: int
    flows: int = 0
    customer_visits: int = 0
    campaign_visits: int = 0
    by_campaign: NDArray[np.int64] = field(init=False)  # flows, (campaigns,)
    by_cause: NDArray[np.int64] = field(init=False)  # flows, (causes,)

    def __post_init__(self) -> None:
        self.by_campaign = np.zeros(self.campaigns, dtype=np.int64)
        self.by_cause = np.zeros(len(tables.CODES["cause"]), dtype=np.int64)

    def add(self, rows: Rows) -> None:
        truth = rows[tables.TRUTH_LABELS.name]
        entities = rows[tables.ARRIVAL_ENTITIES.name]
        by_campaign = np.bincount(truth["campaign_id"], minlength=self.campaigns + 1)
        self.by_campaign += by_campaign[1:]
        self.by_cause += np.bincount(truth["cause"], minlength=self.by_cause.size)
        self.flows += truth["cause"].size
        begins = entities["session_id"] == entities["flow_id"]
        of_campaigns = int((begins & (truth["campaign_id"] > 0)).sum())
        self.campaign_visits += of_campaigns
        self.customer_visits += int(begins.sum()) - of_campaigns

    def summary(self, builder: BlockBuilder, *, observable: bool) -> dict[str, object]:
        """Counts of the stream for the report of S5; without truth where `observable`."""
        countries = builder.inputs.geo.countries
        activity = np.diff(builder.world.activity[builder.world.country_party])
        empty = [c for c, n in zip(countries, activity, strict=True) if n == 0]
        summary: dict[str, object] = {
            "flows": self.flows,
            "visits": self.customer_visits + self.campaign_visits,
            "countries_without_attachable_party": empty,
        }
        if observable:
            return summary
        kinds = builder.plan.attacks.campaigns.kind
        by_type = np.bincount(kinds, self.by_campaign, len(tables.CAMPAIGN_TYPES))
        causes = dict(zip(tables.CODES["cause"], self.by_cause.tolist(), strict=True))
        return summary | {
            "prevalence": 1.0 - causes["NONE"] / max(self.flows, 1),
            "flows_by_cause": causes,
            "flows_by_campaign_type": dict(
                zip(tables.CAMPAIGN_TYPES, by_type.astype(np.int64).tolist(), strict=True)
            ),
            "campaign_types_without_merchants": list(builder.plan.unplanned),
        }


def _evidence(builder: BlockBuilder, tally: _Tally) -> list[StreamUse]:
    """RNG evidence: streams of flows are dense, those of visits have an entity a visit."""
    seed, window = builder.inputs.identity.seed, builder.window
    first, n = int(window.before[0]), window.flows
    flow, customer, campaign = visits.streams(seed)
    cells = builder.arrivals.cells.merchant.size
    counts, moments = builder.arrivals.count_stream, builder.arrivals.moment_stream
    dense = [flow, flows.stream(seed), *labels.streams(seed)]
    campaign_entities = visits.campaign_entities(tally.campaigns)
    return [
        counts.use("window", window.first * cells, window.hours * cells),
        moments.use("window", first, int(window.before[-1]) - first),
        activity_stream(seed).use("world", 0, builder.world.parties),
        customer.use("window", 2 * first, 2 * n, entities=tally.customer_visits),
        campaign.use("window", 0, campaign_entities, entities=tally.campaign_visits),
        *(s.use("window", first, n) for s in dense),
        *builder.plan.evidence,
    ]


def _codes(table: Table, inputs: Inputs) -> dict[str, tuple[str, ...]]:
    """Closed list of every code column."""
    return {
        c.name: tables.CODES.get(str(c.codes)) or inputs.codes(str(c.codes))
        for c in table.columns
        if c.kind is Kind.CODE
    }


def _receipt(request: StreamRequest, inputs: Inputs, window: Window) -> dict[str, object]:
    """Identity of a stream: its run, upstream and window. The same for the same request."""
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


def _reuse(place: StreamPlace, receipt: dict[str, object], clock: Clock) -> StreamOutcome:
    """The published stream, if its bytes are intact and its receipt is this one."""
    with clock.step("S5", "verify_published"):
        check_stream(place)
        published = _document(place.receipt)
    if published != receipt:
        differing = sorted(k for k in receipt if published.get(k) != receipt[k])
        raise RefusedError(
            CONFLICT,
            f"another stream is published here: it differs in {', '.join(differing)}",
            where=str(place.layer),
            remedy="publish to another folder with --to, or move this one away",
        )
    report = _document(place.report)
    rows = {
        table.name: sum(_rows_of(part, table) for part in folder.rglob("part-*.parquet"))
        for table in sorted(tables.DOWNSTREAM_TABLES, key=lambda t: t.name)
        if (folder := place.layer / table.name).is_dir()
    }
    return StreamOutcome(place.layer, place.flag.is_file(), True, rows, report, clock.seconds)


def _document(path: Path) -> JsonObject:
    return read_object(
        path,
        code="6A.CLI.EVIDENCE_UNREADABLE",
        what="this file of the stream cannot be read",
        remedy="the stream was changed after publishing; make it again elsewhere",
    )


def _rows_of(part: Path, table: Table) -> int:
    with open_part(part, table) as file:
        return int(file.metadata.num_rows)
