"""Where a stream lies, how it is sealed, and checking that it is what it was.

Everything of a stream is below `data/layer3/6B`, its draw logs and verdict too, so that one
rename publishes it and the run's own bundle is not touched. The law of the seal is the one
of every bundle: an index of members with size and SHA-256, its digest in `_passed.flag`.
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
    """Paths below the layer folder of a stream, published or staged."""

    layer: Path

    @staticmethod
    def below(root: Path) -> StreamPlace:
        """The place of the stream below a run, or below any other folder."""
        return StreamPlace(root / LAYER)

    def dataset(self, table: str, identity: Identity) -> Path:
        """Folder that holds the parts of one dataset."""
        return self.layer / table / RunPlace.partition(identity)

    @property
    def receipt(self) -> Path:
        """What S0 verified and which window was asked for."""
        return self.layer / "s0_gate_receipt_6B.json"

    @property
    def report(self) -> Path:
        """Checks and figures of S5."""
        return self.layer / "validation/s5_validation_report_6B.json"

    @property
    def rng_logs(self) -> Path:
        """Audit, trace and event logs of the draws."""
        return self.layer / "logs/rng"

    @property
    def index(self) -> Path:
        """What the stream sealed."""
        return self.layer / INDEX

    @property
    def flag(self) -> Path:
        """Present only where every check passed."""
        return self.layer / FLAG


def seal_stream(
    place: StreamPlace, folders: Iterable[tuple[Path, DatasetRecord]], *, passed: bool
) -> str:
    """Write index (and flag, if `passed`) of a staged stream; returns the bundle digest."""
    return _produce(place).seal(folders, passed=passed)


def check_stream(place: StreamPlace) -> Sealed:
    """Check every byte of a published stream.

    Raises RefusedError `6B.S5.OUTPUT_CONFLICT` naming the first file that differs, is
    missing or is not in the index.
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
        "move its data/layer3/6B away, or publish elsewhere with --to",
    )


def _covered(place: StreamPlace) -> set[str]:
    """Everything but index and flag; links are listed, never followed."""
    found = {
        path.relative_to(place.layer).as_posix()
        for path in place.layer.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    return found - {INDEX.as_posix(), FLAG.as_posix()}
