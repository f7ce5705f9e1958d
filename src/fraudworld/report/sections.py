"""Text and tables of the report, section by section, from the facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fraudworld.documents import Json, JsonObject
from fraudworld.report.html import Safe, el, figure_text, join, table

Facts = Mapping[str, Json]
SYMBOLS = {"B+": "●", "B": "◐", "FAIL": "✕", "NO EVIDENCE": "?"}
DECISIONS = {
    "PASS_BPLUS": "certified at B+",
    "PASS_B": "certified at B",
    "HOLD_REMEDIATE": "held: not certified",
}
TITLES = {
    "gates": "Gates",
    "population": "Population",
    "accounts": "Accounts and instruments",
    "network": "Devices and IP endpoints",
    "risk": "Risk and how it travels",
    "joints": "Homes, markets and circles",
    "profiles": "Profiles",
    "seeds": "Seeds",
    "ladder": "Remediation ladder",
    "neighbourhood": "A neighbourhood",
    "time": "Time and memory",
    "certificate": "Certificate",
}


def shown(facts: Facts) -> tuple[str, ...]:
    """Names of the sections, in order; profiles, seeds and ladder only if the facts have them."""
    absent = set()
    if not facts["figures"]["seeds"]:
        absent.add("seeds")
    if not facts["ladder"]:
        absent.add("ladder")
    if facts["profiles"] is None:
        absent.add("profiles")
    return tuple(name for name in TITLES if name not in absent)


def title(facts: Facts) -> str:
    """Title of the page."""
    run = facts["run"]
    return f"World {run['run_id'][:8]}: grade {facts['grade']}"


def verdict(facts: Facts) -> Safe:
    """The head of the report: the grade, the reasons, and the identity of the run."""
    run, grade = facts["run"], facts["grade"]
    tests, guards = facts["tests"], facts["guards"]
    missed = [t for t in tests if not t["pass_B"]]
    broken = [g for g in guards if not g["holds"]]
    good = "good" if grade == "B+" else "fair" if grade == "B" else "bad"
    certified = facts["certificate"]
    cert = (
        el("p", f"Seeds {', '.join(certified['seeds'])}: {DECISIONS[certified['decision']]}.")
        if certified
        else el("p", "One world is not a certificate: ", el("code", "fraudworld certify"),
                " judges four seeds.")
    )  # fmt: skip
    sentence = (
        f"{len(tests) - len(missed)} of {len(tests)} metrics pass grade B, "
        f"{sum(t['pass_Bplus'] for t in tests)} pass B+; "
        f"{len(guards) - len(broken)} of {len(guards)} guards hold; "
        f"{facts['checks']['made'] - len(facts['checks']['failed'])} of "
        f"{facts['checks']['made']} structural checks pass."
    )
    return el(
        "section",
        el("p", el("span", grade, class_="grade"), " ", _standing(facts), class_=f"badge {good}"),
        el("p", sentence),
        cert,
        _problems(facts, missed, broken),
        _tiles(facts),
        el("p", f"Seed {run['seed']}, profile {run['profile']}, scale {run['scale']:g}, policy ",
           el("code", run["parameter_hash"][:12]), ", made ", run["created_at"], "."),
        id="verdict", aria_label="Verdict",
    )  # fmt: skip


def _standing(facts: Facts) -> str:
    if facts["run"]["passed"]:
        return "This world passes and is sealed with its flag."
    return "This world does not pass: it is sealed for study, without flag."


def _problems(facts: Facts, missed: list[Any], broken: list[Any]) -> Safe:
    said = [
        f"{t['test_id']} {t['metric_name']}: {figure_text(t['value'])}, B is "
        f"{figure_text(t['threshold_B'])}; owned by {t['owner_state']}"
        for t in missed
    ]
    said += [
        f"guard {g['guard_id']}: {figure_text(g['value'])}, must be {g['bound']}" for g in broken
    ]
    said += [
        f"check {c['check_id']}: {figure_text(c['observed'])}" for c in facts["checks"]["failed"]
    ]
    return el("ul", join(el("li", line) for line in said), class_="problems") if said else Safe()


def _tiles(facts: Facts) -> Safe:
    rows, means = facts["run"]["tables"], facts["measures"]
    tiles = (
        ("parties", rows["s1_party_base_6A"]),
        ("accounts", rows["s2_account_base_6A"]),
        ("instruments", rows["s3_instrument_base_6A"]),
        ("devices", rows["s4_device_base_6A"]),
        ("IP endpoints", rows["s4_ip_base_6A"]),
        ("rows in all", sum(rows.values())),
        ("risky parties", f"{means['non_clean_party']:.2%}"),
    )
    return el(
        "dl", join(el("div", el("dt", n), el("dd", figure_text(v))) for n, v in tiles),
        class_="tiles",
    )  # fmt: skip


def gateboard(facts: Facts) -> Safe:
    """Every metric with interval and verdict, then the guards."""
    tests = (
        (
            t["test_id"].split("_")[0],
            t["metric_name"],
            t["value"],
            _interval(t["ci_low"], t["ci_high"], t["details"].get("no_interval")),
            t["threshold_B"],
            t["threshold_Bplus"],
            t["support"],
            _mark(t["verdict"]),
            t["owner_state"],
        )
        for t in facts["tests"]
    )
    guards = (
        (g["guard_id"], g["value"], g["bound"], _mark("B+" if g["holds"] else "FAIL", guard=True))
        for g in facts["guards"]
    )
    heads = ("test", "metric", "value", "95 % interval", "B", "B+", "support", "verdict", "owner")
    return join(
        (
            table("Gateboard", heads, tests),
            table("Guards beside the tests", ("guard", "value", "must be", "holds"), guards),
        )
    )


def _mark(verdict: str, *, guard: bool = False) -> Safe:
    kind = {"B+": "good", "B": "fair"}.get(verdict, "bad")
    words = {"B+": "holds", "FAIL": "broken", "NO EVIDENCE": "no evidence"}
    word = words[verdict] if guard else verdict
    return el("span", f"{SYMBOLS[verdict]} {word}", class_=f"mark {kind}")


def _interval(low: float | None, high: float | None, why: str | None) -> Safe:
    if low is None or high is None:
        return el("span", "—", title=why)
    return el("span", f"{figure_text(low)} – {figure_text(high)}", class_="n")


def datasets(facts: Facts) -> Safe:
    """Rows of every dataset."""
    return table("Datasets", ("dataset", "rows"), facts["run"]["tables"].items())


def profiles(facts: Facts) -> Safe:
    """Whether the layer passed, and the verdict of each of its guards."""
    layer = facts["profiles"]
    said = (
        "Layer 6P lies beside this world and is sealed with its flag."
        if layer["passed"]
        else "Layer 6P lies beside this world; it does not pass and is sealed without flag."
    )
    rows = (
        (
            g["test_id"].split("_")[0],
            g["metric_name"],
            g["value"],
            g["threshold_B"],
            g["support"],
            _mark(g["verdict"], guard=True),
        )
        for g in layer["guards"]
    )
    heads = ("guard", "metric", "value", "at most", "support", "holds")
    return join((el("p", said), table("Guards of profiles", heads, rows)))


def seeds(facts: Facts) -> Safe:
    """The seeds of the certificate, with grades and failed metrics."""
    summary = facts["certificate"]
    rows = (
        (
            f"seed {seed}",
            one["grade"],
            summary["runs"][seed][:8],
            ", ".join(
                f"{f['metric_name']} ({f['misses']})"
                for f in summary["fails"]
                if str(f["seed"]) == seed
            )
            or "none",
            ", ".join(one["guards_broken"]) or "none",
        )
        for seed, one in sorted(summary["seeds"].items(), key=lambda item: int(item[0]))
    )
    over = [f for f in summary["fails"] if f["seed"] is None]
    note = ", ".join(f"{f['test_id']} {f['metric_name']} ({f['misses']})" for f in over) or "none"
    guards = [g["guard_id"] for g in summary["guards"]["over_seeds"] if not g["holds"]]
    return join(
        (
            table(
                "Seeds of the certificate",
                ("seed", "grade", "run", "misses", "guards broken"),
                rows,
            ),
            el("p", f"Misses over all seeds: {note}."),
            el("p", f"Guards broken over all seeds: {', '.join(guards) or 'none'}."),
        )
    )


def ladder(facts: Facts) -> Safe:
    """Worst metric by phase and test, then the conditions of every phase."""
    decisions = facts["ladder"]
    tests = [f"T{n}" for n in range(1, 11)]
    climbed = (
        (d["phase"], d["decision"], _changed(d), *(_reached(d, test) for test in tests))
        for d in decisions
    )
    shown = (
        (
            d["phase"],
            d.get("basis", {}).get("reruns", "—"),
            ", ".join(str(s) for s in d["seeds"]),
            join(el("div", _condition(item)) for item in d["done_when"]),
            "; ".join(_condition(item) for item in d["blockers"]) or "none",
            len(d["vetoes"]),
        )
        for d in decisions
    )
    return join(
        (
            table(
                "Phases and tests: the worst metric of each",
                ("phase", "decision", "changed", *tests),
                climbed,
            ),
            table(
                "Conditions of each phase",
                ("phase", "made", "seeds", "done when", "to unblock it", "vetoes of promotion"),
                shown,
            ),
        )
    )


def _changed(decision: Mapping[str, Json]) -> str:
    """The change of a phase, if its decision names one."""
    basis = decision.get("basis", {})
    return ", ".join(basis.get("adds", ())) or basis.get("title", "—")


def _reached(decision: Mapping[str, Json], test: str) -> object:
    """Value and verdict of a test in a phase; ? without evidence."""
    cell = decision.get("basis", {}).get("tests", {}).get(test)
    if cell is None:
        return "—"
    if cell["verdict"] == "NO EVIDENCE":
        return el("span", "?", title=f"{cell['metric']}: no evidence")
    value = cell["value"]
    short = figure_text(round(value, 3)) if abs(value) >= 0.001 or not value else f"{value:.0e}"
    return join((el("div", short), _mark(cell["verdict"])))


def _condition(item: Any) -> str:
    """A condition and whether it holds, or a line of text."""
    if not isinstance(item, Mapping):
        return str(item)
    return f"{'✓' if item['holds'] else '✕'} {item['what']}"


def budgets(facts: Facts) -> Safe:
    """Seconds of every state and its budget."""
    checks = facts["budgets"]
    rows = [
        (c["state"], c["elapsed_s"], c["budget_s"], "yes" if c["pass"] else "no")
        for c in (*checks["states"], {"state": "S1–S5", **checks["segment"]})
    ]
    return table(
        "Time budgets (defined for the authority profile)",
        ("state", "seconds", "budget", "within"),
        rows,
    )


def _bounds(rebaseline: JsonObject | None) -> str:
    """Whose bounds the world was judged by."""
    if rebaseline is None:
        return "as shipped"
    changed = ", ".join(str(bound["bound"]) for bound in rebaseline["bounds"]) or "none differs"
    return (
        f"re-baselined on the authority of {rebaseline['authority']}: {rebaseline['reason']} "
        f"({changed})"
    )


def certificate(facts: Facts) -> Safe:
    """A printable page: the certified grade, the figures behind it, and how to verify it."""
    run, summary = facts["run"], facts["certificate"]
    decision = DECISIONS[summary["decision"]] if summary else f"graded {facts['grade']}"
    names = [
        ("run", run["run_id"]),
        ("seed", run["seed"]),
        ("parameter_hash", run["parameter_hash"]),
        ("manifest_fingerprint", run["manifest_fingerprint"]),
        ("bundle digest", run["bundle_digest"]),
        ("overlays", ", ".join(run["overlays"]) or "none"),
        ("posture", run["posture"]),
        ("bounds", _bounds(run["rebaseline"])),
        ("flag", "present" if run["passed"] else "absent"),
        *run["versions"].items(),
    ]
    if summary:
        names += [
            ("decision", summary["decision"]),
            ("eligible grade", summary["eligible_grade"]),
            ("seeds", ", ".join(summary["seeds"])),
            ("T10", summary["t10"]["status"]),
        ]
    else:
        names.append(("decision", "none: no certification names this run"))
    return join(
        (
            el("p", f"The synthetic world {run['run_id'][:8]} is {decision}.", class_="lead"),
            el("dl", join(el("div", el("dt", k), el("dd", v)) for k, v in names), class_="names"),
            table(
                "Evidence of the grade",
                ("metric", "value", "95 % interval", "B", "B+", "verdict"),
                (
                    (
                        f"{t['test_id'].split('_')[0]} {t['metric_name']}",
                        t["value"],
                        _interval(t["ci_low"], t["ci_high"], t["details"].get("no_interval")),
                        t["threshold_B"],
                        t["threshold_Bplus"],
                        _mark(t["verdict"]),
                    )
                    for t in facts["tests"]
                ),
            ),
            el("p", "To verify this page, run ",
               el("code", f"fraudworld verify {run['run_id'][:8]}"),
               " recomputes every figure from the published files, and the bundle digest is"
               " the SHA-256 of the run's index."),
        )
    )  # fmt: skip


TABLES = {
    "gates": gateboard,
    "population": datasets,
    "profiles": profiles,
    "seeds": seeds,
    "ladder": ladder,
    "time": budgets,
    "certificate": certificate,
}
"""Sections with tables."""
