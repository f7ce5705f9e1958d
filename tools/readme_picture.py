"""The picture of the README: one party of a demo world and what belongs to it.

    .venv-full/bin/python tools/readme_picture.py RUN [--party 44250] [--out docs/world.png]

Renders the report of the run and takes a screenshot of one figure in Chromium, by Playwright, which
`make test-full` installs.
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
    """Renders the figure and writes the picture."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("run", type=Path)
    options.add_argument("--party", help="a party that the figure offers; by default the first")
    options.add_argument("--out", type=Path, default=Path("docs/world.png"))
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = report.write(arguments.run, arguments.run.parent, Path(folder)).page
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        window = browser.new_page(
            viewport={"width": 1060, "height": 1600}, color_scheme="light", device_scale_factor=1.5
        )
        window.goto(page.as_uri())
        figure = window.locator("figure").filter(has_text=FIGURE)
        figure.locator("svg").wait_for()
        if arguments.party is not None:
            figure.locator("select").select_option(arguments.party)
        figure.locator("svg").screenshot(path=arguments.out)
        browser.close()
    print(f"{arguments.out}  {arguments.out.stat().st_size / 1e3:.0f} kB", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
