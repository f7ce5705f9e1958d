"""Randomness: keys, streams and their evidence.

A draw is a pure function of (seed, stream label, entity id, draw index) and of nothing else. A
stream has a label, a *family* (the traceable substream it belongs to) and a *width* w, the
draws every entity owns in it. Draw `i` of entity `e` (0-based, id − 1) is element `e · w + i`
of numpy's Philox4x64-10 under the stream's key, and the key is the first 16 bytes of SHA-256
over (law version, seed, label). The policy is not in the key: two policies under one seed share
their draws, so comparing them is a paired experiment.

`registry` registers every stream; functions return values and keep no state. What a stage drew
it states afterwards as `StreamUse` records, from which the RNG logs are written and later
reconciled.
"""

from fraudworld.rng.stream import FAMILIES, RNG_LAW_VERSION, Stream, StreamUse

__all__ = ["FAMILIES", "RNG_LAW_VERSION", "Stream", "StreamUse"]
