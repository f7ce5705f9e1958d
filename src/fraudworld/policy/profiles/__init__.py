"""The policy pack of layer 6P: files of their own, outside of 6A's pack and its `parameter_hash`.

Read with the same strict reader as 6A's pack. Loading reports all faults of all files at once, each
with its file and key, then all disagreements with the vocabulary of the world it is used on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from fraudworld.documents import JsonObject, canonical_json
from fraudworld.errors import InputError
from fraudworld.policy import source
from fraudworld.policy.profiles.models import ProfilePack
from fraudworld.policy.profiles.words import check_words as check_words
from fraudworld.policy.profiles.words import file_of
from fraudworld.policy.source import Fault

SHIPPED = Path(__file__).resolve().parent / "pack"
STEMS = tuple(ProfilePack.model_fields)
INVALID = "6P.S0.PROFILE_PACK_INVALID"


@dataclass(frozen=True)
class LoadedProfiles:
    """A resolved pack, and the hash over its values.

    `profile_policy_hash`: SHA-256 of the pack as canonical JSON, 64 hex digits; comments and the
    way a number is spelled do not enter.
    """

    pack: ProfilePack
    profile_policy_hash: str

    def document(self) -> JsonObject:
        """The resolved pack as plain data, for the receipt."""
        return self.pack.model_dump(mode="json")


def load_profiles(folder: Path | None = None) -> LoadedProfiles:
    """Loads the pack in `folder`, by default the shipped one.

    Raises InputError `6P.S0.PROFILE_PACK_INVALID` that names every fault.
    """
    root = folder or SHIPPED
    faults: list[Fault] = []
    data: dict[str, object] = {}
    for stem in STEMS:
        found = source.read(root / file_of(stem), file_of(stem), root, faults)
        if found is not None:
            data[stem] = found.data
    for path in sorted(root.glob("*.y*ml")):
        if path.name not in {file_of(stem) for stem in STEMS}:
            faults.append(Fault(path.name, "", "no such file in a pack of profiles"))
    require(faults)
    try:
        # JSON mode is strict about types (no strings for numbers) but takes lists for tuples.
        pack = ProfilePack.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        require(_faults(error))
        raise
    canonical = canonical_json(pack.model_dump(mode="json"))
    return LoadedProfiles(pack, hashlib.sha256(canonical).hexdigest())


def _faults(error: ValidationError) -> list[Fault]:
    said = {"missing": "the key is missing", "extra_forbidden": "unknown key"}
    found = []
    for problem in error.errors(include_url=False):
        stem, *keys = [str(part) for part in problem["loc"]] or [""]
        message = said.get(problem["type"], f"{problem['msg']}, found {problem['input']!r:.60}")
        found.append(Fault(file_of(stem), ".".join(keys), message))
    return found


def require(faults: Sequence[Fault]) -> None:
    """Raises InputError `6P.S0.PROFILE_PACK_INVALID` for a list of faults that is not empty."""
    if faults:
        listed = "".join(f"\n  - {fault}" for fault in faults)
        raise InputError(
            INVALID,
            f"{len(faults)} fault(s) in the policy of profiles:{listed}\n ",
            where=f"{faults[0].file}: {faults[0].key}",
            remedy="correct the named files and keys",
        )
