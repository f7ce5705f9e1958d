"""`fraudworld transactions` refuses bad input and then publishes nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fraudworld.errors import FraudworldError, InputError, RefusedError
from fraudworld.layers.profiles.layer import make_profiles
from fraudworld.layers.profiles.layout import ProfilesPlace
from fraudworld.layers.profiles.request import ProfilesRequest
from fraudworld.layers.transactions.layout import LAYER
from fraudworld.layers.transactions.request import StreamRequest
from fraudworld.layers.transactions.stream import stream
from fraudworld.store.publish import AREA, MARKER
from support.calling import CallResult

Call = Callable[..., CallResult]
FLAG = "data/layer3/6A/validation/_passed.flag"


@pytest.fixture
def world(small_world: Path, tmp_path: Path) -> Path:
    """A copy of the small world that a test may break."""
    run = tmp_path / "runs" / small_world.name
    shutil.copytree(small_world, run)
    (run.parent / ".upstream").symlink_to(small_world.parent / ".upstream")
    return run


def refuse(request: StreamRequest, error: type[FraudworldError], code: str) -> FraudworldError:
    with pytest.raises(error) as refused:
        stream(request)
    assert refused.value.code == code
    assert not (request.to or request.run).joinpath(LAYER).exists()
    return refused.value


def test_a_run_without_flag_is_refused_unless_allowed(world: Path) -> None:
    (world / FLAG).unlink()
    error = refuse(StreamRequest(run=world, days=1), RefusedError, "6B.S0.RUN_NOT_PASSED")
    assert "--allow-unflagged" in error.remedy
    assert stream(StreamRequest(run=world, days=1, allow_unflagged=True)).passed


@pytest.mark.parametrize(
    "victim",
    ["data/layer3/6A/**/part-00000.parquet", "data/layer3/6A/resolved_policy_6A.json"],
)
def test_a_tampered_run_is_refused(world: Path, victim: str) -> None:
    path = next(iter(world.glob(victim)))
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    refuse(
        StreamRequest(run=world, days=1),
        RefusedError,
        "6A.S5.OUTPUT_CONFLICT",
    )


def test_a_receipt_of_another_bundle_is_refused(world: Path) -> None:
    receipt = world / "run_receipt.json"
    document = json.loads(receipt.read_text())
    receipt.write_text(json.dumps(document | {"bundle_digest": "0" * 64}))
    refuse(
        StreamRequest(run=world, days=1),
        RefusedError,
        "6B.S0.RECEIPT_MISMATCH",
    )


def test_another_upstream_is_refused(world: Path, tmp_path: Path) -> None:
    from fraudworld.inputs.embedded import build

    build(tmp_path / "other", volume_scale=0.5)
    refuse(
        StreamRequest(run=world, days=1, upstream_dir=tmp_path / "other"),
        RefusedError,
        "6B.S0.UPSTREAM_HASHGATE_DIGEST_MISMATCH",
    )


def test_a_run_whose_pack_lacks_6b_policies_is_refused(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seal check is replaced: an old run would be intact, but its pack lacks `campaigns`."""
    from fraudworld.layers.transactions import inputs
    from fraudworld.store.produce import Sealed

    path = world / "data/layer3/6A/resolved_policy_6A.json"
    document = json.loads(path.read_text())
    del document["pack"]["campaigns"]
    path.write_text(json.dumps(document))
    digest = json.loads((world / "run_receipt.json").read_text())["bundle_digest"]
    monkeypatch.setattr(inputs, "check_run", lambda place: Sealed(digest, True, {}))
    error = refuse(StreamRequest(run=world, days=1), InputError, "6B.S0.PRIOR_PACK_SCHEMA_INVALID")
    assert "campaigns" in error.what


