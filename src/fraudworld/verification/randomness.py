"""Checks the RNG logs against each other and against the draws that the tables imply."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from fraudworld.documents import JsonObject, digest, load_json_lines
from fraudworld.errors import InputError
from fraudworld.rng import RNG_LAW_VERSION, Stream, registry
from fraudworld.store.evidence import DRAWS_PER_BLOCK, ENGINE
from fraudworld.store.layout import RunPlace
from fraudworld.store.published import PublishedWorld, open_world
from fraudworld.verification.verdict import Check

Rows = list[JsonObject]


def reconcile(place: RunPlace, seed: int) -> Iterator[Check]:
    """Audit, trace and events agree; keys are this seed's; draws are what tables imply."""
    (audit,), trace, events = (_log(place, name) for name in ("audit", "trace", "events"))
    yield _check("engine and law", (audit["engine"], audit["rng_law_version"], audit["seed"]),
                 (ENGINE, RNG_LAW_VERSION, seed))  # fmt: skip
    streams = {row["stream"]: row for row in trace}
    listed = _check("audit lists the streams of the trace", sorted(audit["key_sha256"]),
                    sorted(streams))  # fmt: skip
    yield listed
    if not listed.holds:
        return
    for label, row in streams.items():
        if not registry.registered(label, row["family"], row["width"]):
            what = f"family {row['family']}, width {row['width']}"
            yield Check("randomness", f"{label} is a registered stream", False, what)
            return
        key = Stream(seed, label, row["family"], row["width"]).key
        if audit["key_sha256"][label] != digest([int(word) for word in key]):
            yield Check("randomness", f"{label}: key", False, "is not this seed's")
            return
    yield Check("randomness", "keys follow from seed and label", True)
    yield from _sums(streams, events)
    yield from _against_tables(streams, open_world(place.root))


