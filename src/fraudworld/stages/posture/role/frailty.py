"""Frailty: what the members of a circle, home or firm have in common.

Every unit draws a band, whose factor is on the odds of the risky roles of its members. Strata of
parties are (group, tier, row), a row being the pair of bands of a party's circle and of its home
or firm. In a (group, tier) one intercept for each role is solved, so that the expected number of
every role stays what the policy's shares give (kernels/proportional.py).

Twin of all kernels here: tests/reference/frailty.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.documents import JsonObject
from fraudworld.jit import kernel
from fraudworld.kernels import proportional
from fraudworld.kernels.discrete import choose, thresholds
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.propagation import FrailtyBand
from fraudworld.rng import Stream, StreamUse, registry
from fraudworld.stages.pieces import CircleShard, Parties, PartyShard
from fraudworld.stages.posture.role.roles import (
    Propagated,
    off_remainder,
    plain_law,
    role_law,
    role_table,
)
from fraudworld.stages.posture.score.groups import GROUPS

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]

STREAMS = (registry.CIRCLE_FRAILTY, registry.HOME_FRAILTY, registry.FIRM_FRAILTY)


class UnitFirsts(NamedTuple):
    """Numbers in the world of a shard's first circle, home and firm."""

    circle: int
    home: int
    firm: int


@dataclass(frozen=True)
class FrailtyLaw:
    """The law of bands of one policy and seed. Band 0 has factor 1."""

    streams: tuple[Stream, ...]  # of circles, homes and firms
    cuts: tuple[U64, ...]  # thresholds of bands, each (1, bands)
    factors: F64  # on the odds of a role, (groups, rows, roles)
    clamped: int  # rows of a group whose product of factors is limited
    bands: int  # of homes or firms: row = band of the circle · bands + band of the home or firm

    @property
    def rows(self) -> int:
        """Rows of a (group, tier); 1 where nothing is in common."""
        return int(self.factors.shape[1])

    @classmethod
    def of(cls, pack: PolicyPack, seed: int) -> FrailtyLaw:
        """The law of a policy and seed."""
        rule = pack.risk_propagation_coeffs.frailty
        groups, roles = pack.codes(GROUPS["party"]), pack.codes("party_raw_role")
        bands = max(len(rule.home), len(rule.firm)) + 1
        raised = raised_roles(pack)
        of_circle = _factors(rule.circle, len(rule.circle) + 1)
        factors = np.ones((len(groups), of_circle.size * bands, len(roles)))
        clamped = 0
        for group, units in (("RETAIL", rule.home), ("BUSINESS", rule.firm)):
            of_row = np.outer(of_circle, _factors(units, bands)).ravel()
            clamped += int(np.count_nonzero(of_row > rule.max_odds_factor))
            limited = np.minimum(of_row, rule.max_odds_factor)
            factors[groups.index(group)][:, raised] = limited[:, None]
        return cls(
            tuple(stream.of(seed) for stream in STREAMS),
            tuple(_cuts(of) for of in (rule.circle, rule.home, rule.firm)),
            factors,
            clamped,
            bands,
        )

    def of_circles(self, first: int, circles: int) -> U8:
        """Bands of circles first, first + 1, … of the world; (circles,)."""
        return _bands(self.streams[0], self.cuts[0], first, circles)

    def rows_of(self, first: UnitFirsts, parties: PartyShard, circles: CircleShard) -> U8:
        """Row of every party of a shard, (parties,)."""
        row = np.zeros(parties.type.size, dtype=np.uint8)
        of_circle = self.of_circles(first.circle, circles.start.size - 1)
        _add_bands(circles.of, of_circle, self.bands, row)
        for unit, k, begin in (
            (parties.household, 1, first.home),
            (parties.business_group, 2, first.firm),
        ):
            units = int(unit.max(initial=-1)) + 1
            _add_bands(unit, _bands(self.streams[k], self.cuts[k], begin, units), 1, row)
        return row

    def drawn(self, pack: PolicyPack, counts: I64) -> dict[str, object]:
        """Diagnostics of the roles as drawn; counts: by stratum and role, (strata, roles)."""
        by_row = counts.reshape(-1, self.rows, counts.shape[1]).sum(axis=0)
        return {"drawn_risky_by_row": by_row[:, raised_roles(pack)].sum(axis=1).tolist()}

    def uses(self, parties: Parties, circles: int) -> tuple[StreamUse, ...]:
        """Evidence of all draws of a world."""
        sizes = circles, int(parties.household_first[-1]), int(parties.business_group_first[-1])
        return tuple(
            stream.use("world", 0, n) for stream, n in zip(self.streams, sizes, strict=True)
        )


