"""Lint: whether the figures of a pack are satisfiable together, checked before any run.

A rule is a function `PolicyPack → findings`. The vocabulary rules check codes and sums; the rules
that look cells up run only when every cell exists. Nothing here is random.
"""

from __future__ import annotations

from fraudworld.errors import InputError
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules import (
    abroad,
    accounts,
    bounds,
    circles,
    devices,
    endpoints,
    home_lines,
    homes,
    pairs,
    roles,
    shares,
    transactions,
    vocabulary,
)
from fraudworld.policy.rules.finding import Finding, Rule, Severity

__all__ = [
    "FIGURE_RULES",
    "RULES",
    "VOCABULARY_RULES",
    "Finding",
    "Severity",
    "lint",
    "require_lint",
]

UNSATISFIABLE = "6A.S0.PRIOR_PACK_UNSATISFIABLE"

FIGURE_RULES: tuple[Rule, ...] = (
    roles.defects_need_posture,
    bounds.bounds_are_shipped,
    bounds.grades_are_ordered,
    bounds.ranges_are_ranges,
    bounds.seeds_vary_within_guard,
)
"""Rules about single figures: they look no cells up, so they always run."""

VOCABULARY_RULES: tuple[Rule, ...] = (
    vocabulary.lists_are_sets,
    vocabulary.words,
    pairs.pairs_complete,
    shares.shares_add_up,
)

RULES: tuple[Rule, ...] = (
    accounts.account_means_fit,
    accounts.total_lambda_fits,
    accounts.coverage_reachable,
    accounts.instrument_means_fit,
    accounts.floors_do_not_inflate,
    accounts.floors_exist,
    accounts.instruments_legal,
    accounts.instrument_caps_fit,
    devices.device_means_fit,
    devices.ownership_caps_fit,
    devices.sharing_reachable,
    devices.browsers_fit_systems,
    devices.platforms_fit,
    devices.schemes_remain,
    devices.linked_share_matches,
    endpoints.endpoint_counts_fit,
    endpoints.typical_within_quota,
    endpoints.homes_reachable,
    endpoints.types_reachable,
    endpoints.proxies_concentrated,
    endpoints.degrees_within_gates,
    roles.role_figures_fit,
    roles.fractions_within_bands,
    roles.propagation_reachable,
    pairs.factors_within_limit,
    pairs.pairs_coherent,
    roles.country_modulation_bounded,
    circles.circles_can_form,
    circles.frailty_adds_up,
    circles.frailty_within_guard,
    homes.homes_can_form,
    homes.homes_within_guard,
    home_lines.home_lines_match,
    abroad.abroad_beside_typical,
    abroad.abroad_within_guards,
    transactions.transaction_words,
    transactions.transaction_figures,
)


def lint(pack: PolicyPack) -> tuple[Finding, ...]:
    """Every finding about the pack: errors, known defects of a replayed baseline, notes.

    Where codes, rows or sums are wrong, only these and single figures are reported: the other
    rules need complete tables.
    """
    incomplete = [f for rule in VOCABULARY_RULES for f in rule(pack)]
    rules = FIGURE_RULES if incomplete else (*FIGURE_RULES, *RULES)
    return (*incomplete, *(f for rule in rules for f in rule(pack)))


def require_lint(pack: PolicyPack) -> tuple[Finding, ...]:
    """Findings that are not errors; raises InputError naming all errors where there are any."""
    findings = lint(pack)
    errors = [f for f in findings if f.severity is Severity.ERROR]
    if errors:
        listed = "".join(f"\n  - {f}" for f in errors)
        raise InputError(
            UNSATISFIABLE,
            f"{len(errors)} figure(s) of the policy pack cannot hold:{listed}\n ",
            where=f"{errors[0].file}: {errors[0].key}",
            remedy="change the named figures; `fraudworld policy lint` shows what would do",
        )
    return findings
