"""The definition of done of every phase: conditions over published evidence (docs/ladder.md).

Pure functions, no files. A condition fails where its evidence is missing: a gateboard without T5
has not passed T5.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fraudworld.documents import Json, JsonObject
from fraudworld.store.decisions import Finding

Row = Mapping[str, Json]
HARD = tuple(f"T{n}" for n in range(1, 9))
EVERY = tuple(f"T{n}" for n in range(1, 11))
STATUSES = ("PASS", "FAIL", "INSUFFICIENT_EVIDENCE")


@dataclass(frozen=True)
class PhaseEvidence:
    """The input of a phase's law.

    rows: T1–T10, all seeds; before: T1–T8 of the phase this one builds on; guards, checks,
    routing, counters: of the published run; role, vetoes: from the run store; sealed:
    the sealed-inputs digest; mix_moved: largest change of a (region, segment) count of
    parties against the phase before; lock: `P0_gateboard.json`, of P0; summary: the certificate,
    of phases that certify.
    """

    rows: Sequence[Row]
    before: Sequence[Row] = ()
    guards: Sequence[Mapping[str, Json]] = ()
    checks: Sequence[Mapping[str, Json]] = ()
    routing: Sequence[Mapping[str, Json]] = ()
    counters: Mapping[str, Json] | None = None
    role: str = "none"
    flagged: bool = False
    vetoes: tuple[str, ...] = ()
    sealed: str = ""
    mix_moved: int | None = None
    lock: Mapping[str, Json] | None = None
    summary: Mapping[str, Json] | None = None
    repeated: Sequence[str] | None = None  # datasets that differ from the climbed world


def test_of(row: Row) -> str:
    """`T5` of `T5_IP_REUSE_TAIL_BOUNDS`."""
    return str(row["test_id"]).partition("_")[0]


def verdict(row: Row) -> str:
    """`B+`, `B`, `FAIL` or `NO EVIDENCE`."""
    if row["status"] == "INSUFFICIENT_EVIDENCE":
        return "NO EVIDENCE"
    return "B+" if row["pass_Bplus"] else "B" if row["pass_B"] else "FAIL"


def pass_b(phase: PhaseEvidence, tests: Iterable[str]) -> Finding:
    """Every row of these tests passes B, and each test has a row."""
    wanted = tuple(tests)
    rows = [r for r in phase.rows if test_of(r) in wanted]
    judged = {test_of(r) for r in rows}
    figures = {f"{test_of(r)} {r['metric_name']}": r["value"] for r in rows}
    holds = judged == set(wanted) and all(r["pass_B"] for r in rows)
    return Finding(f"{', '.join(wanted)} pass B", holds, figures)


def nothing_regressed(phase: PhaseEvidence) -> Finding:
    """Tests that passed B in the previous phase pass B."""
    now = {(r["test_id"], r["metric_name"]): r["pass_B"] for r in phase.rows}
    green = [(r["test_id"], r["metric_name"]) for r in phase.before if r["pass_B"]]
    lost = [f"{test} {metric}" for test, metric in green if not now.get((test, metric))]
    evidence = {"passed before": len(green), "lost": lost}
    return Finding("tests that passed still pass", bool(green) and not lost, evidence)


def baseline_locked(phase: PhaseEvidence) -> Iterator[Finding]:
    """P0: the baseline is pinned, judged in full, attributed, and can never be promoted."""
    yield Finding("baseline run pinned", phase.role == "baseline", {"role": phase.role})
    tagged = {
        test_of(r)
        for r in phase.rows
        if r["status"] in STATUSES
        and isinstance(r["pass_B"], bool)
        and isinstance(r["pass_Bplus"], bool)
        # A verdict without a value does not count as one.
        and (r["value"] is not None or r["status"] == "INSUFFICIENT_EVIDENCE")
    }
    said = {t: min(map(verdict, _of(phase.rows, t)), key=_worst) for t in EVERY if t in tagged}
    yield Finding("every test tagged for B and B+", tagged == set(EVERY), said)
    failing = {(r["test_id"], r["metric_name"]) for r in phase.rows if r["status"] == "FAIL"}
    owned = {(r["test_id"], r["metric_name"]): r["owner"] for r in phase.routing}
    owners = sorted({owned[f] for f in failing if f in owned})
    attributed = all(owned.get(f) for f in failing)
    yield Finding("owners attributed", attributed, {"failing": len(failing), "owners": owners})
    yield Finding("frozen upstream recorded", bool(phase.sealed), {"sealed inputs": phase.sealed})
    yield Finding("promotion vetoed", bool(phase.vetoes), {"vetoes": len(phase.vetoes)})
    yield _lock_complete(phase.lock or {})


def _lock_complete(lock: Mapping[str, Json]) -> Finding:
    """The lock has T1–T10, what was published, one owner per test, veto rules and evidence."""
    rows = lock.get("tests", ())
    states = {
        "tests": {test_of(r) for r in rows} == set(EVERY),
        "T9 and T10 with a reason": all(
            r["value"] is not None or r["details"].get("why")
            for r in rows
            if test_of(r) in ("T9", "T10")
        ),
        "published figures": bool(lock.get("published")),
        "owners": set(lock.get("owners", ())) == set(EVERY),
        "veto rules": bool(lock.get("veto_rules")),
        "evidence paths": bool(lock.get("evidence")),
    }
    return Finding("baseline gateboard locked", bool(rows) and all(states.values()), states)


def caps_hold(phase: PhaseEvidence) -> Iterator[Finding]:
    """P1: hard caps hold, with counters."""
    yield pass_b(phase, ("T1", "T2"))
    yield nothing_regressed(phase)
    wanted = (
        "kmax_overflow_rows", "kmax_redistributed_rows", "kmax_dropped_rows",
        "kmax_postcheck_violations",
    )  # fmt: skip
    counters = {name: (phase.counters or {}).get(name) for name in wanted}
    emitted = all(isinstance(v, int) for v in counters.values())
    yield Finding("counters emitted", emitted, counters)


def endpoints_hold(phase: PhaseEvidence) -> Iterator[Finding]:
    """P2: prior, coverage and tail of endpoints."""
    yield pass_b(phase, ("T3", "T4", "T5"))
    yield pass_b(phase, ("T1", "T2"))
    yield nothing_regressed(phase)


def risk_travels(phase: PhaseEvidence) -> Iterator[Finding]:
    """P3: owners' risk propagates to their accounts and devices."""
    yield pass_b(phase, ("T7",))
    yield pass_b(phase, ("T3", "T4", "T5"))
    yield nothing_regressed(phase)


