"""S5's validation: what must hold in any world, counted on whole columns in few passes.

Checks return records; nothing raises. REQUIRED checks that fail close the run's flag.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.columns import (
    Accounts,
    DeviceLinks,
    Devices,
    Instruments,
    IpEdges,
    Ips,
    Parties,
)
from fraudworld.stages.posture.roles import Roles


@dataclass(frozen=True)
class World:
    """Everything S5's checks look at."""

    parties: Parties
    accounts: Accounts
    instruments: Instruments
    devices: Devices
    links: DeviceLinks
    ips: Ips
    edges: IpEdges
    roles: dict[str, Roles]


@dataclass(frozen=True)
class Check:
    """One check: what was observed, what is allowed, and whether it holds."""

    check_id: str
    family: str
    severity: str
    observed: float
    bound: str
    holds: bool

    def as_dict(self) -> dict[str, object]:
        """Plain data for the report."""
        return {
            "check_id": self.check_id,
            "family": self.family,
            "severity": self.severity,
            "observed": self.observed,
            "bound": self.bound,
            "status": "PASS" if self.holds else "FAIL",
        }


def run_checks(pack: PolicyPack, world: World) -> tuple[Check, ...]:
    """All checks, in order of family."""
    policy = pack.validation_policy

    def at_most(name: str, family: str, value: float, bound: float) -> Check:
        return Check(
            name, family, policy.severity[family], float(value), f"<= {bound:g}", value <= bound
        )

    def within(name: str, family: str, value: float, low: float, high: float) -> Check:
        return Check(
            name, family, policy.severity[family], float(value),
            f"{low:g} .. {high:g}", bool(low <= value <= high),
        )  # fmt: skip

    found: list[Check] = []
    found += [at_most(n, "structure", v, 0) for n, v in _structure(pack, world)]
    found += [at_most(n, "account_caps", v, 0) for n, v in _caps(pack, world)]
    limits = policy.linkage_checks
    found += [
        at_most(n, "linkage", v, b)
        for n, v, b in (
            ("max_devices_per_party", _most_devices(pack, world), limits.max_devices_per_party),
            ("max_parties_per_device", world.devices.users.max(), limits.max_parties_per_device),
            ("max_ips_per_device", _most(world.edges.device), limits.max_ips_per_device),
            ("max_devices_per_ip", _degree(world).max(), limits.ip_links.max_devices_per_ip),
            (
                "max_instruments_per_account",
                np.diff(world.instruments.start).max(),
                limits.max_instruments_per_account,
            ),
        )
    ]
    roles = policy.role_distribution_checks
    for entity, band in roles.non_clean_fraction.items():
        share = float(world.roles[entity].risky.mean())
        found.append(
            within(f"{entity}_non_clean_fraction", "role_distribution", share, band.low, band.high)
        )
    high = pack.codes("ip_raw_role").index("HIGH_RISK_IP")
    risky = float((world.roles["ip"].raw == high).mean())
    found.append(
        at_most("ip_risky_fraction", "role_distribution", risky, roles.ip_roles.max_risky_fraction)
    )
    for entity in ("account", "device"):
        correlation = abs(float(str(world.roles[entity].diagnostics["owner_signal_correlation"])))
        bound = roles.max_owner_asset_score_correlation
        found.append(
            at_most(f"{entity}_owner_score_correlation", "role_distribution", correlation, bound)
        )
    unmapped = sum(
        int((r.family == pack.codes(f"{e}_family").index("UNMAPPED")).sum())
        for e, r in world.roles.items()
    )
    total = sum(r.raw.size for r in world.roles.values())
    found.append(at_most("unmapped_roles", "role_mapping", unmapped, roles.max_unmapped_count))
    found.append(
        within(
            "mapped_fraction", "role_mapping", 1 - unmapped / total, roles.min_mapped_fraction, 1.0
        )
    )
    found += _distributions(pack, world)
    return tuple(found)


def passed(checks: tuple[Check, ...]) -> bool:
    """Whether every REQUIRED check holds."""
    return all(c.holds for c in checks if c.severity == "REQUIRED")


def _most(ids: NDArray[np.uint32]) -> int:
    return int(np.bincount(ids).max(initial=0))


def _degree(world: World) -> NDArray[np.int64]:
    return np.diff(world.edges.start)


def _most_devices(pack: PolicyPack, world: World) -> int:
    roles = pack.codes("device_link_role")
    party = (world.links.role == roles.index("PRIMARY_OWNER")) | (
        world.links.role == roles.index("SECONDARY_USER")
    )
    return _most(world.links.target[party])


