"""The law of S4's endpoints, device side: how many IPs a device is seen on, of which type.

Per region the number of device–IP links of each type is an exact quota (largest remainder
of the edge shares). It is filled in this order: every linked device's typical endpoint;
homes, first lease then second; proxies, which sit with a prone few; then all other stubs by
a transport matrix between device groups and types that keeps both margins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow
from scipy.stats import nbinom

from fraudworld.errors import InputError
from fraudworld.kernels import permute
from fraudworld.kernels.apportion import fit, largest_remainder
from fraudworld.kernels.discrete import choices, thresholds
from fraudworld.kernels.matching import counting_order
from fraudworld.kernels.select import smallest
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse
from fraudworld.stages.columns import Devices, Parties

COUNTS = "ip_count_realisation"
ALLOCATION = "ip_allocation_sampling"
NONE = 255


@dataclass(frozen=True)
class Demand:
    """What every device asks for; per region, what was planned and what had to give."""

    home_lease: NDArray[np.uint8]  # per device: bit 0 lease 1, bit 1 lease 2
    home_typical: NDArray[np.bool_]  # lease 1 is the device's typical endpoint
    stub_device: NDArray[np.uint32]  # stubs that are not at home, in order of device
    stub_type: NDArray[np.uint8]
    stub_typical: NDArray[np.bool_]
    quotas: NDArray[np.int64]  # (regions, types)
    prone: NDArray[np.bool_]  # per party
    rng: tuple[StreamUse, ...]


def device_demand(pack: PolicyPack, seed: int, parties: Parties, devices: Devices) -> Demand:
    """Draw endpoints per device and fill the regional quotas exactly.

    Raises InputError `6A.S4.IP_TARGETS_INCONSISTENT` where a region has no edge shares and
    the policy does not allow another region's.
    """
    types, groups = pack.codes("ip_type"), pack.codes("device_group")
    home_type = types.index("RESIDENTIAL")
    endpoints = Stream(seed, "s4/ip_count", COUNTS, 3)
    spare, typical = _draw_counts(pack, endpoints, devices)
    linked = typical != NONE
    n_regions = len(pack.codes("region"))
    edges = np.bincount(devices.region[linked], spare[linked] + 1.0, n_regions).astype(np.int64)
    shares = edge_shares(pack)
    quotas = np.stack([largest_remainder(int(e), s) for e, s in zip(edges, shares, strict=True)])
    left = quotas - _counts(devices.region[linked], typical[linked], n_regions, len(types))

    eligible = np.zeros((len(groups), len(types)), dtype=np.bool_)
    for group, names in pack.graph_linkage_rules.eligible_ip_types.items():
        eligible[groups.index(group), [types.index(t) for t in names]] = True

    homes = Stream(seed, "s4/home_lease", ALLOCATION)
    lease = _home_leases(pack, homes, devices, spare, typical, home_type, left, eligible)
    proxies = Stream(seed, "s4/proxy_place", ALLOCATION, permute.ROUNDS)
    prone_rank = Stream(seed, "s4/proxy_prone", ALLOCATION)
    prone = _prone(pack, prone_rank, parties)
    proxy = _proxies(pack, proxies, devices, spare, prone, left, eligible)
    places = Stream(seed, "s4/ip_type_place", ALLOCATION, permute.ROUNDS)
    device, kind, is_typical = _other_stubs(
        pack, places, devices, spare, typical, proxy, left, eligible, home_type
    )
    return Demand(
        lease,
        typical == home_type,
        device,
        kind,
        is_typical,
        quotas,
        prone,
        (
            endpoints.use("world", 0, devices.n),
            homes.use("world", 0, devices.homes),
            prone_rank.use("world", 0, parties.n),
            proxies.use("regions", 0, n_regions),
            places.use("cells", 0, n_regions * len(groups)),
        ),
    )


def edge_shares(pack: PolicyPack) -> NDArray[np.float64]:
    """Share of device–IP links per region and type; rows sum to one."""
    priors = pack.ip_count_priors
    types, regions = pack.codes("ip_type"), pack.codes("region")
    rows = []
    for region in regions:
        mix = priors.edge_shares.get(region)
        if not mix:
            if priors.missing_region_mix == "abort" or not priors.edge_shares:
                raise InputError(
                    "6A.S4.IP_TARGETS_INCONSISTENT",
                    f"no IP type mix for {region}",
                    where="ip_count_priors_6A.v1.yaml: edge_shares",
                    remedy=f"add edge_shares.{region}; no other region's mix is taken instead",
                )
            mix = priors.edge_shares[sorted(priors.edge_shares)[0]]
        rows.append([mix.get(t, 0.0) for t in types])
    return np.array(rows)


def _counts(
    rows: NDArray[np.integer], columns: NDArray[np.integer], n_rows: int, n_columns: int
) -> NDArray[np.int64]:
    flat = np.bincount(rows.astype(np.int64) * n_columns + columns, minlength=n_rows * n_columns)
    return flat.reshape(n_rows, n_columns)


def _draw_counts(
    pack: PolicyPack, stream: Stream, devices: Devices
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Spare endpoints beyond the typical one, and the typical type (NONE: dormant)."""
    priors, rules = pack.ip_count_priors, pack.graph_linkage_rules
    groups, types = pack.codes("device_group"), pack.codes("ip_type")
    owners = (*pack.codes("party_type"), "MERCHANT")
    top = priors.max_ips_per_device
    dormant = np.zeros((len(groups), 2))
    counts = np.zeros((len(groups), top))
    legacy = pack.device_linkage_rules.legacy_device_groups
    for g, group in enumerate(groups):
        law = priors.device_ips[group]
        asleep = law.dormant_share
        if legacy and group not in ("COMPUTER_PORTABLE", "IOT_OTHER"):
            asleep = 1.0  # looked up under another name, and so never found
        dormant[g] = 1.0 - asleep, asleep
        r = priors.dispersion
        p = nbinom.pmf(np.arange(top), r, r / (r + law.mean - 1.0))
        counts[g] = p / p.sum()
    shares = np.zeros((len(owners), len(groups), len(types)))
    for o, owner in enumerate(owners):
        for g, group in enumerate(groups):
            mix = rules.typical_ip_shares.get(owner, {}).get(group, {types[0]: 1.0})
            for name, share in mix.items():
                shares[o, g, types.index(name)] = share
    draws = stream.draws(0, devices.n)
    first, second, third = (np.ascontiguousarray(draws[:, i]) for i in range(3))
    asleep_now = choices(first, devices.group, thresholds(dormant)) == 1
    spare = choices(second, devices.group, thresholds(counts)).astype(np.int16)
    owned_by = np.where(devices.owner_type == NONE, len(owners) - 1, devices.owner_type)
    row = owned_by.astype(np.int32) * len(groups) + devices.group
    typical = choices(third, row, thresholds(shares.reshape(-1, len(types))))
    spare[asleep_now] = 0
    typical[asleep_now] = NONE
    return spare, typical


