"""The report in a headless Chromium, offline.

Needs Chromium (Debian: `apt-get install chromium`) and Playwright, and is skipped without them.
Screenshots are in pytest's temporary folder.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fraudworld import report
from fraudworld.layers.profiles.layer import make_profiles
from fraudworld.layers.profiles.request import ProfilesRequest
from fraudworld.report import facts
from fraudworld.report.figures import FIGURES
from fraudworld.store.layout import CERTIFICATE

pytestmark = pytest.mark.full
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRAWN = "html[data-ready]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium of the machine."""
    executable = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if executable is None or importlib.util.find_spec("playwright") is None:
        pytest.skip("no Chromium or no Playwright: the report was not tested in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def page(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every section: a certificate and a ladder beside the run, profiles inside."""
    root = tmp_path_factory.mktemp("report")
    run = Path(shutil.copytree(demo_world, root / demo_world.name))
    make_profiles(ProfilesRequest(run=run))
    board = facts.read_document(run / "data/layer3/6A/validation/realism_gate_6A.json")
    names = ("or_account", "p99_devices_per_ip")
    summary = {
        "runs": {seed: run.name if seed == "42" else seed * 4 for seed in ("42", "7", "101")},
        "seeds": {s: {"grade": "B+", "guards_broken": []} for s in ("42", "7", "101")},
        "tests": board["tests"],
        "guards": {"42": board["guards"], "over_seeds": []},
        "fails": [],
        "stability": [
            {"metric_name": n, "scale": "mean", "value": 0.05, "values": [1.0, 1.1, 0.9]}
            for n in names
        ],
        "decision": "PASS_BPLUS",
        "eligible_grade": "B+",
        "t10": {"status": "PASS"},
    }
    cell = {"metric": "max_overflow", "value": 21.0, "verdict": "FAIL"}
    decision = {
        "phase": "P0", "decision": "HOLD_REMEDIATE", "seeds": [42], "vetoes": ["T1 fails"],
        "done_when": [{"what": "baseline run pinned", "holds": True, "evidence": {}}],
        "blockers": [],
        "basis": {"adds": ["published_baseline"], "reruns": "S0–S5", "tests": {"T1": cell}},
    }  # fmt: skip
    for path, document in ((CERTIFICATE, summary), (f"{facts.DECISIONS}/P0.json", decision)):
        (root / path).parent.mkdir(parents=True)
        (root / path).write_text(json.dumps(document), "utf-8")
    return report.refresh(run).page


class OpenedPage:
    """A page in a browser tab, its console messages and its requests."""

    def __init__(self, browser: Any, path: Path, **look: Any) -> None:
        self.tab = browser.new_context(viewport={"width": 1100, "height": 900}, **look).new_page()
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.tab.on("console", lambda message: self.messages.append(message.text))
        self.tab.on("pageerror", lambda error: self.messages.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.goto(path.as_uri())
        self.tab.wait_for_selector(DRAWN, state="attached", timeout=60_000)


@pytest.fixture(scope="module")
def opened(browser: Any, page: Path) -> OpenedPage:
    """The report in its light theme."""
    return OpenedPage(browser, page, color_scheme="light")


def test_the_page_logs_nothing_and_fetches_nothing(opened: OpenedPage, page: Path) -> None:
    assert opened.messages == []
    assert opened.requests == [page.as_uri()]


@pytest.mark.parametrize("name", [figure.name for figure in FIGURES])
def test_every_figure_is_drawn(opened: OpenedPage, name: str) -> None:
    """A figure has marks, not only axes, and an alternative text with numbers."""
    drawing = opened.tab.locator(f"#figure-{name} svg")
    assert drawing.count() == 1
    box = drawing.bounding_box()
    assert box["width"] > 300
    assert box["height"] > 60
    marks = drawing.locator(".mark-symbol path, .mark-rect path, .mark-line path, .mark-rule line")
    assert marks.count() >= 3
    label = opened.tab.locator(f"#figure-{name}[role=graphics-document]").get_attribute(
        "aria-label"
    )
    assert any(letter.isdigit() for letter in label or "")


@pytest.mark.parametrize(
    ("name", "mark", "shows"),
    [
        ("ip_types", ".mark-symbol path", "ip type"),
        ("role_pairs", ".mark-rect path", "odds ratio"),
        ("devices_per_ip", ".mark-symbol path", "share"),
        ("homes_by_cell", ".mark-rect path", "homes"),
        ("neighbourhood", ".mark-symbol path", "risk tier"),
    ],
)
def test_hovering_shows_a_tooltip(opened: OpenedPage, name: str, mark: str, shows: str) -> None:
    target = opened.tab.locator(f"#figure-{name} {mark}").first
    target.scroll_into_view_if_needed()
    target.hover(force=True)
    tooltip = opened.tab.locator("#vg-tooltip-element.visible")
    tooltip.wait_for(timeout=5_000)
    assert shows in tooltip.inner_text()


def test_another_party_can_be_picked_by_keyboard(opened: OpenedPage) -> None:
    drawing = opened.tab.locator("#figure-neighbourhood")
    before = drawing.locator("svg").inner_html()
    drawing.locator("select").focus()
    opened.tab.keyboard.press("ArrowDown")
    opened.tab.wait_for_function(
        "before => document.querySelector('#figure-neighbourhood svg').innerHTML !== before",
        arg=before,
    )


def test_the_numbers_of_a_figure_open_as_a_table(opened: OpenedPage) -> None:
    details = opened.tab.locator("figure:has(#figure-caps) details")
    details.locator("summary").focus()
    opened.tab.keyboard.press("Enter")
    products = json.loads(opened.tab.locator("#facts").inner_text())["figures"]["caps"]
    assert details.locator("tbody tr").count() == len(products)
    assert (
        details.locator("tbody tr").first.locator("td").first.inner_text()
        == (products[0]["product"])
    )


def test_dragging_a_curve_moves_it(opened: OpenedPage) -> None:
    drawing = opened.tab.locator("#figure-devices_per_ip svg")
    drawing.scroll_into_view_if_needed()
    first = drawing.locator(".role-axis-label").first
    before = first.text_content()
    box = drawing.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    opened.tab.mouse.move(*middle)
    opened.tab.mouse.down()
    opened.tab.mouse.move(middle[0] - 200, middle[1], steps=5)
    opened.tab.mouse.up()
    assert first.text_content() != before


def test_dark_and_light_differ_and_print_is_light(browser: Any, page: Path, tmp_path: Path) -> None:
    """Colours follow the system and the button; print is always light."""

    def paper(opened: OpenedPage) -> str:
        return str(opened.tab.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = OpenedPage(browser, page, color_scheme="light")
    dark = OpenedPage(browser, page, color_scheme="dark")
    assert paper(light) == "rgb(255, 255, 255)"
    assert paper(dark) != paper(light)
    for opened, name in ((light, "light"), (dark, "dark")):
        opened.tab.screenshot(path=tmp_path / f"{name}.png", full_page=True)
    dark.tab.locator("#theme").click()
    assert paper(dark) == paper(light)
    dark.tab.locator("#theme").click()
    dark.tab.emulate_media(media="print")
    assert paper(dark) == paper(light)
    dark.tab.pdf(path=tmp_path / "print.pdf")
    assert all(place.stat().st_size > 50_000 for place in tmp_path.iterdir())
    assert not light.messages + dark.messages


def test_text_has_enough_contrast(browser: Any, page: Path) -> None:
    """WCAG 2 AA: contrast 4.5 to 1 for text on all backgrounds, in dark and light."""
    inks = ("--ink", "--muted", "--good", "--fair", "--bad", "--link")
    grounds = ("--paper", "--panel")
    cells = [f"--d{i}" for i in range(7)] + ["--blank"]
    for scheme in ("light", "dark"):
        opened = OpenedPage(browser, page, color_scheme=scheme)
        value = {
            name: _luminance(opened.tab.evaluate(COLOUR, name))
            for name in (*inks, *grounds, *cells)
        }
        pairs = [(i, g) for i in inks for g in grounds] + [("--ink", cell) for cell in cells]
        low = {pair: r for pair in pairs if (r := _contrast(value, *pair)) < 4.5}
        assert not low, scheme


COLOUR = "name => getComputedStyle(document.documentElement).getPropertyValue(name)"


def _luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, as WCAG defines it."""
    parts = [int(colour.strip()[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(value: dict[str, float], ink: str, ground: str) -> float:
    bright, dim = sorted((value[ink], value[ground]), reverse=True)
    return (bright + 0.05) / (dim + 0.05)
