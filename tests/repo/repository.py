"""Text files, modules, Markdown pages and shell commands of the repository."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src/fraudworld"
OUTPUT_FOLDERS = {"__pycache__", "build", "dist", "runs"}
TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".lock", ".cff", ".txt", ".cfg", ""}
BLOCK = re.compile(r"^```[a-z]*\n(.*?)^```|^((?: {4}[^\n]*\n)+)", re.MULTILINE | re.DOTALL)


def files(folder: Path = ROOT) -> Iterator[Path]:
    """Text files of the repository, without output of tools and runs."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            hidden = path.name.startswith(".") and path.name != ".ci"
            if not hidden and path.name not in OUTPUT_FOLDERS:
                yield from files(path)
        elif path.suffix in TEXT and path.name not in {".coverage", ".DS_Store"}:
            yield path


def name(path: Path) -> str:
    """The path relative to the repository."""
    return path.relative_to(ROOT).as_posix()


@cache
def modules() -> dict[str, ast.Module]:
    """Path of every module of the package → its syntax tree."""
    return {name(p): ast.parse(p.read_text("utf-8")) for p in sorted(SOURCE.rglob("*.py"))}


def pages() -> list[Path]:
    """The Markdown pages."""
    return [path for path in files() if path.suffix == ".md"]


def commands(text: str) -> Iterator[str]:
    """Shell lines of a page: those in code blocks, and code spans of one line."""
    for fenced, indented in BLOCK.findall(text):
        yield from (line.strip() for line in (fenced or indented).splitlines())
    yield from re.findall(r"`([^`\n]+)`", text)
