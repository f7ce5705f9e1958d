"""Small folders that the store accepts as runs, for tests of roles and retention."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from fraudworld.store.layout import RunPlace
from fraudworld.store.prune import plan_of, prune
from fraudworld.store.receipt import Receipt, write_receipt
from fraudworld.store.retention import RetentionPolicy

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AT_ONCE = RetentionPolicy()


def make_run(root: Path, number: int, role: str = "none", *, passed: bool = True) -> Path:
    """A folder that the store accepts as a run: a receipt, a flag and a few files."""
    run_id = f"{number:032x}"
    place = RunPlace(root / run_id)
    place.validation.mkdir(parents=True)
    for part in range(3):
        (place.layer / f"part-{part}.parquet").write_bytes(b"x" * 1000)
    if passed:
        place.flag.write_text("sha256_hex = 0\n")
    receipt = Receipt(
        run_id=run_id, role=role, profile="demo", scale=1.0, seed=42, parameter_hash="0" * 64,
        manifest_fingerprint="0" * 64, overlays=(), posture="certifiable", versions={},
        grade="B" if passed else "<C", passed=passed, bundle_digest=f"{number:064x}", tables={},
        created_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    write_receipt(place, receipt)
    return place.root


def prune_now(root: Path) -> list[str]:
    """Prunes as `runs prune --yes` does; returns the ids of removed runs."""
    return prune(root, plan_of(root, AT_ONCE, NOW), AT_ONCE, NOW)
