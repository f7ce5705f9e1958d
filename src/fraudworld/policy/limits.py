"""Types of a policy's figures, each with the bounds that loading enforces.

A bound is no judgement of realism: it lies far above any sensible policy, where the code that
reads the figure runs out of integer width, memory or time. A figure beyond it is refused when the
pack is read, with its file, key, value and bound.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import Field

from fraudworld.request import MOST_ENTITIES

MOST_HELD = 255
"""Holdings of one holder: loads, and guides of discrete laws, are one byte (stages/network)."""

MOST_LANES = 8
"""Users of a device, and accounts or instruments reached from it: a 16-bit lane of its draw each
(stages/network/links.py)."""

MOST_CROWDED = 65_535
"""Devices of an endpoint or a merchant: a degree law has a threshold for every degree up to it, in
every country and type."""

MOST_ROWS = MOST_ENTITIES
"""Counts of parties or rows: no world has more."""

MOST_RESAMPLES = 100_000
"""Bootstrap resamples: a gate holds a real for each resample and category."""

MOST_FLOWS = 10**9
"""Flows of a stream: T10 makes five streams."""

MOST_CODES = 64
"""Codes of a list: a group and one of its four tiers are one byte (stages/posture)."""

MOST_KEYS = 255
"""Keys of a mapping: more than countries or currencies, which are one byte."""

MOST_SIZES = 64
"""Sizes of homes or firms: each lies inside 1 024 parties that shards never cut."""

MOST_PRICES = 1_000
"""Shelf prices: every amount looks for the nearest."""

WIDEST_SPREAD = 4.5
"""Sigma of the log weights of an allocation: their sums stay inside 64 bits
(stages/allocation/products.py)."""

WIDEST_AMOUNT = 3.0
"""Sigma of log amounts and activities: 8.3 sigma, the largest deviate, stay inside 64 bits."""

WIDEST_DELAY = 2.0
"""The same for delays, whose unit, a millisecond, is smaller."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Hurdle = Annotated[float, Field(ge=0.0, lt=1.0)]
"""A share of holders at zero; not all of them."""

Ownership = Annotated[float, Field(gt=0.0, le=1.0)]
"""A share whose logarithm is taken."""

Spread = Annotated[float, Field(ge=0.0, le=WIDEST_SPREAD)]
Noise = Annotated[float, Field(gt=0.0, le=10.0)]
"""Standard deviation of a score or a log factor, of which the result is clipped."""

Mean = Annotated[float, Field(gt=0.0, le=1_000.0)]
"""An expected number per holder, or a factor on one."""

Dispersion = Annotated[float, Field(ge=0.0, le=1_000.0)]
"""Variance of a count over that of a multinomial; 0 for no variance at all."""

Exponent = Annotated[float, Field(gt=0.0, le=10.0)]
"""An exponent, or the clip of one: exp(10) is a factor of 22 000."""

Factor = Annotated[float, Field(ge=0.01, le=100.0)]
"""A factor on odds: role tables of factors between these bounds are fitted in a bounded number of
steps (kernels/proportional.py)."""

FrailtyFactor = Annotated[float, Field(ge=1.0, le=1_000.0)]
"""A factor on odds that a whole circle, home or firm shares; fitted as fast, as all other factors
of its tables are 1."""

Slope = Annotated[float, Field(ge=-100.0, le=100.0)]
"""A weight of a score, or log-odds: exp(100) is still a real."""

Ratio = Annotated[float, Field(gt=0.0, le=1e6)]
"""A positive ratio, count or price; larger ones lose digits in a product of three."""

Figure = Annotated[float, Field(ge=-1e6, le=1e6)]
"""A bound of a gate, or a figure that lint judges."""

Held = Annotated[int, Field(ge=1, le=MOST_HELD)]
Lanes = Annotated[int, Field(ge=1, le=MOST_LANES)]
Crowd = Annotated[int, Field(ge=1, le=MOST_CROWDED)]
Rows = Annotated[int, Field(ge=1, le=MOST_ROWS)]
RowsOrNone = Annotated[int, Field(ge=0, le=MOST_ROWS)]

V = TypeVar("V")
Table = Annotated[dict[str, V], Field(max_length=MOST_KEYS)]
"""A mapping of keys that are not the policy's own: countries, currencies, metrics."""

ByCode = Annotated[dict[str, V], Field(max_length=MOST_CODES)]
"""A mapping whose keys are codes of a list of the policy."""

Codes = Annotated[tuple[str, ...], Field(max_length=MOST_CODES)]
Shares = ByCode[Share]
TierFigures = tuple[Figure, Figure, Figure, Figure]
"""Basis points at LOW, STANDARD, ELEVATED, HIGH."""
