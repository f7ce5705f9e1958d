"""Writes an attestation, signed with the user's key."""

from __future__ import annotations

from pathlib import Path

from fraudworld.certification import SUMMARY
from fraudworld.store import attestation
from fraudworld.store.atomic import write_atomic
from fraudworld.store.layout import RunPlace
from fraudworld.store.seal import renew_reports
from fraudworld.verification.certificate import is_certificate


def attested(place: Path, key: Path | None, out: Path | None = None) -> Path:
    """Writes the attestation of a run, or of a runs root's certificate; returns its path.

    key: PEM file of the private key that signs it, if any. out: by default the path of the run's
    or certificate's own attestation. The caller has verified the run before.
    Raises InputError `6A.CLI.KEY_INVALID`, `6A.CLI.EXTRA_MISSING`, `6A.S0.IO_WRITE_FAILED`.
    """
    if is_certificate(place):
        stated = attestation.certificate_statement(place / SUMMARY, place)
        own = attestation.certificate_place(place / SUMMARY)
    else:
        stated = attestation.statement(RunPlace(place))
        own = attestation.place_of(RunPlace(place))
    data = attestation.encoded(stated, key)
    if out is not None or is_certificate(place):
        write_atomic(out or own, data)
    else:
        renew_reports(RunPlace(place), {own: data})
    return out or own
