"""Reused states, read back from their tables for the states that run again.

Parts are read one by one and cut into the shards of this run, so a base made with other
shards serves as well, and no table is ever held whole but as items of the engine.

Stages index arrays by what they read here, so rows out of order and references outside the tables
are refused (`6A.S0.BASE_STATE_INVALID`), whatever the seal of the base says.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import BY_NAME, Kind, Table
from fraudworld.engine.shards import Shard, cut
from fraudworld.engine.tasks import Engine
from fraudworld.errors import InputError
from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.kernels.offsets import from_counts
from fraudworld.policy.pack import PolicyPack
from fraudworld.run.base import Base
from fraudworld.stages.batches import Rows
from fraudworld.stages.network.tables import COLUMN_OF, TARGETS
from fraudworld.stages.pieces import (
    Accounts,
    AccountShard,
    Circles,
    CircleShard,
    DeviceLinks,
    Devices,
    DeviceShard,
    EndpointCountry,
    Instruments,
    InstrumentShard,
    LinkShard,
    MerchantEndpoints,
    Network,
    Parties,
    PartyShard,
    Terminals,
)
from fraudworld.store.reader import blocks, parts

I64 = NDArray[np.int64]
Block = dict[str, NDArray[Any]]
Pieces = list[tuple[list[Block], int, int]]


@dataclass(frozen=True)
class Restored:
    """The reused states of a base, in the shards of this run."""

    base: Base
    pack: PolicyPack
    geo: Geography
    merchants: Merchants
    engine: Engine
    parties_per_shard: int | None

    def parties(self) -> Parties:
        """S1."""
        sizes = self._parties_by_country()
        shards = cut(from_counts(sizes), self.parties_per_shard)
        first = [s.first for s in shards] + [int(sizes.sum())]
        rows, _ = self._read("s1_party_base_6A", "party_id", np.array(first))
        segments = len(self.pack.codes("segment"))
        items, summaries = self.engine.run(
            partial(_party_shard, segments), [rows.pieces(s.first, s.last) for s in shards]
        )
        units = np.array([of for _, of in summaries])
        unit_first = np.concatenate([np.zeros((1, 2), np.int64), np.cumsum(units, axis=0)])
        return Parties(
            shards,
            items,
            self.geo.region[[s.country for s in shards]],
            unit_first[:, 0],
            unit_first[:, 1],
            np.stack([of for of, _ in summaries]),
        )

    def accounts(self, parties: Parties) -> Accounts:
        """S2."""
        rows, first = self._read("s2_account_base_6A", "owner_party_id", parties.first)
        types = len(self.pack.codes("account_type"))
        items, summaries = self.engine.run(
            partial(_account_shard, types), parties.shards, _between(rows, first)
        )
        return Accounts(items, first, np.stack(summaries))

    def instruments(self, accounts: Accounts) -> Instruments:
        """S3."""
        rows, first = self._read("s3_instrument_base_6A", "account_id", accounts.first)
        bounds = zip(accounts.first[:-1].tolist(), accounts.first[1:].tolist(), strict=True)
        items = self.engine.submit(_instrument_shard, bounds, _between(rows, first))
        return Instruments(items, first)

    def network(self, parties: Parties, accounts: Accounts, instruments: Instruments) -> Network:
        """S4."""
        circles, devices = self._circles(parties), self._devices(parties)
        rows, first = self._read("s4_device_links_6A", "device_id", devices.first)
        roles = self.pack.codes("device_link_role")
        firsts = np.stack([x.first for x in (devices, parties, accounts, instruments)], axis=1)
        kinds = [TARGETS.index(COLUMN_OF[role]) for role in roles]
        links = self.engine.submit(
            partial(_link_shard, np.array(kinds)),
            list(firsts[:-1]),
            list(firsts[1:]),
            _between(rows, first),
        )
        countries = np.arange(len(self.geo.countries) + 1)
        rows, ip_first = self._read("s4_ip_base_6A", "country_iso", countries)
        link_rows, link_first = self._read("s4_ip_links_6A", "ip_id", ip_first)
        items, summaries = self.engine.run(
            partial(_endpoint_country, self.merchants.id, devices.n),
            zip(ip_first[:-1].tolist(), ip_first[1:].tolist(), strict=True),
            _between(rows, ip_first),
            _between(link_rows, link_first),
        )
        ip, merchant = (np.concatenate(column) for column in zip(*summaries, strict=True))
        between = np.diff(link_first) - [t[0].size for t in summaries]
        return Network(
            circles,
            devices,
            DeviceLinks(links, first),
            items,
            ip_first,
            from_counts(between),
            MerchantEndpoints(ip, merchant.astype(np.uint32)),
        )

    def _parties_by_country(self) -> I64:
        """Parties of every country, shape (countries,)."""
        table, codes = BY_NAME["s1_party_base_6A"], {"country_iso": self.geo.countries}
        sizes = np.zeros(len(self.geo.countries), np.int64)
        last = 0
        for path in parts(self.base.folder(table.name)):
            for block in blocks(path, table, ["country_iso"], codes):
                country = block["country_iso"]
                _require_sorted(table.name, "country_iso", country, last)
                sizes += np.bincount(country, minlength=sizes.size)
                last = int(country[-1]) if country.size else last
        return sizes

    def _circles(self, parties: Parties) -> Circles:
        """Circles. Their members, one party in eight, are read at once."""
        table = BY_NAME["s4_circle_members_6A"]
        read = [
            block
            for path in parts(self.base.folder(table.name))
            for block in blocks(path, table, ["circle_id", "party_id"], {})
        ]
        circle, party = (
            np.concatenate([block[name] for block in read]).astype(np.int64) - 1
            for name in ("circle_id", "party_id")
        )
        if (np.diff(circle, prepend=-1) & ~1).any():
            raise _invalid(table.name, "circle_id is not dense from 1, in order")
        if party.size and (party.min() < 0 or party.max() >= parties.n):
            raise _invalid(table.name, "a row refers to a party that does not exist")
        shard = np.searchsorted(parties.first, party, side="right") - 1
        _require_sorted(table.name, "shard of party_id", shard)
        ends = np.searchsorted(shard, np.arange(len(parties.shards) + 1))
        first = np.append(circle, circle.max(initial=-1) + 1)[ends]
        between = [slice(low, high) for low, high in itertools.pairwise(ends.tolist())]
        items = self.engine.submit(
            _circle_shard,
            parties.shards,
            [circle[rows] - first[k] for k, rows in enumerate(between)],
            [party[rows] for rows in between],
        )
        return Circles(items, first, ends)

    def _devices(self, parties: Parties) -> Devices:
        rows, first = self._read("s4_device_base_6A", "primary_party_id", parties.first)
        items = self.engine.submit(_device_shard, parties.shards, _between(rows, first))
        (terminals,) = self.engine.collect(
            partial(_terminals, self.merchants.id), [rows.pieces(int(first[-1]), rows.n)]
        )
        return Devices(items, first, terminals)

    def _read(self, name: str, sorted_by: str, bounds: I64) -> tuple[Rows, I64]:
        """All columns of a table, part by part; and for every bound the number of rows whose
        `sorted_by` (id − 1, or code) is below it. Rows without one come after all others.
        """
        table = BY_NAME[name]
        codes: dict[str, Sequence[str]] = {
            c.name: self.geo.countries if c.codes == "country" else self.pack.codes(c.codes)
            for c in table.columns
            if c.kind is Kind.CODE and c.codes and c.codes != "currency"
        }
        names = [c.name for c in table.columns if c.kind is not Kind.CODE or c.name in codes]
        task = partial(_read_part, table, names, codes, sorted_by, bounds)
        items, summaries = self.engine.run(task, parts(self.base.folder(name)))
        ends = np.array([key for _, _, keys in summaries for key in keys])
        _require_sorted(name, sorted_by, ends)
        below = np.stack([b for _, b, _ in summaries]).sum(axis=0)
        return Rows(from_counts(np.array([n for n, _, _ in summaries])), _block, (items,)), below


def _between(rows: Rows, first: I64) -> list[Any]:
    """The pieces of rows first[k] … first[k + 1] − 1, for every k."""
    return [rows.pieces(int(low), int(high)) for low, high in itertools.pairwise(first)]


def _block(block: Block, low: int, high: int) -> Block:
    return {name: values[low:high] for name, values in block.items()}


def _read_part(
    table: Table,
    names: Sequence[str],
    codes: Mapping[str, Sequence[str]],
    sorted_by: str,
    bounds: I64,
    path: Path,
) -> tuple[Block, tuple[int, I64, list[int]]]:
    """A part, and its rows, its rows below every bound, and its first and last key, if any."""
    read = list(blocks(path, table, names, codes))
    block = {
        name: _narrow(np.concatenate([b[name] for b in read]), codes.get(name)) for name in names
    }
    key = block[sorted_by].astype(np.int64)
    # Rows without an id, such as terminals, come after all others.
    _require_sorted(table.name, sorted_by, key if sorted_by in codes else _nulls_last(key))
    if sorted_by not in codes:
        key = key[key > 0] - 1
    ends = key[[0, -1]].tolist() if key.size else []
    return block, (block[sorted_by].size, np.searchsorted(key, bounds), ends)


def _nulls_last(key: I64) -> I64:
    return np.where(key > 0, key, np.iinfo(np.int64).max)


def _require_sorted(table: str, column: str, key: NDArray[Any], least: int = 0) -> None:
    """Raises InputError unless the keys ascend, from `least` on."""
    if key.size and (key[0] < least or bool((key[1:] < key[:-1]).any())):
        raise _invalid(table, f"its rows are not in order of {column}")


def _invalid(table: str, what: str) -> InputError:
    return InputError(
        "6A.S0.BASE_STATE_INVALID",
        f"{table} is no table a state can build on: {what}",
        where=table,
        remedy="the run was changed, or made by another program: make it again",
    )


def _narrow(values: NDArray[Any], codes: Sequence[str] | None) -> NDArray[Any]:
    return values if codes is not None else values.astype(np.uint32)


def _joined(pieces: Pieces) -> Block:
    cut_out = [_block(block, low, high) for (block,), low, high in pieces]
    return {name: np.concatenate([b[name] for b in cut_out]) for name in cut_out[0]}


def _party_shard(segments: int, pieces: Pieces) -> tuple[PartyShard, tuple[I64, tuple[int, int]]]:
    of = _joined(pieces)
    units = [_unit(of[name], name) for name in ("household_id", "business_group_id")]
    shard = PartyShard(of["party_type"], of["segment_id"], *(u for u, _ in units))
    return shard, (np.bincount(shard.segment, minlength=segments), (units[0][1], units[1][1]))


def _unit(ids: NDArray[np.uint32], name: str) -> tuple[NDArray[np.int32], int]:
    """Units counted from 0 in the shard, −1 for none; and how many: they are numbered densely."""
    is_shared = ids > 0
    if not is_shared.any():
        return np.full(ids.size, -1, dtype=np.int32), 0
    least, most = int(ids[is_shared].min()), int(ids.max())
    if most - least >= np.count_nonzero(is_shared):
        raise _invalid("s1_party_base_6A", f"{name} is not dense in a shard")
    unit = np.where(is_shared, ids.astype(np.int64) - least, -1).astype(np.int32)
    return unit, most - least + 1


def _local(ids: NDArray[np.integer], first: int, n: int, table: str) -> NDArray[np.uint32]:
    """Positions counted from `first`, of published ids; each below `n`."""
    at = ids.astype(np.int64) - (first + 1)
    if at.size and (at.min() < 0 or at.max() >= n):
        raise _invalid(table, "a row refers to an id of another shard")
    return at.astype(np.uint32)


def _starts(holder: NDArray[np.uint32], holders: int) -> NDArray[np.int32]:
    return from_counts(np.bincount(holder, minlength=holders)).astype(np.int32)


def _account_shard(types: int, shard: Shard, pieces: Pieces) -> tuple[AccountShard, I64]:
    of = _joined(pieces)
    owner = _local(of["owner_party_id"], shard.first, shard.n, "s2_account_base_6A")
    kind = of["account_type"]
    accounts = AccountShard(owner, kind, _starts(owner, shard.n))
    return accounts, np.bincount(kind, minlength=types)


def _instrument_shard(bounds: tuple[int, int], pieces: Pieces) -> InstrumentShard:
    of = _joined(pieces)
    accounts = bounds[1] - bounds[0]
    account = _local(of["account_id"], bounds[0], accounts, "s3_instrument_base_6A")
    return InstrumentShard(account, of["instrument_type"], of["scheme"], _starts(account, accounts))


def _device_shard(shard: Shard, pieces: Pieces) -> DeviceShard:
    of = _joined(pieces)
    return DeviceShard(
        of["device_type"],
        of["device_group"],
        of["os_family"],
        of["ua_family"],
        _local(of["primary_party_id"], shard.first, shard.n, "s4_device_base_6A"),
    )


def _circle_shard(shard: Shard, circle: I64, party: I64) -> CircleShard:
    """Circles of a shard; circle, party: of every member, the circle counted from 0 in it."""
    if circle.size and circle[0] != 0:
        raise _invalid("s4_circle_members_6A", "a circle has members of two shards")
    member = (party - shard.first).astype(np.int32)
    of = np.full(shard.n, -1, dtype=np.int32)
    of[member] = circle
    if np.count_nonzero(of >= 0) != member.size:
        raise _invalid("s4_circle_members_6A", "a party is in two circles")
    return CircleShard(of, from_counts(np.bincount(circle)).astype(np.int32), member)


def _terminals(merchant_id: I64, pieces: Pieces) -> Terminals:
    of = _joined(pieces)
    return Terminals(
        of["device_type"],
        of["device_group"],
        of["os_family"],
        of["ua_family"],
        _position(merchant_id, of["primary_merchant_id"], "s4_device_base_6A").astype(np.int32),
        of["home_country_iso"],
        of["home_region_id"],
    )


def _link_shard(kinds: I64, firsts: I64, lasts: I64, pieces: Pieces) -> LinkShard:
    """firsts, lasts: first device, party, account and instrument of the shard, and of the next."""
    of, table = _joined(pieces), "s4_device_links_6A"
    role = of["link_role"]
    targets = np.stack([of[name] for name in TARGETS])
    stated = targets > 0
    if (stated.sum(axis=0) != 1).any() or not stated[kinds[role], np.arange(role.size)].all():
        raise _invalid(table, "a link has not exactly the target of its role")
    target = targets.sum(axis=0, dtype=np.int64) - 1 - np.append(firsts[1:], 0)[kinds[role]]
    last = np.append(lasts[1:] - firsts[1:], np.iinfo(np.uint32).max)[kinds[role]]
    if (target < 0).any() or (target >= last).any():
        raise _invalid(table, "a link has a target of another shard")
    device = _local(of["device_id"], int(firsts[0]), int(lasts[0] - firsts[0]), table)
    return LinkShard(device, role, target.astype(np.uint32))


def _position(known: I64, ids: NDArray[np.integer], table: str) -> I64:
    """Positions of ids in the ascending list `known`, which has them all."""
    at = np.searchsorted(known, ids)
    if at.size and (known.size == 0 or (known[np.minimum(at, known.size - 1)] != ids).any()):
        raise _invalid(table, "a row refers to an id that does not exist")
    return at


def _endpoint_country(
    merchant_id: I64, world_devices: int, ips: tuple[int, int], base: Pieces, links: Pieces
) -> tuple[EndpointCountry, tuple[I64, I64]]:
    """Endpoints of one country; told: those that are merchants' own, and whose."""
    of, link = _joined(base), _joined(links)
    ip, device = link["ip_id"].astype(np.int64) - 1, link["device_id"].astype(np.int64) - 1
    of_device = device >= 0
    own = device[of_device]
    if own.size and own.max() >= world_devices:
        raise _invalid("s4_ip_links_6A", "a row refers to an id that does not exist")
    per_ip = np.bincount(ip[of_device] - ips[0], minlength=ips[1] - ips[0])
    country = EndpointCountry(
        of["ip_type"],
        of["asn_class"],
        of["ip_version"],
        own.astype(np.uint32),
        link["link_role"][of_device],
        from_counts(per_ip),
    )
    merchant = _position(merchant_id, link["merchant_id"][~of_device], "s4_ip_links_6A")
    return country, (ip[~of_device], merchant)