def _sums(streams: dict[str, JsonObject], events: Rows) -> Iterator[Check]:
    """Entities, draws, blocks and cells of every stream add up over its events."""
    total: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for event in events:
        first, after = int(event["counter_before"], 16), int(event["counter_after"], 16)
        blocks = -(-after // DRAWS_PER_BLOCK) - first // DRAWS_PER_BLOCK
        of_stream = total[event["stream"]]
        for i, n in enumerate((1, event["entities"], event["draws"], blocks)):
            of_stream[i] += n
        width = streams.get(event["stream"], {}).get("width", 0)
        if event["draws"] != event["entities"] * width or event["draws"] > after - first:
            yield Check("randomness", f"{event['stream']}: draws of cell {event['cell']}", False,
                        f"{event['draws']} of {event['entities']} entities")  # fmt: skip
            return
    for label, row in streams.items():
        stated = [row[k] for k in ("cells", "entities", "draws", "blocks")]
        if stated != total[label]:
            yield Check("randomness", f"{label}: events add up", False,
                        f"trace {stated}, events {total[label]}")  # fmt: skip
            return
    yield Check("randomness", "events add up to the trace", sorted(total) == sorted(streams))


def _against_tables(streams: dict[str, JsonObject], world: PublishedWorld) -> Iterator[Check]:
    """Entities that drew, against the rows there are."""
    for label, row in streams.items():
        low, high = implied(label, world)
        if not low <= row["entities"] <= high:
            yield Check("randomness", f"{label}: entities", False,
                        f"{row['entities']} drew, tables imply {low} to {high}")  # fmt: skip
            return
    yield Check("randomness", "entities that drew are those the tables imply", True)


def implied(label: str, world: PublishedWorld) -> tuple[int, int]:
    """Least and most entities that can have drawn in a stream, from the tables.

    A cap pass asks whoever had a free slot, which tables bound and do not tell: for its
    streams the bound is everybody the product is for. Raises InputError
    `6A.S5.RNG_STREAM_UNKNOWN` for a label no law has.
    """

    def count(query: str) -> int:
        return int(world.value(f"SELECT count(*) FROM {query}"))

    parties, devices = count("s1_party_base"), count("s4_device_base")
    owned = count("s4_device_base WHERE primary_party_id IS NOT NULL")
    state, _, rest = label.partition("/")
    law, _, cell = rest.partition("/")
    exact: dict[str, int | None] = {
        "s1/world_scale": 1,
        "s1/household": parties,
        "s1/household_place": parties,
        "s1/business_group": parties,
        "s2/party_factor": parties,
        "s3/scheme": count("s3_instrument_base"),
        "s1/segment_totals": len(world.pack.codes("region")) * len(world.pack.codes("segment")),
        "s2/product_totals": len(world.pack.codes("account_type")),
        "s4/device_totals": len(world.pack.codes("device_type")),
        "s3/wallet_platform": parties,
        "s4/platform": parties,
        "s4/device_platform": owned,
        "s4/circle": parties,
        "s4/circle_kind": parties,
        "s5/circle_frailty": count("(SELECT DISTINCT circle_id FROM s4_circle_members)"),
        "s5/home_frailty": int(
            world.value("SELECT count(DISTINCT household_id) FROM s1_party_base")
        ),
        "s5/firm_frailty": int(
            world.value("SELECT count(DISTINCT business_group_id) FROM s1_party_base")
        ),
        "s5/organiser_rank": parties,
        "s4/device_access": owned,
        "s4/device_sharing": owned,
        "s4/device_sharing_rank": owned,
        "s4/device_attributes": devices,
        "s4/terminal_type": devices - owned,
        "s4/ip_count": devices,
        "s4/ip_attributes": count("s4_ip_base"),
        "s4/proxy_prone": parties,
        "s4/public_access": count("s4_ip_links WHERE device_id IS NOT NULL"),
        "s4/merchant_endpoint": count("s5_merchant_fraud_roles"),
    }
    if label in exact:
        return _both(exact[label])
    if state == "s5" and cell in ("role", "score"):
        return _both(count(f"s5_{law}_fraud_roles"))
    if state == "s2":
        kind = world.pack.account_taxonomy.account_types[cell].party_type
        most = count(f"s1_party_base WHERE party_type = '{kind}'")
        return (most, most) if law == "account_allocation" else (0, most)
    if state == "s3":
        product = cell.split("/")[0]
        most = count(f"s2_account_base WHERE account_type = '{product}'")
        return (most, most) if law == "floor" else (0, most)
    if law == "ip_degree":
        return _both(count(f"s4_ip_base WHERE ip_type = '{cell}'"))
    if law == "ip_matching":
        links = count(f"s4_ip_links JOIN s4_ip_base USING (ip_id) WHERE ip_type = '{cell}'"
                      " AND device_id IS NOT NULL")  # fmt: skip
        return 0, count("s4_ip_links") if links else 0
    if law in ("device_allocation", "cap_redistribution"):
        return 0, parties
    if law in ("segment_place", "country_tilt", "region_tilt", "home_lease") or law.endswith(
        ("_place", "_tilt", "_modulation")
    ):
        return 0, max(parties, devices)
    raise InputError(
        "6A.S5.RNG_STREAM_UNKNOWN",
        f"no law draws from {label!r}",
        where="logs/layer3/6A/rng",
        remedy="the logs were changed, or another version made this run",
    )


def _both(n: int | None) -> tuple[int, int]:
    assert n is not None
    return n, n


def _check(name: str, stated: object, actual: object) -> Check:
    return Check("randomness", name, stated == actual, "" if stated == actual else f"{stated}")


def _log(place: RunPlace, name: str) -> Rows:
    path = place.rng_logs / name / f"rng_{name}_6A.jsonl"
    try:
        return load_json_lines(path)
    except (OSError, ValueError) as error:
        raise InputError(
            "6A.S5.RNG_LOG_UNREADABLE",
            f"rng_{name} cannot be read: {error}",
            where=str(path),
            remedy="verify a run as it was published",
        ) from error
