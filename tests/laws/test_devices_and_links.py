"""S4: device plans, sharing inside homes and firms, access along ownership, caps."""

from __future__ import annotations

import numpy as np
import pytest

import worlds
from fraudworld.engine.local import LocalEngine, cut
from fraudworld.policy.loader import load_pack
from fraudworld.stages.accounts.draw import (
    accounts_of,
    allocate_accounts,
    enforce_kmax_per_party_account_type,
    plan_accounts,
)
from fraudworld.stages.instruments.draw import (
    allocate_instruments,
    instruments_of,
    plan_instruments,
)
from fraudworld.stages.network.devices import draw_devices, plan_devices
from fraudworld.stages.network.links import draw_links
from fraudworld.stages.parties.draw import draw_parties
from fraudworld.stages.parties.plan import plan_counts

PACK = load_pack().pack
ROLES = PACK.codes("device_link_role")
GROUPS = PACK.codes("device_group")
TYPES = PACK.codes("device_type")


def build(shard=5_000, workers=1):
    geo, merchants = worlds.geography(PACK, 100_000), worlds.merchants(PACK)
    with LocalEngine(workers) as engine:
        parties, _ = draw_parties(PACK, 42, geo, plan_counts(PACK, 42, geo), shard, engine)
        shards = cut(parties.country_start, shard)
        plans = plan_accounts(PACK, parties)
        drafts, _ = allocate_accounts(PACK, 42, parties, plans, shards, engine)
        held, _ = enforce_kmax_per_party_account_type(PACK, 42, parties, drafts, engine)
        accounts = accounts_of(held, parties, shards, engine)
        region = parties.region[accounts.owner]
        pairs = plan_instruments(PACK, accounts, region)
        wallets = allocate_instruments(PACK, 42, accounts, region, pairs, engine)
        instruments, _ = instruments_of(PACK, 42, wallets, accounts, parties, geo, engine)
        plan = plan_devices(PACK, parties, merchants, 0.1)
        made = draw_devices(PACK, 42, parties, merchants, geo, plan, shards, engine)
        linked = draw_links(PACK, 42, parties, accounts, instruments, made.devices, shards, engine)
    return parties, accounts, instruments, plan, made, linked


@pytest.fixture(scope="module")
def world():
    return build()


def _targets(linked, role):
    at = linked.links.role == ROLES.index(role)
    return linked.links.device[at].astype(np.int64), linked.links.target[at].astype(np.int64)


def test_device_plans_are_conserved_cell_by_cell(world):
    parties, _, _, plan, made, _ = world
    devices = made.devices
    assert all(v == 0 for v in made.dropped.values())
    owned = devices.owner >= 0
    owner = devices.owner[owned]
    counts = np.zeros_like(plan.cells)
    np.add.at(counts, (parties.region[owner], parties.segment[owner], devices.type[owned]), 1)
    assert (counts == plan.cells).all()


def test_size_and_caps(world):
    parties, _, _, _, _made, linked = world
    devices = linked.devices
    owned = np.bincount(devices.owner[devices.owner >= 0], minlength=parties.n)
    assert owned.sum() / parties.n == pytest.approx(2.21, rel=0.02)
    assert owned.max() <= PACK.device_count_priors.max_owned_per_party
    _, users = _targets(linked, "SECONDARY_USER")
    used = owned + np.bincount(users, minlength=parties.n)
    assert used.max() <= PACK.device_count_priors.max_used_per_party
    assert devices.users.max() <= PACK.validation_policy.linkage_checks.max_parties_per_device


def test_every_device_has_one_owner_or_one_merchant(world):
    _, _, _, _, _, linked = world
    devices = linked.devices
    device, owner = _targets(linked, "PRIMARY_OWNER")
    assert (device == np.flatnonzero(devices.owner >= 0)).all()
    assert (owner == devices.owner[device]).all()
    device, merchant = _targets(linked, "MERCHANT_TERMINAL")
    assert (device == np.flatnonzero(devices.merchant >= 0)).all()
    assert (merchant == devices.merchant[device]).all()
    assert ((devices.owner >= 0) ^ (devices.merchant >= 0)).all()


