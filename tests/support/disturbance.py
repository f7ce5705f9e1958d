"""Commands that are killed at any instant, meet a failing disk or clock, or race each other.

A command is one line of COMMANDS; the commands of `before` make its input. Children are forked from
a server that has imported the program once, so that a case takes a second and hundreds of instants
can be tried. An *item* is a run, a stream over it, an upstream, or a document below the runs root:
after any disturbance each is complete or absent.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import fraudworld.cli.app
import fraudworld.gates
import fraudworld.layers.profiles.layer
import fraudworld.layers.transactions.stream
import fraudworld.remediation
import fraudworld.report
import fraudworld.run.pipeline
import fraudworld.t10.arms
import fraudworld.verification
from fraudworld.errors import FraudworldError
from fraudworld.policy.loader import SHIPPED, load_pack, write_pack
from fraudworld.run.refused import FOLDER as REFUSED
from fraudworld.store.layout import RunPlace
from fraudworld.store.publish import AREA
from fraudworld.store.seal import check_outside

assert fraudworld  # imported for the server that children are forked from

TRASH = ".trash"
WITNESS = ".witness"
ALLOWED = (AREA, TRASH, ".upstream", ".store_6A.lock", WITNESS)
HIDDEN = re.compile(r"\..+-[0-9a-f]{8}\.part")
HERE = Path(__file__).resolve().parent
LONGEST_S = 180
"""Seconds after which a command counts as hanging; undisturbed ones take one or two."""

OVERLAY = """\
name: tiny
why: fault tests need a world that is made in a second
set:
  population_priors:
    country_floor: {minimum: 40}
