"""Judges the figures of the arms against the bounds of policy `downstream_witness_6B`.

Grade B requires every N metric, S1, S2, S5, S6 and the dose and permuted controls; B+ requires
all metrics, with the stricter bounds of S1 and S2. docs/witness.md explains each metric.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from fraudworld.gates.gate import Row, number_or_null
from fraudworld.policy.transactions import DownstreamWitness, Effect, Range
from fraudworld.t10.estimators import Ratio
from fraudworld.t10.figures import ArmFigures, Figures
from fraudworld.t10.rows import OWNER, TEST, holds_one, row, within

OWNER_EFFECTS = (("S1p", "account_owner"), ("S2p", "device_owner"))


def judge(figures: Figures, bounds: DownstreamWitness) -> tuple[Row, ...]:
    """All rows of one seed, in the order of docs/witness.md."""
    return (
        *non_regression(figures, bounds),
        *effect_rows(figures, bounds),
        *dose_rows(figures, bounds),
        *model_rows(figures, bounds),
        *endpoint_rows(figures, bounds),
        *leak_rows(figures, bounds),
    )


def non_regression(figures: Figures, bounds: DownstreamWitness) -> Iterator[Row]:
    """N1 to N6: the candidate's stream is sound and no worse than the baseline's."""
    c = figures.candidate
    now, before, seed = c.soundness, figures.baseline.soundness, c.seed
    n = float(now.flows)
    failed = {name: count for name, count in c.violations.items() if count}
    yield row(
        "N1_violations", float(sum(failed.values())), not failed, 0.0, seed=seed,
        support=float(len(c.violations)), known=bool(c.violations),
        why="no check was run", broken=failed,
    )  # fmt: skip
    unpaired = [
        arm.name for arm in _others(figures)
        if (arm.soundness.arrivals, arm.soundness.flows) != (now.arrivals, now.flows)
    ]  # fmt: skip
    yield row("N1_unpaired_arms", float(len(unpaired)), not unpaired, 0.0, seed=seed, support=n,
              arms=unpaired)  # fmt: skip
    yield within("N2_prevalence", now.prevalence.value, bounds.prevalence, seed=seed,
                 support=n, interval=now.prevalence.interval(bounds.confidence))  # fmt: skip
    base = before.prevalence.value
    yield within("N2_prevalence_to_baseline", now.prevalence.value / base if base else math.nan,
                 bounds.prevalence_to_baseline, seed=seed, support=n)  # fmt: skip
    floor = math.ceil(bounds.flows_per_type * min(1.0, now.flows / bounds.full_flows))
    enough = sum(count >= floor for count in now.campaign_flows.values())
    yield row("N3_campaign_types", float(enough), enough >= bounds.campaign_types,
              float(bounds.campaign_types), seed=seed, support=n, flows_needed=floor,
              flows=now.campaign_flows)  # fmt: skip
    yield row("N4_transacting_share", now.transacting, now.transacting >= bounds.transacting_share,
              bounds.transacting_share, seed=seed, support=n)  # fmt: skip
    change = now.transacting - before.transacting
    least = -bounds.transacting_loss
    yield row("N4_transacting_to_baseline", change, change >= least, least, seed=seed, support=n,
              baseline=before.transacting)  # fmt: skip
    yield row("N4_attached_share", now.attached, now.attached == 1.0, 1.0, seed=seed, support=n)
    distance = now.attachable_distance
    yield row("N5_attachable_distance", distance, distance <= bounds.attachable_distance,
              bounds.attachable_distance, seed=seed, support=n)  # fmt: skip
    yield row("N6_cap_breaches", float(now.cap_breaches), now.cap_breaches == 0, 0.0, seed=seed,
              support=n)  # fmt: skip


def effect_rows(figures: Figures, bounds: DownstreamWitness) -> Iterator[Row]:
    """S1, S2: fraud follows risky accounts and devices, and does not follow permuted roles."""
    c = figures.candidate
    for name, asset in (("S1", "account"), ("S2", "device")):
        ratio: Ratio = getattr(c.effects, asset)
        bound: Effect = getattr(bounds, asset)
        low, high = ratio.interval(bounds.confidence)
        sound = low > bound.ci_low and ratio.value <= bound.most
        yield row(
            f"{name}_{asset}", ratio.value, sound and ratio.value >= bound.B, bound.B,
            bound_plus=bound.Bplus, better=ratio.value >= bound.Bplus, seed=c.seed,
            support=ratio.support, interval=(low, high),
            known=ratio.support >= bounds.min_exposed_events,
            why=f"{ratio.support:g} of {bounds.min_exposed_events} exposed bad flows",
            detectable=number_or_null(ratio.detectable(bounds.confidence)),
            ci_low_above=bound.ci_low, at_most=bound.most,
        )  # fmt: skip
        yield holds_one(f"{name}_permuted", getattr(c, f"permuted_{asset}"), ratio,
                        bounds.control_confidence, seed=c.seed)  # fmt: skip


def dose_rows(figures: Figures, bounds: DownstreamWitness) -> Iterator[Row]:
    """S1p, S2p: the effect of an owner's risk grows with the dose of propagation."""
    c = figures.candidate
    for name, effect in OWNER_EFFECTS:
        doses: list[Ratio] = [
            getattr(arm.effects, effect) for arm in (figures.dose_zero, figures.dose_half, c)
        ]
        none, half, full = doses
        values = [number_or_null(d.value) for d in doses]
        # The control must be able to detect full dose over none; the noise that both arms
        # share cancels in that ratio, so its error is the relevant one.
        added = full.over(none)
        yield holds_one(f"{name}_at_dose_zero", none, added, bounds.control_confidence,
                        seed=c.seed, power_of=added, doses=values)  # fmt: skip
        steps = [half.over(none), full.over(half)]
        least = min(steps, key=lambda s: s.value)
        known = all(math.isfinite(s.value) for s in steps)
        yield row(
            f"{name}_dose_step", least.value if known else math.nan, least.value > 1.0, 1.0,
            seed=c.seed, support=least.support, interval=least.interval(bounds.confidence),
            doses=values,
        )  # fmt: skip
        gain = full.over(getattr(figures.baseline.effects, effect))
        low, high = gain.interval(bounds.confidence)
        own = full.interval(bounds.confidence)
        yield row(
            f"{name}_over_baseline", gain.value,
            gain.value >= bounds.owner_over_baseline and low > 1.0 and own[0] > 1.0,
            bounds.owner_over_baseline, seed=c.seed, support=gain.support, counts_for="B+",
            interval=(low, high), known=gain.support >= bounds.min_exposed_events,
            why=f"{gain.support:g} of {bounds.min_exposed_events} exposed bad flows",
            ratio=number_or_null(full.value), ratio_interval=[number_or_null(x) for x in own],
            detectable=number_or_null(gain.detectable(bounds.confidence)),
        )  # fmt: skip


