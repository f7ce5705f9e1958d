"""Whole synthetic bank entity worlds, certified for statistical realism or refused.

    >>> import fraudworld as fw
    >>> world = fw.generate(profile="demo", seed=42)

Names are loaded when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fraudworld.api import World, find_run, generate, open_run
    from fraudworld.request import RunRequest

__version__ = "0.1.0"
__all__ = ["RunRequest", "World", "__version__", "find_run", "generate", "open_run"]

_HOMES = {
    "RunRequest": "fraudworld.request",
    "World": "fraudworld.api",
    "find_run": "fraudworld.api",
    "generate": "fraudworld.api",
    "open_run": "fraudworld.api",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fraudworld' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
