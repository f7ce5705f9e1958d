"""`fraudworld upstream`: build and check the frozen segments 1A–5B."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fraudworld.cli import options as opt
from fraudworld.cli import output as show
from fraudworld.request import RunRequest, SummaryTable

app = typer.Typer(no_args_is_help=True, help="The frozen upstream 1A–5B: build it, check it.")


@app.command("build")
def build(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="New folder to build into.", callback=opt.absolute),
    ],
    profile: opt.Profile = "authority",
    scale: opt.Scale = 1.0,
    as_json: opt.AsJson = False,
) -> None:
    """Build the embedded upstream, the same bytes every time.

    With `--json`: its path and scale, the bundle digest of every segment, and size and SHA-256
    of every file.

    Example:

        fraudworld upstream build my-upstream --profile demo
    """
    from fraudworld.inputs import embedded as upstream
    from fraudworld.store import bundle

    request = RunRequest(profile=profile, scale=scale)
    upstream.build(folder, volume_scale=request.volume_scale)
    if as_json:
        sealed = {name: bundle.verify(folder / name, name) for name in upstream.SEGMENTS}
        show.json_document(
            {
                "path": str(folder),
                "profile": profile,
                "scale": scale,
                "volume_scale": request.volume_scale,
                "segments": {name: of.digest for name, of in sealed.items()},
                "files": {
                    f"{name}/{m.path}": {"bytes": m.bytes, "sha256_hex": m.sha256_hex}
                    for name, of in sealed.items()
                    for m in of.members
                },
            }
        )
        return
    there = show.near(folder)
    show.lines((f"Eight sealed segments in {there}. Use them: fraudworld run --upstream {there}",))


@app.command("check")
def check(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Folder with the segments 1A … 5B.", callback=opt.absolute
        ),
    ],
    policy: opt.PolicyDir = None,
    as_json: opt.AsJson = False,
) -> None:
    """Verify an upstream by content and schema, and measure its shape.

    Refuses what `fraudworld run` would refuse, with the same code.

    Example:

        fraudworld upstream check my-upstream
    """
    from fraudworld.inputs import embedded as upstream
    from fraudworld.inputs import intake
    from fraudworld.policy.loader import load_pack

    loaded = load_pack(policy)
    pack = loaded.pack
    sealed = intake.seal_inputs(folder, loaded)
    intake.load_upstream(folder, sealed, pack.codes("region"), pack.codes("merchant_class"))
    figures = upstream.measure(folder)
    if as_json:
        show.json_document(
            {
                "segments": sealed.segments,
                "sealed_inputs_digest": sealed.digest,
                "shape": [
                    {"what": f.what, "published": f.target, "here": f.measured} for f in figures
                ],
            }
        )
        return
    segments = tuple(sealed.segments.items())
    show.table(SummaryTable("Segments", ("segment", "bundle digest"), segments))
    show.table(
        SummaryTable(
            "Shape",
            ("figure", "published", "here"),
            tuple((f.what, f.target, f.measured) for f in figures),
            "Published: at authority scale. Volumes follow --profile and --scale.",
        )
    )