def test_shared_devices_are_shared_at_home_or_in_the_firm(world):
    parties, _, _, _, _made, linked = world
    device, other = _targets(linked, "SECONDARY_USER")
    owner = linked.devices.owner[device]
    assert (other != owner).all()
    same_home = (parties.household[owner] == parties.household[other]) & (
        parties.household[owner] >= 0
    )
    same_firm = (parties.business_group[owner] == parties.business_group[other]) & (
        parties.business_group[owner] >= 0
    )
    assert (same_home | same_firm).all()
    pairs = device * parties.n + other
    assert np.unique(pairs).size == pairs.size
    for group, rule in PACK.device_linkage_rules.sharing.items():
        mine = (linked.devices.group == GROUPS.index(group)) & (linked.devices.owner >= 0)
        users = linked.devices.users[mine]
        assert (users > 1).mean() == pytest.approx(rule.share, abs=0.003)
        assert users.max() <= rule.max_users
    assert linked.sharing_short == 0


def test_access_stays_with_the_users_and_their_accounts(world):
    _parties, accounts, instruments, _, _, linked = world
    users = {}
    for role in ("PRIMARY_OWNER", "SECONDARY_USER"):
        for d, p in zip(*_targets(linked, role), strict=True):
            users.setdefault(int(d), set()).add(int(p))
    device, account = _targets(linked, "ASSOCIATED_ACCOUNT_ACCESS")
    owner = accounts.owner[account]
    assert all(int(o) in users[int(d)] for d, o in zip(device, owner, strict=True))
    reached = set(zip(device.tolist(), account.tolist(), strict=True))
    assert len(reached) == device.size, "no account twice on one device"
    d_instrument, instrument = _targets(linked, "ASSOCIATED_INSTRUMENT_ACCESS")
    pairs = zip(d_instrument.tolist(), instruments.account[instrument].tolist(), strict=True)
    assert all(pair in reached for pair in pairs)
    rules = PACK.device_linkage_rules
    assert np.bincount(account).max() <= rules.max_devices_per_account
    assert np.bincount(instrument).max() <= rules.max_devices_per_instrument
    for group, law in rules.accounts_per_device.items():
        mine = np.flatnonzero(linked.devices.group == GROUPS.index(group))
        per = np.bincount(device, minlength=linked.devices.n)[mine]
        assert per.max() <= law.maximum
        assert (per == 0).mean() >= law.zero_share - 0.03


def test_rows_are_sorted_by_device_then_role_then_target(world):
    links = world[5].links
    order = {
        name: i
        for i, name in enumerate(
            (
                "PRIMARY_OWNER",
                "SECONDARY_USER",
                "ASSOCIATED_ACCOUNT_ACCESS",
                "ASSOCIATED_INSTRUMENT_ACCESS",
                "MERCHANT_TERMINAL",
            )
        )
    }
    rank = np.array([order[r] for r in ROLES])[links.role]
    key = (links.device.astype(np.int64) * 8 + rank) * 2**32 + links.target
    assert (np.diff(key) > 0).all()


def test_systems_and_browsers_fit(world):
    devices = world[4].devices
    systems, agents = PACK.codes("os_family"), PACK.codes("ua_family")
    for t, name in enumerate(TYPES):
        mine = devices.os[devices.type == t]
        if mine.size == 0:
            continue
        mix = PACK.device_count_priors.os_mix[name]
        share = np.bincount(mine, minlength=len(systems)) / mine.size
        expected = np.array([mix.get(o, 0.0) for o in systems])
        assert np.abs(share - expected).max() < 5 * np.sqrt(0.25 / mine.size)
    for o, name in enumerate(systems):
        used = {agents[u] for u in np.unique(devices.ua[devices.os == o])}
        assert used <= set(PACK.device_count_priors.ua_mix[name])


@pytest.mark.parametrize(("shard", "workers"), [(None, 1), (1_000, 2), (50_000, 2)])
def test_shards_and_workers_do_not_matter(world, shard, workers):
    _, _, _, _, _made, linked = build(shard, workers)
    for name in ("device", "role", "target"):
        assert (getattr(linked.links, name) == getattr(world[5].links, name)).all(), name
    for name in ("type", "os", "ua", "owner", "home", "users"):
        assert (getattr(linked.devices, name) == getattr(world[5].devices, name)).all(), name
