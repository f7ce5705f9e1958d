"""The embedded upstream: segments 1A to 5B of the default bank, built and measured."""

from fraudworld.inputs.embedded.build import SEGMENTS, build, ensure_embedded
from fraudworld.inputs.embedded.shape import measure

__all__ = ["SEGMENTS", "build", "ensure_embedded", "measure"]
