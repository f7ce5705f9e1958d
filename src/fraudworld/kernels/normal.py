"""Uniform bits to normal deviates and exponentials, bit-identical on every machine.

The C library and SIMD libraries differ in the last bit between platforms, and a last bit can
change a rank. These functions use only +, −, ×, ÷ and √, which IEEE 754 defines exactly. The
normal quantile is AS 241 (Wichura, 1988).

The scalar functions are the plain twins of the vector ones: `exp` of `exps`, `deviate` of
`deviates`.
"""

from __future__ import annotations

import math

import numpy as np

from fraudworld.jit import inlined, kernel

_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10

_BIAS = 1023
_FRACTION_BITS = 52
_FRACTION = (1 << _FRACTION_BITS) - 1
_ONES = 2.0**_FRACTION_BITS
"""2**52: between it and its double, consecutive floats differ by 1."""

# 1 / i!: Taylor on |r| ≤ ln2/2 to the 13th power, remainder below 1e-17.
_E2, _E3, _E4, _E5, _E6, _E7, _E8, _E9, _E10, _E11, _E12, _E13 = (
    1.0 / math.factorial(i) for i in range(2, 14)
)


@inlined
def whole(number):  # type: ignore[no-untyped-def]
    """An integer below 2**52 as a float, by its bits: few processors convert u64 in vectors."""
    return np.uint64(number | np.float64(_ONES).view(np.uint64)).view(np.float64) - _ONES


@inlined
def _parts(x):  # type: ignore[no-untyped-def]
    """x = k · ln2 + r with integer k and |r| ≤ ln2 / 2."""
    k = np.floor(x * 1.4426950408889634 + 0.5)
    return k, (x - k * _LN2_HIGH) - k * _LN2_LOW


@inlined
def _taylor(r):  # type: ignore[no-untyped-def]
    """Taylor terms of e**r from the seventh power on, divided by r**7."""
    return (((((_E13 * r + _E12) * r + _E11) * r + _E10) * r + _E9) * r + _E8) * r + _E7


@inlined
def _raised(k, r, high):  # type: ignore[no-untyped-def]
    """2**k · e**r; high: `_taylor` of r."""
    low = ((((high * r + _E6) * r + _E5) * r + _E4) * r + _E3) * r + _E2
    total = (low * r + 1.0) * r + 1.0
    biased = np.float64(k + (_BIAS + _ONES)).view(np.int64)
    return total * np.int64(biased << _FRACTION_BITS).view(np.float64)


@kernel
def exp(x: float) -> float:
    """e**x for |x| ≤ 600, relative error below 1e-15."""
    k, r = _parts(x)
    return _raised(k, r, _taylor(r))  # type: ignore[no-any-return]


@kernel
def exps(x, out):  # type: ignore[no-untyped-def]
    """out[i] = exp(x[i]), bit for bit; `out` does not overlap x.

    x, out : float64 (n,).
    """
    # Short passes: the steps of one value depend on each other, those of many values overlap.
    rest = np.empty(x.size)
    for i in range(x.size):
        rest[i] = _parts(x[i])[1]
    for i in range(x.size):
        out[i] = _taylor(rest[i])
    for i in range(x.size):
        out[i] = _raised(_parts(x[i])[0], rest[i], out[i])


@kernel
def log(x: float) -> float:
    """Natural logarithm of a normal x > 0, relative error below 1e-14."""
    bits = np.float64(x).view(np.int64)
    k = (bits >> _FRACTION_BITS) - _BIAS
    m = np.int64((bits & _FRACTION) | (_BIAS << _FRACTION_BITS)).view(np.float64)
    if m > 1.4142135623730951:
        m *= 0.5
        k += 1
    s = (m - 1.0) / (m + 1.0)
    s2 = s * s
    total = 0.0
    for i in range(23, 0, -2):
        total = total * s2 + 1.0 / i
    return 2.0 * s * total + k * 0.6931471805599453


@inlined
def _middle(q):  # type: ignore[no-untyped-def]
    """AS 241 for |q| ≤ 0.425, q = probability − 0.5."""
    r = 0.180625 - q * q
    num = (
        (
            (
                (
                    (
                        (2509.0809287301226727 * r + 33430.575583588128105) * r
                        + 67265.770927008700853
                    )
                    * r
                    + 45921.953931549871457
                )
                * r
                + 13731.693765509461125
            )
            * r
            + 1971.5909503065514427
        )
        * r
        + 133.14166789178437745
    ) * r + 3.387132872796366608
    den = (
        (
            (
                (
                    ((5226.495278852545925 * r + 28729.085735721942674) * r + 39307.89580009271061)
                    * r
                    + 21213.794301586595867
                )
                * r
                + 5394.1960214247511077
            )
            * r
            + 687.1870074920579083
        )
        * r
        + 42.313330701600911252
    ) * r + 1.0
    return q * num / den


