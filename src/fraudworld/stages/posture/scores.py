"""Scores and tiers: features of an entity, its own noise, and a rank inside its group.

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
from fraudworld.rng import Stream
from fraudworld.stages.columns import Accounts, Devices, Instruments, IpEdges, Ips, Parties

CHUNK = 1 << 18
"""Entities whose draws are held at once."""

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
    """Group and tier of every entity (positions in codes) and its deterministic signal."""

    group: NDArray[np.uint8]
    tier: NDArray[np.uint8]
    signal: NDArray[np.float64]


def rank(
    pack: PolicyPack,
    stream: Stream,
    priors: RolePriors,
    features: Features,
    group: NDArray[np.uint8],
    n_groups: int,
) -> Ranked:
    """Tiers by rank inside each group: exact shares by largest remainder.

    stream: width 2, one entity a row (noise, tie); group: u8 position of each entity's.
    """
    n = group.size
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
    return Ranked(group, tier, signal)


def _log_scale(values: NDArray[np.integer], top: int) -> F32:
    """log(1 + v) / log(1 + top), clipped to 1, from a table."""
    table = np.array([normal.log(1.0 + v) for v in range(top + 1)])
    scaled: F32 = (table / table[-1]).astype(np.float32)
    out: F32 = scaled[np.minimum(values, top)]
    return out


def party_features(pack: PolicyPack, parties: Parties, accounts: Accounts) -> Features:
    """Profile of the segment; accounts held, full scale at eight."""
    profiles = [pack.segmentation_priors.profiles[s] for s in pack.codes("segment")]
    held = np.diff(accounts.start)
    return {
        "digital": np.array([p.digital for p in profiles], np.float32)[parties.segment],
        "cross_border": np.array([p.cross_border for p in profiles], np.float32)[parties.segment],
        "credit": np.array([p.credit for p in profiles], np.float32)[parties.segment],
        "account_count": (np.minimum(held, 8) / 8.0).astype(np.float32),
    }


def account_features(pack: PolicyPack, accounts: Accounts, instruments: Instruments) -> Features:
    """What sits on the account: a card, a virtual card, how much, a foreign handle."""
    declared = [pack.instrument_taxonomy.instrument_types[k] for k in pack.codes("instrument_type")]

    def has(flags: list[bool]) -> F32:
        chosen = np.array(flags)[instruments.type]
        out = np.zeros(accounts.n, dtype=np.float32)
        out[instruments.account[chosen]] = 1.0
        return out

    per = np.diff(instruments.start)
    return {
        "card": has([d.family == "CARD" for d in declared]),
        "virtual_card": has([d.family == "CARD" and d.form == "VIRTUAL" for d in declared]),
        "instruments": (np.minimum(per, 6) / 6.0).astype(np.float32),
        "international_handle": has([d.family == "BANK_INTERNATIONAL" for d in declared]),
    }


@njit(cache=True, nogil=True)
def _device_context(edge_device, edge_ip, degree, hidden, most, anonymous):  # type: ignore[no-untyped-def]
    for i in range(edge_device.size):
        d, p = edge_device[i], edge_ip[i]
        if degree[p] > most[d]:
            most[d] = degree[p]
        if hidden[p]:
            anonymous[d] = 1.0


def device_features(pack: PolicyPack, devices: Devices, ips: Ips, edges: IpEdges) -> Features:
    """Hides behind proxies or hosting; users; its busiest endpoint; its type."""
    kinds = pack.codes("ip_type")
    hidden = np.array([k in ("VPN_PROXY", "DATACENTRE") for k in kinds])[ips.type]
    degree = np.diff(edges.start)
    most = np.zeros(devices.n, dtype=np.int64)
    anonymous = np.zeros(devices.n, dtype=np.float32)
    _device_context(edges.device, edges.ip, degree, hidden, most, anonymous)
    weight = pack.device_role_priors.type_risk
    by_type = np.array([weight[t] for t in pack.codes("device_type")], np.float32)
    return {
        "anonymiser": anonymous,
        "users": (np.maximum(devices.users.astype(np.float32) - 1, 0) / 5.0).clip(0, 1),
        "ip_degree": _log_scale(most, pack.ip_count_priors.degree_cap),
        "type_risk": by_type[devices.type],
    }


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


def ip_features(pack: PolicyPack, ips: Ips, edges: IpEdges, devices: Devices) -> Features:
    """How many devices, what kind of place, how much of it passes by, how many owners."""
    typical = pack.codes("ip_link_role").index("TYPICAL_DEVICE_IP")
    degree = np.diff(edges.start)
    parties = np.zeros(ips.n, dtype=np.int64)
    passing = np.zeros(ips.n, dtype=np.int64)
    _ip_context(edges.start, edges.device, edges.role, devices.owner, typical, parties, passing)
    weight = pack.ip_role_priors.type_risk
    by_type = np.array([weight[t] for t in pack.codes("ip_type")], np.float32)
    top = pack.ip_count_priors.degree_cap
    return {
        "degree": _log_scale(degree, top),
        "type_risk": by_type[ips.type],
        "churn": (passing / np.maximum(degree, 1)).astype(np.float32),
        "parties": _log_scale(parties, top),
    }
