"""Every figure of the report as a Vega-Lite specification over named rows of the facts.

Colours are names of CSS variables, so one drawing serves light, dark and print. Shape or
text repeats whatever colour says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fraudworld.report import readings
from fraudworld.report.marks import (
    DIVERGING,
    ODDS_STEPS,
    RESIDUAL_STEPS,
    Spec,
    heatmap,
    layered,
    log,
    named,
    number,
    share,
    stepped,
    tip,
    zoomable,
)

Facts = Mapping[str, Any]
WIDE = 700
ROW = 18
INTERVAL = "95 % interval"


@dataclass(frozen=True)
class Figure:
    """A drawing with its words.

    rows: names under `figures` (or `neighbourhoods`) of the facts that it draws; the first
    is also its table. reading: one sentence with this world's figures, from the facts.
    """

    name: str
    section: str
    title: str
    explains: str
    rows: tuple[str, ...]
    spec: Spec
    reading: Callable[[Facts], str]


def all_figures() -> tuple[Figure, ...]:
    """The figures in the order of the page."""
    return (
        Figure(
            "allowances", "gates", "How much of grade B's allowance is used",
            "1 is the limit of grade B; the tick is the limit of B+. Dots left of both pass "
            "both. Metrics with no room at all (exact zero or one) stand in the table only.",
            ("allowances",), _allowances(), readings.allowances,
        ),
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
        Figure(
            "caps", "accounts", "Largest holding against K_max",
            "Bars end at the largest holding of one party; the tick is the cap no party may "
            "exceed. A bar beyond its tick is a breach.",
            ("caps",), _caps(), readings.caps,
        ),
        Figure(
            "per_party", "accounts", "Accounts and devices per party",
            "Share of owners with at least so many, both axes logarithmic.",
            ("accounts_per_party", "devices_per_party"), _per_party(), readings.per_party,
        ),
        Figure(
            "instruments", "accounts", "Instruments per account against λ",
            "Dots are means over all accounts of the type, ticks the policy's λ. Filled dots "
            "are floors: instruments every such account is meant to have.",
            ("instruments",), _instruments(), readings.instruments,
        ),
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
        Figure(
            "seeds", "seeds", "Seeds side by side",
            "Each metric relative to its mean over the seeds of the certificate; the band is "
            "one standard deviation at B+'s limit.",
            ("seeds",), _seeds(), readings.seeds,
        ),
        Figure(
            "neighbourhood", "neighbourhood", "One party and what belongs to it",
            "Left: the endpoints its devices were seen on. Middle: the people it shares a home, "
            "firm or device with. Right: its accounts and what pays from them. Diamonds carry "
            "a risky role, and an edge between two of them is drawn thick.",
            ("nodes", "edges", "parties"), _neighbourhood(), readings.neighbourhood,
        ),
        Figure(
            "steps", "time", "Seconds of every step, and the memory reached",
            "Wall seconds; peak memory is the process's high-water mark as a step ended.",
            ("steps",), _steps(), readings.steps,
        ),
    )  # fmt: skip


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
                "x": number("used", "share of the allowance used"),
                "y": y,
                "color": verdict_colour(),
                "shape": {"field": "verdict", "legend": None},
                "tooltip": tips,
            },
        },
        width=WIDE - 150,
        height={"step": ROW},
    )


def verdict_colour() -> Spec:
    """Colour of a verdict; its legend also shows the shapes."""
    scale = {
        "domain": ["B+", "B", "FAIL", "NO EVIDENCE"],
        "range": ["var(--good)", "var(--c0)", "var(--bad)", "var(--muted)"],
    }
    return {"field": "verdict", "type": "nominal", "scale": scale, "title": None}


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
                    "calculate": "datum.parties_over > 0 ? format(datum.parties_over, ',') + "
                    "' parties over' : 'none over'",
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
        "width": WIDE - 120,
        "height": 340,
        "layer": [
            curve("accounts_per_party", "accounts", "var(--c0)", "circle"),
            curve("devices_per_party", "devices", "var(--c1)", "square"),
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
            "mark": {"type": "point", "shape": "triangle-left", "filled": True, "size": 130},
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


def _effects() -> Spec:
    y = named("what", sort=None)
    tips = [
        tip("asset"),
        tip("method"),
        tip("odds_ratio", ".3f"),
        tip("low", ".3f"),
        tip("high", ".3f"),
    ]
    zero: Spec = {"scale": {"zero": False}}
    return layered(
        "effects",
        {
            "mark": {"type": "rule", "color": "var(--bad)", "strokeDash": [4, 3]},
            "data": {"values": [{"none": 1}]},
            "encoding": {"x": number("none")},
        },
        {
            "mark": {"type": "rule", "strokeWidth": 3, "color": "var(--soft)"},
            "encoding": {"x": number("low"), "x2": {"field": "high"}, "y": y},
        },
        {
            "mark": {
                "type": "point",
                "filled": True,
                "size": 80,
                "color": "var(--c0)",
                "opacity": 1,
            },
            "encoding": {
                "x": {**number("odds_ratio", f"odds ratio, {INTERVAL}"), **zero},
                "y": y,
                "tooltip": tips,
            },
        },
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


def _neighbourhood() -> Spec:
    mine = {"filter": "datum.ego === ego"}
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
                "transform": [mine],
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
                "transform": [mine],
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
                    mine,
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
