"""The drawing library inside every report: Vega, Vega-Lite and Vega-Embed in one file.

    python tools/report_library.py           write src/fraudworld/report/assets/vega.js
    python tools/report_library.py --check   compare the file with the published library

Needs vl-convert-python at the version of `pyproject.toml`, which bundles the library and fetches
nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import vl_convert

PLACE = Path(__file__).parents[1] / "src/fraudworld/report/assets/vega.js"
ENTRY_POINT = "window.vegaEmbed=vegaEmbed;"


def main() -> int:
    """Writes the file, or compares it; returns 1 if it differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    bundle = vl_convert.javascript_bundle(ENTRY_POINT)
    if not arguments.check:
        PLACE.write_text(bundle, "utf-8")
        return 0
    same = PLACE.read_text("utf-8") == bundle
    print("the published library" if same else "differs from the library of vl-convert-python")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
