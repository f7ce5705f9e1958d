"""S5's checks: each catches the smallest world broken in its way, and passes the clean one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fraudworld.policy.loader import load_pack
from fraudworld.stages.posture.validate.checks import passed
from support import chain

PACK = load_pack().pack
LINK = {name: i for i, name in enumerate(PACK.codes("device_link_role"))}
SEEN = {name: i for i, name in enumerate(PACK.codes("ip_link_role"))}
K = 1
"""The shard and the country that are broken: neither the first nor the last."""


@pytest.fixture(scope="module")
def world():
    built = chain.build(PACK, 20_000, parties_per_shard=2_048)
    assert len(built.states.parties.shards) > K + 1
    return chain.posture(PACK, built)


def _failing(world):
    return {c.check_id for c in chain.checks(PACK, world) if not c.holds}


def _with(part, name, at, value):
    """A copy of columns where `name[at]` is `value`."""
    column = getattr(part, name).copy()
    column[at] = value
    return replace(part, **{name: column})


def _put(items, value):
    """Items with another value in place K."""
    return [*items[:K], value, *items[K + 1 :]]


def _state(world, **parts):
    """The world with other states."""
    states = replace(world.chain.states, **parts)
    return replace(world, chain=replace(world.chain, states=states))


def _holding(world, state, name, at, value):
    """`state`, one of parties, accounts and instruments, changed in shard K."""
    made = getattr(world.chain.states, state)
    return _state(
        world,
        **{state: replace(made, items=_put(made.items, _with(made.items[K], name, at, value)))},
    )


def _link(world, name, at, value):
    network = world.chain.states.network
    links = network.links
    items = _put(links.items, _with(links.items[K], name, at, value))
    return _state(world, network=replace(network, links=replace(links, items=items)))


def _country(world, name, at, value):
    network = world.chain.states.network
    items = _put(network.countries, _with(network.countries[K], name, at, value))
    return _state(world, network=replace(network, countries=items))


def _terminal(world, name, at, value):
    network = world.chain.states.network
    terminals = _with(network.devices.terminals, name, at, value)
    devices = replace(network.devices, terminals=terminals)
    return _state(world, network=replace(network, devices=devices))


def _roles(world, entity, name, at, value, pieces=(K,)):
    """The roles of an entity, changed in some of their pieces."""
    made = world.roles[entity]
    changed = [
        _with(piece, name, at, value) if k in pieces else piece
        for k, piece in enumerate(made.pieces)
    ]
    return replace(world, roles={**world.roles, entity: replace(made, pieces=changed)})


def _shard(world):
    """Parties, accounts, instruments, device links of shard K."""
    s = world.chain.states
    return (
        s.parties.items[K], s.accounts.items[K], s.instruments.items[K], s.network.links.items[K]
    )  # fmt: skip


def _first(role, world):
    return int(np.flatnonzero(_shard(world)[3].role == LINK[role])[0])


def _devices_of(world, country):
    devices = world.chain.states.network.devices
    own = sum(devices.items[k].owner.size for k in world.chain.states.of_country[country])
    return own + int((devices.terminals.country == country).sum())


def test_the_clean_world_passes_every_check(world):
    checks = chain.checks(PACK, world)
    assert [c.check_id for c in checks if not c.holds] == []
    assert passed(checks)
    assert len({c.check_id for c in checks}) == len(checks)
    assert {c.family for c in checks} == set(PACK.validation_policy.severity)


def _account_above_kmax(world):
    """One more account of a single-product holder, until its product's cap is passed."""
    accounts, caps = _shard(world)[1], PACK.account_per_party_priors.counts
    names = PACK.codes("account_type")
    for party in np.flatnonzero(np.diff(accounts.start) >= 3):
        low, high = accounts.start[party], accounts.start[party + 1]
        kind = accounts.type[low]
        if high - low > caps[names[kind]].cap:
            return _holding(world, "accounts", "type", slice(low, high), kind)
    raise AssertionError("no party holds enough accounts")


def _party_of_another_type(world):
    retail, other = (
        PACK.codes("party_type").index("RETAIL"),
        PACK.codes("party_type").index("OTHER"),
    )
    parties, accounts, *_ = _shard(world)
    at = np.flatnonzero((parties.type == retail) & (np.diff(accounts.start) > 0))[0]
    return _holding(world, "parties", "type", at, other)


def _account_handed_on(world):
    return _holding(world, "accounts", "owner", 0, _shard(world)[0].type.size - 1)


