"""Which figures of a policy are bounds of its certificate, and how a pack may change them.

A world that is judged by weaker bounds than those shipped would carry the same word as one that
is not. So overlays never set bounds, and a pack with other bounds than those shipped with this
version must say so: `validation_policy.rebaseline` gives reason and authority, and both are shown
wherever the verdict is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from fraudworld.documents import Json, JsonObject
from fraudworld.policy.pack import PolicyPack

VALIDATION, WITNESS = "validation_policy", "downstream_witness"
JUDGED = ("gates", "support", "guards")
"""Families of the validation policy that are bounds, each figure of them."""

CHECKED = ("distribution_checks", "linkage_checks", "role_distribution_checks")
"""Bounds of the checks of S5."""

SIZES = frozenset({"flows"})
"""Figures of `downstream_witness` that are no bounds: a shorter stream has less evidence."""

AT_LEAST = frozenset({"T4_linked_device_fraction", "T6_mapped_role_fraction", "T7_odds_ratio"})
"""Gates whose value must reach its threshold; all others must not exceed it."""

REBASELINE = (VALIDATION, "rebaseline")

Data = Mapping[str, Json]
"""Files of a pack by stem, as YAML or as JSON."""


def bounds_of(data: Data) -> dict[str, Json]:
    """Every bound by its dotted name, `validation_policy.gates.T7_odds_ratio.B`."""
    families = {stem: data.get(stem) for stem in (VALIDATION, WITNESS)}
    return {
        name: value
        for name, value in _figures(families)
        if name.startswith(_JUDGED_NAMES) and name not in _SIZE_NAMES
    }


_JUDGED_NAMES = (*(f"{VALIDATION}.{family}." for family in (*JUDGED, *CHECKED)), f"{WITNESS}.")
_SIZE_NAMES = frozenset(f"{WITNESS}.{name}" for name in SIZES)


def moved_by_overlay(before: Data, after: Data) -> Iterator[str]:
    """Keys that an overlay changed and may not: bounds, looser checks of S5, `rebaseline`.

    A check of S5 may be tightened: the world must then satisfy more.
    """
    if _at(before, REBASELINE) != _at(after, REBASELINE):
        yield ".".join(REBASELINE)
    yield from _moved(bounds_of(before), bounds_of(after))


def _moved(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[str]:
    """Names of bounds that differ, and of checks of S5 that are looser, in order."""
    for name in sorted({*before, *after}):
        was, now = before.get(name), after.get(name)
        if was != now and (name.split(".")[1] not in CHECKED or _looser(name, was, now)):
            yield name


def _looser(name: str, before: Json, after: Json) -> bool:
    """Whether a bound of a check admits more; a missing or malformed one does."""
    if not all(isinstance(v, int | float) for v in (before, after)):
        return True
    last = name.rpartition(".")[2]
    floor = last == "low" or last.startswith("min_")
    return bool(after < before) if floor else bool(after > before)


def changed_bounds(pack: PolicyPack) -> list[JsonObject]:
    """Bounds that differ from those shipped with this version: name, shipped, here; by name.

    A tighter check of S5 does not count: the world must then satisfy more.
    """
    here, shipped = bounds_of(pack.model_dump(mode="json")), _shipped()
    return [
        {"bound": name, "shipped": shipped.get(name), "here": here.get(name)}
        for name in _moved(shipped, here)
    ]


def rebaselined(pack: PolicyPack) -> JsonObject | None:
    """Reason, authority and changed bounds of a re-baselined pack; None where there is none."""
    stated = pack.validation_policy.rebaseline
    if stated is None:
        return None
    return {**stated.model_dump(), "bounds": changed_bounds(pack)}


@cache
def _shipped() -> Mapping[str, Json]:
    import yaml

    from fraudworld.policy.loader import SHIPPED, file_of

    texts = {stem: (SHIPPED / file_of(stem)).read_text("utf-8") for stem in (VALIDATION, WITNESS)}
    return bounds_of({stem: yaml.safe_load(text) for stem, text in texts.items()})


def _at(data: Data, path: tuple[str, ...]) -> Json:
    node: Json = data
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def _figures(node: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Json]]:
    """Leaves of a document by dotted key; an empty mapping is a leaf."""
    if isinstance(node, Mapping) and node:
        for key, value in node.items():
            yield from _figures(value, (*path, str(key)))
    else:
        yield ".".join(path), node
