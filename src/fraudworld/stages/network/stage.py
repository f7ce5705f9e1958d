"""S4, the network: devices, their links, IP endpoints and theirs."""

from __future__ import annotations

from fraudworld.contracts.network import (
    CIRCLE_MEMBERS,
    DEVICE_BASE,
    DEVICE_LINKS,
    IP_BASE,
    IP_LINKS,
    NETWORK_SUMMARY,
)
from fraudworld.stages.context import Context
from fraudworld.stages.network import tables
from fraudworld.stages.network.circles import draw_circles, member_rows
from fraudworld.stages.network.device_tables import device_base
from fraudworld.stages.network.devices import (
    draw_devices,
    expected_types,
    plan_devices,
    raise_to_holders,
)
from fraudworld.stages.network.endpoints import build_ips
from fraudworld.stages.network.links import draw_links
from fraudworld.stages.network.token_holders import token_holders
from fraudworld.stages.pieces import Accounts, Instruments, Network, Parties


def run(
    context: Context, parties: Parties, accounts: Accounts, instruments: Instruments
) -> Network:
    """Devices and IP endpoints of the population, and the graph between them."""
    seed, geo, merchants, engine = context.seed, context.geo, context.merchants, context.engine
    with context.step("S4", "load_contracts_inputs"):
        pack = context.contracts("S4")
        types, per_party = pack.codes("device_type"), expected_types(pack)
    with context.step("S4", "load_party_base"):
        population = parties.population(len(pack.codes("region")))
        circles, circle_uses = draw_circles(pack, seed, parties, engine)
        context.emit(CIRCLE_MEMBERS, member_rows(parties, circles))
    with context.step("S4", "plan_device_counts"):
        holders = token_holders(pack, parties, accounts, instruments, engine)
        plan = plan_devices(pack, seed, per_party, population, merchants, geo.profile_scale)
        raised = raise_to_holders(pack, plan, parties, holders)
        outcome = draw_devices(pack, seed, parties, merchants, geo, plan, holders, engine)
        devices = outcome.devices
        context.emit(DEVICE_BASE, device_base(parties, devices, merchants))
    with context.step("S4", "emit_regions"):
        linked = draw_links(pack, seed, parties, circles, accounts, instruments, devices, engine)
        context.emit(
            DEVICE_LINKS,
            tables.device_links(pack, parties, accounts, instruments, devices, linked, merchants),
        )
    with context.step("S4", "plan_ip_counts"):
        ips = build_ips(pack, seed, geo, merchants, parties, circles, devices, engine)
    with context.step("S4", "emit_ip_base"):
        context.emit(IP_BASE, tables.ip_base(ips, geo))
    with context.step("S4", "merge_parts"):
        context.emit(IP_LINKS, tables.ip_links(pack, ips, merchants))
        context.emit(
            NETWORK_SUMMARY, tables.network_summary(pack, parties, devices, linked, ips, geo)
        )
    with context.step("S4", "rng_publish"):
        context.publish_rng(*circle_uses, *outcome.rng, *linked.rng, *ips.rng)
        context.plans["s4_devices"] = {
            "types": dict(zip(types, plan.cells.sum(axis=(0, 1)).tolist(), strict=True)),
            "dropped_by_group": outcome.dropped,
            "raised_to_token_holders": raised,
            "terminals": int(plan.terminals.sum()),
            "terminals_beyond_merchant_cap": plan.terminals_clamped,
            "sharing_wanted": linked.sharing_wanted,
            "sharing_short": linked.sharing_short,
            "rows": devices.n,
        }
        context.plans["s4_ips"] = ips.plans
        context.plans["s4_circles"] = {
            "circles": int(circles.first[-1]),
            "members": int(circles.member_first[-1]),
        }
    return Network(
        circles, devices, linked.links, ips.countries, ips.ip_first, ips.link_first, ips.endpoints
    )
