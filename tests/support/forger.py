"""A forger who knows the published contract and uses none of our sealing code.

Whatever is public is recomputed here from the documents alone (docs/contract.md): content digests,
index, flag, receipt, statement and run index. Only what a forged table implies for the gateboard
comes from the program's own public command.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from support.tampering import replace

LAYER = "data/layer3/6A"
BLOCK = 1 << 20
IDENTITY = ("seed", "manifest_fingerprint", "parameter_hash")
Json = dict[str, Any]


def canonical(value: object) -> bytes:
    """Canonical JSON, as docs/contract.md defines it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def pretty(value: object) -> bytes:
    """JSON as the documents of a run are written."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def sha256(data: bytes) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(data).hexdigest()


class Forger:
    """A copy of a run to lie in: edit, then `seal`, and every digest agrees again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.validation = root / LAYER / "validation"
        index = json.loads((self.validation / "validation_bundle_index_6A.json").read_text())
        self.digests: dict[str, str] = dict(index["content_digests"])

    # --- documents ---------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        """A file by its name, or by its path relative to the run."""
        direct = self.root / name
        return direct if direct.exists() else next(self.root.rglob(name))

    def read(self, name: str) -> Json:
        """A JSON document."""
        document: Json = json.loads(self.path(name).read_text("utf-8"))
        return document

    def write(self, name: str, data: bytes) -> None:
        """Other bytes for a file."""
        replace(self.path(name), data)

    def edit(self, name: str, change: Callable[[Json], object]) -> None:
        """Changes a JSON document and writes it as the program would."""
        document = self.read(name)
        change(document)
        self.write(name, pretty(document))

    def edit_lines(self, log: str, change: Callable[[list[Json]], object]) -> None:
        """Changes the lines of an RNG log."""
        name = f"rng_{log}_6A.jsonl"
        rows = [json.loads(line) for line in self.path(name).read_text("utf-8").splitlines()]
        change(rows)
        self.write(name, b"".join(canonical(row) + b"\n" for row in rows))

    # --- tables ------------------------------------------------------------------------------

    def parts(self, name: str) -> list[Path]:
        """The parts of a dataset."""
        return sorted((self.root / LAYER / name).rglob("part-*.parquet"))

    def table(self, name: str) -> pa.Table:
        """The rows of a dataset of one part, codes as strings."""
        (part,) = self.parts(name)
        return pq.ParquetFile(part).read()

    def put(self, name: str, table: pa.Table, **options: Any) -> None:
        """Other rows, or the same rows in another file; the content digest follows."""
        (part,) = self.parts(name)
        part.unlink()
        pq.write_table(table, part, store_schema=False, **options)
        self.digests[name] = self._content_digest(name, table)

    def change(self, name: str, column: str, edit: Callable[[list[Any]], object]) -> None:
        """Changes the values of one column."""
        table = self.table(name)
        values = table[column].to_pylist()
        edit(values)
        field = table.schema.field(column)
        at = table.column_names.index(column)
        self.put(name, table.set_column(at, field, pa.array(values, field.type)))

    def _content_digest(self, name: str, table: pa.Table) -> str:
        columns = []
        for column in table.column_names:
            if column in IDENTITY:
                continue
            values, kind, codes = self._canonical(name, column, table[column])
            leaves = b"".join(hashlib.sha256(block).digest() for block in _blocks(values))
            columns.append({"name": column, "kind": kind, "codes": codes, "digest": sha256(leaves)})
        return sha256(canonical({"table": name, "rows": table.num_rows, "columns": columns}))

    def _canonical(
        self, name: str, column: str, values: pa.ChunkedArray
    ) -> tuple[np.ndarray[Any, Any], str, list[str] | None]:
        from fraudworld.contracts import BY_NAME

        declared = next(c for c in BY_NAME[name].columns if c.name == column)
        if pa.types.is_floating(values.type):
            return values.to_numpy(), declared.kind.value, None
        if pa.types.is_string(values.type):
            codes = self._codes(str(declared.codes))
            at = pc.index_in(values, value_set=pa.array(codes)).fill_null(255)
            return at.to_numpy().astype(np.uint8), declared.kind.value, codes
        filled = pc.fill_null(values, 0).to_numpy().astype(np.int64)
        return filled, declared.kind.value, None

    def _codes(self, listed: str) -> list[str]:
        from fraudworld.store.published import sealed_policy

        of_tables = {
            "country": ("s1_party_base_6A", "country_iso"),
            "currency": ("s2_account_base_6A", "currency"),
            "None": ("s4_network_summary_6A", "metric_id"),
        }
        if listed in of_tables:
            table, source = of_tables[listed]
            return sorted(set(self.table(table)[source].to_pylist()))
        return list(sealed_policy(self.root).codes(listed))

    # --- sealing -----------------------------------------------------------------------------

    def judge(self) -> None:
        """The gateboard of the tables as they are now, and its grade in the receipt."""
        from fraudworld.gates import judge

        board = judge(self.root).as_dict()
        self.write("realism_gate_6A.json", pretty(json.loads(json.dumps(board))))

    def seal(self, *, passed: bool | None = None) -> None:
        """Index, flag, receipt, statement and run index, all in agreement with the files."""
        flag = self.validation / "_passed.flag"
        index = self.validation / "validation_bundle_index_6A.json"
        own = {p.relative_to(self.root).as_posix() for p in (flag, index)}
        members = [m for m in self._members(LAYER, "logs") if m["path"] not in own]
        document = {"members": members, "content_digests": self.digests}
        digest = sha256(canonical(document))
        replace(index, canonical(document) + b"\n")
        there = flag.exists() if passed is None else passed
        flag.unlink(missing_ok=True)
        if there:
            flag.write_text(f"sha256_hex = {digest}\n", "ascii")
        board = self.read("realism_gate_6A.json")
        receipt = self.read("run_receipt.json")
        receipt |= {"bundle_digest": digest, "grade": board["grade"], "passed": there}
        for name in receipt["tables"]:
            receipt["tables"][name] = sum(map(_rows, self.parts(name)))
        replace(self.root / "run_receipt.json", pretty(receipt))
        self.report()
        self.attest()
        self.index_outside()

    def report(self) -> None:
        """The report of the files as they are now, as far as it can be made of them."""
        from fraudworld.report import files_of
        from fraudworld.report.facts import Beside

        try:
            files = files_of(self.root, Beside(None, []), self.root / "reports/report.html")
        except Exception:  # whatever a forged document breaks: the old page stays
            return
        for path, data in files.items():
            replace(path, data)

    def attest(self, change: Callable[[Json], object] = lambda statement: None) -> None:
        """An unsigned statement about the files as they are now."""
        statement = self.statement()
        change(statement)
        envelope = {
            "payloadType": "application/vnd.in-toto+json",
            "payload": base64.b64encode(canonical(statement)).decode("ascii"),
            "signatures": [],
        }
        replace(self.root / "reports/attestation.json", canonical(envelope) + b"\n")

    def statement(self) -> Json:
        """The in-toto statement of docs/verify.md."""
        receipt, board = self.read("run_receipt.json"), self.read("realism_gate_6A.json")
        index = self.read("validation_bundle_index_6A.json")
        extra = [*self._members("reports/verify.py")]
        for path in (
            self.validation / "_passed.flag",
            self.path("validation_bundle_index_6A.json"),
        ):
            if path.exists():
                extra += self._members(path.relative_to(self.root).as_posix())
        rows = sorted((m["path"], m["sha256_hex"]) for m in [*index["members"], *extra])
        facts = ("run_id", "profile", "scale", "seed", "parameter_hash", "manifest_fingerprint",
                 "posture", "overlays", "versions", "bundle_digest", "grade", "passed")  # fmt: skip
        kept = ("test_id", "metric_name", "value", "pass_B", "pass_Bplus", "status")
        return {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": name, "digest": {"sha256": sha}} for name, sha in rows],
            "predicateType": "urn:fraudworld:attestation:realism:v1",
            "predicate": {
                **{name: receipt[name] for name in facts},
                "content_digests": index["content_digests"],
                "rebaseline": board["rebaseline"],
                "gates": [{key: row[key] for key in kept} for row in board["tests"]],
                "guards_broken": [g["guard_id"] for g in board["guards"] if not g["holds"]],
                "not_covered": ["reports/ except verify.py", "run_index.json", "run_receipt.json"],
            },
        }

    def index_outside(self) -> None:
        """The index of receipt and reports."""
        members = self._members("run_receipt.json", "reports")
        replace(self.root / "run_index.json", canonical({"members": members}) + b"\n")

    def _members(self, *tops: str) -> list[Json]:
        paths = [
            path
            for top in tops
            for path in ((self.root / top).rglob("*") if (self.root / top).is_dir()
                         else [self.root / top])
        ]  # fmt: skip
        rows = [
            {"path": p.relative_to(self.root).as_posix(), "bytes": p.stat().st_size,
             "sha256_hex": _digest(p)}
            for p in paths
            if p.is_file()
        ]  # fmt: skip
        return sorted(rows, key=lambda row: row["path"])


def _rows(part: Path) -> int:
    try:
        return int(pq.read_metadata(part).num_rows)
    except (OSError, pa.ArrowException):
        return 0


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _blocks(values: np.ndarray[Any, Any]) -> Iterator[bytes]:
    for low in range(0, max(values.size, 1), BLOCK):
        block = values[low : low + BLOCK]
        if values.dtype == np.int64:
            most = int(block.max(initial=0))
            width = next(w for w in (1, 2, 4, 8) if most < 1 << (8 * w) or w == 8)
            block = block.astype(f"<u{width}")
        yield np.ascontiguousarray(block).tobytes()


def patch_footer(path: Path, old: bytes, new: bytes) -> None:
    """Replaces bytes of equal length in the footer of a Parquet file: its statistics."""
    assert len(old) == len(new)
    data = path.read_bytes()
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer = data[start:]
    assert old in footer, "the footer does not state this"
    replace(path, data[:start] + footer.replace(old, new))
