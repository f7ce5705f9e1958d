"""Exports to graph tools: Neo4j, Ladybug, PyTorch Geometric; graphs for networkx and igraph."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudworld.api import World
from fraudworld.arguments import whole, word
from fraudworld.contracts import TABLES, Kind, Table
from fraudworld.errors import InputError
from fraudworld.export import checked
from fraudworld.export.graph import EDGES, NODE, NODES, Edge, Node
from fraudworld.extras import needs
from fraudworld.request import MOST_ENTITIES
from fraudworld.store.sql import quoted

if TYPE_CHECKING:
    import duckdb

ROLE_COLUMNS = ("raw_role", "canonical_role_family", "risk_tier")


_NEO4J = {Kind.INT: ":long", Kind.REAL: ":double", Kind.DATE: ":date", Kind.FLAG: ":boolean"}
_LADYBUG = {Kind.INT: "INT64", Kind.REAL: "DOUBLE", Kind.DATE: "DATE", Kind.FLAG: "BOOLEAN"}
"""Types of node properties in headers; all others are strings."""


def to_neo4j(
    world: World, folder: Path, *, observable: bool, profiles: Sequence[Table] = ()
) -> None:
    """Node and relationship CSV for `neo4j-admin database import full`, and a script with it.

    Every label has an id space of its own in the headers, since ids repeat between labels, and ids
    are declared as numbers: queries compare them with numbers.
    """
    source = checked.source(world, (*TABLES, *profiles))
    arguments = []
    for node in NODES:
        columns = node.columns(truth=not observable, profiles=profiles)
        key = f"{node.key}:ID({node.label}){{id-type:long}}"
        header = [key, *(f"{c.name}{_NEO4J.get(c.kind, '')}" for c in columns)]
        path = folder / f"nodes_{node.entity}.csv"
        _copy(source, node.query(truth=not observable, profiles=profiles), path, header)
        arguments.append(f"--nodes={node.label}={path.name}")
    for edge in EDGES:
        header = [f":START_ID({edge.source})", f":END_ID({edge.target})", *edge.columns]
        path = folder / f"edges_{edge.source}_{edge.type}_{edge.target}.csv".lower()
        _copy(source, edge.query, path, header)
        arguments.append(f"--relationships={edge.type}={path.name}")
    words = ["neo4j-admin database import full fraudworld", *map(shlex.quote, arguments)]
    command = " \\\n  ".join(words)
    (folder / "import.sh").write_text(
        f"#!/bin/sh\n# Run in this folder, with Neo4j stopped.\n{command}\n", "utf-8"
    )


def _copy(source: duckdb.DuckDBPyConnection, query: str, path: Path, header: list[str]) -> None:
    """Writes the result of a query as CSV under the given header."""
    path.write_text(",".join(header) + "\n", "utf-8")
    rows = path.with_suffix(".rows")
    source.execute(f"COPY ({query}) TO {quoted(rows)} (FORMAT csv, HEADER false, DELIMITER ',')")
    with path.open("ab") as out, rows.open("rb") as source_rows:
        while chunk := source_rows.read(1 << 22):
            out.write(chunk)
    rows.unlink()


def to_ladybug(
    world: World, folder: Path, *, observable: bool, profiles: Sequence[Table] = ()
) -> None:
    """`world.lbdb`: an embedded graph database, a node table a label, a rel table an edge."""
    ladybug = needs("ladybug")
    source = checked.source(world, (*TABLES, *profiles))
    connection = ladybug.Connection(ladybug.Database(str(folder / "world.lbdb")))
    staged = folder / "staged.parquet"

    def load(name: str, query: str) -> None:
        source.execute(f"COPY ({query}) TO {quoted(staged)} (FORMAT parquet)")
        # Cypher escapes by backslash, as JSON does, not by doubling.
        connection.execute(f"COPY {name} FROM {json.dumps(str(staged), ensure_ascii=False)}")

    for node in NODES:
        columns = node.columns(truth=not observable, profiles=profiles)
        types = (f"{c.name} {_LADYBUG.get(c.kind, 'STRING')}" for c in columns)
        declared = ", ".join([f"{node.key} INT64", *types])
        connection.execute(f"CREATE NODE TABLE {node.label}({declared}, PRIMARY KEY ({node.key}))")
        load(node.label, node.query(truth=not observable, profiles=profiles))
    for edge in EDGES:
        declared = "".join(f", {c} STRING" for c in edge.columns)
        connection.execute(
            f"CREATE REL TABLE {edge.type}(FROM {edge.source} TO {edge.target}{declared})"
        )
        load(edge.type, edge.query)
    staged.unlink(missing_ok=True)
    connection.close()


def to_pyg(
    world: World,
    folder: Path,
    *,
    observable: bool,
    profiles: Sequence[Table] = (),
) -> None:
    """`hetero.pt`: the `HeteroData` of `hetero_data`, for `torch.load(…, weights_only=False)`.

    Features are those of 6A, with profiles and without.
    """
    torch = needs("torch")
    torch.save(hetero_data(world, observable=observable), folder / "hetero.pt")


def hetero_data(world: World, *, observable: bool = False) -> Any:
    """The world as a PyTorch Geometric `HeteroData`.

    Nodes are ordered by id, so row = id − 1; merchant ids have gaps and are in `node_id`. `x`
    holds the observable code columns one-hot, named `column=CODE` in `x_names`; `y`, omitted with
    `observable`, is 1 for a role family other than the clean one. Every edge type has a reverse
    (`rev_…`).
    """
    torch = needs("torch")
    data = needs("torch_geometric.data").HeteroData()
    source = checked.source(world)
    ids: dict[str, np.ndarray[Any, Any]] = {}
    for node in NODES:
        columns = source.execute(node.query(truth=True)).fetchnumpy()
        ids[node.label] = np.asarray(columns[node.key])
        data[node.label].node_id = torch.from_numpy(ids[node.label].astype(np.int64))
        data[node.label].x_names, x = _one_hot(node, columns)
        data[node.label].x = torch.from_numpy(x)
        if node.roles and not observable:
            data[node.label].y = torch.from_numpy(_risky(world, node, columns))
    for edge in EDGES:
        edges = source.execute(edge.query).fetchnumpy()
        ends = [
            np.searchsorted(ids[label], np.asarray(edges[column]))
            for label, column in ((edge.source, "source"), (edge.target, "target"))
        ]
        index = torch.from_numpy(np.stack(ends).astype(np.int64))
        data[edge.source, edge.type.lower(), edge.target].edge_index = index
        data[edge.target, f"rev_{edge.type.lower()}", edge.source].edge_index = index.flip(0)
    return data


def _one_hot(node: Node, columns: dict[str, Any]) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Names and one-hot columns of a label's observable codes; one constant column without."""
    codes = [c.name for c in node.columns(truth=False) if c.kind is Kind.CODE]
    codes = [c for c in codes if c != "country_iso" and c != "home_country_iso"]
    size = len(columns[node.key])
    names, blocks = list[str](), []
    for name in codes:
        words, position = np.unique(np.asarray(columns[name], dtype=str), return_inverse=True)
        names += [f"{name}={word}" for word in words]
        blocks.append(np.eye(words.size, dtype=np.float32)[position])
    if not blocks:
        return ["constant"], np.ones((size, 1), dtype=np.float32)
    return names, np.concatenate(blocks, axis=1)


