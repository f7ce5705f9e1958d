"""Whether workers fit: the same code and libraries as here, and the same folder."""

from __future__ import annotations

import hashlib
import platform
import secrets
from functools import cache
from importlib import import_module
from pathlib import Path

import fraudworld
from fraudworld.errors import InputError

LIBRARIES = ("numpy", "numba", "pyarrow")
"""What values and bytes depend on besides our own code."""

Versions = dict[str, str]


@cache
def stamp() -> Versions:
    """What a result may depend on: versions, and a digest of the code itself."""
    code = hashlib.sha256()
    folder = Path(fraudworld.__file__).parent
    for file in sorted(folder.rglob("*.py")):
        code.update(f"{file.relative_to(folder).as_posix()}\0".encode())
        code.update(hashlib.sha256(file.read_bytes()).digest())
    return {
        "fraudworld": fraudworld.__version__,
        "python": platform.python_version(),
        **{name: str(import_module(name).__version__) for name in LIBRARIES},
        "code": code.hexdigest()[:16],
    }


def answer(folder: str, nonce: str) -> str | None:
    """Read `nonce` from the file of that name, write it to another; the name of that one.

    None where the folder, or what was written to it elsewhere, is not to be seen here.
    """
    place = Path(folder)
    try:
        if (place / nonce).read_text("ascii") != nonce:
            return None
        name = f"{nonce}.{secrets.token_hex(8)}"
        (place / name).write_text(nonce, "ascii")
    except OSError:
        return None
    return name


def compare(worker: str, ours: Versions, theirs: Versions) -> None:
    """Raise InputError `6A.CLI.WORKERS_DIFFER` unless both are the same."""
    for name, version in ours.items():
        if theirs.get(name) != version:
            raise differ(worker, f"it has {name} {theirs.get(name)}, this process {version}")


def differ(worker: str, what: str) -> InputError:
    """Results of `worker` would be those of other code."""
    return InputError(
        "6A.CLI.WORKERS_DIFFER",
        what,
        where=worker,
        remedy="run scheduler, workers and this command from one environment or image",
    )
