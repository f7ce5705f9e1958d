"""T10 from end to end: generates the arms of a candidate, measures them, writes the verdict.

    baseline    the published baseline policy, as a run of its own
    candidate   the world that is judged
    dose_zero   the candidate's policy without propagation of risk
    dose_half   the candidate's policy with every propagated log-odds halved
    rewired     the candidate's stream with its endpoints permuted, degrees kept

All arms have the candidate's seed and upstream, so they share arrivals and draws. Their worlds
and streams lie below `.witness/<candidate>` in its runs root and are removed with it; an existing
one is verified and used again.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from fraudworld.documents import JsonObject, pretty_json
from fraudworld.errors import InputError
from fraudworld.gates.gate import Row
from fraudworld.inputs import embedded as upstream
from fraudworld.layers.transactions.layout import StreamPlace, check_stream
from fraudworld.layers.transactions.request import StreamRequest
from fraudworld.layers.transactions.stream import stream
from fraudworld.policy.loader import SHIPPED, write_pack
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.propagation import RolePairTables
from fraudworld.request import PROFILES, Progress, RunRequest
from fraudworld.run import pipeline
from fraudworld.store.atomic import write_atomic
from fraudworld.store.layout import RunPlace
from fraudworld.store.published import sealed_policy
from fraudworld.store.receipt import Receipt, read_receipt
from fraudworld.store.retention import ARMS as FOLDER
from fraudworld.t10 import report
from fraudworld.t10.figures import Measures
from fraudworld.t10.judge import judge, summary
from fraudworld.t10.measures import measure

Report = Callable[[Progress], None]
Sections = Callable[[str], Report | None]
"""Called with the title of each part of the work; returns the progress callback for it."""

BASELINE = SHIPPED / "overlays/published_baseline.yaml"


@dataclass(frozen=True)
class Arm:
    """A published run, and the folder with `data/layer3/6B` of its stream."""

    name: str
    run: Path
    stream: Path


@dataclass(frozen=True)
class Arms:
    """All arms of one seed; dose 1 is the candidate."""

    baseline: Arm
    candidate: Arm
    dose_zero: Arm
    dose_half: Arm
    rewired: Arm


@dataclass(frozen=True)
class Verdict:
    """The result of T10 for one candidate."""

    measures: Measures
    rows: tuple[Row, ...]  # every metric
    binding: tuple[Row, Row]  # `non_regression` and `sensitivity`
    report: Path  # JSON file with measures, rows and the digests of all arms

    @property
    def grade(self) -> str:
        """`B+`, `B` or `<C`."""
        if all(row.pass_Bplus for row in self.binding):
            return "B+"
        return "B" if all(row.pass_B for row in self.binding) else "<C"


def witness(
    candidate: Path,
    baseline: Path | None = None,
    *,
    flows: int | None = None,
    upstream_dir: Path | None = None,
    workers: int = 1,
    sections: Sections | None = None,
    believe: pipeline.Believe | None = None,
) -> Verdict:
    """Generates the arms of a published run, measures them, writes and returns the verdict.

    Parameters
    ----------
    candidate : folder of a run with a `_passed` flag
    baseline : folder of a run of the same seed, profile and scale; by default the overlay
        `published_baseline` over the candidate's own policy is generated
    flows : number of flows in every arm; by default the policy's
    upstream_dir : the upstream of the candidate; by default the embedded one
    sections : called with the title of each part, returns its progress callback
    believe : called with a world that is found in its place; streams found there are made again

    Raises InputError `6B.S5.WITNESS_INPUT_INVALID` for a baseline of another seed or size, and
    the errors of generating a world or a stream.
    """
    told = sections or (lambda title: None)
    runner = _ArmRunner(candidate, upstream_dir, flows, workers, told, believe)
    measures = measure(runner.arms(baseline))
    bounds = runner.pack.downstream_witness
    rows = judge(measures, bounds)
    path = report.place(candidate.parent, candidate.name)
    document = report.document(measures, bounds, runner.flows, runner.evidence())
    write_atomic(path, pretty_json(document))
    return Verdict(measures, rows, summary(rows, runner.receipt.seed), path)


class _ArmRunner:
    """Generates the arms of one candidate."""

    def __init__(
        self,
        candidate: Path,
        upstream_dir: Path | None,
        flows: int | None,
        workers: int,
        sections: Sections,
        believe: pipeline.Believe | None = None,
    ) -> None:
        self.candidate = candidate.resolve()
        self.receipt = read_receipt(RunPlace(candidate))
        self.pack = sealed_policy(candidate)
        self.flows = self.pack.downstream_witness.flows if flows is None else flows
        self.workers, self.sections, self.believe = workers, sections, believe
        self.home = self.candidate.parent / FOLDER / self.candidate.name
        size = PROFILES[self.receipt.profile] * self.receipt.scale / PROFILES["authority"]
        self.upstream = upstream_dir or upstream.ensure_embedded(
            self.candidate.parent / ".upstream", size
        )
        self.arms_by_name: dict[str, Arm] = {}

    def arms(self, baseline: Path | None) -> Arms:
        """Generates every arm; the candidate first, because it may be refused."""
        if baseline is not None:
            _require_pair(read_receipt(RunPlace(baseline)), self.receipt, baseline)
        return Arms(
            candidate=self._arm("candidate", self.candidate, sound=True),
            baseline=self._arm("baseline", baseline or self._world("baseline", BASELINE)),
            dose_zero=self._arm("dose_zero", self._world("dose_zero", without_propagation())),
            dose_half=self._arm("dose_half", self._world("dose_half", half_dose(self.pack))),
            rewired=self._arm("rewired", self.candidate, rewired=True),
        )

    def _arm(self, name: str, run: Path, *, sound: bool = False, rewired: bool = False) -> Arm:
        place = self.home / "streams" / f"{run.name}-{self.flows}{'-rewired' if rewired else ''}"
        # A seal does not say who made a stream, so none that is found is measured.
        shutil.rmtree(place, ignore_errors=True)
        stream(
            StreamRequest(
                run=run, flows=self.flows, to=place, allow_unflagged=not sound, rewired=rewired,
                upstream_dir=self.upstream, workers=self.workers,
            ),
            self.sections(f"{name}: stream of {self.flows} flows"),
        )  # fmt: skip
        self.arms_by_name[name] = Arm(name, run, place)
        return self.arms_by_name[name]

    def _world(self, name: str, overlay: Path | JsonObject) -> Path:
        """Generates a world of the candidate's sealed policy with one more overlay."""
        with tempfile.TemporaryDirectory(prefix="fraudworld-witness-") as temporary:
            folder = Path(temporary)
            overlays = [*write_pack(self.pack, folder), _as_file(overlay, folder)]
            request = RunRequest(
                profile=self.receipt.profile,
                scale=self.receipt.scale,
                seed=self.receipt.seed,
                runs_root=self.home / "worlds",
                policy_dir=folder,
                overlays=tuple(map(str, overlays)),
                upstream_dir=self.upstream,
                workers=self.workers,
            )
            told = self.sections(f"{name}: world")
            return pipeline.run(request, told, believe=self.believe).place.root

    def evidence(self) -> JsonObject:
        """Identity and digests of all arms, by name."""
        return {name: _digests(arm) for name, arm in self.arms_by_name.items()}


