"""The input of T1–T8: tables of counts, of one world or summed over several.

Pooled rows of a certificate come from the same gates on the sum of the seeds' counts, so the
counts of every world are stored with its gateboard. A few serve the report alone, which would
otherwise need another pass over the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from fraudworld.documents import Json, JsonObject
from fraudworld.gates.tally import I64, sum_histograms
from fraudworld.policy.pack import PolicyPack


@dataclass(frozen=True)
class Counts:
    """Exact counts over the policy's codes. Histograms are over 0, 1, 2, …

    Regions are those of the parties, devices or IPs themselves; strata are party type ×
    region × asset group, then owner risky, asset risky.
    """

    held: I64  # parties by (product, accounts of it), counted from accounts
    stated_holdings: I64  # the same as the holdings table says
    link_types: I64  # device–IP links by (region of the device, IP type)
    node_types: I64  # IPs with a device by (region, IP type)
    degrees: I64  # linked IPs by devices on them
    coverage: I64  # (linked devices, devices)
    patterns: Mapping[str, I64]  # asset → owners by (risky?, assets, risky assets)
    strata: Mapping[str, I64]  # asset → (strata, 2, 2)
    roles: Mapping[str, I64]  # kind → entities by (region, group, raw role)
    families: Mapping[str, I64]  # kind → entities by (region, raw role, family)
    merchants: I64  # merchants by (raw role, family)
    instruments: I64  # instruments by (product of their account, instrument type)
    role_pairs: Mapping[str, I64]  # asset → owned ones by (owner's raw role, own raw role)
    high_risk_degrees: I64  # linked IPs by (devices on them, HIGH_RISK_IP?)
    segments: I64  # parties by (region, segment)
    device_types: I64  # devices by type, terminals included

    def as_dict(self) -> JsonObject:
        """Plain lists; histograms as (index, count) pairs of the values that occur."""
        return {f.name: _packed(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Json]) -> Counts:
        """The inverse of `as_dict`."""
        return cls(**{f.name: _unpacked(data[f.name]) for f in fields(cls)})


@dataclass(frozen=True)
class Sample:
    """Counts, the policy they are judged by, and their seed; None where they are pooled."""

    counts: Counts
    pack: PolicyPack
    seed: int | None


def pooled(worlds: Sequence[Counts]) -> Counts:
    """The sum of the counts of worlds of one policy."""
    columns: JsonObject = {}
    for field in fields(Counts):
        values = [getattr(world, field.name) for world in worlds]
        if isinstance(values[0], Mapping):
            columns[field.name] = {k: sum_histograms([v[k] for v in values]) for k in values[0]}
        else:
            columns[field.name] = sum_histograms(values)
    return Counts(**columns)


def _packed(value: I64 | Mapping[str, I64]) -> Any:
    if isinstance(value, Mapping):
        return {name: _packed(array) for name, array in value.items()}
    places = np.argwhere(value)
    return {
        "shape": list(value.shape),
        "places": places.tolist(),
        "counts": value[tuple(places.T)].tolist(),
    }


def _unpacked(data: Mapping[str, Json]) -> Any:
    if "shape" not in data:
        return {name: _unpacked(inner) for name, inner in data.items()}
    out = np.zeros(data["shape"], dtype=np.int64)
    if data["places"]:
        out[tuple(np.array(data["places"], dtype=np.int64).T)] = data["counts"]
    return out
