"""A certificate whose evidence was edited anywhere is found out; an honest one raises no alarm."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fraudworld.certification import SUMMARY, certify, leakage_report
from fraudworld.certification.chain import Judge
from fraudworld.request import RunRequest
from fraudworld.store import seal
from fraudworld.store.attestation import certificate_place, write_certificate
from fraudworld.store.bundle import sha256_file
from fraudworld.store.published import sealed_policy
from fraudworld.t10.figures import Measures
from fraudworld.t10.report import place
from fraudworld.verification import certificate, verify_certificate
from support import tampering
from support.calling import CallResult
from support.certified import write_leakage
from support.witnessed import edit_json, passing, write_t10

SEEDS = (42, 7, 101, 202)
SCRIPT = Path(seal.__file__).parent / "standalone" / "verify.py"
Call = Callable[..., CallResult]
Change = Callable[[dict[str, Any]], object]


def certified(
    root: Path,
    spoil: Callable[[Measures], Measures] = lambda m: m,
    measure: Judge = lambda seed, run: None,
) -> Path:
    """A certificate over four real worlds; T10's arms are replaced by evidence that passes.

    measure: writes the evidence of `leakage_joined`; by default it is that of the honest one.
    """

    def judge(seed: int, run: Path) -> None:
        measures = passing(seed)
        write_t10(run, sealed_policy(run), spoil(measures) if seed == 101 else measures)

    certify(RunRequest(scale=0.4, runs_root=root), SEEDS, judge=judge, measure=measure)
    return root


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def measure(seed: int, run: Path) -> None:
        leakage_report.write(run)

    return certified(tmp_path_factory.mktemp("honest"), measure=measure)


@pytest.fixture(scope="module")
def failing(honest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("failing") / "root"
    shutil.copytree(honest, root)
    return certified(root, lambda m: replace(m, account=replace(m.account, value=1.1)))


@pytest.fixture
def copy(honest: Path, tmp_path: Path) -> Path:
    return tampering.copied(honest, tmp_path / "root")


@pytest.fixture
def runs_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are taken as verified, as they are when a test edits files beside them only."""
    sound = SimpleNamespace(first_failure=None)
    monkeypatch.setattr(certificate, "verify", lambda run, **_: sound)
    monkeypatch.setattr(leakage_report, "unlike_tables", lambda *_: iter(()))


def decision(root: Path) -> str:
    return str(json.loads((root / SUMMARY).read_text())["decision"])


def script(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, root], capture_output=True, text=True)


def reseal(root: Path) -> None:
    """What a forger can do without a key: digests and attestation that fit the edited files."""

    def digests(summary: dict[str, Any]) -> None:
        for seed, names in summary["digests"].items():
            run = summary["runs"][seed]
            for name in names:
                inside = root / run / name
                names[name] = sha256_file(inside if inside.is_file() else root / name)
        for rows in (summary["tests"], summary["t10"]["rows"]):
            for row in rows:
                if "evidence" in row["details"]:
                    evidence = root / row["details"]["evidence"]
                    row["details"]["sha256_hex"] = sha256_file(evidence)

    edit_json(root / SUMMARY, digests)
    certificate_place(root / SUMMARY).unlink()
    write_certificate(root / SUMMARY, root)


