"""Nodes of every country and endpoint type, and the stubs matched to them.

A *unit* is a country and type; stubs of some types come from other countries (`abroad.py`). Degrees
of its nodes are drawn from a truncated discrete power law until they use up the stubs of the unit;
stubs are matched at random, and devices twice on one node repaired by swaps (`kernels/matching.py`,
a configuration model). Stubs that no swap repairs move to another type of the country, or are
dropped and counted. Home lines are nodes already, unless the policy's `degree_model` is
`unbounded`, which matches home links like all others (docs/decisions/0010-what-the-baseline-is.md).

Twin of all kernels here: tests/reference/endpoints.py:nodes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.kernels import offsets
from fraudworld.kernels.matching import draw_degrees, match_stubs
from fraudworld.rng import StreamUse
from fraudworld.stages.network.abroad import Visitors, in_world
from fraudworld.stages.network.endpoint_law import NEVER, NODE_SPACE, EndpointLaw
from fraudworld.stages.network.stubs import PieceDemand

U64 = NDArray[np.uint64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


@dataclass
class _Unit:
    """Endpoints of one country and type."""

    slots: I32  # device · 2 + typical, devices counted in the world; −1 for a returned stub
    start: I64  # first slot of every node, (nodes + 1,)
    returned: NDArray[np.integer]  # stubs that no swap repaired
    swaps: int = 0
    kept_short: int = 0  # 1 if the last node has less than the least degree


class Move(NamedTuple):
    """A link that moved to another type."""

    device: int  # counted in the world
    own: int
    to: int  # DROPPED: dropped, as no type could take it


DROPPED = -1


@dataclass(frozen=True)
class CountryLinks:
    """Links of a country, in order of type, then node, then device."""

    slots: I32  # device · 2 + typical, devices counted in the world; (links,)
    start: I64  # first slot of every node, (nodes + 1,)
    nodes: I64  # (types,)
    links: I64  # (types,)


@dataclass(frozen=True)
class CountrySums:
    """Counts of a country's nodes, links and repairs."""

    nodes: I64  # (types,)
    links: I64  # (types,)
    swaps: int
    kept_short: int  # units whose last node has less than the least degree
    moved: list[Move]  # links that no swap repaired
    uses: list[StreamUse]


def match_country(
    law: EndpointLaw,
    country: int,
    before: I64,
    pieces: list[PieceDemand],
    numbers: list[int | I32],
    stubs: list[I64],
    stays: tuple[I32, ...],
    visitors: list[Visitors],
) -> tuple[CountryLinks, CountrySums]:
    """Task: nodes and links of one country.

    before: links of earlier countries, (types,). numbers: number in the world of every shard's
    first device; last, of all terminals of the country. stubs: of every piece, (types,).

    stays, visitors: links that did not leave and that arrived, by the types of `law.abroad`; empty
    where no country has such links.
    """
    at_home = dict(zip(law.abroad.types, stays, strict=False))
    arriving = dict(zip(law.abroad.types, visitors, strict=False))
    slots, first = _slots_by_type(law, pieces, numbers, stubs, at_home, arriving)
    units, uses = list[_Unit](), list[StreamUse]()
    for t in range(len(law.degree)):
        of_type = slots[first[t] : first[t + 1]]
        if t == law.home_type and not law.mixed:
            of_homes, of_circles = [p.nodes for p in pieces], [p.circle_nodes for p in pieces]
            start = offsets.from_counts(np.concatenate(of_homes + of_circles))
            units.append(_Unit(of_type, start, of_type[:0]))
            continue
        if t == law.home_type:
            of_type.sort()
        unit, used = _match_unit(law, country, t, of_type, int(before[t]))
        units.append(unit)
        uses += used
    moved = list[Move]()
    if any(u.returned.size for u in units):
        returned = np.concatenate([u.returned for u in units]) >> 1
        groups = _groups(pieces, numbers, visitors, returned)
        moved = _retype_returned(law, groups, visitors, units)
        slots = np.concatenate([u.slots for u in units])
    nodes = np.array([u.start.size - 1 for u in units])
    links = np.array([u.slots.size for u in units])
    begin = offsets.from_counts(links)
    start = np.concatenate([u.start[:-1] + b for u, b in zip(units, begin, strict=False)])
    matched = CountryLinks(slots, np.append(start, slots.size), nodes, links)
    swaps, short = sum(u.swaps for u in units), sum(u.kept_short for u in units)
    return matched, CountrySums(nodes, links, swaps, short, moved, uses)


def _slots_by_type(
    law: EndpointLaw,
    pieces: list[PieceDemand],
    numbers: list[int | I32],
    stubs: list[I64],
    stays: dict[int, I32],
    visitors: dict[int, Visitors],
) -> tuple[I32, list[int]]:
    """Slots of a country by type, then device, and the first slot of every type.

    One array for all types, in which they are matched in place: no copy at the end. Home lines
    are in order of piece, those of circles after those of homes.
    """
    starts = [offsets.from_counts(s).tolist() for s in stubs]
    parts = [
        [
            (p.stub[s[t] : s[t + 1]], number)
            for p, s, number in zip(pieces, starts, numbers, strict=True)
        ]
        for t in range(len(law.degree))
    ]
    # Circles come after all homes of the country, wherever it is cut into pieces.
    of_pieces = list(zip(pieces, numbers, strict=True))
    parts[law.home_type] = [(p.slots, number) for p, number in of_pieces]
    parts[law.home_type] += [(p.circle_slots, number) for p, number in of_pieces]
    sizes = [sum(part.size for part, _ in of_type) for of_type in parts]
    for t in stays:
        sizes[t] = stays[t].size + visitors[t].slots.size
    first = [0, *itertools.accumulate(sizes)]
    slots = np.empty(first[-1], dtype=np.int32)
    for t, of_type in enumerate(parts):
        if t in stays:
            at = stays[t].searchsorted(visitors[t].slots)
            slots[first[t] : first[t + 1]] = np.insert(stays[t], at, visitors[t].slots)
            continue
        end = first[t]
        for part, number in of_type:
            slots[end : end + part.size] = in_world(part, number)
            end += part.size
    return slots, first


