"""The phases of the ladder as data (docs/ladder.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fraudworld.errors import InputError
from fraudworld.remediation import law
from fraudworld.remediation.law import PhaseEvidence
from fraudworld.store.decisions import Finding


@dataclass(frozen=True)
class Phase:
    """One phase of the ladder.

    adds: overlays beyond those of all earlier phases. from_state: first state to rerun, earlier
    ones are reused from the run of `base`; None: the whole chain. certifies: full chain on every
    seed, T1–T10, for `grade`. unlock: decision where `law` is met (of a certifying phase: the
    certificate's decision, at most this one); hold: decision where it is not.
    """

    name: str
    title: str
    adds: tuple[str, ...]
    law: Callable[[PhaseEvidence], Iterator[Finding]]
    unlock: str
    hold: str
    base: str | None = None
    from_state: str | None = None
    certifies: bool = False
    grade: str = "B"

    def reruns(self, seeds: int) -> str:
        """What this phase reruns, as text."""
        states = {None: "S0–S5", "S5": "S5"}.get(self.from_state, f"{self.from_state}–S5")
        return f"{seeds} × {states}" if self.certifies else states


LADDER = (
    Phase("P0", "baseline lock", ("published_baseline",), law.baseline_locked,
          "HOLD_REMEDIATE", "HOLD_P0"),
    Phase("P1", "caps", ("delta_a_kmax",), law.caps_hold,
          "UNLOCK_P2", "HOLD_P1", base="P0", from_state="S2"),
    Phase("P2", "endpoints", ("delta_b_ip",), law.endpoints_hold,
          "UNLOCK_P3", "HOLD_P2", base="P1", from_state="S4"),
    Phase("P3", "propagation", ("delta_c_propagation",), law.risk_travels,
          "UNLOCK_P4", "HOLD_P3", base="P2", from_state="S5"),
    Phase("P4", "mapping and validation", ("delta_d_mapping", "delta_e_validation"),
          law.everything_mapped, "UNLOCK_P5", "HOLD_P4", base="P3", from_state="S5"),
    Phase("P5", "certification", (), law.certified_b,
          "PASS_BPLUS", "HOLD_REMEDIATE", base="P4", certifies=True),
    Phase("P6_1", "floors", ("p6_1_floors",), law.floors_refined,
          "UNLOCK_P6_2", "HOLD_P6_1", base="P4", from_state="S3"),
    Phase("P6_2", "countries", ("p6_2_country",), law.countries_differ,
          "UNLOCK_P6_3", "HOLD_P6_2", base="P6_1"),
    Phase("P6_3", "B+", ("p6_3_bplus", "p6_4_joints"), law.certified_b_plus,
          "PASS_BPLUS", "RETAIN_PASS_B", base="P6_2", certifies=True, grade="B+"),
)  # fmt: skip
NAMES = tuple(phase.name for phase in LADDER)


def overlays(phase: Phase) -> tuple[str, ...]:
    """Overlays of a phase and of all before it, in order."""
    return tuple(o for p in LADDER[: NAMES.index(phase.name) + 1] for o in p.adds)


def chosen(text: str) -> tuple[str, ...]:
    """Phases of `P0,P1` or `P0..P4`, in the ladder's order; `all` for every one.

    `P6.1` is read as `P6_1`. Raises InputError `6A.CLI.ARGUMENT_INVALID` for another name or
    for a range that runs backwards.
    """
    if text == "all":
        return NAMES
    picked: set[str] = set()
    for part in text.replace("P6.", "P6_").split(","):
        first, dots, last = part.strip().partition("..")
        ends = [first, last] if dots else [first, first]
        if not all(end in NAMES for end in ends):
            raise _no_phase(part)
        low, high = (NAMES.index(end) for end in ends)
        if low > high:
            raise _no_phase(part)
        picked.update(NAMES[low : high + 1])
    return tuple(name for name in NAMES if name in picked)


def _no_phase(part: str) -> InputError:
    return InputError(
        "6A.CLI.ARGUMENT_INVALID",
        f"{part.strip()!r} is not a phase or range of phases",
        where="--phases",
        remedy=f"give names apart by commas, or a range like P0..P4: {', '.join(NAMES)}",
    )