"""
WORLD = "--profile demo --scale 0.05 --overlay {overlay} --runs-root {root} --quiet --workers 2"


@dataclass(frozen=True)
class Command:
    """A command to disturb; the commands of `before` make its input.

    Names in braces are filled in: root, overlay (a file), pack (with that overlay), run (of seed
    42), base (the baseline of seed 42).
    """

    name: str
    words: str
    before: tuple[str, ...] = ()
    status: int = 0
    repeat_status: int | None = None  # status when its result exists already; None: `status`


RUN = f"run {WORLD} --seed 42"
PROFILES = "profiles {run} --runs-root {root} --quiet"
PIN = "runs pin {run} candidate --runs-root {root}"
BASELINE = f"run {WORLD} --overlay published_baseline --seed 42"
LADDER = "ladder --policy {pack} --scale 0.05 --runs-root {root} --quiet --workers 2"
COMMANDS = (
    Command("run", RUN),
    Command("gates", "gates {run} --runs-root {root}", (RUN,)),
    Command("certify", f"certify --no-witness {WORLD}", (), status=1),  # HOLD_REMEDIATE
    Command("profiles", PROFILES, (RUN,)),
    Command(
        "transactions", "transactions {run} --days 1 --runs-root {root} --quiet", (RUN, PROFILES)
    ),
    Command("report", "report {run} --runs-root {root}", (RUN,)),
    Command(
        "export", "export {run} --to csv --out {root}/taken/out --runs-root {root}", (RUN,), 0, 3
    ),
    Command(
        "export by bank",
        "export {run} --to csv --by-bank --out {root}/taken/out --runs-root {root} --quiet",
        (RUN, PROFILES),
        0,
        3,
    ),
    Command("upstream build", "upstream build {root}/own --scale 0.01", (), 0, 2),
    Command("prune", "runs prune --yes --runs-root {root}", (RUN, f"run {WORLD} --seed 7", PIN)),
    Command("attest", "attest {run} --runs-root {root}", (RUN,)),
    Command("pin", PIN, (RUN,)),
    Command("ladder", f"{LADDER} --phases P1", (f"{LADDER} --phases P0",)),
    Command(
        "witness",  # so small a world has insufficient evidence
        "witness {base} {run} --flows 20000 --runs-root {root} --quiet",
        (RUN, BASELINE),
        status=1,
    ),
)
BY_NAME = {command.name: command for command in COMMANDS}

Item = dict[str, str]
State = dict[str, Item]


class Stage:
    """Templates of every command, made undisturbed once, and copies of them to disturb."""

    def __init__(self, folder: Path, library: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.library = library
        self.overlay = folder / "tiny.yaml"
        self.overlay.write_text(OVERLAY, "utf-8")
        self.pack = folder / "pack"
        self.pack.mkdir(exist_ok=True)
        write_pack(load_pack(overlays=[self.overlay]).pack, self.pack)
        shutil.copytree(SHIPPED / "overlays", self.pack / "overlays", dirs_exist_ok=True)
        self.context = _server(library)
        self.ready: dict[tuple[str, ...], Path] = {}
        self.made: dict[str, tuple[Path, State, float]] = {}
        self.case = 0

    def words(self, text: str, root: Path) -> list[str]:
        """Arguments of a command below `root`."""
        runs = {p.parent.name: json.loads(p.read_text("utf-8")) for p in _receipts(root)}
        of_seed_42 = [name for name, receipt in sorted(runs.items()) if receipt["seed"] == 42]
        baselines = [name for name in of_seed_42 if "published_baseline" in runs[name]["overlays"]]
        candidates = [name for name in of_seed_42 if name not in baselines]
        return text.format(
            root=root,
            overlay=self.overlay,
            pack=self.pack,
            run=next(iter(candidates), "none"),
            base=next(iter(baselines), "none"),
        ).split()

    def template(self, command: Command) -> tuple[Path, State, float]:
        """A root before the command, the items after it without disturbance, and its seconds."""
        if command.name not in self.made:
            root = self._ready(command.before)
            after = self.copy(root)
            self.undisturbed(command.words, after, command.status)  # fills the page cache
            shutil.rmtree(after)
            after = self.copy(root)
            began = time.monotonic()
            self.undisturbed(command.words, after, command.status)
            seconds = time.monotonic() - began
            state = items(after)
            assert not leftovers(after), leftovers(after)
            shutil.rmtree(after)
            self.made[command.name] = root, state, seconds
        return self.made[command.name]

    def _ready(self, before: tuple[str, ...]) -> Path:
        if before not in self.ready:
            root = self.folder / f"template-{len(self.ready)}"
            root.mkdir()
            for text in before:
                self.undisturbed(text, root, 0, 1)  # a baseline fails its gates
            self.ready[before] = root
        return self.ready[before]

    def copy(self, root: Path) -> Path:
        """A new root with the same content."""
        self.case += 1
        return Path(shutil.copytree(root, self.folder / f"case-{self.case}", symlinks=True))

    def start(
        self, text: str, root: Path, fault: tuple[int, int] = (0, 0), clock: int = 0
    ) -> ForkServerProcess:
        """Start a command; `fault` arms the disk, `clock` the clock (see faultline.c)."""
        log = root.with_name(f"{root.name}.log")
        arm = (str(self.library), f"{root}/", *fault, clock) if self.library else None
        process = self.context.Process(target=_child, args=(self.words(text, root), str(log), arm))
        process.start()
        return process

    def undisturbed(self, text: str, root: Path, *status: int) -> None:
        """Runs a command to its end. Raises AssertionError for any other exit status."""
        ended_with = exit_status(self.start(text, root))
        assert ended_with in status, f"{text}: {ended_with}\n{output(root)}"

    def problems(self, command: Command, root: Path) -> list[str]:
        """Faults after a disturbance, and after repeating the command."""
        before, expected, _ = self.template(command)
        previous, present = items(before), items(root)
        must_stay = previous.keys() & expected.keys()  # a prune removes the others
        faults = [
            f"{name} was published and is missing" for name in sorted(must_stay - present.keys())
        ]
        faults += [
            f"{name} is neither old nor as expected: {_difference(expected, present, name)}"
            for name in sorted(present)
            if present[name] not in (expected.get(name), previous.get(name))
        ]
        status = exit_status(self.start(command.words, root))
        done = command.repeat_status is not None and present == expected
        if status != (command.repeat_status if done else command.status):
            faults.append(f"repeated, it ends with {status}: {output(root)}")
        repeated = items(root)
        faults += [
            f"repeated, {name} differs: {_difference(expected, repeated, name)}"
            for name in sorted(repeated.keys() | expected.keys())
            if repeated.get(name) != expected.get(name)
        ]
        return faults + [f"left behind: {name}" for name in leftovers(root)]


def exit_status(process: ForkServerProcess) -> int:
    """Exit status of a process. Raises AssertionError if it hangs."""
    process.join(LONGEST_S)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"still running after {LONGEST_S} s")
    return process.exitcode


def output(root: Path) -> str:
    """The end of the output of the command that ran below `root`."""
    log = root.with_name(f"{root.name}.log")
    return log.read_text("utf-8", "replace")[-2000:] if log.exists() else ""


def killed_at(stage: Stage, command: Command, instant: float) -> tuple[bool, list[str]]:
    """Kills a command after `instant` (0 to 1) of its usual time: (was it alive, faults)."""
    root = stage.copy(stage.template(command)[0])
    process = stage.start(command.words, root)
    process.join(instant * stage.template(command)[2])
    alive = process.exitcode is None
    if alive:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
    exit_status(process)
    faults = stage.problems(command, root)
    if not faults:
        shutil.rmtree(root)
    return alive, faults


def changes(stage: Stage, command: Command) -> int:
    """Number of changes of the disk that an undisturbed command makes."""
    root = stage.copy(stage.template(command)[0])
    exit_status(stage.start(command.words, root, (0, 0)))
    count = int(root.with_name(f"{root.name}.log.count").read_text())
    shutil.rmtree(root)
    return count


def failing_at(stage: Stage, command: Command, n: int, action: int) -> tuple[int, list[str]]:
    """Runs a command whose `n`-th change of the disk fails: (exit status, faults)."""
    root = stage.copy(stage.template(command)[0])
    status = exit_status(stage.start(command.words, root, (n, action)))
    text = output(root)
    faults = stage.problems(command, root)
    if action and status not in (command.status, 2):
        faults.append(f"ended with {status}: {text}")
    if "Traceback" in text:
        faults.append(f"a traceback escaped: {text}")
    if not faults:
        shutil.rmtree(root)
    return status, faults


def jumping(stage: Stage, command: Command, seed: int) -> list[str]:
    """Runs a command while the wall clock jumps by years; returns faults."""
    root = stage.copy(stage.template(command)[0])
    status = exit_status(stage.start(command.words, root, clock=seed))
    faults = stage.problems(command, root)
    if status != command.status:
        faults.append(f"ended with {status}: {output(root)}")
    return faults


def racing(stage: Stage, command: Command, runners: int = 2) -> list[str]:
    """Starts a command several times at once; all must succeed or be refused. Returns faults."""
    root = stage.copy(stage.template(command)[0])
    racers = [stage.start(command.words, root) for _ in range(runners)]
    statuses = sorted(exit_status(racer) for racer in racers)
    faults = stage.problems(command, root)
    if command.status not in statuses or not set(statuses) <= {command.status, 2, 3}:
        faults.append(f"ended with {statuses}: {output(root)}")
    return faults


def items(root: Path) -> State:
    """Everything published below a runs root: item → relative path → content.

    Reports contain times: only their names count, and whether `run_index.json` agrees with them.
    """
    by_item: State = {}
    for path in sorted(p for p in root.rglob("*") if p.is_symlink() or p.is_file()):
        parts = path.relative_to(root).parts
        if (
            _refused(path, root)
            or parts[0] == ".store_6A.lock"
            or any(part in (AREA, TRASH) or HIDDEN.fullmatch(part) for part in parts)
        ):
            continue  # not published; `leftovers` checks it after the next run
        item = parts[0]
        if parts[0] == WITNESS:
            item = "/".join(parts[:4])  # one world or stream of a candidate
        elif parts[0].startswith(".") and len(parts) > 1:
            item = "/".join(parts[:2])
        elif parts[0] == "reports":
            item = "/".join(parts)
        elif parts[1:4] == ("data", "layer3", "6B"):
            item = f"{parts[0]}: 6B"
        by_item.setdefault(item, {})["/".join(parts)] = _content(root, path, parts)
    return by_item


def _refused(path: Path, root: Path) -> bool:
    """Whether a path lies in the timings of refused runs, of this root or of a witness's worlds."""
    return f"/{REFUSED.as_posix()}/" in f"/{path.relative_to(root).as_posix()}/"


