"""Performance lanes POPT.0–POPT.5: their targets, and the decision on measured evidence.

A lane may change speed only. Other digests or a slower state revert it, reaching its target
unlocks the next lane, and anything between holds it. Samples of both sides come in pairs, and a
verdict needs an interval over the pairs that excludes "no change"
(docs/decisions/0015-intervals-of-paired-runs.md). Lanes open in order: see `require_open`.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from fraudworld.errors import RefusedError
from fraudworld.perf.recorder import REQUIRED_STEPS
from fraudworld.store import decisions
from fraudworld.store.decisions import Decision, Finding

SEGMENT = "S1–S5"
FEWEST_REPEATS = 3
LARGEST_OVERHEAD = 0.01
CONFIDENCE = 0.998
"""Of the two-sided interval: one error in a thousand on each side."""
LEAST_EFFECT = 0.05
"""Share of time below which a change counts as none."""


@dataclass(frozen=True)
class Lane:
    """`state` must lose `target` of its time; then `unlocks` may begin."""

    name: str
    state: str
    target: float
    unlocks: str

    @property
    def phase(self) -> str:
        """Name in decision files: `POPT_1` for `POPT.1`."""
        return self.name.replace(".", "_")

    def word(self, verb: str) -> str:
        """`UNLOCK_POPT2`, `HOLD_POPT1` or `REVERT_POPT1`."""
        return f"{verb}_{self.unlocks if verb == 'UNLOCK' else self.name.replace('.', '')}"


LANES = {
    lane.name: lane
    for lane in (
        Lane("POPT.0", SEGMENT, 0.0, "POPT1"),
        Lane("POPT.1", "S3", 0.30, "POPT2"),
        Lane("POPT.2", "S5", 0.25, "POPT3"),
        Lane("POPT.3", "S2", 0.25, "POPT4"),
        Lane("POPT.4", "S4", 0.20, "POPT5"),
        # The last lane: any improvement that counts; certification follows.
        Lane("POPT.5", SEGMENT, LEAST_EFFECT, "CERTIFICATION"),
    )
}

PUBLISHED_PARTIES = 3_281_174
PUBLISHED_CPU_S = {"S1": 12.0, "S2": 138.0, "S3": 148.0, "S4": 612.0, "S5": 265.0}
"""CPU-seconds of the published system's last version, measured again on 2 cores at
`PUBLISHED_PARTIES` parties."""


@dataclass(frozen=True)
class Sample:
    """One measured run: seconds per state, and the digests that no lane may change.

    `digests`: content digest per dataset; `rng_logs`: SHA-256 per log file; `steps`: timed steps;
    `missing`: required steps without valid evidence.
    """

    run_id: str
    seed: int
    wall_s: Mapping[str, float]
    cpu_s: Mapping[str, float]
    digests: Mapping[str, str]
    rng_logs: Mapping[str, str]
    steps: int
    missing: tuple[str, ...]
    within_budget: bool
    peak_rss_mib: float

    def seconds(self, state: str) -> float:
        """Wall seconds of a state, or of all of S1–S5."""
        if state == SEGMENT:
            return sum(self.wall_s.get(s, 0.0) for s in REQUIRED_STEPS)
        return self.wall_s.get(state, 0.0)


@dataclass(frozen=True)
class StateChange:
    """Median wall seconds of a state in both, and the share saved (below 0: slower).

    `saved_low`, `saved_high`: the interval of the share saved, at `CONFIDENCE`; None where fewer
    than two pairs were measured or a state took no time. `base_slowest_s`: the slowest run of the
    base.
    """

    state: str
    base_s: float
    cand_s: float
    saved: float
    base_slowest_s: float
    saved_low: float | None
    saved_high: float | None

    @property
    def faster(self) -> bool:
        """The interval lies above zero."""
        return self.saved_low is not None and self.saved_low > 0.0

    @property
    def slower(self) -> bool:
        """The interval lies below zero, and the median is slower by `LEAST_EFFECT` or more."""
        lies_below = self.saved_high is not None and self.saved_high < 0.0
        return lies_below and self.saved <= -LEAST_EFFECT


def changes(base: Sequence[Sample], cand: Sequence[Sample]) -> tuple[StateChange, ...]:
    """Medians of every state and of the segment, side by side; base[i] is paired with cand[i]."""
    return tuple(
        state_change(state, [s.seconds(state) for s in base], [s.seconds(state) for s in cand])
        for state in (*REQUIRED_STEPS, SEGMENT)
    )


def state_change(state: str, base: Sequence[float], cand: Sequence[float]) -> StateChange:
    """Medians, saving and interval of a state, from its seconds in every pair of runs."""
    before, after = statistics.median(base), statistics.median(cand)
    # A state without time of its own is missing evidence.
    saved = 1.0 - after / before if before > 0 else 0.0
    low, high = saving_interval(base, cand) or (None, None)
    return StateChange(
        state, round(before, 6), round(after, 6), round(saved, 4), round(max(base), 6), low, high
    )


def saving_interval(
    base: Sequence[float], cand: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """The interval of the share of time saved, from seconds of pairs of runs.

    Student's t over the logarithms of cand[i] / base[i]: pairs share the speed of the machine at
    their time, and ratios are symmetric in the logarithm. None for fewer than two pairs or a
    time that is not positive. Two-sided, so either end excludes zero with (1 - confidence) / 2.
    """
    n = min(len(base), len(cand))
    if n < 2 or min(*base, *cand) <= 0.0:
        return None
    from scipy import stats  # slow to import, and commands that decide nothing do not need it

    log_ratios = np.log(np.asarray(cand[:n]) / np.asarray(base[:n]))
    half = stats.t.ppf(0.5 + confidence / 2, n - 1) * log_ratios.std(ddof=1) / np.sqrt(n)
    low, high = 1.0 - np.exp(log_ratios.mean() + np.array([half, -half]))
    return round(float(low), 4), round(float(high), 4)


def witness(lane: Lane, base: Sequence[Sample], cand: Sequence[Sample]) -> tuple[Finding, ...]:
    """Findings on a small world: equal digests and RNG logs, the lane's own state not slower."""
    change = {c.state: c for c in changes(base, cand)}
    findings = (*_same([*base, *cand]), _not_slower(change[lane.state]))
    return tuple(replace(f, what=f"quick witness: {f.what}") for f in findings)


