"""Check this run without the program that made it. Python 3.9 and DuckDB 1.1 are all it takes.

    pip install duckdb
    python reports/verify.py            # in the run's folder
    python verify.py PATH_OF_A_RUN
    python verify.py RUNS_ROOT          # a certificate, its runs, and decisions of a ladder

It reads the files of the run and believes none of them: it hashes every byte, counts keys and
references with SQL, works out the statistics of the gateboard again from the tables and the
sealed policy, and compares. It imports nothing of fraudworld. Exit status 1 if anything is off.
"""

import base64
import hashlib
import json
import math
import os
import re
import stat
import sys
from pathlib import Path
from statistics import stdev

import duckdb

LAYER = "data/layer3/6A"
SUMMARY = "reports/layer3/6A/validation/realism_gate_summary_6A.json"
BASES = ("s1_party", "s2_account", "s3_instrument", "s4_device", "s4_ip")
KEYS = {f"{name}_base_6A": f"{name[3:]}_id" for name in BASES}
REFERENCES = [
    ("s2_account_base_6A", "owner_party_id", "s1_party_base_6A", "party_id"),
    ("s3_instrument_base_6A", "account_id", "s2_account_base_6A", "account_id"),
    ("s4_device_base_6A", "primary_party_id", "s1_party_base_6A", "party_id"),
    ("s4_ip_links_6A", "ip_id", "s4_ip_base_6A", "ip_id"),
    ("s4_ip_links_6A", "device_id", "s4_device_base_6A", "device_id"),
]
JOINED = "reports/layer3/6A/validation/leakage_joined_6A"
OWNERS = {"T1": "S2", "T2": "S2", "T3": "S4", "T4": "S4", "T5": "S4"}
OWNERS.update(T9="robustness review", T10="cross-layer review")
FAMILIES = "SELECT raw_role, canonical_role_family, count(*) FROM s5_{}_fraud_roles_6A GROUP BY ALL"
KEPT = ("metric_name", "value", "pass_B", "pass_Bplus", "status")
KINDS = ("party", "account", "device", "ip")
FLAG = "_passed.flag"
BESIDE = ("data/layer3/6B/", "data/layer3/6P/")
DRAWN = {"region_segment": "segments", "product": "held", "device_type": "device_types"}
LARGEST_DOCUMENT, LARGEST_FILE, MOST_FILES = 16 << 20, 256 << 20, 50_000
"""Bytes of a JSON document, bytes of a file, and files of a run: beyond them nothing is read."""
LITTER = re.compile(r"\.DS_Store|Thumbs\.db|desktop\.ini|\._.+")  # what desktops leave
failures = []


def check(what, holds, detail=""):
    """Print one finding and remember a failure."""
    print(f"{'ok  ' if holds else 'FAIL'}  {what}" + ("" if holds else f": {detail}"))
    if not holds:
        failures.append(what)


def refuse(path, why):
    """End here: a run that holds links, pipes or bombs is not read at all."""
    sys.exit(f"FAIL  {str(path)!a}: {why}")


def opened(path):
    """A regular file, opened without following a link or waiting for a pipe."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        refuse(path, error.strerror)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        refuse(path, "no regular file")
    if os.fstat(handle).st_size > LARGEST_FILE:
        refuse(path, f"more than {LARGEST_FILE >> 20} MiB")
    return os.fdopen(handle, "rb")


def sha256(path):
    """SHA-256 of a file, hex."""
    digest = hashlib.sha256()
    with opened(path) as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def once(pairs):
    """A JSON object; a key that stands in it twice could be read either way."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key twice")
    return value


def parse(data, path):
    """The value of a JSON text."""
    try:
        return json.loads(data, object_pairs_hook=once, parse_constant=int)  # refuses NaN
    except (ValueError, RecursionError) as error:
        refuse(path, f"not JSON: {error}")


def load(path):
    """The value of a JSON file."""
    with opened(path) as file:
        data = file.read(LARGEST_DOCUMENT + 1)
    if len(data) > LARGEST_DOCUMENT:
        refuse(path, f"more than {LARGEST_DOCUMENT >> 20} MiB")
    return parse(data, path)


def listed(run):
    """Every file of a run, path -> bytes; only folders and regular files may be there."""
    found = {}
    for parent, folders, names in os.walk(run):
        for name in (*folders, *names):
            path = Path(parent, name)
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and not LITTER.fullmatch(name):
                found[path.relative_to(run).as_posix()] = status.st_size
            elif not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
                refuse(path, "a link, pipe, socket or device")
        if len(found) > MOST_FILES:
            refuse(run, f"more than {MOST_FILES} files")
    return found


