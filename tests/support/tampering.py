"""Random changes to a published run, and forgeries that are sealed again."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fraudworld.contracts import BY_NAME, TABLES, Kind
from fraudworld.documents import canonical_json
from fraudworld.gates import judge
from fraudworld.store.attestation import place_of, write_attestation
from fraudworld.store.bundle import bundle_digest, flag_line, sha256_file
from fraudworld.store.layout import RunPlace
from fraudworld.store.reader import recompute_digest


def _files(run: Path) -> list[Path]:
    return sorted(p for p in run.rglob("*") if p.is_file())


def _part(run: Path, rnd: random.Random) -> Path:
    return rnd.choice([p for p in _files(run) if p.suffix == ".parquet" and "part-" in p.name])


def replace(path: Path, data: bytes) -> None:
    """Replaces a file. Copies are hard links: writing in place would change the original."""
    path.unlink()
    path.write_bytes(data)


def flip_a_bit(run: Path, rnd: random.Random) -> None:
    path = rnd.choice([p for p in _files(run) if p.stat().st_size])
    data = bytearray(path.read_bytes())
    data[rnd.randrange(len(data))] ^= 1 << rnd.randrange(8)
    replace(path, bytes(data))


def truncate(run: Path, rnd: random.Random) -> None:
    path = rnd.choice([p for p in _files(run) if p.stat().st_size])
    data = path.read_bytes()
    replace(path, data[: rnd.randrange(len(data))])


def append_bytes(run: Path, rnd: random.Random) -> None:
    path = rnd.choice(_files(run))
    replace(path, path.read_bytes() + rnd.randbytes(rnd.randint(1, 64)))


def remove_a_file(run: Path, rnd: random.Random) -> None:
    rnd.choice(_files(run)).unlink()


def add_a_file(run: Path, rnd: random.Random) -> None:
    folder = rnd.choice(_files(run)).parent
    (folder / f"extra-{rnd.randrange(1000)}.json").write_text("{}")


def swap_two_files(run: Path, rnd: random.Random) -> None:
    a, b = rnd.sample(_files(run), 2)
    first, second = a.read_bytes(), b.read_bytes()
    if first == second:
        return flip_a_bit(run, rnd)
    replace(a, second)
    replace(b, first)
    return None


def edit_json(run: Path, rnd: random.Random) -> None:
    """Changes one value of a JSON document, which stays valid JSON."""
    path = rnd.choice([p for p in _files(run) if p.suffix in (".json", ".jsonl")])
    lines = path.read_text("utf-8").splitlines()
    at = rnd.randrange(len(lines)) if path.suffix == ".jsonl" else 0
    text = lines[at] if path.suffix == ".jsonl" else "\n".join(lines)
    document = json.loads(text)
    nodes: list[tuple[object, object]] = []

    def walk(node: object) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node)  # type: ignore[arg-type]
        for key, value in items:
            if isinstance(value, dict | list):
                walk(value)
            else:
                nodes.append((node, key))

    walk(document)
    holder, key = rnd.choice(nodes)
    old = holder[key]  # type: ignore[index]
    holder[key] = (
        (not old)
        if isinstance(old, bool)
        else old + 1
        if isinstance(old, int | float)
        else f"{old}x"
    )  # type: ignore[index,operator]
    if path.suffix == ".jsonl":
        lines[at] = json.dumps(document, sort_keys=True)
        replace(path, ("\n".join(lines) + "\n").encode())
    else:
        replace(path, json.dumps(document, sort_keys=True).encode())


def _edited(table: pa.Table, rnd: random.Random, edit: str = "") -> pa.Table:
    edit = edit or rnd.choice(("drop", "double", "value"))
    row = rnd.randrange(table.num_rows)
    if edit == "drop":
        return pa.concat_tables([table.slice(0, row), table.slice(row + 1)])
    if edit == "double":
        return pa.concat_tables([table, table.slice(row, 1)])
    name = rnd.choice(table.column_names)
    values = table[name].to_pylist()
    values[row] = _changed(values[row])
    field = table.schema.field(name)
    return table.set_column(table.column_names.index(name), field, pa.array(values, field.type))


def _changed(value: object) -> object:
    """A different value of the same type; null becomes a number."""
    if isinstance(value, bool):
        return not value
    return f"{value}x" if isinstance(value, str) else (value or 0) + 1  # type: ignore[operator]


def reencode_rows(run: Path, rnd: random.Random) -> None:
    """Drops, doubles or changes a row of a part and writes it as valid Parquet."""
    small = [p for p in _files(run) if "part-" in p.name and p.stat().st_size < 200_000]
    path = rnd.choice(small)
    edited = _edited(pq.read_table(path, partitioning=None), rnd)
    path.unlink()
    pq.write_table(edited, path)


def swap_digests(run: Path, rnd: random.Random) -> None:
    index = RunPlace(run).bundle_index
    document = json.loads(index.read_text())
    a, b = rnd.sample(document["members"], 2)
    a["sha256_hex"], b["sha256_hex"] = b["sha256_hex"], a["sha256_hex"]
    replace(index, canonical_json(document) + b"\n")


MUTATIONS: tuple[Callable[[Path, random.Random], None], ...] = (
    flip_a_bit,
    flip_a_bit,
    truncate,
    append_bytes,
    remove_a_file,
    add_a_file,
    swap_two_files,
    edit_json,
    edit_json,
    reencode_rows,
    swap_digests,
)


def forge(run: Path, rnd: random.Random, *, careful: bool, table: str = "", edit: str = "") -> None:
    """Changes values and seals again, so that index, flag, receipt and run index are consistent.

    Careless: one row of a table is changed. Careful: two parties of one type, segment, region and
    tier swap roles, and content digest and gateboard are recomputed, so that no law is broken.
    """
    place = RunPlace(run)
    receipt = json.loads(place.receipt.read_text())
    name = table or rnd.choice([t.name for t in TABLES[:5]])
    name = "s5_party_fraud_roles_6A" if careful else name
    folder = place.layer / name
    (path,) = sorted(folder.rglob("part-*.parquet"))[:1]
    rows = pq.read_table(path, partitioning=None)
    rows = _roles_swapped(run, rows, rnd) if careful else _edited(rows, rnd, edit)
    path.unlink()
    pq.write_table(rows.cast(_parquet_schema(name)), path, store_schema=False)

    document = json.loads(place.bundle_index.read_text())
    if careful:
        document["content_digests"][name] = recompute_digest(
            folder, BY_NAME[name], _codes(run, name)
        )
        board = judge(run).as_dict()
        text = json.dumps(board, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
        replace(place.gateboard, (text + "\n").encode())
    for member in document["members"]:
        file = run / member["path"]
        member["bytes"], member["sha256_hex"] = file.stat().st_size, sha256_file(file)
    digest = bundle_digest(document)
    replace(place.bundle_index, canonical_json(document) + b"\n")
    replace(place.flag, flag_line(digest).encode())
    receipt["bundle_digest"] = digest
    receipt["tables"][name] = rows.num_rows
    replace(place.receipt, json.dumps(receipt, indent=1, sort_keys=True).encode() + b"\n")
    attested = place_of(place)
    attested.unlink()
    write_attestation(place)
    run_index = json.loads(place.run_index.read_text())
    for member in run_index["members"]:
        file = run / member["path"]
        member["bytes"], member["sha256_hex"] = file.stat().st_size, sha256_file(file)
    replace(place.run_index, canonical_json(run_index) + b"\n")


def _roles_swapped(run: Path, table: pa.Table, rnd: random.Random) -> pa.Table:
    """Two parties of one type, segment, region and tier swap roles."""
    party = pq.read_table(run / "data/layer3/6A/s1_party_base_6A", partitioning=None)
    tier = table["risk_tier"].to_pylist()
    alike = list(
        zip(
            *(party[c].to_pylist() for c in ("party_type", "segment_id", "region_id")),
            tier,
            strict=True,
        )
    )
    raw, family = (table[c].to_pylist() for c in ("raw_role", "canonical_role_family"))
    risky = [i for i, f in enumerate(family) if f != "CLEAN"]
    a = rnd.choice(risky)
    b = next(i for i in range(len(raw)) if alike[i] == alike[a] and raw[i] == "CLEAN")
    raw[a], raw[b], family[a], family[b] = raw[b], raw[a], family[b], family[a]
    for name, values in (("raw_role", raw), ("canonical_role_family", family)):
        table = table.set_column(
            table.column_names.index(name), name, pa.array(values, pa.string())
        )
    return table


def _parquet_schema(name: str) -> pa.Schema:
    """Schema of a dataset in its Parquet files, with codes as strings."""
    return pa.schema(
        [
            pa.field(f.name, getattr(f.type, "value_type", f.type), nullable=f.nullable)
            for f in BY_NAME[name].schema
        ]
    )


def _codes(run: Path, name: str) -> dict[str, tuple[str, ...]]:
    from fraudworld.store.published import sealed_policy

    pack = sealed_policy(run)
    return {
        c.name: pack.codes(c.codes)
        for c in BY_NAME[name].columns
        if c.kind is Kind.CODE and c.codes
    }


def copied(run: Path, dest: Path) -> Path:
    """A copy of a run made of hard links."""
    import os

    return Path(shutil.copytree(run, dest, copy_function=os.link))
