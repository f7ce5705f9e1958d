"""Plans of links across borders: margins, no country of its own, and agreement with the twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudworld.policy.loader import load_pack
from fraudworld.stages.network.abroad import AbroadLaw, exchange
from reference import abroad as twin

PACK = load_pack().pack
LAW = AbroadLaw.of(PACK, 42)


def plan(links: list[int], share: float, typical: list[int] | None = None) -> np.ndarray:
    """Links between countries of one type, of which some are typical."""
    law = replace(LAW, types=(0,), share=(share,), place=LAW.place[:1])
    asked = np.array(links, dtype=np.int64)[:, None]
    loose = asked - np.array(typical or [0] * len(links), dtype=np.int64)[:, None]
    (out,) = exchange(law, asked, loose)
    return out


def test_countries_exchange_in_proportion() -> None:
    out = plan([4_000, 3_000, 2_000, 1_000], 0.4)
    assert out.sum(axis=1).tolist() == out.sum(axis=0).tolist() == [1_600, 1_200, 800, 400]
    assert out.diagonal().tolist() == [0, 0, 0, 0]
    assert (out + np.eye(4, dtype=int) > 0).all()
    # Symmetric margins: what goes from one to another comes back, but for rounding.
    assert np.abs(out - out.T).max() <= 1


@pytest.mark.parametrize(
    ("links", "share", "sent"),
    [
        ([100], 0.5, [0]),  # a country alone keeps its links
        ([100, 10], 0.5, [5, 5]),
        ([1_000, 10, 10], 1.0, [20, 10, 10]),  # the others cannot return more
        ([0, 0, 3], 1.0, [0, 0, 0]),
    ],
)
def test_a_country_sends_no_more_than_the_others_return(
    links: list[int], share: float, sent: list[int]
) -> None:
    out = plan(links, share)
    assert out.sum(axis=1).tolist() == out.sum(axis=0).tolist() == sent


def test_typical_links_stay() -> None:
    assert plan([100, 100], 0.5, [80, 0]).sum(axis=1).tolist() == [20, 20]


@given(
    links=st.lists(st.integers(0, 300) | st.sampled_from([0, 1, 2_000]), min_size=1, max_size=7),
    share=st.floats(0.0, 1.0),
)
@settings(max_examples=100, deadline=None, derandomize=True)
def test_every_plan_is_exact_and_equals_its_twin(links: list[int], share: float) -> None:
    out = plan(links, share)
    assert (out >= 0).all()
    assert out.diagonal().sum() == 0
    assert out.sum(axis=1).tolist() == out.sum(axis=0).tolist()
    assert (out.sum(axis=1) <= np.array(links)).all()
    assert out.tolist() == twin.plan([[(0, False)] * n for n in links], share)