@inlined
def _tail(r):  # type: ignore[no-untyped-def]
    """AS 241 in the tails, unsigned: r = √−ln(probability of the tail) ≤ 5."""
    r -= 1.6
    num = (
        (
            (
                (
                    (
                        (7.7454501427834140764e-4 * r + 0.0227238449892691845833) * r
                        + 0.24178072517745061177
                    )
                    * r
                    + 1.27045825245236838258
                )
                * r
                + 3.64784832476320460504
            )
            * r
            + 5.7694972214606914055
        )
        * r
        + 4.6303378461565452959
    ) * r + 1.42343711074968357734
    den = (
        (
            (
                (
                    (
                        (1.05075007164441684324e-9 * r + 5.475938084995344946e-4) * r
                        + 0.0151986665636164571966
                    )
                    * r
                    + 0.14810397642748007459
                )
                * r
                + 0.68976733498510000455
            )
            * r
            + 1.6763848301838038494
        )
        * r
        + 2.05319162663775882187
    ) * r + 1.0
    return num / den


@inlined
def _far(r):  # type: ignore[no-untyped-def]
    """AS 241 in the far tails, r > 5."""
    r -= 5.0
    num = (
        (
            (
                (
                    (
                        (2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r
                        + 0.0012426609473880784386
                    )
                    * r
                    + 0.026532189526576123093
                )
                * r
                + 0.29656057182850489123
            )
            * r
            + 1.7848265399172913358
        )
        * r
        + 5.4637849111641143699
    ) * r + 6.6579046435011037772
    den = (
        (
            (
                (
                    (
                        (2.04426310338993978564e-15 * r + 1.4215117583164458887e-7) * r
                        + 1.8463183175100546818e-5
                    )
                    * r
                    + 7.868691311456132591e-4
                )
                * r
                + 0.0148753612908506148525
            )
            * r
            + 0.13692988092273580531
        )
        * r
        + 0.59983220655588793769
    ) * r + 1.0
    return num / den


@kernel
def quantile(u: float) -> float:
    """Standard normal deviate at probability 0 < u < 1 (AS 241, PPND16; error ~1e-16)."""
    q = u - 0.5
    if abs(q) <= 0.425:
        return _middle(q)  # type: ignore[no-any-return]
    r = np.sqrt(-log(u if q < 0.0 else 1.0 - u))
    z = _tail(r) if r <= 5.0 else _far(r)
    return -z if q < 0.0 else z  # type: ignore[no-any-return]


@inlined
def unit(bits: np.uint64) -> float:
    """A probability strictly inside (0, 1) from the top 52 bits of a draw."""
    return (whole(bits >> np.uint64(12)) + 0.5) * 2.220446049250313e-16  # type: ignore[no-any-return]


@inlined
def deviate(bits: np.uint64) -> float:
    """A standard normal deviate from one draw."""
    return float(quantile(unit(bits)))


@kernel
def deviates(bits, out):  # type: ignore[no-untyped-def]
    """out[i] = deviate(bits[i]), bit for bit, in passes that compile to vector instructions.

    bits : uint64 (n,); out : float64 (n,).
    """
    at = np.empty(bits.size + 1, dtype=np.uint32)
    low = np.empty(bits.size + 1)
    n = 0
    for i in range(bits.size):
        u = unit(bits[i])
        out[i] = _middle(u - 0.5)
        low[i] = min(u, 1.0 - u)
    for i in range(bits.size):
        # |u − 0.5| > 0.425, in a form that does not round.
        at[n], low[n] = i, low[i]
        n += low[n] < 0.5 - 0.425
    for k in range(n):
        low[k] = np.sqrt(-log(low[k]))
    tail = np.empty(n)
    for k in range(n):
        tail[k] = _tail(low[k])
    for k in range(n):
        z = tail[k] if low[k] <= 5.0 else _far(low[k])
        out[at[k]] = -z if bits[at[k]] < np.uint64(1 << 63) else z
