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
        typer.Option(
            metavar="PEM",
            help="Your private key: Ed25519, ECDSA P-256 or RSA.",
            callback=opt.absolute,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File to write; by default the run's own attestation is replaced.",
            callback=opt.absolute,
        ),
    ] = None,
    runs_root: opt.RunsRoot = RUNS_ROOT,
    as_json: opt.AsJson = False,
) -> None:
    """Attest how a run or a certificate was judged: an in-toto statement in a DSSE envelope.

    RUN may be a runs root that holds a certificate. The run is verified completely first; if a
    check fails, nothing is attested and the exit status is 1. Equal runs have equal statements;
    the signature, if you give a key, is yours.

    Examples:

        fraudworld attest 3f2a --key me.pem

        fraudworld attest 3f2a --key me.pem --out 3f2a.attestation.json
    """
    from fraudworld.verification import attested, is_certificate, verify_certificate
    from fraudworld.verification import verify as examine

    place = opt.folder_of(run, runs_root)
    verdict = (
        verify_certificate(place, attested=False)
        if is_certificate(place)
        else examine(place, but=("attestation",))
    )
    failure = verdict.first_failure
    if failure is not None:
        if as_json:
            show.json_document({"attestation": None, "failure": vars(failure)})
        else:
            words = (f"Not attested: {failure.group}: {failure.name}", f"  {failure.what}")
            show.lines(("", *words))
        raise typer.Exit(1)
    written = attested(place, key, out)
    if as_json:
        show.json_document({"attestation": str(written), "signed": key is not None})
    else:
        show.lines((f"{written}  {'signed' if key else 'not signed'}",))
