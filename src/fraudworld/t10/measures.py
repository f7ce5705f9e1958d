"""Measures the arms of T10: reads one at a time, keeps its figures, then compares them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from fraudworld.layers.transactions.checks import Sealed, run_checks
from fraudworld.layers.transactions.layout import StreamPlace
from fraudworld.store.layout import RunPlace
from fraudworld.store.receipt import read_receipt
from fraudworld.t10.figures import (
    ArmFigures,
    CandidateFigures,
    Figures,
    Measures,
    arm_figures,
    candidate_figures,
    compared,
)
from fraudworld.t10.leakage import label_leak, observable_tables, sampled_flows
from fraudworld.t10.sample import load


class Place(Protocol):
    """One arm on disk: a published run, and the folder its stream's `data/layer3/6B` is in."""

    @property
    def name(self) -> str: ...
    @property
    def run(self) -> Path: ...
    @property
    def stream(self) -> Path: ...


class Places(Protocol):
    """The arms of one seed; the candidate is dose 1."""

    @property
    def baseline(self) -> Place: ...
    @property
    def candidate(self) -> Place: ...
    @property
    def dose_zero(self) -> Place: ...
    @property
    def dose_half(self) -> Place: ...
    @property
    def rewired(self) -> Place: ...


def measure(arms: Places) -> Measures:
    """Computes the measures of T10 for the arms of one seed.

    Holds one arm in memory at a time: about 35 bytes a flow and 60 a party. Raises InputError
    where a run or stream cannot be read (`sample.load`).
    """
    return compared(
        Figures(
            of_candidate(arms.candidate),
            *(of_arm(a) for a in (arms.baseline, arms.dose_zero, arms.dose_half, arms.rewired)),
        )
    )


def of_arm(place: Place) -> ArmFigures:
    """Computes the figures of an arm other than the candidate."""
    return arm_figures(load(place.name, place.run, StreamPlace.below(place.stream).layer))


def of_candidate(place: Place) -> CandidateFigures:
    """Computes the figures of the candidate, with its SQL checks and leakage guards."""
    stream = StreamPlace.below(place.stream)
    violations = count_violations(place.run, stream)
    sample = load(place.name, place.run, stream.layer)
    sampled = sampled_flows(sample)
    identity = read_receipt(RunPlace(place.run)).identity
    leaks = label_leak(observable_tables(stream, identity, sample.size), sample.flows.bad[sampled])
    return candidate_figures(sample, violations, leaks)


def count_violations(run: Path, stream: StreamPlace) -> Mapping[str, int]:
    """N1: violations of every SQL check over the files of a stream and its run."""
    sealed = Sealed(run, read_receipt(RunPlace(run)).identity)
    return {
        result["check"]: result["violations"]
        for result in run_checks(sealed, stream, observable=False)
    }
