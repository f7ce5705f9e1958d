"""The gateboard of one run: T1–T8, guards, grade, and the owner of each failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fraudworld.contracts import CONTRACT_VERSION
from fraudworld.documents import JsonObject
from fraudworld.errors import InputError
from fraudworld.gates import caps, network, propagation, roles
from fraudworld.gates.counts import Counts, Sample
from fraudworld.gates.evidence import Evidence
from fraudworld.gates.gate import Guard, Row, owner_of
from fraudworld.gates.guards import GUARDS
from fraudworld.gates.published import Published
from fraudworld.policy.bounds import rebaselined
from fraudworld.policy.loader import parameter_hash
from fraudworld.store.published import sealed_policy

GATES: tuple[Callable[[Sample], Iterator[Row]], ...] = (
    caps.t1_kmax_hard_invariant,
    caps.t2_kmax_tail_sanity,
    network.t3_ip_prior_alignment,
    network.t4_device_ip_coverage,
    network.t5_ip_reuse_tail_bounds,
    roles.t6_role_mapping_coverage,
    propagation.t7_risk_propagation_effect,
    roles.t8_distribution_alignment,
)


@dataclass(frozen=True)
class Gateboard:
    """The judgement of one run."""

    identity: JsonObject
    tests: tuple[Row, ...]
    guards: tuple[Guard, ...]
    measures: dict[str, float]
    counts: Counts
    rebaseline: JsonObject | None

    @property
    def grade(self) -> str:
        """`B+`, `B` or `<C`."""
        if not all(r.pass_B for r in self.tests):
            return "<C"
        better = all(r.pass_Bplus for r in self.tests) and all(g.holds for g in self.guards)
        return "B+" if better else "B"

    @property
    def routing(self) -> list[dict[str, str]]:
        """Tests that fail B, and the state that owns each."""
        return [
            {
                "test_id": r.test_id,
                "metric_name": r.metric_name,
                "owner": owner_of(r.test_id),
            }
            for r in self.tests
            if not r.pass_B
        ]

    def as_dict(self) -> JsonObject:
        """Content of `realism_gate_6A.json`."""
        return {
            **self.identity,
            "contract_version": CONTRACT_VERSION,
            "tests": [r.as_dict() for r in self.tests],
            "guards": [g.as_dict() for g in self.guards],
            "measures": self.measures,
            "counts": self.counts.as_dict(),
            "grade": self.grade,
            "routing": self.routing,
            "rebaseline": self.rebaseline,
        }


def judge(run: Path) -> Gateboard:
    """Judges a published or staged run from its Parquet and sealed policy alone.

    Raises InputError, naming what is wrong, for a run that cannot be judged: a dataset
    missing or empty, a null key, an unknown code, a policy that is not the run's.
    """
    pack = sealed_policy(run)
    published = Published(run, pack)
    identity = published.identity()
    if identity["parameter_hash"] != parameter_hash(pack):
        raise InputError(
            "6A.S5.SEALED_INPUTS_CONFLICT",
            "the run's tables and its policy do not belong together",
            where=str(run),
            remedy="judge a run as it was published; tables of two runs cannot be mixed",
        )
    evidence = Evidence(published, pack, int(identity["seed"]))
    sample = evidence.sample
    published.check_unread()
    tests = tuple(row for gate in GATES for row in gate(sample))
    guards = tuple(guard for check in GUARDS for guard in check(evidence, tests))
    return Gateboard(
        identity, tests, guards, evidence.measures(), evidence.counts, rebaselined(pack)
    )
