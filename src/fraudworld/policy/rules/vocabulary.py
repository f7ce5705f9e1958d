"""Every table speaks the taxonomy's words and has a row for every case.

These rules run first: the others look cells up and rely on finding them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fraudworld.policy import models as m
from fraudworld.policy.borders import CROSSING
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules.finding import Findings, fault

SCORES = tuple(m.SegmentProfile.model_fields)
HOME = "RESIDENTIAL"  # the one endpoint type whose degree emerges from homes
PROXY = "VPN_PROXY"  # the one type whose links are placed on a share of the parties
# Whose homes the guard household_composition judges.
JUDGED_SEGMENTS = ("RETAIL_FAMILY", "RETAIL_MATURE", "RETAIL_RETIRED", "RETAIL_STUDENT")
MERCHANT = "MERCHANT"  # stands in for a party type where terminals are concerned
# No feature of an account, device or endpoint is one of its owner: a shared one would make
# the two scores move together, and ownership would carry odds without any propagation.
FEATURES = {
    "party": ("account_count", "credit", "cross_border", "digital"),
    "account": ("card", "instruments", "international_handle", "virtual_card"),
    "merchant": ("class_risk", "cross_border", "size"),
    "device": ("anonymiser", "ip_degree", "type_risk", "users"),
    "ip": ("churn", "degree", "parties", "type_risk"),
}
CHECK_FAMILIES = (
    "account_caps",
    "device_ip_coverage",
    "ip_degree_tail",
    "ip_prior_alignment",
    "linkage",
    "role_distribution",
    "role_mapping",
    "structure",
)
GATES = (
    "T1_max_overflow",
    "T2_over_kmax",
    "T3_max_abs_error_pp",
    "T4_linked_device_fraction",
    "T5_max_devices_per_ip",
    "T5_p99_devices_per_ip",
    "T6_mapped_role_fraction",
    "T6_unmapped_role_count",
    "T7_odds_ratio",
    "T8_jsd",
    "T9_worst_cv",
)
MOBILE_SYSTEMS = ("ANDROID", "IOS")
DEVICE_LINK_ROLES = (
    "ASSOCIATED_ACCOUNT_ACCESS",
    "ASSOCIATED_INSTRUMENT_ACCESS",
    "MERCHANT_TERMINAL",
    "PRIMARY_OWNER",
    "SECONDARY_USER",
)
IP_LINK_ROLES = ("MERCHANT_ENDPOINT", "RECENT_LOGIN_IP", "SHARED_PUBLIC_WIFI", "TYPICAL_DEVICE_IP")


def role_priors(pack: PolicyPack) -> dict[str, m.RolePriors]:
    """Entity → its role priors."""
    return {
        "party": pack.party_role_priors,
        "account": pack.account_role_priors,
        "merchant": pack.merchant_role_priors,
        "device": pack.device_role_priors,
        "ip": pack.ip_role_priors,
    }


def owned_groups(pack: PolicyPack, party_type: str) -> tuple[str, ...]:
    """Device groups a party type can own: those its type mix gives a share to, sorted."""
    types = pack.device_taxonomy.device_types
    mix = pack.device_count_priors.type_mix[party_type]
    return tuple(sorted({types[t].group for t, share in mix.items() if share > 0 and t in types}))


Table = tuple[str, str, Mapping[str, object], Iterable[str], bool]  # stem, key, keys, words, total


def words(pack: PolicyPack) -> Findings:
    """Keys are the taxonomy's words, and where a table must be total none is missing."""
    for stem, key, table, allowed, total in (
        *_taxonomies(pack),
        *_accounts(pack),
        *_network(pack),
        *_fraud(pack),
    ):
        known = set(allowed)
        for word in sorted(set(table) - known):
            yield fault(
                stem,
                f"{key}.{word}",
                "an unknown word",
                figure=word,
                bound="one of " + ", ".join(sorted(known)),
                remedy="use a word of the taxonomy",
            )
        for word in sorted(known - set(table)) if total else ():
            yield fault(
                stem,
                f"{key}.{word}",
                "a case without a rule",
                figure=None,
                bound=f"a row for {word}",
                remedy="add the row; nothing falls back to another case",
            )


