"""Folders of layers beside a run: paths, seal and the check of the seal.

Everything of a layer lies in one folder, RNG logs and report included, so that one rename publishes
it and the run's own bundle is not touched. The seal is that of every bundle (`store/bundle.py`): an
index of members with size and SHA-256, its digest in `_passed.flag`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from fraudworld.documents import JsonObject, read_object
from fraudworld.errors import RefusedError
from fraudworld.store.folder import list_files
from fraudworld.store.identity import Identity
from fraudworld.store.layout import RunPlace
from fraudworld.store.produce import Produce, Sealed
from fraudworld.store.receipt import read_receipt
from fraudworld.store.seal import files_of
from fraudworld.store.tables import DatasetRecord

FLAG = Path("validation/_passed.flag")


@dataclass(frozen=True)
class LayerPlace:
    """Paths of a layer below its folder, published or staged. A subclass names the segment."""

    layer: Path

    SEGMENT: ClassVar[str]
    WHAT: ClassVar[str]  # in messages: "a stream is published here"
    CHECKED: ClassVar[str]  # the state that checks and seals

    @classmethod
    def folder(cls) -> Path:
        """Folder of the layer, relative to a run or to `--to`."""
        return Path("data/layer3") / cls.SEGMENT

    @classmethod
    def below(cls, root: Path) -> Self:
        """The place of the layer below a run, or below any other folder."""
        return cls(root / cls.folder())

    @classmethod
    def conflict(cls) -> str:
        """Code of the error for another or a changed layer."""
        return f"{cls.SEGMENT}.{cls.CHECKED}.OUTPUT_CONFLICT"

    @classmethod
    def remedy(cls) -> str:
        """What to do about it."""
        return f"move its {cls.folder().as_posix()} away, or publish to another folder with --to"

    def dataset(self, table: str, identity: Identity) -> Path:
        """Folder of the parts of a dataset."""
        return self.layer / table / RunPlace.partition(identity)

    @property
    def receipt(self) -> Path:
        """Document of the first state: the run verified, and what was asked for."""
        return self.layer / f"s0_gate_receipt_{self.SEGMENT}.json"

    @property
    def report(self) -> Path:
        """Results of the checks, and counts."""
        name = f"{self.CHECKED.lower()}_validation_report_{self.SEGMENT}.json"
        return self.layer / "validation" / name

    @property
    def rng_logs(self) -> Path:
        """Folder of the RNG logs: audit, trace, events."""
        return self.layer / "logs/rng"

    @classmethod
    def index_name(cls) -> Path:
        """Index of the sealed files, relative to the layer."""
        return Path("validation") / f"validation_bundle_index_{cls.SEGMENT}.json"

    @property
    def index(self) -> Path:
        """Index of the sealed files."""
        return self.layer / self.index_name()

    @property
    def flag(self) -> Path:
        """Flag that is present only where every check passed."""
        return self.layer / FLAG

    def seal(self, folders: Iterable[tuple[Path, DatasetRecord]], *, passed: bool) -> str:
        """Writes the index of a staged layer, and its flag if `passed`; returns the digest."""
        return self._produce().seal(folders, passed=passed)

    def check(self) -> Sealed:
        """Checks every byte of a published layer.

        Raises RefusedError `<segment>.<state>.OUTPUT_CONFLICT` for the first file that differs, is
        missing or is not in the index.
        """
        return self._produce().check()

    def require_over(self, run: RunPlace) -> None:
        """Checks every byte of a published layer, and that it was made over this run.

        Raises RefusedError as `check`, and for a layer of another run.
        """
        self.check()
        stated = self.document(self.receipt).get("world_bundle_digest")
        if stated != read_receipt(run).bundle_digest:
            raise RefusedError(
                self.conflict(),
                f"the {self.WHAT} here was made over another run, of bundle {stated}",
                where=str(self.layer),
                remedy=self.remedy(),
            )

    def _produce(self) -> Produce:
        return Produce(
            self.layer, self.index, self.flag, self._covered, self.conflict(), self.WHAT,
            self.remedy(),
        )  # fmt: skip

    def _covered(self) -> dict[str, int]:
        """All files but index and flag, relative path → bytes."""
        files = list_files(self.layer, code=self.conflict(), what=self.WHAT, remedy=self.remedy())
        own = {self.index_name().as_posix(), FLAG.as_posix()}
        return {name: size for name, size in files.items() if name not in own}

    def document(self, path: Path) -> JsonObject:
        """A JSON object of a published layer. Raises RefusedError where it cannot be read."""
        return read_object(
            path,
            code="6A.CLI.EVIDENCE_UNREADABLE",
            what=f"this file of the {self.WHAT} cannot be read",
            remedy=f"the {self.WHAT} was changed after publishing; make it again elsewhere",
        )


def accounted_layer(run: RunPlace, place: LayerPlace) -> Iterator[tuple[str, bool, str]]:
    """Whether the layer below a run is under its own seal, and made over this run.

    Yields name, whether it holds, and what was found; nothing where there is no such layer.
    """
    if not any(name.startswith(f"{place.folder().as_posix()}/") for name in files_of(run)):
        return
    sealed = f"every file of its {place.WHAT} is sealed"
    try:
        place.check()
    except RefusedError as error:
        yield sealed, False, error.what
        return
    yield sealed, True, ""
    what = f"the {place.WHAT}'s receipt"
    document = read_object(place.receipt, code=place.conflict(), what=what, remedy=place.remedy())
    stated = document.get("world_bundle_digest")
    digest = read_receipt(run).bundle_digest
    found = "" if stated == digest else f"it states the run's bundle {stated}, this is {digest}"
    yield f"its {place.WHAT} was made over this run", stated == digest, found
