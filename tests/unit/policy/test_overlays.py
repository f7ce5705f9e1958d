"""Overlays: all rungs together give the shipped pack; misspelt keys are errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fraudworld.errors import InputError
from fraudworld.policy.diff import diff
from fraudworld.policy.lint import Severity, lint
from fraudworld.policy.loader import load_pack, shipped_overlays

LADDER = (
    "published_baseline",
    "delta_a_kmax",
    "delta_b_ip",
    "delta_c_propagation",
    "delta_d_mapping",
    "delta_e_validation",
    "p6_1_floors",
    "p6_2_country",
    "p6_3_bplus",
    "p6_4_joints",
)


def test_all_rungs_together_give_the_default_pack() -> None:
    climbed, default = load_pack(overlays=LADDER), load_pack()
    assert diff(climbed.pack, default.pack) == []
    assert climbed.parameter_hash == default.parameter_hash
    assert climbed.overlays == LADDER
    assert set(shipped_overlays()) == set(LADDER)
    assert {f"overlays/{name}.yaml" for name in LADDER} < set(climbed.files)


def test_every_rung_changes_something_and_has_no_errors() -> None:
    hashes = set()
    for rung in range(1, len(LADDER) + 1):
        loaded = load_pack(overlays=LADDER[:rung])
        hashes.add(loaded.parameter_hash)
        assert [f for f in lint(loaded.pack) if f.severity is Severity.ERROR] == []
    assert len(hashes) == len(LADDER)


def test_no_rung_moves_a_threshold() -> None:
    default = load_pack().pack.validation_policy
    for rung in range(1, len(LADDER) + 1):
        policy = load_pack(overlays=LADDER[:rung]).pack.validation_policy
        assert policy.model_copy(update={"severity": default.severity}) == default


def test_the_baseline_has_every_published_defect() -> None:
    pack = load_pack(overlays=LADDER[:1]).pack
    assert pack.posture == "baseline_replay"
    assert pack.account_per_party_priors.constraints.cap_enforcement_mode == "warn"
    assert pack.ip_count_priors.degree_model == "unbounded"
    assert pack.ip_count_priors.missing_region_mix == "first_available"
    assert pack.device_linkage_rules.legacy_device_groups
    assert pack.instrument_mix_priors.floor == "universal"
    assert set(pack.instrument_mix_priors.floors) == set(pack.account_taxonomy.account_types)
    assert pack.risk_propagation_coeffs.propagation == "off"
    assert pack.risk_propagation_coeffs.role_mapping == "none"
    assert not pack.segmentation_priors.country_modulation.enabled


def test_the_target_odds_ratio_is_set_for_b_and_then_for_b_plus() -> None:
    aims = [
        load_pack(
            overlays=LADDER[:rung]
        ).pack.risk_propagation_coeffs.owner_to_account.target_odds_ratio
        for rung in (LADDER.index("delta_c_propagation") + 1, len(LADDER))
    ]
    assert aims == [1.9, 2.8]


def test_only_the_last_rung_propagates_by_role_pair() -> None:
    by = [
        load_pack(overlays=LADDER[:rung]).pack.risk_propagation_coeffs.propagation_by
        for rung in range(1, len(LADDER) + 1)
    ]
    assert by == ["risk"] * (len(LADDER) - 1) + ["role_pair"]


def test_set_merges_keys_and_replace_drops_the_old_ones(write_overlay: Callable[..., Path]) -> None:
    mix = {"VISA": 0.5, "MASTERCARD": 0.5}
    path = write_overlay(
        set={"population_priors": {"active_share": 0.5}},
        replace={"instrument_mix_priors.scheme_mix.CARD.REGION_AMER": mix},
    )
    changed = load_pack(overlays=[path])
    assert changed.pack.population_priors.active_share == 0.5
    assert changed.pack.population_priors.arrivals_per_active_party == 6.5
    assert changed.pack.instrument_mix_priors.scheme_mix["CARD"]["REGION_AMER"] == mix
    keys = [change.key for change in diff(load_pack().pack, changed.pack)]
    prefix = "instrument_mix_priors.scheme_mix.CARD.REGION_AMER."
    assert keys == [
        *(prefix + name for name in ("AMEX", "DISCOVER", "MASTERCARD", "VISA")),
        "population_priors.active_share",
    ]


def test_later_overlays_win(write_overlay: Callable[..., Path]) -> None:
    first = write_overlay("first", set={"population_priors": {"active_share": 0.5}})
    second = write_overlay("second", set={"population_priors": {"active_share": 0.6}})
    assert load_pack(overlays=[first, second]).pack.population_priors.active_share == 0.6
    assert load_pack(overlays=[second, first]).pack.population_priors.active_share == 0.5


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"set": {"population_priors": {"active_chare": 0.5}}},
            "set.population_priors.active_chare",
        ),
        ({"set": {"population": {"active_share": 0.5}}}, "set.population: no such file"),
        ({"set": {"population_priors": 3}}, "must be a mapping"),
        ({"set": {"population_priors": {"scale_draw": 3}}}, "use `replace`"),
        ({"set": {"population_priors": {"active_share": {"a": 1}}}}, "use `replace`"),
        ({"set": {"posture": {"a": 1}}}, "set.posture: no such file"),
        ({"replace": {"population_priors.nothing": 1}}, "replace.population_priors.nothing"),
        ({"replace": {"population_priors": {}}}, "replace.population_priors: no such key"),
        ({"set": {}}, "changes nothing"),
        ({"sets": {"population_priors": {}}, "posture": "certifiable"}, "sets: unknown key"),
        ({"posture": "perfect"}, "posture: 'perfect' is none of"),
        ({"why": "", "posture": "certifiable"}, "why: must be a non-empty string"),
        ({"set": {"population_priors": {"active_share": 2.0}}}, "less than or equal to 1"),
    ],
)
def test_bad_overlays_are_errors(
    write_overlay: Callable[..., Path], sections: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        load_pack(overlays=[write_overlay(**sections)])
    assert message in caught.value.what


def test_the_name_of_an_overlay_must_equal_its_file_name(
    write_overlay: Callable[..., Path],
) -> None:
    path = write_overlay("one", posture="certifiable")
    moved = path.rename(path.with_name("two.yaml"))
    with pytest.raises(InputError, match="must equal the file's name, two"):
        load_pack(overlays=[moved])


def test_an_unknown_overlay_lists_what_exists() -> None:
    with pytest.raises(InputError, match="no such overlay; the pack has delta_a_kmax"):
        load_pack(overlays=["delta_z"])
