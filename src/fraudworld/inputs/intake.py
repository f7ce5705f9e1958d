"""S0: verify the frozen upstream by content, seal every input, read what later stages use.

Nothing of a bundle is opened before its bytes are checked. What was sealed is a list of
rows with sizes and hashes; its digest enters the manifest fingerprint, so a world is tied
to the bytes it was made from, not to where they lay.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fraudworld.documents import digest
from fraudworld.errors import InputError, RefusedError
from fraudworld.inputs import tables
from fraudworld.inputs.arrays import Geography, Merchants
from fraudworld.policy.loader import LoadedPack
from fraudworld.store import bundle

SEGMENTS = ("1A", "1B", "2A", "2B", "3A", "3B", "5A", "5B")
ROW_LEVEL = {"1A", "5A"}
"""Segments whose rows 6A reads; the others are verified and sealed."""

_COUNTRY, _CURRENCY = re.compile("[A-Z]{2}"), re.compile("[A-Z]{3}")
MOST_COUNTRIES = 255
"""Countries are one byte in memory."""


@dataclass(frozen=True)
class SealedRow:
    """One sealed input; `path` is relative to the upstream root or the pack."""

    owner_layer: str
    owner_segment: str
    manifest_key: str
    path: str
    schema_ref: str
    role: str
    status: str
    read_scope: str
    bytes: int
    sha256_hex: str


@dataclass(frozen=True)
class SealedInputs:
    """Everything a run was made from, and the one digest over it."""

    rows: tuple[SealedRow, ...]
    segments: dict[str, str]  # segment → bundle digest
    digest: str


@dataclass(frozen=True)
class Upstream:
    """What later stages know of the outside world."""

    geo: Geography
    merchants: Merchants


def seal_inputs(root: Path, loaded: LoadedPack) -> SealedInputs:
    """Verify all eight bundles and list every sealed file, the policy's too.

    Raises RefusedError `6A.S0.UPSTREAM_HASHGATE_*` as `store.bundle.verify` does.
    """
    rows: list[SealedRow] = []
    segments: dict[str, str] = {}
    for segment in SEGMENTS:
        found = bundle.verify(root / segment, segment)
        segments[segment] = found.digest
        members = {m.path for m in found.members}
        for table in tables.SCHEMAS[segment]:
            if f"{table}.parquet" not in members:
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
            for member in found.members
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
            "two inputs share one name",
            where=str(root),
            remedy="rename one of the files and seal the bundle again",
        )
    # Values of the pack are in parameter_hash; the digest here is over upstream bytes only,
    # so a comment in a policy file does not make another world.
    contents = sorted((r.manifest_key, r.sha256_hex) for r in rows if r.role == "upstream")
    return SealedInputs(tuple(rows), segments, digest(contents))


def documents(sealed: SealedInputs, loaded: LoadedPack) -> dict[str, dict[str, Any]]:
    """`sealed_inputs_6A` and `s0_gate_receipt_6A` as plain data."""
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
    """Detect a sealed upstream file that changed after sealing, before it is read.

    Raises RefusedError `6A.S0.SEALED_INPUTS_DIGEST_MISMATCH`.
    """
    for row in sealed.rows:
        if row.role != "upstream" or row.owner_segment not in segments:
            continue
        try:
            found = bundle.sha256_file(root / row.path)
        except OSError as error:
            found = f"unreadable ({error.strerror or error})"
        if found != row.sha256_hex:
            raise RefusedError(
                "6A.S0.SEALED_INPUTS_DIGEST_MISMATCH",
                f"{row.path} is {found}, sealed as {row.sha256_hex}",
                where=str(root / row.path),
                remedy="something changed the upstream during the run; run again",
            )


def load_upstream(
    root: Path, sealed: SealedInputs, regions: tuple[str, ...], classes: tuple[str, ...]
) -> Upstream:
    """Read geography, merchants and volumes of a sealed upstream.

    regions, classes: the policy's sorted codes. Raises RefusedError for a table that lacks
    a column, breaks its key or holds nulls, InputError for a region or class the policy
    does not know.
    """
    recheck(root, sealed, ROW_LEVEL)
    for segment, needed in tables.SCHEMAS.items():
        for table in needed:
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
    busy = _positions(
        profile["legal_country_iso"], countries, "merchant_zone_profile_5A.legal_country_iso"
    )
    ids, first, merchant = np.unique(sites["merchant_id"], return_index=True, return_inverse=True)
    _require_merchants(ids, merchant, first, home, risk, catalogue)
    _require_sites(merchant, legal, sites, catalogue)
    volume = _volume(profile, ids.size, volumes)
    outlets = np.bincount(merchant)
    return Upstream(
        Geography(
            countries,
            _positions(places["region_id"][order], regions, "country_geography.region_id"),
            _positions(places["currency"][order], currencies, "country_geography.currency"),
            currencies,
            np.bincount(legal, minlength=len(countries)).astype(np.int64),
            np.bincount(busy, volume, len(countries)).astype(np.float64),
        ),
        Merchants(
            ids,
            home[first],
            risk[first],
            outlets.astype(np.int64),
            np.bincount(merchant, legal != home) / outlets,
            np.bincount(profile["merchant_id"] - 1, volume, ids.size).astype(np.float64),
        ),
    )


def _countries(places: dict[str, np.ndarray], path: Path) -> tuple[str, ...]:
    countries = tuple(sorted(places["country_iso"].tolist()))
    if len(set(countries)) != len(countries):
        raise tables.refused(path, "lists a country twice", "keep one row per country")
    for name, form in (("country_iso", _COUNTRY), ("currency", _CURRENCY)):
        odd = sorted(v for v in set(places[name].tolist()) if not form.fullmatch(v))
        if odd:
            raise tables.refused(path, f"has {odd[0]!r} as {name}", "use ISO codes: capitals")
    if len(countries) > MOST_COUNTRIES:
        raise tables.refused(
            path, f"lists {len(countries)} countries", f"serve at most {MOST_COUNTRIES}"
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
    """Ids dense from 1; one home and one class per merchant."""
    if ids[0] != 1 or ids[-1] != ids.size:
        raise tables.refused(
            path,
            f"has {ids.size} merchants with ids {ids[0]} … {ids[-1]}",
            "number merchants 1, 2, 3, … without gaps",
        )
    for name, value in (("home_country_iso", home), ("merchant_class", risk)):
        odd = np.flatnonzero(value != value[first][merchant])
        if odd.size:
            raise tables.refused(
                path,
                f"gives merchant {ids[merchant[odd[0]]]} more than one {name}",
                f"keep one {name} per merchant",
            )


def _require_sites(
    merchant: np.ndarray, legal: np.ndarray, sites: dict[str, np.ndarray], path: Path
) -> None:
    """A site is listed once, and a merchant's sites in a country are as many as it says."""
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
    odd = np.flatnonzero(count[row] != sites["final_country_outlet_count"])
    if odd.size:
        at = odd[0]
        raise tables.refused(
            path,
            f"has {count[row[at]]} sites of merchant {merchant[at] + 1} in "
            f"{sites['legal_country_iso'][at]}, where final_country_outlet_count says "
            f"{sites['final_country_outlet_count'][at]}",
            "make the count agree with the rows",
        )


