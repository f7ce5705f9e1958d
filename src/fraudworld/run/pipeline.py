"""START HERE: one run, from sealed inputs to a published, judged world.

    S0 intake → S1 parties → S2 accounts → S3 instruments → S4 network → S5 posture
       → gates T1–T8 → seal → publish

A stage is a pure function of (input columns, policy, key). Files, clocks and threads are handled
here and in `store/`. Rows are encoded while stages compute, in a staging folder that is renamed
into place at the end.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fraudworld import engine as engines
from fraudworld import gates, jit, report
from fraudworld.contracts import CONTRACT_VERSION, Kind, Table
from fraudworld.contracts.network import METRICS
from fraudworld.documents import JsonObject, load_json, parse_json, write_json
from fraudworld.engine.tasks import Engine, Item
from fraudworld.errors import RefusedError
from fraudworld.inputs import embedded as upstream
from fraudworld.inputs import intake
from fraudworld.perf.meter import MeteredExecutor
from fraudworld.perf.recorder import REQUIRED_STEPS, Recorder, write_evidence
from fraudworld.policy.bounds import rebaselined
from fraudworld.policy.lint import require_lint
from fraudworld.policy.loader import LoadedPack, canonical, load_pack
from fraudworld.policy.reads import view
from fraudworld.request import Progress, RunRequest, SummaryTable
from fraudworld.rng import RNG_LAW_VERSION
from fraudworld.run.base import (
    VERSIONS,
    Base,
    Inputs,
    open_base,
    reuse_document,
    state_inputs,
)
from fraudworld.run.refused import forget, keeping_events
from fraudworld.run.size import require_disk, require_floors, require_memory, require_size
from fraudworld.run.states import run_states
from fraudworld.stages.batches import Rows
from fraudworld.stages.context import Context
from fraudworld.stages.parties.plan import planned_parties
from fraudworld.stages.posture.validate.checks import Check, passed
from fraudworld.store.atomic import flush_tree
from fraudworld.store.attestation import write_attestation
from fraudworld.store.content import PART_ROWS
from fraudworld.store.evidence import RngShare, encode_rng, write_rng_shares
from fraudworld.store.identity import Identity, manifest_fingerprint, run_id
from fraudworld.store.layout import RunPlace
from fraudworld.store.publish import publish, staging
from fraudworld.store.receipt import Receipt, now, read_receipt, write_receipt
from fraudworld.store.restamp import Restamp
from fraudworld.store.seal import check_run, seal_run, write_run_index, write_standalone
from fraudworld.store.tables import DatasetRecord, PartRecord, Writing, write_part

Report = Callable[[Progress], None]
Believe = Callable[[Path], None]
"""Raises RefusedError for a run found in its place that is not what its request would make."""
COPIERS = 2
"""Threads that copy reused tables while stages compute."""


@dataclass(frozen=True)
class RunOutcome:
    """The result of a run, and its place."""

    place: RunPlace
    run_id: str
    identity: Identity
    grade: str
    passed: bool
    gateboard: JsonObject
    rows: dict[str, int]
    reused: bool
    verified: bool  # nothing was taken from a run that was not verified completely
    summary: tuple[SummaryTable, ...]


@dataclass(frozen=True)
class Prepared:
    """The result of S0: verified inputs and the identity of the run."""

    loaded: LoadedPack
    sealed: intake.SealedInputs
    world: intake.Upstream
    identity: Identity
    inputs: Inputs


def run(
    request: RunRequest,
    progress: Report | None = None,
    *,
    recorder: Recorder | None = None,
    believe: Believe | None = None,
) -> RunOutcome:
    """Build, judge, seal and publish one world.

    An equal request finds the same place: if that run is there and intact, nothing is done. Its
    seal says that nobody changed it by accident, not who made it: `believe` is called with its
    folder, or that of a base, and without one the outcome is not `verified`. With a `recorder`
    that is switched off (to measure the cost of timing) the budget check fails.

    Raises InputError for bad input and RefusedError where sealed input or a published run
    differs from what it should be; nothing is published then.
    """
    recorder = recorder or Recorder()
    step = _Steps(recorder, progress)
    with step("S0", "verify_and_seal_inputs", alone=True), jit.loading():
        ready = prepare(request)
    name = request.run_id or run_id(ready.identity, request.role)
    place = RunPlace(request.runs_root / name)
    if place.root.exists():
        outcome = _reuse(place, name, ready.identity, believe)
        forget(request.runs_root, name)
        return outcome
    require_disk(ready.loaded.pack, request.seed, ready.world.geo, request.runs_root)
    with keeping_events(request.runs_root, name, ready.identity, recorder):
        if believe is not None and request.base is not None:
            believe(request.base)
        board, good, rows = _make(request, ready, place, name, recorder, step)
    return RunOutcome(
        place,
        name,
        ready.identity,
        board["grade"],
        good,
        board,
        rows,
        False,
        request.base is None or believe is not None,
        _summary(rows, recorder),
    )


def _make(
    request: RunRequest,
    ready: Prepared,
    place: RunPlace,
    name: str,
    recorder: Recorder,
    step: _Steps,
) -> tuple[JsonObject, bool, dict[str, int]]:
    """Generates, judges, seals and publishes; returns the gateboard, passed or not, and rows."""
    base = None
    if request.base is not None and request.from_state is not None:
        with step("S0", "check_base", alone=True):
            base = open_base(request.base.absolute(), request.from_state, ready.inputs)
    with (
        staging(request.runs_root, name) as folder,
        _frozen_garbage(),
        ThreadPoolExecutor(1) as disk,
    ):
        # Absolute: workers of a cluster have another working directory.
        staged = RunPlace(folder.absolute())
        records, checks = _generate(request, ready, base, staged, recorder, step)
        # Publishing waits for the disk, so tables are synced while they are judged.
        flushed = [disk.submit(flush_tree, dataset) for dataset, _ in records]
        with step("gates", "judge", alone=True):
            board = gates.judge(folder).as_dict()
            gates.write_evidence(staged.validation / "realism_gate_6A.json", board)
        with recorder.step("S5", "bundle_publish", alone=True):
            good = passed(checks) and board["grade"] in ("B", "B+")
            bundle_digest = seal_run(staged, records, passed=good)
        rows = {record.table: record.rows for _, record in records}
        receipt = _receipt(request, ready, name, rows, board["grade"], good, bundle_digest)
        write_receipt(staged, receipt)
        write_evidence(staged.perf(ready.identity), ready.identity, recorder)
        write_json(staged.state_inputs, reuse_document(ready.inputs, base))
        with step("report", "render", alone=True):
            report.write(staged.root, request.runs_root)
        write_standalone(staged)
        write_attestation(staged)
        write_run_index(staged)
        index = staged.bundle_index.relative_to(staged.root).as_posix()
        for table in flushed:
            table.result()
        publish(staged.root, place.root, index)
    return board, good, rows


@contextmanager
def _frozen_garbage() -> Iterator[None]:
    """Excludes existing objects, mostly modules, from garbage collection while the body runs.

    Does nothing where the caller has frozen objects itself.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def prepare(request: RunRequest) -> Prepared:
    """S0: verify the upstream, lint and load the policy, seal both, name the run.

    A world too large for its ids, or too small for its countries, is refused here, before any of
    it is made.
    """
    loaded = load_pack(request.policy_dir, request.overlays)
    require_lint(loaded.pack)
    if request.upstream_dir is None:  # before an upstream of that size is made
        require_memory(request.nominal_parties, request.engine)
    root = request.upstream_dir or upstream.ensure_embedded(
        request.runs_root / ".upstream", request.volume_scale
    )
    sealed = intake.seal_inputs(root, loaded)
    pack = loaded.pack
    world = intake.load_upstream(root, sealed, pack.codes("region"), pack.codes("merchant_class"))
    require_floors(pack, request.seed, world.geo, None if request.upstream_dir else request.scale)
    require_size(pack, request.seed, world.geo, world.merchants)
    require_memory(planned_parties(pack, request.seed, world.geo), request.engine)
    fingerprint = manifest_fingerprint(
        loaded.parameter_hash, sealed.digest, CONTRACT_VERSION, RNG_LAW_VERSION
    )
    return Prepared(
        loaded,
        sealed,
        world,
        Identity(request.seed, loaded.parameter_hash, fingerprint),
        state_inputs(pack, request.seed, sealed.digest, VERSIONS),
    )


