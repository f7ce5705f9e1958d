"""The figures of every arm from which the rows of T10 are judged."""

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

PERMUTATIONS = 9
"""Permutations of the roles for the permuted control."""


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
    """Computes the figures of one arm."""
    return ArmFigures(sample.name, soundness(sample), effects(sample))


def candidate_figures(
    sample: Sample, violations: Mapping[str, int], leaks: tuple[Guard, ...]
) -> CandidateFigures:
    """Computes the figures of the candidate; violations and leaks were read from its files."""
    return CandidateFigures(
        sample.name, soundness(sample), effects(sample), sample.seed,
        *permuted_ratios(sample, PERMUTATIONS), endpoint_missing(sample), struck_again(sample),
        logistic_area(sample), logistic_area(permuted(sample)), single_areas(sample),
        violations, leaks,
    )  # fmt: skip
