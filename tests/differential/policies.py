"""Random policies that lint accepts, small upstreams and seeds, to compare stages with twins.

A policy starts from the shipped pack, or from a rung of the ladder, with wide bounds of gates and
guards, as these do not change what the generator makes. Then figures are changed one by one; a
change that lint refuses is undone, so that a user could run every policy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.policy.lint import Severity, lint
from fraudworld.policy.loader import load_pack
from fraudworld.policy.pack import PolicyPack
from support import worlds

BASELINE = "published_baseline"
LADDER = (
    "delta_a_kmax", "delta_b_ip", "delta_c_propagation", "delta_d_mapping", "delta_e_validation",
    "p6_1_floors", "p6_2_country", "p6_3_bplus", "p6_4_joints",
)  # fmt: skip
RUNGS = ((), *((BASELINE, *LADDER[:n]) for n in range(len(LADDER))))
"""Overlays of the shipped pack and of every rung of the ladder."""

Change = Callable[[st.DrawFn, Any], Any]
"""(draw, old value) → new value."""


@dataclass(frozen=True)
class Case:
    """One comparison: inputs of the world, and a description of the changed policy."""

    pack: PolicyPack = field(repr=False)
    seed: int
    geo: Geography
    merchants: Merchants = field(repr=False)
    parties_per_shard: int | None
    description: str


def scaled(low: float, high: float) -> Change:
    """The old figure times a factor between `low` and `high`."""
    return lambda draw, old: old * draw(st.floats(low, high))


def real(low: float, high: float) -> Change:
    """A real between `low` and `high`, often one of the two."""
    return lambda draw, old: draw(st.sampled_from([low, high]) | st.floats(low, high))


def whole(low: int, high: int) -> Change:
    """An integer between `low` and `high`."""
    return lambda draw, old: draw(st.integers(low, high))


def one_of(*values: object) -> Change:
    """One of the values."""
    return lambda draw, old: draw(st.sampled_from(values))


def mixed(*factors: float) -> Change:
    """Shares, each multiplied by one of the factors and renormalised."""

    def change(draw: st.DrawFn, old: Any) -> Any:
        keys = list(old) if isinstance(old, dict) else range(len(old))
        mass = [old[k] * draw(st.sampled_from(factors)) for k in keys]
        if not any(mass):
            return old
        shares = [m / math.fsum(mass) for m in mass]
        return dict(zip(keys, shares, strict=True)) if isinstance(old, dict) else shares

    return change


remixed = mixed(0.0, 0.5, 1.0, 1.0, 1.0, 2.0, 5.0)
nudged = mixed(0.8, 0.95, 1.0, 1.05, 1.2)


def typical_moved(draw: st.DrawFn, old: Any) -> Any:
    """Moves a share of the typical endpoints to another type, perhaps a new one."""
    new = draw(st.sampled_from(["CORPORATE", "DATACENTRE", "MOBILE", "RESIDENTIAL", "VPN_PROXY"]))
    share = draw(st.sampled_from([0.02, 0.1, 0.5]))
    shrunk = {ip_type: old[ip_type] * (1.0 - share) for ip_type in old}
    return {**shrunk, new: shrunk.get(new, 0.0) + share}


def moved_home(draw: st.DrawFn, old: Any) -> Any:
    """Moves a share of a segment's heads to dependants of another kind, or to another kind."""
    kinds = ["COUPLE", "FAMILY", "SINGLE", "STUDENT_HOME", "THREE_GENERATIONS"]
    kind, role = draw(st.sampled_from(kinds)), draw(st.sampled_from(["heads", "dependants"]))
    share = draw(st.sampled_from([0.1, 0.5, 1.0]))
    new = {r: {k: part * (1.0 - share) for k, part in old[r].items()} for r in old}
    new[role][kind] = new[role].get(kind, 0.0) + share
    return new


def sublist(draw: st.DrawFn, old: Any) -> Any:
    """A sublist."""
    return draw(st.lists(st.sampled_from(old), unique=True, min_size=1))


