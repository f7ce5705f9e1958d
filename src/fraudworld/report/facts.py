"""Everything the report shows, as one document: `report.json`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fraudworld.documents import JsonObject, load_json, load_json_lines
from fraudworld.errors import InputError
from fraudworld.gates.counts import Counts
from fraudworld.gates.schema import violations
from fraudworld.report import evidence, joints, neighbours, profiles, tables
from fraudworld.report.evidence import Row
from fraudworld.store.layout import CERTIFICATE, RunPlace
from fraudworld.store.published import PublishedWorld, open_world
from fraudworld.store.receipt import read_receipt

REPORT_VERSION = 1
DECISIONS = "reports/decisions"
PHASES = ("P0", "P1", "P2", "P3", "P4", "P5", "P6_1", "P6_2", "P6_3")
MEMORY = "1GB"
"""Memory limit of DuckDB: enough at authority scale, and below the peak of the run itself."""


@dataclass(frozen=True)
class Beside:
    """What was made after a run and is shown in its report.

    certificate, ladder: of its runs root; profiles: of the layer inside it, `profiles.published`.
    """

    certificate: JsonObject | None
    ladder: list[JsonObject]
    profiles: JsonObject | None = None


def beside(run: Path, runs_root: Path) -> Beside:
    """The certificate of `runs_root` that names this run, its ladder, and the run's profiles.

    Raises RefusedError as `profiles.published` does.
    """
    return Beside(
        _certificate(runs_root, read_receipt(RunPlace(run)).run_id),
        _ladder(runs_root),
        profiles.published(run),
    )


def collect(run: Path, near: Beside) -> JsonObject:
    """Collects the facts of a published or staged run, with what lies beside it.

    Raises InputError `6A.REPORT.EVIDENCE_UNREADABLE`, and the errors of
    `store.published.open_world`.
    """
    place = RunPlace(run)
    receipt = read_receipt(place)
    board = read_document(place.gateboard)
    broken = violations("realism_gate_6A", board)
    if broken:
        raise unreadable(place.gateboard, ValueError(broken[0]))
    perf = place.perf(receipt.identity)
    world = open_world(run, memory=MEMORY)
    try:
        rows = {
            **_from_evidence(board, world),
            **_from_tables(world),
            "steps": evidence.steps(_lines(perf / "perf_events_6A.jsonl")),
            "seeds": evidence.seeds(near.certificate),
        }
        neighbourhoods = neighbours.neighbourhoods(world)
    finally:
        world.sql.close()
    rows["policy_and_observed"] = list(_compared(rows))
    layer, of_layer = profiles.facts_of(near.profiles, run)
    checks = read_document(place.document("s5_validation_report_6A"))
    return {
        "report_version": REPORT_VERSION,
        "run": {**asdict(receipt), "overlays": list(receipt.overlays)},
        "grade": board["grade"],
        "tests": [{**t, "verdict": evidence.verdict(t)} for t in board["tests"]],
        "guards": board["guards"],
        "routing": board["routing"],
        "measures": board["measures"],
        "checks": {
            "made": len(checks["checks"]),
            "failed": [c for c in checks["checks"] if c["status"] != "PASS"],
        },
        "caps_at_work": read_document(place.document("s2_kmax_counters_6A")),
        "time": read_document(perf / "perf_summary_6A.json"),
        "budgets": read_document(perf / "perf_budget_check_6A.json"),
        "certificate": near.certificate,
        "ladder": near.ladder,
        "profiles": layer,
        "figures": {**rows, **of_layer},
        "neighbourhoods": neighbourhoods,
    }


def read_document(path: Path) -> Any:
    """Reads a JSON document; raises InputError `6A.REPORT.EVIDENCE_UNREADABLE` if invalid."""
    try:
        return load_json(path)
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(path, error) from error


def _from_evidence(board: JsonObject, world: PublishedWorld) -> dict[str, list[Row]]:
    counts, pack = Counts.from_dict(board["counts"]), world.pack
    return {
        "allowances": evidence.allowances(board["tests"]),
        "caps": evidence.caps(counts, pack),
        "accounts_per_party": evidence.ccdf(evidence.per_owner(counts, "account")),
        "devices_per_party": evidence.ccdf(evidence.per_owner(counts, "device")),
        "per_party_bounds": evidence.owner_bounds(pack),
        "devices_per_ip": evidence.ccdf(counts.degrees),
        "devices_per_ip_bounds": list(_degree_bounds(board)),
        "ip_types": evidence.ip_types(counts, pack),
        "roles": evidence.role_shares(counts, pack),
        "strata": evidence.strata(counts, pack),
        "instruments": evidence.instruments(counts, pack),
        "role_pairs": evidence.role_pairs(counts, pack),
        "risk_by_degree": evidence.risk_by_degree(counts),
        "effects": evidence.effects(board["tests"], board["guards"]),
        "transmission": list(joints.transmission(board["guards"])),
    }


def _from_tables(world: PublishedWorld) -> dict[str, list[Row]]:
    cells = tables.population(world)
    return {
        "party_types": tables.party_types(world, cells),
        "segments": tables.segments(world, cells),
        "segments_by_country": tables.segments_by_country(world, cells),
        "countries": tables.lorenz(cells),
        "products": tables.products(world, cells),
        "homes": joints.homes(world),
        "living_together": joints.living_together(world),
        "systems_by_country": joints.systems_by_country(world),
        "cards_by_country": joints.cards_by_country(world),
        **joints.circles(world),
    }


def _degree_bounds(board: JsonObject) -> Iterator[Row]:
    """The bounds of T5 as points of the CCDF: the 99th percentile and the maximum."""
    for test in board["tests"]:
        if test["test_id"].startswith("T5"):
            for grade, bound in (("B", test["threshold_B"]), ("B+", test["threshold_Bplus"])):
                what = test["metric_name"].split("_")[0]
                yield {"grade": grade, "what": what, "devices": bound, "value": test["value"]}


def _compared(rows: dict[str, list[Row]]) -> Iterator[Row]:
    """Yields every share and mean of the policy with its value in the world."""
    for family, keys in (
        ("party_types", ("region", "party_type")),
        ("segments", ("region", "segment")),
        ("products", ("account_type",)),
        ("instruments", ("account_type", "instrument_type")),
        ("ip_types", ("region", "ip_type")),
        ("roles", ("entity", "role")),
    ):
        for row in rows[family]:
            what = " · ".join(str(row[key]) for key in keys)
            figures = {"policy": row["policy"], "observed": row["observed"]}
            yield {"family": family.replace("_", " "), "what": what, **figures}


def _certificate(runs_root: Path, run_id: str) -> JsonObject | None:
    """The runs root's certification summary, if this run is one of its seeds."""
    path = runs_root / CERTIFICATE
    if not path.is_file():
        return None
    summary: JsonObject = read_document(path)
    return summary if run_id in summary["runs"].values() else None


def _ladder(runs_root: Path) -> list[JsonObject]:
    """Decisions of the remediation ladder, in order of the phases."""
    paths = (runs_root / DECISIONS / f"{phase}.json" for phase in PHASES)
    return [read_document(path) for path in paths if path.is_file()]


def _lines(path: Path) -> list[JsonObject]:
    try:
        return load_json_lines(path)
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, why: Exception) -> InputError:
    """The error for evidence that cannot be read, or lacks what is shown of it."""
    return InputError(
        "6A.REPORT.EVIDENCE_UNREADABLE",
        f"evidence of the run cannot be read: {why}",
        where=str(path),
        remedy="report on an unchanged published run, or run it again",
    )
