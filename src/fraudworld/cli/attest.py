"""`fraudworld attest`: sign how a run or a certificate was judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fraudworld.cli import options as opt
from fraudworld.cli import output as show
from fraudworld.request import RUNS_ROOT


def attest(
    run: opt.Run,
    key: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Your private key: Ed25519, ECDSA P-256 or RSA."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write it there; by default the run's own is renewed in place."
        ),
    ] = None,
    runs_root: opt.RunsRoot = RUNS_ROOT,
    as_json: opt.AsJson = False,
) -> None:
    """State how a run or a certificate was judged: in-toto in a DSSE envelope, signed or not.

    RUN may be a runs root that holds a certificate. What is attested is verified first, all of
    it; what does not hold is not attested and the exit status is 1. The statement is the same
    whoever makes it; the signature is yours.

    Examples:

        fraudworld attest 3f2a --key me.pem

        fraudworld attest 3f2a --key me.pem --out 3f2a.attestation.json
    """
    from fraudworld import api
    from fraudworld.verification import attested, is_certificate, verify_certificate
    from fraudworld.verification import verify as examine

    place = Path(run) if Path(run).is_dir() else api.find_run(run, runs_root).root
    verdict = (
        verify_certificate(place, attested=False)
        if is_certificate(place)
        else examine(place, but=("attestation",))
    )
    failure = verdict.first_failure
    if failure is not None:
        words = (f"Not attested: {failure.group}: {failure.name}", f"  {failure.what}")
        show.lines(("", *words))
        raise typer.Exit(1)
    written = attested(place, key, out)
    if as_json:
        show.json_document({"attestation": str(written), "signed": key is not None})
    else:
        show.lines((f"{written}  {'signed' if key else 'not signed'}",))
