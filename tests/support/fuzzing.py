"""Random and mutated input for every parser of the program, from a seed.

A parser (one line of `parsers`) takes bytes and returns a value or raises a typed error. Any other
exception, a case longer than HANG_S, or more than a gibibyte of memory is a finding. Inputs are
mutations of real ones: bits, slices, tokens, extreme numbers, and for JSON one node replaced by
another of any type.
"""

from __future__ import annotations

import base64
import io
import json
import random
import resource
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer
from typer._click.exceptions import ClickException  # the click that typer bundles

from fraudworld.cli import app as cli
from fraudworld.cli.certify import seed_list
from fraudworld.errors import FraudworldError
from fraudworld.layers.transactions.request import StreamRequest
from fraudworld.policy import overlay, source
from fraudworld.policy.loader import SHIPPED, load_pack
from fraudworld.remediation import chosen
from fraudworld.request import RunRequest
from fraudworld.store import attestation, bundle, decisions
from fraudworld.store.layout import RunPlace
from fraudworld.store.produce import Produce
from fraudworld.store.receipt import read_receipt
from fraudworld.store.seal import check_outside

HANG_S = 10.0
MOST_MEMORY = 1 << 30
TOKENS = (
    b"null", b"true", b"-1", b"0", b"1e999", b"-1e999", b"NaN", b"Infinity", b"9" * 40, b'"', b"'",
    b"{", b"}", b"[", b"]", b":", b",", b"- ", b"? ", b"&a ", b"*a", b"<<: ", b"!!python/name:os ",
    b"!!binary ", b"---\n", b"%YAML 1.1\n", b"\\u0000", b"\\ud800", b"\x00", b"\xff\xfe",
    b"\xef\xbb\xbf", b"../", b"/etc/passwd", b"\r\n", b"\t", b"=", b"\xf0\x9f\x92\xb8", b"|\n",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1 << 70, 0.5, 1e308, "", "x", "\ud800", "../x", "/x", "a" * 3000,
    [], {}, [[]], {"": None}, "0" * 64, float("inf"), float("nan"),
)  # fmt: skip

Parser = Callable[[bytes], object]


class Hang(BaseException):
    """A case took longer than HANG_S."""


@dataclass(frozen=True)
class Fuzzed:
    """A parser, real inputs to mutate, and its weight among all cases."""

    name: str
    parse: Parser
    corpus: tuple[bytes, ...]
    weight: int


