"""Who there is and where: policy, countries, segments."""

from __future__ import annotations

from fraudworld.report import readings
from fraudworld.report.figures.figure import Figure
from fraudworld.report.marks import (
    DIVERGING,
    RESIDUAL_STEPS,
    WIDE,
    Spec,
    heatmap,
    layered,
    log,
    named,
    share,
    stepped,
    tip,
    zoomable,
)


def _policy() -> Spec:
    families = {"field": "family", "title": None}
    return layered(
        "policy_and_observed",
        {
            "mark": {"type": "line", "color": "var(--muted)", "strokeWidth": 1},
            "data": {"values": [{"v": 0.0001}, {"v": 4}]},
            "encoding": {"x": log("v"), "y": log("v")},
        },
        {
            "mark": {"type": "point", "size": 45, "opacity": 0.9},
            "params": [zoomable()],
            "transform": [{"filter": "datum.policy > 0 && datum.observed > 0"}],
            "encoding": {
                "x": log("policy", "policy"),
                "y": log("observed", "observed"),
                "color": families,
                "shape": families,
                "tooltip": [
                    tip("what"),
                    tip("family"),
                    tip("policy", ".4g"),
                    tip("observed", ".4g"),
                ],
            },
        },
        width=WIDE - 150,
        height=420,
    )


def _countries() -> Spec:
    tips = [tip("country"), tip("region"), tip("parties", ",d"), tip("share", ".2%")]
    curve: Spec = {
        "width": 330,
        "height": 330,
        "layer": [
            {
                "mark": {"type": "line", "color": "var(--muted)", "strokeWidth": 1},
                "data": {"values": [{"v": 0}, {"v": 1}]},
                "encoding": {"x": share("v"), "y": share("v")},
            },
            {
                "mark": {
                    "type": "line",
                    "color": "var(--c0)",
                    "point": {"color": "var(--c0)", "size": 26},
                },
                "encoding": {
                    "x": share("countries_so_far", "share of countries, largest first"),
                    "y": share("share_so_far", "share of parties"),
                    "tooltip": [*tips, tip("share_so_far", ".1%")],
                },
            },
        ],
    }
    bars: Spec = {
        "width": 230,
        "height": {"step": 16},
        "transform": [{"filter": "datum.rank <= 20"}],
        "mark": {"type": "bar", "color": "var(--c0)"},
        "encoding": {
            "x": share("share", "share of parties"),
            "y": named("country", sort=None),
            "tooltip": tips,
        },
    }
    return {"data": {"name": "countries"}, "hconcat": [curve, bars]}


def _segments() -> Spec:
    return heatmap(
        "segments", "region", "segment",
        stepped("residual", RESIDUAL_STEPS, DIVERGING, "residual"),
        [tip("segment"), tip("region"), tip("parties", ",d"), tip("policy", ".3%"),
         tip("observed", ".3%"), tip("residual", "+.2f")],
        text=("residual", "+.1f"), cell=(90, 20), label="replace(datum.label, 'REGION_', '')",
    )  # fmt: skip


def _segments_by_country() -> Spec:
    steps = (-4.0, -2.0, -0.5, 0.5, 2.0, 4.0)
    return heatmap(
        "segments_by_country", "country", "segment",
        stepped("difference_pp", steps, DIVERGING, "pp"),
        [tip("segment"), tip("country"), tip("parties", ",d"), tip("policy", ".2%"),
         tip("observed", ".2%"), tip("difference_pp", "+.2f")],
        cell=(19, 20), sort=None,
    )  # fmt: skip


FIGURES = (
    Figure(
        "policy_and_observed", "population", "Policy against what was made",
        "One dot per figure of the policy; on the line both agree. Products and "
        "instruments are means per holder, the rest are shares. Shift and wheel zooms.",
        ("policy_and_observed",), _policy(), readings.policy,
    ),
    Figure(
        "countries", "population", "How parties spread over countries",
        "Countries from the largest down. The straight line is an equal world.",
        ("countries",), _countries(), readings.countries,
    ),
    Figure(
        "segments", "population", "Segments by region: residual against the policy",
        "Pearson's residual of the count within region and party type; ±2 is the edge of "
        "chance, and plans that keep quotas stay well inside.",
        ("segments",), _segments(), readings.segments,
    ),
    Figure(
        "segments_by_country", "population", "Segments by country: difference from the region",
        "Percentage points between a country's share and its region's policy, for the "
        "largest countries. Countries are meant to differ a little.",
        ("segments_by_country",), _segments_by_country(), readings.segments_by_country,
    ),
)  # fmt: skip
