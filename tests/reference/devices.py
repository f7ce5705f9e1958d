"""Plain twin of devices and their links in `stages/network` (S4).

How many devices, their owners and types; co-users, and accounts and instruments they reach.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.kernels import gamma, normal
from fraudworld.kernels.apportion import largest_remainder
from fraudworld.policy.models import ZeroInflatedPoisson
from fraudworld.policy.pack import PolicyPack
from reference import platforms
from reference.accounts import Account
from reference.allocation import Common, Law, allocate
from reference.draws import (
    ROUNDS,
    Draws,
    below,
    category,
    deviate,
    first,
    nearest,
    pick,
    quota_category,
)
from reference.instruments import Instrument
from reference.parties import Party, Row

PREMISES = 12
"""Terminals of a merchant at one place."""

Cell = tuple[str, str, str]
"""Region, segment, and a device type or group."""


@dataclass
class Device:
    """One device. It has an owner or a merchant (positions); `home` numbers its place."""

    type: str
    group: str
    os: str
    ua: str
    owner: int | None
    merchant: int | None
    country: int
    region: str
    home: int
    users: int = 0  # number of parties that use it


@dataclass(frozen=True)
class Link:
    """A link of a device to its owner, co-user, account, instrument or merchant."""

    device: int
    role: str
    target: int


def make(
    pack: PolicyPack,
    seed: int,
    geo: Geography,
    merchants: Merchants,
    parties: list[Party],
    accounts: list[Account],
    instruments: list[Instrument],
) -> list[Device]:
    """Party devices in order of owner and group, then terminals in order of merchant.

    Devices of one (region, segment, group) get exactly the planned numbers of each type, at places
    of a keyed permutation. Devices that caps dropped are missing from all types in proportion.
    """
    priors, types = pack.device_count_priors, pack.codes("device_type")
    groups, regions, segments = (pack.codes(c) for c in ("device_group", "region", "segment"))
    holders = platforms.of_holders(pack, accounts, instruments)
    plans = raised(pack, plan(pack, seed, parties), parties, holders)
    owned_by_group = {
        group: owned(pack, seed, group, plans, parties, holders) for group in priors.counts
    }
    slots = [
        (p, group)
        for p in range(len(parties))
        for group in groups
        for _ in range(owned_by_group.get(group, {}).get(p, 0))
    ]
    cells = [(parties[p].region, parties[p].segment, group) for p, group in slots]
    draws = Draws(seed, "s4/device_type_place", "device_count_realisation", ROUNDS)
    keys, counts = {}, {}
    for cell, size in Counter(cells).items():
        region, segment, group = cell
        number = regions.index(region) * len(segments) + segments.index(segment)
        keys[cell] = draws.all_of(number * len(groups) + groups.index(group))
        planned = [plans[region, segment, t] * (group_of(pack, t) == group) for t in types]
        counts[cell] = largest_remainder(size, planned).tolist()
    placed: Counter[Cell] = Counter()
    device_types: list[str] = []
    for cell in cells:
        device_types.append(types[quota_category(placed[cell], keys[cell], counts[cell])])
        placed[cell] += 1

    home = homes(parties)
    positions: list[tuple[int | None, int | None, int, int]]
    positions = [(p, None, parties[p].country, home[p]) for p, _ in slots]
    next_home = max(home) + 1
    draws = Draws(seed, "s4/terminal_type", "device_attribute_sampling")
    for m, count in enumerate(terminals(pack, geo, merchants)):
        for i in range(count):
            device_types.append(
                pick(draws(len(device_types) - len(slots)), priors.terminal_mix, types)
            )
            positions.append((None, m, int(merchants.home_country[m]), next_home + i // PREMISES))
        next_home += -(-count // PREMISES)

    draws = Draws(seed, "s4/device_attributes", "device_attribute_sampling", 2)
    systems, browsers, out = pack.codes("os_family"), pack.codes("ua_family"), []
    follows = platforms.follows_country(pack)
    owners = platforms.Owners(pack, seed, geo, parties, holders) if follows else None
    for d, (device_type, (owner, merchant, country, place)) in enumerate(
        zip(device_types, positions, strict=True)
    ):
        mix, draw = priors.os_mix[device_type], draws(d, 0)
        if owners and owner is not None:
            mix = owners.mix(device_type, owner)
            draw = owners.draw(d, device_type, owner, draw)
        os = pick(draw, mix, systems)
        ua = pick(draws(d, 1), priors.ua_mix[os], browsers)
        region = regions[geo.region[country]]
        group = group_of(pack, device_type)
        out.append(Device(device_type, group, os, ua, owner, merchant, country, region, place))
    return out


def group_of(pack: PolicyPack, device_type: str) -> str:
    """The group a device type belongs to."""
    return pack.device_taxonomy.device_types[device_type].group


def plan(pack: PolicyPack, seed: int, parties: list[Party]) -> dict[Cell, int]:
    """Devices per (region, segment, type): the world's total of a type, then split.

    Totals are Σ parties · λ rounded, or drawn around that.
    """
    population = Counter((p.region, p.segment) for p in parties)
    cells = [(r, s) for r in pack.codes("region") for s in pack.codes("segment")]
    mean = {s: means(pack, s) for s in pack.codes("segment")}
    types, out = pack.codes("device_type"), dict[Cell, int]()
    expected = {t: np.array([population[r, s] * mean[s][t] for r, s in cells]) for t in types}
    totals = [nearest(expected[t].sum()) for t in types]
    if scatter := pack.device_count_priors.seed_overdispersion:
        draws = Draws(seed, "s4/device_totals", "device_count_realisation", gamma.WIDTH)
        tries = np.array([draws.all_of(i) for i in range(len(types))], dtype=np.uint64)
        weights = gamma.scattered(sum(totals), [expected[t].sum() for t in types], scatter, tries)
        totals = largest_remainder(sum(totals), weights).tolist()
    for device_type, total in zip(types, totals, strict=True):
        counts = [0] * len(cells)
        if total:
            counts = largest_remainder(total, expected[device_type]).tolist()
        out |= {(r, s, device_type): n for (r, s), n in zip(cells, counts, strict=True)}
    return out


def raised(
    pack: PolicyPack, plans: dict[Cell, int], parties: list[Party], holders: dict[int, str]
) -> dict[Cell, int]:
    """Plans of the wallet group are at least the holders of tokens of a (region, segment)."""
    out, wallet_group = dict(plans), pack.device_count_priors.mobile_platform.wallet_group
    inside = [t for t in pack.codes("device_type") if group_of(pack, t) == wallet_group]
    for (region, segment), n in Counter(
        (parties[p].region, parties[p].segment) for p in holders
    ).items():
        short = n - sum(plans[region, segment, t] for t in inside)
        if short > 0:
            expected = means(pack, segment)
            more = largest_remainder(short, [expected[t] for t in inside])
            for t, k in zip(inside, more, strict=True):
                out[region, segment, t] += int(k)
    return out


def means(pack: PolicyPack, segment: str) -> dict[str, float]:
    """Expected devices of each type per party of a segment.

    λ · density · exp(clip(Σ weight · (score − ½))), split by the mix of the party type, whose types
    are tilted by the profile.
    """
    priors = pack.device_count_priors
    party_type = pack.party_taxonomy.segments[segment]
    profile = pack.segmentation_priors.profiles[segment].model_dump()
    tilt = sum(w * (profile[score] - 0.5) for score, w in priors.tilt.weights.items())
    scale = normal.exp(min(max(tilt, -priors.tilt.clip), priors.tilt.clip))
    mix = {t: priors.type_mix[party_type].get(t, 0.0) for t in pack.codes("device_type")}
    for score, weights in priors.type_tilt.items():
        for t, w in weights.items():
            mix[t] *= normal.exp(w * (profile[score] - 0.5))
    total = priors.lambda_per_party[party_type] * scale * priors.density_multiplier
    return {t: total * share / sum(mix.values()) for t, share in mix.items()}


def owned(
    pack: PolicyPack,
    seed: int,
    group: str,
    plans: dict[Cell, int],
    parties: list[Party],
    holders: dict[int, str],
) -> dict[int, int]:
    """Devices of one group per party, by capped allocation in cells (region, segment).

    Cells without a plan are left out. Hurdles and weights share the factor of the party's accounts.
    Holders of tokens have one device of the wallet group first,
    and the rest of the plan is shared.
    """
    rule = pack.device_count_priors.counts[group]
    total: Counter[tuple[str, str]] = Counter()
    for (region, segment, device_type), count in plans.items():
        if group_of(pack, device_type) == group:
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
    first = holders if group == pack.device_count_priors.mobile_platform.wallet_group else {}
    rest = {cell: max(total[cell] - sum(p in first for p in ps), 0) for cell, ps in cells.items()}
    room = {p: rule.cap - (p in first) for ps in cells.values() for p in ps}
    factor = Draws(seed, "s2/party_factor", "account_count_realisation", 2)
    common = Common(
        lambda p: deviate(factor(p, 0)),
        lambda p: deviate(factor(p, 1)),
        pack.device_count_priors.party_factor_correlation,
    )
    more = allocate(
        cells, rest, law, room, common if common.correlation else None, holders=first.keys()
    )
    return {p: n + (p in first) for p, n in more.items()}


def terminals(pack: PolicyPack, geo: Geography, merchants: Merchants) -> list[int]:
    """Terminals per merchant: in proportion to outlets, clipped at the cap."""
    per_outlet = pack.device_count_priors.terminals_per_outlet
    total = round(per_outlet * float(merchants.outlets.sum()) * geo.profile_scale)
    cap = pack.device_linkage_rules.max_devices_per_merchant
    return [min(n, cap) for n in largest_remainder(total, merchants.outlets).tolist()]


def homes(parties: list[Party]) -> list[int]:
    """Home of every party, that of its household or its own; numbered in order of party."""
    number: dict[object, int] = {}
    return [
        number.setdefault(("alone", p) if party.household is None else party.household, len(number))
        for p, party in enumerate(parties)
    ]


def link(
    pack: PolicyPack,
    seed: int,
    parties: list[Party],
    circles: list[list[int]],
    accounts: list[Account],
    instruments: list[Instrument],
    devices: list[Device],
) -> list[Link]:
    """Links of every device, in order of device and role; sets `users` of every device.

    Devices are processed in order. A shared device gets co-users of its owner's circle or unit,
    whose number of devices is capped. It reaches accounts of its users, then instruments of these
    accounts, and skips those that have their maximum of devices.
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
    mates = {p: members for members in circles for p in members}
    shared = chosen_to_share(pack, seed, devices, company, mates)
    used = Counter(d.owner for d in devices if d.owner is not None)
    devices_on: tuple[Counter[int], Counter[int]] = Counter(), Counter()
    most_used = pack.device_count_priors.max_used_per_party

    def choose_co_users(d: int, owner: int) -> list[int]:
        """Co-users: the next members of the circle or unit, cyclically from a drawn place."""
        unit, rule = company[owner], rules.sharing[devices[d].group]
        with_mates = sharing(d, 1) % 2**32 < int(rules.circles.co_user_share * 2**32)
        if owner in mates and (len(unit) == 1 or with_mates):
            unit = mates[owner]
        halves = [0.5**k for k in range(rule.max_users - 1)]
        count = 1 + category(sharing(d, 0), tuple(h / sum(halves) for h in halves))
        start, out = below(sharing(d, 1), len(unit)), list[int]()
        for k in range(len(unit)):
            member = unit[(start + k) % len(unit)]
            if len(out) < count and member != owner and used[member] < most_used:
                used[member] += 1
                out.append(member)
        return sorted(out)

    def reach(
        d: int, target: int, law: ZeroInflatedPoisson | None, maximum: int, pool: list[int]
    ) -> list[int]:
        """A drawn number of distinct members of the pool, each the next from its drawn place."""
        count = poisson_category(access(d, target), law) if law else 0
        out: list[int] = []
        for k in range(min(count, len(pool))):
            lane = access(d, 2 + 2 * target + k // 4) >> 16 * (k % 4) & 0xFFFF
            start = lane * len(pool) >> 16
            circle = pool[start:] + pool[:start]
            free = (c for c in circle if c not in out and devices_on[target][c] < maximum)
            if (chosen := next(free, None)) is not None:
                devices_on[target][chosen] += 1
                out.append(chosen)
        return sorted(out)

    links: list[Link] = []
    for d, device in enumerate(devices):
        if device.owner is None:
            assert device.merchant is not None
            links.append(Link(d, "MERCHANT_TERMINAL", device.merchant))
            continue
        co_users = choose_co_users(d, device.owner) if d in shared else []
        users = [device.owner, *co_users]
        device.users = len(users)
        account_targets = reach(
            d, 0, rules.accounts_per_device.get(device.group), rules.max_devices_per_account,
            _joined(accounts_of.__getitem__, users),
        )  # fmt: skip
        instrument_targets = reach(
            d, 1, rules.instruments_per_device.get(device.group), rules.max_devices_per_instrument,
            _joined(instruments_of.__getitem__, account_targets),
        )  # fmt: skip
        links.append(Link(d, "PRIMARY_OWNER", device.owner))
        links += [Link(d, "SECONDARY_USER", p) for p in co_users]
        links += [Link(d, "ASSOCIATED_ACCOUNT_ACCESS", a) for a in account_targets]
        links += [Link(d, "ASSOCIATED_INSTRUMENT_ACCESS", i) for i in instrument_targets]
    return links


def _joined(of: Callable[[int], list[int]], keys: Iterable[int]) -> list[int]:
    return [value for key in keys for value in of(key)]


def poisson_category(draw: int, law: ZeroInflatedPoisson) -> int:
    """A count: zero with probability `zero_share`, else Poisson truncated at the maximum."""
    p = [law.mean**k / math.factorial(k) for k in range(law.maximum + 1)]
    shares = [(1.0 - law.zero_share) * v / sum(p) for v in p]
    return category(draw, (shares[0] + law.zero_share, *shares[1:]))


def units(parties: list[Party]) -> list[list[int]]:
    """For every party, the members of its household or firm in order; else itself alone."""
    members: dict[tuple[int | None, int | None], list[int]] = defaultdict(list)
    for p, party in enumerate(parties):
        members[party.household, party.firm].append(p)
    lonely = (None, None)
    return [
        [p] if (unit := (party.household, party.firm)) == lonely else members[unit]
        for p, party in enumerate(parties)
    ]


def chosen_to_share(
    pack: PolicyPack,
    seed: int,
    devices: list[Device],
    company: list[list[int]],
    mates: Mapping[int, list[int]],
) -> set[int]:
    """Shared devices: an exact share of every region and group, by rank of a draw.

    The share is of all party devices; only devices of owners with company can be chosen: of their
    home or firm, or of their circle.
    """
    draws = Draws(seed, "s4/device_sharing_rank", "device_allocation_sampling")
    cells: dict[tuple[str, str], list[int]] = defaultdict(list)
    for d, device in enumerate(devices):
        if device.owner is not None:
            cells[device.region, device.group].append(d)
    out: set[int] = set()
    for (_, group), members in cells.items():
        rule = pack.device_linkage_rules.sharing.get(group)
        owners = {d: owner_of(devices[d]) for d in members}
        able = [d for d, owner in owners.items() if len(company[owner]) > 1 or owner in mates]
        out |= set(first(nearest(len(members) * rule.share) if rule else 0, able, draws))
    return out


def owner_of(device: Device) -> int:
    """Owner of a party device."""
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
    """`s4_device_links_6A`: one row a link, its target in the column of its role."""
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
            "device_id": link.device + 1,
            **nobody,
            column[link.role]: int(merchants.id[link.target])
            if link.role == "MERCHANT_TERMINAL"
            else link.target + 1,
            "link_role": link.role,
        }
        for link in links
    ]