def lists_are_sets(pack: PolicyPack) -> Findings:
    """No code appears twice in a taxonomy's list."""
    lists = {
        ("party_taxonomy", "regions"): pack.party_taxonomy.regions,
        ("party_taxonomy", "party_types"): pack.party_taxonomy.party_types,
        ("account_taxonomy", "groups"): pack.account_taxonomy.groups,
        ("instrument_taxonomy", "schemes"): pack.instrument_taxonomy.schemes,
        ("device_taxonomy", "groups"): pack.device_taxonomy.groups,
        ("device_taxonomy", "os_families"): pack.device_taxonomy.os_families,
        ("device_taxonomy", "ua_families"): pack.device_taxonomy.ua_families,
        ("device_taxonomy", "link_roles"): pack.device_taxonomy.link_roles,
        ("ip_taxonomy", "ip_types"): pack.ip_taxonomy.ip_types,
        ("ip_taxonomy", "asn_classes"): pack.ip_taxonomy.asn_classes,
        ("ip_taxonomy", "ip_versions"): pack.ip_taxonomy.ip_versions,
        ("ip_taxonomy", "link_roles"): pack.ip_taxonomy.link_roles,
        ("fraud_role_taxonomy", "risk_tiers"): pack.fraud_role_taxonomy.risk_tiers,
    }
    for (stem, key), items in lists.items():
        twice = sorted({item for item in items if items.count(item) > 1})
        if twice or not items or len(items) > 250:
            yield fault(
                stem,
                key,
                "codes must be 1 to 250 different words",
                figure=", ".join(twice) or str(len(items)),
                bound="each code once",
                remedy="remove the repetition",
            )


def _keys(*words: str) -> dict[str, object]:
    return dict.fromkeys(words)


def _taxonomies(pack: PolicyPack) -> Iterator[Table]:
    party, account, device, ip = (
        pack.party_taxonomy,
        pack.account_taxonomy,
        pack.device_taxonomy,
        pack.ip_taxonomy,
    )
    for segment, owner in party.segments.items():
        yield "party_taxonomy", f"segments.{segment}", _keys(owner), party.party_types, False
    for name, product in account.account_types.items():
        key = f"account_types.{name}"
        yield (
            "account_taxonomy",
            f"{key}.party_type",
            _keys(product.party_type),
            party.party_types,
            False,
        )
        yield "account_taxonomy", f"{key}.group", _keys(product.group), account.groups, False
    for name, instrument in pack.instrument_taxonomy.instrument_types.items():
        ledgers = ("DEPOSIT", "SETTLEMENT", "REVOLVING", "INSTALMENT")
        yield (
            "instrument_taxonomy",
            f"instrument_types.{name}.ledgers",
            _keys(*instrument.ledgers),
            ledgers,
            False,
        )
    for name, kind in device.device_types.items():
        yield (
            "device_taxonomy",
            f"device_types.{name}.group",
            _keys(kind.group),
            device.groups,
            False,
        )
    yield "device_taxonomy", "link_roles", _keys(*device.link_roles), DEVICE_LINK_ROLES, True
    yield "ip_taxonomy", "link_roles", _keys(*ip.link_roles), IP_LINK_ROLES, True
    yield "ip_taxonomy", "ip_versions", _keys(*ip.ip_versions), ("IPV4", "IPV6"), True
    yield "ip_taxonomy", "ip_types", _keys(*ip.ip_types), (*ip.ip_types, HOME), True


