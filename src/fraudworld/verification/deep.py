"""Regenerates a run from its seed, policy and inputs, and compares it value for value."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fraudworld.documents import load_json
from fraudworld.policy.loader import write_pack
from fraudworld.request import RunRequest
from fraudworld.run import pipeline
from fraudworld.store.layout import RunPlace
from fraudworld.store.published import sealed_policy
from fraudworld.store.receipt import read_receipt
from fraudworld.store.seal import check_run
from fraudworld.verification.verdict import Check


def regenerated(run: Path, *, upstream: Path | None = None) -> Iterator[Check]:
    """Regenerates every dataset and compares its content digest with the published one.

    upstream: the folder the run was made from, where it was not the embedded one. The new run is
    made in a temporary folder and deleted.
    """
    place = RunPlace(run)
    receipt = read_receipt(place)
    stated = check_run(place).content_digests
    with tempfile.TemporaryDirectory(prefix="fraudworld-verify-") as temporary:
        root = Path(temporary)
        overlays = write_pack(sealed_policy(run), root / "policy")
        request = RunRequest(
            profile=receipt.profile,
            scale=receipt.scale,
            seed=receipt.seed,
            runs_root=root / "runs",
            policy_dir=root / "policy",
            overlays=tuple(map(str, overlays)),
            upstream_dir=upstream,
            role=receipt.role,
        )
        outcome = pipeline.run(request)
        digests = load_json(outcome.place.bundle_index)["content_digests"]
        holds = outcome.identity == receipt.identity
        yield Check("deep", "the same identity", holds, "" if holds else f"{outcome.identity}")
        for name in sorted(set(stated) | set(digests)):
            same = stated.get(name) == digests.get(name)
            what = "" if same else f"published {stated.get(name)}, made again {digests.get(name)}"
            yield Check("deep", f"{name} made again", same, what)
        shutil.rmtree(outcome.place.root, ignore_errors=True)
