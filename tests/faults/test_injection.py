"""Hostile strings × where they come from × where they leave: refused by code, or emitted inert.

The first half holds every string against every sink. The second brings one string that is all of
them from every source to the commands that show, store or export it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pytest

import fraudworld as fw
from fraudworld.cli import output
from fraudworld.contracts import BY_NAME, Kind
from fraudworld.contracts.profiles import PROFILE_TABLES
from fraudworld.errors import InputError
from fraudworld.export import checked, files, graphs
from fraudworld.policy.loader import SHIPPED, load_pack
from fraudworld.report import html
from fraudworld.request import Progress, SummaryTable
from fraudworld.store.sql import identifier, quoted
from fraudworld.text import KEPT
from support import tampering
from support.calling import CallResult

Call = Callable[..., CallResult]
Capture = pytest.CaptureFixture[str]

HOSTILE = {
    "escape": "\x1b[2J\x1b]0;owned\x07",
    "link": "\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "c1": "\x9b2J\x9d0;owned\x9c",
    "markup": "[red]x[/red] [link=https://evil.example]y[/link] \\",
    "emoji": ":warning: :skull:",
    "html": "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&",
    "close": "</script><!-- ]]>",
    "formula": "=HYPERLINK(A1)|'/C calc'!A0",
    "formula_plus": "+1+cmd",
    "formula_minus": "-2+3",
    "formula_at": "@SUM(A1)",
    "formula_tab": "\t=1",
    "shell": "$(touch owned) `touch owned`; touch owned",
    "quotes": "'\"''\"\"\\'",
    "lines": "x\nEverything this run claims holds.\r\n  code 6A.FORGED",
    "separators": "x\u2028Everything this run claims holds.\u2029\x85",
    "nul": "a\x00b",
    "surrogate": "a\ud800b\udfff",
    "bidi": "a\u202egpj.exe\u2066\u200f\ufeff",
    "sql": "'; DROP TABLE s1_party_base_6A; --",
    "csv": 'a,b"\n"=1',
}
ALL = " ".join(HOSTILE.values())
LINE = re.compile(r" {0,6}(Everything this run|code 6A\.F)")
"""A forged line: lines of an error block begin in the first seven columns."""


def inert(text: str) -> None:
    """Asserts that a terminal, or a reader of lines, sees nothing but characters."""
    strange = {c for c in text if not c.isprintable() and c not in KEPT + "\n"}
    assert not strange, f"{strange} in {text!r}"
    assert not [line for line in text.split("\n") if LINE.match(line)]
    text.encode()


BOARD = {
    "test_id": "T1", "metric_name": "m", "value": 1.0, "threshold_B": 1.0, "threshold_Bplus": 1.0,
    "ci_low": 0.5, "ci_high": 1.5, "status": "PASS", "pass_B": True, "pass_Bplus": True,
}  # fmt: skip


def board(text: str) -> dict[str, Any]:
    """A gateboard with `text` wherever a hostile document could put one."""
    row = {**BOARD, **dict.fromkeys(("test_id", "metric_name", "value", "ci_low", "ci_high"), text)}
    guard = {"guard_id": text, "holds": False, "value": text, "bound": text}
    routing = [{"test_id": text, "metric_name": text, "owner": text}]
    return {"tests": [BOARD, row], "guards": [guard], "grade": text, "routing": routing}


def progress(text: str) -> None:
    with output.ProgressLines(quiet=False) as shown:
        shown.section(text)
        shown(Progress("S1", text, 1, 1, 5, 0.1))
        shown(Progress(text, text, 1, 1, 0, 0.1))


TERMINAL: dict[str, Callable[[str], object]] = {
    "lines": lambda text: output.lines([text]),
    "table": lambda text: output.table(
        SummaryTable(text, (text, "n"), ((text, 1), ([text], None), ({text: 1}, 2.5)), text)  # type: ignore[arg-type]
    ),
    "gateboard": lambda text: output.gateboard(board(text)),
    "progress": progress,
    "warning": output.warn,
    "error": lambda text: output.error_block(InputError(text, text, where=text, remedy=text)),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("sink", TERMINAL)
def test_a_terminal_is_shown_characters_only(name: str, sink: str, capsys: Capture) -> None:
    TERMINAL[sink](HOSTILE[name])
    shown = capsys.readouterr()
    inert(shown.out + shown.err)
    if name in ("markup", "emoji", "html", "formula"):
        squeezed = "".join((shown.out + shown.err).split())
        assert "".join(HOSTILE[name].split()) in squeezed, "shown as it is, not interpreted"


@pytest.mark.parametrize("name", HOSTILE)
def test_json_on_stdout_keeps_every_string_as_escapes(name: str, capsys: Capture) -> None:
    value = {HOSTILE[name]: [HOSTILE[name], {"x": HOSTILE[name]}]}
    output.json_document(value)
    text = capsys.readouterr().out
    inert(text)
    assert json.loads(text) == value


class Reader(HTMLParser):
    """Collects tags, attributes and text of a page as a browser would."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", HOSTILE)
