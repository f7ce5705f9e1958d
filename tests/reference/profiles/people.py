"""Twin of P1: homes, dates, work, income and manner of parties.

Twin of layers/profiles/ages.py, markets.py and parties.py.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from fraudworld.contracts.profiles import INDUSTRIES, OCCUPATIONS
from fraudworld.kernels import normal
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.profiles.models import ProfilePack
from reference.draws import Draws, category, deviate, pick
from reference.profiles.sharing import Sharing
from reference.profiles.towns import Row, Town, Towns, draws
from reference.transactions.choices import Urn, below, happens, unit

START = date(2026, 1, 1)
YEAR = 365.2425
DAYS = 90
ALONE, WITH_OLDER, PEERS, BOTH, WITH_YOUNGER = range(5)


def weighted(draw: int, weights: dict[str, Any], names: tuple[str, ...]) -> str:
    """A name by weight, in order of `names`."""
    total = float(sum(weights.values()))
    return pick(draw, {name: w / total for name, w in weights.items()}, names)


@dataclass
class Person:
    """A party and what 6P says of it; days are dates."""

    id: int
    row: Row
    role: str
    leader: int = 0
    town: Town | None = None
    home: list[int] = field(default_factory=list)
    kind: int = ALONE
    born: date | None = None
    founded: date | None = None
    since: date = START
    income: int = 0
    language: str = ""

    @property
    def is_person(self) -> bool:
        return bool(self.row["party_type"] == "RETAIL")


@dataclass
class People:
    """The parties of a world, in order of id."""

    seed: int
    pack: PolicyPack
    policy: ProfilePack
    towns: Towns
    world: dict[str, list[Row]]
    places: list[Row]  # country_geography
    profile: list[Row]  # merchant_zone_profile_5A
    virtual: list[Row]
    merchant_class: dict[int, str]
    attachable: set[int]  # parties that can transact, from 1

    def __post_init__(self) -> None:
        roles = {r["party_id"]: r["raw_role"] for r in self.world["s5_party_fraud_roles_6A"]}
        self.segments = self.pack.codes("segment")
        self.region = {p["country_iso"]: p["region_id"] for p in self.places}
        self.currency = {p["country_iso"]: p["currency"] for p in self.places}
        self.parties = [Person(r["party_id"], r, roles[r["party_id"]])
                        for r in self.world["s1_party_base_6A"]]  # fmt: skip
        self._homes()
        self.sharing = Sharing(self)
        towns = [p.town for p in self.parties]
        for p, address in zip(self.parties, self.sharing.address_of, strict=True):
            p.town = towns[address]
        self._lives()
        self._incomes()
        self._manner()

    def _homes(self) -> None:
        homes: dict[Any, list[Person]] = defaultdict(list)
        for p in self.parties:
            household, firm = p.row["household_id"], p.row["business_group_id"]
            key = ("h", household) if household else ("b", firm) if firm else ("p", p.id)
            homes[key].append(p)
        by_country: dict[str, list[list[Person]]] = defaultdict(list)
        for members in homes.values():
            by_country[members[0].row["country_iso"]].append(members)
        for country, of_country in by_country.items():
            of_country.sort(key=lambda members: members[0].id)
            towns = self.towns.homes(country, len(of_country))
            for members, town in zip(of_country, towns, strict=True):
                for p in members:
                    p.leader, p.town, p.home = members[0].id - 1, town, [m.id for m in members]

    def _generation(self, p: Person) -> int | None:
        return self.policy.people.generations.get(p.row["segment_id"])

    def _living(self, p: Person) -> int:
        own, others = self._generation(p), [self.parties[m - 1] for m in p.home]
        if own is None:
            return ALONE
        ages = [self._generation(m) for m in others]
        older, younger = any(g > own for g in ages), any(g < own for g in ages)  # type: ignore[operator]
        peers = any(
            g == own and m.row["segment_id"] != p.row["segment_id"]
            for g, m in zip(ages, others, strict=True)
        )
        if older and younger:
            return BOTH
        if younger:
            return WITH_YOUNGER
        return WITH_OLDER if older else PEERS if peers else ALONE

    def _lives(self) -> None:
        people = self.policy.people
        for p in self.parties:
            p.kind = self._living(p)
        cells: dict[tuple[str, str], Counter[int]] = defaultdict(Counter)
        for p in self.parties:
            cells[self.region[p.row["country_iso"]], p.row["segment_id"]][p.kind] += 1
        own, home = draws(self.seed, "6P.P1/age"), draws(self.seed, "6P.P1/home_rank")
        tenure = draws(self.seed, "6P.P1/tenure", 4)
        for p in self.parties:
            e, segment = p.id - 1, p.row["segment_id"]
            if p.is_person:
                cell = cells[self.region[p.row["country_iso"]], segment]
                age = self._age(p, cell, unit(home(p.leader)), unit(own(e)))
                grown = age - math.ceil(people.adult_at * YEAR)
                p.born = START - timedelta(age)
            else:
                law = people.firm_age_years[segment]
                age = grown = max(
                    math.floor(YEAR * law.median * normal.exp(law.sigma * deviate(own(e)))), 30
                )
                p.founded = START - timedelta(age)
            p.since = self._since(p, max(grown, 1), tenure)
        born = [p.born for p in self.parties]
        for p, other in zip(self.parties, self.sharing.born_with, strict=True):
            if other is not None:
                p.born = min(born[p.id - 1], born[other])  # type: ignore[type-var]

    def _age(self, p: Person, cell: Counter[int], home: float, own: float) -> int:
        people, segment = self.policy.people, p.row["segment_id"]
        rank = abs(home + people.home_age_width * (own - 0.5))
        rank = 2.0 - rank if rank > 1.0 else rank
        if p.role == "MULE":
            rank *= (1.0 - people.mule_skew) + people.mule_skew * rank
        total, below_ = float(sum(cell.values())), people.alone_below[segment]
        others = total - cell[ALONE]
        if p.kind == ALONE:
            u = 0.0 + rank * (cell[ALONE] / total) + (others / total if rank >= below_ else 0.0)
        else:
            start = below_ * cell[ALONE]
            for kind in range(1, p.kind):
                start += cell[kind]
            u = start / total + rank * (cell[p.kind] / total)
        law = (
            people.ages.get(segment) or people.adult_ages.regions[self.region[p.row["country_iso"]]]
        )
        upto = [0.0]
        for share in law.shares:
            upto.append(upto[-1] + share)
        upto[-1] = 1.0
        k = min(bisect_right(upto, u) - 1, len(law.shares) - 1)
        inside = min(max((u - upto[k]) / (upto[k + 1] - upto[k]), 0.0), 1.0)
        return math.floor((law.edges[k] + inside * (law.edges[k + 1] - law.edges[k])) * YEAR)

    def _since(self, p: Person, grown: int, draw: Draws) -> date:
        people, e = self.policy.people, p.id - 1
        if happens(draw(e, 0), people.joins_inside):
            return START + timedelta(below(draw(e, 1), DAYS))
        if p.role == "SYNTHETIC_ID" and happens(draw(e, 2), people.recent_synthetic_share):
            span = people.recent_to_days - people.recent_from_days + 1
            return START - timedelta(min(people.recent_from_days + below(draw(e, 1), span), grown))
        law = people.tenure_years[p.row["segment_id"]]
        years = YEAR * law.median * normal.exp(law.sigma * deviate(draw(e, 3)))
        return START - timedelta(max(math.floor(years * grown / (years + grown)), 1))

    def _incomes(self) -> None:
        money, pack = self.policy.money, self.pack
        online = {r["merchant_id"] for r in self.virtual if r["is_virtual"]}
        weekly: Counter[str] = Counter()
        spent: Counter[str] = Counter()
        arrived: Counter[str] = Counter()
        for row in self.profile:
            volume, iso = row["weekly_volume_expected"], row["legal_country_iso"]
            if volume <= 0:
                continue
            bills = row["demand_class"] == "bills_utilities"
            web = row["demand_class"] == "online_24h" or row["merchant_id"] in online
            channel = "ONLINE" if web else "BILL" if bills else "POS"
            law = pack.flow_amounts.classes[self.merchant_class[row["merchant_id"]]]
            weekly[iso] += volume * pack.attachment.home_share[channel]  # type: ignore[assignment]
            spent[iso] += volume * (law.median * normal.exp(0.5 * law.sigma**2))  # type: ignore[assignment]
            arrived[iso] += volume
        activity: Counter[str] = Counter()
        z = Draws(self.seed, "6B.S1/activity", "attachment_sampling")
        use = pack.attachment
        for p in self.parties:
            if p.id in self.attachable:
                level = use.segment_activity[p.row["segment_id"]] * 1024
                weight = int(level * normal.exp(use.activity_sigma * deviate(z(p.id - 1))))
                activity[p.row["country_iso"]] += max(weight, 1)
        countries = self.towns.countries
        usual = math.fsum(weekly[c] for c in countries) / max(
            math.fsum(activity[c] for c in countries), 1.0
        )
        fixed = money.rent_share + money.mandate_share
        location = money.income_to_outflow / (1.0 - fixed * money.income_to_outflow)
        noise = draws(self.seed, "6P.P1/income")
        for p in self.parties:
            iso, segment = p.row["country_iso"], p.row["segment_id"]
            visits = weekly[iso] / max(float(activity[iso]), 1.0) if activity[iso] else 0.0
            visits = max(visits, money.least_visits * usual)
            amount = (
                spent[iso] / arrived[iso]
                if arrived[iso] > 0
                else math.fsum(spent.values()) / math.fsum(arrived.values())
            )
            digits = 1.0 if self.currency[iso] in money.zero_digit_currencies else 100.0
            minor = money.ppp_units_per_dollar[iso] * digits
            profile = pack.segmentation_priors.profiles[segment]
            tilt = normal.exp(pack.flow_amounts.income_elasticity * (profile.income - 0.5))
            market = visits * (YEAR / 12 / 7) * 1024 * amount * minor
            median = market * (use.segment_activity[segment] * tilt)
            drawn, sigma = deviate(z(p.id - 1)), use.activity_sigma
            income = (
                location
                * median
                * normal.exp(
                    money.spending_exponent * sigma * drawn
                    + money.income_sigma * deviate(noise(p.id - 1))
                )
            )
            least = median * normal.exp(sigma * drawn) / (money.floor_to_outflow - fixed)
            p.income = max(round(max(income, least)), 1)

    def _manner(self) -> None:
        from babel.core import get_global

        known = get_global("territory_languages")
        spoken: dict[str, dict[str, float]] = {}
        for iso in self.towns.countries:
            percent = {name: float(of["population_percent"]) for name, of in known[iso].items()}
            enough = {n: s for n, s in percent.items()
                      if s >= self.policy.people.least_language_percent}  # fmt: skip
            spoken[iso] = enough or {max(sorted(percent), key=lambda n: percent[n]): 1.0}
        other = self.policy.devices.other_language
        self.languages = tuple(sorted({n for of in spoken.values() for n in of} | {other}))
        self.native = {iso: max(sorted(of), key=lambda n: of[n]) for iso, of in spoken.items()}
        self.manner = draws(self.seed, "6P.P1/manner", 2)
        for p in self.parties:
            mix = spoken[p.row["country_iso"]]
            p.language = weighted(self.manner(p.id - 1, 1), mix, self.languages)

    def rows(self) -> list[Row]:
        """Rows of p1_party_profile_6P."""
        work = self.policy.work
        size, job = draws(self.seed, "6P.P1/firm", 2), draws(self.seed, "6P.P1/work", 4)
        weights: dict[str, dict[int, int]] = defaultdict(dict)
        for p in self.parties:
            law = work.firm_size.get(p.row["segment_id"])
            mean = 0.0 if law is None else 1024 * law.median * normal.exp(
                law.sigma * deviate(size(p.id - 1, 0)))  # fmt: skip
            weights[p.row["country_iso"]][p.id] = round(mean)
        urns = {country: Urn(of) for country, of in weights.items()}
        risks = ("HIGH", "LOW", "MEDIUM")
        rows = []
        for p in self.parties:
            e, segment, iso = p.id - 1, p.row["segment_id"], p.row["country_iso"]
            works = p.is_person and happens(job(e, 0), work.employed_share[segment])
            inside = works and happens(job(e, 1), work.inside_share)
            assert p.town is not None
            lat, lon = self.towns.point(p.town, self.sharing.address_of[e])
            rows.append({
                "party_id": p.id, "born_on": p.born, "founded_on": p.founded,
                "customer_since": p.since, "home_place_id": p.town.id, "home_lat": lat,
                "home_lon": lon,
                "occupation":
                    weighted(job(e, 3), work.occupations[segment], OCCUPATIONS) if works else None,
                "employer_party_id": urns[iso].pick(job(e, 2)) if inside else None,
                "industry": None if p.is_person else
                    weighted(size(e, 1), work.industries[segment], INDUSTRIES),
                "monthly_income_minor": p.income, "currency": self.currency[iso],
                "kyc_risk": pick(self.manner(e, 0), self.policy.people.kyc_shares[segment], risks),
                "language": p.language,
            })  # fmt: skip
        return rows


__all__ = ["People", "Person", "category"]
