"""A copy of the shipped pack that a test may damage, and a way to write overlays."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from fraudworld.policy.loader import SHIPPED


@pytest.fixture
def pack_dir(tmp_path: Path) -> Path:
    """The shipped pack in a folder of its own."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "pack"))


@pytest.fixture
def write_overlay(tmp_path: Path) -> Callable[..., Path]:
    """Writes `{name}.yaml` with the given sections and returns its path."""

    def write(name: str = "what_if", **sections: object) -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"name": name, "why": "a test", **sections}))
        return path

    return write
