"""What a figure of the report is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fraudworld.documents import Json
from fraudworld.report.marks import Spec

Facts = Mapping[str, Json]


@dataclass(frozen=True)
class Figure:
    """A drawing with its words.

    rows: names under `figures` (or `neighbourhoods`) of the facts that it draws; the first
    is also its table. reading: one sentence with this world's figures, from the facts.
    """

    name: str
    section: str
    title: str
    explains: str
    rows: tuple[str, ...]
    spec: Spec
    reading: Callable[[Facts], str]
