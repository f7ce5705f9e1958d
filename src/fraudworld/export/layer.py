"""Layer 6P inside a run, as exports read it: whole, sealed, and made over this run."""

from __future__ import annotations

from fraudworld.api import World
from fraudworld.contracts import Table
from fraudworld.contracts.profiles import PROFILE_TABLES, PROFILES_BY_NAME
from fraudworld.errors import RefusedError
from fraudworld.layers.profiles.layout import ProfilesPlace
from fraudworld.store.layout import RunPlace


def sealed_tables(world: World) -> tuple[Table, ...]:
    """The tables that the layer of a run was asked for; none where the run has no layer.

    Every byte of the layer is checked against its seal. A layer without flag is taken, as a run
    without flag is. Raises RefusedError `6P.P5.OUTPUT_CONFLICT` for a layer that is not sealed, was
    changed, is of another run, or whose receipt does not name tables of 6P.
    """
    place = ProfilesPlace.below(world.root)
    if not place.layer.exists():
        return ()
    try:
        place.require_over(RunPlace(world.root))
    except RefusedError as error:
        raise _refused(place, error.what) from error
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
