"""The shipped JSON Schemas of the evidence files, and writing only what keeps to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from fraudworld.errors import InternalError
from fraudworld.store.whole import write_whole


@cache
def schema(name: str) -> dict[str, Any]:
    """The schema of an evidence file, by its name without `.json`."""
    text = (files("fraudworld.gates") / "schemas" / f"{name}.schema.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def violations(name: str, document: Mapping[str, Any]) -> list[str]:
    """Where `document` breaks the schema `name`: `place: what`, in order of place."""
    from jsonschema import Draft202012Validator

    # Through JSON and back: what is judged is what a reader will see.
    plain = json.loads(json.dumps(document, allow_nan=False))
    errors = Draft202012Validator(schema(name)).iter_errors(plain)
    return sorted(f"{e.json_path}: {e.message[:200]}" for e in errors)


def write_evidence(path: Path, document: Mapping[str, Any]) -> None:
    """Write an evidence file whole, named after its schema.

    Raises InternalError `6A.S5.EVIDENCE_INVALID` rather than writing what breaks it.
    """
    broken = violations(path.stem, document)
    if broken:
        raise InternalError(
            "6A.S5.EVIDENCE_INVALID",
            f"{path.name} would break its schema: {'; '.join(broken[:3])}",
            where=str(path),
            remedy="report this; nothing was written",
        )
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_whole(path, (text + "\n").encode())
