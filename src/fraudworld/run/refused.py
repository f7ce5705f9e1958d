"""Timings of a run that failed: `<runs_root>/reports/refused/<run_id>/perf_events_6A.jsonl`.

The staging folder of such a run is deleted, so its events are kept here, the failed step among
them. The next run of this id that succeeds removes them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fraudworld.errors import FraudworldError
from fraudworld.perf.recorder import EVENTS, Recorder, event_lines
from fraudworld.store.atomic import write_atomic
from fraudworld.store.identity import Identity

FOLDER = Path("reports/refused")
"""Below a runs root: one folder a run id."""


@contextmanager
def keeping_events(
    runs_root: Path, run_id: str, identity: Identity, recorder: Recorder
) -> Iterator[None]:
    """Writes the events so far where the body raises, and names the file in the error.

    The exception is raised again unchanged otherwise; where the file cannot be written it names
    none. Where the body ends well, the events of an earlier attempt are removed.
    """
    try:
        yield
    except BaseException as error:
        # A full disk is a usual cause: it must not hide the first error.
        with suppress(OSError, FraudworldError):
            path = runs_root / FOLDER / run_id / EVENTS
            if events := recorder.events:
                write_atomic(path, event_lines(events, identity))
                _name(error, path)
        raise
    forget(runs_root, run_id)


def forget(runs_root: Path, run_id: str) -> None:
    """Removes the events of a failed attempt at a run, if there are any."""
    folder = runs_root / FOLDER / run_id
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # other runs have failed, or none has
        folder.parent.rmdir()


def _name(error: BaseException, path: Path) -> None:
    note = f"timings of this run: {path}"
    error.add_note(note)
    if isinstance(error, FraudworldError):
        error.remedy = f"{error.remedy}; {note}"
        error.args = (f"{error}; {note}",)
