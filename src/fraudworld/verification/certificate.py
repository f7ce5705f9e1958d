"""Verification of a certificate: its runs, its T10 evidence, and the summary worked out again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from fraudworld.certification import (
    SUMMARY,
    SeedEvidence,
    leakage_report,
    read_evidence,
    summarise,
)
from fraudworld.certification.chain import REQUIRED_SEEDS
from fraudworld.documents import Json, JsonObject, load_json, plain_json, read_object
from fraudworld.errors import FraudworldError
from fraudworld.gates.schema import violations
from fraudworld.machine import let_through
from fraudworld.policy.pack import PolicyPack
from fraudworld.remediation import LADDER, Phase
from fraudworld.store import attestation, decisions
from fraudworld.t10 import report
from fraudworld.t10.arms import identity
from fraudworld.verification.checks import CALLER, UNREADABLE, signature, verify
from fraudworld.verification.deep import verify_deeply
from fraudworld.verification.verdict import Check, Verdict

CLAIMED = ("the measures of T10: `fraudworld certify`, run again, makes them again",)
"""What a certificate states beyond its runs and nothing here proves."""


def is_certificate(folder: Path) -> bool:
    """Whether a folder is a runs root that holds a certificate."""
    return (folder / SUMMARY).is_file()


def verify_certificate(
    root: Path,
    *,
    key: Path | None = None,
    attested: bool = True,
    upstream: Path | None = None,
    deep: bool = False,
) -> Verdict:
    """Verifies the certificate of a runs root: nothing of its summary is believed.

    Every run is verified completely, T10's rows are worked out again from its published measures
    and the sealed bounds, and the whole summary from boards, evidence and sealed policy. The
    models of `leakage_joined` are fitted again from the tables of every run.
    Decisions of a ladder in this root must follow from their findings and files.

    key: PEM file of the public key that must have signed its attestation; InputError where it is
    not a key. attested: whether an attestation must exist. upstream: the folder the runs were
    made from, if not the embedded one. deep: whether every run is made again. Nothing is written.
    """
    examine = verify_deeply if deep else verify
    checks: list[Check] = []
    try:
        for check in _checks(root, key, attested, lambda run: examine(run, upstream=upstream)):
            checks.append(check)
            if not check.holds:
                break
    except FraudworldError as error:
        if error.code in CALLER:
            raise
        checks.append(Check("certificate", "readable", False, f"{error.what} [{error.where}]"))
    except UNREADABLE as error:
        let_through(error)
        what = f"{type(error).__name__}: {str(error)[:300]}"
        checks.append(Check("certificate", "readable", False, what))
    return Verdict(root, tuple(checks), (), CLAIMED)


def _checks(
    root: Path, key: Path | None, attested: bool, examine: Callable[[Path], Verdict]
) -> Iterator[Check]:
    summary = read_object(
        root / SUMMARY,
        code="6A.CLI.EVIDENCE_UNREADABLE",
        what="the certificate cannot be read",
        remedy="take another copy of it, or certify again",
    )
    broken = violations("realism_gate_summary_6A", summary)
    yield Check("certificate", "is valid under its schema", not broken, "; ".join(broken[:2]))
    runs = {int(seed): str(name) for seed, name in summary["runs"].items()}
    missing = sorted(REQUIRED_SEEDS - set(runs))
    yield Check("certificate", "has every required seed", not missing, f"missing {missing}")
    twice = len(set(runs.values())) != len(runs)
    yield Check("certificate", "has a run of its own for every seed", not twice)
    if attested:
        # First, as it is cheap and names every file that differs.
        yield from _attestation(root, key)
    for seed, name in runs.items():
        inside = not (root / name).is_symlink()
        yield Check("certificate", f"seed {seed} is a run beside it", inside, name)
        failure = examine(root / name).first_failure
        what = "" if failure is None else f"{failure.group}: {failure.name}: {failure.what}"
        yield Check("runs", f"seed {seed}: everything run {name} claims", failure is None, what)
    judged, measured = (
        [s for s, run in runs.items() if _stated(place, run, summary["digests"].get(str(s), {}))]
        for place in (report.place, leakage_report.place)
    )
    pack, evidence = read_evidence(root, runs, judged, measured)
    yield from _t10(root, pack, evidence)
    yield from _leakage(root, pack, evidence)
    yield from _summary(summary, plain_json(summarise(pack, evidence)))
    yield from _measured_again(root, evidence)
    yield from ladder_checks(root)


def _attestation(root: Path, key: Path | None) -> Iterator[Check]:
    """The statement is about this certificate, and signed by the given key, if there is one."""
    envelope = attestation.read_attestation(attestation.certificate_place(root / SUMMARY))
    wanted = attestation.certificate_statement(root / SUMMARY, root)
    differs = list(attestation.differences(envelope, wanted))
    yield Check("attestation", "subjects and predicate are this certificate's", not differs,
                "; ".join(differs[:2]))  # fmt: skip
    if key is not None:
        yield signature(envelope, key)


def _stated(place: Callable[[Path, str], Path], run_id: str, digests: Mapping[str, Json]) -> bool:
    """Whether the summary names the evidence file of a run."""
    return place(Path(), run_id).as_posix() in digests


def _t10(root: Path, pack: PolicyPack, evidence: Mapping[int, SeedEvidence]) -> Iterator[Check]:
    """T10's rows follow from its measures, the sealed bounds and the run that was judged."""
    for seed, one in evidence.items():
        if one.t10 is None:
            continue
        where = report.place(root, one.receipt.run_id)
        differs = list(
            report.differences(one.t10, pack.downstream_witness, identity(one.receipt), where)
        )
        yield Check("T10", f"seed {seed}: rows follow from measures and sealed bounds",
                    not differs, "; ".join(differs[:2]))  # fmt: skip


