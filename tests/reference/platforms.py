"""Plain twin of `stages/platforms.py`, of wallets in S3 and of operating systems in S4."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from fraudworld.inputs.arrays import Geography
from fraudworld.policy.pack import PolicyPack
from reference.accounts import Account
from reference.draws import U64, Draws
from reference.parties import Party
from reference.propagation import kept_prior

if TYPE_CHECKING:  # it imports this module
    from reference.instruments import Instrument

ANDROID, IOS = "ANDROID", "IOS"

Place = tuple[int, str]
"""Country and segment."""


def follows_country(pack: PolicyPack) -> bool:
    """Whether parties have a mobile system."""
    return pack.device_count_priors.mobile_platform.market == "country"


def ios_shares(pack: PolicyPack, geo: Geography, parties: list[Party]) -> dict[Place, float]:
    """Share of iOS among the parties of every (country, segment) that has any.

    Odds rise with the segment's income; the parties of a country together have the policy's share.
    """
    rule = pack.device_count_priors.mobile_platform
    profiles, out = pack.segmentation_priors.profiles, dict[Place, float]()
    people = Counter((p.country, p.segment) for p in parties)
    for country, code in enumerate(geo.countries):
        region = pack.codes("region")[geo.region[country]]
        share = rule.ios_share.countries.get(code, rule.ios_share.regions[region])
        uplift = {
            s: rule.income_log_odds * (profiles[s].income - 0.5) for c, s in people if c == country
        }
        sizes: Counter[float] = Counter()
        for s, u in uplift.items():
            sizes[u] += people[country, s]
        kept = kept_prior(share, sizes)
        out |= {(country, s): kept[u] for s, u in uplift.items()}
    return out


def android_end(ios: float) -> int:
    """Where Android ends among the 63 leading bits of a draw."""
    return int((1.0 - ios) * 2.0**63) if ios > 0.0 else 2**63


def wallets(pack: PolicyPack, seed: int, geo: Geography, parties: list[Party]) -> list[str]:
    """Scheme of the tokens of every party, by its mobile system."""
    draws = Draws(seed, "s3/wallet_platform", "instrument_attribute_sampling")
    shares = ios_shares(pack, geo, parties)
    of = pack.device_count_priors.mobile_platform.wallets
    return [
        of[IOS if draws(p) >> 1 >= android_end(shares[party.country, party.segment]) else ANDROID]
        for p, party in enumerate(parties)
    ]


def of_holders(
    pack: PolicyPack, accounts: list[Account], instruments: list[Instrument]
) -> dict[int, str]:
    """Party → the mobile system of its tokens, for parties that hold any."""
    if not follows_country(pack):
        return {}
    wallets_of = pack.device_count_priors.mobile_platform.wallets
    system = {scheme: name for name, scheme in wallets_of.items()}
    return {accounts[i.account].owner: system[i.scheme] for i in instruments if i.scheme in system}


def system_mix(pack: PolicyPack, device_type: str, ios: float) -> dict[str, float]:
    """Systems of a type among parties of whom `ios` are on iOS."""
    priors, types = pack.device_count_priors, pack.device_taxonomy.device_types
    rule = priors.mobile_platform
    if device_type not in rule.follow:
        return dict(priors.os_mix[device_type])
    share = ios
    if types[device_type].group != rule.wallet_group:
        inside = [t for t in rule.follow if types[t].group == rule.wallet_group]
        phone = max(inside, key=lambda t: (priors.type_mix["RETAIL"].get(t, 0.0), t))
        to, base = (priors.os_mix[t].get(IOS, 0.0) for t in (device_type, phone))
        share = to
        if 0.0 < to < 1.0 and 0.0 < base < 1.0:
            odds = to / (1.0 - to) * (1.0 - base) / base
            share = ios * odds / (1.0 - ios + ios * odds)
    return {ANDROID: 1.0 - share, IOS: share}


class Owners:
    """The draws that devices take from their owners."""

    def __init__(
        self,
        pack: PolicyPack,
        seed: int,
        geo: Geography,
        parties: list[Party],
        holders: dict[int, str],
    ) -> None:
        self._pack, self._parties, self._holders = pack, parties, holders
        self._rule = pack.device_count_priors.mobile_platform
        self._party = Draws(seed, "s4/platform", "device_attribute_sampling")
        self._device = Draws(seed, "s4/device_platform", "device_attribute_sampling")
        self._settled: set[int] = set()
        self._ios = ios_shares(pack, geo, parties)

    def mix(self, device_type: str, owner: int) -> dict[str, float]:
        """Systems of a device of an owner."""
        party = self._parties[owner]
        return system_mix(self._pack, device_type, self._ios[party.country, party.segment])

    def draw(self, device: int, device_type: str, owner: int, own: int) -> int:
        """The draw of a device's system: its owner's, if it follows, else its own.

        A holder's first device of the wallet group always follows.
        """
        group = self._pack.device_taxonomy.device_types[device_type].group
        must = (
            owner in self._holders
            and group == self._rule.wallet_group
            and owner not in self._settled
        )
        if must:
            self._settled.add(owner)
        follow = int(self._rule.follow.get(device_type, 0.0) * 2.0**63)
        if must or self._device(device) >> 1 < follow:
            return self._of_owner(owner) or own
        return own

    def _of_owner(self, owner: int) -> int:
        """The owner's draw, scaled into the system of its wallet if it has one."""
        draw, party = self._party(owner), self._parties[owner]
        android = android_end(self._ios[party.country, party.segment])
        high = draw >> 32
        if owner not in self._holders:
            return draw
        if self._holders[owner] == ANDROID:
            return high * (android >> 31) & U64
        rest = 2**63 - android >> 31
        return (2 * android + high * rest) & U64 if rest else draw
