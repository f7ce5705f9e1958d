"""Who the parties are: ages, homes, accounts, and what they share."""

from __future__ import annotations

from fraudworld.report import readings
from fraudworld.report.figures.figure import Figure
from fraudworld.report.marks import WIDE, Spec, layered, log, named, number, share, tip

HALF = 300
"""Width of a panel of two in a row, in pixels."""


def _panels(rows: str, by: str, panel: Spec) -> Spec:
    """One panel for each value of a column, two in a row, each with a vertical scale of its own."""
    return {
        "data": {"name": rows},
        "facet": {"field": by, "type": "nominal", "title": None, "sort": None},
        "columns": 2,
        "resolve": {"scale": {"y": "independent"}},
        "spec": panel,
    }


def _years(field: str, title: str) -> Spec:
    """An axis of whole years; a bar spans one of them."""
    axis = {"labelExpr": "datum.value % 10 === 0 ? datum.label : ''"}
    return {**number(field, title), "bin": {"binned": True, "step": 1}, "axis": axis}


def _profile_ages() -> Spec:
    tips = [tip("segment"), tip("ages"), tip("persons", ",d"), tip("observed", ".2%"),
            tip("law", ".2%")]  # fmt: skip
    x = {"field": "from_age", "type": "ordinal", "axis": {"labelAngle": 0},
         "title": "years, in classes of five"}  # fmt: skip
    panel: Spec = {
        "width": HALF,
        "height": 110,
        "transform": [{"calculate": "datum.from_age + '–' + (datum.from_age + 4)", "as": "ages"}],
        "layer": [
            {
                "mark": {"type": "bar", "color": "var(--c0)"},
                "encoding": {"x": x, "y": share("observed", "share of persons"), "tooltip": tips},
            },
            {
                "mark": {"type": "tick", "thickness": 3, "opacity": 1, "color": "var(--c1)"},
                "encoding": {"x": x, "y": share("law"), "tooltip": tips},
            },
        ],
    }
    return _panels("profile_ages", "segment", panel)


def _age_differences() -> Spec:
    panel: Spec = {
        "width": WIDE - 120,
        "height": 110,
        "transform": [{"calculate": "datum.years + 1", "as": "until"}],
        "mark": {"type": "bar", "color": "var(--c0)", "stroke": "var(--paper)"},
        "encoding": {
            "x": _years("years", "years apart"),
            "x2": {"field": "until"},
            "y": share("share", "share of pairs"),
            "tooltip": [tip("relation"), tip("years", ",d"), tip("pairs", ",d"),
                        tip("share", ".2%")],
        },
    }  # fmt: skip
    return {**_panels("age_differences", "relation", panel), "columns": 1}


def _homes_by_cell() -> Spec:
    def degrees(field: str, domain: tuple[int, int], signs: str) -> Spec:
        said = f"abs(datum.value) + '°' + (datum.value < 0 ? ' {signs[1]}' : ' {signs[0]}')"
        axis = {"labelExpr": said, "tickCount": 8}
        return {**number(field), "title": None, "axis": axis,
                "scale": {"domain": list(domain), "nice": False}}  # fmt: skip

    shade = {
        "field": "homes",
        "type": "quantitative",
        "scale": {"type": "log", "range": [0.25, 1]},
        "title": "homes",
        "legend": {"orient": "bottom", "direction": "horizontal", "symbolType": "square",
                   "format": "~s"},
    }  # fmt: skip
    return {
        "data": {"name": "homes_by_cell"},
        "width": 720,
        "height": 288,
        "mark": {"type": "rect", "color": "var(--c0)"},
        "encoding": {
            "x": degrees("west", (-180, 180), "EW"),
            "x2": {"field": "east"},
            "y": degrees("south", (-60, 84), "NS"),
            "y2": {"field": "north"},
            "opacity": shade,
            "tooltip": [tip("south", ",d"), tip("west", ",d"), tip("homes", ",d")],
        },
    }


def _account_ages() -> Spec:
    panel: Spec = {
        "width": HALF,
        "height": 90,
        "transform": [{"calculate": "datum.years + 1", "as": "until"}],
        "mark": {"type": "bar", "color": "var(--c0)", "stroke": "var(--paper)"},
        "encoding": {
            "x": _years("years", "years since opening"),
            "x2": {"field": "until"},
            "y": share("share", "share of accounts"),
            "tooltip": [tip("group"), tip("years", ",d"), tip("accounts", ",d"),
                        tip("share", ".2%")],
        },
    }  # fmt: skip
    return _panels("account_ages", "group", panel)


