"""Reads one YAML file of a pack: bounded in size and depth, every fault with its key.

A pack is untrusted data. A plain subset of YAML is read: mappings with unique string keys,
sequences, and scalars by the YAML 1.2 core rules (so `on` and `NO` are strings, not booleans).
Aliases, tags, merge keys, deep nesting and large files are faults.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_LINE = 1000  # a line nests at most half its length: bounds the parser's recursion

_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, object] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "value")
)


@dataclass(frozen=True)
class Fault:
    """A fault of a pack: file, dotted key (may be empty), message."""

    file: str
    key: str
    message: str
    missing_file: bool = False

    def __str__(self) -> str:
        return (
            f"{self.file}: {self.key}: {self.message}"
            if self.key
            else f"{self.file}: {self.message}"
        )


@dataclass(frozen=True)
class PackFile:
    """Size and digest of a file, as S0 seals them."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """A parsed file: plain data (mapping at the top) and its digest."""

    data: dict[str, object]
    file: PackFile


def read(path: Path, name: str, root: Path, faults: list[Fault]) -> Source | None:
    """Reads `path`, which must lie under `root`; `name` is used in faults.

    Appends to `faults` and returns None where nothing usable was read.
    """
    raw = _bytes(path, name, root, faults)
    if raw is None:
        return None
    known = len(faults)
    data = parse(raw, name, faults)
    if data is None or len(faults) > known:
        return None
    return Source(data, PackFile(len(raw), hashlib.sha256(raw).hexdigest()))


def _bytes(path: Path, name: str, root: Path, faults: list[Fault]) -> bytes | None:
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(root.resolve()):
            faults.append(Fault(name, "", "a link that leads out of the pack's folder"))
            return None
        if not real.is_file():
            faults.append(Fault(name, "", "not a regular file"))
            return None
        with real.open("rb") as handle:
            raw = handle.read(MAX_BYTES + 1)
    except FileNotFoundError:
        faults.append(Fault(name, "", "the file is missing", missing_file=True))
        return None
    except (OSError, RuntimeError) as error:
        faults.append(Fault(name, "", f"cannot be read ({type(error).__name__})"))
        return None
    if len(raw) > MAX_BYTES:
        faults.append(Fault(name, "", f"larger than {MAX_BYTES} bytes"))
        return None
    return raw


def parse(raw: bytes, name: str, faults: list[Fault]) -> dict[str, object] | None:
    """Plain data of a YAML document; None and faults where it is not one mapping."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        faults.append(Fault(name, "", f"not UTF-8 (byte {error.start})"))
        return None
    problem = _shape_problem(text)
    if problem:
        faults.append(Fault(name, "", problem))
        return None
    loader = yaml.CSafeLoader(text)
    try:
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        faults.append(Fault(name, "", f"not YAML ({_first_line(error)})"))
        return None
    finally:
        loader.dispose()
    if node is None:
        faults.append(Fault(name, "", "the file is empty"))
        return None
    if not isinstance(node, yaml.MappingNode):
        faults.append(Fault(name, "", "not a mapping of keys to values"))
        return None
    data = _Builder(name, faults).value(node, ())
    return data if isinstance(data, dict) else None


def _shape_problem(text: str) -> str | None:
    """Detects nesting that could exhaust the parser, without parsing."""
    if any(len(line) > MAX_LINE for line in text.splitlines()):
        return f"a line is longer than {MAX_LINE} characters"
    depth = 0
    for match in re.finditer(r"[\[\]{}]", text):
        depth += 1 if match.group() in "[{" else -1
        if depth > 10 * MAX_DEPTH:
            return f"nested deeper than {MAX_DEPTH} levels"
        depth = max(depth, 0)
    return None


def _first_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    return f"{problem}, line {mark.line + 1}" if mark is not None else str(problem)


class _Builder:
    """Converts nodes to plain data; a node seen twice is an alias."""

    def __init__(self, name: str, faults: list[Fault]) -> None:
        self.name = name
        self.faults = faults
        self.seen: set[int] = set()

    def fault(self, path: tuple[str, ...], message: str) -> None:
        self.faults.append(Fault(self.name, ".".join(path), message))

    def value(self, node: yaml.Node, path: tuple[str, ...]) -> object:
        if id(node) in self.seen:
            self.fault(path, "aliases are not allowed; write the value out")
            return None
        self.seen.add(id(node))
        if len(path) > MAX_DEPTH:
            self.fault(path[:4], f"nested deeper than {MAX_DEPTH} levels")
            return None
        if node.tag not in _TAGS and node.tag != "tag:yaml.org,2002:merge":
            self.fault(path, f"the tag {node.tag} is not allowed")
            return None
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, str(i))) for i, item in enumerate(node.value)]
        quoted = isinstance(node, yaml.ScalarNode) and node.style
        return node.value if quoted else scalar(node.value)

    def mapping(self, node: yaml.MappingNode, path: tuple[str, ...]) -> dict[str, object]:
        out: dict[str, object] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.fault(path, "a key must be a word")
                continue
            key = str(key_node.value)
            if key == "<<":
                self.fault(path, "merge keys are not allowed; write the values out")
            elif key in out:
                self.fault(
                    (*path, key), f"the key appears twice (line {key_node.start_mark.line + 1})"
                )
            out[key] = self.value(value_node, (*path, key))
        return out


def scalar(text: str) -> object:
    """A plain scalar by the YAML 1.2 core rules: null, boolean, number, else text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
