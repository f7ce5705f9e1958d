"""Plain twin of `stages/network/abroad.py` (S4): stubs of devices that land in other countries."""

from __future__ import annotations

import numpy as np

from fraudworld.policy.pack import PolicyPack
from reference.demand import FAMILY, transport
from reference.draws import ROUNDS, Draws, nearest, quota_category

Stub = tuple[int, bool]
"""A device, and whether this is its typical endpoint."""

Unit = tuple[int, str]
"""Country and type."""


def cross(pack: PolicyPack, seed: int, countries: int, stubs: dict[Unit, list[Stub]]) -> None:
    """Moves a share of the stubs of every country to others; typical stubs stay.

    The stubs of a unit that are not typical are numbered in order; a keyed permutation of them
    decides which leave, and where they land.
    """
    for ip_type, share in pack.graph_linkage_rules.abroad.items():
        if not share:
            continue
        units = [stubs[c, ip_type] for c in range(countries)]
        draws = Draws(seed, f"s4/abroad_place/{ip_type}", FAMILY, ROUNDS)
        kept: list[list[Stub]] = [[] for _ in units]
        for c, (unit, sent) in enumerate(zip(units, plan(units, share), strict=True)):
            keys, loose = draws.all_of(c), [stub for stub in unit if not stub[1]]
            counts = [*sent, len(loose) - sum(sent)]
            landed = iter([quota_category(i, keys, counts) for i in range(len(loose))])
            for device, typical in unit:
                to = countries if typical else next(landed)
                kept[c if to == countries else to].append((device, typical))
        for c, unit in enumerate(kept):
            stubs[c, ip_type] = sorted(unit, key=lambda stub: stub[0])


def plan(units: list[list[Stub]], share: float) -> list[list[int]]:
    """Stubs of every country that land in every other one.

    A country sends the nearest whole number to its share, but no typical stub and no more than all
    others together, receives as many, and none of its own. Where no proportional plan is exact,
    stubs land where the stub stands that is as many places on as the largest country sends.
    """
    sent = [min(nearest(len(u) * share), sum(not typical for _, typical in u)) for u in units]
    largest = sent.index(max(sent))
    sent[largest] = min(sent[largest], sum(sent) - sent[largest])
    if not any(sent):
        return [[0] * len(units) for _ in units]
    counts = np.array(sent)
    proportional = transport(counts, counts, 1.0 - np.eye(len(units)))
    if (proportional >= 0).all() and (proportional.sum(axis=0) == counts).all():
        return [[int(n) for n in row] for row in proportional]
    home = [c for c, n in enumerate(sent) for _ in range(n)]
    out = [[0] * len(units) for _ in units]
    for i, c in enumerate(home):
        out[c][home[(i + max(sent)) % len(home)]] += 1
    return out