def _accounts(pack: PolicyPack) -> Iterator[Table]:
    party, products = pack.party_taxonomy, pack.account_taxonomy.account_types
    population, segments = pack.population_priors, pack.segmentation_priors
    yield "population_priors", "party_type_mix", population.party_type_mix, party.regions, True
    yield "segmentation_priors", "segment_mix", segments.segment_mix, party.regions, True
    yield "segmentation_priors", "profiles", segments.profiles, party.segments, True
    for region, types in population.party_type_mix.items():
        yield "population_priors", f"party_type_mix.{region}", types, party.party_types, True
    for region, by_type in segments.segment_mix.items():
        yield "segmentation_priors", f"segment_mix.{region}", by_type, party.party_types, True
        for owner, mix in by_type.items():
            own = [s for s, t in party.segments.items() if t == owner]
            yield "segmentation_priors", f"segment_mix.{region}.{owner}", mix, own, True
    homes = population.households
    by_kind = homes.composition == "by_kind"
    retail = [s for s, t in party.segments.items() if t == "RETAIL"]
    yield "population_priors", "households.living", homes.living, party.regions, by_kind
    for region, living in homes.living.items():
        key = f"households.living.{region}"
        yield "population_priors", key, living, retail, by_kind
        for segment, places in living.items():
            for name, table in (("heads", places.heads), ("dependants", places.dependants)):
                yield "population_priors", f"{key}.{segment}.{name}", table, homes.kinds, False
    if by_kind:  # the guard of homes judges these segments
        yield "party_taxonomy", "segments", _keys(*retail), {*retail, *JUDGED_SEGMENTS}, True

    mix_ = pack.product_mix_priors
    required = [t for t, a in products.items() if a.required]
    yield "product_mix_priors", "lambda_per_party", mix_.lambda_per_party, products, True
    yield "product_mix_priors", "tilt.weights", mix_.tilt.weights, products, False
    for name, weights in mix_.tilt.weights.items():
        yield "product_mix_priors", f"tilt.weights.{name}", weights, SCORES, False
    yield "product_mix_priors", "max_total_lambda", mix_.max_total_lambda, party.party_types, True
    yield "product_mix_priors", "required_coverage", mix_.required_coverage, required, True
    rates, stem = mix_.country_rates, "product_mix_priors"
    regions_ = rates.card_ownership.regions
    yield stem, "country_rates.card_ownership.regions", regions_, party.regions, True
    optional = [t for t in products if t not in required]
    yield stem, "country_rates.strength", rates.strength, optional, False
    yield "account_per_party_priors", "counts", pack.account_per_party_priors.counts, products, True

    instruments, per = pack.instrument_mix_priors, pack.instrument_per_account_priors
    taxonomy = pack.instrument_taxonomy
    yield (
        "instrument_mix_priors",
        "lambda_per_account",
        instruments.lambda_per_account,
        products,
        True,
    )
    yield "instrument_mix_priors", "shares", instruments.shares, products, True
    yield "instrument_per_account_priors", "counts", per.counts, products, True
    for name, shares in instruments.shares.items():
        yield "instrument_mix_priors", f"shares.{name}", shares, taxonomy.instrument_types, False
        yield (
            "instrument_per_account_priors",
            f"counts.{name}",
            per.counts.get(name, {}),
            shares,
            True,
        )
    everywhere = instruments.floor == "universal"
    yield "instrument_mix_priors", "floors", instruments.floors, products, everywhere
    for name, floors in instruments.floors.items():
        yield (
            "instrument_mix_priors",
            f"floors.{name}",
            floors,
            instruments.shares.get(name, {}),
            False,
        )
    families = {i.family for i in taxonomy.instrument_types.values()}
    yield "instrument_mix_priors", "scheme_mix", instruments.scheme_mix, families, True
    for family, regions in instruments.scheme_mix.items():
        yield "instrument_mix_priors", f"scheme_mix.{family}", regions, party.regions, True
        for region, shares in regions.items():
            yield (
                "instrument_mix_priors",
                f"scheme_mix.{family}.{region}",
                shares,
                taxonomy.schemes,
                False,
            )
    excluded = instruments.scheme_exclusions
    yield "instrument_mix_priors", "scheme_exclusions", excluded, taxonomy.instrument_types, False
    for name, schemes in excluded.items():
        key = f"scheme_exclusions.{name}"
        yield "instrument_mix_priors", key, _keys(*schemes), taxonomy.schemes, False
    overrides = instruments.scheme_country_overrides
    yield "instrument_mix_priors", "scheme_country_overrides", overrides, families, False
    for family, countries in overrides.items():
        for country, shares in countries.items():
            key = f"scheme_country_overrides.{family}.{country}"
            yield "instrument_mix_priors", key, shares, taxonomy.schemes, False


