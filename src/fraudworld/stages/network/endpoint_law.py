"""The law of endpoints: degrees, matching, link roles and attributes, for one policy and seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.kernels.discrete import thresholds
from fraudworld.policy.models import IpDegree
from fraudworld.policy.pack import PolicyPack
from fraudworld.rng import Stream, registry
from fraudworld.stages.network.abroad import AbroadLaw

U8 = NDArray[np.uint8]
U64 = NDArray[np.uint64]

NEVER = np.uint64(1 << 63)
"""A threshold above every draw."""

NODE_SPACE = 1 << 32
"""Elements of a stream that a country reserves for the degrees of one type."""

ROLES = "RECENT_LOGIN_IP", "TYPICAL_DEVICE_IP", "SHARED_PUBLIC_WIFI"
"""Roles of a link that is not typical, of a typical one, and of one by public access."""


class RoleLaw(NamedTuple):
    """Roles of device–IP links."""

    key: tuple[np.uint64, np.uint64]  # of the stream with a draw per link
    codes: U8  # of ROLES, (3,)
    public: U64  # threshold of public access, NEVER for none; (types,)


@dataclass(frozen=True)
class EndpointLaw:
    """What every country needs of the law of endpoints; tuples and arrays are by type."""

    home_type: int
    mixed: bool  # home links are matched to nodes of drawn degrees like all others
    degree: tuple[IpDegree | None, ...]
    cap: int  # of degrees
    nodes: tuple[Stream, ...]  # degree of a node
    matching: tuple[Stream, ...]  # shuffle of stubs, and partners of swaps
    attempts: int  # random partners tried per double
    eligible: tuple[tuple[int, ...], ...]  # types a link may move to, by group of the device
    roles: RoleLaw
    access: Stream  # public access of a link
    asn: U64  # thresholds of operator classes, (types, classes)
    version: U64  # thresholds of IP versions, (types, versions)
    attributes: Stream  # operator class, then IP version of an endpoint
    abroad: AbroadLaw

    @classmethod
    def of(cls, pack: PolicyPack, seed: int) -> EndpointLaw:
        """The law of one policy and seed."""
        priors, rules = pack.ip_count_priors, pack.graph_linkage_rules
        types, roles = pack.codes("ip_type"), pack.codes("ip_link_role")
        asn, version = _attribute_thresholds(pack)
        access = registry.PUBLIC_ACCESS.of(seed)
        public = [_public_threshold(rules.public_access_share.get(t, 0.0)) for t in types]
        codes = np.array([roles.index(r) for r in ROLES], dtype=np.uint8)
        return cls(
            home_type=types.index("RESIDENTIAL"),
            mixed=priors.degree_model == "unbounded",
            degree=tuple(priors.degree_laws.get(t) for t in types),
            cap=priors.degree_cap,
            nodes=tuple(registry.IP_DEGREE.of(seed, code=t) for t in types),
            matching=tuple(registry.IP_MATCHING.of(seed, code=t) for t in types),
            attempts=rules.repair_attempts,
            eligible=tuple(
                tuple(types.index(t) for t in rules.eligible_ip_types[g] if t != "RESIDENTIAL")
                for g in pack.codes("device_group")
            ),
            roles=RoleLaw(access.key, codes, np.array(public)),
            access=access,
            asn=asn,
            version=version,
            attributes=registry.IP_ATTRIBUTES.of(seed),
            abroad=AbroadLaw.of(pack, seed),
        )


def _public_threshold(share: float) -> np.uint64:
    """Threshold from which the 63 leading bits of a draw mean public access; NEVER for none."""
    return np.uint64(thresholds([1.0 - share, share])[0])


def _attribute_thresholds(pack: PolicyPack) -> tuple[U64, U64]:
    """Thresholds of operator class and of IP version, by type."""
    priors = pack.ip_count_priors
    types, classes = pack.codes("ip_type"), pack.codes("asn_class")
    versions = pack.codes("ip_version")
    asn = thresholds([[priors.asn_mix[t].get(a, 0.0) for a in classes] for t in types])
    six = versions.index("IPV6")
    split = [
        [priors.ipv6_share[t] if v == six else 1 - priors.ipv6_share[t] for v in range(2)]
        for t in types
    ]
    return asn, thresholds(split)
