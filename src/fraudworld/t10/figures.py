"""The figures of every arm, and the measures of T10 that follow from them.

Measures are plain numbers: they are published as JSON, pooled over seeds, and every row of T10
follows from them and the bounds of the policy (`t10.judge`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

from fraudworld.t10.effects import (
    Effects,
    effects,
    endpoint_missing,
    permuted_ratios,
    struck_again,
)
from fraudworld.t10.estimators import (
    ArmRatio,
    Figure,
    Ratio,
    Share,
    pooled_ratio,
    pooled_share,
)
from fraudworld.t10.learning import logistic_area, single_areas
from fraudworld.t10.sample import Sample, permuted
from fraudworld.t10.soundness import Soundness, pooled_soundness, soundness

PERMUTATIONS = 9
"""Permutations of the roles for the permuted control."""

Areas = dict[str, Figure]
T = TypeVar("T", "Doses", "Endpoints")


@dataclass(frozen=True)
class ArmFigures:
    """Figures that are computed for every arm."""

    name: str
    soundness: Soundness
    effects: Effects


@dataclass(frozen=True)
class CandidateFigures(ArmFigures):
    """Figures that are computed for the candidate only."""

    seed: int
    permuted_account: Ratio  # S1 of the same flows under permuted roles
    permuted_device: Ratio  # S2, likewise
    missing: Share  # S8
    again: Share  # S9
    model: Share  # S5
    model_permuted: Share  # S5 under permuted roles
    single: Mapping[str, float]  # S6
    violations: Mapping[str, int]  # N1: SQL check → violating rows
    leaks: Mapping[str, Mapping[str, float]]  # guard → column or table → AUC


@dataclass(frozen=True)
class Figures:
    """All arms of one seed; the candidate is dose 1."""

    candidate: CandidateFigures
    baseline: ArmFigures
    dose_zero: ArmFigures
    dose_half: ArmFigures
    rewired: ArmFigures


@dataclass(frozen=True)
class Doses:
    """The effect of an owner's risk at every dose of propagation, and paired comparisons."""

    none: Ratio
    half: Ratio
    full: Ratio
    half_over_none: Ratio
    full_over_none: Ratio
    full_over_half: Ratio
    full_over_baseline: Ratio


@dataclass(frozen=True)
class Endpoints:
    """S7 and the rewired control."""

    crowded: Ratio
    rewired_crowded: Ratio
    crowded_moved: Ratio  # rewired over candidate: S7
    account_moved: Ratio  # rewired over candidate: S1


@dataclass(frozen=True)
class Measures:
    """Everything that the rows of T10 follow from, for one seed or pooled over several."""

    seeds: tuple[int, ...]
    candidate: Soundness
    baseline: Soundness
    unpaired: tuple[str, ...]  # arms with other arrivals than the candidate
    violations: dict[str, int]
    account: Ratio
    device: Ratio
    permuted_account: Ratio
    permuted_device: Ratio
    account_owner: Doses
    device_owner: Doses
    model: Share
    model_permuted: Share
    single: Areas
    endpoints: Endpoints
    missing: Share
    again: Share
    leaks: dict[str, Areas]


def arm_figures(sample: Sample) -> ArmFigures:
    """Computes the figures of one arm."""
    return ArmFigures(sample.name, soundness(sample), effects(sample))


def candidate_figures(
    sample: Sample, violations: Mapping[str, int], leaks: Mapping[str, Mapping[str, float]]
) -> CandidateFigures:
    """Computes the figures of the candidate; violations and leaks were read from its files."""
    return CandidateFigures(
        sample.name, soundness(sample), effects(sample), sample.seed,
        *permuted_ratios(sample, PERMUTATIONS), endpoint_missing(sample), struck_again(sample),
        logistic_area(sample), logistic_area(permuted(sample)), single_areas(sample),
        violations, leaks,
    )  # fmt: skip


