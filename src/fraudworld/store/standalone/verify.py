"""Check this run without the program that made it. Python and DuckDB are all it takes.

    pip install duckdb
    python reports/verify.py            # in the run's folder
    python verify.py PATH_OF_A_RUN

It reads the files of the run and believes none of them: it hashes every byte, counts keys and
references with SQL, works out the statistics of the gateboard again from the tables and the
sealed policy, and compares. It imports nothing of fraudworld. Exit status 1 if anything is off.
"""

import base64
import hashlib
import json
import math
import sys
from pathlib import Path

import duckdb

LAYER = "data/layer3/6A"
ENTITIES = {
    "party": ("s1_party_base_6A", "party_type", "region_id"),
    "account": ("s2_account_base_6A", None, "region_id"),
    "device": ("s4_device_base_6A", "device_group", "home_region_id"),
    "ip": ("s4_ip_base_6A", None, "region_id"),
}
KEYS = {
    "s1_party_base_6A": "party_id",
    "s2_account_base_6A": "account_id",
    "s3_instrument_base_6A": "instrument_id",
    "s4_device_base_6A": "device_id",
    "s4_ip_base_6A": "ip_id",
}
REFERENCES = [
    ("s2_account_base_6A", "owner_party_id", "s1_party_base_6A", "party_id"),
    ("s3_instrument_base_6A", "account_id", "s2_account_base_6A", "account_id"),
    ("s4_device_base_6A", "primary_party_id", "s1_party_base_6A", "party_id"),
    ("s4_ip_links_6A", "ip_id", "s4_ip_base_6A", "ip_id"),
    ("s4_ip_links_6A", "device_id", "s4_device_base_6A", "device_id"),
]
failures = []


def check(what, holds, detail=""):
    """Print one finding and remember a failure."""
    print(f"{'ok  ' if holds else 'FAIL'}  {what}" + ("" if holds else f": {detail}"))
    if not holds:
        failures.append(what)


