"""The embedded upstream: deterministic bytes, complete or absent, with the published shape."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from fraudworld.errors import InputError
from fraudworld.inputs import embedded as upstream
from fraudworld.inputs.embedded.merchants import TRADES, quantile_curve
from fraudworld.store import bundle


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The upstream at authority volume, for reading only."""
    folder = tmp_path_factory.mktemp("upstream") / "authority"
    upstream.build(folder, volume_scale=1.0)
    return folder


def column(folder: Path, table: str, name: str) -> np.ndarray:
    values = pq.read_table(folder / f"{table}.parquet", columns=[name])[name].to_numpy()
    return values.astype(str) if values.dtype == object else values


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_two_builds_give_the_same_bytes(built: Path, tmp_path: Path) -> None:
    upstream.build(tmp_path / "again", volume_scale=1.0)
    assert contents(tmp_path / "again") == contents(built)
    assert [p.name for p in tmp_path.iterdir()] == ["again"]


def test_every_segment_is_sealed(built: Path) -> None:
    assert sorted(p.name for p in built.iterdir()) == list(upstream.SEGMENTS)
    for segment in upstream.SEGMENTS:
        assert bundle.verify(built / segment, segment).members


def test_the_scale_changes_volumes_only(built: Path, tmp_path: Path) -> None:
    upstream.build(tmp_path / "small", volume_scale=0.1)
    full, small = contents(built), contents(tmp_path / "small")
    differing = {name.split("/")[0] for name in full if full[name] != small[name]}
    assert differing == {"5A", "5B"}
    name = "weekly_volume_expected"
    volume = column(built, "5A/merchant_zone_profile_5A", name)
    scaled = column(tmp_path / "small", "5A/merchant_zone_profile_5A", name)
    assert scaled == pytest.approx(0.1 * volume, abs=1e-6)


TOLERANCE = {
    "outlets per merchant p99": 0.02,
    "Gini of outlets": 0.01,
    "outlets away from home": 0.001,
    "zone_alloc rows": 0.01,
    "virtual merchants": 0.01,
    "weekly volume": 1e-9,
    "weekly volume per merchant p50": 0.005,
    "weekly volume per merchant p90": 0.005,
    "weekly volume per merchant p99": 0.03,
    "weekly volume per merchant max": 1e-6,
}
"""Relative tolerances; every other figure must be exact."""


def test_the_published_shape_is_met(built: Path) -> None:
    figures = {f.what: f for f in upstream.measure(built)}
    assert len(figures) == 20
    assert set(TOLERANCE) < set(figures)
    for name, figure in figures.items():
        assert figure.measured == pytest.approx(figure.target, rel=TOLERANCE.get(name, 0)), name


def test_one_percent_of_merchants_has_three_tenths_of_the_volume(built: Path) -> None:
    merchant = column(built, "5A/merchant_zone_profile_5A", "merchant_id")
    volume = column(built, "5A/merchant_zone_profile_5A", "weekly_volume_expected")
    per_merchant = np.sort(np.bincount(merchant, volume))[::-1]
    assert per_merchant[:12].sum() / volume.sum() == pytest.approx(0.30, abs=0.02)


def test_classes_keep_their_shares_and_agree_with_merchant_codes(built: Path) -> None:
    merchant = column(built, "1A/outlet_catalogue", "merchant_id")
    _, first = np.unique(merchant, return_index=True)
    risk = column(built, "1A/outlet_catalogue", "merchant_class")[first]
    mcc = column(built, "1A/outlet_catalogue", "mcc")[first]
    profile = column(built, "5A/merchant_zone_profile_5A", "merchant_id")
    _, first = np.unique(profile, return_index=True)
    demand = column(built, "5A/merchant_zone_profile_5A", "demand_class")[first]
    allowed = {(risk, demand, code) for risk, demand, _, codes in TRADES for code in codes}
    assert set(zip(risk.tolist(), demand.tolist(), mcc.tolist(), strict=True)) <= allowed
    published = {
        "GENERAL_RETAIL": 0.58, "HOSPITALITY": 0.16, "TRAVEL": 0.08,
        "DIGITAL_GOODS": 0.10, "HIGH_CHARGEBACK": 0.05, "MONEY_SERVICES": 0.03,
    }  # fmt: skip
    for name, share in published.items():
        assert (risk == name).mean() == pytest.approx(share, abs=2 / risk.size)
    published = {
        "consumer_daytime": 0.627, "online_24h": 0.151, "fuel_convenience": 0.142,
        "evening_weekend": 0.035, "bursty_promo": 0.020, "office_hours": 0.012,
        "bills_utilities": 0.009, "travel_hospitality": 0.004,
    }  # fmt: skip
    for name, share in published.items():
        assert (demand == name).mean() == pytest.approx(share, abs=4 / demand.size)
    virtual = column(built, "3B/virtual_classification", "is_virtual")
    assert set(demand[virtual]) == {"online_24h"}


