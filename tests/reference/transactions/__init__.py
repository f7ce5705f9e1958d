"""The laws of segment 6B once more, one flow after the other: transactions over a published world.

Rows of published tables come in, rows of published tables go out, codes are their names and null
is None. What these modules share with `src/` is mathematics of one number (`kernels.normal`), the
name of a stream's key (`rng.Stream`), the names and positions of codes in the contracts, and the
policy's models. Entities are 0-based positions (published id − 1).

Read in this order: `arrivals` (5B), `world` (who can pay, and through what), `campaigns` (S3),
`visits` (S1), `flows` (S2), `labels` (S4), `stream` (all of it for one window).
"""
