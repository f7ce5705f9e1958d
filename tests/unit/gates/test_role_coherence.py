"""The guard of role words: what it judges, on which support, and when it judges nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fraudworld.gates.guards import role_coherence
from fraudworld.policy.loader import load_pack

PACK = load_pack().pack
OWNERS, ACCOUNT, DEVICE = (PACK.codes(f"{e}_raw_role") for e in ("party", "account", "device"))
SOUND: dict[str, Any] = {"mules": (500, 500), "shared": (20, 480), "risky": 20}
"""Mule accounts of mules and of clean parties, shared suspicious devices of one user and of
several, and risky accounts among 100 of every owner role."""


def guards(mules, shared, risky, **rules):
    """The three guards over a world of these counts, by name without prefix."""
    coefficients = PACK.risk_propagation_coeffs.model_copy(update=rules)
    pairs = np.zeros((len(OWNERS), len(ACCOUNT)), dtype=np.int64)
    for owner, n in zip(("MULE", "CLEAN"), mules, strict=True):
        pairs[OWNERS.index(owner), ACCOUNT.index("MULE_ACCOUNT")] = n
    users = np.zeros((len(DEVICE), 2), dtype=np.int64)
    users[DEVICE.index("SHARED_SUSPICIOUS_DEVICE")] = shared
    owned = SimpleNamespace(role_pairs=pairs, owner_risk=np.array([[100 - risky, risky]] * 5))
    evidence = SimpleNamespace(
        pack=PACK.model_copy(update={"risk_propagation_coeffs": coefficients}),
        owned=lambda asset: owned,
        network=SimpleNamespace(users=users),
    )
    made = role_coherence(evidence, ())  # type: ignore[arg-type]
    return {g.guard_id.removeprefix("role_coherence_"): g for g in made}


def test_a_coherent_world_holds_and_states_its_intervals():
    judged = guards(**SOUND)
    assert list(judged) == ["mule_accounts", "shared_devices", "non_clean"]
    assert all(g.holds for g in judged.values())
    assert judged["mule_accounts"].value == 0.5
    low, high = judged["mule_accounts"].details["interval"]
    assert low < 0.5 < high
    assert judged["shared_devices"].details["support"] == 500
    assert len(judged["non_clean"].details["shares"]) == 10


@pytest.mark.parametrize(
    ("broken", "change"),
    [
        ("mule_accounts", {"mules": (399, 601)}),
        ("mule_accounts", {"mules": (0, 0)}),
        ("mule_accounts", {"mules": (300, 84)}),  # one fewer than the support of a share
        ("shared_devices", {"shared": (51, 449)}),
        ("shared_devices", {"shared": (0, 384)}),
        ("non_clean", {"risky": 36}),
    ],
)
def test_each_guard_fails_by_its_own_count(broken, change):
    judged = guards(**{**SOUND, **change})
    assert [name for name, g in judged.items() if not g.holds] == [broken]


@pytest.mark.parametrize("rules", [{"propagation_by": "risk"}, {"propagation": "off"}])
def test_a_policy_that_draws_role_words_apart_is_judged_all_the_same(rules):
    judged = guards(mules=(0, 1_000), shared=(1_000, 0), risky=90, **rules)
    assert [g.holds for g in judged.values()] == [False, False, False]
