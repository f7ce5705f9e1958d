"""A state reads its own part of the policy, and encodes its own draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fraudworld.engine.local import LocalEngine
from fraudworld.perf.recorder import REQUIRED_STEPS
from fraudworld.policy.loader import load_pack
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.reads import view
from fraudworld.rng import StreamUse
from fraudworld.stages.context import Context
from fraudworld.stages.posture import stage as posture
from support import chain, worlds

PACK = load_pack().pack


class Closed:
    """A policy of which nothing can be read."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is read from the whole policy")


@dataclass
class Watched(Context):
    """A context that notes in which step a state opens its contracts and encodes its draws."""

    opened: list[tuple[str, str]] = field(default_factory=list)
    logged: list[tuple[str, str]] = field(default_factory=list)
    now: tuple[str, str] = ("", "")

    def contracts(self, state: str) -> PolicyPack:
        self.opened.append(self.now)
        assert state == self.now[0]
        return view(PACK, state)

    def note(self, uses: Sequence[StreamUse]) -> None:
        """The state of every stream that is encoded in the step that runs now."""
        assert {u.label.partition("/")[0].upper() for u in uses} == {self.now[0]}
        self.logged.append(self.now)

    @contextmanager
    def noted(self, state: str, name: str) -> Iterator[None]:
        """The step that runs now."""
        self.now = state, name
        yield
        self.now = "", ""


def test_a_state_opens_its_contracts_first_and_encodes_its_draws_in_the_step_of_that_name() -> None:
    geo = worlds.geography(PACK, 20_000)
    with LocalEngine(1) as engine:
        context = Watched(
            pack=Closed(),  # type: ignore[arg-type]
            seed=42,
            geo=geo,
            merchants=worlds.merchants(PACK),
            parties_per_shard=None,
            engine=engine,
            step=lambda state, name: context.noted(state, name),
            emit=lambda table, rows: rows.n,
            log_rng=lambda uses: context.note(uses),
        )
        posture.run(context, *chain.first_four(context))
    assert context.opened == [(state, "load_contracts_inputs") for state in REQUIRED_STEPS]
    assert context.logged == [(state, "rng_publish") for state in REQUIRED_STEPS]
