"""6P.P1: dates, work, income and manner of parties; a pure function of the world and the seed.

Twin: tests/reference/profiles/people.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import profiles as tables
from fraudworld.inputs.arrivals import ORIGIN
from fraudworld.jit import kernel
from fraudworld.kernels.discrete import choices, thresholds
from fraudworld.kernels.offsets import from_counts
from fraudworld.layers.profiles.ages import (
    CLASSES,
    DAYS_PER_YEAR,
    NO_GENERATION,
    AgeTable,
    Ranks,
    age_days,
    age_table,
    living,
    ranks_of,
)
from fraudworld.layers.profiles.choose import (
    U64,
    deviates,
    exp,
    happens,
    nearest_int,
    uniform,
    weight_table,
    words,
)
from fraudworld.layers.profiles.markets import Markets
from fraudworld.layers.profiles.world import ProfileWorld
from fraudworld.layers.transactions.choices import weighted_index
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.layers.transactions.world import activity_stream
from fraudworld.policy.profiles.models import ProfilePack, Spread
from fraudworld.rng import profiles as streams
from fraudworld.store.content import NO_CODE, NO_TIME

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
F64 = NDArray[np.float64]

DAY_0 = ORIGIN // 86_400
"""First day of the horizon, counted from 1970-01-01."""

WEIGHT = 1024
"""Weights of employers are integers: multiples of 1/1024."""


@dataclass(frozen=True)
class Lives:
    """Dates of parties as days since 1970; (parties,)."""

    born: I64  # NO_TIME for firms and bodies
    founded: I64  # NO_TIME for persons
    since: I64  # customer since

    @property
    def adult(self) -> I64:
        """First day on which the party could be a customer."""
        return np.where(self.born == NO_TIME, self.founded, self.born)


@dataclass(frozen=True)
class PeopleLaw:
    """The laws of parties over one world."""

    inputs: Inputs
    policy: ProfilePack
    world: ProfileWorld
    markets: Markets
    days: int  # of the horizon

    @property
    def seed(self) -> int:
        """Seed of the world, and of its profiles."""
        return self.inputs.identity.seed

    @cached_property
    def _segments(self) -> tuple[str, ...]:
        return self.inputs.codes("segment")

    def _row(self, low: int, high: int) -> I64:
        """Region and segment of parties as one number."""
        base = self.world.base
        region = self.world.region[base.party_country[low:high]].astype(np.int64)
        return region * len(self._segments) + base.party_segment[low:high]

    @cached_property
    def _ages(self) -> AgeTable:
        return age_table(self.policy.people, self.inputs.codes("region"), self._segments)

    @cached_property
    def _generation(self) -> U8:
        known = self.policy.people.generations
        return np.array([known.get(s, NO_GENERATION) for s in self._segments], dtype=np.uint8)

    def living(self, low: int, high: int) -> tuple[U8, I64]:
        """How parties live, and their counts by (region · segments + segment, class)."""
        base = self.world.base
        kind = np.zeros(high - low, dtype=np.uint8)
        living(low, base.party_segment, self._generation, base.home, base.home_start,
               base.home_member, kind)  # fmt: skip
        rows = len(self.inputs.codes("region")) * len(self._segments)
        counts = np.bincount(self._row(low, high) * CLASSES + kind, minlength=rows * CLASSES)
        return kind, counts.reshape(rows, CLASSES)

    def ranks(self, counts: I64) -> Ranks:
        """Intervals of ranks from the counts of the whole world."""
        alone = [self.policy.people.alone_below.get(s, 0.0) for s in self._segments]
        return ranks_of(counts, np.tile(alone, len(self.inputs.codes("region"))))

    def _spread(self, low: int, high: int, laws: Mapping[str, Spread], z: F64) -> F64:
        """Log-normal years by segment, in days; 0 for segments without a law."""
        segment = self.world.base.party_segment[low:high]
        of = [laws.get(s) for s in self._segments]
        median = np.array([0.0 if law is None else law.median for law in of])
        sigma = np.array([0.0 if law is None else law.sigma for law in of])
        return np.asarray(DAYS_PER_YEAR * median[segment] * exp(sigma[segment] * z))

    def lives(self, low: int, high: int, kind: U8, ranks: Ranks) -> Lives:
        """Birth or foundation, and first day as a customer, of parties low … high − 1."""
        world, people, n = self.world, self.policy.people, high - low
        person = world.person[low:high]
        own = streams.AGE.of(self.seed).flat(low, n)
        home = streams.HOME_RANK.of(self.seed).at(world.leader[low:high])
        role = world.party_role[low:high]
        mule = role == self.inputs.raw_code("party", "MULE")
        age = np.empty(n, dtype=np.int64)
        at = np.flatnonzero(person)
        age[at] = age_days(
            self._row(low, high)[at],
            kind[at],
            home[at],
            own[at],
            mule[at],
            ranks,
            self._ages,
            people,
        )
        firms = np.floor(self._spread(low, high, people.firm_age_years, deviates(own)))
        # Nobody is founded on the day the world begins.
        age[~person] = np.maximum(firms[~person].astype(np.int64), 30)
        grown = age - np.where(person, np.int64(np.ceil(people.adult_at * DAYS_PER_YEAR)), 0)
        since = self._since(low, high, np.maximum(grown, 1), role)
        first = DAY_0 - age
        return Lives(np.where(person, first, NO_TIME), np.where(person, NO_TIME, first), since)

    def _since(self, low: int, high: int, grown: I64, role: U8) -> I64:
        """First day as a customer; grown: days a party could be one already, at least 1."""
        people = self.policy.people
        draws = streams.TENURE.of(self.seed).draws(low, high - low)
        tenure = self._spread(low, high, people.tenure_years, deviates(draws[:, 3]))
        bent = np.floor(tenure * grown / (tenure + grown)).astype(np.int64)
        span = people.recent_to_days - people.recent_from_days + 1
        recent = people.recent_from_days + uniform(draws[:, 1], np.full(high - low, span))
        synthetic = role == self.inputs.raw_code("party", "SYNTHETIC_ID")
        nursed = synthetic & happens(draws[:, 2], people.recent_synthetic_share)
        back = np.where(nursed, np.minimum(recent, grown), np.maximum(bent, 1))
        inside = DAY_0 + uniform(draws[:, 1], np.full(high - low, self.days))
        return np.where(happens(draws[:, 0], people.joins_inside), inside, DAY_0 - back)

    def employers(self, low: int, high: int) -> I64:
        """Weight of parties low … high − 1 as employers; 0 for persons."""
        work = self.policy.work
        sizes = [work.firm_size.get(s) for s in self._segments]
        median = np.array([0.0 if s is None else s.median for s in sizes])
        sigma = np.array([0.0 if s is None else s.sigma for s in sizes])
        segment = self.world.base.party_segment[low:high]
        z = deviates(streams.FIRM.of(self.seed).draws(low, high - low)[:, 0])
        return nearest_int(WEIGHT * median[segment] * exp(sigma[segment] * z))

    def work(self, low: int, high: int, employers: I64) -> tuple[U8, I64, U8]:
        """Occupation (NO_CODE: none), employer (−1: none) and industry (NO_CODE: a person).

        employers: weights of all parties summed before each, (parties + 1,).
        """
        work, base = self.policy.work, self.world.base
        segment, n = base.party_segment[low:high], high - low
        draws = streams.WORK.of(self.seed).draws(low, n)
        share = thresholds_of([work.employed_share.get(s, 0.0) for s in self._segments])
        employed = (draws[:, 0] >> np.uint64(1)) < share[segment]
        jobs = _table(work.occupations, self._segments, tables.OCCUPATIONS)
        occupation = choices(np.ascontiguousarray(draws[:, 3]), segment, jobs)
        inside = employed & happens(draws[:, 1], work.inside_share)
        employer = np.full(n, -1, dtype=np.int64)
        _employer(inside, draws[:, 2], base.party_country[low:high], base.country_party, employers,
                  employer)  # fmt: skip
        sections = _table(work.industries, self._segments, tables.INDUSTRIES)
        trade = np.ascontiguousarray(streams.FIRM.of(self.seed).draws(low, n)[:, 1])
        industry = choices(trade, segment, sections)
        person = self.world.person[low:high]
        return (
            np.where(employed, occupation, NO_CODE).astype(np.uint8),
            employer,
            np.where(person, NO_CODE, industry).astype(np.uint8),
        )

    def income(self, low: int, high: int) -> I64:
        """Income of a month in minor units, at least 1."""
        money, base = self.policy.money, self.world.base
        z = deviates(activity_stream(self.seed).flat(low, high - low))
        noise = deviates(streams.INCOME.of(self.seed).flat(low, high - low))
        country, segment = base.party_country[low:high], base.party_segment[low:high]
        median = self.markets.median_spending[country, segment]
        sigma, fixed = self.markets.sigma, money.rent_share + money.mandate_share
        location = money.income_to_outflow / (1.0 - fixed * money.income_to_outflow)
        income = (
            location
            * median
            * exp(money.spending_exponent * sigma * z + money.income_sigma * noise)
        )
        # outflow = spending + fixed · income, and income ≥ outflow ÷ floor.
        least = median * exp(sigma * z) / (money.floor_to_outflow - fixed)
        return np.maximum(nearest_int(np.maximum(income, least)), 1)

    def spending_deviation(self, low: int, high: int) -> F64:
        """Expected card spending of parties, times the median of their country and segment."""
        return exp(self.markets.sigma * deviates(activity_stream(self.seed).flat(low, high - low)))

    @cached_property
    def languages(self) -> tuple[tuple[str, ...], U64]:
        """Languages of the world, sorted, and their thresholds by country."""
        return country_languages(
            self.inputs.geo.countries, self.policy.people.least_language_percent,
            self.policy.devices.other_language,
        )  # fmt: skip

    def manner(self, low: int, high: int) -> tuple[U8, I32]:
        """Risk class and language."""
        base = self.world.base
        draws = streams.MANNER.of(self.seed).draws(low, high - low)
        shares = self.policy.people.kyc_shares
        risks = tables.CODES["kyc_risk"]
        table = thresholds([[shares[s].get(r, 0.0) for r in risks] for s in self._segments])
        risk = choices(np.ascontiguousarray(draws[:, 0]), base.party_segment[low:high], table)
        spoken = words(draws[:, 1], base.party_country[low:high], self.languages[1])
        return risk, spoken


def thresholds_of(shares: list[float]) -> U64:
    """Integer thresholds of probabilities, one each."""
    out: U64 = np.array([min(int(s * 2.0**63), 1 << 63) for s in shares], dtype=np.uint64)
    return out


def _table(
    rows: Mapping[str, Mapping[str, int]], segments: tuple[str, ...], codes: tuple[str, ...]
) -> U64:
    """Thresholds of weights by segment; segments without weights always take the first code."""
    first = {codes[0]: 1.0}
    return weight_table(
        [{k: float(v) for k, v in rows[s].items()} if s in rows else first for s in segments], codes
    )


def country_languages(
    countries: tuple[str, ...], least: float, other: str
) -> tuple[tuple[str, ...], U64]:
    """Languages that at least `least` per cent of a country speak, the commonest one in any case.

    other: a language that is listed too. Returns the sorted list, and thresholds by country in
    proportion to speakers, (countries, languages).
    """
    from babel.core import get_global

    known = get_global("territory_languages")
    by_country: list[dict[str, float]] = []
    for iso in countries:
        spoken = {
            name: float(facts["population_percent"]) for name, facts in known.get(iso, {}).items()
        }
        chosen = {name: share for name, share in spoken.items() if share >= least}
        if not chosen:
            chosen = {max(sorted(spoken), key=lambda name: spoken[name]) if spoken else other: 1.0}
        by_country.append(chosen)
    languages = tuple(sorted({name for of in by_country for name in of} | {other}))
    return languages, weight_table(by_country, languages)


def cumulative(weights: I64) -> I64:
    """Sums of weights before each item, and the total."""
    return from_counts(weights)


@kernel
def _employer(inside, draw, country, first, weights, out):  # type: ignore[no-untyped-def]
    """Draws the employers of those who work for a party of their country.

    Parameters
    ----------
    inside : bool (n,)
    draw : uint64 (n,)
    country : uint8 (n,)
    first : int64 (countries + 1,)
        First party of every country.
    weights : int64 (parties + 1,)
        Weights of employers summed before each party.
    out : int64 (n,)
        Filled where `inside`; −1 where the country has no employer.
    """
    for i in range(out.size):
        if inside[i]:
            out[i] = weighted_index(weights, first[country[i]], first[country[i] + 1], draw[i])
