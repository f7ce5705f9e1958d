"""A run's verdict as an in-toto statement (v1) in a DSSE envelope: `reports/attestation.json`.

The subjects of the statement are the files under the run's seal; its predicate is the identity of
the run and the result of every gate. It holds no time and no path, so equal runs have equal
statements. Signatures are made with the user's key over the envelope's encoding (DSSE v1).
Formats: in-toto attestation framework v1 (statement), secure-systems-lab DSSE v1.0 (envelope).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fraudworld.documents import JsonObject, canonical_json, load_json, parse_json
from fraudworld.errors import InputError
from fraudworld.extras import needs
from fraudworld.store.atomic import write_atomic
from fraudworld.store.bundle import describe
from fraudworld.store.layout import RunPlace
from fraudworld.store.receipt import read_receipt

NAME = "attestation.json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:fraudworld:attestation:realism:v1"
CERTIFICATE_TYPE = "urn:fraudworld:attestation:certificate:v1"
NOT_COVERED = ("reports/ except verify.py", "run_index.json", "run_receipt.json")
"""Files of a run that its attestation says nothing about: they hold times, or may be renewed."""
LARGEST = 16 << 20
INVALID = "6A.S5.ATTESTATION_INVALID"
NO_KEY = "6A.CLI.KEY_INVALID"


@dataclass(frozen=True)
class Attestation:
    """An envelope as read: its payload, the statement inside, and the envelope itself."""

    payload: bytes
    statement: JsonObject
    envelope: JsonObject

    @property
    def signed(self) -> bool:
        """Whether the envelope carries a signature, valid or not."""
        return bool(self.envelope["signatures"])


def place_of(place: RunPlace) -> Path:
    """Path of a run's attestation."""
    return place.reports / NAME


def statement(place: RunPlace) -> JsonObject:
    """The statement that its current files make true of a run.

    Raises InputError where index, receipt or gateboard cannot be read.
    """
    index = _json(place.bundle_index)
    board = _json(place.gateboard)
    receipt = read_receipt(place)
    others = (place.bundle_index, place.flag, place.reports / "verify.py")
    own = [p.relative_to(place.root).as_posix() for p in others]
    rows = [(str(m["path"]), str(m["sha256_hex"])) for m in index["members"]]
    here = [name for name in own if (place.root / name).is_file()]
    rows += [(m.path, m.sha256_hex) for m in describe(place.root, here)]
    kept = ("test_id", "metric_name", "value", "pass_B", "pass_Bplus", "status")
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": sha}} for name, sha in sorted(rows)],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "run_id": receipt.run_id,
            "profile": receipt.profile,
            "scale": receipt.scale,
            "seed": receipt.seed,
            "parameter_hash": receipt.parameter_hash,
            "manifest_fingerprint": receipt.manifest_fingerprint,
            "posture": receipt.posture,
            "overlays": list(receipt.overlays),
            "versions": receipt.versions,
            "bundle_digest": receipt.bundle_digest,
            "content_digests": index["content_digests"],
            "grade": receipt.grade,
            "passed": receipt.passed,
            "rebaseline": board["rebaseline"],
            "gates": [{key: row[key] for key in kept} for row in board["tests"]],
            "guards_broken": [g["guard_id"] for g in board["guards"] if not g["holds"]],
            "not_covered": list(NOT_COVERED),
        },
    }


def certificate_place(summary: Path) -> Path:
    """Path of a certificate's attestation: beside its summary."""
    return summary.with_name(f"{summary.stem}.{NAME}")


def certificate_statement(summary: Path, runs_root: Path) -> JsonObject:
    """The statement of a certificate: its summary and every file it rests on.

    Raises InputError where the summary or one of these files cannot be read.
    """
    document = _json(summary)
    rows = [(m.path, m.sha256_hex) for m in describe(summary.parent, [summary.name])]
    try:
        for seed, digests in document["digests"].items():
            run = str(document["runs"][seed])
            # Evidence of T10 lies below the runs root, everything else inside the run.
            names = [n if (runs_root / n).is_file() else f"{run}/{n}" for n in digests]
            rows += [(m.path, m.sha256_hex) for m in describe(runs_root, names)]
        kept = (
            "contract_version", "decision", "eligible_grade", "statement", "rebaseline", "runs",
            "seeds",
        )  # fmt: skip
        predicate = {key: document[key] for key in kept}
    except (OSError, KeyError, AttributeError, TypeError, ValueError) as error:
        raise InputError(
            "6A.S0.IO_READ_FAILED",
            f"the certificate rests on a run that cannot be read: {type(error).__name__}: {error}",
            where=str(summary),
            remedy="bring the runs along with their certificate, or certify again",
        ) from error
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": sha}} for name, sha in sorted(rows)],
        "predicateType": CERTIFICATE_TYPE,
        "predicate": predicate,
    }


def envelope(payload: bytes) -> JsonObject:
    """An envelope without signatures around a statement's bytes."""
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(payload).decode("ascii"),
        "signatures": [],
    }


def write_attestation(place: RunPlace) -> None:
    """Writes the unsigned attestation of a staged run; equal runs give equal bytes."""
    place_of(place).write_bytes(encoded(statement(place)))


def write_certificate(summary: Path, runs_root: Path) -> None:
    """Writes the unsigned attestation of a certificate beside its summary."""
    write_atomic(certificate_place(summary), encoded(certificate_statement(summary, runs_root)))


