"""T1, T2: nobody holds more of a product than its K_max."""

from __future__ import annotations

from collections.abc import Iterator

from fraudworld.gates.evidence import Evidence
from fraudworld.gates.gate import Row, at_most

NO_INTERVAL = "an exact count over the whole world has no sampling interval"


def t1_kmax_hard_invariant(seen: Evidence) -> Iterator[Row]:
    """T1: largest excess over K_max; a product without a rule counts as one."""
    value = seen.world.value(
        "SELECT coalesce(max(CASE WHEN cap IS NULL THEN n ELSE greatest(n - cap, 0) END), 0) FROM"
        " (SELECT account_type, count(*) AS n FROM s2_account_base GROUP BY owner_party_id,"
        " account_type)"
        " LEFT JOIN kmax USING (account_type)"
    )
    n = seen.world.value("SELECT count(*) FROM s2_account_base")
    yield at_most(
        "T1_KMAX_HARD_INVARIANT", "max_overflow", value,
        seen.pack.validation_policy.gates["T1_max_overflow"],
        owner="S2", seed=seen.seed, support=n, no_interval=NO_INTERVAL,
    )  # fmt: skip


def t2_kmax_tail_sanity(seen: Evidence) -> Iterator[Row]:
    """T2: among holders of a product, p99 − K_max and max − K_max; the worst product."""
    rows = seen.sql.execute(
        "SELECT account_type, quantile_disc(account_count, 0.99) - coalesce(any_value(cap), 0),"
        " max(account_count) - coalesce(any_value(cap), 0), count(*)"
        " FROM s2_party_product_holdings LEFT JOIN kmax USING (account_type) GROUP BY"
        " account_type ORDER BY account_type"
    ).fetchall()
    for metric, column in (("worst_p99_over_kmax", 1), ("worst_max_over_kmax", 2)):
        worst = max(rows, key=lambda r: r[column])
        yield at_most(
            "T2_KMAX_TAIL_SANITY", metric, float(worst[column]),
            seen.pack.validation_policy.gates["T2_over_kmax"],
            owner="S2", seed=seen.seed, support=sum(r[3] for r in rows),
            worst=worst[0], no_interval=NO_INTERVAL,
        )  # fmt: skip
