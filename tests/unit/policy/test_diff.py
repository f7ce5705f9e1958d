"""`diff` and `show` list every leaf of a pack by its dotted key."""

from __future__ import annotations

from fraudworld.policy.diff import Change, diff, show
from fraudworld.policy.loader import load_pack

PACK = load_pack().pack


def test_a_pack_does_not_differ_from_itself() -> None:
    assert diff(PACK, PACK) == []


def test_a_change_is_named_with_both_values() -> None:
    priors = PACK.population_priors.model_copy(update={"active_share": 0.5})
    other = PACK.model_copy(update={"population_priors": priors})
    assert diff(PACK, other) == [Change("population_priors.active_share", 0.42, 0.5)]


def test_a_row_on_one_side_only_is_a_change() -> None:
    roles = {**PACK.party_role_priors.roles, "OTHER": {"MULE": (1.0, 1.0, 1.0, 1.0)}}
    priors = PACK.party_role_priors.model_copy(update={"roles": roles})
    changes = diff(PACK, PACK.model_copy(update={"party_role_priors": priors}))
    assert changes == [
        Change("party_role_priors.roles.OTHER", {}, None),
        Change("party_role_priors.roles.OTHER.MULE", None, [1.0, 1.0, 1.0, 1.0]),
    ]


def test_show_narrows_to_a_prefix() -> None:
    rows = show(PACK, "population_priors.country_floor")
    assert rows == [
        ("population_priors.country_floor.minimum", 400),
        ("population_priors.country_floor.parties_at_authority", 4000),
    ]
    assert len(show(PACK)) > 900