def one_cap_for_all(draw: st.DrawFn, old: Any) -> Any:
    """Device counts so tight that the devices of a party reach its limit."""
    cap, groups = draw(st.integers(1, 2)), old["counts"]
    limit = cap * len(groups)
    counts = {g: {**law, "cap": cap, "zero_share": 0.0} for g, law in groups.items()}
    fewer = {party_type: 0.5 * cap * mean for party_type, mean in old["lambda_per_party"].items()}
    limits = {"max_owned_per_party": limit, "max_used_per_party": limit}
    return {**old, **limits, "counts": counts, "lambda_per_party": fewer}


def dormant_everywhere(draw: st.DrawFn, old: Any) -> Any:
    """The same dormant share in every group, with the matching target."""
    share = draw(st.sampled_from([0.0, 0.9]) | st.floats(0.0, 0.9))
    laws = {g: {**law, "dormant_share": share} for g, law in old["device_ips"].items()}
    return {**old, "device_ips": laws, "linked_share_target": 1.0 - share}


def without_a_region(draw: st.DrawFn, old: Any) -> Any:
    """Removes the mix of one region, which then takes the first mix."""
    removed = draw(st.sampled_from(sorted(old["edge_shares"])))
    remaining = {r: mix for r, mix in old["edge_shares"].items() if r != removed}
    return {
        **old,
        "missing_region_mix": "first_available",
        "edge_shares": remaining or {removed: {}},
    }


def basis_points_scaled(draw: st.DrawFn, old: Any) -> Any:
    """Basis points per tier, each times a random factor."""
    return [v * draw(st.floats(0.05, 3.0)) for v in old]


def frailty_bands(draw: st.DrawFn, old: Any) -> Any:
    """Up to three bands of frailty."""
    bands = st.tuples(st.floats(0.0, 0.3), st.floats(1.0, 1000.0))
    drawn = draw(st.lists(bands, max_size=3))
    return [{"share": share, "odds_factor": factor} for share, factor in drawn]


COUNT = {"cap": whole(1, 6), "zero_share": real(0.0, 0.7), "sigma": real(0.0, 1.5)}
POISSON = {"zero_share": real(0.0, 1.0), "mean": real(0.2, 4.0), "maximum": whole(1, 8)}

