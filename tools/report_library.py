"""The drawing library inside every report: Vega, Vega-Lite and Vega-Embed in one file.

    python tools/report_library.py           write src/fraudworld/report/assets/vega.js
    python tools/report_library.py --check   say whether the file is the published library

Needs vl-convert-python at the version `pyproject.toml` names, which bundles what it holds
and fetches nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import vl_convert

PLACE = Path(__file__).parents[1] / "src/fraudworld/report/assets/vega.js"
OFFERS = "window.vegaEmbed=vegaEmbed;"


def main() -> int:
    """Write the file, or compare it; 1 where it differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    wanted = parser.parse_args()
    bundle = vl_convert.javascript_bundle(OFFERS)
    if not wanted.check:
        PLACE.write_text(bundle, "utf-8")
        return 0
    same = PLACE.read_text("utf-8") == bundle
    print("the published library" if same else "not what vl-convert-python makes")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
