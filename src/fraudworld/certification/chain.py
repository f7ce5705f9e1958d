"""Makes or finds the worlds of all seeds, judges T1–T9, then T10, and writes the decision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from fraudworld.certification import leakage_report
from fraudworld.certification.evidence import SUMMARY, read_evidence
from fraudworld.certification.summary import summarise, worlds_pass
from fraudworld.documents import JsonObject, load_json
from fraudworld.errors import RefusedError
from fraudworld.gates.schema import write_evidence
from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from fraudworld.store.attestation import write_certificate
from fraudworld.store.prune import prune_superseded
from fraudworld.t10.arms import Sections, witness

REQUIRED_SEEDS = frozenset({42, 7, 101, 202})

Runner = Callable[[int], Path]
"""Publishes the world of a seed, or finds it, and returns its folder."""

Judge = Callable[[int, Path], None]
"""Writes the evidence of T10, or of `leakage_joined`, for the world of a seed."""


def certify(
    request: RunRequest,
    seeds: Sequence[int],
    sections: Sections | None = None,
    *,
    runner: Runner | None = None,
    judge: Judge | None = None,
    measure: Judge | None = None,
    downstream: bool = True,
    keep_all: bool = False,
    believe: pipeline.Believe | None = None,
) -> JsonObject:
    """Runs (or finds) every seed, judges T1–T10, decides, writes the summary and its attestation.

    T10 costs five streams a seed, so they are made only where T1–T9 and the checks of S5 pass B
    on every seed; otherwise its rows are INSUFFICIENT_EVIDENCE and the decision HOLD_REMEDIATE.
    The same holds for the guard `leakage_joined`, whose models take seconds.

    Parameters
    ----------
    sections : called with the title of every part, returns its progress callback
    runner, judge, measure : how to make a world, its T10, and its evidence of `leakage_joined`;
        by default the pipeline, `t10.witness` and `leakage_report.write`
    downstream : whether to judge T10 at all
    believe : called with every world that is found in its place, before anything rests on it
    keep_all : whether to keep runs of the certificate that this one replaces, although they hold
        no role

    Raises RefusedError `6A.CERTIFY.SEEDS_MISSING` where a required seed is missing, and the errors
    of making worlds and streams.
    """
    require_seeds(seeds)
    report_to = sections or (lambda title: None)

    def world(seed: int) -> Path:
        asked, told = replace(request, seed=seed), report_to(f"seed {seed}")
        return pipeline.run(asked, told, believe=believe).place.root

    def t10(seed: int, run: Path) -> None:
        witness(
            run,
            upstream_dir=request.upstream_dir,
            workers=request.workers,
            sections=lambda title: report_to(f"seed {seed}, {title}"),
            believe=believe,
        )

    def leakage(seed: int, run: Path) -> None:
        report_to(f"seed {seed}, leakage_joined")
        leakage_report.write(run)

    replaced = _runs_of(request.runs_root)
    make = runner or world
    runs = {seed: make(seed) for seed in seeds}
    ids = {seed: run.name for seed, run in runs.items()}
    pack, evidence = read_evidence(request.runs_root, ids)
    if worlds_pass(pack, evidence):
        for seed, run in runs.items():
            (measure or leakage)(seed, run)
            if downstream:
                (judge or t10)(seed, run)
        judged = tuple(seeds) if downstream else ()
        pack, evidence = read_evidence(request.runs_root, ids, judged, measured=tuple(seeds))
    summary = summarise(pack, evidence)
    write_evidence(request.runs_root / SUMMARY, summary)
    write_certificate(request.runs_root / SUMMARY, request.runs_root)
    if not keep_all:
        prune_superseded(request.runs_root, replaced - set(ids.values()), (), report_to)
    return summary


def _runs_of(runs_root: Path) -> set[str]:
    """Ids of the runs of the certificate in a runs root; none where there is no readable one."""
    try:
        return {str(run_id) for run_id in load_json(runs_root / SUMMARY)["runs"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def require_seeds(seeds: Sequence[int]) -> None:
    """Raises RefusedError `6A.CERTIFY.SEEDS_MISSING` unless every required seed is named."""
    missing = sorted(REQUIRED_SEEDS - set(seeds))
    if missing:
        raise RefusedError(
            "6A.CERTIFY.SEEDS_MISSING",
            f"a certificate needs seeds {sorted(REQUIRED_SEEDS)}; missing {missing}",
            where="--seeds",
            remedy="name at least the required seeds; more are welcome",
        )
