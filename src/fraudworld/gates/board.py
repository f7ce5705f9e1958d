"""The gateboard of one run: T1–T8, guards, grade, and who owns what failed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fraudworld.audit.world import RESOLVED_POLICY, PublishedWorld, open_world
from fraudworld.contracts import CONTRACT_VERSION, TABLES
from fraudworld.errors import InputError
from fraudworld.gates import caps, network, propagation, roles
from fraudworld.gates.evidence import Evidence
from fraudworld.gates.gate import Guard, Row
from fraudworld.gates.guards import GUARDS
from fraudworld.policy.loader import parameter_hash

GATES: tuple[Callable[[Evidence], Iterator[Row]], ...] = (
    caps.t1_kmax_hard_invariant,
    caps.t2_kmax_tail_sanity,
    network.t3_ip_prior_alignment,
    network.t4_device_ip_coverage,
    network.t5_ip_reuse_tail_bounds,
    roles.t6_role_mapping_coverage,
    propagation.t7_risk_propagation_effect,
    roles.t8_distribution_alignment,
)

ROUTING = {
    "T1": "S2", "T2": "S2", "T3": "S4", "T4": "S4", "T5": "S4", "T6": "S5", "T7": "S5",
    "T8": "S5", "T9": "robustness review", "T10": "cross-layer review",
}  # fmt: skip


@dataclass(frozen=True)
class Gateboard:
    """What the judge says of one run."""

    identity: dict[str, Any]
    tests: tuple[Row, ...]
    guards: tuple[Guard, ...]
    measures: dict[str, float]

    @property
    def grade(self) -> str:
        """`B+`, `B` or `<C`."""
        if not all(r.pass_B for r in self.tests):
            return "<C"
        better = all(r.pass_Bplus for r in self.tests) and all(g.holds for g in self.guards)
        return "B+" if better else "B"

    @property
    def routing(self) -> list[dict[str, str]]:
        """What failed B, and the state that owns it."""
        return [
            {
                "test_id": r.test_id,
                "metric_name": r.metric_name,
                "owner": ROUTING[r.test_id.split("_")[0]],
            }
            for r in self.tests
            if not r.pass_B
        ]

    def as_dict(self) -> dict[str, Any]:
        """Content of `realism_gate_6A.json`."""
        return {
            **self.identity,
            "contract_version": CONTRACT_VERSION,
            "tests": [r.as_dict() for r in self.tests],
            "guards": [g.as_dict() for g in self.guards],
            "measures": self.measures,
            "grade": self.grade,
            "routing": self.routing,
        }


def judge(run: Path) -> Gateboard:
    """Judge a published or staged run from its Parquet and sealed policy alone.

    Raises InputError, naming what is wrong, for a run that cannot be judged: a dataset
    missing or empty, a null key, an unknown code, a policy that is not the run's.
    """
    world = open_world(run)
    identity = _identity(world)
    _readable(world)
    seen = Evidence(world, int(identity["seed"]))
    tests = tuple(row for gate in GATES for row in gate(seen))
    guards = tuple(guard for check in GUARDS for guard in check(seen, tests))
    return Gateboard(identity, tests, guards, seen.measures())


def _identity(world: PublishedWorld) -> dict[str, Any]:
    """Seed, policy and fingerprint of the run; all places that state them must agree."""
    document = json.loads((world.run / RESOLVED_POLICY).read_text("utf-8"))
    stated, actual = document["parameter_hash"], parameter_hash(world.pack)
    if stated != actual:
        raise InputError(
            "6A.S0.PRIOR_PACK_DIGEST_MISMATCH",
            f"the sealed policy hashes to {actual}, it says {stated}",
            where=str(world.run / RESOLVED_POLICY),
            remedy="the policy was changed after sealing; judge the untouched run",
        )
    rows = {
        row
        for table in TABLES
        if table.identity
        for row in world.sql.execute(
            "SELECT DISTINCT seed, parameter_hash, manifest_fingerprint FROM"
            f" {table.name.removesuffix('_6A')}"
        ).fetchall()
    }
    if len(rows) != 1 or next(iter(rows))[1] != stated:
        raise InputError(
            "6A.S5.SEALED_INPUTS_CONFLICT",
            "the run's tables and its policy do not belong together",
            where=str(world.run),
            remedy="judge a run as it was published; tables of two runs cannot be mixed",
        )
    seed, policy, fingerprint = next(iter(rows))
    return {"seed": seed, "parameter_hash": policy, "manifest_fingerprint": fingerprint}


def _readable(world: PublishedWorld) -> None:
    """Every dataset has rows, no null or NaN where none belongs, no code from elsewhere."""
    for table in TABLES:
        name = table.name.removesuffix("_6A")
        code = f"6A.{table.state}.{name.upper()}_SCHEMA_OR_KEY_INVALID"
        files = sorted((world.run / "data/layer3/6A" / table.name).rglob("part-*.parquet"))
        missing = {c.name for c in table.all_columns} - set(pq.read_schema(files[0]).names)
        if missing:
            raise _invalid(code, table.name, f"it lacks {', '.join(sorted(missing))}")
        tests = [f"count(*) FILTER ({c.name} IS NULL)" for c in table.all_columns if not c.nullable]
        row = world.sql.execute(f"SELECT count(*), {', '.join(tests)} FROM {name}").fetchone()
        if not row or row[0] == 0:
            raise _invalid(code, table.name, "it has no rows")
        if any(row[1:]):
            raise _invalid(code, table.name, "a column that must be filled holds nulls")
        for column in table.columns:
            if column.codes and column.codes not in ("country", "currency"):
                strange = world.sql.execute(
                    f"SELECT DISTINCT {column.name} FROM {name} WHERE {column.name} NOT IN"
                    f" (SELECT code FROM codes WHERE list = '{column.codes}') LIMIT 3"
                ).fetchall()
                if strange:
                    found = ", ".join(str(s[0]) for s in strange)
                    raise _invalid(
                        f"6A.{table.state}.TAXONOMY_COMPATIBILITY_FAILED",
                        table.name,
                        f"{column.name} holds {found}, which the taxonomy does not know",
                    )


def _invalid(code: str, table: str, what: str) -> InputError:
    return InputError(
        code, f"{table}: {what}", where=table, remedy="judge a run as it was published"
    )