@dataclass
class Tally:
    """Results of a series: cases, refusals and slowest case per parser, and findings."""

    cases: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    slowest: dict[str, float] = field(default_factory=dict)

    @property
    def peak_bytes(self) -> int:
        """Peak memory of this process."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def parsers(folder: Path, run: Path) -> tuple[Fuzzed, ...]:
    """Every parser with its corpus; `run` is a published run, `folder` holds fuzzed files."""
    files = tuple(sorted(SHIPPED.rglob("*.yaml")))
    packs = tuple(p.read_bytes() for p in files if p.parent.name != "overlays")
    overlays = tuple(p.read_bytes() for p in files if p.parent.name == "overlays")
    place = RunPlace(run)
    scratch = RunPlace(folder / "run")
    scratch.validation.mkdir(parents=True)
    decisions.place(folder, "P0").parent.mkdir(parents=True)
    scratch.reports.mkdir()
    # The fuzzed index names four members, as every case hashes them.
    short_index = json.loads(place.bundle_index.read_text("utf-8"))
    short_index["members"] = short_index["members"][:4]
    sealed = folder / "segment"
    sealed.mkdir()
    (sealed / "table").write_bytes(b"data")
    bundle.seal(sealed, ["table"])
    produce = Produce(
        scratch.root,
        scratch.bundle_index,
        scratch.flag,
        dict,
        "6A.S5.OUTPUT_CONFLICT",
        "run",
        "none",
    )
    pack = json.loads(load_pack().pack.model_dump_json())

    def file_parser(path: Path, parse_file: Callable[[], object]) -> Parser:
        def parse(data: bytes) -> object:
            path.write_bytes(data)
            return parse_file()

        return parse

    def parse_overlay(data: bytes) -> None:
        faults: list[source.Fault] = []
        parsed = source.parse(data, "x.yaml", faults)
        if parsed is not None:
            change = overlay.from_data(parsed, "x.yaml", str(parsed.get("name")), faults)
            overlay.apply(pack, change, faults)
        if faults:
            raise FoundFaultsError

    def parse_policy(data: bytes) -> None:
        faults: list[source.Fault] = []
        if source.parse(data, "x.yaml", faults) is None or faults:
            raise FoundFaultsError

    def parse_index(data: bytes) -> object:
        (sealed / bundle.INDEX).write_bytes(data)
        return bundle.verify(sealed, "1A")

    return (
        Fuzzed("policy file", parse_policy, tuple(p for p in packs if len(p) < 4000), 12),
        Fuzzed("overlay", parse_overlay, overlays, 8),
        Fuzzed("upstream index", parse_index, ((sealed / bundle.INDEX).read_bytes(),), 20),
        Fuzzed(
            "bundle index", file_parser(scratch.bundle_index, produce.check),
            (json.dumps(short_index).encode(),), 5,
        ),
        Fuzzed(
            "receipt", file_parser(scratch.receipt, lambda: read_receipt(scratch)),
            (place.receipt.read_bytes(),), 15,
        ),
        Fuzzed(
            "run index", file_parser(scratch.run_index, lambda: check_outside(scratch)),
            (place.run_index.read_bytes(),), 10,
        ),
        Fuzzed(
            "decision",
            file_parser(
                decisions.place(folder, "P0"), lambda: decisions.read_decision(folder, "P0")
            ),
            (_DECISION,), 15,
        ),
        Fuzzed("attestation", _attested(folder / "attestation.json"), _envelopes(place), 10),
        Fuzzed("requests", _request, _REQUESTS, 5),
        Fuzzed("arguments", _arguments, _LINES, 5),
    )  # fmt: skip


class FoundFaultsError(Exception):
    """The parser returned faults instead of raising."""


def pack_loads(folder: Path) -> Fuzzed:
    """Policy packs with one mutated file, loaded, validated and hashed."""
    pack = folder / "pack-loads"
    shutil.copytree(SHIPPED, pack)
    files = sorted(p for p in pack.rglob("*.yaml") if p.parent.name != "overlays")
    originals = [p.read_bytes() for p in files]

    def parse(data: bytes) -> object:
        number, _, text = data.partition(b"\0")
        at = int(number) if number.isdigit() and int(number) < len(files) else 0
        files[at].write_bytes(text)
        try:
            return load_pack(pack)
        finally:
            files[at].write_bytes(originals[at])

    corpus = tuple(b"%d\0%s" % (i, data) for i, data in enumerate(originals))
    return Fuzzed("policy pack", parse, corpus, 1)


def series(parsers: Sequence[Fuzzed], cases: int, seed: int, tally: Tally | None = None) -> Tally:
    """Runs `cases` cases over the parsers by weight; findings name seed and case."""
    tally = tally or Tally()
    rng = random.Random(seed)
    weights = [parser.weight for parser in parsers]
    for case in range(cases):
        (parser,) = rng.choices(parsers, weights)
        data = mutated(rng.choice(parser.corpus), rng)
        try_one(parser, data, tally, f"seed {seed}, case {case}")
    return tally


def try_one(parser: Fuzzed, data: bytes, tally: Tally, origin: str) -> None:
    """Runs one case and counts it in the tally."""
    tally.cases[parser.name] = tally.cases.get(parser.name, 0) + 1
    began = time.perf_counter()
    try:
        with _alarm():
            parser.parse(data)
    except (FraudworldError, ClickException, typer.Exit, FoundFaultsError):
        tally.refused[parser.name] = tally.refused.get(parser.name, 0) + 1
    except (Exception, Hang) as error:
        trace = "".join(traceback.format_exception(error)[-3:])
        tally.findings.append(f"{parser.name}, {origin}: {data[:300]!r}\n{trace}")
    slow = time.perf_counter() - began
    tally.slowest[parser.name] = max(tally.slowest.get(parser.name, 0.0), slow)


@contextmanager
def _alarm() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Hang(f"longer than {HANG_S} s")

    old = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to four mutations of an input, or a mutation of its JSON, or random bytes."""
    choice = rng.random()
    if choice < 0.02:
        return rng.randbytes(rng.randrange(200))
    if choice < 0.5 and data[:1] == b"{":
        return _other_node(data, rng)
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        end = min(len(out), at + int(rng.expovariate(1 / 20)))
        mutation = rng.randrange(8)
        if mutation == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif mutation == 1:
            del out[at:end]
        elif mutation == 2:
            out[at:at] = out[at:end] * rng.choice((1, 2, 50))
        elif mutation == 3:
            out[at:at] = rng.choice(TOKENS)
        elif mutation == 4:
            out[at:end] = rng.choice(TOKENS) * rng.choice((1, 1, 3, 400))
        elif mutation == 5:
            del out[at:]
        elif mutation == 6:
            out[at:end] = rng.randbytes(end - at)
        else:
            _other_number(out, rng)
    return bytes(out)


def _other_number(out: bytearray, rng: random.Random) -> None:
    digits = [i for i, byte in enumerate(out) if 48 <= byte <= 57]
    if digits:
        at = rng.choice(digits)
        out[at : at + 1] = rng.choice(
            (b"-1", b"0", b"1e400", b"-1e400", b".", b"9" * 30, b"1e-400")
        )


