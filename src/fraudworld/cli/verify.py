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
        bool, typer.Option("--deep", help="Make the whole run again and compare every byte.")
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM",
            help="Public key that must have signed the run's attestation.",
            callback=opt.absolute,
        ),
    ] = None,
    upstream: opt.UpstreamDir = None,
    runs_root: opt.RunsRoot = RUNS_ROOT,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print only the first failing check, if any.")
    ] = False,
    as_json: opt.AsJson = False,
) -> None:
    """Recompute, from bytes alone, everything a published run claims.

    Seal, identity, schemas, content digests, keys and laws, randomness, inputs, roles and
    checks of S5, gateboard, report. The first failing check is named and the exit status is 1.
    What is stated and cannot be proved is listed as claimed. Works on a copy elsewhere. Given a
    runs root with a certificate, verifies that and every run it names.

    With --deep, a run made by other laws than this version's is refused (status 3), with the
    version that can make it again.

    Examples:

        fraudworld verify 3f2a

        fraudworld verify copies/3f2a --deep

        fraudworld verify 3f2a --key reviewer.pub.pem
    """
    from fraudworld.verification import is_certificate, verify_certificate, verify_deeply
    from fraudworld.verification import verify as examine

    place = opt.folder_of(run, runs_root)
    if is_certificate(place):
        verdict = verify_certificate(place, key=key, upstream=upstream, deep=deep)
    elif deep:
        verdict = verify_deeply(place, upstream=upstream, key=key)
    else:
        verdict = examine(place, upstream=upstream, key=key)
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
        if failure is None and not quiet:
            show.lines(("", "Claimed, not proved", *(f"  {line}" for line in verdict.claimed)))
    if not verdict.holds:
        raise typer.Exit(1)
