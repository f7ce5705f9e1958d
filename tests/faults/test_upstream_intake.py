"""S0 refuses an upstream that is damaged, incomplete, forged or changed during intake."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from fraudworld.errors import FraudworldError, InputError, RefusedError
from fraudworld.inputs import embedded as upstream
from fraudworld.inputs import intake
from fraudworld.inputs.tables import SCHEMAS
from fraudworld.policy.loader import LoadedPack, load_pack
from fraudworld.store import bundle

HASHGATE = "6A.S0.UPSTREAM_HASHGATE_"
CATALOGUE, PLACES = "1A/outlet_catalogue", "1A/country_geography"
PROFILE = "5A/merchant_zone_profile_5A"


@pytest.fixture(scope="module")
def loaded() -> LoadedPack:
    return load_pack()


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("upstream") / "pristine"
    upstream.build(folder, volume_scale=0.03)
    return folder


@pytest.fixture
def root(pristine: Path, tmp_path: Path) -> Path:
    """A copy of the upstream that a test may break."""
    return Path(shutil.copytree(pristine, tmp_path / "upstream"))


def seal_and_load(root: Path, loaded: LoadedPack) -> intake.Upstream:
    sealed = intake.seal_inputs(root, loaded)
    return load(root, sealed, loaded)


def load(root: Path, sealed: intake.SealedInputs, loaded: LoadedPack) -> intake.Upstream:
    pack = loaded.pack
    return intake.load_upstream(root, sealed, pack.codes("region"), pack.codes("merchant_class"))


def edit(root: Path, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Changes a table and seals its segment again: a valid seal over wrong content."""
    path = root / f"{name}.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    reseal(path.parent)


def reseal(folder: Path) -> None:
    for name in (bundle.FLAG, bundle.INDEX):
        (folder / name).unlink()
    bundle.seal(folder, [p.name for p in folder.iterdir()])


def set_value(name: str, row: int, value: object) -> Callable[[pa.Table], pa.Table]:
    """A change that replaces one value of one column."""

    def change(table: pa.Table) -> pa.Table:
        field = table.schema.field(name)
        values = table[name].to_pylist()
        values[row] = value
        at = table.schema.get_field_index(name)
        return table.set_column(at, field, pa.array(values, field.type))

    return change


def cast(name: str, dtype: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        return table.set_column(
            table.schema.get_field_index(name), name, pc.cast(table[name], dtype)
        )

    return change


def doubled(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(0, 1)])


def other_class(name: str) -> str:
    return "TRAVEL" if name != "TRAVEL" else "HOSPITALITY"


def many_countries(table: pa.Table) -> pa.Table:
    codes = [f"{a}{b}" for a in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for b in "ABCDEFGHIJ"]
    added = sorted(set(codes) - set(table["country_iso"].to_pylist()))
    rows = {"country_iso": added, "region_id": ["REGION_EMEA"] * len(added)}
    return pa.concat_tables([table, pa.table({**rows, "currency": ["EUR"] * len(added)})])


def test_an_intact_upstream_is_read(pristine: Path, loaded: LoadedPack) -> None:
    world = seal_and_load(pristine, loaded)
    geo, merchants = world.geo, world.merchants
    assert len(geo.countries) == 77
    assert list(geo.countries) == sorted(geo.countries)
    assert geo.outlets.sum() == 31_257
    assert geo.weekly_arrivals.sum() == pytest.approx(0.03 * 9_590_000)
    place = geo.countries.index("JP")
    assert loaded.pack.codes("region")[geo.region[place]] == "REGION_APAC"
    assert geo.currencies[geo.currency[place]] == "JPY"
    assert list(geo.currencies) == sorted(geo.currencies)
    assert (merchants.id == np.arange(1, 1_239)).all()
    assert merchants.outlets.sum() == 31_257
    assert merchants.outlets.max() == 2_546
    assert (merchants.cross_border * merchants.outlets).sum() == pytest.approx(
        0.386 * 31_257, abs=1
    )
    assert merchants.weekly_volume.sum() == pytest.approx(geo.weekly_arrivals.sum())
    risky = loaded.pack.codes("merchant_class").index("MONEY_SERVICES")
    assert (merchants.risk_class == risky).mean() == pytest.approx(0.03, abs=0.002)


