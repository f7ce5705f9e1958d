"""Verification of a certificate: its runs, and its attestation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fraudworld.errors import FraudworldError
from fraudworld.gates.certify import SUMMARY
from fraudworld.gates.schema import violations
from fraudworld.store import attestation
from fraudworld.verification.checks import CALLER, signature, verify
from fraudworld.verification.verdict import Check, Verdict


def is_certificate(folder: Path) -> bool:
    """Whether a folder is a runs root that holds a certificate."""
    return (folder / SUMMARY).is_file()


def verify_certificate(root: Path, *, key: Path | None = None, attested: bool = True) -> Verdict:
    """Verifies the certificate of a runs root, and completely every run it names.

    key: PEM file of the public key that must have signed its attestation; InputError where it is
    not a key. attested: whether an attestation must exist. Nothing is written.
    """
    checks: list[Check] = []
    try:
        for check in _checks(root, key, attested):
            checks.append(check)
            if not check.holds:
                break
    except FraudworldError as error:
        if error.code in CALLER:
            raise
        checks.append(Check("certificate", "readable", False, f"{error.what} [{error.where}]"))
    return Verdict(root, tuple(checks), ())


def _checks(root: Path, key: Path | None, attested: bool) -> Iterator[Check]:
    from fraudworld.api import read_json

    summary = read_json(root / SUMMARY)
    broken = violations("realism_gate_summary_6A", summary)
    yield Check("certificate", "is valid under its schema", not broken, "; ".join(broken[:2]))
    for seed, name in summary["runs"].items():
        inside = Path(name).name == name and not (root / name).is_symlink()
        yield Check("certificate", f"seed {seed} is a run beside it", inside, name)
        failure = verify(root / name).first_failure
        what = "" if failure is None else f"{failure.group}: {failure.name}: {failure.what}"
        yield Check("runs", f"seed {seed}: everything run {name} claims", failure is None, what)
        board = read_json(root / name / "data/layer3/6A/validation/realism_gate_6A.json")
        same = (board["grade"], board["seed"]) == (summary["seeds"][seed]["grade"], int(seed))
        yield Check("certificate", f"seed {seed} and its grade", same, f"found {board['grade']}")
    if attested:
        envelope = attestation.read_attestation(attestation.certificate_place(root / SUMMARY))
        wanted = attestation.certificate_statement(root / SUMMARY, root)
        differs = list(attestation.differences(envelope, wanted))
        yield Check("attestation", "subjects and predicate are this certificate's", not differs,
                    "; ".join(differs[:2]))  # fmt: skip
        if key is not None:
            yield signature(envelope, key)
