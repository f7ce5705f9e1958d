"""All tables of layer 6P, row by row."""

from __future__ import annotations

from fraudworld.policy.identity import IdentityPolicy
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.profiles.models import ProfilePack
from reference.profiles import events, holdings, identities, networks, pool, towns
from reference.profiles.people import People
from reference.profiles.towns import Row, Towns


def generate(
    pack: PolicyPack, policy: ProfilePack, identity: IdentityPolicy, seed: int,
    upstream: dict[str, list[Row]], world: dict[str, list[Row]],
) -> dict[str, list[Row]]:  # fmt: skip
    """Rows by table. upstream: rows by `segment/table`; world: rows of published tables."""
    places = upstream["1A/country_geography"]
    towns_ = Towns(seed, policy.places, sorted(p["country_iso"] for p in places))
    sites, virtual = upstream["1A/outlet_catalogue"], upstream["3B/virtual_classification"]
    merchant_rows = towns.merchants(sites, virtual, policy.places, seed)
    outlet_rows = towns.outlets(
        sites, upstream["1B/site_locations"], upstream["2A/site_timezones"], towns_
    )
    terminal_rows = towns.terminals(outlet_rows, merchant_rows, world["s4_device_base_6A"], towns_)
    people = People(
        seed, pack, policy, towns_, world, places, upstream["5A/merchant_zone_profile_5A"], virtual,
        {m["merchant_id"]: m["merchant_class"] for m in merchant_rows}, _attachable(pack, world),
    )  # fmt: skip
    account_rows = holdings.accounts(people, world)
    instrument_rows = holdings.instruments(
        pack, policy, seed, world["s3_instrument_base_6A"], account_rows
    )
    numbers = identities.ibans(identity, people, world["s2_account_base_6A"], account_rows)
    for row, iban in zip(account_rows, numbers, strict=True):
        row["iban"] = iban
    given = identities.cards(identity, seed, world["s3_instrument_base_6A"], account_rows)
    for row, (pan, token) in zip(instrument_rows, given, strict=True):
        row |= {"pan": pan, "token": token}
    pool_rows, cells = pool.pool(people, world)
    endpoint_rows = networks.endpoints(people, world)
    of_world = [(ip["country_iso"], ip["asn_class"], ip["ip_version"] == "IPV4")
                for ip in world["s4_ip_base_6A"]]  # fmt: skip
    pooled = [row for row in pool_rows if row["entity"] == "IP"]
    found = identities.endpoints(identity, people, [*of_world, *cells])
    for row, (address, asn) in zip([*endpoint_rows, *pooled], found, strict=True):
        row |= {"address": address, "asn": asn}
    device_rows = networks.devices(people, world, terminal_rows)
    return {
        "p0_place_6P": [town.row() for town in towns_.all()],
        "p0_merchant_6P": merchant_rows,
        "p0_outlet_6P": outlet_rows,
        "p0_terminal_6P": terminal_rows,
        "p1_party_profile_6P": people.rows(),
        "p1_party_identity_6P": identities.Contact(people, identity).rows(),
        "p2_account_profile_6P": account_rows,
        "p3_instrument_profile_6P": instrument_rows,
        "p4_device_profile_6P": device_rows,
        "p4_ip_profile_6P": endpoint_rows,
        "p4_unlinked_pool_6P": pool_rows,
        "p5_entity_event_6P": events.events(
            people, world, account_rows, instrument_rows, device_rows
        ),
    }


def _attachable(pack: PolicyPack, world: dict[str, list[Row]]) -> set[int]:
    """Parties with an account they can pay from and a device they use."""
    law = pack.attachment
    armed = {r["account_id"] for r in world["s3_instrument_base_6A"]}
    payers = {a["owner_party_id"] for a in world["s2_account_base_6A"]
              if a["account_id"] in armed and law.account_use[a["account_type"]] > 0}  # fmt: skip
    kind = {d["device_id"]: d["device_type"] for d in world["s4_device_base_6A"]}
    users = {r["party_id"] for r in world["s4_device_links_6A"]
             if r["party_id"] and law.device_use.get(kind[r["device_id"]], 0)}  # fmt: skip
    return payers & users