def encoded(stated: JsonObject, key: Path | None = None) -> bytes:
    """The bytes of an envelope around a statement, signed by `key` if one is given."""
    payload = canonical_json(stated)
    document = envelope(payload) if key is None else sign(payload, key)
    return canonical_json(document) + b"\n"


def read_attestation(path: Path) -> Attestation:
    """Reads an envelope and the statement inside it.

    Raises InputError `6A.S5.ATTESTATION_INVALID` for anything that is not a DSSE envelope around
    an in-toto statement of this project, every field present and of its type.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError("larger than 16 MiB")
        document = load_json(path)
        if document["payloadType"] != PAYLOAD_TYPE:
            raise ValueError(f"payloadType is {str(document['payloadType'])[:80]!r}")
        payload = base64.b64decode(document["payload"], validate=True)
        for signature in document["signatures"]:
            base64.b64decode(signature["sig"], validate=True)
            if not isinstance(signature.get("keyid", ""), str):
                raise ValueError("a keyid is not a string")
        statement = parse_json(payload)
        kinds = (PREDICATE_TYPE, CERTIFICATE_TYPE)
        if statement["_type"] != STATEMENT_TYPE or statement["predicateType"] not in kinds:
            raise ValueError(
                f"it states {statement['_type']!r}, {statement['predicateType']!r}"[:160]
            )
        for subject in statement["subject"]:
            if not isinstance(subject["name"] + subject["digest"]["sha256"], str):
                raise ValueError("a subject without name or digest")
        if not isinstance(statement["predicate"], dict):
            raise ValueError("no predicate")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            INVALID,
            f"this is not an attestation of a run: {type(error).__name__}: {error}"[:300],
            where=str(path),
            remedy="make one: fraudworld attest RUN",
        ) from error
    return Attestation(payload, statement, document)


def differences(attestation: Attestation, wanted: JsonObject) -> Iterator[str]:
    """Lines in which a statement differs from the true one; subjects first.

    wanted: the true statement, from `statement` or `certificate_statement`.
    """
    if attestation.statement["predicateType"] != wanted["predicateType"]:
        yield f"it states {attestation.statement['predicateType']}"
    stated, here = (
        {s["name"]: s["digest"]["sha256"] for s in document["subject"]}
        for document in (attestation.statement, wanted)
    )
    for name in sorted(stated.keys() | here.keys()):
        if stated.get(name) != here.get(name):
            yield f"{name} is {here.get(name)}, stated {stated.get(name)}"
    said = attestation.statement["predicate"]
    for key in sorted(said.keys() | wanted["predicate"].keys()):
        if said.get(key) != wanted["predicate"].get(key):
            found = str(wanted["predicate"].get(key))[:80]
            yield f"{key}: stated {str(said.get(key))[:80]}, found {found}"
    if attestation.payload != canonical_json(wanted):
        yield "the statement has more than it should, or another encoding"


def sign(payload: bytes, key: Path) -> JsonObject:
    """An envelope signed by the private key in a PEM file (Ed25519, ECDSA or RSA).

    Raises InputError `6A.CLI.KEY_INVALID`, and `6A.CLI.EXTRA_MISSING` without the extra `sign`.
    """
    dsse, signer = needs("securesystemslib.dsse"), needs("securesystemslib.signer")
    serialization = needs("cryptography.hazmat.primitives.serialization")
    errors = (OSError, ValueError, TypeError, needs("cryptography.exceptions").UnsupportedAlgorithm)
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
        envelope = dsse.Envelope(payload, PAYLOAD_TYPE, {})
        envelope.sign(signer.CryptoSigner(private))
    except errors as error:
        raise _no_key(key, "private", error) from error
    document: JsonObject = envelope.to_dict()
    return document


def signed_by(attestation: Attestation, key: Path) -> bool:
    """Whether one of the signatures is valid under the public key in a PEM file.

    A key id is only a hint (DSSE), so every signature is tried. Raises InputError
    `6A.CLI.KEY_INVALID`, and `6A.CLI.EXTRA_MISSING` without the extra `sign`.
    """
    dsse, signer = needs("securesystemslib.dsse"), needs("securesystemslib.signer")
    failed = needs("securesystemslib.exceptions").UnverifiedSignatureError
    serialization = needs("cryptography.hazmat.primitives.serialization")
    errors = (OSError, ValueError, TypeError, needs("cryptography.exceptions").UnsupportedAlgorithm)
    try:
        public = serialization.load_pem_public_key(key.read_bytes())
        mine = signer.SSlibKey.from_crypto(public)
    except errors as error:
        raise _no_key(key, "public", error) from error
    covered = dsse.Envelope(attestation.payload, PAYLOAD_TYPE, {}).pae()
    for row in attestation.envelope["signatures"]:
        raw = base64.b64decode(row["sig"], validate=True).hex()
        try:
            mine.verify_signature(signer.Signature(mine.keyid, raw), covered)
        except failed:
            continue
        return True
    return False


def _no_key(path: Path, kind: str, error: Exception) -> InputError:
    return InputError(
        NO_KEY,
        f"not a usable {kind} key: {error}"[:300],
        where=str(path),
        remedy=f"name a PEM file with an unencrypted {kind} key: Ed25519, ECDSA P-256 or RSA",
    )


def _json(path: Path) -> JsonObject:
    try:
        document = load_json(path)
        if not isinstance(document, dict):
            raise ValueError("not a JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            "6A.S0.IO_READ_FAILED",
            f"this file of the run cannot be read: {error}",
            where=str(path),
            remedy="the run was changed after publishing; make it again elsewhere",
        ) from error
    return document
