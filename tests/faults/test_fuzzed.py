"""Parsers under random input: an answer or a typed refusal, never anything else.

The full series is `benches/fuzz.py`. Here a slice of it, and Hypothesis, which makes the
smallest input that breaks something.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import fuzzing
from support.fuzzing import Fuzzed, Tally

NAMES = ("policy file", "overlay", "upstream index", "bundle index", "receipt", "run index",
         "decision", "attestation", "requests", "arguments")  # fmt: skip

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
inputs = st.binary() | st.text().map(str.encode) | json_values.map(lambda v: json.dumps(v).encode())


@pytest.fixture(scope="module")
def among(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Fuzzed]:
    found = fuzzing.parsers(tmp_path_factory.mktemp("fuzzed"), small_world)
    return {one.name: one for one in found}


def test_every_parser_is_named_and_takes_its_corpus(among: dict[str, Fuzzed]) -> None:
    assert tuple(among) == NAMES
    tally = Tally()
    for one in among.values():
        for data in one.corpus:
            fuzzing.try_one(one, data, tally, "corpus")
    assert tally.findings == []
    # Whole inputs are refused by none but the index, whose few files are not there.
    assert set(tally.refused) <= {"bundle index"}


def test_ten_thousand_mutations(among: dict[str, Fuzzed]) -> None:
    tally = fuzzing.series(tuple(among.values()), 10_000, seed=5)
    assert tally.findings == [], tally.findings[:3]
    assert all(tally.refused[name] for name in NAMES), tally.refused
    assert sum(tally.refused.values()) < 10_000


def test_a_hundred_policy_packs(tmp_path: Path) -> None:
    tally = fuzzing.series((fuzzing.pack_loads(tmp_path),), 100, seed=6)
    assert tally.findings == [], tally.findings[:3]
    assert 0 < tally.refused["policy pack"] < 100


@pytest.mark.parametrize("name", NAMES)
def test_hypothesis_finds_nothing(among: dict[str, Fuzzed], name: str) -> None:
    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def holds(data: bytes) -> None:
        tally = Tally()
        fuzzing.try_one(among[name], data, tally, "hypothesis")
        assert tally.findings == []

    holds()


@pytest.mark.parametrize("line", [b"--", b"runs --", b"", b" "])
def test_a_command_line_without_command(among: dict[str, Fuzzed], line: bytes) -> None:
    tally = Tally()
    fuzzing.try_one(among["arguments"], line, tally, "by hand")
    assert (tally.findings, tally.refused) == ([], {"arguments": 1})


def test_what_is_not_typed_is_a_finding() -> None:
    def broken(data: bytes) -> object:
        return 1 / len(data)

    tally = Tally()
    one = Fuzzed("broken", broken, (b"x",), 1)
    fuzzing.try_one(one, b"", tally, "here")
    fuzzing.try_one(one, b"x", tally, "there")
    assert len(tally.findings) == 1
    assert "ZeroDivisionError" in tally.findings[0]