def _generate(
    request: RunRequest,
    ready: Prepared,
    base: Base | None,
    staged: RunPlace,
    recorder: Recorder,
    step: _Steps,
) -> tuple[list[tuple[Path, DatasetRecord]], tuple[Check, ...]]:
    """S1–S5: writes every table and document of the run into the staging folder."""
    pack = ready.loaded.pack
    written: list[tuple[Writing, list[Item[PartRecord]]]] = []
    shares: list[RngShare] = []
    with _engine(request, staged, recorder) as engine, ThreadPoolExecutor(COPIERS) as copiers:

        def emit(table: Table, rows: Rows) -> int:
            for _, parts in written:
                engine.check(parts)
            folder = staged.dataset(table.name, ready.identity)
            writing = Writing.of(table, folder, ready.identity, _codes(table, ready))
            # Parts are encoded while the next stages compute; `fetch` below waits for them.
            with recorder.table(table.state, table.name, rows.n):
                written.append((writing, submit_parts(engine, writing, rows)))
            recorder.rows += rows.n
            return rows.n

        context = Context(
            pack=pack,
            seed=request.seed,
            geo=ready.world.geo,
            merchants=ready.world.merchants,
            parties_per_shard=request.parties_per_shard,
            engine=engine,
            step=step,
            emit=emit,
            log_rng=lambda uses: shares.append(encode_rng(request.seed, uses)),
        )
        copies = [] if base is None else _restamped(base, ready, staged, copiers, recorder)
        checks = run_states(context, base, recorder)
        # Short, and the last tables are encoded meanwhile.
        with recorder.step("S5", "documents"):
            _write_documents(context, ready, staged, checks)
            write_rng_shares(staged.rng_logs, request.seed, shares)
        with recorder.step("S5", "finish_encoding"):
            records = [(folder, copy.close()) for folder, copy in copies]
            records += [(w.folder, w.record(engine.fetch(parts))) for w, parts in written]
            engine.settle()
    return records, checks


