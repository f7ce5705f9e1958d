"""Paths of a stream, its seal, and the check of the seal.

Everything of a stream is below `data/layer3/6B`, RNG logs and report included, so that one rename
publishes it and the run's own bundle is not touched. The seal is that of every bundle
(`store/bundle.py`): an index of members with size and SHA-256, its digest in `_passed.flag`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fraudworld.documents import read_object
from fraudworld.errors import RefusedError
from fraudworld.store.folder import list_files, litter
from fraudworld.store.identity import Identity
from fraudworld.store.layout import RunPlace
from fraudworld.store.produce import Produce, Sealed
from fraudworld.store.receipt import read_receipt
from fraudworld.store.seal import files_of, leftovers
from fraudworld.store.tables import DatasetRecord

LAYER = Path("data/layer3/6B")
INDEX = Path("validation/validation_bundle_index_6B.json")
FLAG = Path("validation/_passed.flag")
CONFLICT = "6B.S5.OUTPUT_CONFLICT"
_REMEDY = "move its data/layer3/6B away, or publish to another folder with --to"


@dataclass(frozen=True)
class StreamPlace:
    """Paths of a stream below its layer folder, published or staged."""

    layer: Path

    @staticmethod
    def below(root: Path) -> StreamPlace:
        """The place of the stream below a run, or below any other folder."""
        return StreamPlace(root / LAYER)

    def dataset(self, table: str, identity: Identity) -> Path:
        """Folder of the parts of a dataset."""
        return self.layer / table / RunPlace.partition(identity)

    @property
    def receipt(self) -> Path:
        """Document of S0: the run and upstream verified, the window asked for."""
        return self.layer / "s0_gate_receipt_6B.json"

    @property
    def report(self) -> Path:
        """Document of S5: results of the checks, and counts."""
        return self.layer / "validation/s5_validation_report_6B.json"

    @property
    def rng_logs(self) -> Path:
        """Folder of the RNG logs: audit, trace, events."""
        return self.layer / "logs/rng"

    @property
    def index(self) -> Path:
        """Index of the sealed files."""
        return self.layer / INDEX

    @property
    def flag(self) -> Path:
        """Flag that is present only where every check passed."""
        return self.layer / FLAG


def seal_stream(
    place: StreamPlace, folders: Iterable[tuple[Path, DatasetRecord]], *, passed: bool
) -> str:
    """Writes the index of a staged stream, and its flag if `passed`; returns the bundle digest."""
    return _produce(place).seal(folders, passed=passed)


def check_stream(place: StreamPlace) -> Sealed:
    """Checks every byte of a published stream.

    Raises RefusedError `6B.S5.OUTPUT_CONFLICT` for the first file that differs, is missing or is
    not in the index.
    """
    return _produce(place).check()


def _produce(place: StreamPlace) -> Produce:
    return Produce(
        place.layer,
        place.index,
        place.flag,
        lambda: _covered(place),
        CONFLICT,
        "stream",
        _REMEDY,
    )


def _covered(place: StreamPlace) -> dict[str, int]:
    """All files but index and flag, relative path → bytes."""
    files = list_files(place.layer, code=CONFLICT, what="stream", remedy=_REMEDY)
    own = {INDEX.as_posix(), FLAG.as_posix()}
    return {name: size for name, size in files.items() if name not in own}


def accounted(run: RunPlace) -> Iterator[tuple[str, bool, str]]:
    """Whether what lies in a run, and neither its seal nor its index cover, is accounted for.

    Yields name, whether it holds, and what was found. Below `data/layer3/6B` there is one stream,
    every file of it under its own seal, made over this run. What a killed command left is named.
    Raises RefusedError for a folder that may not be read (`seal.files_of`).
    """
    left = leftovers(run)
    yield "leftovers of killed commands are named as such", True, ", ".join(left[:3])
    yield "files that desktops leave are ignored", True, ", ".join(litter(run.root)[:3])
    place = StreamPlace.below(run.root)
    if not any(name.startswith(f"{LAYER.as_posix()}/") for name in files_of(run)):
        return
    try:
        check_stream(place)
    except RefusedError as error:
        yield "every file of its stream is sealed", False, error.what
        return
    yield "every file of its stream is sealed", True, ""
    stated = read_object(
        place.receipt, code=CONFLICT, what="the stream's receipt", remedy=_REMEDY
    ).get("world_bundle_digest")
    digest = read_receipt(run).bundle_digest
    what = "" if stated == digest else f"it states the run's bundle {stated}, this is {digest}"
    yield "its stream was made over this run", stated == digest, what
