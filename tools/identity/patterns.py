"""Which prefixes no number of a regular expression has: an exact search, no sampling.

A regular expression over digits becomes a nondeterministic automaton. A prefix is free for a
length if no text of that length that starts with it is accepted. Patterns of `phonenumbers` use
literals, classes, groups, alternatives and bounded repeats only; anything else raises ValueError.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]

DIGITS = frozenset("0123456789")


class Automaton:
    """Union of regular expressions over digits; state 0 starts, `ends` accept."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.free: list[set[int]] = [set()]  # moves that read nothing
        self.reads: list[list[tuple[frozenset[str], int]]] = [[]]
        self.ends: set[int] = set()
        for pattern in patterns:
            self.ends.add(self._add(parser.parse(pattern), 0))

    def _state(self) -> int:
        self.free.append(set())
        self.reads.append([])
        return len(self.free) - 1

    def _add(self, items: parser.SubPattern, start: int) -> int:
        """Adds a sequence of parsed items from `start`; returns its last state."""
        at = start
        for code, value in items:
            if code is op.LITERAL:
                at = self._read(at, frozenset(chr(value)))
            elif code is op.IN:
                at = self._read(at, frozenset(members(value)))
            elif code is op.BRANCH:
                end = self._state()
                for branch in value[1]:
                    self.free[self._add(branch, at)].add(end)
                at = end
            elif code is op.SUBPATTERN:
                at = self._add(value[-1], at)
            elif code is op.MAX_REPEAT:
                low, high, inner = value
                if high is op.MAXREPEAT:
                    raise ValueError("an unbounded repeat")
                end = self._state()
                for done in range(high):
                    if done >= low:
                        self.free[at].add(end)
                    at = self._add(inner, at)
                self.free[at].add(end)
                at = end
            else:
                raise ValueError(f"{code} is not read")
        return at

    def _read(self, at: int, digits: frozenset[str]) -> int:
        end = self._state()
        self.reads[at].append((digits & DIGITS, end))
        return end

    def closed(self, states: set[int]) -> frozenset[int]:
        """States reached from `states` without reading."""
        pending, out = list(states), set(states)
        while pending:
            for target in self.free[pending.pop()] - out:
                out.add(target)
                pending.append(target)
        return frozenset(out)

    def step(self, states: frozenset[int], digits: frozenset[str]) -> frozenset[int]:
        """States after one digit out of `digits`."""
        return self.closed(
            {end for at in states for allowed, end in self.reads[at] if allowed & digits}
        )

    def accepts(self, prefix: str, length: int) -> bool:
        """Whether some text of `length` digits that starts with `prefix` is accepted."""
        states = self.closed({0})
        for i in range(length):
            states = self.step(states, frozenset(prefix[i]) if i < len(prefix) else DIGITS)
        return bool(states & self.ends)


def members(items: Sequence[tuple[object, object]]) -> Iterator[str]:
    """Characters of a class of a parsed expression."""
    for code, value in items:
        if code is op.LITERAL:
            yield chr(value)  # type: ignore[arg-type]
        elif code is op.RANGE:
            low, high = value  # type: ignore[misc]
            yield from map(chr, range(low, high + 1))
        elif code is op.CATEGORY and value is op.CATEGORY_DIGIT:
            yield from DIGITS
        else:
            raise ValueError(f"{code} {value} in a class is not read")


def free_prefixes(patterns: Sequence[str], length: int, longest: int) -> Iterator[str]:
    """Shortest prefixes that no accepted text of `length` digits has, in order of length."""
    automaton = Automaton([re.sub(r"\s", "", p) for p in patterns])
    taken = [""]
    for _ in range(longest):
        following = []
        for prefix in (p + d for p in taken for d in sorted(DIGITS)):
            if automaton.accepts(prefix, length):
                following.append(prefix)
            else:
                yield prefix
        taken = following
