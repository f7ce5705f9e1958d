"""S4: circles of retail parties who share devices and lines across homes."""

from __future__ import annotations

import numpy as np
import pytest

from fraudworld.policy.circles import size_shares
from fraudworld.policy.loader import load_pack
from support import chain, gathered

PACK = load_pack().pack
RULE = PACK.device_linkage_rules.circles
RETAIL = PACK.codes("party_type").index("RETAIL")
HOME = PACK.codes("ip_type").index("RESIDENTIAL")


class World:
    """Circle, type, segment and home of every party; homes are numbered in the world."""

    def __init__(self, built):
        states = built.states
        self.circles, self.network = states.network.circles, states.network
        self.circle = gathered.circles(self.circles.items, self.circles.first)
        people = states.parties
        self.type = np.concatenate([s.type for s in people.items])
        self.segment = np.concatenate([s.segment for s in people.items])
        self.home = np.concatenate(
            [
                np.where(s.household >= 0, s.household + first, -1)
                for s, first in zip(people.items, people.household_first.tolist(), strict=False)
            ]
        )
        self.shard = np.repeat(np.arange(len(people.shards)), np.diff(people.first))

    @property
    def sizes(self):
        return np.bincount(self.circle[self.circle >= 0])


@pytest.fixture(scope="module")
def built():
    return chain.build(PACK, 100_000)


@pytest.fixture(scope="module")
def world(built):
    return World(built)


def test_members_are_retail_parties_of_several_homes(world):
    inside = world.circle >= 0
    assert (world.type[inside] == RETAIL).all()
    pairs = np.unique(np.stack([world.circle[inside], world.home[inside]]), axis=1)
    homes = np.bincount(pairs[0])
    assert homes.min() >= 2
    assert np.array_equal(np.unique(world.circle[inside]), np.arange(world.circles.first[-1]))


def test_share_and_sizes_are_those_of_the_policy(world):
    """Null: circles of an atom are independent. False alarm below 1e-4 at 4 sd."""
    sizes = world.sizes
    law = np.array(size_shares(RULE))
    values = np.arange(RULE.smallest, RULE.largest + 1)
    assert sizes.min() >= RULE.smallest
    assert sizes.max() <= RULE.largest
    spread = np.sqrt(law @ values**2 - (law @ values) ** 2)
    # The circle that would exceed the share of an atom forms less often: large ones are rarer.
    assert sizes.mean() == pytest.approx(
        RULE.mean_members, abs=4 * spread / np.sqrt(sizes.size) + 0.3
    )
    share = np.count_nonzero(world.circle >= 0) / np.count_nonzero(world.type == RETAIL)
    assert share == pytest.approx(RULE.member_share, abs=0.006)


def test_sizes_have_the_mean_of_the_policy():
    law = np.array(size_shares(RULE))
    assert law.sum() == pytest.approx(1.0)
    assert law @ np.arange(RULE.smallest, RULE.largest + 1) == pytest.approx(RULE.mean_members)
    assert (np.diff(law) < 0).all()


def test_three_circles_in_ten_are_of_one_segment(world):
    inside = world.circle >= 0
    pairs = np.unique(np.stack([world.circle[inside], world.segment[inside]]), axis=1)
    one = (np.bincount(pairs[0]) == 1).mean()
    assert one == pytest.approx(RULE.one_segment_share, abs=0.06)


def test_a_policy_without_circles_has_none_and_draws_nothing():
    none = RULE.model_copy(update={"member_share": 0.0})
    rules = PACK.device_linkage_rules.model_copy(update={"circles": none})
    pack = PACK.model_copy(update={"device_linkage_rules": rules})
    network = chain.build(pack, 5_000).states.network
    assert network.circles.first.max() == 0
    assert all((s.of == -1).all() and s.member.size == 0 for s in network.circles.items)


@pytest.mark.parametrize("parties_per_shard", [4_096, 20_480])
def test_the_cut_into_shards_changes_nothing(world, parties_per_shard):
    cut = World(chain.build(PACK, 100_000, parties_per_shard=parties_per_shard))
    assert np.array_equal(cut.circle, world.circle)
    for whole, part in zip(world.network.countries, cut.network.countries, strict=True):
        assert np.array_equal(whole.start, part.start)
        assert np.array_equal(whole.device, part.device)


def test_a_circle_shares_one_line_of_many_homes(world, built):
    """Endpoints at home with more than a home's devices are lines of one circle."""
    devices, most = built.states.network.devices, PACK.ip_count_priors.homes.max_devices_per_lease
    shards = built.states.parties.shards
    owner = np.concatenate(
        [of.owner + np.int64(shard.first) for of, shard in zip(devices.items, shards, strict=True)]
    )
    lines = 0
    for endpoints in world.network.countries:
        degree = np.diff(endpoints.start)
        for e in np.flatnonzero((endpoints.type == HOME) & (degree > most)):
            device = endpoints.device[endpoints.start[e] : endpoints.start[e + 1]]
            circle = world.circle[owner[device]]
            assert circle[0] >= 0
            assert (circle == circle[0]).all()
            assert RULE.line.min_devices <= degree[e] <= RULE.line.max_devices
            lines += 1
    assert lines > 0.5 * world.circles.first[-1]
