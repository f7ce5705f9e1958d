"""Untrusted policies, upstreams and runs: bombs, links, formulas, markup, terminal sequences.

A command refuses hostile content with a typed error (status 1, 2 or 3), keeps its memory small, and
prints nothing that a browser, a spreadsheet or a terminal would execute.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudworld.errors import FraudworldError, InputError, RefusedError
from fraudworld.inputs import embedded as upstream
from fraudworld.inputs import intake
from fraudworld.inputs.arrivals import load_arrivals
from fraudworld.policy.loader import SHIPPED, load_pack
from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from fraudworld.store import bundle
from fraudworld.text import printable
from support import tampering
from support.calling import CallResult

Call = Callable[..., CallResult]
MARKUP = "<img src=x onerror=alert(1)>"
SMALL = 1 << 30
DEEP = b"[" * 200_000


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("upstream") / "pristine"
    upstream.build(folder, volume_scale=0.02)
    return folder


@pytest.fixture
def root(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "upstream"))


def seal_again(folder: Path) -> None:
    """Seals a segment again, as a hostile owner would."""
    own = {bundle.FLAG, bundle.INDEX}
    bundle.seal(folder, [p.name for p in folder.iterdir() if p.name not in own])


def read_upstream(root: Path) -> intake.Upstream:
    loaded = load_pack()
    pack = loaded.pack
    return intake.load_upstream(
        root, intake.seal_inputs(root, loaded), pack.codes("region"), pack.codes("merchant_class")
    )


def fill_column(path: Path, column: str, values: list[object]) -> None:
    """Replace a column by `values`, repeated to its length."""
    data = pq.read_table(path)
    dtype = data.schema.field(column).type
    dtype = dtype.value_type if pa.types.is_dictionary(dtype) else dtype
    # Dictionary-encoded: a megabyte of text times a thousand rows must not fill this process.
    at = np.arange(data.num_rows, dtype=np.int32) % len(values)
    filled = pa.DictionaryArray.from_arrays(pa.array(at), pa.array(values, dtype))
    plain = filled if pa.types.is_string(dtype) else filled.cast(dtype)
    pq.write_table(data.set_column(data.column_names.index(column), column, plain), path)
    seal_again(path.parent)


def bomb(path: Path, rows: int) -> int:
    """The same row `rows` times, run-length encoded; returns the bytes on disk."""
    row = pq.read_table(path).slice(0, 1)
    piece = row.take(pa.array(np.zeros(1_000_000, np.int32)))
    with pq.ParquetWriter(path, piece.schema, compression="zstd") as writer:
        for _ in range(rows // 1_000_000):
            writer.write_table(piece)
    seal_again(path.parent)
    return path.stat().st_size


@pytest.mark.parametrize("name", ["1A/country_geography", "5A/merchant_zone_profile_5A"])
def test_a_parquet_bomb_is_refused_before_it_is_unpacked(root: Path, name: str) -> None:
    size = bomb(root / f"{name}.parquet", 40_000_000)
    assert size < 5_000_000, "small on disk, forty million rows"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RefusedError, match="unpacks to"):
        read_upstream(root)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < SMALL


def test_one_long_text_is_refused_before_it_is_repeated(root: Path) -> None:
    fill_column(root / "1A/outlet_catalogue.parquet", "merchant_class", ["x" * 1_000_000])
    with pytest.raises(RefusedError, match="a text of 1000000 bytes"):
        read_upstream(root)


@pytest.mark.parametrize(
    ("column", "value"),
    [("country_iso", "=1"), ("country_iso", "<b"), ("currency", "@A("), ("currency", "'; ")],
)
def test_country_and_currency_codes_that_are_not_iso_are_refused(
    root: Path, column: str, value: str
) -> None:
    fill_column(root / "1A/country_geography.parquet", column, [value])
    with pytest.raises(FraudworldError, match=r"use ISO codes|twice"):
        read_upstream(root)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("5A/merchant_zone_profile_5A", "tzid", "../../../../etc/passwd"),
        ("5A/merchant_zone_profile_5A", "tzid", "No/Where"),
        ("3B/virtual_classification", "merchant_id", 1 << 40),
        ("3B/virtual_classification", "merchant_id", -7),
        ("2B/day_effects", "effect", -1.0),
        ("2B/day_effects", "effect", float("nan")),
    ],
)
def test_a_hostile_arrival_table_is_refused(
    root: Path, table: str, column: str, value: object
) -> None:
    fill_column(root / f"{table}.parquet", column, [value])
    with pytest.raises(InputError, match="ARRIVAL_LAW_INVALID"):
        load_arrivals(root, 42, read_upstream(root).geo.countries)


def test_a_deeply_nested_arrival_law_is_refused(root: Path) -> None:
    (root / "5B/arrival_law.json").write_bytes(DEEP)
    seal_again(root / "5B")
    with pytest.raises(InputError, match="ARRIVAL_LAW_INVALID"):
        load_arrivals(root, 42, read_upstream(root).geo.countries)


def test_a_segment_that_is_a_link_is_refused(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (root / "2A").rename(outside)
    (root / "2A").symlink_to(outside)
    with pytest.raises(RefusedError, match="its folder is a link"):
        read_upstream(root)


@pytest.mark.parametrize(
    "code", ["=1+1", "+A", "-A", "@SUM(A1)", "A B", MARKUP, "x'; --", "A" * 65]
)
def test_a_policy_code_with_special_characters_is_refused(tmp_path: Path, code: str) -> None:
    """Codes become cells of exported tables, so none may be a formula or markup."""
    pack = Path(shutil.copytree(SHIPPED, tmp_path / "pack"))
    path = pack / "taxonomy/device_taxonomy_6A.v1.yaml"
    text = path.read_text("utf-8")
    old = load_pack().pack.codes("os_family")[0]
    path.write_text(text.replace(old, json.dumps(code)), "utf-8")
    with pytest.raises(InputError) as caught:
        load_pack(pack)
    assert "is no code" in caught.value.what


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\n" + "".join(f"b{i}: [*a, *a, *a]\n" for i in range(9)),
        "a: !!python/object/apply:os.system ['true']",
        "a: !!binary aGk=",
        "a: &a {<<: *a}",
        "".join(" " * i + "a:\n" for i in range(900)),
        "a: " + "[" * 5_000,
        "a: " + "x" * (1 << 20),
    ],
)
def test_a_yaml_bomb_is_refused_and_its_file_named(tmp_path: Path, text: str) -> None:
    pack = Path(shutil.copytree(SHIPPED, tmp_path / "pack"))
    (pack / "taxonomy/ip_taxonomy_6A.v1.yaml").write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        load_pack(pack)
    assert "ip_taxonomy_6A.v1.yaml" in caught.value.what


@pytest.mark.parametrize("file_type", ["link out", "folder", "pipe"])
def test_a_policy_file_that_is_not_a_regular_file_is_refused(
    tmp_path: Path, file_type: str
) -> None:
    import os

    pack = Path(shutil.copytree(SHIPPED, tmp_path / "pack"))
    path = pack / "taxonomy/ip_taxonomy_6A.v1.yaml"
    path.unlink()
    if file_type == "link out":
        path.symlink_to("/etc/hostname")
    elif file_type == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)
    with pytest.raises(InputError, match="ip_taxonomy"):
        load_pack(pack)


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose overlay has a name with markup and a terminal sequence."""
    folder = tmp_path_factory.mktemp("marked")
    name = f"{MARKUP}\x1b]0;owned\x07[bold]"
    overlay = folder / f"{name}.yaml"
    body = {
        "name": name,
        "why": "</script><script>alert(2)</script>",
        "set": {"population_priors": {"country_floor": {"minimum": 40}}},
    }
    overlay.write_text(json.dumps(body), "utf-8")
    request = RunRequest(
        profile="demo", scale=0.05, runs_root=folder / "runs", overlays=(str(overlay),)
    )
    return pipeline.run(request).place.root


