"""Counts a published world, in one pass over each of its tables.

All counts are exact, over codes; what gates compute from them is cheap. A pass keeps a few bytes
per entity at most, and only until the tables that refer to it are counted. An id that does not
exist is an InputError.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from fraudworld.contracts import BY_NAME
from fraudworld.gates.census import Census
from fraudworld.gates.counts import Counts, Sample
from fraudworld.gates.entities import SOURCES, Kind
from fraudworld.gates.holdings import Holdings, count_holdings, stated_holdings
from fraudworld.gates.markets import Markets, count_markets
from fraudworld.gates.owners import ASSETS, Owned, Owners
from fraudworld.gates.published import Published
from fraudworld.gates.sharing import Network, count_network
from fraudworld.gates.tally import I64, crosstab
from fraudworld.gates.transmission import Transmission, count_transmission
from fraudworld.policy.pack import PolicyPack


class Evidence:
    """Counts of one published world, computed on first use and cached."""

    def __init__(self, published: Published, pack: PolicyPack, seed: int) -> None:
        self.published, self.pack, self.seed = published, pack, seed
        self._kinds: dict[str, Kind] = {}

    @property
    def sample(self) -> Sample:
        """The input of T1–T8 for this world."""
        return Sample(self.counts, self.pack, self.seed)

    @cached_property
    def owners(self) -> Owners:
        """Every party."""
        return Owners(self._kind("party"), self.pack)

    @cached_property
    def holdings(self) -> Holdings:
        """Every account and instrument."""
        return count_holdings(self.published, self.pack, self._kind("account"), self.owners)

    @cached_property
    def network(self) -> Network:
        """Every device, IP and link between them."""
        return count_network(
            self.published, self.pack, self._kind("device"), self._kind("ip"), self.owners
        )

    @cached_property
    def markets(self) -> Markets:
        """Mobile systems and wallets."""
        return count_markets(self.published, self.pack, self.owners)

    def census(self, kind: str) -> Census:
        """Entities of a kind, `party`, `account`, `device` or `ip`, by their codes."""
        if kind == "party":
            return self.owners.census
        if kind == "account":
            return self.holdings.census
        return self.network.devices if kind == "device" else self.network.ips

    def owned(self, asset: str) -> Owned:
        """Accounts or devices with the traits of their owners."""
        return self.holdings.owned if asset == "account" else self.network.owned

    @cached_property
    def transmission(self) -> Transmission:
        """Parties by their own risk and that of others on their devices and home lines."""
        kinds = self._kind("device"), self._kind("ip")
        lines = self.network.home_lines
        return count_transmission(self.published, self.owners, *kinds, lines)

    @cached_property
    def counts(self) -> Counts:
        """All counts of T1–T8 and of the report."""
        network, holdings = self.network, self.holdings
        roles = {kind: self.census(kind).roles for kind in SOURCES}
        return Counts(
            held=holdings.held,
            stated_holdings=stated_holdings(self.published, self.pack),
            link_types=network.link_types,
            node_types=network.node_types,
            degrees=network.degrees,
            coverage=np.array([network.linked_devices, network.devices.n], dtype=np.int64),
            patterns={asset: self.owned(asset).patterns for asset in ASSETS},
            strata={asset: self.owned(asset).strata for asset in ASSETS},
            roles={kind: by.sum(axis=3) for kind, by in roles.items()},
            families={kind: by.sum(axis=1) for kind, by in roles.items()},
            merchants=self._merchants(),
            instruments=holdings.instruments,
            role_pairs={asset: self.owned(asset).role_pairs for asset in ASSETS},
            high_risk_degrees=network.sharing.sum(axis=(0, 2)),
            segments=self.census("party").by("region", "segment_id"),
            device_types=self.census("device").by("device_type"),
        )

    @property
    def accounts_by_type(self) -> dict[str, int]:
        """Accounts of every product."""
        return self._named("account_type", self.census("account").by("account_type"))

    @property
    def parties_by_type(self) -> dict[str, int]:
        """Parties of every type."""
        return self._named("party_type", self.census("party").by("party_type"))

    @property
    def holders(self) -> dict[str, int]:
        """Parties that hold a product, by product."""
        return self._named("account_type", self.holdings.held[:, 1:].sum(axis=1))

    @property
    def instrument_pairs(self) -> dict[tuple[str, str], int]:
        """Instruments by (account type, instrument type)."""
        accounts, kinds = self.pack.codes("account_type"), self.pack.codes("instrument_type")
        pairs = self.holdings.instruments
        return {
            (accounts[a], kinds[k]): int(pairs[a, k]) for a, k in zip(*pairs.nonzero(), strict=True)
        }

    def features(self) -> dict[str, I64]:
        """Per thing a party can have: parties by (risky?, number of it)."""
        has = {"instruments": self.holdings.instruments_each}
        for asset in ASSETS:
            owned = self.owned(asset)
            has |= {f"{asset}s": owned.each, f"risky_{asset}s": owned.risky_each}
        return {name: self.owners.counts(each) for name, each in has.items()}

    def measures(self) -> dict[str, float]:
        """Metrics of T9 besides those of gates: means, non-clean shares and link shares."""
        judged = {kind: self.census(kind) for kind in SOURCES}
        party, account, _, ip = judged.values()
        out = {
            "accounts_per_party": account.n / party.n,
            "instruments_per_account": int(self.holdings.instruments.sum()) / account.n,
            "devices_per_party": self.owned("device").n / party.n,
            "high_risk_ip_share": ip.labelled / ip.n,
        }
        for kind, census in judged.items():
            out[f"non_clean_{kind}"] = census.risky / census.n
        links = self.network.link_types.sum(axis=0)
        policy = self.pack.ip_count_priors.edge_shares.values()
        for t, kind in enumerate(self.pack.codes("ip_type")):
            if min(mix.get(kind, 0.0) for mix in policy) >= 0.02:
                out[f"link_share_{kind}"] = float(links[t] / links.sum())
        return out

    def _kind(self, name: str) -> Kind:
        """A kind of entity; kept, because it reads its ids to know their order."""
        if name not in self._kinds:
            self._kinds[name] = Kind(self.published, self.pack, name)
        return self._kinds[name]

    def _merchants(self) -> I64:
        """Merchants by raw role and family; their class and region are not published."""
        columns = self.published.columns(
            BY_NAME["s5_merchant_fraud_roles_6A"], "raw_role", "canonical_role_family"
        )
        return crosstab(
            (columns["raw_role"], len(self.pack.codes("merchant_raw_role"))),
            (columns["canonical_role_family"], len(self.pack.codes("merchant_family"))),
        )

    def _named(self, codes: str, numbers: I64) -> dict[str, int]:
        return dict(zip(self.pack.codes(codes), numbers.tolist(), strict=True))