def _sharing_kinds() -> Spec:
    y = named("sharing", sort=None)
    tips = [tip("sharing"), tip("observed", ",d"), tip("expected", ",.1f"), tip("ratio", ".3f"),
            tip("allowed", ".0%", "allowed difference"), tip("verdict")]  # fmt: skip
    known = [{"filter": "datum.observed > 0 && datum.expected > 0"}]
    return layered(
        "sharing_kinds",
        {
            "mark": {"type": "tick", "thickness": 3, "opacity": 1, "size": 18,
                     "color": "var(--c1)"},
            "encoding": {"x": log("expected"), "y": y, "tooltip": tips},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 70, "color": "var(--c0)",
                     "opacity": 1},
            "encoding": {"x": log("observed", "parties or homes"), "y": y, "tooltip": tips},
        },
        {
            "mark": {"type": "text", "dx": 10, "align": "left", "color": "var(--ink)"},
            "encoding": {"x": log("observed"), "y": y,
                         "text": {"field": "observed", "format": ",d"}},
        },
        transform=known, width=WIDE - 200, height={"step": 28},
    )  # fmt: skip


def _crowded_addresses() -> Spec:
    y = named("who", sort=None)
    tips = [tip("who"), tip("parties", ",d"), tip("allowed", ",.0f")]
    return layered(
        "crowded_addresses",
        {
            "mark": {"type": "bar", "color": "var(--c0)"},
            "encoding": {"x": number("parties", "parties at addresses of more than five"), "y": y,
                         "tooltip": tips},
        },
        {
            "mark": {"type": "text", "dx": 6, "align": "left", "color": "var(--ink)"},
            "encoding": {"x": number("parties"), "y": y,
                         "text": {"field": "parties", "format": ",d"}},
        },
        {
            "transform": [{"filter": "datum.allowed !== null"}],
            "mark": {"type": "tick", "thickness": 3, "opacity": 1, "color": "var(--bad)"},
            "encoding": {"x": number("allowed"), "y": y, "tooltip": tips},
        },
        width=WIDE - 200, height={"step": 32},
    )  # fmt: skip


FIGURES = (
    Figure(
        "profile_ages", "profiles", "How old persons are",
        "Bars: persons of a segment by age on the first day of the horizon. Ticks: the law of the "
        "segment, that of each region weighted by its persons. Scales differ between panels.",
        ("profile_ages",), _profile_ages(), readings.profile_ages,
    ),
    Figure(
        "age_differences", "profiles", "Ages inside a home",
        "Pairs of members of one household by whole years between their births. Partners are of "
        "one generation, siblings and flatmates of the youngest one; generations are one apart, "
        "and count the older minus the younger.",
        ("age_differences",), _age_differences(), readings.age_differences,
    ),
    Figure(
        "homes_by_cell", "profiles", "Where homes are",
        "Homes of persons in cells of two degrees; the darker in light, or the brighter in dark, "
        "the more, on a logarithmic scale. Blank cells have none.",
        ("homes_by_cell",), _homes_by_cell(), readings.homes_by_cell,
    ),
    Figure(
        "account_ages", "profiles", "How old accounts are",
        "Accounts that are open on the first day of the horizon by whole years since opening, 30 "
        "standing for more, in groups of products. Scales differ between panels.",
        ("account_ages",), _account_ages(), readings.account_ages,
    ),
    Figure(
        "sharing_kinds", "profiles", "Who shares what",
        "Dots: homes (home_phone, home_mailbox) or parties that share something with others. "
        "Ticks: what the law expects of this world. Both are those of guard P4.",
        ("sharing_kinds",), _sharing_kinds(), readings.sharing_kinds,
    ),
    Figure(
        "crowded_addresses", "profiles", "Who is at crowded addresses",
        "Parties at addresses of more than five parties. The tick is the most synthetic identities "
        "that guard P4 admits beside so many innocents.",
        ("crowded_addresses",), _crowded_addresses(), readings.crowded_addresses,
    ),
)  # fmt: skip