KNOBS: tuple[tuple[str, Change], ...] = (
    ("population_priors.households.composition", one_of("independent", "by_kind")),
    ("population_priors.households.size_shares", remixed),
    ("population_priors.households.business_group_size_shares", remixed),
    ("population_priors.households.max_members", whole(2, 8)),
    ("population_priors.households.kinds.*.heads", remixed),
    ("population_priors.households.kinds.*.same_segment", real(0.0, 1.0)),
    ("population_priors.households.living.*.*", moved_home),
    ("population_priors.party_type_mix.*", remixed),
    ("population_priors.scale_draw.sigma", real(0.01, 0.5)),
    ("population_priors.country_weight.outlet_exponent", real(0.1, 1.2)),
    ("segmentation_priors.segment_mix.*.*", remixed),
    ("segmentation_priors.profiles.*.*", real(0.0, 1.0)),
    ("segmentation_priors.seed_overdispersion", real(0.0, 20.0)),
    ("product_mix_priors.seed_overdispersion", real(0.0, 20.0)),
    ("device_count_priors.seed_overdispersion", real(0.0, 20.0)),
    ("device_count_priors.party_factor_correlation", real(0.0, 0.8)),
    ("segmentation_priors.country_modulation.enabled", one_of(True, False)),
    ("segmentation_priors.country_modulation.sigma", real(0.05, 1.0)),
    ("segmentation_priors.country_modulation.clip", real(0.05, 2.0)),
    ("segmentation_priors.country_modulation.max_tv", real(0.1, 0.6)),
    ("product_mix_priors.lambda_per_party.*", scaled(0.1, 2.0)),
    ("product_mix_priors.tilt.clip", real(0.01, 1.5)),
    ("product_mix_priors.country_rates.market", one_of("world", "country")),
    ("product_mix_priors.country_rates.card_ownership.*.*", real(0.01, 1.0)),
    ("product_mix_priors.country_rates.strength.*", real(-1.0, 1.0)),
    ("product_mix_priors.country_rates.clip", real(0.01, 0.4)),
    ("account_per_party_priors.party_factor_correlation", real(0.0, 0.8)),
    *((f"account_per_party_priors.counts.*.{key}", law) for key, law in COUNT.items()),
    ("account_per_party_priors.constraints.cap_enforcement_mode", one_of("warn")),
    ("instrument_mix_priors.lambda_per_account.*", scaled(0.3, 2.0)),
    ("instrument_mix_priors.shares.*", remixed),
    ("instrument_mix_priors.floor", one_of("by_account_type", "none")),
    ("instrument_mix_priors.floors.*", remixed),
    ("instrument_mix_priors.scheme_mix.*.*", remixed),
    *((f"instrument_per_account_priors.counts.*.*.{key}", law) for key, law in COUNT.items()),
    ("device_count_priors.lambda_per_party.*", scaled(0.3, 1.6)),
    ("device_count_priors.tilt.clip", real(0.01, 1.0)),
    ("device_count_priors.type_mix.*", remixed),
    *((f"device_count_priors.counts.*.{key}", law) for key, law in COUNT.items()),
    ("device_count_priors", one_cap_for_all),
    ("device_count_priors.terminals_per_outlet", scaled(0.5, 40.0)),
    ("device_count_priors.terminal_mix", remixed),
    ("device_count_priors.os_mix.*", remixed),
    ("device_count_priors.ua_mix.*", remixed),
    ("device_count_priors.mobile_platform.market", one_of("world", "country")),
    ("device_count_priors.mobile_platform.ios_share.*.*", real(0.0, 1.0)),
    ("device_count_priors.mobile_platform.income_log_odds", real(-4.0, 4.0)),
    ("device_count_priors.mobile_platform.follow.*", real(0.0, 1.0)),
    ("device_linkage_rules.legacy_device_groups", one_of(True)),
    ("device_linkage_rules.sharing.*.share", real(0.0, 0.4)),
    ("device_linkage_rules.sharing.*.max_users", whole(2, 6)),
    *((f"device_linkage_rules.accounts_per_device.*.{k}", law) for k, law in POISSON.items()),
    *((f"device_linkage_rules.instruments_per_device.*.{k}", law) for k, law in POISSON.items()),
    ("device_linkage_rules.max_devices_per_account", whole(1, 6)),
    ("device_linkage_rules.max_devices_per_instrument", whole(1, 6)),
    ("device_linkage_rules.max_devices_per_merchant", whole(1, 40)),
    ("device_linkage_rules.circles.member_share", real(0.0, 0.6)),
    ("device_linkage_rules.circles.mean_members", real(6.0, 15.0)),
    ("device_linkage_rules.circles.one_segment_share", real(0.0, 1.0)),
    ("device_linkage_rules.circles.co_user_share", real(0.0, 1.0)),
    ("device_linkage_rules.circles.line.min_devices", whole(1, 30)),
    ("device_linkage_rules.circles.line.max_devices", whole(12, 100)),
    ("ip_count_priors", dormant_everywhere),
    ("ip_count_priors", without_a_region),
    ("ip_count_priors.edge_shares.*", nudged),
    ("ip_count_priors.asn_mix.*", remixed),
    ("ip_count_priors.ipv6_share.*", real(0.0, 1.0)),
    ("ip_count_priors.device_ips.*.mean", real(1.0, 6.0)),
    ("ip_count_priors.dispersion", real(0.3, 20.0)),
    ("ip_count_priors.max_ips_per_device", whole(6, 25)),
    ("ip_count_priors.degree_laws.*.minimum", whole(1, 60)),
    ("ip_count_priors.degree_laws.*.alpha", real(0.5, 4.0)),
    ("ip_count_priors.degree_cap", whole(13, 340)),
    ("ip_count_priors.homes.max_devices_per_lease", whole(3, 12)),
    ("graph_linkage_rules.eligible_ip_types.*", sublist),
    ("graph_linkage_rules.typical_ip_shares.*.*", remixed),
    ("graph_linkage_rules.typical_ip_shares.*.*", typical_moved),
    ("graph_linkage_rules.segment_weights.*.*", real(0.1, 8.0)),
    ("graph_linkage_rules.prone_party_share", real(0.035, 1.0)),
    ("graph_linkage_rules.public_access_share.*", real(0.0, 1.0)),
    ("graph_linkage_rules.merchant_endpoint_types", remixed),
    *((f"graph_linkage_rules.merchant_endpoints.{key}", law) for key, law in POISSON.items()),
    ("graph_linkage_rules.repair_attempts", whole(1, 32)),
    ("graph_linkage_rules.abroad.*", real(0.0, 1.0)),
    ("fraud_role_taxonomy.tier_shares", remixed),
    *(
        knob
        for entity in ("party", "account", "merchant", "device", "ip")
        for knob in (
            (f"{entity}_role_priors.roles.*.*", basis_points_scaled),
            (f"{entity}_role_priors.score.weights.*", real(-0.5, 0.5)),
            (f"{entity}_role_priors.score.noise_sigma", real(0.001, 0.5)),
        )
    ),
    ("risk_propagation_coeffs.propagation", one_of("on", "off")),
    ("risk_propagation_coeffs.role_mapping", one_of("total", "none")),
    ("risk_propagation_coeffs.max_abs_log_odds", real(0.5, 3.0)),
    ("risk_propagation_coeffs.owner_to_account.target_odds_ratio", real(0.3, 6.0)),
    ("risk_propagation_coeffs.owner_to_device.target_odds_ratio", real(0.3, 6.0)),
    ("risk_propagation_coeffs.propagation_by", one_of("risk", "role_pair")),
    ("risk_propagation_coeffs.max_odds_factor", real(1.0, 100.0)),
    ("risk_propagation_coeffs.role_pairs.account.factors.*.*", real(0.02, 80.0)),
    ("risk_propagation_coeffs.role_pairs.device.factors.*.*", real(0.02, 20.0)),
    ("risk_propagation_coeffs.role_pairs.device.users.*.*", real(0.02, 20.0)),
    ("risk_propagation_coeffs.frailty.circle", frailty_bands),
    ("risk_propagation_coeffs.frailty.home", frailty_bands),
    ("risk_propagation_coeffs.frailty.firm", frailty_bands),
    ("risk_propagation_coeffs.frailty.roles", sublist),
    ("risk_propagation_coeffs.frailty.max_odds_factor", real(1.0, 1000.0)),
    ("risk_propagation_coeffs.frailty.organiser_min_members", whole(1, 20)),
    ("risk_propagation_coeffs.device_to_ip.risky_device_log_odds", real(-1.0, 1.5)),
    ("risk_propagation_coeffs.device_to_ip.high_sharing_log_odds", real(-1.0, 1.5)),
    ("risk_propagation_coeffs.device_to_ip.high_sharing_min_devices", whole(1, 40)),
)
"""Dotted keys (`*` matches any name) and how they may change."""