def test_row_order_and_encodings_change_nothing(
    pristine: Path, root: Path, loaded: LoadedPack
) -> None:
    """Rows reversed, text dictionary-encoded and integers narrowed give the same world."""
    for name in (CATALOGUE, PLACES, PROFILE):
        edit(root, name, lambda t: t.take(np.arange(t.num_rows)[::-1].copy()))
    edit(root, CATALOGUE, cast("merchant_class", pa.dictionary(pa.int8(), pa.string())))
    edit(root, CATALOGUE, cast("merchant_id", pa.uint16()))
    edit(root, PLACES, cast("region_id", pa.large_string()))
    original, rewritten = seal_and_load(pristine, loaded), seal_and_load(root, loaded)
    for part in ("geo", "merchants"):
        a, b = vars(getattr(original, part)), vars(getattr(rewritten, part))
        for name in a:
            if isinstance(a[name], np.ndarray):
                assert a[name].dtype == b[name].dtype
                assert a[name] == pytest.approx(b[name], rel=1e-12)
            else:
                assert a[name] == b[name]


def test_sealed_rows_name_every_file_and_do_not_depend_on_the_folder(
    pristine: Path, root: Path, loaded: LoadedPack
) -> None:
    sealed, sealed_copy = intake.seal_inputs(pristine, loaded), intake.seal_inputs(root, loaded)
    assert sealed == sealed_copy
    names = {r.path for r in sealed.rows if r.role == "upstream"}
    files = {p.relative_to(pristine).as_posix() for p in pristine.rglob("*") if p.is_file()}
    assert names == {n for n in files if Path(n).name not in (bundle.FLAG, bundle.INDEX)}
    assert {
        r.path for r in sealed.rows if r.read_scope == "ROW_LEVEL" and r.role == "upstream"
    } == {f"{n}.parquet" for n in (CATALOGUE, PLACES, PROFILE)}
    assert {r.path for r in sealed.rows if r.role == "policy"} == set(loaded.files)
    documents = intake.documents(sealed, loaded)
    assert str(pristine) not in json.dumps(documents)
    receipt = documents["s0_gate_receipt_6A"]
    assert [s["segment"] for s in receipt["segments"]] == list(upstream.SEGMENTS)
    assert all(s["status"] == "PASS" for s in receipt["segments"])
    assert receipt["sealed_inputs_digest"] == sealed.digest
    assert set(documents["sealed_inputs_6A"]["rows"][0]) == {
        "owner_layer", "owner_segment", "manifest_key", "path", "schema_ref", "role", "status",
        "read_scope", "bytes", "sha256_hex",
    }  # fmt: skip


def test_one_changed_value_changes_the_digest(
    pristine: Path, root: Path, loaded: LoadedPack
) -> None:
    edit(root, "2B/day_effects", set_value("effect", 5, 1.25))
    assert intake.seal_inputs(root, loaded).digest != intake.seal_inputs(pristine, loaded).digest


@pytest.mark.parametrize("segment", upstream.SEGMENTS)
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda f: (f / bundle.FLAG).unlink(), "MISSING"),
        (shutil.rmtree, "MISSING"),
        (lambda f: (f / "extra.parquet").write_bytes(b""), "DIGEST_MISMATCH"),
        (lambda f: flip(next(f.glob("*.parquet"))), "DIGEST_MISMATCH"),
    ],
    ids=["flag", "segment", "extra", "bit"],
)
def test_damage_of_any_segment_is_refused(
    root: Path, loaded: LoadedPack, segment: str, damage: Callable[[Path], object], reason: str
) -> None:
    damage(root / segment)
    with pytest.raises(RefusedError) as caught:
        intake.seal_inputs(root, loaded)
    assert caught.value.code == HASHGATE + reason
    assert segment in caught.value.what
    assert segment in caught.value.where


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_no_upstream_at_all_is_refused(tmp_path: Path, loaded: LoadedPack) -> None:
    with pytest.raises(RefusedError) as caught:
        intake.seal_inputs(tmp_path / "nowhere", loaded)
    assert caught.value.code == HASHGATE + "MISSING"


