"""`fraudworld upstream`: the frozen segments 1A–5B a world stands on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fraudworld import cli_options as opt
from fraudworld import cli_output as show
from fraudworld.request import RunRequest

app = typer.Typer(no_args_is_help=True, help="The frozen upstream 1A–5B: build it, check it.")


@app.command("build")
def build(
    folder: Annotated[Path, typer.Argument(help="New folder to build into.")],
    profile: opt.Profile = "authority",
    scale: opt.Scale = 1.0,
) -> None:
    """Build the embedded upstream, the same bytes every time.

    Example:

        fraudworld upstream build my-upstream --profile demo
    """
    from fraudworld import upstream

    request = RunRequest(profile=profile, scale=scale)
    upstream.build(folder, volume_scale=request.volume_scale)
    show.lines(
        (f"Eight sealed segments in {folder}. Use them: fraudworld run --upstream {folder}",)
    )
