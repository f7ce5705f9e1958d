"""Commands that are killed, race, or meet a failing disk or clock publish all or nothing.

`disturbance.Stage.problems` decides: every item published below the runs root is as before or as
an undisturbed command leaves it, and the same command, repeated, ends with the digests of the
undisturbed one and leaves no staging folder.
"""

from __future__ import annotations

import errno
import random
from collections import Counter
from pathlib import Path

import pytest

from support import disturbance as d
from support.disturbance import COMMANDS, Stage

FAST = [
    command for command in COMMANDS if command.name in ("run", "profiles", "transactions", "report")
]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp("disturbed")
    return Stage(folder / "stage", d.compiled(folder))


@pytest.fixture
def failing(stage: Stage) -> Stage:
    """A stage whose disk and clock can be made to fail."""
    if stage.library is None:
        pytest.skip("NO FAULTS INJECTED: no C compiler here, or no LD_PRELOAD on this system")
    return stage


def kill(stage: Stage, cases: int, seed: int, commands: list[d.Command]) -> Counter[str]:
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    failures: list[str] = []
    for case in range(cases):
        command, instant = commands[case % len(commands)], rng.random()
        alive, faults = d.killed_at(stage, command, instant)
        if faults:
            failures.append(f"{case} {command.name} at {instant:.3f}: {faults}")
        counts[f"{command.name}: {'killed' if alive else 'ended before'}"] += 1
    assert not failures, "\n".join(failures)
    return counts


def fail(stage: Stage, cases: int, seed: int, commands: list[d.Command]) -> Counter[str]:
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    failures: list[str] = []
    changes = {command.name: d.changes(stage, command) for command in commands}
    writing = [command for command in commands if changes[command.name]]
    actions = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EIO once": -errno.EIO, "SIGKILL": 0}
    for case in range(cases):
        command = writing[case % len(writing)]
        fault = rng.choice(sorted(actions))
        n = rng.randint(1, changes[command.name])
        status, faults = d.failing_at(stage, command, n, actions[fault])
        if faults:
            failures.append(f"{case} {command.name} {fault} at {n}: {faults}")
        counts[f"{fault}: {'survived' if status == command.status else 'stopped'}"] += 1
    assert not failures, "\n".join(failures)
    return counts


def test_commands_killed_at_ten_random_instants(stage: Stage) -> None:
    counts = kill(stage, 10, seed=20, commands=FAST)
    assert sum(n for label, n in counts.items() if "killed" in label) >= 5


def test_a_disk_that_fails_at_nine_random_writes(failing: Stage) -> None:
    counts = fail(failing, 9, seed=21, commands=FAST)
    assert sum(n for label, n in counts.items() if "stopped" in label) >= 5


def test_a_clock_that_jumps_by_years_changes_nothing(failing: Stage) -> None:
    assert d.jumping(failing, d.BY_NAME["run"], seed=22) == []


def test_two_runs_racing_for_one_folder_publish_one(stage: Stage) -> None:
    assert d.racing(stage, d.BY_NAME["run"]) == []


@pytest.mark.full
def test_commands_killed_at_three_hundred_random_instants(stage: Stage) -> None:
    counts = kill(stage, 300, seed=300, commands=list(COMMANDS))
    print(dict(sorted(counts.items())))
    assert sum(n for label, n in counts.items() if "killed" in label) >= 200


@pytest.mark.full
def test_a_disk_that_fails_at_two_hundred_random_writes(failing: Stage) -> None:
    counts = fail(failing, 200, seed=200, commands=list(COMMANDS))
    print(dict(sorted(counts.items())))
    assert sum(n for label, n in counts.items() if "stopped" in label) >= 100


@pytest.mark.full
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_survives_a_jumping_clock_and_racing_itself(
    failing: Stage, command: d.Command
) -> None:
    assert d.jumping(failing, command, seed=23) == []
    for _ in range(5):
        assert d.racing(failing, command) == []


def test_an_unfinished_run_folder_is_not_listed(tmp_path: Path) -> None:
    from fraudworld import api

    hidden = tmp_path / ".out-0123abcd.part"
    hidden.mkdir()
    (hidden / "run_receipt.json").write_text("{}")
    assert api.list_runs(tmp_path) == ()
