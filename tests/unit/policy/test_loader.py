"""Loading a policy pack: its hash, and the faults it refuses."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudworld.errors import InputError
from fraudworld.policy.diff import show
from fraudworld.policy.loader import (
    INVALID,
    MISSING,
    SHIPPED,
    STEMS,
    file_of,
    load_pack,
    parameter_hash,
)
from fraudworld.policy.pack import PolicyPack

BASE = load_pack()
NUMBERS = [
    key
    for key, value in show(BASE.pack)
    if isinstance(value, int | float) and not isinstance(value, bool)
]


def edit(pack_dir: Path, stem: str, old: str, new: str) -> None:
    path = pack_dir / file_of(stem)
    text = path.read_text()
    assert old in text, f"the test expects {old!r} in {stem}"
    path.write_text(text.replace(old, new, 1))


def test_the_shipped_pack_loads_with_every_file_hashed() -> None:
    assert len(BASE.parameter_hash) == 64
    assert set(BASE.files) == {file_of(stem) for stem in STEMS}
    for name, file in BASE.files.items():
        raw = (SHIPPED / name).read_bytes()
        assert (file.bytes, file.sha256) == (len(raw), hashlib.sha256(raw).hexdigest())
    assert BASE.pack.posture == "certifiable"


def test_loading_takes_less_than_150_ms() -> None:
    best = min(_timed() for _ in range(5))
    assert best < 0.150


def _timed() -> float:
    start = time.perf_counter()
    load_pack()
    return time.perf_counter() - start


def test_the_hash_is_over_the_canonical_json_of_the_pack() -> None:
    plain = BASE.pack.model_dump(mode="json")
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == BASE.parameter_hash
    assert parameter_hash(PolicyPack.model_validate(plain)) == BASE.parameter_hash
    assert parameter_hash(PolicyPack.model_validate_json(text)) == BASE.parameter_hash


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NUMBERS))
def test_any_changed_number_changes_the_hash(key: str) -> None:
    plain = BASE.pack.model_dump(mode="json")
    *parents, last = key.split(".")
    node = plain
    for part in parents:
        node = node[part]
    value = node[last]
    if isinstance(value, int):
        node[last] = value - 1 if value > 1 else value + 1  # many are at their upper limit
    else:
        node[last] = value * (1 - 1e-15) if abs(value) > 0 else 1e-12
    assert node[last] != value
    assert parameter_hash(PolicyPack.model_validate(plain)) != BASE.parameter_hash


def test_comments_key_order_and_layout_do_not_enter_the_hash(pack_dir: Path) -> None:
    for stem in STEMS:
        path = pack_dir / file_of(stem)
        plain = BASE.pack.model_dump(mode="json")[stem]
        path.write_text(
            "# written anew\n" + yaml.safe_dump(_reversed(plain), sort_keys=False, width=90)
        )
    rewritten = load_pack(pack_dir)
    assert rewritten.parameter_hash == BASE.parameter_hash
    assert rewritten.files != BASE.files


def _reversed(node: object) -> object:
    if isinstance(node, dict):
        return {key: _reversed(node[key]) for key in reversed(node)}
    return node


def test_posture_enters_the_hash() -> None:
    other = BASE.pack.model_copy(update={"posture": "baseline_replay"})
    assert parameter_hash(other) != BASE.parameter_hash


def test_missing_files_are_named_all_at_once(pack_dir: Path) -> None:
    (pack_dir / file_of("party_taxonomy")).unlink()
    (pack_dir / file_of("ip_role_priors")).unlink()
    with pytest.raises(InputError) as caught:
        load_pack(pack_dir)
    assert caught.value.code == MISSING
    assert "2 fault(s)" in caught.value.what
    assert file_of("party_taxonomy") in caught.value.what
    assert file_of("ip_role_priors") in caught.value.what


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_pack(tmp_path / "nowhere")
    assert caught.value.code == MISSING


@pytest.mark.parametrize(
    ("stem", "old", "new", "message"),
    [
        (
            "population_priors",
            "active_share: 0.42",
            "active_chare: 0.42",
            "active_chare: unknown key",
        ),
        ("population_priors", "active_share: 0.42", "", "active_share: the key is missing"),
        ("population_priors", "0.42", "'0.42'", "active_share: Input should be a valid number"),
        ("population_priors", "active_share: 0.42", "active_share: true", "active_share"),
        (
            "population_priors",
            "active_share: 0.42",
            "active_share: 1.42",
            "less than or equal to 1",
        ),
        ("population_priors", "active_share: 0.42", "active_share: .nan", "active_share"),
        ("population_priors", "active_share: 0.42", "active_share: 1e999", "active_share"),
        ("account_per_party_priors", "{cap: 2,", "{cap: -2,", "cap: Input should be greater than"),
        (
            "account_per_party_priors",
            "{cap: 2,",
            "{cap: 2.5,",
            "cap: Input should be a valid integer",
        ),
        ("account_per_party_priors", "hard_global_postmerge\n", "soft\n", "cap_enforcement_mode"),
        ("instrument_mix_priors", "floor: by_account_type", "floor: [", "not YAML"),
        ("ip_count_priors", "degree_cap: 340", "degree_cap: 340\ndegree_cap: 1", "appears twice"),
        (
            "fraud_role_taxonomy",
            "  device:",
            "  gadget:",
            "entities: Value error, no vocabulary of device",
        ),
    ],
)
def test_bad_files_name_file_and_key(
    pack_dir: Path, stem: str, old: str, new: str, message: str
) -> None:
    edit(pack_dir, stem, old, new)
    with pytest.raises(InputError) as caught:
        load_pack(pack_dir)
    assert caught.value.code == INVALID
    assert caught.value.exit_code == 2
    assert file_of(stem) in caught.value.what
    assert message in caught.value.what


def test_faults_of_every_kind_are_reported_together(pack_dir: Path) -> None:
    (pack_dir / file_of("party_taxonomy")).write_bytes(b"\xff")
    (pack_dir / file_of("account_taxonomy")).write_bytes(b"")
    (pack_dir / file_of("ip_taxonomy")).unlink()
    (pack_dir / "priors" / "populaton_priors_6A.v1.yaml").write_text("a: 1")
    with pytest.raises(InputError) as caught:
        load_pack(pack_dir, overlays=["no_such_overlay"])
    assert caught.value.code == INVALID
    for message in (
        "not UTF-8",
        "empty",
        "is missing",
        "no such file in a policy pack",
        "no such overlay",
    ):
        assert message in caught.value.what
    assert "5 fault(s)" in caught.value.what


def test_a_link_out_of_the_pack_is_refused(pack_dir: Path, tmp_path: Path) -> None:
    path = pack_dir / file_of("ip_taxonomy")
    path.rename(tmp_path / "elsewhere.yaml")
    path.symlink_to(tmp_path / "elsewhere.yaml")
    with pytest.raises(InputError, match="leads out of the pack"):
        load_pack(pack_dir)


def test_country_codes_that_look_like_booleans_stay_text(pack_dir: Path) -> None:
    edit(pack_dir, "instrument_mix_priors", "    GB: {FPS: 1.0}", "    NO: {FPS: 1.0}")
    overrides = load_pack(pack_dir).pack.instrument_mix_priors.scheme_country_overrides
    assert "NO" in overrides["BANK_DOMESTIC"]
