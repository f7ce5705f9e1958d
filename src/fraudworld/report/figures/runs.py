"""Seeds side by side, and where the time went."""

from __future__ import annotations

from fraudworld.report import readings
from fraudworld.report.figures.figure import Figure
from fraudworld.report.marks import ROW, WIDE, Spec, layered, named, number, tip


def _seeds() -> Spec:
    return layered(
        "seeds",
        {
            "mark": {"type": "rule", "color": "var(--muted)"},
            "data": {"values": [{"mean": 1}]},
            "encoding": {"x": number("mean")},
        },
        {
            "mark": {"type": "point", "size": 60, "opacity": 1},
            "encoding": {
                "x": {**number("ratio", "value / mean over the seeds"), "scale": {"zero": False}},
                "y": named("metric", sort=None),
                "color": {"field": "seed", "title": "seed"},
                "shape": {"field": "seed", "title": "seed"},
                "tooltip": [tip("metric"), tip("seed"), tip("value", ".5g"), tip("ratio", ".4f")],
            },
        },
        width=WIDE - 250,
        height={"step": ROW},
    )


def _steps() -> Spec:
    y = named("what", sort=None)
    what = {"calculate": "datum.state + ' ' + datum.step", "as": "what"}
    tips = [tip("what"), tip("elapsed_s", ".3f"), tip("cpu_s", ".3f"), tip("rows", ",d"),
            tip("peak_rss_mib", ",.0f")]  # fmt: skip
    seconds: Spec = {
        "width": 280,
        "height": {"step": 16},
        "mark": {"type": "bar", "color": "var(--c0)"},
        "encoding": {"x": number("elapsed_s", "seconds"), "y": y, "tooltip": tips},
    }
    memory: Spec = {
        "width": 150,
        "height": {"step": 16},
        "mark": {"type": "bar", "color": "var(--c2)"},
        "encoding": {
            "x": number("peak_rss_mib", "peak MiB"),
            "y": {**y, "axis": {"labels": False, "ticks": False, "title": None}},
            "tooltip": tips,
        },
    }
    return {
        "data": {"name": "steps"},
        "transform": [{"filter": "datum.elapsed_s >= 0.001"}, what],
        "hconcat": [seconds, memory],
    }


FIGURES = (
    Figure(
        "seeds", "seeds", "Seeds side by side",
        "Each metric relative to its mean over the seeds of the certificate; T9 bounds the "
        "standard deviation of every row.",
        ("seeds",), _seeds(), readings.seeds,
    ),
    Figure(
        "steps", "time", "Seconds of every step, and the memory reached",
        "Wall seconds; peak memory is the process's high-water mark as a step ended.",
        ("steps",), _steps(), readings.steps,
    ),
)  # fmt: skip