def compared(figures: Figures) -> Measures:
    """The measures of one seed: arms compared with each other while they can be paired."""
    c, arms = figures.candidate, figures
    others = arms.baseline, arms.dose_zero, arms.dose_half, arms.rewired
    doses = arms.dose_zero, arms.dose_half, c, arms.baseline
    own = c.soundness.arrivals, c.soundness.flows
    return Measures(
        seeds=(c.seed,),
        candidate=c.soundness,
        baseline=arms.baseline.soundness,
        unpaired=tuple(
            arm.name for arm in others if (arm.soundness.arrivals, arm.soundness.flows) != own
        ),
        violations=dict(c.violations),
        account=_plain(c.effects.account),
        device=_plain(c.effects.device),
        permuted_account=c.permuted_account,
        permuted_device=c.permuted_device,
        account_owner=_doses([arm.effects.account_owner for arm in doses]),
        device_owner=_doses([arm.effects.device_owner for arm in doses]),
        model=c.model,
        model_permuted=c.model_permuted,
        single=dict(c.single),
        endpoints=Endpoints(
            _plain(c.effects.crowded),
            _plain(arms.rewired.effects.crowded),
            arms.rewired.effects.crowded.over(c.effects.crowded),
            arms.rewired.effects.account.over(c.effects.account),
        ),
        missing=c.missing,
        again=c.again,
        leaks={guard: dict(areas) for guard, areas in c.leaks.items()},
    )


def _plain(ratio: Ratio) -> Ratio:
    """The ratio without its influences by cluster, which are not published."""
    return Ratio(ratio.value, ratio.log_se, ratio.support, ratio.weight, ratio.freedom)


def _doses(arms: Sequence[ArmRatio]) -> Doses:
    none, half, full, baseline = arms
    return Doses(
        _plain(none), _plain(half), _plain(full),
        half.over(none), full.over(none), full.over(half), full.over(baseline),
    )  # fmt: skip


def pooled_measures(seeds: Sequence[Measures]) -> Measures:
    """The measures over several seeds, each an independent world.

    Counts and Mantel–Haenszel terms are added; areas are means weighted by their support.
    """

    def ratio(name: str) -> Ratio:
        return pooled_ratio([getattr(s, name) for s in seeds])

    def share(name: str) -> Share:
        return pooled_share([getattr(s, name) for s in seeds])

    flows = [s.candidate.flows for s in seeds]
    guards = sorted({guard for s in seeds for guard in s.leaks})
    checks = sorted({check for s in seeds for check in s.violations})
    return Measures(
        seeds=tuple(seed for s in seeds for seed in s.seeds),
        candidate=pooled_soundness([s.candidate for s in seeds]),
        baseline=pooled_soundness([s.baseline for s in seeds]),
        unpaired=tuple(f"{arm} of seed {s.seeds[0]}" for s in seeds for arm in s.unpaired),
        violations={c: sum(s.violations.get(c, 0) for s in seeds) for c in checks},
        account=ratio("account"),
        device=ratio("device"),
        permuted_account=ratio("permuted_account"),
        permuted_device=ratio("permuted_device"),
        account_owner=_pooled_group([s.account_owner for s in seeds]),
        device_owner=_pooled_group([s.device_owner for s in seeds]),
        model=share("model"),
        model_permuted=share("model_permuted"),
        single=_mean_areas([s.single for s in seeds], flows),
        endpoints=_pooled_group([s.endpoints for s in seeds]),
        missing=share("missing"),
        again=share("again"),
        leaks={g: _mean_areas([s.leaks.get(g, {}) for s in seeds], flows) for g in guards},
    )


def _pooled_group(seeds: Sequence[T]) -> T:
    """Every ratio of a group of ratios, pooled."""
    kind = type(seeds[0])
    return kind(*(pooled_ratio([getattr(s, f.name) for s in seeds]) for f in fields(kind)))


def _mean_areas(seeds: Sequence[Mapping[str, float]], flows: Sequence[int]) -> dict[str, float]:
    """Mean areas, weighted by flows; NaN where a seed lacks one."""
    names = sorted({name for areas in seeds for name in areas})
    return {
        name: sum(a.get(name, float("nan")) * n for a, n in zip(seeds, flows, strict=True))
        / sum(flows)
        for name in names
    }
