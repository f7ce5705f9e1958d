"""The files of a runs root that a certificate rests on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from fraudworld.certification import leakage_report
from fraudworld.certification.leakage_report import INVALID
from fraudworld.documents import JsonObject, load_json
from fraudworld.errors import InputError
from fraudworld.policy.bounds import changed_bounds, rebaselined
from fraudworld.policy.pack import PolicyPack
from fraudworld.store.bundle import sha256_file
from fraudworld.store.layout import CERTIFICATE, RunPlace
from fraudworld.store.published import sealed_policy
from fraudworld.store.receipt import Receipt, read_receipt
from fraudworld.t10 import report

SUMMARY = CERTIFICATE


@dataclass(frozen=True)
class SeedEvidence:
    """What a certificate rests on for one seed.

    board: `realism_gate_6A.json`; content_digests: dataset → digest; flagged: whether the run has
    its flag; checks_failed: REQUIRED checks of S5 that fail; t10, leakage: the evidence files of
    T10 and of `leakage_joined`, where they were judged; digests: SHA-256 of all these files, by
    path inside the run, or below the runs root for those two.
    """

    receipt: Receipt
    board: JsonObject
    content_digests: Mapping[str, str]
    flagged: bool
    checks_failed: tuple[str, ...]
    t10: JsonObject | None
    leakage: JsonObject | None
    digests: Mapping[str, str]

    @property
    def passed(self) -> bool:
        """Whether the world passed: its flag, and no failing check or gate beside it."""
        return self.flagged and not self.checks_failed and self.board["grade"] != "<C"


def read_evidence(
    runs_root: Path,
    runs: Mapping[int, str],
    judged: Collection[int] = (),
    measured: Collection[int] = (),
) -> tuple[PolicyPack, dict[int, SeedEvidence]]:
    """The sealed policy of the runs, and the evidence of every seed, in order of the seeds.

    runs: seed → run id; judged, measured: seeds whose evidence of T10, and of `leakage_joined`,
    counts. Raises InputError
    `6A.CERTIFY.EVIDENCE_INVALID` where a file is missing or malformed, a run has another seed
    than stated, the runs differ in policy, profile or scale, or their policy moves a bound
    without a re-baseline.
    """
    evidence = {
        seed: _of_seed(
            runs_root, seed, run_id, with_t10=seed in judged, with_leakage=seed in measured
        )
        for seed, run_id in sorted(runs.items())
    }
    first = next(iter(evidence.values())).receipt
    for seed, one in evidence.items():
        for name in ("parameter_hash", "profile", "scale"):
            theirs, ours = getattr(one.receipt, name), getattr(first, name)
            if theirs != ours:
                raise _invalid(
                    runs_root / runs[seed],
                    f"seed {seed} has {name} {theirs}, seed {first.seed} has {ours}",
                )
    pack = sealed_policy(runs_root / first.run_id)
    if rebaselined(pack) is None and (moved := changed_bounds(pack)):
        raise _invalid(
            runs_root / first.run_id,
            f"its policy moves {moved[0]['bound']} without a re-baseline",
        )
    return pack, evidence


def _of_seed(
    runs_root: Path, seed: int, run_id: str, *, with_t10: bool, with_leakage: bool
) -> SeedEvidence:
    place = RunPlace(runs_root / run_id)
    checks = place.document("s5_validation_report_6A")
    t10 = report.place(runs_root, run_id) if with_t10 else None
    leakage = leakage_report.place(runs_root, run_id) if with_leakage else None
    try:
        board = dict(load_json(place.gateboard))
        index = load_json(place.bundle_index)
        evidence = SeedEvidence(
            receipt=read_receipt(place),
            board=board,
            content_digests={str(k): str(v) for k, v in index["content_digests"].items()},
            flagged=place.flag.is_file(),
            checks_failed=tuple(str(name) for name in load_json(checks)["required_failed"]),
            t10=None if t10 is None else report.read_report(t10),
            leakage=None if leakage is None else leakage_report.read(leakage),
            digests={
                path.relative_to(base).as_posix(): sha256_file(path)
                for base, path in (
                    (place.root, place.gateboard),
                    (place.root, place.bundle_index),
                    (place.root, checks),
                    *((runs_root, path) for path in (t10, leakage) if path is not None),
                )
            },
        )
        found = (board["seed"], evidence.receipt.seed, evidence.receipt.parameter_hash)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _invalid(place.root, f"{type(error).__name__}: {error}") from error
    wanted = (seed, seed, board["parameter_hash"])
    if found != wanted:
        raise _invalid(place.root, f"seed and policy are {found}, expected {wanted}")
    return evidence


def _invalid(where: Path, what: str) -> InputError:
    return InputError(
        INVALID,
        f"a certificate cannot rest on this evidence: {what}"[:400],
        where=str(where),
        remedy="bring all runs and reports along with their certificate, or certify again",
    )
