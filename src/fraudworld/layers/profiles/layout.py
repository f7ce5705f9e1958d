"""Paths of the profiles of a run, their seal, and the check of the seal."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from fraudworld.layers.place import LayerPlace


class ProfilesPlace(LayerPlace):
    """Paths of profiles below their layer folder, published or staged."""

    SEGMENT: ClassVar[str] = "6P"
    WHAT: ClassVar[str] = "layer of profiles"
    CHECKED: ClassVar[str] = "P5"

    @property
    def gateboard(self) -> Path:
        """The verdict of every guard."""
        return self.layer / "validation/realism_gate_6P.json"