HOME_KNOBS = tuple(
    knob
    for knob in KNOBS
    if knob[0].startswith(("population_priors.households", "segmentation_priors.segment_mix"))
)
"""Those that change who lives with whom."""

WIDE: dict[str, object] = {
    "product_mix_priors.max_total_lambda.*": 100.0,
    "product_mix_priors.required_coverage.*": 0.0,
    "device_count_priors.max_owned_per_party": 60,
    "device_count_priors.max_used_per_party": 60,
    "instrument_per_account_priors.max_per_account": 60,
    "validation_policy.linkage_checks.max_devices_per_party": 60,
    "validation_policy.linkage_checks.max_instruments_per_account": 60,
    "validation_policy.role_distribution_checks.non_clean_fraction.*": {"low": 0.0, "high": 1.0},
    "validation_policy.role_distribution_checks.ip_roles.max_risky_fraction": 1.0,
    "validation_policy.gates.T3_*": {"B": 100.0, "Bplus": 100.0},
    "validation_policy.gates.T4_linked_device_fraction": {"B": 0.0, "Bplus": 0.0},
    "validation_policy.gates.T5_*": {"B": 1e6, "Bplus": 1e6},
    "validation_policy.gates.T7_odds_ratio": {"B": 0.01, "Bplus": 0.01},
    "validation_policy.guards.separability_max_odds_ratio": 100.0,
    "validation_policy.guards.min_tail_ratio": 0.01,
    "validation_policy.guards.max_coverage": 1.0,
    "validation_policy.guards.household_max_*": 1.0,
    "validation_policy.guards.household_min_student_company": 0.0,
    "validation_policy.guards.household_min_retired_company": 0.0,
    "validation_policy.guards.household_min_partner_lift": 0.01,
    "validation_policy.guards.role_coherence_min_*": 0.0,
    "validation_policy.guards.role_coherence_max_non_clean": 1.0,
    "validation_policy.guards.seed_variation_low": 0.01,
    "validation_policy.guards.seed_variation_high": 100.0,
    "validation_policy.guards.transmission_min_odds_ratio": 0.01,
    "validation_policy.guards.transmission_max_odds_ratio": 1e6,
    "validation_policy.guards.abroad_min_*": 0.0,
    "validation_policy.guards.abroad_max_*": 1.0,
}
"""Bounds of lint, gates and guards that do not change the generated world."""

