"""Vega-Lite fragments that several figures share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fraudworld.documents import JsonObject

Spec = JsonObject
DIVERGING = tuple(f"var(--d{i})" for i in range(7))
"""Colours from far below to far above the expected value; the middle one is neutral."""
ODDS_STEPS = (0.25, 0.5, 0.8, 1.25, 2.0, 4.0)
RESIDUAL_STEPS = (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0)
WIDE = 700
"""Width of a figure in pixels, row labels included."""
ROW = 18


def number(field: str, title: str | None = None) -> Spec:
    """A quantitative axis; without a title it shares that of the layer before it."""
    said = {"title": title} if title else {}
    return {"field": field, "type": "quantitative", **said}


def share(field: str, title: str | None = None) -> Spec:
    """A fraction on an axis in per cent."""
    return {**number(field, title), "axis": {"format": "~%"}}


def log(field: str, title: str | None = None) -> Spec:
    """A logarithmic axis, for positive values."""
    axis = {"format": "~g", "tickCount": 6, "labelOverlap": True}
    return {**number(field, title), "scale": {"type": "log", "nice": False}, "axis": axis}


def named(field: str, *, sort: str | None = "ascending") -> Spec:
    """A nominal axis of row labels; `sort=None` keeps the order of the rows."""
    return {"field": field, "type": "nominal", "title": None, "sort": sort}


def tip(field: str, form: str | None = None, title: str | None = None) -> Spec:
    """A line of a tooltip."""
    kind = {"type": "quantitative", "format": form} if form else {"type": "nominal"}
    return {"field": field, "title": title or field.replace("_", " "), **kind}


def zoomable() -> Spec:
    """Pan by dragging, zoom by shift and wheel, so that the wheel alone scrolls the page."""
    zoom = "wheel![event.shiftKey]"
    return {"name": "view", "select": {"type": "interval", "zoom": zoom}, "bind": "scales"}


def layered(data: str, *layers: Spec, **rest: Any) -> Spec:
    """Layers over one dataset, which a layer may override."""
    return {"data": {"name": data}, **rest, "layer": list(layers)}


def odds_ratios(
    axis: Callable[..., Spec], down: Spec, tips: Sequence[Spec], **scale: Any
) -> list[Spec]:
    """Layers of rows with `odds_ratio`, `low` and `high`, and a line where there is no effect.

    axis: `number` or `log`; down: axis of row labels; scale: further keys of the axis of ratios.
    """
    point = {"type": "point", "filled": True, "size": 80, "color": "var(--c0)", "opacity": 1}
    across = {**axis("odds_ratio", "odds ratio, 95 % interval"), **scale}
    return [
        {
            "mark": {"type": "rule", "color": "var(--bad)", "strokeDash": [4, 3]},
            "data": {"values": [{"none": 1}]},
            "encoding": {"x": axis("none")},
        },
        {
            "mark": {"type": "rule", "strokeWidth": 3, "color": "var(--soft)"},
            "encoding": {"x": axis("low"), "x2": {"field": "high"}, "y": down},
        },
        {"mark": point, "encoding": {"x": across, "y": down, "tooltip": list(tips)}},
    ]


def stepped(field: str, steps: Sequence[float], colours: Sequence[str], title: str) -> Spec:
    """A threshold colour scale with one fewer step than colours."""
    scale = {"type": "threshold", "domain": list(steps), "range": list(colours)}
    legend = {"orient": "bottom", "direction": "horizontal", "gradientLength": 240}
    return {
        "field": field,
        "type": "quantitative",
        "scale": scale,
        "title": title,
        "legend": legend,
    }


def heatmap(
    data: str, across: str, down: str, colour: Spec, tips: Sequence[Spec], *,
    cell: tuple[int, int], text: tuple[str, str] | None = None, label: str | None = None,
    sort: str | None = "ascending", heads: str = "top",
) -> Spec:  # fmt: skip
    """Coloured cells `across` × `down`; cells without a value stay blank.

    text: (field, format) printed in every cell. label: a Vega expression for the column
    headers, which need `heads="bottom"` if they span lines.
    """
    axis: Spec = {"labelAngle": 0 if cell[0] > 40 else -90, "orient": heads}
    if label:
        axis["labelExpr"] = label
    where = {"x": {**named(across, sort=sort), "axis": axis}, "y": named(down)}
    known = {"filter": f"datum.{colour['field']} !== null"}
    layers: list[Spec] = [
        {
            "mark": {"type": "rect", "stroke": "var(--paper)", "fill": "var(--blank)"},
            "encoding": {**where, "tooltip": list(tips)},
        },
        {
            "transform": [known],
            "mark": {"type": "rect", "stroke": "var(--paper)"},
            "encoding": {**where, "color": colour, "tooltip": list(tips)},
        },
    ]
    if text:
        layers.append(
            {
                "transform": [known],
                "mark": {"type": "text", "fontSize": 10, "color": "var(--ink)", "tooltip": None},
                "encoding": {**where, "text": {"field": text[0], "format": text[1]}},
            }
        )
    width, height = {"step": cell[0]}, {"step": cell[1]}
    return layered(data, *layers, width=width, height=height)
