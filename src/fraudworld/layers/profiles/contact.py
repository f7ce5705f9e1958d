"""6P.P1: names, contact data and tax ids of parties, in characters.

Which party's address, number or mailbox a row has is decided by `sharing.py`; here they become
text, by the laws of `identity/`. Counters are positions of parties inside their country.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.layers.profiles.identity import addresses, emails, names, numbers
from fraudworld.layers.profiles.identity.arrow import strings
from fraudworld.layers.profiles.sharing import NOBODY, Sharing
from fraudworld.layers.profiles.world import ProfileWorld
from fraudworld.policy.identity import IdentityPolicy
from fraudworld.store.content import NO_WORD

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Columns = dict[str, NDArray[np.generic] | pa.StringArray]


@dataclass(frozen=True)
class ContactLaw:
    """Names, contact data and tax ids over one world."""

    policy: IdentityPolicy
    seed: int
    countries: tuple[str, ...]
    world: ProfileWorld
    sharing: Sharing
    home_place: I32  # of parties

    @cached_property
    def name_law(self) -> names.NameLaw:
        """The law of names; its word lists are those of the columns of names."""
        return names.name_law(self.policy, self.countries)

    @cached_property
    def _emails(self) -> emails.EmailLaw:
        parties = np.diff(self.world.base.country_party)
        homes = np.diff(self.world.home_first)
        return emails.email_law(
            self.policy, self.seed, self.countries, self.name_law, parties, homes
        )  # fmt: skip

    @cached_property
    def _streets(self) -> addresses.StreetLaw:
        homes = np.diff(self.world.home_first)
        return addresses.street_law(self.policy, self.seed, self.countries, homes)

    @cached_property
    def _postal(self) -> addresses.PostalLaw:
        return addresses.postal_law(self.policy, self.countries)

    @cached_property
    def _phones(self) -> numbers.IdLaw:
        return numbers.phone_law(self.policy, self.seed, self.countries)

    @cached_property
    def _taxes(self) -> numbers.IdLaw:
        return numbers.tax_law(self.policy, self.seed, self.countries)

    def _number(self, party: NDArray[np.integer]) -> I64:
        """Positions of parties inside their country."""
        base = self.world.base
        return np.asarray(party - base.country_party[base.party_country[party]])

    def _home(self, party: NDArray[np.integer]) -> I64:
        """Positions of parties' homes inside their country."""
        world = self.world
        first = world.home_first[world.base.party_country[party]]
        return np.asarray(world.home_number[party] - first)

    def rows(self, low: int, high: int) -> Columns:
        """Rows of p1_party_identity_6P."""
        base, sharing = self.world.base, self.sharing
        person, country = self.world.person[low:high], base.party_country
        given, family = self._names(low, high, person)
        legal, email_of_firm = self._firms(low, high, person)
        phone, address = sharing.phone_of[low:high], sharing.address_of[low:high]
        tax, kind = sharing.tax_id_of[low:high], np.where(person, numbers.PERSON, numbers.FIRM)
        own = country[low:high]
        return {
            "party_id": np.arange(low + 1, high + 1),
            "given_name": given,
            "family_name": family,
            "legal_name": legal,
            "email": pc.coalesce(self._mailboxes(low, high, person), email_of_firm),
            "phone_e164": strings(
                numbers.phones(self._phones, country[phone], self._number(phone))
            ),
            "street_address": strings(
                addresses.street_addresses(self._streets, own, self._home(address))
            ),
            "postal_code": strings(
                addresses.postal_codes(
                    self._postal, self.seed, own, self.home_place[low:high].astype(np.int64),
                    address.astype(np.int64),
                )
            ),
            "tax_id": strings(numbers.tax_ids(self._taxes, own, kind, self._number(tax))),
        }  # fmt: skip

    def _drawn(self, party: I64) -> names.Names:
        """Names of persons as drawn, before near misses."""
        family = self.sharing.name_of[party].astype(np.int64)
        country = self.world.base.party_country[party]
        return names.person_names(self.name_law, self.seed, country, party, family)

    def _names(self, low: int, high: int, person: NDArray[np.bool_]) -> tuple[I32, I32]:
        """Given and family names as codes; NO_WORD for firms and bodies."""
        given = np.full(high - low, NO_WORD, dtype=np.int32)
        family = given.copy()
        at = np.flatnonzero(person)
        drawn = self._drawn(at + low)
        given[at], family[at] = drawn.given, drawn.family
        near = self.sharing.near_miss_of[low:high]
        at = np.flatnonzero(near != NOBODY)
        family[at] = self.name_law.near_miss[self._drawn(near[at].astype(np.int64)).family]
        return given, family

    def _mailboxes(self, low: int, high: int, person: NDArray[np.bool_]) -> pa.StringArray:
        """E-mail addresses of persons: letters of the name of the mailbox's owner."""
        owner = self.sharing.mailbox_of[low:high][person].astype(np.int64)
        drawn = self._drawn(owner)
        text = emails.emails(
            self._emails, self.world.base.party_country[owner], drawn.given, drawn.family,
            self._number(owner), self.sharing.tag[low:high][person],
        )  # fmt: skip
        return strings(text, person)

    def _firms(
        self, low: int, high: int, person: NDArray[np.bool_]
    ) -> tuple[pa.StringArray, pa.StringArray]:
        """Names and e-mail addresses of firms and bodies; members of a firm share a domain."""
        world = self.world
        at = np.flatnonzero(~person) + low
        country = world.base.party_country[at]
        named = names.firm_names(self.name_law, self.seed, country, at)
        leader = world.leader[at].astype(np.int64)
        domain = names.firm_families(self.name_law, self.seed, country, leader)[:, 0]
        email = emails.firm_emails(
            self._emails, country, np.ascontiguousarray(domain), self._home(leader),
            self._member(at),
        )  # fmt: skip
        return strings(named, ~person), strings(email, ~person)

    def _member(self, party: I64) -> I64:
        """Numbers of parties inside their firm, from 0; 0 for bodies."""
        base, number = self.world.base, np.zeros(party.size, dtype=np.int64)
        _member(party, base.home, base.home_start, base.home_member, number)
        return number


@kernel
def _member(party, home, start, member, number):  # type: ignore[no-untyped-def]
    """Counts the members of a party's home that stand before it.

    party : int64 (n,); home, start, member : homes of the world; number : int64 (n,), 0 before,
    and left so for parties without a home.
    """
    for i in range(party.size):
        if home[party[i]] >= 0:
            j = start[home[party[i]]]
            while member[j + number[i]] != party[i]:
                number[i] += 1
