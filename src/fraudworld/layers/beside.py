"""What lies in a run beside its own bundle: layers with seals of their own, and leftovers."""

from __future__ import annotations

from collections.abc import Iterator

from fraudworld.layers.place import accounted_layer
from fraudworld.layers.profiles.layout import ProfilesPlace
from fraudworld.layers.transactions.layout import StreamPlace
from fraudworld.store.folder import litter
from fraudworld.store.layout import RunPlace
from fraudworld.store.seal import leftovers


def accounted(run: RunPlace) -> Iterator[tuple[str, bool, str]]:
    """Whether what lies in a run, and neither its seal nor its index cover, is accounted for.

    Yields name, whether it holds, and what was found. Below `data/layer3/6B` there is one stream,
    below `data/layer3/6P` one layer of profiles, every file of it under its own seal, made over
    this run. What a killed command left is named. Raises RefusedError for a folder that may not be
    read (`seal.files_of`).
    """
    left = leftovers(run)
    yield "leftovers of killed commands are named as such", True, ", ".join(left[:3])
    yield "files that desktops leave are ignored", True, ", ".join(litter(run.root)[:3])
    for place in (StreamPlace.below(run.root), ProfilesPlace.below(run.root)):
        yield from accounted_layer(run, place)
