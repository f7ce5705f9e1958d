"""S5 and S6: how well roles and degrees predict fraud, together and one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudworld.gates.statistics import auc
from fraudworld.t10.estimators import NAN, Share, area
from fraudworld.t10.sample import Sample

I64 = NDArray[np.int64]
TRAIN_SHARE = 0.7
"""Share of the stream, in time order, that trains a model; the rest tests it."""

ENTITIES = ("party", "account", "device", "ip", "merchant")


@dataclass(frozen=True)
class Feature:
    """One feature of every flow."""

    codes: NDArray[np.uint8]  # (n,) 0 … size − 1
    size: int
    categories: bool  # codes have no order


def role_features(sample: Sample) -> dict[str, Feature]:
    """Role family of the five entities of a flow, and degrees in the world's graph.

    A missing entity has a code of its own. Degrees are binned as floor(log2(1 + degree)), so
    that a model cannot recognise single entities by an exact degree.
    """
    flows, world = sample.flows, sample.world
    features: dict[str, Feature] = {}
    for entity in ENTITIES:
        position = getattr(flows, entity)
        family = getattr(world, entity).family
        missing = int(family.max(initial=0)) + 1
        features[f"{entity}_role"] = Feature(
            np.where(position >= 0, family[position], missing).astype(np.uint8), missing + 1, True
        )
    positions = {"ip_devices": flows.ip, "device_ips": flows.device, "device_users": flows.device,
          "account_instruments": flows.account}  # fmt: skip
    for name, degree in world.degrees.items():
        position = positions.get(name, flows.party)
        binned = np.log2(1.0 + degree).astype(np.uint8)
        codes = np.where(position >= 0, binned[position], 0).astype(np.uint8)
        features[f"{name}_degree"] = Feature(codes, int(codes.max(initial=0)) + 1, False)
    return features


def logistic_area(sample: Sample) -> Share:
    """S5: test AUC of a logistic regression on roles and degrees alone.

    Flows with equal features are one weighted row, so the fit is exactly that of all flows.
    NaN where the training or the test part has a single class.
    """
    from sklearn.linear_model import LogisticRegression

    features, bad = list(role_features(sample).values()), sample.flows.bad
    split = round(TRAIN_SHARE * sample.size)
    if not (_has_two_classes(bad[:split]) and _has_two_classes(bad[split:])):
        return Share(NAN, NAN, float(bad[split:].sum()))
    key = np.zeros(sample.size, np.int64)
    for feature in features:
        key = key * feature.size + feature.codes
    patterns, place = np.unique(key, return_inverse=True)
    design = _design(patterns, features)
    train = place[:split]
    n = np.bincount(train, minlength=patterns.size)
    hits = np.bincount(train[bad[:split]], minlength=patterns.size)
    rows = np.concatenate([np.flatnonzero(n - hits), np.flatnonzero(hits)])
    label = np.repeat([0, 1], [np.count_nonzero(n - hits), np.count_nonzero(hits)])
    weight = np.concatenate([(n - hits)[n > hits], hits[hits > 0]])
    model = LogisticRegression(max_iter=500).fit(design[rows], label, sample_weight=weight)
    score = design @ model.coef_[0]
    return area(score[place[split:]], bad[split:], sample.flows.party[split:])


def _design(patterns: I64, features: list[Feature]) -> NDArray[np.float64]:
    """Design matrix of the distinct patterns: indicators of categories, degrees in 0 … 1."""
    columns, rest = [], patterns.copy()
    for feature in reversed(features):
        rest, code = np.divmod(rest, feature.size)
        if feature.categories:
            columns += [code == c for c in range(feature.size)]
        else:
            columns.append(code / max(feature.size - 1, 1))
    return np.stack(columns, axis=1).astype(np.float64)


def _has_two_classes(bad: NDArray[np.bool_]) -> bool:
    return bool(bad.any() and not bad.all())


def single_areas(sample: Sample) -> dict[str, float]:
    """S6: AUC of every single feature, in the better direction.

    Features are roles, degrees, amount, hour, weekday, channel and whether the flow has an
    endpoint. Categories are ranked by their own fraud rate, which biases their AUC upwards.
    """
    flows = sample.flows
    hour = (flows.ts // 3_600_000 % 24).astype(np.uint8)
    day = (flows.ts // 86_400_000 % 7).astype(np.uint8)
    areas = {
        name: single_area(f.codes, flows.bad, categories=f.categories)
        for name, f in role_features(sample).items()
    }
    return areas | {
        "amount": single_area(flows.cents, flows.bad, categories=False),
        "hour": single_area(hour, flows.bad, categories=True),
        "weekday": single_area(day, flows.bad, categories=True),
        "channel": single_area(flows.channel, flows.bad, categories=True),
        "endpoint_missing": single_area(
            (flows.ip < 0).astype(np.uint8), flows.bad, categories=False
        ),
    }


def single_area(codes: NDArray[np.integer], bad: NDArray[np.bool_], *, categories: bool) -> float:
    """AUC of one column of integers from 0, in the better direction (at least 0.5)."""
    size = int(codes.max(initial=0)) + 1
    positive = np.bincount(codes[bad], minlength=size).astype(np.float64)
    negative = np.bincount(codes[~bad], minlength=size).astype(np.float64)
    if categories:
        order = np.argsort(positive / np.maximum(positive + negative, 1.0), kind="stable")
        positive, negative = positive[order], negative[order]
    return auc(positive, negative)
