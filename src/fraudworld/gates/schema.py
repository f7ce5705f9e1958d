"""The JSON Schemas of the evidence files, enforced when they are written."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from fraudworld.documents import Json, JsonObject, parse_json, plain_json, pretty_json
from fraudworld.errors import InternalError
from fraudworld.store.atomic import write_atomic


@cache
def schema(name: str) -> JsonObject:
    """The schema of an evidence file, by its name without `.json`."""
    text = (files("fraudworld.gates") / "schemas" / f"{name}.schema.json").read_text("utf-8")
    document: JsonObject = parse_json(text)
    return document


def violations(name: str, document: Mapping[str, Json]) -> list[str]:
    """Where `document` breaks the schema `name`: `place: what`, in order of place."""
    from jsonschema import Draft202012Validator

    # Through JSON and back: validates what a reader will see.
    plain = plain_json(document)
    errors = Draft202012Validator(schema(name)).iter_errors(plain)
    return sorted(f"{e.json_path}: {e.message[:200]}" for e in errors)


def write_evidence(path: Path, document: Mapping[str, Json]) -> None:
    """Writes an evidence file atomically; its name is that of its schema.

    Raises InternalError `6A.S5.EVIDENCE_INVALID` where the document violates the schema.
    """
    broken = violations(path.stem, document)
    if broken:
        raise InternalError(
            "6A.S5.EVIDENCE_INVALID",
            f"{path.name} would break its schema: {'; '.join(broken[:3])}",
            where=str(path),
            remedy="report this; nothing was written",
        )
    write_atomic(path, pretty_json(document))