def _instrument_illegal(world):
    """A loan that carries a card."""
    loan = PACK.codes("account_type").index("RETAIL_PERSONAL_LOAN_UNSECURED")
    card = PACK.codes("instrument_type").index("RETAIL_CREDIT_CARD_PHYSICAL")
    _, accounts, instruments, _ = _shard(world)
    at = np.flatnonzero(accounts.type[instruments.account] == loan)[0]
    return _holding(world, "instruments", "type", at, card)


def _card_lost(world):
    """An account whose card became a token: no card, and perhaps no floor."""
    token = PACK.codes("instrument_type").index("WALLET_DEVICE_TOKEN")
    product = PACK.codes("account_type").index("RETAIL_CREDIT_CARD_STANDARD")
    _, accounts, instruments, _ = _shard(world)
    single = (accounts.type == product) & (np.diff(instruments.start) == 1)
    at = instruments.start[np.flatnonzero(single)[0]]
    return _holding(world, "instruments", "type", at, token)


def _account_unknown_to_the_figures(world):
    accounts = world.chain.states.accounts
    return _state(
        world,
        accounts=replace(accounts, first=accounts.first + (np.arange(accounts.first.size) > K)),
    )


def _link_unknown_to_the_figures(world):
    network = world.chain.states.network
    first = network.links.first.copy()
    first[K + 1] -= 1
    return _state(world, network=replace(network, links=replace(network.links, first=first)))


def _edge_unknown_to_the_figures(world):
    network = world.chain.states.network
    first = network.link_first + (np.arange(network.link_first.size) > K)
    return _state(world, network=replace(network, link_first=first))


def _owner_changed(world):
    at = _first("PRIMARY_OWNER", world)
    parties, *_, links = _shard(world)
    return _link(world, "target", at, (links.target[at] + 700) % parties.type.size)


def _owner_demoted(world):
    return _link(world, "role", _first("PRIMARY_OWNER", world), LINK["SECONDARY_USER"])


def _stranger_as_user(world):
    at = _first("SECONDARY_USER", world)
    parties, *_, links = _shard(world)
    return _link(world, "target", at, (links.target[at] + 700) % parties.type.size)


def _account_of_a_stranger(world):
    at = _first("ASSOCIATED_ACCOUNT_ACCESS", world)
    _, accounts, _, links = _shard(world)
    return _link(world, "target", at, (links.target[at] + 900) % accounts.type.size)


def _instrument_not_reached(world):
    at = _first("ASSOCIATED_INSTRUMENT_ACCESS", world)
    _, _, instruments, links = _shard(world)
    return _link(world, "target", at, (links.target[at] + 900) % instruments.type.size)


def _instrument_that_is_not(world):
    at = _first("ASSOCIATED_INSTRUMENT_ACCESS", world)
    return _link(world, "target", at, _shard(world)[2].type.size)


def _link_of_a_terminal(world):
    return _link(
        world, "role", _first("ASSOCIATED_ACCOUNT_ACCESS", world), LINK["MERCHANT_TERMINAL"]
    )


def _terminal_of_nobody(world):
    return _terminal(world, "merchant", -1, world.chain.states.merchants.n)


def _terminals_shuffled(world):
    return _terminal(world, "merchant", 0, world.chain.states.merchants.n - 1)


def _user_behind_an_account(world):
    """A device whose co-user comes after its accounts."""
    links = _shard(world)[3]
    same = links.device[1:] == links.device[:-1]
    user, access = LINK["SECONDARY_USER"], LINK["ASSOCIATED_ACCOUNT_ACCESS"]
    at = np.flatnonzero(same & (links.role[:-1] == user) & (links.role[1:] == access))[0]
    swapped = [at + 1, at]
    moved = _link(world, "role", [at, at + 1], links.role[swapped])
    return _link(moved, "target", [at, at + 1], links.target[swapped])


def _user_twice(world):
    """Once right after another, once with a row between them."""
    links = _shard(world)[3]
    user = LINK["SECONDARY_USER"]
    run = (
        (links.role[2:] == user)
        & (links.role[:-2] == user)
        & (links.device[2:] == links.device[:-2])
    )
    at = np.flatnonzero(run)[0]
    return _link(world, "target", at + 2, links.target[at])


def _account_twice(world):
    links = _shard(world)[3]
    access = LINK["ASSOCIATED_ACCOUNT_ACCESS"]
    run = (links.role[1:] == access) & (links.role[:-1] == access)
    at = np.flatnonzero(run & (links.device[1:] == links.device[:-1]))[0]
    return _link(world, "target", at + 1, links.target[at])


def _links_shuffled(world):
    """The first two devices trade their rows' places."""
    links = _shard(world)[3]
    second = int(np.searchsorted(links.device, 1))
    order = np.r_[second, 0:second, second + 1 : links.device.size]
    for name in ("device", "role", "target"):
        world = _link(world, name, slice(None), getattr(links, name)[order])
    return world


