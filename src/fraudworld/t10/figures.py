"""Figures of the arms: everything the rows of T10 are judged from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fraudworld.gates.gate import Guard
from fraudworld.t10.effects import (
    Effects,
    effects,
    endpoint_missing,
    permuted_ratios,
    struck_again,
)
from fraudworld.t10.estimators import Ratio, Share
from fraudworld.t10.learning import logistic_area, single_areas
from fraudworld.t10.sample import Sample, permuted
from fraudworld.t10.soundness import Soundness, soundness

DEALINGS = 9
"""Times the roles are dealt anew for the permuted control."""


@dataclass(frozen=True)
class ArmFigures:
    """What every arm tells."""

    name: str
    soundness: Soundness
    effects: Effects


@dataclass(frozen=True)
class CandidateFigures(ArmFigures):
    """What only the candidate is asked."""

    seed: int
    permuted_account: Ratio  # S1, S2 of the same flows against roles dealt anew
    permuted_device: Ratio
    missing: Share  # S8
    again: Share  # S9
    model: Share  # S5
    model_permuted: Share
    single: Mapping[str, float]  # S6
    violations: Mapping[str, int]  # N1: SQL check → rows that break it
    leaks: tuple[Guard, ...]


@dataclass(frozen=True)
class Figures:
    """All arms of one seed; the candidate is dose 1."""

    candidate: CandidateFigures
    baseline: ArmFigures
    dose_zero: ArmFigures
    dose_half: ArmFigures
    rewired: ArmFigures


def arm_figures(sample: Sample) -> ArmFigures:
    """Figures every arm needs."""
    return ArmFigures(sample.name, soundness(sample), effects(sample))


def candidate_figures(
    sample: Sample, violations: Mapping[str, int], leaks: tuple[Guard, ...]
) -> CandidateFigures:
    """Figures of the candidate; violations and leaks come from its files."""
    return CandidateFigures(
        sample.name, soundness(sample), effects(sample), sample.seed,
        *permuted_ratios(sample, DEALINGS), endpoint_missing(sample), struck_again(sample),
        logistic_area(sample), logistic_area(permuted(sample)), single_areas(sample),
        violations, leaks,
    )  # fmt: skip