def _home_leases(
    pack: PolicyPack,
    stream: Stream,
    devices: Devices,
    spare: NDArray[np.int16],
    typical: NDArray[np.uint8],
    home_type: int,
    left: NDArray[np.int64],
    eligible: NDArray[np.bool_],
) -> NDArray[np.uint8]:
    """Leases of every device's home; takes from `spare` and `left` what it uses.

    Lease 1 holds the devices whose typical endpoint it is, and the home's other retail
    devices that roam. Whole homes then get a second lease (others their first) in rank of
    a draw until the region's quota is met to the last link.
    """
    retail = devices.owner_type == pack.codes("party_type").index("RETAIL")
    at_home = eligible[devices.group, home_type] & (typical != NONE)
    lease = (typical == home_type).astype(np.uint8)
    joins = retail & at_home & (lease == 0) & (spare > 0)
    n_regions = left.shape[0]
    wanted = np.bincount(devices.region[joins], minlength=n_regions)
    for region in np.flatnonzero(wanted > np.maximum(left[:, home_type], 0)):
        mine = np.flatnonzero(joins & (devices.region == region))
        joins[mine[max(int(left[region, home_type]), 0) :]] = False
    lease[joins] = 1
    spare[joins] -= 1
    left[:, home_type] -= np.bincount(devices.region[joins], minlength=n_regions)

    open_ = at_home & (spare > 0) & (retail | (lease == 0))
    weight = np.bincount(devices.home[open_], minlength=devices.homes)
    region_of = np.zeros(devices.homes, dtype=np.uint8)
    region_of[devices.home] = devices.region
    homes = np.flatnonzero(weight)
    rank = np.lexsort((stream.flat(0, devices.homes)[homes], region_of[homes]))
    ordered = homes[rank]
    running = np.cumsum(weight[ordered])
    first = np.searchsorted(region_of[ordered], np.arange(n_regions))
    before = np.append(0, running)[first]
    quota = np.maximum(left[:, home_type], 0)
    inside = running - before[region_of[ordered]] <= quota[region_of[ordered]]
    chosen = np.zeros(devices.homes, dtype=np.bool_)
    chosen[ordered[inside]] = True
    take = open_ & chosen[devices.home]
    missing = quota - np.bincount(devices.region[take], minlength=n_regions)
    last = np.searchsorted(running, before + quota, side="right")
    for region in np.flatnonzero(missing > 0):
        if last[region] < ordered.size and region_of[ordered[last[region]]] == region:
            partial = np.flatnonzero(open_ & (devices.home == ordered[last[region]]))
            take[partial[: missing[region]]] = True
    lease[take & retail] |= 2
    lease[take & ~retail] |= 1
    spare[take] -= 1
    left[:, home_type] -= np.bincount(devices.region[take], minlength=n_regions)
    return np.asarray(lease)


