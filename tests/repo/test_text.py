"""Text that no file of the repository may contain, and docstrings that every module must have."""

from __future__ import annotations

import ast
import re

import pytest

from repo import repository as repo

PLACES = re.compile(
    r"(?<![\w.])/(?:work|root|home|Users|mnt|opt)/\w"  # a path of one machine
    r"|\b(?:localhost|127\.0\.0\.1)\b|--(?:extra-)?index-url\b|\bfile://"
    r"|https?://[\w-]+(?:[:/\s]|$)|https?://(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))\."
)
PRIVATE_CITATION = re.compile(r"\b[Pp]age\s[0-9]|domain\spage")
UNFINISHED = re.compile(
    "|".join(("TO" + "DO", "FIX" + "ME", r"\bX" + r"XX\b", "NotImplemented" + "Error"))
)
LONGEST_MODULE = 500
LONG_FUNCTION = 40
SHARE_OF_SHORT = 0.9
THIS = "tests/repo/test_text.py"


TWIN = re.compile(r"\btests/reference/([\w/]+)\.py(?::([\w.]*\w))?")
FOLDERS = ("src/", "docs/", "tests/", "benches/", "tools/")


def hits(pattern: re.Pattern[str], *, below: str | tuple[str, ...] = "") -> list[str]:
    """Lines of text files below folders that match, as `path:line: text`."""
    lines = []
    for path in repo.files():
        name = repo.name(path)
        if name == THIS or not name.startswith(below):
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if pattern.search(line):
                lines.append(f"{name}:{number}: {line.strip()[:90]}")
    return lines


def test_no_path_or_host_of_one_machine() -> None:
    assert hits(PLACES) == []


@pytest.mark.parametrize("below", ["src/", "tests/", "docs/", "benches/"])
def test_no_marker_of_unfinished_work(below: str) -> None:
    assert hits(UNFINISHED, below=below) == []


def test_sources_are_cited_by_name_and_never_by_a_private_page() -> None:
    assert hits(PRIVATE_CITATION, below=FOLDERS) == []


@pytest.mark.parametrize(
    ("line", "caught"),
    [
        ("see /home/someone/x", True),
        ("http://mirror/simple", True),
        ("https://www.apache.org/licenses/", False),
        ("data/work/x and a/root/b", False),
    ],
)
def test_the_pattern_of_paths_and_hosts(line: str, caught: bool) -> None:
    assert bool(PLACES.search(line)) is caught


def test_every_module_and_public_class_and_function_is_documented() -> None:
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


def test_every_kernel_is_documented() -> None:
    silent = [
        f"{module}: {node.name}"
        for module, tree in repo.modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and {ast.unparse(d) for d in node.decorator_list} & {"kernel", "inlined"}
        and ast.get_docstring(node) is None
    ]
    assert silent == []


def test_every_cited_twin_exists() -> None:
    missing = []
    for module in repo.modules():
        for path, symbol in TWIN.findall((repo.ROOT / module).read_text("utf-8")):
            file = repo.ROOT / "tests/reference" / f"{path}.py"
            node: ast.AST | None = ast.parse(file.read_text("utf-8")) if file.exists() else None
            for name in filter(None, symbol.split(".")):
                children = ast.iter_child_nodes(node) if node else ()
                node = next((c for c in children if getattr(c, "name", None) == name), None)
            if node is None:
                missing.append(f"{module}: {path}.py:{symbol}")
    assert missing == []


def test_modules_are_short() -> None:
    long = {
        where: lines
        for where in repo.modules()
        if (lines := len((repo.ROOT / where).read_text("utf-8").splitlines())) > LONGEST_MODULE
    }
    assert long == {}


def test_most_functions_are_short() -> None:
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
        # `verify.py`, which is copied into every run, is a program.
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
