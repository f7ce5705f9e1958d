"""Judges the measures of T10 against the bounds of policy `downstream_witness_6B`.

Grade B requires every N metric, S1, S2, S5, S6 and the dose and permuted controls; B+ requires
all metrics, with the stricter bounds of S1 and S2. docs/witness.md explains each metric.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from fraudworld.gates.gate import Row, number_or_null
from fraudworld.policy.transactions import DownstreamWitness, Effect, Range
from fraudworld.t10.estimators import Ratio
from fraudworld.t10.figures import Doses, Measures
from fraudworld.t10.rows import OWNER, TEST, holds_one, row, within


def judge(measures: Measures, bounds: DownstreamWitness) -> tuple[Row, ...]:
    """All rows of one seed, or pooled over several, in the order of docs/witness.md."""
    return (
        *non_regression(measures, bounds),
        *effect_rows(measures, bounds),
        *dose_rows(measures, bounds),
        *model_rows(measures, bounds),
        *endpoint_rows(measures, bounds),
        *leak_rows(measures, bounds),
    )


def _seed(measures: Measures) -> int | None:
    """The seed of a row; None where several are pooled."""
    return measures.seeds[0] if len(measures.seeds) == 1 else None


def non_regression(m: Measures, bounds: DownstreamWitness) -> Iterator[Row]:
    """N1 to N6: the candidate's stream is sound and no worse than the baseline's."""
    now, before, seed = m.candidate, m.baseline, _seed(m)
    n = float(now.flows)
    failed = {name: count for name, count in m.violations.items() if count}
    yield row(
        "N1_violations", float(sum(failed.values())), not failed, 0.0, seed=seed,
        support=float(len(m.violations)), known=bool(m.violations),
        why="no check was run", broken=failed,
    )  # fmt: skip
    yield row("N1_unpaired_arms", float(len(m.unpaired)), not m.unpaired, 0.0, seed=seed,
              support=n, arms=list(m.unpaired))  # fmt: skip
    yield within("N2_prevalence", now.prevalence.value, bounds.prevalence, seed=seed,
                 support=n, interval=now.prevalence.interval(bounds.confidence))  # fmt: skip
    base = before.prevalence.value
    yield within("N2_prevalence_to_baseline", now.prevalence.value / base if base else math.nan,
                 bounds.prevalence_to_baseline, seed=seed, support=n)  # fmt: skip
    worlds = len(m.seeds)
    of_one = min(1.0, now.flows / worlds / bounds.full_flows)
    floor = worlds * math.ceil(bounds.flows_per_type * of_one)
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


def effect_rows(m: Measures, bounds: DownstreamWitness) -> Iterator[Row]:
    """S1, S2: fraud follows risky accounts and devices, and does not follow permuted roles."""
    seed = _seed(m)
    for name, asset in (("S1", "account"), ("S2", "device")):
        ratio: Ratio = getattr(m, asset)
        bound: Effect = getattr(bounds, asset)
        low, high = ratio.interval(bounds.confidence)
        sound = low > bound.ci_low and ratio.value <= bound.most
        yield row(
            f"{name}_{asset}", ratio.value, sound and ratio.value >= bound.B, bound.B,
            bound_plus=bound.Bplus, better=ratio.value >= bound.Bplus, seed=seed,
            support=ratio.support, interval=(low, high),
            known=ratio.support >= bounds.min_exposed_events,
            why=f"{ratio.support:g} of {bounds.min_exposed_events} exposed bad flows",
            detectable=number_or_null(ratio.detectable(bounds.confidence)),
            ci_low_above=bound.ci_low, at_most=bound.most,
        )  # fmt: skip
        yield holds_one(f"{name}_permuted", getattr(m, f"permuted_{asset}"), ratio,
                        bounds.control_confidence, seed=seed)  # fmt: skip


def dose_rows(m: Measures, bounds: DownstreamWitness) -> Iterator[Row]:
    """S1p, S2p: the effect of an owner's risk grows with the dose of propagation."""
    yield from _dose_rows("S1p", m.account_owner, bounds, _seed(m))
    yield from _dose_rows("S2p", m.device_owner, bounds, _seed(m))


