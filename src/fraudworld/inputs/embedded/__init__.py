"""The frozen upstream 1A–5B: the embedded default, its shape, its seal."""

from fraudworld.inputs.embedded.build import SEGMENTS, build, ensure_embedded
from fraudworld.inputs.embedded.shape import measure

__all__ = ["SEGMENTS", "build", "ensure_embedded", "measure"]
