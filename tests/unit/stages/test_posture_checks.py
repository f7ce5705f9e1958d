"""S5's checks: each catches the smallest world broken in its way, and passes the clean one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import chain
from fraudworld.engine.local import LocalEngine
from fraudworld.policy.loader import load_pack
from fraudworld.stages.posture.checks import passed, run_checks

PACK = load_pack().pack
SERIAL = LocalEngine(1)
LINK = {name: i for i, name in enumerate(PACK.codes("device_link_role"))}
SEEN = {name: i for i, name in enumerate(PACK.codes("ip_link_role"))}


@pytest.fixture(scope="module")
def world():
    return chain.posture(PACK, chain.build(PACK, 20_000))


def _failing(world):
    return {c.check_id for c in run_checks(PACK, world, SERIAL) if not c.holds}


def _with(part, name, at, value):
    """A copy of columns where `name[at]` is `value`."""
    column = getattr(part, name).copy()
    column[at] = value
    return replace(part, **{name: column})


def _first(role, links):
    return int(np.flatnonzero(links.role == LINK[role])[0])


def _roles(world, entity, name, at, value):
    changed = _with(world.roles[entity], name, at, value)
    return replace(world, roles={**world.roles, entity: changed})


def test_the_clean_world_passes_every_check(world):
    checks = run_checks(PACK, world, SERIAL)
    assert [c.check_id for c in checks if not c.holds] == []
    assert passed(checks)
    assert len({c.check_id for c in checks}) == len(checks)
    assert {c.family for c in checks} == set(PACK.validation_policy.severity)


def _account_above_kmax(world):
    """One more account of a single-product holder, until its product's cap is passed."""
    accounts, caps = world.accounts, PACK.account_per_party_priors.counts
    names = PACK.codes("account_type")
    for party in np.flatnonzero(np.diff(accounts.start) >= 3):
        low, high = accounts.start[party], accounts.start[party + 1]
        kind = accounts.type[low]
        if high - low > caps[names[kind]].cap:
            return replace(world, accounts=_with(accounts, "type", slice(low, high), kind))
    raise AssertionError("no party holds enough accounts")


def _party_of_another_type(world):
    retail, other = (
        PACK.codes("party_type").index("RETAIL"),
        PACK.codes("party_type").index("OTHER"),
    )
    holds = np.diff(world.accounts.start) > 0
    at = np.flatnonzero((world.parties.type == retail) & holds)[0]
    return replace(world, parties=_with(world.parties, "type", at, other))


def _account_handed_on(world):
    return replace(world, accounts=_with(world.accounts, "owner", 0, world.parties.n - 1))


def _instrument_illegal(world):
    """A loan that carries a card."""
    loan = PACK.codes("account_type").index("RETAIL_PERSONAL_LOAN_UNSECURED")
    card = PACK.codes("instrument_type").index("RETAIL_CREDIT_CARD_PHYSICAL")
    at = np.flatnonzero(world.accounts.type[world.instruments.account] == loan)[0]
    return replace(world, instruments=_with(world.instruments, "type", at, card))


def _card_lost(world):
    """An account whose card became a token: no card, and perhaps no floor."""
    token = PACK.codes("instrument_type").index("WALLET_DEVICE_TOKEN")
    product = PACK.codes("account_type").index("RETAIL_CREDIT_CARD_STANDARD")
    single = (world.accounts.type == product) & (np.diff(world.instruments.start) == 1)
    at = world.instruments.start[np.flatnonzero(single)[0]]
    return replace(world, instruments=_with(world.instruments, "type", at, token))


def _owner_changed(world):
    at = _first("PRIMARY_OWNER", world.links)
    target = (world.links.target[at] + 5_000) % world.parties.n
    return replace(world, links=_with(world.links, "target", at, target))


def _owner_demoted(world):
    at = _first("PRIMARY_OWNER", world.links)
    return replace(world, links=_with(world.links, "role", at, LINK["SECONDARY_USER"]))


def _stranger_as_user(world):
    at = _first("SECONDARY_USER", world.links)
    target = (world.links.target[at] + 5_000) % world.parties.n
    return replace(world, links=_with(world.links, "target", at, target))


def _account_of_a_stranger(world):
    at = _first("ASSOCIATED_ACCOUNT_ACCESS", world.links)
    target = (world.links.target[at] + 9_000) % world.accounts.n
    return replace(world, links=_with(world.links, "target", at, target))


def _instrument_not_reached(world):
    at = _first("ASSOCIATED_INSTRUMENT_ACCESS", world.links)
    target = (world.links.target[at] + 9_000) % world.instruments.n
    return replace(world, links=_with(world.links, "target", at, target))


def _instrument_that_is_not(world):
    at = _first("ASSOCIATED_INSTRUMENT_ACCESS", world.links)
    return replace(world, links=_with(world.links, "target", at, world.instruments.n))


def _terminal_moved(world):
    at = _first("MERCHANT_TERMINAL", world.links)
    target = (world.links.target[at] + 1) % world.roles["merchant"].raw.size
    return replace(world, links=_with(world.links, "target", at, target))


def _links_shuffled(world):
    """The first two devices trade their rows' places."""
    links = world.links
    second = int(np.searchsorted(links.device, 1))
    order = np.r_[second, 0:second, second + 1 : links.device.size]
    moved = {name: getattr(links, name)[order] for name in ("device", "role", "target")}
    return replace(world, links=replace(links, **moved))


def _pair_twice(world):
    at = int(np.flatnonzero(np.diff(world.edges.start) >= 2)[0])
    low = world.edges.start[at]
    return replace(world, edges=_with(world.edges, "device", low + 1, world.edges.device[low]))


