"""T10, the downstream witness: does fraud in 6B follow the risk that 6A drew, without leaks?

The metrics N1–N6, S1–S9 and their bounds are described in docs/witness.md.
"""
