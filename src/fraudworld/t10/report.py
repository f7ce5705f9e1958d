"""The evidence file of T10 for one candidate: its measures, and the rows that follow from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import TypeAdapter

from fraudworld.contracts.transactions import DOWNSTREAM_VERSION
from fraudworld.documents import (
    Json,
    JsonObject,
    canonical_json,
    parse_json,
    plain_json,
    read_object,
)
from fraudworld.errors import InputError
from fraudworld.policy.transactions import DownstreamWitness
from fraudworld.t10.figures import Measures
from fraudworld.t10.judge import judge, summary
from fraudworld.t10.rows import TEST

REPORTS = Path("reports/layer3/6B/validation")
ARMS = ("baseline", "candidate", "dose_half", "dose_zero", "rewired")
INVALID = "6B.S5.WITNESS_EVIDENCE_INVALID"
_UNUSABLE = "this evidence of T10 cannot be used"
_REMEDY = "judge T10 again: fraudworld certify, or fraudworld witness"
_MEASURES = TypeAdapter(Measures)


def place(runs_root: Path, run_id: str) -> Path:
    """Path of the evidence file of a candidate."""
    return runs_root / REPORTS / f"downstream_witness_6B_{run_id}.json"


def document(
    measures: Measures, bounds: DownstreamWitness, flows: int, arms: Mapping[str, Json]
) -> JsonObject:
    """Content of the evidence file; arms: name → run, policy and digests of that arm."""
    rows = judge(measures, bounds)
    (seed,) = measures.seeds
    binding = summary(rows, seed)
    best = all(row.pass_Bplus for row in binding)
    good = all(row.pass_B for row in binding)
    return {
        "contract_version": DOWNSTREAM_VERSION,
        "test_id": TEST,
        "seed": seed,
        "flows": flows,
        "grade": "B+" if best else "B" if good else "<C",
        "binding": [row.as_dict() for row in binding],
        "rows": [row.as_dict() for row in rows],
        "bounds": bounds.model_dump(mode="json"),
        "arms": dict(arms),
        "measures": parse_json(_MEASURES.dump_json(measures)),
    }


def read_measures(evidence: Mapping[str, Json], where: Path) -> Measures:
    """The measures of an evidence file. Raises InputError `6B.S5.WITNESS_EVIDENCE_INVALID`."""
    try:
        return _MEASURES.validate_json(canonical_json(evidence["measures"]), strict=True)
    except (KeyError, TypeError, ValueError) as error:
        raise _invalid(where, f"its measures: {error}") from error


def read_report(path: Path) -> JsonObject:
    """An evidence file. Raises InputError `6B.S5.WITNESS_EVIDENCE_INVALID` for anything else."""
    return read_object(path, code=INVALID, what=_UNUSABLE, remedy=_REMEDY)


def not_following(evidence: Mapping[str, Json], wanted: Mapping[str, Json]) -> Iterator[str]:
    """Fields of an evidence file that are not those of the document worked out again."""
    for key in sorted({*wanted, *evidence}):
        if evidence.get(key) != wanted.get(key):
            yield f"{key} does not follow from the measures and the sealed bounds"


def differences(
    evidence: Mapping[str, Json], bounds: DownstreamWitness, candidate: Mapping[str, Json],
    where: Path,
) -> Iterator[str]:  # fmt: skip
    """Fields that do not follow from the measures, the sealed bounds and the candidate.

    candidate: what `arms` must say of the judged run. The digests of the other arms, and the
    measures themselves, are claims: making the arms again is the only check of them.
    """
    measures = read_measures(evidence, where)
    if len(measures.seeds) != 1:
        yield f"measures: of seeds {list(measures.seeds)}"
        return
    arms = evidence.get("arms")
    if not isinstance(arms, dict) or set(arms) != set(ARMS):
        yield f"arms: not {', '.join(ARMS)}"
        return
    named = {key: arms["candidate"].get(key) for key in candidate}
    if named != candidate:
        yield f"arms: the candidate is {candidate}, stated {named}"
    yield from not_following(evidence, plain_json(document(measures, bounds, bounds.flows, arms)))


def _invalid(where: Path, what: str) -> InputError:
    return InputError(
        INVALID,
        f"{_UNUSABLE}: {what}"[:400],
        where=str(where),
        remedy=_REMEDY,
    )
