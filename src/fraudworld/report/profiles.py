"""Rows of the figures of layer 6P, from what the layer published of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fraudworld.documents import MALFORMED, Json, JsonObject
from fraudworld.errors import InputError, RefusedError
from fraudworld.layers.profiles.layout import ProfilesPlace
from fraudworld.report.evidence import Row, verdict
from fraudworld.store.layout import RunPlace
from fraudworld.store.receipt import read_receipt

ROWS = (
    "profile_ages", "age_differences", "homes_by_cell", "account_ages", "sharing_kinds",
    "crowded_addresses",
)  # fmt: skip
"""Names of the rows; all are empty without a layer."""

SHARES = ("accounts_closed_share", "accounts_opened_inside_share")
"""Figures of the layer that have an observed share and that of the policy."""


def published(run: Path) -> JsonObject | None:
    """What the layer of profiles in a run publishes for the report; None without a layer.

    Every byte of the layer is checked against its seal. Raises RefusedError
    `6P.P5.OUTPUT_CONFLICT` for a layer that was changed after publishing or made over another run,
    `6A.CLI.EVIDENCE_UNREADABLE` for a document that cannot be read.
    """
    place = ProfilesPlace.below(run)
    if not place.layer.exists():
        return None
    place.check()
    if place.document(place.receipt)["world_bundle_digest"] != (
        read_receipt(RunPlace(run)).bundle_digest
    ):
        raise RefusedError(
            place.conflict(),
            f"this {place.WHAT} was made over another run",
            where=str(place.layer),
            remedy=place.remedy(),
        )
    report, board = place.document(place.report), place.document(place.gateboard)
    return {"passed": report["passed"], "guards": board["tests"], "summary": report["summary"]}


def facts_of(layer: JsonObject | None, run: Path) -> tuple[JsonObject | None, dict[str, list[Row]]]:
    """The facts of a layer without its rows, and the rows of the figures by name.

    layer: of `published`. Raises InputError `6A.REPORT.EVIDENCE_UNREADABLE` where it lacks what is
    drawn, as profiles of earlier releases do.
    """
    if layer is None:
        return None, {name: [] for name in ROWS}
    summary, guards = layer["summary"], layer["guards"]
    try:
        rows: dict[str, list[Row]] = {
            "profile_ages": list(_ages(summary["ages"])),
            "age_differences": [_picked(row, "relation", "years", "pairs", "share")
                                for row in summary["age_differences"]],
            "homes_by_cell": list(_cells(summary["homes_by_cell"])),
            "account_ages": [_picked(row, "group", "years", "accounts", "share")
                             for row in summary["account_ages"]],
            "sharing_kinds": list(_kinds(guards)),
            "crowded_addresses": list(_crowded(guards)),
        }  # fmt: skip
        shown = {
            "passed": layer["passed"],
            "guards": [{**guard, "verdict": verdict(guard)} for guard in guards],
            "shares": {name: summary[name] for name in SHARES},
        }
    except MALFORMED as error:
        raise InputError(
            "6A.REPORT.EVIDENCE_UNREADABLE",
            f"the profiles of this run lack what the report draws: {error}",
            where=str(ProfilesPlace.below(run).report),
            remedy="move its data/layer3/6P away and make the profiles again",
        ) from error
    return shown, rows


def _picked(row: Mapping[str, Json], *keys: str) -> Row:
    """A row with its keys in the order of a table."""
    return {key: row[key] for key in keys}


def _ages(rows: list[Any]) -> Iterator[Row]:
    for row in rows:
        yield _picked(row, "segment", "from_age", "persons", "observed", "law")


def _cells(of: Mapping[str, Json]) -> Iterator[Row]:
    """Cells from the one with the most homes down; a cell is named by its edges."""
    columns = zip(of["south"], of["west"], of["homes"], strict=True)
    step = of["degrees"]
    for south, west, homes in sorted(columns, key=lambda cell: (-cell[2], cell[0], cell[1])):
        yield {"south": south, "west": west, "north": south + step, "east": west + step,
               "homes": homes}  # fmt: skip


def _sharing(guards: list[Any]) -> Iterator[tuple[str, Mapping[str, Json]]]:
    for guard in guards:
        if guard["test_id"] == "P4_SHARING":
            yield guard["metric_name"], guard


def _kinds(guards: list[Any]) -> Iterator[Row]:
    """Every kind of sharing that has an expectation; rules of an analyst have none.

    ratio: observed over expected, None where fewer are expected than the guard asks for.
    """
    for kind, guard in _sharing(guards):
        if "expected" in guard["details"]:
            observed, expected = guard["details"]["observed"], guard["details"]["expected"]
            judged = guard["value"] is not None and expected > 0
            yield {"sharing": kind, "observed": int(observed), "expected": expected,
                   "ratio": observed / expected if judged else None,
                   "allowed": guard["threshold_B"], "verdict": verdict(guard)}  # fmt: skip


def _crowded(guards: list[Any]) -> Iterator[Row]:
    """Parties at addresses of more than five parties: innocents, then synthetic identities.

    allowed: most synthetic identities that the guard admits beside so many innocents.
    """
    for kind, guard in _sharing(guards):
        if kind == "crowded_addresses":
            innocent, synthetic = guard["details"]["innocent"], guard["details"]["synthetic"]
            allowed = innocent * guard["threshold_B"]
            yield {"who": "innocents", "parties": int(innocent), "allowed": None}
            yield {"who": "synthetic identities", "parties": int(synthetic), "allowed": allowed}
