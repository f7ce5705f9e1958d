"""S5 as a recipe: roles of every entity, validation, publish."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fraudworld.contracts import posture as tables_
from fraudworld.stages.columns import (
    Accounts,
    DeviceLinks,
    Devices,
    Instruments,
    IpEdges,
    Ips,
    Parties,
)
from fraudworld.stages.context import Context
from fraudworld.stages.posture import roles as draw
from fraudworld.stages.posture.checks import Check, World, run_checks
from fraudworld.stages.posture.scores import (
    Ranked,
    rank_accounts,
    rank_devices,
    rank_ips,
    rank_merchants,
    rank_parties,
)
from fraudworld.stages.posture.tables import role_rows


def run(
    context: Context,
    parties: Parties,
    accounts: Accounts,
    instruments: Instruments,
    devices: Devices,
    links: DeviceLinks,
    ips: Ips,
    edges: IpEdges,
) -> tuple[Check, ...]:
    """Fraud posture of the world; returns the validation checks."""
    pack, seed, merchants = context.pack, context.seed, context.merchants
    with context.step("S5", "load_contracts_inputs"):
        coefficients = pack.risk_propagation_coeffs
    with context.step("S5", "score_entities"):
        # No score reads a role, so they need not wait for each other; the dearest first.
        tasks: tuple[Callable[[], Ranked], ...] = (
            partial(rank_accounts, pack, seed, accounts, instruments),
            partial(rank_devices, pack, seed, devices, ips, edges),
            partial(rank_ips, pack, seed, ips, edges, devices),
            partial(rank_parties, pack, seed, parties, accounts),
            partial(rank_merchants, pack, seed, merchants),
        )
        ranked = {r.entity: r for r in context.engine.map(lambda task: task(), tasks)}
    with context.step("S5", "assign_party_roles"):
        party = draw.assign_plain_roles(pack, seed, ranked["party"])
        context.emit(tables_.PARTY_ROLES, role_rows(party))
    with context.step("S5", "assign_account_roles"):
        account = draw.assign_account_roles(pack, seed, ranked["account"], accounts, parties, party)
        context.emit(tables_.ACCOUNT_ROLES, role_rows(account))
    with context.step("S5", "assign_merchant_roles"):
        merchant = draw.assign_plain_roles(pack, seed, ranked["merchant"])
        context.emit(tables_.MERCHANT_ROLES, role_rows(merchant, merchants.id))
    with context.step("S5", "assign_device_roles"):
        device = draw.assign_device_roles(pack, seed, ranked["device"], devices, parties, party)
        context.emit(tables_.DEVICE_ROLES, role_rows(device))
    with context.step("S5", "assign_ip_roles"):
        ip = draw.assign_ip_roles(pack, seed, ranked["ip"], ips, edges, device)
        context.emit(tables_.IP_ROLES, role_rows(ip))
    all_roles = {r.entity: r for r in (party, account, merchant, device, ip)}
    with context.step("S5", "validation_checks"):
        world = World(parties, accounts, instruments, devices, links, ips, edges, all_roles)
        checks = run_checks(pack, world, context.engine)
    with context.step("S5", "rng_publish"):
        context.evidence += [use for r in all_roles.values() for use in r.rng]
        context.documents["s5_propagation_diagnostics_6A"] = {
            "propagation": coefficients.propagation,
            "max_abs_log_odds": coefficients.max_abs_log_odds,
            **{e: r.diagnostics for e, r in all_roles.items() if r.diagnostics},
        }
        context.documents["s5_validation_report_6A"] = {
            "checks": [c.as_dict() for c in checks],
            "required_failed": [
                c.check_id for c in checks if c.severity == "REQUIRED" and not c.holds
            ],
        }
    return checks
