"""Tables that the stages publish, as arrays in memory.

The only module of these tests that runs stages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import Column, Table
from fraudworld.engine.local import LocalEngine
from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.perf.recorder import Recorder
from fraudworld.policy.pack import PolicyPack
from fraudworld.run.states import run_states
from fraudworld.stages.batches import Batch, Rows
from fraudworld.stages.context import Context
from fraudworld.store.content import DTYPES
from fraudworld.store.tables import lay

Published = dict[str, dict[str, NDArray[np.generic]]]


def published(
    pack: PolicyPack,
    seed: int,
    geo: Geography,
    merchants: Merchants,
    parties_per_shard: int | None = None,
) -> Published:
    """Table → column → values of every table that S1 to S5 emit."""
    out: Published = {}
    with LocalEngine(1) as engine:

        def emit(table: Table, rows: Rows) -> int:
            task = partial(_whole, table.columns, rows.make)
            (out[table.name],) = engine.collect(task, [rows.pieces(0, rows.n)])
            return rows.n

        context = Context(
            pack=pack,
            seed=seed,
            geo=geo,
            merchants=merchants,
            parties_per_shard=parties_per_shard,
            engine=engine,
            step=lambda state, name: nullcontext(),
            emit=emit,
        )
        run_states(context, None, Recorder())
    return out


def _whole(
    columns: Sequence[Column],
    make: Callable[..., Batch],
    pieces: Sequence[tuple[Sequence[Any], int, int]],
) -> dict[str, NDArray[np.generic]]:
    """All rows of a table, piece after piece."""
    out = {
        c.name: np.empty(sum(high - low for _, low, high in pieces), DTYPES[c.kind])
        for c in columns
    }
    at = 0
    for arguments, low, high in pieces:
        rows = slice(at, at + high - low)
        lay(make(*arguments, low, high), {name: values[rows] for name, values in out.items()})
        at = rows.stop
    return out
