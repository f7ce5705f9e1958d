"""The attestation of a run: signed, tampered with, under the wrong key, malformed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
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
from support.calling import Said

Call = Callable[..., Said]
KINDS: dict[str, Callable[[], Any]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


def keys(folder: Path, name: str, kind: str = "ed25519") -> tuple[Path, Path]:
    """A new private and public key as PEM files."""
    key = KINDS[kind]()
    mine, theirs = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    encoding = serialization.Encoding.PEM
    mine.write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    theirs.write_bytes(
        key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return mine, theirs


@pytest.fixture
def copy(demo_world: Path, tmp_path: Path) -> Path:
    return tampering.copied(demo_world, tmp_path / "copy")


def edited(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON document in place."""
    document = json.loads(path.read_text("utf-8"))
    change(document)
    tampering.replace(path, json.dumps(document).encode())


def restated(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the statement inside an envelope, leaving the signatures."""

    def inner(envelope: dict[str, Any]) -> None:
        found = json.loads(base64.b64decode(envelope["payload"]))
        change(found)
        envelope["payload"] = base64.b64encode(canonical_json(found)).decode()

    edited(path, inner)


def test_every_run_states_itself_the_same_each_time(demo_world: Path) -> None:
    place = RunPlace(demo_world)
    found = read_attestation(place_of(place))
    assert not found.signed
    assert found.statement == statement(place)
    assert found.payload == canonical_json(statement(place))
    names = {s["name"] for s in found.statement["subject"]}
    sealed = {
        p.relative_to(demo_world).as_posix()
        for top in ("data/layer3/6A", "logs")
        for p in (demo_world / top).rglob("*")
        if p.is_file()
    }
    assert names == sealed
    assert "created_at" not in found.payload.decode()
    assert found.statement["predicate"]["grade"] == "B+"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_signature_is_good_under_its_key_and_no_other(
    demo_world: Path, tmp_path: Path, kind: str
) -> None:
    mine, theirs = keys(tmp_path, "mine", kind)
    _, other = keys(tmp_path, "other", kind)
    written = attested(demo_world, mine, tmp_path / "out.json")
    found = read_attestation(written)
    assert found.signed
    assert signed_by(found, theirs)
    assert not signed_by(found, other)
    unsigned = read_attestation(place_of(RunPlace(demo_world)))
    assert found.payload == unsigned.payload
    assert not signed_by(unsigned, theirs)


def test_a_key_id_is_only_a_hint(demo_world: Path, tmp_path: Path) -> None:
    mine, theirs = keys(tmp_path, "mine")
    written = attested(demo_world, mine, tmp_path / "out.json")
    edited(written, lambda envelope: envelope["signatures"][0].pop("keyid"))
    assert signed_by(read_attestation(written), theirs)


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found["predicate"].update(grade="A"),
        lambda found: found["subject"].pop(),
        lambda found: found["subject"][0]["digest"].update(sha256="0" * 64),
        lambda found: found.update(extra=1),
    ],
)
def test_a_tampered_payload_breaks_signature_and_verification(
    copy: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    mine, theirs = keys(tmp_path, "mine")
    attested(copy, mine)
    assert verify(copy, key=theirs).holds
    restated(place_of(RunPlace(copy)), change)
    found = read_attestation(place_of(RunPlace(copy)))
    assert not signed_by(found, theirs)
    # Past the seal, which covers the file too: the statement itself is found wrong.
    verdict = verify(copy, key=theirs, but=("seal", "identity", "tables", "laws", "randomness",
                                            "inputs", "gates"))  # fmt: skip
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
def test_a_malformed_envelope_is_refused_by_name(
    copy: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    path = place_of(RunPlace(copy))
    edited(path, change)
    with pytest.raises(InputError) as caught:
        read_attestation(path)
    assert caught.value.code == "6A.S5.ATTESTATION_INVALID"


@pytest.mark.parametrize("name", ["_type", "predicateType", "subject", "predicate"])
def test_a_statement_of_another_type_is_refused(copy: Path, name: str) -> None:
    path = place_of(RunPlace(copy))
    restated(path, lambda found: found.update({name: "another"}))
    with pytest.raises(InputError, match="ATTESTATION_INVALID"):
        read_attestation(path)


def test_a_signature_over_another_payload_type_is_not_ours(copy: Path, tmp_path: Path) -> None:
    """DSSE signs the type with the payload: a signature made for another use is none here."""
    dsse = pytest.importorskip("securesystemslib.dsse")
    signer = pytest.importorskip("securesystemslib.signer")
    mine, theirs = keys(tmp_path, "mine")
    private = serialization.load_pem_private_key(mine.read_bytes(), password=None)
    payload = read_attestation(place_of(RunPlace(copy))).payload
    made = dsse.Envelope(payload, "text/plain", {})
    made.sign(signer.CryptoSigner(private))
    document = made.to_dict() | {"payloadType": PAYLOAD_TYPE}
    path = tmp_path / "out.json"
    path.write_text(json.dumps(document))
    assert not signed_by(read_attestation(path), theirs)


def test_the_commands(fraudworld: Call, copy: Path, tmp_path: Path) -> None:
    mine, theirs = keys(tmp_path, "mine")
    _, other = keys(tmp_path, "other")
    assert fraudworld("verify", copy, "--key", theirs).status == 1, "not signed yet"
    assert fraudworld("attest", copy, "--key", mine).status == 0
    assert fraudworld("verify", copy, "--key", theirs).status == 0
    said = fraudworld("verify", copy, "--key", other)
    assert said.status == 1
    assert "First wrong: attestation" in said.out
    for key in (mine, tmp_path / "none.pem", copy / "run_receipt.json"):
        said = fraudworld("verify", copy, "--key", key)
        assert said.status == 2, key
        assert "6A.CLI.KEY_INVALID" in said.err
    assert fraudworld("attest", copy, "--key", theirs).status == 2


def test_a_run_that_does_not_hold_is_not_attested(fraudworld: Call, copy: Path) -> None:
    part = next((copy / "data/layer3/6A/s3_instrument_base_6A").rglob("part-*.parquet"))
    tampering.replace(part, part.read_bytes()[:-1])
    before = place_of(RunPlace(copy)).read_bytes()
    assert fraudworld("attest", copy).status == 1
    assert place_of(RunPlace(copy)).read_bytes() == before


def test_a_run_that_lost_its_attestation_gets_the_same_one(copy: Path) -> None:
    path = place_of(RunPlace(copy))
    before = path.read_bytes()
    path.unlink()
    assert not verify(copy).holds
    write_attestation(RunPlace(copy))
    assert path.read_bytes() == before


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs root with the certificate of four small worlds, not witnessed."""
    from fraudworld import api
    from fraudworld.request import RunRequest

    root = tmp_path_factory.mktemp("certified")
    api.certify(RunRequest(scale=0.4, runs_root=root), (42, 7, 101, 202), witness=False)
    return root


def test_a_certificate_is_attested_with_its_runs(
    fraudworld: Call, certified: Path, tmp_path: Path
) -> None:
    mine, theirs = keys(tmp_path, "mine")
    assert fraudworld("verify", certified).status == 0
    assert fraudworld("verify", certified, "--key", theirs).status == 1, "not signed yet"
    assert fraudworld("attest", certified, "--key", mine).status == 0
    assert fraudworld("verify", certified, "--key", theirs).status == 0


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
def test_a_changed_certificate_is_found(
    fraudworld: Call,
    certified: Path,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], object],
) -> None:
    from fraudworld.gates.certify import SUMMARY

    root = tampering.copied(certified, tmp_path / "root")
    edited(root / SUMMARY, change)
    said = fraudworld("verify", root)
    assert said.status == 1
    assert "First wrong" in said.out


def test_a_certificate_whose_run_changed_is_not_attested(
    fraudworld: Call, certified: Path, tmp_path: Path
) -> None:
    root = tampering.copied(certified, tmp_path / "root")
    part = sorted(root.glob("*/data/layer3/6A/s3_instrument_base_6A/**/part-*.parquet"))[-1]
    tampering.replace(part, part.read_bytes()[:-1])
    assert fraudworld("attest", root).status == 1
    assert fraudworld("verify", root).status == 1
