"""Plain twin of `stages/posture/role/frailty.py` and `organisers.py` (S5)."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace

from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.propagation import FrailtyBand
from reference.circles import by_party
from reference.draws import Draws, category
from reference.parties import Party
from reference.posture import Posture, draw_roles, is_risky, shares
from reference.propagation import fitted

FAMILY = "fraud_role_sampling_party"
ORGANISER = "ORGANISER"
Row = tuple[int, int]
"""Band of a party's circle, and of its home or firm; 0 has factor 1."""


def party_roles(
    pack: PolicyPack,
    seed: int,
    parties: list[Party],
    circles: list[list[int]],
    tier_of: Sequence[str],
) -> list[Posture]:
    """Roles of parties, with what their circles, homes and firms have in common.

    In each (group, tier) the expected number of every role stays at the prior.
    """
    rule = pack.risk_propagation_coeffs.frailty
    groups = [party.type for party in parties]
    if not (rule.circle or rule.home or rule.firm):
        return draw_roles(pack, seed, "party", groups, tier_of)
    of_circle, of_home, of_firm = (
        _bands(seed, name, bands)
        for name, bands in (("circle", rule.circle), ("home", rule.home), ("firm", rule.firm))
    )
    circle = by_party(circles)

    def row_of(p: int) -> Row:
        home, firm = parties[p].household, parties[p].firm
        unit = of_home(home) if home is not None else of_firm(firm) if firm is not None else 0
        return of_circle(circle[p]) if p in circle else 0, unit

    rows = [row_of(p) for p in range(len(parties))]
    sizes: dict[tuple[str, str], Counter[Row]] = defaultdict(Counter)
    for group, tier, row in zip(groups, tier_of, rows, strict=True):
        sizes[group, tier][row] += 1

    def factor_of(group: str) -> Callable[[Row, str], float]:
        units = {"RETAIL": rule.home, "BUSINESS": rule.firm}.get(group)

        def factor(row: Row, role: str) -> float:
            if role not in rule.roles or units is None:
                return 1.0
            product = 1.0
            for band, bands in zip(row, (rule.circle, units), strict=True):
                product *= bands[band - 1].odds_factor if band else 1.0
            return min(product, rule.max_odds_factor)

        return factor

    p = {
        cell: fitted(shares(pack, "party", *cell), by_row, factor_of(cell[0]))
        for cell, by_row in sizes.items()
    }
    drawn = draw_roles(
        pack, seed, "party", groups, tier_of, lambda e: p[groups[e], tier_of[e]][rows[e]]
    )
    return with_organisers(
        pack, seed, parties, circles, drawn, [of_circle(c) for c in range(len(circles))]
    )


def _bands(seed: int, unit: str, bands: tuple[FrailtyBand, ...]) -> Callable[[int], int]:
    """Band of a unit by its number."""
    draws = Draws(seed, f"s5/{unit}_frailty", FAMILY)
    rest = 1.0 - math.fsum(band.share for band in bands)
    mix = (rest, *(band.share for band in bands))
    return lambda number: category(draws(number), mix) if bands else 0


def with_organisers(
    pack: PolicyPack,
    seed: int,
    parties: list[Party],
    circles: list[list[int]],
    drawn: list[Posture],
    bands: list[int],
) -> list[Posture]:
    """Roles after every circle of a band that has no organiser took one from outside, if it can.

    It changes places with a member of the same country, group and tier: a risky one, if there is
    one, by rank of a draw.
    """
    rank = Draws(seed, "s5/organiser_rank", FAMILY)
    circle, out = by_party(circles), list(drawn)
    spare: dict[tuple[int, str, str], list[int]] = defaultdict(list)
    for p, posture in enumerate(drawn):
        if posture.role == ORGANISER and not (p in circle and bands[circle[p]]):
            spare[parties[p].country, posture.group, posture.tier].append(p)
    for of_cell in spare.values():
        of_cell.sort(key=lambda p: (rank(p), p))
    for members, band in zip(circles, bands, strict=True):
        roles = {drawn[p].role for p in members}
        least = pack.risk_propagation_coeffs.frailty.organiser_min_members
        if not band or len(members) < least or ORGANISER in roles:
            continue
        ranked = sorted(
            members, key=lambda p: (not is_risky(pack, "party", drawn[p].role), rank(p), p)
        )
        for p in ranked:
            of_cell = spare[parties[p].country, drawn[p].group, drawn[p].tier]
            if of_cell:
                giver = of_cell.pop(0)
                out[p] = replace(out[p], role=ORGANISER)
                out[giver] = replace(out[giver], role=drawn[p].role)
                break
    return out
