"""Endpoints that are a merchant's own: consecutive corporate or data-centre nodes.

Twin: tests/reference/endpoints.py:merchant_endpoints.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudworld.inputs.arrays import Merchants
from fraudworld.kernels import offsets
from fraudworld.kernels.discrete import choices, thresholds, zero_inflated_poisson
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import StreamUse, registry
from fraudworld.stages.pieces import MerchantEndpoints


def merchant_endpoints(
    pack: PolicyPack, seed: int, merchants: Merchants, nodes: NDArray[np.int64]
) -> tuple[MerchantEndpoints, StreamUse]:
    """Endpoints of every merchant, in its country.

    A merchant draws how many (zero-inflated Poisson), of which type, and where among the nodes of
    that type they begin. A country without such nodes takes those of the policy's other types.

    nodes: of every country and type, (countries, types).
    """
    rules, types = pack.graph_linkage_rules, pack.codes("ip_type")
    law = rules.merchant_endpoints
    stream = registry.MERCHANT_ENDPOINT.of(seed)
    draws = stream.draws(0, merchants.n)
    row = np.zeros(merchants.n, dtype=np.uint8)
    cuts = thresholds([zero_inflated_poisson(law.zero_share, law.mean, law.maximum)])
    wanted = choices(np.ascontiguousarray(draws[:, 0]), row, cuts).astype(np.int64)
    shares = thresholds([[rules.merchant_endpoint_types.get(t, 0.0) for t in types]])
    type_ = choices(np.ascontiguousarray(draws[:, 1]), row, shares).astype(np.int64)

    sizes = nodes.ravel()
    first_node = offsets.from_counts(sizes)
    first_unit = merchants.home_country.astype(np.int64) * len(types)
    unit = first_unit + type_
    for name in sorted(rules.merchant_endpoint_types):
        unit = np.where(sizes[unit] == 0, first_unit + types.index(name), unit)
    room = sizes[unit]
    count = np.minimum(wanted, room)
    begin = ((draws[:, 2] >> np.uint64(32)) * room.astype(np.uint64)) >> np.uint64(32)
    merchant = np.repeat(np.arange(merchants.n), count)
    within = np.arange(merchant.size) - offsets.from_counts(count)[merchant]
    node = (begin.astype(np.int64)[merchant] + within) % np.maximum(room[merchant], 1)
    ip = first_node[unit[merchant]] + node
    order = np.lexsort((merchant, ip))
    endpoints = MerchantEndpoints(ip[order], merchant[order].astype(np.uint32))
    return endpoints, stream.use("merchants", 0, merchants.n)
