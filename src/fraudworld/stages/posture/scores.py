"""Scores and tiers: features of an entity, its own noise, and a rank inside its group.

Nothing here reads a role, so all entities can be scored at the same time.

A score is clip(base + Σ weight · feature + noise, 0, 1) with features scaled to 0 … 1. It is
compared as an integer (32 bits of score, 32 bits of a draw), so a rank never hangs on the
last bit of a float. Tiers are exact shares of every group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fraudworld.kernels import normal
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.kernels.select import smallest
from fraudworld.policy.models import RolePriors
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse
from fraudworld.stages.columns import (
    Accounts,
    Devices,
    Instruments,
    IpEdges,
    Ips,
    Merchants,
    Parties,
)
from fraudworld.stages.posture.groups import account_group, ip_group

CHUNK = 1 << 18
"""Entities whose draws are held at once."""

GROUPS = {
    "party": "party_type",
    "account": "account_group",
    "merchant": "merchant_class",
    "device": "device_group",
    "ip": "ip_group",
}
"""Entity → code list of the groups it is ranked, and its roles are drawn, in."""

F32 = NDArray[np.float32]
Features = Mapping[str, F32]


@njit(cache=True, nogil=True)
def _keys(signal, draws, sigma, out):  # type: ignore[no-untyped-def]
    """Score in the high half, a tie draw in the low half; draws: (noise, tie) a row."""
    for i in range(out.size):
        score = signal[i] + sigma * normal.deviate(draws[i, 0])
        score = min(max(score, 0.0), 1.0)
        high = np.uint64(score * 4294967295.0) << np.uint64(32)
        out[i] = high | (draws[i, 1] >> np.uint64(32))


@dataclass(frozen=True)
class Ranked:
    """One kind of entity: group and tier (positions in codes), deterministic signal, and the
    draws of its noise.
    """

    entity: str
    group: NDArray[np.uint8]
    tier: NDArray[np.uint8]
    signal: NDArray[np.float64]
    noise: StreamUse


def rank(
    pack: PolicyPack, seed: int, entity: str, features: Features, group: NDArray[np.uint8]
) -> Ranked:
    """Tiers by rank inside each group: exact shares by largest remainder.

    group: u8 position of each entity's in the code list `GROUPS[entity]`.
    """
    priors: RolePriors = getattr(pack, f"{entity}_role_priors")
    # A row is an entity: its noise, then what breaks ties.
    stream = Stream(seed, f"s5/{entity}/score", f"fraud_role_sampling_{entity}", 2)
    n, n_groups = group.size, len(pack.codes(GROUPS[entity]))
    signal = np.full(n, priors.score.base)
    for name, weight in priors.score.weights.items():
        signal += weight * features[name]
    key = np.empty(n, dtype=np.uint64)
    for low in range(0, n, CHUNK):
        part = slice(low, min(low + CHUNK, n))
        draws = stream.draws(low, part.stop - low)
        _keys(signal[part], draws, priors.score.noise_sigma, key[part])
    sizes = np.bincount(group, minlength=n_groups)
    shares = pack.fraud_role_taxonomy.tier_shares
    plan = np.array([largest_remainder(int(s), shares) for s in sizes])
    upto = np.cumsum(plan, axis=1)
    tier = np.zeros(n, dtype=np.uint8)
    for t in range(len(shares) - 1):
        tier += ~smallest(key, group, upto[:, t])
    return Ranked(entity, group, tier, signal, stream.use("world", 0, n))


def _log_scale(values: NDArray[np.integer], top: int) -> F32:
    """log(1 + v) / log(1 + top), clipped to 1, from a table."""
    table = np.array([normal.log(1.0 + v) for v in range(top + 1)])
    scaled: F32 = (table / table[-1]).astype(np.float32)
    out: F32 = scaled[np.minimum(values, top)]
    return out


def rank_parties(pack: PolicyPack, seed: int, parties: Parties, accounts: Accounts) -> Ranked:
    """By profile of the segment; accounts held, full scale at eight."""
    profiles = [pack.segmentation_priors.profiles[s] for s in pack.codes("segment")]
    held = np.diff(accounts.start)
    features = {
        "digital": np.array([p.digital for p in profiles], np.float32)[parties.segment],
        "cross_border": np.array([p.cross_border for p in profiles], np.float32)[parties.segment],
        "credit": np.array([p.credit for p in profiles], np.float32)[parties.segment],
        "account_count": (np.minimum(held, 8) / 8.0).astype(np.float32),
    }
    return rank(pack, seed, "party", features, parties.type)


@njit(cache=True, nogil=True)
def _carried(account, kind, flags, out):  # type: ignore[no-untyped-def]
    """1 where an account has an instrument of a flagged kind; flags, out: one row a feature."""
    for i in range(account.size):
        for f in range(flags.shape[0]):
            if flags[f, kind[i]]:
                out[f, account[i]] = 1.0


def rank_accounts(
    pack: PolicyPack, seed: int, accounts: Accounts, instruments: Instruments
) -> Ranked:
    """By what sits on the account: a card, a virtual card, how much, a foreign handle."""
    declared = [pack.instrument_taxonomy.instrument_types[k] for k in pack.codes("instrument_type")]
    flags = {
        "card": [d.family == "CARD" for d in declared],
        "virtual_card": [d.family == "CARD" and d.form == "VIRTUAL" for d in declared],
        "international_handle": [d.family == "BANK_INTERNATIONAL" for d in declared],
    }
    carried = np.zeros((len(flags), accounts.n), dtype=np.float32)
    _carried(instruments.account, instruments.type, np.array([*flags.values()]), carried)
    per = np.diff(instruments.start)
    features = {
        **dict(zip(flags, carried, strict=True)),
        "instruments": (np.minimum(per, 6) / 6.0).astype(np.float32),
    }
    return rank(pack, seed, "account", features, account_group(pack, accounts))


def rank_merchants(pack: PolicyPack, seed: int, merchants: Merchants) -> Ranked:
    """By the risk of the class, trade across borders, and the place by volume."""
    risk = pack.merchant_role_priors.class_risk
    by_class = np.array([risk[c] for c in pack.codes("merchant_class")], np.float32)
    order = np.argsort(np.argsort(merchants.weekly_volume, kind="stable"), kind="stable")
    features = {
        "class_risk": by_class[merchants.risk_class],
        "cross_border": merchants.cross_border.astype(np.float32),
        "size": (order / max(merchants.n - 1, 1)).astype(np.float32),
    }
    return rank(pack, seed, "merchant", features, merchants.risk_class)


@njit(cache=True, nogil=True)
def _device_context(edge_device, edge_ip, degree, hidden, most, anonymous):  # type: ignore[no-untyped-def]
    for i in range(edge_device.size):
        d, p = edge_device[i], edge_ip[i]
        if degree[p] > most[d]:
            most[d] = degree[p]
        if hidden[p]:
            anonymous[d] = 1.0


def rank_devices(pack: PolicyPack, seed: int, devices: Devices, ips: Ips, edges: IpEdges) -> Ranked:
    """By whether it hides behind proxies or hosting; users; its busiest endpoint; its type."""
    kinds = pack.codes("ip_type")
    hidden = np.array([k in ("VPN_PROXY", "DATACENTRE") for k in kinds])[ips.type]
    degree = np.diff(edges.start)
    most = np.zeros(devices.n, dtype=np.int64)
    anonymous = np.zeros(devices.n, dtype=np.float32)
    _device_context(edges.device, edges.ip, degree, hidden, most, anonymous)
    weight = pack.device_role_priors.type_risk
    by_type = np.array([weight[t] for t in pack.codes("device_type")], np.float32)
    features = {
        "anonymiser": anonymous,
        "users": (np.maximum(devices.users.astype(np.float32) - 1, 0) / 5.0).clip(0, 1),
        "ip_degree": _log_scale(most, pack.ip_count_priors.degree_cap),
        "type_risk": by_type[devices.type],
    }
    return rank(pack, seed, "device", features, devices.group)


@njit(cache=True, nogil=True)
def _ip_context(start, device, role, owner, typical, parties, passing):  # type: ignore[no-untyped-def]
    """Distinct owners of an IP's devices (sorted by device, so by owner), links passing by."""
    for p in range(start.size - 1):
        last = -2
        for i in range(start[p], start[p + 1]):
            o = owner[device[i]]
            if o != last or o < 0:
                parties[p] += 1
                last = o
            if role[i] != typical:
                passing[p] += 1


def rank_ips(pack: PolicyPack, seed: int, ips: Ips, edges: IpEdges, devices: Devices) -> Ranked:
    """By how many devices, what kind of place, how much of it passes by, how many owners."""
    typical = pack.codes("ip_link_role").index("TYPICAL_DEVICE_IP")
    degree = np.diff(edges.start)
    parties = np.zeros(ips.n, dtype=np.int64)
    passing = np.zeros(ips.n, dtype=np.int64)
    _ip_context(edges.start, edges.device, edges.role, devices.owner, typical, parties, passing)
    weight = pack.ip_role_priors.type_risk
    by_type = np.array([weight[t] for t in pack.codes("ip_type")], np.float32)
    top = pack.ip_count_priors.degree_cap
    features = {
        "degree": _log_scale(degree, top),
        "type_risk": by_type[ips.type],
        "churn": (passing / np.maximum(degree, 1)).astype(np.float32),
        "parties": _log_scale(parties, top),
    }
    return rank(pack, seed, "ip", features, ip_group(pack, ips))
