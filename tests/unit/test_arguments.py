"""Kinds of arguments: numpy's numbers are taken, everything else is refused before any work."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import fraudworld as fw
from fraudworld import arguments as a
from fraudworld.errors import InputError
from fraudworld.layers.transactions.request import StreamRequest
from fraudworld.request import RunRequest
from fraudworld.run import pipeline


@pytest.mark.parametrize("value", [5, np.int64(5), np.uint8(5), np.int32(5)])
def test_numbers_of_numpy_are_whole_numbers(value: object) -> None:
    assert type(a.whole(value, "--seed")) is int
    assert RunRequest(seed=value).seed == 5  # type: ignore[arg-type]


WRONG = [42.0, "42", b"42", True, np.True_, None, [42], 4.2, Decimal(42), np.float64(42)]


@pytest.mark.parametrize("value", WRONG, ids=lambda value: f"{type(value).__name__} {value!r}")
@pytest.mark.parametrize("name", ["seed", "workers", "shard_parties"])
def test_other_kinds_are_no_whole_numbers(name: str, value: object) -> None:
    with pytest.raises(InputError, match="give a whole number") as caught:
        RunRequest(**{name: value})  # type: ignore[arg-type]
    assert caught.value.code == "6A.CLI.ARGUMENT_INVALID"


@pytest.mark.parametrize("value", [1, 0.5, np.float32(0.5), np.int64(2), Fraction(1, 2)])
def test_real_numbers_are_sizes(value: object) -> None:
    assert type(RunRequest(scale=value).scale) is float  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["1", b"1", True, np.False_, None, [1.0], 1j])
@pytest.mark.parametrize("name", ["scale", "memory"])
def test_other_kinds_are_no_sizes(name: str, value: object) -> None:
    if (name, value) == ("memory", None):
        assert RunRequest(memory=None).memory is None
        return
    with pytest.raises(InputError, match="give a number"):
        RunRequest(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("seed", -1), ("seed", 2**63), ("scale", 0), ("scale", -1.0), ("scale", float("inf")),
        ("scale", 10**400), ("scale", 1e300), ("scale", 1e6),
        ("profile", Path("demo")), ("profile", 1), ("role", None), ("engine", None),
        ("run_id", 5), ("scheduler", 8786), ("from_state", 3),
        ("overlays", "delta_b_ip"), ("overlays", Path("a.yaml")), ("overlays", [1]),
        ("overlays", None), ("overlays", {"a"}),
        ("runs_root", None), ("runs_root", 5), ("runs_root", b"runs"), ("policy_dir", 5),
        ("base", True), ("upstream_dir", ["up"]),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, keyword: str, value: object
) -> None:
    monkeypatch.setattr(pipeline, "run", lambda *_: pytest.fail("work began"))
    with pytest.raises(InputError):
        fw.generate(**{keyword: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("overlays", [("x",), ["x"], ["x", Path("y.yaml")]])
def test_overlays_are_a_list_of_names_and_paths(overlays: object) -> None:
    taken = RunRequest(overlays=overlays).overlays  # type: ignore[arg-type]
    assert taken[0] == "x"
    assert taken[1:] in ((), (str(Path("y.yaml").absolute()),))


@pytest.mark.parametrize(
    "values",
    [
        {"days": 1.0}, {"days": True}, {"days": "1"}, {"flows": 1e6}, {"days": 1, "from_day": 1.5},
        {"days": 1, "workers": "2"}, {"days": 1, "observable": 1}, {"days": 1, "to": 5},
        {"days": 1, "upstream_dir": b"x"},
    ],
)  # fmt: skip
def test_a_wrong_argument_of_a_stream_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(InputError):
        StreamRequest(run=Path("r"), **values)  # type: ignore[arg-type]


def test_a_stream_takes_numbers_of_numpy_and_texts_of_paths() -> None:
    request = StreamRequest(run="r", days=np.int64(2), to="t")  # type: ignore[arg-type]
    assert (type(request.days), request.days) == (int, 2)
    assert request.run == Path("r").absolute()
    assert request.to == Path("t").absolute()


@pytest.mark.parametrize(
    "call",
    [
        lambda world: world.table("s1_party_base_6A", "party_id"),
        lambda world: world.table("s1_party_base_6A", [1]),
        lambda world: fw.certify(RunRequest(), "42,7"),
        lambda world: fw.certify(RunRequest(), [42.0]),
        lambda world: fw.ladder(RunRequest(), [42], phases="P1"),
        lambda world: fw.witness(world, world, flows=1.5),
        lambda world: fw.witness(world, world, workers=True),
        lambda world: fw.open_run(5),
        lambda world: fw.find_run(None),
        lambda world: fw.list_runs(7),
    ],
)
def test_a_wrong_argument_of_a_function_is_refused(
    small_world: Path, call: Callable[[fw.World], object]
) -> None:
    with pytest.raises(InputError) as caught:
        call(fw.open_run(small_world))
    assert caught.value.code == "6A.CLI.ARGUMENT_INVALID"


@pytest.mark.parametrize("party", ["7", 7.0, True, 0, 2**40])
def test_a_neighbourhood_wants_the_number_of_a_party(small_world: Path, party: object) -> None:
    from fraudworld.export.graphs import neighbourhood

    with pytest.raises(InputError):
        neighbourhood(fw.open_run(small_world), party)  # type: ignore[arg-type]
