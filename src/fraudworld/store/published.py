"""A DuckDB connection over one published run: a view per dataset, tables for the policy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from fraudworld.contracts import TABLES
from fraudworld.documents import canonical_json, load_json
from fraudworld.errors import InputError
from fraudworld.machine import let_through
from fraudworld.policy.loader import parameter_hash
from fraudworld.policy.pack import PolicyPack
from fraudworld.store.reader import bounded_parts
from fraudworld.store.sql import in_memory, parquet, quoted

RESOLVED_POLICY = "data/layer3/6A/resolved_policy_6A.json"


@dataclass(frozen=True)
class Sql:
    """SQL over the datasets of one run."""

    run: Path
    connection: duckdb.DuckDBPyConnection

    def execute(self, query: str, parameters: object = None) -> duckdb.DuckDBPyConnection:
        """Runs a query to its end.

        Raises InputError `6A.S5.DATASET_SCHEMA_OR_KEY_INVALID` where a dataset cannot be read,
        lacks a column or holds values of another type.
        """
        try:
            return self.connection.execute(query, parameters)
        except duckdb.Error as error:
            let_through(error)
            raise InputError(
                "6A.S5.DATASET_SCHEMA_OR_KEY_INVALID",
                f"a dataset cannot be read: {str(error)[:300]}",
                where=str(self.run),
                remedy="read a run as it was published; generate it again",
            ) from error

    def close(self) -> None:
        """Closes the connection."""
        self.connection.close()


@dataclass(frozen=True)
class PublishedWorld:
    """A run opened for reading; views carry the dataset names without the `_6A`."""

    run: Path
    pack: PolicyPack
    sql: Sql

    def value(self, query: str) -> float:
        """The single number a query returns (0 for NULL)."""
        row = self.sql.execute(query).fetchone()
        return float(row[0] or 0) if row else 0.0


def sealed_policy(run: Path, segment: str = "6A") -> PolicyPack:
    """The policy sealed inside a run.

    segment: of the caller, for error codes. Raises InputError `<segment>.S0.PRIOR_PACK_MISSING`
    where there is none, `…_SCHEMA_INVALID` where it is no policy of this version, and
    `…_DIGEST_MISMATCH` where it does not hash to what it states.
    """
    path = run / RESOLVED_POLICY
    if not path.is_file():
        raise InputError(
            f"{segment}.S0.PRIOR_PACK_MISSING",
            "this folder holds no sealed policy, so it is not a run",
            where=str(path),
            remedy="name a run folder: fraudworld runs list",
        )
    try:
        document = load_json(path)
        stated = document["parameter_hash"]
        pack = PolicyPack.model_validate_json(canonical_json(document["pack"]), strict=True)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{segment}.S0.PRIOR_PACK_SCHEMA_INVALID",
            f"the sealed policy cannot be read: {error}",
            where=str(path),
            remedy="judge the run as it was published",
        ) from error
    if stated != parameter_hash(pack):
        raise InputError(
            f"{segment}.S0.PRIOR_PACK_DIGEST_MISMATCH",
            f"the sealed policy hashes to {parameter_hash(pack)}, it states {stated}",
            where=str(path),
            remedy="the policy was changed after sealing; judge the untouched run",
        )
    return pack


def open_world(run: Path, *, threads: int = 2, memory: str = "4GB") -> PublishedWorld:
    """Opens a published or staged run folder.

    Raises InputError `6A.S5.<TABLE>_SCHEMA_OR_KEY_INVALID` where a dataset is missing or
    `reader.open_part` refuses a part of it.
    """
    pack = sealed_policy(run)
    sql = Sql(run, in_memory())
    sql.execute(
        f"SET threads={threads}; SET memory_limit={quoted(memory)};"
        " SET preserve_insertion_order=false"
    )
    for table in TABLES:
        folder = run / "data/layer3/6A" / table.name
        rows = parquet(bounded_parts(folder, table))
        sql.execute(f"CREATE VIEW {table.name.removesuffix('_6A')} AS SELECT * FROM {rows}")
    _policy_tables(sql.connection, pack)
    return PublishedWorld(run, pack, sql)


def _policy_tables(sql: duckdb.DuckDBPyConnection, pack: PolicyPack) -> None:
    """Creates small tables of the policy's caps, legality and mappings, for SQL to join."""
    caps = pack.account_per_party_priors.counts
    kinds = pack.instrument_taxonomy.instrument_types
    accounts = pack.account_taxonomy.account_types
    floors = pack.instrument_mix_priors.floors
    names = {c.codes for t in TABLES for c in t.columns if c.codes} - {"country", "currency"}
    mapped = pack.risk_propagation_coeffs.role_mapping == "total"
    _table(
        sql,
        "kmax(account_type VARCHAR, cap BIGINT)",
        [(t, law.cap) for t, law in caps.items()],
    )
    _table(
        sql,
        "account_taxonomy(account_type VARCHAR, party_type VARCHAR, ledger VARCHAR,"
        " role_group VARCHAR)",
        [(t, a.party_type, a.ledger, a.group) for t, a in accounts.items()],
    )
    _table(
        sql,
        "instrument_law(account_type VARCHAR, instrument_type VARCHAR, cap BIGINT,"
        " legal BOOLEAN, family VARCHAR, needs_card BOOLEAN, is_floor BOOLEAN)",
        [
            (t, k, law.cap, accounts[t].ledger in kinds[k].ledgers,
             kinds[k].family, kinds[k].needs_card, k in floors.get(t, {}))
            for t, laws in pack.instrument_per_account_priors.counts.items()
            for k, law in laws.items()
        ],
    )  # fmt: skip
    _table(
        sql,
        "codes(list VARCHAR, code VARCHAR)",
        [(name, value) for name in sorted(names) for value in pack.codes(name)],
    )
    _table(
        sql,
        "role_map(entity VARCHAR, raw_role VARCHAR, family VARCHAR)",
        [
            (entity, raw, family if mapped or entity not in ("device", "ip") else "UNMAPPED")
            for entity, vocabulary in pack.fraud_role_taxonomy.entities.items()
            for raw, family in vocabulary.mapping.items()
        ],
    )
    _table(
        sql,
        "ip_group(ip_type VARCHAR, asn_class VARCHAR, role_group VARCHAR)",
        [
            (kind, asn, group)
            for kind, row in pack.fraud_role_taxonomy.ip_groups.items()
            for asn, group in row.items()
        ],
    )


def _table(sql: duckdb.DuckDBPyConnection, declared: str, rows: list[tuple[object, ...]]) -> None:
    """Creates a table and fills it by columns: DuckDB is slow with single rows."""
    sql.execute(f"CREATE TABLE {declared}")
    columns = [list(column) for column in zip(*rows, strict=True)]
    name, values = declared.partition("(")[0], ", ".join(["unnest(?)"] * len(columns))
    sql.execute(f"INSERT INTO {name} SELECT {values}", columns)
