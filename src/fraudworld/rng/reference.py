"""The reference page of streams, from the registry itself."""

from __future__ import annotations

from fraudworld.rng.law import ANY
from fraudworld.rng.registry import REGISTRY
from fraudworld.rng.stream import FAMILIES, RNG_LAW_VERSION


def page() -> str:
    """Markdown: one row a registered stream, in the order of the states."""
    undrawn = sorted(set(FAMILIES) - {law.family for law in REGISTRY})
    lines = [
        "# Streams",
        "",
        f"RNG law `{RNG_LAW_VERSION}`, written by `make docs` from `rng/registry.py`. A draw is a",
        "function of (seed, stream label, entity id, draw index); *width* is the number of draws",
        "an entity owns in a stream. `{code}` stands for a code of the policy.",
        "",
        "| stream | family | width | decides |",
        "|---|---|--:|---|",
        *(
            f"| `{law.label}` | `{law.family}` | {'open' if law.width == ANY else law.width} "
            f"| {law.meaning} |"
            for law in REGISTRY
        ),
        "",
        f"Families without a stream: {', '.join(f'`{name}`' for name in undrawn)}. An account's",
        "attributes follow from its owner and its product, so nothing is drawn for them.",
    ]
    return "\n".join(lines) + "\n"