def _leakage(root: Path, pack: PolicyPack, evidence: Mapping[int, SeedEvidence]) -> Iterator[Check]:
    """The guards of `leakage_joined` follow from its measures and the sealed bounds."""
    for seed, one in evidence.items():
        if one.leakage is not None:
            where = leakage_report.place(root, one.receipt.run_id)
            differs = list(leakage_report.differences(one.leakage, pack, one.receipt, where))
            yield Check("leakage", f"seed {seed}: guards follow from measures and sealed bounds",
                        not differs, "; ".join(differs[:2]))  # fmt: skip


def _measured_again(root: Path, evidence: Mapping[int, SeedEvidence]) -> Iterator[Check]:
    """The measures of `leakage_joined` are those of the tables; last, as it takes seconds."""
    for seed, one in evidence.items():
        if one.leakage is not None:
            run_id = one.receipt.run_id
            where = leakage_report.place(root, run_id)
            differs = list(leakage_report.unlike_tables(one.leakage, root / run_id, where))
            yield Check("leakage", f"seed {seed}: its tables give the same measures",
                        not differs, "; ".join(differs[:2]))  # fmt: skip


def _summary(stated: JsonObject, wanted: Mapping[str, Json]) -> Iterator[Check]:
    """The summary, worked out again, field by field."""
    for name in sorted({*stated, *wanted}):
        same = name in stated and name in wanted and stated[name] == wanted[name]
        yield Check("certificate", f"{name} worked out again", same, _short(stated, wanted, name))


def _short(stated: Mapping[str, Json], wanted: Mapping[str, Json], name: str) -> str:
    """What a field states and what was found, where both are short; else its first difference."""
    here, there = stated.get(name), wanted.get(name)
    if isinstance(here, list) and isinstance(there, list):
        pairs = list(zip(here, there, strict=False))
        at = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
        return f"item {at} of {len(here)} differs; found {len(there)}"
    if isinstance(here, dict) and isinstance(there, dict):
        keys = [k for k in sorted({*here, *there}) if here.get(k) != there.get(k)]
        return f"{', '.join(keys[:4])} differ"
    return f"stated {str(here)[:80]}, found {str(there)[:80]}"


def ladder_checks(root: Path) -> Iterator[Check]:
    """Whether the decisions of a ladder in this root, if any, follow from findings and files."""
    for phase in LADDER:
        decision = decisions.read_decision(root, phase.name)
        if decision is None:
            continue
        wrong = _wrong(root, phase, decision)
        yield Check("ladder", f"{phase.name} follows from its findings and files", not wrong, wrong)


def _wrong(root: Path, phase: Phase, decision: decisions.Decision) -> str:
    """What does not fit in a decision, or an empty string; pruned runs are passed over."""
    words = {phase.unlock, "PASS_B"} if phase.name == "P5" else {phase.unlock}
    if decision.decision not in (words if decision.done else {phase.hold}):
        return f"it decides {decision.decision}, its findings say otherwise"
    if not decision.done_when:
        return "it has no findings"
    for name, digest in decision.digests.items():
        path = root / name
        if (root / name.partition("/")[0]).exists() and (
            not path.is_file() or decisions.digests_of(root, [path]) != {name: digest}
        ):
            return f"{name} is not the file it rests on"
    if phase.certifies and decision.done:
        copy = decisions.place(root, f"{phase.name}_summary")
        if load_json(copy)["decision"] != decision.decision:
            return f"its certificate decides otherwise: {copy.name}"
    return ""
