"""The interface of an engine: run tasks over shards, and keep their results.

A stage is a sequence of *rounds*. In a round every shard gets the same task. The result of a task
stays with the engine as an `Item`; only a *summary* (counts, histograms, candidates near the end
of a quota) returns to the stage, which adds the summaries of all shards and passes the sum to the
next round. So no law needs the whole world in one place, and none may depend on how it was cut.

Tasks are functions of a module, or partials of such: an engine may pickle them, run them
elsewhere, run them twice, or run them in any order that respects their inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")


class Item(Generic[R_co]):
    """The result of a task, kept where it was made until the last reference to it goes."""

    __slots__ = ()


class Engine(Protocol):
    """Runs a task for every row of its columns, which are zipped and equally long.

    An argument that is an Item, or a list or tuple of Items, reaches the task as its value. The
    first exception of a task, in the order of the rows, is raised again where its result is
    asked for. The CPU of a task is charged to the account that the engine's meter names when the
    task is submitted.
    """

    workers: int

    def submit(
        self, task: Callable[..., R], *columns: Iterable[object], later: bool = False
    ) -> list[Item[R]]:
        """Starts the tasks, returns at once, and keeps their results.

        later: no other task needs these results, so they fill the time in which a round leaves a
        worker idle.
        """
        ...

    def collect(self, task: Callable[..., R], *columns: Iterable[object]) -> list[R]:
        """Runs the tasks and returns their results, in the order of the rows."""
        ...

    def run(
        self, task: Callable[..., tuple[R, S]], *columns: Iterable[object]
    ) -> tuple[list[Item[R]], list[S]]:
        """Runs tasks that return (result, summary): keeps the results, returns the summaries."""
        ...

    def fetch(self, items: Sequence[Item[R]]) -> list[R]:
        """The values of items, in order."""
        ...

    def check(self, items: Sequence[Item[object]]) -> None:
        """Raises the exception of an item that has failed already; waits for none."""
        ...

    def settle(self) -> None:
        """Charges what tasks on other processes have spent, once they are over."""
        ...
