"""Reusing states of a base run gives the bundle of a run from scratch, or is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudworld.errors import InputError, RefusedError
from fraudworld.policy.loader import STEMS, load_pack
from fraudworld.policy.reads import READS, view
from fraudworld.request import FROM_STATES, RunRequest
from fraudworld.run import pipeline
from fraudworld.store.layout import RunPlace

FIRST_READER = {
    "delta_a_kmax": "S2",
    "delta_b_ip": "S4",
    "delta_c_propagation": "S5",
    "delta_d_mapping": "S5",
    "delta_e_validation": "S5",
    "more_cards": "S3",
    "p6_2_country": "S1",
    "p6_4_joints": "S1",
}
"""Overlay → the first state that must run again (docs/ladder.md, decision 0009)."""

MORE_CARDS = """name: more_cards
why: A change of S3 alone; p6_1_floors asks that every other defect be gone.
set:
  instrument_mix_priors:
    lambda_per_account: {RETAIL_CURRENT_BASIC: 2.21}
"""
TINY = """name: tiny
why: A world that is made in a second.
set:
  population_priors:
    country_floor: {minimum: 40}
"""
OWN = {"more_cards": MORE_CARDS, "tiny": TINY}
SIZE = 0.05


def run(root: Path, *overlays: str, seed: int = 42, **options: object) -> pipeline.RunOutcome:
    root.mkdir(exist_ok=True, parents=True)
    for name, text in OWN.items():
        (root / f"{name}.yaml").write_text(text)
    overlays = (*overlays, "tiny")
    overlays = tuple(str(root / f"{name}.yaml") if name in OWN else name for name in overlays)
    request = {"scale": SIZE, "seed": seed, "runs_root": root, "overlays": overlays, **options}
    return pipeline.run(RunRequest(**request))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("base"), "published_baseline").place.root


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changed=st.sets(st.sampled_from(sorted(FIRST_READER))), start=st.sampled_from(FROM_STATES))
def test_reuse_equals_a_run_from_scratch_or_is_refused(
    base: Path,
    tmp_path_factory: pytest.TempPathFactory,
    changed: set[str],
    start: str,
) -> None:
    """The whole bundle is equal byte for byte: tables, RNG logs, plans, counters, gateboard."""
    root = tmp_path_factory.mktemp("reuse")
    overlays = ("published_baseline", *sorted(changed))
    earliest = min((FIRST_READER[name] for name in changed), default="S6")

    def reused() -> pipeline.RunOutcome:
        return run(root / "reused", *overlays, from_state=start, base=base)

    if start > earliest:
        with pytest.raises(RefusedError, match=f"{earliest} would not equal") as refused:
            reused()
        assert refused.value.code == "6A.S0.BASE_STATE_DIFFERS"
        assert not (root / "reused" / ".staging").exists()
        return
    result, scratch = reused(), run(root / "scratch", *overlays)
    assert result.run_id == scratch.run_id
    assert result.place.bundle_index.read_bytes() == scratch.place.bundle_index.read_bytes()
    stated = json.loads(result.place.state_inputs.read_text("utf-8"))
    assert stated["reused"]["run_id"] == base.name
    assert stated["reused"]["states"] == [s for s in READS if s < start]
    assert stated["states"] == json.loads(scratch.place.state_inputs.read_text("utf-8"))["states"]


@pytest.mark.parametrize(
    ("change", "named"),
    [({"seed": 7}, "seed"), ({"scale": 0.06}, "upstream")],
)
def test_another_seed_or_upstream_is_refused(
    base: Path, tmp_path: Path, change: dict[str, object], named: str
) -> None:
    with pytest.raises(RefusedError, match=f"its {named} is"):
        run(tmp_path, "published_baseline", from_state="S5", base=base, **change)


def test_a_base_of_another_law_version_is_refused_and_of_another_program_version_is_not(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "VERSIONS", pipeline.VERSIONS | {"fraudworld": "9.9.9"})
    assert run(tmp_path / "a", "published_baseline", from_state="S5", base=base).grade == "<C"
    monkeypatch.setattr(pipeline, "VERSIONS", pipeline.VERSIONS | {"law S3": "next"})
    assert run(tmp_path / "b", "published_baseline", from_state="S3", base=base).grade == "<C"
    with pytest.raises(RefusedError, match=r"S3 would not equal .* its version law S3 is next now"):
        run(tmp_path / "c", "published_baseline", from_state="S4", base=base)


def test_same_policy_links_the_files(base: Path) -> None:
    """Another role under the same identity shares its parts on disk: no column differs."""
    result = run(
        base.parent, "published_baseline",
        role="candidate", from_state="S5", base=base,
    )  # fmt: skip
    table = "s1_party_base_6A"
    candidate, original = (RunPlace(root) for root in (result.place.root, base))
    inodes = [
        next(p.dataset(table, result.identity).glob("*.parquet")).stat().st_ino
        for p in (candidate, original)
    ]
    assert inodes[0] == inodes[1]
    assert candidate.bundle_index.read_bytes() == original.bundle_index.read_bytes()


def test_a_changed_base_is_refused(base: Path, tmp_path: Path) -> None:
    """A base is verified against its seal before it is read."""
    copy = tmp_path / base.name
    shutil.copytree(base, copy)
    part = next((copy / "data/layer3/6A/s3_instrument_base_6A").rglob("*.parquet"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    with pytest.raises(RefusedError, match=r"OUTPUT_CONFLICT.*s3_instrument_base"):
        run(tmp_path / "runs", "published_baseline", from_state="S5", base=copy)


@pytest.mark.parametrize(
    "half", [{"from_state": "S4"}, {"base": Path("x")}, {"from_state": "S1", "base": Path("x")}]
)
def test_from_state_and_base_must_be_given_together(half: dict[str, object]) -> None:
    with pytest.raises(InputError, match="--from"):
        RunRequest(**half)  # type: ignore[arg-type]


def test_a_state_cannot_read_policies_outside_its_digest() -> None:
    pack = load_pack().pack
    for state, reads in READS.items():
        visible = view(pack, state)
        for name in STEMS:
            if name in reads:
                assert getattr(visible, name) == getattr(pack, name)
            else:
                with pytest.raises(AttributeError):
                    getattr(visible, name)
