"""The small tables all gates share, each made by one pass over the big ones."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fraudworld.audit.world import PublishedWorld


class Evidence:
    """Aggregates of one published world; everything is computed once, when first asked."""

    def __init__(self, world: PublishedWorld, seed: int) -> None:
        self.world, self.pack, self.sql, self.seed = world, world.pack, world.sql, seed
        clean = {e: v.clean_family for e, v in self.pack.fraud_role_taxonomy.entities.items()}
        self.sql.execute(
            f"""
            CREATE TEMP TABLE party AS SELECT p.party_id, p.party_type, p.region_id, p.segment_id,
                r.canonical_role_family <> '{clean["party"]}' AS risky
            FROM s1_party_base p JOIN s5_party_fraud_roles r USING (party_id);
            CREATE TEMP TABLE account AS SELECT a.account_id, a.owner_party_id AS owner,
                a.account_type, a.region_id, t.role_group, r.raw_role,
                r.canonical_role_family AS family,
                r.canonical_role_family <> '{clean["account"]}' AS risky
            FROM s2_account_base a JOIN s5_account_fraud_roles r USING (account_id)
                JOIN account_taxonomy t USING (account_type);
            CREATE TEMP TABLE device AS SELECT d.device_id, d.primary_party_id AS owner,
                d.device_group AS role_group, d.device_type, d.os_family, d.ua_family,
                d.home_region_id AS region_id, r.raw_role, r.canonical_role_family AS family,
                r.canonical_role_family <> '{clean["device"]}' AS risky
            FROM s4_device_base d JOIN s5_device_fraud_roles r USING (device_id);
            CREATE TEMP TABLE link AS SELECT l.ip_id, d.region_id, count(*) AS n,
                count(*) FILTER (d.risky) AS n_risky
            FROM s4_ip_links l JOIN device d USING (device_id) GROUP BY ALL;
            CREATE TEMP TABLE ip AS SELECT i.ip_id, i.ip_type, i.asn_class, i.ip_version,
                i.region_id, g.role_group, r.raw_role, r.canonical_role_family AS family,
                coalesce(k, 0) AS k, coalesce(n_risky, 0) AS n_risky
            FROM s4_ip_base i JOIN s5_ip_fraud_roles r USING (ip_id)
                JOIN ip_group g USING (ip_type, asn_class)
                LEFT JOIN (SELECT ip_id, sum(n) AS k, sum(n_risky) AS n_risky
                           FROM link GROUP BY ip_id) USING (ip_id);
            """
        )

    @cached_property
    def link_types(self) -> NDArray[np.int64]:
        """Device–IP links, shape (regions of the device, ip types)."""
        return self._matrix(
            "SELECT link.region_id, ip_type, sum(n) FROM link JOIN ip USING (ip_id) GROUP BY ALL"
        )

    @cached_property
    def node_types(self) -> NDArray[np.int64]:
        """IPs with at least one device, shape (regions, ip types)."""
        return self._matrix("SELECT region_id, ip_type, count(*) FROM ip WHERE k > 0 GROUP BY ALL")

    @cached_property
    def degrees(self) -> NDArray[np.int64]:
        """(devices per IP, IPs) pairs over linked IPs, ascending."""
        rows = self.sql.execute(
            "SELECT k, count(*) FROM ip WHERE k > 0 GROUP BY ALL ORDER BY k"
        ).fetchall()
        return np.array(rows, dtype=np.int64).reshape(-1, 2)

    @cached_property
    def instrument_pairs(self) -> dict[tuple[str, str], int]:
        """Instruments by (account type, instrument type)."""
        rows = self.sql.execute(
            "SELECT account_type, instrument_type, count(*) FROM s3_instrument_base"
            " JOIN account USING (account_id) GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        return {(account, kind): n for account, kind, n in rows}

    @cached_property
    def coverage(self) -> tuple[int, int]:
        """(linked devices, devices)."""
        linked = self.world.value("SELECT count(DISTINCT device_id) FROM s4_ip_links")
        return int(linked), int(self.world.value("SELECT count(*) FROM device"))

    def patterns(self, asset: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Owners by (risky?, assets, risky assets), and how many of each there are."""
        rows = self.sql.execute(
            f"SELECT p.risky::INT, n, bad, count(*) FROM (SELECT owner, count(*) AS n,"
            f" count(*) FILTER (risky) AS bad FROM {asset} WHERE owner IS NOT NULL GROUP BY"
            f" owner) a"
            f" JOIN party p ON p.party_id = a.owner GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        table = np.array(rows, dtype=np.int64).reshape(-1, 4)
        return table[:, :3], table[:, 3]

    def strata(self, asset: str) -> NDArray[np.float64]:
        """2×2 tables per party type × region × asset group: (strata, owner risky, asset risky)."""
        rows = self.sql.execute(
            f"SELECT count(*) FILTER (NOT p.risky AND NOT a.risky), count(*) FILTER (NOT p.risky"
            f" AND a.risky),"
            f" count(*) FILTER (p.risky AND NOT a.risky), count(*) FILTER (p.risky AND a.risky)"
            f" FROM {asset} a JOIN party p ON p.party_id = a.owner"
            f" GROUP BY p.party_type, p.region_id, a.role_group"
            f" ORDER BY p.party_type, p.region_id, a.role_group"
        ).fetchall()
        return np.array(rows, dtype=np.float64).reshape(-1, 2, 2)

    def measures(self) -> dict[str, float]:
        """What T9 follows over the seeds beside the gates: means, non-clean and link shares."""
        value = self.world.value
        parties, accounts = (
            value("SELECT count(*) FROM party"),
            value("SELECT count(*) FROM account"),
        )
        out = {
            "accounts_per_party": accounts / parties,
            "instruments_per_account": value("SELECT count(*) FROM s3_instrument_base") / accounts,
            "devices_per_party": value("SELECT count(*) FROM device WHERE owner IS NOT NULL")
            / parties,
            "high_risk_ip_share": value("SELECT avg((raw_role = 'HIGH_RISK_IP')::INT) FROM ip"),
        }
        for entity in ("party", "account", "device"):
            out[f"non_clean_{entity}"] = value(f"SELECT avg(risky::INT) FROM {entity}")
        links = self.link_types.sum(axis=0)
        policy = self.pack.ip_count_priors.edge_shares.values()
        for t, kind in enumerate(self.pack.codes("ip_type")):
            if min(mix.get(kind, 0.0) for mix in policy) >= 0.02:
                out[f"link_share_{kind}"] = float(links[t] / links.sum())
        return out

    def _matrix(self, query: str) -> NDArray[np.int64]:
        regions, types = self.pack.codes("region"), self.pack.codes("ip_type")
        out = np.zeros((len(regions), len(types)), dtype=np.int64)
        for region, kind, n in self.sql.execute(query).fetchall():
            out[regions.index(region), types.index(kind)] = n
        return out
