"""The command line: a thin layer over `fraudworld.api`, and the only family that prints.

Exit status: 0 done and passing B · 1 done, a gate or check failed · 2 bad input or usage ·
3 refused · 4 a fault of ours. Heavy modules are imported inside commands, so that help is
there at once.
"""

from __future__ import annotations

import os
import sys

import typer

from fraudworld import (
    cli_doctor,
    cli_export,
    cli_ladder,
    cli_perf,
    cli_policy,
    cli_report,
    cli_run,
    cli_store,
    cli_transactions,
    cli_upstream,
    cli_verify,
    cli_witness,
)
from fraudworld import cli_output as show
from fraudworld.errors import FraudworldError, InternalError

DEBUG = "FRAUDWORLD_DEBUG"

app = typer.Typer(
    name="fraudworld",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Build a whole synthetic bank world, and certify its realism or refuse to.",
    epilog=(
        "Start here:  `fraudworld run --profile demo`\n\n"
        "Exit status: 0 passes B · 1 a gate or check failed · 2 bad input · 3 refused · "
        "4 our fault"
    ),
)
app.command("run")(cli_run.run)
app.command("gates")(cli_run.gates)
app.command("certify")(cli_run.certify)
app.command("ladder")(cli_ladder.ladder)
app.command("transactions")(cli_transactions.transactions)
app.command("witness")(cli_witness.witness)
app.command("verify")(cli_verify.verify)
app.command("attest")(cli_verify.attest)
app.command("report")(cli_report.report)
app.command("export")(cli_export.export)
app.command("doctor")(cli_doctor.doctor)
app.add_typer(cli_store.runs, name="runs")
app.add_typer(cli_perf.perf, name="perf")
app.add_typer(cli_policy.app, name="policy")
app.add_typer(cli_upstream.app, name="upstream")


@app.callback()
def _root() -> None:
    """Options of the program itself: none beyond help."""


def main() -> None:
    """Run the program and exit with the status of the contract; no traceback escapes.

    With `FRAUDWORLD_DEBUG=1` in the environment an unexpected error keeps its traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        app(prog_name="fraudworld")
    except FraudworldError as error:
        _fail(error)
    except KeyboardInterrupt:
        show.warn("interrupted; nothing was published")
        sys.exit(130)
    except Exception as error:
        if os.environ.get(DEBUG) == "1":
            raise
        _fail(
            InternalError(
                "6A.CLI.INTERNAL",
                f"{type(error).__name__}: {error}",
                where="fraudworld " + " ".join(sys.argv[1:]),
                remedy=f"report this; {DEBUG}=1 shows the traceback",
            )
        )


def _fail(error: FraudworldError) -> None:
    show.error_block(error)
    if "--json" in sys.argv[1:]:
        show.json_document({"error": error.as_dict()})
    sys.exit(error.exit_code)
