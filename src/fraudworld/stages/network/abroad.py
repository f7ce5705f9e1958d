"""Links across borders: which links leave their country, and where they land.

The policy's `abroad` states, for some endpoint types, the share of a country's links that are on
endpoints of other countries. Links are counted as devices ask for them (`demand.py`); a link to
the typical endpoint of a device stays at home. A country receives as many links of a type as it
sends, and no link of its own: links of every country are split over the others in proportion to
what these send, as far as that can be. A country that would send more than all others together
keeps what they cannot return. Links that arrive are matched together with those that stayed
(`units.py`), so that visitors share the endpoints of residents.

Twin of all functions here: tests/reference/abroad.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.kernels import permute
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, registry
from fraudworld.stages.network.stubs import PieceDemand
from fraudworld.stages.network.transport import transport

U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


class Visitors(NamedTuple):
    """Links of one type that arrive in a country; both (links,)."""

    slots: I32  # device · 2, devices counted in the world
    group: U8  # of the device


@dataclass(frozen=True)
class AbroadLaw:
    """Types with links across borders; tuples are by these types."""

    types: tuple[int, ...]
    share: tuple[float, ...]  # of a country's links
    place: tuple[Stream, ...]  # round keys of a country's permutation

    @classmethod
    def of(cls, pack: PolicyPack, seed: int) -> AbroadLaw:
        """The law of one policy and seed."""
        share = pack.graph_linkage_rules.abroad
        named = [(t, name) for t, name in enumerate(pack.codes("ip_type")) if share.get(name)]
        return cls(
            tuple(t for t, _ in named),
            tuple(share[name] for _, name in named),
            tuple(registry.ABROAD_PLACE.of(seed, code=name) for _, name in named),
        )


def exchange(law: AbroadLaw, links: I64, loose: I64) -> I64:
    """Links from every country to every other, by the types of the law.

    links: that the devices of a country ask for, (countries, types). loose: those that are not to
    typical endpoints, (countries, types). Returns int64 (types of the law, countries, countries):
    from a row's country to a column's.
    """
    n = len(links)
    away = 1.0 - np.eye(n)
    out = np.zeros((len(law.types), n, n), dtype=np.int64)
    for i, (t, share) in enumerate(zip(law.types, law.share, strict=True)):
        sent = np.minimum(np.floor(links[:, t] * share + 0.5).astype(np.int64), loose[:, t])
        # The others must be able to take, and to return, what the largest country sends.
        largest = int(sent.argmax())
        sent[largest] = min(sent[largest], sent.sum() - sent[largest])
        if sent.any():
            planned = transport(sent, sent, away)
            exact = (planned >= 0).all() and (planned.sum(axis=0) == sent).all()
            out[i] = planned if exact else _shifted(sent)
    return out


def _shifted(sent: I64) -> I64:
    """A plan where no proportional one was found, as one country sends nearly half of all links.

    All links, in order of country, are shifted by those of the largest country: a link lands in
    the country to which the link at its new place belongs, which is another one.
    """
    end, shift, total = np.cumsum(sent), int(sent.max()), int(sent.sum())
    first = end - sent
    low, high = (first + shift)[:, None], (end + shift)[:, None]
    overlaps = (
        np.minimum(high, end + wrapped) - np.maximum(low, first + wrapped) for wrapped in (0, total)
    )
    return np.asarray(sum(np.maximum(overlap, 0) for overlap in overlaps), dtype=np.int64)


@dataclass(frozen=True)
class Departures:
    """Links of a country that leave it; tuples are by the types of the law."""

    links: tuple[Visitors, ...]  # in order of destination, then device
    first: I64  # index of the first link to every country, (types of the law, countries + 1)


def depart(
    law: AbroadLaw,
    country: int,
    plan: I64,
    pieces: list[PieceDemand],
    numbers: list[int | I32],
    stubs: list[I64],
) -> tuple[tuple[I32, ...], Departures]:
    """Task: parts the links of a country, by the types of the law, into those that stay and leave.

    plan: links to every country, (types of the law, countries). pieces, numbers, stubs: as of
    `units.match_country`. Returns what stays: device · 2 + typical, devices counted in the world,
    in order of device.
    """
    stays, leaves = [], []
    first = np.zeros((len(law.types), plan.shape[1] + 1), dtype=np.int64)
    np.cumsum(plan, axis=1, out=first[:, 1:])
    for i, t in enumerate(law.types):
        slots, group = _of_type(t, pieces, numbers, stubs)
        loose = np.flatnonzero((slots & 1) == 0)
        keys = law.place[i].draws(country, 1).reshape(-1)
        place = permute.permuted(0, loose.size, loose.size, keys)
        sent = place < first[i, -1]
        at, destination = loose[sent], first[i, 1:].searchsorted(place[sent], side="right")
        order = at[np.argsort(destination, kind="stable")]
        leaves.append(Visitors(slots[order], group[order]))
        stays.append(np.delete(slots, at))
    return tuple(stays), Departures(tuple(leaves), first)


def _of_type(
    t: int, pieces: list[PieceDemand], numbers: list[int | I32], stubs: list[I64]
) -> tuple[I32, U8]:
    """Slots of a country's links of one type, in order of device, and the groups of the devices."""
    slots, groups = [], []
    for piece, number, size in zip(pieces, numbers, stubs, strict=True):
        first = int(size[:t].sum())
        part = piece.stub[first : first + int(size[t])]
        slots.append(in_world(part, number))
        groups.append(piece.group[part >> 1])
    return np.concatenate(slots), np.concatenate(groups)


def in_world(slots: I32, number: int | I32) -> I32:
    """Slots of a piece with devices counted in the world.

    number: of the piece's first device, or of every device.
    """
    if isinstance(number, int):
        return slots + np.int32(2 * number)
    return np.asarray(number[slots >> 1] * 2 + (slots & 1), dtype=np.int32)


def arrivals(law: AbroadLaw, departures: list[Departures], country: int) -> list[Visitors]:
    """Links that arrive in a country, by the types of the law, in order of device."""
    out = []
    for i in range(len(law.types)):
        spans = [slice(*d.first[i, country : country + 2]) for d in departures]
        parts = [(d.links[i], span) for d, span in zip(departures, spans, strict=True)]
        slots = np.concatenate([links.slots[span] for links, span in parts])
        group = np.concatenate([links.group[span] for links, span in parts])
        # Terminals have the last numbers of the world, whatever their country.
        order = np.argsort(slots, kind="stable")
        out.append(Visitors(slots[order], group[order]))
    return out
