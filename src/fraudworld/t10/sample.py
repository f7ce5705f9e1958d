"""One arm of T10 as arrays: a stream and the world it was generated over.

Read from published tables only. Positions are 0-based (published id − 1), −1 where a flow has
no such entity. About 35 bytes a flow: twenty million flows take 0.7 GB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import BY_NAME
from fraudworld.contracts.table import Table
from fraudworld.contracts.transactions import CODES, DOWNSTREAM_BY_NAME
from fraudworld.errors import InputError
from fraudworld.layers.transactions.layout import StreamPlace
from fraudworld.policy.pack import PolicyPack
from fraudworld.store.identity import Identity
from fraudworld.store.layout import RunPlace
from fraudworld.store.published import sealed_policy
from fraudworld.store.reader import blocks, parts, read_columns
from fraudworld.store.receipt import read_receipt

U8 = NDArray[np.uint8]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

POSTURE = CODES["cause"].index("POSTURE")
LEGIT = CODES["truth_label"].index("LEGIT")


@dataclass(frozen=True)
class Flows:
    """Columns of the flows, (n,) each, in time order."""

    bad: Bools  # labelled FRAUD or ABUSE
    cause: U8  # code of contracts.transactions `cause`
    subtype: U8  # code of `truth_subtype`
    ts: I64  # ms since 1970 UTC
    session: I64
    party: I32  # positions from here to `ip`
    account: I32
    merchant: I32
    device: I32
    ip: I32
    channel: U8  # code of `channel_group`
    cents: I32  # US cents


@dataclass(frozen=True)
class Roles:
    """Fraud roles of one type of entity, (entities,) each."""

    family: U8  # code of the canonical family, in the order of the policy
    risky: Bools  # the family is not the clean one
    tier: U8


@dataclass(frozen=True)
class World:
    """Entities of the run, (entities,) each, and their degrees in its graph."""

    party: Roles
    account: Roles
    device: Roles
    ip: Roles
    merchant: Roles
    party_type: U8
    region: U8
    segment: U8
    unit: I32  # of every party: its circle, else its home or firm, else itself
    attachable: Bools  # parties with an account that can pay and a device that can be used
    account_owner: I32
    account_type: U8
    device_owner: I32  # −1: terminal
    degrees: dict[str, I32]  # party_accounts, party_devices, account_instruments,
    # device_users, device_ips, ip_devices


@dataclass(frozen=True)
class Sample:
    """One arm: its flows and its world."""

    name: str
    flows: Flows
    world: World
    pack: PolicyPack
    seed: int
    first_flow: int = 1  # number of the first flow

    @property
    def size(self) -> int:
        """Number of flows."""
        return int(self.flows.bad.size)

    @property
    def posture(self) -> Bools:
        """Flags flows whose label is caused by a posture rule."""
        return np.asarray(self.flows.cause == POSTURE)


def load(name: str, run: Path, layer: Path) -> Sample:
    """Reads one arm: a published run, and the layer folder (`data/layer3/6B`) of its stream.

    Raises InputError `6B.S5.WITNESS_INPUT_INVALID` for a stream of another run or without truth
    tables, and the errors of the table reader for a missing or damaged table.
    """
    place = RunPlace(run)
    identity = read_receipt(place).identity
    pack = sealed_policy(run)
    stream = StreamPlace(layer)
    missing = [
        table
        for table in ("s1_arrival_entities_6B", "s4_flow_truth_labels_6B")
        if not stream.dataset(table, identity).is_dir()
    ]
    if missing:
        raise InputError(
            "6B.S5.WITNESS_INPUT_INVALID",
            f"arm {name}: the stream has no {missing[0]} of run {run.name}",
            where=str(layer),
            remedy="name a stream generated over this run, with its truth tables",
        )
    flows = _flows(stream, identity)
    first = next(_flow_ids(stream, identity))
    return Sample(name, flows, load_world(place, pack, identity), pack, identity.seed, first)


def _flow_ids(stream: StreamPlace, identity: Identity) -> Iterator[int]:
    """Yields the first flow id of every row group."""
    table = DOWNSTREAM_BY_NAME["s1_arrival_entities_6B"]
    for path in parts(stream.dataset(table.name, identity)):
        for block in blocks(path, table, ["flow_id"], {}):
            yield int(block["flow_id"].astype(np.int64)[0])


def _flows(stream: StreamPlace, identity: Identity) -> Flows:
    """Reads the columns of the flows from the arrival, anchor and truth tables."""

    def column(table: str, name: str, dtype: type[np.generic], offset: int = 0) -> NDArray[Any]:
        contract = DOWNSTREAM_BY_NAME[table]
        return _narrow(stream.dataset(table, identity), contract, name, dtype, offset)

    arrival, anchor, truth = (
        "s1_arrival_entities_6B", "s2_flow_anchor_6B", "s4_flow_truth_labels_6B",
    )  # fmt: skip
    flows = Flows(
        column(truth, "truth_label", np.uint8) != LEGIT,
        column(truth, "cause", np.uint8),
        column(truth, "truth_subtype", np.uint8),
        column(arrival, "ts_utc", np.int64),
        column(arrival, "session_id", np.int64),
        column(arrival, "party_id", np.int32, -1),
        column(arrival, "account_id", np.int32, -1),
        column(arrival, "merchant_id", np.int32, -1),
        column(arrival, "device_id", np.int32, -1),
        column(arrival, "ip_id", np.int32, -1),
        column(arrival, "channel_group", np.uint8),
        column(anchor, "amount_usd_minor", np.int32),
    )  # fmt: skip
    sizes = {values.size for values in vars(flows).values()}
    if len(sizes) != 1 or 0 in sizes:
        raise InputError(
            "6B.S5.WITNESS_INPUT_INVALID",
            "the stream's tables differ in length or hold no flow",
            where=str(stream.layer),
            remedy="generate the stream again: it is incomplete",
        )
    return flows


def _narrow(
    folder: Path, table: Table, name: str, dtype: type[np.generic], offset: int
) -> NDArray[Any]:
    """Reads one column into a narrow dtype, a row group at a time."""
    codes = {c.name: CODES[c.codes] for c in table.columns if c.codes in CODES}
    return np.concatenate(
        [
            (block[name] + offset if offset else block[name]).astype(dtype)
            for path in parts(folder)
            for block in blocks(path, table, [name], codes)
        ]
    )


def load_world(place: RunPlace, pack: PolicyPack, identity: Identity) -> World:
    """Reads the entities of a run."""

    def read(name: str, *columns: str) -> dict[str, Any]:
        table = BY_NAME[name]
        codes = {
            c.name: pack.codes(c.codes) for c in table.columns if c.name in columns and c.codes
        }
        return dict(read_columns(place.dataset(name, identity), table, columns, codes))

    def roles(entity: str) -> Roles:
        # Mapped from the raw role, because a baseline may publish roles without a family.
        columns = read(f"s5_{entity}_fraud_roles_6A", "raw_role", "risk_tier")
        law = pack.fraud_role_taxonomy.entities[entity]
        families = pack.codes(f"{entity}_family")
        of_raw = np.array(
            [families.index(law.mapping[raw]) for raw in pack.codes(f"{entity}_raw_role")],
            np.uint8,
        )
        family = of_raw[columns["raw_role"]]
        return Roles(family, family != families.index(law.clean_family), columns["risk_tier"])

    people = read(
        "s1_party_base_6A",
        "party_type", "region_id", "segment_id", "household_id", "business_group_id",
    )  # fmt: skip
    circles = read("s4_circle_members_6A", "circle_id", "party_id")
    accounts = read("s2_account_base_6A", "owner_party_id", "account_type")
    devices = read("s4_device_base_6A", "primary_party_id", "device_type")
    ips = read("s5_ip_fraud_roles_6A", "raw_role")["raw_role"].size
    owner = (accounts["owner_party_id"] - 1).astype(np.int32)
    device_owner = (devices["primary_party_id"] - 1).astype(np.int32)
    parties = people["party_type"].size
    users = read("s4_device_links_6A", "device_id", "party_id")
    has_party = users["party_id"] > 0
    user, used = users["party_id"][has_party] - 1, users["device_id"][has_party] - 1
    del users, has_party
    usable = _weights(pack, "device_type", pack.attachment.device_use)[devices["device_type"]] > 0
    degrees = {
        "party_accounts": _count(owner, parties),
        "party_devices": _count(user, parties),
        "device_users": _count(used, device_owner.size),
        "account_instruments": _count(
            read("s3_instrument_base_6A", "account_id")["account_id"] - 1, owner.size
        ),
    }
    can_pay = _weights(pack, "account_type", pack.attachment.account_use)[accounts["account_type"]]
    pays = (can_pay > 0) & (degrees["account_instruments"] > 0)
    attachable = (_count(owner[pays], parties) > 0) & (_count(user[usable[used]], parties) > 0)
    del user, used
    links = read("s4_ip_links_6A", "ip_id", "device_id")
    has_device = links["device_id"] > 0
    degrees["ip_devices"] = _count(links["ip_id"][has_device] - 1, ips)
    degrees["device_ips"] = _count(links["device_id"][has_device] - 1, device_owner.size)
    del links, has_device
    return World(
        roles("party"), roles("account"), roles("device"), roles("ip"), roles("merchant"),
        people["party_type"], people["region_id"], people["segment_id"],
        _units(people["household_id"], people["business_group_id"], circles),
        attachable, owner, accounts["account_type"], device_owner, degrees,
    )  # fmt: skip


def _units(home: I64, firm: I64, circles: Mapping[str, I64]) -> I32:
    """The unit whose members have risk in common, of every party, numbered from 0.

    home, firm: (parties,), not positive for none. circles: columns of `s4_circle_members_6A`.
    """
    unit = np.where(home > 0, 3 * home, np.where(firm > 0, 3 * firm + 1, -1 - np.arange(home.size)))
    unit[circles["party_id"] - 1] = 3 * circles["circle_id"] + 2
    return np.unique(unit, return_inverse=True)[1].astype(np.int32)


def _weights(pack: PolicyPack, codes: str, weights: Mapping[str, float]) -> NDArray[np.float64]:
    return np.array([float(weights.get(word, 0.0)) for word in pack.codes(codes)])


def _count(position: NDArray[np.integer], n: int) -> I32:
    return np.bincount(position, minlength=n).astype(np.int32)


def permuted(sample: Sample, draw: int = 0) -> Sample:
    """The same flows with the roles permuted: a negative control.

    Roles are permuted within each entity type: of parties within (party type, region, tier),
    of accounts and devices within those of their owner, of endpoints and merchants within
    their tier. An effect that remains is not an effect of the roles. `draw` numbers the
    permutations.
    """
    world = sample.world
    place = world.party_type.astype(np.int64) * 256 + world.region
    owners = {
        "party": place,
        "account": place[world.account_owner],
        "device": np.where(world.device_owner >= 0, place[world.device_owner], -1),
        "ip": np.zeros(world.ip.tier.size, np.int64),
        "merchant": np.zeros(world.merchant.tier.size, np.int64),
    }
    shuffled: dict[str, Any] = {}
    for number, (entity, group) in enumerate(owners.items()):
        roles: Roles = getattr(world, entity)
        random = np.random.Generator(np.random.Philox(key=[sample.seed, draw * 8 + number]))
        order = _shuffled(group.astype(np.int64) * 256 + roles.tier, random)
        shuffled[entity] = Roles(roles.family[order], roles.risky[order], roles.tier)
    return replace(sample, name="permuted", world=replace(world, **shuffled))


def _shuffled(group: I64, random: np.random.Generator) -> I64:
    """A random permutation of positions within their groups."""
    noise = random.random(group.size)
    target = np.argsort(group, kind="stable")
    source = np.lexsort((noise, group))
    order = np.empty(group.size, np.int64)
    order[target] = source
    return order
