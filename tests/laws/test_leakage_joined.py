"""Guard `leakage_joined`: broken worlds are caught, and truth tables are no features."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from fraudworld.certification import leakage
from fraudworld.certification.features import FAMILIES, KINDS, World
from fraudworld.certification.leakage import Measures
from fraudworld.contracts import TABLES, Visibility
from fraudworld.gates.prefetch import prefetch
from fraudworld.gates.published import Published
from fraudworld.store.published import sealed_policy
from fraudworld.t10.estimators import pooled_share
from support.mutants import edit, permuted


@pytest.fixture
def world(small_world: Path, tmp_path: Path) -> Path:
    """A copy of a world of 40 000 parties, of hard links: an edit must replace a file."""
    return Path(shutil.copytree(small_world, tmp_path / "run", copy_function=os.link))


@pytest.fixture(scope="module")
def measures(small_world: Path) -> Measures:
    return leakage.measure(small_world)


def broken(run: Path, found: Measures) -> set[str]:
    return {g.guard_id for g in leakage.guards(sealed_policy(run), found) if not g.holds}


def areas(found: Measures) -> dict[str, float]:
    return {kind: pooled_share(of.folds).value for kind, of in found.items()}


def test_the_world_as_it_is_holds(small_world: Path, measures: Measures) -> None:
    assert broken(small_world, measures) == set()
    assert tuple(measures) == KINDS
    for kind, of in measures.items():
        assert set(of.families) == set(FAMILIES)
        assert of.risky >= 100
        assert of.clean <= leakage.DESIGN.clean_per_risky * of.risky
        # Ids follow regions and types; they must not tell more than those do.
        assert pooled_share(of.ids_alone).value < areas(measures)[kind]
        assert abs(of.families["ids"]) < 0.03


def test_measures_do_not_depend_on_threads(
    small_world: Path, measures: Measures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leakage, "prefetch", partial(prefetch, workers=1))
    with threadpool_limits(1):
        assert leakage.measure(small_world) == measures


def by_risk(kind: str) -> str:
    """Query that deals the roles of a kind in order of risk: risky ones have the first ids."""
    key = f"{kind}_id"
    rank = "row_number() OVER (ORDER BY"
    clean = "raw_role <> 'HIGH_RISK_IP'" if kind == "ip" else "canonical_role_family LIKE 'CLEAN%'"
    return (
        f"SELECT a.{key}, b.* EXCLUDE ({key}, n) FROM (SELECT {key}, {rank} {key}) AS n FROM t) a"
        f" JOIN (SELECT *, {rank} {clean}, {key}) AS n FROM t) b"
        f" USING (n) ORDER BY {key}"
    )


def test_ids_that_follow_risk_are_caught(world: Path) -> None:
    for kind in KINDS:
        edit(world, f"s5_{kind}_fraud_roles_6A", by_risk(kind))
    found = leakage.measure(world)
    assert broken(world, found) == {f"leakage_joined_{kind}" for kind in KINDS}
    for of in found.values():
        assert pooled_share(of.ids_alone).value > 0.99
        assert "ids" in {lead.family for lead in of.leading}


def test_rows_in_order_of_risk_are_caught(world: Path) -> None:
    """Ids tell nothing; the rows of the table of parties lie in order of risk."""
    edit(
        world, "s1_party_base_6A",
        "SELECT t.* FROM t JOIN s5_party_fraud_roles_6A r USING (party_id)"
        " ORDER BY r.canonical_role_family = 'CLEAN', hash(party_id)",
    )  # fmt: skip
    found = leakage.measure(world)
    # Accounts and devices have the row of their owner beside their own columns.
    assert "leakage_joined_party" in broken(world, found)
    assert found["party"].leading[0].feature == "party_row"


def test_risk_that_the_tables_say_nothing_about_is_caught(world: Path) -> None:
    """Null: an area of a half. About 950 risky parties have a standard error of .01."""
    edit(world, "s5_party_fraud_roles_6A", permuted("party"))
    found = leakage.measure(world)
    assert broken(world, found) == {"leakage_joined_party"}
    assert areas(found)["party"] == pytest.approx(0.5, abs=0.04)


def test_no_feature_rests_on_a_truth_table(small_world: Path, world: Path) -> None:
    """Roles dealt anew and members of circles changed: every feature stays as it was."""
    for kind in KINDS:
        edit(world, f"s5_{kind}_fraud_roles_6A", permuted(kind))
    edit(world, "s4_circle_members_6A", "SELECT * FROM t WHERE circle_id % 2 = 0")
    own, other = (World(Published(run, sealed_policy(run)), sealed_policy(run))
                  for run in (small_world, world))  # fmt: skip
    for kind in KINDS:
        assert not np.array_equal(own.of(kind).label, other.of(kind).label)
        for (family, name, values), (_, same, others) in zip(
            own.features(kind), other.features(kind), strict=True
        ):
            assert name == same
            assert family in FAMILIES
            assert np.array_equal(values, others), name


def test_of_truth_tables_only_roles_are_read(
    small_world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: dict[str, set[str]] = {}
    aligned = Published.aligned

    def spy(self, fn, *wanted):  # type: ignore[no-untyped-def]
        for table, names in wanted:
            read.setdefault(table.name, set()).update(names)
        return aligned(self, fn, *wanted)

    monkeypatch.setattr(Published, "aligned", spy)
    pack = sealed_policy(small_world)
    world = World(Published(small_world, pack), pack)
    for kind in KINDS:
        for _ in world.features(kind):
            pass
    truth = {
        t.name: read[t.name] for t in TABLES if t.visibility is Visibility.TRUTH and t.name in read
    }
    assert truth == {
        f"s5_{kind}_fraud_roles_6A": {f"{kind}_id", "raw_role", "canonical_role_family"}
        for kind in KINDS
    }
