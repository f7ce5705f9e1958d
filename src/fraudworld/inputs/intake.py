"""S0: verifies the upstream by content, seals every input, reads geography and merchants.

No file of a bundle is opened before its bytes are checked. Sealed inputs are a list of rows with
sizes and hashes; its digest is part of the manifest fingerprint, so a world depends on the bytes
it was made from, not on their paths.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fraudworld.contracts import iso
from fraudworld.documents import digest
from fraudworld.errors import InputError, RefusedError
from fraudworld.inputs import tables
from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.policy.loader import LoadedPack
from fraudworld.store import bundle

SEGMENTS = ("1A", "1B", "2A", "2B", "3A", "3B", "5A", "5B")
ROW_LEVEL = {"1A", "5A"}
"""Segments whose rows 6A reads; the others are verified and sealed only."""

MOST_COUNTRIES = 255
"""A country is one byte in memory."""


@dataclass(frozen=True)
class SealedRow:
    """One sealed file: a row of `sealed_inputs_6A`."""

    owner_layer: str  # layer1, layer2 or layer3
    owner_segment: str  # 1A … 5B, 6A
    manifest_key: str  # unique
    path: str  # relative to the upstream root or the policy pack
    schema_ref: str
    role: str  # upstream or policy
    status: str  # REQUIRED
    read_scope: str  # ROW_LEVEL where 6A reads rows, else METADATA_ONLY
    bytes: int
    sha256_hex: str


@dataclass(frozen=True)
class SealedInputs:
    """All files a run was made from."""

    rows: tuple[SealedRow, ...]
    segments: dict[str, str]  # segment → bundle digest
    digest: str  # over the upstream's rows


@dataclass(frozen=True)
class Upstream:
    """What 6A reads of the upstream."""

    geo: Geography
    merchants: Merchants


def seal_inputs(root: Path, loaded: LoadedPack) -> SealedInputs:
    """Verifies all eight bundles and lists every sealed file, including the policy's.

    Raises RefusedError: `6A.S0.UPSTREAM_HASHGATE_*` as `store.bundle.verify` does, or for a bundle
    without one of its tables; `6A.S0.SEALED_INPUTS_ROW_CONFLICT` for two files of one name.
    """
    rows: list[SealedRow] = []
    segments: dict[str, str] = {}
    for segment in SEGMENTS:
        sealed = bundle.verify(root / segment, segment)
        segments[segment] = sealed.digest
        paths = {member.path for member in sealed.members}
        for table in tables.SCHEMAS[segment]:
            if f"{table}.parquet" not in paths:
                raise RefusedError(
                    bundle.INVALID,
                    f"{segment} holds no table {table}",
                    where=str(root / segment),
                    remedy="seal the table with the segment; docs/upstream.md lists them",
                )
        rows += [
            SealedRow(
                "layer1" if segment[0] in "123" else "layer2",
                segment,
                f"{segment}/{member.path}",
                f"{segment}/{member.path}",
                f"upstream.{segment}.{Path(member.path).stem}",
                "upstream",
                "REQUIRED",
                "ROW_LEVEL" if segment in ROW_LEVEL else "METADATA_ONLY",
                member.bytes,
                member.sha256_hex,
            )
            for member in sealed.members
        ]
    rows += [
        SealedRow(
            "layer3", "6A", name, name, f"policy.{Path(name).stem}", "policy", "REQUIRED",
            "ROW_LEVEL", file.bytes, file.sha256,
        )
        for name, file in sorted(loaded.files.items())
    ]  # fmt: skip
    keys = [r.manifest_key for r in rows]
    if len(set(keys)) != len(keys):
        raise RefusedError(
            "6A.S0.SEALED_INPUTS_ROW_CONFLICT",
            "two inputs have the same name",
            where=str(root),
            remedy="rename one of the files and seal the bundle again",
        )
    # The values of the pack are in parameter_hash; its bytes are left out here, so that a comment
    # in a policy file does not change the world.
    contents = sorted((r.manifest_key, r.sha256_hex) for r in rows if r.role == "upstream")
    return SealedInputs(tuple(rows), segments, digest(contents))


def documents(sealed: SealedInputs, loaded: LoadedPack) -> dict[str, dict[str, object]]:
    """The documents `sealed_inputs_6A` and `s0_gate_receipt_6A`, by name."""
    return {
        "sealed_inputs_6A": {
            "sealed_inputs_digest": sealed.digest,
            "rows": [asdict(r) for r in sealed.rows],
        },
        "s0_gate_receipt_6A": {
            "segments": [
                {"segment": s, "status": "PASS", "bundle_digest": d}
                for s, d in sealed.segments.items()
            ],
            "policy_pack": {
                "parameter_hash": loaded.parameter_hash,
                "overlays": list(loaded.overlays),
                "posture": loaded.pack.posture,
                "files": len(loaded.files),
            },
            "sealed_inputs_digest": sealed.digest,
        },
    }


def recheck(root: Path, sealed: SealedInputs, segments: set[str]) -> None:
    """Raises RefusedError `6A.S0.SEALED_INPUTS_DIGEST_MISMATCH` for a changed upstream file.

    Called before the files of these segments are read: they may have changed after sealing.
    """
    for row in sealed.rows:
        if row.role != "upstream" or row.owner_segment not in segments:
            continue
        try:
            sha256 = bundle.sha256_file(root / row.path)
        except OSError as error:
            sha256 = f"unreadable ({error.strerror or error})"
        if sha256 != row.sha256_hex:
            raise RefusedError(
                "6A.S0.SEALED_INPUTS_DIGEST_MISMATCH",
                f"{row.path} has SHA-256 {sha256}, it was sealed with {row.sha256_hex}",
                where=str(root / row.path),
                remedy="the upstream was changed during the run; run again",
            )


def load_upstream(
    root: Path, sealed: SealedInputs, regions: tuple[str, ...], classes: tuple[str, ...]
) -> Upstream:
    """Reads countries, merchants and volumes of a sealed upstream.

    regions, classes: the policy's sorted codes. Raises RefusedError for a table that lacks a
    column, breaks its key or holds nulls, InputError for a country, region or merchant class that
    is unknown.
    """
    recheck(root, sealed, ROW_LEVEL)
    for segment, schemas in tables.SCHEMAS.items():
        for table in schemas:
            tables.check_columns(root, segment, table)
    places = tables.read(root, "1A", "country_geography")
    sites = tables.read(root, "1A", "outlet_catalogue")
    profile = tables.read(root, "5A", "merchant_zone_profile_5A")
    catalogue = root / "1A/outlet_catalogue.parquet"
    volumes = root / "5A/merchant_zone_profile_5A.parquet"

    countries = _countries(places, root / "1A/country_geography.parquet")
    order = np.argsort(places["country_iso"], kind="stable")
    currencies = tuple(sorted(set(places["currency"].tolist())))
    legal = _positions(sites["legal_country_iso"], countries, "outlet_catalogue.legal_country_iso")
    home = _positions(sites["home_country_iso"], countries, "outlet_catalogue.home_country_iso")
    risk = _positions(sites["merchant_class"], classes, "outlet_catalogue.merchant_class")
    served = _positions(
        profile["legal_country_iso"], countries, "merchant_zone_profile_5A.legal_country_iso"
    )
    ids, first, merchant = np.unique(sites["merchant_id"], return_index=True, return_inverse=True)
    _require_merchants(ids, merchant, first, home, risk, catalogue)
    _require_sites(merchant, legal, sites, catalogue)
    volume = _volume(profile, ids.size, volumes)
    outlets = np.bincount(merchant)
    return Upstream(
        Geography(
            countries=countries,
            region=_positions(places["region_id"][order], regions, "country_geography.region_id"),
            currency=_positions(
                places["currency"][order], currencies, "country_geography.currency"
            ),
            currencies=currencies,
            outlets=np.bincount(legal, minlength=len(countries)).astype(np.int64),
            weekly_arrivals=np.bincount(served, volume, len(countries)).astype(np.float64),
        ),
        Merchants(
            id=ids,
            home_country=home[first],
            risk_class=risk[first],
            outlets=outlets.astype(np.int64),
            cross_border=np.bincount(merchant, legal != home) / outlets,
            weekly_volume=np.bincount(profile["merchant_id"] - 1, volume, ids.size).astype(
                np.float64
            ),
        ),
    )


def _countries(places: dict[str, np.ndarray], path: Path) -> tuple[str, ...]:
    """Sorted ISO codes: unique, well formed, at most MOST_COUNTRIES."""
    countries = tuple(sorted(places["country_iso"].tolist()))
    if len(set(countries)) != len(countries):
        raise tables.refused(path, "lists a country twice", "keep one row per country")
    if len(countries) > MOST_COUNTRIES:
        raise tables.refused(
            path, f"lists {len(countries)} countries", f"serve at most {MOST_COUNTRIES}"
        )
    for name, listed in (("country_iso", iso.countries()), ("currency", iso.currencies())):
        unknown = sorted(set(places[name].tolist()) - listed)
        if unknown:
            raise tables.refused(
                path,
                f"has {unknown[0]!r} as {name}",
                "use ISO codes: capital letters, of ISO 3166-1 and ISO 4217",
            )
    return countries


def _require_merchants(
    ids: np.ndarray,
    merchant: np.ndarray,
    first: np.ndarray,
    home: np.ndarray,
    risk: np.ndarray,
    path: Path,
) -> None:
    """Raises RefusedError unless ids are dense from 1, with one home and class a merchant."""
    if ids[0] != 1 or ids[-1] != ids.size:
        raise tables.refused(
            path,
            f"has {ids.size} merchants with ids {ids[0]} … {ids[-1]}",
            "number merchants 1, 2, 3, … without gaps",
        )
    for name, value in (("home_country_iso", home), ("merchant_class", risk)):
        differing = np.flatnonzero(value != value[first][merchant])
        if differing.size:
            raise tables.refused(
                path,
                f"gives merchant {ids[merchant[differing[0]]]} more than one {name}",
                f"keep one {name} per merchant",
            )


def _require_sites(
    merchant: np.ndarray, legal: np.ndarray, sites: dict[str, np.ndarray], path: Path
) -> None:
    """Raises RefusedError for a site listed twice, or a count of sites that is not that of rows."""
    keys = np.stack([merchant, legal, sites["site_order"]])
    ordered = keys[:, np.lexsort(keys[::-1])]
    if (ordered[:, 1:] == ordered[:, :-1]).all(axis=0).any():
        raise tables.refused(
            path,
            "lists a site (merchant_id, legal_country_iso, site_order) twice",
            "keep one row per site",
        )
    _, row, count = np.unique(
        merchant * np.int64(MOST_COUNTRIES + 1) + legal, return_inverse=True, return_counts=True
    )
    differing = np.flatnonzero(count[row] != sites["final_country_outlet_count"])
    if differing.size:
        at = differing[0]
        raise tables.refused(
            path,
            f"has {count[row[at]]} sites of merchant {merchant[at] + 1} in "
            f"{sites['legal_country_iso'][at]}, where final_country_outlet_count says "
            f"{sites['final_country_outlet_count'][at]}",
            "make the count agree with the rows",
        )


def _volume(profile: dict[str, np.ndarray], merchants: int, path: Path) -> np.ndarray:
    """Weekly volumes of all rows of 5A: of known merchants, finite, not negative, not all 0."""
    unknown = (profile["merchant_id"] < 1) | (profile["merchant_id"] > merchants)
    if unknown.any():
        raise tables.refused(
            path,
            f"has merchant {profile['merchant_id'][unknown][0]}, which outlet_catalogue lacks",
            "build both segments from the same merchants",
        )
    volume = profile["weekly_volume_expected"]
    if not (np.isfinite(volume) & (volume >= 0)).all() or not 0 < volume.sum() < np.inf:
        raise tables.refused(
            path,
            "has a weekly_volume_expected that is negative or not finite, or a total of 0",
            "give expected arrivals a week, 0 or more",
        )
    return volume


def _positions(values: np.ndarray, known: tuple[str, ...], where: str) -> np.ndarray:
    """Position (u8) of every value in a sorted list."""
    names = np.array(known)
    at = np.minimum(np.searchsorted(names, values), names.size - 1)
    unknown = sorted(set(values[names[at] != values].tolist()))
    if unknown:
        raise InputError(
            bundle.INVALID,
            f"{where} has unknown values: {', '.join(unknown[:5])}",
            where=where,
            remedy=f"use {', '.join(known[:12])}{' …' if len(known) > 12 else ''}",
        )
    return at.astype(np.uint8)
