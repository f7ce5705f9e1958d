"""The ladder's table: phases down, tests across, value and verdict in each cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fraudworld.documents import Json
from fraudworld.remediation.ablation import Ablation
from fraudworld.remediation.law import EVERY, cells
from fraudworld.request import Cell, SummaryTable
from fraudworld.store.atomic import write_atomic
from fraudworld.store.decisions import Decision, place, write_document

VERDICTS = {"NO EVIDENCE": "?"}
NOTE = (
    "A cell is the worst metric of a test, then its verdict; ? is INSUFFICIENT_EVIDENCE, as for "
    "T9 and T10\nof a single run."
)
MOVED = "Only tests that moved are shown: in verdict, or in value beyond sampling noise."


def ladder_tables(decisions: Sequence[Decision]) -> tuple[SummaryTable, SummaryTable]:
    """Two tables: phases × tests, and changes with decisions."""
    shown = tuple((d.phase, *_cells(d.basis["tests"])) for d in decisions)
    tables = tuple(
        (
            d.phase,
            ",\n".join(d.basis["adds"]) or d.basis["title"],
            d.basis["reruns"],
            d.decision,
            ",\n".join(run[:8] for run in d.run_ids),
            round(d.basis["elapsed_s"], 1),
        )
        for d in decisions
    )
    columns = ("phase", "changed", "made", "decision", "runs", "seconds")
    return (
        SummaryTable("Remediation ladder", ("phase", *EVERY), shown, NOTE),
        SummaryTable("Decisions", columns, tables),
    )


def ablation_table(ablations: Sequence[Ablation]) -> SummaryTable:
    """Controls × tests: the effect of each control alone on the baseline."""
    tests = EVERY[:8]
    rows: list[tuple[Cell, ...]] = []
    for one in ablations:
        moved = {name.partition(" ")[0] for name in one.moved}
        whole = not rows
        all_cells = dict(zip(EVERY, _cells(cells(one.rows)), strict=True))
        rows.append((one.control, *(all_cells[t] if whole or t in moved else "·" for t in tests)))
    return SummaryTable("Each control alone", ("control", *tests), tuple(rows), MOVED)


def guard_table(ablations: Sequence[Ablation]) -> SummaryTable:
    """Controls that mend or break a guard alone."""
    rows = tuple(
        (one.control, ",\n".join(one.mended) or "·", ",\n".join(one.broken) or "·")
        for one in ablations
        if one.mended or one.broken
    )
    return SummaryTable("Guards it mends and breaks", ("control", "mends", "breaks"), rows)


def publish_ladder(runs_root: Path, decisions: Sequence[Decision]) -> tuple[SummaryTable, ...]:
    """Writes `ladder.md` and `ladder.json` beside the decisions; returns the tables."""
    tables = ladder_tables(decisions)
    return _publish(runs_root, "ladder", tables, [d.as_dict() for d in decisions])


def publish_ablation(runs_root: Path, ablations: Sequence[Ablation]) -> tuple[SummaryTable, ...]:
    """Writes `ablation.md` and `ablation.json` beside the decisions; returns the tables."""
    tables = ablation_table(ablations), guard_table(ablations)
    return _publish(runs_root, "ablation", tables, [a.as_dict() for a in ablations])


def _publish(
    runs_root: Path, name: str, tables: tuple[SummaryTable, ...], document: object
) -> tuple[SummaryTable, ...]:
    path = write_document(place(runs_root, name), document)
    text = "\n\n".join(markdown(table) for table in tables) + "\n"
    write_atomic(path.with_suffix(".md"), text.encode())
    return tables


def markdown(shown: SummaryTable) -> str:
    """A table as Markdown, its note below."""
    body = [shown.columns, ("---",) * len(shown.columns), *shown.rows]
    lines = ["| " + " | ".join(map(_inline, row)) + " |" for row in body]
    note = ("", shown.note.replace("\n", " ")) if shown.note else ()
    return "\n".join((f"**{shown.title}**", "", *lines, *note))


def _inline(cell: Cell) -> str:
    return "" if cell is None else str(cell).replace("\n", " ").replace("|", "\\|")


def _cells(tests: Mapping[str, Mapping[str, Json]]) -> Iterable[str]:
    for test in EVERY:
        one = tests.get(test)
        if one is None:
            yield "·"
            continue
        verdict = str(one["verdict"])
        word = VERDICTS.get(verdict, verdict)
        yield word if one["value"] is None else f"{_short(one['value'])}\n{word}"


def _short(value: float) -> str:
    """A short number for ten columns: two digits, 0 below a thousandth."""
    if 0 < abs(value) < 0.001:
        return "<.001"
    if value == int(value) and abs(value) < 10_000:
        return str(int(value))
    return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"
