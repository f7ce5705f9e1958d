"""S0: verify the frozen upstream by content, seal every input, read what later stages use.

Nothing of a bundle is opened before its bytes are checked. What was sealed is a list of
rows with sizes and hashes; its digest enters the manifest fingerprint, so a world is tied
to the bytes it was made from, not to where they lay.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fraudworld.errors import InputError, RefusedError
from fraudworld.policy.loader import LoadedPack
from fraudworld.stages.columns import Geography, Merchants
from fraudworld.store import bundle
from fraudworld.store.identity import digest

SEGMENTS = ("1A", "1B", "2A", "2B", "3A", "3B", "5A", "5B")
ROW_LEVEL = {"1A", "5A"}
"""Segments whose rows 6A reads; the others are verified and sealed."""

SCHEMAS: dict[str, dict[str, tuple[str, ...]]] = {
    "1A": {
        "outlet_catalogue": (
            "merchant_id", "site_id", "home_country_iso", "legal_country_iso", "merchant_class",
            "mcc", "final_country_outlet_count", "site_order",
        ),
        "country_geography": ("country_iso", "region_id", "currency"),
    },
    "1B": {"site_locations": ("merchant_id", "legal_country_iso", "site_order", "lat", "lon")},
    "2A": {"site_timezones": ("merchant_id", "legal_country_iso", "site_order", "tzid")},
    "2B": {"day_effects": ("merchant_id", "tz_group", "day", "effect")},
    "3A": {"zone_alloc": ("merchant_id", "legal_country_iso", "tzid", "zone_site_count")},
    "3B": {"virtual_classification": ("merchant_id", "is_virtual", "virtual_mode")},
    "5A": {
        "merchant_zone_profile_5A": (
            "merchant_id", "legal_country_iso", "tzid", "demand_class", "weekly_volume_expected",
        ),
    },
    "5B": {
        "arrival_events_5B": (
            "scenario_id", "merchant_id", "arrival_seq", "ts_utc", "tzid", "channel_group",
            "is_virtual",
        ),
    },
}  # fmt: skip

INVALID = "6A.S0.UPSTREAM_HASHGATE_SCHEMA_INVALID"


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
        for table in SCHEMAS[segment]:
            if f"{table}.parquet" not in members:
                raise RefusedError(
                    INVALID,
                    f"{segment} holds no table {table}",
                    where=str(root / segment),
                    remedy="seal the table with the segment; page docs/upstream.md lists them",
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
        if row.role == "upstream" and row.owner_segment in segments:
            found = bundle.sha256_file(root / row.path)
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

    regions, classes: the policy's sorted codes. Raises RefusedError for a missing column or
    a null key and InputError for a region or class the policy does not know.
    """
    recheck(root, sealed, ROW_LEVEL)
    for segment, tables in SCHEMAS.items():
        for table, columns in tables.items():
            _check_columns(root / segment / f"{table}.parquet", segment, columns)
    places = _read(root, "1A", "country_geography")
    sites = _read(root, "1A", "outlet_catalogue")
    profile = _read(root, "5A", "merchant_zone_profile_5A")
    order = np.argsort(places["country_iso"].astype(str), kind="stable")
    countries = tuple(places["country_iso"].astype(str)[order].tolist())
    currencies = tuple(sorted(set(places["currency"].tolist())))
    legal = _positions(sites["legal_country_iso"], countries, "outlet_catalogue.legal_country_iso")
    volume = profile["weekly_volume_expected"].astype(np.float64)
    busy = _positions(profile["legal_country_iso"], countries, "merchant_zone_profile_5A")
    geo = Geography(
        countries,
        _positions(places["region_id"][order], regions, "country_geography.region_id"),
        _positions(places["currency"][order], currencies, "country_geography.currency"),
        currencies,
        np.bincount(legal, minlength=len(countries)).astype(np.int64),
        np.bincount(busy, volume, len(countries)).astype(np.float64),
    )
    ids, first, merchant = np.unique(sites["merchant_id"], return_index=True, return_inverse=True)
    home = _positions(sites["home_country_iso"], countries, "outlet_catalogue.home_country_iso")
    outlets = np.bincount(merchant)
    known = np.searchsorted(ids, profile["merchant_id"])
    if (known >= ids.size).any() or (
        ids[np.minimum(known, ids.size - 1)] != profile["merchant_id"]
    ).any():
        raise RefusedError(
            INVALID,
            "merchant_zone_profile_5A names a merchant that outlet_catalogue does not",
            where="5A/merchant_zone_profile_5A.parquet",
            remedy="build both segments from the same merchants",
        )
    return Upstream(
        geo,
        Merchants(
            ids.astype(np.int64),
            home[first],
            _positions(sites["merchant_class"], classes, "outlet_catalogue.merchant_class")[first],
            outlets.astype(np.int64),
            np.bincount(merchant, legal != home) / outlets,
            np.bincount(known, volume, ids.size).astype(np.float64),
        ),
    )


def _check_columns(path: Path, segment: str, columns: tuple[str, ...]) -> None:
    try:
        names = pq.read_schema(path).names
    except (OSError, pa.ArrowException) as error:
        raise RefusedError(
            INVALID,
            f"{segment}: {path.name} is not Parquet: {error}",
            where=str(path),
            remedy="write the table as Parquet and seal the segment again",
        ) from error
    missing = [c for c in columns if c not in names]
    if missing:
        raise RefusedError(
            INVALID,
            f"{segment}: {path.name} lacks {', '.join(missing)}",
            where=str(path),
            remedy=f"it needs the columns {', '.join(columns)}",
        )


def _read(root: Path, segment: str, table: str) -> dict[str, np.ndarray]:
    path = root / segment / f"{table}.parquet"
    data = pq.read_table(path, columns=list(SCHEMAS[segment][table]))
    if data.num_rows == 0:
        raise RefusedError(
            "6A.S0.SEALED_INPUTS_EMPTY",
            f"{segment}: {table} has no rows",
            where=str(path),
            remedy="seal a segment with content",
        )
    for name in data.column_names:
        if data[name].null_count:
            raise RefusedError(
                INVALID,
                f"{segment}: {table}.{name} holds {data[name].null_count} nulls",
                where=str(path),
                remedy="fill the column and seal the segment again",
            )
    return {name: data[name].to_numpy() for name in data.column_names}


def _positions(values: np.ndarray, known: tuple[str, ...], where: str) -> np.ndarray:
    """Position of every value in a sorted list."""
    text = values.astype(str)
    names = np.array(known)
    at = np.minimum(np.searchsorted(names, text), names.size - 1)
    strange = sorted(set(text[names[at] != text].tolist()))
    if strange:
        raise InputError(
            "6A.S0.UPSTREAM_HASHGATE_SCHEMA_INVALID",
            f"{where} holds {', '.join(strange[:5])}, which is not known here",
            where=where,
            remedy=f"known are {', '.join(known[:12])}{' …' if len(known) > 12 else ''}",
        )
    return at.astype(np.uint8)
