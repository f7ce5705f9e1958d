"""Bounds of a certificate: those shipped, or re-baselined and said so; B never stricter than B+."""

from __future__ import annotations

from fraudworld.policy.bounds import AT_LEAST, changed_bounds
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules.finding import Findings, Severity, fault


def bounds_are_shipped(pack: PolicyPack) -> Findings:
    """Bounds differ from those shipped only where the pack states reason and authority."""
    rebaseline = pack.validation_policy.rebaseline
    for change in changed_bounds(pack):
        stem, _, key = str(change["bound"]).partition(".")
        yield fault(
            stem,
            key,
            "re-baselined" if rebaseline else "differs from the shipped bound without re-baseline",
            figure=str(change["here"]),
            bound=str(change["shipped"]),
            remedy=f"on the authority of {rebaseline.authority}: {rebaseline.reason}"
            if rebaseline
            else "restore it, or state validation_policy.rebaseline: {reason, authority}",
            severity=Severity.NOTE if rebaseline else Severity.ERROR,
        )


def grades_are_ordered(pack: PolicyPack) -> Findings:
    """What passes B+ passes B: the threshold of B is never the stricter one."""
    witness = pack.downstream_witness
    pairs = [
        ("validation_policy", f"gates.{name}", bounds.B, bounds.Bplus, name in AT_LEAST)
        for name, bounds in pack.validation_policy.gates.items()
    ]
    pairs += [
        ("downstream_witness", name, effect.B, effect.Bplus, True)
        for name, effect in (("account", witness.account), ("device", witness.device))
    ]
    for stem, key, b, bplus, at_least in pairs:
        if (b > bplus) if at_least else (b < bplus):
            yield fault(
                stem, f"{key}.B", "B is stricter than B+", figure=b, bound=bplus,
                remedy="give B at most the strictness of B+",
            )  # fmt: skip