def test_html_holds_text_only(name: str) -> None:
    text = HOSTILE[name]
    page = html.el("p", text, html.table(text, [text], [[text, text]]), title=text)
    page.encode()
    read = Reader(page)
    assert {tag for tag, _ in read.tags} == {
        "p", "div", "table", "caption", "thead", "tbody", "tr", "th", "td",
    }  # fmt: skip
    assert {key for _, given in read.tags for key in given} <= {
        "title", "class", "tabindex", "role", "aria-label", "scope",
    }  # fmt: skip
    assert not [c for c in page if not c.isprintable() and c not in KEPT + "\n\t"]


@pytest.mark.parametrize("name", HOSTILE)
def test_data_of_a_page_cannot_leave_its_element(name: str) -> None:
    page = html.data("facts", {HOSTILE[name]: HOSTILE[name]})
    page.encode()
    read = Reader(page)
    assert [tag for tag, _ in read.tags] == ["script"]
    assert json.loads(read.text) == {HOSTILE[name]: HOSTILE[name]}
    assert page.count("<") == 2


@pytest.mark.parametrize("name", [n for n in HOSTILE if n not in ("nul", "surrogate")])
def test_sql_reads_text_as_text(name: str) -> None:
    with duckdb.connect() as sql:
        column = identifier(HOSTILE[name])
        sql.execute(f"CREATE TABLE t AS SELECT {quoted(HOSTILE[name])} AS {column}")
        assert sql.execute("FROM t").fetchall() == [(HOSTILE[name],)]


# --- from a run's tables to every export ------------------------------------------------------


SQL_OF = {
    Kind.INT: "1::BIGINT",
    Kind.CODE: "'CODE'",
    Kind.REAL: "-1.5::DOUBLE",
    Kind.DATE: "DATE '2026-01-01'",
    Kind.MOMENT: "'2026-01-01 00:00:00+00'::TIMESTAMPTZ",
    Kind.WORD: "'Zoë'",
    Kind.TEXT: "'zoe+2@mail.example'",
    Kind.FLAG: "true",
}
ALL_TABLES = (*BY_NAME.values(), *PROFILE_TABLES)


class Rows:
    """A world whose connection is given."""

    root = Path("a-run")

    def __init__(self, values: dict[str, dict[str, str]]) -> None:
        self.sql = duckdb.connect()
        for table in ALL_TABLES:
            given = values.get(table.name, {})
            columns = (f"{given.get(c.name, SQL_OF[c.kind])} AS {c.name}" for c in table.columns)
            self.sql.execute(f"CREATE VIEW {table.name} AS SELECT {', '.join(columns)}")

    def duckdb(self, *, profiles: bool = True) -> duckdb.DuckDBPyConnection:
        return self.sql


def test_a_world_of_codes_and_numbers_is_exported() -> None:
    assert checked.source(Rows({})).execute("FROM s1_party_base_6A").fetchall()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [n for n in HOSTILE if n not in ("nul", "surrogate")])
