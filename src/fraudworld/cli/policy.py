"""`fraudworld policy`: show figures, check them, compare two packs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fraudworld.cli import options as opt
from fraudworld.cli import output as show

if TYPE_CHECKING:
    from fraudworld.policy.loader import LoadedPack

app = typer.Typer(no_args_is_help=True, help="The policy pack: every figure a world is made of.")


@app.command("lint")
def lint(
    policy: opt.PolicyDir = None, overlay: opt.Overlays = None, as_json: opt.AsJson = False
) -> None:
    """Check that the figures are satisfiable together; reports every fault with its remedy.

    Exit status 2 for a pack that cannot be read, 1 for figures that are not satisfiable.

    Example:

        fraudworld policy lint --overlay p6_3_bplus
    """
    from fraudworld.policy.bounds import rebaselined
    from fraudworld.policy.lint import Severity
    from fraudworld.policy.lint import lint as findings_of

    loaded = _load(policy, overlay)
    findings, rebaseline = findings_of(loaded.pack), rebaselined(loaded.pack)
    errors = [f for f in findings if f.severity is Severity.ERROR]
    if as_json:
        show.json_document(
            {
                "parameter_hash": loaded.parameter_hash,
                "overlays": list(loaded.overlays),
                "holds": not errors,
                "rebaseline": rebaseline,
                "findings": [f.as_dict() for f in findings],
            }
        )
    else:
        show.lines(str(f) for f in findings)
        if rebaseline:
            show.lines(
                (
                    f"re-baselined on the authority of {rebaseline['authority']}: "
                    f"{len(rebaseline['bounds'])} bound(s) differ from those shipped",
                )
            )
        verdict = f"{len(errors)} figure(s) cannot hold" if errors else "the pack holds"
        show.lines((f"{verdict}: {len(loaded.files)} files, {loaded.parameter_hash}",))
    if errors:
        raise typer.Exit(1)


@app.command("show")
def show_(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Dotted key; by default all.")] = "",
    policy: opt.PolicyDir = None,
    overlay: opt.Overlays = None,
    as_json: opt.AsJson = False,
) -> None:
    """Print the resolved pack, key by key; bounds that differ from those shipped say so.

    Example:

        fraudworld policy show validation_policy
    """
    from fraudworld.errors import InputError
    from fraudworld.policy.bounds import changed_bounds
    from fraudworld.policy.diff import show as leaves_of

    pack = _load(policy, overlay).pack
    leaves = leaves_of(pack, key)
    if not leaves:
        raise InputError(
            "6A.CLI.POLICY_KEY_UNKNOWN",
            f"the pack has no key {key!r}",
            where="policy show",
            remedy="`fraudworld policy show` without a key lists all of them",
        )
    if as_json:
        show.json_document(dict(leaves))
    else:
        shipped = {c["bound"]: f"  (shipped: {c['shipped']})" for c in changed_bounds(pack)}
        show.lines(f"{k} = {v}{shipped.get(k, '')}" for k, v in leaves)


@app.command("diff")
def diff(
    overlay: Annotated[
        list[str],
        typer.Argument(metavar="NAME", help="Overlays of the second pack, in order."),
    ],
    policy: opt.PolicyDir = None,
    base_overlay: Annotated[
        list[str] | None,
        typer.Option("--base-overlay", metavar="NAME", help="Overlays of the first pack."),
    ] = None,
    as_json: opt.AsJson = False,
) -> None:
    """Show what overlays change, figure by figure.

    Examples:

        fraudworld policy diff p6_1_floors

        fraudworld policy diff --base-overlay published_baseline published_baseline delta_a_kmax
    """
    from fraudworld.policy.diff import diff as changes_of

    base, other = _load(policy, base_overlay), _load(policy, overlay)
    changes = changes_of(base.pack, other.pack)
    if as_json:
        show.json_document(
            {
                "base": base.parameter_hash,
                "other": other.parameter_hash,
                "changes": [c._asdict() for c in changes],
            }
        )
    else:
        show.lines(f"{c.key}: {c.old} → {c.new}" for c in changes)
        show.lines((f"{len(changes)} figure(s) differ",))


def _load(policy: opt.PolicyDir, overlays: list[str] | None) -> LoadedPack:
    from fraudworld.policy.loader import load_pack

    return load_pack(policy, tuple(overlays or ()))