def _pair_twice(world):
    country = world.chain.states.network.countries[K]
    low = country.start[np.flatnonzero(np.diff(country.start) >= 2)[0]]
    return _country(world, "device", low + 1, country.device[low])


def _pair_turned(world):
    country = world.chain.states.network.countries[K]
    low = country.start[np.flatnonzero(np.diff(country.start) >= 2)[0]]
    return _country(world, "device", [low, low + 1], country.device[[low + 1, low]])


def _edge_to_nobody(world):
    return _country(world, "device", -1, world.chain.states.network.devices.n)


def _edge_abroad(world):
    return _country(world, "device", -1, _devices_of(world, K))


def _two_typical(world):
    country = world.chain.states.network.countries[K]
    at = np.flatnonzero(country.role != SEEN["TYPICAL_DEVICE_IP"])[0]
    return _country(world, "role", at, SEEN["TYPICAL_DEVICE_IP"])


def _merchant_role_on_device(world):
    country = world.chain.states.network.countries[K]
    at = np.flatnonzero(country.role != SEEN["TYPICAL_DEVICE_IP"])[0]
    return _country(world, "role", at, SEEN["MERCHANT_ENDPOINT"])


def _role_of_another_group(world):
    """A charity turned mule."""
    other = PACK.codes("party_type").index("OTHER")
    at = np.flatnonzero(_shard(world)[0].type == other)[0]
    mule = PACK.codes("party_raw_role").index("MULE")
    family = PACK.codes("party_family").index("MULE")
    return _roles(_roles(world, "party", "raw", at, mule), "party", "family", at, family)


def _one_tier_moved(world):
    tier = world.roles["device"].pieces[K].tier[0]
    return _roles(world, "device", "tier", 0, (tier + 1) % 4)


def _one_unmapped(world):
    return _roles(world, "ip", "family", 7, PACK.codes("ip_family").index("UNMAPPED"))


def _one_wrong_family(world):
    clean = PACK.codes("account_raw_role").index("CLEAN_ACCOUNT")
    at = np.flatnonzero(world.roles["account"].pieces[K].raw == clean)[0]
    wrong = PACK.codes("account_family").index("MULE_ACCOUNT")
    return _roles(world, "account", "family", at, wrong)


def _no_fraud(world):
    clean = PACK.codes("party_raw_role").index("CLEAN")
    family = PACK.codes("party_family").index("CLEAN")
    everywhere = range(len(world.roles["party"].pieces))
    world = _roles(world, "party", "raw", ..., clean, everywhere)
    return _roles(world, "party", "family", ..., family, everywhere)


def _risky_everywhere(world):
    high = PACK.codes("ip_raw_role").index("HIGH_RISK_IP")
    family = PACK.codes("ip_family").index("HIGH_RISK_IP")
    third, everywhere = slice(None, None, 3), range(len(world.roles["ip"].pieces))
    world = _roles(world, "ip", "raw", third, high, everywhere)
    return _roles(world, "ip", "family", third, family, everywhere)


def _a_role_row_lost(world):
    made = world.roles["device"]
    short = {n: getattr(made.pieces[K], n)[:-1] for n in ("raw", "family", "tier")}
    pieces = _put(made.pieces, replace(made.pieces[K], **short))
    return replace(world, roles={**world.roles, "device": replace(made, pieces=pieces)})


def _a_role_without_a_code(world):
    return _roles(world, "device", "raw", 0, 200)


def _correlation_unknown(world):
    made = world.roles["account"]
    untold = replace(made, diagnostics={**made.diagnostics, "owner_signal_correlation": None})
    return replace(world, roles={**world.roles, "account": untold})


def _types_shifted(world):
    """Homes of the largest country become data centres."""
    home, centre = (PACK.codes("ip_type").index(t) for t in ("RESIDENTIAL", "DATACENTRE"))
    network = world.chain.states.network
    largest = int(np.diff(network.ip_first).argmax())
    country = network.countries[largest]
    countries = [*network.countries]
    countries[largest] = _with(country, "type", country.type == home, centre)
    return _state(world, network=replace(network, countries=countries))


