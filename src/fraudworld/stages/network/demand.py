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

from fraudworld.engine.local import Engine
from fraudworld.errors import InputError
from fraudworld.kernels import expand, permute, philox
from fraudworld.kernels.apportion import fit, largest_remainder
from fraudworld.kernels.discrete import category, thresholds
from fraudworld.kernels.select import smallest
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, StreamUse
from fraudworld.stages.batches import spans
from fraudworld.stages.columns import Devices, Parties

COUNTS = "ip_count_realisation"
ALLOCATION = "ip_allocation_sampling"
NONE = 255


@dataclass(frozen=True)
class Demand:
    """What every device asks for; per region, what was planned and what had to give."""

    home_lease: NDArray[np.uint8]  # per device: bit 0 lease 1, bit 1 lease 2
    home_typical: NDArray[np.bool_]  # lease 1 is the device's typical endpoint
    stub: NDArray[np.int32]  # device · 2 + typical, not at home; in order of device
    stub_type: NDArray[np.uint8]
    quotas: NDArray[np.int64]  # (regions, types)
    prone: NDArray[np.bool_]  # per party
    rng: tuple[StreamUse, ...]


def device_demand(
    pack: PolicyPack, seed: int, parties: Parties, devices: Devices, engine: Engine
) -> Demand:
    """Draw endpoints per device and fill the regional quotas exactly.

    Raises InputError `6A.S4.IP_TARGETS_INCONSISTENT` where a region has no edge shares and
    the policy does not allow another region's.
    """
    types, groups = pack.codes("ip_type"), pack.codes("device_group")
    home_type = types.index("RESIDENTIAL")
    endpoints = Stream(seed, "s4/ip_count", COUNTS, 3)
    spare, typical = _draw_counts(pack, endpoints, devices, engine)
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
    stub, kind = _other_stubs(
        pack, places, devices, spare, typical, proxy, left, eligible, home_type, engine
    )
    return Demand(
        lease,
        typical == home_type,
        stub,
        kind,
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


@njit(cache=True, nogil=True)
def _counts_of(  # type: ignore[no-untyped-def]
    first, group, owner_type, k0, k1, dormant, counts, shares, spare, typical
):
    """Three draws a device: dormant or not, spare endpoints, type of the typical one."""
    owners = shares.shape[0] // dormant.shape[0]
    for i in range(group.size):
        position = np.uint64(first + i) * np.uint64(3)
        lanes = philox.block(k0, k1, position >> np.uint64(2))
        asleep = category(philox.lane_of(lanes, position), dormant, group[i])
        if asleep:
            spare[i] = 0
            typical[i] = 255
            continue
        position += np.uint64(1)
        if position & np.uint64(3) == np.uint64(0):
            lanes = philox.block(k0, k1, position >> np.uint64(2))
        spare[i] = category(philox.lane_of(lanes, position), counts, group[i])
        position += np.uint64(1)
        if position & np.uint64(3) == np.uint64(0):
            lanes = philox.block(k0, k1, position >> np.uint64(2))
        owner = min(owner_type[i], owners - 1)
        row = owner * dormant.shape[0] + group[i]
        typical[i] = category(philox.lane_of(lanes, position), shares, row)


def _draw_counts(
    pack: PolicyPack, stream: Stream, devices: Devices, engine: Engine
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
    cuts = (thresholds(dormant), thresholds(counts), thresholds(shares.reshape(-1, len(types))))
    spare = np.empty(devices.n, dtype=np.int16)
    typical = np.empty(devices.n, dtype=np.uint8)

    def one(span: tuple[int, int]) -> None:
        rows = slice(*span)
        _counts_of(
            span[0], devices.group[rows], devices.owner_type[rows], *stream.key, *cuts,
            spare[rows], typical[rows],
        )  # fmt: skip

    engine.map(one, spans(devices.n))
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
def _tally(region, group, typical, home_type, proxy, spare, placed):  # type: ignore[no-untyped-def]
    """Stubs of these devices that are not at home; `placed` counts the last kind by cell."""
    stubs = 0
    for d in range(region.size):
        if typical[d] != 255:
            placed[region[d], group[d]] += spare[d]
            stubs += (typical[d] != home_type) + proxy[d] + spare[d]
    return stubs


@njit(cache=True, nogil=True)
def _emit(  # type: ignore[no-untyped-def]
    first, region, group, typical, home_type, proxy, proxy_type, spare, dealt, next_dealt,
    stub, kind,
):  # fmt: skip
    """Stubs of devices first, first + 1, …: typical, proxies, then those dealt a type."""
    at = 0
    for i in range(region.size):
        if typical[i] == 255:
            continue
        d = first + i
        if typical[i] != home_type:
            stub[at] = d * 2 + 1
            kind[at] = typical[i]
            at += 1
        for _ in range(proxy[i]):
            stub[at] = d * 2
            kind[at] = proxy_type
            at += 1
        for _ in range(spare[i]):
            stub[at] = d * 2
            kind[at] = dealt[next_dealt[region[i], group[i]]]
            next_dealt[region[i], group[i]] += 1
            at += 1


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
    engine: Engine,
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Give the remaining stubs their types by the transport plan of each region."""
    n_groups = eligible.shape[0]
    n_regions = left.shape[0]
    proxy_type = pack.codes("ip_type").index("VPN_PROXY")
    open_types = eligible.copy()
    open_types[:, [home_type, proxy_type]] = False
    ranges = list(spans(devices.n))

    def tally(span: tuple[int, int]) -> tuple[int, NDArray[np.int64]]:
        d = slice(*span)
        placed = np.zeros((n_regions, n_groups), dtype=np.int64)
        stubs = _tally(
            devices.region[d], devices.group[d], typical[d], home_type, proxy[d], spare[d], placed
        )
        return stubs, placed

    sizes, placed = zip(*engine.map(tally, ranges), strict=True)
    rows = np.sum(placed, axis=0)
    first = expand.starts(rows.ravel())
    dealt = np.empty(int(first[-1]), dtype=np.uint8)
    keys = stream.draws(0, n_regions * n_groups)
    cuts = np.empty((n_regions * n_groups, open_types.shape[1]), dtype=np.int64)
    for r in range(n_regions):
        wanted = np.maximum(left[r], 0) * open_types.any(axis=0)
        plan = transport(rows[r], wanted, open_types)
        left[r] -= plan.sum(axis=0)
        cuts[r * n_groups : (r + 1) * n_groups] = np.cumsum(plan, axis=1)

    def deal(c: int) -> None:
        mine = dealt[first[c] : first[c + 1]]
        permute.deal_out(0, mine.size, keys[c], cuts[c], mine)

    engine.map(deal, np.flatnonzero(rows.ravel()).tolist())
    begin = expand.starts(np.array(sizes))
    stub = np.empty(int(begin[-1]), dtype=np.int32)
    kind = np.empty(int(begin[-1]), dtype=np.uint8)
    next_dealt = first[:-1].reshape(rows.shape) + np.cumsum(placed, axis=0) - placed

    def emit(number: int) -> None:
        d, out = slice(*ranges[number]), slice(begin[number], begin[number + 1])
        _emit(
            ranges[number][0], devices.region[d], devices.group[d], typical[d], home_type,
            proxy[d], proxy_type, spare[d], dealt, next_dealt[number], stub[out], kind[out],
        )  # fmt: skip

    engine.map(emit, range(len(ranges)))
    return stub, kind


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


@njit(cache=True, nogil=True)
def _lease_sizes(home, rank, lease, size):  # type: ignore[no-untyped-def]
    for d in range(home.size):
        key = 2 * rank[home[d]]
        size[key] += lease[d] & 1
        size[key + 1] += lease[d] >> 1


@njit(cache=True, nogil=True)
def _fill_leases(home, rank, lease, typical, next_slot, slots):  # type: ignore[no-untyped-def]
    for d in range(home.size):
        key = 2 * rank[home[d]]
        if lease[d] & 1:
            slots[next_slot[key]] = d * 2 + typical[d]
            next_slot[key] += 1
        if lease[d] & 2:
            slots[next_slot[key + 1]] = d * 2
            next_slot[key + 1] += 1


def home_slots(
    devices: Devices, demand: Demand, home_country: NDArray[np.uint8]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.uint8]]:
    """Slots (device · 2 + typical) of every lease, in order of country, home, lease, device.

    Returns (slots, size of each lease, country of each home); leases of the i-th home in
    that order are numbered 2 · i and 2 · i + 1 and may be empty.
    """
    order = np.argsort(home_country, kind="stable")
    rank = np.empty(devices.homes, dtype=np.int64)
    rank[order] = np.arange(devices.homes)
    size = np.zeros(2 * devices.homes, dtype=np.int64)
    _lease_sizes(devices.home, rank, demand.home_lease, size)
    start = expand.starts(size)
    slots = np.empty(int(start[-1]), dtype=np.int32)
    _fill_leases(devices.home, rank, demand.home_lease, demand.home_typical, start, slots)
    return slots, size, home_country[order]
