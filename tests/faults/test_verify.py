"""`fraudworld verify`: clean runs pass in any folder, every tampering is detected and named."""

from __future__ import annotations

import ast
import json
import random
import shutil
import subprocess
import sys

import pytest

from fraudworld.inputs import embedded
from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from fraudworld.verification import regenerated, verify, verify_deeply
from support import interpreters, tampering
from support.forger import Forger

FAST, FULL = 60, 2_000


def test_a_clean_run_verifies_on_a_copy_that_cannot_be_written(demo_world, tmp_path):
    copy = tampering.copied(demo_world, tmp_path / "copy")
    for path in [copy, *copy.rglob("*")]:
        if path.is_dir():
            path.chmod(0o555)
    verdict = verify(copy)
    for path in [copy, *copy.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
    assert verdict.holds, verdict.first_failure
    assert {c.group for c in verdict.checks} == {
        "seal", "identity", "tables", "laws", "randomness", "inputs", "posture", "gates",
        "outside", "attestation",
    }  # fmt: skip
    assert len(verdict.checks) > 250
    assert any("created_at" in line for line in verdict.claimed)


def test_a_run_that_failed_its_gates_verifies(tmp_path):
    outcome = pipeline.run(
        RunRequest(profile="demo", runs_root=tmp_path, overlays=("published_baseline",))
    )
    assert not outcome.passed
    verdict = verify(outcome.place.root)
    assert verdict.holds, verdict.first_failure
    assert all(c.holds for c in regenerated(outcome.place.root))
    result = standalone(outcome.place.root)
    assert result.returncode == 0, result.stdout


def test_deep_verification_regenerates_the_run(demo_world):
    checks = list(regenerated(demo_world))
    assert all(c.holds for c in checks)
    compared = {c.name.removesuffix(": bytes") for c in checks if c.name.endswith(": bytes")}
    published = {
        path.relative_to(demo_world).as_posix()
        for folder in ("data", "logs")
        for path in (demo_world / folder).rglob("*")
        if path.is_file()
    }
    assert compared == published


def test_a_run_of_an_upstream_of_its_own(tmp_path):
    """Without the upstream, roles of merchants are a claim; with it they are checked."""
    upstream = tmp_path / "upstream"
    embedded.build(upstream, volume_scale=0.012)
    request = RunRequest(
        profile="demo", scale=0.4, seed=7, runs_root=tmp_path / "runs", upstream_dir=upstream
    )
    run = pipeline.run(request).place.root
    told = verify(run)
    assert told.holds, told.first_failure
    assert any("roles of merchants" in line for line in told.claimed)
    known = verify_deeply(run, upstream=upstream)
    assert known.holds, known.first_failure
    assert not any("roles of merchants" in line for line in known.claimed)

    forger = Forger(tampering.copied(run, tmp_path / "forged"))

    def exchange(tiers):
        other = next(i for i, tier in enumerate(tiers) if tier != tiers[0])
        tiers[0], tiers[other] = tiers[other], tiers[0]

    forger.change("s5_merchant_fraud_roles_6A", "risk_tier", exchange)
    forger.judge()
    forger.seal()
    assert verify(forger.root).holds, "this is what the claim is about"
    failure = verify(forger.root, upstream=upstream).first_failure
    assert failure is not None
    assert failure.name == "s5_merchant_fraud_roles_6A made again"
    forger.edit("s5_validation_report_6A.json", lambda r: r["checks"][0].update(observed=9.0))
    forger.seal()
    failure = verify(forger.root).first_failure
    assert failure is not None, "everything else is checked without the upstream, too"
    assert failure.group == "posture"


OVERLAYS = (
    (), ("published_baseline",), ("delta_a_kmax",), ("delta_b_ip",), ("delta_c_propagation",),
    ("delta_d_mapping",), ("p6_3_bplus",), ("published_baseline", "delta_a_kmax"),
)  # fmt: skip


def clean(number: int, root) -> RunRequest:
    """The `number`-th request of a grid over seed, overlay, scale, shard size and role."""
    return RunRequest(
        profile="demo",
        scale=(0.4, 0.6, 1.0)[number % 3],
        seed=1_000 + number,
        runs_root=root,
        overlays=OVERLAYS[number % len(OVERLAYS)],
        shard_parties=(50_000, 7_000, 0)[number // 2 % 3],
        workers=1 + number % 2,
        role=("none", "candidate", "witness:7")[number % 3],
    )


@pytest.mark.full
def test_fifty_clean_runs_raise_no_alarm(tmp_path):
    """By `verify` and by the script each run carries; 0 false alarms of 50."""
    grades = []
    for number in range(50):
        outcome = pipeline.run(clean(number, tmp_path))
        verdict = verify(outcome.place.root)
        assert verdict.holds, (number, verdict.first_failure)
        result = standalone(outcome.place.root)
        assert result.returncode == 0, (number, result.stdout)
        grades.append(outcome.grade)
        shutil.rmtree(outcome.place.root)
    assert len(set(grades)) > 1, "worlds that pass and worlds that fail"


def undetected(run, n: int, seed: int, tmp_path) -> list[str]:
    """Mutations out of `n` that `verify` does not detect."""
    rnd = random.Random(seed)
    missed = []
    for number in range(n):
        mutation = tampering.MUTATIONS[number % len(tampering.MUTATIONS)]
        copy = tampering.copied(run, tmp_path / "mutant")
        mutation(copy, rnd)
        verdict = verify(copy)
        if verdict.holds or verdict.first_failure is None or not verdict.first_failure.what:
            missed.append(f"{number} {mutation.__name__}")
        shutil.rmtree(copy)
    return missed


def test_tampering_is_detected(demo_world, tmp_path):
    assert undetected(demo_world, FAST, 7, tmp_path) == []


@pytest.mark.full
def test_two_thousand_tamperings_are_detected(demo_world, tmp_path):
    assert undetected(demo_world, FULL, 11, tmp_path) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_careless_forgery_fails_its_content_digest(demo_world, tmp_path, seed):
    copy = tampering.copied(demo_world, tmp_path / "forged")
    tampering.forge(copy, random.Random(seed), careful=False)
    failure = verify(copy).first_failure
    assert failure is not None
    assert failure.group == "tables"
    # A code outside the taxonomy fails in the reader, before a digest is compared.
    named = failure.what if failure.name == "readable" else failure.name
    assert named.startswith(("s1_", "s2_"))


def test_roles_that_break_no_law_are_not_those_that_s5_makes(demo_world, tmp_path):
    """All digests are consistent and no law is broken: S5, made again, has other roles."""
    copy = tampering.copied(demo_world, tmp_path / "forged")
    tampering.forge(copy, random.Random(1), careful=True)
    failure = verify(copy).first_failure
    assert failure is not None
    assert (failure.group, failure.name) == ("posture", "s5_party_fraud_roles_6A made again")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda row: row.update(entities=row["entities"] + 1), "events add up"),
        (lambda row: row.update(stream="s9/nothing"), "streams of the trace"),
    ],
)
def test_logs_that_do_not_reconcile_are_detected(demo_world, tmp_path, change, where):
    """Logs are sealed too: the test calls the check itself, without the seal."""
    from fraudworld.store.layout import RunPlace
    from fraudworld.verification.randomness import reconcile

    copy = tampering.copied(demo_world, tmp_path / "copy")
    path = RunPlace(copy).rng_logs / "trace/rng_trace_6A.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    change(rows[0])
    tampering.replace(path, "".join(json.dumps(r) + "\n" for r in rows).encode())
    broken = [c for c in reconcile(RunPlace(copy), 42) if not c.holds]
    assert broken
    assert where in broken[0].name
    assert not all(c.holds for c in reconcile(RunPlace(demo_world), 43))


