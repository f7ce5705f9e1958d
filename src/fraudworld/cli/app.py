"""The program: its commands, exit statuses and errors; a thin layer over `fraudworld.api`.

Exit status: 0 done and passing B · 1 done, a gate or check failed · 2 bad input or usage ·
3 refused · 4 internal error. Heavy modules are imported inside commands, so that `--help`
starts fast.
"""

from __future__ import annotations

import os
import sys

import typer

from fraudworld.cli import (
    attest,
    certify,
    doctor,
    export,
    gates,
    ladder,
    perf,
    policy,
    report,
    run,
    runs,
    transactions,
    upstream,
    verify,
    witness,
)
from fraudworld.cli import output as show
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
        "4 internal error"
    ),
)
app.command("run")(run.run)
app.command("gates")(gates.gates)
app.command("certify")(certify.certify)
app.command("ladder")(ladder.ladder)
app.command("transactions")(transactions.transactions)
app.command("witness")(witness.witness)
app.command("verify")(verify.verify)
app.command("attest")(attest.attest)
app.command("report")(report.report)
app.command("export")(export.export)
app.command("doctor")(doctor.doctor)
app.add_typer(runs.runs, name="runs")
app.add_typer(perf.perf, name="perf")
app.add_typer(policy.app, name="policy")
app.add_typer(upstream.app, name="upstream")


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
                remedy="; ".join(
                    [
                        f"report this; {DEBUG}=1 shows the traceback",
                        *getattr(error, "__notes__", ()),
                    ]
                ),
            )
        )


def _fail(error: FraudworldError) -> None:
    show.error_block(error)
    if "--json" in sys.argv[1:]:
        show.json_document({"error": error.as_dict()})
    sys.exit(error.exit_code)
