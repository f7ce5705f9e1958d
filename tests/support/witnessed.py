"""Measures of T10 that pass every bound, and evidence files that hold them."""

from __future__ import annotations

import json
from pathlib import Path

from fraudworld.contracts.transactions import CAMPAIGN_TYPES
from fraudworld.documents import pretty_json
from fraudworld.policy.pack import PolicyPack
from fraudworld.store.layout import RunPlace
from fraudworld.store.receipt import read_receipt
from fraudworld.t10.arms import identity
from fraudworld.t10.estimators import Ratio, Share
from fraudworld.t10.figures import Doses, Endpoints, Measures
from fraudworld.t10.report import ARMS, document, place
from fraudworld.t10.soundness import Soundness

FLOWS = 2_000_000


def passing(seed: int) -> Measures:
    """Measures of one seed that pass B+ under the shipped bounds."""
    sound = Soundness(
        FLOWS, 100_000, "0" * 64, Share(0.04, 0.001, float(FLOWS)),
        dict.fromkeys(CAMPAIGN_TYPES, 900), 0.8, 1.0, 0.01, 0,
    )  # fmt: skip
    one = Ratio(1.0, 0.01, 900.0, 500.0)

    def times(value: float, log_se: float = 0.05) -> Ratio:
        return Ratio(value, log_se, 900.0, 500.0 * value)

    doses = Doses(one, times(1.4), times(2.0), times(1.4), times(2.0), times(1.43), times(1.9))
    return Measures(
        seeds=(seed,), candidate=sound, baseline=sound, unpaired=(), violations={"keys": 0},
        account=times(3.0), device=times(2.8), permuted_account=one, permuted_device=one,
        account_owner=doses, device_owner=doses, model=Share(0.72, 0.01, 900.0),
        model_permuted=Share(0.55, 0.01, 900.0), single={"hour": 0.6, "amount": 0.6},
        endpoints=Endpoints(times(1.5), one, times(0.67), Ratio(1.0, 0.001, 900.0, 500.0)),
        missing=Share(0.5, 0.001, 900.0), again=Share(0.3, 0.01, 900.0),
        leaks={
            "label_leak_column": {"amount": 0.6},
            # Equal areas: rows must not depend on the order of a mapping.
            "label_leak_tree": {"flows": 0.7, "cases": 0.7},
        },
    )  # fmt: skip


def write_t10(run: Path, pack: PolicyPack, measures: Measures) -> Path:
    """Writes the evidence of T10 for a run, as if its arms had been made and measured."""
    own = identity(read_receipt(RunPlace(run)))
    arms = {name: {**own, "stream_digest": "0" * 64} for name in ARMS}
    path = place(run.parent, run.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pretty_json(document(measures, pack.downstream_witness, FLOWS, arms)))
    return path


def edit_json(path: Path, change: object) -> None:
    """Changes a JSON file in place; `change` takes the document."""
    stated = json.loads(path.read_text("utf-8"))
    change(stated)  # type: ignore[operator]
    path.unlink()
    path.write_bytes(pretty_json(stated))
