"""Overlays: small files that change named keys of a pack, applied in order.

An overlay has a `name`, a `why`, optionally a `posture`, and its changes:

- `set`: file stem → nested keys. Mappings are walked, scalars and lists replace. Every key
  must exist in the pack, so a misspelt key is an error.
- `replace`: dotted key (`instrument_mix_priors.floors`) → value that replaces the old one
  whole; the only way to add or remove keys of a mapping.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

from fraudworld.policy.source import Fault

POSTURES = ("certifiable", "baseline_replay")
KEYS = frozenset({"name", "why", "posture", "set", "replace"})


@dataclass(frozen=True)
class Overlay:
    """One overlay as read; `file` names it in faults."""

    file: str
    name: str
    why: str
    posture: str | None
    set: Mapping[str, object]
    replace: Mapping[str, object]


def from_data(data: Mapping[str, object], file: str, stem: str, faults: list[Fault]) -> Overlay:
    """Checks the form of an overlay; appends faults and returns empty parts for them."""
    for key in sorted(set(data) - KEYS):
        faults.append(Fault(file, key, f"unknown key; an overlay has {', '.join(sorted(KEYS))}"))
    texts = {}
    for key in ("name", "why"):
        value = data.get(key)
        if not isinstance(value, str) or not value.strip():
            faults.append(Fault(file, key, "must be a non-empty string"))
        texts[key] = str(value)
    if texts["name"] != stem and "name" in data:
        faults.append(Fault(file, "name", f"must equal the file's name, {stem}"))
    posture = data.get("posture")
    if posture is not None and posture not in POSTURES:
        faults.append(Fault(file, "posture", f"{posture!r} is none of {', '.join(POSTURES)}"))
        posture = None
    parts: dict[str, Mapping[str, object]] = {}
    for key in ("set", "replace"):
        part = data.get(key, {})
        if not isinstance(part, Mapping):
            faults.append(Fault(file, key, "must be a mapping"))
            part = {}
        parts[key] = part
    if not parts["set"] and not parts["replace"] and posture is None:
        faults.append(Fault(file, "", "the overlay changes nothing"))
    return Overlay(
        file,
        texts["name"],
        texts["why"],
        str(posture) if posture else None,
        parts["set"],
        parts["replace"],
    )


def apply(pack: Mapping[str, object], overlay: Overlay, faults: list[Fault]) -> dict[str, object]:
    """A changed copy of `pack` (file stem → data, plus `posture`)."""
    out = copy.deepcopy(dict(pack))
    if overlay.posture is not None:
        out["posture"] = overlay.posture
    for stem, changes in overlay.set.items():
        target = out.get(stem)
        if stem == "posture" or not isinstance(target, dict):
            faults.append(Fault(overlay.file, f"set.{stem}", "no such file in the pack"))
        elif not isinstance(changes, Mapping):
            faults.append(Fault(overlay.file, f"set.{stem}", "must be a mapping of keys"))
        else:
            _merge(target, changes, overlay.file, ("set", stem), faults)
    for dotted, value in overlay.replace.items():
        _replace(out, dotted, value, overlay.file, faults)
    return out


def _merge(
    target: dict[str, object],
    changes: Mapping[str, object],
    file: str,
    path: tuple[str, ...],
    faults: list[Fault],
) -> None:
    for key, value in changes.items():
        where = ".".join((*path, key))
        if key not in target:
            near = ", ".join(sorted(target)[:8])
            faults.append(Fault(file, where, f"no such key in the pack; there are {near}"))
            continue
        old = target[key]
        if isinstance(old, dict) and isinstance(value, Mapping):
            _merge(old, value, file, (*path, key), faults)
        elif isinstance(old, dict) or isinstance(value, Mapping):
            faults.append(
                Fault(
                    file, where, "a mapping and a plain value; use `replace` to change a whole key"
                )
            )
        else:
            target[key] = value


def _replace(
    out: dict[str, object], dotted: str, value: object, file: str, faults: list[Fault]
) -> None:
    *parents, last = dotted.split(".")
    node: object = out
    for key in parents:
        node = node.get(key) if isinstance(node, dict) else None
    if not parents or not isinstance(node, dict) or last not in node:
        faults.append(Fault(file, f"replace.{dotted}", "no such key in the pack"))
        return
    node[last] = copy.deepcopy(value)
