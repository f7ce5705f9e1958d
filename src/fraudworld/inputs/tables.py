"""Tables of the upstream: the columns they must have, and how they are read.

6A reads rows of two segments; of the others it checks names and types of columns. An upstream may
have more tables and more columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fraudworld.errors import RefusedError
from fraudworld.machine import let_through
from fraudworld.store.bundle import INVALID

KINDS = {
    "integer": pa.types.is_integer,
    "real": lambda t: pa.types.is_floating(t) or pa.types.is_integer(t),
    "text": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t),
    "flag": pa.types.is_boolean,
    "time": lambda t: pa.types.is_timestamp(t) or pa.types.is_integer(t),
    "label": lambda t: (
        pa.types.is_integer(t) or pa.types.is_string(t) or pa.types.is_large_string(t)
    ),
}
"""Arrow types that a column of a kind may have; text may be dictionary encoded."""

MOST_ROWS = 5_000_000
MOST_BYTES = 512 << 20
LONGEST_TEXT = 64
"""Limits of a table once decompressed, a text in bytes. The embedded upstream's largest table has
130 000 rows."""

_SITE = {"merchant_id": "integer", "legal_country_iso": "text", "site_order": "integer"}

SCHEMAS: dict[str, dict[str, dict[str, str]]] = {
    "1A": {
        "outlet_catalogue": {
            "merchant_id": "integer",
            "site_id": "integer",
            "home_country_iso": "text",
            "legal_country_iso": "text",
            "merchant_class": "text",
            "mcc": "label",
            "final_country_outlet_count": "integer",
            "site_order": "integer",
        },
        "country_geography": {"country_iso": "text", "region_id": "text", "currency": "text"},
    },
    "1B": {"site_locations": {**_SITE, "lat": "real", "lon": "real"}},
    "2A": {"site_timezones": {**_SITE, "tzid": "text"}},
    "2B": {
        "day_effects": {
            "merchant_id": "integer",
            "tz_group": "label",
            "day": "integer",
            "effect": "real",
        }
    },
    "3A": {
        "zone_alloc": {
            "merchant_id": "integer",
            "legal_country_iso": "text",
            "tzid": "text",
            "zone_site_count": "integer",
        }
    },
    "3B": {
        "virtual_classification": {
            "merchant_id": "integer",
            "is_virtual": "flag",
            "virtual_mode": "text",
        }
    },
    "5A": {
        "merchant_zone_profile_5A": {
            "merchant_id": "integer",
            "legal_country_iso": "text",
            "tzid": "text",
            "demand_class": "text",
            "weekly_volume_expected": "real",
        }
    },
    "5B": {
        "arrival_events_5B": {
            "scenario_id": "label",
            "merchant_id": "integer",
            "arrival_seq": "integer",
            "ts_utc": "time",
            "tzid": "text",
            "channel_group": "text",
            "is_virtual": "flag",
        }
    },
}


def check_columns(root: Path, segment: str, table: str) -> None:
    """Raises RefusedError `6A.S0.UPSTREAM_HASHGATE_SCHEMA_INVALID` for a table without its columns.

    A column may be missing or of another kind, or the file not Parquet or too large.
    """
    path = root / segment / f"{table}.parquet"
    needed = SCHEMAS[segment][table]
    try:
        _require_bounded(path, needed, pq.read_metadata(path))
        schema = pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        let_through(error)
        raise refused(path, f"is not Parquet: {error}", "write the table as Parquet") from error
    missing = [name for name in needed if name not in schema.names]
    if missing:
        raise refused(path, f"lacks {', '.join(missing)}", f"give it {', '.join(needed)}")
    for name, kind in needed.items():
        arrow_type = schema.field(name).type
        plain = arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type
        if not KINDS[kind](plain):
            raise refused(path, f"has {name} as {arrow_type}", f"make {name} of kind {kind}")


def read(root: Path, segment: str, table: str) -> dict[str, np.ndarray]:
    """The columns of SCHEMAS: text as str, integers as int64, reals as float64, flags as bool.

    Raises RefusedError: `6A.S0.SEALED_INPUTS_EMPTY` for a table without rows,
    `6A.S0.UPSTREAM_HASHGATE_SCHEMA_INVALID` for a value that is null, too large or unreadable.
    """
    path = root / segment / f"{table}.parquet"
    needed = SCHEMAS[segment][table]
    try:
        _require_bounded(path, needed, pq.read_metadata(path))
        text = [name for name, kind in needed.items() if kind == "text"]
        data = pq.read_table(path, columns=list(needed), read_dictionary=text)
    except (OSError, pa.ArrowException) as error:
        let_through(error)
        raise refused(path, f"cannot be read: {error}", "write the table again") from error
    if data.num_rows == 0:
        raise RefusedError(
            "6A.S0.SEALED_INPUTS_EMPTY",
            f"{segment}: {table} has no rows",
            where=str(path),
            remedy="seal the segment with rows",
        )
    columns = {}
    for name, kind in needed.items():
        column = data[name]
        if column.null_count:
            raise refused(path, f"has {column.null_count} nulls in {name}", "fill them")
        try:
            columns[name] = _plain(column, kind)
        except pa.ArrowException as error:
            let_through(error)
            raise refused(
                path, f"has {name} beyond its range: {error}", "keep values in range"
            ) from error
    return columns


def _plain(column: pa.ChunkedArray, kind: str) -> np.ndarray:
    """A column as a numpy array. Raises ArrowException for values beyond the range of its kind."""
    if kind == "integer":
        return np.asarray(column.cast(pa.int64()))
    if kind == "real":
        return np.asarray(column.cast(pa.float64(), safe=False))
    if kind == "flag":
        return np.asarray(column.to_numpy(), dtype=bool)
    if pa.types.is_integer(column.type):  # of kind label
        column = column.cast(pa.string())
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    longest = pc.max(pc.binary_length(encoded.dictionary)).as_py() or 0
    if longest > LONGEST_TEXT:
        raise pa.ArrowInvalid(f"a text of {longest} bytes, {LONGEST_TEXT} at most")
    dictionary = np.asarray(encoded.dictionary.cast(pa.string())).astype(str)
    values: np.ndarray = dictionary[np.asarray(encoded.indices)]
    return values


def _require_bounded(path: Path, needed: Mapping[str, str], metadata: pq.FileMetaData) -> None:
    """Raises RefusedError for a file beyond MOST_ROWS or MOST_BYTES once decompressed.

    A small file may fill memory, as repeated values compress to nothing. Arrivals of 5B have no
    limit: they are sealed and never read.
    """
    if path.parent.name == "5B":
        return
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    chunks = [g.column(i) for g in groups for i in range(g.num_columns)]
    size = sum(c.total_uncompressed_size for c in chunks if c.path_in_schema in needed)
    rows = max(metadata.num_rows, sum(g.num_rows for g in groups))
    if rows > MOST_ROWS or size > MOST_BYTES:
        raise refused(
            path,
            f"unpacks to {rows} rows and {size} bytes",
            f"keep it within {MOST_ROWS} rows and {MOST_BYTES} bytes",
        )


def refused(path: Path, what: str, remedy: str) -> RefusedError:
    """The error for a table that S0 refuses; `what` completes "segment: table …"."""
    return RefusedError(
        INVALID,
        f"{path.parent.name}: {path.stem} {what}",
        where=str(path),
        remedy=f"{remedy}, then seal the segment again (docs/upstream.md)",
    )