def _dose_rows(
    name: str, doses: Doses, bounds: DownstreamWitness, seed: int | None
) -> Iterator[Row]:
    values = [number_or_null(d.value) for d in (doses.none, doses.half, doses.full)]
    # The control must be able to detect full dose over none; the noise that both arms
    # share cancels in that ratio, so its error is the relevant one.
    added = doses.full_over_none
    yield holds_one(f"{name}_at_dose_zero", doses.none, added, bounds.control_confidence,
                    seed=seed, power_of=added, doses=values)  # fmt: skip
    steps = [doses.half_over_none, doses.full_over_half]
    least = min(steps, key=lambda s: s.value)
    known = all(math.isfinite(s.value) for s in steps)
    yield row(
        f"{name}_dose_step", least.value if known else math.nan, least.value > 1.0, 1.0,
        seed=seed, support=least.support, interval=least.interval(bounds.confidence),
        doses=values,
    )  # fmt: skip
    gain = doses.full_over_baseline
    low, high = gain.interval(bounds.confidence)
    own = doses.full.interval(bounds.confidence)
    yield row(
        f"{name}_over_baseline", gain.value,
        gain.value >= bounds.owner_over_baseline and low > 1.0 and own[0] > 1.0,
        bounds.owner_over_baseline, seed=seed, support=gain.support, counts_for="B+",
        interval=(low, high), known=gain.support >= bounds.min_exposed_events,
        why=f"{gain.support:g} of {bounds.min_exposed_events} exposed bad flows",
        ratio=number_or_null(doses.full.value), ratio_interval=[number_or_null(x) for x in own],
        detectable=number_or_null(gain.detectable(bounds.confidence)),
    )  # fmt: skip


def model_rows(m: Measures, bounds: DownstreamWitness) -> Iterator[Row]:
    """S5, S6: roles and degrees are informative, but do not determine the label."""
    seed = _seed(m)
    yield within("S5_role_model_auc", m.model.value, bounds.role_model, seed=seed,
                 support=m.model.support, interval=m.model.interval(bounds.confidence),
                 known=m.model.support >= bounds.min_exposed_events,
                 leaks=m.model.value > bounds.role_model_leak)  # fmt: skip
    gain = m.model.value - m.model_permuted.value
    yield row("S5_over_permuted", gain, gain >= bounds.role_model_over_permuted,
              bounds.role_model_over_permuted, seed=seed, support=m.model.support,
              permuted=number_or_null(m.model_permuted.value))  # fmt: skip
    areas = {name: number_or_null(area) for name, area in m.single.items()}
    known = bool(areas) and None not in areas.values()
    best = _largest(m.single) if known else ""
    value = m.single[best] if known else math.nan
    yield row("S6_single_feature_auc", value, value <= bounds.single_feature,
              bounds.single_feature, seed=seed, support=float(m.candidate.flows), best=best,
              areas=areas)  # fmt: skip


def endpoint_rows(m: Measures, bounds: DownstreamWitness) -> Iterator[Row]:
    """S7, S8, S9 and the rewired control."""
    seed, crowded = _seed(m), m.endpoints.crowded
    yield row("S7_crowded_endpoints", crowded.value, crowded.value <= bounds.crowded,
              bounds.crowded, seed=seed, support=crowded.support, counts_for="B+",
              interval=crowded.interval(bounds.confidence))  # fmt: skip
    moved = m.endpoints.crowded_moved
    low, high = moved.interval(bounds.confidence)
    yield row("S7_moves_when_rewired", moved.value, not low <= 1.0 <= high, 1.0, seed=seed,
              support=moved.support, counts_for="B+", interval=(low, high),
              rewired=number_or_null(m.endpoints.rewired_crowded.value))  # fmt: skip
    stays = m.endpoints.account_moved
    low, high = stays.interval(bounds.confidence)
    yield row("S1_stays_when_rewired", stays.value,
              abs(low - 1.0) <= bounds.unmoved and abs(high - 1.0) <= bounds.unmoved,
              1.0 + bounds.unmoved, seed=seed, support=stays.support, counts_for="B+",
              interval=(low, high))  # fmt: skip
    half = bounds.endpoint_missing
    yield within("S8_endpoint_missing_auc", m.missing.value, Range(low=0.5 - half, high=0.5 + half),
                 seed=seed, support=m.missing.support, counts_for="B+",
                 interval=m.missing.interval(bounds.confidence))  # fmt: skip
    yield within("S9_struck_again", m.again.value, bounds.struck_again, seed=seed,
                 support=m.again.support, counts_for="B+",
                 known=m.again.support >= bounds.min_exposed_events,
                 interval=m.again.interval(bounds.confidence))  # fmt: skip