def leftovers(root: Path) -> list[str]:
    """Staging folders, unfinished files and timings of failed runs; locks may stay."""
    return sorted(
        p.relative_to(root).as_posix()
        for p in root.rglob("*")
        if (p.parent.name in (AREA, TRASH) and p.is_dir())
        or _refused(p, root)
        or p.suffix in (".tmp", ".part")
        or (p.name.startswith(".") and p.name not in ALLOWED)
    )


def _content(root: Path, path: Path, parts: tuple[str, ...]) -> str:
    """Digest or text of a file, without times."""
    depth = 4 if parts[0] == WITNESS and parts[2:3] == ("worlds",) else 1
    inner = parts[depth:]
    if inner == ("run_index.json",):
        place = RunPlace(root.joinpath(*parts[:depth]))
        try:
            agrees = check_outside(place) == ([], [])
        except FraudworldError:
            agrees = False
        return "agrees" if agrees else "does not agree with the reports"
    if inner == ("run_receipt.json",):
        return _timeless(path, "created_at")
    if parts == ("store_6A.json",):
        return _timeless(path, "at")
    if parts[:2] == ("reports", "decisions") and path.stem not in ("ladder", "ablation"):
        return _timeless(path, "elapsed_s", "cpu_s")
    if inner[:1] == ("reports",) or parts[:2] == ("reports", "decisions"):
        return "exists"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _timeless(path: Path, *times: str) -> str:
    """A JSON document without its fields of times and durations."""

    def without_times(value: object) -> object:
        if isinstance(value, dict):
            return {k: without_times(v) for k, v in value.items() if k not in times}
        return [without_times(v) for v in value] if isinstance(value, list) else value

    return json.dumps(without_times(json.loads(path.read_text("utf-8"))), sort_keys=True)


