"""Renders the report as one HTML file with specifications, facts and the plotting library."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from fraudworld.documents import Json
from fraudworld.report import sections
from fraudworld.report.figures import FIGURES, Figure
from fraudworld.report.html import Safe, data, el, join

Facts = Mapping[str, Json]
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'"
)
"""Content security policy: the browser blocks every request to another resource."""


def render(facts: Facts) -> str:
    """Renders the report as one self-contained HTML document."""
    shown = sections.shown(facts)
    figures = [figure for figure in FIGURES if figure.section in shown]
    specs = {figure.name: figure.spec for figure in figures}
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", sections.title(facts)),
        el("style", Safe(_asset("page.css"))),
    )
    body = el(
        "body",
        el("a", "Skip to the verdict", href="#verdict", class_="skip"),
        el("header", el("h1", sections.title(facts)),
           el("button", "Dark or light", id="theme", type="button")),
        el("nav", join(el("a", sections.TITLES[name], href=f"#{name}") for name in shown),
           aria_label="Sections"),
        el("main", sections.verdict(facts), join(_section(name, figures, facts) for name in shown)),
        el("noscript", "Figures need JavaScript; every number is in report.json beside this file."),
        data("facts", facts),
        data("specs", specs),
        el("script", Safe(_asset("vega.js")), type="module"),
        el("script", Safe(_asset("page.js")), type="module"),
    )  # fmt: skip
    return f'<!doctype html>\n<html lang="en">{head}{body}</html>\n'


def _section(name: str, figures: list[Figure], facts: Facts) -> Safe:
    words = sections.TABLES[name](facts) if name in sections.TABLES else Safe()
    drawn = join(_figure(figure, facts) for figure in figures if figure.section == name)
    return el("section", el("h2", sections.TITLES[name]), words, drawn, id=name)


def _figure(figure: Figure, facts: Facts) -> Safe:
    reading = figure.reading(facts)
    return el(
        "figure",
        el("h3", figure.title),
        el("p", reading, class_="reading"),
        el("div", id=f"figure-{figure.name}", class_="drawing", data_figure=figure.name,
           data_alt=f"{figure.title}. {reading}"),
        el("figcaption", figure.explains),
        el("details", el("summary", "The numbers"), data_rows=" ".join(figure.rows)),
    )  # fmt: skip


def _asset(name: str) -> str:
    return (files("fraudworld.report") / "assets" / name).read_text("utf-8")
