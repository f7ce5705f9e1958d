"""Whole synthetic bank entity worlds, certified for statistical realism or refused.

    >>> import fraudworld as fw
    >>> world = fw.generate(profile="demo", seed=42)

Names are loaded when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fraudworld.api import (
        World,
        certify,
        find_run,
        generate,
        ladder,
        list_runs,
        open_run,
        profiles,
        scan,
        transactions,
        witness,
    )
    from fraudworld.errors import FraudworldError, InputError, RefusedError
    from fraudworld.request import RunRequest

__version__ = "0.1.0"
__all__ = [
    "FraudworldError",
    "InputError",
    "RefusedError",
    "RunRequest",
    "World",
    "__version__",
    "certify",
    "find_run",
    "generate",
    "ladder",
    "list_runs",
    "open_run",
    "profiles",
    "scan",
    "transactions",
    "witness",
]

_MODULES = {
    "FraudworldError": "errors",
    "InputError": "errors",
    "RefusedError": "errors",
    "RunRequest": "request",
}
"""Name → module of the package; names that are not here are in `api`."""


def __getattr__(name: str) -> object:
    """Loads a public name from its module."""
    if name not in __all__:
        raise AttributeError(f"module 'fraudworld' has no attribute {name!r}")
    import os

    if os.name != "posix":
        raise ImportError("fraudworld runs on Linux and macOS; on Windows, use it inside WSL")
    from importlib import import_module

    return getattr(import_module(f"fraudworld.{_MODULES.get(name, 'api')}"), name)
