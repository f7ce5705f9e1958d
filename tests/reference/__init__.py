"""Plain twins of the laws of S1 to S5: row by row, in lists and dicts.

The kernels in `src/` are fast, these modules are short, and both must publish the same values
(`tests/differential`). They share the mathematics of one number (`kernels.normal`), the rounding of
small plans (`kernels.apportion`), the key of a stream (`rng.Stream`) and the models of the policy.
Draws come from numpy's Philox. These modules import stages only for the types of their inputs, so a
law and its twin are wrong together only if both misread the law in the same way.

Codes are given by name, entities as 0-based positions. A module reads only the lists that earlier
states return. `world.generate` runs all states. `reference.transactions` has the laws of 6B.
"""
