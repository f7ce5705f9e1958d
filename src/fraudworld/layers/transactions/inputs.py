"""S0 of a layer: opens a published run, and verifies its bytes and those of its upstream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fraudworld.documents import load_json
from fraudworld.errors import InputError, RefusedError
from fraudworld.inputs import embedded as upstream
from fraudworld.inputs import intake
from fraudworld.inputs.arrays import Geography
from fraudworld.policy.loader import parameter_hash
from fraudworld.policy.models import SegmentProfile
from fraudworld.policy.pack import PolicyPack
from fraudworld.request import PROFILES
from fraudworld.store import bundle
from fraudworld.store.identity import Identity
from fraudworld.store.layout import RunPlace
from fraudworld.store.published import sealed_policy
from fraudworld.store.receipt import Receipt, read_receipt
from fraudworld.store.seal import check_run


@dataclass(frozen=True)
class Inputs:
    """A verified run, its policy and its upstream."""

    root: Path  # of the run
    receipt: Receipt
    bundle_digest: str  # of the run
    pack: PolicyPack
    upstream: Path
    segments: dict[str, str]  # upstream segment → bundle digest
    geo: Geography
    merchant_class: NDArray[np.uint8]  # position in codes("merchant_class"), (merchants,)

    @property
    def identity(self) -> Identity:
        """Seed and digests of the run; the rows of its stream end with them too."""
        return self.receipt.identity

    @property
    def profiles(self) -> Mapping[str, SegmentProfile]:
        """Behaviour of every segment, by name."""
        return self.pack.segmentation_priors.profiles

    @cached_property
    def _places(self) -> dict[str, tuple[str, ...]]:
        return {"country": self.geo.countries, "currency": self.geo.currencies}

    def codes(self, name: str) -> tuple[str, ...]:
        """Closed list of a code column of 6A, sorted: a position is the code in memory."""
        return self._places.get(name) or self.pack.codes(name)

    def clean_code(self, entity: str) -> int:
        """Code of the family of an entity's clean roles."""
        clean = self.pack.fraud_role_taxonomy.entities[entity].clean_family
        return self.codes(f"{entity}_family").index(clean)

    def raw_code(self, entity: str, role: str) -> int:
        """Code of a raw role of an entity."""
        return self.codes(f"{entity}_raw_role").index(role)

    def families(self, entity: str) -> NDArray[np.uint8]:
        """Code of the family of every raw role, (raw roles,).

        Raw roles are mapped here, so that a baseline whose own mapping was left out has the same
        attacks as other worlds.
        """
        mapping = self.pack.fraud_role_taxonomy.entities[entity].mapping
        families = self.codes(f"{entity}_family")
        return np.array(
            [families.index(mapping[role]) for role in self.codes(f"{entity}_raw_role")], np.uint8
        )

    def table(self, codes: str, values: Mapping[str, float]) -> NDArray[np.float64]:
        """Values by code; 0 where the mapping has none."""
        return np.array([float(values.get(word, 0.0)) for word in self.codes(codes)])


def open_inputs(
    root: Path, upstream_dir: Path | None, *, allow_unflagged: bool, segment: str = "6B"
) -> Inputs:
    """Verifies every byte of a run, then its upstream against the digests the run sealed.

    upstream_dir: the upstream of the run; None is the embedded one, which is built below the runs
    root where it is missing. segment: of the layer, for error codes. Raises RefusedError for a run
    that failed its gates (unless `allow_unflagged`), was changed after publishing, or has another
    upstream; InputError for a run whose sealed policy has no figures for 6B.
    """
    place = RunPlace(root)
    receipt = read_receipt(place)
    sealed = check_run(place)
    if sealed.digest != receipt.bundle_digest:
        raise RefusedError(
            f"{segment}.S0.RECEIPT_MISMATCH",
            f"the receipt names bundle {receipt.bundle_digest}, the run has {sealed.digest}",
            where=str(place.receipt),
            remedy="the receipt was changed after publishing; make the run again elsewhere",
        )
    if not (sealed.passed or allow_unflagged):
        raise RefusedError(
            f"{segment}.S0.RUN_NOT_PASSED",
            f"this run has no _passed.flag, its grade is {receipt.grade}",
            where=str(root),
            remedy="repair the world, or use --allow-unflagged to study a failed one",
        )
    pack = _policy(place, receipt, segment)
    segments, sealed_digest = _sealed_upstream(place)
    source = upstream_dir or upstream.ensure_embedded(
        root.resolve().parent / ".upstream", _volume_scale(place, receipt)
    )
    for name, expected in segments.items():
        digest = bundle.verify(source / name, name).digest
        if digest != expected:
            raise RefusedError(
                f"{segment}.S0.UPSTREAM_HASHGATE_DIGEST_MISMATCH",
                f"{name} has bundle {digest}, the run was made from {expected}",
                where=str(source / name),
                remedy="give the run's own upstream with --upstream",
            )
    sealed_inputs = intake.SealedInputs((), segments, sealed_digest)
    world = intake.load_upstream(
        source, sealed_inputs, pack.codes("region"), pack.codes("merchant_class")
    )
    return Inputs(
        root, receipt, sealed.digest, pack, source, segments, world.geo, world.merchants.risk_class
    )


def _sealed_upstream(place: RunPlace) -> tuple[dict[str, str], str]:
    """Bundle digest by segment, and the digest of all files, as S0 of the run sealed them."""
    try:
        gate = load_json(place.gate_receipt)
        segments = {str(row["segment"]): str(row["bundle_digest"]) for row in gate["segments"]}
        if sorted(segments) != sorted(upstream.SEGMENTS):
            raise ValueError(f"it lists the segments {', '.join(sorted(segments)[:9])}")
        return segments, str(gate["sealed_inputs_digest"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "6A.S0.IO_READ_FAILED",
            f"the gate receipt of the run cannot be read: {type(error).__name__}: {error}",
            where=str(place.gate_receipt),
            remedy="the run was changed after publishing; make it again elsewhere",
        ) from error


def _volume_scale(place: RunPlace, receipt: Receipt) -> float:
    """Scale of the embedded upstream of the run."""
    if receipt.profile not in PROFILES:
        raise InputError(
            "6A.S0.RECEIPT_INVALID",
            f"the receipt names a profile {receipt.profile!r}",
            where=str(place.receipt),
            remedy=f"profiles are {', '.join(PROFILES)}; give the run's own upstream",
        )
    return PROFILES[receipt.profile] * receipt.scale / PROFILES["authority"]


def _policy(place: RunPlace, receipt: Receipt, segment: str) -> PolicyPack:
    """The policy of the run, from its sealed copy."""
    pack = sealed_policy(place.root, segment)
    if parameter_hash(pack) != receipt.parameter_hash:
        raise RefusedError(
            f"{segment}.S0.PRIOR_PACK_DIGEST_MISMATCH",
            "the sealed policy is not the one of the receipt",
            where=str(place.resolved_policy),
            remedy="the run was changed after publishing; make it again elsewhere",
        )
    return pack
