"""Loads a policy pack: reads every file, applies overlays, types the result, hashes it.

Faults of all files are reported in one error, each with its file and key. Loading checks the form
of a pack; `policy.lint` checks whether its figures are satisfiable.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import yaml
from pydantic import ValidationError

from fraudworld.contracts import TABLES
from fraudworld.documents import canonical_json, parse_json
from fraudworld.errors import InputError
from fraudworld.policy import overlay as overlays_
from fraudworld.policy import source
from fraudworld.policy.bounds import moved_by_overlay
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.source import Fault, PackFile

SHIPPED = Path(__file__).resolve().parent / "pack"
DOWNSTREAM = ("attachment", "flow_amounts", "campaigns", "bank_view", "downstream_witness")
"""Files of segment 6B; all others are 6A's."""

STEMS = tuple(name for name in PolicyPack.model_fields if name != "posture")

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
MISSING = "6A.S0.PRIOR_PACK_MISSING"
INVALID = "6A.S0.PRIOR_PACK_SCHEMA_INVALID"
NOT_AN_OVERLAYS = (
    "bounds are not an overlay's to set; put them into a pack of your own, with "
    "`validation_policy.rebaseline`: {reason, authority}"
)


@dataclass(frozen=True)
class LoadedPack:
    """A resolved pack and the files it was read from.

    `files`: path relative to the pack → size and SHA-256, overlays included (a user's
    overlay as `overlays/<file name>`). `overlays`: names, in the order applied.
    `parameter_hash`: 64 hex digits over the resolved values (not the bytes): comments, key
    order and the way a number is spelled do not enter, every value and the posture do.
    """

    pack: PolicyPack
    files: Mapping[str, PackFile]
    overlays: tuple[str, ...]
    parameter_hash: str


def file_of(stem: str) -> str:
    """Relative path of a pack file: `party_taxonomy` → `taxonomy/party_taxonomy_6A.v1.yaml`."""
    folder = next((f for f in ("taxonomy", "priors") if stem.endswith("_" + f)), "policy")
    segment = "6B" if stem in DOWNSTREAM else "6A"
    return f"{folder}/{stem}_{segment}.v1.yaml"


def shipped_overlays(directory: Path | None = None) -> tuple[str, ...]:
    """Names of the overlays inside a pack, sorted."""
    return tuple(sorted(p.stem for p in ((directory or SHIPPED) / "overlays").glob("*.yaml")))


def load_pack(directory: Path | None = None, overlays: Sequence[str | Path] = ()) -> LoadedPack:
    """Loads the pack in `directory` (default: the shipped one) with overlays applied in order.

    An overlay is the name of a file in the pack's `overlays/`, or a path to a YAML file (a
    `Path`, or text with a separator or `.yaml`). Raises InputError
    `6A.S0.PRIOR_PACK_MISSING` where files are absent and `6A.S0.PRIOR_PACK_SCHEMA_INVALID`
    for anything else, naming every fault found.
    """
    root = Path(directory) if directory is not None else SHIPPED
    if not root.is_dir():
        raise InputError(
            MISSING,
            "the policy pack is not a folder",
            where=str(root),
            remedy="name a folder with priors/, taxonomy/ and policy/, or omit it",
        )
    faults: list[Fault] = []
    files: dict[str, PackFile] = {}
    data: dict[str, object] = {"posture": "certifiable"}
    for stem in STEMS:
        source_file = source.read(root / file_of(stem), file_of(stem), root, faults)
        if source_file is not None:
            data[stem] = source_file.data
            files[file_of(stem)] = source_file.file
    _strangers(root, faults)
    chosen = [_overlay(root, item, files, faults) for item in overlays]
    _stop(faults)
    for change in chosen:
        if change is not None:
            before, data = data, overlays_.apply(data, change, faults)
            faults += [
                Fault(change.file, key, NOT_AN_OVERLAYS) for key in moved_by_overlay(before, data)
            ]
    _stop(faults)
    pack = _typed(data)
    _words(pack, faults)
    _stop(faults)
    return LoadedPack(
        pack,
        MappingProxyType(dict(sorted(files.items()))),
        tuple(c.name for c in chosen if c is not None),
        parameter_hash(pack),
    )


