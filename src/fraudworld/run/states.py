"""The states S1–S5 in order, each with its own part of the policy, or read back from a base.

The only module that knows how states feed each other. A state opens its own part of the policy in
its first step (`Context.contracts`), so that a digest over these files covers the state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fraudworld.perf.recorder import REUSED_STEP, Recorder
from fraudworld.run.base import Base
from fraudworld.run.restore import Restored
from fraudworld.stages.accounts import stage as accounts
from fraudworld.stages.context import Context
from fraudworld.stages.instruments import stage as instruments
from fraudworld.stages.network import stage as network
from fraudworld.stages.parties import stage as parties
from fraudworld.stages.posture import stage as posture
from fraudworld.stages.posture.validate.checks import Check

T = TypeVar("T")


def run_states(context: Context, base: Base | None, recorder: Recorder) -> tuple[Check, ...]:
    """Runs S1–S5, each with its own part of the policy; states of `base` are read back."""
    reused = base.states if base else ()
    kept = None
    if base is not None:
        kept = Restored(
            base,
            context.pack,
            context.geo,
            context.merchants,
            context.engine,
            context.parties_per_shard,
        )
        context.plans |= base.plans()
        context.documents |= base.documents()

    def state(name: str, make: Callable[[], T], back: Callable[[Restored], T]) -> T:
        if kept is not None and name in reused:
            with recorder.step(name, REUSED_STEP):
                context.publish_rng(*kept.base.evidence(name))
                return back(kept)
        return make()

    people = state("S1", lambda: parties.run(context), lambda r: r.parties())
    held = state("S2", lambda: accounts.run(context, people), lambda r: r.accounts(people))
    carried = state(
        "S3", lambda: instruments.run(context, people, held), lambda r: r.instruments(held)
    )
    graph = state(
        "S4",
        lambda: network.run(context, people, held, carried),
        lambda r: r.network(people, held, carried),
    )
    return posture.run(context, people, held, carried, graph)
