"""The hourly arrival law of segment 5B."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fraudworld.errors import InputError
from fraudworld.inputs.arrivals import CHANNELS, HOUR_MS, Arrivals, load_arrivals, week_hour
from fraudworld.inputs.embedded import build

SCALE = 0.02
"""About 192 000 arrivals a week."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arrivals") / "upstream"
    build(folder, volume_scale=SCALE)
    return folder


@pytest.fixture(scope="module")
def countries(root: Path) -> tuple[str, ...]:
    import pyarrow.parquet as pq

    table = pq.read_table(root / "1A/country_geography.parquet", columns=["country_iso"])
    return tuple(sorted(table["country_iso"].to_pylist()))


@pytest.fixture(scope="module")
def arrivals(root: Path, countries: tuple[str, ...]) -> Arrivals:
    return load_arrivals(root, 11, countries)


def test_a_window_equals_that_part_of_the_horizon(arrivals: Arrivals) -> None:
    whole = arrivals.counts(0, 24 * 14)
    assert np.array_equal(arrivals.counts(101, 133), whole[101:133])


def test_counts_agree_with_the_expected_week(arrivals: Arrivals) -> None:
    """Null: twelve whole weeks average the sealed weekly volume.

    About 2.3 million arrivals; their total has a relative standard error near 0.2 %: counts
    are Poisson, dispersion and day effects are independent per cell. The band is ten of it.
    """
    weeks = 12
    total = sum(int(arrivals.counts(low, low + 168).sum()) for low in range(0, 168 * weeks, 168))
    assert total / weeks == pytest.approx(arrivals.cells.weekly.sum(), rel=0.02)


def test_weekend_share_and_peak_hour_are_as_published(arrivals: Arrivals) -> None:
    """Of the expected week the weekend has .287; the peak hour is between 11 and 16 local time."""
    week = arrivals.cells.weekly @ arrivals.rhythm.hours[arrivals.cells.demand]
    assert week[120:].sum() / week.sum() == pytest.approx(0.287, abs=0.003)
    by_hour = week.reshape(7, 24).sum(axis=0)
    assert 11 <= int(by_hour.argmax()) <= 16


def test_counts_are_over_dispersed(arrivals: Arrivals) -> None:
    """Over weeks, counts of one cell and hour have a variance above three times their mean."""
    busy = int(arrivals.cells.weekly.argmax())
    hours = np.stack(
        [arrivals.counts(24 * 7 * w + 12, 24 * 7 * w + 60)[:, busy] for w in range(12)]
    )
    mean, variance = hours.mean(axis=0), hours.var(axis=0, ddof=1)
    assert np.median(variance / mean) > 3


def test_arrivals_of_an_hour_are_in_order_and_complete(arrivals: Arrivals) -> None:
    counts = arrivals.counts(12, 13)[0]
    moment, cell = arrivals.hour(5_000, counts)
    assert (np.diff(moment) >= 0).all()
    assert moment.min() >= 0
    assert moment.max() < HOUR_MS
    assert np.array_equal(np.bincount(cell, minlength=counts.size), counts)


def test_the_expected_week_adds_up_to_the_weekly_volume(
    arrivals: Arrivals, countries: tuple[str, ...]
) -> None:
    week = arrivals.expected_week(np.ones(arrivals.cells.merchant.size), len(countries))
    assert week.sum() == pytest.approx(arrivals.cells.weekly.sum())
    assert week.shape == (len(countries), 168)


def test_the_horizon_begins_on_a_thursday_at_midnight() -> None:
    assert week_hour(0) == 72
    assert week_hour(96) == 0


def test_shares_of_channels(arrivals: Arrivals) -> None:
    share = np.bincount(arrivals.cells.channel, arrivals.cells.weekly) / arrivals.cells.weekly.sum()
    assert dict(zip(CHANNELS, share.round(1).tolist(), strict=True)) == {
        "BILL": 0.0, "ONLINE": 0.1, "POS": 0.9,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("law", "word"),
    [
        (None, "cannot be read"),
        ({"dispersion": 8.0}, "cannot be read"),
        ({"dispersion": 0.5, "horizon_days": 90}, "dispersion 0.5"),
        ({"dispersion": 8, "horizon_days": 0}, "horizon_days 0"),
    ],
)
def test_an_invalid_arrival_law_is_refused(
    root: Path, countries: tuple[str, ...], tmp_path: Path, law: dict[str, float] | None, word: str
) -> None:
    copy = tmp_path / "upstream"
    copy.mkdir()
    for segment in ("2B", "3B", "5A"):
        (copy / segment).symlink_to(root / segment)
    (copy / "5B").mkdir()
    if law is not None:
        (copy / "5B/arrival_law.json").write_text(json.dumps(law))
    with pytest.raises(InputError, match=word) as refused:
        load_arrivals(copy, 1, countries)
    assert refused.value.code == "6B.S0.ARRIVAL_LAW_INVALID"


def test_a_demand_class_without_a_shape_is_named(
    root: Path, countries: tuple[str, ...], tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    copy = tmp_path / "upstream"
    (copy / "5A").mkdir(parents=True)
    for segment in ("2B", "3B", "5B"):
        (copy / segment).symlink_to(root / segment)
    profile = pq.read_table(root / "5A/merchant_zone_profile_5A.parquet")
    renamed = pc.replace_substring(profile["demand_class"].cast(pa.string()), "office", "lunch")
    at = profile.schema.get_field_index("demand_class")
    pq.write_table(
        profile.set_column(at, "demand_class", renamed),
        copy / "5A/merchant_zone_profile_5A.parquet",
    )
    with pytest.raises(InputError, match="lunch_hours"):
        load_arrivals(copy, 1, countries)
