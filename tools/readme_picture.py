"""The picture of the README: one party of a demo world and what belongs to it.

    .venv-full/bin/python tools/readme_picture.py RUN [--party 44250] [--out docs/world.png]

Draws the run's report and photographs one of its figures in a browser (Chromium, driven by
Playwright: `make test-full` sets both up where the system has the browser).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from fraudworld import report

FIGURE = "One party and what belongs to it"


def main() -> int:
    """Draw and write."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("run", type=Path)
    options.add_argument("--party", help="one of those the figure offers; by default its first")
    options.add_argument("--out", type=Path, default=Path("docs/world.png"))
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = report.write(asked.run, asked.run.parent, Path(folder)).page
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        window = browser.new_page(
            viewport={"width": 1060, "height": 1600}, color_scheme="light", device_scale_factor=1.5
        )
        window.goto(page.as_uri())
        figure = window.locator("figure").filter(has_text=FIGURE)
        figure.locator("svg").wait_for()
        if asked.party is not None:
            figure.locator("select").select_option(asked.party)
        figure.locator("svg").screenshot(path=asked.out)
        browser.close()
    print(f"{asked.out}  {asked.out.stat().st_size / 1e3:.0f} kB", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
