"""Lies of a forger who recomputes every public digest, and which check finds each.

Every lie is sealed again by `support.forger`, which knows the contract and uses none of our sealing
code. `verify` must name the finder's group and end with status 1; a lie that only `--deep` finds
must hold under `verify`, and one that only a key finds under both.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from support import tampering
from support.calling import CallResult, program
from support.forger import LAYER, Forger, canonical, patch_footer, pretty

Call = Callable[..., CallResult]
Lie = Callable[[Forger], object]
GIB = 1 << 30
LIMITED = 2 * GIB
"""Memory a verification of a folder made to harm may take."""


@dataclass(frozen=True)
class Told:
    """A lie, the world it is told about, and the group of the check that finds it."""

    lie: Lie
    finder: str
    failing: bool = False  # told about a world that failed its gates
    seals: bool = True  # whether the kit seals again after the lie


LIES: dict[str, Told] = {}


def told(finder: str, **more: bool) -> Callable[[Lie], Lie]:
    def listed(lie: Lie) -> Lie:
        LIES[lie.__name__] = Told(lie, finder, **more)
        return lie

    return listed


def swapped(values: list[Any], same: Callable[[int, int], bool] = lambda a, b: True) -> None:
    """Swaps two different values of a column, at rows that are alike otherwise."""
    first = values[0]
    other = next(i for i, v in enumerate(values) if v != first and same(0, i))
    values[0], values[other] = values[other], values[0]


# --- the verdict ----------------------------------------------------------------------------------


def cleaned(report: dict[str, Any]) -> None:
    report["required_failed"] = []
    for row in report["checks"]:
        row["status"] = "PASS"


@told("posture", failing=True)
def failed_checks_become_passed(f: Forger) -> None:
    f.edit("s5_validation_report_6A.json", cleaned)
    f.seal()


@told("laws", failing=True)
def a_failed_run_becomes_a_passed_one(f: Forger) -> None:
    f.edit("s5_validation_report_6A.json", cleaned)
    f.edit("realism_gate_6A.json", lambda board: board.update(grade="B"))
    f.seal(passed=True)


@told("gates", failing=True)
def a_failed_gateboard_gets_grade_b(f: Forger) -> None:
    f.edit("realism_gate_6A.json", lambda board: board.update(grade="B"))
    f.seal()


@told("laws", failing=True)
def a_failed_run_gets_a_flag(f: Forger) -> None:
    f.seal(passed=True)


@told("gates")
def a_passed_run_loses_its_flag(f: Forger) -> None:
    f.seal(passed=False)


@told("posture")
def a_failing_check_is_invented(f: Forger) -> None:
    f.edit("s5_validation_report_6A.json", lambda r: r["required_failed"].append("illegal"))


@told("posture")
def a_check_states_another_observation(f: Forger) -> None:
    f.edit("s5_validation_report_6A.json", lambda r: r["checks"][3].update(observed=17.0))


@told("posture")
def a_check_states_another_bound(f: Forger) -> None:
    f.edit("s5_validation_report_6A.json", lambda r: r["checks"][8].update(bound="<= 999"))


@told("posture")
def a_required_check_becomes_advisory(f: Forger) -> None:
    f.edit("s5_validation_report_6A.json", lambda r: r["checks"][0].update(severity="ADVISORY"))


@told("posture")
def a_check_is_left_out(f: Forger) -> None:
    f.edit("s5_validation_report_6A.json", lambda r: r["checks"].pop())


@told("posture")
def a_check_is_stated_twice(f: Forger) -> None:
    f.edit("s5_validation_report_6A.json", lambda r: r["checks"].append(r["checks"][0]))


@told("posture")
def an_issue_is_invented(f: Forger) -> None:
    path = f.path("s5_issue_table_6A.parquet")
    table = pq.read_table(path)
    row = {n: ["x" if pa.types.is_string(table.schema.field(n).type) else 1.0]
           for n in table.column_names}  # fmt: skip
    path.unlink()
    pq.write_table(pa.table(row, schema=table.schema), path)


@told("posture")
def a_diagnostic_is_beautified(f: Forger) -> None:
    f.edit("s5_propagation_diagnostics_6A.json",
           lambda d: d["account"].update(realised_odds_ratio=2.8))  # fmt: skip


@told("gates")
def a_metric_has_another_value(f: Forger) -> None:
    f.edit("realism_gate_6A.json", lambda b: b["tests"][2].update(value=0.5))


@told("gates")
def a_threshold_is_moved(f: Forger) -> None:
    f.edit("realism_gate_6A.json", lambda b: b["tests"][2].update(threshold_B=99.0))


@told("gates")
def an_interval_is_narrowed(f: Forger) -> None:
    row = next(i for i, r in enumerate(f.read("realism_gate_6A.json")["tests"]) if r["ci_low"])
    f.edit("realism_gate_6A.json", lambda b: b["tests"][row].update(ci_low=2.5))


@told("gates")
def a_guard_is_turned(f: Forger) -> None:
    f.edit("realism_gate_6A.json", lambda b: b["guards"][0].update(value=0.0, holds=True))


@told("gates")
def a_count_of_the_gates_is_changed(f: Forger) -> None:
    f.edit("realism_gate_6A.json", lambda b: b["measures"].update({"accounts_per_party": 9.0}))


@told("gates")
def a_gate_is_left_out(f: Forger) -> None:
    f.edit("realism_gate_6A.json", lambda b: b["tests"].pop())


# --- documents of S0, plans, counters -------------------------------------------------------------


@told("identity")
def another_upstream_is_sealed(f: Forger) -> None:
    f.edit("sealed_inputs_6A.json", lambda d: d["rows"][0].update(sha256_hex="0" * 64))


@told("identity")
def another_upstream_is_sealed_with_its_digest(f: Forger) -> None:
    def change(document: dict[str, Any]) -> None:
        document["rows"][0]["sha256_hex"] = "0" * 64
        rows = sorted([r["manifest_key"], r["sha256_hex"]] for r in document["rows"]
                      if r["role"] == "upstream")  # fmt: skip
        import hashlib

        document["sealed_inputs_digest"] = hashlib.sha256(canonical(rows)).hexdigest()

    f.edit("sealed_inputs_6A.json", change)


@told("deep")
def another_policy_file_is_sealed(f: Forger) -> None:
    f.edit("sealed_inputs_6A.json", lambda d: d["rows"][-1].update(sha256_hex="0" * 64))


@told("identity")
def the_gate_receipt_names_an_overlay(f: Forger) -> None:
    f.edit("s0_gate_receipt_6A.json", lambda d: d["policy_pack"].update(overlays=["p6_3_bplus"]))


@told("identity")
def the_gate_receipt_counts_other_files(f: Forger) -> None:
    f.edit("s0_gate_receipt_6A.json", lambda d: d["policy_pack"].update(files=3))


@told("posture")
def the_gate_receipt_names_another_bundle(f: Forger) -> None:
    f.edit("s0_gate_receipt_6A.json", lambda d: d["segments"][0].update(bundle_digest="0" * 64))


@told("identity")
def a_figure_of_the_sealed_policy_is_moved(f: Forger) -> None:
    f.edit("resolved_policy_6A.json",
           lambda d: d["pack"]["population_priors"].update(active_share=0.31))  # fmt: skip


@told("deep")
def an_integer_plan_is_changed(f: Forger) -> None:
    def change(document: dict[str, Any]) -> None:
        cells = document["s1_parties"]["cells"]
        country = cells[min(cells)]
        country[min(country)] += 1

    f.edit("integer_plans_6A.json", change)


@told("deep")
def a_counter_of_caps_is_changed(f: Forger) -> None:
    def change(document: dict[str, Any]) -> None:
        dropped = document["dropped_by_product"]
        dropped[min(dropped)] += 1

    f.edit("s2_kmax_counters_6A.json", change)


@told("deep")
def a_document_has_other_white_space(f: Forger) -> None:
    f.write("integer_plans_6A.json", canonical(f.read("integer_plans_6A.json")))


@told("posture")
def a_document_has_a_key_twice(f: Forger) -> None:
    text = f.path("s5_validation_report_6A.json").read_bytes()
    f.write("s5_validation_report_6A.json", b'{"required_failed": [],' + text[1:])


@told("gates")
def a_document_holds_nan(f: Forger) -> None:
    text = f.path("realism_gate_6A.json").read_text("utf-8")
    f.write("realism_gate_6A.json", text.replace('"value": ', '"value": NaN, "was": ', 1).encode())
    f.index_outside()


# --- randomness -----------------------------------------------------------------------------------


@told("deep")
def events_of_two_cells_are_exchanged(f: Forger) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[0]["cell"], rows[1]["cell"] = rows[1]["cell"], rows[0]["cell"]

    f.edit_lines("events", change)


@told("deep")
def counters_of_an_event_are_moved_by_whole_blocks(f: Forger) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        for end in ("counter_before", "counter_after"):
            rows[0][end] = f"{int(rows[0][end], 16) + 4096:016x}"

    f.edit_lines("events", change)


@told("posture")
def counters_of_s5_are_moved(f: Forger) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        row = next(r for r in rows if r["stream"] == "s5/party/role")
        for end in ("counter_before", "counter_after"):
            row[end] = f"{int(row[end], 16) + 4096:016x}"

    f.edit_lines("events", change)


@told("randomness")
def a_stream_drew_less(f: Forger) -> None:
    f.edit_lines("trace", lambda rows: rows[0].update(draws=rows[0]["draws"] - 2))


@told("randomness")
def a_key_is_another_seeds(f: Forger) -> None:
    f.edit_lines("audit", lambda rows: rows[0]["key_sha256"].update(
        {min(rows[0]["key_sha256"]): "0" * 64}))  # fmt: skip


@told("randomness")
def a_stream_of_no_law_is_added(f: Forger) -> None:
    f.edit_lines("trace", lambda rows: rows.append(rows[-1] | {"stream": "s9/nothing"}))


# --- tables ---------------------------------------------------------------------------------------


@told("deep")
def two_instruments_exchange_their_schemes(f: Forger) -> None:
    kinds = f.table("s3_instrument_base_6A")["instrument_type"].to_pylist()
    at: list[int] = []

    def swap(values: list[str]) -> None:
        if not at:
            a = next(
                i
                for i in range(len(values))
                if any(kinds[j] == kinds[i] and values[j] != values[i] for j in range(i, i + 200))
            )
            b = next(j for j in range(a, a + 200)
                     if kinds[j] == kinds[a] and values[j] != values[a])  # fmt: skip
            at.extend((a, b))
        values[at[0]], values[at[1]] = values[at[1]], values[at[0]]

    for name in ("s3_instrument_base_6A", "s3_account_instrument_links_6A"):
        f.change(name, "scheme", swap)


@told("deep")
def two_devices_exchange_their_browsers(f: Forger) -> None:
    system = f.table("s4_device_base_6A")["os_family"].to_pylist()
    f.change("s4_device_base_6A", "ua_family",
             lambda values: swapped(values, lambda a, b: system[a] == system[b]))  # fmt: skip


@told("deep")
def two_endpoints_exchange_their_versions(f: Forger) -> None:
    f.change("s4_ip_base_6A", "ip_version", swapped)


@told("deep")
def a_figure_of_the_network_summary_is_changed(f: Forger) -> None:
    def change(values: list[float]) -> None:
        values[0] += 1

    f.change("s4_network_summary_6A", "value", change)


@told("posture")
def two_parties_exchange_their_roles(f: Forger) -> None:
    party = f.table("s1_party_base_6A")
    kind = list(zip(*(party[c].to_pylist() for c in ("party_type", "segment_id", "region_id")),
                    f.table("s5_party_fraud_roles_6A")["risk_tier"].to_pylist(),
                    strict=True))  # fmt: skip
    families = f.table("s5_party_fraud_roles_6A")["canonical_role_family"].to_pylist()
    risky = next(i for i, v in enumerate(families) if v != "CLEAN")
    clean = next(i for i, v in enumerate(families) if v == "CLEAN" and kind[i] == kind[risky])
    for column in ("raw_role", "canonical_role_family"):

        def swap(values: list[str]) -> None:
            values[risky], values[clean] = values[clean], values[risky]

        f.change("s5_party_fraud_roles_6A", column, swap)
    f.judge()


@told("posture")
def two_merchants_exchange_their_tiers(f: Forger) -> None:
    f.change("s5_merchant_fraud_roles_6A", "risk_tier", swapped)
    f.judge()


@told("laws")
def an_account_goes_to_nobody(f: Forger) -> None:
    def change(values: list[int]) -> None:
        values[-1] = 2**31

    f.change("s2_account_base_6A", "owner_party_id", change)


@told("laws")
def an_account_is_dropped(f: Forger) -> None:
    f.put("s2_account_base_6A", f.table("s2_account_base_6A").slice(1))


@told("laws")
def a_holding_is_raised(f: Forger) -> None:
    def change(values: list[int]) -> None:
        values[0] += 1

    f.change("s2_party_product_holdings_6A", "account_count", change)


@told("laws")
def a_party_becomes_another_country(f: Forger) -> None:
    f.change("s1_party_base_6A", "country_iso", swapped)


@told("tables")
def a_code_is_invented(f: Forger) -> None:
    def change(values: list[str]) -> None:
        values[0] = "NO_SUCH_ROLE"

    f.change("s5_party_fraud_roles_6A", "raw_role", change)


@told("laws")
def a_country_is_invented(f: Forger) -> None:
    def change(values: list[str]) -> None:
        values[:] = ["ZZ" if v == values[0] else v for v in values]

    for name, column in COUNTRY_COLUMNS:
        f.change(name, column, change)


COUNTRY_COLUMNS = (
    ("s1_party_base_6A", "country_iso"), ("s1_party_summary_6A", "country_iso"),
    ("s2_account_base_6A", "country_iso"), ("s2_account_summary_6A", "country_iso"),
    ("s4_device_base_6A", "home_country_iso"), ("s4_ip_base_6A", "country_iso"),
)  # fmt: skip


@told("laws")
def a_currency_is_invented(f: Forger) -> None:
    f.change("s2_account_base_6A", "currency", lambda values: values.__setitem__(0, "=1+1"))


@told("laws")
def a_metric_is_invented(f: Forger) -> None:
    f.change("s4_network_summary_6A", "metric_id", lambda values: values.__setitem__(0, "fraud"))


@told("tables")
def a_row_has_another_seed(f: Forger) -> None:
    f.change("s2_account_base_6A", "seed", lambda values: values.__setitem__(5, 8))


@told("tables")
def a_row_has_another_fingerprint(f: Forger) -> None:
    f.change("s1_party_base_6A", "manifest_fingerprint",
             lambda values: values.__setitem__(0, "0" * 64))  # fmt: skip


@told("tables")
def a_column_is_added(f: Forger) -> None:
    table = f.table("s1_party_base_6A")
    (part,) = f.parts("s1_party_base_6A")
    part.unlink()
    pq.write_table(table.append_column("fraud", pa.array([0] * table.num_rows)), part)


@told("tables")
def a_column_has_another_type(f: Forger) -> None:
    table = f.table("s1_party_base_6A")
    at = table.column_names.index("party_id")
    f.put("s1_party_base_6A",
          table.set_column(at, "party_id", table["party_id"].cast(pa.int32())))  # fmt: skip


@told("identity")
def a_dataset_has_a_stray_part(f: Forger) -> None:
    (part,) = f.parts("s1_party_base_6A")
    (part.parent / "part-00007.parquet").write_bytes(part.read_bytes())


# --- footers and files of tables ------------------------------------------------------------------


def rewritten(f: Forger, name: str, **options: Any) -> Path:
    f.put(name, f.table(name), **options)
    return f.parts(name)[0]


@told("tables")
def a_footer_hides_the_mules(f: Forger) -> None:
    """`WHERE raw_role = 'MULE'` finds nothing: the file says that no role is beyond CLEAN."""
    path = rewritten(f, "s5_party_fraud_roles_6A")
    group = pq.read_metadata(path).row_group(0)
    chunk = next(group.column(i) for i in range(group.num_columns)
                 if group.column(i).path_in_schema == "raw_role")  # fmt: skip
    most = chunk.statistics.max.encode()
    patch_footer(path, most, (b"CLEAN" + b"_" * len(most))[: len(most)])
    rows = pq.read_table(path, filters=[("raw_role", "=", "MULE")], partitioning=None)
    assert rows.num_rows == 0, "the lie deceives readers"


@told("tables")
def a_footer_lies_about_ids(f: Forger) -> None:
    path = rewritten(f, "s2_account_base_6A")
    n = f.table("s2_account_base_6A").num_rows
    patch_footer(path, n.to_bytes(8, "little"), (n - 9).to_bytes(8, "little"))


@told("tables")
def a_file_carries_metadata(f: Forger) -> None:
    table = f.table("s1_party_base_6A")
    (part,) = f.parts("s1_party_base_6A")
    part.unlink()
    with pq.ParquetWriter(part, table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"pandas": "{}"})


@told("tables")
def a_file_has_two_row_groups(f: Forger) -> None:
    rewritten(f, "s1_party_base_6A", row_group_size=1_000)


@told("tables")
def a_file_has_a_page_index(f: Forger) -> None:
    rewritten(f, "s1_party_base_6A", write_page_index=True)


@told("tables")
def a_file_has_bytes_of_no_column(f: Forger) -> None:
    path = rewritten(f, "s1_party_base_6A")
    data = path.read_bytes()
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    f.write(path.relative_to(f.root).as_posix(), data[:start] + b"hidden" * 100 + data[start:])


@told("deep")
def a_table_is_encoded_otherwise(f: Forger) -> None:
    rewritten(f, "s1_party_base_6A", compression="snappy", write_statistics=False)


# --- files outside the seal -----------------------------------------------------------------------


@told("seal", seals=False)
def the_receipt_denies_the_flag(f: Forger) -> None:
    f.edit("run_receipt.json", lambda r: r.update(passed=not r["passed"]))
    f.attest()
    f.index_outside()


def receipt_says(**fields: object) -> Lie:
    def lie(f: Forger) -> None:
        f.edit("run_receipt.json", lambda r: r.update(fields))
        f.report()
        f.attest()
        f.index_outside()

    return lie


LIES |= {
    "the_receipt_has_another_grade": Told(receipt_says(grade="A"), "gates", seals=False),
    "the_receipt_has_another_posture": Told(
        receipt_says(posture="baseline_replay"), "identity", seals=False
    ),
    "the_receipt_has_another_seed": Told(receipt_says(seed=8), "identity", seals=False),
    "the_receipt_names_an_overlay": Told(
        receipt_says(overlays=["p6_3_bplus"]), "identity", seals=False
    ),
    "the_receipt_states_a_rebaseline": Told(
        receipt_says(rebaseline={"reason": "x", "authority": "y", "bounds": []}),
        "identity",
        seals=False,
    ),
    "the_receipt_has_another_scale": Told(receipt_says(scale=0.2), "deep", seals=False),
    "the_receipt_has_another_profile": Told(receipt_says(profile="x"), "posture", seals=False),
    "the_receipt_has_no_versions": Told(receipt_says(versions={}), "identity", seals=False),
    "the_receipt_is_a_list": Told(
        lambda f: (f.write("run_receipt.json", b"[]"), f.index_outside()), "seal", seals=False
    ),
}


@told("outside", seals=False)
def the_report_is_another_page(f: Forger) -> None:
    f.write("reports/report.html", b"<!doctype html><h1>B+</h1>")
    f.index_outside()


@told("outside", seals=False)
def a_number_of_the_report_is_changed(f: Forger) -> None:
    document = f.read("reports/report.json")
    document["figures"]["countries"][0]["parties"] = 1
    f.write("reports/report.json", canonical(document) + b"\n")
    f.index_outside()


@told("outside", seals=False)
def the_report_shows_a_certificate_of_nothing(f: Forger) -> None:
    document = f.read("reports/report.json")
    document["certificate"] = {"seeds": "everything"}
    f.write("reports/report.json", canonical(document) + b"\n")
    f.index_outside()


@told("outside", seals=False)
def the_script_says_yes(f: Forger) -> None:
    f.write("reports/verify.py", b"print('all of it holds')\n")
    f.attest()
    f.index_outside()


@told("identity", seals=False)
def the_states_had_other_inputs(f: Forger) -> None:
    f.edit("state_inputs_6A.json", lambda d: d["states"]["S3"].update(seed="8"))
    f.index_outside()


@told("seal", seals=False)
def the_run_index_lists_a_file_that_is_not_there(f: Forger) -> None:
    document = f.read("run_index.json")
    document["members"].append({"path": "reports/x.json", "bytes": 1, "sha256_hex": "0" * 64})
    f.write("run_index.json", canonical(document) + b"\n")


@told("attestation", seals=False)
def the_statement_names_another_grade(f: Forger) -> None:
    f.attest(lambda s: s["predicate"].update(grade="A"))
    f.index_outside()


@told("attestation", seals=False)
def the_statement_leaves_a_file_out(f: Forger) -> None:
    f.attest(lambda s: s["subject"].pop())
    f.index_outside()


@told("attestation", seals=False)
def the_statement_claims_to_cover_everything(f: Forger) -> None:
    f.attest(lambda s: s["predicate"].update(not_covered=[]))
    f.index_outside()


# --- folders made to harm -------------------------------------------------------------------------


def outside_file(f: Forger) -> Path:
    path = f.root.parent / "outside.txt"
    path.write_text("mine")
    return path


@told("seal", seals=False)
def a_report_is_a_link_out(f: Forger) -> None:
    page = f.root / "reports/report.html"
    page.unlink()
    page.symlink_to(outside_file(f))


@told("seal", seals=False)
def the_reports_are_a_link_out(f: Forger) -> None:
    elsewhere = f.root.parent / "elsewhere"
    (f.root / "reports").rename(elsewhere)
    (f.root / "reports").symlink_to(elsewhere)


@told("seal", seals=False)
def a_part_is_a_link_out(f: Forger) -> None:
    (part,) = f.parts("s1_party_base_6A")
    elsewhere = f.root.parent / "part"
    elsewhere.write_bytes(part.read_bytes())
    part.unlink()
    part.symlink_to(elsewhere)


@told("seal", seals=False)
def a_document_is_a_pipe(f: Forger) -> None:
    path = f.path("integer_plans_6A.json")
    path.unlink()
    os.mkfifo(path)


@told("seal", seals=False)
def the_receipt_is_a_pipe(f: Forger) -> None:
    path = f.root / "run_receipt.json"
    path.unlink()
    os.mkfifo(path)


@told("seal", seals=False)
def a_report_is_a_pipe(f: Forger) -> None:
    os.mkfifo(f.root / "reports/more.json")


@told("seal", seals=False)
def a_socket_lies_in_the_run(f: Forger) -> None:
    here = os.getcwd()
    os.chdir(f.root / "logs")
    try:
        with socket.socket(socket.AF_UNIX) as end:
            end.bind("x.sock")
    finally:
        os.chdir(here)


def sparse(path: Path) -> None:
    path.unlink(missing_ok=True)
    with path.open("wb") as handle:
        handle.truncate(12 * GIB)


@told("seal", seals=False)
def a_part_has_twelve_gibibytes(f: Forger) -> None:
    sparse(f.parts("s1_party_base_6A")[0])


@told("seal", seals=False)
def the_index_admits_twelve_gibibytes(f: Forger) -> None:
    (part,) = f.parts("s1_party_base_6A")
    sparse(part)
    name = part.relative_to(f.root).as_posix()
    index = f.read("validation_bundle_index_6A.json")
    for row in index["members"]:
        if row["path"] == name:
            row["bytes"] = 12 * GIB
    f.write("validation_bundle_index_6A.json", canonical(index) + b"\n")


@told("seal", seals=False)
def a_report_has_twelve_gibibytes(f: Forger) -> None:
    sparse(f.root / "reports/report.html")


@told("seal", seals=False)
def the_bundle_index_is_deep(f: Forger) -> None:
    f.write("validation_bundle_index_6A.json", b"[" * 100_000)


@told("posture")
def a_document_is_deep(f: Forger) -> None:
    f.write("s5_validation_report_6A.json", b'{"checks": ' + b"[" * 5_000 + b"]" * 5_000 + b"}")


@told("gates")
def a_document_is_huge(f: Forger) -> None:
    f.edit("realism_gate_6A.json", lambda b: b.update(more=["x" * 100] * 300_000))


@told("tables")
def a_part_is_a_bomb(f: Forger) -> None:
    """Forty million equal rows in a few kilobytes."""
    table = f.table("s1_party_summary_6A").slice(0, 1)
    piece = table.take(pa.array(np.zeros(1_000_000, np.int32)))
    (part,) = f.parts("s1_party_summary_6A")
    part.unlink()
    with pq.ParquetWriter(part, piece.schema, compression="zstd") as writer:
        for _ in range(40):
            writer.write_table(piece)


@told("tables")
def a_part_is_no_parquet(f: Forger) -> None:
    (part,) = f.parts("s1_party_summary_6A")
    part.unlink()
    part.write_bytes(b"PAR1" + b"\xff" * 500 + (400).to_bytes(4, "little") + b"PAR1")


@told("seal")
def a_stray_file_lies_below_6b(f: Forger) -> None:
    folder = f.root / "data/layer3/6B"
    folder.mkdir(parents=True)
    (folder / "labels.parquet").write_bytes(b"PAR1")


@told("seal", seals=False)
def a_hidden_file_lies_in_the_run(f: Forger) -> None:
    (f.root / ".hidden").write_text("x")


@told("seal", seals=False)
def an_unfinished_report_was_left(f: Forger) -> None:
    (f.root / "reports/report.html-0123abcd.part").write_text("x")


@told("seal", seals=False)
def a_name_drives_the_terminal(f: Forger) -> None:
    (f.root / "reports/a\x1b[2Jb").write_text("x")


# --- the tests ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of about 40 000 parties that passes."""
    root = tmp_path_factory.mktemp("forged") / "runs"
    outcome = pipeline.run(RunRequest(profile="demo", scale=0.4, seed=7, runs_root=root))
    assert outcome.passed
    return outcome.place.root


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that fails its gates."""
    root = tmp_path_factory.mktemp("forged") / "runs"
    request = RunRequest(profile="demo", scale=0.4, runs_root=root,
                         overlays=("published_baseline",))  # fmt: skip
    outcome = pipeline.run(request)
    assert not outcome.passed
    return outcome.place.root


def forged(name: str, sound: Path, failed: Path, folder: Path) -> Path:
    """A copy of a run in which one lie is told."""
    lie = LIES[name]
    copy = tampering.copied(failed if lie.failing else sound, folder / "forged")
    forger = Forger(copy)
    lie.lie(forger)
    if lie.seals and not lie.failing:
        forger.seal()
    return copy


def found_by(document: dict[str, Any]) -> str:
    return next((str(c["group"]) for c in document["checks"] if not c["holds"]), "nothing")


FAST = {
    "a_failed_run_becomes_a_passed_one", "failed_checks_become_passed", "a_threshold_is_moved",
    "another_upstream_is_sealed_with_its_digest", "an_integer_plan_is_changed",
    "counters_of_s5_are_moved", "counters_of_an_event_are_moved_by_whole_blocks",
    "two_instruments_exchange_their_schemes", "two_parties_exchange_their_roles",
    "a_currency_is_invented", "a_footer_hides_the_mules", "a_footer_lies_about_ids",
    "a_file_has_bytes_of_no_column", "a_table_is_encoded_otherwise", "a_part_is_a_bomb",
    "the_receipt_has_another_scale", "the_report_is_another_page", "the_script_says_yes",
    "the_statement_names_another_grade", "the_reports_are_a_link_out", "a_document_is_a_pipe",
    "the_index_admits_twelve_gibibytes", "a_stray_file_lies_below_6b", "a_document_is_deep",
}  # fmt: skip
"""Lies that the fast tests tell, of every kind; the others are told under the marker `full`."""


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.full) for n in sorted(LIES)]
)
def test_a_lie_is_found(
    fraudworld: Call, sound: Path, failed: Path, tmp_path: Path, name: str
) -> None:
    copy, finder = forged(name, sound, failed, tmp_path), LIES[name].finder
    plain = fraudworld("verify", copy, "--json")
    found = found_by(json.loads(plain.out))
    if finder != "deep":
        assert (plain.status, found) == (1, finder), plain.out[-600:]
        return
    assert (plain.status, found) == (0, "nothing"), plain.out[-600:]
    deep = fraudworld("verify", copy, "--deep", "--json")
    assert (deep.status, found_by(json.loads(deep.out))) == (1, "deep"), deep.out[-600:]


def test_there_are_sixty_lies_of_every_kind() -> None:
    finders = {told.finder for told in LIES.values()}
    assert len(LIES) >= 60
    assert set(LIES) >= FAST
    assert {LIES[name].finder for name in FAST} >= finders - {"randomness"}
    assert finders == {"seal", "identity", "tables", "laws", "randomness", "posture", "gates",
                       "outside", "attestation", "deep"}  # fmt: skip


def test_the_kit_seals_as_the_program_does(fraudworld: Call, sound: Path, tmp_path: Path) -> None:
    """A run sealed again by the kit, without a lie, raises no alarm."""
    copy = tampering.copied(sound, tmp_path / "copy")
    Forger(copy).seal()
    result = fraudworld("verify", copy, "--deep")
    assert result.status == 0, result.out


HARMFUL = ("a_document_is_a_pipe", "the_index_admits_twelve_gibibytes", "a_document_is_huge",
           "a_part_is_a_bomb")  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize("name", HARMFUL)
def test_a_folder_made_to_harm_neither_hangs_nor_fills_the_memory(
    sound: Path, failed: Path, tmp_path: Path, name: str
) -> None:
    """`faults/test_folders.py` gives more such folders to every command."""
    copy = forged(name, sound, failed, tmp_path)
    (status,), peak, said = program(("verify", copy), seconds=300)
    assert (status, peak < LIMITED) == (1, True), said


def test_a_statement_of_a_forger_is_not_signed_by_the_key(
    fraudworld: Call, sound: Path, tmp_path: Path
) -> None:
    """An honest signature, then a run forged within its laws: only the key tells."""
    from faults.test_attestation import keys
    from fraudworld.verification import attested

    private, public = keys(tmp_path, "mine")
    copy = tampering.copied(sound, tmp_path / "copy")
    attested(copy, private)
    assert fraudworld("verify", copy, "--key", public).status == 0
    forger = Forger(copy)
    two_endpoints_exchange_their_versions(forger)
    forger.seal()
    assert fraudworld("verify", copy).status == 0, "only --deep or the key finds it"
    result = fraudworld("verify", copy, "--key", public, "--json")
    assert (result.status, found_by(json.loads(result.out))) == (1, "attestation")


def test_pretty_is_the_form_of_documents(sound: Path) -> None:
    path = sound / LAYER / "validation/integer_plans_6A.json"
    assert pretty(json.loads(path.read_bytes())) == path.read_bytes()