def test_the_command_names_the_first_failing_check(fraudworld, demo_world, tmp_path):
    copy = tampering.copied(demo_world, tmp_path / "copy")
    assert fraudworld("verify", copy).status == 0
    part = next((copy / "data/layer3/6A/s3_instrument_base_6A").rglob("part-*.parquet"))
    tampering.replace(part, part.read_bytes()[:-1])
    result = fraudworld("verify", copy)
    assert result.status == 1
    assert "First wrong: seal" in result.out
    assert "s3_instrument_base_6A" in result.out
    document = json.loads(fraudworld("verify", copy, "--json").out)
    assert document["holds"] is False
    assert document["skipped"][0] == "identity"


def standalone(run, *, at=None) -> subprocess.CompletedProcess[str]:
    """Runs the `verify.py` of a run in a process that cannot import fraudworld."""
    script = (at or run) / "reports" / "verify.py"
    return subprocess.run(
        [sys.executable, "-I", "-c", ISOLATED, str(script), str(run)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


ISOLATED = """
import runpy, sys
sys.modules["fraudworld"] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_the_script_inside_a_run_verifies_it_without_fraudworld(demo_world):
    result = standalone(demo_world)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.endswith("all of it holds\n")
    board = json.loads((demo_world / "data/layer3/6A/validation/realism_gate_6A.json").read_text())
    metrics = {
        line.split(" = ")[0].split()[-1] for line in result.stdout.splitlines() if " = " in line
    }
    assert {"or_account", "or_device", "jsd_ip_type", "p99_devices_per_ip"} <= metrics
    assert metrics <= {row["metric_name"] for row in board["tests"]}


def test_the_script_is_written_for_python_3_9(demo_world):
    source = (demo_world / "reports" / "verify.py").read_text("utf-8")
    ast.parse(source, feature_version=(3, 9))
    assert "Python 3.9" in source.splitlines()[0]


@pytest.mark.full
@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13", "3.14"])
def test_the_script_runs_on_every_interpreter(demo_world, tmp_path, version):
    interpreter = interpreters.find(version)
    if interpreter is None:
        pytest.skip(f"no Python {version} here")
    python = tmp_path / "venv/bin/python"
    subprocess.run([interpreter, "-m", "venv", tmp_path / "venv"], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "duckdb"]
    if subprocess.run(install, check=False).returncode:
        pytest.skip(f"DuckDB cannot be installed for Python {version} here")
    words = [python, "-I", demo_world / "reports/verify.py", demo_world]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_script_inside_a_run_detects_a_forgery_with_a_valid_seal(demo_world, tmp_path):
    """One party dropped and sealed again: keys and references no longer agree."""
    copy = tampering.copied(demo_world, tmp_path / "forged")
    tampering.forge(copy, random.Random(3), careful=False, table="s1_party_base_6A", edit="drop")
    result = standalone(copy)
    assert result.returncode == 1
    assert "FAIL" in result.stdout
    assert "ok    flag belongs to the index" in result.stdout
