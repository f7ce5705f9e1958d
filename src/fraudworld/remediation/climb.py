"""Climbs the ladder: reruns the states of a phase, judges, decides, records, continues or stops."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fraudworld import __version__, certification
from fraudworld.certification import SUMMARY, not_judged, require_seeds
from fraudworld.documents import Json, JsonObject, load_json
from fraudworld.errors import RefusedError
from fraudworld.gates.stability import t9_cross_seed_stability
from fraudworld.remediation import baseline, law
from fraudworld.remediation.phases import LADDER, NAMES, Phase, overlays
from fraudworld.request import Progress, RunRequest
from fraudworld.run import pipeline
from fraudworld.store import prune, roles
from fraudworld.store.decisions import (
    Decision,
    digests_of,
    place,
    read_decision,
    write_decision,
    write_document,
)
from fraudworld.store.layout import RunPlace
from fraudworld.store.promotion import promote, vetoes
from fraudworld.store.published import sealed_policy
from fraudworld.store.reader import parts
from fraudworld.store.receipt import read_receipt
from fraudworld.store.sql import in_memory, parquet

Report = Callable[[Progress], None]
Sections = Callable[[str], Report | None]
Board = Mapping[str, Json]

PARTIES = "s1_party_base_6A"
ONE_SEED = "T10 is judged where a phase certifies, on every seed"


@dataclass(frozen=True)
class PhaseRun:
    """The result of a phase: published runs by seed, the input of its law, evidence files."""

    runs: dict[int, Path]
    evidence: law.PhaseEvidence
    files: tuple[Path, ...]


def climb(
    request: RunRequest,
    seeds: Sequence[int],
    phases: Sequence[str] = NAMES,
    sections: Sections | None = None,
    *,
    keep_all: bool = False,
    believe: pipeline.Believe | None = None,
) -> tuple[Decision, ...]:
    """Climbs the ladder, or the named phases of it; returns every decision taken.

    request: profile, scale, upstream, policy and runs root; seed and overlays are set by the
    ladder. seeds: of the phases that certify; the first is also the seed of all others. A phase
    recorded earlier for the same request, whose evidence is unchanged, is not repeated. The
    ladder ends with the first phase that is not done. keep_all: whether to keep the ladder's own
    runs that hold no role and that no later phase reads. believe: called with every run that the
    ladder did not make itself just now, before anything rests on it.

    Raises RefusedError `6A.CERTIFY.SEEDS_MISSING` where a phase that certifies lacks a
    required seed, `6A.LADDER.PHASE_MISSING` where the first named phase builds on one that is
    not recorded, `6A.STORE.POSTURE_FROZEN` where a frozen baseline set prevents
    it, and errors of making and judging worlds.
    """
    if any(_named(name).certifies for name in phases):
        require_seeds(seeds)  # before the first phase, not at the last
    crew = _Climb(request, seeds, sections or (lambda title: None), keep_all, believe)
    decisions: list[Decision] = []
    last = max((NAMES.index(name) for name in phases), default=-1)
    for phase in LADDER[: last + 1]:
        recorded = crew.recorded(phase)
        if recorded is None and phase.name not in phases:
            raise RefusedError(
                "6A.LADDER.PHASE_MISSING",
                f"{', '.join(phases)} builds on {phase.name}, which is not recorded for this "
                "request, or its evidence has changed",
                where=str(place(request.runs_root, phase.name)),
                remedy=f"climb {phase.name} first: ladder --phases {phase.name}..{phases[-1]}",
            )
        decisions.append(recorded or crew.take(phase))
        if not decisions[-1].done:
            break
    return tuple(decisions)


class _Climb:
    """One ladder over one runs root."""

    def __init__(
        self,
        request: RunRequest,
        seeds: Sequence[int],
        sections: Sections,
        keep_all: bool,
        believe: pipeline.Believe | None,
    ) -> None:
        self.request, self.seeds, self.sections = request, tuple(seeds), sections
        self.root, self.keep_all = request.runs_root, keep_all
        self.runs: dict[str, Path] = {}
        self.believe, self.known = believe, set[Path]()

    def asked(self, phase: Phase) -> JsonObject:
        """The request a decision belongs to; a decision of another request is not reused."""
        ready = pipeline.prepare(self._request(phase, self.seeds[0]))
        return {
            "overlays": list(overlays(phase)),
            "profile": self.request.profile,
            "scale": self.request.scale,
            "seeds": list(self._seeds(phase)),
            "parameter_hash": ready.identity.parameter_hash,
            "manifest_fingerprint": ready.identity.manifest_fingerprint,
            "fraudworld": __version__,
        }

    def recorded(self, phase: Phase) -> Decision | None:
        """The phase's decision, if it belongs to this request and its evidence is unchanged.

        Evidence that was removed with a superseded run counts as unchanged.
        """
        decision = read_decision(self.root, phase.name)
        if (
            decision is None
            or not decision.done
            or decision.basis.get("asked") != self.asked(phase)
        ):
            return None
        gone = {run for run in decision.run_ids if not (self.root / run).exists()}
        kept = {n: sha for n, sha in decision.digests.items() if n.partition("/")[0] not in gone}
        try:
            same = digests_of(self.root, (self.root / name for name in kept)) == kept
        except OSError:
            return None
        if same:
            self.sections(f"{phase.name} {phase.title}: {decision.decision}, as recorded")
        return decision if same else None

    def take(self, phase: Phase) -> Decision:
        """Makes the runs of a phase, judges them, decides and records."""
        began = time.perf_counter(), time.process_time()
        asked = self.asked(phase)
        if phase.certifies:
            self._tidy(phase)
        attempt = self._certify(phase) if phase.certifies else self._run(phase)
        findings = tuple(phase.law(attempt.evidence))
        done = all(f.holds for f in findings)
        summary = attempt.evidence.summary
        word = str(summary["decision"]) if summary else phase.unlock
        seconds = [now - then for now, then in zip(_clocks(), began, strict=True)]
        decision = Decision(
            phase=phase.name,
            decision=word if done else phase.hold,
            seeds=tuple(attempt.runs),
            run_ids=tuple(root.name for root in attempt.runs.values()),
            digests=digests_of(self.root, attempt.files),
            done_when=findings,
            vetoes=attempt.evidence.vetoes,
            blockers=law.blockers(findings, attempt.evidence, phase.grade),
            basis={
                "asked": asked,
                "title": phase.title,
                "adds": list(phase.adds),
                "reruns": phase.reruns(len(attempt.runs)),
                "tests": law.cells(attempt.evidence.rows),
                "elapsed_s": round(seconds[0], 3),
                "cpu_s": round(seconds[1], 3),
            },
        )
        if done:
            self._settle(phase, attempt.runs)
        write_decision(self.root, decision)
        if done and phase.certifies:
            self._tidy(phase, after=True)
        return decision

    def _request(self, phase: Phase, seed: int, role: str | None = None) -> RunRequest:
        first = "baseline" if phase.base is None else "none"
        return replace(
            self.request, seed=seed, overlays=overlays(phase), role=role or first,
            run_id=None, from_state=None, base=None,
        )  # fmt: skip

    def _seeds(self, phase: Phase) -> tuple[int, ...]:
        return self.seeds if phase.certifies else self.seeds[:1]

    def _climbed(self, phase: Phase) -> Path:
        """The run of a phase; made where it does not exist."""
        if phase.name not in self.runs:
            self.runs[phase.name] = self._found(phase) or self._make(phase)
        return self.runs[phase.name]

    def _found(self, phase: Phase) -> Path | None:
        found = read_decision(self.root, phase.name)
        if found is None or not found.done or found.basis.get("asked") != self.asked(phase):
            return None
        root = self.root / found.run_ids[0]
        return root if root.is_dir() else None

    def _make(self, phase: Phase) -> Path:
        request = self._request(phase, self.seeds[0])
        if phase.from_state is not None and phase.base is not None:
            base = self._climbed(_named(phase.base))
            request = replace(request, from_state=phase.from_state, base=base)
        return self._made(request, f"{phase.name} {phase.title}")

    def _made(self, request: RunRequest, title: str) -> Path:
        """The run of a request, made now, or found and believed."""
        root = pipeline.run(request, self.sections(title), believe=self._believed).place.root
        self.known.add(root)
        return root

    def _believed(self, root: Path) -> None:
        if self.believe is not None and root not in self.known:
            self.believe(root)
            self.known.add(root)

    def _run(self, phase: Phase) -> PhaseRun:
        """One run, which reuses the states of the phase it builds on, judged by its gateboard."""
        root = self._climbed(phase)
        run, seed = RunPlace(root), self.seeds[0]
        board = _read(run.gateboard)
        before = self._climbed(_named(phase.base)) if phase.base else None
        receipt = read_receipt(run)
        rows = (*board["tests"], *_without_evidence(root, board))
        sealed = str(_read(run.sealed_inputs)["sealed_inputs_digest"])
        lock = baseline.locked(root, rows, sealed) if phase.base is None else None
        files = [run.gateboard, run.bundle_index]
        if lock is not None:
            files.append(write_document(place(self.root, baseline.NAME), lock))
        evidence = law.PhaseEvidence(
            rows=rows,
            before=_read(RunPlace(before).gateboard)["tests"] if before else (),
            guards=board["guards"],
            checks=_read(run.document("s5_validation_report_6A"))["checks"],
            routing=board["routing"],
            counters=_read(run.document("s2_kmax_counters_6A")),
            role=roles.read_ledger(self.root).role(receipt),
            flagged=run.flag.is_file(),
            vetoes=vetoes(root),
            sealed=sealed,
            lock=lock,
            mix_moved=_mix_moved(before, root) if before else None,
        )
        return PhaseRun({seed: root}, evidence, tuple(files))

    def _certify(self, phase: Phase) -> PhaseRun:
        """The full chain on every seed, without reuse, and T1–T10 over all."""

        def runner(seed: int) -> Path:
            role = "candidate" if seed == self.seeds[0] else f"witness:{seed}"
            return self._made(self._request(phase, seed, role), f"{phase.name} seed {seed}")

        def titled(title: str) -> Report | None:
            return self.sections(f"{phase.name} {title}")

        request = self._request(phase, self.seeds[0])
        summary = certification.certify(
            request, self.seeds, titled, runner=runner, keep_all=True, believe=self._believed
        )
        # The next certificate overwrites the summary; a decision keeps a copy of its own.
        kept = write_document(place(self.root, f"{phase.name}_summary"), _read(self.root / SUMMARY))
        runs = {seed: self.root / summary["runs"][str(seed)] for seed in self.seeds}
        files = [
            f for r in runs.values() for f in (RunPlace(r).gateboard, RunPlace(r).bundle_index)
        ]
        evidence = law.PhaseEvidence(
            rows=summary["tests"],
            summary=summary,
            vetoes=tuple(f"seed {s}: {why}" for s, r in runs.items() for why in vetoes(r)),
            repeated=self._unlike_climbed(phase, runs[self.seeds[0]]),
        )
        return PhaseRun(runs, evidence, (kept, *files))

    def _unlike_climbed(self, phase: Phase, run: Path) -> list[str] | None:
        """Datasets in which the full chain differs from the climbed run of the same policy."""
        if phase.adds or phase.base is None:
            return None
        ours, theirs = (
            _read(RunPlace(root).bundle_index)["content_digests"]
            for root in (run, self._climbed(_named(phase.base)))
        )
        return sorted(n for n in {*ours, *theirs} if ours.get(n) != theirs.get(n))

    def _settle(self, phase: Phase, runs: Mapping[int, Path]) -> None:
        """Sets roles after a phase that is done; certified runs are promoted and frozen."""
        first, *others = runs.items()
        if not phase.certifies:
            if phase.base is not None:
                roles.pin(first[1], "candidate")
            return
        for earlier in LADDER[: NAMES.index(phase.name)]:
            if earlier.certifies:
                self._supersede(earlier, phase)
        if roles.read_ledger(self.root).role(read_receipt(RunPlace(first[1]))) != "last_good":
            roles.pin(first[1], "candidate")
            for seed, run in others:
                roles.pin(run, f"witness:{seed}")
            promote(first[1], self.seeds)
        roles.freeze(self._set_name(phase), list(runs.values()))
        base = self._found(_named(phase.base)) if phase.adds and phase.base else None
        if base is not None:  # no later phase builds on that run
            roles.pin(base, "none")

    def _supersede(self, earlier: Phase, by: Phase) -> None:
        """Reopens the baseline set that a better one replaces, and records the reason."""
        name, ledger = self._set_name(earlier), roles.read_ledger(self.root)
        if name not in ledger.frozen:
            return
        held = [self.root / run for run in ledger.frozen[name]]
        roles.reopen(self.root, name, f"superseded by {by.name}, which is done")
        for run in held:
            if ledger.role(read_receipt(RunPlace(run))).startswith("witness:"):
                roles.pin(run, "none")

    def _set_name(self, phase: Phase) -> str:
        scale = "" if self.request.scale == 1 else f"-x{self.request.scale:g}"
        return f"{phase.name}-{self.request.profile}{scale}"

    def _tidy(self, phase: Phase, *, after: bool = False) -> None:
        """Removes superseded runs of the ladder before, or after, a phase that certifies."""
        if self.keep_all:
            return
        recorded = {name: read_decision(self.root, name) for name in NAMES}
        made = {run for d in recorded.values() if d is not None for run in d.run_ids}
        later = LADDER[NAMES.index(phase.name) + (1 if after else 0) :]
        bases = [recorded[p.base] for p in later if p.base is not None]
        needed = {run for d in bases if d is not None for run in d.run_ids}
        prune.prune_superseded(self.root, made, needed, self.sections)


def _named(name: str) -> Phase:
    return LADDER[NAMES.index(name)]


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _read(path: Path) -> JsonObject:
    return dict(load_json(path))


def _without_evidence(run: Path, board: Board) -> list[JsonObject]:
    """Rows of T9 and T10 for a single run: INSUFFICIENT_EVIDENCE."""
    stability = t9_cross_seed_stability(sealed_policy(run), [board])
    return [row.as_dict() for row in (stability, *not_judged(ONE_SEED))]


def _mix_moved(before: Path, after: Path) -> int:
    """Sum of absolute differences of (region, segment) counts of parties between two runs."""
    a, b = (
        "SELECT region_id, segment_id, count(*) AS n "
        f"FROM {parquet(parts(RunPlace(run).layer / PARTIES))} GROUP BY ALL"
        for run in (before, after)
    )
    sql = (
        f"WITH a AS ({a}), b AS ({b}) "
        "SELECT sum(abs(coalesce(a.n, 0) - coalesce(b.n, 0))) "
        "FROM a FULL JOIN b USING (region_id, segment_id)"
    )
    with in_memory() as connection:
        (moved,) = connection.execute(sql).fetchone() or (0,)
    return int(moved)
