"""6P.P1: who shares an address, a phone number, a mailbox, a family name, a birth date or a tax id.

Every party names the party whose address, number, mailbox … it has: itself, mostly. So identifiers
are made from counters of parties, and equal ones are those of one party. Shares of homes, persons,
pairs and cells are exact: the lowest draws are taken, not each with a probability. Homes, pairs,
buildings, relatives and mistyped ids have no synthetic identity among them.

Innocents who look alike are the larger part: halls, care homes, agents of firms, families with one
phone, relatives with one mailbox, twins, misspelt names, mistyped tax ids, numbers of earlier
owners. Synthetic identities (persons only) come in cells, cut from those of a country, or of the
rest of a region where a country has too few.

Twin: tests/reference/profiles/sharing.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.jit import kernel
from fraudworld.layers.profiles.choose import U64, happens, uniform
from fraudworld.layers.profiles.world import ProfileWorld
from fraudworld.layers.transactions.choices import below
from fraudworld.policy.profiles.models import Cells, Groups, PhoneGroups, ProfilePack
from fraudworld.policy.profiles.models import Sharing as SharingPolicy
from fraudworld.rng import profiles as streams
from fraudworld.rng.law import StreamLaw
from fraudworld.rng.stream import Stream

B = NDArray[np.bool_]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

NOBODY = -1


Drawn = dict[StreamLaw, int]
"""Parties that drew from a stream."""


class Sharing(NamedTuple):
    """Positions of parties, one for each party; (parties,)."""

    address_of: I32  # first party of the first home of the building
    phone_of: I32
    mailbox_of: I32
    tag: I32  # number inside a shared mailbox, 0 for its owner
    name_of: I32  # member of the family whose name it has
    near_miss_of: I32  # person of whose family name its own is one edit apart; NOBODY
    born_with: I32  # other party of a pair with one birth date, itself where it is in none
    tax_id_of: I32


def share(seed: int, policy: ProfilePack, world: ProfileWorld, segments: tuple[str, ...],
          synthetic: int) -> tuple[Sharing, Drawn]:  # fmt: skip
    """Who shares what in a world; segments: of the world, synthetic: code of the role."""
    law, base = policy.sharing, world.base
    own = np.arange(base.parties, dtype=np.int32)
    out = Sharing(
        address_of=world.leader.copy(),
        phone_of=own.copy(),
        mailbox_of=own.copy(),
        tag=np.zeros_like(own),
        name_of=own.copy(),
        near_miss_of=np.full_like(own, NOBODY),
        born_with=own.copy(),
        tax_id_of=own.copy(),
    )
    generation = np.array([policy.people.generations.get(s, 0) for s in segments], dtype=np.uint8)
    members = np.diff(base.home_start)
    # Homes beyond the last home are those of parties without one, all alone.
    alone = np.where(base.home < 0, 1, np.append(members, 0)[base.home]) == 1
    made_up = world.person & (world.party_role == synthetic)
    drawn: Drawn = {}
    _families(seed, law, world, generation, alone, made_up, out, drawn)
    _relatives(seed, law, world, made_up, out, drawn)
    _buildings(seed, law, world, segments, alone & ~made_up, out, drawn)
    party, draws = np.flatnonzero(made_up), streams.CELL.of(seed)
    cells = cut_cells(law.cells, world, party, draws.at(party), draws.at(party, 1))
    drawn[streams.CELL] = drawn[streams.CELL_MEMBER] = party.size
    taken = _cells(seed, law.cells, world, cells, alone, out)
    drawn[streams.EARLIER_OWNER] = _earlier_owners(seed, law, world, taken, out)
    return out, drawn


def lowest(draws: U64, share: float) -> B:
    """The `share` of rows with the lowest draws, rounded to whole rows; (rows,)."""
    count = int(np.floor(share * draws.size + 0.5))
    chosen = np.zeros(draws.size, dtype=bool)
    chosen[np.argsort(draws, kind="stable")[:count]] = True
    return chosen


def _families(
    seed: int, law: SharingPolicy, world: ProfileWorld, generation: U8, alone: B, made_up: B,
    out: Sharing, drawn: Drawn,
) -> None:  # fmt: skip
    """One phone or mailbox of a home, family names, misspelt ones, twins."""
    base = world.base
    free = np.ones(base.parties, dtype=bool)
    free[world.leader[made_up]] = False
    leads = (world.leader == np.arange(base.parties)) & world.household & ~alone & free
    leads = np.flatnonzero(leads)
    contact = streams.HOME_CONTACT.of(seed)
    drawn[streams.HOME_CONTACT], drawn[streams.OWN_NAME] = leads.size, int(world.person.sum())
    of_home = np.zeros((2, base.parties), dtype=bool)
    for k, share_ in enumerate((law.home_phone_share, law.home_mailbox_share)):
        of_home[k, leads[lowest(contact.at(leads, k), share_)]] = True
        at = np.flatnonzero(of_home[k, world.leader] & world.household)
        (out.phone_of, out.mailbox_of)[k][at] = world.leader[at]
    at = np.flatnonzero(of_home[1, world.leader] & world.household)
    place = np.zeros(base.parties, dtype=np.int64)
    place[base.home_member] = np.arange(base.home_member.size)
    out.tag[at] = place[at] - base.home_start[base.home[at]]
    family = np.zeros(base.home_start.size - 1, dtype=bool)
    family[base.home[world.household & (generation[base.party_segment] > 0)]] = True
    at = np.flatnonzero(world.household & np.append(family, False)[base.home])
    keeps = happens(streams.OWN_NAME.of(seed).at(at), law.own_name_share)
    out.name_of[at] = np.where(keeps, at, world.leader[at])
    at = np.flatnonzero(world.person & ~made_up)
    wrong = at[happens(streams.OWN_NAME.of(seed).at(at, 1), law.misspelt_share)]
    out.near_miss_of[wrong] = wrong
    second = np.full(base.home_member.size, NOBODY, dtype=np.int64)
    _siblings(base.home_start, base.home_member, base.party_segment, generation, family,
              world.household & ~made_up, second)  # fmt: skip
    first = np.flatnonzero(second >= 0)
    pair = base.home_member[first].astype(np.int64)
    drawn[streams.TWINS] = pair.size
    chosen = lowest(streams.TWINS.of(seed).at(pair), law.twin_share)
    pair, other = pair[chosen], second[first][chosen]
    out.born_with[pair], out.born_with[other] = other, pair


@kernel
def _siblings(start, member, segment, generation, family, may, second):  # type: ignore[no-untyped-def]
    """Pairs of neighbours in a family that are young and of one segment; nobody is in two pairs.

    Parameters
    ----------
    start, member
        Homes of the world.
    segment, may : uint8, bool (parties,)
    generation : uint8 (segments,)
    family : bool (homes,)
        Whether someone in the home is not young.
    second : int64 (members,)
        Filled where a pair begins: its second party.
    """
    for h in range(start.size - 1):
        j = start[h]
        while j + 1 < start[h + 1]:
            a, b = member[j], member[j + 1]
            if (
                family[h]
                and may[a]
                and may[b]
                and generation[segment[a]] == 0
                and segment[a] == segment[b]
            ):
                second[j] = b
                j += 1
            j += 1


@kernel
def cut(first, draw, least, most, head):  # type: ignore[no-untyped-def]
    """Cuts runs of rows into groups of least … most; shorter runs are not cut.

    Parameters
    ----------
    first : int64 (runs + 1,)
    draw : uint64 (n,)
        That of the first row of a group decides its size.
    least, most : int64
        `most` is at least twice `least`.
    head : int64 (n,)
        Filled with the first row of each group; −1 in runs below `least`.
    """
    for r in range(first.size - 1):
        at, end = first[r], first[r + 1]
        while end - at >= least:
            size = min(least + below(draw[at], most - least + 1), end - at)
            # What is left must be enough for a group, or nothing.
            if 0 < end - at - size < least:
                size = end - at if end - at <= most else end - at - least
            head[at : at + size] = at
            at += size


def _buildings(
    seed: int, law: SharingPolicy, world: ProfileWorld, segments: tuple[str, ...], alone: B,
    out: Sharing, drawn: Drawn,
) -> None:  # fmt: skip
    """Halls, care homes, agents; alone: parties that are a home and may move into one."""
    base, stream = world.base, streams.BUILDING.of(seed)
    for _, building in sorted(law.buildings.items()):
        listed = np.array([s in building.segments for s in segments])
        may = np.flatnonzero(listed[base.party_segment] & alone)
        drawn[streams.BUILDING] = drawn.get(streams.BUILDING, 0) + may.size
        member, head = _grouped(world, building, may, stream)
        out.address_of[member] = head
        _one_phone(building, member, head, stream, out)


def _grouped(world: ProfileWorld, law: Groups, may: I64, stream: Stream) -> tuple[I64, I64]:
    """Members of groups inside a country, and the first member of each one's group.

    may: parties, ascending; stream: draws their ranks, and with index 1 the sizes.
    """
    base = world.base
    may = may[np.lexsort((stream.at(may), base.party_country[may]))]
    first = np.searchsorted(base.party_country[may], np.arange(base.country_party.size))
    rank = np.arange(may.size) - first[base.party_country[may]]
    wanted = np.floor(law.share * np.diff(first) + 0.5)
    chosen = may[rank < wanted[base.party_country[may]]]
    first = np.searchsorted(base.party_country[chosen], np.arange(base.country_party.size))
    head = np.full(chosen.size, NOBODY, dtype=np.int64)
    cut(first, stream.at(chosen, 1), law.least, law.most, head)
    there = head >= 0
    return chosen[there], chosen[head[there]]


def _one_phone(law: PhoneGroups, member: I64, head: I64, stream: Stream, out: Sharing) -> None:
    """Gives some groups the number of their first member; members, firsts: of `_grouped`."""
    first = np.unique(head)
    at = np.isin(head, first[lowest(stream.at(first, 2), law.one_phone)])
    out.phone_of[member[at]] = head[at]


def _relatives(
    seed: int, law: SharingPolicy, world: ProfileWorld, made_up: B, out: Sharing, drawn: Drawn
) -> None:
    """Persons of several homes with one mailbox, and persons whose tax id was mistyped."""
    own = np.arange(world.base.parties)
    innocent = world.person & ~made_up
    free = innocent.copy()
    for owner in (out.phone_of, out.mailbox_of):
        free[own[owner != own]] = free[owner[owner != own]] = False
    may, stream = np.flatnonzero(free), streams.RELATIVES.of(seed)
    drawn[streams.RELATIVES] = may.size
    may = _one_a_home(world, may, stream.at(may, 3))
    member, head = _grouped(world, law.relatives, may, stream)
    out.mailbox_of[member], out.name_of[member] = head, out.name_of[head]
    _one_phone(law.relatives, member, head, stream, out)
    first = np.flatnonzero(np.diff(head, prepend=NOBODY))
    size = np.diff(np.append(first, member.size))
    out.tag[member] = np.arange(member.size) - np.repeat(first, size)
    may, stream = np.flatnonzero(innocent), streams.MISTYPED.of(seed)
    drawn[streams.MISTYPED] = may.size
    may = _one_a_home(world, may, stream.at(may, 2))
    member, head = _grouped(world, law.mistyped_tax_ids, may, stream)
    out.tax_id_of[member] = head


def _one_a_home(world: ProfileWorld, may: I64, draws: U64) -> I64:
    """Of these parties (ascending) the one of every home with the lowest draw; ascending."""
    home = world.leader[may]
    order = np.lexsort((draws, home))
    return np.sort(may[order[np.flatnonzero(np.diff(home[order], prepend=NOBODY))]])


class CellTable(NamedTuple):
    """Cells behind one another, each in order of segment."""

    first: I64  # (cells + 1,)
    member: I64  # party, (members,)


def cut_cells(law: Cells, world: ProfileWorld, party: I64, order: U64, size: U64) -> CellTable:
    """Cells of these parties (ascending), by country, else by region; order, size: their draws."""
    base = world.base
    country = base.party_country[party].astype(np.int64)
    counts = np.bincount(country, minlength=base.country_party.size - 1)
    # Regions are numbered after countries.
    run = np.where(
        counts[country] >= law.least, country, counts.size + world.region[country].astype(np.int64)
    )
    by_run = np.lexsort((order, run))
    party, run = party[by_run], run[by_run]
    first = np.searchsorted(run, np.arange(int(run.max(initial=-1)) + 2))
    head = np.full(party.size, NOBODY, dtype=np.int64)
    cut(first, size[by_run], law.least, law.most, head)
    party, head = party[head >= 0], head[head >= 0]
    by_segment = np.lexsort((party, base.party_segment[party], head))
    starts = np.flatnonzero(np.diff(head, prepend=NOBODY))
    return CellTable(np.append(starts, head.size), party[by_segment])


def _cells(
    seed: int, law: Cells, world: ProfileWorld, cells: CellTable, alone: B, out: Sharing
) -> B:
    """What synthetic identities share; returns who has the phone of its cell, (parties,)."""
    base, member = world.base, cells.member
    cell = np.repeat(np.arange(cells.first.size - 1), np.diff(cells.first))
    heads = member[cells.first[:-1]]
    of_cell, of_member = streams.CELL.of(seed), streams.CELL_MEMBER.of(seed)
    taken = np.zeros(base.parties, dtype=bool)
    for k, (owner, shared) in enumerate(
        ((out.phone_of, law.phone), (out.mailbox_of, law.mailbox), (out.address_of, law.address))
    ):
        uses = lowest(of_cell.at(heads, 2 + k), shared)[cell]
        uses &= happens(of_member.at(member, k), law.takes_part)
        if owner is out.address_of:
            uses &= alone[member]
            group = cell * 256 + base.party_country[member]
        else:
            group = cell
        at = np.flatnonzero(uses)
        at = at[np.argsort(group[at], kind="stable")]
        _, begin, size = np.unique(group[at], return_index=True, return_counts=True)
        head = np.repeat(begin, size)
        owner[member[at]] = member[at[head]]
        if owner is out.mailbox_of:
            out.tag[member[at]] = np.arange(at.size) - head
        if owner is out.phone_of:
            taken[member[at]] = True
    _near_misses(seed, law, world, cells, cell, out)
    return taken


def _near_misses(
    seed: int, law: Cells, world: ProfileWorld, cells: CellTable, cell: I64, out: Sharing
) -> None:
    """Neighbours of a cell and segment: one birth date, near names, sometimes one tax id."""
    base, member, stream = world.base, cells.member, streams.CELL_MEMBER.of(seed)
    place = np.arange(member.size) - cells.first[cell]
    second = np.flatnonzero(place % 2 == 1)
    a, b = member[second - 1], member[second]
    near = base.party_segment[a] == base.party_segment[b]
    near &= happens(stream.at(b, 3), law.near_miss)
    a, b = a[near], b[near]
    out.near_miss_of[b] = a
    out.born_with[a], out.born_with[b] = b, a
    same = happens(stream.at(b, 4), law.tax_id) & (base.party_country[a] == base.party_country[b])
    same &= world.leader[a] != world.leader[b]
    out.tax_id_of[b[same]] = a[same]


def _earlier_owners(
    seed: int, law: SharingPolicy, world: ProfileWorld, taken: B, out: Sharing
) -> int:
    """Persons with the number that another party of the country is still listed under.

    Returns how many parties drew.
    """
    base, stream = world.base, streams.EARLIER_OWNER.of(seed)
    own = np.arange(base.parties)
    lent = taken.copy()
    lent[out.phone_of[out.phone_of != own]] = True
    may = np.flatnonzero(world.person & (out.phone_of == own) & ~lent)
    count = min(int(np.floor(law.earlier_owner_share * world.person.sum() + 0.5)), may.size)
    chosen = may[np.argsort(stream.at(may), kind="stable")[:count]]
    country = base.party_country[chosen]
    first, number = base.country_party[country], np.diff(base.country_party)[country]
    other = first + uniform(stream.at(chosen, 1), number)
    other = np.where(other == chosen, first + (other + 1 - first) % number, other)
    out.phone_of[chosen] = out.phone_of[other]
    return int(may.size)