@kernel
def _count_devices(slots):  # type: ignore[no-untyped-def]
    """Distinct devices of slots (device · 2 + typical) in order of device: int32 (slots > 0,)."""
    n = 1
    for i in range(1, slots.size):
        n += slots[i] >> 1 != slots[i - 1] >> 1
    return n


def _match_unit(
    law: EndpointLaw, country: int, t: int, slots: I32, first: int
) -> tuple[_Unit, list[StreamUse]]:
    """Nodes of one country and type.

    slots: in order of device; matched in place. first: links of this type in earlier countries.
    """
    if slots.size == 0:
        return _Unit(slots, np.zeros(1, dtype=np.int64), slots), []
    degree_law = law.degree[t]
    assert degree_law is not None
    distinct = int(_count_devices(slots))
    cap = distinct if law.mixed else min(law.cap, distinct)
    minimum = min(degree_law.minimum, cap)
    nodes, matching, node = law.nodes[t], law.matching[t], country * NODE_SPACE
    cuts = _degree_thresholds(minimum, cap, degree_law.alpha)
    degree, short = draw_degrees(*nodes.key, node, cuts, minimum, cap, slots.size)
    start, returned, swaps = match_stubs(slots, *matching.key, first, degree, law.attempts)
    cell = f"country {country}"
    used = [nodes.use(cell, node, degree.size), matching.use(cell, first, slots.size)]
    return _Unit(slots, start, returned, swaps, short), used


def _degree_thresholds(minimum: int, cap: int, alpha: float) -> U64:
    """Thresholds of P(k) ∝ k^−alpha on minimum … cap, u64 (cap − minimum + 1,).

    As `kernels/discrete.py:thresholds`, without its checks.
    """
    p = np.arange(minimum, cap + 1, dtype=np.float64) ** -alpha
    cuts: U64 = (np.minimum(np.cumsum(p / p.sum()), 1.0) * 2.0**63).astype(np.uint64)
    cuts[-1] = NEVER
    return cuts


def _groups(
    pieces: list[PieceDemand], numbers: list[int | I32], visitors: list[Visitors], wanted: I32
) -> dict[int, int]:
    """Groups of the wanted devices, of a country or of its visitors, counted in the world."""
    known = [
        (number + np.arange(piece.group.size) if isinstance(number, int) else number, piece.group)
        for piece, number in zip(pieces, numbers, strict=True)
    ]
    known += [(of_type.slots >> 1, of_type.group) for of_type in visitors]
    out = dict[int, int]()
    for device, group in known:
        asked = np.isin(device, wanted)
        out.update(zip(device[asked].tolist(), group[asked].tolist(), strict=True))
    return out


def _retype_returned(
    law: EndpointLaw, group_of: dict[int, int], visitors: list[Visitors], units: list[_Unit]
) -> list[Move]:
    """Removes returned stubs from their units, and moves their links to other types.

    A link moves to the type with most links that has a node with room and without its device, a
    visitor's only to a type that has visitors. Plain Python: only small units return stubs.
    """
    waiting: list[tuple[int, int]] = []
    for own, unit in enumerate(units):
        if unit.returned.size == 0:
            continue
        keep = unit.slots >= 0
        degree = np.add.reduceat(keep.astype(np.int64), unit.start[:-1])
        unit.slots, unit.start = unit.slots[keep], offsets.from_counts(degree[degree > 0])
        waiting += [(own, int(s)) for s in np.sort(unit.returned)]
    abroad = {device for v in visitors for device in (v.slots >> 1).tolist()}
    moved = []
    for own, stub in waiting:
        device = stub >> 1
        others = [t for t in law.eligible[group_of[device]] if t != own]
        if device in abroad:
            others = [t for t in others if t in law.abroad.types]
        others.sort(key=lambda t: -units[t].slots.size)
        to = next((t for t in others if _insert(units[t], device, law.cap)), DROPPED)
        moved.append(Move(device, own, to))
    return moved


def _insert(unit: _Unit, device: int, cap: int) -> bool:
    """Adds a link of `device` to the first node of the unit with room and without the device.

    Returns whether there is such a node.
    """
    is_open = unit.start[1:] - unit.start[:-1] < cap
    of_device = (unit.slots >> 1 == device).nonzero()[0]
    is_open[unit.start.searchsorted(of_device, side="right") - 1] = False
    if not is_open.any():
        return False
    node = int(is_open.argmax())
    low, high = unit.start[node : node + 2]
    stub = np.array([device * 2], dtype=np.int32)
    at = low + unit.slots[low:high].searchsorted(stub[0])
    unit.slots = np.concatenate([unit.slots[:at], stub, unit.slots[at:]])
    unit.start[node + 1 :] += 1
    return True
