"""Mobile systems: the market of a country, income, one system a party, wallets that can pay."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudworld.engine.local import LocalEngine
from fraudworld.policy.loader import load_pack
from fraudworld.stages import platforms
from fraudworld.stages.accounts import stage as accounts_stage
from fraudworld.stages.context import Context
from fraudworld.stages.instruments import stage as instruments_stage
from fraudworld.stages.network import stage as network_stage
from fraudworld.stages.parties import stage as parties_stage
from reference.draws import U64
from support import gathered, worlds

PACK = load_pack().pack
RULE = PACK.device_count_priors.mobile_platform
TYPES, GROUPS = PACK.codes("device_type"), PACK.codes("device_group")
SYSTEMS, SCHEMES = PACK.codes("os_family"), PACK.codes("scheme")
IOS, ANDROID = SYSTEMS.index("IOS"), SYSTEMS.index("ANDROID")
SEGMENTS = PACK.codes("segment")


def build(shard: int = 5_000, workers: int = 1) -> SimpleNamespace:
    """S1 to S4 of a world of 100 000 parties, all shards concatenated."""
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
        network = network_stage.run(context, parties, accounts, instruments)
        held = gathered.accounts(engine, accounts, parties)
        carried = gathered.instruments(engine, instruments, accounts)
        return SimpleNamespace(
            geo=geo,
            parties=gathered.parties(engine, parties, geo),
            devices=gathered.devices(engine, network.devices, parties),
            instruments=carried,
            token_owner=held.holder[carried.holder],
            accounts_of=held.holder,
            plans=context.plans,
        )


@pytest.fixture(scope="module")
def world() -> SimpleNamespace:
    return build()


@pytest.fixture(scope="module")
def phones(world: SimpleNamespace) -> SimpleNamespace:
    """Phones of parties: owner, country, segment, whether on iOS."""
    of = world.devices
    at = np.flatnonzero((of.type == TYPES.index("MOBILE_PHONE")) & (of.owner >= 0))
    owner = of.owner[at]
    return SimpleNamespace(
        owner=owner,
        country=of.country[at],
        segment=world.parties.segment[owner],
        ios=of.os[at] == IOS,
    )


def test_every_large_country_has_the_share_of_ios_of_the_policy(world, phones) -> None:
    judged = 0
    for c, country in enumerate(world.geo.countries):
        inside = phones.country == c
        if inside.sum() < 1_000:
            continue
        judged += 1
        share = platforms.ios_share(PACK, country, PACK.codes("region")[world.geo.region[c]])
        # A party's phones agree, which widens the binomial by about a quarter.
        noise = 1.3 * np.sqrt(share * (1 - share) / inside.sum())
        assert abs(phones.ios[inside].mean() - share) < 5 * noise, country
    assert judged >= 5


def test_the_affluent_are_more_often_on_ios_inside_every_country_together(phones) -> None:
    best, poorest = (SEGMENTS.index(f"RETAIL_{s}") for s in ("AFFLUENT", "VALUE"))
    gaps, weights = [], []
    for c in np.unique(phones.country):
        a, b = ((phones.country == c) & (phones.segment == s) for s in (best, poorest))
        if a.sum() >= 30 and b.sum() >= 30:
            gaps.append(phones.ios[a].mean() - phones.ios[b].mean())
            weights.append(min(a.sum(), b.sum()))
    assert len(gaps) >= 5
    assert np.average(gaps, weights=weights) > 0.12


def test_a_partys_phones_and_watches_agree(world, phones) -> None:
    order = np.argsort(phones.owner, kind="stable")
    owner, ios = phones.owner[order], phones.ios[order]
    same = owner[1:] == owner[:-1]
    # Both follow with .92²; otherwise they agree by chance, at most .98 in a one-sided market.
    assert (ios[1:] == ios[:-1])[same].mean() > 0.9
    of = world.devices
    watch = np.flatnonzero(of.type == TYPES.index("WEARABLE"))
    first_phone = dict(zip(phones.owner[::-1].tolist(), phones.ios[::-1].tolist(), strict=True))
    pairs = [
        (first_phone[o], s == IOS)
        for o, s in zip(of.owner[watch].tolist(), of.os[watch].tolist(), strict=True)
        if o in first_phone
    ]
    assert np.mean([a == b for a, b in pairs]) > 0.93


def test_every_holder_of_a_token_has_a_device_of_its_wallet(world) -> None:
    group = GROUPS.index(RULE.wallet_group)
    for system, scheme in RULE.wallets.items():
        holders = world.token_owner[world.instruments.scheme == SCHEMES.index(scheme)]
        of = world.devices
        able = of.owner[(of.group == group) & (of.os == SYSTEMS.index(system))]
        assert holders.size > 1_000
        assert np.isin(holders, able).all()


def test_no_party_holds_tokens_of_two_wallets(world) -> None:
    of = [world.token_owner[world.instruments.scheme == SCHEMES.index(s)]
          for s in RULE.wallets.values()]  # fmt: skip
    assert np.intersect1d(*of).size == 0


def test_holders_are_on_ios_as_often_as_their_market(world) -> None:
    """Wallets select nobody: P(APPLE_PAY) of holders is that of parties of their cells."""
    population = np.zeros((len(world.geo.countries), len(SEGMENTS)), dtype=np.int64)
    np.add.at(population, (world.parties.country, world.parties.segment), 1)
    ios = platforms.ios_shares(PACK, world.geo, population)
    apple, google = (
        np.unique(world.token_owner[world.instruments.scheme == SCHEMES.index(RULE.wallets[s])])
        for s in ("IOS", "ANDROID")
    )
    holders = np.concatenate([apple, google])
    p = ios[world.parties.country[holders], world.parties.segment[holders]]
    assert abs(apple.size - p.sum()) < 4 * np.sqrt((p * (1 - p)).sum())


def test_shares_of_a_country_are_kept_over_its_segments(world) -> None:
    population = np.zeros((len(world.geo.countries), len(SEGMENTS)), dtype=np.int64)
    np.add.at(population, (world.parties.country, world.parties.segment), 1)
    ios = platforms.ios_shares(PACK, world.geo, population)
    regions = PACK.codes("region")
    for c, country in enumerate(world.geo.countries):
        share = platforms.ios_share(PACK, country, regions[world.geo.region[c]])
        assert (population[c] * ios[c]).sum() / population[c].sum() == pytest.approx(share)


def test_engaged_parties_have_more_accounts_and_more_devices(world) -> None:
    n = world.parties.n
    accounts = np.bincount(world.accounts_of, minlength=n)
    devices = np.bincount(world.devices.owner[world.devices.owner >= 0], minlength=n)
    r = [
        np.corrcoef(accounts[inside], devices[inside])[0, 1]
        for s in range(len(SEGMENTS))
        if (inside := world.parties.segment == s).sum() > 2_000
    ]
    assert len(r) >= 8
    assert 0.15 <= np.mean(r) <= 0.4


def test_terminals_and_computers_keep_the_mix_of_the_world(world) -> None:
    of = world.devices
    assert set(of.os[of.owner < 0].tolist()) == {SYSTEMS.index("EMBEDDED")}
    laptops = of.os[of.type == TYPES.index("LAPTOP")]
    mix = PACK.device_count_priors.os_mix["LAPTOP"]
    for system, share in mix.items():
        noise = np.sqrt(share * (1 - share) / laptops.size)
        assert abs((laptops == SYSTEMS.index(system)).mean() - share) < 5 * noise


def test_no_scheme_issues_a_card_it_does_not_have(world) -> None:
    kinds = PACK.codes("instrument_type")
    for kind, excluded in PACK.instrument_mix_priors.scheme_exclusions.items():
        used = world.instruments.scheme[world.instruments.type == kinds.index(kind)]
        assert used.size > 0
        assert not np.isin(used, [SCHEMES.index(s) for s in excluded]).any()
    credit = world.instruments.scheme[
        world.instruments.type == kinds.index("RETAIL_CREDIT_CARD_PHYSICAL")
    ]
    assert (credit == SCHEMES.index("AMEX")).any()


def test_systems_do_not_depend_on_how_parties_are_cut(world) -> None:
    other = build(shard=2_048, workers=2)
    for name in ("type", "os", "ua", "owner"):
        assert (getattr(other.devices, name) == getattr(world.devices, name)).all()
    assert (other.instruments.scheme == world.instruments.scheme).all()


def test_a_plan_below_its_holders_is_raised(world) -> None:
    assert world.plans["s4_devices"]["raised_to_token_holders"] == 0


@given(st.integers(0, U64), st.integers(0, 2**63))
@settings(max_examples=300)
def test_a_holders_draw_lies_on_the_system_of_its_wallet(draw: int, android: int) -> None:
    """The scaling of `stages/network/systems.py`, in the integers of Python."""
    high = draw >> 32
    on_android = high * (android >> 31)
    assert on_android >> 1 <= android
    rest = 2**63 - android >> 31
    if rest:
        on_ios = 2 * android + high * rest
        assert android <= on_ios >> 1 < 2**63


@pytest.mark.parametrize(
    ("to", "base", "kept"), [(0.45, 0.28, None), (0.0, 0.28, 0.0), (1.0, 0.28, 1.0)]
)
def test_shares_shift_by_an_odds_ratio(to: float, base: float, kept: float | None) -> None:
    shares = np.array([0.01, 0.28, 0.58])
    out = platforms.shifted(shares, to, base)
    if kept is None:
        assert out[1] == pytest.approx(to)
        odds = out / (1 - out) / (shares / (1 - shares))
        assert odds == pytest.approx(np.full(3, odds[0]))
    else:
        assert (out == kept).all()


def test_no_platform_where_every_device_draws_its_own() -> None:
    pack = load_pack(overlays=["published_baseline"]).pack
    assert not platforms.follows_country(pack)
