"""Each check of S5 fails on the smallest world that breaks it, and passes the clean world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fraudworld.policy.loader import load_pack
from fraudworld.stages.posture.validate.checks import passed
from support import chain

PACK = load_pack().pack
LINK = {name: i for i, name in enumerate(PACK.codes("device_link_role"))}
IP_LINK = {name: i for i, name in enumerate(PACK.codes("ip_link_role"))}
K = 1
"""The shard and the country that a break changes: neither the first nor the last."""


@pytest.fixture(scope="module")
def world():
    built = chain.build(PACK, 20_000, parties_per_shard=2_048)
    assert len(built.states.parties.shards) > K + 1
    return chain.posture(PACK, built)


def _failing(world):
    return {c.check_id for c in chain.checks(PACK, world) if not c.holds}


def _with(part, name, at, value):
    """A copy of the columns with `name[at] = value`."""
    column = getattr(part, name).copy()
    column[at] = value
    return replace(part, **{name: column})


def _put(items, value):
    """Items with `value` in place K."""
    return [*items[:K], value, *items[K + 1 :]]


def _state(world, **parts):
    """The world with some states replaced."""
    states = replace(world.chain.states, **parts)
    return replace(world, chain=replace(world.chain, states=states))


def _holding(world, state, name, at, value):
    """Changes `name[at]` of a state (parties, accounts or instruments) in shard K."""
    table = getattr(world.chain.states, state)
    return _state(
        world,
        **{state: replace(table, items=_put(table.items, _with(table.items[K], name, at, value)))},
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
    """Changes `name[at]` of the roles of an entity in the given pieces."""
    roles = world.roles[entity]
    changed = [
        _with(piece, name, at, value) if k in pieces else piece
        for k, piece in enumerate(roles.pieces)
    ]
    return replace(world, roles={**world.roles, entity: replace(roles, pieces=changed)})


def _shard(world):
    """Parties, accounts, instruments, device links of shard K."""
    s = world.chain.states
    return (
        s.parties.items[K], s.accounts.items[K], s.instruments.items[K], s.network.links.items[K]
    )  # fmt: skip


def _first(role, world):
    return int(np.flatnonzero(_shard(world)[3].role == LINK[role])[0])


def test_the_clean_world_passes_every_check(world):
    checks = chain.checks(PACK, world)
    assert [c.check_id for c in checks if not c.holds] == []
    assert passed(checks)
    assert len({c.check_id for c in checks}) == len(checks)
    assert {c.family for c in checks} == set(PACK.validation_policy.severity)


def _account_above_kmax(world):
    """All accounts of one holder get one product, more of them than its cap."""
    accounts, caps = _shard(world)[1], PACK.account_per_party_priors.counts
    names = PACK.codes("account_type")
    for party in np.flatnonzero(np.diff(accounts.start) >= 3):
        low, high = accounts.start[party], accounts.start[party + 1]
        product = accounts.type[low]
        if high - low > caps[names[product]].cap:
            return _holding(world, "accounts", "type", slice(low, high), product)
    raise AssertionError("no party holds enough accounts")


def _party_of_another_type(world):
    retail, other = (
        PACK.codes("party_type").index("RETAIL"),
        PACK.codes("party_type").index("OTHER"),
    )
    parties, accounts, *_ = _shard(world)
    at = np.flatnonzero((parties.type == retail) & (np.diff(accounts.start) > 0))[0]
    return _holding(world, "parties", "type", at, other)


def _account_of_another_owner(world):
    return _holding(world, "accounts", "owner", 0, _shard(world)[0].type.size - 1)


def _instrument_illegal(world):
    """A loan account with a card."""
    loan = PACK.codes("account_type").index("RETAIL_PERSONAL_LOAN_UNSECURED")
    card = PACK.codes("instrument_type").index("RETAIL_CREDIT_CARD_PHYSICAL")
    _, accounts, instruments, _ = _shard(world)
    at = np.flatnonzero(accounts.type[instruments.account] == loan)[0]
    return _holding(world, "instruments", "type", at, card)


def _card_becomes_token(world):
    """A card becomes a wallet token: the account has no card and misses its floor."""
    token = PACK.codes("instrument_type").index("WALLET_DEVICE_TOKEN")
    product = PACK.codes("account_type").index("RETAIL_CREDIT_CARD_STANDARD")
    _, accounts, instruments, _ = _shard(world)
    single = (accounts.type == product) & (np.diff(instruments.start) == 1)
    at = instruments.start[np.flatnonzero(single)[0]]
    return _holding(world, "instruments", "type", at, token)


def _account_offsets_shifted(world):
    accounts = world.chain.states.accounts
    return _state(
        world,
        accounts=replace(accounts, first=accounts.first + (np.arange(accounts.first.size) > K)),
    )


def _link_offsets_shifted(world):
    network = world.chain.states.network
    first = network.links.first.copy()
    first[K + 1] -= 1
    return _state(world, network=replace(network, links=replace(network.links, first=first)))


def _ip_link_offsets_shifted(world):
    network = world.chain.states.network
    first = network.link_first + (np.arange(network.link_first.size) > K)
    return _state(world, network=replace(network, link_first=first))


def _owner_changed(world):
    at = _first("PRIMARY_OWNER", world)
    parties, *_, links = _shard(world)
    return _link(world, "target", at, (links.target[at] + 700) % parties.type.size)


def _owner_becomes_co_user(world):
    return _link(world, "role", _first("PRIMARY_OWNER", world), LINK["SECONDARY_USER"])


def _co_user_from_elsewhere(world):
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


def _link_to_a_missing_instrument(world):
    at = _first("ASSOCIATED_INSTRUMENT_ACCESS", world)
    return _link(world, "target", at, _shard(world)[2].type.size)


def _terminal_role_on_a_party_device(world):
    return _link(
        world, "role", _first("ASSOCIATED_ACCOUNT_ACCESS", world), LINK["MERCHANT_TERMINAL"]
    )


def _terminal_of_a_missing_merchant(world):
    return _terminal(world, "merchant", -1, world.chain.states.merchants.n)


def _terminals_out_of_order(world):
    return _terminal(world, "merchant", 0, world.chain.states.merchants.n - 1)


def _co_user_after_an_account(world):
    """The link of a co-user comes after the accounts of its device."""
    links = _shard(world)[3]
    same = links.device[1:] == links.device[:-1]
    user, access = LINK["SECONDARY_USER"], LINK["ASSOCIATED_ACCOUNT_ACCESS"]
    at = np.flatnonzero(same & (links.role[:-1] == user) & (links.role[1:] == access))[0]
    swapped = [at + 1, at]
    moved = _link(world, "role", [at, at + 1], links.role[swapped])
    return _link(moved, "target", [at, at + 1], links.target[swapped])


def _co_user_twice(world):
    """A co-user occurs twice on one device, with one row in between."""
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


def _links_out_of_order(world):
    """The first row of the second device comes before the rows of the first."""
    links = _shard(world)[3]
    second = int(np.searchsorted(links.device, 1))
    order = np.r_[second, 0:second, second + 1 : links.device.size]
    for name in ("device", "role", "target"):
        world = _link(world, name, slice(None), getattr(links, name)[order])
    return world


def _ip_device_pair_twice(world):
    country = world.chain.states.network.countries[K]
    low = country.start[np.flatnonzero(np.diff(country.start) >= 2)[0]]
    return _country(world, "device", low + 1, country.device[low])


def _ip_links_swapped(world):
    country = world.chain.states.network.countries[K]
    low = country.start[np.flatnonzero(np.diff(country.start) >= 2)[0]]
    return _country(world, "device", [low, low + 1], country.device[[low + 1, low]])


def _ip_link_to_a_missing_device(world):
    return _country(world, "device", -1, world.chain.states.network.devices.n)


def _ip_link_across_countries(world):
    country, states = world.chain.states.network.countries[K], world.chain.states
    home = np.flatnonzero(country.type == PACK.codes("ip_type").index("RESIDENTIAL"))[0]
    return _country(world, "device", country.start[home + 1] - 1, states.where.first[K + 1])


def _two_typical_endpoints(world):
    country = world.chain.states.network.countries[K]
    at = np.flatnonzero(country.role != IP_LINK["TYPICAL_DEVICE_IP"])[0]
    return _country(world, "role", at, IP_LINK["TYPICAL_DEVICE_IP"])


def _merchant_role_on_a_device(world):
    country = world.chain.states.network.countries[K]
    at = np.flatnonzero(country.role != IP_LINK["TYPICAL_DEVICE_IP"])[0]
    return _country(world, "role", at, IP_LINK["MERCHANT_ENDPOINT"])


def _role_of_another_group(world):
    """A party of type OTHER, which has no roles, becomes a mule."""
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


def _no_party_fraud(world):
    clean = PACK.codes("party_raw_role").index("CLEAN")
    family = PACK.codes("party_family").index("CLEAN")
    everywhere = range(len(world.roles["party"].pieces))
    world = _roles(world, "party", "raw", ..., clean, everywhere)
    return _roles(world, "party", "family", ..., family, everywhere)


def _a_third_of_endpoints_risky(world):
    high = PACK.codes("ip_raw_role").index("HIGH_RISK_IP")
    family = PACK.codes("ip_family").index("HIGH_RISK_IP")
    third, everywhere = slice(None, None, 3), range(len(world.roles["ip"].pieces))
    world = _roles(world, "ip", "raw", third, high, everywhere)
    return _roles(world, "ip", "family", third, family, everywhere)


def _role_row_missing(world):
    roles = world.roles["device"]
    short = {n: getattr(roles.pieces[K], n)[:-1] for n in ("raw", "family", "tier")}
    pieces = _put(roles.pieces, replace(roles.pieces[K], **short))
    return replace(world, roles={**world.roles, "device": replace(roles, pieces=pieces)})


def _role_code_out_of_range(world):
    return _roles(world, "device", "raw", 0, 200)


def _correlation_missing(world):
    roles = world.roles["account"]
    without = replace(roles, diagnostics={**roles.diagnostics, "owner_signal_correlation": None})
    return replace(world, roles={**world.roles, "account": without})


def _homes_become_data_centres(world):
    """Residential endpoints of the largest country become data centres."""
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
    (_account_of_another_owner, "accounts_out_of_order"),
    (_account_offsets_shifted, "accounts_out_of_order"),
    (_account_offsets_shifted, "account_role_rows_missing"),
    (_instrument_illegal, "illegal_instruments"),
    (_instrument_illegal, "instruments_above_cap"),
    (_card_becomes_token, "tokens_without_card"),
    (_card_becomes_token, "accounts_without_floor"),
    (_owner_changed, "devices_without_one_owner"),
    (_owner_becomes_co_user, "devices_without_one_owner"),
    (_co_user_from_elsewhere, "co_users_from_elsewhere"),
    (_account_of_a_stranger, "accounts_of_strangers"),
    (_instrument_not_reached, "instruments_not_reached"),
    (_link_to_a_missing_instrument, "device_link_orphans"),
    (_terminal_role_on_a_party_device, "terminals_without_one_merchant"),
    (_link_offsets_shifted, "device_links_out_of_order"),
    (_terminal_of_a_missing_merchant, "terminals_without_one_merchant"),
    (_terminal_of_a_missing_merchant, "device_link_orphans"),
    (_terminals_out_of_order, "device_links_out_of_order"),
    (_co_user_after_an_account, "users_misstated"),
    (_co_user_twice, "duplicate_device_links"),
    (_account_twice, "duplicate_device_links"),
    (_links_out_of_order, "device_links_out_of_order"),
    (_ip_device_pair_twice, "duplicate_ip_device_pairs"),
    (_ip_links_swapped, "ip_links_out_of_order"),
    (_ip_link_to_a_missing_device, "ip_link_orphans"),
    (_ip_link_across_countries, "links_across_countries"),
    (_ip_link_offsets_shifted, "ip_links_out_of_order"),
    (_two_typical_endpoints, "linked_devices_without_one_typical_ip"),
    (_merchant_role_on_a_device, "merchant_roles_on_devices"),
    (_role_of_another_group, "party_roles_outside_policy"),
    (_one_tier_moved, "device_tiers_off_plan"),
    (_one_unmapped, "unmapped_roles"),
    (_one_wrong_family, "mapped_fraction"),
    (_no_party_fraud, "party_non_clean_fraction"),
    (_a_third_of_endpoints_risky, "ip_risky_fraction"),
    (_role_row_missing, "device_role_rows_missing"),
    (_role_code_out_of_range, "device_role_rows_missing"),
    (_correlation_missing, "account_owner_score_correlation"),
    (_homes_become_data_centres, "ip_type_error_pp_links"),
    (_homes_become_data_centres, "ip_type_error_pp_ips"),
]


@pytest.mark.parametrize(("breaking", "check"), BROKEN, ids=lambda x: getattr(x, "__name__", x))
def test_the_smallest_broken_world_fails_its_check(world, breaking, check):
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
def test_a_stricter_policy_fails_exactly_its_check(world, check, bound):
    """The same world under a stricter policy fails exactly that check."""
    limits = PACK.validation_policy.linkage_checks.model_copy(update={check: bound})
    policy = PACK.validation_policy.model_copy(update={"linkage_checks": limits})
    strict = PACK.model_copy(update={"validation_policy": policy})
    assert [c.check_id for c in chain.checks(strict, world) if not c.holds] == [check]


@pytest.mark.parametrize("entity", ["account", "instrument", "merchant"])
def test_the_largest_load_of_any_shard_is_checked(world, entity):
    """A limit one below the observed maximum fails, in whichever shard the maximum is."""
    check = f"max_devices_per_{entity}"
    (observed,) = (c.observed for c in chain.checks(PACK, world) if c.check_id == check)
    assert observed >= 1
    rules = PACK.device_linkage_rules.model_copy(update={check: observed - 1})
    strict = PACK.model_copy(update={"device_linkage_rules": rules})
    assert [c.check_id for c in chain.checks(strict, world) if not c.holds] == [check]


def test_a_failing_advisory_check_does_not_withhold_the_flag(world):
    severity = {**PACK.validation_policy.severity, "role_mapping": "ADVISORY"}
    policy = PACK.validation_policy.model_copy(update={"severity": severity})
    lenient = PACK.model_copy(update={"validation_policy": policy})
    broken = _one_unmapped(world)
    assert not passed(chain.checks(PACK, broken))
    assert passed(chain.checks(lenient, broken))


def test_a_check_as_a_dictionary(world):
    rows = {c.check_id: c.as_dict() for c in chain.checks(PACK, _correlation_missing(world))}
    unknown = rows["account_owner_score_correlation"]
    assert unknown["observed"] is None
    assert unknown["status"] == "FAIL"
    assert rows["max_ips_per_device"]["status"] == "PASS"
    assert rows["max_ips_per_device"]["bound"] == "<= 25"
    assert rows["linked_device_fraction"]["bound"] == ">= 0.25"
