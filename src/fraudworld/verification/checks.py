"""The checks of `fraudworld verify`, group by group."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from fraudworld import __version__
from fraudworld.contracts import BY_NAME, CONTRACT_VERSION, TABLES, Kind
from fraudworld.documents import (
    LARGEST,
    MALFORMED,
    JsonObject,
    digest,
    plain_json,
    read_bounded,
    read_object,
)
from fraudworld.errors import FraudworldError
from fraudworld.extras import MISSING
from fraudworld.layers.beside import accounted
from fraudworld.machine import let_through
from fraudworld.policy.bounds import changed_bounds, rebaselined
from fraudworld.rng import RNG_LAW_VERSION
from fraudworld.run.base import VERSIONS, state_inputs
from fraudworld.store import attestation
from fraudworld.store.bundle import sha256_file
from fraudworld.store.folder import is_litter
from fraudworld.store.identity import Identity, manifest_fingerprint
from fraudworld.store.layout import RunPlace, part_name
from fraudworld.store.produce import Sealed
from fraudworld.store.published import PublishedWorld, open_world, sealed_policy
from fraudworld.store.reader import open_part, recompute_digest
from fraudworld.store.receipt import Receipt, read_receipt
from fraudworld.store.seal import check_outside, check_run
from fraudworld.verification import footers, invariants, outside, posture
from fraudworld.verification.randomness import reconcile
from fraudworld.verification.verdict import Check, Verdict


@dataclass
class Claim:
    """The claims of the run; filled by the seal group, read by the others."""

    place: RunPlace
    upstream: Path | None
    key: Path | None = None
    sealed: Sealed | None = None
    receipt: Receipt | None = None
    opened: PublishedWorld | None = None
    remade: posture.Remade | None = None

    @property
    def known(self) -> tuple[Sealed, Receipt]:
        """Seal and receipt, which exist once the first group has passed."""
        assert self.sealed is not None
        assert self.receipt is not None
        return self.sealed, self.receipt

    @property
    def world(self) -> PublishedWorld:
        """The tables, opened once; every part has been read against its footer before."""
        if self.opened is None:
            self.opened = open_world(self.place.root)
        return self.opened


CALLER = (attestation.NO_KEY, MISSING)
"""Codes of errors that concern the caller, not the run."""

UNREADABLE = (*MALFORMED, pa.ArrowException, duckdb.Error)
"""What readers raise over documents and tables that are not what they should be."""

Group = Callable[[Claim], Iterator[Check]]


def verify(
    run: Path, *, upstream: Path | None = None, key: Path | None = None, but: Collection[str] = ()
) -> Verdict:
    """Verifies a published run, or a copy of one, from its files alone; nothing is written.

    upstream: folder of the frozen upstream, to compare it too. key: PEM file of the public key
    that must have signed the attestation; InputError where it is not a key. but: groups to skip.
    Faults of the run are returned, never raised.
    """
    claim = Claim(RunPlace(run), upstream, key)
    checks: list[Check] = []
    skipped: list[str] = []
    for name, group in CHECKS:
        if name in but:
            continue
        if skipped or not all(c.holds for c in checks):
            skipped.append(name)
            continue
        try:
            checks += group(claim)
        except FraudworldError as error:
            if error.code in CALLER:
                raise
            checks.append(Check(name, "readable", False, f"{error.what} [{error.where}]"))
        except UNREADABLE as error:
            let_through(error)
            what = f"{type(error).__name__}: {str(error)[:300]}"
            checks.append(Check(name, "readable", False, what))
    return Verdict(run, tuple(checks), tuple(skipped), _claimed(claim))


def _claimed(claim: Claim) -> tuple[str, ...]:
    """What the run states and none of the groups that ran proves."""
    if claim.remade is None or claim.receipt is None:
        return ()
    return outside.claimed(claim.place, claim.receipt, upstream_known=claim.remade.whole)


def _seal(claim: Claim) -> Iterator[Check]:
    """Every file has its sealed digest, and there is no other file."""
    claim.sealed = check_run(claim.place)
    yield Check("seal", "every file of data and logs has its sealed SHA-256", True)
    claim.receipt = read_receipt(claim.place)
    sealed, receipt = claim.known
    yield _same("seal", "receipt names the bundle", receipt.bundle_digest, sealed.digest)
    yield _same("seal", "flag and receipt agree", receipt.passed, sealed.passed)
    # Added and missing files are both findings.
    strange, differs = check_outside(claim.place)
    yield Check("seal", "run_index lists receipt and reports, and only them", not strange,
                ", ".join(strange[:3]))  # fmt: skip
    yield Check("seal", "run_index sizes and digests", not differs, ", ".join(differs[:1]))
    for name, holds, what in accounted(claim.place):
        yield Check("seal", name, holds, what)


def _identity(claim: Claim) -> Iterator[Check]:
    """Seed, policy, fingerprint: receipt, documents, folder names and columns all agree."""
    _, receipt = claim.known
    place = claim.place
    other = other_laws(receipt)
    yield Check("identity", "laws are those of this version", not other, other)
    policy = sealed_policy(place.root)  # raises where its hash is not the stated one
    stated = _json(place.resolved_policy)["parameter_hash"]
    yield _same("identity", "policy hashes to the receipt's", receipt.parameter_hash, stated)
    yield _same("identity", "posture", receipt.posture, policy.posture)
    yield _same("identity", "rebaseline", receipt.rebaseline, rebaselined(policy))
    moved = [] if rebaselined(policy) else [str(b["bound"]) for b in changed_bounds(policy)]
    yield Check("identity", "bounds are those shipped, or re-baselined", not moved,
                ", ".join(moved[:3]))  # fmt: skip
    inputs = _json(place.sealed_inputs)
    contents = sorted(
        (r["manifest_key"], r["sha256_hex"]) for r in inputs["rows"] if r["role"] == "upstream"
    )
    yield _same(
        "identity", "sealed inputs hash to their digest", inputs["sealed_inputs_digest"],
        digest(contents),
    )  # fmt: skip
    fingerprint = manifest_fingerprint(
        stated, inputs["sealed_inputs_digest"], CONTRACT_VERSION, RNG_LAW_VERSION
    )
    yield _same("identity", "fingerprint", receipt.manifest_fingerprint, fingerprint)
    yield from _s0_documents(place, receipt, inputs)
    states = _json(place.state_inputs)["states"]
    wanted_states = state_inputs(
        policy, receipt.seed, inputs["sealed_inputs_digest"], receipt.versions
    )
    yield _same("identity", "inputs of the states", states, wanted_states)
    identity = receipt.identity
    for table in TABLES:
        folder = place.dataset(table.name, identity)
        expected = [part_name(i) for i in range(len(list(folder.glob("part-*.parquet"))))]
        parts = sorted(p.relative_to(place.layer / table.name).as_posix()
                       for p in _files(place.layer / table.name))  # fmt: skip
        wanted = [f"{RunPlace.partition(identity)}/{name}" for name in expected]
        if parts != wanted or not parts:
            strange = sorted(set(parts) ^ set(wanted))[:2] or [table.name]
            yield Check("identity", f"{table.name}: folder names", False, ", ".join(strange))
    yield Check("identity", "folder names are seed, policy and fingerprint", True)


def _s0_documents(place: RunPlace, receipt: Receipt, inputs: JsonObject) -> Iterator[Check]:
    """The gate receipt states what policy, receipt and sealed inputs state."""
    gate = _json(place.gate_receipt)
    files = [row for row in inputs["rows"] if row["role"] == "policy"]
    wanted = {
        "parameter_hash": receipt.parameter_hash,
        "overlays": list(receipt.overlays),
        "posture": receipt.posture,
        "files": len(files),
    }
    yield _same("identity", "gate receipt: policy", gate["policy_pack"], wanted)
    stated, sealed = gate["sealed_inputs_digest"], inputs["sealed_inputs_digest"]
    yield _same("identity", "gate receipt: sealed inputs", stated, sealed)


def other_laws(receipt: Receipt) -> str:
    """The release that a run needs because its laws are not of this version; empty if they are."""
    differing = [
        f"{name} {receipt.versions.get(name, 'unstated')}"
        for name, ours in VERSIONS.items()
        if not name.startswith(("fraudworld", "library")) and receipt.versions.get(name) != ours
    ]
    made_by = receipt.versions.get("fraudworld", "of an unstated version")
    return f"made by fraudworld {made_by} ({', '.join(differing)}): use it" if differing else ""


def _tables(claim: Claim) -> Iterator[Check]:
    """Schemas, row counts, identity columns and content digests of every dataset."""
    sealed, receipt = claim.known
    for table in TABLES:
        folder = claim.place.dataset(table.name, receipt.identity)
        rows = 0
        for part in sorted(folder.glob("part-*.parquet")):
            with open_part(part, table) as file:
                rows += file.metadata.num_rows
                plain = [(f.name, str(f.type), f.nullable) for f in file.schema_arrow]
            wanted = [
                (f.name, str(getattr(f.type, "value_type", f.type)), f.nullable)
                for f in table.schema
            ]
            if plain != wanted:
                yield Check("tables", f"{table.name}: schema", False, str(part))
                return
            wrong = next(footers.lies(part, table), "")
            if wrong:
                yield Check("tables", f"{table.name}: footer", False, f"{part.name}: {wrong}")
                return
        yield _same("tables", f"{table.name}: rows", receipt.tables.get(table.name), rows)
        if table.identity:
            yield _identity_columns(table.name, folder, receipt.identity)
    # Open code lists are queried, and a query believes the footers checked above.
    lists = _code_lists(claim)
    for table in TABLES:
        folder = claim.place.dataset(table.name, receipt.identity)
        digest = recompute_digest(folder, table, lists(table.name))
        yield _same(
            "tables", f"{table.name}: content digest",
            sealed.content_digests.get(table.name), digest,
        )  # fmt: skip


def _identity_columns(name: str, folder: Path, identity: Identity) -> Check:
    wanted = (identity.seed, identity.manifest_fingerprint, identity.parameter_hash)
    columns = ("seed", "manifest_fingerprint", "parameter_hash")
    for part in sorted(folder.glob("part-*.parquet")):
        with open_part(part, BY_NAME[name], columns[1:]) as file:
            data = file.read(list(columns))
        for column, value in zip(columns, wanted, strict=True):
            if data.num_rows and data[column].unique().to_pylist() != [value]:
                return Check("tables", f"{name}: identity columns", False, f"{part}: {column}")
    return Check("tables", f"{name}: identity columns", True)


def _code_lists(claim: Claim) -> Callable[[str], dict[str, tuple[str, ...]]]:
    """Code lists of a dataset's columns: those of the policy, or the sorted values of the tables.

    Every country of the upstream has parties and accounts, so the open lists are complete.
    """
    world = claim.world

    def held(column: str, view: str) -> tuple[str, ...]:
        rows = world.sql.execute(f"SELECT DISTINCT {column} FROM {view}").fetchall()
        return tuple(sorted(str(row[0]) for row in rows))

    open_lists = {
        "country": held("country_iso", "s1_party_base"),
        "currency": held("currency", "s2_account_base"),
        None: held("metric_id", "s4_network_summary"),
    }

    def of(name: str) -> dict[str, tuple[str, ...]]:
        return {
            c.name: world.pack.codes(c.codes)
            if c.codes and c.codes not in open_lists
            else open_lists[c.codes]
            for c in BY_NAME[name].columns
            if c.kind is Kind.CODE
        }

    return of


def _laws(claim: Claim) -> Iterator[Check]:
    """Keys and references; and every law of the domain, where the run has its flag."""
    claims_all = claim.known[0].passed
    look = invariants.check if claims_all else invariants.check_structure
    for outcome in look(claim.world):
        what = "" if outcome.holds else f"{outcome.violations} rows"
        yield Check("laws", outcome.name, outcome.holds, what)


def _randomness(claim: Claim) -> Iterator[Check]:
    yield from reconcile(claim.place, claim.known[1].seed)


def _inputs(claim: Claim) -> Iterator[Check]:
    """Sealed inputs against an upstream folder, if one is given."""
    rows = [r for r in _json(claim.place.sealed_inputs)["rows"] if r["role"] == "upstream"]
    yield Check("inputs", "upstream files are listed", bool(rows), f"{len(rows)} files")
    if claim.upstream is None:
        return
    for row in rows:
        path = claim.upstream / row["path"]
        digest = sha256_file(path) if path.is_file() else "missing"
        if digest != row["sha256_hex"]:
            yield Check("inputs", "sealed inputs against today's files", False, f"{path}: {digest}")
            return
    yield Check("inputs", "sealed inputs against today's files", True)


def _posture(claim: Claim) -> Iterator[Check]:
    """S5 made again: its tables, checks, diagnostics and draws are those published."""
    sealed, receipt = claim.known
    place = claim.place
    made = posture.remake(place, receipt, sealed, claim.world, claim.upstream)
    claim.remade = made
    for name, digest_made in made.digests.items():
        if made.concerns(name):
            stated = sealed.content_digests.get(name)
            yield _same("posture", f"{name} made again", stated, digest_made)
    report = _json(place.document("s5_validation_report_6A"))
    stated_checks = {row["check_id"]: row for row in report["checks"]}
    judged = [c.as_dict() for c in made.checks]
    for check in judged:
        name = str(check["check_id"])
        if made.concerns(name):
            stated_row = stated_checks.get(name, {})
            what = f"stated {stated_row.get('observed')}, found {check['observed']}"
            yield Check("posture", f"{name} worked out again", stated_row == check, what)
    if made.bundles is not None:
        gate = _json(place.gate_receipt)
        segments = [
            {"segment": name, "status": "PASS", "bundle_digest": sha}
            for name, sha in made.bundles.items()
        ]
        yield _same("posture", "gate receipt: bundles", gate["segments"], segments)
        failed = [c.check_id for c in made.checks if c.severity == "REQUIRED" and not c.holds]
        wanted = {"checks": judged, "required_failed": failed}
        yield Check("posture", "validation report", report == wanted, "other checks than these")
        differ = posture.issues_differ(place, made.checks)
        yield Check("posture", "issue table", not differ, "other rows than the failing checks")
        stated_diagnostics = _json(place.document("s5_propagation_diagnostics_6A"))
        yield Check("posture", "propagation diagnostics", stated_diagnostics == made.diagnostics)
    yield from _draws(place, made)


def _draws(place: RunPlace, made: posture.Remade) -> Iterator[Check]:
    """The log lines of S5's streams, byte for byte."""
    known = made.whole
    for log, wanted in (("trace", made.rng.trace), ("events", made.rng.events)):
        path = place.rng_logs / log / f"rng_{log}_6A.jsonl"
        log_lines = read_bounded(path, LARGEST).splitlines(True)
        lines = [row for row in log_lines if b'"stream":"s5/' in row]
        lines, again = (
            [row for row in rows if known or b'"stream":"s5/merchant' not in row]
            for rows in (lines, wanted.splitlines(True))
        )
        yield Check("posture", f"rng_{log} of S5", lines == again, "other draws than S5 makes")


