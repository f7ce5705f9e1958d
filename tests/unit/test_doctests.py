"""Examples in docstrings run and print what they show."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from fraudworld.request import RUNS_ROOT


@pytest.mark.parametrize("module", ["fraudworld.api"])
def test_examples_run_as_written(module, demo_world, tmp_path, monkeypatch):
    """Runs in a folder that already holds the demo world, so that `generate` reuses it."""
    (tmp_path / RUNS_ROOT).parent.mkdir(parents=True)
    (tmp_path / RUNS_ROOT).symlink_to(Path(demo_world).parent)
    monkeypatch.chdir(tmp_path)
    outcome = doctest.testmod(importlib.import_module(module))
    assert outcome.attempted >= 7
    assert outcome.failed == 0
