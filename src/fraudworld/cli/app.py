"""The program: its commands, exit statuses and errors; a thin layer over `fraudworld.api`.

Exit status: 0 done and passing B · 1 done, a gate or check failed · 2 bad input or usage ·
3 refused · 4 internal error. Heavy modules are imported inside commands, so that `--help`
starts fast.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from fraudworld.cli import (
    attest,
    certify,
    doctor,
    export,
    gates,
    ladder,
    perf,
    policy,
    profiles,
    report,
    run,
    runs,
    transactions,
    upstream,
    verify,
    witness,
)
from fraudworld.cli import output as show
from fraudworld.cli.failures import DEBUG, typed
from fraudworld.cli.streams import ABANDONED, outputs
from fraudworld.errors import FraudworldError, InputError, InternalError


class Program(TyperGroup):
    """The commands; whatever leaves one is an error of the contract."""

    def invoke(self, ctx: Any) -> Any:
        """Runs a command. With `FRAUDWORLD_DEBUG=1` an unexpected error keeps its traceback."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, TyperException):
            raise
        except KeyboardInterrupt:
            show.warn("interrupted; nothing was published")
            raise typer.Exit(130) from None
        except Exception as error:
            failure = typed(error)
            if isinstance(failure, InternalError) and os.environ.get(DEBUG) == "1":
                raise
            raise failure from error


app = typer.Typer(
    name="fraudworld",
    cls=Program,
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
app.command("profiles")(profiles.profiles)
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

    A stdout that cannot be written ends with status 2, unless the command says more; one that is
    closed, or whose reader has ended, changes no status.
    """
    with outputs() as stdout:
        status = _status()
        sys.stdout.flush()
        lost = [s.failure for s in stdout if s.failure and s.failure.errno not in ABANDONED]
        if lost and status == 0:
            show.error_block(
                InputError(
                    "6A.CLI.OUTPUT_LOST",
                    f"stdout cannot be written: {lost[0].strerror}",
                    where="stdout",
                    remedy="what the command made is kept; send its output elsewhere",
                )
            )
            status = InputError.exit_code
    sys.exit(status)


def _status() -> int:
    """Runs the command and returns its exit status."""
    try:
        return int(app(prog_name="fraudworld", standalone_mode=False) or 0)
    except TyperException as error:
        what = error.format_message()
        if not what.strip():  # a group without a command has printed its help
            return InputError.exit_code
        usage = getattr(error, "ctx", None)
        called = usage.command_path if usage else "fraudworld"
        return _failed(InputError("6A.CLI.USAGE", what, where=called, remedy=f"{called} --help"))
    except FraudworldError as error:
        return _failed(error)


def _failed(error: FraudworldError) -> int:
    show.error_block(error)
    if "--json" in sys.argv[1:]:
        show.json_document({"error": error.as_dict()})
    return error.exit_code
