"""The laws of S5 as its tasks need them: figures of the policy as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.pairs import ASSETS, pair_factors
from fraudworld.stages.posture.role.roles import owner_classes, risky_roles, role_table
from fraudworld.stages.posture.role.scan_edges import EdgesLaw
from fraudworld.stages.posture.score.groups import GROUPS, account_groups, identity, ip_groups
from fraudworld.stages.posture.score.scan_holdings import HoldingsLaw
from fraudworld.stages.posture.score.scan_links import LinksLaw
from fraudworld.stages.posture.score.scores import (
    DeviceSignal,
    IpSignal,
    Score,
    account_signal,
    party_signal,
)

Bools = NDArray[np.bool_]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Laws:
    """The laws of one policy and seed; dictionaries are by entity."""

    scores: dict[str, Score]
    cells: dict[str, tuple[int, ...]]  # numbers of groups, tiers, raw roles, families
    risky: dict[str, Bools]  # whether a raw role is not clean, (raw roles,)
    group_of: dict[str, U8]  # group by party type, account type, …; (types,)
    ip_groups: U8  # group of endpoints, (endpoint types, operators)
    party_signal: F64  # (segments, accounts held)
    account_signal: F64  # by the code of the account's instruments
    device_signal: DeviceSignal
    ip_signal: IpSignal
    holdings: HoldingsLaw
    links: LinksLaw
    edges: EdgesLaw
    high_sharing: int  # devices from which on an endpoint has high sharing
    tiers: int
    owner_classes: int
    owner_row: U8  # row of a raw role of owners in the strata of assets, (party raw roles,)
    owner_rows: int
    lanes: dict[str, int]  # rows by number of users of one owner row: 2 if that counts, else 1

    @classmethod
    def of(cls, pack: PolicyPack, seed: int, n_merchants: int) -> Laws:
        """The laws of a policy and seed."""
        scores = {e: Score.of(pack, seed, e) for e in GROUPS}
        families = {e: len(pack.codes(f"{e}_family")) for e in GROUPS}
        by_pair = pack.risk_propagation_coeffs.propagation_by == "role_pair"
        risky = {e: risky_roles(pack, e) for e in GROUPS}
        roles = np.arange(risky["party"].size, dtype=np.uint8)
        return cls(
            scores=scores,
            cells={e: (*role_table(pack, e).shares.shape, families[e]) for e in GROUPS},
            risky=risky,
            group_of={
                e: account_groups(pack) if e == "account" else identity(pack, e) for e in GROUPS
            },
            ip_groups=ip_groups(pack),
            party_signal=party_signal(pack, scores["party"]),
            account_signal=account_signal(scores["account"]),
            device_signal=DeviceSignal.of(pack, scores["device"]),
            ip_signal=IpSignal.of(pack, scores["ip"]),
            holdings=HoldingsLaw.of(pack),
            links=LinksLaw.of(pack, n_merchants),
            edges=EdgesLaw.of(pack),
            high_sharing=pack.risk_propagation_coeffs.device_to_ip.high_sharing_min_devices,
            tiers=len(pack.fraud_role_taxonomy.risk_tiers),
            owner_classes=owner_classes(pack),
            owner_row=roles if by_pair else risky["party"].astype(np.uint8),
            owner_rows=roles.size if by_pair else 2,
            lanes={e: pair_factors(pack, e).lanes if by_pair else 1 for e in ASSETS},
        )
