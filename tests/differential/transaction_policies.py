"""Policies of 6B to compare under: two that lead to rare paths, and how any figure may change."""

from __future__ import annotations

from differential.policies import real, remixed, scaled, whole

ATTACKED: dict[str, object] = {
    "campaigns.types.*.flow_share": 0.03,
    "campaigns.types.*.flows": {"median": 15.0, "sigma": 0.9},
    "campaigns.types.*.device_swap": 0.5,
    "campaigns.types.*.ip_swap": 0.5,
    "campaigns.types.*.refund_share": 0.5,
    "campaigns.posture.account.CLEAN_ACCOUNT": 0.05,
    "campaigns.background_share": 0.05,
    "campaigns.collateral_share": 0.6,
    "campaigns.victims_abroad_share": 0.3,
    "campaigns.max_hourly_share": 0.9,
    "campaigns.flows_per_visit": 0.7,
    "attachment.home_share.*": 0.5,
    "attachment.flows_per_visit": 3.0,
    "attachment.household_device_share": 0.5,
    "attachment.typical_endpoint_share": 0.3,
    # Amounts on both sides of the last shelf price and of the largest payment.
    "flow_amounts.classes.*": {
        "median": 900.0,
        "sigma": 2.5,
        "price_point_share": 0.5,
        "refund_share": 0.4,
    },
    "flow_amounts.declined_share.*": 0.3,
    "bank_view.sensing.*": {"alert": 0.5, "dispute": 0.5},
    "bank_view.closing_days": {"median": 60.0, "sigma": 0.7},
}
"""Paths that are rare elsewhere are taken often."""

SPARSE: dict[str, object] = {
    "attachment.flows_per_visit": 0.5,
    "campaigns.flows_per_visit": 0.5,
    "campaigns.max_hourly_share": 0.01,
    # Amounts of a few cents, so that rounding and the nearer of two prices decide.
    "flow_amounts.classes.*.median": 0.03,
    "flow_amounts.classes.*.price_point_share": 0.5,
    "flow_amounts.price_points": [0.01, 0.02, 0.04, 0.07, 0.11],
    "campaigns.types.*.max_days": 40,
    "campaigns.types.*.hours_per_day": 24,
    "campaigns.types.*.channels": {"BILL": 0.0, "ONLINE": 1.0, "POS": 0.0},
    "campaigns.types.*.merchant_roles": ["NORMAL"],
    "campaigns.types.MERCHANT_COLLUSION.merchant_classes.*": 0.0,
    "campaigns.kit": {
        "devices": 1,
        "endpoints": 16,
        "device_roles": {
            "BOT_LIKE_DEVICE": 16,
            "NORMAL_DEVICE": 1,
            "RISKY_DEVICE": 1,
            "SHARED_SUSPICIOUS_DEVICE": 1,
        },
        "shared_device_weight": 16,
        "anonymiser_types": [],
        "anonymiser_weight": 16,
        "risky_endpoint_weight": 16,
        "on_risky_device_weight": 16,
    },
}
"""Visits of one arrival, campaigns that small countries cannot hold, kits that many tries miss."""

UNTRAVELLED: dict[str, object] = {
    "segmentation_priors.profiles.*.cross_border": 0.0004,
    "attachment.home_share.*": 0.5,
}
"""A propensity to buy abroad that rounds to 0 of 1 024, yet arrivals from abroad."""

TABLETS: dict[str, object] = {
    **ATTACKED,
    "attachment.device_use": dict.fromkeys(
        (
            "ATM", "DESKTOP", "IOT_DEVICE", "KIOSK", "LAPTOP", "MOBILE_PHONE", "POS_TERMINAL",
            "SERVER", "WEARABLE",
        ),
        0,
    )
    | {"TABLET": 1},
    "campaigns.collateral_share": 1.0,
    "campaigns.posture.account.CLEAN_ACCOUNT": 0.0,
    "campaigns.types.*.device_swap": 0.1,
}  # fmt: skip
"""Payments from tablets alone: neighbours of victims often have no device to act through."""

