"""Parties, accounts, devices and IPs as published: base table and role table, row by row.

A kind is read in blocks, in ascending order of id. Published ids are 1, 2, 3, … in both tables,
so rows are joined by position and an id is a row number. A kind whose rows were reordered or
removed is sorted in memory first and gives the same counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import BY_NAME, Table
from fraudworld.errors import InputError
from fraudworld.gates.columns import invalid
from fraudworld.gates.prefetch import prefetch
from fraudworld.gates.published import Columns, Published
from fraudworld.gates.tally import I64, Array, chunks, ravel_codes
from fraudworld.policy.pack import PolicyPack

Result = TypeVar("Result")
U8 = NDArray[np.uint8]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Source:
    """Published columns of a kind; `codes` are those a bank could observe."""

    table: str
    region: str
    codes: tuple[str, ...]
    owner: str | None = None


SOURCES = {
    "party": Source("s1_party_base_6A", "region_id", ("party_type", "segment_id", "country_iso")),
    "account": Source(
        "s2_account_base_6A",
        "region_id",
        ("account_type", "segment_id", "currency"),
        "owner_party_id",
    ),
    "device": Source(
        "s4_device_base_6A",
        "home_region_id",
        ("device_group", "device_type", "os_family", "ua_family"),
        "primary_party_id",
    ),
    "ip": Source("s4_ip_base_6A", "region_id", ("ip_type", "asn_class", "ip_version")),
}


def role_groups(pack: PolicyPack, kind: str) -> tuple[str, ...]:
    """Names of the policy groups of a kind, inside which its roles are drawn."""
    return pack.codes("party_type" if kind == "party" else f"{kind}_group")


@dataclass(frozen=True)
class Rows:
    """Some entities of one kind, in order of id.

    codes: by column; group: position in the policy's role groups of the kind; risky, label:
    by the tables of the kind; owner: id of the owning party, 0 where there is none, None where the
    table has no owner column.
    """

    codes: Mapping[str, U8]
    region: U8
    group: U8
    raw: U8
    family: U8
    risky: Flags
    label: Flags
    owner: I64 | None


@dataclass(frozen=True)
class Ids:
    """Ids of n entities in ascending order: `values`, or 1 … n where that is None."""

    n: int
    values: I64 | None = None

    def rows_of(self, wanted: I64, table: Table, what: str) -> I64:
        """Row of every wanted id. Raises InputError for an id that does not exist."""
        if self.values is None:
            if wanted.size and (wanted.min() < 1 or wanted.max() > self.n):
                lost = wanted[(wanted < 1) | (wanted > self.n)]
                raise _nowhere(table, what, lost)
            return wanted - 1
        at = np.searchsorted(self.values, wanted)
        lost = wanted[self.values[np.minimum(at, self.n - 1)] != wanted]
        if lost.size:
            raise _nowhere(table, what, lost)
        return np.asarray(at)


def _nowhere(table: Table, what: str, lost: I64) -> InputError:
    return invalid(table, f"names {what} {int(lost[0])}, which does not exist")


class Kind:
    """One kind of entity of a published world: `party`, `account`, `device` or `ip`."""

    def __init__(self, published: Published, pack: PolicyPack, name: str) -> None:
        self.name, self.source = name, SOURCES[name]
        self._published, self._pack = published, pack
        self._base = BY_NAME[self.source.table]
        self._roles = BY_NAME[f"s5_{name}_fraud_roles_6A"]
        self._key = f"{name}_id"
        owner = (self.source.owner,) if self.source.owner else ()
        self._columns = (
            (self._base, (self.source.region, *self.source.codes, *owner)),
            (self._roles, ("raw_role", "canonical_role_family")),
        )

    @cached_property
    def ids(self) -> Ids:
        """All ids. Raises InputError where base and role table have different ids."""
        if self._plain:
            return Ids(self._published.rows(self._base))
        ids, of_roles = (
            np.sort(self._published.columns(table, self._key)[self._key])
            for table in (self._base, self._roles)
        )
        if not np.array_equal(ids, of_roles):
            raise invalid(self._roles, f"has other {self._key}s than {self._base.name}")
        dense = np.array_equal(ids, np.arange(1, ids.size + 1))
        return Ids(ids.size, None if dense else ids)

    def map(self, fn: Callable[[Rows], Result]) -> Iterator[Result]:
        """`fn` of all entities, block by block in order of id, with prefetch."""
        if self._plain:
            return self._published.aligned(lambda columns: fn(self._rows(columns)), *self._columns)
        columns = {name: v for read in self._columns for name, v in self._ordered(*read).items()}
        return prefetch(
            lambda part: fn(self._rows({name: v[part] for name, v in columns.items()})),
            chunks(self.ids.n),
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Lengths of the code lists of the source's columns."""
        known = {column.name: column for column in self._base.columns}
        return tuple(
            len(self._published.code_list(self._base, known[name])) for name in self.source.codes
        )

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the policy groups of this kind."""
        return role_groups(self._pack, self.name)

    @property
    def raw_roles(self) -> tuple[str, ...]:
        """Codes of the raw roles."""
        return self._pack.codes(f"{self.name}_raw_role")

    @property
    def families(self) -> tuple[str, ...]:
        """Codes of the canonical families."""
        return self._pack.codes(f"{self.name}_family")

    @cached_property
    def risky(self) -> Flags:
        """Whether a (raw role, family) is risky: its canonical family is not the clean one.

        A role published without a family (T6 fails there) is mapped by the policy.
        """
        vocabulary = self._pack.fraud_role_taxonomy.entities[self.name]
        table = np.empty((len(self.raw_roles), len(self.families)), dtype=np.bool_)
        for r, role in enumerate(self.raw_roles):
            for f, family in enumerate(self.families):
                read = vocabulary.mapping[role] if family == "UNMAPPED" else family
                table[r, f] = read != vocabulary.clean_family
        return table

    @cached_property
    def label(self) -> Flags:
        """Whether a (raw role, family) has the label that observable columns must not reveal."""
        if self.name != "ip":
            return self.risky
        table = np.zeros_like(self.risky)
        table[self.raw_roles.index("HIGH_RISK_IP")] = True
        return table

    def group_of(self, codes: Mapping[str, Array]) -> U8:
        """The policy group of entities, from their codes."""
        pack, names = self._pack, self.groups
        if self.name == "account":
            declared = pack.account_taxonomy.account_types
            table = [names.index(declared[t].group) for t in pack.codes("account_type")]
            return np.asarray(np.array(table, dtype=np.uint8)[codes["account_type"]])
        if self.name == "ip":
            rules = pack.fraud_role_taxonomy.ip_groups
            grid = [
                [names.index(rules[t][a]) for a in pack.codes("asn_class")]
                for t in pack.codes("ip_type")
            ]
            return np.asarray(np.array(grid, dtype=np.uint8)[codes["ip_type"], codes["asn_class"]])
        group: U8 = codes["party_type" if self.name == "party" else "device_group"]
        return group

    def _rows(self, columns: Columns) -> Rows:
        codes = {name: columns[name] for name in self.source.codes}
        raw, family = columns["raw_role"], columns["canonical_role_family"]
        cell = ravel_codes((raw, len(self.raw_roles)), (family, len(self.families)))
        return Rows(
            codes=codes,
            region=columns[self.source.region],
            group=self.group_of(codes),
            raw=raw,
            family=family,
            risky=self.risky.ravel()[cell],
            label=self.label.ravel()[cell],
            owner=columns[self.source.owner] if self.source.owner else None,
        )

    @cached_property
    def _plain(self) -> bool:
        """Whether both tables have the ids 1 … n in order, with equal n."""
        tables = (self._base, self._roles)
        same = self._published.rows(self._base) == self._published.rows(self._roles)
        return same and all(self._published.is_dense_id(table, self._key) for table in tables)

    def _ordered(self, table: Table, names: tuple[str, ...]) -> Columns:
        """Whole columns by ascending id."""
        columns = self._published.columns(table, self._key, *names)
        order = np.argsort(columns.pop(self._key), kind="stable")
        return {name: values[order] for name, values in columns.items()}
