"""Learns how a check character follows from the rest of an identifier, from a library's verdict.

A library is a black box: an outcome for every complete payload. Payloads that no continuation
tells apart share a state (Myhill and Nerode), so that a check law of any kind, a weighted sum, a
hybrid of ISO 7064 or a table, becomes one small automaton over the free positions. What was
learned is compared with the library on payloads it was not learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

CONTINUATIONS = (12, 64)
"""Continuations that tell payloads apart: the second number where the first was too small."""
COMPARED = 5_000

Outcome = Callable[[str], Hashable]
"""The library's outcome of one payload: a character for every free position."""


class NotLearnedError(ValueError):
    """The outcome is no function of a small automaton."""


class OtherOutcomeError(NotLearnedError):
    """A payload has another outcome than its state."""


@dataclass(frozen=True)
class Learned:
    """states of position i → next state by (state, character of the alphabet)."""

    moves: tuple[tuple[tuple[int, ...], ...], ...]  # (positions, states, characters)
    outcomes: tuple[Hashable, ...]  # of the states after the last position

    def outcome(self, alphabets: Sequence[str], payload: str) -> Hashable:
        """Outcome of a payload."""
        state = 0
        for alphabet, moves, character in zip(alphabets, self.moves, payload, strict=True):
            state = moves[state][alphabet.index(character)]
        return self.outcomes[state]


def automaton(alphabets: Sequence[str], outcome: Outcome, most: int) -> Learned:
    """The automaton of `outcome`; raises NotLearnedError beyond `most` states, or where it errs."""
    few, many = CONTINUATIONS
    try:
        return _learned(alphabets, outcome, most, few)
    except OtherOutcomeError:
        return _learned(alphabets, outcome, most, many)


def _learned(alphabets: Sequence[str], outcome: Outcome, most: int, rests_of: int) -> Learned:
    random = Random(len(alphabets))

    def some(start: int) -> str:
        return "".join(random.choice(a) for a in alphabets[start:])

    level, moves = [""], []
    for i, alphabet in enumerate(alphabets):
        rests = [some(i + 1) for _ in range(rests_of)] if i + 1 < len(alphabets) else [""]
        known: dict[tuple[Hashable, ...], int] = {}
        following: list[str] = []
        rows = []
        for prefix in level:
            row = [0] * len(alphabet)
            # Not from the first character on: a payload of zeros is an exception in some laws.
            for k in (np.arange(len(alphabet)) + 3 * i + 1) % len(alphabet):
                character = alphabet[k]
                sign = tuple(outcome(prefix + character + rest) for rest in rests)
                if sign not in known:
                    known[sign] = len(following)
                    following.append(prefix + character)
                row[k] = known[sign]
            rows.append(tuple(row))
            if len(following) > most:
                raise NotLearnedError(f"more than {most} states at position {i}")
        moves.append(tuple(rows))
        level = following
    learned = Learned(tuple(moves), tuple(outcome(payload) for payload in level))
    for _ in range(COMPARED):
        payload = some(0)
        if learned.outcome(alphabets, payload) != outcome(payload):
            raise OtherOutcomeError(f"{payload} has another outcome")
    return learned