PEACEFUL: dict[str, object] = {"campaigns.types.*.flow_share": 0.0}
"""No campaign of any type."""

UNTRIED: dict[str, object] = {"campaigns.types.CARD_TESTING.flow_share": 0.0}
"""No campaign of one type."""

KNOBS = (
    ("attachment.home_share.*", real(0.0, 1.0)),
    ("attachment.flows_per_visit", real(0.5, 10.0)),
    ("attachment.activity_sigma", real(0.1, 3.0)),
    ("attachment.segment_activity.*", scaled(0.01, 10.0)),
    ("attachment.account_use.*", whole(1, 1000)),
    ("attachment.instrument_use.*.*", whole(1, 1000)),
    ("attachment.household_device_share", real(0.0, 1.0)),
    ("attachment.typical_endpoint_share", real(0.0, 1.0)),
    ("flow_amounts.classes.*.median", scaled(0.01, 1000.0)),
    ("flow_amounts.classes.*.sigma", real(0.1, 3.0)),
    ("flow_amounts.classes.*.price_point_share", real(0.0, 1.0)),
    ("flow_amounts.classes.*.refund_share", real(0.0, 1.0)),
    ("flow_amounts.income_elasticity", real(0.1, 3.0)),
    ("flow_amounts.latency_ms.*.sigma", real(0.1, 2.0)),
    ("flow_amounts.declined_share.*", real(0.0, 1.0)),
    ("campaigns.types.*.flow_share", real(0.001, 0.03)),
    ("campaigns.types.*.flows.median", scaled(0.05, 2.0)),
    ("campaigns.types.*.flows.sigma", real(0.1, 1.5)),
    ("campaigns.types.*.max_days", whole(1, 90)),
    ("campaigns.types.*.hours_per_day", whole(1, 24)),
    ("campaigns.types.*.flows_per_victim", real(0.5, 20.0)),
    ("campaigns.types.*.channels", remixed),
    ("campaigns.types.*.merchant_classes", remixed),
    ("campaigns.types.*.exposed_party_weight", whole(1, 16)),
    ("campaigns.types.*.account_roles.*", real(0.25, 4.0)),
    ("campaigns.types.*.device_swap", real(0.0, 1.0)),
    ("campaigns.types.*.ip_swap", real(0.0, 1.0)),
    ("campaigns.types.*.amount_factor", real(0.01, 100.0)),
    ("campaigns.types.*.declined_share", real(0.0, 1.0)),
    ("campaigns.kit.devices", whole(1, 16)),
    ("campaigns.kit.endpoints", whole(1, 16)),
    ("campaigns.kit.shared_device_weight", whole(1, 16)),
    ("campaigns.kit.anonymiser_weight", whole(1, 16)),
    ("campaigns.kit.risky_endpoint_weight", whole(1, 16)),
    ("campaigns.kit.on_risky_device_weight", whole(1, 16)),
    ("campaigns.kit.device_roles.*", whole(1, 16)),
    ("campaigns.posture.account.*", real(0.0, 0.5)),
    ("campaigns.posture.device.*", real(0.0, 0.5)),
    ("campaigns.posture.ip.*", real(0.0, 0.5)),
    ("campaigns.posture.merchant.*", real(0.0, 0.5)),
    ("campaigns.collateral_share", real(0.0, 1.0)),
    ("campaigns.flows_per_visit", real(0.5, 10.0)),
    ("campaigns.victims_abroad_share", real(0.0, 1.0)),
    ("campaigns.max_hourly_share", real(0.001, 1.0)),
    ("bank_view.sensing.*.*", real(0.0, 1.0)),
    ("bank_view.chargeback_share", real(0.0, 1.0)),
    ("bank_view.closing_days.median", real(1.0, 200.0)),
)
"""Dotted keys of 6B's policy and how they may change."""