def _structure(pack: PolicyPack, world: World) -> Iterator[tuple[str, int]]:
    roles, ip_roles = pack.codes("device_link_role"), pack.codes("ip_link_role")
    links, edges, devices = world.links, world.edges, world.devices
    owners = np.bincount(
        links.device[links.role == roles.index("PRIMARY_OWNER")], minlength=devices.n
    )
    yield "devices_without_one_owner", int((owners != (devices.owner >= 0)).sum())
    terminal = np.bincount(
        links.device[links.role == roles.index("MERCHANT_TERMINAL")], minlength=devices.n
    )
    yield "terminals_without_one_merchant", int((terminal != (devices.merchant >= 0)).sum())
    linked = np.zeros(devices.n, dtype=np.bool_)
    linked[edges.device] = True
    typical = np.bincount(
        edges.device[edges.role == ip_roles.index("TYPICAL_DEVICE_IP")], minlength=devices.n
    )
    yield "linked_devices_without_one_typical_ip", int((typical != linked).sum())
    same = edges.ip[1:] == edges.ip[:-1]
    yield "duplicate_ip_device_pairs", int((same & (edges.device[1:] <= edges.device[:-1])).sum())
    yield (
        "links_across_countries",
        int((world.ips.country[edges.ip] != devices.country[edges.device]).sum()),
    )
    yield "account_owner_orphans", int((world.accounts.owner >= world.parties.n).sum())
    yield "instrument_account_orphans", int((world.instruments.account >= world.accounts.n).sum())
    user = links.role == roles.index("SECONDARY_USER")
    owner = devices.owner[links.device[user]]
    other = links.target[user]
    home, firm = world.parties.household, world.parties.business_group
    together = ((home[owner] == home[other]) & (home[owner] >= 0)) | (
        (firm[owner] == firm[other]) & (firm[owner] >= 0)
    )
    yield "co_users_from_elsewhere", int((~together).sum())


def _caps(pack: PolicyPack, world: World) -> Iterator[tuple[str, int]]:
    codes = pack.codes("account_type")
    caps = np.array([pack.account_per_party_priors.counts[c].cap for c in codes])
    key = world.accounts.owner.astype(np.int64) * len(codes) + world.accounts.type
    # Accounts are in order of owner and product, so equal keys are neighbours.
    first = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    count = np.diff(np.append(first, key.size))
    yield "holdings_above_kmax", int((count > caps[world.accounts.type[first]]).sum())
    kinds = pack.instrument_taxonomy.instrument_types
    legal = np.array(
        [
            [
                pack.account_taxonomy.account_types[a].ledger in kinds[k].ledgers
                for k in pack.codes("instrument_type")
            ]
            for a in codes
        ]
    )
    on = world.accounts.type[world.instruments.account]
    yield "illegal_instruments", int((~legal[on, world.instruments.type]).sum())


def _distributions(pack: PolicyPack, world: World) -> list[Check]:
    policy = pack.validation_policy
    bounds = policy.distribution_checks
    types, regions = pack.codes("ip_type"), pack.codes("region")
    cell = world.devices.region[world.edges.device].astype(np.int64) * len(types)
    observed = np.bincount(
        cell + world.ips.type[world.edges.ip], minlength=len(types) * len(regions)
    ).reshape(len(regions), len(types))
    shares = np.array(
        [[pack.ip_count_priors.edge_shares.get(r, {}).get(t, 0.0) for t in types] for r in regions]
    )
    error = np.abs(observed / np.maximum(observed.sum(axis=1, keepdims=True), 1) - shares)
    linked = np.zeros(world.devices.n, dtype=np.bool_)
    linked[world.edges.device] = True
    degree = _degree(world)
    p99 = float(np.quantile(degree, 0.99, method="inverted_cdf"))
    align, cover, tail = (
        bounds.ip_prior_alignment,
        bounds.device_ip_coverage,
        bounds.ip_degree_tail,
    )
    rows = (
        (
            "ip_type_error_pp",
            "ip_prior_alignment",
            100 * float(error.max()),
            align.max_abs_error_pp,
            True,
        ),
        (
            "linked_device_fraction",
            "device_ip_coverage",
            float(linked.mean()),
            cover.min_fraction,
            False,
        ),
        ("p99_devices_per_ip", "ip_degree_tail", p99, tail.p99_max, True),
        ("max_devices_per_ip", "ip_degree_tail", float(degree.max()), tail.max_max, True),
    )
    return [
        Check(
            name,
            family,
            policy.severity[family],
            value,
            f"{'<=' if upper else '>='} {bound:g}",
            value <= bound if upper else value >= bound,
        )
        for name, family, value, bound, upper in rows
    ]
