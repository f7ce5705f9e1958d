"""Where things are inside a run (contract 1.4). Pure paths, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fraudworld.store.identity import Identity

LAYER = Path("data/layer3/6A")


@dataclass(frozen=True)
class RunPlace:
    """A run folder, published or staged; every method is a path inside it."""

    root: Path

    @staticmethod
    def partition(identity: Identity) -> str:
        """`seed=…/parameter_hash=…/manifest_fingerprint=…`."""
        return (
            f"seed={identity.seed}/parameter_hash={identity.parameter_hash}"
            f"/manifest_fingerprint={identity.manifest_fingerprint}"
        )

    def dataset(self, table: str, identity: Identity) -> Path:
        """Folder that holds the parts of one dataset."""
        return self.root / LAYER / table / self.partition(identity)

    @property
    def layer(self) -> Path:
        return self.root / LAYER

    @property
    def validation(self) -> Path:
        """Gateboard, counters, plans, S5 report, bundle index and flag."""
        return self.layer / "validation"

    @property
    def rng_logs(self) -> Path:
        return self.root / "logs/layer3/6A/rng"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    def perf(self, identity: Identity) -> Path:
        return self.reports / "layer3/6A/perf" / self.partition(identity)

    @property
    def receipt(self) -> Path:
        return self.root / "run_receipt.json"

    @property
    def bundle_index(self) -> Path:
        return self.validation / "validation_bundle_index_6A.json"

    @property
    def flag(self) -> Path:
        return self.validation / "_passed.flag"


def part_name(number: int) -> str:
    """`part-00000.parquet`, counted from 0."""
    return f"part-{number:05d}.parquet"
