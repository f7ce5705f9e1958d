"""T6, T8: every role is mapped, every distribution matches the policy's prior.

Priors are computed from the policy and from group sizes, without realised tiers and roles, so that
drift in either shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.gates.counts import Sample
from fraudworld.gates.entities import role_groups
from fraudworld.gates.gate import Row, at_least, at_most
from fraudworld.gates.network import edge_shares
from fraudworld.gates.statistics import around, generator, jsd, redrawn

Floats = NDArray[np.float64]
ENTITIES = ("party", "account", "merchant", "device", "ip")


@dataclass(frozen=True)
class RoleCounts:
    """Observed and expected counts of raw roles by region; the last row is the world."""

    roles: tuple[str, ...]
    observed: Floats  # (regions + 1, roles)
    expected: Floats


def role_counts(sample: Sample, entity: str) -> RoleCounts:
    """Raw roles against the prior Σ group share × tier share × figures, per region.

    Merchants' classes and regions are not published, so theirs is the world row only, its
    group shares the policy's class mix.
    """
    pack = sample.pack
    roles, regions = pack.codes(f"{entity}_raw_role"), pack.codes("region")
    observed = np.zeros((len(regions) + 1, len(roles)))
    expected = np.zeros_like(observed)
    priors = getattr(pack, f"{entity}_role_priors")
    tiers = np.array(pack.fraud_role_taxonomy.tier_shares)

    def share(group: str) -> Floats:
        out = np.zeros(len(roles))
        for role, figures in priors.roles[group].items():
            out[roles.index(role)] = tiers @ np.array(figures) / 10_000
        out[roles.index(priors.remainder[group])] += 1.0 - out.sum()
        return out

    if entity == "merchant":
        observed[-1] = sample.counts.merchants.sum(axis=1)
        for group, part in priors.class_mix.items():
            expected[-1] += part * share(group) * observed[-1].sum()
        return RoleCounts(roles, observed, expected)
    counts = sample.counts.roles[entity]
    observed[:-1] = counts.sum(axis=1)
    for g, group in enumerate(role_groups(pack, entity)):
        expected[:-1] += counts[:, g].sum(axis=1)[:, None] * share(group)
    observed[-1], expected[-1] = observed[:-1].sum(axis=0), expected[:-1].sum(axis=0)
    return RoleCounts(roles, observed, expected)


def t6_role_mapping_coverage(sample: Sample) -> Iterator[Row]:
    """T6: rows of the five role tables whose raw role maps to the family they state."""
    total = bad = 0
    for entity in ENTITIES:
        roles, families = (sample.pack.codes(f"{entity}_{c}") for c in ("raw_role", "family"))
        mapping = sample.pack.fraud_role_taxonomy.entities[entity].mapping
        pairs = (
            sample.counts.merchants
            if entity == "merchant"
            else sample.counts.families[entity].sum(axis=0)
        )
        total += int(pairs.sum())
        good = [pairs[r, families.index(mapping[role])] for r, role in enumerate(roles)]
        bad += int(pairs.sum() - sum(good))
    gates = sample.pack.validation_policy.gates
    least = sample.pack.validation_policy.support.min_for_percentile
    why = "an exact count over the whole world has no sampling interval"
    yield at_least(
        "T6_ROLE_MAPPING_COVERAGE", "mapped_role_fraction", 1 - bad / total,
        gates["T6_mapped_role_fraction"], seed=sample.seed, support=total,
        minimum_support=least, no_interval=why,
    )  # fmt: skip
    yield at_most(
        "T6_ROLE_MAPPING_COVERAGE", "unmapped_role_count", bad,
        gates["T6_unmapped_role_count"], seed=sample.seed, support=total,
        minimum_support=least, no_interval=why,
    )  # fmt: skip


def t8_distribution_alignment(sample: Sample) -> Iterator[Row]:
    """T8: divergence of IP types and of role families from the prior, pooled and by region."""
    links = sample.counts.link_types.astype(np.float64)
    expected = links.sum(axis=1, keepdims=True) * edge_shares(sample.pack)
    pooled = np.vstack([links, links.sum(axis=0)]), np.vstack([expected, expected.sum(axis=0)])
    no_clean = np.zeros(links.shape[1], dtype=bool)
    yield from _rows(sample, "jsd_ip_type", *pooled, no_clean)
    for entity in ENTITIES:
        counts = role_counts(sample, entity)
        observed, prior, clean = _families(sample, entity, counts)
        yield from _rows(sample, f"jsd_role_{entity}", observed, prior, clean)


def _families(
    sample: Sample, entity: str, counts: RoleCounts
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Raw roles summed into canonical families as published; UNMAPPED is one of them."""
    vocabulary = sample.pack.fraud_role_taxonomy.entities[entity]
    families = sample.pack.codes(f"{entity}_family")
    regions = sample.pack.codes("region")
    to_family = np.array([families.index(vocabulary.mapping[r]) for r in counts.roles])
    expected = np.zeros((len(regions) + 1, len(families)))
    for i, f in enumerate(to_family):
        expected[:, f] += counts.expected[:, i]
    observed = np.zeros_like(expected)
    if entity == "merchant":
        observed[-1] = sample.counts.merchants.sum(axis=0)
    else:
        observed[:-1] = sample.counts.families[entity].sum(axis=1)
        observed[-1] = observed[:-1].sum(axis=0)
    return observed, expected, np.array([f == vocabulary.clean_family for f in families])