BROKEN = [
    (_account_above_kmax, "holdings_above_kmax"),
    (_party_of_another_type, "products_of_another_party_type"),
    (_account_handed_on, "accounts_out_of_order"),
    (_account_unknown_to_the_figures, "accounts_out_of_order"),
    (_account_unknown_to_the_figures, "account_role_rows_missing"),
    (_instrument_illegal, "illegal_instruments"),
    (_instrument_illegal, "instruments_above_cap"),
    (_card_lost, "tokens_without_card"),
    (_card_lost, "accounts_without_floor"),
    (_owner_changed, "devices_without_one_owner"),
    (_owner_demoted, "devices_without_one_owner"),
    (_stranger_as_user, "co_users_from_elsewhere"),
    (_account_of_a_stranger, "accounts_of_strangers"),
    (_instrument_not_reached, "instruments_not_reached"),
    (_instrument_that_is_not, "device_link_orphans"),
    (_link_of_a_terminal, "terminals_without_one_merchant"),
    (_link_unknown_to_the_figures, "device_links_out_of_order"),
    (_terminal_of_nobody, "terminals_without_one_merchant"),
    (_terminal_of_nobody, "device_link_orphans"),
    (_terminals_shuffled, "device_links_out_of_order"),
    (_user_behind_an_account, "users_misstated"),
    (_user_twice, "duplicate_device_links"),
    (_account_twice, "duplicate_device_links"),
    (_links_shuffled, "device_links_out_of_order"),
    (_pair_twice, "duplicate_ip_device_pairs"),
    (_pair_turned, "ip_links_out_of_order"),
    (_edge_to_nobody, "ip_link_orphans"),
    (_edge_abroad, "links_across_countries"),
    (_edge_unknown_to_the_figures, "ip_links_out_of_order"),
    (_two_typical, "linked_devices_without_one_typical_ip"),
    (_merchant_role_on_device, "merchant_roles_on_devices"),
    (_role_of_another_group, "party_roles_outside_policy"),
    (_one_tier_moved, "device_tiers_off_plan"),
    (_one_unmapped, "unmapped_roles"),
    (_one_wrong_family, "mapped_fraction"),
    (_no_fraud, "party_non_clean_fraction"),
    (_risky_everywhere, "ip_risky_fraction"),
    (_a_role_row_lost, "device_role_rows_missing"),
    (_a_role_without_a_code, "device_role_rows_missing"),
    (_correlation_unknown, "account_owner_score_correlation"),
    (_types_shifted, "ip_type_error_pp_links"),
    (_types_shifted, "ip_type_error_pp_ips"),
]


@pytest.mark.parametrize(("breaking", "check"), BROKEN, ids=lambda x: getattr(x, "__name__", x))
def test_the_smallest_broken_world_is_caught(world, breaking, check):
    assert check in _failing(breaking(world))


@pytest.mark.parametrize(
    ("check", "bound"),
    [
        ("max_devices_per_party", 5),
        ("max_parties_per_device", 2),
        ("max_ips_per_device", 10),
        ("max_instruments_per_account", 4),
    ],
)
def test_limits_come_from_the_policy(world, check, bound):
    """The same world under a stricter policy fails exactly there."""
    limits = PACK.validation_policy.linkage_checks.model_copy(update={check: bound})
    policy = PACK.validation_policy.model_copy(update={"linkage_checks": limits})
    strict = PACK.model_copy(update={"validation_policy": policy})
    assert [c.check_id for c in chain.checks(strict, world) if not c.holds] == [check]


@pytest.mark.parametrize("what", ["account", "instrument", "merchant"])
def test_the_highest_load_is_found(world, what):
    """One device fewer than the busiest one has is too few, in whatever shard it is."""
    check = f"max_devices_per_{what}"
    (seen,) = (c.observed for c in chain.checks(PACK, world) if c.check_id == check)
    assert seen >= 1
    rules = PACK.device_linkage_rules.model_copy(update={check: seen - 1})
    strict = PACK.model_copy(update={"device_linkage_rules": rules})
    assert [c.check_id for c in chain.checks(strict, world) if not c.holds] == [check]


def test_advisory_checks_do_not_close_the_flag(world):
    severity = {**PACK.validation_policy.severity, "role_mapping": "ADVISORY"}
    policy = PACK.validation_policy.model_copy(update={"severity": severity})
    lenient = PACK.model_copy(update={"validation_policy": policy})
    broken = _one_unmapped(world)
    assert not passed(chain.checks(PACK, broken))
    assert passed(chain.checks(lenient, broken))


def test_a_check_is_plain_data(world):
    rows = {c.check_id: c.as_dict() for c in chain.checks(PACK, _correlation_unknown(world))}
    unknown = rows["account_owner_score_correlation"]
    assert unknown["observed"] is None
    assert unknown["status"] == "FAIL"
    assert rows["max_ips_per_device"]["status"] == "PASS"
    assert rows["max_ips_per_device"]["bound"] == "<= 25"
    assert rows["linked_device_fraction"]["bound"] == ">= 0.25"
