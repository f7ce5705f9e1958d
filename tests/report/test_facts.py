"""`report.json` agrees with evidence and tables, and the page with `report.json`."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from statsmodels.stats.contingency_tables import Table2x2
from statsmodels.stats.proportion import proportion_confint

from fraudworld import report
from fraudworld.errors import InputError, RefusedError
from fraudworld.gates import statistics
from fraudworld.report import evidence, facts, page
from fraudworld.report.figures import FIGURES
from fraudworld.report.html import Safe, el
from fraudworld.store.layout import CERTIFICATE, RunPlace

LARGEST = 3_000_000
DRAWN = [figure for figure in FIGURES if figure.section not in ("seeds", "profiles")]
"""Figures of a run without certificate and layers."""


@pytest.fixture(scope="module")
def collected(demo_world: Path) -> dict[str, Any]:
    """Facts of the demo world."""
    return facts.collect(demo_world, facts.beside(demo_world, demo_world.parent))


@pytest.fixture
def copy(demo_world: Path, tmp_path: Path) -> Path:
    """A copy of the demo world that a test may change."""
    return Path(shutil.copytree(demo_world, tmp_path / "runs" / demo_world.name))


def embedded(html: str, name: str) -> Any:
    """A JSON document embedded in the page."""
    script = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', html, re.S)
    assert script
    return json.loads(script[1])


def leaves(value: Any) -> Iterator[Any]:
    """Every value that is neither a list nor an object."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


def test_every_run_has_a_report_and_its_digest(demo_world: Path) -> None:
    index = json.loads(RunPlace(demo_world).run_index.read_text("utf-8"))
    assert {"reports/report.html", "reports/report.json"} <= {m["path"] for m in index["members"]}


def test_the_page_and_report_json_hold_the_same_numbers(demo_world: Path, tmp_path: Path) -> None:
    written = report.write(demo_world, demo_world.parent, tmp_path)
    html = written.page.read_text("utf-8")
    assert embedded(html, "facts") == json.loads(written.twin.read_text("utf-8"))


def test_specifications_hold_no_numbers_of_the_world(demo_world: Path) -> None:
    html = RunPlace(demo_world).report.read_text("utf-8")
    specs = embedded(html, "specs")
    assert specs == {f.name: f.spec for f in FIGURES if f.name in specs}


def test_the_page_is_small_and_loads_nothing(demo_world: Path) -> None:
    place = RunPlace(demo_world).report
    html = place.read_text("utf-8")
    assert place.stat().st_size <= LARGEST
    assert "default-src 'none'" in unescape(html)
    assert not re.search(r"<(link|img|iframe|object|embed)\b|\bsrc=|@import|url\(", _own(html))


def _own(html: str) -> str:
    """The page without the drawing library and the data."""
    return re.sub(r'<script type="(module|application/json)".*?</script>', "", html, flags=re.S)


def test_the_report_holds_aggregates_only(collected: dict[str, Any]) -> None:
    """No list grows with the world: each has at most 600 rows, of 90 000 parties."""
    longest = {name: len(rows) for name, rows in collected["figures"].items()}
    assert max(longest.values()) <= 600
    assert len(collected["neighbourhoods"]["parties"]) <= 50
    shown = {(n["ego"], n["kind"]) for n in collected["neighbourhoods"]["nodes"]}
    for ego, entity in shown:
        nodes = [
            n
            for n in collected["neighbourhoods"]["nodes"]
            if (n["ego"], n["kind"]) == (ego, entity)
        ]
        assert len(nodes) <= 12


@pytest.mark.parametrize("figure", DRAWN, ids=lambda f: f.name)
def test_every_figure_has_rows_and_a_text_with_numbers(
    figure: Any, collected: dict[str, Any]
) -> None:
    known = {**collected["figures"], **collected["neighbourhoods"]}
    assert all(known[name] for name in figure.rows)
    drawn = set(re.findall(r'"name": "(\w+)"', json.dumps(figure.spec))) - {"view", "ego"}
    assert drawn <= set(figure.rows)
    assert re.search(r"\d", figure.reading(collected))


