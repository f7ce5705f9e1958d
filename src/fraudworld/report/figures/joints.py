"""What belongs together: homes, markets, and risk next to risk."""

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
    log,
    named,
    number,
    odds_ratios,
    share,
    stepped,
    tip,
)


def _homes() -> Spec:
    size = {"field": "lives_with", "type": "ordinal", "title": "parties of the home"}
    return {
        "data": {"name": "homes"},
        "width": WIDE - 200,
        "height": {"step": 24},
        "mark": {"type": "bar", "stroke": "var(--paper)"},
        "encoding": {
            "y": named("segment"),
            "x": share("share", "share of retail parties"),
            "order": {"field": "lives_with"},
            "color": {**size, "scale": {"range": [f"var(--c{i})" for i in range(6)]}},
            "tooltip": [tip("segment"), tip("lives_with", ",d", "parties of the home"),
                        tip("parties", ",d"), tip("share", ".1%")],
        },
    }  # fmt: skip


def _living_together() -> Spec:
    return heatmap(
        "living_together", "other", "segment", stepped("lift", ODDS_STEPS, DIVERGING, "lift"),
        [tip("segment"), tip("other"), tip("pairs", ",d"), tip("expected", ",.1f"),
         tip("lift", ".2f")],
        text=("lift", ".2f"), cell=(72, 28), heads="bottom",
        label="split(replace(datum.label, 'RETAIL_', ''), '_')",
    )  # fmt: skip


