"""Every parser answers random input with a value or a typed error, and with nothing else.

`benches/fuzz.py` runs the full series. This file runs a part of it, and Hypothesis, which shrinks a
failing input.
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
def parsers(small_world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Fuzzed]:
    listed = fuzzing.parsers(tmp_path_factory.mktemp("fuzzed"), small_world)
    return {parser.name: parser for parser in listed}


def test_every_parser_is_listed_and_accepts_its_corpus(parsers: dict[str, Fuzzed]) -> None:
    assert tuple(parsers) == NAMES
    tally = Tally()
    for parser in parsers.values():
        for data in parser.corpus:
            fuzzing.try_one(parser, data, tally, "corpus")
    assert tally.findings == []
    # Intact inputs pass, except a bundle index, whose members do not exist here.
    assert set(tally.refused) <= {"bundle index"}


def test_ten_thousand_mutations_give_no_finding(parsers: dict[str, Fuzzed]) -> None:
    tally = fuzzing.series(tuple(parsers.values()), 10_000, seed=5)
    assert tally.findings == [], tally.findings[:3]
    assert all(tally.refused[name] for name in NAMES), tally.refused
    assert sum(tally.refused.values()) < 10_000


def test_a_hundred_mutated_policy_packs_give_no_finding(tmp_path: Path) -> None:
    tally = fuzzing.series((fuzzing.pack_loads(tmp_path),), 100, seed=6)
    assert tally.findings == [], tally.findings[:3]
    assert 0 < tally.refused["policy pack"] < 100


@pytest.mark.parametrize("name", NAMES)
def test_hypothesis_finds_nothing(parsers: dict[str, Fuzzed], name: str) -> None:
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
        fuzzing.try_one(parsers[name], data, tally, "hypothesis")
        assert tally.findings == []

    holds()


@pytest.mark.parametrize("line", [b"--", b"runs --", b"", b" "])
def test_a_command_line_without_a_command_is_a_typed_refusal(
    parsers: dict[str, Fuzzed], line: bytes
) -> None:
    tally = Tally()
    fuzzing.try_one(parsers["arguments"], line, tally, "by hand")
    assert (tally.findings, tally.refused) == ([], {"arguments": 1})


def test_an_untyped_exception_is_a_finding() -> None:
    def divide_by_length(data: bytes) -> object:
        return 1 / len(data)

    tally = Tally()
    parser = Fuzzed("broken", divide_by_length, (b"x",), 1)
    fuzzing.try_one(parser, b"", tally, "here")
    fuzzing.try_one(parser, b"x", tally, "there")
    assert len(tally.findings) == 1
    assert "ZeroDivisionError" in tally.findings[0]