def _factors(bands: tuple[FrailtyBand, ...], length: int) -> F64:
    """Factors of band 0, 1, …; bands that a kind does not have get 1."""
    out = np.ones(length)
    out[1 : len(bands) + 1] = [band.odds_factor for band in bands]
    return out


def _cuts(bands: tuple[FrailtyBand, ...]) -> U64:
    shares = [band.share for band in bands]
    return thresholds([[1.0 - math.fsum(shares), *shares]])


def _bands(stream: Stream, cuts: U64, first: int, units: int) -> U8:
    """Bands of units first, first + 1, … of the world; (units,)."""
    out = np.zeros(units, dtype=np.uint8)
    if cuts.shape[1] > 1:
        choose(stream.flat(first, units), np.zeros(units, dtype=np.uint8), cuts, out)
    return out


@kernel
def _add_bands(unit, band, factor, row):  # type: ignore[no-untyped-def]
    """Adds factor · band[unit[p]] to row[p] for every party in a unit.

    unit : int32 (parties,), −1 for none; band : uint8 (units,); row : uint8 (parties,), grows.
    """
    for p in range(unit.size):
        if unit[p] >= 0:
            row[p] += factor * band[unit[p]]


def frail_law(pack: PolicyPack, seed: int, frailty: FrailtyLaw, sizes: I64) -> Propagated:
    """Roles of parties. sizes: parties by (group, tier, row), flat, (strata,).

    Where nothing is in common, roles follow the policy's shares (`plain_law`).
    """
    if frailty.rows == 1:
        return Propagated(plain_law(pack, seed, "party"), {})
    table = role_table(pack, "party")
    groups, tiers, roles = table.shares.shape
    by_row = sizes.reshape(groups, tiers, frailty.rows)
    fitted = np.zeros((groups, tiers, frailty.rows, roles))
    steps, error = 0, 0.0
    for g, t in product(range(groups), range(tiers)):
        shares = table.shares[g, t]
        taken, missed = proportional.fit(shares, by_row[g, t], frailty.factors[g], fitted[g, t])
        steps, error = max(steps, taken), max(error, missed)
    rule = pack.risk_propagation_coeffs.frailty
    expected = by_row[:, :, :, None] * fitted
    diagnostics: JsonObject = {
        "frailty": rule.model_dump(mode="json"),
        "rows_clamped": frailty.clamped,
        "most_steps": int(steps),
        "largest_relative_error": float(error),
        "parties_by_row": by_row.sum(axis=(0, 1)).tolist(),
        # Exact sums: `verify` compares these figures on other machines.
        "implied_risky_by_row": [
            round(math.fsum(expected[:, :, r][:, :, raised_roles(pack)].ravel()), 3)
            for r in range(frailty.rows)
        ],
    }
    focus = off_remainder(table)[0]
    law = role_law(pack, seed, "party", table, fitted.reshape(-1, roles), focus)
    return Propagated(law, dict(diagnostics))


def raised_roles(pack: PolicyPack) -> NDArray[np.bool_]:
    """Whether frailty raises the odds of a party role, (roles,)."""
    raised = pack.risk_propagation_coeffs.frailty.roles
    return np.array([role in raised for role in pack.codes("party_raw_role")])
