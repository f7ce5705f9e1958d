"""S5, the fraud posture: roles of every entity, and the checks of the world.

`run` is the recipe; scores, tiers and scans are in score/, roles in role/, checks in validate/.
"""

from __future__ import annotations

from fraudworld.contracts.posture import (
    ACCOUNT_ROLES,
    DEVICE_ROLES,
    IP_ROLES,
    MERCHANT_ROLES,
    PARTY_ROLES,
)
from fraudworld.stages.context import Context
from fraudworld.stages.pieces import Accounts, Instruments, Network, Parties
from fraudworld.stages.posture.role.assign import Assignment
from fraudworld.stages.posture.role.laws import Laws
from fraudworld.stages.posture.role.results import Roles, World
from fraudworld.stages.posture.tables import merchant_rows, party_rows, role_rows
from fraudworld.stages.posture.validate.checks import Check, Evidence, run_checks


def run(
    context: Context,
    parties: Parties,
    accounts: Accounts,
    instruments: Instruments,
    network: Network,
) -> tuple[Check, ...]:
    """Scores, tiers and roles of all entities; returns the checks of the world."""
    merchants = context.merchants
    with context.step("S5", "load_contracts_inputs"):
        pack = context.contracts("S5")
        coefficients = pack.risk_propagation_coeffs
        world = World(parties, accounts, instruments, network, merchants)
        laws = Laws.of(pack, context.seed, merchants.n)
        assignment = Assignment(context.engine, pack, context.seed, world, laws)
    with context.step("S5", "score_entities"):
        scored = assignment.score()
        tiers = assignment.tiers(scored)
    with context.step("S5", "assign_party_roles"):
        stratified = assignment.stratify(scored, tiers)
        del scored
        context.emit(PARTY_ROLES, party_rows(stratified.parties))
    with context.step("S5", "assign_device_roles"):
        device = assignment.devices(stratified)
        # Endpoints start before devices are encoded: no later round waits for an encoding.
        ip_strata = assignment.stratify_ips(stratified, device)
    with context.step("S5", "assign_account_roles"):
        account = assignment.accounts(stratified)
        context.emit(DEVICE_ROLES, role_rows("device", device))
        context.emit(ACCOUNT_ROLES, role_rows("account", account))
    with context.step("S5", "assign_merchant_roles"):
        merchant = assignment.merchants(stratified)
        context.emit(MERCHANT_ROLES, merchant_rows(merchants.id, merchant.pieces[0]))
    with context.step("S5", "assign_ip_roles"):
        ip = assignment.ips(stratified, ip_strata)
        context.emit(IP_ROLES, role_rows("ip", ip))
    roles: dict[str, Roles[object]] = {
        "party": stratified.parties,
        "account": account,
        "merchant": merchant,
        "device": device,
        "ip": ip,
    }
    with context.step("S5", "validation_checks"):
        checks = run_checks(pack, Evidence.of(world.rows, stratified.scored.scans, roles))
    with context.step("S5", "rng_publish"):
        context.publish_rng(*(use for r in roles.values() for use in r.rng))
        context.documents["s5_propagation_diagnostics_6A"] = {
            "propagation": coefficients.propagation,
            "propagation_by": coefficients.propagation_by,
            "max_abs_log_odds": coefficients.max_abs_log_odds,
            "max_odds_factor": coefficients.max_odds_factor,
            **{e: r.diagnostics for e, r in roles.items() if r.diagnostics},
        }
        context.documents["s5_validation_report_6A"] = {
            "checks": [c.as_dict() for c in checks],
            "required_failed": [
                c.check_id for c in checks if c.severity == "REQUIRED" and not c.holds
            ],
        }
    return checks
