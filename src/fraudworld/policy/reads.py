"""The files of the pack that each state reads, enforced.

The rerun law (docs/runs.md) reruns from the earliest state that reads a changed file. `view` gives
a state a pack without all other files, so a stage that reads one fails at once, instead of
depending on a file that its digest does not cover.
"""

from __future__ import annotations

from collections.abc import Mapping

from fraudworld.documents import digest
from fraudworld.policy.loader import DOWNSTREAM
from fraudworld.policy.models import Model
from fraudworld.policy.pack import PolicyPack

_CODES = ("party_taxonomy", "account_taxonomy", "instrument_taxonomy")

READS: Mapping[str, tuple[str, ...]] = {
    "S1": ("party_taxonomy", "population_priors", "segmentation_priors"),
    "S2": (
        "party_taxonomy", "account_taxonomy", "segmentation_priors", "product_mix_priors",
        "account_per_party_priors",
    ),
    "S3": (
        *_CODES, "device_taxonomy", "segmentation_priors", "instrument_mix_priors",
        "instrument_per_account_priors", "device_count_priors",
    ),
    "S4": (
        "party_taxonomy", "instrument_taxonomy", "device_taxonomy", "ip_taxonomy",
        "segmentation_priors", "device_count_priors", "ip_count_priors", "device_linkage_rules",
        "graph_linkage_rules",
    ),
    # S5 validates the whole world, so it reads all but 6B's files; it is never reused.
    "S5": tuple(name for name in PolicyPack.model_fields if name not in DOWNSTREAM),
}  # fmt: skip
"""State → fields of `PolicyPack` its stage and the code lists of its tables come from."""


def view(pack: PolicyPack, state: str) -> PolicyPack:
    """The pack as `state` sees it: reading a field outside READS raises AttributeError."""
    return PolicyPack.model_construct(**{name: getattr(pack, name) for name in READS[state]})


def read_digests(pack: PolicyPack, state: str) -> dict[str, str]:
    """Field → SHA-256 (hex) of its resolved values, for every field `state` reads."""
    return {name: _digest(getattr(pack, name)) for name in READS[state]}


def _digest(part: Model | str) -> str:
    plain = part if isinstance(part, str) else part.model_dump(mode="json")
    return digest(plain)
