"""Attestations of runs and certificates: signed, tampered with, wrong key, malformed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from fraudworld.documents import canonical_json
from fraudworld.errors import InputError
from fraudworld.store.attestation import (
    PAYLOAD_TYPE,
    place_of,
    read_attestation,
    signed_by,
    statement,
    write_attestation,
)
from fraudworld.store.layout import RunPlace
from fraudworld.verification import attested, verify
from support import tampering
from support.calling import CallResult
from support.certified import without_models

Call = Callable[..., CallResult]
ALGORITHMS: dict[str, Callable[[], Any]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


def keys(folder: Path, name: str, algorithm: str = "ed25519") -> tuple[Path, Path]:
    """A new private and public key as PEM files."""
    key = ALGORITHMS[algorithm]()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    encoding = serialization.Encoding.PEM
    private.write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


@pytest.fixture
def copy(demo_world: Path, tmp_path: Path) -> Path:
    return tampering.copied(demo_world, tmp_path / "copy")


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes a JSON document in place."""
    document = json.loads(path.read_text("utf-8"))
    change(document)
    tampering.replace(path, json.dumps(document).encode())


def edit_statement(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the statement inside an envelope and keeps the signatures."""

    def inner(envelope: dict[str, Any]) -> None:
        content = json.loads(base64.b64decode(envelope["payload"]))
        change(content)
        envelope["payload"] = base64.b64encode(canonical_json(content)).decode()

    edit(path, inner)


def test_the_statement_of_a_run_is_deterministic(demo_world: Path) -> None:
    place = RunPlace(demo_world)
    attestation = read_attestation(place_of(place))
    assert not attestation.signed
    assert attestation.statement == statement(place)
    assert attestation.payload == canonical_json(statement(place))
    names = {s["name"] for s in attestation.statement["subject"]}
    sealed = {
        p.relative_to(demo_world).as_posix()
        for top in ("data/layer3/6A", "logs")
        for p in (demo_world / top).rglob("*")
        if p.is_file()
    }
    assert names == sealed | {"reports/verify.py"}
    assert "run_receipt.json" in attestation.statement["predicate"]["not_covered"]
    assert "created_at" not in attestation.payload.decode()
    assert attestation.statement["predicate"]["grade"] == "B+"


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_a_signature_is_valid_under_its_key_only(
    demo_world: Path, tmp_path: Path, algorithm: str
) -> None:
    private, public = keys(tmp_path, "signer", algorithm)
    _, other_public = keys(tmp_path, "other", algorithm)
    written = attested(demo_world, private, tmp_path / "out.json")
    attestation = read_attestation(written)
    assert attestation.signed
    assert signed_by(attestation, public)
    assert not signed_by(attestation, other_public)
    unsigned = read_attestation(place_of(RunPlace(demo_world)))
    assert attestation.payload == unsigned.payload
    assert not signed_by(unsigned, public)


def test_a_signature_without_key_id_is_valid(demo_world: Path, tmp_path: Path) -> None:
    private, public = keys(tmp_path, "signer")
    written = attested(demo_world, private, tmp_path / "out.json")
    edit(written, lambda envelope: envelope["signatures"][0].pop("keyid"))
    assert signed_by(read_attestation(written), public)


@pytest.mark.parametrize(
    "change",
    [
        lambda statement: statement["predicate"].update(grade="A"),
        lambda statement: statement["subject"].pop(),
        lambda statement: statement["subject"][0]["digest"].update(sha256="0" * 64),
        lambda statement: statement.update(extra=1),
    ],
)
def test_a_tampered_payload_breaks_signature_and_verification(
    copy: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    private, public = keys(tmp_path, "signer")
    attested(copy, private)
    assert verify(copy, key=public).holds
    edit_statement(place_of(RunPlace(copy)), change)
    attestation = read_attestation(place_of(RunPlace(copy)))
    assert not signed_by(attestation, public)
    # The seal covers the file too: without the other groups, the statement itself fails.
    verdict = verify(copy, key=public, but=("seal", "identity", "tables", "laws", "randomness",
                                            "inputs", "posture", "gates", "outside"))  # fmt: skip
    assert [c.holds for c in verdict.checks] == [False, False]
    assert not verify(copy).holds


@pytest.mark.parametrize(
    "change",
    [
        lambda envelope: envelope.update(payloadType="text/plain"),
        lambda envelope: envelope.update(payload="%%%"),
        lambda envelope: envelope.update(payload=base64.b64encode(b"[]").decode()),
        lambda envelope: envelope.update(payload=base64.b64encode(b"\xff").decode()),
        lambda envelope: envelope.update(payload=7),
        lambda envelope: envelope.pop("payload"),
        lambda envelope: envelope.pop("signatures"),
        lambda envelope: envelope.update(signatures=[7]),
        lambda envelope: envelope.update(signatures=[{"sig": "%"}]),
        lambda envelope: envelope.update(signatures=[{"sig": "", "keyid": 7}]),
    ],
)
def test_a_malformed_envelope_is_refused(
    copy: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    path = place_of(RunPlace(copy))
    edit(path, change)
    with pytest.raises(InputError) as caught:
        read_attestation(path)
    assert caught.value.code == "6A.S5.ATTESTATION_INVALID"


@pytest.mark.parametrize("name", ["_type", "predicateType", "subject", "predicate"])
def test_a_statement_of_another_type_is_refused(copy: Path, name: str) -> None:
    path = place_of(RunPlace(copy))
    edit_statement(path, lambda statement: statement.update({name: "another"}))
    with pytest.raises(InputError, match="ATTESTATION_INVALID"):
        read_attestation(path)


def test_a_signature_over_another_payload_type_is_invalid(copy: Path, tmp_path: Path) -> None:
    """DSSE signs the payload type with the payload: a signature for another type is invalid."""
    dsse = pytest.importorskip("securesystemslib.dsse")
    signer = pytest.importorskip("securesystemslib.signer")
    private, public = keys(tmp_path, "signer")
    key = serialization.load_pem_private_key(private.read_bytes(), password=None)
    payload = read_attestation(place_of(RunPlace(copy))).payload
    envelope = dsse.Envelope(payload, "text/plain", {})
    envelope.sign(signer.CryptoSigner(key))
    document = envelope.to_dict() | {"payloadType": PAYLOAD_TYPE}
    path = tmp_path / "out.json"
    path.write_text(json.dumps(document))
    assert not signed_by(read_attestation(path), public)


def test_attest_and_verify_with_keys(fraudworld: Call, copy: Path, tmp_path: Path) -> None:
    private, public = keys(tmp_path, "signer")
    _, other_public = keys(tmp_path, "other")
    assert fraudworld("verify", copy, "--key", public).status == 1, "not signed yet"
    assert fraudworld("attest", copy, "--key", private).status == 0
    assert fraudworld("verify", copy, "--key", public).status == 0
    result = fraudworld("verify", copy, "--key", other_public)
    assert result.status == 1
    assert "First wrong: attestation" in result.out
    for key in (private, tmp_path / "none.pem", copy / "run_receipt.json"):
        result = fraudworld("verify", copy, "--key", key)
        assert result.status == 2, key
        assert "6A.CLI.KEY_INVALID" in result.err
    assert fraudworld("attest", copy, "--key", public).status == 2


def test_a_run_that_fails_verification_is_not_attested(fraudworld: Call, copy: Path) -> None:
    part = next((copy / "data/layer3/6A/s3_instrument_base_6A").rglob("part-*.parquet"))
    tampering.replace(part, part.read_bytes()[:-1])
    before = place_of(RunPlace(copy)).read_bytes()
    assert fraudworld("attest", copy).status == 1
    assert place_of(RunPlace(copy)).read_bytes() == before


def test_a_lost_attestation_is_rewritten_with_the_same_bytes(copy: Path) -> None:
    path = place_of(RunPlace(copy))
    before = path.read_bytes()
    path.unlink()
    assert not verify(copy).holds
    write_attestation(RunPlace(copy))
    assert path.read_bytes() == before


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A runs root with the certificate of four small worlds, not witnessed; no models are fitted.

    The tests of this module that verify it fit none either.
    """
    from fraudworld import api
    from fraudworld.request import RunRequest

    root = tmp_path_factory.mktemp("certified")
    with pytest.MonkeyPatch.context() as monkeypatch:
        without_models(monkeypatch)
        api.certify(RunRequest(scale=0.4, runs_root=root), (42, 7, 101, 202), witness=False)
        yield root


def test_a_certificate_is_attested_with_its_runs(
    fraudworld: Call, certified: Path, tmp_path: Path
) -> None:
    private, public = keys(tmp_path, "signer")
    assert fraudworld("verify", certified).status == 0
    assert fraudworld("verify", certified, "--key", public).status == 1, "not signed yet"
    assert fraudworld("attest", certified, "--key", private).status == 0
    assert fraudworld("verify", certified, "--key", public).status == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda summary: summary.update(decision="PASS_BPLUS"),
        lambda summary: summary["seeds"]["7"].update(grade="A"),
        lambda summary: summary["runs"].update({"7": summary["runs"]["42"]}),
        lambda summary: summary["runs"].update({"7": "../elsewhere"}),
        lambda summary: summary.pop("runs"),
    ],
)
def test_a_changed_certificate_is_detected(
    fraudworld: Call,
    certified: Path,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], object],
) -> None:
    from fraudworld.certification import SUMMARY

    root = tampering.copied(certified, tmp_path / "root")
    edit(root / SUMMARY, change)
    result = fraudworld("verify", root)
    assert result.status == 1
    assert "First wrong" in result.out


def test_a_certificate_whose_run_changed_is_not_attested(
    fraudworld: Call, certified: Path, tmp_path: Path
) -> None:
    root = tampering.copied(certified, tmp_path / "root")
    part = sorted(root.glob("*/data/layer3/6A/s3_instrument_base_6A/**/part-*.parquet"))[-1]
    tampering.replace(part, part.read_bytes()[:-1])
    assert fraudworld("attest", root).status == 1
    assert fraudworld("verify", root).status == 1
