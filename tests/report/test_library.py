"""The drawing library inside reports is the published one, untouched, with its licences."""

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
def test_it_is_what_its_makers_publish() -> None:
    said = subprocess.run(
        [sys.executable, repo.ROOT / "tools/report_library.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stdout) == (0, "the published library\n"), said.stderr


def test_its_licences_name_the_versions_inside() -> None:
    library = (ASSETS / "vega.js").read_text("utf-8")
    licences = (ASSETS / "vega.LICENSES.txt").read_text("utf-8")
    vega = re.search(r"Vega (\d+\.\d+\.\d+)", licences)
    assert vega
    assert f'"{vega[1]}"' in library
    assert licences.count("Copyright") >= 10
