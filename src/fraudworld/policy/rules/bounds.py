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


def ranges_are_ranges(pack: PolicyPack) -> Findings:
    """The lower end of a guard with two ends is not above its upper end."""
    guards = pack.validation_policy.guards
    for low, high in (
        ("seed_variation_low", "seed_variation_high"),
        ("leakage_joined_min_party_auc", "leakage_joined_max_auc"),
    ):
        if getattr(guards, low) > getattr(guards, high):
            yield fault(
                "validation_policy", f"guards.{low}", f"above {high}", figure=getattr(guards, low),
                bound=f"at most {getattr(guards, high):g}", remedy="give the smaller end first",
            )  # fmt: skip


def seeds_vary_within_guard(pack: PolicyPack) -> Findings:
    """The variance that a seed adds is one that the guard over seeds expects.

    Without any, every seed has the same plan: no certificate of it is B+, which is what the rungs
    below the last one have.
    """
    guards = pack.validation_policy.guards
    low, high = guards.seed_variation_low, guards.seed_variation_high
    for stem in ("segmentation_priors", "product_mix_priors", "device_count_priors"):
        figure = getattr(pack, stem).seed_overdispersion
        if not low <= figure <= high:
            yield fault(
                stem, "seed_overdispersion", "outside the guard seed_variation of a certificate",
                figure=figure, bound=f"{low:g} to {high:g}",
                remedy=f"choose a figure between them, {(low + high) / 2:g} for example",
                severity=Severity.ERROR if figure else Severity.NOTE,
            )  # fmt: skip
