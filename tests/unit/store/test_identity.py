"""Identity of a run: fingerprint, run id, paths, and the canonical JSON under digests."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudworld.documents import canonical_json
from fraudworld.errors import InputError
from fraudworld.store.identity import Identity, manifest_fingerprint, run_id
from fraudworld.store.layout import RunPlace, part_name

IDENTITY = Identity(42, "a" * 64, "b" * 64)


def test_every_input_changes_the_fingerprint() -> None:
    base = ("ph", "sealed", "contract", "rng")
    fingerprints = {manifest_fingerprint(*base)}
    for i in range(4):
        fingerprints.add(
            manifest_fingerprint(*(v + "x" if j == i else v for j, v in enumerate(base)))
        )
    assert len(fingerprints) == 5
    assert all(len(f) == 64 and set(f) <= set("0123456789abcdef") for f in fingerprints)


def test_the_fingerprint_depends_on_order_and_borders_of_its_parts() -> None:
    assert manifest_fingerprint("a", "b", "c", "d") != manifest_fingerprint("b", "a", "c", "d")
    assert manifest_fingerprint("ab", "c", "", "") != manifest_fingerprint("a", "bc", "", "")


def test_the_run_id_depends_on_identity_and_role() -> None:
    assert run_id(IDENTITY, "none") == run_id(Identity(42, "a" * 64, "b" * 64), "none")
    others = [
        run_id(IDENTITY, "baseline"),
        run_id(Identity(43, "a" * 64, "b" * 64), "none"),
        run_id(Identity(42, "c" * 64, "b" * 64), "none"),
        run_id(Identity(42, "a" * 64, "c" * 64), "none"),
    ]
    assert len({run_id(IDENTITY, "none"), *others}) == 5
    assert all(len(r) == 32 for r in others)


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64 - 1])
def test_a_seed_outside_int64_is_refused(seed: int) -> None:
    with pytest.raises(InputError) as caught:
        Identity(seed, "a" * 64, "b" * 64)
    assert caught.value.code == "6A.S0.SEED_INVALID"


def test_canonical_json_is_one_text_per_value() -> None:
    assert canonical_json({"b": 1, "a": [1.5, "é", None]}) == '{"a":[1.5,"é",null],"b":1}'.encode()
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(float("nan"))


def test_paths_are_those_of_the_contract() -> None:
    place = RunPlace.of(Path("runs"), "r")
    tokens = f"seed=42/parameter_hash={'a' * 64}/manifest_fingerprint={'b' * 64}"
    expected = {
        place.dataset("s1_party_base_6A", IDENTITY) / part_name(12): (
            f"data/layer3/6A/s1_party_base_6A/{tokens}/part-00012.parquet"
        ),
        place.gate_receipt: "data/layer3/6A/s0_gate_receipt_6A.json",
        place.sealed_inputs: "data/layer3/6A/sealed_inputs_6A.json",
        place.gateboard: "data/layer3/6A/validation/realism_gate_6A.json",
        place.document("s2_kmax_counters_6A"): (
            "data/layer3/6A/validation/s2_kmax_counters_6A.json"
        ),
        place.issue_table: "data/layer3/6A/validation/s5_issue_table_6A.parquet",
        place.bundle_index: "data/layer3/6A/validation/validation_bundle_index_6A.json",
        place.flag: "data/layer3/6A/validation/_passed.flag",
        place.rng_logs: "logs/layer3/6A/rng",
        place.perf(IDENTITY): f"reports/layer3/6A/perf/{tokens}",
        place.report: "reports/report.html",
        place.receipt: "run_receipt.json",
        place.run_index: "run_index.json",
    }
    assert {p.as_posix() for p in expected} == {f"runs/r/{v}" for v in expected.values()}
