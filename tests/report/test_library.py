"""The drawing library inside reports is the published one, with its licences."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import pytest

from repo import repository as repo

ASSETS = repo.ROOT / "src/fraudworld/report/assets"


@pytest.mark.full
@pytest.mark.skipif(
    importlib.util.find_spec("vl_convert") is None,
    reason="vl-convert-python is not installed: the library in reports was not compared",
)
def test_the_library_equals_the_published_one() -> None:
    result = subprocess.run(
        [sys.executable, repo.ROOT / "tools/report_library.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "the published library\n"), result.stderr


def test_the_licences_name_the_bundled_versions() -> None:
    library = (ASSETS / "vega.js").read_text("utf-8")
    licences = (ASSETS / "vega.LICENSES.txt").read_text("utf-8")
    vega = re.search(r"Vega (\d+\.\d+\.\d+)", licences)
    assert vega
    assert f'"{vega[1]}"' in library
    assert licences.count("Copyright") >= 10
