"""T10, measured: every arm is read, told in figures and let go; then the rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from fraudworld.gates.gate import Row
from fraudworld.layers.transactions.checks import Sealed, run_checks
from fraudworld.layers.transactions.layout import StreamPlace
from fraudworld.policy.transactions import DownstreamWitness
from fraudworld.store.layout import RunPlace
from fraudworld.store.receipt import read_receipt
from fraudworld.t10.figures import (
    ArmFigures,
    CandidateFigures,
    Figures,
    arm_figures,
    candidate_figures,
)
from fraudworld.t10.judge import judge
from fraudworld.t10.leakage import flows_looked_at, label_leak, observable_tables
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


def measure(arms: Places, bounds: DownstreamWitness) -> tuple[Row, ...]:
    """Every row of T10 for the arms of one seed.

    Raises InputError where an arm's run or stream cannot be read (`sample.load`). Holds one
    arm at a time: about 35 bytes a flow and 60 a party.
    """
    return judge(
        Figures(
            of_candidate(arms.candidate, bounds),
            *(of_arm(a) for a in (arms.baseline, arms.dose_zero, arms.dose_half, arms.rewired)),
        ),
        bounds,
    )


def of_arm(place: Place) -> ArmFigures:
    """Figures of an arm that is not the candidate."""
    return arm_figures(load(place.name, place.run, StreamPlace.below(place.stream).layer))


def of_candidate(place: Place, bounds: DownstreamWitness) -> CandidateFigures:
    """Figures of the candidate, its SQL checks and its leakage guard included."""
    stream = StreamPlace.below(place.stream)
    violations = checked(place.run, stream)
    sample = load(place.name, place.run, stream.layer)
    looked_at = flows_looked_at(sample)
    identity = read_receipt(RunPlace(place.run)).identity
    leaks = tuple(
        label_leak(
            observable_tables(stream, identity, sample.size),
            sample.flows.bad[looked_at],
            bounds.observable_leak,
        )
    )
    return candidate_figures(sample, violations, leaks)


def checked(run: Path, stream: StreamPlace) -> Mapping[str, int]:
    """N1: violations of every SQL check of a stream, over its files and the run's."""
    sealed = Sealed(run, read_receipt(RunPlace(run)).identity)
    return {
        found["check"]: found["violations"]
        for found in run_checks(sealed, stream, observable=False)
    }
