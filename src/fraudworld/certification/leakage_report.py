"""The evidence file of `leakage_joined` for one run: its measures, and the guards that follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter

from fraudworld.certification.features import KINDS
from fraudworld.certification.leakage import Measures, close, design, guards, measure
from fraudworld.contracts import CONTRACT_VERSION
from fraudworld.documents import (
    Json,
    JsonObject,
    canonical_json,
    parse_json,
    plain_json,
    pretty_json,
    read_object,
)
from fraudworld.errors import InputError
from fraudworld.policy.pack import PolicyPack
from fraudworld.store.atomic import write_atomic
from fraudworld.store.layout import CERTIFICATE, RunPlace
from fraudworld.store.published import sealed_policy
from fraudworld.store.receipt import Receipt, read_receipt
from fraudworld.t10.report import not_following

INVALID = "6A.CERTIFY.EVIDENCE_INVALID"
TOLERANCE = 0.005
"""Difference of areas that verification accepts: another processor may round exponentials another
way, and a tie between two splits then falls to the other one."""

_UNUSABLE = "this evidence of leakage_joined cannot be used"
_REMEDY = "certify again: fraudworld certify"
_MEASURES = TypeAdapter(Measures)


def place(runs_root: Path, run_id: str) -> Path:
    """Path of the evidence file of a run: below the runs root, beside the summary."""
    return runs_root / CERTIFICATE.parent / f"leakage_joined_6A_{run_id}.json"


def write(run: Path) -> Path:
    """Measures a published run and writes its evidence file."""
    path = place(run.parent, run.name)
    stated = document(sealed_policy(run), read_receipt(RunPlace(run)), measure(run))
    write_atomic(path, pretty_json(stated))
    return path


def document(pack: PolicyPack, receipt: Receipt, measures: Measures) -> JsonObject:
    """Content of the evidence file."""
    return {
        "contract_version": CONTRACT_VERSION,
        "guard_id": "leakage_joined",
        "run": {
            "run_id": receipt.run_id,
            "seed": receipt.seed,
            "parameter_hash": receipt.parameter_hash,
            "bundle_digest": receipt.bundle_digest,
        },
        "design": design(),
        "measures": parse_json(_MEASURES.dump_json(measures)),
        "guards": [guard.as_dict() for guard in guards(pack, measures)],
    }


def read(path: Path) -> JsonObject:
    """An evidence file. Raises InputError `6A.CERTIFY.EVIDENCE_INVALID` for anything else."""
    return read_object(path, code=INVALID, what=_UNUSABLE, remedy=_REMEDY)


def read_measures(evidence: Mapping[str, Json], where: Path) -> Measures:
    """The measures of an evidence file. Raises InputError `6A.CERTIFY.EVIDENCE_INVALID`."""
    try:
        measures = _MEASURES.validate_json(canonical_json(evidence["measures"]), strict=True)
    except (KeyError, TypeError, ValueError) as error:
        raise _invalid(where, f"its measures: {error}") from error
    if set(measures) != set(KINDS):
        raise _invalid(where, f"its measures are of {', '.join(measures)}")
    return measures


def differences(
    evidence: Mapping[str, Json], pack: PolicyPack, receipt: Receipt, where: Path
) -> Iterator[str]:
    """Fields that do not follow from the measures, the sealed bounds and the run."""
    measures = read_measures(evidence, where)
    yield from not_following(evidence, plain_json(document(pack, receipt, measures)))


def unlike_tables(evidence: Mapping[str, Json], run: Path, where: Path) -> Iterator[str]:
    """Kinds whose stated measures are not those of the run's tables, within TOLERANCE."""
    stated, found = read_measures(evidence, where), measure(run)
    for kind in KINDS:
        ours, theirs = (parse_json(_MEASURES.dump_json({kind: m[kind]}))[kind]
                        for m in (found, stated))  # fmt: skip
        leading, claimed = ours.pop("leading"), theirs.pop("leading")
        if not (
            close(theirs, ours, TOLERANCE) and _same_leaders(claimed, leading, ours["features"])
        ):
            yield f"{kind}: the tables give other figures"


def _same_leaders(
    stated: Sequence[JsonObject], found: Sequence[JsonObject], features: Sequence[str]
) -> bool:
    """Whether losses agree; a feature that leads in one list alone has about the least loss."""
    losses = {lead["feature"]: lead["loss"] for lead in found}
    least = min(losses.values(), default=0.0)
    return len(stated) == len(found) and all(
        lead["feature"] in features
        and close(lead["loss"], losses.get(lead["feature"], least), TOLERANCE)
        for lead in stated
    )


def _invalid(where: Path, what: str) -> InputError:
    return InputError(
        INVALID,
        f"{_UNUSABLE}: {what}"[:400],
        where=str(where),
        remedy=_REMEDY,
    )
