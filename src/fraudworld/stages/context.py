"""The context of a stage recipe: policy, seed, engine, and where its results go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from fraudworld.contracts import Table
from fraudworld.documents import JsonObject
from fraudworld.engine.tasks import Engine
from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.reads import view
from fraudworld.rng import StreamUse
from fraudworld.stages.batches import Rows


@dataclass
class Context:
    """Policy, seed and upstream of a run, and the sinks of a recipe.

    `pack` is the whole policy, of which a state reads its `contracts`. `step(state, name)` times a
    substep; `emit(table, rows)` publishes rows and returns their number; `log_rng(uses)` encodes
    the draws of a state for the RNG logs; `evidence` collects the draws, `plans` the integer
    plans, `documents` the contents of `s2_kmax_counters_6A.json` and the like. Nothing here
    changes what a law draws.
    """

    pack: PolicyPack
    seed: int
    geo: Geography
    merchants: Merchants
    parties_per_shard: int | None
    engine: Engine
    step: Callable[[str, str], AbstractContextManager[None]]
    emit: Callable[[Table, Rows], int]
    evidence: list[StreamUse] = field(default_factory=list)
    plans: JsonObject = field(default_factory=dict)
    documents: JsonObject = field(default_factory=dict)
    log_rng: Callable[[Sequence[StreamUse]], object] = lambda uses: None

    def contracts(self, state: str) -> PolicyPack:
        """The part of the policy that `state` may read; other files raise AttributeError."""
        return view(self.pack, state)

    def publish_rng(self, *uses: StreamUse) -> None:
        """Adds the draws of a state to the evidence and encodes their lines."""
        self.evidence += uses
        self.log_rng(uses)
