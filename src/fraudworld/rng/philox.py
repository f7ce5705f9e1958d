"""Philox4x64-10, bit for bit numpy's, as one flat stream per key with random access.

Element `p` of the stream of key (k0, k1) is element `p` of
`numpy.random.Philox(key=[k0, k1]).random_raw()`. Four elements share a block; numpy increments
its counter before it generates, so block `b` has the counter (b + 1, 0, 0, 0).

Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC'11). Twin of all kernels
here: numpy.random.Philox, compared in tests/unit/kernels/test_kernels.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fraudworld.jit import inlined, kernel

_M0 = np.uint64(0xD2E7470EE14C6C93)
_M1 = np.uint64(0xCA5A826395121157)
_W0 = np.uint64(0x9E3779B97F4A7C15)
_W1 = np.uint64(0xBB67AE8584CAA73B)
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)

Key = tuple[np.uint64, np.uint64]
"""Key of a stream, (k0, k1)."""

AT_ONCE = 256
"""Blocks that are computed together: rounds of one block depend on each other, rounds of
different blocks overlap."""

MANY = 4 * AT_ONCE
"""Draws to request at once to fill the pipeline."""


@intrinsic
def mul_wide(typing_context: Any, a: Any, b: Any) -> Any:
    """High and low 64 bits of the product of two u64, in one machine instruction.

    Both halves come from one product: separately, the compiler vectorises the low halves of two
    products at several times the cost.
    """
    signature = types.UniTuple(types.uint64, 2)(  # type: ignore[no-untyped-call]
        types.uint64, types.uint64
    )

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        wide, word = ir.IntType(128), ir.IntType(64)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        high = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), word)
        return context.make_tuple(builder, sig.return_type, (high, builder.trunc(product, word)))

    return signature, codegen


@inlined
def mul_high(a: np.uint64, b: np.uint64) -> np.uint64:
    """High 64 bits of the product of two u64: a draw scaled to 0 … b − 1."""
    return mul_wide(a, b)[0]  # type: ignore[call-arg]


@inlined
def block(k0: np.uint64, k1: np.uint64, number: np.uint64) -> tuple:  # type: ignore[type-arg]
    """The four u64 of block `number` of the stream of key (k0, k1)."""
    c0 = np.uint64(number + np.uint64(1))
    c1 = np.uint64(0)
    c2 = np.uint64(0)
    c3 = np.uint64(0)
    for _ in range(10):
        h0, l0 = mul_wide(_M0, c0)  # type: ignore[call-arg, var-annotated]
        h1, l1 = mul_wide(_M1, c2)
        c0 = h1 ^ c1 ^ k0
        c1 = l1
        c2 = h0 ^ c3 ^ k1
        c3 = l0
        k0 = k0 + _W0
        k1 = k1 + _W1
    return c0, c1, c2, c3


@inlined
def _mul_halves(m, x):  # type: ignore[no-untyped-def]
    """`mul_wide(m, x)` from 32-bit products, which exist as vector instructions."""
    m0, m1, x0, x1 = m & _LOW, m >> _HALF, x & _LOW, x >> _HALF
    low = m0 * x0
    middle = m0 * x1 + (low >> _HALF)
    other = m1 * x0 + (middle & _LOW)
    return m1 * x1 + (middle >> _HALF) + (other >> _HALF), (other << _HALF) | (low & _LOW)


@inlined
def _round(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """One Philox round of a counter (four u64) under a round key (two u64).

    c0, c1, c2, c3, k0, k1 : uint64. Returns the four words of the new counter.
    """
    h0, l0 = _mul_halves(_M0, c0)
    h1, l1 = _mul_halves(_M1, c2)
    return h1 ^ c1 ^ k0, l1, h0 ^ c3 ^ k1, l0


@inlined
def blocks(keys, numbers, lanes):  # type: ignore[no-untyped-def]
    """lanes[:, i] = block(keys[0, i], keys[1, i], numbers[i]), many blocks round by round.

    The first round needs one product only: three words of the counter are 0.

    keys : uint64 (2, n); numbers : uint64 (n,); lanes : uint64 (4, n), filled.
    """
    for low in range(0, numbers.size, AT_ONCE):
        number = numbers[low : low + AT_ONCE]
        k0, k1 = keys[0, low : low + AT_ONCE], keys[1, low : low + AT_ONCE]
        a, b = lanes[0, low : low + AT_ONCE], lanes[1, low : low + AT_ONCE]
        c, d = lanes[2, low : low + AT_ONCE], lanes[3, low : low + AT_ONCE]
        for i in range(number.size):
            high, l0 = _mul_halves(_M0, number[i] + np.uint64(1))
            c2, q0, q1 = high ^ k1[i], k0[i] + _W0, k1[i] + _W1
            a[i], b[i], c[i], d[i] = _round(k0[i], np.uint64(0), c2, l0, q0, q1)
        for done in range(2, 10):
            w0, w1 = np.uint64(done) * _W0, np.uint64(done) * _W1
            for i in range(number.size):
                q0, q1 = k0[i] + w0, k1[i] + w1
                a[i], b[i], c[i], d[i] = _round(a[i], b[i], c[i], d[i], q0, q1)


@inlined
def pair(k0: np.uint64, k1: np.uint64, entity: np.uint64) -> tuple:  # type: ignore[type-arg]
    """Both draws (u64) of an entity of a stream of width 2."""
    a, b, c, d = block(k0, k1, entity >> np.uint64(1))
    if entity & np.uint64(1):
        return c, d
    return a, b


@inlined
def lane_of(lanes: tuple, position: np.uint64) -> np.uint64:  # type: ignore[type-arg]
    """The element at `position` out of its block."""
    a, b, c, d = lanes
    lane = position & np.uint64(3)
    if lane < np.uint64(2):
        return a if lane == np.uint64(0) else b  # type: ignore[no-any-return]
    return c if lane == np.uint64(2) else d  # type: ignore[no-any-return]


@kernel
def fill(k0, k1, first, out):  # type: ignore[no-untyped-def]
    """Writes elements first, first + 1, … of the stream of key (k0, k1) into `out`.

    Parameters
    ----------
    k0, k1 : uint64
    first : uint64
    out : uint64 (n,)
    """
    skip = np.int64(np.uint64(first) & np.uint64(3))
    number = np.uint64(first) >> np.uint64(2)
    room = min(AT_ONCE, (skip + out.size + 3) >> 2)
    keys = np.empty((2, room), dtype=np.uint64)
    keys[0], keys[1] = k0, k1
    numbers, lanes = np.empty(room, dtype=np.uint64), np.empty((4, room), dtype=np.uint64)
    i = 0
    while i < out.size:
        part = out[i : i + 4 * room - skip]
        n = (skip + part.size + 3) >> 2
        for j in range(n):
            numbers[j] = number + np.uint64(j)
        blocks(keys, numbers[:n], lanes)
        if skip == 0 and part.size == 4 * n:
            a, b, c, d = lanes[0, :n], lanes[1, :n], lanes[2, :n], lanes[3, :n]
            for j in range(n):
                part[4 * j], part[4 * j + 1] = a[j], b[j]
                part[4 * j + 2], part[4 * j + 3] = c[j], d[j]
        else:
            for j in range(part.size):
                part[j] = lanes[(skip + j) & 3, (skip + j) >> 2]
        number += np.uint64(n)
        i += part.size
        skip = np.int64(0)


@kernel
def gather(k0: np.uint64, k1: np.uint64, positions: np.ndarray, out: np.ndarray) -> None:
    """out[i] = element positions[i] of the stream of key (k0, k1).

    Parameters
    ----------
    k0, k1 : uint64
    positions, out : uint64 (n,)
    """
    for i in range(positions.size):
        position = positions[i]
        out[i] = lane_of(block(k0, k1, position >> np.uint64(2)), position)
