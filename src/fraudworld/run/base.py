"""The base of a run: earlier states of a published run that may be reused (docs/runs.md).

A state may be reused where everything it reads is equal: seed, versions of contract and laws, the
sealed upstream, its files of the policy (`policy.reads`), and every state before it. The digests
of what the base read are recomputed from its resolved policy and sealed inputs; none is believed.
Its tables are read back by `restore`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from fraudworld import __version__
from fraudworld.contracts import CONTRACT_VERSION, TABLES, Table
from fraudworld.documents import (
    MALFORMED,
    Json,
    JsonObject,
    digest,
    load_json,
    load_json_lines,
)
from fraudworld.errors import InputError, RefusedError
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.reads import READS, read_digests
from fraudworld.rng import RNG_LAW_VERSION, StreamUse
from fraudworld.stages.versions import LAW_VERSIONS
from fraudworld.store.layout import RunPlace
from fraudworld.store.published import sealed_policy
from fraudworld.store.receipt import Receipt, read_receipt
from fraudworld.store.seal import check_run

STATES = tuple(READS)
VERSIONS = {
    "fraudworld": __version__,
    "contract": CONTRACT_VERSION,
    "rng_law": RNG_LAW_VERSION,
    **{f"law {state}": version for state, version in LAW_VERSIONS.items()},
    "library numpy": np.__version__,
    "library pyarrow": pa.__version__,
}
"""Versions a receipt states: of the program that made a run, of the laws it followed, and of the
libraries that may change the bytes of its files."""

Inputs = dict[str, dict[str, str]]


def state_inputs(pack: PolicyPack, seed: int, upstream: str, versions: Mapping[str, str]) -> Inputs:
    """State → input → digest. `input_digest` chains all inputs with those of the states before.

    upstream: the sealed-inputs digest of S0. versions: as a receipt states them; the program's
    version is not an input of a state, the version of its law is. Equal `input_digest`, equal
    state.
    """
    inputs: Inputs = {}
    before = ""
    for state in STATES:
        reads = {
            "seed": str(seed),
            **{
                f"version {name}": versions.get(name, "absent")
                for name in ("contract", f"law {state}", "rng_law")
            },
            "upstream": upstream,
            **{f"policy {name}": sha for name, sha in read_digests(pack, state).items()},
        }
        before = digest({"state": state, "reads": reads, "before": before})
        inputs[state] = {**reads, "input_digest": before}
    return inputs


@dataclass(frozen=True)
class Base:
    """A run whose states before `from_state` are reused."""

    place: RunPlace
    receipt: Receipt
    states: tuple[str, ...]
    content_digests: Mapping[str, str]

    @property
    def tables(self) -> tuple[Table, ...]:
        """Tables of the reused states, in the order the states make them."""
        return tuple(t for t in TABLES if t.state in self.states)

    def folder(self, table: str) -> Path:
        """Where the parts of a dataset are."""
        return self.place.dataset(table, self.receipt.identity)

    def document(self, name: str) -> JsonObject:
        """A JSON document of the validation folder."""
        return dict(load_json(self.place.document(name)))

    def plans(self) -> JsonObject:
        """Integer plans of the reused states. Raises as `evidence` does."""
        with self._reading():
            plans = self.document("integer_plans_6A")
            return {name: plan for name, plan in plans.items() if self._mine(name)}

    def documents(self) -> JsonObject:
        """Validation documents of the reused states. Raises as `evidence` does."""
        with self._reading():
            names = (p.stem for p in sorted(self.place.validation.glob("*.json")))
            return {name: self.document(name) for name in names if self._mine(name)}

    def evidence(self, state: str) -> list[StreamUse]:
        """Stream uses of a reused state, from the RNG logs.

        Raises InputError `6A.S0.BASE_UNREADABLE` where they are not as the contract says.
        """
        with self._reading():
            laws = {r["stream"]: (r["family"], r["width"]) for r in self._log("trace")}
            return [
                _use(row, *laws[row["stream"]])
                for row in self._log("events")
                if row["stream"].partition("/")[0].upper() == state
            ]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except MALFORMED as error:
            raise _unreadable(self.place.root, error) from error

    def _mine(self, name: str) -> bool:
        return name.partition("_")[0].upper() in self.states

    def _log(self, name: str) -> list[JsonObject]:
        path = self.place.rng_logs / name / f"rng_{name}_6A.jsonl"
        return load_json_lines(path)


def open_base(root: Path, from_state: str, wanted: Inputs) -> Base:
    """The run at `root` as base of a run with the inputs `wanted`; every byte is checked.

    Raises RefusedError `6A.S0.BASE_STATE_DIFFERS` naming the first input of an earlier state that
    differs, `6A.S5.OUTPUT_CONFLICT` where the base was changed after publishing, and InputError
    where there is no run.
    """
    place = RunPlace(root)
    receipt = read_receipt(place)
    sealed = check_run(place)
    states = STATES[: STATES.index(from_state)]
    try:
        upstream = load_json(place.sealed_inputs)["sealed_inputs_digest"]
        pack = sealed_policy(root)
    except (*MALFORMED, InputError) as error:
        raise _unreadable(root, error) from error
    held = state_inputs(pack, receipt.seed, upstream, receipt.versions)
    for state in states:
        names = sorted(set(held[state]) | set(wanted[state]), key=_blame)
        for name in names:
            theirs, ours = held[state].get(name), wanted[state].get(name)
            if theirs != ours:
                raise RefusedError(
                    "6A.S0.BASE_STATE_DIFFERS",
                    f"{state} would not equal the base's: its {name} is {_short(ours)} now "
                    f"and was {_short(theirs)}",
                    where=str(root),
                    remedy=f"run --from {state} or earlier, or without --base"
                    if state != STATES[0]
                    else "run without --from and --base: everything has to be made again",
                )
    return Base(place, receipt, states, sealed.content_digests)


def _unreadable(root: Path, why: Exception) -> InputError:
    return InputError(
        "6A.S0.BASE_UNREADABLE",
        f"the base's evidence cannot be read by this version: {str(why)[:200]}",
        where=str(root),
        remedy="run without --from, or name a base of this version",
    )


def _blame(name: str) -> tuple[bool, str]:
    """Sort key of inputs: the chained digest last, as it repeats the others."""
    return name == "input_digest", name


def _short(value: str | None) -> str:
    return "absent" if value is None else value[:12]


def _use(row: Mapping[str, Json], family: str, width: int) -> StreamUse:
    first, after = (int(row[f"counter_{end}"], 16) // width for end in ("before", "after"))
    return StreamUse(
        label=row["stream"],
        family=family,
        width=width,
        cell=row["cell"],
        first_entity=first,
        last_entity=max(after - 1, first),
        entities=row["entities"],
        draws=row["draws"],
    )


def reuse_document(inputs: Inputs, base: Base | None) -> JsonObject:
    """`state_inputs_6A.json`: inputs of every state, and the base of reused states."""
    reused = base and {
        "run_id": base.receipt.run_id,
        "bundle_digest": base.receipt.bundle_digest,
        "states": list(base.states),
    }
    return {"states": inputs, "reused": reused}