def _volume(profile: dict[str, np.ndarray], merchants: int, path: Path) -> np.ndarray:
    """Weekly volumes of known merchants: finite, not negative, not all zero."""
    strange = (profile["merchant_id"] < 1) | (profile["merchant_id"] > merchants)
    if strange.any():
        raise tables.refused(
            path,
            f"names merchant {profile['merchant_id'][strange][0]}, which outlet_catalogue does not",
            "build both segments from the same merchants",
        )
    volume = profile["weekly_volume_expected"]
    if not (np.isfinite(volume) & (volume >= 0)).all() or not 0 < volume.sum() < np.inf:
        raise tables.refused(
            path,
            "has a weekly_volume_expected that is no number, negative, or nothing in all",
            "give expected arrivals per week, 0 or more",
        )
    return volume


def _positions(values: np.ndarray, known: tuple[str, ...], where: str) -> np.ndarray:
    """Position (u8) of every value in a sorted list."""
    names = np.array(known)
    at = np.minimum(np.searchsorted(names, values), names.size - 1)
    strange = sorted(set(values[names[at] != values].tolist()))
    if strange:
        raise InputError(
            bundle.INVALID,
            f"{where} holds {', '.join(strange[:5])}, which is not known here",
            where=where,
            remedy=f"known are {', '.join(known[:12])}{' …' if len(known) > 12 else ''}",
        )
    return at.astype(np.uint8)