def test_verdicts_equal_the_gateboard(collected: dict[str, Any], demo_world: Path) -> None:
    board = json.loads(RunPlace(demo_world).gateboard.read_text("utf-8"))
    assert collected["grade"] == board["grade"]
    assert [{k: v for k, v in t.items() if k != "verdict"} for t in collected["tests"]] == board[
        "tests"
    ]
    assert collected["guards"] == board["guards"]


def test_shares_agree_with_the_published_tables(
    collected: dict[str, Any], demo_world: Path
) -> None:
    """The same figures by independent SQL."""
    sql = duckdb.connect()

    def dataset(name: str) -> str:
        return f"read_parquet('{RunPlace(demo_world).layer / name}/**/*.parquet')"

    links = dict(
        sql.execute(
            f"SELECT (home_region_id, ip_type), count(*) FROM {dataset('s4_ip_links_6A')}"
            f" JOIN {dataset('s4_device_base_6A')} USING (device_id)"
            f" JOIN {dataset('s4_ip_base_6A')} USING (ip_id) GROUP BY ALL"
        ).fetchall()
    )
    assert {
        (r["region"], r["ip_type"]): r["links"] for r in collected["figures"]["ip_types"]
    } == links
    largest = sql.execute(
        "SELECT n, count(*) FROM (SELECT count(*) AS n FROM"
        f" {dataset('s2_account_base_6A')} GROUP BY owner_party_id) GROUP BY n ORDER BY n"
    ).fetchall()
    assert [(r["k"], r["count"]) for r in collected["figures"]["accounts_per_party"]] == largest
    high = sql.execute(
        f"SELECT count(*) FROM {dataset('s5_ip_fraud_roles_6A')} WHERE raw_role = 'HIGH_RISK_IP'"
        f" AND ip_id IN (SELECT ip_id FROM {dataset('s4_ip_links_6A')}"
        " WHERE device_id IS NOT NULL)"
    ).fetchone()
    assert high == (sum(r["risky"] for r in collected["figures"]["risk_by_degree"]),)
    pairs = [r for r in collected["figures"]["role_pairs"] if r["asset"] == "account"]
    owned = sql.execute(f"SELECT count(*) FROM {dataset('s2_account_base_6A')}").fetchone()
    assert owned == (sum(r["risky_pairs"] for r in pairs),)
    carried = dict(
        sql.execute(
            "SELECT (account_type, instrument_type), any_value(i.n) / count(*) FROM"
            " (SELECT account_type, instrument_type, count(*) AS n"
            f" FROM {dataset('s3_instrument_base_6A')} JOIN {dataset('s2_account_base_6A')}"
            f" USING (account_id) GROUP BY ALL) i JOIN {dataset('s2_account_base_6A')}"
            " USING (account_type) GROUP BY ALL"
        ).fetchall()
    )
    means = {
        (r["account_type"], r["instrument_type"]): r["observed"]
        for r in collected["figures"]["instruments"]
        if r["observed"]
    }
    assert means == pytest.approx(carried)


def test_shares_add_up_to_one(collected: dict[str, Any]) -> None:
    figures = collected["figures"]
    assert figures["countries"][-1]["share_so_far"] == pytest.approx(1)
    for name in ("accounts_per_party", "devices_per_party", "devices_per_ip"):
        curve = [r["share"] for r in figures[name]]
        assert curve[0] == 1
        assert curve == sorted(curve, reverse=True)
    for entity in ("party", "account", "merchant", "device", "ip"):
        of_entity = [r for r in figures["roles"] if r["entity"] == entity]
        assert sum(r["policy"] for r in of_entity) == pytest.approx(1)
        assert sum(r["observed"] for r in of_entity) == pytest.approx(1)


def test_neighbours_belong_to_the_party(collected: dict[str, Any], demo_world: Path) -> None:
    accounts = duckdb.connect().execute(
        "SELECT account_id, owner_party_id FROM"
        f" read_parquet('{RunPlace(demo_world).layer}/s2_account_base_6A/**/*.parquet')"
    )
    owner = dict(accounts.fetchall())
    shown = [n for n in collected["neighbourhoods"]["nodes"] if n["kind"] == "account"]
    assert shown
    assert all(owner[n["id"]] == n["ego"] for n in shown)
    places = {(n["ego"], n["x"], n["y"]) for n in collected["neighbourhoods"]["nodes"]}
    for edge in collected["neighbourhoods"]["edges"]:
        assert (edge["ego"], edge["x"], edge["y"]) in places
        assert (edge["ego"], edge["x2"], edge["y2"]) in places


