"""T3–T5: IP types match their prior, devices are linked, sharing of endpoints is bounded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fraudworld.gates.counts import Counts, Sample
from fraudworld.gates.gate import Row, at_least, at_most
from fraudworld.gates.statistics import around, generator, redrawn, resampled
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules.endpoints import node_shares

Floats = NDArray[np.float64]


def edge_shares(pack: PolicyPack) -> Floats:
    """The policy's share of links by (region, IP type); zero where it states none."""
    mix = pack.ip_count_priors.edge_shares
    types, regions = pack.codes("ip_type"), pack.codes("region")
    return np.array([[mix.get(r, {}).get(t, 0.0) for t in types] for r in regions])


def t3_ip_prior_alignment(sample: Sample) -> Iterator[Row]:
    """T3: worst cell of region × type, in percentage points, over links and over IPs."""
    pack = sample.pack
    edge = edge_shares(pack)
    node = np.zeros_like(edge)
    for r, region in enumerate(pack.codes("region")):
        if edge[r].any():
            shares = node_shares(pack, region)
            node[r] = [shares.get(t, 0.0) for t in pack.codes("ip_type")]
    yield _alignment(sample, "max_abs_error_pp_links", sample.counts.link_types, edge)
    yield _alignment(sample, "max_abs_error_pp_ips", sample.counts.node_types, node)


def _alignment(sample: Sample, metric: str, counts: NDArray[np.int64], prior: Floats) -> Row:
    """The worst cell; its interval accounts for the maximum over all cells."""
    support = sample.pack.validation_policy.support
    total = counts.sum(axis=1)
    present = total > 0
    value, interval, worst = float("nan"), None, None
    if present.any():
        counts = counts[present]
        error = np.abs(counts / total[present, None] - prior[present])
        r, t = np.unravel_index(int(error.argmax()), error.shape)
        regions = np.array(sample.pack.codes("region"))[present]
        worst = f"{regions[r]} {sample.pack.codes('ip_type')[t]}"
        value = 100 * float(error.max())
        random = generator(sample.seed, metric)
        moved = np.zeros(support.bootstrap_resamples)
        for row in counts:
            drawn = redrawn(row, support.bootstrap_resamples, random)
            moved = np.maximum(moved, np.abs(drawn - row).max(axis=1) / row.sum())
        interval = around(value, 100 * moved, support.confidence)
    return at_most(
        "T3_IP_PRIOR_ALIGNMENT", metric, value,
        sample.pack.validation_policy.gates["T3_max_abs_error_pp"],
        seed=sample.seed, support=float(total.min()), interval=interval,
        minimum_support=support.min_rows_per_region, worst_cell=worst,
    )  # fmt: skip


def t4_device_ip_coverage(sample: Sample) -> Iterator[Row]:
    """T4: share of devices with at least one IP."""
    linked, devices = (int(n) for n in sample.counts.coverage)
    support = sample.pack.validation_policy.support
    interval = resampled(
        np.array([linked, devices - linked]), lambda d: d[:, 0] / devices,
        support.bootstrap_resamples, generator(sample.seed, "T4"), support.confidence,
    )  # fmt: skip
    yield at_least(
        "T4_DEVICE_IP_COVERAGE", "linked_device_fraction", linked / devices,
        sample.pack.validation_policy.gates["T4_linked_device_fraction"],
        seed=sample.seed, support=devices, interval=interval,
        minimum_support=support.min_for_share,
    )  # fmt: skip


def quantile(values: NDArray[np.int64], counts: Floats, q: float) -> Floats:
    """Discrete quantile of counted values, along the last axis of counts; NaN where all are 0."""
    if not values.size:
        return np.full(counts.shape[:-1], np.nan)
    running = np.cumsum(counts, axis=-1)
    at = (running < q * running[..., -1:]).sum(axis=-1)
    return np.asarray(values[np.minimum(at, values.size - 1)], dtype=np.float64)


def degrees(counts: Counts) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of devices per linked IP that occur, ascending, and IPs with each."""
    value = np.flatnonzero(counts.degrees)
    return value, counts.degrees[value]


def t5_ip_reuse_tail_bounds(sample: Sample) -> Iterator[Row]:
    """T5: 99th percentile and maximum of distinct devices per linked IP."""
    value, count = degrees(sample.counts)
    unknown = not value.size
    support = sample.pack.validation_policy.support
    gates = sample.pack.validation_policy.gates
    for metric, key, statistic in (
        ("p99_devices_per_ip", "T5_p99_devices_per_ip", lambda c: quantile(value, c, 0.99)),
        ("max_devices_per_ip", "T5_max_devices_per_ip", lambda c: (value * (c > 0)).max(axis=-1)),
    ):
        interval = None if unknown else resampled(
            count, statistic, support.bootstrap_resamples,
            generator(sample.seed, metric), support.confidence,
        )  # fmt: skip
        yield at_most(
            "T5_IP_REUSE_TAIL_BOUNDS", metric,
            float("nan") if unknown else float(statistic(count.astype(np.float64))),
            gates[key], seed=sample.seed, support=float(count.sum()), interval=interval,
            minimum_support=support.min_for_percentile,
        )  # fmt: skip
