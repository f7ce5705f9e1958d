"""The checks of `fraudworld verify`, group by group."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from fraudworld.contracts import BY_NAME, CONTRACT_VERSION, TABLES, Kind
from fraudworld.documents import JsonObject, digest, plain_json
from fraudworld.errors import FraudworldError
from fraudworld.extras import MISSING
from fraudworld.policy.bounds import changed_bounds, rebaselined
from fraudworld.rng import RNG_LAW_VERSION
from fraudworld.store import attestation
from fraudworld.store.bundle import sha256_file
from fraudworld.store.identity import Identity, manifest_fingerprint
from fraudworld.store.layout import RunPlace, part_name
from fraudworld.store.produce import Sealed
from fraudworld.store.published import open_world, sealed_policy
from fraudworld.store.reader import recompute_digest
from fraudworld.store.receipt import Receipt, read_receipt
from fraudworld.store.seal import check_outside, check_run
from fraudworld.verification import invariants
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

    @property
    def known(self) -> tuple[Sealed, Receipt]:
        """Seal and receipt, which exist once the first group has passed."""
        assert self.sealed is not None
        assert self.receipt is not None
        return self.sealed, self.receipt


CALLER = (attestation.NO_KEY, MISSING)
"""Codes of errors that concern the caller, not the run."""

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
    return Verdict(run, tuple(checks), tuple(skipped))


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


def _identity(claim: Claim) -> Iterator[Check]:
    """Seed, policy, fingerprint: receipt, documents, folder names and columns all agree."""
    _, receipt = claim.known
    place = claim.place
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


def _tables(claim: Claim) -> Iterator[Check]:
    """Schemas, row counts, identity columns and content digests of every dataset."""
    sealed, receipt = claim.known
    lists = _code_lists(claim)
    for table in TABLES:
        folder = claim.place.dataset(table.name, receipt.identity)
        rows = 0
        for part in sorted(folder.glob("part-*.parquet")):
            file = pq.ParquetFile(part)
            rows += file.metadata.num_rows
            plain = [(f.name, str(f.type), f.nullable) for f in file.schema_arrow]
            wanted = [
                (f.name, str(getattr(f.type, "value_type", f.type)), f.nullable)
                for f in table.schema
            ]
            if plain != wanted:
                yield Check("tables", f"{table.name}: schema", False, str(part))
        yield _same("tables", f"{table.name}: rows", receipt.tables.get(table.name), rows)
        if table.identity:
            yield _identity_columns(table.name, folder, receipt.identity)
        digest = recompute_digest(folder, table, lists(table.name))
        yield _same(
            "tables", f"{table.name}: content digest",
            sealed.content_digests.get(table.name), digest,
        )  # fmt: skip


def _identity_columns(name: str, folder: Path, identity: Identity) -> Check:
    wanted = (identity.seed, identity.manifest_fingerprint, identity.parameter_hash)
    columns = ("seed", "manifest_fingerprint", "parameter_hash")
    for part in sorted(folder.glob("part-*.parquet")):
        data = pq.ParquetFile(part, read_dictionary=list(columns[1:])).read(list(columns))
        for column, value in zip(columns, wanted, strict=True):
            if data.num_rows and data[column].unique().to_pylist() != [value]:
                return Check("tables", f"{name}: identity columns", False, f"{part}: {column}")
    return Check("tables", f"{name}: identity columns", True)


def _code_lists(claim: Claim) -> Callable[[str], dict[str, tuple[str, ...]]]:
    """Code lists of a dataset's columns: those of the policy, or the sorted values of the tables.

    Every country of the upstream has parties and accounts, so the open lists are complete.
    """
    world = open_world(claim.place.root)

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
    world = open_world(claim.place.root)
    claims_all = claim.known[0].passed
    look = invariants.check if claims_all else invariants.check_structure
    for outcome in look(world):
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


def _gates(claim: Claim) -> Iterator[Check]:
    """The gateboard, recomputed row by row; the flag must follow from it."""
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
    same = all(board[k] == anew[k] for k in anew)
    yield Check("gates", "the recomputed gateboard equals the published one", same)
    report = _json(claim.place.document("s5_validation_report_6A"))
    good = not report["required_failed"] and board["grade"] in ("B", "B+")
    yield _same("gates", "flag follows from checks and gates", claim.known[0].passed, good)
    yield _same("gates", "grade of the receipt", claim.known[1].grade, anew["grade"])


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
    ("gates", _gates),
    ("attestation", _attestation),
)


def _same(group: str, name: str, stated: object, actual: object) -> Check:
    holds = stated == actual
    return Check(group, name, holds, "" if holds else f"stated {stated}, found {actual}")


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())


def _json(path: Path) -> JsonObject:
    from fraudworld.api import read_json

    return read_json(path)
