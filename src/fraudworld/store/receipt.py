"""`run_receipt.json`: the identity of a run, its request and its result.

The receipt lies outside the bundle, so it may hold a time. Commands that remove or reuse runs
recognise ours by it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

from fraudworld.documents import JsonObject, load_json, write_json
from fraudworld.errors import InputError
from fraudworld.store.identity import Identity
from fraudworld.store.layout import RunPlace

TOOL = "fraudworld"


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """One run. `tables` maps datasets to rows; `grade` and `passed` are its verdict."""

    run_id: str
    role: str
    profile: str
    scale: float
    seed: int
    parameter_hash: str
    manifest_fingerprint: str
    overlays: tuple[str, ...]
    posture: str
    versions: dict[str, str]
    grade: str
    passed: bool
    bundle_digest: str
    tables: dict[str, int]
    created_at: str
    rebaseline: JsonObject | None = None  # reason, authority and bounds, where the pack has others

    @property
    def identity(self) -> Identity:
        """The three columns of the run's rows."""
        return Identity(self.seed, self.parameter_hash, self.manifest_fingerprint)


def now() -> str:
    """The current time as receipts state it: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def write_receipt(place: RunPlace, receipt: Receipt) -> None:
    """Writes the receipt of a staged run."""
    document = {"tool": TOOL, **asdict(receipt)}
    write_json(place.receipt, document)


def read_receipt(place: RunPlace) -> Receipt:
    """The receipt of a run; every field has its type, and none but `rebaseline` may be missing.

    Raises InputError `6A.S0.RECEIPT_INVALID` where it is missing, damaged or made by another tool.
    """
    path = place.receipt
    try:
        document = load_json(path)
    except (OSError, ValueError, RecursionError) as error:
        raise _invalid(path, str(error)) from error
    if not isinstance(document, dict) or document.pop("tool", None) != TOOL:
        raise _invalid(path, f"it does not name {TOOL} as its tool")
    document.setdefault("rebaseline", None)  # runs of earlier versions do not state it
    wanted = {f.name: _TYPES[str(f.type)] for f in fields(Receipt)}
    if set(document) != set(wanted):
        strange = sorted(set(document) ^ set(wanted))
        raise _invalid(path, f"fields missing or unknown: {', '.join(strange)}")
    for name, kinds in wanted.items():
        # bool is a subclass of int in Python, but `true` is not a seed.
        if not isinstance(document[name], kinds) or (
            isinstance(document[name], bool) and kinds is not bool
        ):
            raise _invalid(path, f"{name} is {document[name]!r}")
    return Receipt(**(document | {"overlays": tuple(document["overlays"])}))


_TYPES: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "bool": bool,
    "float": (int, float),
    "tuple[str, ...]": list,
    "dict[str, str]": dict,
    "dict[str, int]": dict,
    "JsonObject | None": (dict, type(None)),
}


def _invalid(path: Path, why: str) -> InputError:
    return InputError(
        "6A.S0.RECEIPT_INVALID",
        f"this folder has no usable run receipt: {why}",
        where=str(path),
        remedy="name the folder of a run; `fraudworld runs list` lists them",
    )
