"""Paths inside a run (docs/contract.md). No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fraudworld.store.identity import Identity

LAYER = Path("data/layer3/6A")
RNG_LOGS = Path("logs/layer3/6A/rng")
PERF = Path("reports/layer3/6A/perf")
CERTIFICATE = Path("reports/layer3/6A/validation/realism_gate_summary_6A.json")
"""Below a runs root: the summary of a certification."""

BUNDLE_INDEX = LAYER / "validation/validation_bundle_index_6A.json"


@dataclass(frozen=True)
class RunPlace:
    """A run folder, published or staged; every method is a path inside it."""

    root: Path

    @staticmethod
    def of(runs_root: Path, run_id: str) -> RunPlace:
        """The published place of a run below its runs root."""
        return RunPlace(runs_root / run_id)

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
        """Datasets and the documents of S0."""
        return self.root / LAYER

    @property
    def gate_receipt(self) -> Path:
        """The gate receipt: what S0 verified before anything else was opened."""
        return self.layer / "s0_gate_receipt_6A.json"

    @property
    def sealed_inputs(self) -> Path:
        """Every sealed input by content."""
        return self.layer / "sealed_inputs_6A.json"

    @property
    def resolved_policy(self) -> Path:
        """The policy pack after overlays, as judged by the gates."""
        return self.layer / "resolved_policy_6A.json"

    @property
    def validation(self) -> Path:
        """Gateboard, counters, plans, S5 report, bundle index and flag."""
        return self.layer / "validation"

    def document(self, name: str) -> Path:
        """A JSON document of the validation folder, `integer_plans_6A` for example."""
        return self.validation / f"{name}.json"

    @property
    def gateboard(self) -> Path:
        """The gateboard: the verdict of every gate."""
        return self.document("realism_gate_6A")

    @property
    def issue_table(self) -> Path:
        """Failed S5 checks as rows."""
        return self.validation / "s5_issue_table_6A.parquet"

    @property
    def bundle_index(self) -> Path:
        """The index of the sealed validation bundle."""
        return self.root / BUNDLE_INDEX

    @property
    def flag(self) -> Path:
        """Present only where every required check and hard gate passed."""
        return self.validation / "_passed.flag"

    @property
    def rng_logs(self) -> Path:
        """Folder of the audit, trace and event logs."""
        return self.root / RNG_LOGS

    @property
    def reports(self) -> Path:
        """Timings and the report; no digest of the data depends on them."""
        return self.root / "reports"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.reports / "report.html"

    @property
    def state_inputs(self) -> Path:
        """Inputs of every state by digest, and the base of reused states."""
        return self.reports / "layer3/6A/state_inputs_6A.json"

    def perf(self, identity: Identity) -> Path:
        """Folder of the three files of performance evidence."""
        return self.root / PERF / self.partition(identity)

    @property
    def receipt(self) -> Path:
        """The receipt: identity, versions, grade and rows."""
        return self.root / "run_receipt.json"

    @property
    def run_index(self) -> Path:
        """Digests of the files that the validation bundle does not cover."""
        return self.root / "run_index.json"


def part_name(number: int) -> str:
    """`part-00000.parquet`, counted from 0."""
    return f"part-{number:05d}.parquet"
