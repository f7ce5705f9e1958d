"""How close each metric comes to its limit."""

from __future__ import annotations

from fraudworld.report import readings
from fraudworld.report.figures.figure import Figure
from fraudworld.report.marks import ROW, WIDE, Spec, layered, named, number, tip

NEARLY_LINEAR = {"type": "symlog", "constant": 1}
"""Linear up to the limit, logarithmic beyond: a gross failure must not hide the rest."""


def _allowances() -> Spec:
    y = named("metric", sort=None)
    tips = [tip("metric"), tip("value"), tip("used", ".3f"), tip("verdict")]
    return layered(
        "allowances",
        {
            "mark": {"type": "rule", "color": "var(--bad)", "strokeDash": [4, 3]},
            "data": {"values": [{"limit": 1}]},
            "encoding": {"x": number("limit")},
        },
        {
            "mark": {"type": "tick", "thickness": 2, "color": "var(--ink)"},
            "encoding": {"x": number("bplus"), "y": y},
        },
        {
            "mark": {"type": "rule", "strokeWidth": 3, "color": "var(--soft)"},
            "encoding": {"x": number("low"), "x2": {"field": "high"}, "y": y},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
            "encoding": {
                "x": {**number("used", "share of the allowance used"), "scale": NEARLY_LINEAR},
                "y": y,
                "color": _verdict("var(--good)", "var(--c0)", "var(--bad)", "var(--muted)"),
                "shape": _verdict("circle", "square", "triangle-up", "cross"),
                "tooltip": tips,
            },
        },
        width=WIDE - 150,
        height={"step": ROW},
    )


def _verdict(*appearance: str) -> Spec:
    """Colours or shapes of the verdicts; with one domain both share a legend."""
    scale = {"domain": ["B+", "B", "FAIL", "NO EVIDENCE"], "range": list(appearance)}
    return {"field": "verdict", "type": "nominal", "scale": scale, "title": None}


FIGURES = (
    Figure(
        "allowances", "gates", "How much of grade B's allowance is used",
        "1 is the limit of grade B; the tick is the limit of B+. Dots left of both pass "
        "both. Metrics with no room at all (exact zero or one) stand in the table only.",
        ("allowances",), _allowances(), readings.allowances,
    ),
)  # fmt: skip