def test_markup_in_a_name_is_escaped_in_the_report(marked: Path) -> None:
    html = (marked / "reports/report.html").read_text("utf-8")
    receipt = json.loads((marked / "run_receipt.json").read_text("utf-8"))
    assert MARKUP in receipt["overlays"][0], "the receipt keeps the name as it is"
    assert MARKUP not in html
    assert "alert(2)" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html


def test_terminal_sequences_in_a_name_are_not_printed(fraudworld: Call, marked: Path) -> None:
    for words in (("runs", "show", marked), ("runs", "list", "--runs-root", marked.parent)):
        result = fraudworld(*words)
        assert result.status == 0
        assert "\x1b" not in result.out + result.err
    assert printable("a\x1b[2J\u202eb\n") == "a\\x1b[2J\\u202eb\n"
    assert printable("1\N{NARROW NO-BREAK SPACE}000 €") == "1\N{NARROW NO-BREAK SPACE}000 €"


@pytest.mark.parametrize(
    "name",
    [
        "run_receipt.json", "run_index.json", "reports/attestation.json",
        "data/layer3/6A/resolved_policy_6A.json", "data/layer3/6A/sealed_inputs_6A.json",
        "data/layer3/6A/s0_gate_receipt_6A.json",
        "data/layer3/6A/validation/realism_gate_6A.json",
        "data/layer3/6A/validation/validation_bundle_index_6A.json",
        "data/layer3/6A/validation/s5_validation_report_6A.json",
    ],
)  # fmt: skip
@pytest.mark.parametrize("data", [DEEP, b"\xff", b"7", b"{}", b'{"a": NaN}'], ids=range(5))
def test_a_hostile_document_of_a_run_is_refused_by_every_command(
    fraudworld: Call, marked: Path, tmp_path: Path, name: str, data: bytes
) -> None:
    copy = tampering.copied(marked, tmp_path / "copy")
    tampering.replace(copy / name, data)
    for words in (
        ("verify", copy), ("gates", copy), ("report", copy), ("runs", "show", copy),
        ("attest", copy), ("transactions", copy, "--days", "1"),
        ("runs", "list", "--runs-root", tmp_path),
    ):  # fmt: skip
        result = fraudworld(*words)
        assert result.status in (0, 1, 2, 3), (words, result.err)
        assert "Traceback" not in result.err + result.out
    assert fraudworld("verify", copy).status == 1


def test_a_parquet_bomb_in_a_run_does_not_fill_memory(marked: Path, tmp_path: Path) -> None:
    """The seal is checked first: bytes that differ from the sealed ones are never unpacked."""
    copy = tampering.copied(marked, tmp_path / "copy")
    part = next((copy / "data/layer3/6A/s1_party_summary_6A").rglob("part-*.parquet"))
    shutil.copy(part, tmp_path / "part.parquet")
    bomb_path = tmp_path / "segment" / "part.parquet"
    bomb_path.parent.mkdir()
    shutil.copy(part, bomb_path)
    bomb(bomb_path, 20_000_000)
    tampering.replace(part, bomb_path.read_bytes())
    code = """
        import re, sys
        from pathlib import Path
        from fraudworld.verification import verify
        failure = verify(Path(sys.argv[1])).first_failure
        # Not ru_maxrss, which starts at the peak of the parent process.
        status = Path("/proc/self/status").read_text()
        print(failure.group, re.search("VmHWM:[^0-9]*([0-9]+)", status).group(1))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(copy)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    group, peak = result.stdout.split()
    assert group == "seal"
    assert int(peak) * 1024 < SMALL
