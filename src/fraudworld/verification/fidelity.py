"""Means and shares of a published world beside its policy, as tables.

Expected figures come from the policy alone, observed ones from Parquet alone. Nothing is decided
here; that is the task of gates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules.pairs import implied
from fraudworld.store.published import PublishedWorld


@dataclass(frozen=True)
class Line:
    """One figure: of the policy (None where it states none), and observed."""

    what: str
    policy: float | None
    observed: float


@dataclass(frozen=True)
class FidelityTable:
    """A titled list of figures in one unit."""

    title: str
    unit: str
    lines: tuple[Line, ...]


def compare(world: PublishedWorld) -> tuple[FidelityTable, ...]:
    """All tables of one world, in the order of the states."""
    return tuple(
        FidelityTable(title, unit, tuple(lines))
        for title, unit, lines in (
            ("Party types by region", "share", _party_types(world)),
            ("Segments by region", "share of type", _segments(world)),
            ("Accounts by product", "per party of the type", _accounts(world)),
            ("Instruments by account type", "per account, all accounts", _instruments(world)),
            ("Device types", "share of party devices", _devices(world)),
            ("IP types by region of the device", "share of links", _edges(world)),
            ("Devices per IP", "devices", _degrees(world)),
            ("Roles", "share of entities", _roles(world)),
            ("Odds of a risky asset, risky against clean owner", "odds ratio", _odds(world)),
        )
    )


def _party_types(world: PublishedWorld) -> Iterator[Line]:
    mix = world.pack.population_priors.party_type_mix
    rows = world.sql.execute(
        "SELECT region_id, party_type, sum(party_count) / sum(sum(party_count)) OVER (PARTITION"
        " BY region_id)"
        " FROM s1_party_summary GROUP BY region_id, party_type ORDER BY ALL"
    ).fetchall()
    for region, kind, share in rows:
        yield Line(f"{region} {kind}", mix[region][kind], float(share))


def _segments(world: PublishedWorld) -> Iterator[Line]:
    mix = world.pack.segmentation_priors.segment_mix
    rows = world.sql.execute(
        "SELECT region_id, party_type, segment_id,"
        " sum(party_count) / sum(sum(party_count)) OVER (PARTITION BY region_id, party_type)"
        " FROM s1_party_summary GROUP BY region_id, party_type, segment_id ORDER BY ALL"
    ).fetchall()
    for region, kind, segment, share in rows:
        yield Line(f"{region} {segment}", mix[region][kind][segment], float(share))


def _accounts(world: PublishedWorld) -> Iterator[Line]:
    lam = world.pack.product_mix_priors.lambda_per_party
    rows = world.sql.execute(
        "SELECT account_type, sum(account_count) / (SELECT sum(party_count) FROM s1_party_summary p"
        " WHERE p.party_type = a.party_type) FROM s2_account_summary a"
        " GROUP BY account_type, party_type ORDER BY ALL"
    ).fetchall()
    for code, mean in rows:
        yield Line(f"{code} (λ0 before tilts)", lam[code], float(mean))


def _instruments(world: PublishedWorld) -> Iterator[Line]:
    mix = world.pack.instrument_mix_priors
    rows = world.sql.execute(
        "WITH n AS (SELECT account_type, sum(account_count) AS n FROM s2_account_summary GROUP BY"
        " ALL)"
        " SELECT account_type, instrument_type, count(*) / any_value(n) FROM s3_instrument_base"
        " JOIN s2_account_base USING (account_id) JOIN n USING (account_type) GROUP BY ALL ORDER"
        " BY ALL"
    ).fetchall()
    for account, kind, mean in rows:
        expected = mix.lambda_per_account[account] * mix.shares[account][kind]
        yield Line(f"{account} · {kind}", expected, float(mean))


def _devices(world: PublishedWorld) -> Iterator[Line]:
    rows = world.sql.execute(
        "SELECT party_type, device_type, count(*) / sum(count(*)) OVER (PARTITION BY party_type)"
        " FROM s4_device_base JOIN s1_party_base ON party_id = primary_party_id"
        " GROUP BY party_type, device_type ORDER BY ALL"
    ).fetchall()
    mix = world.pack.device_count_priors.type_mix
    for kind, device, share in rows:
        yield Line(f"{kind} {device} (before tilts)", mix[kind].get(device, 0.0), float(share))


def _edges(world: PublishedWorld) -> Iterator[Line]:
    mix = world.pack.ip_count_priors.edge_shares
    rows = world.sql.execute(
        "SELECT home_region_id, ip_type, count(*) / sum(count(*)) OVER (PARTITION BY"
        " home_region_id)"
        " FROM s4_ip_links JOIN s4_device_base USING (device_id) JOIN s4_ip_base USING (ip_id)"
        " GROUP BY home_region_id, ip_type ORDER BY ALL"
    ).fetchall()
    for region, kind, share in rows:
        yield Line(f"{region} {kind}", mix[region][kind], float(share))


def _degrees(world: PublishedWorld) -> Iterator[Line]:
    world.sql.execute(
        "CREATE OR REPLACE TEMP TABLE degree AS SELECT ip_id, count(DISTINCT device_id) AS k"
        " FROM s4_ip_links WHERE device_id IS NOT NULL GROUP BY ip_id"
    )
    cap = float(world.pack.ip_count_priors.degree_cap)
    for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)):
        yield Line(name, None, world.value(f"SELECT quantile_disc(k, {q}) FROM degree"))
    yield Line("max (policy: the cap)", cap, world.value("SELECT max(k) FROM degree"))
    linked = world.value("SELECT count(DISTINCT device_id) FROM s4_ip_links") / world.value(
        "SELECT count(*) FROM s4_device_base"
    )
    yield Line("linked devices", world.pack.ip_count_priors.linked_share_target, linked)


def _roles(world: PublishedWorld) -> Iterator[Line]:
    shares = world.pack.fraud_role_taxonomy.tier_shares
    groups = {
        "party": "SELECT party_type AS g, count(*) AS n FROM s1_party_base GROUP BY ALL",
        "account": "SELECT role_group AS g, count(*) AS n FROM s2_account_base"
        " JOIN account_taxonomy USING (account_type) GROUP BY ALL",
        "device": "SELECT device_group AS g, count(*) AS n FROM s4_device_base GROUP BY ALL",
        "ip": "SELECT role_group AS g, count(*) AS n FROM s4_ip_base"
        " JOIN ip_group USING (ip_type, asn_class) GROUP BY ALL",
    }
    for entity, query in groups.items():
        priors = getattr(world.pack, f"{entity}_role_priors")
        expected: dict[str, float] = {}
        total = 0
        for group, n in world.sql.execute(query).fetchall():
            total += n
            remainder = 1.0
            for role, figures in priors.roles[group].items():
                share = sum(s * f for s, f in zip(shares, figures, strict=True)) / 10_000
                expected[role] = expected.get(role, 0.0) + n * share
                remainder -= share
            rest = priors.remainder[group]
            expected[rest] = expected.get(rest, 0.0) + n * remainder
        rows = world.sql.execute(
            f"SELECT raw_role, count(*) FROM s5_{entity}_fraud_roles GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        for role, n in rows:
            yield Line(f"{entity} {role}", expected.get(role, 0.0) / total, n / total)


def _odds(world: PublishedWorld) -> Iterator[Line]:
    clean = {e: v.clean_family for e, v in world.pack.fraud_role_taxonomy.entities.items()}
    for entity, base, key, owner in (
        ("account", "s2_account_base", "account_id", "owner_party_id"),
        ("device", "s4_device_base", "device_id", "primary_party_id"),
    ):
        row = world.sql.execute(
            f"SELECT count(*) FILTER (o AND a), count(*) FILTER (o AND NOT a),"
            f" count(*) FILTER (NOT o AND a), count(*) FILTER (NOT o AND NOT a) FROM (SELECT"
            f" p.canonical_role_family <> '{clean['party']}' AS o,"
            f" r.canonical_role_family <> '{clean[entity]}' AS a"
            f" FROM {base} b JOIN s5_{entity}_fraud_roles r USING ({key})"
            f" JOIN s5_party_fraud_roles p ON p.party_id = b.{owner})"
        ).fetchone()
        a, b, c, d = (float(v) + 0.5 for v in row or (0, 0, 0, 0))
        yield Line(f"{entity} given owner", _nominal_odds(world.pack, entity), (a * d) / (b * c))


def _nominal_odds(pack: PolicyPack, asset: str) -> float:
    """Odds ratio that the policy aims at, or by role pair implies, as a mean over its regions."""
    rules = pack.risk_propagation_coeffs
    if rules.propagation == "off":
        return 1.0
    if rules.propagation_by == "role_pair":
        regions = pack.party_taxonomy.regions
        return fmean(implied(pack, asset, region).odds_ratio for region in regions)
    coupling = rules.owner_to_account if asset == "account" else rules.owner_to_device
    return coupling.target_odds_ratio
