"""Reproducibility by seed in other public generators: runs each twice and compares.

Not part of the package or its tests. In an environment of its own (Spark needs a Java 17):

    python -m venv build/seeds
    build/seeds/bin/pip install faker misata sdv
    build/seeds/bin/pip install dbldatagen 'pyspark<4' jmespath pyparsing setuptools
    build/seeds/bin/python benches/seeds_elsewhere.py

Prints one line per question; docs/dask.md quotes them. Two answers are equal if the SHA-256 of all
values, with sorted rows, is.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from ipaddress import IPv4Network

warnings.simplefilter("ignore")
LOOPBACK = str(IPv4Network("127.0.0.0/8")[1])
os.environ.setdefault("SPARK_LOCAL_IP", LOOPBACK)
Case = tuple[str, str, dict[str, object], dict[str, object]]
"""(generator, question, first settings, second settings)."""

CASES: tuple[Case, ...] = (
    ("faker", "same seed, another process", {}, {}),
    ("faker", "20 rows at once, or 2 × 10 each after Faker.seed(42)", {}, {"chunks": 2}),
    ("faker", "locale en_US, or en_US and de_DE", {}, {"locales": ["en_US", "de_DE"]}),
    ("misata", "same story and seed, another process", {}, {}),
    ("sdv", "same data fitted twice, first sample", {}, {}),
    ("sdv", "second sample of one synthesizer", {}, {"skip": 1}),
    ("sdv", "second sample, after reset_sampling()", {}, {"skip": 1, "reset": True}),
    ("sdv", "100 rows at once or 4 × 25", {}, {"batch_size": 25}),
    ("sdv ctgan", "fitted twice without seeding torch", {}, {}),
    ("sdv ctgan", "fitted twice, torch and numpy seeded", {"seed": 7}, {"seed": 7}),
    ("dbldatagen", "same settings twice, randomSeed=42", {}, {}),
    ("dbldatagen", "4 or 8 partitions, randomSeed=42", {}, {"partitions": 8}),
    (
        "dbldatagen",
        "same settings twice, method hash_fieldname",
        {"method": "hash_fieldname"},
        {"method": "hash_fieldname"},
    ),
    (
        "dbldatagen",
        "4 or 8 partitions, method hash_fieldname",
        {"method": "hash_fieldname"},
        {"method": "hash_fieldname", "partitions": 8},
    ),
    (
        "dbldatagen",
        "4 or 8 partitions, values derived from the row id by hash",
        {"derived": True},
        {"derived": True, "partitions": 8},
    ),
    ("spark", "rand(42) twice", {}, {}),
    ("spark", "rand(42) over 4 or 8 partitions", {}, {"partitions": 8}),
)


def faker(chunks: int = 1, locales: object = "en_US") -> Iterator[object]:
    from faker import Faker

    for _ in range(chunks):
        fake = Faker(locales)
        Faker.seed(42)
        yield from ((fake.name(), fake.iban()) for _ in range(20 // chunks))


def misata() -> Iterator[object]:
    import misata

    story = "A fintech company with customers and transactions"
    for name, table in misata.generate(story, rows=200, seed=42).items():
        yield from ((name, *row) for row in table.itertuples(index=False, name=None))


def sdv(
    model: str = "GaussianCopulaSynthesizer",
    skip: int = 0,
    reset: bool = False,
    batch_size: int | None = None,
    seed: int | None = None,
) -> Iterator[object]:
    import numpy as np
    import pandas as pd
    import sdv.single_table
    from sdv.metadata import Metadata

    rng = np.random.default_rng(1)
    data = pd.DataFrame({"a": rng.normal(size=300), "b": rng.integers(0, 5, 300)})
    metadata = Metadata.detect_from_dataframes({"t": data})
    if seed is not None:
        import torch

        torch.manual_seed(seed)
        np.random.seed(seed)
    options = {"epochs": 2} if model.startswith("CTGAN") else {}
    synthesizer = getattr(sdv.single_table, model)(metadata, **options)
    synthesizer.fit({"t": data})
    for _ in range(skip):
        synthesizer.sample(100)
    if reset:
        synthesizer.reset_sampling()
    rows = synthesizer.sample(100, batch_size=batch_size)["t"]
    yield from rows.itertuples(index=False, name=None)


def sdv_ctgan(**settings: object) -> Iterator[object]:
    return sdv("CTGANSynthesizer", **settings)  # type: ignore[arg-type]


def _session() -> object:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = builder.config("spark.driver.bindAddress", LOOPBACK).getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    return session


def dbldatagen(
    partitions: int = 4, method: str | None = None, derived: bool = False
) -> Iterator[object]:
    import dbldatagen as dg

    generator = dg.DataGenerator(
        _session(), rows=1000, partitions=partitions, randomSeed=42, randomSeedMethod=method
    )
    if derived:
        generator = generator.withColumn("x", "int", minValue=1, maxValue=10**6, baseColumn="id",
                               baseColumnType="hash")  # fmt: skip
    else:
        generator = generator.withColumn("x", "int", minValue=1, maxValue=10**6, random=True)
    yield from map(tuple, generator.withIdOutput().build().collect())


def spark(partitions: int = 4) -> Iterator[object]:
    from pyspark.sql import functions

    frame = _session().range(0, 1000, 1, partitions)
    yield from map(tuple, frame.withColumn("x", functions.rand(42)).collect())


GENERATORS: dict[str, Callable[..., Iterator[object]]] = {
    "faker": faker,
    "misata": misata,
    "sdv": sdv,
    "sdv ctgan": sdv_ctgan,
    "dbldatagen": dbldatagen,
    "spark": spark,
}


def _digest(generator: str, settings: dict[str, object]) -> str:
    """Digest of the rows that one process generates."""
    words = [sys.executable, __file__, generator, json.dumps(settings)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1]}"
    return done.stdout.split()[-1]


def main() -> None:
    known: dict[str, str] = {}
    for generator, question, first, second in CASES:
        package = generator.split()[0].replace("spark", "pyspark")
        key = json.dumps([generator, first])
        a = known.get(key) or known.setdefault(key, _digest(generator, first))
        b = _digest(generator, second)
        failed = next((d for d in (a, b) if d.startswith("failed")), None)
        verdict = failed or ("equal" if a == b else "DIFFERENT")
        print(f"{package} {version(package)} | {question} | {verdict}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        rows = sorted(map(repr, GENERATORS[sys.argv[1]](**json.loads(sys.argv[2]))))
        print(hashlib.sha256("\n".join(rows).encode()).hexdigest())
    else:
        main()