@pytest.mark.parametrize(
    "window",
    [
        {"days": 91},
        {"days": 1, "from_day": 91},
        {"days": 10, "from_day": 82},
        {"flows": 100_000_000},
        {"flows": 10_000, "from_day": 5_000},
    ],
)
def test_a_window_outside_the_horizon_is_refused(world: Path, window: dict[str, int]) -> None:
    refuse(
        StreamRequest(run=world, **window),  # type: ignore[arg-type]
        InputError,
        "6B.S0.WINDOW_OUTSIDE_HORIZON",
    )


@pytest.mark.parametrize(
    "window", [{}, {"days": 1, "flows": 1}, {"flows": 0}, {"days": 0}, {"days": 1, "from_day": 0}]
)
def test_a_request_without_a_valid_window_is_refused(
    tmp_path: Path, window: dict[str, int]
) -> None:
    with pytest.raises(InputError) as refused:
        StreamRequest(run=tmp_path, **window)  # type: ignore[arg-type]
    assert refused.value.code == "6B.S0.WINDOW_INVALID"


def test_another_window_in_the_same_place_is_refused(world: Path) -> None:
    stream(StreamRequest(run=world, days=1))
    before = sorted(world.joinpath(LAYER).rglob("*"))
    with pytest.raises(RefusedError) as refused:
        stream(StreamRequest(run=world, days=2))
    assert refused.value.code == "6B.S5.OUTPUT_CONFLICT"
    assert "last_flow" in refused.value.what
    assert sorted(world.joinpath(LAYER).rglob("*")) == before


@pytest.mark.parametrize("damage", ["change", "remove", "add"])
def test_a_damaged_stream_is_not_reused(
    small_stream: Path, small_world: Path, tmp_path: Path, damage: str
) -> None:
    copy = tmp_path / "stream"
    shutil.copytree(small_stream, copy)
    victim = next(iter(copy.rglob("part-00000.parquet")))
    if damage == "change":
        victim.write_bytes(victim.read_bytes() + b"!")
    elif damage == "remove":
        victim.unlink()
    else:
        victim.with_name("notes.txt").write_text("hello")
    with pytest.raises(RefusedError) as refused:
        stream(StreamRequest(run=small_world, days=12, to=copy))
    assert refused.value.code == "6B.S5.OUTPUT_CONFLICT"


