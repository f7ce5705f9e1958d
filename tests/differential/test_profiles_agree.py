"""Layer 6P publishes what the row-by-row laws of `tests/reference/profiles` say, for any policy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from differential.compare import first_difference
from differential.policies import changed
from differential.small_bank import Bank, publish
from differential.transactions import columns, rows
from fraudworld.contracts import TABLES
from fraudworld.contracts.profiles import PROFILE_TABLES
from fraudworld.layers.profiles.layer import make_profiles
from fraudworld.layers.profiles.request import ProfilesRequest
from fraudworld.layers.transactions.inputs import open_inputs
from fraudworld.policy.identity import load_identity
from fraudworld.policy.profiles import LoadedProfiles, load_profiles
from fraudworld.policy.profiles.models import ProfilePack
from fraudworld.store.layout import RunPlace
from reference.profiles.layer import generate

UPSTREAM = (
    "1A/country_geography", "1A/outlet_catalogue", "1B/site_locations", "2A/site_timezones",
    "3B/virtual_classification", "5A/merchant_zone_profile_5A",
)  # fmt: skip

POLICIES: dict[str, dict[str, dict[str, Any]]] = {
    "shipped": {},
    "restless": {
        "people": {"joins_inside": 0.4, "recent_synthetic_share": 1.0, "home_age_width": 1.0,
                   "mule_skew": 1.0, "least_language_percent": 0.0},
        "accounts": {"opens_inside": 0.6, "closed_share": 0.5, "least_days_open": 1,
                     "first_day_share": 0.0, "overdraft_share": 1.0, "main_bank_share": 0.0},
        "events": {"rates_per_year": dict.fromkeys(
            ("ADDRESS_CHANGED", "EMAIL_CHANGED", "PHONE_CHANGED", "SIM_SWAPPED"), 1.0),
            "window_years": 20.0, "day_from": 11.0},
        "devices": {"retired_share": 1.0, "life_width": 1.0, "other_language_share": 0.5},
        "money": {"least_visits": 1.0, "income_sigma": 1.5},
        "work": {"inside_share": 1.0},
        "pool": {"least": 0},
        "sharing": {"home_phone_share": 1.0, "home_mailbox_share": 1.0, "misspelt_share": 1.0,
                    "earlier_owner_share": 1.0, "own_name_share": 1.0, "twin_share": 1.0,
                    "buildings": {"HALL": {"segments": ["RETAIL_STUDENT", "RETAIL_VALUE"],
                                           "share": 1.0, "least": 2, "most": 4,
                                           "one_phone": 1.0}},
                    "relatives": {"share": 1.0, "least": 2, "most": 9, "one_phone": 0.5},
                    "mistyped_tax_ids": {"share": 1.0, "least": 3, "most": 6},
                    "cells": {"least": 2, "most": 9, "phone": 1.0, "mailbox": 1.0, "address": 1.0,
                              "takes_part": 1.0, "near_miss": 1.0, "tax_id": 1.0}},
    },
    "still": {
        "people": {"joins_inside": 0.0, "recent_synthetic_share": 0.0, "home_age_width": 0.0,
                   "mule_skew": 0.0},
        "accounts": {"opens_inside": 0.0, "closed_share": 0.0, "first_day_share": 1.0,
                     "dormant_share": 0.0, "overdraft_share": 0.0, "main_bank_share": 1.0},
        "events": {"rates_per_year": dict.fromkeys(
            ("ADDRESS_CHANGED", "EMAIL_CHANGED", "PHONE_CHANGED", "SIM_SWAPPED"), 0.0)},
        "devices": {"retired_share": 0.0, "life_width": 0.0, "other_language_share": 0.0},
        "money": {"least_visits": 0.0, "income_sigma": 0.0, "spending_exponent": 0.0},
        "work": {"inside_share": 0.0},
        "places": {"most_cash_machines": 1, "least_banks": 1, "most_banks": 1,
                   "least_population": 10_000},
        "sharing": {"home_phone_share": 0.0, "home_mailbox_share": 0.0, "misspelt_share": 0.0,
                    "earlier_owner_share": 0.0, "own_name_share": 0.0, "twin_share": 0.0,
                    "buildings": {},
                    "relatives": {"share": 0.0, "least": 2, "most": 4, "one_phone": 1.0},
                    "mistyped_tax_ids": {"share": 0.0, "least": 2, "most": 4},
                    "cells": {"least": 50, "most": 100, "phone": 0.0, "mailbox": 0.0,
                              "address": 0.0, "takes_part": 0.0, "near_miss": 0.0, "tax_id": 0.0}},
        "instruments": {"most_days_to_issue": 0, "token_months": 1},
    },
}  # fmt: skip
"""Policy → changes by file and key; the two others sit at the bounds of their figures."""


def policy_of(changes: Mapping[str, Mapping[str, Any]]) -> LoadedProfiles:
    """The shipped policy with figures changed, typed anew."""
    document = load_profiles().document()
    for stem, figures in changes.items():
        document[stem] = {**document[stem], **figures}
    return LoadedProfiles(ProfilePack.model_validate_json(json.dumps(document)), "0" * 64)


@pytest.fixture(scope="module", params=[42, 7, 2**63 - 1])
def bank(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    """A published run of a seed over nine countries."""
    return publish(tmp_path_factory.mktemp("bank"), request.param, changed((), {}))


@pytest.mark.parametrize("name", POLICIES)
def test_profiles_follow_the_laws(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    policy = policy_of(POLICIES[name])
    monkeypatch.setattr("fraudworld.layers.profiles.layer.load_profiles", lambda: policy)
    request = ProfilesRequest(
        run=bank.run, to=tmp_path, upstream_dir=bank.upstream, allow_unflagged=True,
        block_rows=1_000, workers=2,
    )  # fmt: skip
    outcome = make_profiles(request)
    broken = [c["check"] for c in outcome.report["checks"] if c["violations"]]
    assert broken == []
    found = {t.name: columns(t, rows(outcome.layer / t.name, t)) for t in PROFILE_TABLES}
    inputs = open_inputs(bank.run, bank.upstream, allow_unflagged=True)
    place = RunPlace(bank.run)
    world = {t.name: rows(place.dataset(t.name, inputs.identity), t) for t in TABLES}
    upstream = {
        name: pq.read_table(bank.upstream / f"{name}.parquet").to_pylist() for name in UPSTREAM
    }
    twin = generate(
        inputs.pack, policy.pack, load_identity().policy, inputs.identity.seed, upstream, world
    )
    expected = {t.name: columns(t, twin[t.name]) for t in PROFILE_TABLES}
    difference = first_difference(found, expected, PROFILE_TABLES)
    assert difference is None, difference