def _difference(expected: State, present: State, name: str) -> str:
    a, b = expected.get(name, {}), present.get(name, {})
    return ", ".join(sorted(p for p in a.keys() | b.keys() if a.get(p) != b.get(p))[:4])


def _receipts(root: Path) -> Iterator[Path]:
    return root.glob("[!.]*/run_receipt.json")


def _child(words: list[str], log: str, arm: tuple[str, str, int, int, int] | None) -> None:
    """Runs the program inside the forked child, with its output in a file."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdout, sys.stderr = (os.fdopen(n, "w", errors="replace") for n in (1, 2))
    sys.argv = ["fraudworld", *words]
    if arm is None:
        fraudworld.cli.app.main()
        return
    disk = ctypes.CDLL(arm[0])
    disk.fault_arm(arm[1].encode(), ctypes.c_long(arm[2]), ctypes.c_int(arm[3]))
    disk.fault_clock(ctypes.c_ulong(arm[4]))
    try:
        fraudworld.cli.app.main()
    finally:
        Path(f"{log}.count").write_text(str(disk.fault_count()))


def _server(library: Path | None) -> ForkServerContext:
    """The fork server, with the failing disk preloaded if there is one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["disturbance"])
    with _environment(
        OPENBLAS_NUM_THREADS="1",
        PYTHONPATH=os.pathsep.join([str(HERE.parent), *sys.path]),
        **({"LD_PRELOAD": str(library)} if library else {}),
    ):
        multiprocessing.forkserver.ensure_running()
    return context


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    saved = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def compiled(folder: Path) -> Path | None:
    """Compiles the failing disk as a library; None where that is impossible."""
    compiler = next((c for c in ("cc", "gcc", "clang") if shutil.which(c)), None)
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    library = folder / "faultline.so"
    words = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(HERE / "faultline.c")]
    done = subprocess.run([*words, "-ldl"], capture_output=True, text=True)
    return library if done.returncode == 0 else None
