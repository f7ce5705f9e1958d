"""`perf compare`: two programs make the same world in turns, and the medians decide.

BASE and CAND are published runs, whose requests are in their receipts. The program of each side
(by default this one) makes the run again in a new folder and a new process, in the order base,
cand, cand, base, …, so that a change of the machine's speed affects both. A small world comes
first: only a lane that makes nothing worse there is worth the full chain.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from fraudworld.documents import JsonObject, load_json, parse_json
from fraudworld.errors import InputError, RefusedError
from fraudworld.perf.child import Child, measure
from fraudworld.perf.evidence import read_evidence
from fraudworld.perf.lanes import (
    Lane,
    Sample,
    StateChange,
    changes,
    decide,
    stopped,
    witness,
)
from fraudworld.store.decisions import Decision
from fraudworld.store.layout import RNG_LOGS, RunPlace
from fraudworld.store.receipt import Receipt, read_receipt

QUICK = ("demo", 0.4)
"""Profile and scale of the small world, about 40 000 parties."""
DONE = (0, 1)
"""Exit statuses of a run that was published; 1 means that a gate failed."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a comparison: a published run and the interpreter that makes it again.

    `source`: folder that holds the package `fraudworld`, if it is not the interpreter's own
    (a second checkout). `policy` and `upstream`: what the run was made with, where it was
    not the shipped pack and the embedded upstream.
    """

    name: str
    run: Path
    python: Path = Path(sys.executable)
    source: Path | None = None
    policy: Path | None = None
    upstream: Path | None = None

    def command(self, receipt: Receipt, runs_root: Path, *, quick: bool = False) -> list[str]:
        """The command that makes the run of `receipt` again below `runs_root`.

        quick: at the profile and scale of `QUICK`; the size of a given upstream stays.
        """
        profile, scale = QUICK if quick else (receipt.profile, receipt.scale)
        words = [str(self.python), "-m", "fraudworld", "run", "--quiet", "--json"]
        words += ["--profile", profile, "--scale", str(scale)]
        words += ["--seed", str(receipt.seed), "--runs-root", str(runs_root)]
        for overlay in receipt.overlays:
            words += ["--overlay", overlay]
        for option, given in (("--policy", self.policy), ("--upstream", self.upstream)):
            words += [option, str(given)] if given else []
        return words


@dataclass(frozen=True)
class Measured:
    """Samples of both sides in the order they were measured; base[i] is paired with cand[i]."""

    base: tuple[Sample, ...] = ()
    cand: tuple[Sample, ...] = ()

    @property
    def states(self) -> tuple[StateChange, ...]:
        """Medians and intervals of every state; none where nothing was measured."""
        return changes(self.base, self.cand) if self.base else ()

    def evidence(self) -> JsonObject:
        """The figures as plain data."""
        return {
            "base": [_figures(s) for s in self.base],
            "cand": [_figures(s) for s in self.cand],
            "medians": [asdict(change) for change in self.states],
        }


@dataclass(frozen=True)
class Comparison:
    """The quick witness, the full chain (empty where the witness failed), and the decision."""

    quick: Measured
    full: Measured
    decision: Decision

    def evidence(self) -> JsonObject:
        """The figures behind the decision, as plain data."""
        profile, scale = QUICK
        quick = {"profile": profile, "scale": scale, **self.quick.evidence()}
        return {**self.full.evidence(), "quick": quick}


def compare(
    base: Side,
    cand: Side,
    lane: Lane,
    repeats: int,
    scratch: Path,
    progress: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Makes both sides' runs `repeats` times in turns below `scratch`, and decides on `lane`.

    A small world is made in the same way before them; where it shows the lane's state slower, or
    other digests, the full chain is not run. One unmeasured run of each side comes first: it
    builds the upstream and compiles. All new runs are deleted. Raises InputError
    `6A.PERF.RUNS_NOT_COMPARABLE` where seed, policy or size of the two runs differ, and
    RefusedError `6A.PERF.RUN_NOT_REPRODUCED` where a side fails or makes another world than its
    run.
    """
    receipts = [read_receipt(RunPlace(side.run)) for side in (base, cand)]
    _comparable(*receipts)
    scratch.mkdir(parents=True, exist_ok=True)
    turns = list(zip((base, cand), receipts, strict=True))
    with tempfile.TemporaryDirectory(prefix=".compare-", dir=scratch) as folder:
        quick = _interleaved(turns, repeats, Path(folder), progress, quick=True)
        findings = witness(lane, quick.base, quick.cand)
        if not all(f.holds for f in findings):
            decision = stopped(lane, [*quick.base, *quick.cand], findings)
            return Comparison(quick, Measured(), decision)
        full = _interleaved(turns, repeats, Path(folder), progress, quick=False)
    return Comparison(quick, full, decide(lane, full.base, full.cand, findings))