def test_a_world_without_attachable_parties_is_refused(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No party is attachable."""
    import numpy as np

    from fraudworld.layers.transactions import world as worlds

    monkeypatch.setattr(worlds, "_attachable", lambda *_: np.zeros(len(_[1]) - 1, dtype=np.bool_))
    refuse(
        StreamRequest(run=world, days=1),
        InputError,
        "6B.S1.NO_ATTACHABLE_PARTY",
    )


def test_a_country_without_attachable_party_is_served_from_abroad(
    world: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its arrivals come from parties abroad, and the report names it."""
    from fraudworld.layers.transactions import world as worlds

    activity = worlds._activity
    country = 3

    def activity_without_one_country(inputs, segment, can):  # type: ignore[no-untyped-def]
        countries = worlds.WorldReader(inputs)("s1_party_base_6A", "country_iso")["country_iso"]
        return activity(inputs, segment, can & (countries != country))

    monkeypatch.setattr(worlds, "_activity", activity_without_one_country)
    outcome = stream(StreamRequest(run=world, days=3, to=tmp_path / "to"))
    assert outcome.passed
    assert len(outcome.report["summary"]["countries_without_attachable_party"]) == 1


def test_an_interrupted_stream_publishes_nothing_and_the_next_one_is_complete(
    world: Path, small_stream: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fraudworld.layers.transactions import stream as recipe

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    request = StreamRequest(run=world, days=12)
    with monkeypatch.context() as patch:
        patch.setattr(recipe, "seal_stream", interrupt)
        with pytest.raises(KeyboardInterrupt):
            stream(request)
    assert not (world / LAYER).exists()
    stream(request)
    index = "validation/validation_bundle_index_6B.json"
    assert (world / LAYER / index).read_bytes() == (small_stream / LAYER / index).read_bytes()


def test_a_repeated_request_removes_what_a_failed_one_left(world: Path) -> None:
    """A disk that fails while a published layer's staging folder is removed leaves the folder."""
    for segment, make in (
        ("6P", lambda: make_profiles(ProfilesRequest(run=world, identities=False))),
        ("6B", lambda: stream(StreamRequest(run=world, days=1))),
    ):
        assert not make().reused
        left = world.parent / AREA / f"{world.name}.{segment}-1-01234567"
        left.mkdir()
        (left / MARKER).write_text("{}")
        assert make().reused
        assert not left.exists()


def test_the_command_reports_errors_with_their_status(fraudworld: Call, world: Path) -> None:
    (world / FLAG).unlink()
    result = fraudworld("transactions", world, "--days", 1, "--json", "--quiet")
    assert result.status == 3
    assert json.loads(result.out)["error"]["code"] == "6B.S0.RUN_NOT_PASSED"
    assert fraudworld("transactions", world, "--flows", 0).status == 2
    assert fraudworld("transactions", world).status == 2


def test_profiles_are_made_once_where_there_are_none(
    fraudworld: Call, world: Path, tmp_path: Path
) -> None:
    made = fraudworld("transactions", world, "--days", 1, "--quiet", "--json")
    assert made.status == 0, made.err
    profiles = ProfilesPlace.below(world)
    sealed, inode = profiles.check(), profiles.index.stat().st_ino
    assert sealed.passed
    assert fraudworld("transactions", world, "--days", 2, "--to", tmp_path / "to").status == 0
    assert profiles.index.stat().st_ino == inode
    assert not ProfilesPlace.below(tmp_path / "to").layer.exists()
    assert fraudworld("verify", world, "--quiet").status == 0


def test_a_stream_interrupted_after_its_profiles_is_made_beside_them(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fraudworld.layers.transactions import stream as recipe

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    request = StreamRequest(run=world, days=1, profiles=True)
    with monkeypatch.context() as patch:
        patch.setattr(recipe, "plan_campaigns", interrupt)
        with pytest.raises(KeyboardInterrupt):
            stream(request)
    profiles = ProfilesPlace.below(world)
    inode = profiles.index.stat().st_ino
    assert profiles.check().passed
    assert not (world / LAYER).exists()
    assert stream(request).passed
    assert profiles.index.stat().st_ino == inode


def test_profiles_of_another_run_are_refused(
    fraudworld: Call, world: Path, demo_world: Path, tmp_path: Path
) -> None:
    to = tmp_path / "to"
    make_profiles(ProfilesRequest(run=demo_world, to=to, identities=False))
    result = fraudworld("transactions", world, "--days", 1, "--to", to, "--json", "--quiet")
    assert result.status == 3
    error = json.loads(result.out)["error"]
    assert error["code"] == "6P.P5.OUTPUT_CONFLICT"
    assert "another run" in error["what"]
    assert not (to / LAYER).exists()


def test_changed_profiles_and_profiles_without_flag_are_refused(
    fraudworld: Call, world: Path
) -> None:
    assert make_profiles(ProfilesRequest(run=world, identities=False)).passed
    profiles, command = ProfilesPlace.below(world), ("transactions", world, "--days", 1, "--json")
    profiles.flag.unlink()
    refused = fraudworld(*command)
    assert refused.status == 3
    assert json.loads(refused.out)["error"]["code"] == "6P.P5.NOT_PASSED"
    assert fraudworld(*command, "--allow-unflagged").status == 0
    shutil.rmtree(world / LAYER)
    part = next(profiles.layer.rglob("part-00000.parquet"))
    part.write_bytes(part.read_bytes() + b"!")
    refused = fraudworld(*command, "--allow-unflagged")
    assert refused.status == 3
    assert json.loads(refused.out)["error"]["code"] == "6P.P5.OUTPUT_CONFLICT"
    assert not (world / LAYER).exists()
