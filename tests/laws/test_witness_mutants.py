"""T10 fails every deliberately broken stream at the metrics named, and passes the clean one.

Arms are made in memory from one stream over the demo world. Permuting the roles of all owners
stands for a world without propagation, of half of them for half the dose; permuting the endpoints
of flows stands for a rewired graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fraudworld.errors import InputError
from fraudworld.layers.transactions.layout import StreamPlace
from fraudworld.layers.transactions.request import StreamRequest
from fraudworld.layers.transactions.stream import stream
from fraudworld.policy.loader import load_pack
from fraudworld.t10 import effects as e
from fraudworld.t10.figures import ArmFigures, Figures, arm_figures, compared
from fraudworld.t10.judge import judge, leak_rows, summary
from fraudworld.t10.leakage import label_leak
from fraudworld.t10.learning import logistic_area, single_areas
from fraudworld.t10.measures import measure, of_candidate
from fraudworld.t10.sample import Roles, Sample, load, permuted
from fraudworld.t10.soundness import soundness

BOUNDS = load_pack().pack.downstream_witness
FLOWS = BOUNDS.flows
RANDOM = np.random.default_rng(5)


@pytest.fixture(scope="module")
def streamed(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("witnessed")
    assert stream(StreamRequest(run=demo_world, flows=FLOWS, to=to)).passed
    return to


@pytest.fixture(scope="module")
def sample(demo_world: Path, streamed: Path) -> Sample:
    return load("candidate", demo_world, StreamPlace.below(streamed).layer)


@pytest.fixture(scope="module")
def clean(demo_world: Path, streamed: Path, sample: Sample) -> Figures:
    place = SimpleNamespace(name="candidate", run=demo_world, stream=streamed)
    return Figures(
        of_candidate(place),
        arm_figures(owners_permuted(sample, every=1, draw=3)),
        arm_figures(owners_permuted(sample, every=1, draw=2)),
        arm_figures(owners_permuted(sample, every=2, draw=2)),
        arm_figures(flows_with(sample, ip=RANDOM.permutation(sample.flows.ip))),
    )


def owners_permuted(sample: Sample, every: int, draw: int) -> Sample:
    """Permutes the roles of every `every`-th party within type, region and tier."""
    dealt = permuted(sample, draw).world.party
    party = sample.world.party
    chosen = np.arange(party.risky.size) % every == 0
    return posture_with(
        sample,
        "party",
        Roles(
            np.where(chosen, dealt.family, party.family),
            np.where(chosen, dealt.risky, party.risky),
            party.tier,
        ),
    )


def posture_with(sample: Sample, entity: str, roles: Roles) -> Sample:
    return replace(sample, world=replace(sample.world, **{entity: roles}))


def flows_with(sample: Sample, **columns: np.ndarray) -> Sample:
    return replace(sample, flows=replace(sample.flows, **columns))


def world_with(sample: Sample, **columns: np.ndarray) -> Sample:
    return replace(sample, world=replace(sample.world, **columns))


def with_soundness_of(clean: Figures, broken: Sample) -> Figures:
    return replace(clean, candidate=replace(clean.candidate, soundness=soundness(broken)))


def with_effects_of(clean: Figures, broken: Sample) -> Figures:
    return replace(clean, candidate=replace(clean.candidate, effects=e.effects(broken)))


def with_arm(clean: Figures, name: str, figures: ArmFigures) -> Figures:
    return replace(clean, **{name: figures})


def failing(figures: Figures) -> set[str]:
    return {r.metric_name for r in judge(compared(figures), BOUNDS) if not r.pass_Bplus}


Break = Callable[[Sample, Figures], Figures]


def n1_a_check_is_broken(s: Sample, f: Figures) -> Figures:
    return replace(f, candidate=replace(f.candidate, violations={"keys": 0, "links": 1}))


def n1_an_arm_has_other_arrivals(s: Sample, f: Figures) -> Figures:
    late = s.flows.ts.copy()
    late[-1] += 1
    moved = replace(f.dose_half, soundness=soundness(flows_with(s, ts=late)))
    return with_arm(f, "dose_half", moved)


def n2_everything_is_fraud(s: Sample, f: Figures) -> Figures:
    return with_soundness_of(f, flows_with(s, bad=s.flows.bad | (np.arange(s.size) % 9 == 0)))


def n2_a_quarter_of_the_fraud(s: Sample, f: Figures) -> Figures:
    return with_soundness_of(f, flows_with(s, bad=s.flows.bad & (np.arange(s.size) % 4 == 0)))


def n2_a_third_less_fraud_than_the_baseline(s: Sample, f: Figures) -> Figures:
    return with_soundness_of(f, flows_with(s, bad=s.flows.bad & (np.arange(s.size) % 3 > 0)))


def n3_two_campaign_types_are_gone(s: Sample, f: Figures) -> Figures:
    quiet = np.isin(s.flows.subtype, np.unique(s.flows.subtype[s.flows.bad])[:4])
    return with_soundness_of(
        f, flows_with(s, cause=np.where(quiet, 0, s.flows.cause).astype(np.uint8))
    )


def n4_half_of_the_parties_cannot_pay(s: Sample, f: Figures) -> Figures:
    return with_soundness_of(f, world_with(s, attachable=s.world.attachable & (RANDOM.random(
        s.world.attachable.size) < 0.5)))  # fmt: skip


def n4_more_parties_cannot_pay_than_the_bound_allows(s: Sample, f: Figures) -> Figures:
    fewer = s.world.attachable.copy()
    lost = int(np.ceil(BOUNDS.transacting_loss * fewer.size)) + 1
    fewer[np.flatnonzero(fewer)[:: fewer.sum() // lost]] = False
    return with_soundness_of(f, world_with(s, attachable=fewer))


def n4_one_flow_on_a_strangers_account(s: Sample, f: Figures) -> Figures:
    account = s.flows.account.copy()
    account[7] = np.flatnonzero(s.world.account_owner != s.flows.party[7])[0]
    return with_soundness_of(f, flows_with(s, account=account))


def n5_one_region_cannot_pay(s: Sample, f: Figures) -> Figures:
    return with_soundness_of(
        f, world_with(s, attachable=s.world.attachable & (s.world.region != 1))
    )


def n6_one_account_over_its_cap(s: Sample, f: Figures) -> Figures:
    owner = s.world.account_owner.copy()
    used = s.flows.account[0]
    same = np.flatnonzero(s.world.account_type == s.world.account_type[used])
    unused = same[~np.isin(same, s.flows.account)]
    owner[unused[:40]] = owner[used]
    return with_soundness_of(f, world_with(s, account_owner=owner))


def s1_account_roles_are_uninformative(s: Sample, f: Figures) -> Figures:
    return with_effects_of(f, posture_with(s, "account", permuted(s).world.account))


def s1_account_roles_are_too_informative(s: Sample, f: Figures) -> Figures:
    lost = ~s.world.account.risky[s.flows.account] & (np.arange(s.size) % 2 == 0)
    return with_effects_of(f, flows_with(s, bad=s.flows.bad & ~lost))


def s2_device_roles_are_uninformative(s: Sample, f: Figures) -> Figures:
    return with_effects_of(f, posture_with(s, "device", permuted(s).world.device))


def permuted_roles_are_informative(s: Sample, f: Figures) -> Figures:
    c = f.candidate
    return replace(f, candidate=replace(
        c, permuted_account=c.effects.account, permuted_device=c.effects.device))  # fmt: skip


def owner_effect_without_propagation(s: Sample, f: Figures) -> Figures:
    return with_arm(f, "dose_zero", replace(f.candidate, name="dose_zero"))


def the_doses_are_swapped(s: Sample, f: Figures) -> Figures:
    return replace(f, dose_zero=f.dose_half, dose_half=f.dose_zero)


def the_baseline_has_the_owner_effect(s: Sample, f: Figures) -> Figures:
    return with_arm(f, "baseline", replace(f.baseline, effects=f.candidate.effects))


def s5_labels_are_noise(s: Sample, f: Figures) -> Figures:
    noise = flows_with(s, bad=RANDOM.permutation(s.flows.bad))
    return replace(f, candidate=replace(f.candidate, model=logistic_area(noise)))


def s5_roles_are_the_label(s: Sample, f: Figures) -> Figures:
    risky = s.world.account.risky[s.flows.account] | s.world.device.risky[s.flows.device]
    return replace(f, candidate=replace(f.candidate, model=logistic_area(flows_with(s, bad=risky))))


def s6_an_amount_is_the_label(s: Sample, f: Figures) -> Figures:
    cents = np.where(s.flows.bad, 4 * s.flows.cents, s.flows.cents).astype(np.int32)
    return replace(f, candidate=replace(
        f.candidate, single=single_areas(flows_with(s, cents=cents))))  # fmt: skip


def s7_attacks_come_from_crowded_endpoints(s: Sample, f: Figures) -> Figures:
    top = np.flatnonzero(e.top_degrees(s.world.degrees["ip_devices"]))
    a_quarter = s.flows.bad & (np.arange(s.size) % 4 == 0)
    return with_effects_of(
        f, flows_with(s, ip=np.where(a_quarter, top[0], s.flows.ip).astype(np.int32))
    )


def s7_rewiring_moves_nothing(s: Sample, f: Figures) -> Figures:
    return with_arm(f, "rewired", replace(f.candidate, name="rewired"))


def s1_rewiring_moves_accounts(s: Sample, f: Figures) -> Figures:
    moved = posture_with(s, "account", every_fifth_permuted(s))
    return with_arm(f, "rewired", replace(f.rewired, effects=replace(
        f.rewired.effects, account=e.effects(moved).account)))  # fmt: skip


def every_fifth_permuted(s: Sample) -> Roles:
    """Account roles, with every fifth account's role permuted."""
    dealt, roles = permuted(s).world.account, s.world.account
    chosen = np.arange(roles.risky.size) % 5 == 0
    return Roles(roles.family, np.where(chosen, dealt.risky, roles.risky), roles.tier)


