"""Twin of P1 to P4: names, contact data and numbers of rows.

Twin of layers/profiles/contact.py, issued.py and addressing.py; the text of each identifier is that
of reference/identity.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from fraudworld.layers.profiles.identity.names import name_law
from fraudworld.policy.identity import IdentityPolicy
from reference import identity as text
from reference.profiles.people import People
from reference.profiles.towns import Row


class Contact:
    """Names and contact data of the parties of a world."""

    def __init__(self, people: People, policy: IdentityPolicy) -> None:
        self.people, self.policy, self.seed = people, policy, people.seed
        self.words = name_law(policy, people.towns.countries)
        self.given = {word: i for i, word in enumerate(self.words.given_words)}
        self.family = {word: i for i, word in enumerate(self.words.family_words)}
        self.number: dict[int, int] = {}
        self.home: dict[int, int] = {}
        parties: Counter[str] = Counter()
        homes: Counter[str] = Counter()
        for e, p in enumerate(people.parties):
            iso = p.row["country_iso"]
            self.number[e] = parties[iso]
            parties[iso] += 1
            if p.leader == e:
                self.home[e] = homes[iso]
                homes[iso] += 1
        self.parties, self.homes = parties, homes

    def _country(self, e: int) -> str:
        return str(self.people.parties[e].row["country_iso"])

    def _name(self, e: int) -> tuple[str, str]:
        family = self.people.sharing.name_of[e]
        _, given, surname = text.person_name(self.policy, self.seed, self._country(e), e, family)
        return given, surname

    def rows(self) -> list[Row]:
        """Rows of p1_party_identity_6P."""
        return [
            self._person(e) if p.is_person else self._firm(e)
            for e, p in enumerate(self.people.parties)
        ]

    def _person(self, e: int) -> Row:
        sharing, words = self.people.sharing, self.words
        given, family = self._name(e)
        near, owner = sharing.near_miss_of[e], sharing.mailbox_of[e]
        if near is not None:
            family = words.family_words[words.near_miss[self.family[self._name(near)[1]]]]
        first, last = self._name(owner)
        iso = self._country(owner)
        email = text.email(
            self.policy, self.seed, iso, words, self.given[first], self.family[last],
            self.number[owner], self.parties[iso], sharing.tag[e],
        )  # fmt: skip
        named = {"given_name": given, "family_name": family, "legal_name": None, "email": email}
        return {"party_id": e + 1, **named, **self._reached(e, 0)}

    def _firm(self, e: int) -> Row:
        iso, p = self._country(e), self.people.parties[e]
        name = text.firm_name(self.policy, self.seed, iso, e)
        family = text.firm_family(self.policy, self.seed, iso, p.leader)
        email = text.firm_email(
            self.policy, self.seed, iso, self.words, self.family[family], self.home[p.leader],
            p.home.index(e + 1), self.homes[iso],
        )  # fmt: skip
        named = {"given_name": None, "family_name": None, "legal_name": name, "email": email}
        return {"party_id": e + 1, **named, **self._reached(e, 1)}

    def _reached(self, e: int, kind: int) -> Row:
        sharing, seed, iso = self.people.sharing, self.seed, self._country(e)
        phone, address, tax = sharing.phone_of[e], sharing.address_of[e], sharing.tax_id_of[e]
        town = self.people.parties[e].town
        assert town is not None
        return {
            "phone_e164": text.phone(self.policy, seed, self._country(phone), self.number[phone]),
            "street_address": text.street_address(
                self.policy, seed, iso, self.home[address], self.homes[iso]
            ),
            "postal_code": text.postal_code(self.policy, seed, iso, town.id - 1, address),
            "tax_id": text.tax_id(self.policy, seed, iso, kind, self.number[tax]),
        }


def ibans(
    policy: IdentityPolicy, people: People, base: list[Row], accounts: list[Row]
) -> list[str | None]:
    """IBANs of accounts; base: of the world, accounts: their profiles."""
    seen: Counter[str] = Counter()
    out = []
    for a, row in zip(base, accounts, strict=True):
        iso = people.parties[a["owner_party_id"] - 1].row["country_iso"]
        bank = row["bank_id"] - 1 - people.towns.banks[iso][0]
        out.append(text.iban(policy, people.seed, iso, bank, seen[iso]))
        seen[iso] += 1
    return out


def cards(
    policy: IdentityPolicy, seed: int, base: list[Row], accounts: list[Row]
) -> list[tuple[str | None, str | None]]:
    """Card number and token of instruments."""
    out: list[tuple[str | None, str | None]] = []
    for e, i in enumerate(base):
        number = text.card(
            policy, seed, i["scheme"], accounts[i["account_id"] - 1]["bank_id"] - 1, e
        )
        token = i["scheme"] in policy.numbers.cards.wallets
        out.append((None, number) if token else (number, None))
    return out


def endpoints(
    policy: IdentityPolicy, people: People, cells: list[tuple[str, str, bool]]
) -> list[tuple[str, int]]:
    """Address and system of endpoints by (country, operator, is IPv4), in order."""
    operators, countries = people.pack.codes("asn_class"), people.towns.countries
    number = {(c, o): i * len(operators) + j
              for i, c in enumerate(countries) for j, o in enumerate(operators)}  # fmt: skip
    systems = [people.policy.endpoints.systems[o] for _ in countries for o in operators]
    used: dict[bool, list[int]] = {v: [0] * len(systems) for v in (True, False)}
    for country, operator, is_v4 in cells:
        used[is_v4][number[country, operator]] += 1
    seen: dict[tuple[str, str, bool], int] = defaultdict(int)
    out = []
    for e, cell in enumerate(cells):
        version = 4 if cell[2] else 6
        out.append(
            text.endpoint(
                policy, people.seed, version, used[cell[2]], systems, number[cell[0], cell[1]],
                seen[cell], e,
            )
        )  # fmt: skip
        seen[cell] += 1
    return out
