"""The values of a pack, and the differences of two packs, key by key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fraudworld.policy.pack import PolicyPack


class Change(NamedTuple):
    """A key whose value differs; None on the side that lacks it."""

    key: str
    old: object
    new: object


def show(pack: PolicyPack, prefix: str = "") -> list[tuple[str, object]]:
    """Dotted key → value of every leaf (lists are leaves), sorted, under `prefix` if given.

    A mapping without keys is shown as `{}`.
    """
    leaves = sorted(_leaves(pack.model_dump(mode="json"), ()))
    return [(k, v) for k, v in leaves if not prefix or k == prefix or k.startswith(prefix + ".")]


def diff(a: PolicyPack, b: PolicyPack) -> list[Change]:
    """Keys at which `a` and `b` differ, sorted, with the value on either side."""
    left, right = dict(show(a)), dict(show(b))
    return [
        Change(key, left.get(key), right.get(key))
        for key in sorted(left.keys() | right.keys())
        if (key in left) != (key in right) or left.get(key) != right.get(key)
    ]


def _leaves(node: object, path: tuple[str, ...]) -> Iterator[tuple[str, object]]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _leaves(value, (*path, str(key)))
    else:
        yield ".".join(path), node
