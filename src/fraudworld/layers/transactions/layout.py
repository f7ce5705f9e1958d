"""Paths of a stream, its seal, and the check of the seal.

Everything of a stream is below `data/layer3/6B`, RNG logs and report included, so that one rename
publishes it and the run's own bundle is not touched. The seal is that of every bundle
(`store/bundle.py`): an index of members with size and SHA-256, its digest in `_passed.flag`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fraudworld.store.identity import Identity
from fraudworld.store.layout import RunPlace
from fraudworld.store.produce import Produce, Sealed
from fraudworld.store.tables import DatasetRecord

LAYER = Path("data/layer3/6B")
INDEX = Path("validation/validation_bundle_index_6B.json")
FLAG = Path("validation/_passed.flag")
CONFLICT = "6B.S5.OUTPUT_CONFLICT"


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
        "move its data/layer3/6B away, or publish to another folder with --to",
    )


def _covered(place: StreamPlace) -> set[str]:
    """Relative paths of all files but index and flag; links are listed, never followed."""
    files = {
        path.relative_to(place.layer).as_posix()
        for path in place.layer.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    return files - {INDEX.as_posix(), FLAG.as_posix()}