Document = dict[str, Any]
Path = tuple[str, ...]


@cache
def start(overlays: tuple[str, ...]) -> str:
    """The pack of the overlays as JSON, with WIDE bounds and the replay posture."""
    document = json.loads(load_pack(overlays=overlays).pack.model_dump_json())
    document["posture"] = "baseline_replay"
    for key, value in WIDE.items():
        for path in paths(document, key):
            _put(document, path, value)
    document["validation_policy"]["rebaseline"] = {
        "reason": "worlds of random policies are compared, not certified",
        "authority": "tests/differential",
    }
    return json.dumps(document)


def paths(document: Document, key: str) -> list[Path]:
    """Every path that a dotted key with stars matches."""
    matches: list[tuple[Path, Any]] = [((), document)]
    for part in key.split("."):
        matches = [
            ((*path, name), node[name])
            for path, node in matches
            for name in node
            if name == part or (part.endswith("*") and name.startswith(part[:-1]))
        ]
    return [path for path, _ in matches]


def _at(document: Document, path: Path) -> Any:
    for name in path:
        document = document[name]
    return document


def _put(document: Document, path: Path, value: object) -> None:
    _at(document, path[:-1])[path[-1]] = value


def changed(overlays: tuple[str, ...], changes: Mapping[str, object]) -> PolicyPack:
    """The pack of the overlays with WIDE bounds and changed values; lint must accept it."""
    document = json.loads(start(overlays))
    for key, value in changes.items():
        for path in paths(document, key):
            _put(document, path, value)
    pack = accepted(document)
    assert pack, f"lint refuses {changes}"
    return pack


def accepted(document: Document) -> PolicyPack | None:
    """The document as a pack; None if it is invalid or lint finds an error."""
    try:
        pack = PolicyPack.model_validate_json(json.dumps(document), strict=True)
    except ValueError:
        return None
    return None if any(f.severity is Severity.ERROR for f in lint(pack)) else pack


def _changed(old: Any, new: Any) -> str:
    """Describes a change; of a mapping, only the changed entries."""
    if isinstance(old, dict):
        return str({key: value for key, value in new.items() if old.get(key) != value})
    return f"{old} → {new}"


