"""The surest rule of two conditions over joined observable tables, by channel. Prints Markdown.

    .venv/bin/python benches/searched_rule.py RUN [--stream FOLDER] [--recall 0.05] [--rules 4]

A rule is chosen on one half of the parties and measured on the other
(layers/transactions/shortcuts.py). Exit status 1 if a rule is surer than `--most`. RUN is the
folder of a run; FOLDER holds `data/layer3/6B`, by default the run itself.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fraudworld.layers.transactions.checks import Sealed
from fraudworld.layers.transactions.layout import StreamPlace
from fraudworld.layers.transactions.shortcuts import by_channel, read_facts
from fraudworld.store.layout import RunPlace
from fraudworld.store.receipt import read_receipt


def main() -> int:
    """Prints the table; status 1 for a rule above the bound."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("run", type=Path)
    options.add_argument("--stream", type=Path)
    options.add_argument("--recall", type=float, default=0.05)
    options.add_argument("--rules", type=int, default=4)
    options.add_argument("--most", type=float, default=0.60)
    arguments = options.parse_args()
    sealed = Sealed(arguments.run, read_receipt(RunPlace(arguments.run)).identity)
    facts = read_facts(sealed, StreamPlace.below(arguments.stream or arguments.run))
    found = by_channel(facts, arguments.recall, rules=arguments.rules)
    print("| channel | rule | precision | recall | flows named |\n|---|---|--:|--:|--:|")
    for channel, rules in found.items():
        for rule in rules:
            print(f"| {channel} | {rule.words} | {rule.precision:.2f} | {rule.recall:.2f} | "
                  f"{rule.named} |")  # fmt: skip
    surest = max((rule.precision for rules in found.values() for rule in rules), default=0.0)
    return int(surest > arguments.most)


if __name__ == "__main__":
    sys.exit(main())
