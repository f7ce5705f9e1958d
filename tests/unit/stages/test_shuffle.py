"""The shuffle of an atom: every order is as likely as any other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import chi2

from fraudworld.jit import kernel
from fraudworld.stages.shuffle import shuffled


@kernel
def _many(party_type, wanted, draws, out):  # type: ignore[no-untyped-def]
    """Shuffles once by every row of draws: out[a] is the order, as far as there are parties."""
    order = np.empty(party_type.size + 1, dtype=np.int64)
    for a in range(draws.shape[0]):
        count = shuffled(party_type, wanted, draws[a], order)
        out[a] = order[:count]


def orders(party_type: list[int], atoms: int) -> np.ndarray:
    """Orders of the parties of type 1, (atoms, parties)."""
    types = np.array(party_type, dtype=np.uint8)
    words = np.random.default_rng(11).integers(2**64, size=(atoms, 2 * types.size), dtype=np.uint64)
    out = np.empty((atoms, int((types == 1).sum())), dtype=np.int64)
    _many(types, 1, words, out)
    return out


def test_only_parties_of_the_type_are_shuffled() -> None:
    assert {tuple(sorted(row)) for row in orders([0, 1, 1, 2, 1], 50).tolist()} == {(1, 2, 4)}


def test_every_order_of_four_is_as_likely() -> None:
    atoms = 48_000
    found = orders([1, 0, 1, 1, 1], atoms).tolist()
    counts = [found.count(list(order)) for order in itertools.permutations((0, 2, 3, 4))]
    expected = atoms / 24
    assert sum((n - expected) ** 2 / expected for n in counts) < chi2.ppf(1 - 1e-6, 23)


@pytest.mark.parametrize("n", [50, 200])
def test_every_place_is_as_likely_for_every_party(n: int) -> None:
    atoms = 40 * n
    table = np.zeros((n, n))
    for place, party in enumerate(orders([1] * n, atoms).T):
        np.add.at(table[place], party, 1)
    distance = ((table - atoms / n) ** 2 / (atoms / n)).sum()
    assert distance < chi2.ppf(1 - 1e-6, (n - 1) ** 2)
