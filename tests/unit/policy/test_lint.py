"""Lint: no finding in the shipped pack; each impossible change is named with its bound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fraudworld.errors import InputError
from fraudworld.policy import models as m
from fraudworld.policy.diff import show
from fraudworld.policy.lint import Finding, Severity, lint, require_lint
from fraudworld.policy.loader import load_pack
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules import counts, endpoints, roles, vocabulary

PACK = load_pack().pack


def test_the_shipped_pack_has_no_findings() -> None:
    assert lint(PACK) == ()
    assert require_lint(PACK) == ()


def errors(overlay: Path) -> list[Finding]:
    return [f for f in lint(load_pack(overlays=[overlay]).pack) if f.severity is Severity.ERROR]


LIVING = "population_priors.households.living"


def coefficients(**keys: object) -> dict[str, Any]:
    """Sections of an overlay that sets keys of `risk_propagation_coeffs`."""
    return {"set": {"risk_propagation_coeffs": keys}}


def pairs(asset: str, table: str, **rows: object) -> dict[str, Any]:
    """Sections of an overlay that sets rows of a table of role pairs."""
    return coefficients(role_pairs={asset: {table: rows}})


PAIRS = "risk_propagation_coeffs.role_pairs"
FACTORS = PACK.risk_propagation_coeffs.role_pairs.account.factors
OWNERS = ("ASSOCIATE", "MULE", "ORGANISER", "SYNTHETIC_ID")
WEAK = {"RISKY_DEVICE": 1.2, "BOT_LIKE_DEVICE": 1.2, "SHARED_SUSPICIOUS_DEVICE": 1.2}
BANK = "PARTY_BANK_ACCOUNT_DOMESTIC"
CASES = {
    "shares sum to .99": (
        {"set": {"population_priors": {"party_type_mix": {"REGION_AMER": {"RETAIL": 0.945}}}}},
        "party_type_mix.REGION_AMER",
        "shares do not sum to one",
    ),
    "shares off by 1e-9": (
        {"set": {"device_count_priors": {"terminal_mix": {"KIOSK": 0.040000001}}}},
        "terminal_mix",
        "shares do not sum to one",
    ),
    "homes used from abroad": (
        {"replace": {"graph_linkage_rules.abroad": {"RESIDENTIAL": 0.05}}},
        "abroad.RESIDENTIAL",
        "unknown word",
    ),
    "typical endpoints abroad": (
        {"replace": {"graph_linkage_rules.abroad": {"MOBILE": 0.95}}},
        "abroad.MOBILE",
        "typical endpoints stay at home",
    ),
    "too few proxies abroad": (
        {"set": {"graph_linkage_rules": {"abroad": {"DATACENTRE": 0.1}}}},
        "abroad.DATACENTRE",
        "a guard foreign_edges would fail",
    ),
    "unknown account type": (
        {"replace": {"product_mix_priors.required_coverage": {"RETAIL_CURRENT_GOLD": 0.5}}},
        "required_coverage.RETAIL_CURRENT_GOLD",
        "unknown word",
    ),
    "a required product that differs by country": (
        {"replace": {"product_mix_priors.country_rates.strength": {"RETAIL_CURRENT_BASIC": 0.2}}},
        "country_rates.strength.RETAIL_CURRENT_BASIC",
        "unknown word",
    ),
    "countries that differ beyond their caps": (
        {"set": {"product_mix_priors": {"country_rates": {"clip": 2.0}}}},
        "counts.RETAIL_CREDIT_CARD_STANDARD",
        "per party than caps and hurdle allow",
    ),
    "a region without a share of iOS": (
        {"replace": {"device_count_priors.mobile_platform.ios_share.regions": {}}},
        "mobile_platform.ios_share.regions.REGION_AMER",
        "a case without a rule",
    ),
    "a laptop on its owner's phone system": (
        {
            "replace": {
                "device_count_priors.mobile_platform.follow": {
                    "MOBILE_PHONE": 0.9,
                    "WEARABLE": 1.0,
                    "LAPTOP": 0.5,
                }
            }
        },
        "mobile_platform.follow.LAPTOP",
        "also runs on systems that are not mobile",
    ),
    "a watch without a share of following": (
        {"replace": {"device_count_priors.mobile_platform.follow": {"MOBILE_PHONE": 0.9}}},
        "mobile_platform.follow.WEARABLE",
        "a type of the wallet group without a share",
    ),
    "more holders of tokens than phones": (
        {"set": {"instrument_mix_priors": {"lambda_per_account": {"BUSINESS_CREDIT_CARD": 5.0}}}},
        "mobile_platform.wallet_group",
        "more holders of tokens than devices",
    ),
    "a wallet that no scheme is": (
        {"set": {"device_count_priors": {"mobile_platform": {"wallets": {"IOS": "PAY"}}}}},
        "mobile_platform.wallets.IOS.PAY",
        "unknown word",
    ),
    "a card that nobody issues": (
        {
            "replace": {
                "instrument_mix_priors.scheme_exclusions": {
                    "RETAIL_DEBIT_CARD_PHYSICAL": ["AMEX", "MASTERCARD", "VISA"]
                }
            }
        },
        "scheme_exclusions.RETAIL_DEBIT_CARD_PHYSICAL",
        "issues it",
    ),
    "missing region mix": (
        {"replace": {"ip_count_priors.edge_shares": {}}},
        "edge_shares.REGION_AMER",
        "a case without a rule",
    ),
    "missing product rule": (
        {"replace": {"account_per_party_priors.counts": {}}},
        "counts.BUSINESS_SAVINGS",
        "a case without a rule",
    ),
    "unreachable account mean": (
        {"set": {"product_mix_priors": {"lambda_per_party": {"RETAIL_CURRENT_BASIC": 1.99}}}},
        "counts.RETAIL_CURRENT_BASIC",
        "more RETAIL_CURRENT_BASIC per party than caps and hurdle allow",
    ),
    "too many accounts in all": (
        {"set": {"product_mix_priors": {"max_total_lambda": {"RETAIL": 2.5}}}},
        "max_total_lambda.RETAIL",
        "expects more accounts than the limit",
    ),
    "coverage out of reach": (
        {"set": {"product_mix_priors": {"lambda_per_party": {"BUSINESS_CURRENT": 1.0}}}},
        "required_coverage.BUSINESS_CURRENT",
        "covers fewer",
    ),
    "unreachable instrument mean": (
        {"set": {"instrument_mix_priors": {"lambda_per_account": {"BUSINESS_TERM_LOAN": 0.96}}}},
        f"counts.BUSINESS_TERM_LOAN.{BANK}",
        "than cap, hurdle and parent cards allow",
    ),
    "floor above its mean": (
        {"set": {"instrument_mix_priors": {"lambda_per_account": {"OTHER_CURRENT_BASIC": 1.2}}}},
        f"floors.OTHER_CURRENT_BASIC.{BANK}",
        "the floor alone exceeds",
    ),
    "card account without a card floor": (
        {"set": {"instrument_mix_priors": {"floor": "none"}}},
        "floors.BUSINESS_CREDIT_CARD",
        "not every account gets a CARD",
    ),
    "instrument illegal on the ledger": (
        {"set": {"instrument_taxonomy": {"instrument_types": {BANK: {"ledgers": ["DEPOSIT"]}}}}},
        f"shares.BUSINESS_TERM_LOAN.{BANK}",
        "not legal on a INSTALMENT ledger",
    ),
    "instrument caps above the limit": (
        {"set": {"instrument_per_account_priors": {"max_per_account": 15}}},
        "counts.RETAIL_CREDIT_CARD_PREMIUM",
        "caps add up above the limit",
    ),
    "device mean out of reach": (
        {"set": {"device_count_priors": {"counts": {"CONSUMER_PERSONAL": {"cap": 1}}}}},
        "counts.CONSUMER_PERSONAL",
        "more CONSUMER_PERSONAL devices per party",
    ),
    "group caps above the owner's": (
        {"set": {"device_count_priors": {"counts": {"BACKEND_SERVER": {"cap": 3}}}}},
        "max_owned_per_party",
        "caps of the groups a BUSINESS party can own",
    ),
    "more sharing than company": (
        {"set": {"device_linkage_rules": {"sharing": {"CONSUMER_SHARED": {"share": 0.8}}}}},
        "sharing.CONSUMER_SHARED.share",
        "live or work with another party",
    ),
    "more users than homes hold": (
        {"set": {"device_linkage_rules": {"sharing": {"IOT_OTHER": {"max_users": 7}}}}},
        "sharing.IOT_OTHER.max_users",
        "more users than the largest home",
    ),
    "Safari on Android": (
        {"replace": {"device_count_priors.ua_mix.ANDROID": {"SAFARI": 0.5, "CHROME": 0.5}}},
        "ua_mix.ANDROID.SAFARI",
        "does not have",
    ),
    "another namespace of device groups": (
        {"replace": {"graph_linkage_rules.eligible_ip_types": {"PHONES": ["MOBILE"]}}},
        "eligible_ip_types.PHONES",
        "unknown word",
    ),
    "coverage that dormant shares do not give": (
        {"set": {"ip_count_priors": {"linked_share_target": 0.9}}},
        "linked_share_target",
        "dormant shares miss the target share",
    ),
    "too few prone parties": (
        {"set": {"graph_linkage_rules": {"prone_party_share": 0.034}}},
        "prone_party_share",
        "too few spare edges",
    ),
    "more home edges than leases": (
        {
            "replace": {
                "ip_count_priors.edge_shares.REGION_APAC": {
                    "RESIDENTIAL": 0.60,
                    "MOBILE": 0.12,
                    "CORPORATE": 0.10,
                    "PUBLIC_WIFI": 0.06,
                    "HOTEL_TRAVEL": 0.04,
                    "EDUCATION": 0.03,
                    "DATACENTRE": 0.03,
                    "VPN_PROXY": 0.02,
                }
            }
        },
        "edge_shares.REGION_APAC.RESIDENTIAL",
        "homes cannot carry this share",
    ),
    "types no group may use": (
        {
            "set": {
                "graph_linkage_rules": {
                    "eligible_ip_types": {
                        "CONSUMER_PERSONAL": ["RESIDENTIAL", "MOBILE", "CORPORATE"]
                    }
                }
            }
        },
        "eligible_ip_types",
        "too few edges",
    ),
    "typical type beyond its quota": (
        {
            "replace": {
                "graph_linkage_rules.typical_ip_shares.RETAIL.CONSUMER_PERSONAL": {"CORPORATE": 1.0}
            }
        },
        "CORPORATE",
        "typical endpoints need a larger share",
    ),
    "typical type the group may not use": (
        {
            "replace": {
                "graph_linkage_rules.typical_ip_shares.RETAIL.CONSUMER_SHARED": {"MOBILE": 1.0}
            }
        },
        "typical_ip_shares.RETAIL.CONSUMER_SHARED.MOBILE",
        "unknown word",
    ),
    "p99 beyond T5": (
        {"set": {"ip_count_priors": {"degree_laws": {"MOBILE": {"minimum": 40}}}}},
        "degree_laws",
        "p99 of devices per endpoint",
    ),
    "cap beyond T5": (
        {"set": {"ip_count_priors": {"degree_cap": 351}}},
        "degree_cap",
        "may exceed T5",
    ),
    "no tail": (
        {"set": {"ip_count_priors": {"degree_cap": 50}}},
        "degree_laws",
        "is not a tail",
    ),
    "role figures above the whole": (
        {"set": {"party_role_priors": {"roles": {"RETAIL": {"MULE": [12, 50, 300, 9001]}}}}},
        "roles.RETAIL",
        "exceed the whole",
    ),
    "a negative role figure": (
        {"set": {"party_role_priors": {"roles": {"RETAIL": {"MULE": [-1, 50, 300, 900]}}}}},
        "roles.RETAIL",
        "negative",
    ),
    "too many risky endpoints": (
        {
            "set": {
                "ip_role_priors": {
                    "roles": {"RESIDENTIAL": {"HIGH_RISK_IP": [2000, 3000, 4000, 5000]}}
                }
            }
        },
        "roles",
        "HIGH_RISK_IP share",
    ),
    "fraud outside its band": (
        {
            "set": {
                "validation_policy": {
                    "role_distribution_checks": {"non_clean_fraction": {"party": {"high": 0.02}}}
                }
            }
        },
        "roles",
        "non-clean fraction",
    ),
    "a score that shares its owner's feature": (
        {
            "replace": {
                "account_role_priors.score.weights": {
                    "card": 0.1,
                    "virtual_card": 0.1,
                    "instruments": 0.1,
                    "account_count": 0.1,
                }
            }
        },
        "score.weights.account_count",
        "unknown word",
    ),
    "an odds ratio beyond the clamp": (
        coefficients(propagation_by="risk", owner_to_device={"target_odds_ratio": 3.99}),
        "owner_to_device.target_odds_ratio",
        "beyond the clamp",
    ),
    "an odds ratio below the gate": (
        coefficients(propagation_by="risk", owner_to_account={"target_odds_ratio": 1.4}),
        "owner_to_account.target_odds_ratio",
        "below T7",
    ),
    "a pair without a factor": (
        {"replace": {f"{PAIRS}.account.factors.MULE": {"MULE_ACCOUNT": 60.0}}},
        "role_pairs.account.factors.MULE.DORMANT_RISKY",
        "without a factor",
    ),
    "a factor of a clean role": (
        {"replace": {f"{PAIRS}.account.factors": {**FACTORS, "CLEAN": {**WEAK}}}},
        "role_pairs.account.factors.CLEAN",
        "no role that is not clean",
    ),
    "a factor beyond the limit": (
        pairs("account", "factors", MULE={"MULE_ACCOUNT": 91.0}),
        "role_pairs.account.factors.MULE.MULE_ACCOUNT",
        "beyond max_odds_factor",
    ),
    "no factor within the limit": (
        coefficients(max_odds_factor=0.5),
        "max_odds_factor",
        "no factor lies within it",
    ),
    "a band of odds ratios out of order": (
        pairs("device", "nominal_odds_ratio", low=9.0),
        "role_pairs.device.nominal_odds_ratio",
        "not in order",
    ),
    "mule accounts of clean owners": (
        pairs("account", "factors", MULE={"MULE_ACCOUNT": 30.0}),
        "role_pairs.account.factors",
        "too few accounts with the role MULE_ACCOUNT",
    ),
    "shared devices of one user": (
        pairs("device", "users", SHARED_SUSPICIOUS_DEVICE={"several": 1.0}),
        "role_pairs.device.users.SHARED_SUSPICIOUS_DEVICE",
        "too few devices with the role SHARED_SUSPICIOUS_DEVICE",
    ),
    "shared devices where none is shared": (
        {"replace": {"device_linkage_rules.sharing": {}}},
        "role_pairs.device.users.SHARED_SUSPICIOUS_DEVICE",
        "too few devices with the role SHARED_SUSPICIOUS_DEVICE",
    ),
    "an owner role that decides its assets": (
        pairs("account", "factors", ORGANISER=dict.fromkeys(FACTORS["MULE"], 90.0)),
        "role_pairs.account.factors.ORGANISER",
        "too many accounts",
    ),
    "pairs below the gate": (
        pairs("device", "factors", **{o: {**WEAK} for o in OWNERS}),
        "role_pairs.device",
        "below T7 at B+",
    ),
    "pairs beyond the guard": (
        pairs("account", "factors", **{o: {"HIGH_RISK_ACCOUNT": 40.0} for o in OWNERS}),
        "role_pairs.account",
        "beyond the separability guard",
    ),
    "pairs of a role that does not exist": (
        {"replace": {"fraud_role_taxonomy.entities.account.mapping": {"CLEAN_ACCOUNT": "CLEAN"}}},
        "entities.account.mapping.MULE_ACCOUNT",
        "need this role",
    ),
    "a role without a family": (
        {
            "replace": {
                "fraud_role_taxonomy.entities.device.mapping": {"NORMAL_DEVICE": "CLEAN_DEVICE"}
            }
        },
        "roles.BACKEND_SERVER.BOT_LIKE_DEVICE",
        "unknown word",
    ),
    "an operator without a group": (
        {"replace": {"fraud_role_taxonomy.ip_groups.MOBILE": {"MNO": "MOBILE_CARRIER"}}},
        "ip_groups.MOBILE.CDN_EDGE",
        "a case without a rule",
    ),
    **{
        f"seeds that vary too much or too little in {stem}": (
            {"set": {stem: {"seed_overdispersion": figure}}},
            "seed_overdispersion",
            "outside the guard seed_variation",
        )
        for stem, figure in (
            ("segmentation_priors", 6.1),
            ("product_mix_priors", 0.4),
            ("device_count_priors", 9.0),
        )
    },
    "bounds out of order": (
        {"set": {"segmentation_priors": {"country_modulation": {"max_tv": 0.05}}}},
        "country_modulation",
        "not in order",
    ),
    "a segment that lives nowhere": (
        {"replace": {f"{LIVING}.REGION_AMER": {}}},
        "living.REGION_AMER.RETAIL_AFFLUENT",
        "a case without a rule",
    ),
    "an unknown kind of home": (
        {"replace": {f"{LIVING}.REGION_AMER.RETAIL_VALUE.heads": {"CASTLE": 1.0}}},
        "living.REGION_AMER.RETAIL_VALUE.heads.CASTLE",
        "unknown word",
    ),
    "places that are no whole": (
        {"replace": {f"{LIVING}.REGION_AMER.RETAIL_VALUE.heads": {"SINGLE": 0.9}}},
        "living.REGION_AMER.RETAIL_VALUE",
        "shares do not sum to one",
    ),
    "sizes that are no whole": (
        {"set": {"population_priors": {"households": {"kinds": {"COUPLE": {"heads": [0.5]}}}}}},
        "kinds.COUPLE.heads",
        "shares do not sum to one",
    ),
    "more flatmates than members": (
        {"set": {"population_priors": {"households": {"max_members": 4}}}},
        "kinds.STUDENT_HOME.heads",
        "more heads than members",
    ),
    "dependants of nobody": (
        {
            "replace": {
                f"{LIVING}.REGION_EMEA.RETAIL_RETIRED.heads": {"SINGLE": 0.44, "COUPLE": 0.5},
                f"{LIVING}.REGION_EMEA.RETAIL_STUDENT.dependants": {"RETIRED_COUPLE": 0.46},
            }
        },
        "living.REGION_EMEA",
        "live in RETIRED_COUPLE, which has no heads",
    ),
    "more members than room": (
        {
            "set": {
                "population_priors": {
                    "households": {
                        "max_members": 2,
                        "kinds": {"STUDENT_HOME": {"heads": [0.0, 1.0]}},
                    }
                }
            }
        },
        "living.REGION_AFRICA",
        "more members than max_members",
    ),
    "families who live alone": (
        {"replace": {f"{LIVING}.REGION_APAC.RETAIL_FAMILY.heads": {"SINGLE": 0.4, "FAMILY": 0.6}}},
        "living.REGION_APAC",
        "RETAIL_FAMILY alone",
    ),
    "retired parties who live alone": (
        {"replace": {f"{LIVING}.REGION_LATAM.RETAIL_RETIRED.heads": {"SINGLE": 0.76}}},
        "living.REGION_LATAM",
        "RETAIL_RETIRED with RETAIL_RETIRED",
    ),
    "partners who do not look for each other": (
        {
            "set": {
                "population_priors": {
                    "households": {
                        "kinds": {
                            "COUPLE": {"same_segment": 0.0},
                            "FAMILY": {"same_segment": 0.0},
                        }
                    }
                }
            }
        },
        "living.REGION_",
        "lift of partners",
    ),
    "circles smaller than the smallest": (
        {"set": {"device_linkage_rules": {"circles": {"largest": 4}}}},
        "circles.largest",
        "below the smallest circle",
    ),
    "circles larger than sizes allow": (
        {"set": {"device_linkage_rules": {"circles": {"mean_members": 23.0}}}},
        "circles.mean_members",
        "between the smallest and the middle size",
    ),
    "lines of circles that end before they begin": (
        {"set": {"device_linkage_rules": {"circles": {"line": {"max_devices": 7}}}}},
        "circles.line.max_devices",
        "below the fewest devices of a line",
    ),
    "lines of circles longer than any endpoint": (
        {"set": {"ip_count_priors": {"degree_cap": 70}}},
        "circles.line.max_devices",
        "the largest endpoint",
    ),
    "more frail homes than homes": (
        coefficients(frailty={"home": [{"share": s, "odds_factor": 2.0} for s in (0.6, 0.5)]}),
        "frailty.home",
        "more than all units",
    ),
    "frailty of the role that takes the rest": (
        coefficients(frailty={"roles": ["CLEAN"]}),
        "frailty.roles",
        "takes what the others leave",
    ),
    "circles whose risk nobody finds": (
        coefficients(frailty={"circle": [{"share": 0.5, "odds_factor": 1.5}]}),
        "frailty.circle",
        "outside the guard",
    ),
    "circles that prove risk": (
        coefficients(frailty={"circle": [{"share": 0.02, "odds_factor": 600.0}]}),
        "frailty.circle",
        "outside the guard",
    ),
    "home lines of another mean": (
        {"set": {"ip_count_priors": {"homes": {"mean_devices": {"REGION_APAC": 1.2}}}}},
        "homes.mean_devices.REGION_APAC",
        "give another mean",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_impossible_policy_is_named(case: str, write_overlay: Callable[..., Path]) -> None:
    sections, key, message = CASES[case]
    findings = errors(write_overlay(**sections))
    assert any(key in f.key and message in f.message for f in findings), findings
    for finding in findings:
        assert finding.remedy
        assert finding.file.endswith("_6A.v1.yaml")
        assert finding.bound is not None


def test_the_bound_a_finding_names_satisfies_lint(write_overlay: Callable[..., Path]) -> None:
    broken = write_overlay("low", set={"graph_linkage_rules": {"prone_party_share": 0.03}})
    needed = max(float(f.bound) for f in errors(broken) if f.key == "prone_party_share")  # type: ignore[arg-type]
    assert needed > 0.035
    share = needed + 1e-9
    fixed = write_overlay("enough", set={"graph_linkage_rules": {"prone_party_share": share}})
    assert errors(fixed) == []


@pytest.mark.parametrize(("stem", "key", "value"), roles.DEFECTS)
def test_values_of_the_baseline_need_the_replay_posture(
    stem: str, key: str, value: object, write_overlay: Callable[..., Path]
) -> None:
    nested: object = value
    for part in reversed(key.split(".")):
        nested = {part: nested}
    findings = errors(write_overlay("bare", set={stem: nested}))
    assert any(f.key == key and "known defect" in f.message for f in findings)
    replay = load_pack(
        overlays=[write_overlay("replay", set={stem: nested}, posture="baseline_replay")]
    ).pack
    assert any(f.key == key and f.severity is Severity.KNOWN_DEFECT for f in lint(replay))


def test_seeds_of_one_plan_are_noted(write_overlay: Callable[..., Path]) -> None:
    """Rungs of the ladder below the last one have it; a certificate of them is not B+."""
    path = write_overlay(set={"device_count_priors": {"seed_overdispersion": 0.0}})
    (finding,) = lint(load_pack(overlays=[path]).pack)
    assert (finding.key, finding.severity) == ("seed_overdispersion", Severity.NOTE)
    assert finding.bound == "0.5 to 6"


def test_no_asset_score_uses_a_feature_of_the_owner_score() -> None:
    owner = set(vocabulary.FEATURES["party"])
    for asset in ("account", "device", "ip"):
        assert owner.isdisjoint(vocabulary.FEATURES[asset])


def test_an_advisory_check_needs_the_replay_posture(write_overlay: Callable[..., Path]) -> None:
    severity = {"validation_policy": {"severity": {"linkage": "ADVISORY"}}}
    assert [f.key for f in errors(write_overlay(set=severity))] == ["severity.linkage"]


def test_require_lint_lists_every_error(write_overlay: Callable[..., Path]) -> None:
    path = write_overlay(
        set={
            "graph_linkage_rules": {"prone_party_share": 0.01},
            "ip_count_priors": {"degree_cap": 400},
        }
    )
    with pytest.raises(InputError) as caught:
        require_lint(load_pack(overlays=[path]).pack)
    assert caught.value.code == "6A.S0.PRIOR_PACK_UNSATISFIABLE"
    assert "prone_party_share" in caught.value.what
    assert "degree_cap" in caught.value.what


NUMBERS = [(k, v) for k, v in show(PACK) if type(v) in (int, float)]


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(NUMBERS), st.sampled_from([0.0, 0.5, 2.0, 50.0]))
def test_any_changed_number_gives_findings_and_never_a_traceback(
    leaf: tuple[str, float], factor: float
) -> None:
    key, value = leaf
    plain = PACK.model_dump(mode="json")
    *parents, last = key.split(".")
    node = plain
    for part in parents:
        node = node[part]
    node[last] = type(value)(value * factor)
    try:
        moved = PolicyPack.model_validate(plain)
    except ValidationError:
        return
    for finding in lint(moved):
        assert str(finding).startswith(finding.severity)


def test_coverage_agrees_with_a_simulated_allocation() -> None:
    """Simulated: largest remainder over log-normal weights, then the cap pass."""
    rng = np.random.default_rng(5)
    n, rho = 40_000, 0.3
    for mean, law in (
        (1.08, m.HurdleCount(cap=3, zero_share=0.01, sigma=0.30)),
        (0.45, m.HurdleCount(cap=4, zero_share=0.50, sigma=0.90)),
        (1.0, m.HurdleCount(cap=2, zero_share=0.04, sigma=0.25)),
    ):
        common = rng.standard_normal(n)
        hurdle, z = (
            np.sqrt(rho) * common + np.sqrt(1 - rho) * rng.standard_normal(n) for _ in range(2)
        )
        eligible = np.argsort(-hurdle)[: round((1 - law.zero_share) * n)]
        weight = np.exp(law.sigma * z[eligible])
        total = round(mean * n)
        quota = total * weight / weight.sum()
        held = np.floor(quota).astype(int)
        held[np.argsort(-(quota - held))[: total - held.sum()]] += 1
        excess = int(np.maximum(held - law.cap, 0).sum())
        held = np.minimum(held, law.cap)
        slots = np.repeat(np.arange(eligible.size), law.cap - held)
        np.add.at(held, rng.permutation(slots)[:excess], 1)
        assert held.sum() == total
        assert counts.coverage(mean, law, rho) == pytest.approx((held > 0).sum() / n, abs=0.006)


def test_mean_degrees_of_the_shipped_pack() -> None:
    means = endpoints.mean_degrees(PACK, "REGION_AMER")
    expected = {
        "MOBILE": 24.9,
        "CORPORATE": 12.7,
        "PUBLIC_WIFI": 24.9,
        "HOTEL_TRAVEL": 21.5,
        "EDUCATION": 24.3,
        "DATACENTRE": 38.3,
        "VPN_PROXY": 47.8,
    }
    assert {k: pytest.approx(v, abs=0.08) for k, v in expected.items()} == {
        k: means[k] for k in expected
    }


def test_accounts_devices_and_links_per_party_of_the_shipped_pack() -> None:
    for region in PACK.party_taxonomy.regions:
        accounts = sum(
            share * counts.account_lambda(PACK, product, segment)
            for segment, share in counts.segments_of(PACK, region).items()
            for product, a in PACK.account_taxonomy.account_types.items()
            if a.party_type == PACK.party_taxonomy.segments[segment]
        )
        edges = sum(endpoints.edge_numbers(PACK, region).values())
        devices = sum(
            share * sum(counts.device_lambdas(PACK, segment).values())
            for segment, share in counts.segments_of(PACK, region).items()
        )
        assert accounts == pytest.approx(2.66, rel=0.05)
        assert devices == pytest.approx(2.21, rel=0.01)
        assert edges == pytest.approx(8.3, rel=0.03)


def test_role_pairs_outside_their_nominal_band_are_noted(
    write_overlay: Callable[..., Path],
) -> None:
    path = write_overlay(**pairs("device", "nominal_odds_ratio", low=7.9))
    findings = lint(load_pack(overlays=[path]).pack)
    assert {f.key for f in findings} == {"role_pairs.device.nominal_odds_ratio"}
    assert {f.severity for f in findings} == {Severity.NOTE}


def test_a_replay_may_have_weak_pairs(write_overlay: Callable[..., Path]) -> None:
    sections = pairs("account", "factors", MULE={"MULE_ACCOUNT": 5.0})
    path = write_overlay(posture="baseline_replay", **sections)
    findings = lint(load_pack(overlays=[path]).pack)
    assert {f.severity for f in findings if "factors" in f.key} == {Severity.KNOWN_DEFECT}


@pytest.mark.parametrize("changes", [{"propagation_by": "risk"}, {"propagation": "off"}])
def test_pairs_that_are_not_used_are_not_judged(
    changes: dict[str, object], write_overlay: Callable[..., Path]
) -> None:
    weak = {"account": {"factors": {"MULE": {"MULE_ACCOUNT": 1.0}}}}
    path = write_overlay(posture="baseline_replay", **coefficients(role_pairs=weak, **changes))
    assert not [f for f in lint(load_pack(overlays=[path]).pack) if "role_pairs" in f.key]
