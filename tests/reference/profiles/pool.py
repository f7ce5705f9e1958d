"""Twin of the pool of P4. Twin of layers/profiles/pool.py."""

from __future__ import annotations

import math

from reference.profiles.people import People, weighted
from reference.profiles.towns import Row, draws
from reference.transactions.choices import happens


def pool(
    people: People, world: dict[str, list[Row]]
) -> tuple[list[Row], list[tuple[str, str, bool]]]:
    """Rows of p4_unlinked_pool_6P; country, operator and version (IPv4) of its endpoints."""
    law, v6 = people.policy.pool, people.pack.ip_count_priors.ipv6_share
    draw = draws(people.seed, "6P.P4/pool", 2)
    operators = people.pack.codes("asn_class")
    classes = people.policy.devices.model_classes
    models = tuple(sorted({c for of in classes.values() for c in of}))
    rows: list[Row] = []
    cells: list[tuple[str, str, bool]] = []
    for country in people.towns.countries:
        devices = sum(
            d["home_country_iso"] == country and d["primary_party_id"] is not None
            for d in world["s4_device_base_6A"]
        )
        endpoints = sum(ip["country_iso"] == country for ip in world["s4_ip_base_6A"])
        for kind, share in sorted(law.devices.items()):
            for _ in range(max(math.floor(devices * share + 0.5), law.least)):
                model = weighted(draw(len(rows), 0), classes[kind], models)
                rows.append({"entity": "DEVICE", "type": kind, "country_iso": country,
                             "model_class": model, "address": None, "asn": None})  # fmt: skip
        for kind, share in sorted(law.endpoints.items()):
            for _ in range(max(math.floor(endpoints * share + 0.5), law.least)):
                operator = weighted(draw(len(rows), 0), law.operators[kind], operators)
                is_v4 = not happens(draw(len(rows), 1), v6[kind])
                cells.append((country, operator, is_v4))
                rows.append({"entity": "IP", "type": kind, "country_iso": country,
                             "model_class": None})  # fmt: skip
    return [{"pool_id": i, **row} for i, row in enumerate(rows, 1)], cells