def _as_file(overlay: Path | JsonObject, folder: Path) -> Path:
    """Path of an overlay; one given as a mapping is written to `folder` first."""
    if isinstance(overlay, Path):
        return overlay
    path = folder / f"{overlay['name']}.yaml"
    path.write_text(yaml.safe_dump(overlay), "utf-8")
    return path


def without_propagation() -> JsonObject:
    """Overlay of dose 0: the roles of assets do not depend on owners or devices."""
    return {
        "name": "dose_zero",
        "why": "T10's dose 0: what fraud looks like where risk does not propagate.",
        "posture": "baseline_replay",
        "set": {"risk_propagation_coeffs": {"propagation": "off"}},
    }


def half_dose(pack: PolicyPack) -> JsonObject:
    """Overlay of dose ½: halves every log-odds of the propagation.

    By role pair these are the logarithms of all factors. What they imply is weaker than the guard
    of the candidate asks for, so the arm has the posture of a replay, as that of dose 0.
    """
    law = pack.risk_propagation_coeffs
    by_pair = law.propagation_by == "role_pair"
    owner: JsonObject = {
        name: {"target_odds_ratio": round(math.sqrt(getattr(law, name).target_odds_ratio), 6)}
        for name in ("owner_to_account", "owner_to_device")
    }
    if by_pair:
        owner = {"role_pairs": _half_factors(law.role_pairs)}
    device = {
        name: round(getattr(law.device_to_ip, name) / 2, 6)
        for name in ("risky_device_log_odds", "high_sharing_log_odds")
    }
    return {
        "name": "dose_half",
        "why": "T10's dose ½: every propagated log-odds halved.",
        "posture": "baseline_replay" if by_pair else pack.posture,
        "set": {"risk_propagation_coeffs": {**owner, "device_to_ip": device}},
    }


def _half_factors(pairs: RolePairTables) -> JsonObject:
    """The square root of every factor."""

    def halved(factors: Mapping[str, Mapping[str, float]]) -> JsonObject:
        return {
            row: {name: math.sqrt(factor) for name, factor in line.items()}
            for row, line in factors.items()
        }

    users = {role: users.model_dump() for role, users in pairs.device.users.items()}
    return {
        "account": {"factors": halved(pairs.account.factors)},
        "device": {"factors": halved(pairs.device.factors), "users": halved(users)},
    }


def _require_pair(baseline: Receipt, candidate: Receipt, where: Path) -> None:
    """Raises InputError unless both runs have the same seed, profile and scale."""
    for name in ("seed", "profile", "scale"):
        theirs, ours = getattr(baseline, name), getattr(candidate, name)
        if theirs != ours:
            raise InputError(
                "6B.S5.WITNESS_INPUT_INVALID",
                f"the baseline has {name} {theirs}, the candidate {ours}: their arrivals differ",
                where=str(where),
                remedy="make the baseline with the candidate's seed, profile and scale",
            )


def _digests(arm: Arm) -> JsonObject:
    """Identifies an arm in the verdict."""
    stream_digest = check_stream(StreamPlace.below(arm.stream)).digest
    return {**identity(read_receipt(RunPlace(arm.run))), "stream_digest": stream_digest}


def identity(run: Receipt) -> JsonObject:
    """What the evidence of T10 says of the world of an arm."""
    return {
        "run_id": run.run_id,
        "parameter_hash": run.parameter_hash,
        "bundle_digest": run.bundle_digest,
        "grade": run.grade,
    }