def seal(run):
    """Index, flag and every file they cover, of the world and of each layer beside it."""
    sizes = listed(run)
    for path in sorted(p for p in run.rglob("*") if LITTER.fullmatch(p.name)):
        print(f"ignored  {path.relative_to(run).as_posix()!a}")
    outside = ("reports/", "run_", ".run_index", *BESIDE)  # in run_index.json, or apart
    here = {n: size for n, size in sizes.items() if not n.startswith(outside)}
    bundle(run, here, f"{LAYER}/validation", "6A", "")
    for root in BESIDE:
        here = {n[len(root) :]: size for n, size in sizes.items() if n.startswith(root)}
        if here:
            bundle(run / root, here, "validation", root[-3:-1], f"{root[-3:-1]}: ")


def bundle(folder, here, validation, segment, whose):
    """Index, flag and files of one bundle; here: path -> bytes of all that lies in its folder."""
    own = [f"{validation}/{n}" for n in (f"validation_bundle_index_{segment}.json", FLAG)]
    index, flag = load(folder / own[0]), folder / own[1]
    text = json.dumps(index, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    if flag.exists():
        with opened(flag) as file:
            line = file.read(100).decode("ascii", "replace")
        check(f"{whose}flag belongs to the index", line == f"sha256_hex = {digest}\n", digest)
    listing = {m["path"]: (m["bytes"], m["sha256_hex"]) for m in index["members"]}
    check(f"{whose}the index lists no file twice", len(listing) == len(index["members"]))
    strange = sorted((set(here) - set(own)) ^ set(listing))
    check(f"{whose}no file is missing or added", not strange, strange[:3])
    both = sorted(set(here) & set(listing))
    wrong = [n for n in both if here[n] != listing[n][0] or sha256(folder / n) != listing[n][1]]
    check(f"{whose}{len(listing)} files have their SHA-256", not wrong, wrong[:3])


def attestation(run):
    """The in-toto statement names these files. A signature takes `fraudworld verify --key`."""
    envelope = load(run / "reports" / "attestation.json")
    statement = parse(base64.b64decode(envelope["payload"], validate=True), run)
    kinds = (envelope["payloadType"], statement["_type"])
    wanted = ("application/vnd.in-toto+json", "https://in-toto.io/Statement/v1")
    check("the attestation is an in-toto statement", kinds == wanted, kinds)
    subjects = {s["name"]: s["digest"]["sha256"] for s in statement["subject"]}
    sealed = ("data/layer3/6A/", "logs/layer3/6A/", "reports/verify.py")
    here = {n for n in listed(run) if n.startswith(sealed)}
    strange = sorted(here ^ set(subjects))[:3]
    check("its subjects are the files of the run", not strange, strange)
    wrong = [n for n in sorted(here & set(subjects)) if sha256(run / n) != subjects[n]]
    check(f"{len(subjects)} subjects have their SHA-256", not wrong, wrong[:3])


def open_tables(run):
    """A DuckDB view per dataset."""
    sql = duckdb.connect()
    for folder in sorted((run / LAYER).glob("s?_*")):
        if folder.is_dir():
            files = ", ".join(literal(path) for path in sorted(folder.rglob("part-*.parquet")))
            source = f"read_parquet([{files}], hive_partitioning=false)"
            sql.execute(f"CREATE VIEW {folder.name} AS FROM {source}")
    return sql


def literal(path):
    """A path for SQL: DuckDB takes * ? [ for patterns, and then a backslash for a slash."""
    text = str(path)
    if "\\" in text and re.search(r"[*?\[]", text):
        refuse(path, "DuckDB cannot read a path with a backslash and one of * ? [; rename it")
    text = re.sub(r"[*?\[]", r"[\g<0>]", text)
    return "'" + text.replace("'", "''") + "'"


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
    mean = [(a + b) / 2 for a, b in zip(p, q)]  # noqa: B905
    parts = zip((*p, *q), (*mean, *mean))  # noqa: B905
    return max(sum(v * math.log2(v / m) for v, m in parts if v > 0) / 2, 0.0)


def risky(words, raw, family):
    """Is the family another than the clean one? A role without a family is read by its mapping."""
    return (words["mapping"].get(raw) if family == "UNMAPPED" else family) != words["clean_family"]


def odds_ratio(sql, asset, roles):
    """Risky asset given a risky owner, half a case added to every cell."""
    owner = {"account": "owner_party_id", "device": "primary_party_id"}[asset]
    table, key = next(item for item in KEYS.items() if item[1] == f"{asset}_id")
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
    out, roles = {}, policy["fraud_role_taxonomy"]["entities"]
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
    cells = [(r, t) for r in shares if total[r] for t in types]
    off = [count.get((r, t), 0) / total[r] - shares[r].get(t, 0.0) for r, t in cells]
    out["max_abs_error_pp_links"] = 100 * max(map(abs, off))
    out["jsd_ip_type"] = divergence(
        [sum(count.get((r, t), 0) for r in shares) for t in types],
        [sum(total[r] * shares[r].get(t, 0.0) for r in shares) for t in types],
    )
    (linked,) = sql.execute("SELECT count(DISTINCT device_id) FROM s4_ip_links_6A").fetchone()
    (devices,) = sql.execute("SELECT count(*) FROM s4_device_base_6A").fetchone()
    out["linked_device_fraction"] = linked / devices
    degree = "(SELECT count(device_id) AS k FROM s4_ip_links_6A GROUP BY ip_id)"
    out["p99_devices_per_ip"], out["max_devices_per_ip"] = sql.execute(
        f"SELECT quantile_disc(k, 0.99), max(k) FROM {degree} WHERE k > 0"
    ).fetchone()
    rows = bad = 0
    for entity, words in roles.items():
        for raw, family, n in sql.execute(FAMILIES.format(entity)).fetchall():
            rows += n
            bad += n if words["mapping"].get(raw) != family else 0
    out["mapped_role_fraction"], out["unmapped_role_count"] = 1 - bad / rows, bad
    for asset in ("account", "device"):
        out[f"or_{asset}"] = odds_ratio(sql, asset, roles)
    return out


def gateboard(run, sql):
    """Published values against those worked out here; and that a flag needs them to pass."""
    policy = load(run / LAYER / "resolved_policy_6A.json")["pack"]
    path = run / LAYER / "validation" / "realism_gate_6A.json"
    board = load(path)
    stated = {row["metric_name"]: row for row in board["tests"]}
    for name, value in statistics(sql, policy).items():
        claimed = stated[name]["value"]
        same = claimed is not None and math.isclose(claimed, value, rel_tol=1e-9, abs_tol=1e-9)
        check(f"{name} = {value:.6g}", same, f"the gateboard says {claimed}")
    passed = all(row["pass_B"] for row in board["tests"])
    check("a flag only where every gate passes B", passed or not (path.parent / FLAG).exists())


def fails_of(summary, checks):
    """The list of fails, from the rows of the certificate and the failing checks of the runs."""
    failed = {"test_id": "S5_VALIDATION", "misses": "B"}
    out = [{**failed, "metric_name": n, "seed": seed} for seed in checks for n in checks[seed]]
    for row in summary["tests"]:
        if not row["pass_Bplus"]:
            misses = "B+" if row["pass_B"] else "B"
            out.append({k: row[k] for k in ("test_id", "metric_name", "seed")} | {"misses": misses})
    return out


def rows_pass(row):
    """Whether a row of T1–T9 states the verdicts that its value and thresholds give it."""
    value, stated = row["value"], [row["pass_B"], row["pass_Bplus"]]
    if row["status"] == "INSUFFICIENT_EVIDENCE" or value is None:
        return stated == [False, False]
    thresholds = row["threshold_B"], row["threshold_Bplus"]
    if row["metric_name"].startswith("or_"):
        clear = row["ci_low"] is not None and row["ci_low"] > 1
        return stated == [clear and value >= t for t in thresholds]
    if row["metric_name"] in ("linked_device_fraction", "mapped_role_fraction"):
        return stated == [value >= t for t in thresholds]
    return stated == [value <= t for t in thresholds]


def spread(boards):
    """T9's worst spread, from the gateboards: sd over the mean, or over B for distances."""
    worst = 0.0
    for rows in zip(*(board["tests"] for board in boards)):  # noqa: B905
        test, values = rows[0]["test_id"].split("_")[0], [row["value"] for row in rows]
        if test in ("T3", "T4", "T5", "T7", "T8"):
            if None in values:
                return None
            scale = rows[0]["threshold_B"] if test in ("T3", "T8") else sum(values) / len(values)
            worst = max(worst, stdev(values) / scale)
    for name in boards[0]["measures"]:
        values = [board["measures"][name] for board in boards]
        worst = max(worst, stdev(values) * len(values) / sum(values))
    return worst


def certificate(root, path):
    """Rows, digests, T9, fails, routing, grade and decision, from boards and T10 evidence."""
    summary = load(path)
    seeds = sorted(summary["runs"], key=int)
    check("every required seed has a run", {"7", "42", "101", "202"} <= set(seeds), seeds)
    check("no run serves two seeds", len(set(summary["runs"].values())) == len(seeds))
    boards, failing = [], {}
    for seed in seeds:
        run = root / summary["runs"][seed]
        for name, digest in summary["digests"][seed].items():
            file = root / name if name.startswith("reports/") else run / name
            check(f"seed {seed}: {name} has its SHA-256", file.is_file() and sha256(file) == digest)
        validation = run / LAYER / "validation"
        boards.append(load(validation / "realism_gate_6A.json"))
        report = load(validation / "s5_validation_report_6A.json")
        lost = not (validation / FLAG).exists() and boards[-1]["grade"] != "<C"
        failing[int(seed)] = report["required_failed"] or ["flag"] * lost
    check("all runs have one policy", len({board["parameter_hash"] for board in boards}) == 1)
    own = [row for board in boards for row in board["tests"]]
    check("rows of the seeds are those of the gateboards", summary["tests"][: len(own)] == own)
    plain = [r for r in summary["tests"] if not r["test_id"].startswith("T10_")]
    wrong = [r["metric_name"] for r in plain if not rows_pass(r)]
    check("every row of T1–T9 passes as its value and thresholds say", not wrong, wrong[:3])
    stated = next(r["value"] for r in summary["tests"] if r["metric_name"] == "worst_cv")
    found = spread(boards)
    same = found is None if stated is None else math.isclose(stated, found, rel_tol=1e-9)
    check(f"T9 worst_cv = {found}", same, f"the certificate says {stated}")
    witnessed(root, summary, seeds)
    fails = fails_of(summary, failing)
    check("fails follow from rows and checks", summary["fails"] == fails)
    missing = {(f["test_id"], f["metric_name"]) for f in fails if f["misses"] == "B"}
    routing = [
        {"test_id": t, "metric_name": m, "owner": OWNERS.get(t.split("_")[0], "S5")}
        for t, m in sorted(missing)
    ]
    check("routing follows from fails", summary["routing"] == routing)
    guards(root, summary, seeds, boards)
    broken = any(not guard["holds"] for of in summary["guards"].values() for guard in of)
    b = not missing and not summary["copied"]
    grade = "B+" if b and not fails and not broken else "B" if b else "<C"
    decision = {"B+": "PASS_BPLUS", "B": "PASS_B", "<C": "HOLD_REMEDIATE"}[grade]
    said = (summary["eligible_grade"], summary["decision"])
    check(f"the decision is {decision}", said == (grade, decision), said)


def guards(root, summary, seeds, boards):
    """Guards by seed are those of its gateboard and of joined tables; then those over seeds."""
    policy = load(root / summary["runs"][seeds[0]] / LAYER / "resolved_policy_6A.json")["pack"]
    limits, support = (policy["validation_policy"][name] for name in ("guards", "support"))
    for seed, board in zip(seeds, boards):  # noqa: B905
        stated, own = summary["guards"][seed], len(board["guards"])
        check(f"seed {seed}: guards of the gateboard", stated[:own] == board["guards"])
        name = f"{JOINED}_{summary['runs'][seed]}.json"
        wanted = dict.fromkeys((f"leakage_joined_{kind}" for kind in KINDS), (None, False))
        if name in summary["digests"][seed]:
            for kind, of in load(root / name)["measures"].items():
                folds, cases = of["folds"], sum(f["support"] for f in of["folds"])
                least = limits["leakage_joined_min_party_auc"] if kind == "party" else 0.0
                if cases and None not in [f["value"] for f in folds]:
                    area = math.fsum(f["value"] * f["support"] for f in folds) / cases
                    holds = least <= area <= limits["leakage_joined_max_auc"]
                    holds = holds and cases >= support["min_risky_owners"]
                    wanted[f"leakage_joined_{kind}"] = (area, holds)
        found = {g["guard_id"]: (g["value"], g["holds"]) for g in stated[own:]}
        check(f"seed {seed}: guards of joined tables follow from areas", found == wanted, wanted)
    found = {g["guard_id"]: (g["value"], g["holds"]) for g in summary["guards"]["over_seeds"]}
    for name, field in DRAWN.items():
        value = variation(boards, field, support["min_expected_per_category"])
        said, holds = found.get(f"seed_variation_{name}", (None, None))
        same = said == value or (said and value and math.isclose(said, value, rel_tol=1e-9))
        inside = value and limits["seed_variation_low"] <= value <= limits["seed_variation_high"]
        check(f"seeds vary in {name} by {value}", same and holds == bool(inside), said)


def variation(boards, field, least):
    """Chi-squared over its degrees of freedom of counts of the seeds, rare cells joined."""
    seeds = [{} for _ in boards]
    for seed, counts in zip(seeds, (board["counts"][field] for board in boards)):  # noqa: B905
        for place, n in zip(counts["places"], counts["counts"]):  # noqa: B905
            cell, times = (place[0], place[1]) if field == "held" else (tuple(place), 1)
            if n * times:
                seed[cell] = seed.get(cell, 0) + n * times
    sizes, joined = [sum(seed.values()) for seed in seeds], [[0] * len(seeds)]
    for cell in sorted(set().union(*seeds)):
        if sum(joined[-1]) * min(sizes) >= least * sum(sizes):
            joined.append([0] * len(seeds))
        joined[-1] = [n + seed.get(cell, 0) for n, seed in zip(joined[-1], seeds)]  # noqa: B905
    if len(joined) > 1 and sum(joined[-1]) * min(sizes) < least * sum(sizes):
        joined[-2:] = [[a + b for a, b in zip(*joined[-2:])]]  # noqa: B905
    freedom = (len(seeds) - 1) * (len(joined) - 1)
    whole = sum(sizes) or 1
    pairs = ((n, sum(of) * m / whole) for of in joined for n, m in zip(of, sizes))  # noqa: B905
    return sum((n - e) ** 2 / e for n, e in pairs if e) / freedom if freedom else None


def witnessed(root, summary, seeds):
    """T10's rows in the certificate are those of its evidence files."""
    rows = [r for r in summary["tests"] if r["test_id"].startswith("T10_")]
    check("T10's rows are listed once", rows == summary["t10"]["rows"])
    for seed in seeds:
        name = f"reports/layer3/6B/validation/downstream_witness_6B_{summary['runs'][seed]}.json"
        own = [r for r in rows if r["seed"] == int(seed)]
        if name not in summary["digests"][seed]:
            check(f"seed {seed}: no evidence of T10, no pass", not any(r["pass_B"] for r in own))
            continue
        evidence = load(root / name)
        check(f"seed {seed}: T10 has two rows", len(own) == len(evidence["binding"]) == 2)
        for row, stated in zip(evidence["binding"], own):  # noqa: B905  # Python 3.9
            metric = row["metric_name"]
            same = all(row[k] == stated[k] for k in KEPT)
            check(f"seed {seed}: {metric} is that of its evidence", same)
            control = metric == "non_regression"
            required = [r for r in evidence["rows"] if (r["metric_name"][0] == "N") == control]
            passes = all(r["pass_B"] for r in required if r["details"]["counts_for"] == "B")
            verdict = (passes, passes and all(r["pass_Bplus"] for r in required))
            follows = (row["pass_B"], row["pass_Bplus"]) == verdict
            check(f"seed {seed}: {metric} follows from its metrics", follows)


def ladder(root):
    """Decisions of a ladder: the files they rest on, as far as their runs are still there."""
    for path in sorted((root / "reports" / "decisions").glob("P[0-9]*.json")):
        decision = load(path)
        if not isinstance(decision, dict) or "done_when" not in decision:
            continue
        phase, findings = decision["phase"], decision["done_when"]
        holds = (f"HOLD_{phase}", "RETAIN_PASS_B", *["HOLD_REMEDIATE"] * (phase == "P5"))
        held = decision["decision"] in holds
        done = bool(findings) and all(f["holds"] for f in findings)
        check(f"{phase}: {decision['decision']} follows from its findings", done != held)
        for name, digest in decision["digests"].items():
            if (root / name.split("/")[0]).exists():
                check(f"{phase}: {name}", (root / name).is_file() and sha256(root / name) == digest)


def one_run(run):
    """Check one run."""
    seal(run)
    attestation(run)
    sql = open_tables(run)
    structure(sql, load(run / "run_receipt.json"))
    gateboard(run, sql)


def main():
    """Check one run, or a certificate and everything it rests on."""
    run = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    summary = run / SUMMARY
    if summary.is_file():
        for name in sorted(set(load(summary)["runs"].values())):
            print(f"\nrun {name}")
            one_run(run / name)
        print("\ncertificate")
        certificate(run, summary)
        ladder(run)
    else:
        one_run(run)
    print(f"\n{len(failures)} of the checks above fail" if failures else "\nall of it holds")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