def _edge_to_nobody(world):
    return replace(world, edges=_with(world.edges, "device", -1, world.devices.n))


def _edge_abroad(world):
    country = (world.ips.country[0] + 1) % len(set(world.ips.country.tolist()))
    return replace(world, ips=_with(world.ips, "country", 0, country))


def _two_typical(world):
    at = np.flatnonzero(world.edges.role != SEEN["TYPICAL_DEVICE_IP"])[0]
    return replace(world, edges=_with(world.edges, "role", at, SEEN["TYPICAL_DEVICE_IP"]))


def _merchant_role_on_device(world):
    at = np.flatnonzero(world.edges.role != SEEN["TYPICAL_DEVICE_IP"])[0]
    return replace(world, edges=_with(world.edges, "role", at, SEEN["MERCHANT_ENDPOINT"]))


def _role_of_another_group(world):
    """A charity turned mule."""
    other = PACK.codes("party_type").index("OTHER")
    at = np.flatnonzero(world.parties.type == other)[0]
    mule = PACK.codes("party_raw_role").index("MULE")
    family = PACK.codes("party_family").index("MULE")
    return _roles(_roles(world, "party", "raw", at, mule), "party", "family", at, family)


def _one_tier_moved(world):
    tier = world.roles["device"].tier[0]
    return _roles(world, "device", "tier", 0, (tier + 1) % 4)


def _one_unmapped(world):
    return _roles(world, "ip", "family", 7, PACK.codes("ip_family").index("UNMAPPED"))


def _one_wrong_family(world):
    clean = np.flatnonzero(~world.roles["account"].risky)[0]
    wrong = PACK.codes("account_family").index("MULE_ACCOUNT")
    return _roles(world, "account", "family", clean, wrong)


def _no_fraud(world):
    clean = PACK.codes("party_raw_role").index("CLEAN")
    family = PACK.codes("party_family").index("CLEAN")
    return _roles(_roles(world, "party", "raw", slice(None), clean), "party", "family", ..., family)


def _risky_everywhere(world):
    high = PACK.codes("ip_raw_role").index("HIGH_RISK_IP")
    family = PACK.codes("ip_family").index("HIGH_RISK_IP")
    third = slice(None, None, 3)
    return _roles(_roles(world, "ip", "raw", third, high), "ip", "family", third, family)


def _a_role_row_lost(world):
    roles = world.roles["device"]
    short = {n: getattr(roles, n)[:-1] for n in ("group", "raw", "family", "tier", "risky")}
    return replace(world, roles={**world.roles, "device": replace(roles, **short)})


def _correlation_unknown(world):
    roles = world.roles["account"]
    untold = replace(roles, diagnostics={**roles.diagnostics, "owner_signal_correlation": None})
    return replace(world, roles={**world.roles, "account": untold})


def _types_shifted(world):
    """Homes of one country become data centres."""
    home, centre = (PACK.codes("ip_type").index(t) for t in ("RESIDENTIAL", "DATACENTRE"))
    largest = np.bincount(world.ips.country).argmax()
    at = (world.ips.type == home) & (world.ips.country == largest)
    return replace(world, ips=_with(world.ips, "type", at, centre))


BROKEN = [
    (_account_above_kmax, "holdings_above_kmax"),
    (_party_of_another_type, "products_of_another_party_type"),
    (_account_handed_on, "accounts_out_of_order"),
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
    (_terminal_moved, "terminals_without_one_merchant"),
    (_links_shuffled, "device_links_out_of_order"),
    (_pair_twice, "duplicate_ip_device_pairs"),
    (_edge_to_nobody, "ip_link_orphans"),
    (_edge_abroad, "links_across_countries"),
    (_two_typical, "linked_devices_without_one_typical_ip"),
    (_merchant_role_on_device, "merchant_roles_on_devices"),
    (_role_of_another_group, "party_roles_outside_policy"),
    (_one_tier_moved, "device_tiers_off_plan"),
    (_one_unmapped, "unmapped_roles"),
    (_one_wrong_family, "mapped_fraction"),
    (_no_fraud, "party_non_clean_fraction"),
    (_risky_everywhere, "ip_risky_fraction"),
    (_a_role_row_lost, "device_role_rows_missing"),
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
def test_limits_are_the_policys(world, check, bound):
    """The same world under a stricter policy fails exactly there."""
    limits = PACK.validation_policy.linkage_checks.model_copy(update={check: bound})
    policy = PACK.validation_policy.model_copy(update={"linkage_checks": limits})
    strict = PACK.model_copy(update={"validation_policy": policy})
    assert [c.check_id for c in run_checks(strict, world, SERIAL) if not c.holds] == [check]


def test_advisory_checks_do_not_close_the_flag(world):
    severity = {**PACK.validation_policy.severity, "role_mapping": "ADVISORY"}
    policy = PACK.validation_policy.model_copy(update={"severity": severity})
    lenient = PACK.model_copy(update={"validation_policy": policy})
    broken = _one_unmapped(world)
    assert not passed(run_checks(PACK, broken, SERIAL))
    assert passed(run_checks(lenient, broken, SERIAL))


def test_a_check_is_plain_data(world):
    rows = {c.check_id: c.as_dict() for c in run_checks(PACK, _correlation_unknown(world), SERIAL)}
    unknown = rows["account_owner_score_correlation"]
    assert unknown["observed"] is None
    assert unknown["status"] == "FAIL"
    assert rows["max_ips_per_device"]["status"] == "PASS"
    assert rows["max_ips_per_device"]["bound"] == "<= 25"
    assert rows["linked_device_fraction"]["bound"] == ">= 0.25"