def _gates(claim: Claim) -> Iterator[Check]:
    """The gateboard, recomputed row by row; the flag must follow from it and from S5's checks."""
    from fraudworld import gates
    from fraudworld.gates.schema import violations

    board = _json(claim.place.gateboard)
    broken = violations("realism_gate_6A", board)
    yield Check("gates", "gateboard keeps to its schema", not broken, "; ".join(broken[:2]))
    anew = plain_json(gates.judge(claim.place.root).as_dict())
    for kind, name in (("tests", "metric_name"), ("guards", "guard_id")):
        for stated, judged in zip(board[kind], anew[kind], strict=True):
            if stated != judged:
                yield Check("gates", f"{stated[name]} recomputed", False,
                            f"stated {stated['value']}, found {judged['value']}")  # fmt: skip
    yield Check("gates", "the recomputed gateboard equals the published one", board == anew)
    assert claim.remade is not None
    good = claim.remade.passed and anew["grade"] in ("B", "B+")
    yield _same("gates", "flag follows from checks and gates", claim.known[0].passed, good)
    yield _same("gates", "grade of the receipt", claim.known[1].grade, anew["grade"])


def _outside(claim: Claim) -> Iterator[Check]:
    """Files outside the seal: the script of the release, the report of this run."""
    receipt = claim.known[1]
    yield from outside.script(claim.place, receipt)
    if receipt.versions.get("fraudworld") == __version__:
        yield from outside.page(claim.place)