def _prone(pack: PolicyPack, stream: Stream, parties: Parties) -> NDArray[np.bool_]:
    """Parties that use proxies: an exact share per region, by rank of a draw."""
    size = np.bincount(parties.region, minlength=len(pack.codes("region")))
    quota = np.floor(size * pack.graph_linkage_rules.prone_party_share + 0.5).astype(np.int64)
    return smallest(stream.flat(0, parties.n), parties.region, quota)


def _proxies(
    pack: PolicyPack,
    stream: Stream,
    devices: Devices,
    spare: NDArray[np.int16],
    prone: NDArray[np.bool_],
    left: NDArray[np.int64],
    eligible: NDArray[np.bool_],
) -> NDArray[np.int16]:
    """Proxy stubs per device, from prone owners only; takes from `spare` and `left`."""
    kind = pack.codes("ip_type").index("VPN_PROXY")
    mine = np.flatnonzero((devices.owner >= 0) & eligible[devices.group, kind] & (spare > 0))
    mine = mine[prone[devices.owner[mine]]]
    stub = np.repeat(mine, spare[mine])
    region = devices.region[stub]
    keys = stream.draws(0, left.shape[0])
    chosen = np.zeros(stub.size, dtype=np.bool_)
    for r in range(left.shape[0]):
        inside = np.flatnonzero(region == r)
        if inside.size and left[r, kind] > 0:
            chosen[inside] = permute.permuted(0, inside.size, inside.size, keys[r]) < left[r, kind]
    out = np.bincount(stub[chosen], minlength=devices.n).astype(np.int16)
    spare -= out
    left[:, kind] -= np.bincount(region[chosen], minlength=left.shape[0])
    return out


@njit(cache=True, nogil=True)
def _emit(  # type: ignore[no-untyped-def]
    region,
    group,
    typical,
    home_type,
    proxy,
    proxy_type,
    spare,
    offsets,
    sizes,
    cuts,
    keys,
    n_groups,
    device,
    kind,
    is_typical,
):
    """Stubs of every device that are not at home: typical, proxies, then placed ones."""
    at = 0
    for d in range(region.size):
        if typical[d] == 255:
            continue
        if typical[d] != home_type:
            device[at] = d
            kind[at] = typical[d]
            is_typical[at] = True
            at += 1
        for _ in range(proxy[d]):
            device[at] = d
            kind[at] = proxy_type
            is_typical[at] = False
            at += 1
        c = region[d] * n_groups + group[d]
        for _ in range(spare[d]):
            place = permute.place(offsets[c], sizes[c], keys[c])
            offsets[c] += 1
            t = 0
            while cuts[c, t] <= place:
                t += 1
            device[at] = d
            kind[at] = t
            is_typical[at] = False
            at += 1
    return at