TABLES = [(s, t) for s, tables in SCHEMAS.items() for t in tables]


@pytest.mark.parametrize(("segment", "table"), TABLES)
def test_a_table_that_is_not_sealed_is_refused(
    root: Path, loaded: LoadedPack, segment: str, table: str
) -> None:
    path = root / segment / f"{table}.parquet"
    path.rename(path.with_name("other.parquet"))
    reseal(path.parent)
    with pytest.raises(RefusedError, match=f"{segment} holds no table {table}"):
        intake.seal_inputs(root, loaded)


COLUMNS = [(s, t, c) for s, t in TABLES for c in SCHEMAS[s][t]]


@pytest.mark.parametrize(("segment", "table", "column"), COLUMNS)
def test_a_missing_column_or_one_of_another_type_is_refused(
    root: Path, loaded: LoadedPack, segment: str, table: str, column: str
) -> None:
    name = f"{segment}/{table}"
    changes = (
        cast_to_lists(column),
        lambda t: t.drop_columns([column]),
    )
    for change in changes:
        edit(root, name, change)
        with pytest.raises(RefusedError) as caught:
            seal_and_load(root, loaded)
        assert caught.value.code == HASHGATE + "SCHEMA_INVALID"
        assert column in caught.value.what
        assert table in caught.value.where


def cast_to_lists(name: str) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index(name)
        return table.set_column(at, name, pa.array([[1]] * table.num_rows))

    return change


Wrong = tuple[str, Callable[[pa.Table], pa.Table], type[FraudworldError], str]
WRONG: dict[str, Wrong] = {
    "no rows": (CATALOGUE, lambda t: t.slice(0, 0), RefusedError, "6A.S0.SEALED_INPUTS_EMPTY"),
    "no volumes": (PROFILE, lambda t: t.slice(0, 0), RefusedError, "6A.S0.SEALED_INPUTS_EMPTY"),
    "null merchant": (
        CATALOGUE,
        set_value("merchant_id", 3, None),
        RefusedError,
        "nulls in merchant_id",
    ),
    "null country": (PLACES, set_value("currency", 3, None), RefusedError, "nulls in currency"),
    "site twice": (CATALOGUE, doubled, RefusedError, "twice"),
    "site missing": (CATALOGUE, lambda t: t.slice(1), RefusedError, "final_country_outlet_count"),
    "ids from 0": (
        CATALOGUE,
        lambda t: t.set_column(0, "merchant_id", pc.subtract(t["merchant_id"], 1)),
        RefusedError,
        "without gaps",
    ),
    "ids with a gap": (
        CATALOGUE,
        lambda t: t.filter(pc.not_equal(t["merchant_id"], 7)),
        RefusedError,
        "without gaps",
    ),
    "two homes": (
        CATALOGUE,
        set_value("home_country_iso", 0, "UY"),
        RefusedError,
        "home_country_iso",
    ),
    "two classes": (
        CATALOGUE,
        lambda t: set_value("merchant_class", 0, other_class(t["merchant_class"][0].as_py()))(t),
        RefusedError,
        "merchant_class",
    ),
    "unknown class": (
        CATALOGUE,
        set_value("merchant_class", 0, "CASINO"),
        InputError,
        "CASINO",
    ),
    "unknown country": (CATALOGUE, set_value("legal_country_iso", 0, "ZZ"), InputError, "ZZ"),
    "unknown region": (
        PLACES,
        set_value("region_id", 0, "REGION_MARS"),
        InputError,
        "REGION_MARS",
    ),
    "country twice": (PLACES, doubled, RefusedError, "lists a country twice"),
    "too many countries": (PLACES, many_countries, RefusedError, "at most 255"),
    "volume negative": (
        PROFILE,
        set_value("weekly_volume_expected", 0, -1.0),
        RefusedError,
        "negative",
    ),
    "volume not a number": (
        PROFILE,
        set_value("weekly_volume_expected", 0, float("nan")),
        RefusedError,
        "not finite",
    ),
    "volume infinite": (
        PROFILE,
        set_value("weekly_volume_expected", 0, float("inf")),
        RefusedError,
        "not finite",
    ),
    "volume zero": (
        PROFILE,
        lambda t: t.set_column(
            t.schema.get_field_index("weekly_volume_expected"),
            "weekly_volume_expected",
            pa.array(np.zeros(t.num_rows)),
        ),
        RefusedError,
        "a total of 0",
    ),
    "volume of an unknown merchant": (
        PROFILE,
        set_value("merchant_id", 0, 9_999),
        RefusedError,
        "9999",
    ),
    "id beyond 64 bits": (
        CATALOGUE,
        lambda t: t.set_column(
            0, "merchant_id", pa.array(np.full(t.num_rows, 2**64 - 1, dtype=np.uint64))
        ),
        RefusedError,
        "beyond its range",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_table_with_invalid_content_is_refused(root: Path, loaded: LoadedPack, name: str) -> None:
    table, change, error, words = WRONG[name]
    edit(root, table, change)
    with pytest.raises(error) as caught:
        seal_and_load(root, loaded)
    assert words in str(caught.value)
    assert caught.value.exit_code in (2, 3)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"merchant_id,site_id\n1,1\n"])
