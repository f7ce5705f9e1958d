"""The effect of each realism control alone: the baseline plus one overlay."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from fraudworld.documents import Json, JsonObject, load_json
from fraudworld.remediation.climb import Sections
from fraudworld.remediation.law import test_of, verdict
from fraudworld.remediation.phases import LADDER
from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from fraudworld.store.layout import RunPlace

Row = Mapping[str, Json]
BASELINE = LADDER[0].adds
SLIGHT = 0.05
"""Share of a threshold by which other draws alone may move a metric."""

REPLAY = {
    "name": "replay",
    "why": "An ablation keeps the other defects of the baseline, whatever the control sets.",
    "posture": "baseline_replay",
}


@dataclass(frozen=True)
class Ablation:
    """A control alone: its run, the rows of its gateboard, and its effects.

    moved: metrics that it moves; mended, broken: guards that start or cease to hold.

    A metric is moved where its verdict changed, or its value by more than SLIGHT of its B
    threshold and out of the baseline's 95 % interval, if it has one.
    """

    control: str
    run_id: str
    rows: tuple[Row, ...]
    moved: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    def as_dict(self) -> JsonObject:
        """Plain data."""
        return {
            "control": self.control,
            "run_id": self.run_id,
            "moved": list(self.moved),
            "mended": list(self.mended),
            "broken": list(self.broken),
            "tests": [dict(row) for row in self.rows],
        }


def ablate(request: RunRequest, sections: Sections | None = None) -> tuple[Ablation, ...]:
    """Judges the baseline, then the baseline with each control alone, in the ladder's order.

    States that a control does not change are reused from the baseline's run. Raises as
    `run.pipeline.run` does.
    """
    report_to = sections or (lambda title: None)
    with tempfile.TemporaryDirectory(prefix="fraudworld-ablation-") as folder:
        replay = Path(folder) / "replay.yaml"
        replay.write_text(yaml.safe_dump(REPLAY), "utf-8")
        plain = replace(
            request, overlays=BASELINE, role="baseline", run_id=None, from_state=None, base=None
        )
        base = pipeline.run(plain, report_to("baseline")).place
        board = _board(base)
        out = [Ablation(BASELINE[0], base.root.name, tuple(board["tests"]))]
        for phase in LADDER[1:]:
            for control in phase.adds:
                alone = replace(
                    plain,
                    overlays=(*BASELINE, control, str(replay)),
                    role="none",
                    from_state=phase.from_state,
                    base=base.root if phase.from_state else None,
                )
                place = pipeline.run(alone, report_to(f"baseline + {control}")).place
                out.append(_compared(control, place, board))
    return tuple(out)


def _compared(control: str, place: RunPlace, before: Mapping[str, Json]) -> Ablation:
    after = _board(place)
    held, holds = (
        {g["guard_id"] for g in board["guards"] if g["holds"]} for board in (before, after)
    )
    return Ablation(
        control,
        place.root.name,
        tuple(after["tests"]),
        _moved(before["tests"], after["tests"]),
        mended=tuple(sorted(holds - held)),
        broken=tuple(sorted(held - holds)),
    )


def _board(run: RunPlace) -> JsonObject:
    return dict(load_json(run.gateboard))


def _moved(before: Sequence[Row], after: Sequence[Row]) -> tuple[str, ...]:
    was = {(r["test_id"], r["metric_name"]): r for r in before}
    return tuple(
        f"{test_of(row)} {row['metric_name']}"
        for row in after
        if _differs(was[row["test_id"], row["metric_name"]], row)
    )


def _differs(was: Row, row: Row) -> bool:
    if verdict(was) != verdict(row):
        return True
    if was["value"] is None or row["value"] is None:
        return bool(was["value"] != row["value"])
    if abs(was["value"] - row["value"]) <= SLIGHT * row["threshold_B"]:
        return False
    return was["ci_low"] is None or not was["ci_low"] <= row["value"] <= was["ci_high"]
