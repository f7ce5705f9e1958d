"""Studies among the guides: their code runs, and prints what their text shows."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

from fraudworld.request import RUNS_ROOT
from repo import repository as repo

STUDIES = ("docs/synthetic-identities.md",)
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@pytest.mark.parametrize("page", STUDIES)
def test_a_study_prints_what_its_page_shows(
    page: str, demo_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs over a copy of the demo world, as a study publishes profiles inside it."""
    text = (repo.ROOT / page).read_text("utf-8")
    # Output that follows no code would never be compared.
    assert text.count("```text") == sum(bool(shown) for _, shown in BLOCK.findall(text)) > 0
    shutil.copytree(demo_world, tmp_path / RUNS_ROOT / demo_world.name)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code, shown in BLOCK.findall(text):
        printed = io.StringIO()
        with threadpool_limits(1), contextlib.redirect_stdout(printed):
            exec(compile(code, page, "exec"), names)
        assert differences(printed.getvalue(), shown) == []


@pytest.mark.parametrize(
    ("printed", "found"),
    [
        ("rule    12  0.91\nall  7.5%\n", []),
        ("rule 12 0.92\nall 7.4%\n", []),
        ("rule 12 0.93\nall 7.5%\n", ["0.93, not 0.91"]),
        ("rule 13 0.91\nall 7.5%\n", ["13, not 12"]),
        ("rule 12 0.91\nany 7.5%\n", ["other words"]),
        ("rule 12 0.91\n", ["other words"]),
    ],
)
def test_other_numbers_and_words_are_detected(printed: str, found: list[str]) -> None:
    assert differences(printed, "rule 12   0.91\nall  7.5%\n") == found


def differences(printed: str, shown: str) -> list[str]:
    """What differs between output and a page; spaces, and one unit of a last decimal, do not."""
    words = [" ".join(NUMBER.sub("#", text).split()) for text in (printed, shown)]
    if words[0] != words[1]:
        return ["other words"]
    pairs = zip(NUMBER.findall(printed), NUMBER.findall(shown), strict=True)
    return [f"{mine}, not {theirs}" for mine, theirs in pairs if not near(mine, theirs)]


def near(mine: str, theirs: str) -> bool:
    """Whether numbers are equal, or differ by at most one unit of the last decimal shown."""
    decimals = len(theirs.partition(".")[2])
    unit = 10.0**-decimals if decimals else 0.0
    return abs(float(mine) - float(theirs)) <= 1.01 * unit