def _by_country(rows: str, across: Spec, down: str, units: str) -> Spec:
    tips = [tip("country"), tip("region"), tip(units, ",d"), tip("policy", ".1%"),
            tip("observed", ".1%"), tip("low", ".1%"), tip("high", ".1%")]  # fmt: skip
    y = share("observed", down)
    regions = {"field": "region", "title": None, "legend": {"orient": "bottom"}}
    return layered(
        rows,
        {
            "mark": {"type": "rule", "color": "var(--soft)", "strokeWidth": 2},
            "encoding": {"x": across, "y": share("low", down), "y2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 55, "opacity": 1},
            "encoding": {"x": across, "y": y, "color": regions, "shape": regions, "tooltip": tips},
        },
        {
            "mark": {"type": "text", "dx": 7, "align": "left", "fontSize": 9.5,
                     "color": "var(--ink)"},
            "encoding": {"x": across, "y": y, "text": {"field": "country"}},
        },
        width=WIDE - 160, height=360,
    )  # fmt: skip


def _transmission() -> Spec:
    y = named("beside")
    tips = [tip("beside"), tip("odds_ratio", ".2f"), tip("low", ".2f"), tip("high", ".2f"),
            tip("exposed", ",d"), tip("exposed_risky", ",d")]  # fmt: skip
    figure = {"text": {"field": "odds_ratio", "format": ".1f"}}
    return layered(
        "transmission",
        *odds_ratios(log, y, tips),
        {
            "mark": {"type": "text", "dy": -12, "color": "var(--ink)"},
            "encoding": {"x": log("odds_ratio"), "y": y, **figure},
        },
        width=WIDE - 160,
        height={"step": 44},
    )


def _circle_risk() -> Spec:
    said = "datum.tenths === 0 ? 'none' : '≤ ' + 10 * datum.tenths + ' %'"
    x = {"field": "at_risk", "type": "nominal", "sort": None, "axis": {"labelAngle": 0},
         "title": "risky members"}  # fmt: skip
    tips = [tip("at_risk", title="risky members"), tip("circles", ",d"), tip("members", ",d"),
            tip("risky", ",d")]  # fmt: skip
    return layered(
        "circle_risk",
        {
            "mark": {"type": "bar", "color": "var(--c0)"},
            "encoding": {"x": x, "y": share("share", "share of circles"), "tooltip": tips},
        },
        {
            "mark": {"type": "text", "dy": -7, "color": "var(--ink)"},
            "encoding": {"x": x, "y": share("share"), "text": {"field": "risky", "format": ",d"}},
        },
        transform=[{"calculate": said, "as": "at_risk"}], width=WIDE - 120, height=240,
    )  # fmt: skip


def _circles() -> Spec:
    def one(which: str) -> Spec:
        axis = {"axis": None, "scale": {"domain": [-1.25, 1.25]}}
        at = {"x": {**number("x"), **axis}, "y": {**number("y"), **axis}}
        chosen = {"filter": f"datum.which === '{which}'"}
        risky = {"test": "datum.risky", "value": "var(--bad)"}
        shapes = {"domain": ["party", "device", "line"],
                  "range": ["circle", "square", "triangle-up"]}  # fmt: skip
        tips = [tip("kind"), tip("id"), tip("what"), tip("raw_role")]
        edges = {
            "data": {"name": "circle_edges"},
            "transform": [chosen],
            "mark": {"type": "rule"},
            "encoding": {
                **at, "x2": {"field": "x2"}, "y2": {"field": "y2"},
                "color": {"condition": risky, "value": "var(--soft)"},
                "strokeWidth": {"condition": {"test": "datum.risky", "value": 3}, "value": 1},
                "strokeDash": {"condition": {"test": "datum.kind === 'line'", "value": [3, 3]},
                               "value": [1, 0]},
            },
        }  # fmt: skip
        nodes = {
            "data": {"name": "circle_nodes"},
            "transform": [chosen],
            "mark": {"type": "point", "filled": True, "opacity": 1, "size": 150},
            "encoding": {
                **at,
                "color": {"condition": risky, "value": "var(--c0)"},
                "shape": {"field": "kind", "scale": shapes, "title": None,
                          "legend": {"orient": "bottom"}},
                "tooltip": tips,
            },
        }  # fmt: skip
        words = {
            "data": {"name": "circle_nodes"},
            "transform": [chosen, {"filter": "datum.risky"}],
            "mark": {"type": "text", "dy": -12, "fontSize": 9.5, "color": "var(--ink)"},
            "encoding": {**at, "text": {"field": "raw_role"}},
        }
        return {"title": which, "width": 400, "height": 400, "layer": [edges, nodes, words]}

    return {"hconcat": [one("a circle with risk"), one("an innocent circle")]}


FIGURES = (
    Figure(
        "homes", "joints", "Who lives with how many",
        "Retail parties of each segment by the number of parties in their home, 6 standing for "
        "six and more. People who bank elsewhere are not in the world.",
        ("homes",), _homes(), readings.homes,
    ),
    Figure(
        "living_together", "joints", "Who lives with whom",
        "Pairs of segments in one home over those expected if the members of homes of a region "
        "were exchanged. Blank: fewer than five expected.",
        ("living_together",), _living_together(), readings.living_together,
    ),
    Figure(
        "systems_by_country", "joints", "iOS by country",
        "Share of iOS among phones of parties, with Wilson's 95 % interval, against the policy's "
        "figure, for countries with at least 300 phones.",
        ("systems_by_country",),
        _by_country("systems_by_country", share("policy", "policy"), "share of iOS", "phones"),
        readings.systems_by_country,
    ),
    Figure(
        "cards_by_country", "joints", "Credit cards by country",
        "Share of retail parties with a credit card, with Wilson's 95 % interval, against card "
        "ownership of adults in the policy. Countries differ around the mean of their region, "
        "which is the policy's: inside a region the order is that of ownership, between regions it "
        "need not be.",
        ("cards_by_country",),
        _by_country("cards_by_country", share("policy", "card ownership of adults, policy"),
                    "parties with a credit card", "parties"),
        readings.cards_by_country,
    ),
    Figure(
        "transmission", "joints", "Risk is next to risk",
        "Odds ratio of a party's risk given another risky party beside it, within party types and "
        "regions (Mantel–Haenszel). At 1 neighbours tell nothing.",
        ("transmission",), _transmission(), readings.transmission,
    ),
    Figure(
        "circle_risk", "joints", "Most circles are innocent",
        "Circles by the share of their members that are risky. Above the bars: risky members.",
        ("circle_risk",), _circle_risk(), readings.circle_risk,
    ),
    Figure(
        "circles", "joints", "A circle with risk, and an innocent one",
        "Members on the ring, the devices that several of them use between them, their line "
        "dashed in the middle. Red carries a risky role. Both share things alike.",
        ("circle_nodes", "circle_edges"), _circles(), readings.circles,
    ),
)  # fmt: skip