def test_segments_agree_with_each_other(built: Path) -> None:
    """Site keys are equal in 1A, 1B and 2A; zones add up to the outlets."""
    keys = ("merchant_id", "legal_country_iso", "site_order")
    for name in keys:
        sites = column(built, "1A/outlet_catalogue", name)
        assert (sites == column(built, "1B/site_locations", name)).all()
        assert (sites == column(built, "2A/site_timezones", name)).all()
    assert (column(built, "1A/outlet_catalogue", "final_country_outlet_count") >= 1).all()
    assert column(built, "3A/zone_alloc", "zone_site_count").sum() == 31_257
    assert set(column(built, "2A/site_timezones", "tzid")) <= set(
        column(built, "3A/zone_alloc", "tzid")
    )
    assert abs(column(built, "1B/site_locations", "lat")).max() < 90
    assert abs(column(built, "1B/site_locations", "lon")).max() <= 180
    effect = column(built, "2B/day_effects", "effect").reshape(1_238, 90)
    assert effect.mean(axis=1) == pytest.approx(1.0, abs=1e-6)


def test_arrivals_are_in_order_of_time_and_their_law_is_sealed(built: Path) -> None:
    stamp = column(built, "5B/arrival_events_5B", "ts_utc")
    assert stamp.size > 10_000
    assert (np.diff(stamp) >= 0).all()
    law = json.loads((built / "5B/arrival_law.json").read_text())
    assert law["weekend_share"] == 0.287


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_an_invalid_scale_is_refused(tmp_path: Path, scale: float) -> None:
    with pytest.raises(InputError, match="VOLUME_SCALE_INVALID"):
        upstream.build(tmp_path / "up", volume_scale=scale)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(InputError, match="IO_WRITE_FAILED"):
        upstream.build(tmp_path / "mine", volume_scale=1.0)
    with pytest.raises(InputError, match="IO_WRITE_FAILED"):
        upstream.build(tmp_path / "mine" / "below", volume_scale=1.0)
    assert (tmp_path / "mine").read_text() == "keep"


def test_a_build_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle, "seal", full)
    with pytest.raises(InputError, match="No space left"):
        upstream.build(tmp_path / "up", volume_scale=1.0)
    assert list(tmp_path.iterdir()) == []


def test_the_cache_is_built_once_and_repaired(tmp_path: Path) -> None:
    place = upstream.ensure_embedded(tmp_path, 0.1)
    stamp = (place / "5A/index.json").stat().st_mtime_ns
    assert upstream.ensure_embedded(tmp_path, 0.1) == place
    assert (place / "5A/index.json").stat().st_mtime_ns == stamp
    before = contents(place)
    os.truncate(place / "1A/outlet_catalogue.parquet", 100)
    assert upstream.ensure_embedded(tmp_path, 0.1) == place
    assert contents(place) == before
    assert [p.name for p in tmp_path.iterdir()] == [place.name]


def test_every_scale_has_its_own_folder(tmp_path: Path) -> None:
    places = {upstream.ensure_embedded(tmp_path, s) for s in (0.1, 0.2)}
    assert len(places) == 2


def test_a_quantile_curve_keeps_its_points_and_its_total() -> None:
    points = ((0.0, 1.0), (0.5, 10.0), (1.0, 100.0))
    for total in (15_000.0, 20_000.0, 25_000.0):
        curve = quantile_curve(points, 1_001, total, bent_from=0.5)
        assert curve[[0, 500, 1_000]] == pytest.approx([1, 10, 100])
        assert curve.sum() == pytest.approx(total)
        assert (np.diff(curve) > 0).all()


def test_docs_upstream_shows_the_measured_figures(built: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/upstream.md").read_text("utf-8")
    shown = dict(re.findall(r"^\| ([^|]+) \| [^|]+ \| ([\d.,]+) \|$", page, re.MULTILINE))
    for figure in upstream.measure(built):
        on_page = float(shown[figure.what].replace(",", ""))
        assert figure.measured == pytest.approx(on_page, rel=1e-3), figure.what