def test_odds_ratio_is_statsmodels_with_haldane() -> None:
    cells = np.array([[9000, 120], [800, 40]])
    ratio, expected = evidence.odds_ratio(cells), Table2x2(cells + 0.5)
    assert ratio["odds_ratio"] == pytest.approx(expected.oddsratio)
    assert (ratio["low"], ratio["high"]) == pytest.approx(expected.oddsratio_confint())


def test_the_odds_ratio_is_missing_where_too_few_are_expected() -> None:
    assert evidence.odds_ratio(np.array([[9000, 20], [80, 1]]))["odds_ratio"] is None
    assert evidence.odds_ratio(np.zeros((2, 2), dtype=np.int64))["odds_ratio"] is None


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (3, 10), (10, 10), (812, 31_615)])
def test_wilson_is_statsmodels(hits: int, n: int) -> None:
    assert statistics.wilson(hits, n) == pytest.approx(proportion_confint(hits, n, method="wilson"))


def test_text_is_escaped(collected: dict[str, Any]) -> None:
    """Hostile text is escaped in the page and in its embedded data."""
    hostile = "</script><script>alert(1)</script>"
    changed = {**collected, "run": {**collected["run"], "profile": hostile, "created_at": "<b>&"}}
    html = page.render(changed)
    assert hostile not in html
    assert embedded(html, "facts") == changed
    assert "&lt;b&gt;&amp;" in html
    assert el("p", '<"', title='"<') == Safe('<p title="&quot;&lt;">&lt;&quot;</p>')


def test_refresh_shows_new_decisions_of_the_runs_root(copy: Path) -> None:
    before = RunPlace(copy).run_index.read_bytes()
    decisions = copy.parent / facts.DECISIONS
    decisions.mkdir(parents=True)
    line = {"phase": "P0", "decision": "HOLD_REMEDIATE", "seeds": [42], "run_ids": {}}
    lists = {"digests": {}, "done_when": ["baseline pinned"], "vetoes": [], "blockers": ["<T1>"]}
    (decisions / "P0.json").write_text(json.dumps({**line, **lists}), "utf-8")
    written = report.refresh(copy)
    html = written.page.read_text("utf-8")
    assert "HOLD_REMEDIATE" in html
    assert "&lt;T1&gt;" in html
    assert RunPlace(copy).run_index.read_bytes() != before
    report.refresh(copy)  # the rewritten index is accepted


def test_refresh_refuses_a_run_that_was_changed(copy: Path) -> None:
    place = RunPlace(copy)
    place.receipt.write_text(place.receipt.read_text("utf-8") + " ", "utf-8")
    before = place.report.read_bytes()
    with pytest.raises(RefusedError) as refused:
        report.refresh(copy)
    assert refused.value.code == "6A.REPORT.RUN_CHANGED"
    assert "run_receipt.json" in refused.value.what
    assert place.report.read_bytes() == before


@pytest.mark.parametrize("name", ["realism_gate_6A", "s2_kmax_counters_6A"])
def test_missing_evidence_is_named(copy: Path, name: str) -> None:
    RunPlace(copy).document(name).unlink()
    with pytest.raises(InputError) as refused:
        facts.collect(copy, facts.beside(copy, copy.parent))
    assert refused.value.code == "6A.REPORT.EVIDENCE_UNREADABLE"
    assert name in refused.value.where


def test_a_certificate_of_other_runs_is_not_shown(copy: Path) -> None:
    summary = copy.parent / CERTIFICATE
    summary.parent.mkdir(parents=True)
    summary.write_text(json.dumps({"runs": {"42": "0" * 32}}), "utf-8")
    assert facts.collect(copy, facts.beside(copy, copy.parent))["certificate"] is None


def test_every_number_is_finite(collected: dict[str, Any]) -> None:
    numbers = [v for v in leaves(collected) if isinstance(v, float)]
    assert np.isfinite(numbers).all()
