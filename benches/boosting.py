"""An ordinary fraud model on a stream: gradient boosting on features that a bank can observe.

    .venv/bin/python benches/boosting.py RUN [--stream FOLDER] [--seed 0]

scikit-learn's HistGradientBoosting with 300 rounds and otherwise default settings, on features of
the flow, of its entities (without roles, tiers and labels) and of earlier flows. The first 70 % of
flows train, the rest is scored. Prints Markdown (docs/transactions.md). Exit status 1 if the test
is trivial (AUC above .98), hopeless (below .70) or decided by one feature. RUN is the folder of a
run; FOLDER holds `data/layer3/6B`, by default the run itself.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

from fraudworld.layers.transactions.checks import Sealed, connect
from fraudworld.layers.transactions.layout import StreamPlace
from fraudworld.store.layout import RunPlace
from fraudworld.store.receipt import read_receipt

TRAIN_SHARE = 0.7
TRIVIAL, HOPELESS = 0.98, 0.70
DOMINANT = 0.5
"""Share of all importance above which one feature decides the test."""

SHUFFLED = 100_000
"""Test flows over which a feature is shuffled to measure its importance."""

FEATURES = """
select f.flow_id, t.truth_label <> 'LEGIT' as bad,
  m.amount_usd_minor as amount, m.auth_latency_ms as latency,
  (m.auth_status = 'DECLINED')::int as declined,
  (f.ts_utc // 3600000) % 24 as hour_utc, (f.ts_utc // 86400000) % 7 as weekday,
  f.channel_group as "channel*", f.merchant_country_iso as "merchant_country*",
  p.party_type as "party_type*", p.segment_id as "segment*", a.account_type as "account_type*",
  i.instrument_type as "instrument_type*", d.device_type as "device_type*",
  coalesce(e.ip_type, 'NONE') as "ip_type*", coalesce(e.asn_class, 'NONE') as "asn_class*",
  (d.primary_party_id is not distinct from f.party_id)::int as own_device,
  (p.country_iso <> f.merchant_country_iso)::int as abroad,
  coalesce((f.ts_utc - lag(f.ts_utc) over account) / 1000.0, -1) as account_idle_s,
  coalesce((f.ts_utc - lag(f.ts_utc) over device) / 1000.0, -1) as device_idle_s,
  coalesce((f.ts_utc - lag(f.ts_utc) over ip) / 1000.0, -1) as ip_idle_s,
  count(*) over (account range between 86400000 preceding and current row) as account_day,
  count(*) over (device range between 86400000 preceding and current row) as device_day,
  count(*) over (ip range between 86400000 preceding and current row) as ip_day,
  count(*) over (shop range between 3600000 preceding and current row) as merchant_hour,
  row_number() over (partition by f.account_id, f.device_id order by f.flow_id) as pair_flows,
  row_number() over (partition by f.account_id, f.ip_id order by f.flow_id) as account_ip_flows,
  row_number() over (partition by f.account_id, f.merchant_id order by f.flow_id) as shop_flows,
  m.amount_usd_minor / nullif(avg(m.amount_usd_minor) over (account rows between unbounded
    preceding and 1 preceding), 0) as amount_over_usual
from s1_arrival_entities_6B f
join s2_flow_anchor_6B m using (flow_id) join s4_flow_truth_labels_6B t using (flow_id)
join s1_party_base_6A p using (party_id) join s2_account_base_6A a using (account_id)
join s3_instrument_base_6A i using (instrument_id) join s4_device_base_6A d using (device_id)
left join s4_ip_base_6A e using (ip_id)
window account as (partition by f.account_id order by f.ts_utc),
  device as (partition by f.device_id order by f.ts_utc),
  ip as (partition by f.ip_id order by f.ts_utc),
  shop as (partition by f.merchant_id order by f.ts_utc)
order by f.flow_id
"""
"""A row per flow; a star marks a categorical feature. Without roles, tiers and labels, without what
the bank learns later, and without later flows."""


def main() -> int:
    """Trains, scores, measures importances and prints."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("run", type=Path)
    options.add_argument("--stream", type=Path)
    options.add_argument("--seed", type=int, default=0)
    arguments = options.parse_args()
    began = time.perf_counter()
    names, table, categorical, bad = features(arguments.run, arguments.stream or arguments.run)
    split = round(TRAIN_SHARE * bad.size)
    model = HistGradientBoostingClassifier(
        max_iter=300, categorical_features=categorical, random_state=arguments.seed
    ).fit(table[:split], bad[:split])
    test, truth = table[split:], bad[split:]
    score = model.predict_proba(test)[:, 1]
    auc = float(roc_auc_score(truth, score))
    weights = importances(model, test, truth, arguments.seed)
    top = np.argsort(-weights)[:8]
    print(f"{bad.size:,} flows, {bad.mean():.2%} bad; {time.perf_counter() - began:.0f} s.\n")
    print("| measure | value |\n|---|---|")
    print(f"| AUC | {auc:.3f} |")
    print(f"| average precision | {average_precision_score(truth, score):.3f} |")
    print(f"| precision in the top 1 % | {precision_at(score, truth, 0.01):.3f} |")
    print(f"| base rate of the test | {truth.mean():.3f} |")
    print("\n| feature | share of all importance |\n|---|---|")
    print("\n".join(f"| `{names[i]}` | {weights[i]:.2f} |" for i in top))
    fair = HOPELESS < auc < TRIVIAL and weights.max() < DOMINANT
    print(f"\n{'Neither trivial nor hopeless.' if fair else 'NOT FAIR.'}")
    return 0 if fair else 1


def features(
    run: Path, stream: Path
) -> tuple[list[str], NDArray[np.float64], list[int], NDArray[np.bool_]]:
    """Names, features (flows in order of time), columns that are categorical, and the label."""
    sealed = Sealed(run, read_receipt(RunPlace(run)).identity)
    with connect(sealed, StreamPlace.below(stream)) as connection:
        columns = connection.execute(FEATURES).fetchnumpy()
    del columns["flow_id"]
    bad = np.asarray(columns.pop("bad"), dtype=bool)
    categorical = [i for i, name in enumerate(columns) if name.endswith("*")]
    table = np.stack([_number(c) for c in columns.values()], axis=1)
    return [name.rstrip("*") for name in columns], table, categorical, bad


def _number(column: NDArray[np.generic]) -> NDArray[np.float64]:
    """Codes as positions; nulls as NaN."""
    if column.dtype == object:
        return np.unique(column.astype(str), return_inverse=True)[1].astype(np.float64)
    return np.ma.filled(np.ma.asarray(column, dtype=np.float64), np.nan)


def precision_at(score: NDArray[np.float64], truth: NDArray[np.bool_], share: float) -> float:
    """Share of bad flows among the `share` with the highest scores."""
    return float(truth[np.argsort(-score)[: round(share * score.size)]].mean())


def importances(
    model: HistGradientBoostingClassifier, test: NDArray[np.float64], truth: NDArray[np.bool_],
    seed: int,
) -> NDArray[np.float64]:  # fmt: skip
    """AUC lost when a feature is shuffled over the test, as a share of the sum over features."""
    random = np.random.default_rng(seed)
    subset = random.permutation(truth.size)[:SHUFFLED]
    table, label = test[subset], truth[subset]
    full_auc = roc_auc_score(label, model.predict_proba(table)[:, 1])
    lost = []
    for i in range(table.shape[1]):
        shuffled = table.copy()
        shuffled[:, i] = random.permutation(shuffled[:, i])
        lost.append(max(full_auc - roc_auc_score(label, model.predict_proba(shuffled)[:, 1]), 0.0))
    return np.array(lost) / sum(lost)


if __name__ == "__main__":
    sys.exit(main())
