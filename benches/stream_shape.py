"""Summary figures of a stream beside published figures of public data sets.

    .venv/bin/python benches/stream_shape.py RUN [--stream FOLDER]

Prints Markdown (docs/transactions.md). RUN is the folder of a run; FOLDER holds `data/layer3/6B`,
by default the run itself. Figures of other sets are constants; docs/transactions.md has their
sources.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fraudworld.layers.transactions.layout import StreamPlace
from fraudworld.t10.sample import Sample, load

NA = "–"
OTHERS: dict[str, tuple[str, str, str]] = {
    "flows": ("284 807", "1 296 675", "5 078 345"),
    "days": ("2", "537", "10"),
    "fraud share": ("0.17 %", "0.58 %", "0.10 %"),
    "amount, median": ("22.00", "47.52", NA),
    "amount, mean / median": ("4.0", "1.5", NA),
    "amount, sd / mean": ("2.8", "2.3", NA),
    "amount, largest / median": ("1 168", "609", NA),
    "bad amount, median / legitimate median": (NA, "8.4", NA),
    "busiest hour / quietest hour": (NA, "1.6", NA),
    "flows per account that acts, mean": (NA, "1 319", "9.9"),
}
"""Name → ULB credit cards; Sparkov (`fraudTrain`); IBM AMLworld (HI-Small)."""


def main() -> int:
    """Prints the table."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("run", type=Path)
    options.add_argument("--stream", type=Path)
    arguments = options.parse_args()
    layer = StreamPlace.below(arguments.stream or arguments.run).layer
    print("| | this stream | ULB cards | Sparkov | AMLworld HI-Small |\n|---|---|---|---|---|")
    for name, value in shape(load("stream", arguments.run, layer)).items():
        print(f"| {name} | {value} | {' | '.join(OTHERS.get(name, (NA,) * 3))} |")
    return 0


def shape(sample: Sample) -> dict[str, str]:
    """Figures by name."""
    flows = sample.flows
    dollars = flows.cents / 100.0
    hours = np.bincount(flows.ts // 3_600_000 % 24, minlength=24)
    days = (flows.ts[-1] - flows.ts[0]) / 86_400_000
    bad, fine = np.median(dollars[flows.bad]), np.median(dollars[~flows.bad])
    median = float(np.median(dollars))
    return {
        "flows": f"{sample.size:,}".replace(",", " "),
        "days": f"{days:.1f}",
        "fraud share": f"{100 * flows.bad.mean():.2f} %",
        "amount, median": f"{median:.2f}",
        "amount, mean / median": f"{dollars.mean() / median:.1f}",
        "amount, sd / mean": f"{dollars.std() / dollars.mean():.1f}",
        "amount, largest / median": f"{dollars.max() / median:,.0f}".replace(",", " "),
        "bad amount, median / legitimate median": f"{bad / fine:.1f}",
        "busiest hour / quietest hour": f"{hours.max() / hours.min():.1f}",
        "busiest hour, UTC": f"{hours.argmax()}",
        "flows per account that acts, mean": degrees(flows.account),
        "accounts, share of flows of the busiest tenth": f"{top(flows.account, 0.1):.2f}",
        "merchants, share of flows of the busiest 1 %": f"{top(flows.merchant, 0.01):.2f}",
        "devices, p99 / median of flows": tail(flows.device),
        "endpoints, p99.9 / median of flows": tail(flows.ip, 0.999),
        "accounts per endpoint that acts, mean": accounts_per(flows.ip, flows.account),
    }


def counts(ids: NDArray[np.int32]) -> NDArray[np.int64]:
    """Flows of every entity that has any."""
    flows = np.bincount(ids[ids >= 0])
    return flows[flows > 0]


def degrees(ids: NDArray[np.int32]) -> str:
    """Mean flows of entities with flows."""
    return f"{counts(ids).mean():.1f}"


def top(ids: NDArray[np.int32], share: float) -> float:
    """Share of flows of the busiest `share` of entities with flows."""
    flows = np.sort(counts(ids))[::-1]
    return float(flows[: max(round(share * flows.size), 1)].sum() / flows.sum())


def tail(ids: NDArray[np.int32], quantile: float = 0.99) -> str:
    """A high quantile of flows per entity over the median."""
    flows = counts(ids)
    return f"{np.quantile(flows, quantile) / np.median(flows):.0f}"


def accounts_per(ids: NDArray[np.int32], account: NDArray[np.int32]) -> str:
    """Mean number of distinct accounts per entity with flows."""
    on = ids >= 0
    pairs = np.unique(ids[on].astype(np.int64) << 32 | account[on])
    return f"{np.bincount(pairs >> 32)[np.unique(pairs >> 32)].mean():.2f}"


if __name__ == "__main__":
    sys.exit(main())
