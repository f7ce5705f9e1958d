"""Rows of T10 from the figures of the arms (page 5, section 2).

B asks for every N, for S1, S2, S5, S6 and for the dose and permuted controls; B+ for
everything, with S1 and S2 from 2.0 on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from fraudworld.gates.gate import Row
from fraudworld.policy.transactions import DownstreamWitness, Effect, Range
from fraudworld.t10.estimators import Ratio
from fraudworld.t10.figures import ArmFigures, Figures
from fraudworld.t10.rows import OWNER, TEST, holds_one, row, within

OWNER_EFFECTS = (("S1p", "account_owner"), ("S2p", "device_owner"))


def judge(found: Figures, bounds: DownstreamWitness) -> tuple[Row, ...]:
    """Every row, in the order of the page."""
    return (
        *non_regression(found, bounds),
        *effect_rows(found, bounds),
        *dose_rows(found, bounds),
        *model_rows(found, bounds),
        *endpoint_rows(found, bounds),
        *leak_rows(found, bounds),
    )


def non_regression(found: Figures, bounds: DownstreamWitness) -> Iterator[Row]:
    """N1 to N6: the candidate's stream is sound and no worse than the baseline's."""
    c = found.candidate
    now, then, seed = c.soundness, found.baseline.soundness, c.seed
    n = float(now.flows)
    broken = {name: count for name, count in c.violations.items() if count}
    yield row(
        "N1_violations", float(sum(broken.values())), not broken, 0.0, seed=seed,
        support=float(len(c.violations)), known=bool(c.violations),
        why="no check was run", broken=broken,
    )  # fmt: skip
    strays = [
        arm.name for arm in _others(found)
        if (arm.soundness.arrivals, arm.soundness.flows) != (now.arrivals, now.flows)
    ]  # fmt: skip
    yield row("N1_unpaired_arms", float(len(strays)), not strays, 0.0, seed=seed, support=n,
              arms=strays)  # fmt: skip
    yield within("N2_prevalence", now.prevalence.value, bounds.prevalence, seed=seed,
                 support=n, interval=now.prevalence.interval(bounds.confidence))  # fmt: skip
    base = then.prevalence.value
    yield within("N2_prevalence_to_baseline", now.prevalence.value / base if base else math.nan,
                 bounds.prevalence_to_baseline, seed=seed, support=n)  # fmt: skip
    floor = math.ceil(bounds.flows_per_type * min(1.0, now.flows / bounds.full_flows))
    enough = sum(count >= floor for count in now.campaign_flows.values())
    yield row("N3_campaign_types", float(enough), enough >= bounds.campaign_types,
              float(bounds.campaign_types), seed=seed, support=n, flows_needed=floor,
              flows=now.campaign_flows)  # fmt: skip
    yield row("N4_transacting_share", now.transacting, now.transacting >= bounds.transacting_share,
              bounds.transacting_share, seed=seed, support=n)  # fmt: skip
    gained = now.transacting - then.transacting
    least = -bounds.transacting_loss
    yield row("N4_transacting_to_baseline", gained, gained >= least, least, seed=seed, support=n,
              baseline=then.transacting)  # fmt: skip
    yield row("N4_attached_share", now.attached, now.attached == 1.0, 1.0, seed=seed, support=n)
    distance = now.attachable_distance
    yield row("N5_attachable_distance", distance, distance <= bounds.attachable_distance,
              bounds.attachable_distance, seed=seed, support=n)  # fmt: skip
    yield row("N6_cap_breaches", float(now.cap_breaches), now.cap_breaches == 0, 0.0, seed=seed,
              support=n)  # fmt: skip


def effect_rows(found: Figures, bounds: DownstreamWitness) -> Iterator[Row]:
    """S1, S2: fraud follows risky accounts and devices; not roles dealt anew."""
    c = found.candidate
    for name, kind in (("S1", "account"), ("S2", "device")):
        ratio: Ratio = getattr(c.effects, kind)
        asked: Effect = getattr(bounds, kind)
        low, high = ratio.interval(bounds.confidence)
        sound = low > asked.ci_low and ratio.value <= asked.most
        yield row(
            f"{name}_{kind}", ratio.value, sound and ratio.value >= asked.B, asked.B,
            bound_plus=asked.Bplus, better=ratio.value >= asked.Bplus, seed=c.seed,
            support=ratio.support, interval=(low, high),
            known=ratio.support >= bounds.min_exposed_events,
            why=f"{ratio.support:g} of {bounds.min_exposed_events} exposed bad flows",
            detectable=_number(ratio.detectable(bounds.confidence)), ci_low_above=asked.ci_low,
            at_most=asked.most,
        )  # fmt: skip
        yield holds_one(f"{name}_permuted", getattr(c, f"permuted_{kind}"), ratio,
                        bounds.control_confidence, seed=c.seed)  # fmt: skip


def dose_rows(found: Figures, bounds: DownstreamWitness) -> Iterator[Row]:
    """S1p, S2p: what propagation adds along ownership, and how it follows the dose."""
    c = found.candidate
    for name, kind in OWNER_EFFECTS:
        doses: list[Ratio] = [
            getattr(arm.effects, kind) for arm in (found.dose_zero, found.dose_half, c)
        ]
        none, half, full = doses
        values = [_number(d.value) for d in doses]
        # The effect to deny is full dose over none. What the two arms share cancels there, so
        # the pair tells less than an arm alone can.
        added = full.over(none)
        yield holds_one(f"{name}_at_dose_zero", none, added, bounds.control_confidence,
                        seed=c.seed, told_by=added, doses=values)  # fmt: skip
        steps = [half.over(none), full.over(half)]
        least = min(steps, key=lambda s: s.value)
        known = all(math.isfinite(s.value) for s in steps)
        yield row(
            f"{name}_dose_step", least.value if known else math.nan, least.value > 1.0, 1.0,
            seed=c.seed, support=least.support, interval=least.interval(bounds.confidence),
            doses=values,
        )  # fmt: skip
        gain = full.over(getattr(found.baseline.effects, kind))
        low, high = gain.interval(bounds.confidence)
        alone = full.interval(bounds.confidence)
        yield row(
            f"{name}_over_baseline", gain.value,
            gain.value >= bounds.owner_over_baseline and low > 1.0 and alone[0] > 1.0,
            bounds.owner_over_baseline, seed=c.seed, support=gain.support, counts_for="B+",
            interval=(low, high), known=gain.support >= bounds.min_exposed_events,
            why=f"{gain.support:g} of {bounds.min_exposed_events} exposed bad flows",
            ratio=_number(full.value), ratio_interval=[_number(x) for x in alone],
            detectable=_number(gain.detectable(bounds.confidence)),
        )  # fmt: skip


def model_rows(found: Figures, bounds: DownstreamWitness) -> Iterator[Row]:
    """S5, S6: roles and degrees tell something, never everything."""
    c = found.candidate
    yield within("S5_role_model_auc", c.model.value, bounds.role_model, seed=c.seed,
                 support=c.model.support, interval=c.model.interval(bounds.confidence),
                 known=c.model.support >= bounds.min_exposed_events,
                 leaks=c.model.value > bounds.role_model_leak)  # fmt: skip
    gain = c.model.value - c.model_permuted.value
    yield row("S5_over_permuted", gain, gain >= bounds.role_model_over_permuted,
              bounds.role_model_over_permuted, seed=c.seed, support=c.model.support,
              permuted=_number(c.model_permuted.value))  # fmt: skip
    areas = {name: _number(area) for name, area in c.single.items()}
    known = bool(areas) and None not in areas.values()
    best = max(c.single, key=lambda n: c.single[n]) if known else ""
    value = c.single[best] if known else math.nan
    yield row("S6_single_feature_auc", value, value <= bounds.single_feature,
              bounds.single_feature, seed=c.seed, support=float(c.soundness.flows), best=best,
              areas=areas)  # fmt: skip


def endpoint_rows(found: Figures, bounds: DownstreamWitness) -> Iterator[Row]:
    """S7, S8, S9 and the rewired control."""
    c = found.candidate
    crowded = c.effects.crowded
    yield row("S7_crowded_endpoints", crowded.value, crowded.value <= bounds.crowded,
              bounds.crowded, seed=c.seed, support=crowded.support, counts_for="B+",
              interval=crowded.interval(bounds.confidence))  # fmt: skip
    moved = found.rewired.effects.crowded.over(crowded)
    low, high = moved.interval(bounds.confidence)
    yield row("S7_moves_when_rewired", moved.value, not low <= 1.0 <= high, 1.0, seed=c.seed,
              support=moved.support, counts_for="B+", interval=(low, high),
              rewired=_number(found.rewired.effects.crowded.value))  # fmt: skip
    stays = found.rewired.effects.account.over(c.effects.account)
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


def leak_rows(found: Figures, bounds: DownstreamWitness) -> Iterator[Row]:
    """The leakage guard as rows: a leak blocks B+."""
    c = found.candidate
    for guard in c.leaks:
        value = guard.value if guard.value is not None else math.nan
        yield row(guard.guard_id, value, guard.holds, bounds.observable_leak, seed=c.seed,
                  support=float(c.soundness.flows), counts_for="B+", **guard.details)  # fmt: skip
    if not c.leaks:
        yield row(
            "label_leak", math.nan, False, bounds.observable_leak, seed=c.seed, support=0.0,
            counts_for="B+", known=False, why="no observable table was looked at",
        )  # fmt: skip


def summary(rows: Sequence[Row], seed: int | None) -> tuple[Row, Row]:
    """The two binding rows of T10: `non_regression` (N) and `sensitivity` (everything else).

    value: share of the metrics B asks for that pass; the details name what fails.
    """
    return (
        _summed("non_regression", [r for r in rows if r.metric_name.startswith("N")], seed),
        _summed("sensitivity", [r for r in rows if not r.metric_name.startswith("N")], seed),
    )


def _summed(metric: str, rows: Sequence[Row], seed: int | None) -> Row:
    asked = [r for r in rows if r.details["counts_for"] == "B"]
    failed = [r.metric_name for r in asked if not r.pass_B]
    short = [r.metric_name for r in rows if not r.pass_Bplus]
    blind = [r.metric_name for r in rows if r.status == "INSUFFICIENT_EVIDENCE"]
    good = bool(asked) and not failed
    lacking = set(failed) <= set(blind)
    return Row(
        TEST, metric, (len(asked) - len(failed)) / len(asked) if asked else None, 1.0, 1.0,
        good, good and not short, None, None, seed,
        "PASS" if good else "INSUFFICIENT_EVIDENCE" if lacking else "FAIL", OWNER,
        float(len(rows)),
        {"failed_B": failed, "failed_Bplus": short, "insufficient": blind},
    )  # fmt: skip


def _others(found: Figures) -> tuple[ArmFigures, ...]:
    return found.baseline, found.dose_zero, found.dose_half, found.rewired


def _number(value: float) -> float | None:
    """Null for NaN and infinities, which JSON has no word for."""
    return value if math.isfinite(value) else None