def everything_mapped(phase: PhaseEvidence) -> Iterator[Finding]:
    """P4: every role is mapped to a family, and no hard gate has an exception."""
    yield pass_b(phase, ("T6", "T8"))
    yield pass_b(phase, HARD)
    yield nothing_regressed(phase)
    open_ = [c["check_id"] for c in phase.checks if c["severity"] != "REQUIRED"]
    failed = [c["check_id"] for c in phase.checks if c["status"] != "PASS"]
    holds = bool(phase.checks) and not open_ and not failed and phase.flagged
    evidence = {"checks": len(phase.checks), "advisory": open_, "failed": failed}
    yield Finding("no check is advisory, none fails, the run has its flag", holds, evidence)


def floors_refined(phase: PhaseEvidence) -> Iterator[Finding]:
    """P6.1: floors by account type, and means back at their λ."""
    floors = [c for c in phase.checks if c["check_id"] == "accounts_without_floor"]
    holds = bool(floors) and all(c["status"] == "PASS" for c in floors)
    yield Finding("floors by account type hold", holds, {"below": [c["observed"] for c in floors]})
    yield guard(phase, "instrument_means", "no mean of a product is inflated")
    yield pass_b(phase, HARD)
    yield nothing_regressed(phase)


def countries_differ(phase: PhaseEvidence) -> Iterator[Finding]:
    """P6.2: countries differ within bounds, regional mixes are conserved."""
    yield guard(phase, "country_heterogeneity", "deltas bounded, heterogeneity in band")
    conserved = phase.mix_moved == 0
    yield Finding("regional mix conserved", conserved, {"parties moved": phase.mix_moved})
    yield guard(phase, "conservation", "integer plans equal rows")
    yield pass_b(phase, HARD)
    yield nothing_regressed(phase)


