"""Files outside the seal: receipt, report and the script that a run carries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from fraudworld import __version__, report
from fraudworld.documents import LARGEST, JsonObject, load_json, read_bounded
from fraudworld.report import profiles
from fraudworld.report.facts import Beside
from fraudworld.store.bundle import sha256_file
from fraudworld.store.layout import RunPlace
from fraudworld.store.receipt import Receipt
from fraudworld.store.seal import standalone
from fraudworld.verification.verdict import Check

EARLIER_SCRIPTS: Mapping[str, str] = {}
"""SHA-256 of the `verify.py` that each earlier release put into its runs (docs/releasing.md)."""

ALWAYS_CLAIMED = (
    "run_receipt.json: created_at, role, run_id, the program's and its libraries' versions",
    "reports/layer3/6A/perf: when and how fast the run was made",
    "reports/layer3/6A/state_inputs_6A.json: the run whose states were reused",
)
"""What a run states and nothing can prove: no law and no digest depends on it."""
NEEDS_DEEP = "values, plans, counters and draws of S1–S4 within their laws: --deep makes them again"


def script_digest(version: str) -> str | None:
    """SHA-256 of the `verify.py` of a release; None for a release this one does not know."""
    if version != __version__:
        return EARLIER_SCRIPTS.get(version)
    return hashlib.sha256(standalone("verify.py")).hexdigest()


def script(place: RunPlace, receipt: Receipt) -> Iterator[Check]:
    """Script and note that a run carries are those of the release that made it."""
    version = receipt.versions.get("fraudworld", "")
    wanted, found = script_digest(version), sha256_file(place.reports / "verify.py")
    what = "" if wanted == found else f"it has SHA-256 {found}; take your own copy of the script"
    yield Check("outside", f"verify.py is that of release {version}", wanted == found, what)
    if version == __version__:
        same = read_bounded(place.reports / "reading.md", LARGEST) == standalone("reading.md")
        what = "" if same else "another text"
        yield Check("outside", f"reading.md is that of release {version}", same, what)


def page(place: RunPlace) -> Iterator[Check]:
    """Report and its JSON document follow from the run, given the certificate they show.

    Raises RefusedError as `profiles.published` does.
    """
    stated: JsonObject = load_json(place.report.with_name(report.TWIN))
    # A report that shows no profiles is older than the layer, which has a seal of its own.
    layer = profiles.published(place.root) if stated.get("profiles") is not None else None
    near = Beside(stated["certificate"], stated["ladder"], layer)
    for path, wanted in report.files_of(place.root, near, place.report).items():
        same = read_bounded(path, LARGEST) == wanted
        what = "" if same else "another text; `fraudworld report RUN` renders it anew"
        yield Check("outside", f"{path.name} follows from tables and evidence", same, what)


def claimed(place: RunPlace, receipt: Receipt, *, upstream_known: bool) -> tuple[str, ...]:
    """What a verified run states and no check of this version proves."""
    lines = [NEEDS_DEEP, *ALWAYS_CLAIMED]
    stated: JsonObject = load_json(place.report.with_name(report.TWIN))
    if stated["certificate"] is not None or stated["ladder"]:
        lines.append("reports/report.html: the certificate and the ladder it shows")
    if receipt.versions.get("fraudworld") != __version__:
        lines.append("reports/report.html: rendered by another release")
    if not upstream_known:
        lines.append("roles of merchants and the profile: give --upstream to check them")
    return tuple(lines)
