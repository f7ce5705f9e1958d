"""S4, devices: how many, whose, of which type; who uses them and what is reached from them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.kernels import normal
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.policy.models import ZeroInflatedPoisson
from fraudworld.policy.pack import PolicyPack
from reference.accounts import Account
from reference.allocation import Law, allocate
from reference.draws import ROUNDS, Draws, below, category, dealt, first, nearest, pick
from reference.instruments import Instrument
from reference.parties import Party, Row

PREMISES = 12
"""Terminals of a merchant that stand in one place."""

Cell = tuple[str, str, str]
"""Region, segment, and a device type or group."""


@dataclass
class Device:
    """One device; it has an owner or a merchant (positions), and a home: the place it lives at."""

    type: str
    group: str
    os: str
    ua: str
    owner: int | None
    merchant: int | None
    country: int
    region: str
    home: int
    users: int = 0  # parties that use it


@dataclass(frozen=True)
class Link:
    """A device and what it belongs to or reaches."""

    device: int
    role: str
    target: int


def make(
    pack: PolicyPack, seed: int, geo: Geography, merchants: Merchants, parties: list[Party]
) -> list[Device]:
    """Party devices in order of owner and group, then terminals in order of merchant.

    A region and segment's devices of a group take exactly the planned numbers of each type
    (what caps lost is missing from all in proportion), at places a permutation gives them.
    """
    priors, types = pack.device_count_priors, pack.codes("device_type")
    groups, regions, segments = (pack.codes(c) for c in ("device_group", "region", "segment"))
    plans = plan(pack, parties)
    held = {group: owned(pack, seed, group, plans, parties) for group in priors.counts}
    slots = [
        (p, group)
        for p in range(len(parties))
        for group in groups
        for _ in range(held.get(group, {}).get(p, 0))
    ]
    cells = [(parties[p].region, parties[p].segment, group) for p, group in slots]
    draws = Draws(seed, "s4/device_type_place", "device_count_realisation", ROUNDS)
    keys, counts = {}, {}
    for cell, size in Counter(cells).items():
        region, segment, group = cell
        number = regions.index(region) * len(segments) + segments.index(segment)
        keys[cell] = draws.all_of(number * len(groups) + groups.index(group))
        wanted = [plans[region, segment, t] * (group_of(pack, t) == group) for t in types]
        counts[cell] = largest_remainder(size, wanted).tolist()
    seen: Counter[Cell] = Counter()
    kinds: list[str] = []
    for cell in cells:
        kinds.append(types[dealt(seen[cell], keys[cell], counts[cell])])
        seen[cell] += 1

    home = homes(parties)
    at: list[tuple[int | None, int | None, int, int]]
    at = [(p, None, parties[p].country, home[p]) for p, _ in slots]
    next_home = max(home) + 1
    draws = Draws(seed, "s4/terminal_type", "device_attribute_sampling")
    for m, count in enumerate(terminals(pack, geo, merchants)):
        for i in range(count):
            kinds.append(pick(draws(len(kinds) - len(slots)), priors.terminal_mix, types))
            at.append((None, m, int(merchants.home_country[m]), next_home + i // PREMISES))
        next_home += -(-count // PREMISES)

    draws = Draws(seed, "s4/device_attributes", "device_attribute_sampling", 2)
    systems, browsers, out = pack.codes("os_family"), pack.codes("ua_family"), []
    for d, (kind, (owner, merchant, country, place)) in enumerate(zip(kinds, at, strict=True)):
        os = pick(draws(d, 0), priors.os_mix[kind], systems)
        ua = pick(draws(d, 1), priors.ua_mix[os], browsers)
        region = regions[geo.region[country]]
        group = group_of(pack, kind)
        out.append(Device(kind, group, os, ua, owner, merchant, country, region, place))
    return out


def group_of(pack: PolicyPack, kind: str) -> str:
    """The group a device type belongs to."""
    return pack.device_taxonomy.device_types[kind].group


def plan(pack: PolicyPack, parties: list[Party]) -> dict[Cell, int]:
    """Devices per (region, segment, type): Σ parties · λ rounded per type, then split."""
    population = Counter((p.region, p.segment) for p in parties)
    cells = [(r, s) for r in pack.codes("region") for s in pack.codes("segment")]
    mean = {s: means(pack, s) for s in pack.codes("segment")}
    out: dict[Cell, int] = {}
    for kind in pack.codes("device_type"):
        expected = np.array([population[r, s] * mean[s][kind] for r, s in cells])
        counts = largest_remainder(nearest(expected.sum()), expected)
        out |= {(r, s, kind): int(n) for (r, s), n in zip(cells, counts, strict=True)}
    return out


def means(pack: PolicyPack, segment: str) -> dict[str, float]:
    """Devices of each type expected per party of a segment.

    λ · density · exp(clip(Σ weight · (score − ½))), split by the mix of the party type; every
    type of the mix tilted by the profile, too.
    """
    priors = pack.device_count_priors
    kind = pack.party_taxonomy.segments[segment]
    profile = pack.segmentation_priors.profiles[segment].model_dump()
    tilt = sum(w * (profile[score] - 0.5) for score, w in priors.tilt.weights.items())
    scale = normal.exp(min(max(tilt, -priors.tilt.clip), priors.tilt.clip))
    mix = {t: priors.type_mix[kind].get(t, 0.0) for t in pack.codes("device_type")}
    for score, weights in priors.type_tilt.items():
        for t, w in weights.items():
            mix[t] *= normal.exp(w * (profile[score] - 0.5))
    total = priors.lambda_per_party[kind] * scale * priors.density_multiplier
    return {t: total * share / sum(mix.values()) for t, share in mix.items()}


def owned(
    pack: PolicyPack,
    seed: int,
    group: str,
    plans: dict[Cell, int],
    parties: list[Party],
) -> dict[int, int]:
    """Devices of one group per party: gated, weighted, capped in (region, segment) cells.

    A cell without a plan takes no part.
    """
    rule = pack.device_count_priors.counts[group]
    total: Counter[tuple[str, str]] = Counter()
    for (region, segment, kind), count in plans.items():
        if group_of(pack, kind) == group:
            total[region, segment] += count
    cells: dict[tuple[str, str], list[int]] = defaultdict(list)
    for p, party in enumerate(parties):
        if total[party.region, party.segment]:
            cells[party.region, party.segment].append(p)
    family = "device_allocation_sampling"
    law = Law(
        rule.zero_share,
        rule.sigma,
        Draws(seed, f"s4/device_allocation/{group}", family, 2),
        Draws(seed, f"s4/cap_redistribution/{group}", family, rule.cap),
    )
    return allocate(cells, total, law, {p: rule.cap for ps in cells.values() for p in ps})


def terminals(pack: PolicyPack, geo: Geography, merchants: Merchants) -> list[int]:
    """Terminals per merchant: in proportion to outlets, cut off at the cap."""
    per_outlet = pack.device_count_priors.terminals_per_outlet
    total = round(per_outlet * float(merchants.outlets.sum()) * geo.profile_scale)
    cap = pack.device_linkage_rules.max_devices_per_merchant
    return [min(n, cap) for n in largest_remainder(total, merchants.outlets).tolist()]


def homes(parties: list[Party]) -> list[int]:
    """Home of every party: its household's, or premises of its own; counted in party order."""
    number: dict[object, int] = {}
    return [
        number.setdefault(("alone", p) if party.household is None else party.household, len(number))
        for p, party in enumerate(parties)
    ]


