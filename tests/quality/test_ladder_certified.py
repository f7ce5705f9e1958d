"""The whole ladder from an empty root: a failing baseline, PASS_B at P5, PASS_BPLUS at P6_3."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fraudworld import api
from fraudworld.certification import SUMMARY
from fraudworld.errors import RefusedError
from fraudworld.policy.loader import load_pack
from fraudworld.remediation import NAMES
from fraudworld.request import RunRequest
from fraudworld.store import decisions, roles
from fraudworld.store.bundle import sha256_file
from fraudworld.verification import verify_certificate

SEEDS = (42, 7, 101, 202)


@pytest.mark.full
def test_the_ladder_ends_in_b_plus(tmp_path: Path) -> None:
    request = RunRequest(runs_root=tmp_path)
    phases = api.ladder(request, SEEDS)
    assert [d.phase for d in phases] == list(NAMES)
    assert [d.blockers for d in phases] == [()] * len(NAMES)
    words = {d.phase: d.decision for d in phases}
    assert words["P5"] == "PASS_B"
    assert words["P6_3"] == "PASS_BPLUS"

    last = phases[-1]
    assert last.basis["asked"]["parameter_hash"] == load_pack().parameter_hash
    summary = json.loads((tmp_path / SUMMARY).read_text("utf-8"))
    assert (summary["decision"], summary["fails"]) == ("PASS_BPLUS", [])
    rows = summary["t10"]["rows"]
    assert {row["seed"] for row in rows} == {*SEEDS, None}
    for row in rows:
        if row["seed"] is not None:
            evidence = tmp_path / row["details"]["evidence"]
            assert sha256_file(evidence) == row["details"]["sha256_hex"]

    ledger = roles.read_ledger(tmp_path)
    assert set(ledger.frozen) == {"P6_3-demo"}
    assert set(ledger.frozen["P6_3-demo"]) == set(last.run_ids)
    roles_left = {d.phase: ledger.roles.get(d.run_ids[0]) for d in phases if d.phase != "P0"}
    assert roles_left.pop("P6_3") == "last_good"
    assert set(roles_left.values()) <= {None, "none"}, "a removed run has no entry"
    assert {h["posture"] for h in ledger.history if h["change"] == "reopen"} == {"P5-demo"}
    with pytest.raises(RefusedError, match="frozen in baseline set P6_3-demo"):
        roles.pin(tmp_path / last.run_ids[0], "none")

    gone = {d.phase for d in phases if not (tmp_path / d.run_ids[0]).exists()}
    assert gone == {*NAMES} - {"P0", "P6_3"}, "superseded before or after P5 and P6_3"
    arms = {folder.name for folder in (tmp_path / ".witness").iterdir()}
    assert arms == set(last.run_ids), "control arms go with their candidate"
    assert verify_certificate(tmp_path).holds
    decisions.place(tmp_path, "P6_3").unlink()
    repeated = api.ladder(request, SEEDS)
    assert (repeated[-1].decision, repeated[-1].run_ids) == ("PASS_BPLUS", last.run_ids)