def _network(pack: PolicyPack) -> Iterator[Table]:
    party, taxonomy = pack.party_taxonomy, pack.device_taxonomy
    counts, rules = pack.device_count_priors, pack.device_linkage_rules
    owner = {t: d.owner for t, d in taxonomy.device_types.items()}
    private = [t for t, o in owner.items() if o == "PARTY"]
    groups = {taxonomy.device_types[t].group for t in private}
    stem = "device_count_priors"
    yield stem, "lambda_per_party", counts.lambda_per_party, party.party_types, True
    yield stem, "tilt.weights", counts.tilt.weights, SCORES, False
    yield stem, "type_mix", counts.type_mix, party.party_types, True
    for name, mix in counts.type_mix.items():
        yield stem, f"type_mix.{name}", mix, private, False
    yield stem, "type_tilt", counts.type_tilt, SCORES, False
    for score, weights in counts.type_tilt.items():
        yield stem, f"type_tilt.{score}", weights, private, False
    yield stem, "counts", counts.counts, groups, True
    yield stem, "terminal_mix", counts.terminal_mix, [t for t in owner if t not in private], False
    yield stem, "os_mix", counts.os_mix, taxonomy.device_types, True
    for name, mix in counts.os_mix.items():
        yield stem, f"os_mix.{name}", mix, taxonomy.os_families, False
    yield stem, "ua_mix", counts.ua_mix, taxonomy.os_families, True
    for name, mix in counts.ua_mix.items():
        yield stem, f"ua_mix.{name}", mix, taxonomy.ua_families, False

    rule = counts.mobile_platform
    yield stem, "mobile_platform.ios_share.regions", rule.ios_share.regions, party.regions, True
    yield stem, "mobile_platform.follow", rule.follow, private, False
    pays = _keys(rule.wallet_group)
    yield stem, "mobile_platform.wallet_group", pays, counts.counts, False
    yield stem, "mobile_platform.wallets", rule.wallets, MOBILE_SYSTEMS, True
    for name, scheme in rule.wallets.items():
        schemes = pack.instrument_taxonomy.schemes
        yield stem, f"mobile_platform.wallets.{name}", _keys(scheme), schemes, False

    stem = "device_linkage_rules"
    yield stem, "sharing", rules.sharing, groups, False
    yield stem, "accounts_per_device", rules.accounts_per_device, groups, True
    yield stem, "instruments_per_device", rules.instruments_per_device, groups, False

    types = pack.ip_taxonomy.ip_types
    ips, graph = pack.ip_count_priors, pack.graph_linkage_rules
    stem = "ip_count_priors"
    abort = ips.missing_region_mix == "abort"
    yield stem, "edge_shares", ips.edge_shares, party.regions, abort
    for region, mix in ips.edge_shares.items():
        yield stem, f"edge_shares.{region}", mix, types, True
    yield stem, "homes.mean_devices", ips.homes.mean_devices, party.regions, True
    yield stem, "asn_mix", ips.asn_mix, types, True
    for name, mix in ips.asn_mix.items():
        yield stem, f"asn_mix.{name}", mix, pack.ip_taxonomy.asn_classes, False
    yield stem, "ipv6_share", ips.ipv6_share, types, True
    yield stem, "device_ips", ips.device_ips, taxonomy.groups, True
    mixed = ips.degree_model == "unbounded"  # then home lines are endpoints like any other
    dealt = [t for t in types if mixed or t != HOME]
    yield stem, "degree_laws", ips.degree_laws, dealt, True

    stem = "graph_linkage_rules"
    yield stem, "eligible_ip_types", graph.eligible_ip_types, taxonomy.groups, True
    for group, allowed in graph.eligible_ip_types.items():
        yield stem, f"eligible_ip_types.{group}", _keys(*allowed), types, False
    yield stem, "typical_ip_shares", graph.typical_ip_shares, (*party.party_types, MERCHANT), True
    merchant_groups = sorted(
        {d.group for d in taxonomy.device_types.values() if d.owner == MERCHANT}
    )
    for name, by_group in graph.typical_ip_shares.items():
        has_mix = name in counts.type_mix
        own = owned_groups(pack, name) if has_mix else merchant_groups
        yield stem, f"typical_ip_shares.{name}", by_group, own, True
        for group, shares in by_group.items():
            key = f"typical_ip_shares.{name}.{group}"
            yield stem, key, shares, graph.eligible_ip_types.get(group, ()), False
    shared = [t for t in types if t not in (HOME, PROXY)]
    yield stem, "segment_weights", graph.segment_weights, shared, False
    for name, weights in graph.segment_weights.items():
        yield stem, f"segment_weights.{name}", weights, party.segments, False
    yield stem, "abroad", graph.abroad, CROSSING, False
    yield stem, "public_access_share", graph.public_access_share, types, False
    yield stem, "merchant_endpoint_types", graph.merchant_endpoint_types, types, False


