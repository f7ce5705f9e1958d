"""Words of the Vega-Lite grammar that several figures use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Spec = dict[str, Any]
DIVERGING = tuple(f"var(--d{i})" for i in range(7))
"""From far below to far above; the middle says `as it should be`."""
ODDS_STEPS = (0.25, 0.5, 0.8, 1.25, 2.0, 4.0)
RESIDUAL_STEPS = (-3.0, -2.0, -1.0, 1.0, 2.0, 3.0)
WIDE = 700
"""Pixels a figure may take, names at its side included."""
ROW = 18


def number(field: str, title: str | None = None) -> Spec:
    """A quantitative axis; without a title it borrows its neighbours'."""
    said = {"title": title} if title else {}
    return {"field": field, "type": "quantitative", **said}


def share(field: str, title: str | None = None) -> Spec:
    """A fraction, its axis in per cent."""
    return {**number(field, title), "axis": {"format": "~%"}}


def log(field: str, title: str | None = None) -> Spec:
    """A logarithmic axis; only positive values can be drawn on it."""
    axis = {"format": "~g", "tickCount": 6, "labelOverlap": True}
    return {**number(field, title), "scale": {"type": "log", "nice": False}, "axis": axis}


def named(field: str, *, sort: str | None = "ascending") -> Spec:
    """Names down the side; `sort=None` keeps the order of the rows."""
    return {"field": field, "type": "nominal", "title": None, "sort": sort}


def tip(field: str, form: str | None = None, title: str | None = None) -> Spec:
    """A line of a tooltip."""
    kind = {"type": "quantitative", "format": form} if form else {"type": "nominal"}
    return {"field": field, "title": title or field.replace("_", " "), **kind}


def zoomable() -> Spec:
    """Drag moves, shift and wheel zooms: the wheel alone keeps scrolling the page."""
    zoom = "wheel![event.shiftKey]"
    return {"name": "view", "select": {"type": "interval", "zoom": zoom}, "bind": "scales"}


def layered(data: str, *layers: Spec, **rest: Any) -> Spec:
    """Layers over one set of rows; a layer may name its own."""
    return {"data": {"name": data}, **rest, "layer": list(layers)}


def stepped(field: str, steps: Sequence[float], colours: Sequence[str], title: str) -> Spec:
    """A colour per step: as many steps as colours, less one."""
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
    """Coloured cells `across` × `down`; `text` (field, format) repeats the value in words.

    A cell without a value stays blank. `label` is an expression of Vega for the heads of the
    columns; heads of several lines need `heads="bottom"`.
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