@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("s1_party_base_6A", "country_iso"),
        ("s2_account_base_6A", "currency"),
        ("s4_network_summary_6A", "metric_id"),
        ("s5_party_fraud_roles_6A", "raw_role"),
        ("s4_device_links_6A", "link_role"),
    ],
)
@pytest.mark.parametrize(
    "write", [files.to_duckdb, files.to_csv, graphs.to_neo4j], ids=["duckdb", "csv", "neo4j"]
)
def test_a_table_with_a_string_that_is_no_code_is_not_exported(
    write: Callable[..., None], table: str, column: str, name: str, tmp_path: Path
) -> None:
    world = Rows({table: {column: quoted(HOSTILE[name])}})
    with pytest.raises(InputError) as caught:
        write(world, tmp_path, observable=False)
    assert caught.value.code == "6A.CLI.EXPORT_SOURCE_INVALID"
    assert caught.value.where == f"{table}.{column}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("value", "said"),
    [("'=1+1'", "it is VARCHAR"), ("1.5::DOUBLE", "it is DOUBLE"), ("chr(0)", "it is VARCHAR")],
)
def test_a_number_column_that_holds_text_is_not_exported(value: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        checked.source(Rows({"s1_party_base_6A": {"party_id": value}}))  # type: ignore[arg-type]


NAMED = [
    ("p0_place_6P", "name"),
    ("p1_party_identity_6P", "legal_name"),
    ("p1_party_identity_6P", "street_address"),
    ("p2_account_profile_6P", "iban"),
]


@pytest.mark.parametrize("name", [n for n in HOSTILE if n not in ("nul", "surrogate")])
@pytest.mark.parametrize(("table", "column"), NAMED)
@pytest.mark.parametrize("write", [files.to_duckdb, files.to_csv], ids=["duckdb", "csv"])
def test_a_profile_with_a_string_that_is_no_name_is_not_exported(
    write: Callable[..., None], table: str, column: str, name: str, tmp_path: Path
) -> None:
    world = Rows({table: {column: quoted(HOSTILE[name])}})
    with pytest.raises(InputError) as caught:
        write(world, tmp_path, observable=True, profiles=PROFILE_TABLES)
    assert caught.value.code == "6A.CLI.EXPORT_SOURCE_INVALID"
    assert caught.value.where == f"{table}.{column}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "value", ["", " a", "+49 1", "+1+1", "x" * 161, "-", "'=1", "a\tb", "a\n", 'a"b']
)
def test_a_name_that_a_reader_would_mistake_is_not_exported(value: str) -> None:
    world = Rows({"p1_party_identity_6P": {"email": quoted(value)}})
    with pytest.raises(InputError, match="which is no name"):
        checked.source(world, ALL_TABLES)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    ["+4915123456789", "N'Djamena", "’s-Hertogenbosch", "บริษัท (ไทย)", "O. Ó & Co.", "2001:db8::1",
     "12/3, rue de l’Est", "a+2@b.example", "ശ്രീ\u200d", "x" * 160],
)  # fmt: skip
def test_names_numbers_and_addresses_are_exported(value: str) -> None:
    world = Rows({"p1_party_identity_6P": {"email": quoted(value)}})
    checked.source(world, ALL_TABLES)  # type: ignore[arg-type]


def test_a_code_with_a_nul_or_beyond_its_length_is_not_exported() -> None:
    for value in ("'a' || chr(0)", "repeat('a', 65)", "''"):
        with pytest.raises(InputError, match="which is no code"):
            checked.source(Rows({"s1_party_base_6A": {"country_iso": value}}))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a'b", "$(touch owned)", "`touch owned`; x", "a b[c]*"])
