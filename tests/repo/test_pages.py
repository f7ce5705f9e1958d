"""Links, anchors, commands, make targets and error codes on Markdown pages exist."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer.main
from markdown_it import MarkdownIt
from markdown_it.token import Token

import fraudworld
from fraudworld.cli.app import app
from repo import repository as repo

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PAGES = [repo.name(p) for p in repo.pages()]
SHELL = {"|", ">", "<", "&&", ";", "\\"}
MARKDOWN = MarkdownIt("commonmark").enable("table")
ERROR_CODE = re.compile(r"\b6[AB]\.[A-Z0-9]+\.[A-Z0-9_]*[A-Z0-9](?![A-Z0-9_])")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_existing_files_and_headings(page: str) -> None:
    assert broken_links(repo.ROOT / page) == []


@pytest.mark.parametrize(
    ("target", "lost"),
    [
        ("other.md", False),
        ("other.md#the-second-heading", False),
        ("other.md#twice-1", False),
        ("#here", False),
        ("https://www.apache.org/licenses/#none", False),
        ("missing.md", True),
        ("other.md#no-such-heading", True),
        ("other.md#twice-2", True),
        ("other.md#not-a-heading", True),
        ("#nowhere", True),
    ],
)
def test_broken_links_are_detected(tmp_path: Path, target: str, lost: bool) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Here\n\n| a table |\n|---|\n| [link]({target}), `[code](gone.md)` |\n")
    (tmp_path / "other.md").write_text(
        "# The `second` heading!\n\n## Twice\n\n## Twice\n\n```\n# Not a heading\n```\n"
    )
    assert broken_links(page) == ([target] if lost else [])


@pytest.mark.parametrize("page", PAGES)
def test_commands_on_pages_exist(page: str) -> None:
    text = (repo.ROOT / page).read_text("utf-8")
    wrong = [w for line in repo.commands(text) for w in unknown_words(line)]
    assert wrong == []


def test_commands_in_help_texts_exist() -> None:
    examples = [
        line.strip()
        for command in leaves(typer.main.get_command(app))
        for line in (command.help or "").splitlines()
        if line.strip().startswith("fraudworld ")
    ]
    assert len(examples) >= 8
    assert [w for line in examples for w in unknown_words(line)] == []


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_on_pages_exist(page: str) -> None:
    targets = set(re.findall(r"^([\w-]+):", (repo.ROOT / "Makefile").read_text(), re.MULTILINE))
    text = (repo.ROOT / page).read_text("utf-8")
    named = {line.split()[1] for line in repo.commands(text) if re.match(r"make [\w-]+", line)}
    assert named <= targets


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("fraudworld run --profile demo", []),
        ("fraudworld policy lint --overlay x | head", []),
        ("fraudworld fly", ["fly"]),
        ("fraudworld run --colour", ["--colour"]),
    ],
)
def test_unknown_commands_and_options_are_detected(line: str, wrong: list[str]) -> None:
    assert unknown_words(line) == wrong


def test_every_guide_and_decision_is_in_its_index() -> None:
    for index in (repo.ROOT / "docs/index.md", repo.ROOT / "docs/decisions/README.md"):
        linked = set(LINK.findall(index.read_text("utf-8")))
        beside = {p.name for p in index.parent.glob("*.md")} - {index.name}
        assert beside <= linked


def test_every_error_code_is_in_the_contract() -> None:
    page = (repo.ROOT / "docs/contract.md").read_text("utf-8")
    raised = {
        code
        for module in repo.modules()
        for code in ERROR_CODE.findall((repo.ROOT / module).read_text("utf-8"))
    }
    assert sorted(raised - set(ERROR_CODE.findall(page))) == []


def test_the_citation_file_has_the_version() -> None:
    text = (repo.ROOT / "CITATION.cff").read_text("utf-8")
    assert re.findall(r"^version: (.+)$", text, re.MULTILINE) == [fraudworld.__version__]


def test_every_test_folder_is_in_the_readme() -> None:
    folder_of_tests = repo.ROOT / "tests"
    page = (folder_of_tests / "README.md").read_text("utf-8")
    folders = [
        p.name for p in folder_of_tests.iterdir() if p.is_dir() and any(p.rglob("test_*.py"))
    ]
    assert [f for f in folders if f"`{f}/`" not in page] == []


def broken_links(page: Path) -> list[str]:
    """Relative links of a page whose file, or heading in a Markdown file, does not exist."""
    return [target for target in targets(page) if not exists(page, target)]


def targets(page: Path) -> Iterator[str]:
    """Link and image targets of a page; code is left out."""
    for token in MARKDOWN.parse(page.read_text("utf-8")):
        for child in token.children or []:
            target = child.attrGet("href") or child.attrGet("src")
            if target is not None:
                yield str(target)


def exists(page: Path, target: str) -> bool:
    """Whether a relative target exists; targets with a scheme count as existing."""
    if "://" in target:
        return True
    name, _, anchor = target.partition("#")
    path = page.parent / name if name else page
    return path.exists() and (not anchor or path.suffix != ".md" or anchor in anchors(path))


def anchors(page: Path) -> set[str]:
    """Anchors of headings as GitHub makes them: the n-th repetition ends with `-n`."""
    tokens = MARKDOWN.parse(page.read_text("utf-8"))
    titles = [slug(b) for a, b in pairwise(tokens) if a.type == "heading_open"]
    occurrences: Counter[str] = Counter()
    out = set()
    for title in titles:
        out.add(f"{title}-{occurrences[title]}" if occurrences[title] else title)
        occurrences[title] += 1
    return out


def slug(heading: Token) -> str:
    """Lower case, punctuation removed, spaces as hyphens."""
    text = "".join(child.content for child in heading.children or [])
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def unknown_words(line: str) -> list[str]:
    """Words of a `fraudworld …` line that are neither a command nor an option of it."""
    if not line.startswith("fraudworld "):
        return []
    words = shlex.split(line.replace("…", ""))[1:]
    command: Any = typer.main.get_command(app)
    wrong = []
    while words and hasattr(command, "commands"):
        word = words.pop(0)
        if word not in command.commands:
            return [word] if not word.startswith("-") else []
        command = command.commands[word]
    options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help", "-h"}
    for word in words:
        if word in SHELL:
            break
        if word.startswith("-") and word.split("=")[0] not in options:
            wrong.append(word)
    return wrong


def leaves(command: Any) -> list[Any]:
    """All commands, groups resolved."""
    children = getattr(command, "commands", None)
    return [command] if children is None else [x for c in children.values() for x in leaves(c)]


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-full.lock"])
def test_a_lock_pins_every_dependency_by_hash(lock: str) -> None:
    text = (repo.ROOT / lock).read_text("utf-8")
    pins = re.findall(r"^([\w.-]+)==\S+.*\\\n((?:    --hash=sha256:[0-9a-f]{64}.*\n)+)", text, re.M)
    named = {name.lower().replace("_", "-") for name, _ in pins}
    project = Path(repo.ROOT / "pyproject.toml").read_text("utf-8")
    if lock == "requirements.lock":  # extras for the full tests are in the other
        project = project[: project.index("exports = [")]
    required = re.findall(r'^    "([\w-]+)[<>=]', project, re.MULTILINE)
    assert {w.lower() for w in required} <= named
    assert len(pins) == len(re.findall("^[a-z]", text, re.MULTILINE))
