"""The reference page of gates: what each test asks, its metrics, its thresholds."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from fraudworld.documents import Json
from fraudworld.gates.board import GATES
from fraudworld.gates.gate import OWNERS
from fraudworld.gates.guards import GUARDS
from fraudworld.gates.stability import seed_variation


def page(board: Mapping[str, Json]) -> str:
    """Markdown, from the registries and a gateboard, which knows metrics and thresholds."""
    lines = [
        "# Gate reference",
        "",
        "Written by `make docs` from the registries of `gates/`. Thresholds are those of the",
        "default `validation_policy_6A.v1.yaml`; changing one shows in `parameter_hash`.",
        "",
    ]
    return (
        "\n".join([*lines, *_tests(board), *_across(), *_guards(board), *_of_certificates()]) + "\n"
    )


def _tests(board: Mapping[str, Json]) -> Iterator[str]:
    yield from ("## Tests of one world", "")
    for gate in GATES:
        prefix = gate.__name__.split("_")[0].upper()
        rows = [r for r in board["tests"] if r["test_id"].split("_")[0] == prefix]
        yield f"### {rows[0]['test_id']}"
        yield ""
        yield f"{_said(gate)} Owner: {OWNERS[prefix]}."
        yield ""
        yield "| metric | B | B+ | interval |"
        yield "|---|--:|--:|---|"
        for row in rows:
            better = "at least" if _more_is_better(row) else "at most"
            interval = "bootstrap" if row["ci_low"] is not None else "none: an exact count"
            bounds = " | ".join(f"{better} {row[f'threshold_{b}']:g}" for b in ("B", "Bplus"))
            yield f"| `{row['metric_name']}` | {bounds} | {interval} |"
        yield ""


def _more_is_better(row: Mapping[str, Json]) -> bool:
    """Whether thresholds rise towards B+, or the metric is a share that must be 1."""
    return bool(
        row["threshold_Bplus"] > row["threshold_B"]
        or (row["threshold_B"] == 1.0 and row["metric_name"].endswith("fraction"))
    )


def _across() -> Iterator[str]:
    yield from ("## Tests across worlds", "")
    yield "T9_CROSS_SEED_STABILITY: worst spread of the critical metrics over the seeds of a"
    yield f"certificate. Owner: {OWNERS['T9']}."
    yield ""
    yield f"T10_DOWNSTREAM_COMPAT_6B: the downstream witness. Owner: {OWNERS['T10']}."
    yield ""


def _guards(board: Mapping[str, Json]) -> Iterator[str]:
    yield from ("## Guards", "", "A guard that does not hold blocks B+.", "")
    yield "| guard | holds when | what it says |"
    yield "|---|---|---|"
    said = {check.__name__: _said(check) for check in GUARDS}
    for guard in board["guards"]:
        name = next(n for n in said if guard["guard_id"].startswith(n))
        yield f"| `{guard['guard_id']}` | {guard['bound']} | {said[name]} |"


def _of_certificates() -> Iterator[str]:
    yield from ("", "## Guards of a certificate", "")
    yield "They block B+ as the others do ([gates.md](gates.md#guards-of-a-certificate))."
    yield "Bounds: `guards.seed_variation_*`, `guards.leakage_joined_*` of the validation policy."
    yield ""
    yield "| guard | judged | what it says |"
    yield "|---|---|---|"
    yield f"| `seed_variation_*` | over all seeds | {_said(seed_variation)} |"
    yield (
        "| `leakage_joined_*` | on every seed | Joined observable tables do not reveal who is"
        " risky, and tell something of it for parties. |"
    )


def _said(function: Any) -> str:
    """First sentence of a docstring, without the test's own name."""
    text = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ")
    head, _, rest = text.partition(": ")
    return rest[0].upper() + rest[1:] if head.startswith("T") and rest else text
