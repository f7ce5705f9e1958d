"""Writing a run's attestation anew, signed by a key of the user's."""

from __future__ import annotations

from pathlib import Path

from fraudworld.store import attestation
from fraudworld.store.identity import canonical_json
from fraudworld.store.layout import RunPlace
from fraudworld.store.seal import renew_reports
from fraudworld.store.whole import write_whole


def attested(run: Path, key: Path | None, out: Path | None = None) -> Path:
    """Write the attestation of a run, signed by the private key in the PEM file `key`, if any.

    Into the file `out`, by default the run's own; returns where. The caller has verified the
    run. Raises InputError `6A.CLI.KEY_INVALID`, `6A.CLI.EXTRA_MISSING`, `6A.S0.IO_WRITE_FAILED`.
    """
    place = RunPlace(run)
    payload = canonical_json(attestation.statement(place))
    document = attestation.envelope(payload) if key is None else attestation.sign(payload, key)
    data = canonical_json(document) + b"\n"
    if out is not None:
        write_whole(out, data)
        return out
    own = attestation.place_of(place)
    renew_reports(place, {own: data})
    return own
