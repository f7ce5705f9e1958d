"""S5 as a recipe: roles of every entity, validation, publish."""

from __future__ import annotations

from fraudworld.contracts import posture as tables_
from fraudworld.stages.context import Context
from fraudworld.stages.pieces import Accounts, Instruments, Network, Parties
from fraudworld.stages.posture.role.assign import Assignment, World
from fraudworld.stages.posture.tables import merchant_rows, party_rows, role_rows
from fraudworld.stages.posture.validate.checks import Check, Evidence, run_checks


def run(
    context: Context,
    parties: Parties,
    accounts: Accounts,
    instruments: Instruments,
    network: Network,
) -> tuple[Check, ...]:
    """Fraud posture of the world; returns the validation checks."""
    pack, merchants = context.pack, context.merchants
    world = World(parties, accounts, instruments, network, merchants)
    assignment = Assignment(context.engine, pack, context.seed, world)
    with context.step("S5", "load_contracts_inputs"):
        coefficients = pack.risk_propagation_coeffs
    with context.step("S5", "score_entities"):
        scored = assignment.score()
        tiers = assignment.tiers(scored)
    with context.step("S5", "assign_party_roles"):
        placed = assignment.place(scored, tiers)
        del scored
        context.emit(tables_.PARTY_ROLES, party_rows(placed.parties.first, placed.items))
    with context.step("S5", "assign_device_roles"):
        device = assignment.devices(placed)
        # What follows has little to wait for: endpoints go first, encoding last.
        exposed = assignment.expose(placed, device)
    with context.step("S5", "assign_account_roles"):
        account = assignment.accounts(placed)
        context.emit(tables_.DEVICE_ROLES, role_rows("device", device.first, device.pieces))
        context.emit(tables_.ACCOUNT_ROLES, role_rows("account", account.first, account.pieces))
    with context.step("S5", "assign_merchant_roles"):
        merchant = assignment.merchants(placed)
        context.emit(tables_.MERCHANT_ROLES, merchant_rows(merchants.id, merchant.pieces[0]))
    with context.step("S5", "assign_ip_roles"):
        ip = assignment.ips(placed, exposed)
        context.emit(tables_.IP_ROLES, role_rows("ip", ip.first, ip.pieces))
    roles = {
        "party": placed.parties,
        "account": account,
        "merchant": merchant,
        "device": device,
        "ip": ip,
    }
    with context.step("S5", "validation_checks"):
        checks = run_checks(pack, Evidence.of(world.rows, placed.scored.scans, roles))
    with context.step("S5", "rng_publish"):
        context.evidence += [use for r in roles.values() for use in r.rng]
        context.documents["s5_propagation_diagnostics_6A"] = {
            "propagation": coefficients.propagation,
            "max_abs_log_odds": coefficients.max_abs_log_odds,
            **{e: r.diagnostics for e, r in roles.items() if r.diagnostics},
        }
        context.documents["s5_validation_report_6A"] = {
            "checks": [c.as_dict() for c in checks],
            "required_failed": [
                c.check_id for c in checks if c.severity == "REQUIRED" and not c.holds
            ],
        }
    return checks