@st.composite
def packs(
    draw: st.DrawFn,
    most_changes: int = 25,
    knobs: Sequence[tuple[str, Change]] = KNOBS,
    rungs: Sequence[tuple[str, ...]] = RUNGS,
) -> tuple[PolicyPack, list[str]]:
    """A pack that lint accepts, and descriptions of its changes."""
    rung = draw(st.sampled_from(rungs))
    document, descriptions, pack = json.loads(start(rung)), [*rung], changed(rung, {})
    for number in draw(st.lists(st.integers(0, len(knobs) - 1), max_size=most_changes)):
        key, change = knobs[number]
        choices = paths(document, key)
        if not choices:
            continue
        path = draw(st.sampled_from(choices))
        old = _at(document, path)
        new = change(draw, old)
        _put(document, path, new)
        candidate = accepted(document)
        if candidate:
            pack = candidate
            descriptions.append(f"{'.'.join(path)}: {_changed(old, new)}")
        else:
            _put(document, path, old)
    return pack, descriptions


@st.composite
def geographies(draw: st.DrawFn, pack: PolicyPack, sizes: tuple[int, int]) -> Geography:
    """One to nine countries, some with very few parties."""
    chosen = draw(st.sets(st.sampled_from(sorted(worlds.COUNTRIES)), min_size=1))
    countries = tuple(sorted(chosen))
    regions, priors = pack.codes("region"), pack.population_priors
    currencies = tuple(sorted({worlds.COUNTRIES[c][1] for c in countries}))
    weight = np.array(_numbers(draw, len(countries), 1, 5_000), dtype=np.int64)
    parties = draw(st.integers(*sizes))
    arrivals = parties * priors.arrivals_per_active_party * priors.active_share
    return Geography(
        countries=countries,
        region=np.array([regions.index(worlds.COUNTRIES[c][0]) for c in countries], np.uint8),
        currency=np.array([currencies.index(worlds.COUNTRIES[c][1]) for c in countries], np.uint8),
        currencies=currencies,
        outlets=weight,
        weekly_arrivals=arrivals * weight / weight.sum(),
    )


@st.composite
def merchants(draw: st.DrawFn, pack: PolicyPack, countries: int) -> Merchants:
    """Up to forty merchants, some with very many outlets; ids are not dense."""
    n = draw(st.integers(1, 40))
    classes = len(pack.codes("merchant_class"))
    abroad, volume = _numbers(draw, n, 0, 10), _numbers(draw, n, 1, 100_000)
    return Merchants(
        id=np.cumsum(_numbers(draw, n, 1, 9)).astype(np.int64),
        home_country=np.array(_numbers(draw, n, 0, countries - 1), dtype=np.uint8),
        risk_class=np.array(_numbers(draw, n, 0, classes - 1), dtype=np.uint8),
        outlets=np.array(_numbers(draw, n, 1, 2_000), dtype=np.int64),
        cross_border=np.array(abroad) / 10.0,
        weekly_volume=np.array(volume, dtype=np.float64),
    )


def _numbers(draw: st.DrawFn, n: int, low: int, high: int) -> Sequence[int]:
    """`n` log-uniform integers between `low` and `high`."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    span = math.log(high - low + 1.0)
    return [low + int(math.exp(generator.uniform(0.0, span))) - 1 for _ in range(n)]


@st.composite
def cases(
    draw: st.DrawFn,
    sizes: tuple[int, int],
    policies: st.SearchStrategy[tuple[PolicyPack, list[str]]] | None = None,
) -> Case:
    """A policy, a seed and an upstream, with country floors that the world can hold."""
    pack, descriptions = draw(packs() if policies is None else policies)
    geo = draw(geographies(pack, sizes))
    floor = draw(st.integers(1, max(int(0.6 * sizes[0] / len(geo.countries)), 1)))
    rule = pack.population_priors.country_floor.model_copy(update={"minimum": floor})
    priors = pack.population_priors.model_copy(update={"country_floor": rule})
    return Case(
        pack=pack.model_copy(update={"population_priors": priors}),
        seed=draw(st.integers(0, 2**64 - 1)),
        geo=geo,
        merchants=draw(merchants(pack, len(geo.countries))),
        parties_per_shard=draw(st.sampled_from([None, 1])),
        description="; ".join(descriptions),
    )
