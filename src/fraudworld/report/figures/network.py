"""Devices and endpoints: types, reuse, and the risk of busy ones."""

from __future__ import annotations

from fraudworld.report import readings
from fraudworld.report.figures.figure import Figure
from fraudworld.report.marks import WIDE, Spec, layered, log, named, share, tip, zoomable


def _ip_types() -> Spec:
    y = named("ip_type")
    tips = [tip("region"), tip("ip_type"), tip("links", ",d"), tip("policy", ".2%"),
            tip("observed", ".2%"), tip("error_pp", "+.3f")]  # fmt: skip
    layers = [
        {
            "mark": {"type": "rule", "strokeWidth": 3, "color": "var(--soft)"},
            "encoding": {
                "x": share("policy", "share of links"),
                "x2": {"field": "observed"},
                "y": y,
            },
        },
        {
            "mark": {"type": "point", "size": 110, "color": "var(--ink)", "strokeWidth": 1.5},
            "encoding": {"x": share("policy"), "y": y, "tooltip": tips},
        },
        {
            "mark": {
                "type": "point",
                "filled": True,
                "size": 36,
                "color": "var(--c1)",
                "opacity": 1,
            },
            "encoding": {"x": share("observed"), "y": y, "tooltip": tips},
        },
    ]
    return {
        "data": {"name": "ip_types"},
        "facet": {
            "column": {
                "field": "region",
                "title": None,
                "header": {"labelExpr": "replace(datum.label, 'REGION_', '')"},
            }
        },
        "spec": {"width": 112, "height": {"step": 22}, "layer": layers},
    }


def _devices_per_ip() -> Spec:
    bound_tips = [tip("grade"), tip("what"), tip("devices", ",d"), tip("value")]
    bounds = {"data": {"name": "devices_per_ip_bounds"}}
    grade = {"field": "grade", "title": "bound of", "scale": {"range": ["var(--c1)", "var(--c2)"]}}
    return layered(
        "devices_per_ip",
        {
            "mark": {
                "type": "line",
                "color": "var(--c0)",
                "interpolate": "step-before",
                "strokeWidth": 2,
                "tooltip": False,
            },
            "encoding": {"x": log("k", "devices on one IP"), "y": log("share", "share of IPs")},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 22, "color": "var(--c0)"},
            "params": [zoomable()],
            "encoding": {
                "x": log("k"),
                "y": log("share"),
                "tooltip": [tip("k", ",d"), tip("count", ",d"), tip("share", ".4%")],
            },
        },
        {
            **bounds,
            "transform": [
                {"filter": "datum.what === 'p99'"},
                {"calculate": "0.01", "as": "share"},
            ],
            "mark": {
                "type": "point",
                "shape": "triangle-left",
                "filled": True,
                "size": 130,
                "opacity": 1,
            },
            "encoding": {
                "x": log("devices"),
                "y": log("share"),
                "color": grade,
                "tooltip": bound_tips,
            },
        },
        {
            **bounds,
            "transform": [{"filter": "datum.what === 'max'"}],
            "mark": {"type": "rule", "strokeDash": [5, 3], "strokeWidth": 2},
            "encoding": {"x": log("devices"), "color": grade, "tooltip": bound_tips},
        },
        width=WIDE - 130,
        height=380,
    )


def _risk_by_degree() -> Spec:
    x = {"field": "devices", "type": "ordinal", "sort": None, "title": "devices on the IP",
         "axis": {"labelAngle": 0}}  # fmt: skip
    tips = [tip("devices"), tip("ips", ",d"), tip("risky", ",d"), tip("share", ".2%"),
            tip("low", ".2%"), tip("high", ".2%")]  # fmt: skip
    return layered(
        "risk_by_degree",
        {
            "mark": {"type": "rule", "strokeWidth": 3, "color": "var(--soft)"},
            "encoding": {"x": x, "y": share("low", "share HIGH_RISK_IP"), "y2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1,
                     "color": "var(--c1)"},
            "encoding": {"x": x, "y": share("share"), "tooltip": tips},
        },
        {
            "mark": {"type": "text", "dy": -12, "dx": 4, "align": "left", "color": "var(--ink)"},
            "encoding": {"x": x, "y": share("share"),
                         "text": {"field": "share", "format": ".1%"}},
        },
        width=WIDE - 120, height=280,
    )  # fmt: skip


FIGURES = (
    Figure(
        "ip_types", "network", "IP types by region of the device",
        "Share of device–IP links. Hollow: policy. Filled: observed.",
        ("ip_types",), _ip_types(), readings.ip_types,
    ),
    Figure(
        "devices_per_ip", "network", "Devices per IP",
        "Share of linked IPs with at least so many devices. Marks are T5's bounds: the "
        "curve must pass below those of the 99th percentile, and end left of the maxima.",
        ("devices_per_ip", "devices_per_ip_bounds"), _devices_per_ip(),
        readings.devices_per_ip,
    ),
    Figure(
        "risk_by_degree", "network", "Busy IPs are riskier",
        "Share of IPs with the role HIGH_RISK_IP by devices seen on them, with Wilson's "
        "95 % interval.",
        ("risk_by_degree",), _risk_by_degree(), readings.risk_by_degree,
    ),
)  # fmt: skip
