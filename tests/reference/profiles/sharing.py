"""Twin of P1: who shares an address, a number, a mailbox, a name.

Twin of layers/profiles/sharing.py. Parties are positions from 0; every list has one entry a party.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from reference.profiles.towns import draws
from reference.transactions.choices import below, happens

if TYPE_CHECKING:
    from fraudworld.policy.profiles.models import Groups
    from reference.profiles.people import People, Person

Draw = Callable[..., int]

YOUNG = 0


def lowest(items: Iterable[int], share: float, draw: Callable[[int], int]) -> set[int]:
    """The share of items with the lowest draws, rounded to whole ones."""
    ranked = sorted(items, key=lambda e: (draw(e), e))
    return set(ranked[: math.floor(share * len(ranked) + 0.5)])


def cut(row: Sequence[int], size: Callable[[int], int], least: int, most: int) -> list[list[int]]:
    """A row cut into groups of least … most; none where the row is shorter."""
    groups, left = [], list(row)
    while len(left) >= least:
        n = min(least + below(size(left[0]), most - least + 1), len(left))
        if 0 < len(left) - n < least:
            n = len(left) if len(left) <= most else len(left) - least
        groups.append(left[:n])
        left = left[n:]
    return groups


class Sharing:
    """Who shares what in a world whose homes are known."""

    def __init__(self, people: People) -> None:
        n = len(people.parties)
        self.people, self.law, self.seed = people, people.policy.sharing, people.seed
        self.made_up = [p.is_person and p.role == "SYNTHETIC_ID" for p in people.parties]
        self.address_of = [p.leader for p in people.parties]
        self.phone_of, self.mailbox_of, self.tag = list(range(n)), list(range(n)), [0] * n
        self.name_of, self.tax_id_of = list(range(n)), list(range(n))
        self.near_miss_of: list[int | None] = [None] * n
        self.born_with: list[int | None] = [None] * n
        self._families()
        self._relatives()
        self._buildings()
        self._cells()
        self._earlier_owners()

    def _party(self, e: int) -> Person:
        return self.people.parties[e]

    def _young(self, e: int) -> bool:
        return self.people.policy.people.generations[self._segment(e)] == YOUNG

    def _segment(self, e: int) -> str:
        return str(self._party(e).row["segment_id"])

    def _country(self, e: int) -> str:
        return str(self._party(e).row["country_iso"])

    def _families(self) -> None:
        law, seed = self.law, self.seed
        homes = [
            [m - 1 for m in p.home]
            for e, p in enumerate(self.people.parties)
            if p.leader == e and p.row["household_id"]
        ]
        several = [h for h in homes if len(h) > 1 and not any(self.made_up[m] for m in h)]
        contact = draws(seed, "6P.P1/home_contact", 2)
        firsts = [h[0] for h in several]
        phones = lowest(firsts, law.home_phone_share, lambda e: contact(e, 0))
        mailboxes = lowest(firsts, law.home_mailbox_share, lambda e: contact(e, 1))
        for home in several:
            for i, m in enumerate(home):
                if home[0] in phones:
                    self.phone_of[m] = home[0]
                if home[0] in mailboxes:
                    self.mailbox_of[m], self.tag[m] = home[0], i
        own = draws(seed, "6P.P1/own_name", 2)
        pairs: dict[int, int] = {}
        for home in homes:
            if all(self._young(m) for m in home):
                continue
            for m in home:
                if not happens(own(m, 0), law.own_name_share):
                    self.name_of[m] = home[0]
            i = 0
            while i + 1 < len(home):
                a, b = home[i], home[i + 1]
                alike = self._young(a) and self._segment(a) == self._segment(b)
                if alike and not self.made_up[a] and not self.made_up[b]:
                    pairs[a] = b
                    i += 1
                i += 1
        for e, p in enumerate(self.people.parties):
            if p.is_person and not self.made_up[e] and happens(own(e, 1), law.misspelt_share):
                self.near_miss_of[e] = e
        twins = draws(seed, "6P.P1/twins")
        for a in lowest(pairs, law.twin_share, twins):
            self.born_with[a], self.born_with[pairs[a]] = pairs[a], a

    def _alone(self, e: int) -> bool:
        return len(self._party(e).home) == 1

    def _buildings(self) -> None:
        draw = draws(self.seed, "6P.P1/building", 3)
        for _, building in sorted(self.law.buildings.items()):
            homes = [
                e
                for e, made_up in enumerate(self.made_up)
                if self._alone(e) and not made_up and self._segment(e) in building.segments
            ]
            houses = self._grouped(homes, draw, building)
            for house in houses:
                for e in house:
                    self.address_of[e] = house[0]
            self._one_phone(houses, draw, building.one_phone)

    def _grouped(self, parties: Iterable[int], draw: Draw, law: Groups) -> list[list[int]]:
        """Groups of the parties of a country, of the share with the lowest draws."""
        by_country: dict[str, list[int]] = defaultdict(list)
        for e in parties:
            by_country[self._country(e)].append(e)
        groups = []
        for of in by_country.values():
            of.sort(key=lambda e: (draw(e, 0), e))
            chosen = of[: math.floor(law.share * len(of) + 0.5)]
            groups += cut(chosen, lambda e: draw(e, 1), law.least, law.most)
        return groups

    def _one_phone(self, groups: list[list[int]], draw: Draw, share: float) -> None:
        one = lowest([group[0] for group in groups], share, lambda e: draw(e, 2))
        for group in groups:
            if group[0] in one:
                for e in group:
                    self.phone_of[e] = group[0]

    def _relatives(self) -> None:
        law, innocent = self.law, []
        for e, p in enumerate(self.people.parties):
            if p.is_person and not self.made_up[e]:
                innocent.append(e)
        shared = {
            x
            for of in (self.phone_of, self.mailbox_of)
            for e, owner in enumerate(of)
            for x in (e, owner)
            if e != owner
        }
        draw = draws(self.seed, "6P.P1/relatives", 4)
        apart = self._one_a_home([e for e in innocent if e not in shared], lambda e: draw(e, 3))
        families = self._grouped(apart, draw, law.relatives)
        for family in families:
            for i, e in enumerate(family):
                self.mailbox_of[e], self.tag[e] = family[0], i
                self.name_of[e] = self.name_of[family[0]]
        self._one_phone(families, draw, law.relatives.one_phone)
        draw = draws(self.seed, "6P.P1/mistyped", 3)
        apart = self._one_a_home(innocent, lambda e: draw(e, 2))
        for group in self._grouped(apart, draw, law.mistyped_tax_ids):
            for e in group:
                self.tax_id_of[e] = group[0]

    def _one_a_home(self, parties: Iterable[int], draw: Callable[[int], int]) -> list[int]:
        """The party of every home with the lowest draw, in order of party."""
        of_home: dict[int, int] = {}
        for e in parties:
            home = self._party(e).leader
            of_home[home] = min(of_home.get(home, e), e, key=lambda x: (draw(x), x))
        return sorted(of_home.values())

    def _cells(self) -> None:
        law = self.law.cells
        draw, member = draws(self.seed, "6P.P1/cell", 5), draws(self.seed, "6P.P1/cell_member", 5)
        by_country: dict[str, list[int]] = defaultdict(list)
        for e, is_made_up in enumerate(self.made_up):
            if is_made_up:
                by_country[self._country(e)].append(e)
        by_region: dict[str, list[int]] = defaultdict(list)
        for country in [c for c, of in by_country.items() if len(of) < law.least]:
            by_region[self.people.region[country]] += by_country.pop(country)
        cells: list[list[int]] = []
        for of in (*by_country.values(), *by_region.values()):
            of.sort(key=lambda e: (draw(e, 0), e))
            for cell in cut(of, lambda e: draw(e, 1), law.least, law.most):
                cells.append(sorted(cell, key=lambda e: (self._segment(e), e)))
        firsts = [cell[0] for cell in cells]
        uses = [
            lowest(firsts, share, lambda e, k=k: draw(e, 2 + k))  # type: ignore[misc]
            for k, share in enumerate((law.phone, law.mailbox, law.address))
        ]
        self.with_phone: set[int] = set()
        for cell in cells:
            takes = [
                [e for e in cell if cell[0] in uses[k] and happens(member(e, k), law.takes_part)]
                for k in range(3)
            ]
            for e in takes[0]:
                self.phone_of[e] = takes[0][0]
                self.with_phone.add(e)
            for i, e in enumerate(takes[1]):
                self.mailbox_of[e], self.tag[e] = takes[1][0], i
            of_country: dict[str, list[int]] = defaultdict(list)
            for e in takes[2]:
                if self._alone(e):
                    of_country[self._country(e)].append(e)
            for group in of_country.values():
                for e in group:
                    self.address_of[e] = group[0]
            for a, b in zip(cell[::2], cell[1::2], strict=False):
                if self._segment(a) == self._segment(b) and happens(member(b, 3), law.near_miss):
                    self.near_miss_of[b] = a
                    self.born_with[a], self.born_with[b] = b, a
                    apart = self._party(a).leader != self._party(b).leader
                    same = apart and self._country(a) == self._country(b)
                    if same and happens(member(b, 4), law.tax_id):
                        self.tax_id_of[b] = a

    def _earlier_owners(self) -> None:
        draw, parties = draws(self.seed, "6P.P1/earlier_owner", 2), self.people.parties
        lent = {owner for e, owner in enumerate(self.phone_of) if owner != e} | self.with_phone
        persons = [e for e, p in enumerate(parties) if p.is_person]
        may = [e for e in persons if self.phone_of[e] == e and e not in lent]
        may.sort(key=lambda e: (draw(e, 0), e))
        of_country: dict[str, list[int]] = defaultdict(list)
        for e in range(len(parties)):
            of_country[self._country(e)].append(e)
        before = list(self.phone_of)
        for e in may[: math.floor(self.law.earlier_owner_share * len(persons) + 0.5)]:
            others = of_country[self._country(e)]
            k = below(draw(e, 1), len(others))
            other = others[k] if others[k] != e else others[(k + 1) % len(others)]
            self.phone_of[e] = before[other]