def model_rows(figures: Figures, bounds: DownstreamWitness) -> Iterator[Row]:
    """S5, S6: roles and degrees are informative, but do not determine the label."""
    c = figures.candidate
    yield within("S5_role_model_auc", c.model.value, bounds.role_model, seed=c.seed,
                 support=c.model.support, interval=c.model.interval(bounds.confidence),
                 known=c.model.support >= bounds.min_exposed_events,
                 leaks=c.model.value > bounds.role_model_leak)  # fmt: skip
    gain = c.model.value - c.model_permuted.value
    yield row("S5_over_permuted", gain, gain >= bounds.role_model_over_permuted,
              bounds.role_model_over_permuted, seed=c.seed, support=c.model.support,
              permuted=number_or_null(c.model_permuted.value))  # fmt: skip
    areas = {name: number_or_null(area) for name, area in c.single.items()}
    known = bool(areas) and None not in areas.values()
    best = max(c.single, key=lambda n: c.single[n]) if known else ""
    value = c.single[best] if known else math.nan
    yield row("S6_single_feature_auc", value, value <= bounds.single_feature,
              bounds.single_feature, seed=c.seed, support=float(c.soundness.flows), best=best,
              areas=areas)  # fmt: skip


def endpoint_rows(figures: Figures, bounds: DownstreamWitness) -> Iterator[Row]:
    """S7, S8, S9 and the rewired control."""
    c = figures.candidate
    crowded = c.effects.crowded
    yield row("S7_crowded_endpoints", crowded.value, crowded.value <= bounds.crowded,
              bounds.crowded, seed=c.seed, support=crowded.support, counts_for="B+",
              interval=crowded.interval(bounds.confidence))  # fmt: skip
    moved = figures.rewired.effects.crowded.over(crowded)
    low, high = moved.interval(bounds.confidence)
    yield row("S7_moves_when_rewired", moved.value, not low <= 1.0 <= high, 1.0, seed=c.seed,
              support=moved.support, counts_for="B+", interval=(low, high),
              rewired=number_or_null(figures.rewired.effects.crowded.value))  # fmt: skip
    stays = figures.rewired.effects.account.over(c.effects.account)
    low, high = stays.interval(bounds.confidence)
    yield row("S1_stays_when_rewired", stays.value,
              abs(low - 1.0) <= bounds.unmoved and abs(high - 1.0) <= bounds.unmoved,
              1.0 + bounds.unmoved, seed=c.seed, support=stays.support, counts_for="B+",
              interval=(low, high))  # fmt: skip
    half = bounds.endpoint_missing
    yield within("S8_endpoint_missing_auc", c.missing.value, Range(low=0.5 - half, high=0.5 + half),
                 seed=c.seed, support=c.missing.support, counts_for="B+",
                 interval=c.missing.interval(bounds.confidence))  # fmt: skip
    yield within("S9_struck_again", c.again.value, bounds.struck_again, seed=c.seed,
                 support=c.again.support, counts_for="B+",
                 known=c.again.support >= bounds.min_exposed_events,
                 interval=c.again.interval(bounds.confidence))  # fmt: skip


