"""Accounts and instruments: caps, holdings, means."""

from __future__ import annotations

from fraudworld.report import readings
from fraudworld.report.figures.figure import Figure
from fraudworld.report.marks import ROW, WIDE, Spec, layered, log, named, number, tip


def _caps() -> Spec:
    y = named("product", sort=None)
    tips = [
        tip("product"),
        tip("k_max"),
        tip("largest"),
        tip("holders", ",d"),
        tip("parties_over", ",d"),
        tip("accounts_over", ",d"),
    ]
    breach = {"test": "datum.parties_over > 0", "value": "var(--bad)"}
    return layered(
        "caps",
        {
            "mark": {"type": "bar", "height": 11},
            "encoding": {
                "x": {
                    **number("largest", "accounts of the product held by one party"),
                    "axis": {"format": "d", "tickMinStep": 1},
                },
                "y": y,
                "color": {"condition": breach, "value": "var(--c0)"},
                "tooltip": tips,
            },
        },
        {
            "mark": {"type": "tick", "thickness": 3, "size": 20, "color": "var(--ink)"},
            "encoding": {"x": number("k_max"), "y": y, "tooltip": tips},
        },
        {
            "transform": [
                {
                    "calculate": "(datum.parties_over > 0 ? format(datum.parties_over, ',') : "
                    "'none') + ' over'",
                    "as": "said",
                },
                {"calculate": "max(datum.largest, datum.k_max)", "as": "end"},
            ],
            "mark": {"type": "text", "align": "left", "dx": 8, "color": "var(--ink)"},
            "encoding": {"x": number("end"), "y": y, "text": {"field": "said"}},
        },
        width=WIDE - 240,
        height={"step": 24},
    )


def _per_party() -> Spec:
    def curve(name: str, what: str, colour: str, shape: str) -> Spec:
        return {
            "data": {"name": name},
            "transform": [{"calculate": f"'{what}'", "as": "what"}],
            "mark": {
                "type": "line",
                "color": colour,
                "interpolate": "linear",
                "point": {"color": colour, "shape": shape, "size": 45},
            },
            "encoding": {
                "x": log("k", "accounts or devices of one party"),
                "y": log("share", "share with at least so many"),
                "tooltip": [tip("what"), tip("k", ",d"), tip("count", ",d"), tip("share", ".3%")],
            },
        }

    def end(name: str, what: str, colour: str) -> Spec:
        return {
            "data": {"name": name},
            "transform": [
                {
                    "window": [{"op": "row_number", "as": "n"}],
                    "sort": [{"field": "k", "order": "descending"}],
                },
                {"filter": "datum.n === 2"},
            ],
            "mark": {
                "type": "text",
                "text": what,
                "align": "left",
                "dx": 10,
                "dy": -8,
                "color": colour,
                "fontWeight": "bold",
            },
            "encoding": {"x": log("k"), "y": log("share")},
        }

    return {
        "width": WIDE - 150,
        "height": 340,
        "layer": [
            curve("accounts_per_party", "accounts", "var(--c0)", "circle"),
            curve("devices_per_party", "devices", "var(--c1)", "square"),
            {
                "data": {"name": "per_party_bounds"},
                "mark": {"type": "rule", "strokeDash": [5, 3], "strokeWidth": 2},
                "encoding": {
                    "x": log("bound"),
                    "color": {
                        "field": "what",
                        "title": "most the policy allows",
                        "scale": {"range": ["var(--c0)", "var(--c1)"]},
                    },
                    "tooltip": [tip("what"), tip("bound", ",d"), tip("why")],
                },
            },
            end("accounts_per_party", "accounts", "var(--c0)"),
            end("devices_per_party", "devices", "var(--c1)"),
        ],
    }


def _instruments() -> Spec:
    y = named("what", sort=None)
    tips = [tip("what"), tip("policy", ".4f"), tip("observed", ".4f"), tip("floor")]
    return layered(
        "instruments",
        {
            "mark": {"type": "tick", "thickness": 3, "size": 15, "color": "var(--ink)"},
            "encoding": {"x": number("policy"), "y": y, "tooltip": tips},
        },
        {
            "mark": {"type": "point", "size": 70, "strokeWidth": 2, "opacity": 1},
            "encoding": {
                "x": number("observed", "instruments per account"),
                "y": y,
                "stroke": {"value": "var(--c1)"},
                "fill": {
                    "condition": {"test": "datum.floor", "value": "var(--c1)"},
                    "value": "transparent",
                },
                "tooltip": tips,
            },
        },
        transform=[
            {"calculate": "datum.account_type + ' · ' + datum.instrument_type", "as": "what"}
        ],
        width=WIDE - 380,
        height={"step": ROW},
    )


FIGURES = (
    Figure(
        "caps", "accounts", "Largest holding against K_max",
        "Bars end at the largest holding of one party; the tick is the cap no party may "
        "exceed. A bar beyond its tick is a breach.",
        ("caps",), _caps(), readings.caps,
    ),
    Figure(
        "per_party", "accounts", "Accounts and devices per party",
        "Share of owners with at least so many, both axes logarithmic. Dashed: the most the "
        "policy lets one party own.",
        ("accounts_per_party", "devices_per_party", "per_party_bounds"), _per_party(),
        readings.per_party,
    ),
    Figure(
        "instruments", "accounts", "Instruments per account against λ",
        "Dots are means over all accounts of the type, ticks the policy's λ. Filled dots "
        "are floors: instruments every such account is meant to have.",
        ("instruments",), _instruments(), readings.instruments,
    ),
)  # fmt: skip