def _write_documents(
    context: Context, ready: Prepared, staged: RunPlace, checks: tuple[Check, ...]
) -> None:
    """Writes the documents of S0, plans, counters and the issue table."""
    documents = {
        **intake.documents(ready.sealed, ready.loaded),
        "resolved_policy_6A": {
            "parameter_hash": ready.loaded.parameter_hash,
            "pack": parse_json(canonical(ready.loaded.pack)),
        },
    }
    for name, document in documents.items():
        write_json(staged.layer / f"{name}.json", document)
    for name, document in {**context.documents, "integer_plans_6A": context.plans}.items():
        write_json(staged.validation / f"{name}.json", document)
    pq.write_table(issue_table(checks), staged.issue_table, store_schema=False)


def _engine(
    request: RunRequest, staged: RunPlace, recorder: Recorder
) -> AbstractContextManager[Engine]:
    """The engine of the request.

    It spills beside the run in the staging folder, which is never published, and is deleted by
    the next run where this process is killed.
    """
    return engines.opened(
        request.engine,
        workers=request.workers,
        memory=request.memory,
        scheduler=request.scheduler,
        scratch=staged.root.with_name("scratch"),
        meter=lambda: recorder.account,
    )


def submit_parts(engine: Engine, writing: Writing, rows: Rows) -> list[Item[PartRecord]]:
    """Starts encoding the parts of a dataset."""
    task, pieces = partial(write_part, writing, rows.make), pieces_of_parts(rows)
    return engine.submit(task, range(len(pieces)), pieces, later=True)


def pieces_of_parts(rows: Rows) -> list[list[tuple[list[object], int, int]]]:
    """The pieces of every part of a dataset."""
    starts = range(0, max(rows.n, 1), PART_ROWS)
    return [rows.pieces(low, min(low + PART_ROWS, rows.n)) for low in starts]


def _restamped(
    base: Base, ready: Prepared, staged: RunPlace, pool: ThreadPoolExecutor, recorder: Recorder
) -> list[tuple[Path, Restamp]]:
    """Starts copying the base's tables under the new identity, on the pool."""
    identities = (base.receipt.identity, ready.identity)
    stamped: list[tuple[Path, Restamp]] = []
    for table in base.tables:
        folder = staged.dataset(table.name, ready.identity)
        digest = base.content_digests[table.name]
        source = base.folder(table.name)
        with recorder.table(table.state, table.name, base.receipt.tables[table.name]) as account:
            charged = MeteredExecutor(pool, account) if account else pool
            stamped.append((folder, Restamp(table, source, folder, digest, identities, charged)))
    return stamped


