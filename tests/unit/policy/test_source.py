"""Reading untrusted YAML: bounded size and depth, no tags or aliases, every fault named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fraudworld.policy.source import MAX_BYTES, Fault, parse, read, scalar


def faults_of(raw: bytes) -> list[str]:
    faults: list[Fault] = []
    parse(raw, "f.yaml", faults)
    return [str(f) for f in faults]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "empty"),
        (b"# only a comment\n", "empty"),
        (b"- a\n- b\n", "not a mapping"),
        (b"a: [1, 2\n", "not YAML"),
        (b"a: 1\n b: 2\n", "not YAML"),
        (b"a: \xff\xfe\n", "not UTF-8 (byte 3)"),
        (b"a: 1\n---\nb: 2\n", "not YAML"),
        (b"a: 1\nb: {c: 1, c: 2}\n", "b.c: the key appears twice (line 2)"),
        (b"a: &x [1]\nb: *x\n", "b: aliases are not allowed"),
        (b"a: &x {b: *x}\n", "a.b: aliases are not allowed"),
        (b"a: !!python/object:os.system x\n", "a: the tag"),
        (b"a: {<<: {b: 1}}\n", "a: merge keys are not allowed"),
        (b"? [a, b]\n: 1\n", "a key must be a word"),
        (b"a: " + b"[" * 400 + b"]" * 400, "nested deeper"),
        (b"a:\n" + b"".join(b" " * i + b"- b:\n" for i in range(1, 80, 2)), "nested deeper"),
        (b"a: " + b"x" * 2000, "longer than"),
        (b"- " * 100_000 + b"a", "longer than"),
        (b"a: \x00\n", "not YAML"),
    ],
)
def test_bad_documents_are_faults(raw: bytes, message: str) -> None:
    faults = faults_of(raw)
    assert len(faults) >= 1
    assert any(message in text for text in faults), faults


def test_an_alias_bomb_is_refused_before_it_expands() -> None:
    levels = [b"a0: &a0 [x, x]"]
    levels += [b"a%d: &a%d [*a%d, *a%d]" % (i, i, i - 1, i - 1) for i in range(1, 60)]
    assert all("aliases" in text for text in faults_of(b"\n".join(levels)))


@given(
    st.binary(max_size=300)
    | st.text(alphabet="ab:-[]{}&*!#\"'\n ,0.1", max_size=200).map(str.encode)
)
@example(b"a: 1e999")
@example(b"\xef\xbb\xbfa: 1")
def test_any_bytes_give_data_or_faults_never_a_traceback(raw: bytes) -> None:
    faults: list[Fault] = []
    data = parse(raw, "f.yaml", faults)
    assert isinstance(data, dict) or faults


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("NO", "NO"), ("off", "off"), ("yes", "yes"), ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"), ("true", True), ("null", None), ("7", 7), ("-3", -3),
        ("1e-3", 0.001), (".5", 0.5), ("1.", 1.0), (".nan", ".nan"), ("0x10", "0x10"),
    ],
)  # fmt: skip
def test_plain_scalars_follow_the_yaml_core_schema(text: str, value: object) -> None:
    assert scalar(text) == value
    assert type(scalar(text)) is type(value)


def test_a_quoted_number_stays_text() -> None:
    assert parse(b"a: '1'\nb: 1\n", "f", []) == {"a": "1", "b": 1}


def test_links_out_of_the_folder_and_large_files_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside.yaml").write_text("a: 1")
    (root / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    (root / "loop.yaml").symlink_to(root / "loop.yaml")
    (root / "big.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    (root / "folder.yaml").mkdir()
    faults: list[Fault] = []
    for name in ("link", "loop", "big", "folder", "absent"):
        assert read(root / f"{name}.yaml", f"{name}.yaml", root, faults) is None
    messages = "\n".join(map(str, faults))
    assert "link.yaml: a link that leads out" in messages
    assert "loop.yaml: cannot be read" in messages
    assert "big.yaml: larger than" in messages
    assert "folder.yaml: not a regular file" in messages
    assert "absent.yaml: the file is missing" in messages
    assert len(faults) == 5