def canonical(pack: PolicyPack) -> bytes:
    """The resolved pack as canonical JSON: typed values, sorted keys, UTF-8, no spaces."""
    return canonical_json(pack.model_dump(mode="json"))


def parameter_hash(pack: PolicyPack) -> str:
    """SHA-256 of the canonical pack, 64 hex digits."""
    return hashlib.sha256(canonical(pack)).hexdigest()


def _overlay(
    root: Path, item: str | Path, files: dict[str, PackFile], faults: list[Fault]
) -> overlays_.Overlay | None:
    own_file = isinstance(item, Path) or "/" in item or item.endswith((".yaml", ".yml"))
    path = Path(item) if own_file else root / "overlays" / f"{item}.yaml"
    name = f"overlays/{path.name}"
    if not own_file and str(item) not in shipped_overlays(root):
        known = ", ".join(shipped_overlays(root)) or "none"
        faults.append(Fault(name, "", f"no such overlay; the pack has {known}", missing_file=True))
        return None
    source_file = source.read(path, name, path.parent if own_file else root, faults)
    if source_file is None:
        return None
    if files.get(name, source_file.file) != source_file.file:
        faults.append(Fault(name, "", "two different overlays share this file name"))
    files[name] = source_file.file
    return overlays_.from_data(source_file.data, name, path.stem, faults)


def _strangers(root: Path, faults: list[Fault]) -> None:
    """Reports files that are not part of a pack, most often misspelt names."""
    known = {file_of(stem) for stem in STEMS}
    for folder in ("priors", "taxonomy", "policy"):
        for path in sorted((root / folder).glob("*.y*ml")):
            name = f"{folder}/{path.name}"
            if name not in known:
                faults.append(Fault(name, "", "no such file in a policy pack"))


def _typed(data: Mapping[str, object]) -> PolicyPack:
    try:
        # JSON mode is strict about types (no strings for numbers) but takes lists for tuples.
        return PolicyPack.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        faults = []
        for problem in error.errors(include_url=False):
            stem, *keys = [str(part) for part in problem["loc"]] or [""]
            said = {"missing": "the key is missing", "extra_forbidden": "unknown key"}
            shown = said.get(
                problem["type"], f"{problem['msg']}, found {_shorten(problem['input'])}"
            )
            faults.append(Fault(file_of(stem), ".".join(keys), shown))
        raise _error(faults) from error


def _words(pack: PolicyPack, faults: list[Fault]) -> None:
    """Reports codes that are not plain words: they go into tables, SQL and spreadsheets."""
    names = {c.codes for table in TABLES for c in table.columns if c.codes}
    for name in sorted(names - {"country", "currency"}):
        for code in pack.codes(name):
            if not _WORD.fullmatch(code):
                what = f"{_shorten(code)} is no code: letters, digits and _ . : - only, 64 at most"
                faults.append(Fault("taxonomy", name, what))


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _stop(faults: Sequence[Fault]) -> None:
    if faults:
        raise _error(faults)


def _error(faults: Sequence[Fault]) -> InputError:
    """One error for all faults."""
    listed = "".join(f"\n  - {fault}" for fault in faults)
    first = faults[0]
    return InputError(
        MISSING if all(f.missing_file for f in faults) else INVALID,
        f"{len(faults)} fault(s) in the policy pack:{listed}\n ",
        where=f"{first.file}: {first.key}" if first.key else first.file,
        remedy="correct the named files and keys; `fraudworld policy show` prints a valid pack",
    )


def write_pack(pack: PolicyPack, folder: Path) -> tuple[Path, ...]:
    """Writes a resolved pack as a folder for `load_pack`; returns the overlays it needs.

    Loaded with them it resolves to equal values, so to the same `parameter_hash`.
    """
    document = parse_json(canonical(pack))
    for stem in STEMS:
        path = folder / file_of(stem)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(document[stem], sort_keys=True, width=900), "utf-8")
    if pack.posture == "certifiable":
        return ()
    overlay = folder / "posture.yaml"
    said = {"name": "posture", "why": "the resolved pack has it", "posture": pack.posture}
    overlay.write_text(yaml.safe_dump(said), "utf-8")
    return (overlay,)