def _codes(table: Table, ready: Prepared) -> Mapping[str, Sequence[str]]:
    """The code list of every code column of a table."""
    geo, policy_view = ready.world.geo, view(ready.loaded.pack, table.state)
    known: dict[str, Sequence[str]] = {"country": geo.countries, "currency": geo.currencies}
    return {
        c.name: known.get(c.codes) or policy_view.codes(c.codes) if c.codes else sorted(METRICS)
        for c in table.columns
        if c.kind is Kind.CODE
    }


@dataclass(frozen=True)
class _Steps:
    """Times every step, and reports its end to `progress`."""

    recorder: Recorder
    progress: Report | None

    @contextmanager
    def __call__(self, state: str, name: str, *, alone: bool = False) -> Iterator[None]:
        with self.recorder.step(state, name, alone=alone):
            yield
        if self.progress:
            done = [e for e in self.recorder.events if e.state == state and not e.beside]
            rows, total = sum(e.rows for e in done), len(REQUIRED_STEPS.get(state, (name,)))
            seconds = self.recorder.seconds(state)
            self.progress(Progress(state, name, len(done), total, rows, seconds))


def _reuse(place: RunPlace, name: str, identity: Identity, believe: Believe | None) -> RunOutcome:
    """The run that is already published, if it is this one and intact."""
    sealed = check_run(place)
    receipt = read_receipt(place)
    if receipt.identity != identity:
        raise RefusedError(
            "6A.S5.OUTPUT_CONFLICT",
            "another run is already published here: its seed, policy or inputs differ",
            where=str(place.root),
            remedy="choose another --run-id or --runs-root; a published run is never overwritten",
        )
    if believe is not None:
        believe(place.root)
    board = load_json(place.gateboard)
    rows = dict(receipt.tables)
    return RunOutcome(
        place,
        name,
        identity,
        board["grade"],
        sealed.passed,
        board,
        rows,
        True,
        believe is not None,
        _key_means(rows),
    )


def _receipt(
    request: RunRequest,
    ready: Prepared,
    name: str,
    rows: dict[str, int],
    grade: str,
    good: bool,
    bundle_digest: str,
) -> Receipt:
    identity = ready.identity
    return Receipt(
        run_id=name,
        role=request.role,
        profile=request.profile,
        scale=request.scale,
        seed=identity.seed,
        parameter_hash=identity.parameter_hash,
        manifest_fingerprint=identity.manifest_fingerprint,
        overlays=ready.loaded.overlays,
        posture=ready.loaded.pack.posture,
        versions=dict(VERSIONS),
        grade=grade,
        passed=good,
        bundle_digest=bundle_digest,
        tables=rows,
        created_at=now(),
        rebaseline=rebaselined(ready.loaded.pack),
    )


def issue_table(checks: tuple[Check, ...]) -> pa.Table:
    """One row per check that does not hold."""
    failing = [c.as_dict() for c in checks if not c.holds]
    names = ("check_id", "family", "severity", "bound", "status", "where")
    columns = {n: pa.array([str(c[n]) for c in failing], pa.string()) for n in names}
    columns["observed"] = pa.array([c["observed"] for c in failing], pa.float64())
    return pa.table(columns)


def _summary(rows: dict[str, int], recorder: Recorder) -> tuple[SummaryTable, ...]:
    states = ("S0", *REQUIRED_STEPS, "gates")
    times = tuple((state, round(recorder.seconds(state), 2)) for state in states)
    return (*_key_means(rows), SummaryTable("Time", ("state", "seconds"), times))


def _key_means(rows: dict[str, int]) -> tuple[SummaryTable, ...]:
    n = rows["s1_party_base_6A"]
    means = (
        ("accounts per party", rows["s2_account_base_6A"] / n),
        ("instruments per account", rows["s3_instrument_base_6A"] / rows["s2_account_base_6A"]),
        ("devices per party", rows["s4_device_base_6A"] / n),
        ("IP links per party", rows["s4_ip_links_6A"] / n),
    )
    shown = tuple((name, round(value, 3)) for name, value in means)
    return (SummaryTable("Key means", ("mean", "observed"), shown),)
