"""What must not be written anywhere in the repository, and what every module must say."""

from __future__ import annotations

import ast
import re

import pytest

from repo import repository as repo

PLACES = re.compile(
    r"(?<![\w.])/(?:work|root|home|Users|mnt|opt)/\w"  # somebody's disk
    r"|\b(?:localhost|127\.0\.0\.1)\b|--(?:extra-)?index-url\b|\bfile://"
    r"|https?://[\w-]+(?:[:/\s]|$)|https?://(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))\."
)
UNFINISHED = re.compile(
    "|".join(("TO" + "DO", "FIX" + "ME", r"\bX" + r"XX\b", "NotImplemented" + "Error"))
)
LONGEST_MODULE = 500
LONG_FUNCTION = 40
SHARE_OF_SHORT = 0.9
THIS = "tests/repo/test_text.py"


def hits(pattern: re.Pattern[str], *, below: str = "") -> list[str]:
    found = []
    for path in repo.files():
        where = repo.name(path)
        if where == THIS or not where.startswith(below):
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{where}:{number}: {line.strip()[:90]}")
    return found


def test_no_place_or_host_of_one_machine() -> None:
    assert hits(PLACES) == []


@pytest.mark.parametrize("below", ["src/", "tests/", "docs/", "benches/"])
def test_nothing_is_left_unfinished(below: str) -> None:
    assert hits(UNFINISHED, below=below) == []


@pytest.mark.parametrize(
    ("line", "caught"),
    [
        ("see /home/someone/x", True),
        ("http://mirror/simple", True),
        ("https://www.apache.org/licenses/", False),
        ("data/work/x and a/root/b", False),
    ],
)
def test_the_pattern_of_places(line: str, caught: bool) -> None:
    assert bool(PLACES.search(line)) is caught


def test_every_module_class_and_function_in_the_open_is_documented() -> None:
    silent = []
    for where, tree in repo.modules().items():
        if tree.body and ast.get_docstring(tree) is None:
            silent.append(where)
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                documented = ast.get_docstring(node) is not None
                # A policy model of two fields is documented by its file and its fields.
                if not documented and where != "src/fraudworld/policy/models.py":
                    silent.append(f"{where}: {node.name}")
    assert silent == []


def test_modules_are_short() -> None:
    long = {
        where: lines
        for where in repo.modules()
        if (lines := len((repo.ROOT / where).read_text("utf-8").splitlines())) > LONGEST_MODULE
    }
    assert long == {}


def test_functions_mostly_fit_on_a_screen() -> None:
    lengths = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for tree in repo.modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    ]
    assert sum(n <= LONG_FUNCTION for n in lengths) / len(lengths) >= SHARE_OF_SHORT


def test_only_the_command_line_prints() -> None:
    loud = []
    for where, tree in repo.modules().items():
        # The script that goes along with a run is a program of its own.
        if where.startswith(("src/fraudworld/cli", "src/fraudworld/store/standalone/")):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called == "print" or called.startswith(("sys.stdout", "sys.stderr")):
                    loud.append(f"{where}:{node.lineno}: {called}")
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
                if (module or "").split(".")[0] in {"rich", "typer"}:
                    loud.append(f"{where}:{node.lineno}: imports {module}")
    assert loud == []
