"""Sealing a run, and detecting every later change."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fraudworld.contracts.network import IP_LINKS
from fraudworld.errors import InputError, RefusedError
from fraudworld.store.bundle import bundle_digest, sha256_file
from fraudworld.store.identity import Identity
from fraudworld.store.layout import RunPlace
from fraudworld.store.receipt import Receipt, now, read_receipt, write_receipt
from fraudworld.store.seal import check_run, seal_run, write_run_index
from fraudworld.store.tables import Writing

IDENTITY = Identity(42, "a" * 64, "b" * 64)
RECEIPT = Receipt(
    run_id="0" * 32,
    role="none",
    profile="demo",
    scale=1.0,
    seed=42,
    parameter_hash="a" * 64,
    manifest_fingerprint="b" * 64,
    overlays=("published_baseline",),
    posture="certifiable",
    versions={"fraudworld": "0"},
    grade="B",
    passed=True,
    bundle_digest="c" * 64,
    tables={"s4_ip_links_6A": 3},
    created_at=now(),
)


@pytest.fixture
def place(tmp_path: Path) -> RunPlace:
    """A staged run of one small dataset, its evidence and its receipt."""
    return staged_run(tmp_path / "run", passed=True)


def staged_run(root: Path, *, passed: bool) -> RunPlace:
    place = RunPlace(root)
    folder = place.dataset("s4_ip_links_6A", IDENTITY)
    codes = {"link_role": ("MERCHANT_ENDPOINT", "TYPICAL_DEVICE_IP")}
    writing = Writing.of(IP_LINKS, folder, IDENTITY, codes)
    part = writing.write(
        0,
        {
            "ip_id": np.array([1, 2, 2]),
            "device_id": np.array([1, 0, 2]),
            "merchant_id": np.array([0, 9, 0]),
            "link_role": np.array([1, 0, 1], np.uint8),
        },
    )
    record = writing.record([part])
    for path in (place.gateboard, place.rng_logs / "audit/rng_audit_6A.jsonl", place.report):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    seal_run(place, [(folder, record)], passed=passed)
    write_receipt(place, RECEIPT)
    write_run_index(place)
    return place


def test_index_lists_every_file_by_content(place: RunPlace) -> None:
    document = json.loads(place.bundle_index.read_text("utf-8"))
    paths = [m["path"] for m in document["members"]]
    assert paths == sorted(paths)
    assert [Path(p).name for p in paths] == [
        "part-00000.parquet",
        "realism_gate_6A.json",
        "rng_audit_6A.jsonl",
    ]
    for member in document["members"]:
        path = place.root / member["path"]
        assert member["sha256_hex"] == sha256_file(path)
        assert member["bytes"] == path.stat().st_size
    assert list(document["content_digests"]) == ["s4_ip_links_6A"]
    assert place.flag.read_text() == f"sha256_hex = {bundle_digest(document)}\n"


def test_the_run_index_covers_files_outside_the_bundle(place: RunPlace) -> None:
    document = json.loads(place.run_index.read_text("utf-8"))
    assert [m["path"] for m in document["members"]] == ["reports/report.html", "run_receipt.json"]


def test_a_failing_run_is_sealed_without_flag(tmp_path: Path) -> None:
    place = staged_run(tmp_path, passed=False)
    assert not place.flag.exists()
    assert not check_run(place).passed


def test_an_intact_run_verifies_in_any_folder(place: RunPlace) -> None:
    sealed = check_run(place)
    assert sealed.passed
    moved = place.root.rename(place.root.with_name("elsewhere"))
    assert check_run(RunPlace(moved)) == sealed


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def part(place: RunPlace) -> Path:
    return place.dataset("s4_ip_links_6A", IDENTITY) / "part-00000.parquet"


TAMPERINGS: dict[str, Callable[[RunPlace], object]] = {
    "a bit of a part": lambda p: flip(part(p)),
    "a bit of the gateboard": lambda p: flip(p.gateboard),
    "a bit of the flag": lambda p: flip(p.flag),
    "a part removed": lambda p: part(p).unlink(),
    "a part added": lambda p: part(p).with_name("part-00001.parquet").write_bytes(b""),
    "a file at the top": lambda p: (p.root / "extra").write_text("x"),
    "a part behind a link": lambda p: (
        part(p).rename(p.root.with_name("moved")),
        part(p).symlink_to(p.root.with_name("moved")),
    ),
    "index gone": lambda p: p.bundle_index.unlink(),
    "index empty": lambda p: p.bundle_index.write_text("{}"),
    "index edited": lambda p: p.bundle_index.write_text(
        p.bundle_index.read_text().replace("rng_audit", "rng_audix")
    ),
    "an index with NaN": lambda p: p.bundle_index.write_text(
        p.bundle_index.read_text().replace('"content_digests":{', '"content_digests":{"x":NaN,')
    ),
    "a member no file system takes": lambda p: p.bundle_index.write_text(
        p.bundle_index.read_text().replace("logs/layer3", "logs\\u0000/layer3")
    ),
    "a member outside": lambda p: p.bundle_index.write_text(
        p.bundle_index.read_text().replace("logs/layer3", "../logs/layer3")
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_refused(place: RunPlace, name: str) -> None:
    TAMPERINGS[name](place)
    with pytest.raises(RefusedError) as caught:
        check_run(place)
    assert caught.value.code == "6A.S5.OUTPUT_CONFLICT"


def test_a_receipt_is_read_back_equal(place: RunPlace) -> None:
    assert read_receipt(place) == RECEIPT
    assert read_receipt(place).identity == IDENTITY


def test_a_receipt_of_a_version_without_rebaselines_is_read(place: RunPlace) -> None:
    document = json.loads(place.receipt.read_text("utf-8"))
    assert document.pop("rebaseline") is None
    place.receipt.write_text(json.dumps(document), "utf-8")
    assert read_receipt(place) == RECEIPT


def test_a_receipt_states_what_was_rebaselined(place: RunPlace) -> None:
    stated = {"reason": "r", "authority": "a", "bounds": []}
    write_receipt(place, replace(RECEIPT, rebaseline=stated))
    assert read_receipt(place).rebaseline == stated


@pytest.mark.parametrize(
    "change",
    [
        {"tool": "another"},
        {"seed": True},
        {"seed": "42"},
        {"overlays": None},
        {"surplus": 1},
    ],
)
def test_a_foreign_receipt_is_refused(place: RunPlace, change: dict[str, object]) -> None:
    document = json.loads(place.receipt.read_text("utf-8")) | change
    place.receipt.write_text(json.dumps(document), "utf-8")
    with pytest.raises(InputError) as caught:
        read_receipt(place)
    assert caught.value.code == "6A.S0.RECEIPT_INVALID"


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, "\ud800"])
def test_a_damaged_receipt_is_refused(place: RunPlace, text: str) -> None:
    place.receipt.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match="RECEIPT_INVALID"):
        read_receipt(place)
    place.receipt.unlink()
    with pytest.raises(InputError, match="RECEIPT_INVALID"):
        read_receipt(place)