def _merge_rare(
    observed: Floats, expected: Floats, clean: NDArray[np.bool_], least: float
) -> tuple[Floats, Floats, bool]:
    """Merge categories expecting fewer than `least`, rarest first, into "not clean".

    Returns merged counts, and whether every remaining category has support. A category with prior
    0 needs none: it stays, and every observation of it counts against the world.
    """
    order = np.argsort(np.where(clean, np.inf, expected), kind="stable")
    merged_o = merged_e = 0.0
    keep = (expected > 0) | (observed > 0)
    for c in order[expected[order] > 0]:
        if clean[c] or (expected[c] >= least and (merged_e == 0 or merged_e >= least)):
            break
        keep[c] = False
        merged_o, merged_e = merged_o + observed[c], merged_e + expected[c]
    o, e = observed[keep], expected[keep]
    if merged_e > 0:
        o, e = np.append(o, merged_o), np.append(e, merged_e)
    possible = e[e > 0]
    return o, e, bool(possible.size > 1 and (possible >= least).all())


def _rows(
    sample: Sample, metric: str, observed: Floats, expected: Floats,
    clean: NDArray[np.bool_],
) -> Iterator[Row]:  # fmt: skip
    """The pooled row and the row of the worst region; regions without support are pooled only."""
    support = sample.pack.validation_policy.support
    merged = [
        _merge_rare(o, e, clean, support.min_expected_per_category)
        for o, e in zip(observed, expected, strict=True)
    ]
    *regions, (pooled_o, pooled_e, supported) = merged
    enough = observed.sum(axis=1) >= support.min_rows_per_region
    codes = sample.pack.codes("region")
    judged = {
        code: (o, e)
        for code, (o, e, ok), supported_here in zip(codes, regions, enough, strict=False)
        if ok and supported_here
    }
    pooled_only = [code for code in codes if code not in judged]
    world = {"world": (pooled_o, pooled_e)}
    yield _divergence(sample, metric, supported, world)
    yield _divergence(
        sample,
        f"{metric}_worst_region",
        supported,
        judged or world,
        pooled_into_world=pooled_only,
    )


def _divergence(
    sample: Sample, metric: str, supported: bool,
    strata: dict[str, tuple[Floats, Floats]], **note: Any,
) -> Row:  # fmt: skip
    """Largest divergence over strata of (observed, expected); its square root is a metric."""
    policy = sample.pack.validation_policy
    support = policy.support
    known = {n: (o, e) for n, (o, e) in strata.items() if o.sum() > 0 and e.sum() > 0}
    divergences = {name: float(jsd(o, e)) for name, (o, e) in known.items()}
    worst = max(divergences, key=lambda name: divergences[name], default="")
    value = divergences.get(worst, float("nan"))
    random = generator(sample.seed, metric)
    moved = np.zeros(support.bootstrap_resamples)
    for o, _ in known.values():
        drawn = redrawn(o.astype(np.int64), support.bootstrap_resamples, random)
        moved = np.maximum(moved, np.sqrt(jsd(drawn, o)))
    low, high = around(value**0.5, moved, support.confidence)
    return at_most(
        "T8_DISTRIBUTION_ALIGNMENT_JSD", metric, value, policy.gates["T8_jsd"],
        seed=sample.seed, support=float(known[worst][0].sum()) if known and supported else 0.0,
        interval=(low**2, high**2) if known else None,
        minimum_support=support.min_rows_per_region, stratum=worst, **note,
    )  # fmt: skip