def _other_node(data: bytes, rng: random.Random) -> bytes:
    """The JSON document with one node replaced, dropped, or copied under another key."""
    document = json.loads(data)
    holder: Any = document
    for _ in range(rng.randrange(6)):
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        deeper = [k for k in keys if isinstance(holder[k], dict | list) and holder[k]]
        if not deeper or rng.random() < 0.2:
            break
        holder = holder[rng.choice(deeper)]
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    if not keys:
        return data
    key = rng.choice(keys)
    mutation = rng.randrange(4)
    if mutation == 0:
        del holder[key]
    elif mutation == 1 and isinstance(holder, dict):
        holder[rng.choice(("path", "x", "seed", "é"))] = holder[key]
    else:
        holder[key] = rng.choice(VALUES)
    return json.dumps(document).encode()


def _attested(path: Path) -> Parser:
    def parse(data: bytes) -> object:
        if b"_type" in data[:40]:  # a statement, which needs an envelope
            data = json.dumps(attestation.envelope(data)).encode()
        path.write_bytes(data)
        return attestation.read_attestation(path)

    return parse


def _envelopes(place: RunPlace) -> tuple[bytes, ...]:
    published = attestation.read_attestation(attestation.place_of(place))
    short = published.statement | {"subject": published.statement["subject"][:2]}
    short["predicate"] = {"grade": "B"}
    inner = json.dumps({"_type": short.pop("_type"), **short}).encode()
    signed = attestation.envelope(inner) | {
        "signatures": [{"sig": base64.b64encode(b"x" * 64).decode(), "keyid": "k"}]
    }
    return inner, json.dumps(signed).encode()


_DECISION = json.dumps(
    decisions.Decision(
        phase="P0", decision="HOLD_REMEDIATE", seeds=(42,), run_ids=("0" * 32,),
        digests={"reports/x.json": "0" * 64},
        done_when=(decisions.Finding("pinned", True, {"role": "baseline", "n": 1.5}),),
        vetoes=("no flag",), blockers=(), basis={"adds": [], "tests": {"T1": {"value": None}}},
    ).as_dict()
).encode()  # fmt: skip
_REQUESTS = (
    b'{"run": {"profile": "demo", "seed": 42, "scale": 1.0, "role": "none", "workers": 2}}',
    b'{"run": {"shard_parties": 5, "run_id": "'
    + b"0" * 32
    + b'", "engine": "local", "memory": 0.5}}',
    b'{"run": {"engine": "dask", "scheduler": "tcp://there:8786"}}',
    b'{"stream": {"days": 7, "from_day": 1, "workers": 2}}',
)
_RUN = ("profile", "seed", "scale", "role", "workers", "shard_parties", "run_id", "engine",
        "scheduler", "memory")  # fmt: skip
_STREAM = ("days", "from_day", "flows", "workers")


def _request(data: bytes) -> object:
    """Requests from values, each converted to its declared type as the command line does."""
    try:
        document = json.loads(data)
        texts = dict.fromkeys(("profile", "role", "run_id", "engine", "scheduler"), str)
        types = {**texts, "scale": float, "memory": float}
        requests = {
            name: {k: types.get(k, int)(v) for k, v in values.items()}
            for name, values in document.items()
        }
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise FoundFaultsError from error
    for name, values in requests.items():
        if name == "run":
            return RunRequest(**{k: v for k, v in values.items() if k in _RUN})
        return StreamRequest(run=Path("x"), **{k: v for k, v in values.items() if k in _STREAM})
    return None


_LINES = tuple(
    line.encode()
    for line in (
        "run --profile demo --seed 42 --scale 1.0 --overlay a --runs-root r --workers 2 --json",
        "run --run-id 00112233445566778899aabbccddeeff --shard-parties 100 --role witness:7",
        "certify --seeds 42,7,101,202 --profile small",
        "transactions abcd --days 7 --from-day 2 --observable --to x",
        "verify abcd --deep --key k.pem",
        "export abcd --to csv --out o",
        "policy diff a b",
        "upstream build x --scale 2",
        "runs show abcd --json",
        "ladder --phases P0..P4 --seeds 42,7,101,202 --keep-all",
    )
)
_COMMAND = typer.main.get_command(cli.app)


def _arguments(data: bytes) -> object:
    """Parses a command line completely, without running it, and its list of seeds."""
    words = data.decode("utf-8", "surrogateescape").split(" ")
    if "--seeds" in words[:-1]:
        seed_list(words[words.index("--seeds") + 1])
    if "--phases" in words[:-1]:
        chosen(words[words.index("--phases") + 1])
    with redirect_stdout(io.StringIO()):  # a group without a command shows its help
        return _parsed(_COMMAND, words)


def _parsed(command: Any, words: list[str]) -> object:
    context = None
    while hasattr(command, "resolve_command"):
        context = command.make_context("fraudworld", list(words), parent=context)
        remaining = [*context._protected_args, *context.args]
        if not remaining:
            context.fail("Missing command.")  # as running it does
        _, command, words = command.resolve_command(context, remaining)
    return command.make_context("x", list(words), parent=context)
