"""Checks of this machine, as findings with remedies."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fraudworld.extras import EXTRAS
from fraudworld.request import PROFILES

BYTES_PER_PARTY = 80
"""Bytes on disk per party, all tables and evidence; an authority world takes about 160 MB."""
MEMORY_PER_PARTY = 700
MEMORY_BASE = 500 * 2**20


Check = Callable[[Path], Iterator["Finding"]]


@dataclass(frozen=True)
class Finding:
    """The result of one check. `holds=None`: no run depends on it, though it may be slower."""

    what: str
    found: str
    holds: bool | None
    remedy: str = ""


def examine(runs_root: Path) -> tuple[Finding, ...]:
    """Checks Python, libraries, cores, memory, disk, caches and extras."""
    return tuple(finding for check in CHECKS for finding in _guarded(check, runs_root))


def _guarded(check: Check, runs_root: Path) -> Iterator[Finding]:
    """The findings of a check; one that fails itself is a finding, too."""
    try:
        yield from check(runs_root)
    except Exception as error:  # whatever a broken machine or installation raises
        name = check.__name__.strip("_")
        yield Finding(name, f"{type(error).__name__}: {error}", False, "repair what it names")


def _python(runs_root: Path) -> Iterator[Finding]:
    version = f"{platform.python_version()}, {platform.machine()}, {platform.system()}"
    holds = sys.version_info >= (3, 11)
    yield Finding("Python", version, holds, "install Python 3.11 or newer")
    holds = sys.byteorder == "little" and sys.maxsize > 2**32
    yield Finding(
        "platform", f"{sys.byteorder}-endian", holds, "use a 64-bit little-endian machine"
    )


def _libraries(runs_root: Path) -> Iterator[Finding]:
    for requirement in importlib.metadata.requires("fraudworld") or ():
        if "extra ==" in requirement:
            continue
        name = requirement.split(">")[0].split("<")[0].split("=")[0].strip()
        try:
            yield Finding(name, importlib.metadata.version(name), True)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "missing", False, f"pip install '{requirement}'")


def _kernels(runs_root: Path) -> Iterator[Finding]:
    """The cache of compiled code, without which every run compiles for a minute."""
    try:
        from fraudworld import jit
        from fraudworld.kernels import normal
    except ImportError as error:
        yield Finding("compiled kernels", str(error), False, "install the package again")
        return
    if not hasattr(normal.exp, "signatures"):
        remedy = "unset NUMBA_DISABLE_JIT, or runs take hours"
        yield Finding("compiled kernels", "the compiler is switched off", None, remedy)
        return
    state, place = jit.cache_state(), "set NUMBA_CACHE_DIR to a folder that can be written"
    if state is None:
        yield Finding("compiled kernels", "compiled in every run: no place to keep", None, place)
        return
    found = f"{state.entries} kept" if state.entries else "compiled at the first run"
    yield Finding("compiled kernels", found, None)
    if not os.access(state.folder, os.W_OK):
        yield Finding("place of compiled kernels", "cannot be written", None, place)
    if state.damaged:
        found, remedy = f"{state.damaged}: compiled again", f"delete {state.folder}"
        yield Finding("damaged kernels", found, None, remedy)


def _machine(runs_root: Path) -> Iterator[Finding]:
    yield Finding("cores", str(os.cpu_count() or 1), None)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for profile, parties in PROFILES.items():
        need = MEMORY_BASE + MEMORY_PER_PARTY * parties
        yield Finding(
            f"memory for {profile}",
            f"{memory / 2**30:.1f} GiB, needs about {need / 2**30:.1f}",
            memory > need,
            "use a smaller --profile or --scale",
        )


def _disk(runs_root: Path) -> Iterator[Finding]:
    place = runs_root
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            writable = True
    except OSError:
        writable = False
    yield Finding(f"writing below {place}", "works" if writable else "refused", writable,
                  "choose a writable --runs-root")  # fmt: skip
    free = shutil.disk_usage(place).free
    need = BYTES_PER_PARTY * PROFILES["authority"]
    yield Finding(
        "disk for authority",
        f"{free / 2**30:.1f} GiB free, needs about {need / 2**30:.1f}",
        free > need,
        "free space or choose another --runs-root",
    )


def _extras(runs_root: Path) -> Iterator[Finding]:
    for extra, modules in EXTRAS.items():
        missing = [m for m in modules if importlib.util.find_spec(m) is None]
        state = f"not installed: {', '.join(missing)}" if missing else "installed"
        remedy = f"pip install 'fraudworld[{extra}]'" if missing else ""
        yield Finding(f"extra {extra}", state, None, remedy)


CHECKS: tuple[Check, ...] = (
    _python,
    _libraries,
    _kernels,
    _machine,
    _disk,
    _extras,
)