def link(
    pack: PolicyPack,
    seed: int,
    parties: list[Party],
    accounts: list[Account],
    instruments: list[Instrument],
    devices: list[Device],
) -> list[Link]:
    """Links of every device, in order of device and role; sets each device's number of users.

    Devices take their turn in order. A shared one borrows users from its owner's unit, who
    may use so many devices at most. Then it reaches accounts of its users, and instruments
    of those accounts, passing over whatever has as many devices as it may.
    """
    rules = pack.device_linkage_rules
    accounts_of, instruments_of = defaultdict(list), defaultdict(list)
    for a, account in enumerate(accounts):
        accounts_of[account.owner].append(a)
    for i, instrument in enumerate(instruments):
        instruments_of[instrument.account].append(i)
    family = "device_allocation_sampling"
    sharing = Draws(seed, "s4/device_sharing", family, 2)
    access = Draws(seed, "s4/device_access", family, 6)
    company = units(parties)
    shared = chosen_to_share(pack, seed, devices, company)
    used = Counter(d.owner for d in devices if d.owner is not None)
    load: tuple[Counter[int], Counter[int]] = Counter(), Counter()
    most_used = pack.device_count_priors.max_used_per_party

    def borrow(d: int, owner: int) -> list[int]:
        """Further users: those next in the unit's circle, from a drawn place on."""
        unit, rule = company[owner], rules.sharing[devices[d].group]
        halves = [0.5**k for k in range(rule.max_users - 1)]
        wanted = 1 + category(sharing(d, 0), tuple(h / sum(halves) for h in halves))
        begin, out = below(sharing(d, 1), len(unit)), list[int]()
        for k in range(len(unit)):
            other = unit[(begin + k) % len(unit)]
            if len(out) < wanted and other != owner and used[other] < most_used:
                used[other] += 1
                out.append(other)
        return sorted(out)

    def reach(
        d: int, what: int, law: ZeroInflatedPoisson | None, most: int, pool: list[int]
    ) -> list[int]:
        """So many different ones of the pool, each from its own drawn place on."""
        wanted = poisson_category(access(d, what), law) if law else 0
        out: list[int] = []
        for k in range(min(wanted, len(pool))):
            lane = access(d, 2 + 2 * what + k // 4) >> 16 * (k % 4) & 0xFFFF
            begin = lane * len(pool) >> 16
            circle = pool[begin:] + pool[:begin]
            for one in [c for c in circle if c not in out and load[what][c] < most][:1]:
                load[what][one] += 1
                out.append(one)
        return sorted(out)

    links: list[Link] = []
    for d, device in enumerate(devices):
        if device.owner is None:
            assert device.merchant is not None
            links.append(Link(d, "MERCHANT_TERMINAL", device.merchant))
            continue
        others = borrow(d, device.owner) if d in shared else []
        users = [device.owner, *others]
        device.users = len(users)
        mine = reach(
            d, 0, rules.accounts_per_device.get(device.group), rules.max_devices_per_account,
            _joined(accounts_of.__getitem__, users),
        )  # fmt: skip
        held = reach(
            d, 1, rules.instruments_per_device.get(device.group), rules.max_devices_per_instrument,
            _joined(instruments_of.__getitem__, mine),
        )  # fmt: skip
        links.append(Link(d, "PRIMARY_OWNER", device.owner))
        links += [Link(d, "SECONDARY_USER", p) for p in others]
        links += [Link(d, "ASSOCIATED_ACCOUNT_ACCESS", a) for a in mine]
        links += [Link(d, "ASSOCIATED_INSTRUMENT_ACCESS", i) for i in held]
    return links


def _joined(of: Callable[[int], list[int]], keys: Iterable[int]) -> list[int]:
    return [value for key in keys for value in of(key)]


def poisson_category(draw: int, law: ZeroInflatedPoisson) -> int:
    """A count: structurally zero with `zero_share`, else Poisson, cut off at the maximum."""
    p = [law.mean**k / math.factorial(k) for k in range(law.maximum + 1)]
    shares = [(1.0 - law.zero_share) * v / sum(p) for v in p]
    return category(draw, (shares[0] + law.zero_share, *shares[1:]))


def units(parties: list[Party]) -> list[list[int]]:
    """For every party, its household or firm in order of party; alone where it has neither."""
    members: dict[tuple[int | None, int | None], list[int]] = defaultdict(list)
    for p, party in enumerate(parties):
        members[party.household, party.firm].append(p)
    lonely = (None, None)
    return [
        [p] if (unit := (party.household, party.firm)) == lonely else members[unit]
        for p, party in enumerate(parties)
    ]


def chosen_to_share(
    pack: PolicyPack, seed: int, devices: list[Device], company: list[list[int]]
) -> set[int]:
    """Shared devices: an exact share of every region and group, by rank of a draw.

    The share is of all party devices; only those whose owner has company can be chosen.
    """
    draws = Draws(seed, "s4/device_sharing_rank", "device_allocation_sampling")
    cells: dict[tuple[str, str], list[int]] = defaultdict(list)
    for d, device in enumerate(devices):
        if device.owner is not None:
            cells[device.region, device.group].append(d)
    out: set[int] = set()
    for (_, group), members in cells.items():
        rule = pack.device_linkage_rules.sharing.get(group)
        able = [d for d in members if len(company[owner_of(devices[d])]) > 1]
        out |= set(first(nearest(len(members) * rule.share) if rule else 0, able, draws))
    return out


def owner_of(device: Device) -> int:
    """Owner of a device that is no terminal."""
    assert device.owner is not None
    return device.owner


def device_base(geo: Geography, merchants: Merchants, devices: list[Device]) -> list[Row]:
    """`s4_device_base_6A`: one row a device."""
    return [
        {
            "device_id": number,
            "device_type": device.type,
            "device_group": device.group,
            "os_family": device.os,
            "ua_family": device.ua,
            "primary_party_id": None if device.owner is None else device.owner + 1,
            "primary_merchant_id": None
            if device.merchant is None
            else int(merchants.id[device.merchant]),
            "home_region_id": device.region,
            "home_country_iso": geo.countries[device.country],
        }
        for number, device in enumerate(devices, 1)
    ]


def device_links(merchants: Merchants, links: list[Link]) -> list[Row]:
    """`s4_device_links_6A`: one row a link, its target in the column its role says."""
    column = {
        "PRIMARY_OWNER": "party_id",
        "SECONDARY_USER": "party_id",
        "ASSOCIATED_ACCOUNT_ACCESS": "account_id",
        "ASSOCIATED_INSTRUMENT_ACCESS": "instrument_id",
        "MERCHANT_TERMINAL": "merchant_id",
    }
    nobody = dict.fromkeys(column.values())
    return [
        {
            "device_id": one.device + 1,
            **nobody,
            column[one.role]: int(merchants.id[one.target])
            if one.role == "MERCHANT_TERMINAL"
            else one.target + 1,
            "link_role": one.role,
        }
        for one in links
    ]