def stopped(lane: Lane, samples: Sequence[Sample], quick: Sequence[Finding]) -> Decision:
    """The decision where the quick witness failed and the full chain was not run."""
    ran = Finding("the full chain was compared", False, {"repeats": 0})
    return conclude(lane, samples, quick, (ran,))


def _same(samples: Sequence[Sample]) -> tuple[Finding, Finding]:
    return (
        alike("content digests equal in every run", [s.digests for s in samples]),
        alike("RNG logs byte-identical in every run", [s.rng_logs for s in samples]),
    )


def decide(
    lane: Lane,
    base: Sequence[Sample],
    cand: Sequence[Sample],
    quick: Sequence[Finding] = (),
) -> Decision:
    """The decision on a lane from interleaved samples of both sides.

    quick: findings of `witness` on a small world, which come first and revert as well. REVERT
    where content digests or RNG logs differ, or the lane's state or the whole segment is slower
    (`StateChange.slower`); HOLD where evidence is incomplete, repeats are fewer than three, a
    budget is exceeded, the target is missed or the interval of the saving includes zero; UNLOCK
    otherwise.
    """
    change = {c.state: c for c in changes(base, cand)}
    own, whole = change[lane.state], change[SEGMENT]
    everything = [*base, *cand]
    safe = (
        *quick,
        *_same(everything),
        _not_slower(own),
        *(() if lane.state == SEGMENT else (_not_slower(whole),)),
    )
    missing = sorted({step for s in everything for step in s.missing})
    fewest = min(len(base), len(cand))
    enough = (
        Finding("every required step is timed", not missing, {"missing": missing}),
        Finding(
            f"at least {FEWEST_REPEATS} interleaved repeats of each",
            fewest >= FEWEST_REPEATS,
            {"repeats": fewest},
        ),
        Finding(
            f"{lane.state} saves at least {lane.target:.0%}",
            own.saved >= lane.target,
            asdict(own),
        ),
        Finding(
            f"the interval of the {lane.state} saving excludes zero",
            own.faster,
            {"saved_low": own.saved_low, "saved_high": own.saved_high, "confidence": CONFIDENCE},
        ),
        Finding(
            "every candidate run is within its budgets",
            all(s.within_budget for s in cand),
            {"within": [s.within_budget for s in cand]},
        ),
    )
    return conclude(lane, everything, safe, enough)