def sha256(path):
    """SHA-256 of a file, hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(run):
    """Index, flag and every file they cover."""
    validation = run / LAYER / "validation"
    index = json.loads((validation / "validation_bundle_index_6A.json").read_text("utf-8"))
    text = json.dumps(index, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    flag = validation / "_passed.flag"
    if flag.exists():
        check("flag belongs to the index", flag.read_text() == f"sha256_hex = {digest}\n", digest)
    listed = {m["path"]: m["sha256_hex"] for m in index["members"]}
    own = {f"{LAYER}/validation/{n}" for n in ("validation_bundle_index_6A.json", "_passed.flag")}
    here = {p.relative_to(run).as_posix() for p in run.rglob("*") if not p.is_dir()}
    # Reports and receipt are in run_index.json; transactions (6B) have a seal of their own.
    here = {
        n for n in here if not n.startswith(("reports/", "run_", ".run_index", "data/layer3/6B/"))
    }
    check(
        "no file is missing or added",
        here - own == set(listed),
        sorted((here - own) ^ set(listed))[:3],
    )
    wrong = [n for n in sorted(here & set(listed)) if sha256(run / n) != listed[n]]
    check(f"{len(listed)} files have their SHA-256", not wrong, wrong[:3])


def attestation(run):
    """The in-toto statement in `reports/attestation.json` names these files. No signature is
    checked: that takes a key, and `fraudworld verify --key` or any DSSE tool."""
    envelope = json.loads((run / "reports" / "attestation.json").read_text("utf-8"))
    statement = json.loads(base64.b64decode(envelope["payload"], validate=True))
    kinds = (envelope["payloadType"], statement["_type"])
    wanted = ("application/vnd.in-toto+json", "https://in-toto.io/Statement/v1")
    check("the attestation is an in-toto statement", kinds == wanted, kinds)
    subjects = {s["name"]: s["digest"]["sha256"] for s in statement["subject"]}
    sealed = [p for p in run.rglob("*") if p.is_file()]
    here = {p.relative_to(run).as_posix() for p in sealed}
    here = {n for n in here if n.startswith(("data/layer3/6A/", "logs/layer3/6A/"))}
    check(
        "its subjects are the files of the run",
        here == set(subjects),
        sorted(here ^ set(subjects))[:3],
    )
    wrong = [n for n in sorted(here & set(subjects)) if sha256(run / n) != subjects[n]]
    check(f"{len(subjects)} subjects have their SHA-256", not wrong, wrong[:3])


def open_tables(run):
    """A DuckDB view per dataset."""
    sql = duckdb.connect()
    for folder in sorted((run / LAYER).glob("s?_*")):
        if folder.is_dir():
            files = str(folder / "**" / "*.parquet").replace("'", "''")
            source = f"read_parquet('{files}', hive_partitioning=false)"
            sql.execute(f"CREATE VIEW {folder.name} AS FROM {source}")
    return sql


def structure(sql, receipt):
    """Rows, keys, references."""
    for table, rows in receipt["tables"].items():
        (n,) = sql.execute(f"SELECT count(*) FROM {table}").fetchone()
        check(f"{table} has {rows} rows", n == rows, n)
    for table, key in KEYS.items():
        n, distinct, low, high = sql.execute(
            f"SELECT count(*), count(DISTINCT {key}), min({key}), max({key}) FROM {table}"
        ).fetchone()
        check(f"{table}.{key} is dense and unique", (distinct, low, high) == (n, 1, n))
    for child, column, parent, key in REFERENCES:
        (lost,) = sql.execute(
            f"SELECT count(*) FROM {child} c ANTI JOIN {parent} p ON c.{column} = p.{key}"
            f" WHERE c.{column} IS NOT NULL"
        ).fetchone()
        check(f"{child}.{column} exists in {parent}", lost == 0, f"{lost} do not")


def divergence(observed, expected):
    """Jensen–Shannon divergence in bits of two lists of counts."""
    p, q = ([v / sum(side) for v in side] for side in (observed, expected))
    m = [(a + b) / 2 for a, b in zip(p, q, strict=True)]

    def entropy(x):
        return -sum(v * math.log2(v) for v in x if v > 0)

    return max(entropy(m) - (entropy(p) + entropy(q)) / 2, 0.0)


def risky(words, raw, family):
    """Is the family another than the clean one? A role without a family is read by its mapping."""
    return (words["mapping"].get(raw) if family == "UNMAPPED" else family) != words["clean_family"]


def odds_ratio(sql, asset, roles):
    """Risky asset given a risky owner, half a case added to every cell."""
    table, key, owner = {
        "account": ("s2_account_base_6A", "account_id", "owner_party_id"),
        "device": ("s4_device_base_6A", "device_id", "primary_party_id"),
    }[asset]
    cells = {(a, b): 0.5 for a in (True, False) for b in (True, False)}
    for *of_owner, raw, family, n in sql.execute(
        "SELECT p.raw_role, p.canonical_role_family, r.raw_role, r.canonical_role_family, count(*)"
        f" FROM {table} t JOIN s5_{asset}_fraud_roles_6A r USING ({key})"
        f" JOIN s5_party_fraud_roles_6A p ON p.party_id = t.{owner} GROUP BY ALL"
    ).fetchall():
        cells[risky(roles["party"], *of_owner), risky(roles[asset], raw, family)] += n
    return cells[True, True] * cells[False, False] / (cells[True, False] * cells[False, True])


def statistics(sql, policy):
    """The metrics of the gateboard that need no more than counts: name → value."""
    roles = policy["fraud_role_taxonomy"]["entities"]
    out = {}
    caps = policy["account_per_party_priors"]["counts"]
    held = sql.execute(
        "SELECT account_type, max(n) FROM (SELECT owner_party_id, account_type, count(*) AS n"
        " FROM s2_account_base_6A GROUP BY ALL) GROUP BY ALL"
    ).fetchall()
    out["max_overflow"] = max(max(n - caps.get(t, {"cap": 0})["cap"], 0) for t, n in held)
    links = sql.execute(
        "SELECT home_region_id, ip_type, count(*) FROM s4_ip_links_6A JOIN s4_device_base_6A"
        " USING (device_id) JOIN s4_ip_base_6A USING (ip_id) GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    shares = policy["ip_count_priors"]["edge_shares"]
    types = sorted({t for mix in shares.values() for t in mix})
    total = {r: sum(n for q, _, n in links if q == r) for r in shares}
    count = {(r, t): n for r, t, n in links}
    out["max_abs_error_pp_links"] = max(
        100 * abs(count.get((r, t), 0) / total[r] - shares[r].get(t, 0.0))
        for r in shares
        if total[r]
        for t in types
    )
    out["jsd_ip_type"] = divergence(
        [sum(count.get((r, t), 0) for r in shares) for t in types],
        [sum(total[r] * shares[r].get(t, 0.0) for r in shares) for t in types],
    )
    linked, devices = sql.execute(
        "SELECT (SELECT count(DISTINCT device_id) FROM s4_ip_links_6A),"
        " (SELECT count(*) FROM s4_device_base_6A)"
    ).fetchone()
    out["linked_device_fraction"] = linked / devices
    degree = "(SELECT count(device_id) AS k FROM s4_ip_links_6A GROUP BY ip_id)"
    out["p99_devices_per_ip"], out["max_devices_per_ip"] = sql.execute(
        f"SELECT quantile_disc(k, 0.99), max(k) FROM {degree} WHERE k > 0"
    ).fetchone()
    rows = bad = 0
    for entity, words in roles.items():
        for raw, family, n in sql.execute(
            f"SELECT raw_role, canonical_role_family, count(*) FROM s5_{entity}_fraud_roles_6A"
            " GROUP BY ALL"
        ).fetchall():
            rows += n
            bad += n if words["mapping"].get(raw) != family else 0
    out["mapped_role_fraction"], out["unmapped_role_count"] = 1 - bad / rows, bad
    for asset in ("account", "device"):
        out[f"or_{asset}"] = odds_ratio(sql, asset, roles)
    return out


def gateboard(run, sql):
    """Published values against those worked out here; and that a flag needs them to pass."""
    policy = json.loads((run / LAYER / "resolved_policy_6A.json").read_text("utf-8"))["pack"]
    path = run / LAYER / "validation" / "realism_gate_6A.json"
    board = json.loads(path.read_text("utf-8"))
    stated = {row["metric_name"]: row for row in board["tests"]}
    for name, value in statistics(sql, policy).items():
        claimed = stated[name]["value"]
        same = claimed is not None and math.isclose(claimed, value, rel_tol=1e-9, abs_tol=1e-9)
        check(f"{name} = {value:.6g}", same, f"the gateboard says {claimed}")
    passed = all(row["pass_B"] for row in board["tests"])
    flag = (path.parent / "_passed.flag").exists()
    check("a flag only where every gate passes B", passed or not flag)


def main():
    """Check one run."""
    here = Path(__file__).resolve().parent
    run = Path(sys.argv[1]) if len(sys.argv) > 1 else here.parent
    seal(run)
    attestation(run)
    sql = open_tables(run)
    structure(sql, json.loads((run / "run_receipt.json").read_text("utf-8")))
    gateboard(run, sql)
    print(f"\n{len(failures)} of the checks above fail" if failures else "\nall of it holds")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
