"""Prints means and shares of a published run beside its policy, as Markdown.

.venv/bin/python benches/fidelity.py RUN_FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from fraudworld.store.published import open_world
from fraudworld.verification.fidelity import compare


def main(run: Path) -> None:
    """Prints one table per subject; `policy` is empty where the policy has no figure."""
    for table in compare(open_world(run)):
        print(f"\n## {table.title} ({table.unit})\n\n| what | policy | observed |\n|---|--:|--:|")
        for line in table.lines:
            policy = "" if line.policy is None else f"{line.policy:.5g}"
            print(f"| {line.what} | {policy} | {line.observed:.5g} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
