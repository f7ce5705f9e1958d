"""Every stream is registered once and opened only through the registry."""

from __future__ import annotations

import ast

import pytest

from fraudworld.kernels import permute
from fraudworld.rng import FAMILIES, identities, profiles, registry
from fraudworld.rng.law import ANY, StreamLaw
from fraudworld.rng.registry import REGISTRY
from repo import repository as repo

NOT_DRAWN = {"account_attribute_sampling"}
"""Families of the contract without a stream: attributes of accounts follow from their owner."""

REBUILDS = {
    "src/fraudworld/rng/law.py",
    "src/fraudworld/store/evidence.py",
    "src/fraudworld/verification/randomness.py",
}
"""Modules that open a stream from a registered use or from a log."""


def test_labels_are_unique_and_every_family_is_drawn_from() -> None:
    labels = [law.label for law in REGISTRY]
    assert len(set(labels)) == len(labels)
    assert {law.family for law in REGISTRY} == set(FAMILIES) - NOT_DRAWN


def test_every_law_of_the_module_is_in_the_registry() -> None:
    laws = {
        v
        for module in (registry, profiles, identities)
        for v in vars(module).values()
        if isinstance(v, StreamLaw)
    }
    assert laws == set(REGISTRY)


def test_no_module_bypasses_the_registry() -> None:
    bypassing = [
        module
        for module, tree in repo.modules().items()
        if module not in REBUILDS
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Stream"
    ]
    assert bypassing == []


def test_permutations_have_a_draw_for_every_round() -> None:
    laws = (registry.SEGMENT_PLACE, registry.DEVICE_TYPE_PLACE, registry.PROXY_PLACE)
    keyed = [law for law in identities.IDENTITIES if law.label.endswith("_place/{code}")]
    assert len(keyed) == 8
    assert {law.width for law in (*laws, *keyed, registry.IP_TYPE_PLACE)} == {permute.ROUNDS}


def test_a_code_fills_the_label_and_an_open_width_must_be_given() -> None:
    stream = registry.KMAX_REDISTRIBUTION.of(7, code="RETAIL_CURRENT", width=3)
    assert (stream.label, stream.width) == ("s2/kmax_redistribution/RETAIL_CURRENT", 3)
    assert registry.registered(stream.label, stream.family, stream.width)


@pytest.mark.parametrize(
    ("law", "arguments"),
    [
        (registry.FLOOR, {}),
        (registry.HOUSEHOLD, {"code": "X"}),
        (registry.HOUSEHOLD, {"width": 2}),
        (registry.COUNTRY_TILT, {}),
    ],
)
def test_wrong_arguments_of_a_stream_law_are_refused(
    law: StreamLaw, arguments: dict[str, str | int]
) -> None:
    with pytest.raises(ValueError, match="stream '"):
        law.of(7, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("label", "family", "width"),
    [
        ("s1/household", "party_attribute_sampling", 3),
        ("s1/household", "party_count_realisation", 2),
        ("s1/households", "party_attribute_sampling", 2),
        ("s3/floor/A//B", "instrument_count_realisation", 1),
        ("s2/kmax_redistribution/X", "account_allocation_sampling", 0),
    ],
)
def test_unknown_streams_are_not_registered(label: str, family: str, width: int) -> None:
    assert not registry.registered(label, family, width)


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(ValueError, match="family"):
        StreamLaw("s9/x", "weather", ANY, "")
