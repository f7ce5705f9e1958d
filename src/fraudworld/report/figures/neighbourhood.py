"""One party and everything within its reach."""

from __future__ import annotations

from fraudworld.report import readings
from fraudworld.report.figures.figure import Figure
from fraudworld.report.marks import Spec, tip


def _neighbourhood() -> Spec:
    chosen = {"filter": "datum.ego === ego"}
    x = {"field": "x", "type": "quantitative", "axis": None, "scale": {"domain": [-0.3, 4.7]}}
    y = {"field": "y", "type": "quantitative", "axis": None, "scale": {"domain": [-1, 1.12]}}
    tips = [tip("kind"), tip("id"), tip("what"), tip("place"), tip("how"), tip("raw_role"),
            tip("risk_tier"), tip("devices", ",d", "devices on it")]  # fmt: skip
    risky = {"test": "datum.risky", "value": "var(--bad)"}
    kinds = ["IP endpoints", "devices", "people", "accounts", "instruments"]
    heads = [{"x": i, "y": 1.09, "head": head} for i, head in enumerate(kinds)]
    at = {"x": x, "y": y}
    small = {"type": "text", "align": "left", "dx": 9, "fontSize": 9.5, "color": "var(--ink)"}
    return {
        "width": 860,
        "height": 460,
        "params": [{"name": "ego", "bind": {"input": "select", "name": "Party "}}],
        "layer": [
            {
                "data": {"name": "edges"},
                "transform": [chosen],
                "mark": {"type": "rule", "color": "var(--soft)"},
                "encoding": {
                    **at,
                    "x2": {"field": "x2"},
                    "y2": {"field": "y2"},
                    "strokeWidth": {
                        "condition": {"test": "datum.risky", "value": 3},
                        "value": 1,
                    },
                    "color": {"condition": risky, "value": "var(--soft)"},
                },
            },
            {
                "data": {"name": "nodes"},
                "transform": [chosen],
                "mark": {"type": "point", "filled": True, "opacity": 1},
                "encoding": {
                    **at,
                    "color": {"condition": risky, "value": "var(--c0)"},
                    "shape": {
                        "condition": {"test": "datum.risky", "value": "diamond"},
                        "value": "circle",
                    },
                    "size": {
                        "condition": {"test": "datum.how === 'chosen'", "value": 330},
                        "value": 110,
                    },
                    "tooltip": tips,
                },
            },
            {
                "data": {"name": "nodes"},
                "transform": [
                    chosen,
                    {
                        "calculate": "(datum.risky ? datum.raw_role : datum.what) + (datum.kind"
                        " === 'party' && datum.how !== 'chosen' ? ': ' + datum.how : '')",
                        "as": "said",
                    },
                ],
                "mark": {**small, "dy": -9},
                "encoding": {**at, "text": {"field": "said"}},
            },
            {
                "data": {"values": heads},
                "mark": {"type": "text", "fontWeight": "bold", "color": "var(--ink)"},
                "encoding": {**at, "text": {"field": "head"}},
            },
        ],
    }


FIGURES = (
    Figure(
        "neighbourhood", "neighbourhood", "One party and what belongs to it",
        "Left: the endpoints its devices were seen on. Middle: the people it shares a home, "
        "firm or device with. Right: its accounts and what pays from them. Diamonds carry "
        "a risky role, and an edge between two of them is drawn thick.",
        ("nodes", "edges", "parties"), _neighbourhood(), readings.neighbourhood,
    ),
)  # fmt: skip