def leak_rows(figures: Figures, bounds: DownstreamWitness) -> Iterator[Row]:
    """One row for each leakage guard; a leak denies B+."""
    c = figures.candidate
    for guard in c.leaks:
        value = guard.value if guard.value is not None else math.nan
        yield row(guard.guard_id, value, guard.holds, bounds.observable_leak, seed=c.seed,
                  support=float(c.soundness.flows), counts_for="B+", **guard.details)  # fmt: skip
    if not c.leaks:
        yield row(
            "label_leak", math.nan, False, bounds.observable_leak, seed=c.seed, support=0.0,
            counts_for="B+", known=False, why="no observable table was examined",
        )  # fmt: skip


def summary(rows: Sequence[Row], seed: int | None) -> tuple[Row, Row]:
    """The two binding rows of T10: `non_regression` (N) and `sensitivity` (everything else).

    value: share of the metrics required for B that pass; the details name those that fail.
    """
    return (
        _summed("non_regression", [r for r in rows if r.metric_name.startswith("N")], seed),
        _summed("sensitivity", [r for r in rows if not r.metric_name.startswith("N")], seed),
    )


def _summed(metric: str, rows: Sequence[Row], seed: int | None) -> Row:
    required = [r for r in rows if r.details["counts_for"] == "B"]
    failed = [r.metric_name for r in required if not r.pass_B]
    short = [r.metric_name for r in rows if not r.pass_Bplus]
    unproven = [r.metric_name for r in rows if r.status == "INSUFFICIENT_EVIDENCE"]
    good = bool(required) and not failed
    lacking = set(failed) <= set(unproven)
    return Row(
        TEST, metric, (len(required) - len(failed)) / len(required) if required else None, 1.0, 1.0,
        good, good and not short, None, None, seed,
        "PASS" if good else "INSUFFICIENT_EVIDENCE" if lacking else "FAIL", OWNER,
        float(len(rows)),
        {"failed_B": failed, "failed_Bplus": short, "insufficient": unproven},
    )  # fmt: skip


def _others(figures: Figures) -> tuple[ArmFigures, ...]:
    return figures.baseline, figures.dose_zero, figures.dose_half, figures.rewired
