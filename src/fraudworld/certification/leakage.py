"""Guard `leakage_joined`: how well joined observable tables predict who is risky.

Boosted trees learn the risk of each kind of entity from `features.World`, cross-validated. An area
near 1 means that the label lies open; one of a half for parties, that the graph tells nothing.
Everything is a function of the published tables and the seed: equal runs have equal measures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.certification.features import FAMILIES, KINDS, Entities, Feature, World
from fraudworld.documents import JsonObject
from fraudworld.gates.gate import Guard, number_or_null
from fraudworld.gates.prefetch import prefetch
from fraudworld.gates.published import Published
from fraudworld.gates.statistics import generator
from fraudworld.policy.pack import PolicyPack
from fraudworld.store.published import sealed_policy
from fraudworld.t10.estimators import NAN, Figure, Share, area, pooled_share

Floats = NDArray[np.float64]
U64 = NDArray[np.uint64]


@dataclass(frozen=True)
class Design:
    """How the areas are measured.

    A kind's sample: `most_entities` of it at most, and of these all risky ones and at most
    `clean_per_risky` clean ones for each. A fold holds whole owners. The importance of a feature,
    or of a family of them, is the area that the first fold loses where it is permuted, over
    `leading_rows` of its rows at most.
    """

    learner: str = "sklearn.ensemble.HistGradientBoostingClassifier"
    folds: int = 3
    most_entities: int = 200_000
    clean_per_risky: int = 8
    iterations: int = 40
    leaves: int = 8
    learning_rate: float = 0.15
    least_leaf: int = 20
    leading: int = 8
    leading_rows: int = 4_000


DESIGN = Design()


@dataclass(frozen=True)
class Lead:
    """A feature, and the area that is lost where it is permuted."""

    feature: str
    family: str
    loss: Figure


@dataclass(frozen=True)
class KindMeasures:
    """What was measured of one kind.

    entities: all of the world; risky, clean: those of the sample; folds: area of each;
    ids_alone: the same of a model that sees ids and row positions only; families: loss of area
    where all features of a family are permuted together; leading: features by loss.
    """

    entities: int
    risky: int
    clean: int
    features: tuple[str, ...]
    folds: tuple[Share, ...]
    ids_alone: tuple[Share, ...]
    families: dict[str, Figure]
    leading: tuple[Lead, ...]


Measures = dict[str, KindMeasures]
"""By kind, in the order of KINDS."""


def measure(run: Path) -> Measures:
    """Measures every kind of a published run, from its tables, sealed policy and seed."""
    pack = sealed_policy(run)
    published = Published(run, pack)
    world = World(published, pack)
    seed = int(published.identity()["seed"])
    return {kind: _of_kind(world, kind, seed) for kind in KINDS}


def guards(pack: PolicyPack, measures: Measures) -> list[Guard]:
    """One guard a kind, under the bounds of the policy."""
    bounds, support = pack.validation_policy.guards, pack.validation_policy.support
    out = []
    for kind in KINDS:
        of, name = measures[kind], f"leakage_joined_{kind}"
        auc = pooled_share(of.folds)
        low = bounds.leakage_joined_min_party_auc if kind == "party" else 0.0
        known = auc.support >= support.min_risky_owners and np.isfinite(auc.value)
        holds = low <= auc.value <= bounds.leakage_joined_max_auc
        out.append(
            Guard(
                name, bool(known and holds), number_or_null(auc.value), _bound(pack, kind),
                {
                    "interval": [number_or_null(end) for end in auc.interval()],
                    "support": auc.support,
                    "minimum_support": support.min_risky_owners,
                    "ids_alone": number_or_null(pooled_share(of.ids_alone).value),
                    "leading": [lead.feature for lead in of.leading],
                },
            )
        )  # fmt: skip
    return out


def not_measured(pack: PolicyPack, why: str) -> list[Guard]:
    """The guards where there is no evidence: none holds."""
    return [
        Guard(f"leakage_joined_{kind}", False, None, _bound(pack, kind), {"why": why})
        for kind in KINDS
    ]


def _bound(pack: PolicyPack, kind: str) -> str:
    bounds = pack.validation_policy.guards
    most = f"{bounds.leakage_joined_max_auc:g}"
    return f"{bounds.leakage_joined_min_party_auc:g} .. {most}" if kind == "party" else f"<= {most}"


def design() -> JsonObject:
    """The design, as it is stated in the evidence."""
    return asdict(DESIGN)


@dataclass(frozen=True)
class _Sample:
    """Features (n, features), labels, owners (dense from 0), folds and random keys of entities."""

    features: tuple[tuple[str, str], ...]  # family and name
    values: Floats
    risky: NDArray[np.bool_]
    owner: NDArray[np.intp]
    fold: U64
    key: U64

    def columns(self, family: str) -> NDArray[np.intp]:
        """Positions of the features of a family."""
        return np.flatnonzero([own == family for own, _ in self.features])


def _of_kind(world: World, kind: str, seed: int) -> KindMeasures:
    entities = world.of(kind)
    sample = _sample(world, kind, seed)
    everything, ids = np.arange(len(sample.features)), sample.columns("ids")

    def fold(number: int) -> tuple[Share, Share, Any]:
        with _one_thread():
            share, model = _fold(sample, number, everything)
            return share, _fold(sample, number, ids)[0], model

    folds = list(prefetch(fold, range(DESIGN.folds)))
    with _one_thread():
        families, leading = _importance(sample, folds[0][2])
    return KindMeasures(
        entities=entities.n,
        risky=int(sample.risky.sum()),
        clean=int((~sample.risky).sum()),
        features=tuple(name for _, name in sample.features),
        folds=tuple(share for share, _, _ in folds),
        ids_alone=tuple(share for _, share, _ in folds),
        families=families,
        leading=leading,
    )


def _one_thread() -> AbstractContextManager[Any]:
    """Limits OpenMP in the calling thread: sums over several depend on their number."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(1, user_api="openmp")
    return limits