def conclude(
    lane: Lane, samples: Sequence[Sample], safe: Sequence[Finding], enough: Sequence[Finding]
) -> Decision:
    """REVERT where a finding of `safe` fails, HOLD where one of `enough` does, or UNLOCK."""
    vetoes = tuple(f.what for f in safe if not f.holds)
    blockers = tuple(f.what for f in enough if not f.holds)
    verb = "REVERT" if vetoes else "HOLD" if blockers else "UNLOCK"
    return Decision(
        phase=lane.name,
        decision=lane.word(verb),
        seeds=tuple(sorted({s.seed for s in samples})),
        run_ids=tuple(sorted({s.run_id for s in samples})),
        digests=dict(samples[0].digests) if samples else {},
        done_when=(*safe, *enough),
        vetoes=vetoes,
        blockers=blockers,
    )


def require_open(runs_root: Path, lane: Lane) -> None:
    """Raises RefusedError `6A.PERF.LANE_CLOSED` unless every earlier lane unlocked the next.

    Of an earlier lane only its own `UNLOCK_…` counts; a HOLD, a REVERT or no decision closes all
    later lanes. Raises InputError `6A.LADDER.DECISION_INVALID` for a malformed decision.
    """
    names = list(LANES)
    for earlier in (LANES[name] for name in names[: names.index(lane.name)]):
        decided = decisions.read_decision(runs_root, earlier.name, file=earlier.phase)
        if decided is None or decided.decision != earlier.word("UNLOCK"):
            word = "not decided" if decided is None else f"decided {decided.decision}"
            raise RefusedError(
                "6A.PERF.LANE_CLOSED",
                f"{lane.name} cannot be decided yet: {earlier.name} is {word}, "
                f"not {earlier.word('UNLOCK')}",
                where=str(decisions.place(runs_root, earlier.phase)),
                remedy=_unlock_by(earlier, runs_root),
            )


def _unlock_by(lane: Lane, runs_root: Path) -> str:
    if lane.name == "POPT.0":
        return f"pin the harness first: python benches/overhead.py --runs-root {runs_root}"
    return (
        "unlock it first: fraudworld perf compare BASE CAND "
        f"--lane {lane.name} --runs-root {runs_root}"
    )


def write_decision(runs_root: Path, lane: Lane, decision: Decision, evidence: object) -> Path:
    """Writes `reports/decisions/POPT_n.json` and the figures behind it.

    `evidence` goes to `POPT_n_comparison.json`. A later decision on the same lane replaces
    an earlier one. Returns the decision's path. Raises as `require_open` does.
    """
    require_open(runs_root, lane)
    beside = decisions.place(runs_root, f"{lane.phase}_comparison")
    decisions.write_document(beside, evidence)
    return decisions.write_document(decisions.place(runs_root, lane.phase), decision.as_dict())


def alike(what: str, samples: Sequence[Mapping[str, str]]) -> Finding:
    """All mappings equal and none empty; evidence names what differs."""
    first = samples[0] if samples else {}
    differ = {
        name for other in samples for name in {*first, *other} if first.get(name) != other.get(name)
    }
    holds = bool(first) and not differ
    return Finding(what, holds, {"compared": len(samples), "differ": sorted(differ)})


def _not_slower(change: StateChange) -> Finding:
    return Finding(f"{change.state} is not slower", not change.slower, asdict(change))