def test_a_sealed_file_that_is_not_parquet_is_refused(
    root: Path, loaded: LoadedPack, content: bytes
) -> None:
    (root / "3A/zone_alloc.parquet").write_bytes(content)
    reseal(root / "3A")
    with pytest.raises(RefusedError, match="zone_alloc is not Parquet"):
        seal_and_load(root, loaded)


def test_damaged_data_pages_under_a_valid_seal_are_refused(root: Path, loaded: LoadedPack) -> None:
    """Footer and seal are valid; the data pages are noise."""
    path = root / f"{PROFILE}.parquet"
    data = bytearray(path.read_bytes())
    data[4 : len(data) // 2] = b"\xff" * (len(data) // 2 - 4)
    path.write_bytes(data)
    reseal(path.parent)
    with pytest.raises(RefusedError, match="merchant_zone_profile_5A cannot be read"):
        seal_and_load(root, loaded)


CHANGES: dict[str, Callable[[Path], Any]] = {
    "a bit": flip,
    "gone": lambda p: p.unlink(),
    "a folder": lambda p: (p.unlink(), p.mkdir()),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("table", [CATALOGUE, PROFILE])
def test_a_file_that_changes_after_sealing_is_refused(
    root: Path, loaded: LoadedPack, name: str, table: str
) -> None:
    sealed = intake.seal_inputs(root, loaded)
    CHANGES[name](root / f"{table}.parquet")
    with pytest.raises(RefusedError) as caught:
        load(root, sealed, loaded)
    assert caught.value.code == "6A.S0.SEALED_INPUTS_DIGEST_MISMATCH"
    assert table in caught.value.what


def test_an_upstream_replaced_after_sealing_is_refused(root: Path, loaded: LoadedPack) -> None:
    sealed = intake.seal_inputs(root, loaded)
    edit(root, PROFILE, set_value("weekly_volume_expected", 0, 1.0))
    with pytest.raises(RefusedError, match="SEALED_INPUTS_DIGEST_MISMATCH"):
        load(root, sealed, loaded)
    assert seal_and_load(root, loaded).merchants.n == 1_238