def _interleaved(
    turns: list[tuple[Side, Receipt]],
    repeats: int,
    folder: Path,
    progress: Callable[[str], None],
    *,
    quick: bool,
) -> Measured:
    """Runs of both sides in turns, after an unmeasured one of each. turns: BASE, then CAND."""
    samples: tuple[list[Sample], list[Sample]] = ([], [])
    world = "small world, " if quick else ""
    for number in range(repeats + 1):
        for k in (0, 1) if number % 2 else (1, 0):
            side, receipt = turns[k]
            progress(f"{side.name}, {world}{f'repeat {number}' if number else 'warm-up'}")
            measured = _make(side, receipt, folder / side.name, quick=quick)
            if number:
                samples[k].append(measured)
    return Measured(tuple(samples[0]), tuple(samples[1]))


def sample(root: Path, peak_rss_mib: float) -> Sample:
    """Timings, digests and RNG logs of a published run.

    Raises InputError where its evidence or its index is malformed.
    """
    place = RunPlace(root)
    receipt = read_receipt(place)
    evidence = read_evidence(root)
    try:
        index = load_json(place.bundle_index)
        digests = {str(k): str(v) for k, v in index["content_digests"].items()}
        members = {str(m["path"]): str(m["sha256_hex"]) for m in index["members"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "6A.PERF.EVIDENCE_INVALID",
            f"the index of this run cannot be read: {error}",
            where=str(place.bundle_index),
            remedy="make the run again",
        ) from error
    logs = {path: sha for path, sha in members.items() if path.startswith(RNG_LOGS.as_posix())}
    return Sample(
        run_id=receipt.run_id,
        seed=receipt.seed,
        wall_s=evidence.summary["states"],
        cpu_s=evidence.summary["states_cpu_s"],
        digests=digests,
        rng_logs=logs,
        steps=len(evidence.events),
        missing=evidence.missing,
        within_budget=bool(evidence.budgets["segment"]["pass"]),
        peak_rss_mib=round(peak_rss_mib, 1),
    )


def _make(side: Side, receipt: Receipt, runs_root: Path, *, quick: bool) -> Sample:
    """One cold run of a side; its folder is deleted after reading."""
    env = {"PYTHONPATH": str(side.source)} if side.source else {}
    done = measure(side.command(receipt, runs_root, quick=quick), env)
    root = _published(done)
    if root is None:
        raise _not_reproduced(side, f"exit status {done.status}: {_last_words(done)}")
    made = read_receipt(RunPlace(root))
    # The small world has another upstream, and so another fingerprint.
    same = _named(made) == _named(receipt) if quick else made.identity == receipt.identity
    if not same:
        raise _not_reproduced(side, f"it made {made.identity}, its receipt says {receipt.identity}")
    measured = sample(root, done.peak_rss_mib)
    shutil.rmtree(root)
    return measured


def _named(receipt: Receipt) -> tuple[int, str]:
    return receipt.seed, receipt.parameter_hash


def _published(done: Child) -> Path | None:
    """Path of the published run; None where the process crashed, which may also exit with 1."""
    try:
        return Path(parse_json(done.out)["path"]) if done.status in DONE else None
    except (ValueError, KeyError, TypeError):
        return None


def _comparable(base: Receipt, cand: Receipt) -> None:
    names = ("seed", "parameter_hash", "profile", "scale")
    differ = [name for name in names if getattr(base, name) != getattr(cand, name)]
    if differ:
        raise InputError(
            "6A.PERF.RUNS_NOT_COMPARABLE",
            f"the two runs differ in {', '.join(differ)}",
            where=f"{base.run_id}, {cand.run_id}",
            remedy="a lane changes speed only: compare runs of one seed, policy and size",
        )


def _last_words(done: Child) -> str:
    return " ".join(done.err.split()[-40:]) or "it said nothing"


def _not_reproduced(side: Side, why: str) -> RefusedError:
    return RefusedError(
        "6A.PERF.RUN_NOT_REPRODUCED",
        f"{side.name} was not made again: {why}",
        where=str(side.run),
        remedy="name the interpreter, policy and upstream this run was made with",
    )


def _figures(measured: Sample) -> JsonObject:
    """A sample without the fields that the decision has."""
    whole = asdict(measured)
    return {key: whole[key] for key in ("run_id", "wall_s", "cpu_s", "peak_rss_mib")}