def _fraud(pack: PolicyPack) -> Iterator[Table]:
    taxonomy = pack.fraud_role_taxonomy
    types = pack.ip_taxonomy.ip_types
    yield "fraud_role_taxonomy", "entities", taxonomy.entities, FEATURES, True
    yield "fraud_role_taxonomy", "ip_groups", taxonomy.ip_groups, types, True
    for name, row in taxonomy.ip_groups.items():
        yield "fraud_role_taxonomy", f"ip_groups.{name}", row, pack.ip_taxonomy.asn_classes, True
    groups: dict[str, Iterable[str]] = {
        "party": pack.party_taxonomy.party_types,
        "account": pack.account_taxonomy.groups,
        "merchant": pack.merchant_role_priors.class_mix,
        "device": pack.device_taxonomy.groups,
        "ip": {g for row in taxonomy.ip_groups.values() for g in row.values()},
    }
    for entity, priors in role_priors(pack).items():
        stem = f"{entity}_role_priors"
        vocabulary = taxonomy.entities.get(entity)
        raw = vocabulary.mapping if vocabulary else {}
        if vocabulary:
            key = f"entities.{entity}.clean_family"
            families = set(raw.values())
            yield "fraud_role_taxonomy", key, _keys(vocabulary.clean_family), families, False
        yield stem, "roles", priors.roles, groups[entity], True
        yield stem, "remainder", priors.remainder, groups[entity], True
        for group, roles in priors.roles.items():
            yield stem, f"roles.{group}", roles, raw, False
        for group, role in priors.remainder.items():
            unused = set(raw) - set(priors.roles.get(group, {}))
            yield stem, f"remainder.{group}", _keys(role), unused, False
        yield stem, "score.weights", priors.score.weights, FEATURES[entity], True
    merchant = pack.merchant_role_priors
    yield "merchant_role_priors", "class_risk", merchant.class_risk, merchant.class_mix, True
    devices = pack.device_taxonomy.device_types
    yield "device_role_priors", "type_risk", pack.device_role_priors.type_risk, devices, True
    yield "ip_role_priors", "type_risk", pack.ip_role_priors.type_risk, types, True
    validation = pack.validation_policy
    yield "validation_policy", "severity", validation.severity, CHECK_FAMILIES, True
    yield "validation_policy", "gates", validation.gates, GATES, True
    bands = validation.role_distribution_checks.non_clean_fraction
    yield (
        "validation_policy",
        "role_distribution_checks.non_clean_fraction",
        bands,
        (
            "party",
            "account",
            "merchant",
            "device",
        ),
        True,
    )
