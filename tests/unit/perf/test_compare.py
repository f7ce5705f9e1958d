"""`perf compare` runs two sides in alternation: order of calls, refusals, the decision.

The interpreter of a side is a stand-in that publishes a copy of the demo world; one test of the
full tier uses the real program.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fraudworld.errors import InputError, RefusedError
from fraudworld.perf.compare import Side, compare
from fraudworld.perf.lanes import LANES
from fraudworld.store.layout import RunPlace
from fraudworld.store.receipt import read_receipt
from support.calling import CallResult

STAND_IN = """\
import json, os, shutil, sys
from pathlib import Path
words = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(json.dumps([{name!r}, words]) + "\\n")
root = Path(words[words.index("--runs-root") + 1]) / "made"
assert not root.exists()
shutil.copytree({world!r}, root, copy_function=os.link)
{spoil}
print(json.dumps({{"path": str(root)}}))
sys.exit({status})
"""
OTHER_DIGEST = """
index = next(root.rglob("validation_bundle_index_6A.json"))
document = json.loads(index.read_text())
document["content_digests"]["s1_party_base_6A"] = "0" * 64
index.unlink()
index.write_text(json.dumps(document))
"""
OTHER_SEED = """
receipt = root / "run_receipt.json"
document = json.loads(receipt.read_text())
document["seed"] = 7
receipt.unlink()
receipt.write_text(json.dumps(document))
"""

Make = Callable[..., Side]


@pytest.fixture
def calls(tmp_path: Path) -> Callable[[], list[tuple[str, list[str]]]]:
    """Calls of the stand-ins (name, arguments), in order."""
    return lambda: [
        (name, words)
        for name, words in map(json.loads, (tmp_path / "calls").read_text().splitlines())
    ]


@pytest.fixture
def side(tmp_path: Path, demo_world: Path) -> Make:
    """A side whose interpreter is a stand-in."""

    def make(name: str, spoil: str = "", status: int = 0, **options: Path) -> Side:
        program = tmp_path / f"python-{name}"
        script = program.with_suffix(".py")
        script.write_text(
            STAND_IN.format(
                log=str(tmp_path / "calls"), name=name, world=str(demo_world), spoil=spoil,
                status=status,
            )
        )  # fmt: skip
        # A line "#!" cannot name an interpreter whose path holds a space.
        words = shlex.join([sys.executable, str(script)])
        program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        program.chmod(0o755)
        return Side(name=name, run=demo_world, python=program, **options)

    return make


def test_sides_alternate_after_a_warm_up_and_leave_no_files(
    side: Make, calls: Callable[[], list[tuple[str, list[str]]]], tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    progress: list[str] = []
    comparison = compare(side("BASE"), side("CAND"), LANES["POPT.5"], 3, scratch, progress.append)
    order = [name for name, _ in calls()]
    for small_then_full in (order[:8], order[8:]):
        assert sorted(small_then_full[:2]) == ["BASE", "CAND"]
        assert small_then_full[2:] == ["BASE", "CAND", "CAND", "BASE", "BASE", "CAND"]
    full = comparison.full
    assert (len(full.base), len(full.cand), len(comparison.quick.base), len(progress)) == (
        3, 3, 3, 16,
    )  # fmt: skip
    assert list(scratch.iterdir()) == []
    assert comparison.decision.decision == "HOLD_POPT5"  # copies of one run take equal time
    assert {s.run_id for s in (*full.base, *full.cand)} == set(comparison.decision.run_ids)


def test_a_small_world_comes_first(
    side: Make, calls: Callable[[], list[tuple[str, list[str]]]], tmp_path: Path
) -> None:
    compare(side("BASE"), side("CAND"), LANES["POPT.1"], 1, tmp_path / "scratch")
    scales = [words[words.index("--scale") + 1] for _, words in calls()]
    assert scales == ["0.4"] * 4 + ["1.0"] * 4


def test_the_command_of_a_side_follows_its_receipt(side: Make, demo_world: Path) -> None:
    chosen = side("BASE", policy=Path("pack"), upstream=Path("frozen"))
    receipt = read_receipt(RunPlace(demo_world))
    words = chosen.command(receipt, Path("below"))
    assert words[1:5] == ["-m", "fraudworld", "run", "--quiet"]
    options = dict(zip(words[6::2], words[7::2], strict=True))
    assert options == {
        "--profile": "demo", "--scale": "1.0", "--seed": "42", "--runs-root": "below",
        "--policy": "pack", "--upstream": "frozen",
    }  # fmt: skip


def test_a_side_with_other_digests_is_reverted(side: Make, tmp_path: Path) -> None:
    cand = side("CAND", spoil=OTHER_DIGEST)
    comparison = compare(side("BASE"), cand, LANES["POPT.1"], 1, tmp_path / "scratch")
    assert comparison.decision.decision == "REVERT_POPT1"
    assert comparison.decision.vetoes == ("quick witness: content digests equal in every run",)
    (finding,) = [f for f in comparison.decision.done_when if "digests" in f.what]
    assert finding.evidence["differ"] == ["s1_party_base_6A"]
    # The full chain is not run where the small world differs.
    assert comparison.full.base == ()
    assert comparison.evidence()["base"] == []
    assert len(comparison.evidence()["quick"]["base"]) == 1


def test_other_digests_of_the_full_chain_alone_revert(side: Make, tmp_path: Path) -> None:
    only_full = f"if '1.0' in words:{OTHER_DIGEST.replace(chr(10), chr(10) + '    ')}"
    cand = side("CAND", spoil=only_full)
    comparison = compare(side("BASE"), cand, LANES["POPT.1"], 1, tmp_path / "scratch")
    assert comparison.decision.decision == "REVERT_POPT1"
    assert comparison.decision.vetoes == ("content digests equal in every run",)
    assert all(f.holds for f in comparison.decision.done_when if "quick" in f.what)


@pytest.mark.parametrize(
    ("spoil", "status", "message"),
    [
        ("sys.exit('no such overlay')", 0, "no such overlay"),  # Python exits with status 1
        ("", 3, "exit status 3"),
    ],
)
def test_a_side_that_fails_is_refused(
    side: Make, tmp_path: Path, spoil: str, status: int, message: str
) -> None:
    with pytest.raises(RefusedError, match=message) as caught:
        compare(side("BASE"), side("CAND", spoil, status), LANES["POPT.5"], 1, tmp_path / "scratch")
    assert caught.value.code == "6A.PERF.RUN_NOT_REPRODUCED"
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_side_that_makes_another_world_is_refused(side: Make, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="seed=7"):
        compare(
            side("BASE"), side("CAND", spoil=OTHER_SEED), LANES["POPT.5"], 1, tmp_path / "scratch"
        )


def test_runs_of_different_seeds_are_not_compared(
    side: Make, demo_world: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(demo_world, tmp_path / "other", copy_function=os.link)
    receipt = json.loads((other / "run_receipt.json").read_text())
    (other / "run_receipt.json").unlink()
    (other / "run_receipt.json").write_text(json.dumps({**receipt, "seed": 7}))
    cand = Side(name="CAND", run=other)
    with pytest.raises(InputError, match="differ in seed") as caught:
        compare(side("BASE"), cand, LANES["POPT.5"], 1, tmp_path / "scratch")
    assert caught.value.code == "6A.PERF.RUNS_NOT_COMPARABLE"


def test_the_command_writes_its_decision(
    fraudworld: Callable[..., CallResult], side: Make, demo_world: Path, tmp_path: Path
) -> None:
    (tmp_path / "reports/decisions").mkdir(parents=True)
    pinned = {
        "phase": "POPT.0", "decision": "UNLOCK_POPT1", "seeds": [], "run_ids": [], "digests": {},
        "done_when": [], "vetoes": [], "blockers": [],
    }  # fmt: skip
    (tmp_path / "reports/decisions/POPT_0.json").write_text(json.dumps(pinned))
    result = fraudworld(
        "perf", "compare", demo_world, demo_world, "--runs-root", tmp_path, "--json", "--quiet",
        "--lane", "POPT.1", "--base-python", side("BASE").python, "--repeats", 3,
        "--cand-python", side("CAND").python,
    )  # fmt: skip
    document = json.loads(result.out)
    assert (result.status, result.err) == (1, "")
    assert document["decision"]["decision"] == "HOLD_POPT1"
    assert document["decision"]["blockers"] == [
        "S3 saves at least 30%",
        "the interval of the S3 saving excludes zero",
    ]
    assert len(document["base"]) == len(document["quick"]["cand"]) == 3
    beside = json.loads((tmp_path / "reports/decisions/POPT_1_comparison.json").read_text())
    assert beside["quick"] == document["quick"]
    written = json.loads((tmp_path / "reports/decisions/POPT_1.json").read_text())
    assert written == document["decision"]


def test_the_command_refuses_a_lane_whose_predecessors_are_open_before_it_measures(
    fraudworld: Callable[..., CallResult], demo_world: Path, tmp_path: Path
) -> None:
    result = fraudworld(
        "perf", "compare", demo_world, demo_world, "--runs-root", tmp_path, "--lane", "POPT.2",
        "--base-python", "/nowhere",
    )  # fmt: skip
    assert result.status == 3
    assert "6A.PERF.LANE_CLOSED" in result.err
    assert list(tmp_path.iterdir()) == []


def test_the_command_names_the_lanes_it_accepts(
    fraudworld: Callable[..., CallResult], demo_world: Path
) -> None:
    result = fraudworld("perf", "compare", demo_world, demo_world, "--lane", "POPT.0")
    assert result.status == 2
    assert "POPT.1, POPT.2, POPT.3, POPT.4, POPT.5" in result.err


@pytest.mark.full
def test_this_program_reproduces_the_demo_world(demo_world: Path, tmp_path: Path) -> None:
    base, cand = (Side(name=name, run=demo_world) for name in ("BASE", "CAND"))
    comparison = compare(base, cand, LANES["POPT.5"], 1, tmp_path)
    assert "content digests equal in every run" not in comparison.decision.vetoes
    assert "RNG logs byte-identical in every run" not in comparison.decision.vetoes
    assert comparison.full.base[0].missing == ()
