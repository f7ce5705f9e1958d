"""No overlay, and no pack that does not say so, can move a bound of the certificate."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudworld.errors import InputError
from fraudworld.gates.gate import OWNERS, owner_of
from fraudworld.policy.bounds import CHECKED, bounds_of, changed_bounds, rebaselined
from fraudworld.policy.lint import Severity, lint, require_lint
from fraudworld.policy.loader import SHIPPED, file_of, load_pack, shipped_overlays, write_pack
from fraudworld.store.layout import RunPlace
from fraudworld.store.seal import write_run_index
from support.calling import CallResult

PACK = load_pack().pack
BOUNDS = bounds_of(PACK.model_dump(mode="json"))
STATED = {"reason": "the board accepted a coarser world", "authority": "Model Risk, MR-17"}


def nested(dotted: str, value: object) -> dict[str, Any]:
    """`{"a": {"b": value}}` of `a.b`."""
    out: object = value
    for key in reversed(dotted.split(".")):
        out = {key: out}
    return out  # type: ignore[return-value]


def overlay(folder: Path, **sections: object) -> Path:
    path = folder / "what_if.yaml"
    path.write_text(yaml.safe_dump({"name": "what_if", "why": "a test", **sections}))
    return path


def changed_pack(folder: Path, dotted: str, value: object, **more: object) -> Path:
    """The shipped pack with one figure changed, and more keys of the validation policy."""
    pack = Path(shutil.copytree(SHIPPED, folder / "pack"))
    stem, _, key = dotted.partition(".")
    for name, path, new in [(stem, key, value), *(("validation_policy", k, v)
                                                  for k, v in more.items())]:  # fmt: skip
        file = pack / file_of(name)
        document = yaml.safe_load(file.read_text("utf-8"))
        *parents, last = path.split(".")
        node = document
        for parent in parents:
            node = node[parent]
        node[last] = new
        file.write_text(yaml.safe_dump(document), "utf-8")
    return pack


def other(value: float) -> st.SearchStrategy[float]:
    """Another figure of the same type, smaller or larger, a share or not."""
    if isinstance(value, int):
        return st.integers(1, 10_000).filter(lambda v: v != value)
    sizes = st.floats(0.001, 1.0) | st.floats(1.0, 10_000.0)
    return sizes.filter(lambda v: v != value)


@st.composite
def moved(draw: st.DrawFn) -> tuple[str, float]:
    name = draw(st.sampled_from(sorted(BOUNDS)))
    return name, draw(other(BOUNDS[name]))  # type: ignore[arg-type]


def looser_or_judged(name: str, value: float) -> bool:
    """Whether a move of a bound must be refused: tighter checks of S5 need not be."""
    if name.split(".")[1] not in CHECKED:
        return True
    last = name.rpartition(".")[2]
    before: Any = BOUNDS[name]
    return value < before if last == "low" or last.startswith("min_") else value > before


@settings(max_examples=150, deadline=None)
@given(moved(), st.sampled_from(["set", "replace the figure", "replace its parent"]))
def test_no_overlay_moves_a_bound(change: tuple[str, float], way: str) -> None:
    name, value = change
    if way == "set":
        sections: dict[str, Any] = {"set": nested(name, value)}
    elif way == "replace the figure":
        sections = {"replace": {name: value}}
    else:
        parent, _, last = name.rpartition(".")
        node: Any = PACK.model_dump(mode="json")
        for key in parent.split("."):
            node = node[key]
        if parent == "downstream_witness":
            parent, last, node = name, "", value
        sections = {"replace": {parent: {**node, last: value} if last else node}}
    with tempfile.TemporaryDirectory() as folder:
        path = overlay(Path(folder), **sections)
        if looser_or_judged(name, value):
            with pytest.raises(InputError) as error:
                load_pack(overlays=[path])
            assert name in error.value.what
            assert "rebaseline" in error.value.what
        else:
            try:
                fault = ""
                assert changed_bounds(load_pack(overlays=[path]).pack) == []
            except InputError as error:
                fault = error.what
            assert "not an overlay's to set" not in fault, "a tighter check, at most of a bad type"


@settings(max_examples=60, deadline=None)
@given(moved())
def test_no_pack_moves_a_bound_without_saying_so(change: tuple[str, float]) -> None:
    name, value = change
    with tempfile.TemporaryDirectory() as folder:
        path = changed_pack(Path(folder), name, value)
        try:
            pack = load_pack(path).pack
        except InputError:
            return  # the type of the figure refuses the value
        if looser_or_judged(name, value):
            with pytest.raises(InputError) as error:
                require_lint(pack)
            assert name.partition(".")[2] in error.value.what
        assert rebaselined(pack) is None


@pytest.mark.parametrize(
    "sections",
    [
        {"replace": {"validation_policy.gates": {}}},
        {"set": {"validation_policy": {"gates": {"T1_max_overflow": {"B": 1000.0}}}}},
        {"set": {"downstream_witness": {"full_flows": 9_000_000}}},
        {"replace": {"validation_policy.support.bootstrap_resamples": 1001}},
    ],
)
def test_examples_are_refused(tmp_path: Path, sections: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="not an overlay's to set"):
        load_pack(overlays=[overlay(tmp_path, **sections)])


def test_an_overlay_cannot_rebaseline(tmp_path: Path) -> None:
    pack = changed_pack(tmp_path, "validation_policy.gates.T8_jsd.B", 0.09, rebaseline=STATED)
    other_words = {"set": {"validation_policy": {"rebaseline": {"reason": "none"}}}}
    with pytest.raises(InputError, match=r"validation_policy\.rebaseline"):
        load_pack(pack, [overlay(tmp_path, **other_words)])


def test_the_length_of_a_stream_may_be_set(tmp_path: Path) -> None:
    shorter = overlay(tmp_path, set={"downstream_witness": {"flows": 100_000}})
    assert changed_bounds(load_pack(overlays=[shorter]).pack) == []


def test_shipped_overlays_move_no_bound() -> None:
    pack = load_pack(overlays=shipped_overlays()).pack
    assert changed_bounds(pack) == changed_bounds(PACK) == []


def test_a_rebaseline_is_legal_and_shown(tmp_path: Path) -> None:
    path = changed_pack(tmp_path, "validation_policy.gates.T8_jsd.B", 0.09, rebaseline=STATED)
    loaded = load_pack(path)
    (note,) = require_lint(loaded.pack)
    assert (note.severity, note.key) == (Severity.NOTE, "gates.T8_jsd.B")
    assert STATED["authority"] in note.remedy
    assert rebaselined(loaded.pack) == {
        **STATED,
        "bounds": [{"bound": "validation_policy.gates.T8_jsd.B", "shipped": 0.08, "here": 0.09}],
    }
    folder = tmp_path / "written"
    folder.mkdir()
    assert load_pack(folder, write_pack(loaded.pack, folder)).pack == loaded.pack


def test_a_rebaseline_hides_no_other_finding(tmp_path: Path) -> None:
    path = changed_pack(tmp_path, "validation_policy.gates.T8_jsd.B", 0.09, rebaseline=STATED)
    endpoints = path / file_of("graph_linkage_rules")
    document = yaml.safe_load(endpoints.read_text("utf-8"))
    endpoints.write_text(yaml.safe_dump({**document, "prone_party_share": 0.01}), "utf-8")
    errors = [f for f in lint(load_pack(path).pack) if f.severity is Severity.ERROR]
    assert {f.key for f in errors} == {"prone_party_share"}


@pytest.mark.parametrize("stated", [{"reason": "", "authority": "x"}, {"reason": "x"}, "x", {}])
def test_a_rebaseline_needs_reason_and_authority(tmp_path: Path, stated: object) -> None:
    path = changed_pack(tmp_path, "validation_policy.gates.T8_jsd.B", 0.09, rebaseline=stated)
    with pytest.raises(InputError, match="rebaseline"):
        load_pack(path)


def test_no_rebaseline_leaves_no_trace_in_the_resolved_pack() -> None:
    assert "rebaseline" not in PACK.model_dump(mode="json")["validation_policy"]
    assert rebaselined(PACK) is None


@pytest.mark.parametrize(
    ("bound", "value"),
    [
        ("validation_policy.gates.T8_jsd.B", 0.04),
        ("validation_policy.gates.T7_odds_ratio.B", 2.1),
        ("validation_policy.gates.T6_mapped_role_fraction.Bplus", 0.9),
        ("downstream_witness.account.B", 2.1),
    ],
)
def test_b_stricter_than_b_plus_is_an_error(tmp_path: Path, bound: str, value: float) -> None:
    pack = load_pack(changed_pack(tmp_path, bound, value, rebaseline=STATED)).pack
    errors = [f for f in lint(pack) if f.severity is Severity.ERROR]
    assert any(f.message == "B is stricter than B+" for f in errors)


@pytest.mark.parametrize(
    ("bound", "value"),
    [
        ("validation_policy.guards.seed_variation_low", 6.5),
        ("validation_policy.guards.leakage_joined_min_party_auc", 0.9),
    ],
)
def test_a_range_whose_ends_are_exchanged_is_an_error(
    tmp_path: Path, bound: str, value: float
) -> None:
    pack = load_pack(changed_pack(tmp_path, bound, value, rebaseline=STATED)).pack
    errors = [f for f in lint(pack) if f.severity is Severity.ERROR]
    assert any(f.key == bound.removeprefix("validation_policy.") and f.bound for f in errors)


def test_every_test_has_one_owner() -> None:
    assert {t: owner_of(f"{t}_ANY_NAME") for t in OWNERS} == OWNERS
    assert [OWNERS[f"T{n}"] for n in range(1, 9)] == ["S2"] * 2 + ["S4"] * 3 + ["S5"] * 3


def test_lint_and_show_say_what_was_rebaselined(fraudworld: Any, tmp_path: Path) -> None:
    bound = "validation_policy.gates.T8_jsd.B"
    pack = changed_pack(tmp_path, bound, 0.09, rebaseline=STATED)
    document = json.loads(fraudworld("policy", "lint", "--policy", pack, "--json").out)
    assert document["holds"]
    assert document["rebaseline"] == rebaselined(load_pack(pack).pack)
    text = fraudworld("policy", "lint", "--policy", pack).out
    assert f"re-baselined on the authority of {STATED['authority']}: 1 bound(s) differ" in text
    shown = fraudworld("policy", "show", "validation_policy", "--policy", pack).out.splitlines()
    assert f"{bound} = 0.09  (shipped: 0.08)" in shown
    assert f"validation_policy.rebaseline.authority = {STATED['authority']}" in shown
    assert json.loads(fraudworld("policy", "lint", "--json").out)["rebaseline"] is None
    assert "shipped" not in fraudworld("policy", "show", "validation_policy").out


def test_a_pack_with_unstated_bounds_is_named_and_not_run(fraudworld: Any, tmp_path: Path) -> None:
    pack = changed_pack(tmp_path, "validation_policy.gates.T7_odds_ratio.B", 0.1)
    linted = fraudworld("policy", "lint", "--policy", pack)
    assert linted.status == 1
    assert "gates.T7_odds_ratio.B" in linted.out
    assert "would do 1.5" in linted.out
    refused = fraudworld("run", "--policy", pack, "--runs-root", tmp_path / "runs", "--quiet")
    assert refused.status == 2
    assert "6A.S0.PRIOR_PACK_UNSATISFIABLE" in refused.err
    assert "validation_policy.rebaseline: {reason, authority}" in refused.err
    assert not list((tmp_path / "runs").rglob("run_receipt.json"))


def test_a_rebaselined_run_says_so_everywhere(fraudworld: Any, tmp_path: Path) -> None:
    pack = changed_pack(tmp_path, "validation_policy.gates.T8_jsd.B", 0.09, rebaseline=STATED)
    root = tmp_path / "runs"
    done: CallResult = fraudworld(
        "run", "--scale", 0.4, "--policy", pack, "--runs-root", root, "--json", "--quiet"
    )
    assert done.status == 0, done.err
    run = Path(json.loads(done.out)["path"])
    for name in ("run_receipt.json", "data/layer3/6A/validation/realism_gate_6A.json"):
        assert json.loads((run / name).read_text())["rebaseline"]["reason"] == STATED["reason"]
    assert STATED["authority"] in (run / "reports/report.html").read_text("utf-8")
    envelope = json.loads((run / "reports/attestation.json").read_text())
    attested = json.loads(base64.b64decode(envelope["payload"]))["predicate"]["rebaseline"]
    assert attested == rebaselined(load_pack(pack).pack)
    assert fraudworld("verify", run).status == 0

    receipt = json.loads((run / "run_receipt.json").read_text())
    (run / "run_receipt.json").write_text(json.dumps({**receipt, "rebaseline": None}))
    write_run_index(RunPlace(run))
    verdict = fraudworld("verify", run)
    assert verdict.status == 1
    assert "rebaseline" in verdict.out