def leak_rows(m: Measures, bounds: DownstreamWitness) -> Iterator[Row]:
    """One row for each leakage guard; a leak denies B+. An unknown area is the worst."""
    for guard, areas in m.leaks.items():
        worst = _largest(areas)
        value = areas.get(worst, math.nan)
        yield row(guard, value, value <= bounds.observable_leak, bounds.observable_leak,
                  seed=_seed(m), support=float(m.candidate.flows), counts_for="B+", worst=worst,
                  areas={name: number_or_null(area) for name, area in areas.items()})  # fmt: skip
    if not m.leaks:
        yield row(
            "label_leak", math.nan, False, bounds.observable_leak, seed=_seed(m), support=0.0,
            counts_for="B+", known=False, why="no observable table was examined",
        )  # fmt: skip


def _largest(areas: Mapping[str, float]) -> str:
    """Name of the largest area, an unknown one first; of equal ones the first by name.

    A mapping read from JSON has another order, and rows must not depend on it.
    """
    return max(
        sorted(areas), key=lambda a: areas[a] if math.isfinite(areas[a]) else 2.0, default=""
    )


def summary(
    rows: Sequence[Row], seed: int | None, of_seeds: Mapping[int, Sequence[Row]] | None = None
) -> tuple[Row, Row]:
    """The two binding rows of T10: `non_regression` (N) and `sensitivity` (everything else).

    value: share of the metrics required for B that pass; the details name those that fail.
    of_seeds: where `rows` are pooled, the rows of every seed, which must pass too.
    """
    of_seeds = of_seeds or {}
    return (
        _summed("non_regression", seed, rows, of_seeds, lambda r: r.metric_name[0] == "N"),
        _summed("sensitivity", seed, rows, of_seeds, lambda r: r.metric_name[0] != "N"),
    )


def _summed(
    metric: str,
    seed: int | None,
    rows: Sequence[Row],
    of_seeds: Mapping[int, Sequence[Row]],
    chosen: Callable[[Row], bool],
) -> Row:
    named = [(r.metric_name, r) for r in rows if chosen(r)]
    named += [
        (f"{r.metric_name} of seed {s}", r) for s, some in of_seeds.items() for r in some
        if chosen(r)
    ]  # fmt: skip
    required = [r for _, r in named if r.details["counts_for"] == "B"]
    failed = [name for name, r in named if r.details["counts_for"] == "B" and not r.pass_B]
    short = [name for name, r in named if not r.pass_Bplus]
    unproven = [name for name, r in named if r.status == "INSUFFICIENT_EVIDENCE"]
    good = bool(required) and not failed
    lacking = set(failed) <= set(unproven)
    return Row(
        TEST, metric, (len(required) - len(failed)) / len(required) if required else None, 1.0, 1.0,
        good, good and not short, None, None, seed,
        "PASS" if good else "INSUFFICIENT_EVIDENCE" if lacking else "FAIL", OWNER,
        float(len(named)),
        {
            "failed_B": failed,
            "failed_Bplus": short,
            "insufficient": unproven,
            "no_interval": "a count of metrics; each metric states its own interval",
        },
    )  # fmt: skip
