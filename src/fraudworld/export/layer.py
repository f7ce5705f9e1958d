"""Layer 6P inside a run, as exports read it: whole, sealed, and made over this run."""

from __future__ import annotations

from fraudworld.api import World
from fraudworld.contracts import Table
from fraudworld.contracts.profiles import PROFILE_TABLES, PROFILES_BY_NAME
from fraudworld.errors import RefusedError
from fraudworld.layers.place import accounted_layer
from fraudworld.layers.profiles.layout import ProfilesPlace
from fraudworld.store.layout import RunPlace


def sealed_tables(world: World) -> tuple[Table, ...]:
    """The tables that the layer of a run was asked for; none where the run has no layer.

    Every byte of the layer is checked against its seal. A layer without flag is taken, as a run
    without flag is. Raises RefusedError `6P.P5.OUTPUT_CONFLICT` for a layer that is not sealed, was
    changed, is of another run, or whose receipt names other tables than 6P has, and
    `6A.CLI.EVIDENCE_UNREADABLE` for a receipt that is no JSON object.
    """
    place = ProfilesPlace.below(world.root)
    judged = list(accounted_layer(RunPlace(world.root), place))
    for name, holds, what in judged:
        if not holds:
            raise _refused(place, f"{name}: it is not so: {what}")
    if not judged:
        return ()
    stated = place.document(place.receipt).get("tables")
    if not isinstance(stated, list) or not set(map(str, stated)) <= set(PROFILES_BY_NAME):
        raise _refused(place, "its receipt does not name tables of 6P")
    return tuple(t for t in PROFILE_TABLES if t.name in stated)


def _refused(place: ProfilesPlace, what: str) -> RefusedError:
    return RefusedError(
        place.conflict(),
        f"the layer of profiles cannot be exported: {what}",
        where=str(place.layer),
        remedy="move the folder away and make the profiles again, or export --without-profiles",
    )
