"""Identifiers by template: phone numbers, IBANs, tax ids.

A template is a text of literals and positions. Free positions are the digits of a number in a
mixed radix; that number is the place of the row's counter under a keyed permutation of all numbers
the template can write. So two counters never give one identifier, and no row looks at another.
Check characters are a function of the free positions: a finite automaton reads them and its last
state names the check characters. That covers weighted sums, ISO 7064 and Luhn alike; the
automata are in the policy.

Twin of the kernels here: tests/reference/identity.py:identifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.errors import InputError
from fraudworld.jit import inlined, kernel
from fraudworld.kernels import permute
from fraudworld.layers.profiles.identity.text import I32, I64, U8, U64, Text, offsets_of
from fraudworld.policy.identity import Template

LITERAL, CHECK, REPAIR = 1, 0, -1
"""Radix of positions that are not free; a free one has at least 2."""

MOST_POSITIONS = 64


class Formats(NamedTuple):
    """Templates packed for kernels; positions of all templates stand behind one another."""

    start: I32  # first position of every template, (templates + 1,)
    radix: I32  # (positions,): characters of a free position, or one of the constants above
    chars: I32  # (positions,): first of its characters in `alphabet`; of a check: which one
    moves: I32  # (positions,): first of its moves in `table`; −1: the automaton does not read it
    alphabet: U8
    table: NDArray[np.int16]  # next state by state and character
    initial: NDArray[np.int16]  # first state of every template
    checks: I32  # first byte of the check characters of state 0 in `endings`, (templates,)
    check_count: I32  # check characters of every template
    endings: U8  # check characters by state; a leading 0 byte: no character fits the state
    space: U64  # identifiers of every template


def pack(templates: Sequence[Template]) -> Formats:
    """Templates of the policy as arrays, in their order."""
    start, radix, chars, moves = [0], [], [], []
    alphabet, endings = bytearray(), bytearray()
    table: list[np.ndarray] = []
    table_size, initial, checks, counts, spaces = 0, [], [], [], []
    known: dict[bytes, int] = {}
    for template in templates:
        law, read, space, check = template.law(), 0, 1, 0
        for position in template.positions():
            moves.append(-1)
            if position.check:
                radix.append(CHECK)
                chars.append(check)
                check += 1
                continue
            chars.append(len(alphabet))
            alphabet += position.characters.encode("ascii")
            free = len(position.characters)
            radix.append(REPAIR if position.repair else (free if free > 1 else LITERAL))
            space *= 1 if position.repair else free
            if law is not None and free > 1 and position.read:
                block = law.moves[read]
                key = block.tobytes() + bytes([free])
                if key not in known:
                    known[key] = table_size
                    table.append(block.ravel())
                    table_size += block.size
                moves[-1] = known[key]
                read += 1
        initial.append(0 if law is None else law.initial)
        checks.append(len(endings))
        counts.append(check)
        for ending in () if law is None else law.endings:
            endings += ending.encode("ascii") or bytes(check)
        spaces.append(space)
        start.append(len(radix))
    return Formats(
        start=np.array(start, dtype=np.int32),
        radix=np.array(radix, dtype=np.int32),
        chars=np.array(chars, dtype=np.int32),
        moves=np.array(moves, dtype=np.int32),
        alphabet=np.frombuffer(bytes(alphabet), dtype=np.uint8),
        table=np.concatenate([*table, np.zeros(1, dtype=np.int16)]),
        initial=np.array(initial, dtype=np.int16),
        checks=np.array(checks, dtype=np.int32),
        check_count=np.array(counts, dtype=np.int32),
        endings=np.frombuffer(bytes(endings) or b"\0", dtype=np.uint8),
        space=np.array(spaces, dtype=np.uint64),
    )


@inlined
def _last_state(formats, template, low, high, picks):  # type: ignore[no-untyped-def]
    """State of the automaton after it has read the picks of a template's positions."""
    state = np.int64(formats.initial[template])
    for p in range(low, high):
        at = formats.moves[p]
        if at >= 0:
            size = 2 if formats.radix[p] == REPAIR else formats.radix[p]
            state = np.int64(formats.table[at + state * size + picks[p - low]])
    return state


@kernel
def write(formats, template, place, offsets, data):  # type: ignore[no-untyped-def]
    """Writes the identifier of every row.

    Parameters
    ----------
    formats : Formats
    template : int32 (n,)
        Template of a row; −1: none is written.
    place : int64 (n,)
        Number of the row among all that its template can write.
    offsets : int32 (n + 1,)
    data : uint8
        Filled.
    """
    picks = np.zeros(MOST_POSITIONS, dtype=np.int64)
    for i in range(template.size):
        t = template[i]
        if t < 0:
            continue
        low, high = formats.start[t], formats.start[t + 1]
        rest = place[i]
        for p in range(high - 1, low - 1, -1):
            picks[p - low] = 0
            if formats.radix[p] > LITERAL:
                size = np.int64(formats.radix[p])
                picks[p - low] = rest % size
                rest //= size
        ending = np.int64(0)
        if formats.check_count[t] > 0:
            size_of = np.int64(formats.check_count[t])
            state = _last_state(formats, t, low, high, picks)
            ending = formats.checks[t] + state * size_of
            if formats.endings[ending] == 0:
                for p in range(low, high):
                    if formats.radix[p] == REPAIR:
                        picks[p - low] = 1
                state = _last_state(formats, t, low, high, picks)
                ending = formats.checks[t] + state * size_of
        for p in range(low, high):
            if formats.radix[p] == CHECK:
                value = formats.endings[ending + formats.chars[p]]
            else:
                value = formats.alphabet[formats.chars[p] + picks[p - low]]
            data[offsets[i] + p - low] = value


def identifiers(formats: Formats, keys: U64, template: I32, counter: I64, what: str) -> Text:
    """Identifiers of rows, unique inside each template.

    keys: uint64 (templates, rounds), of the templates' permutations; template: int32 (n,), −1 for
    null; counter: int64 (n,), unique inside a template, or equal where rows share an identifier by
    law; what: name of the identifier, for errors. Raises InputError `6P.S1.ID_SPACE_EXHAUSTED`
    where a counter is beyond the space of its template.
    """
    check_space(template, counter, formats.space, what)
    lengths = np.append(np.diff(formats.start), 0)[template]
    offsets = offsets_of(lengths)
    data = np.empty(offsets[-1], dtype=np.uint8)
    place = permute.grouped_places(formats.space, keys, template, counter)
    write(formats, template, place, offsets, data)
    valid = template >= 0
    return Text(offsets, data, None if valid.all() else valid)


def check_space(group: I32, counter: I64, space: U64, what: str) -> None:
    """Raises InputError where a counter is negative or not below the space of its group.

    group: int32 (n,), −1 for rows without an identifier; counter: int64 (n,); space: uint64
    (groups,).
    """
    used = np.flatnonzero(group >= 0)
    bad = (counter[used] < 0) | (counter[used].astype(np.uint64) >= space[group[used]])
    if bad.any():
        row = used[np.argmax(bad)]
        raise InputError(
            "6P.S1.ID_SPACE_EXHAUSTED",
            f"counter {counter[row]} of a {what}; there are {space[group[row]]} of them",
            where=f"group {group[row]}",
            remedy="make a smaller world, or give the group a wider range in the policy",
        )
