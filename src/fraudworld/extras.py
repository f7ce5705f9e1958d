"""Optional libraries, which an installation may lack."""

from __future__ import annotations

import importlib
from typing import Any

from fraudworld.errors import InputError

MISSING = "6A.CLI.EXTRA_MISSING"
EXTRAS = {
    "dask": ("distributed", "dask"),
    "frames": ("polars", "pandas"),
    "graphdb": ("ladybug",),
    "graphs": ("networkx", "igraph"),
    "sign": ("securesystemslib", "cryptography"),
    "pyg": ("torch", "torch_geometric"),
}
"""Extra → modules it installs; `pip install 'fraudworld[extra]'`."""


def needs(module: str) -> Any:
    """The module, or InputError `6A.CLI.EXTRA_MISSING` with the command that installs it."""
    (extra,) = (name for name, modules in EXTRAS.items() if module.split(".")[0] in modules)
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            MISSING,
            f"this needs {module.split('.')[0]}, which is not installed",
            where=module,
            remedy=f"pip install 'fraudworld[{extra}]'",
        ) from error