def _sample(world: World, kind: str, seed: int) -> _Sample:
    entities = world.of(kind)
    rows = _drawn(entities, seed, kind)
    owned = kind in ("account", "device")
    owner = entities.owner[rows] if owned else rows
    # An entity without an owner is a cluster of its own.
    cluster = np.where(owner >= 0, owner, world.party.n + rows) if owned else rows
    fold = _draw(seed, f"{kind} folds", int(cluster.max(initial=0)) + 1)[cluster]
    features: list[tuple[str, str]] = []
    columns: list[Floats] = []
    for family, name, values in _joined_features(world, kind):
        if values.size == entities.n and not name.startswith(OWNER):
            column = values[rows]
        else:
            column = np.where(owner >= 0, values[owner], -1)
        features.append((family, name))
        columns.append(np.asarray(column, dtype=np.float64))
    return _Sample(
        tuple(features),
        np.stack(columns, axis=1),
        entities.label[rows],
        np.unique(cluster, return_inverse=True)[1],
        fold % np.uint64(DESIGN.folds),
        _draw(seed, f"{kind} order", rows.size),
    )


OWNER = "owner: "
"""Prefix of the features of an owner among those of an account or a device."""


def _joined_features(world: World, kind: str) -> Iterator[Feature]:
    """Features of a kind; those of its owner after them, one value a party."""
    yield from world.features(kind)
    if kind in ("account", "device"):
        for family, name, values in world.features("party"):
            yield family, f"{OWNER}{name}", values


def _drawn(entities: Entities, seed: int, kind: str) -> NDArray[np.intp]:
    """Rows of the sample, ascending: the entities with the smallest keys."""
    order = np.argsort(_draw(seed, kind, entities.n), kind="stable")[: DESIGN.most_entities]
    risky = order[entities.label[order]]
    clean = order[~entities.label[order]][: DESIGN.clean_per_risky * risky.size]
    return np.sort(np.concatenate([risky, clean]))


def _draw(seed: int, what: str, n: int) -> U64:
    """A 64-bit key of each of n things."""
    bits = generator(seed, f"leakage_joined {what}").bit_generator
    return np.asarray(bits.random_raw(n), dtype=np.uint64)


def _fold(sample: _Sample, fold: int, columns: NDArray[np.intp]) -> tuple[Share, Any]:
    """Area of one fold under a model of the others that sees some columns; and that model."""
    held = sample.fold == fold
    if not all(_has_both(sample.risky[part]) for part in (held, ~held)):
        return Share(NAN, NAN, float(sample.risky[held].sum())), None
    values = sample.values[:, columns]
    model = _fitted(values[~held], sample.risky[~held])
    return area(
        model.decision_function(values[held]), sample.risky[held], sample.owner[held]
    ), model


def _has_both(risky: NDArray[np.bool_]) -> bool:
    return bool(risky.any() and not risky.all())


def _fitted(values: Floats, risky: NDArray[np.bool_]) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=DESIGN.iterations, max_leaf_nodes=DESIGN.leaves,
        learning_rate=DESIGN.learning_rate, min_samples_leaf=DESIGN.least_leaf,
        early_stopping=False, random_state=0,
    ).fit(values, risky)  # fmt: skip


def _importance(sample: _Sample, model: Any) -> tuple[dict[str, float], tuple[Lead, ...]]:
    """Area that is lost where a family, or one feature, is permuted."""
    if model is None:
        return dict.fromkeys(FAMILIES, NAN), ()
    rows = np.flatnonzero(sample.fold == 0)
    rows = rows[np.argsort(sample.key[rows], kind="stable")][: DESIGN.leading_rows]
    values, risky = sample.values[rows], sample.risky[rows]
    permuted, alone = np.roll(values, 1, axis=0), np.zeros(risky.size, np.int8)
    whole = area(model.decision_function(values), risky, alone).value

    def loss(columns: Sequence[int] | NDArray[np.intp]) -> float:
        spoilt = values.copy()
        spoilt[:, columns] = permuted[:, columns]
        return whole - area(model.decision_function(spoilt), risky, alone).value

    families = {family: loss(sample.columns(family)) for family in FAMILIES}
    leads = [Lead(name, family, loss([at])) for at, (family, name) in enumerate(sample.features)]
    leads.sort(key=lambda lead: (-lead.loss, lead.feature))
    return families, tuple(leads[: DESIGN.leading])


def close(stated: Any, found: Any, tolerance: float) -> bool:
    """Whether two documents are equal but for numbers that differ by at most `tolerance`."""
    if isinstance(stated, Mapping) and isinstance(found, Mapping):
        return stated.keys() == found.keys() and all(
            close(stated[key], found[key], tolerance) for key in stated
        )
    if isinstance(stated, list) and isinstance(found, list):
        return len(stated) == len(found) and all(
            close(a, b, tolerance) for a, b in zip(stated, found, strict=True)
        )
    if isinstance(stated, float) and isinstance(found, float):
        return abs(stated - found) <= tolerance
    return bool(stated == found)
