"""Paths of a stream, its seal, and the check of the seal."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from fraudworld.layers.place import FLAG as FLAG
from fraudworld.layers.place import LayerPlace
from fraudworld.store.produce import Sealed
from fraudworld.store.tables import DatasetRecord


class StreamPlace(LayerPlace):
    """Paths of a stream below its layer folder, published or staged."""

    SEGMENT: ClassVar[str] = "6B"
    WHAT: ClassVar[str] = "stream"
    CHECKED: ClassVar[str] = "S5"


LAYER = StreamPlace.folder()
INDEX = StreamPlace.index_name()
CONFLICT = StreamPlace.conflict()


def seal_stream(
    place: StreamPlace, folders: Iterable[tuple[Path, DatasetRecord]], *, passed: bool
) -> str:
    """Writes the index of a staged stream, and its flag if `passed`; returns the bundle digest."""
    return place.seal(folders, passed=passed)


def check_stream(place: StreamPlace) -> Sealed:
    """Checks every byte of a published stream; raises as `LayerPlace.check`."""
    return place.check()
