"""The identity of a run: seed, policy, sealed inputs; and the run id that follows from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fraudworld.documents import digest
from fraudworld.errors import InputError


@dataclass(frozen=True)
class Identity:
    """The last three columns of every row of a run."""

    seed: int
    parameter_hash: str
    manifest_fingerprint: str

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise InputError(
                "6A.S0.SEED_INVALID",
                f"seed {self.seed} is not an integer from 0 to 2^63 − 1",
                where="--seed",
                remedy="choose a seed in that range; it is published as a signed 64-bit column",
            )


def manifest_fingerprint(
    parameter_hash: str, sealed_inputs: str, contract_version: str, rng_law: str
) -> str:
    """Hex64 over the policy, the sealed inputs, the contract and the RNG law."""
    return digest(
        {
            "contract_version": contract_version,
            "parameter_hash": parameter_hash,
            "rng_law_version": rng_law,
            "sealed_inputs_digest": sealed_inputs,
        }
    )


def run_id(identity: Identity, role: str) -> str:
    """Default id of a run, hex32: an equal request finds the same run."""
    text = f"{identity.seed}\0{identity.parameter_hash}\0{identity.manifest_fingerprint}\0{role}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]
