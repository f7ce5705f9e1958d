"""Lint rules of segment 6B: each finds the fault built for it and names file and key."""

from __future__ import annotations

from typing import Any

import pytest

from fraudworld.policy.loader import load_pack
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules.transactions import transaction_figures, transaction_words


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return load_pack().pack.model_dump(mode="json")


def changed(plain: dict[str, Any], path: str, value: object) -> PolicyPack:
    """The shipped pack with one key set, or dropped where `value` is None."""
    import copy
    import json

    data = copy.deepcopy(plain)
    *parents, last = path.split(".")
    at = data
    for step in parents:
        at = at[step]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return PolicyPack.model_validate_json(json.dumps(data), strict=True)


@pytest.mark.parametrize(
    "path",
    [
        "attachment.home_share.POS",
        "attachment.segment_activity.RETAIL_STUDENT",
        "attachment.account_use.RETAIL_CURRENT_BASIC",
        "attachment.instrument_use.BILL",
        "attachment.instrument_use.POS.WALLET_DEVICE_TOKEN",
        "attachment.device_use.LAPTOP",
        "flow_amounts.classes.TRAVEL",
        "flow_amounts.latency_ms.POS",
        "flow_amounts.declined_share.POS",
        "flow_amounts.clearing_hours.POS",
        "campaigns.types.CARD_TESTING",
        "campaigns.types.CARD_TESTING.channels.POS",
        "campaigns.types.CARD_TESTING.merchant_classes.TRAVEL",
        "campaigns.types.CARD_TESTING.account_roles.MULE_ACCOUNT",
        "campaigns.kit.device_roles.RISKY_DEVICE",
        "campaigns.posture.account.MULE_ACCOUNT",
        "campaigns.posture.device.RISKY_DEVICE",
        "campaigns.posture.ip.SHARED_IP",
        "campaigns.posture.merchant.MSB",
        "bank_view.sensing.LEGIT",
    ],
)
def test_a_missing_code_is_named(plain: dict[str, Any], path: str) -> None:
    stem, _, key = path.partition(".")
    (finding,) = transaction_words(changed(plain, path, None))
    assert finding.file == f"policy/{stem}_6B.v1.yaml"
    assert key.startswith(finding.key)
    assert key.rpartition(".")[2] in str(finding.figure)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("attachment.device_use.TOASTER", 3),
        ("campaigns.types.BANK_ROBBERY", "the first type"),
        ("campaigns.types.CARD_TESTING.merchant_roles", ["CROOKED"]),
        ("campaigns.kit.anonymiser_types", ["TOR"]),
    ],
)
def test_an_unknown_code_is_named(plain: dict[str, Any], path: str, value: object) -> None:
    if value == "the first type":
        value = plain["campaigns"]["types"]["CARD_TESTING"]
    (finding,) = transaction_words(changed(plain, path, value))
    assert finding.key == path.partition(".")[2].removesuffix(".TOASTER").removesuffix(
        ".BANK_ROBBERY"
    )


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ("flow_amounts.price_points", [5.0, 4.0], "price_points"),
        ("flow_amounts.price_points", [], "price_points"),
        ("campaigns.types.CARD_TESTING.flow_share", 0.6, "types"),
        ("attachment.instrument_use.POS.WALLET_DEVICE_TOKEN", 0, "instrument_use.POS"),
    ],
)
def test_impossible_figures_are_named(
    plain: dict[str, Any], path: str, value: object, key: str
) -> None:
    (finding,) = transaction_figures(changed(plain, path, value))
    assert finding.key == key


def test_weights_that_are_all_zero_are_named(plain: dict[str, Any]) -> None:
    nothing = dict.fromkeys(plain["attachment"]["account_use"], 0)
    (finding,) = transaction_figures(changed(plain, "attachment.account_use", nothing))
    assert finding.key == "account_use"


def test_the_shipped_pack_has_no_finding() -> None:
    pack = load_pack().pack
    assert [*transaction_words(pack), *transaction_figures(pack)] == []