def _risky(world: World, node: Node, columns: dict[str, Any]) -> np.ndarray[Any, Any]:
    from fraudworld.store.published import sealed_policy

    clean = sealed_policy(world.root).fraud_role_taxonomy.entities[node.entity].clean_family
    family = np.asarray(columns["canonical_role_family"], dtype=str)
    return np.asarray(family != clean, dtype=np.int64)


def neighbourhood(world: World, party_id: int, *, hops: int = 3) -> tuple[list[Any], list[Any]]:
    """Nodes and edges within `hops` of a party: ((label, id), …), ((source, target, type), …).

    Raises InputError `6A.CLI.PARTY_NOT_FOUND` for an unknown party.
    """
    party_id = whole(party_id, "party_id", least=1, most=MOST_ENTITIES)
    hops = whole(hops, "hops", least=0)
    source = checked.source(world)
    row = source.execute(
        "SELECT count(*) FROM s1_party_base_6A WHERE party_id = ?", [party_id]
    ).fetchone()
    if not row or not row[0]:
        raise InputError(
            "6A.CLI.PARTY_NOT_FOUND",
            f"there is no party {party_id}",
            where=str(world.root),
            remedy="ids are dense from 1 to the number of parties",
        )
    nodes, edges = {("Party", party_id)}, set()
    frontier = set(nodes)
    for _ in range(hops):
        reached = set()
        for edge in EDGES:
            for end, other in (("source", "target"), ("target", "source")):
                label = edge.source if end == "source" else edge.target
                known = [i for kind, i in frontier if kind == label]
                if not known:
                    continue
                for near, far in source.execute(
                    f"SELECT {end}, {other} FROM ({edge.query}) WHERE {end} IN"
                    " (SELECT unnest(?::BIGINT[]))",
                    [known],
                ).fetchall():
                    there = edge.target if end == "source" else edge.source
                    a, b = (label, near), (there, far)
                    edges.add((a, b, edge.type) if end == "source" else (b, a, edge.type))
                    reached.add(b)
        frontier = reached - nodes
        nodes |= reached
    return sorted(nodes), sorted(edges)


def networkx_graph(world: World, party_id: int, *, hops: int = 3) -> Any:
    """The neighbourhood of a party as a networkx `MultiDiGraph`; nodes are (label, id)."""
    graph = needs("networkx").MultiDiGraph()
    nodes, edges = neighbourhood(world, party_id, hops=hops)
    for label, id_ in nodes:
        graph.add_node((label, id_), label=label)
    for source, target, type_ in edges:
        graph.add_edge(source, target, key=type_, type=type_)
    return graph


def igraph_graph(world: World, edge: Edge | str = "SEEN_ON") -> Any:
    """All edges of one type as a bipartite igraph `Graph`.

    Vertices are the sources, then the targets, each ordered by id; attributes `id` and `type`
    (False: source). Raises InputError `6A.CLI.ARGUMENT_INVALID` for an unknown edge.
    """
    igraph = needs("igraph")
    known = {e.type: e for e in EDGES}
    chosen = edge if isinstance(edge, Edge) else known.get(word(edge, "edge"))
    if chosen is None:
        raise InputError(
            "6A.CLI.ARGUMENT_INVALID",
            f"there is no edge {edge!r}",
            where="igraph_graph",
            remedy=f"choose one of {', '.join(known)}",
        )
    source = checked.source(world)
    sides = []
    for label in (chosen.source, chosen.target):
        node = NODE[label]
        sides.append(np.asarray(source.execute(node.query(truth=True)).fetchnumpy()[node.key]))
    edges = source.execute(chosen.query).fetchnumpy()
    sources = np.searchsorted(sides[0], np.asarray(edges["source"]))
    targets = np.searchsorted(sides[1], np.asarray(edges["target"])) + sides[0].size
    graph = igraph.Graph(
        n=sides[0].size + sides[1].size, edges=np.stack([sources, targets], axis=1)
    )
    graph.vs["id"] = np.concatenate(sides).tolist()
    graph.vs["type"] = [False] * sides[0].size + [True] * sides[1].size
    return graph
