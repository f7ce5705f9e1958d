"""The laws of S1 to S5 once more, as plainly as they can be said: row by row, in lists and dicts.

The kernels under `src/` are fast; these modules are short. What both share is mathematics
of one number (`kernels.normal`), the rounding of small plans (`kernels.apportion`), the name of
a stream's key (`rng.Stream`) and the policy's models. Draws come from numpy's own Philox. Nothing
here imports a stage but for the shape of its inputs, so a law and its twin can only be wrong
together if they were misread the same way.

Codes are their names, entities are 0-based positions, and nothing is shared between modules but
the lists of one state that the next one reads. `world.generate` runs all states. The laws of
segment 6B are in `reference.transactions`.
"""
