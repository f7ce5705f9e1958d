"""Upper bounds of a policy: each figure has one, and it is what the code can hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fraudworld.errors import InputError
from fraudworld.kernels.discrete import GUIDE_SHIFT
from fraudworld.policy import limits
from fraudworld.policy.loader import INVALID, file_of, load_pack
from fraudworld.policy.pack import PolicyPack
from fraudworld.stages.allocation.products import WIDEST_SIGMA
from fraudworld.stages.network.links import MAX_REACHED, MAX_USERS
from fraudworld.store.tables import MOST_CODES

Overlay = Callable[..., Path]


def unbounded(schema: dict[str, Any], definitions: dict[str, Any], at: str = "") -> Iterator[str]:
    """Keys of a JSON schema whose numbers, lists or mappings have no upper bound."""
    if "$ref" in schema:
        yield from unbounded(definitions[schema["$ref"].rpartition("/")[2]], definitions, at)
    for one in schema.get("anyOf", ()):
        yield from unbounded(one, definitions, at)
    kind = schema.get("type")
    if kind in ("number", "integer") and not {"maximum", "exclusiveMaximum"} & set(schema):
        yield at
    if kind == "array":
        if "maxItems" not in schema:
            yield at
        for item in schema.get("prefixItems", [schema.get("items", {})]):
            yield from unbounded(item, definitions, f"{at}[]")
    if kind == "object":
        for name, one in schema.get("properties", {}).items():
            yield from unbounded(one, definitions, f"{at}.{name}")
        if isinstance(schema.get("additionalProperties"), dict):
            if "maxProperties" not in schema:
                yield at
            yield from unbounded(schema["additionalProperties"], definitions, f"{at}.*")


def test_every_number_list_and_mapping_of_a_pack_has_an_upper_bound() -> None:
    schema = PolicyPack.model_json_schema()
    assert len(schema["properties"]) > 25
    assert list(unbounded(schema, schema["$defs"])) == []


def test_the_walk_finds_what_has_no_bound() -> None:
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 0},
            "names": {"type": "array", "items": {"type": "string"}},
            "map": {"type": "object", "additionalProperties": {"type": "number", "maximum": 1}},
        },
    }
    assert list(unbounded(schema, {})) == [".n", ".names", ".map"]


@pytest.mark.parametrize(
    ("stem", "key", "value", "bound"),
    [
        ("account_per_party_priors", "counts.BUSINESS_CURRENT.cap", 1_000_000_000, 255),
        ("account_per_party_priors", "counts.BUSINESS_CURRENT.sigma", 50.0, 4.5),
        ("device_count_priors", "lambda_per_party.RETAIL", 1e9, 1000),
        ("device_count_priors", "terminals_per_outlet", 1e300, 1000000),
        ("device_linkage_rules", "accounts_per_device.CONSUMER_PERSONAL.maximum", 9, 8),
        ("device_linkage_rules", "sharing.CONSUMER_SHARED.max_users", 9, 8),
        ("graph_linkage_rules", "merchant_endpoints.maximum", 256, 255),
        ("graph_linkage_rules", "repair_attempts", 10**12, 255),
        ("ip_count_priors", "degree_cap", 10**9, 65_535),
        ("ip_count_priors", "max_ips_per_device", 10**6, 255),
        ("population_priors", "scale_draw.high", 1e12, 1000),
        ("population_priors", "country_floor.minimum", 10**12, 2**30),
        ("population_priors", "households.max_members", 65, 64),
        ("downstream_witness", "flows", 10**15, 10**9),
        ("campaigns", "types.CARD_TESTING.max_days", 10**9, 366),
        ("attachment", "activity_sigma", 40.0, 3),
        ("bank_view", "closing_days.sigma", 30.0, 2),
    ],
)
def test_a_figure_beyond_its_bound_is_refused_with_file_key_value_and_bound(
    write_overlay: Overlay, stem: str, key: str, value: float, bound: float
) -> None:
    nested: Any = value
    for part in reversed(key.split(".")):
        nested = {part: nested}
    with pytest.raises(InputError) as caught:
        load_pack(overlays=[write_overlay(set={stem: nested})])
    assert caught.value.code == INVALID
    assert f"{file_of(stem)}: {key}: " in caught.value.what
    assert f"less than or equal to {bound}, found {value}" in caught.value.what


def test_resamples_beyond_their_bound_are_refused(pack_dir: Path) -> None:
    path = pack_dir / file_of("validation_policy")
    text = path.read_text()
    assert "bootstrap_resamples: 1000\n" in text
    path.write_text(
        text.replace("bootstrap_resamples: 1000\n", "bootstrap_resamples: 2000000000\n")
    )
    with pytest.raises(InputError) as caught:
        load_pack(pack_dir)
    assert caught.value.where == "policy/validation_policy_6A.v1.yaml: support.bootstrap_resamples"
    assert "less than or equal to 100000, found 2000000000" in caught.value.what


def test_a_campaign_of_less_than_one_flow_is_refused(write_overlay: Overlay) -> None:
    tiny = {"types": {"CARD_TESTING": {"flows": {"median": 1e-9}}}}
    with pytest.raises(InputError, match="greater than or equal to 1, found 1e-09"):
        load_pack(overlays=[write_overlay(set={"campaigns": tiny})])


def test_lists_and_mappings_beyond_their_length_are_refused(write_overlay: Overlay) -> None:
    many = {
        "population_priors.households.size_shares": [1.0] * 65,
        "flow_amounts.price_points": [float(n) for n in range(1, 1002)],
        "flow_amounts.units_per_dollar": {f"C{n}": 1.0 for n in range(256)},
        "account_taxonomy.groups": [f"G{n}" for n in range(65)],
    }
    with pytest.raises(InputError) as caught:
        load_pack(overlays=[write_overlay(replace=many)])
    for key, most in zip(many, (64, 1000, 255, 64), strict=True):
        stem, _, name = key.partition(".")
        assert f"{file_of(stem)}: {name}: " in caught.value.what
        assert f"should have at most {most} items" in caught.value.what


def test_bounds_are_what_the_code_holds() -> None:
    assert limits.MOST_LANES == MAX_USERS == MAX_REACHED
    assert limits.WIDEST_SPREAD == WIDEST_SIGMA
    assert limits.MOST_CODES <= MOST_CODES
    assert 4 * limits.MOST_CODES <= 256  # a stratum: group · tiers + tier, one byte
    assert 2 ** (64 - int(GUIDE_SHIFT)) > limits.MOST_HELD
    largest = 8.3  # standard deviations of the largest normal deviate of 53 bits
    dearest = 1e6 * 100 * 2.718281828 ** (limits.WIDEST_AMOUNT * largest)
    latest = 1000 * 86_400_000 * 2.718281828 ** (limits.WIDEST_DELAY * largest)
    assert max(dearest, latest) < 2**63
