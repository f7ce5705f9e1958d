"""Performance lanes POPT.0–POPT.5: their targets, and the decision on measured evidence.

A lane may change speed only. Other digests or a slower state revert it, reaching its target
unlocks the next lane, and anything between holds it. Pure functions of samples.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fraudworld.perf.recorder import REQUIRED_STEPS
from fraudworld.store import decisions
from fraudworld.store.decisions import Decision, Finding

SEGMENT = "S1–S5"
FEWEST_REPEATS = 3
LARGEST_OVERHEAD = 0.01


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
        # The last lane; certification follows.
        Lane("POPT.5", SEGMENT, 0.0, "P5"),
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

    `base_slowest_s`: the slowest run of the base. Medians on a shared machine vary by several per
    cent; a candidate counts as slower only beyond this.
    """

    state: str
    base_s: float
    cand_s: float
    saved: float
    base_slowest_s: float


def changes(base: Sequence[Sample], cand: Sequence[Sample]) -> tuple[StateChange, ...]:
    """Medians of every state and of the segment, side by side."""
    return tuple(
        _change(state, [s.seconds(state) for s in base], [s.seconds(state) for s in cand])
        for state in (*REQUIRED_STEPS, SEGMENT)
    )


def _change(state: str, base: Sequence[float], cand: Sequence[float]) -> StateChange:
    before, after = statistics.median(base), statistics.median(cand)
    # A state without time of its own is missing evidence.
    saved = 1.0 - after / before if before > 0 else 0.0
    return StateChange(
        state, round(before, 6), round(after, 6), round(saved, 4), round(max(base), 6)
    )


def decide(lane: Lane, base: Sequence[Sample], cand: Sequence[Sample]) -> Decision:
    """The decision on a lane from interleaved samples of both sides.

    REVERT where content digests or RNG logs differ or the lane's state or the whole segment
    is slower than the base ever was; HOLD where evidence is incomplete, repeats are fewer
    than three, a budget is exceeded or the target is missed; UNLOCK otherwise.
    """
    change = {c.state: c for c in changes(base, cand)}
    own, whole = change[lane.state], change[SEGMENT]
    everything = [*base, *cand]
    safe = (
        alike("content digests equal in every run", [s.digests for s in everything]),
        alike("RNG logs byte-identical in every run", [s.rng_logs for s in everything]),
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


def write_decision(runs_root: Path, lane: Lane, decision: Decision, evidence: object) -> Path:
    """Writes `reports/decisions/POPT_n.json` and the figures behind it.

    `evidence` goes to `POPT_n_comparison.json`. A later decision on the same lane replaces
    an earlier one. Returns the decision's path.
    """
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
    holds = change.cand_s <= change.base_slowest_s
    return Finding(f"{change.state} is not slower", holds, asdict(change))
