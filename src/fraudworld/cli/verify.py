"""`fraudworld verify`: recompute what a run or a certificate claims."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from fraudworld.cli import options as opt
from fraudworld.cli import output as show
from fraudworld.request import RUNS_ROOT, SummaryTable


def verify(
    run: opt.Run,
    deep: Annotated[
        bool, typer.Option("--deep", help="Regenerate the whole run and compare every value.")
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Public key that must have signed the run's attestation."),
    ] = None,
    upstream: opt.UpstreamDir = None,
    runs_root: opt.RunsRoot = RUNS_ROOT,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only the first failing check, if any.")
    ] = False,
    as_json: opt.AsJson = False,
) -> None:
    """Recompute, from bytes alone, everything a published run claims.

    Seal, identity, schemas, content digests, keys and laws, randomness, inputs, gateboard.
    The first failing check is named and the exit status is 1. Works on a copy elsewhere. Given
    a runs root with a certificate, verifies that and every run it names.

    Examples:

        fraudworld verify 3f2a

        fraudworld verify copies/3f2a --deep

        fraudworld verify 3f2a --key reviewer.pub.pem
    """
    from fraudworld import api
    from fraudworld.verification import Verdict, is_certificate, regenerated, verify_certificate
    from fraudworld.verification import verify as examine

    place = Path(run) if Path(run).is_dir() else api.find_run(run, runs_root).root
    whole = is_certificate(place)
    verdict = (
        verify_certificate(place, key=key) if whole else examine(place, upstream=upstream, key=key)
    )
    if deep and verdict.holds and not whole:
        checks = (*verdict.checks, *regenerated(place, upstream=upstream))
        verdict = Verdict(verdict.run, checks, ())
    if as_json:
        show.json_document(verdict.as_dict())
    else:
        groups = Counter(c.group for c in verdict.checks)
        bad = Counter(c.group for c in verdict.checks if not c.holds)
        rows = [(g, n, "FAILS" if bad[g] else "holds") for g, n in groups.items()]
        rows += [(g, 0, "not reached") for g in verdict.skipped]
        failure = verdict.first_failure
        if not quiet:
            show.table(SummaryTable("Verification", ("group", "checks", ""), tuple(rows)))
        words = (
            ("", "Everything this run claims holds.")
            if failure is None
            else ("", f"First wrong: {failure.group}: {failure.name}", f"  {failure.what}")
        )
        if failure is not None or not quiet:
            show.lines(words)
    if not verdict.holds:
        raise typer.Exit(1)