def _other_stubs(
    pack: PolicyPack,
    stream: Stream,
    devices: Devices,
    spare: NDArray[np.int16],
    typical: NDArray[np.uint8],
    proxy: NDArray[np.int16],
    left: NDArray[np.int64],
    eligible: NDArray[np.bool_],
    home_type: int,
) -> tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.bool_]]:
    """Give the remaining stubs their types by the transport plan of each region."""
    n_groups, n_types = eligible.shape
    n_regions = left.shape[0]
    proxy_type = pack.codes("ip_type").index("VPN_PROXY")
    open_types = eligible.copy()
    open_types[:, [home_type, proxy_type]] = False
    rows = (
        np.bincount(
            devices.region.astype(np.int64) * n_groups + devices.group, spare, n_regions * n_groups
        )
        .astype(np.int64)
        .reshape(n_regions, n_groups)
    )
    cuts = np.zeros((n_regions * n_groups, n_types), dtype=np.int64)
    for r in range(n_regions):
        wanted = np.maximum(left[r], 0) * open_types.any(axis=0)
        plan = transport(rows[r], wanted, open_types)
        left[r] -= plan.sum(axis=0)
        cuts[r * n_groups : (r + 1) * n_groups] = np.cumsum(plan, axis=1)
    total = int(((typical != NONE) & (typical != home_type)).sum() + proxy.sum() + spare.sum())
    device = np.empty(total, dtype=np.uint32)
    kind = np.empty(total, dtype=np.uint8)
    is_typical = np.empty(total, dtype=np.bool_)
    keys = stream.draws(0, n_regions * n_groups)
    offsets = np.zeros(n_regions * n_groups, dtype=np.int64)
    _emit(
        devices.region, devices.group, typical, home_type, proxy, proxy_type, spare,
        offsets, rows.ravel(), cuts, keys, n_groups, device, kind, is_typical,
    )  # fmt: skip
    return device, kind, is_typical


def transport(
    rows: NDArray[np.int64], wanted: NDArray[np.int64], allowed: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Integers x[row, column] with exactly these row sums, and column sums as wanted.

    Zero where not allowed. Where the wanted columns cannot be had (their total differs, or
    the allowed cells do not carry them), columns give way and rows hold: back-off by
    largest remainder of what was wanted, then along whatever is allowed.
    """
    columns = largest_remainder(int(rows.sum()), wanted if wanted.sum() else allowed.any(axis=0))
    expected = fit(np.where(allowed, 1.0, 0.0) * (columns > 0)[None, :], rows, columns)
    counts = np.where(allowed, np.floor(expected + 1e-9), 0).astype(np.int64)
    for r in np.flatnonzero(counts.sum(axis=1) > rows):
        over = int(counts[r].sum() - rows[r])
        for c in np.argsort(-counts[r], kind="stable")[:over]:
            counts[r, c] -= 1
    counts += _flow(rows - counts.sum(axis=1), np.maximum(columns - counts.sum(axis=0), 0), allowed)
    for r in np.flatnonzero(counts.sum(axis=1) < rows):
        short = int(rows[r] - counts[r].sum())
        counts[r] += largest_remainder(short, allowed[r].astype(float))
    return counts


def _flow(
    rows: NDArray[np.int64], columns: NDArray[np.int64], allowed: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """A largest integer flow from row needs to column needs over the allowed cells."""
    n, m = allowed.shape
    capacity = np.zeros((n + m + 2, n + m + 2), dtype=np.int32)
    capacity[0, 1 : n + 1] = rows
    capacity[1 : n + 1, n + 1 : n + m + 1] = np.where(allowed, np.minimum(rows.sum(), 2**30), 0)
    capacity[n + 1 : n + m + 1, n + m + 1] = columns
    flow = maximum_flow(csr_array(capacity), 0, n + m + 1).flow.toarray()
    return np.asarray(flow[1 : n + 1, n + 1 : n + m + 1], dtype=np.int64)


def home_edges(
    devices: Devices, lease: NDArray[np.uint8], home_country: NDArray[np.uint8]
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]:
    """Devices of every lease in order of country, home, lease.

    Returns (device of each edge, start of each lease, home rank of each lease); leases of
    homes are numbered 2 · rank and 2 · rank + 1 and may be empty.
    """
    rank = np.empty(devices.homes, dtype=np.int64)
    order = np.argsort(home_country, kind="stable")
    rank[order] = np.arange(devices.homes)
    first = np.flatnonzero(lease & 1).astype(np.uint32)
    second = np.flatnonzero(lease & 2).astype(np.uint32)
    key = np.concatenate([2 * rank[devices.home[first]], 2 * rank[devices.home[second]] + 1])
    who = np.concatenate([first, second])
    by_lease, start = counting_order(key, 2 * devices.homes)
    return who[by_lease], start, order
