"""S5, made again from the tables of S1–S4, the sealed policy and the seed.

Roles, tiers, checks, diagnostics and draws of S5 are a function of these, so nothing that S5
published is an input here: not its tables, nor its report, nor the flag.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fraudworld import engine as engines
from fraudworld.contracts import TABLES, Kind, Table
from fraudworld.documents import LARGEST, JsonObject, load_json, plain_json, read_bounded
from fraudworld.engine.tasks import Engine, Item
from fraudworld.inputs import embedded, intake
from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.perf.recorder import Recorder
from fraudworld.policy.loader import LoadedPack, parameter_hash
from fraudworld.policy.pack import PolicyPack
from fraudworld.request import SHARD_PARTIES, RunRequest
from fraudworld.rng import StreamUse
from fraudworld.run.base import STATES, Base
from fraudworld.run.pipeline import issue_table, pieces_of_parts
from fraudworld.run.states import run_states
from fraudworld.stages.batches import Rows
from fraudworld.stages.context import Context
from fraudworld.stages.posture.validate.checks import Check as Judged
from fraudworld.stages.posture.validate.checks import passed
from fraudworld.store.content import content_digest
from fraudworld.store.evidence import RngShare, encode_rng
from fraudworld.store.layout import RunPlace
from fraudworld.store.produce import Sealed
from fraudworld.store.published import PublishedWorld
from fraudworld.store.receipt import Receipt
from fraudworld.store.tables import Writing, leaves_of_part

OF_MERCHANTS = ("s5_merchant_fraud_roles_6A", "merchant_")
"""Table, and prefix of the checks, that need the classes and volumes of the upstream."""
S5_TABLES = tuple(t for t in TABLES if t.state == "S5")


@dataclass(frozen=True)
class Remade:
    """S5 as it follows from the tables before it."""

    digests: dict[str, str]  # content digest by table
    checks: tuple[Judged, ...]
    diagnostics: JsonObject
    rng: RngShare
    bundles: dict[str, str] | None  # bundle digest by segment of the upstream, if it was at hand

    @property
    def whole(self) -> bool:
        """Whether the upstream was at hand; otherwise nothing of merchants is known."""
        return self.bundles is not None

    @property
    def passed(self) -> bool:
        """Whether every required check holds."""
        return passed(self.checks)

    def concerns(self, name: str) -> bool:
        """Whether a table or a check is known."""
        return self.whole or not name.startswith(OF_MERCHANTS)


@dataclass
class _Sink:
    """Where the stage publishes: every table becomes the leaves of its parts."""

    engine: Engine
    writing: Callable[[Table], Writing]
    tables: list[tuple[Writing, int, list[Item[tuple[str, ...]]]]] = field(default_factory=list)
    uses: list[StreamUse] = field(default_factory=list)

    def emit(self, table: Table, rows: Rows) -> int:
        writing = self.writing(table)
        task = partial(leaves_of_part, writing, rows.make)
        self.tables.append(
            (writing, rows.n, self.engine.submit(task, pieces_of_parts(rows), later=True))
        )
        return rows.n

    def draw(self, uses: Sequence[StreamUse]) -> None:
        self.uses += [use for use in uses if use.label.startswith("s5/")]

    def digests(self) -> dict[str, str]:
        return {
            writing.table.name: content_digest(
                writing.table, rows, self.engine.fetch(leaves), writing.codes
            )
            for writing, rows, leaves in self.tables
        }


def remake(
    place: RunPlace, receipt: Receipt, sealed: Sealed, world: PublishedWorld, upstream: Path | None
) -> Remade:
    """Makes S5 of a published run again, in memory and a temporary folder.

    upstream: the folder the run was made from; without it the embedded one, if its digest is the
    sealed one. Raises InputError `6A.S0.BASE_STATE_INVALID` for tables no state can build on, and
    RefusedError for an upstream that is not the sealed one.
    """
    pack, base = world.pack, Base(place, receipt, STATES[:4], sealed.content_digests)
    with (
        _upstream(place, receipt, world, upstream) as (geo, merchants, bundles),
        tempfile.TemporaryDirectory(prefix="fraudworld-verify-") as scratch,
        engines.opened("local", workers=os.cpu_count() or 1, scratch=Path(scratch)) as engine,
    ):
        sink = _Sink(engine, lambda table: _writing(table, pack, receipt))
        context = Context(
            pack=pack,
            seed=receipt.seed,
            geo=geo,
            merchants=merchants,
            parties_per_shard=SHARD_PARTIES,
            engine=engine,
            step=lambda state, name: nullcontext(),
            emit=sink.emit,
            log_rng=sink.draw,
        )
        checks = run_states(context, base, Recorder(enabled=False))
        documents = context.documents
        return Remade(
            sink.digests(),
            checks,
            plain_json(documents["s5_propagation_diagnostics_6A"]),
            encode_rng(receipt.seed, sink.uses),
            bundles,
        )


def issues_differ(place: RunPlace, checks: tuple[Judged, ...]) -> bool:
    """Whether the published issue table is another one than that of these checks."""
    wanted = issue_table(checks)
    # Few rows fit a document; a file that unpacks to more is not read.
    data = pa.BufferReader(read_bounded(place.issue_table, LARGEST))
    if pq.read_metadata(data).num_rows != wanted.num_rows:
        return True
    return not pq.read_table(data).equals(wanted)


def _writing(table: Table, pack: PolicyPack, receipt: Receipt) -> Writing:
    codes = {c.name: pack.codes(str(c.codes)) for c in table.columns if c.kind is Kind.CODE}
    return Writing.of(table, Path(), receipt.identity, codes)


@contextmanager
def _upstream(
    place: RunPlace, receipt: Receipt, world: PublishedWorld, given: Path | None
) -> Iterator[tuple[Geography, Merchants, dict[str, str] | None]]:
    """Countries, merchants and bundles of the sealed upstream, or what the tables tell of them."""
    pack = world.pack
    stated = sealed_inputs_digest(place)
    loaded = LoadedPack(pack, MappingProxyType({}), (), parameter_hash(pack))
    with tempfile.TemporaryDirectory(prefix="fraudworld-verify-") as temporary:
        root = given or embedded.ensure_embedded(Path(temporary), volume_scale(receipt))
        inputs = intake.seal_inputs(root, loaded)
        if inputs.digest == stated:
            known = intake.load_upstream(
                root, inputs, pack.codes("region"), pack.codes("merchant_class")
            )
            yield known.geo, known.merchants, inputs.segments
            return
    yield *_from_tables(world), None


def volume_scale(receipt: Receipt) -> float:
    """Scale of the embedded upstream that a run of this receipt is made from."""
    return RunRequest(profile=receipt.profile, scale=receipt.scale).volume_scale


def sealed_inputs_digest(place: RunPlace) -> str:
    """The digest of the upstream that a run states; `identity` has checked it."""
    return str(load_json(place.sealed_inputs)["sealed_inputs_digest"])


def _from_tables(world: PublishedWorld) -> tuple[Geography, Merchants]:
    """Countries and ids of merchants as the tables have them; classes and volumes are unknown."""
    rows = world.sql.execute(
        "SELECT country_iso, any_value(region_id) FROM s1_party_base GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    ids = world.sql.execute(
        "SELECT merchant_id FROM s5_merchant_fraud_roles ORDER BY ALL"
    ).fetchnumpy()["merchant_id"]
    regions = world.pack.codes("region")
    countries, n = len(rows), ids.size
    geo = Geography(
        countries=tuple(str(country) for country, _ in rows),
        region=np.array([regions.index(region) for _, region in rows], np.uint8),
        currency=np.zeros(countries, np.uint8),
        currencies=(),
        outlets=np.zeros(countries, np.int64),
        weekly_arrivals=np.zeros(countries),
    )
    nothing = np.zeros(n, np.uint8)
    merchants = Merchants(
        np.asarray(ids, np.int64), nothing, nothing, nothing.astype(np.int64), np.zeros(n),
        np.zeros(n),
    )  # fmt: skip
    return geo, merchants
