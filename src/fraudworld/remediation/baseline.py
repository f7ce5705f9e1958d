"""P0's lock: the gateboard of the baseline beside the figures published for it.

Source of the published figures: the remediation report of the first system's run, whose grade was
B-. Where it gives no figure for a test, the lock says so; nothing is filled in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fraudworld.documents import Json, JsonObject
from fraudworld.gates.gate import OWNERS, owner_of
from fraudworld.store.layout import RunPlace
from fraudworld.store.promotion import VETO_RULES

NAME = "P0_gateboard"
GRADE = "B-"
FIGURES: Mapping[str, float] = {
    "max_overflow": 112.0,
    "max_abs_error_pp_links": 1.7,
    "linked_device_fraction": 0.148,
    "p99_devices_per_ip": 172.0,
    "max_devices_per_ip": 6114.0,
    "or_account": 0.99,
    "or_device": 0.98,
    "jsd_role_device": 0.58,
    "jsd_role_ip": 0.58,
}
"""Published values by metric; the divergence was published for devices and IPs together."""

TIMINGS_S: Mapping[str, Mapping[str, float]] = {
    "c25a2675fbfbacd952b13bb594880e92": {
        "S1": 8.91, "S2": 172.33, "S3": 297.33, "S4": 79.74, "S5": 209.12,
    },
    "fd0a6cc8d887f06793ea9195f207138b": {
        "S1": 12.08, "S2": 246.94, "S3": 405.41, "S4": 173.36, "S5": 289.97,
    },
}  # fmt: skip
"""Published wall seconds per state of the two baseline runs, at 3 281 174 parties."""

NOT_PUBLISHED = "no figure was published for this metric"


def locked(run: Path, rows: Sequence[Mapping[str, Json]], sealed: str) -> JsonObject:
    """Content of `P0_gateboard.json`.

    rows: T1–T10 of the pinned baseline, those of T9 and T10 with status and reason; sealed: the
    sealed-inputs digest, which freezes the upstream.
    """
    place = RunPlace(run)
    evidence = {
        "gateboard": place.gateboard,
        "bundle_index": place.bundle_index,
        "s5_validation_report": place.document("s5_validation_report_6A"),
        "kmax_counters": place.document("s2_kmax_counters_6A"),
        "sealed_inputs": place.sealed_inputs,
        "decision": run.parent / "reports/decisions/P0.json",
    }
    return {
        "phase": "P0",
        "run_id": run.name,
        "sealed_inputs_digest": sealed,
        "published": {"grade": GRADE, "figures": dict(FIGURES), "timings_s": _plain(TIMINGS_S)},
        "tests": [
            {
                **row,
                "owner": owner_of(str(row["test_id"])),
                "published": FIGURES.get(str(row["metric_name"])),
                **({} if row["metric_name"] in FIGURES else {"not_published": NOT_PUBLISHED}),
            }
            for row in rows
        ],
        "owners": dict(OWNERS),
        "veto_rules": list(VETO_RULES),
        "evidence": {k: p.relative_to(run.parent).as_posix() for k, p in evidence.items()},
    }


def _plain(timings: Mapping[str, Mapping[str, float]]) -> JsonObject:
    return {run: dict(states) for run, states in timings.items()}
