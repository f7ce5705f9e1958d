"""Output of the command line: tables, the gateboard, progress, errors.

Results go to stdout, progress and errors to stderr. With `--json`, stdout holds one JSON document
and nothing else. No line needs more than eighty columns. Every string is foreign until it is made
inert: runs, upstreams and policies of others are shown, too.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from fraudworld.documents import Json
from fraudworld.errors import FraudworldError
from fraudworld.request import Cell, Progress, SummaryTable
from fraudworld.text import one_line, printable

WIDTH = 80
STATE_NAMES = {
    "S0": "sealed inputs",
    "S1": "party base",
    "S2": "accounts & holdings",
    "S3": "instruments",
    "S4": "device/IP graph",
    "S5": "fraud posture",
    "gates": "realism gates",
}
VERDICTS = {"B+": "green", "B": "green", "FAIL": "red", "UNKNOWN": "red"}


def out() -> Console:
    """Console of results; of fixed width where stdout is not a terminal."""
    return Console(
        width=None if sys.stdout.isatty() else WIDTH,
        highlight=False,
        soft_wrap=not sys.stdout.isatty(),
    )


def err() -> Console:
    """Console of progress and errors."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def json_document(value: object) -> None:
    """Prints one JSON document on stdout, in ASCII: no locale and no terminal changes it."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def program() -> str:
    """The command that starts this program: its name, or its path where it is not in PATH."""
    if shutil.which("fraudworld"):
        return "fraudworld"
    called = Path(sys.argv[0])
    return str(near(called)) if called.name == "fraudworld" else "python -m fraudworld"


def near(path: Path) -> Path:
    """A path as it is shown: relative where it lies below the working folder."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the working folder was deleted
        return path
    return path.relative_to(here) if path.is_relative_to(here) else path


def lines(texts: Iterable[str]) -> None:
    """Prints lines on stdout, each as one line."""
    console = out()
    for text in texts:
        console.print(_inert(text))


def _inert(text: str, style: str = "") -> Text:
    """A line for rich, which reads neither markup nor emoji codes in it."""
    return Text(one_line(text), style=style)


def table(shown: SummaryTable) -> None:
    """Prints a small table: text left, numbers right, its note below."""
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    numeric = [
        all(isinstance(row[i], int | float | None) for row in shown.rows)
        for i in range(len(shown.columns))
    ]
    for name, right in zip(shown.columns, numeric, strict=True):
        side: JustifyMethod = "right" if right else "left"
        grid.add_column(_inert(name), justify=side, overflow="fold")
    for row in shown.rows:
        grid.add_row(*(_inert(figure(cell)) for cell in row))
    console = out()
    console.print()
    console.print(_inert(shown.title, "bold"))
    console.print(grid)
    if shown.note:
        console.print(_inert(shown.note))


def figure(cell: Cell) -> str:
    """A cell as text: thousands separated, four significant digits, — for None."""
    if cell is None:
        return "—"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}".replace(",", " ")
    if isinstance(cell, float):
        if math.isfinite(cell) and abs(cell) >= 10_000:
            return figure(round(cell))
        return f"{cell:.4g}"
    return str(cell)  # of a foreign document: a list or an object


def gateboard(board: Mapping[str, Json]) -> None:
    """Prints the gateboard of one run: test rows, guards, grade and routing."""
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name, side in (
        ("test", "left"),
        ("metric", "left"),
        ("value", "right"),
        ("B", "right"),
        ("B+", "right"),
        ("95 % interval", "right"),
        ("verdict", "left"),
    ):
        grid.add_column(name, justify="right" if side == "right" else "left", no_wrap=True)
    for row in board["tests"]:
        low, high = row["ci_low"], row["ci_high"]
        grid.add_row(
            _inert(str(row["test_id"]).split("_", 1)[0]),
            _inert(str(row["metric_name"])),
            _inert(short(row["value"])),
            _inert(short(row["threshold_B"])),
            _inert(short(row["threshold_Bplus"])),
            _inert("" if low is None or high is None else f"{short(low)}–{short(high)}"),
            _verdict(row),
        )
    console = out()
    console.print()
    console.print(Text("Gateboard", style="bold"))
    console.print(grid)
    _guards(board["guards"])
    lines(
        (
            f"Grade {board['grade']}",
            *(f"  {r['test_id']} {r['metric_name']} → {r['owner']}" for r in board["routing"]),
        )
    )