def guard(phase: PhaseEvidence, guard_id: str, what: str) -> Finding:
    """A guard of the gateboard holds."""
    found = [g for g in phase.guards if g["guard_id"] == guard_id]
    figures = {g["guard_id"]: g["value"] for g in found} | {"bound": [g["bound"] for g in found]}
    return Finding(what, bool(found) and all(g["holds"] for g in found), figures)


def certified_b(phase: PhaseEvidence) -> Iterator[Finding]:
    """P5: T1–T10 pass B on every seed and pooled."""
    yield _graded(phase, "B", ("PASS_B", "PASS_BPLUS"))
    yield from _own_work(phase)


def certified_b_plus(phase: PhaseEvidence) -> Iterator[Finding]:
    """P6.3: every B+ threshold and every guard, on every seed and over all of them."""
    yield _graded(phase, "B+", ("PASS_BPLUS",))
    guards = (phase.summary or {}).get("guards", {})
    broken = [
        f"{seed}: {g['guard_id']}"
        for seed, found in guards.items()
        for g in found
        if not g["holds"]
    ]
    yield Finding(
        "every guard holds on every seed and over all", bool(guards) and not broken, {"not": broken}
    )
    yield from _own_work(phase)


def _graded(phase: PhaseEvidence, grade: str, decisions: tuple[str, ...]) -> Finding:
    decision = (phase.summary or {}).get("decision")
    fails = (phase.summary or {}).get("fails", ())
    missed = [
        f"{f['test_id']} {f['metric_name']} seed {f['seed']}"
        for f in fails
        if grade == "B+" or f["misses"] == "B"
    ]
    evidence = {"certificate": decision, "misses": missed}
    return Finding(f"T1–T10 pass {grade} per seed and pooled", decision in decisions, evidence)


def _own_work(phase: PhaseEvidence) -> Iterator[Finding]:
    copied = (phase.summary or {}).get("copied")
    yield Finding("no state copied between seeds", copied == [], {"copied": copied})
    if phase.repeated is not None:
        what = "the full chain makes the world the ladder climbed to"
        yield Finding(what, not phase.repeated, {"differ": list(phase.repeated)})


def blockers(
    done_when: Iterable[Finding], phase: PhaseEvidence, grade: str = "B"
) -> tuple[str, ...]:
    """What blocks a phase: unmet conditions, then the owner of each test below `grade`.

    T9 and T10 count for phases that certify only.
    """
    unmet = [f"not met: {f.what}" for f in done_when if not f.holds]
    asked = HARD if phase.summary is None else EVERY
    passes = "pass_Bplus" if grade == "B+" else "pass_B"
    below = [r for r in phase.rows if test_of(r) in asked and not r[passes]]
    return (*unmet, *dict.fromkeys(_owned(r, grade) for r in below)) if unmet else ()


def _owned(row: Row, grade: str) -> str:
    value = "no evidence" if row["value"] is None else f"{row['value']:.4g}"
    bound = row["threshold_Bplus" if grade == "B+" else "threshold_B"]
    details = row.get("details", {})
    inner = ", ".join(details.get("failed_Bplus" if grade == "B+" else "failed_B", ()))
    where = "" if row["seed"] is None else f", seed {row['seed']}"
    return (
        f"{test_of(row)} {row['metric_name']} is {value}{where}, {grade} asks {bound:g}"
        f"{f' ({inner})' if inner else ''}: work for {row['owner_state']}"
    )


def _of(rows: Iterable[Row], test: str) -> list[Row]:
    return [r for r in rows if test_of(r) == test]


def _worst(word: str) -> int:
    return ("NO EVIDENCE", "FAIL", "B", "B+").index(word)


def cells(rows: Sequence[Row]) -> dict[str, JsonObject]:
    """One row per test for the table: the first row with the worst verdict."""
    out = {}
    for test in EVERY:
        of_test = _of(rows, test)
        if of_test:
            row = min(of_test, key=lambda r: _worst(verdict(r)))
            out[test] = {
                "metric": row["metric_name"], "value": row["value"], "verdict": verdict(row),
            }  # fmt: skip
    return out
