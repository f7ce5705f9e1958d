"""Makes a run again from its seed, policy and inputs, and compares every byte it published.

Under the libraries of the receipt, `data/` and `logs/` must be equal byte for byte. Another library
may encode equal rows into other bytes: then datasets are compared by content digest, and their
footers are those `verify` has read against the rows. Under other laws there is nothing to compare.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fraudworld.documents import JsonObject, load_json
from fraudworld.errors import FraudworldError, RefusedError
from fraudworld.policy.loader import load_pack, write_pack
from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from fraudworld.run.base import VERSIONS
from fraudworld.store.bundle import sha256_file
from fraudworld.store.layout import RunPlace
from fraudworld.store.published import sealed_policy
from fraudworld.store.receipt import Receipt, read_receipt
from fraudworld.store.seal import files_of
from fraudworld.verification.checks import other_laws, verify
from fraudworld.verification.outside import NEEDS_DEEP
from fraudworld.verification.verdict import Check, Verdict

NOT_WRITTEN = "6A.S0.IO_WRITE_FAILED"
"""Code of the error for a disk that is full: it concerns the caller, not the run."""
COMPARED = ("data/layer3/6A/", "logs/")
"""Folders of a run whose every file follows from seed, policy and inputs."""
CLAIMED_FIELDS = ("role", "run_id", "created_at", "versions", "overlays", "bundle_digest")
"""Fields of a receipt that are not a function of seed, policy and inputs, or compared apart."""


def verify_deeply(run: Path, *, upstream: Path | None = None, key: Path | None = None) -> Verdict:
    """Everything `verify` checks, and then every byte, made again.

    Raises RefusedError `6A.S5.LAW_VERSION_DIFFERS` for a run of other laws than these, and as
    `verify` does.
    """
    require_same_laws(run)
    plain = verify(run, upstream=upstream, key=key)
    if not plain.holds:
        return plain
    claimed = tuple(line for line in plain.claimed if line != NEEDS_DEEP)
    checks = list(plain.checks)
    try:
        checks += regenerated(run, upstream=upstream)
    except FraudworldError as error:
        if error.code == NOT_WRITTEN:
            raise
        # What its receipt asks for cannot be made: no run was made from it.
        checks.append(Check("deep", "can be made again", False, f"{error.what} [{error.where}]"))
    return Verdict(run, tuple(checks), (), claimed)


def require_same_laws(run: Path) -> None:
    """Raises RefusedError `6A.S5.LAW_VERSION_DIFFERS` for a run of other laws than these."""
    other = other_laws(read_receipt(RunPlace(run)))
    if other:
        raise RefusedError(
            "6A.S5.LAW_VERSION_DIFFERS",
            f"this run cannot be made again here: {other}",
            where=str(run),
            remedy="install the release named above, and verify with it",
        )


def regenerated(run: Path, *, upstream: Path | None = None) -> Iterator[Check]:
    """Makes the run again and compares every file of `data/` and `logs/`, and the receipt.

    upstream: the folder the run was made from, where it was not the embedded one. The new run is
    made in a temporary folder and deleted. Where the shipped policy with the receipt's overlays is
    not the sealed one, the sealed one is used; its files have other bytes then, so the documents
    that list these are compared without them.
    """
    require_same_laws(run)
    place = RunPlace(run)
    receipt = read_receipt(place)
    with tempfile.TemporaryDirectory(prefix="fraudworld-verify-") as temporary:
        root = Path(temporary)
        policy, overlays, same_files = _policy(run, receipt, root / "policy")
        request = RunRequest(
            profile=receipt.profile,
            scale=receipt.scale,
            seed=receipt.seed,
            runs_root=root / "runs",
            policy_dir=policy,
            overlays=overlays,
            upstream_dir=upstream,
            role=receipt.role,
        )
        again = pipeline.run(request).place
        yield from _files(place, again, receipt, same_files=same_files)
        yield from _receipts(receipt, read_receipt(again))
        shutil.rmtree(again.root, ignore_errors=True)


def _policy(run: Path, receipt: Receipt, folder: Path) -> tuple[Path | None, tuple[str, ...], bool]:
    """Folder and overlays of the policy, and whether they have the bytes the run was made from."""
    try:
        if load_pack(None, receipt.overlays).parameter_hash == receipt.parameter_hash:
            return None, receipt.overlays, True
    except FraudworldError:  # an overlay of the user's own
        pass
    return folder, tuple(map(str, write_pack(sealed_policy(run), folder))), False


def _files(
    place: RunPlace, again: RunPlace, receipt: Receipt, *, same_files: bool
) -> Iterator[Check]:
    """Every published file against the one made again."""
    published, made = _listed(place), _listed(again)
    strange = sorted(set(published) ^ set(made))
    yield Check("deep", "the same files", not strange, ", ".join(strange[:3]))
    library = {k: v for k, v in VERSIONS.items() if k.startswith("library")}
    same_library = library.items() <= receipt.versions.items()
    digests, wanted = (load_json(p.bundle_index)["content_digests"] for p in (place, again))
    for name in sorted(set(digests) | set(wanted)):
        same = digests.get(name) == wanted.get(name)
        what = "" if same else f"published {digests.get(name)}, made again {wanted.get(name)}"
        yield Check("deep", f"{name} made again", same, what)
    # The index and its flag hold the digests of the files compared here.
    own = {p.relative_to(place.root).as_posix() for p in (place.bundle_index, place.flag)}
    lists_files = {
        p.relative_to(place.root).as_posix() for p in (place.sealed_inputs, place.gate_receipt)
    }
    for name in sorted(set(published) & set(made)):
        if (name.endswith(".parquet") and not same_library) or (
            name in own and not (same_library and same_files)
        ):
            continue
        if name in lists_files and not same_files:
            ours, theirs = (_without_policy(load_json(p.root / name)) for p in (place, again))
            same, what = ours == theirs, "differs beyond the bytes of policy files"
        else:
            found, made_again = sha256_file(place.root / name), sha256_file(again.root / name)
            same, what = found == made_again, f"published {found}, made again {made_again}"
        yield Check("deep", f"{name}: bytes", same, "" if same else what)


def _without_policy(document: JsonObject) -> JsonObject:
    """A document of S0 without the lines about policy files."""
    kept = dict(document)
    if "rows" in kept:
        kept["rows"] = [row for row in kept["rows"] if row["role"] != "policy"]
    if "policy_pack" in kept:
        policy = kept["policy_pack"]
        kept["policy_pack"] = {k: policy[k] for k in ("parameter_hash", "posture")}
    return kept


def _receipts(published: Receipt, made: Receipt) -> Iterator[Check]:
    """The facts of the receipt, field by field."""
    for field in dataclasses.fields(Receipt):
        if field.name not in CLAIMED_FIELDS:
            stated, found = getattr(published, field.name), getattr(made, field.name)
            what = "" if stated == found else f"stated {stated}, found {found}"
            yield Check("deep", f"receipt: {field.name}", stated == found, what)


def _listed(place: RunPlace) -> list[str]:
    """Files below the compared folders, relative to the run."""
    return [name for name in files_of(place) if name.startswith(COMPARED)]