def s8_fraud_has_no_endpoint(s: Sample, f: Figures) -> Figures:
    hidden = s.flows.bad & (np.arange(s.size) % 10 == 0)
    broken = flows_with(s, ip=np.where(hidden, -1, s.flows.ip).astype(np.int32))
    return replace(f, candidate=replace(f.candidate, missing=e.endpoint_missing(broken)))


def s9_no_account_is_attacked_twice(s: Sample, f: Figures) -> Figures:
    first = np.zeros(s.size, bool)
    first[np.unique(np.where(s.flows.bad, s.flows.account, -1), return_index=True)[1]] = True
    broken = flows_with(s, bad=s.flows.bad & first)
    return replace(f, candidate=replace(f.candidate, again=e.struck_again(broken)))


def s9_every_attacked_account_is_attacked_again(s: Sample, f: Figures) -> Figures:
    account = np.where(s.flows.bad, s.flows.account // 50 * 50, s.flows.account)
    broken = flows_with(s, account=account.astype(np.int32))
    return replace(f, candidate=replace(f.candidate, again=e.struck_again(broken)))


MUTANTS: tuple[tuple[Break, set[str]], ...] = (
    (n1_a_check_is_broken, {"N1_violations"}),
    (n1_an_arm_has_other_arrivals, {"N1_unpaired_arms"}),
    (n2_everything_is_fraud, {"N2_prevalence", "N2_prevalence_to_baseline"}),
    (n2_a_quarter_of_the_fraud, {"N2_prevalence", "N2_prevalence_to_baseline"}),
    (n2_a_third_less_fraud_than_the_baseline, {"N2_prevalence_to_baseline"}),
    (n3_two_campaign_types_are_gone, {"N3_campaign_types"}),
    (n4_half_of_the_parties_cannot_pay, {"N4_transacting_share", "N4_transacting_to_baseline"}),
    (n4_more_parties_cannot_pay_than_the_bound_allows, {"N4_transacting_to_baseline"}),
    (n4_one_flow_on_a_strangers_account, {"N4_attached_share"}),
    (n5_one_region_cannot_pay, {"N5_attachable_distance", "N4_transacting_to_baseline"}),
    (n6_one_account_over_its_cap, {"N6_cap_breaches"}),
    (s1_account_roles_are_uninformative, {"S1_account"}),
    (s1_account_roles_are_too_informative, {"S1_account"}),
    (s2_device_roles_are_uninformative, {"S2_device"}),
    (permuted_roles_are_informative, {"S1_permuted", "S2_permuted"}),
    (
        owner_effect_without_propagation,
        {"S1p_at_dose_zero", "S2p_at_dose_zero", "S1p_dose_step", "S2p_dose_step"},
    ),
    (the_doses_are_swapped, {"S1p_dose_step", "S2p_dose_step"}),
    (the_baseline_has_the_owner_effect, {"S1p_over_baseline", "S2p_over_baseline"}),
    (s5_labels_are_noise, {"S5_role_model_auc", "S5_over_permuted"}),
    (s5_roles_are_the_label, {"S5_role_model_auc"}),
    (s6_an_amount_is_the_label, {"S6_single_feature_auc"}),
    (s7_attacks_come_from_crowded_endpoints, {"S7_crowded_endpoints"}),
    (s7_rewiring_moves_nothing, {"S7_moves_when_rewired"}),
    (s1_rewiring_moves_accounts, {"S1_stays_when_rewired"}),
    (s8_fraud_has_no_endpoint, {"S8_endpoint_missing_auc"}),
    (s9_no_account_is_attacked_twice, {"S9_struck_again"}),
    (s9_every_attacked_account_is_attacked_again, {"S9_struck_again"}),
)


def test_a_clean_stream_passes_every_metric(clean: Figures) -> None:
    rows = judge(compared(clean), BOUNDS)
    assert {r.metric_name: r.details for r in rows if not r.pass_Bplus} == {}
    assert all(r.pass_Bplus and r.value == 1.0 for r in summary(rows, 42))


@pytest.mark.parametrize(("broken", "caught"), MUTANTS, ids=[m[0].__name__ for m in MUTANTS])
def test_a_broken_stream_fails_the_metrics_it_names_and_no_other_family(
    sample: Sample, clean: Figures, broken: Break, caught: set[str]
) -> None:
    missed = failing(broken(sample, clean))
    assert caught <= missed
    # A broken effect moves the other effects too; soundness and learners stay as they were.
    assert {name[:2] for name in missed} <= {name[:2] for name in caught}


def test_every_metric_has_a_mutant(clean: Figures) -> None:
    caught = {name for _, names in MUTANTS for name in names}
    rows = {r.metric_name for r in judge(compared(clean), BOUNDS)}
    assert rows - caught == {"label_leak_column", "label_leak_tree"}


def test_a_metric_without_evidence_does_not_pass(sample: Sample, clean: Figures) -> None:
    few = replace(clean.candidate.effects.account, support=99.0)
    c = replace(
        clean.candidate, effects=replace(clean.candidate.effects, account=few), violations={},
        leaks={}, single={}, model=logistic_area(flows_with(sample, bad=sample.flows.bad & False)),
    )  # fmt: skip
    rows = {r.metric_name: r for r in judge(compared(replace(clean, candidate=c)), BOUNDS)}
    for name in ("S1_account", "N1_violations", "label_leak", "S6_single_feature_auc",
                 "S5_role_model_auc", "S5_over_permuted"):  # fmt: skip
        assert rows[name].status == "INSUFFICIENT_EVIDENCE", name
        assert (rows[name].pass_B, rows[name].pass_Bplus) == (False, False)
        assert rows[name].details["why"]
    known = [r for r in rows.values() if r.status != "FAIL"]
    regression, sensitivity = summary(known, 42)
    assert regression.status == sensitivity.status == "INSUFFICIENT_EVIDENCE"


def test_a_control_without_power_is_insufficient_evidence(clean: Figures) -> None:
    weak = replace(clean.dose_zero.effects.account_owner, log_se=0.5, by_cluster=None)
    unpaired = with_arm(clean, "dose_zero", replace(
        clean.dose_zero, effects=replace(clean.dose_zero.effects, account_owner=weak)))  # fmt: skip
    rows = judge(compared(unpaired), BOUNDS)
    row = next(r for r in rows if r.metric_name == "S1p_at_dose_zero")
    assert row.ci_low < 1 < row.ci_high
    assert (row.status, row.pass_B) == ("INSUFFICIENT_EVIDENCE", False)


def test_a_row_that_only_bplus_requires_does_not_fail_b(sample: Sample, clean: Figures) -> None:
    rows = judge(compared(s8_fraud_has_no_endpoint(sample, clean)), BOUNDS)
    _, sensitivity = summary(rows, 42)
    assert (sensitivity.pass_B, sensitivity.pass_Bplus) == (True, False)
    assert sensitivity.details["failed_Bplus"] == ["S8_endpoint_missing_auc"]


@pytest.mark.parametrize(
    ("guards", "columns"),
    [
        # One threshold on one amount: the label of a public generator.
        ({"label_leak_column", "label_leak_tree"}, lambda bad, noise: [noise + 3 * bad]),
        # Two columns that determine the label only together.
        ({"label_leak_tree"}, lambda bad, noise: [noise > 0, (noise > 0) ^ bad]),
        (set(), lambda bad, noise: [noise + 0.5 * bad]),
    ],
)
def test_a_leaking_table_is_caught(clean: Figures, guards, columns) -> None:
    random = np.random.default_rng(8)
    bad = random.random(60_000) < 0.04
    arrays = columns(bad, random.normal(size=bad.size))
    table = {f"column_{i}": np.asarray(c, float) for i, c in enumerate(arrays)}
    leaks = label_leak(iter([("s2_flow_anchor_6B", table)]), bad)
    rows = leak_rows(replace(compared(clean), leaks=leaks), BOUNDS)
    assert {r.metric_name for r in rows if not r.pass_Bplus} == guards


def test_measure_reads_all_five_arms(small_world: Path, small_stream: Path) -> None:
    place = SimpleNamespace(name="candidate", run=small_world, stream=small_stream)
    same = SimpleNamespace(
        candidate=place, baseline=place, dose_zero=place, dose_half=place, rewired=place
    )
    rows = {r.metric_name: r for r in judge(measure(same), BOUNDS)}
    expected = e.effects(load("candidate", small_world, StreamPlace.below(small_stream).layer))
    assert rows["S1_account"].value == expected.account.value
    assert rows["N1_violations"].pass_B
    assert rows["N1_unpaired_arms"].pass_B
    assert rows["S7_moves_when_rewired"].value == 1.0
    assert not rows["S7_moves_when_rewired"].pass_Bplus


def test_a_stream_of_another_run_is_refused(small_world: Path, streamed: Path) -> None:
    with pytest.raises(InputError, match=r"arm x: the stream has no s1_arrival_entities_6B"):
        load("x", small_world, StreamPlace.below(streamed).layer)
