"""How risk travels from owners to what they own."""

from __future__ import annotations

from fraudworld.report import readings
from fraudworld.report.figures.figure import Figure
from fraudworld.report.marks import (
    DIVERGING,
    ODDS_STEPS,
    WIDE,
    Spec,
    heatmap,
    layered,
    named,
    number,
    odds_ratios,
    stepped,
    tip,
)


def _effects() -> Spec:
    tips = [tip("asset"), tip("method"), tip("odds_ratio", ".3f"), tip("low", ".3f"),
            tip("high", ".3f")]  # fmt: skip
    return layered(
        "effects",
        *odds_ratios(number, named("what", sort=None), tips, scale={"zero": False}),
        transform=[{"calculate": "datum.asset + ', ' + datum.method", "as": "what"}],
        width=WIDE - 260,
        height={"step": 26},
    )


def _role_pairs() -> Spec:
    def grid(asset: str) -> Spec:
        shown = heatmap(
            "role_pairs", "asset_role", "owner_role",
            stepped("odds_ratio", ODDS_STEPS, DIVERGING, "odds ratio"),
            [tip("owner_role"), tip("asset_role"), tip("risky_pairs", ",d"),
             tip("expected", ",.1f"), tip("odds_ratio", ".3f"), tip("low", ".3f"),
             tip("high", ".3f")],
            text=("odds_ratio", ".2f"), cell=(84, 30), label="split(datum.label, '_')",
            heads="bottom",
        )  # fmt: skip
        first = {"filter": f"datum.asset === '{asset}'"}
        return {**shown, "title": f"{asset}s", "transform": [first]}

    return {"hconcat": [grid("account"), grid("device")]}


def _strata() -> Spec:
    def grid(asset: str) -> Spec:
        shown = heatmap(
            "strata", "region", "group",
            stepped("odds_ratio", ODDS_STEPS, DIVERGING, "odds ratio"),
            [tip("region"), tip("group"), tip("assets", ",d"), tip("risky_pairs", ",d"),
             tip("expected", ",.1f"), tip("odds_ratio", ".3f"), tip("low", ".3f"),
             tip("high", ".3f")],
            text=("odds_ratio", ".2f"), cell=(58, 26), label="replace(datum.label, 'REGION_', '')",
        )  # fmt: skip
        first = {"filter": f"datum.asset === '{asset}'"}
        return {**shown, "title": f"{asset}s", "transform": [first]}

    return {"hconcat": [grid("account"), grid("device")]}


FIGURES = (
    Figure(
        "effects", "risk", "Risk travels with ownership",
        "Odds ratio of a risky asset given a risky owner (for IPs: given a risky device). "
        "At 1 there is no effect.",
        ("effects",), _effects(), readings.effects,
    ),
    Figure(
        "role_pairs", "risk", "Which roles meet: owner against asset",
        "Odds ratio of each pair of roles. Blank: too few expected to say.",
        ("role_pairs",), _role_pairs(), readings.role_pairs,
    ),
    Figure(
        "strata", "risk", "The effect within regions and groups",
        "Odds ratio of a risky asset given a risky owner in every region and asset group. "
        "Blank: too few expected to say.",
        ("strata",), _strata(), readings.strata,
    ),
)  # fmt: skip
