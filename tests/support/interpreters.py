"""Other versions of Python on this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def find(version: str) -> Path | None:
    """An interpreter of a version such as 3.9: of the path, or one that pyenv has."""
    found = shutil.which(f"python{version}")
    kept = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    installed = sorted(kept.glob(f"{version}.*/bin/python"))
    if installed:  # pyenv's shims on the path start nothing by themselves
        return installed[-1]
    return Path(found) if found else None
