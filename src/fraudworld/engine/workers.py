"""Whether workers run the same code and libraries as this process, and see the same folder."""

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
"""Libraries that values or bytes depend on."""

Versions = dict[str, str]


@cache
def stamp() -> Versions:
    """Versions a result may depend on, and a digest of our own code."""
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
    """Reads the file `nonce`, writes its text to a new file, and returns the new name.

    None where the folder, or a file another machine wrote into it, is not visible here.
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
    """Raises InputError `6A.CLI.WORKERS_DIFFER` unless both are equal."""
    for name, version in ours.items():
        if theirs.get(name) != version:
            raise differ(worker, f"it has {name} {theirs.get(name)}, this process {version}")


def differ(worker: str, what: str) -> InputError:
    """The error of a worker that would compute with other code."""
    return InputError(
        "6A.CLI.WORKERS_DIFFER",
        what,
        where=worker,
        remedy="run scheduler, workers and this command from one environment or image",
    )