def short(value: Cell) -> str:
    """A figure of the gateboard: four decimals below 1, three digits above; 0 only for 0."""
    if isinstance(value, float) and 0 < abs(value) < 0.0005:
        return f"{value:.0e}"
    if isinstance(value, float) and abs(value) < 1:
        return f"{value:.4f}".rstrip("0").rstrip(".")
    if isinstance(value, float) and abs(value) < 1_000:
        return f"{value:.3g}"
    if isinstance(value, float) and math.isfinite(value):
        return figure(round(value))
    return figure(value)


def _verdict(row: Mapping[str, Json]) -> Text:
    if row["status"] == "INSUFFICIENT_EVIDENCE":
        word = "UNKNOWN"
    else:
        word = "B+" if row["pass_Bplus"] else "B" if row["pass_B"] else "FAIL"
    return Text(word, style=VERDICTS[word])


def _guards(guards: Sequence[Mapping[str, Json]]) -> None:
    broken = [g for g in guards if not g["holds"]]
    lines(
        (
            f"Guards  {len(guards) - len(broken)} of {len(guards)} hold",
            *(f"  {g['guard_id']}: {short(g['value'])}, must be {g['bound']}" for g in broken),
        )
    )


class ProgressLines:
    """Prints one line per finished state on stderr; a terminal also shows the running step."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)
        self._status = (
            self._console.status("S0 sealed inputs", spinner="line")
            if self._console.is_terminal and not quiet
            else None
        )
        self._last: Progress | None = None

    def __enter__(self) -> ProgressLines:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._status is not None:
            self._status.stop()
        if kind is None:
            self._finish()

    def __call__(self, at: Progress) -> None:
        """Handles a progress report; a state is finished when another one starts."""
        if self._last is not None and at.state != self._last.state:
            self._finish()
        self._last = at
        if self._status is not None:
            self._status.update(_inert(f"{at.state} {at.step} ({at.done} of {at.total})"))

    def section(self, title: str) -> ProgressLines:
        """Finishes the current lines and starts those of another title."""
        self._finish()
        self._console.print(_inert(title))
        return self

    def _finish(self) -> None:
        if self._last is not None:
            self._console.print(_inert(state_line(self._last)))
        self._last = None


def state_line(at: Progress) -> str:
    """`S2  accounts & holdings   1 234 567 rows   0.84 s   1.47 M rows/s`."""
    name = STATE_NAMES.get(at.state, at.step)
    line = f"{at.state:<8}{name:<22}"
    if not at.rows:
        return f"{line}{'':>18}{at.elapsed_s:>8.2f} s"
    line += f"{figure(at.rows):>13} rows{at.elapsed_s:>8.2f} s"
    rate = at.rows / at.elapsed_s / 1e6 if at.elapsed_s > 0 else 0.0
    return line + (f"{rate:>8.2f} M rows/s" if rate else "")


def error_block(error: FraudworldError) -> None:
    """Prints an error in four lines: what, where, code, remedy.

    Further lines of `what` are indented, so that no text of it looks like a line of the block.
    """
    console = err()
    first, *more = printable(error.what.rstrip(), kept="\n").split("\n")
    console.print(Text("error ", style="bold red") + Text(first))
    for line in more:
        console.print(Text(f"       {line.strip()}"))
    for label, text in (("where", error.where), ("code", error.code), ("do", error.remedy)):
        console.print(_inert(f"{label:>6} {text}"))


def warn(text: str) -> None:
    """Prints a line on stderr."""
    err().print(_inert(text))
