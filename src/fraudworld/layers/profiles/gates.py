"""Guards P1 to P6: published profiles against the figures of their policy.

Rows have the format of the gateboard of a world. A guard fails closed: a value without enough
support is INSUFFICIENT_EVIDENCE and passes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import profiles as tables
from fraudworld.documents import JsonObject
from fraudworld.gates.gate import Row
from fraudworld.layers.profiles.ages import age_table
from fraudworld.layers.profiles.checks import START
from fraudworld.layers.profiles.identifiers.counts import Folders, count_identifiers
from fraudworld.layers.profiles.sharing_gate import judge_sharing, made, read_contacts
from fraudworld.layers.profiles.traces import Trace, traces
from fraudworld.layers.transactions.checks import CheckResult
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.policy.identity import IdentityPolicy
from fraudworld.policy.profiles.models import ProfilePack

if TYPE_CHECKING:
    import duckdb

F64 = NDArray[np.float64]

OLDEST = 121

OWNERS = {
    **dict.fromkeys(("email", "phone_e164", "postal_code", "tax_id"), "P1"),
    "iban": "P2",
    **dict.fromkeys(("pan", "token"), "P3"),
    **dict.fromkeys(("address", "asn"), "P4"),
}
"""State that writes each identifier."""


def judge(
    connection: duckdb.DuckDBPyConnection, inputs: Inputs, policy: ProfilePack,
    results: Sequence[CheckResult],
) -> list[Row]:  # fmt: skip
    """The rows of P2 to P6; connection: of `checks.connect`, results: of its checks."""
    counted = {row["check"]: row["violations"] for row in results}
    seed, bounds = inputs.identity.seed, policy.gates
    rows = []
    for guard, start in (("P2_CAUSAL_DATES", "P2_"), ("P6_HOMES", "P6_")):
        broken = sum(n for name, n in counted.items() if name.startswith(start))
        rows.append(_row(guard, "violations", float(broken), 0.0, seed, 1.0, 1.0, "P5", {}))
    age, persons, cell = _ages(connection, inputs, policy)
    rows.append(_row("P3_AGE_STRUCTURE", "worst_divergence", age, bounds.age_divergence, seed,
                     persons, float(bounds.least_persons), "P1", {"cell": cell}))  # fmt: skip
    place, homes = _places(connection, bounds.least_homes)
    rows.append(_row("P6_HOMES", "place_divergence", place, bounds.place_divergence, seed, homes,
                     1.0, "P1", {}))  # fmt: skip
    if made(connection, tables.PARTY_IDENTITY):
        read_contacts(connection)
        for kind in judge_sharing(connection, policy.sharing, bounds):
            rows.append(_row("P4_SHARING", kind.metric, kind.value, kind.bound, seed, kind.support,
                             float(bounds.least_shared), "P1", {**kind.details}))  # fmt: skip
    single, trees = traces(connection, inputs, bounds.least_cases)
    for metric, found, bound in (
        ("worst_column_area", [t for t in single if not t.of_cells], bounds.column_area),
        ("tenure_area", [t for t in single if t.of_cells], bounds.tenure_area),
        ("worst_tree_area", trees, bounds.tree_area),
    ):
        worst = max(found, key=lambda t: t.area, default=Trace(0.5, 0, "none"))
        rows.append(_row("P5_FAINT_TRACES", metric, worst.area, bound, seed, float(worst.cases),
                         float(bounds.least_cases), "P1", {"of": worst.what}))  # fmt: skip
    return rows


def judge_identifiers(
    connection: duckdb.DuckDBPyConnection, folders: Folders, identity: IdentityPolicy, seed: int
) -> list[Row]:
    """The rows of P1: identifiers that are wrong, or appear twice; folders: of `checks.folders`."""
    counted = count_identifiers(identity, folders, connection)
    return [
        _row("P1_VALID_AND_UNREAL", name, float(of.wrong + of.repeated), 0.0, seed,
             float(of.present), 1.0, OWNERS[name], {"repeated": of.repeated})
        for name, of in counted.items()
    ]  # fmt: skip


def _row(
    guard: str, metric: str, value: float, bound: float, seed: int, support: float, least: float,
    owner: str, details: JsonObject,
) -> Row:  # fmt: skip
    enough = support >= least
    passes = enough and value <= bound
    status = "PASS" if passes else "FAIL" if enough else "INSUFFICIENT_EVIDENCE"
    return Row(guard, metric, value if enough else None, bound, bound, passes, passes, None, None,
               seed, status, owner, support, {**details, "minimum_support": least})  # type: ignore[arg-type]  # fmt: skip


def divergence(observed: F64, expected: F64) -> float:
    """Jensen–Shannon divergence in bits of two lists of counts."""
    p, q = observed / observed.sum(), expected / expected.sum()
    mean = (p + q) / 2
    total = 0.0
    for side in (p, q):
        at = side > 0
        total += float((side[at] * np.log2(side[at] / mean[at])).sum()) / 2
    return max(total, 0.0)


def _ages(
    connection: duckdb.DuckDBPyConnection, inputs: Inputs, policy: ProfilePack
) -> tuple[float, float, str]:
    """Worst divergence of ages in years from the law, persons of that cell, and its name."""
    regions, segments = inputs.codes("region"), inputs.codes("segment")
    table = age_table(policy.people, regions, segments)
    found = connection.execute(f"""
        select region_id, segment_id, cast(floor(({START} - born_on) / 365.2425) as int), count(*)
        from p1_party_profile_6P join s1_party_base_6A using (party_id)
        where born_on is not null group by all""").fetchall()
    counts: dict[tuple[str, str], F64] = {}
    for region, segment, age, n in found:
        counts.setdefault((region, segment), np.zeros(OLDEST))[min(age, OLDEST - 1)] += n
    worst, support, name = 0.0, 0.0, "none"
    for (region, segment), observed in sorted(counts.items()):
        if observed.sum() < policy.gates.least_persons:
            continue
        row = regions.index(region) * len(segments) + segments.index(segment)
        known = table.cumulative[row] <= 1.0
        below = np.interp(
            np.arange(OLDEST + 1), table.edges[row][known], table.cumulative[row][known]
        )
        value = divergence(observed, np.diff(below))
        if value >= worst:
            worst, support, name = value, float(observed.sum()), f"{region}/{segment}"
    return worst, support, name


def _places(connection: duckdb.DuckDBPyConnection, least: int) -> tuple[float, float]:
    """Divergence of homes by town from population, small towns of a country together; and homes."""
    found = connection.execute("""
        with home as (
          select distinct coalesce('h' || household_id, 'b' || business_group_id, 'p' || party_id)
          as h,
            country_iso, home_place_id as place_id
          from s1_party_base_6A join p1_party_profile_6P using (party_id)),
        seen as (select place_id, count(*) as n from home group by 1),
        of_country as (select country_iso, count(*) as homes from home group by 1),
        people as (select country_iso, sum(population) as people from p0_place_6P group by 1)
        select country_iso, coalesce(n, 0), homes * population / people
        from p0_place_6P left join seen using (place_id)
        join of_country using (country_iso) join people using (country_iso)
        order by place_id""").fetchall()
    observed: list[float] = []
    expected: list[float] = []
    pooled: dict[str, tuple[float, float]] = {}
    for country, n, wanted in found:
        if wanted >= least:
            observed.append(float(n))
            expected.append(float(wanted))
        else:
            o, e = pooled.get(country, (0.0, 0.0))
            pooled[country] = o + n, e + wanted
    for o, e in pooled.values():
        observed.append(o)
        expected.append(e)
    return divergence(np.array(observed), np.array(expected)), float(sum(observed))
