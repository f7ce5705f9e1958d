"""The command line: standard output, standard error and exit status."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fraudworld import certification
from fraudworld.cli import output as cli_output
from fraudworld.errors import InternalError, RefusedError
from fraudworld.request import SHARD_PARTIES, Progress, RunRequest, SummaryTable
from fraudworld.run import pipeline
from support.calling import CallResult

Call = Callable[..., CallResult]

TEST_ROW: dict[str, Any] = {
    "test_id": "T8_DISTRIBUTION_ALIGNMENT_JSD",
    "metric_name": "jsd_role_merchant_worst_region",
    "value": 0.01234567,
    "threshold_B": 0.08,
    "threshold_Bplus": 0.05,
    "pass_B": True,
    "pass_Bplus": True,
    "ci_low": 0.0101234,
    "ci_high": 0.0145678,
    "status": "PASS",
}
BOARD: dict[str, Any] = {
    "tests": [
        TEST_ROW,
        {**TEST_ROW, "ci_low": None, "ci_high": None, "pass_Bplus": False},
        {**TEST_ROW, "pass_B": False, "pass_Bplus": False, "status": "FAIL"},
        {**TEST_ROW, "value": None, "pass_B": False, "status": "INSUFFICIENT_EVIDENCE"},
    ],
    "guards": [
        {"guard_id": "or_ip", "holds": True, "value": 1.4, "bound": ">= 1.2"},
        {"guard_id": "leakage", "holds": False, "value": 0.81, "bound": "<= 0.75"},
    ],
    "grade": "<C",
    "routing": [{"test_id": "T8_X", "metric_name": "jsd", "owner": "S5"}],
}


def outcome(root: Path, *, passed: bool = True, reused: bool = False) -> SimpleNamespace:
    return SimpleNamespace(
        place=SimpleNamespace(root=root, layer=root / "data", validation=root / "validation"),
        run_id="0123456789abcdef0123456789abcdef",
        identity=SimpleNamespace(seed=42, parameter_hash="a" * 64, manifest_fingerprint="b" * 64),
        grade="B+" if passed else "<C",
        passed=passed,
        gateboard=BOARD,
        rows={"s1_party_base_6A": 100_000, "s5_party_fraud_roles_6A": 100_000},
        reused=reused,
        verified=not reused,
        summary=(SummaryTable("Means", ("what", "found", "policy"), (("λ", 1.25, None),), "note"),),
    )


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[RunRequest]:
    """Replaces the pipeline by one that reports two states; lists the requests it got."""
    requests: list[RunRequest] = []

    def run(request: RunRequest, progress: Callable[[Progress], None]) -> SimpleNamespace:
        requests.append(request)
        progress(Progress("S1", "plan_counts", 1, 2, 0, 0.1))
        progress(Progress("S1", "emit_party_base", 2, 2, 2_000_000, 0.5))
        progress(Progress("S2", "emit_summary", 1, 3, 0, 0.25))
        return outcome(tmp_path, passed=request.seed != 13, reused=request.seed == 7)

    monkeypatch.setattr(pipeline, "run", run, raising=False)
    return requests


def test_options_of_run_reach_the_request(fraudworld: Call, requests: list[RunRequest]) -> None:
    words = "--profile small --seed 7 --overlay a --overlay b --scale 2 --workers 1"
    result = fraudworld("run", *words.split(), "--shard-parties", 0, "--role", "witness:7")
    assert result.status == 0
    request = requests[0]
    assert (request.profile, request.seed, request.overlays) == ("small", 7, ("a", "b"))
    assert (request.scale, request.workers, request.parties_per_shard) == (2.0, 1, None)
    assert request.role == "witness:7"


def test_engine_options_reach_the_request(fraudworld: Call, requests: list[RunRequest]) -> None:
    words = "--engine dask --scheduler tcp://there:8786"
    assert fraudworld("run", *words.split()).status == 0
    assert fraudworld("run", "--memory", 1.5).status == 0
    assert fraudworld("run").status == 0
    options = [(a.engine, a.scheduler, a.memory) for a in requests]
    assert options == [
        ("dask", "tcp://there:8786", None),
        ("local", None, 1.5),
        ("local", None, None),
    ]
    assert requests[2].shard_parties == SHARD_PARTIES


def test_the_summary_of_a_run_fits_80_columns(
    fraudworld: Call, requests: list[RunRequest], tmp_path: Path
) -> None:
    result = fraudworld("run")
    assert result.status == 0
    for expected in (
        "100 000",
        "s1_party_base_6A",
        "λ",
        "grade B+",
        str(tmp_path),
        "fraudworld gates",
    ):
        assert expected in result.out
    assert "1 of 2 hold\n  leakage: 0.81, must be <= 0.75" in result.out
    tables = [line for line in result.out.splitlines() if str(tmp_path) not in line]
    assert max(map(len, tables)) <= 80


def test_progress_goes_to_stderr_one_line_per_state(
    fraudworld: Call, requests: list[RunRequest]
) -> None:
    result = fraudworld("run")
    assert [line[:2] for line in result.err.splitlines()] == ["S1", "S2"]
    assert "2 000 000 rows    0.50 s    4.00 M rows/s" in result.err
    assert fraudworld("run", "--quiet").err == ""


def test_json_of_a_run_is_the_whole_of_stdout(fraudworld: Call, requests: list[RunRequest]) -> None:
    result = fraudworld("run", "--json")
    document = json.loads(result.out)
    assert document["rows"]["s1_party_base_6A"] == 100_000
    assert document["grade"] == "B+"
    assert document["gateboard"] == BOARD
    assert "S1" in result.err


def test_a_world_that_fails_is_shown_and_ends_with_1(
    fraudworld: Call, requests: list[RunRequest]
) -> None:
    result = fraudworld("run", "--seed", 13)
    assert result.status == 1
    assert "does NOT pass B" in result.out


def test_a_reused_world_is_reported(fraudworld: Call, requests: list[RunRequest]) -> None:
    assert "found again as sealed, not verified anew" in fraudworld("run", "--seed", 7).out


def test_gateboard_shows_every_verdict_as_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    cli_output.gateboard(BOARD)
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines() if line.startswith("T8 ")]
    assert [row[-1] for row in rows] == ["B+", "B", "FAIL", "UNKNOWN"]
    assert "0.0123 " in out
    assert "0.0101–0.0146" in out
    assert "T8_X jsd → S5" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (1_234_567, "1 234 567"),
        (1_234_567.4, "1 234 567"),
        (0.0123456, "0.01235"),
        (None, "—"),
        (True, "yes"),
        (0, "0"),
        ("text", "text"),
    ],
)
def test_figures_are_formatted(cell: Any, text: str) -> None:
    assert cli_output.figure(cell) == text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RefusedError("6A.S5.OUTPUT_CONFLICT", "taken", where="a/b", remedy="go elsewhere"), 3),
        (InternalError("6A.S2.BROKEN", "odd", where="a/b", remedy="tell us"), 4),
    ],
)
def test_errors_are_a_block_with_what_where_code_and_remedy(
    fraudworld: Call, monkeypatch: pytest.MonkeyPatch, error: RefusedError, status: int
) -> None:
    def run(*_: object) -> None:
        raise error

    monkeypatch.setattr(pipeline, "run", run, raising=False)
    result = fraudworld("run", "--json")
    assert result.status == status
    for expected in (error.what, error.where, error.code, error.remedy):
        assert expected in result.err
    assert json.loads(result.out) == {"error": error.as_dict()}


def test_an_unexpected_exception_is_an_internal_error_without_traceback(
    fraudworld: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(pipeline, "run", run, raising=False)
    result = fraudworld("run")
    assert result.status == 4
    assert "6A.CLI.INTERNAL" in result.err
    assert "ZeroDivisionError: by zero" in result.err
    assert "Traceback" not in result.err
    assert "FRAUDWORLD_DEBUG=1" in result.err


def test_an_interrupt_ends_with_130(fraudworld: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "run", run, raising=False)
    assert fraudworld("run").status == 130


def test_policy_lint_of_the_shipped_pack_holds(fraudworld: Call) -> None:
    document = json.loads(fraudworld("policy", "lint", "--json").out)
    assert document["holds"] is True
    assert len(document["parameter_hash"]) == 64
    assert fraudworld("policy", "lint").status == 0


def test_policy_show_prints_one_key_per_line(fraudworld: Call) -> None:
    result = fraudworld("policy", "show", "validation_policy.gates.T4_linked_device_fraction")
    assert result.status == 0
    assert all(" = " in line for line in result.out.splitlines())
    key = "validation_policy.gates.T4_linked_device_fraction.B"
    assert json.loads(fraudworld("policy", "show", key, "--json").out) == {key: 0.25}


def test_policy_diff_shows_what_an_overlay_changes(fraudworld: Call) -> None:
    document = json.loads(fraudworld("policy", "diff", "published_baseline", "--json").out)
    assert document["base"] != document["other"]
    changed = {c["key"]: (c["old"], c["new"]) for c in document["changes"]}
    assert changed["posture"] == ("certifiable", "baseline_replay")
    result = fraudworld("policy", "diff", "published_baseline")
    assert f"{len(changed)} figure(s) differ" in result.out


def test_upstream_build_states_its_files_as_json(fraudworld: Call, tmp_path: Path) -> None:
    folder = tmp_path / "up"
    result = fraudworld("upstream", "build", folder, "--profile", "demo", "--scale", 0.1, "--json")
    document = json.loads(result.out)
    assert result.status == 0
    assert (document["path"], document["profile"], document["scale"]) == (str(folder), "demo", 0.1)
    checked = json.loads(fraudworld("upstream", "check", folder, "--json").out)
    assert document["segments"] == checked["segments"]
    named = {folder / name: stated for name, stated in document["files"].items()}
    others = {p.name for p in folder.rglob("*") if p.is_file() and p not in named}
    assert others == {"_passed.flag", "index.json"}
    for path, stated in named.items():
        data = path.read_bytes()
        assert stated == {"bytes": len(data), "sha256_hex": hashlib.sha256(data).hexdigest()}
    again = fraudworld("upstream", "build", folder, "--profile", "demo", "--json")
    assert again.status == 2
    assert json.loads(again.out)["error"]["where"] == str(folder)


def test_upstream_is_built_and_checked(fraudworld: Call, tmp_path: Path) -> None:
    folder = tmp_path / "up"
    assert fraudworld("upstream", "build", folder, "--profile", "demo").status == 0
    document = json.loads(fraudworld("upstream", "check", folder, "--json").out)
    assert list(document["segments"]) == ["1A", "1B", "2A", "2B", "3A", "3B", "5A", "5B"]
    assert {f["what"]: f["here"] for f in document["shape"]}["merchants"] == 1_238
    result = fraudworld("upstream", "check", folder)
    assert max(map(len, result.out.splitlines())) <= 80
    (folder / "3B" / "_passed.flag").unlink()
    refused = fraudworld("upstream", "check", folder)
    assert refused.status == 3
    assert "6A.S0.UPSTREAM_HASHGATE_MISSING" in refused.err


def test_runs_list_of_an_empty_root_names_the_command_to_run(
    fraudworld: Call, tmp_path: Path
) -> None:
    result = fraudworld("runs", "list", "--runs-root", tmp_path)
    assert result.status == 0
    assert "fraudworld run" in result.out
    assert json.loads(fraudworld("runs", "list", "--runs-root", tmp_path, "--json").out) == []


def test_help_imports_no_heavy_library() -> None:
    program = (
        "import sys; import fraudworld.cli.app;"
        "print([m for m in ('numpy', 'numba', 'pyarrow', 'duckdb', 'pydantic', 'yaml')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": "src"},
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.strip() == "[]"


def test_a_certificate_names_seeds_spread_and_decision(
    fraudworld: Call, requests: list[RunRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    def certify(
        request: RunRequest,
        seeds: tuple[int, ...],
        sections: Callable[[str], Any],
        **options: object,
    ) -> dict[str, Any]:
        assert callable(options.pop("believe")), "runs that are found get verified"
        assert options == {"downstream": False, "keep_all": True}
        runs = {}
        for seed in seeds:
            place = pipeline.run(replace(request, seed=seed), sections(f"seed {seed}")).place
            runs[seed] = place.root.name
        return {
            "decision": "HOLD_REMEDIATE",
            "statement": "HOLD_REMEDIATE under the bounds of contract 6A.2",
            "eligible_grade": "<C",
            "runs": {str(s): run for s, run in runs.items()},
            "seeds": {str(s): {"grade": "B", "guards_broken": ["or_ip"]} for s in runs},
            "guards": {
                **{
                    str(s): [{"guard_id": "or_ip", "holds": False, "value": 1.1, "bound": ">= 1.2"}]
                    for s in runs
                },
                "over_seeds": [
                    {
                        "guard_id": "seed_variation_product",
                        "holds": False,
                        "value": 0.0,
                        "bound": "0.5 .. 6",
                    },
                    {
                        "guard_id": "seed_variation_device_type",
                        "holds": True,
                        "value": 2.0,
                        "bound": "0.5 .. 6",
                    },
                ],
            },
            "stability": [{"metric_name": "or_account", "value": 0.087, "status": "PASS"}],
            "fails": [
                {"test_id": "T10_X", "metric_name": "sensitivity", "seed": None, "misses": "B"}
            ],
            "copied": [],
            "routing": [
                {"test_id": "T10_X", "metric_name": "sensitivity", "owner": "cross-layer review"}
            ],
        }

    monkeypatch.setattr(certification, "certify", certify)
    result = fraudworld(
        "certify", "--seeds", "42,7,101,202", "--profile", "small", "--no-witness", "--keep-all"
    )
    assert result.status == 1
    assert [(r.seed, r.profile) for r in requests] == [(s, "small") for s in (42, 7, 101, 202)]
    assert [line for line in result.err.splitlines() if line.startswith("seed")] == [
        "seed 42", "seed 7", "seed 101", "seed 202",
    ]  # fmt: skip
    for expected in (
        "or_account",
        "0.087",
        "misses B: T10_X sensitivity, over all seeds",
        "guard broken: or_ip, must be >= 1.2: seed 42 1.1",
        "guard broken: seed_variation_product, must be 0.5 .. 6: over all seeds 0",
        "HOLD_REMEDIATE",
        "cross-layer",
    ):
        assert expected in result.out
