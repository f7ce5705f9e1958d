"""Commands disturbed at any instant: killed, with a failing disk, or racing each other.

A command is one line of COMMANDS; what it needs to be there is made by the commands before it.
Children are forked from a server that has imported the program once, so that a case takes a
second and hundreds of instants can be tried. A published *item* is a run, a stream over it, an
upstream, or a document beside the runs: after any disturbance each is whole or absent.
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
import fraudworld.layers.transactions.stream
import fraudworld.remediation
import fraudworld.report
import fraudworld.run.pipeline
import fraudworld.t10.arms
import fraudworld.verification
from fraudworld.errors import FraudworldError
from fraudworld.policy.loader import SHIPPED, load_pack, write_pack
from fraudworld.store.layout import RunPlace
from fraudworld.store.publish import AREA
from fraudworld.store.seal import check_outside

assert fraudworld  # imported whole, for the server that children are forked from

TRASH = ".trash"
WITNESS = ".witness"
ALLOWED = (AREA, TRASH, ".upstream", ".store_6A.lock", WITNESS)
HIDDEN = re.compile(r"\..+-[0-9a-f]{8}\.part")
HERE = Path(__file__).resolve().parent
LONGEST_S = 180
"""A command that takes longer hangs; undisturbed ones take a second or two."""

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
    """One command to disturb, in words; `before` makes what it works on.

    Words in braces are filled in: the runs root, the overlay file, a pack with that overlay
    in it, the run of seed 42, and the baseline of seed 42.
    """

    name: str
    words: str
    before: tuple[str, ...] = ()
    status: int = 0
    again: int | None = None  # status where its work is done already; by default the same


RUN = f"run {WORLD} --seed 42"
PIN = "runs pin {run} candidate --runs-root {root}"
BASELINE = f"run {WORLD} --overlay published_baseline --seed 42"
LADDER = "ladder --policy {pack} --scale 0.05 --runs-root {root} --quiet --workers 2"
COMMANDS = (
    Command("run", RUN),
    Command("gates", "gates {run} --runs-root {root}", (RUN,)),
    Command("certify", f"certify --no-witness {WORLD}", (), status=1),  # so HOLD_REMEDIATE
    Command("transactions", "transactions {run} --days 1 --runs-root {root} --quiet", (RUN,)),
    Command("report", "report {run} --runs-root {root}", (RUN,)),
    Command(
        "export", "export {run} --to csv --out {root}/taken/out --runs-root {root}", (RUN,), 0, 3
    ),
    Command("upstream build", "upstream build {root}/own --scale 0.01", (), 0, 2),
    Command("prune", "runs prune --yes --runs-root {root}", (RUN, f"run {WORLD} --seed 7", PIN)),
    Command("attest", "attest {run} --runs-root {root}", (RUN,)),
    Command("ladder", f"{LADDER} --phases P1", (f"{LADDER} --phases P0",)),
    Command(
        "witness",  # so small a world proves nothing, and the verdict says so
        "witness {base} {run} --flows 20000 --runs-root {root} --quiet",
        (RUN, BASELINE),
        status=1,
    ),
)
BY_NAME = {command.name: command for command in COMMANDS}

Item = dict[str, str]
State = dict[str, Item]


class Stage:
    """Undisturbed templates of every command, and copies of them to disturb."""

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
        """The words of a command below `root`."""
        runs = {p.parent.name: json.loads(p.read_text("utf-8")) for p in _receipts(root)}
        mine = [name for name, receipt in sorted(runs.items()) if receipt["seed"] == 42]
        poor = [name for name in mine if "published_baseline" in runs[name]["overlays"]]
        good = [name for name in mine if name not in poor]
        return text.format(
            root=root,
            overlay=self.overlay,
            pack=self.pack,
            run=next(iter(good), "none"),
            base=next(iter(poor), "none"),
        ).split()

    def template(self, command: Command) -> tuple[Path, State, float]:
        """A root before the command, the items after it undisturbed, and its seconds."""
        if command.name not in self.made:
            root = self._ready(command.before)
            after = self.copy(root)
            self.undisturbed(command.words, after, command.status)  # caches of the disk fill
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
        """Run a command to its end; AssertionError where it ends otherwise than with `status`."""
        found = ended(self.start(text, root))
        assert found in status, f"{text}: {found}\n{said(root)}"

    def problems(self, command: Command, root: Path) -> list[str]:
        """What is wrong after a disturbance, and after the same command once more."""
        before, wanted, _ = self.template(command)
        old, found = items(before), items(root)
        kept = old.keys() & wanted.keys()  # a prune takes the others away
        wrong = [f"{name} was published and is gone" for name in sorted(kept - found.keys())]
        wrong += [
            f"{name} is neither as before nor as undisturbed: {_difference(wanted, found, name)}"
            for name in sorted(found)
            if found[name] not in (wanted.get(name), old.get(name))
        ]
        status = ended(self.start(command.words, root))
        done = command.again is not None and found == wanted
        if status != (command.again if done else command.status):
            wrong.append(f"run again it ends with {status}: {said(root)}")
        again = items(root)
        wrong += [
            f"run again, {name} differs: {_difference(wanted, again, name)}"
            for name in sorted(again.keys() | wanted.keys())
            if again.get(name) != wanted.get(name)
        ]
        return wrong + [f"left behind: {name}" for name in leftovers(root)]


def ended(process: ForkServerProcess) -> int:
    """Exit status of a process; AssertionError where it hangs."""
    process.join(LONGEST_S)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"still running after {LONGEST_S} s")
    return process.exitcode


def said(root: Path) -> str:
    """The last words of the command that ran below `root`."""
    log = root.with_name(f"{root.name}.log")
    return log.read_text("utf-8", "replace")[-2000:] if log.exists() else ""


def killed_at(stage: Stage, command: Command, instant: float) -> tuple[bool, list[str]]:
    """Kill a command `instant` of its usual time after its start: was it alive, what is wrong."""
    root = stage.copy(stage.template(command)[0])
    process = stage.start(command.words, root)
    process.join(instant * stage.template(command)[2])
    alive = process.exitcode is None
    if alive:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
    ended(process)
    wrong = stage.problems(command, root)
    if not wrong:
        shutil.rmtree(root)
    return alive, wrong


def changes(stage: Stage, command: Command) -> int:
    """How many changes of the disk a command makes, undisturbed."""
    root = stage.copy(stage.template(command)[0])
    ended(stage.start(command.words, root, (0, 0)))
    count = int(root.with_name(f"{root.name}.log.count").read_text())
    shutil.rmtree(root)
    return count


def failing_at(stage: Stage, command: Command, n: int, action: int) -> tuple[int, list[str]]:
    """Run a command whose `n`-th change of the disk fails: its status, and what is wrong."""
    root = stage.copy(stage.template(command)[0])
    status = ended(stage.start(command.words, root, (n, action)))
    words = said(root)
    wrong = stage.problems(command, root)
    if action and status not in (command.status, 2):
        wrong.append(f"ended with {status}: {words}")
    if "Traceback" in words:
        wrong.append(f"a traceback escaped: {words}")
    if not wrong:
        shutil.rmtree(root)
    return status, wrong


def jumping(stage: Stage, command: Command, seed: int) -> list[str]:
    """Run a command while the wall clock jumps by years: what is wrong."""
    root = stage.copy(stage.template(command)[0])
    status = ended(stage.start(command.words, root, clock=seed))
    wrong = stage.problems(command, root)
    if status != command.status:
        wrong.append(f"ended with {status}: {said(root)}")
    return wrong


def racing(stage: Stage, command: Command, runners: int = 2) -> list[str]:
    """Start a command several times at once: all succeed or are refused, and what is wrong."""
    root = stage.copy(stage.template(command)[0])
    racers = [stage.start(command.words, root) for _ in range(runners)]
    found = sorted(ended(racer) for racer in racers)
    wrong = stage.problems(command, root)
    if command.status not in found or not set(found) <= {command.status, 2, 3}:
        wrong.append(f"ended with {found}: {said(root)}")
    return wrong


def items(root: Path) -> State:
    """Everything published below a runs root: item → relative path → what it holds.

    Reports tell times, so of them only their names count, and that `run_index.json` agrees.
    """
    found: State = {}
    for path in sorted(p for p in root.rglob("*") if p.is_symlink() or p.is_file()):
        parts = path.relative_to(root).parts
        if parts[0] == ".store_6A.lock" or any(
            part in (AREA, TRASH) or HIDDEN.fullmatch(part) for part in parts
        ):
            continue  # nobody reads it; `leftovers` asks for it after the next run
        item = parts[0]
        if parts[0] == WITNESS:
            item = "/".join(parts[:3])  # a world or a stream each
        elif parts[0].startswith(".") and len(parts) > 1:
            item = "/".join(parts[:2])
        elif parts[0] == "reports":
            item = "/".join(parts)
        elif parts[1:4] == ("data", "layer3", "6B"):
            item = f"{parts[0]}: 6B"
        found.setdefault(item, {})["/".join(parts)] = _content(root, path, parts)
    return found


def leftovers(root: Path) -> list[str]:
    """Staging folders and unfinished files; locks may stay."""
    return sorted(
        p.relative_to(root).as_posix()
        for p in root.rglob("*")
        if (p.parent.name in (AREA, TRASH) and p.is_dir())
        or p.suffix in (".tmp", ".part")
        or (p.name.startswith(".") and p.name not in ALLOWED)
    )


def _content(root: Path, path: Path, parts: tuple[str, ...]) -> str:
    """What a file holds, moments and seconds left out."""
    depth = 3 if parts[:2] == (WITNESS, "worlds") else 1
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
        return "there"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _timeless(path: Path, *times: str) -> str:
    """A JSON document without the fields that tell a moment or a duration."""

    def still(value: object) -> object:
        if isinstance(value, dict):
            return {k: still(v) for k, v in value.items() if k not in times}
        return [still(v) for v in value] if isinstance(value, list) else value

    return json.dumps(still(json.loads(path.read_text("utf-8"))), sort_keys=True)


def _difference(wanted: State, found: State, name: str) -> str:
    a, b = wanted.get(name, {}), found.get(name, {})
    return ", ".join(sorted(p for p in a.keys() | b.keys() if a.get(p) != b.get(p))[:4])


def _receipts(root: Path) -> Iterator[Path]:
    return root.glob("[!.]*/run_receipt.json")


def _child(words: list[str], log: str, arm: tuple[str, str, int, int, int] | None) -> None:
    """Inside the forked child: the program itself, its words into a file."""
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
    """The server, with the failing disk below it where there is one."""
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
    kept = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def compiled(folder: Path) -> Path | None:
    """The failing disk as a library, or None where this machine cannot make or load it."""
    compiler = next((c for c in ("cc", "gcc", "clang") if shutil.which(c)), None)
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    library = folder / "faultline.so"
    words = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(HERE / "faultline.c")]
    done = subprocess.run([*words, "-ldl"], capture_output=True, text=True)
    return library if done.returncode == 0 else None
