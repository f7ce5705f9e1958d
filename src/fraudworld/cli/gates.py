"""`fraudworld gates`: judge a published run again."""

from __future__ import annotations

import typer

from fraudworld.cli import options as opt
from fraudworld.cli import output as show
from fraudworld.request import RUNS_ROOT


def gates(
    run: opt.Run,
    runs_root: opt.RunsRoot = RUNS_ROOT,
    as_json: opt.AsJson = False,
) -> None:
    """Judge a published run again, from its Parquet files and sealed policy alone.

    Examples:

        fraudworld gates 3f2a

        fraudworld gates runs/fix-data-engine/segment_6A/<run_id> --json
    """
    from fraudworld import api

    board = api.find_run(run, runs_root).gates()
    if as_json:
        show.json_document(board)
    else:
        show.gateboard(board)
    if board["grade"] not in ("B", "B+"):
        raise typer.Exit(1)
