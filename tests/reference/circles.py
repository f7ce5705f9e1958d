"""Plain twin of `stages/network/circles.py` (S4): who shares things across homes."""

from __future__ import annotations

from fraudworld.policy.circles import size_shares
from fraudworld.policy.pack import PolicyPack
from reference.draws import Draws, category
from reference.parties import Party, Row, atoms, shuffled

UNIT = 2**32
"""Parts of a party: shares of an atom are counted in them."""


def make(pack: PolicyPack, seed: int, parties: list[Party]) -> list[list[int]]:
    """Members of every circle, ascending.

    The next retail party of an atom in random order that is in no circle founds one, and those who
    follow join it until it has the members drawn. The circle that would exceed the policy's share
    of the atom is the last, and forms with the chance of its part inside.
    """
    rule = pack.device_linkage_rules.circles
    if not rule.member_share:
        return []
    family = "device_allocation_sampling"
    draws = Draws(seed, "s4/circle", family, 2)
    kind = Draws(seed, "s4/circle_kind", family, 2)
    shares, circles = size_shares(rule), list[list[int]]()
    for atom in atoms(parties):
        retail = shuffled([p for p in atom if parties[p].type == "RETAIL"], draws)
        room = int(rule.member_share * UNIT) * len(retail)
        free = dict.fromkeys(retail)
        for founder in retail:
            if founder not in free:
                continue
            size = rule.smallest + category(draws(founder, 1), shares)
            last = size * UNIT > room
            if last and (kind(founder, 0) >> 32) * size >= room:
                break
            alike = kind(founder, 1) >> 32 < int(rule.one_segment_share * UNIT)
            able = [
                p
                for p in retail[retail.index(founder) :]
                if p in free and (not alike or parties[p].segment == parties[founder].segment)
            ]
            members = able[:size]
            if len(members) >= rule.smallest and len({parties[p].household for p in members}) > 1:
                circles.append(sorted(members))
                for p in members:
                    del free[p]
                room -= len(members) * UNIT
            if last:
                break
    return circles


def by_party(circles: list[list[int]]) -> dict[int, int]:
    """Party → number of its circle."""
    return {p: c for c, members in enumerate(circles) for p in members}


def member_rows(circles: list[list[int]]) -> list[Row]:
    """`s4_circle_members_6A`."""
    return [
        {"circle_id": c, "party_id": p + 1} for c, members in enumerate(circles, 1) for p in members
    ]
