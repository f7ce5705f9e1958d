"""Homes: what the laws of `stages/parties` imply, and whether it fits members and guards.

Expectations are those of an infinitely large atom: a home that is cut off at the end of an atom,
or whose heads are of two neighbouring segments, is left out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from fraudworld.policy import models as m
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules import counts
from fraudworld.policy.rules.finding import Findings, fault
from fraudworld.policy.rules.vocabulary import JUDGED_SEGMENTS

RETAIL = "RETAIL"
FAMILY, MATURE, RETIRED, STUDENT = JUDGED_SEGMENTS
STUDENT_COMPANY = frozenset({STUDENT, FAMILY, MATURE})
"""Those with whom a student is expected to live: other students, or parents."""

RETIRED_COMPANY = frozenset({RETIRED})
CHILDREN = frozenset({STUDENT})
"""Segments that are no partners in a home of two."""


@dataclass(frozen=True)
class Homes:
    """Homes of one kind in a region.

    number: homes per retail party. heads: share of homes with 1, 2, … heads. alike: homes whose
    heads are all of one segment, by that segment; the others are `mixed`, and their heads
    independent draws from `mix`. dependants: expected per home, by segment; they are Poisson.
    """

    number: float
    heads: tuple[float, ...]
    alike: Mapping[str, float]
    mixed: float
    mix: Mapping[str, float]
    dependants: Mapping[str, float]

    @property
    def mean_heads(self) -> float:
        """Heads per home."""
        return math.fsum(share * n for n, share in self.numbered)

    @property
    def numbered(self) -> list[tuple[int, float]]:
        """(heads, share of homes)."""
        return list(enumerate(self.heads, start=1))


def homes_of(pack: PolicyPack, region: str) -> dict[str, Homes]:
    """Kind → homes of a region; homes cut at random are of one kind, `""`.

    A kind without heads has no homes, and is left out.
    """
    rule, shares = pack.population_priors.households, counts.segments_of(pack, region, RETAIL)
    if rule.composition == "independent":
        mean = math.fsum(share * n for n, share in enumerate(rule.size_shares, start=1))
        return {"": Homes(1.0 / mean, rule.size_shares, {}, 1.0, shares, {})}
    living = rule.living[region]
    out = {}
    for name, kind in rule.kinds.items():
        heads = {s: share * living[s].heads.get(name, 0.0) for s, share in shares.items()}
        total = math.fsum(heads.values())
        if total <= 0.0:
            continue
        mix = {s: mass / total for s, mass in heads.items()}
        homes = total / math.fsum(share * n for n, share in enumerate(kind.heads, start=1))
        out[name] = Homes(
            homes,
            kind.heads,
            {s: kind.same_segment * share for s, share in mix.items()},
            1.0 - kind.same_segment,
            mix,
            {s: p * living[s].dependants.get(name, 0.0) / homes for s, p in shares.items()},
        )
    return out


def mean_size(pack: PolicyPack, region: str) -> float:
    """Retail parties per home of a region."""
    return 1.0 / math.fsum(homes.number for homes in homes_of(pack, region).values())


def without(
    homes: Collection[Homes], shares: Mapping[str, float], segment: str, others: Collection[str]
) -> float:
    """Share of the parties of a segment in whose home nobody else is of the segments `others`.

    shares: of the region's retail parties, by segment.
    """
    mass = 0.0
    for kind in homes:
        none = math.exp(-math.fsum(kind.dependants.get(s, 0.0) for s in others))
        known = math.fsum(kind.mix.get(s, 0.0) for s in others)
        apart = math.fsum(share for s, share in kind.alike.items() if s not in others)
        for n, share in kind.numbered:
            alike = kind.alike.get(segment, 0.0) * (n == 1 or segment not in others)
            mixed = kind.mixed * kind.mix.get(segment, 0.0) * (1.0 - known) ** (n - 1)
            mass += kind.number * share * n * (alike + mixed) * none
            strangers = apart + kind.mixed * (1.0 - known) ** n
            mass += kind.number * share * kind.dependants.get(segment, 0.0) * strangers * none
    return mass / shares[segment] if shares[segment] > 0 else 0.0


def company(pack: PolicyPack, region: str) -> dict[str, float]:
    """Segment → share of its parties whose home has another retail party."""
    shares = counts.segments_of(pack, region, RETAIL)
    homes = homes_of(pack, region).values()
    return {s: 1.0 - without(homes, shares, s, shares) for s in shares}


def partner_lift(homes: Collection[Homes]) -> float:
    """Homes of two adults of one segment, over those that independent mixing would give.

    NaN where there is no home of two adults.
    """
    pairs: dict[tuple[str, str], float] = defaultdict(float)
    for kind in homes:
        others = math.fsum(kind.dependants.values())
        for n, share in kind.numbered[:2]:
            weight = kind.number * share * math.exp(-others)
            if n == 2:
                for s, part in kind.alike.items():
                    pairs[s, s] += weight * part
                for s, first in kind.mix.items():
                    for t, second in kind.mix.items():
                        pairs[s, t] += weight * kind.mixed * first * second
            else:
                for s, first in kind.mix.items():
                    head = kind.alike.get(s, 0.0) + kind.mixed * first
                    for t, second in kind.dependants.items():
                        pairs[s, t] += weight * head * second
    adult = {p: mass for p, mass in pairs.items() if not CHILDREN & set(p)}
    total = math.fsum(adult.values())
    margin: dict[str, float] = defaultdict(float)
    for (s, t), mass in adult.items():
        margin[s] += 0.5 * mass
        margin[t] += 0.5 * mass
    chance = math.fsum(mass * mass for mass in margin.values())
    if chance <= 0.0:
        return math.nan
    return math.fsum(mass for (s, t), mass in adult.items() if s == t) * total / chance


def homes_can_form(pack: PolicyPack) -> Findings:
    """Every kind has room for its heads and dependants, and heads where it has dependants."""
    rule = pack.population_priors.households
    if rule.composition == "independent":
        return
    for name, kind in rule.kinds.items():
        most = max(n for n, share in enumerate(kind.heads, start=1) if share > 0)
        if most > rule.max_members:
            yield fault(
                "population_priors",
                f"households.kinds.{name}.heads",
                "a home may have more heads than members",
                figure=float(most),
                bound=float(rule.max_members),
                remedy="remove the largest sizes or raise max_members",
            )
    for region in pack.party_taxonomy.regions:
        homes = homes_of(pack, region)
        for name in rule.kinds:
            key = f"households.living.{region}"
            dependants = math.fsum(
                living.dependants.get(name, 0.0) for living in rule.living[region].values()
            )
            if name not in homes:
                if dependants > 0:
                    yield fault(
                        "population_priors",
                        key,
                        f"dependants live in {name}, which has no heads",
                        figure=dependants,
                        bound=0.0,
                        remedy=f"give a segment heads in {name}, or move the dependants",
                    )
                continue
            size = homes[name].mean_heads + math.fsum(homes[name].dependants.values())
            if size > rule.max_members:
                yield fault(
                    "population_priors",
                    key,
                    f"homes of {name} would have more members than max_members",
                    figure=size,
                    bound=float(rule.max_members),
                    remedy="move dependants to other kinds, or more heads to this one",
                )


def homes_within_guard(pack: PolicyPack) -> Findings:
    """Composition that the laws imply satisfies the guard `household_composition`."""
    if pack.population_priors.households.composition == "independent":
        return
    for region in pack.party_taxonomy.regions:
        for what, figure, bound, at_least in judged(pack, region):
            if not (figure >= bound if at_least else figure <= bound):
                yield fault(
                    "population_priors",
                    f"households.living.{region}",
                    f"the guard household_composition would fail: {what}",
                    figure=figure,
                    bound=f"{'at least' if at_least else 'at most'} {bound:g}",
                    remedy="change where the segment lives, or same_segment of the kinds",
                )


def judged(pack: PolicyPack, region: str) -> Iterator[tuple[str, float, float, bool]]:
    """(statement, implied figure, bound of the guard, whether at least) of a region."""
    bounds = pack.validation_policy.guards
    shares = counts.segments_of(pack, region, RETAIL)
    homes = homes_of(pack, region).values()
    if shares[FAMILY] > 0:
        alone = without(homes, shares, FAMILY, shares)
        yield f"{FAMILY} alone", alone, bounds.household_max_family_alone, False
    for segment, others, bound in (
        (STUDENT, STUDENT_COMPANY, bounds.household_min_student_company),
        (RETIRED, RETIRED_COMPANY, bounds.household_min_retired_company),
    ):
        if shares[segment] > 0:
            share = 1.0 - without(homes, shares, segment, others)
            yield f"{segment} with {' or '.join(sorted(others))}", share, bound, True
    lift = partner_lift(homes)
    if not math.isnan(lift):
        yield "lift of partners of one segment", lift, bounds.household_min_partner_lift, True


def largest_home(pack: PolicyPack) -> int:
    """Most members of a home."""
    rule: m.Households = pack.population_priors.households
    return len(rule.size_shares) if rule.composition == "independent" else rule.max_members
