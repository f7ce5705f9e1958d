"""S4: device plans, co-users from home or firm, access along ownership, caps."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from fraudworld.engine.local import LocalEngine
from fraudworld.policy.loader import load_pack
from fraudworld.stages.accounts import stage as accounts_stage
from fraudworld.stages.context import Context
from fraudworld.stages.instruments import stage as instruments_stage
from fraudworld.stages.network import links
from fraudworld.stages.network.circles import draw_circles
from fraudworld.stages.network.devices import (
    draw_devices,
    expected_types,
    plan_devices,
    raise_to_holders,
)
from fraudworld.stages.network.links import draw_links
from fraudworld.stages.network.token_holders import token_holders
from fraudworld.stages.parties import stage as parties_stage
from support import gathered, worlds

PACK = load_pack().pack
ROLES = PACK.codes("device_link_role")
GROUPS = PACK.codes("device_group")
TYPES = PACK.codes("device_type")


def build(shard=5_000, workers=1):
    """Plan, results and all shards concatenated; `users` counts parties per device."""
    geo, merchants = worlds.geography(PACK, 100_000), worlds.merchants(PACK)
    with LocalEngine(workers) as engine:
        context = Context(
            pack=PACK,
            seed=42,
            geo=geo,
            merchants=merchants,
            parties_per_shard=shard,
            engine=engine,
            step=lambda state, name: nullcontext(),
            emit=lambda table, rows: rows.n,
        )
        parties = parties_stage.run(context)
        accounts = accounts_stage.run(context, parties)
        instruments = instruments_stage.run(context, parties, accounts)
        population = parties.population(len(PACK.codes("region")))
        plan = plan_devices(PACK, 42, expected_types(PACK), population, merchants, 0.1)
        holders = token_holders(PACK, parties, accounts, instruments, engine)
        assert raise_to_holders(PACK, plan, parties, holders) == 0
        device_result = draw_devices(PACK, 42, parties, merchants, geo, plan, holders, engine)
        circles, _ = draw_circles(PACK, 42, parties, engine)
        link_result = draw_links(
            PACK, 42, parties, circles, accounts, instruments, device_result.devices, engine
        )
        targets = zip(
            map(ROLES.index, ("PRIMARY_OWNER", "SECONDARY_USER", *ACCESS)),
            (parties, parties, accounts, instruments),
            strict=True,
        )
        all_links = gathered.links(engine, link_result.links, device_result.devices, tuple(targets))
        devices = gathered.devices(engine, device_result.devices, parties)
        of_party = np.isin(
            all_links.role, [ROLES.index("PRIMARY_OWNER"), ROLES.index("SECONDARY_USER")]
        )
        return SimpleNamespace(
            parties=gathered.parties(engine, parties, geo),
            accounts=gathered.accounts(engine, accounts, parties),
            instruments=gathered.instruments(engine, instruments, accounts),
            plan=plan,
            made=device_result,
            linked=link_result,
            circle=gathered.circles(engine.fetch(circles.items), circles.first),
            devices=devices,
            links=all_links,
            users=np.bincount(all_links.device[of_party], minlength=devices.n),
        )


ACCESS = ("ASSOCIATED_ACCOUNT_ACCESS", "ASSOCIATED_INSTRUMENT_ACCESS")


@pytest.fixture(scope="module")
def world():
    return build()


def _targets(world, role):
    at = world.links.role == ROLES.index(role)
    return world.links.device[at], world.links.target[at]


def test_device_plans_are_conserved_cell_by_cell(world):
    assert all(v == 0 for v in world.made.dropped.values())
    owned = world.devices.owner >= 0
    owner = world.devices.owner[owned]
    counts = np.zeros_like(world.plan.cells)
    cells = (world.parties.region[owner], world.parties.segment[owner], world.devices.type[owned])
    np.add.at(counts, cells, 1)
    assert (counts == world.plan.cells).all()


def test_devices_per_party_and_caps(world):
    devices, n = world.devices, world.parties.n
    owned = np.bincount(devices.owner[devices.owner >= 0], minlength=n)
    assert owned.sum() / n == pytest.approx(2.21, rel=0.02)
    assert owned.max() <= PACK.device_count_priors.max_owned_per_party
    _, users = _targets(world, "SECONDARY_USER")
    used = owned + np.bincount(users, minlength=n)
    assert used.max() <= PACK.device_count_priors.max_used_per_party
    assert world.users.max() <= PACK.validation_policy.linkage_checks.max_parties_per_device


def test_every_device_has_one_owner_or_one_merchant(world):
    devices = world.devices
    device, owner = _targets(world, "PRIMARY_OWNER")
    assert (device == np.flatnonzero(devices.owner >= 0)).all()
    assert (owner == devices.owner[device]).all()
    assert ((devices.owner >= 0) ^ (devices.merchant >= 0)).all()
    terminals = np.bincount(devices.merchant[devices.merchant >= 0])
    assert (terminals == world.plan.terminals).all()


def test_co_users_share_a_home_a_firm_or_a_circle_with_the_owner(world):
    parties = world.parties
    device, co_user = _targets(world, "SECONDARY_USER")
    owner = world.devices.owner[device]
    assert (co_user != owner).all()
    same_home = (parties.household[owner] == parties.household[co_user]) & (
        parties.household[owner] >= 0
    )
    same_firm = (parties.business_group[owner] == parties.business_group[co_user]) & (
        parties.business_group[owner] >= 0
    )
    same_circle = (world.circle[owner] == world.circle[co_user]) & (world.circle[owner] >= 0)
    assert (same_home | same_firm | same_circle).all()
    # Half of a member's shared devices, and all of those who live alone, are used by mates.
    of_members = world.circle[owner] >= 0
    alone = np.bincount(parties.household[parties.household >= 0])[parties.household[owner]] == 1
    assert same_circle[of_members & alone].all()
    one_each = np.unique(device[of_members & ~alone], return_index=True)[1]
    share = same_circle[of_members & ~alone][one_each].mean()
    assert share == pytest.approx(PACK.device_linkage_rules.circles.co_user_share, abs=0.08)
    pairs = device * parties.n + co_user
    assert np.unique(pairs).size == pairs.size
    for group, rule in PACK.device_linkage_rules.sharing.items():
        in_group = (world.devices.group == GROUPS.index(group)) & (world.devices.owner >= 0)
        users = world.users[in_group]
        assert (users > 1).mean() == pytest.approx(rule.share, abs=0.003)
        assert users.max() <= rule.max_users
    assert world.linked.sharing_short == 0
    assert world.linked.with_company.sum() == (world.users > 1).sum()


def test_devices_reach_accounts_of_their_users_and_instruments_of_these(world):
    users = {}
    for role in ("PRIMARY_OWNER", "SECONDARY_USER"):
        for d, p in zip(*_targets(world, role), strict=True):
            users.setdefault(int(d), set()).add(int(p))
    device, account = _targets(world, "ASSOCIATED_ACCOUNT_ACCESS")
    owner = world.accounts.holder[account]
    assert all(int(o) in users[int(d)] for d, o in zip(device, owner, strict=True))
    reached = set(zip(device.tolist(), account.tolist(), strict=True))
    assert len(reached) == device.size, "no account twice on one device"
    d_instrument, instrument = _targets(world, "ASSOCIATED_INSTRUMENT_ACCESS")
    on = world.instruments.holder[instrument]
    pairs = zip(d_instrument.tolist(), on.tolist(), strict=True)
    assert all(pair in reached for pair in pairs)
    rules = PACK.device_linkage_rules
    assert np.bincount(account).max() <= rules.max_devices_per_account
    assert np.bincount(instrument).max() <= rules.max_devices_per_instrument
    for group, law in rules.accounts_per_device.items():
        in_group = np.flatnonzero(world.devices.group == GROUPS.index(group))
        accounts_of_device = np.bincount(device, minlength=world.devices.n)[in_group]
        assert accounts_of_device.max() <= law.maximum
        assert (accounts_of_device == 0).mean() >= law.zero_share - 0.03


def test_rows_are_sorted_by_device_then_role_then_target(world):
    order = ("PRIMARY_OWNER", "SECONDARY_USER", *ACCESS)
    rank = np.array([order.index(r) if r in order else -1 for r in ROLES])[world.links.role]
    assert (rank >= 0).all()
    key = (world.links.device * 8 + rank) * 2**32 + world.links.target
    assert (np.diff(key) > 0).all()


def test_systems_follow_the_device_type_and_browsers_the_system(world):
    devices = world.devices
    systems, agents = PACK.codes("os_family"), PACK.codes("ua_family")
    for t, name in enumerate(TYPES):
        of_type = devices.os[devices.type == t]
        if of_type.size == 0 or name in PACK.device_count_priors.mobile_platform.follow:
            continue  # the market of a country decides: test_platforms.py
        mix = PACK.device_count_priors.os_mix[name]
        share = np.bincount(of_type, minlength=len(systems)) / of_type.size
        expected = np.array([mix.get(o, 0.0) for o in systems])
        assert np.abs(share - expected).max() < 5 * np.sqrt(0.25 / of_type.size)
    for o, name in enumerate(systems):
        used = {agents[u] for u in np.unique(devices.ua[devices.os == o])}
        assert used <= set(PACK.device_count_priors.ua_mix[name])


@pytest.mark.parametrize(("shard", "workers"), [(None, 1), (1_000, 2), (50_000, 2)])
def test_shards_and_workers_change_nothing(world, shard, workers):
    other = build(shard, workers)
    for name in ("device", "role", "target"):
        assert (getattr(other.links, name) == getattr(world.links, name)).all(), name
    for name in ("type", "os", "ua", "owner", "merchant"):
        assert (getattr(other.devices, name) == getattr(world.devices, name)).all(), name


def test_a_full_link_buffer_is_drawn_again_with_more_room(world, monkeypatch):
    monkeypatch.setattr(links, "means", lambda table: np.zeros(len(table)))
    tries = []
    draw = links._draw_links
    monkeypatch.setattr(links, "_draw_links", lambda *a: tries.append(draw(*a)) or tries[-1])
    other = build(50_000)
    assert any(rows == -1 for rows, *_ in tries)
    for name in ("device", "role", "target"):
        assert (getattr(other.links, name) == getattr(world.links, name)).all(), name
