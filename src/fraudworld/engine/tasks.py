"""What an engine does: run tasks over shards, and keep what they made.

A stage is a sequence of *rounds*. In a round every shard gets the same task; what a task
makes of its shard stays with the engine as an `Item`, and only what has to be known of all
shards together (counts, histograms, candidates at an edge) comes back to the stage, which
adds it up and hands the sum to the next round. So no law ever needs the whole world in one
place, and none may depend on how it was cut.

Tasks are functions of a module (or partials of such): an engine may send them elsewhere,
run them twice, or run them in any order that respects their inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol


class Item(Protocol):
    """What a task made, kept where it was made; gone once nobody refers to it."""


class Engine(Protocol):
    """Runs a task for every row of its columns; columns are zipped and equally long.

    An argument that is an Item, or a list or tuple of Items, reaches the task as its value.
    """

    workers: int

    def submit(
        self, task: Callable[..., Any], *columns: Iterable[Any], later: bool = False
    ) -> list[Item]:
        """Start the tasks and return at once; what they make is kept.

        later: no other task needs what these make, so they fill the time in which rounds
        leave a worker idle.
        """
        ...

    def collect(self, task: Callable[..., Any], *columns: Iterable[Any]) -> list[Any]:
        """What the tasks return, in the order of the rows. Raises what a task died of."""
        ...

    def run(
        self, task: Callable[..., tuple[Any, Any]], *columns: Iterable[Any]
    ) -> tuple[list[Item], list[Any]]:
        """For tasks that return (kept, told): items of the one, values of the other."""
        ...

    def fetch(self, items: Sequence[Item]) -> list[Any]:
        """The values of items, in order."""
        ...

    def check(self, items: Sequence[Item]) -> None:
        """Raise what an item that is finished already died of, if one did."""
        ...
