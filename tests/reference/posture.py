"""Plain twin of `stages/posture` (S5): scores, tiers and fraud roles, and their propagation."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fraudworld.inputs.arrays import Merchants
from fraudworld.kernels import normal
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.policy.models import RolePriors
from fraudworld.policy.pack import PolicyPack
from reference.accounts import Account
from reference.devices import Device
from reference.draws import Draws, category, deviate
from reference.endpoints import Ip
from reference.instruments import Instrument
from reference.parties import Party, Row
from reference.propagation import Stratum, fitted, kept_prior, solve_uplift

HIGH_RISK_IP = "HIGH_RISK_IP"

Features = Mapping[str, float]


@dataclass(frozen=True)
class Posture:
    """Group, tier and raw role of an entity."""

    group: str
    tier: str
    role: str


def _priors(pack: PolicyPack, entity: str) -> RolePriors:
    priors: RolePriors = getattr(pack, f"{entity}_role_priors")
    return priors


def tiers(
    pack: PolicyPack, seed: int, entity: str, groups: Sequence[str], features: Sequence[Features]
) -> list[str]:
    """Tiers by rank of score inside each group, exact shares from the lowest score up.

    score = clip(base + Σ weight · feature + σ · noise, 0, 1), with weights and features in single
    precision. Ranks compare 32 bits of the score, then 32 bits of a draw, then positions.
    """
    law = _priors(pack, entity).score
    draws = Draws(seed, f"s5/{entity}/score", f"fraud_role_sampling_{entity}", 2)

    def key(e: int) -> tuple[int, int, int]:
        score = law.base
        for name, weight in law.weights.items():
            score += float(np.float32(weight) * np.float32(features[e][name]))
        score = min(max(score + law.noise_sigma * deviate(draws(e, 0)), 0.0), 1.0)
        return int(score * (2**32 - 1)), draws(e, 1) >> 32, e

    taxonomy = pack.fraud_role_taxonomy
    members: dict[str, list[int]] = defaultdict(list)
    for e, group in enumerate(groups):
        members[group].append(e)
    out = [""] * len(groups)
    for in_group in members.values():
        sizes = largest_remainder(len(in_group), taxonomy.tier_shares)
        names = [t for t, n in zip(taxonomy.risk_tiers, sizes, strict=True) for _ in range(n)]
        for e, tier in zip(sorted(in_group, key=key), names, strict=True):
            out[e] = tier
    return out


def shares(pack: PolicyPack, entity: str, group: str, tier: str) -> dict[str, float]:
    """Share of every raw role in a group and tier; the remainder role gets the rest to one."""
    priors, at = _priors(pack, entity), pack.fraud_role_taxonomy.risk_tiers.index(tier)
    out = dict.fromkeys(pack.codes(f"{entity}_raw_role"), 0.0)
    for role, figures in priors.roles[group].items():
        out[role] = figures[at] / 10_000
    out[priors.remainder[group]] = 1.0 - sum(out.values())
    return out


def draw_roles(
    pack: PolicyPack,
    seed: int,
    entity: str,
    groups: Sequence[str],
    tier_of: Sequence[str],
    raised: Callable[[int], float | Mapping[str, float] | None] = lambda e: None,
    focus: str | None = None,
) -> list[Posture]:
    """A role per entity, by the shares of its group and tier.

    `raised(e)`: the probability that e gets a role in focus (by default any but the group's
    remainder role), or that of every role; None leaves the shares. Roles in focus keep their
    proportions, and so do the others. Roles in focus come first in cumulative order: raising them
    only adds entities to them.
    """
    draws = Draws(seed, f"s5/{entity}/role", f"fraud_role_sampling_{entity}")
    remainder, out = _priors(pack, entity).remainder, []
    cells = list(zip(groups, tier_of, strict=True))
    tables = {cell: shares(pack, entity, *cell) for cell in set(cells)}
    for e, (group, tier) in enumerate(cells):
        table = dict(tables[group, tier])
        chosen = [r for r in table if (r == focus if focus else r != remainder[group])]
        others = [r for r in table if r not in chosen]
        p, inside = raised(e), sum(table[r] for r in chosen)
        if isinstance(p, Mapping):
            table = dict(p)
        elif p is not None and inside > 0:
            outside = sum(table[r] for r in others)
            for r in chosen:
                table[r] *= p / inside
            for r in others:
                table[r] *= (1.0 - p) / outside if outside > 0 else 1.0
        line = chosen + others
        out.append(Posture(group, tier, line[category(draws(e), tuple(table[r] for r in line))]))
    return out


def is_risky(pack: PolicyPack, entity: str, role: str) -> bool:
    """Whether the family of a raw role is not the clean one."""
    vocabulary = pack.fraud_role_taxonomy.entities[entity]
    return vocabulary.mapping[role] != vocabulary.clean_family


def owned_roles(
    pack: PolicyPack,
    seed: int,
    entity: str,
    groups: Sequence[str],
    tier_of: Sequence[str],
    owners: Sequence[int | None],
    parties: list[Party],
    of_party: list[Posture],
    target: float,
) -> list[Posture]:
    """Roles of assets whose odds of being risky are raised where their owner is risky.

    In each (group, tier, type of owner) the expected share of risky assets stays at the prior.
    Assets without owner keep their shares.
    """
    cells: list[tuple[str, str, str] | None] = [
        None if o is None else (group, tier, parties[o].type)
        for group, tier, o in zip(groups, tier_of, owners, strict=True)
    ]
    exposed = [o is not None and is_risky(pack, "party", of_party[o].role) for o in owners]
    sizes = Counter(zip(cells, exposed, strict=True))
    remainder = _priors(pack, entity).remainder
    strata = {
        cell: Stratum(
            sum(
                share
                for role, share in shares(pack, entity, *cell[:2]).items()
                if role != remainder[cell[0]]
            ),
            sizes[cell, False],
            sizes[cell, True],
        )
        for cell in set(cells)
        if cell
    }
    rules, uplift = pack.risk_propagation_coeffs, 0.0
    if rules.propagation == "on":
        uplift = solve_uplift(list(strata.values()), target, rules.max_abs_log_odds)

    p = {cell: stratum.probabilities(uplift) for cell, stratum in strata.items()}

    def raised(e: int) -> float | None:
        cell = cells[e]
        return p[cell][exposed[e]] if cell else None

    return draw_roles(pack, seed, entity, groups, tier_of, raised)


def paired_roles(
    pack: PolicyPack,
    seed: int,
    entity: str,
    groups: Sequence[str],
    tier_of: Sequence[str],
    owners: Sequence[int | None],
    parties: list[Party],
    of_party: list[Posture],
    users: Sequence[int],
) -> list[Posture]:
    """Roles of assets, whose odds follow from the role of the owner and the number of users.

    In each (group, tier, type of owner) the expected number of every role stays at the prior.
    Assets without owner keep their shares. users: of every asset; 1 where they do not count.
    """
    rules = pack.risk_propagation_coeffs
    pairs = rules.role_pairs.account if entity == "account" else rules.role_pairs.device
    of_users = {} if entity == "account" else rules.role_pairs.device.users
    if rules.propagation == "off":
        return draw_roles(pack, seed, entity, groups, tier_of)

    def factor(row: tuple[str, bool], role: str) -> float:
        owner, several = row
        product = pairs.factors.get(owner, {}).get(role, 1.0)
        if role in of_users:
            product *= of_users[role].several if several else of_users[role].one
        return min(max(product, 1.0 / rules.max_odds_factor), rules.max_odds_factor)

    rows = [
        ("" if o is None else of_party[o].role, n > 1) for o, n in zip(owners, users, strict=True)
    ]
    sizes: dict[tuple[str, str, str], Counter[tuple[str, bool]]] = defaultdict(Counter)
    for group, tier, o, row in zip(groups, tier_of, owners, rows, strict=True):
        if o is not None:
            sizes[group, tier, parties[o].type][row] += 1
    p = {
        cell: fitted(shares(pack, entity, *cell[:2]), by_row, factor)
        for cell, by_row in sizes.items()
    }

    def paired(e: int) -> Mapping[str, float] | None:
        o = owners[e]
        return None if o is None else p[groups[e], tier_of[e], parties[o].type][rows[e]]

    return draw_roles(pack, seed, entity, groups, tier_of, paired)


def ip_roles(
    pack: PolicyPack,
    seed: int,
    groups: Sequence[str],
    tier_of: Sequence[str],
    ips: list[Ip],
    of_device: list[Posture],
) -> list[Posture]:
    """Roles of endpoints; HIGH_RISK_IP is raised by a risky device and by many devices.

    In each (group, tier) its expected share stays at the prior.
    """
    rules = pack.risk_propagation_coeffs
    law, limit = rules.device_to_ip, rules.max_abs_log_odds

    def uplift(ip: Ip) -> float:
        if rules.propagation == "off":
            return 0.0
        risky = any(is_risky(pack, "device", of_device[d].role) for d, _ in ip.links)
        crowded = len(ip.links) >= law.high_sharing_min_devices
        lift = risky * law.risky_device_log_odds + crowded * law.high_sharing_log_odds
        return min(max(lift, -limit), limit)

    lifts = [uplift(ip) for ip in ips]
    sizes: dict[tuple[str, str], Counter[float]] = defaultdict(Counter)
    for group, tier, lift in zip(groups, tier_of, lifts, strict=True):
        sizes[group, tier][lift] += 1
    p = {
        cell: kept_prior(shares(pack, "ip", *cell)[HIGH_RISK_IP], counts)
        for cell, counts in sizes.items()
    }
    return draw_roles(
        pack, seed, "ip", groups, tier_of, lambda e: p[groups[e], tier_of[e]][lifts[e]],
        focus=HIGH_RISK_IP,
    )  # fmt: skip


def log_scale(value: int, top: int) -> float:
    """log(1 + value) / log(1 + top), at most 1, in single precision."""
    return float(np.float32(normal.log(1.0 + min(value, top)) / normal.log(1.0 + top)))


def party_features(
    pack: PolicyPack, parties: list[Party], accounts: list[Account]
) -> list[Features]:
    """Profile of the segment; number of accounts, saturated at eight."""
    held, profiles = Counter(a.owner for a in accounts), pack.segmentation_priors.profiles
    return [
        {
            "digital": profiles[party.segment].digital,
            "cross_border": profiles[party.segment].cross_border,
            "credit": profiles[party.segment].credit,
            "account_count": min(held[p], 8) / 8,
        }
        for p, party in enumerate(parties)
    ]


def account_features(
    pack: PolicyPack, accounts: list[Account], instruments: list[Instrument]
) -> list[Features]:
    """Has a card, a virtual card, an international handle; number of instruments up to six."""
    types_on: dict[int, list[str]] = defaultdict(list)
    for instrument in instruments:
        types_on[instrument.account].append(instrument.type)
    out: list[Features] = []
    for a in range(len(accounts)):
        declared = [pack.instrument_taxonomy.instrument_types[k] for k in types_on[a]]
        out.append(
            {
                "card": any(k.family == "CARD" for k in declared),
                "virtual_card": any(k.family == "CARD" and k.form == "VIRTUAL" for k in declared),
                "international_handle": any(k.family == "BANK_INTERNATIONAL" for k in declared),
                "instruments": min(len(declared), 6) / 6,
            }
        )
    return out


def merchant_features(
    pack: PolicyPack, merchants: Merchants, classes: Sequence[str]
) -> list[Features]:
    """Risk of the class, share of outlets abroad, rank by weekly volume."""
    risk = pack.merchant_role_priors.class_risk
    ranked = sorted(range(merchants.n), key=lambda m: (merchants.weekly_volume[m], m))
    place = {m: i for i, m in enumerate(ranked)}
    return [
        {
            "class_risk": risk[name],
            "cross_border": merchants.cross_border[m],
            "size": place[m] / max(merchants.n - 1, 1),
        }
        for m, name in enumerate(classes)
    ]


def device_features(pack: PolicyPack, devices: list[Device], ips: list[Ip]) -> list[Features]:
    """Behind a proxy or data centre; users up to six; degree of its busiest endpoint; type."""
    endpoints: dict[int, list[Ip]] = defaultdict(list)
    for ip in ips:
        for d, _ in ip.links:
            endpoints[d].append(ip)
    top, risk = pack.ip_count_priors.degree_cap, pack.device_role_priors.type_risk
    return [
        {
            "anonymiser": any(ip.type in ("VPN_PROXY", "DATACENTRE") for ip in endpoints[d]),
            "users": min(max(device.users - 1, 0) / 5, 1.0),
            "ip_degree": log_scale(max((len(ip.links) for ip in endpoints[d]), default=0), top),
            "type_risk": risk[device.type],
        }
        for d, device in enumerate(devices)
    ]


def ip_features(pack: PolicyPack, devices: list[Device], ips: list[Ip]) -> list[Features]:
    """Devices; type; share of links that are not typical; owners, each terminal counting as one."""
    top, risk = pack.ip_count_priors.degree_cap, pack.ip_role_priors.type_risk
    out: list[Features] = []
    for ip in ips:
        owners = {devices[d].owner if devices[d].owner is not None else -1 - d for d, _ in ip.links}
        passing = sum(role != "TYPICAL_DEVICE_IP" for _, role in ip.links)
        out.append(
            {
                "degree": log_scale(len(ip.links), top),
                "type_risk": risk[ip.type],
                "churn": passing / max(len(ip.links), 1),
                "parties": log_scale(len(owners), top),
            }
        )
    return out


def make(
    pack: PolicyPack,
    seed: int,
    merchants: Merchants,
    parties: list[Party],
    accounts: list[Account],
    instruments: list[Instrument],
    devices: list[Device],
    ips: list[Ip],
    party_roles: Callable[[list[str]], list[Posture]],
) -> dict[str, list[Posture]]:
    """Posture of every entity by kind; parties first, as their risk propagates to their assets.

    party_roles: roles of parties, by their tiers.
    """
    classes = [pack.codes("merchant_class")[c] for c in merchants.risk_class]
    groups = {
        "party": [p.type for p in parties],
        "account": [pack.account_taxonomy.account_types[a.type].group for a in accounts],
        "merchant": classes,
        "device": [d.group for d in devices],
        "ip": [pack.fraud_role_taxonomy.ip_groups[ip.type][ip.asn] for ip in ips],
    }
    features = {
        "party": party_features(pack, parties, accounts),
        "account": account_features(pack, accounts, instruments),
        "merchant": merchant_features(pack, merchants, classes),
        "device": device_features(pack, devices, ips),
        "ip": ip_features(pack, devices, ips),
    }
    tier_of = {e: tiers(pack, seed, e, groups[e], features[e]) for e in groups}

    def of(entity: str) -> tuple[str, list[str], list[str]]:
        return entity, groups[entity], tier_of[entity]

    rules = pack.risk_propagation_coeffs
    party = party_roles(tier_of["party"])
    owners = {"account": [a.owner for a in accounts], "device": [d.owner for d in devices]}
    users = {"account": [1] * len(accounts), "device": [d.users for d in devices]}
    target = {
        "account": rules.owner_to_account.target_odds_ratio,
        "device": rules.owner_to_device.target_odds_ratio,
    }

    def owned(entity: str) -> list[Posture]:
        given = (pack, seed, *of(entity), owners[entity], parties, party)
        if rules.propagation_by == "role_pair":
            return paired_roles(*given, users[entity])
        return owned_roles(*given, target[entity])

    device = owned("device")
    return {
        "party": party,
        "account": owned("account"),
        "merchant": draw_roles(pack, seed, *of("merchant")),
        "device": device,
        "ip": ip_roles(pack, seed, *of("ip")[1:], ips, device),
    }  # fmt: skip


def role_rows(
    pack: PolicyPack, entity: str, postures: list[Posture], ids: Sequence[Hashable]
) -> list[Row]:
    """`s5_<entity>_fraud_roles_6A`: one row an entity.

    The baseline leaves roles of devices and endpoints without a family.
    """
    mapping = pack.fraud_role_taxonomy.entities[entity].mapping
    unmapped = pack.risk_propagation_coeffs.role_mapping == "none" and entity in ("device", "ip")
    return [
        {
            f"{entity}_id": entity_id,
            "raw_role": posture.role,
            "canonical_role_family": "UNMAPPED" if unmapped else mapping[posture.role],
            "risk_tier": posture.tier,
        }
        for entity_id, posture in zip(ids, postures, strict=True)
    ]