def test_exports_into_a_folder_of_any_name(small_world: Path, tmp_path: Path, name: str) -> None:
    world = fw.open_run(small_world)
    dest = tmp_path / name
    dest.mkdir()
    graphs.to_neo4j(world, dest, observable=True)
    assert (dest / "nodes_party.csv").stat().st_size > 100_000
    script = dest / "import.sh"
    assert name not in script.read_text()
    tool = tmp_path / "neo4j-admin"
    tool.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    tool.chmod(0o755)
    ran = subprocess.run(
        ["sh", str(script)], cwd=dest, env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = ran.stdout.splitlines()
    assert said[:4] == ["database", "import", "full", "fraudworld"]
    assert all((dest / word.rpartition("=")[2]).is_file() for word in said[4:])
    assert not (dest / "owned").exists()


# --- from every other source to the commands that show it -------------------------------------


def outcome(result: CallResult) -> None:
    """Asserts a status of the contract other than an internal error, and inert output."""
    assert result.status in (0, 1, 2, 3), result.err
    inert(result.out + result.err)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_policy_file_with_a_hostile_code_is_refused(
    fraudworld: Call, tmp_path: Path, name: str
) -> None:
    pack = Path(shutil.copytree(SHIPPED, tmp_path / "pack"))
    path = pack / "taxonomy/party_taxonomy_6A.v1.yaml"
    spelled = json.dumps(HOSTILE[name])
    path.write_text(path.read_text().replace("BUSINESS_SME:", f"{spelled}:"), "utf-8")
    for words in (("policy", "lint"), ("policy", "show", "--json")):
        result = fraudworld(*words, "--policy", pack)
        outcome(result)
        assert result.status == 2
        assert "6A.S0.PRIOR_PACK_SCHEMA_INVALID" in result.err


@pytest.mark.parametrize("name", HOSTILE)
def test_an_overlay_of_any_name_and_note_is_refused_or_shown_inert(
    fraudworld: Call, tmp_path: Path, name: str
) -> None:
    text = HOSTILE[name]
    path = tmp_path / "hostile.yaml"
    body = {"name": text, "why": text, "set": {text: {text: text}}, text: text}
    path.write_text(json.dumps(body), "utf-8")
    result = fraudworld("policy", "lint", "--overlay", path, "--json")
    outcome(result)
    assert result.status == 2
    assert json.loads(result.out)["error"]["code"] == "6A.S0.PRIOR_PACK_SCHEMA_INVALID"


EXPECTED = {"runs list": {0, 2}, "upstream check": {2, 3}}
"""Statuses other than bad input: an empty runs root, a folder without sealed segments."""


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize(
    "words",
    [
        ("gates", "{}"), ("runs", "show", "{}"), ("runs", "list", "--runs-root", "{}"),
        ("verify", "{}"), ("report", "{}"), ("export", "{}", "--to", "csv"),
        ("export", "x", "--to", "{}"), ("run", "--role", "{}"), ("run", "--run-id", "{}"),
        ("run", "--profile", "{}"), ("run", "--engine", "{}"), ("run", "--overlay", "{}"),
        ("run", "--from", "{}", "--base", "{}"), ("policy", "show", "{}"),
        ("certify", "--seeds", "{}"), ("upstream", "check", "{}"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_name_on_the_command_line_is_refused_and_shown_inert(
    fraudworld: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...],
    name: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    given = [word.replace("{}", HOSTILE[name]) for word in words]
    # A word that begins with a dash is an option to the parser, and never reaches a command.
    given = [f"./{word}" if word[:2] == "-2" else word for word in given]
    for more in ([], ["--json"]):
        result = fraudworld(*given, *more)
        outcome(result)
        assert result.status in EXPECTED.get(" ".join(words[:2]), {2})
        assert not (tmp_path / "owned").exists()


STRINGS = {
    "run_receipt.json": ("profile", "overlays", "role", "grade", "created_at", "versions"),
    "data/layer3/6A/validation/realism_gate_6A.json": ("tests", "guards", "grade", "routing"),
    "run_index.json": ("files", "digest"),
    "data/layer3/6A/s0_gate_receipt_6A.json": ("segments", "policy_pack"),
}
"""Documents of a run, and their keys under which every string becomes hostile."""


def poisoned(value: object, text: str) -> object:
    """The value with every string, but no key, replaced."""
    if isinstance(value, dict):
        return {key: poisoned(inner, text) for key, inner in value.items()}
    if isinstance(value, list):
        return [poisoned(inner, text) for inner in value] or [text]
    return text if isinstance(value, str) else value


FAST = {
    ("run_receipt.json", "overlays"),
    ("data/layer3/6A/validation/realism_gate_6A.json", "tests"),
}
"""Cases of the fast tests; the others, about ten seconds each, are under the marker `full`."""


@pytest.mark.parametrize(
    ("document", "key"),
    [
        pytest.param(name, key, marks=() if (name, key) in FAST else pytest.mark.full)
        for name, keys in STRINGS.items()
        for key in keys
    ],
)
def test_hostile_strings_in_documents_of_a_run_are_refused_or_shown_inert(
    fraudworld: Call, small_world: Path, tmp_path: Path, document: str, key: str
) -> None:
    copy = tampering.copied(small_world, tmp_path / "runs" / small_world.name)
    path = copy / document
    content = json.loads(path.read_text("utf-8"))
    text = ALL.replace(HOSTILE["surrogate"], "")
    content[key] = poisoned(content.get(key), text)
    tampering.replace(path, json.dumps(content).encode())
    for words in (
        ("runs", "show", copy), ("runs", "list", "--runs-root", copy.parent), ("report", copy),
        ("verify", copy), ("perf", "show", copy),
        ("export", copy, "--to", "neo4j", "--out", tmp_path / "out"),
    ):  # fmt: skip
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        for more in ([], ["--json"]):
            shutil.rmtree(tmp_path / "out", ignore_errors=True)
            result = fraudworld(*words, *more)
            outcome(result)
            if more and result.status != 2:
                json.loads(result.out)
    page = (copy / "reports/report.html").read_text("utf-8")
    assert "<img src=x" not in page
    assert "<script>alert" not in page
    assert not [c for c in page if not c.isprintable() and c not in KEPT + "\n\t"]


@pytest.mark.parametrize(
    "data", [b'{"grade": "\\ud800"}', b'{"grade": "\xed\xa0\x80"}', b'{"seed": 1e999}']
)
def test_documents_with_half_a_character_or_an_infinity_are_refused(
    fraudworld: Call, small_world: Path, tmp_path: Path, data: bytes
) -> None:
    copy = tampering.copied(small_world, tmp_path / small_world.name)
    tampering.replace(copy / "run_receipt.json", data)
    for more in ([], ["--json"]):
        result = fraudworld("runs", "show", copy, *more)
        outcome(result)
        assert (result.status, "6A.CLI.EVIDENCE_UNREADABLE" in result.err) == (2, True)


def test_codes_of_the_shipped_pack_are_exported() -> None:
    pack = load_pack().pack
    names = {c.codes for t in BY_NAME.values() for c in t.columns if c.codes}
    with duckdb.connect() as sql:
        for name in names - {"country", "currency"}:
            for code in pack.codes(name):
                match = f"SELECT regexp_full_match({quoted(code)}, {quoted(checked.CODE)})"
                assert sql.execute(match).fetchall() == [(True,)]
