"""The tools that find tables of identifiers find what is there, and say so where it is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from itertools import product
from types import ModuleType

import pytest

from repo import repository as repo

DIGITS = "0123456789"


@pytest.fixture
def learn(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(repo.ROOT / "tools"))
    return import_module("identity.learn")


@pytest.fixture
def patterns(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(repo.ROOT / "tools"))
    return import_module("identity.patterns")


def luhn(payload: str) -> frozenset[str]:
    """The check digit of a payload."""
    digits = [int(c) for c in reversed(payload)]
    total = sum(d if i % 2 else sum(divmod(2 * d, 10)) for i, d in enumerate(digits))
    return frozenset(str(-total % 10))


def hybrid(payload: str) -> frozenset[str]:
    """ISO 7064 MOD 11,10: no weighted sum."""
    product_ = 10
    for c in payload:
        product_ = ((int(c) + product_) % 10 or 10) * 2 % 11
    return frozenset(str((11 - product_) % 10))


@pytest.mark.parametrize(("law", "states"), [(luhn, 10), (hybrid, 10)])
def test_a_check_law_is_learned_from_its_outcomes(
    learn: ModuleType, law: object, states: int
) -> None:
    alphabets = [DIGITS] * 7
    found = learn.automaton(alphabets, law, 36)
    assert max(len(rows) for rows in found.moves) <= states
    for payload in map("".join, product("0379", repeat=7)):
        assert found.outcome(alphabets, payload) == law(payload)  # type: ignore[operator]


def test_an_outcome_of_too_many_states_is_refused(learn: ModuleType) -> None:
    with pytest.raises(learn.NotLearnedError, match="more than 36 states"):
        learn.automaton([DIGITS] * 6, lambda payload: int(payload) % 97, 36)


@pytest.mark.parametrize(
    "pattern",
    [
        r"[2-9]\d{2}",
        r"(?:1[0-5]|7(?:[02]\d|9))\d?",
        r"3\d{1,3}",
        r"0[1-9]|[1-9]0|55\d",
        r"(?:[1-35]\d){1,2}",
    ],
)
@pytest.mark.parametrize("length", [2, 3, 4])
def test_free_prefixes_are_those_that_nothing_matches(
    patterns: ModuleType, pattern: str, length: int
) -> None:
    def taken(prefix: str) -> bool:
        rests = product(DIGITS, repeat=length - len(prefix))
        return any(re.fullmatch(pattern, prefix + "".join(rest)) for rest in rests)

    expected = [
        prefix
        for n in (1, 2)
        for prefix in map("".join, product(DIGITS, repeat=n))
        if not taken(prefix) and (n == 1 or taken(prefix[0]))
    ]
    assert list(patterns.free_prefixes([pattern], length, 2)) == expected


def test_a_pattern_that_is_not_understood_is_refused(patterns: ModuleType) -> None:
    with pytest.raises(ValueError, match="unbounded"):
        patterns.Automaton([r"1\d*"])