def test_honest_certificates_hold(
    honest: Path, failing: Path, fraudworld: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Worlds of this size pass B on every seed, and B+ on most.
    for root, expected in ((honest, "PASS_B"), (failing, "HOLD_REMEDIATE")):
        assert decision(root).startswith(expected)
        verdict = verify_certificate(root)
        assert verdict.holds, verdict.first_failure
        told = script(root)
        assert told.returncode == 0, told.stdout[-2000:]
        # The models of the honest one were fitted again; the other has the same evidence.
        monkeypatch.setattr(leakage_report, "unlike_tables", lambda *_: iter(()))
    assert fraudworld("attest", failing, "--out", failing.parent / "a.json").status == 0
    quiet = fraudworld("verify", honest, "--quiet")
    assert (quiet.status, quiet.out) == (0, "")


def t10_of(root: Path, seed: str = "7") -> Path:
    return place(root, json.loads((root / SUMMARY).read_text())["runs"][seed])


def leakage_of(root: Path, seed: str = "7") -> Path:
    return leakage_report.place(root, json.loads((root / SUMMARY).read_text())["runs"][seed])


def over_seeds(summary: dict[str, Any]) -> dict[str, Any]:
    """The guard of the mix of products over all seeds."""
    return dict_of(summary["guards"]["over_seeds"], "seed_variation_product")


def joined(summary: dict[str, Any]) -> dict[str, Any]:
    """The guard of parties in joined tables, of one seed."""
    return dict_of(summary["guards"]["7"], "leakage_joined_party")


def dict_of(listed: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(guard for guard in listed if guard["guard_id"] == name)


def halve_t9(summary: dict[str, Any]) -> None:
    row = next(r for r in summary["tests"] if r["metric_name"] == "worst_cv")
    row["value"] /= 2


def to_b_plus(summary: dict[str, Any]) -> None:
    summary.update(
        decision="PASS_BPLUS", eligible_grade="B+", fails=[], routing=[],
        statement=summary["statement"].replace("HOLD_REMEDIATE", "PASS_BPLUS"),
    )  # fmt: skip
    for rows in (summary["tests"], summary["t10"]["rows"], summary["t10"]["pooled"]):
        for row in rows:
            row.update(pass_B=True, pass_Bplus=True, status="PASS", value=row["value"] or 1.0)
    summary["t10"]["status"] = "PASS"


@pytest.mark.parametrize(
    ("change", "by_script"),
    [
        (halve_t9, True),
        (lambda s: s["tests"][0].update(value=-1.0), True),
        (lambda s: s["tests"][3].update(support=1e9), True),
        (lambda s: s["routing"].append(
            {"test_id": "T1_X", "metric_name": "m", "owner": "S2"}), True),
        (lambda s: s["stability"][0].update(value=0.0), False),
        (lambda s: s["seeds"]["7"].update(guards_broken=["or_ip"]), False),
        (lambda s: s["t10"]["pooled"].pop(), False),
        (lambda s: s["digests"]["7"].popitem(), False),
        (lambda s: s.update(statement="PASS_BPLUS"), False),
        (lambda s: s.update(rebaseline={"reason": "none"}), False),
        (lambda s: s.update(copied=["s1_party_base_6A: seeds 7 and 42"]), True),
        (lambda s: over_seeds(s).update(value=1.0), True),
        (lambda s: over_seeds(s).update(holds=not over_seeds(s)["holds"]), True),
        (lambda s: s["guards"]["over_seeds"].pop(), True),
        (lambda s: over_seeds(s)["details"].update(cells=3), False),
        (lambda s: joined(s).update(holds=not joined(s)["holds"]), True),
        (lambda s: joined(s).update(value=0.5), True),
        (lambda s: s["guards"]["7"].pop(), True),
        (lambda s: s["guards"]["7"].pop(0), True),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("runs_hold")
def test_an_edited_summary_is_detected(copy: Path, change: Change, by_script: bool) -> None:
    edit_json(copy / SUMMARY, change)
    reseal(copy)
    failure = verify_certificate(copy).first_failure
    assert failure is not None
    assert failure.name != "readable"
    assert not by_script or script(copy).returncode == 1


def test_a_held_certificate_cannot_be_upgraded(
    failing: Path, tmp_path: Path, fraudworld: Call
) -> None:
    root = tampering.copied(failing, tmp_path / "root")
    edit_json(root / SUMMARY, to_b_plus)
    reseal(root)
    failure = verify_certificate(root).first_failure
    assert failure is not None
    assert failure.group == "certificate"
    assert script(root).returncode == 1
    out = tmp_path / "signed.json"
    result = fraudworld("attest", root, "--out", out)
    assert (result.status, out.exists()) == (1, False)
    assert "Not attested: certificate" in result.out


@pytest.mark.usefixtures("runs_hold")
def test_t10_evidence_that_was_upgraded_is_detected(failing: Path, tmp_path: Path) -> None:
    """Rows and summary say B+; only the measures still say that seed 101 fails."""
    root = tampering.copied(failing, tmp_path / "root")

    def upgrade(evidence: dict[str, Any]) -> None:
        evidence["grade"] = "B+"
        for row in [*evidence["rows"], *evidence["binding"]]:
            row.update(pass_B=True, pass_Bplus=True, status="PASS")

    edit_json(t10_of(root, "101"), upgrade)
    edit_json(root / SUMMARY, to_b_plus)
    reseal(root)
    failure = verify_certificate(root).first_failure
    assert failure is not None
    assert failure.group == "T10", failure


@pytest.mark.parametrize("content", [b"{}\n", b"", b"[]", b"not json"])
@pytest.mark.usefixtures("runs_hold")
def test_emptied_t10_evidence_is_detected(copy: Path, content: bytes) -> None:
    tampering.replace(t10_of(copy), content)
    assert not verify_certificate(copy).holds


@pytest.mark.usefixtures("runs_hold")
def test_t10_evidence_of_another_run_is_detected(copy: Path) -> None:
    tampering.replace(t10_of(copy, "7"), t10_of(copy, "42").read_bytes())
    reseal(copy)
    assert not verify_certificate(copy).holds


@pytest.mark.parametrize("content", [b"{}\n", b"", b"[]", b"not json"])
@pytest.mark.usefixtures("runs_hold")
def test_emptied_evidence_of_joined_tables_is_detected(copy: Path, content: bytes) -> None:
    tampering.replace(leakage_of(copy), content)
    reseal(copy)
    assert not verify_certificate(copy).holds
    assert script(copy).returncode == 1


@pytest.mark.parametrize(
    ("change", "by_script"),
    [
        (lambda e: dict_of(e["guards"], "leakage_joined_party").update(holds=False), False),
        (lambda e: e["measures"]["party"]["folds"][0].update(value=0.1), True),
        (lambda e: e["measures"]["ip"]["folds"][0].update(support=1.0), True),
        (lambda e: e["measures"].pop("device"), True),
        (lambda e: e["design"].update(folds=2), False),
        (lambda e: e["run"].update(seed=8), False),
    ],
)
@pytest.mark.usefixtures("runs_hold")
def test_edited_evidence_of_joined_tables_is_detected(
    copy: Path, change: Change, by_script: bool
) -> None:
    edit_json(leakage_of(copy), change)
    reseal(copy)
    failure = verify_certificate(copy).first_failure
    assert failure is not None
    assert by_script == (script(copy).returncode == 1)


@pytest.mark.usefixtures("runs_hold")
def test_evidence_of_joined_tables_of_another_run_is_detected(copy: Path) -> None:
    tampering.replace(leakage_of(copy, "7"), leakage_of(copy, "42").read_bytes())
    reseal(copy)
    assert not verify_certificate(copy).holds


def test_measures_that_the_tables_do_not_give_are_detected(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evidence, guards and digests agree; only fitting the models again shows the lie."""
    sound = SimpleNamespace(first_failure=None)
    monkeypatch.setattr(certificate, "verify", lambda run, **_: sound)
    run = copy / json.loads((copy / SUMMARY).read_text())["runs"]["7"]
    measures = leakage_report.read_measures(leakage_report.read(leakage_of(copy)), copy)
    folds = tuple(replace(f, value=f.value + 0.01) for f in measures["party"].folds)
    measures["party"] = replace(measures["party"], folds=folds)
    write_leakage(run, sealed_policy(run), measures)
    certified(copy)
    failure = verify_certificate(copy).first_failure
    assert failure is not None
    assert (failure.group, failure.name) == (
        "leakage", "seed 7: its tables give the same measures",
    )  # fmt: skip
    assert failure.what.startswith("party: ")


@pytest.mark.usefixtures("runs_hold")
def test_two_seeds_cannot_share_a_run(copy: Path) -> None:
    edit_json(copy / SUMMARY, lambda s: s["runs"].update({"7": s["runs"]["42"]}))
    assert not verify_certificate(copy).holds


def evidence_files(root: Path) -> list[Path]:
    """Every JSON file that a certificate rests on or consists of."""
    summary = json.loads((root / SUMMARY).read_text())
    files = [root / SUMMARY, certificate_place(root / SUMMARY)]
    for seed, names in summary["digests"].items():
        run = root / summary["runs"][seed]
        files += [run / n if (run / n).is_file() else root / n for n in names]
    return files


def random_edit(path: Path, rnd: random.Random) -> str:
    """Changes one value, or drops one key or item, of a JSON document."""
    document = json.loads(path.read_text("utf-8"))
    nodes: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            nodes.append((node, key))
            if isinstance(value, dict | list):
                walk(value)

    walk(document)
    holder, key = rnd.choice(nodes)
    old = holder[key]
    if rnd.random() < 0.2 or isinstance(old, dict | list) or old is None:
        del holder[key]
    elif isinstance(old, bool):
        holder[key] = not old
    elif isinstance(old, int | float):
        holder[key] = old + rnd.choice((1, -1, 0.5, old or 1))
    else:
        holder[key] = f"{old}x"
    tampering.replace(path, (json.dumps(document, indent=1, sort_keys=True) + "\n").encode())
    return f"{path.name}: {key!r} was {str(old)[:60]}"


@pytest.mark.full
def test_300_random_edits_of_all_evidence_are_found(honest: Path, tmp_path: Path) -> None:
    missed = []
    for number in range(300):
        root = tampering.copied(honest, tmp_path / str(number))
        rnd = random.Random(number)
        edited = random_edit(rnd.choice(evidence_files(root)), rnd)
        if verify_certificate(root).holds:
            missed.append(edited)
        shutil.rmtree(root)
    assert missed == []


@pytest.mark.full
def test_twenty_honest_certificates_raise_no_alarm(
    honest: Path, failing: Path, tmp_path: Path
) -> None:
    """Passing and failing ones, of one to three more seeds and other measures of T10."""
    for number in range(20):
        rnd = random.Random(number)
        root = Path(shutil.copytree(rnd.choice((honest, failing)), tmp_path / str(number)))
        value = rnd.uniform(0.5, 4.0)
        certified(root, lambda m, value=value: replace(m, device=replace(m.device, value=value)))
        verdict = verify_certificate(root)
        assert verdict.holds, (number, verdict.first_failure)
        shutil.rmtree(root)