def _attestation(claim: Claim) -> Iterator[Check]:
    """The statement is about this run, and signed by the given key, if there is one."""
    envelope = attestation.read_attestation(attestation.place_of(claim.place))
    differs = list(attestation.differences(envelope, attestation.statement(claim.place)))
    yield Check("attestation", "subjects and predicate are this run's", not differs,
                "; ".join(differs[:2]))  # fmt: skip
    if claim.key is not None:
        yield signature(envelope, claim.key)


def signature(envelope: attestation.Attestation, key: Path) -> Check:
    """Whether the attestation is signed by the public key in a PEM file."""
    signed = attestation.signed_by(envelope, key)
    why = "none of its signatures is good under it" if envelope.signed else "it is not signed"
    return Check("attestation", f"signed by {key}", signed, "" if signed else why)


CHECKS: tuple[tuple[str, Group], ...] = (
    ("seal", _seal),
    ("identity", _identity),
    ("tables", _tables),
    ("laws", _laws),
    ("randomness", _randomness),
    ("inputs", _inputs),
    ("posture", _posture),
    ("gates", _gates),
    ("outside", _outside),
    ("attestation", _attestation),
)


def _same(group: str, name: str, stated: object, actual: object) -> Check:
    holds = stated == actual
    return Check(group, name, holds, "" if holds else f"stated {stated}, found {actual}")


def _files(folder: Path) -> list[Path]:
    here = (p for p in folder.rglob("*") if not is_litter(p.name))
    return sorted(p for p in here if p.is_symlink() or not p.is_dir())


def _json(path: Path) -> JsonObject:
    return read_object(
        path,
        code="6A.CLI.EVIDENCE_UNREADABLE",
        what="this file of the run cannot be read",
        remedy="the run was changed after publishing; take another copy of it",
    )
