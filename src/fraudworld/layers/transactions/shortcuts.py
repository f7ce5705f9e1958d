"""Is there a rule of two conditions, over joined observable tables, that names fraud too surely?

A condition is one fact of a flow: a code it has, a number at least or at most a quantile. A rule
is one condition or two. Of the rules that name at least `recall` of the bad flows, the one with the
highest precision is found on one half of the parties and measured on the other, so that chance
among thousands of rules is not taken for a rule.

Facts are dated before the flow: its graph, the world of its entities, earlier flows. Not its own
outcome (authorisation, latency), nor what the bank concluded later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fraudworld.layers.transactions.checks import Sealed, connect
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.layers.transactions.layout import StreamPlace
from fraudworld.store.layout import RunPlace
from fraudworld.store.reader import parts
from fraudworld.store.sql import identifier, parquet

if TYPE_CHECKING:
    import duckdb

Bools = NDArray[np.bool_]
Facts = Mapping[str, NDArray[np.generic]]

QUANTILES = 12
"""Thresholds of a number, at most, at equal shares of the flows."""
RARE = 0.002
"""Codes of fewer flows than this share make no condition of their own."""
CHUNK = 1 << 16
"""Flows whose conditions are held as reals at a time."""

LINKS = ("s4_ip_links_6A",)
"""Tables of the world that facts read, beside those of checks."""

FACTS = """
with used as (
  select distinct device_id, party_id from s4_device_links_6A where party_id is not null),
shared as (
  select distinct device_id, coalesce(household_id, -business_group_id) as home
  from used join s1_party_base_6A using (party_id)
  where coalesce(household_id, business_group_id) is not null),
pairs as (select distinct ip_id, device_id from s4_ip_links_6A where device_id is not null),
at_party as (select distinct ip_id, party_id from pairs join used using (device_id)),
users as (select device_id, count(*) as n from used group by 1),
of_party as (select party_id, count(*) as n from used group by 1),
accounts as (select owner_party_id as party_id, count(*) as n from s2_account_base_6A group by 1),
devices as (select ip_id, count(*) as n from pairs group by 1),
endpoints as (select device_id, count(*) as n from pairs group by 1)
select f.flow_id, f.party_id, f.channel_group, t.truth_label <> 'LEGIT' as bad,
  p.party_type as "party_type*", p.segment_id as "segment*", a.account_type as "account_type*",
  i.instrument_type as "instrument_type*", coalesce(d.device_type, 'NONE') as "device_type*",
  coalesce(e.ip_type, 'NONE') as "endpoint_type*", coalesce(e.asn_class, 'NONE') as "operator*",
  case when f.device_id is null then 'NONE' when u.party_id is not null then 'CUSTOMER'
    when h.home is not null then 'HOME' else 'OTHER' end as "device_of*",
  case when f.ip_id is null then 'NONE' when q.ip_id is not null then 'DEVICE'
    when near.ip_id is not null then 'CUSTOMER' else 'OTHER' end as "endpoint_of*",
  (p.country_iso <> f.merchant_country_iso)::int as customer_abroad,
  coalesce(d.home_country_iso <> p.country_iso, false)::int as device_abroad,
  coalesce(e.country_iso <> p.country_iso, false)::int as endpoint_abroad,
  coalesce(e.country_iso <> f.merchant_country_iso, false)::int as endpoint_far_from_shop,
  coalesce(users.n, 0) as device_users, coalesce(endpoints.n, 0) as device_endpoints,
  coalesce(devices.n, 0) as endpoint_devices, coalesce(of_party.n, 0) as customer_devices,
  coalesce(accounts.n, 0) as customer_accounts, m.amount_usd_minor as amount,
  (f.ts_utc // 3600000) % 24 as hour_utc, f.flow_id - f.session_id as flows_since_visit_began,
  count(*) over (by_account range between 86400000 preceding and 1 preceding) as account_day,
  count(*) over (by_device range between 86400000 preceding and 1 preceding) as device_day,
  count(*) over (by_endpoint range between 86400000 preceding and 1 preceding) as endpoint_day,
  row_number() over (partition by f.party_id, f.device_id order by f.flow_id) as times_on_device,
  row_number() over (partition by f.party_id, f.ip_id order by f.flow_id) as times_on_endpoint,
  row_number() over (partition by f.account_id, f.merchant_id order by f.flow_id) as times_at_shop
from s1_arrival_entities_6B f
join s4_flow_truth_labels_6B t using (flow_id) join s2_flow_anchor_6B m using (flow_id)
join s1_party_base_6A p on p.party_id = f.party_id
join s2_account_base_6A a on a.account_id = f.account_id
join s3_instrument_base_6A i on i.instrument_id = f.instrument_id
left join s4_device_base_6A d on d.device_id = f.device_id
left join s4_ip_base_6A e on e.ip_id = f.ip_id
left join used u on u.device_id = f.device_id and u.party_id = f.party_id
left join shared h on h.device_id = f.device_id
  and h.home = coalesce(p.household_id, -p.business_group_id)
left join pairs q on q.ip_id = f.ip_id and q.device_id = f.device_id
left join at_party near on near.ip_id = f.ip_id and near.party_id = f.party_id
left join users on users.device_id = f.device_id
left join endpoints on endpoints.device_id = f.device_id
left join devices on devices.ip_id = f.ip_id
left join of_party on of_party.party_id = f.party_id
left join accounts on accounts.party_id = f.party_id
window by_account as (partition by f.account_id order by f.ts_utc),
  by_device as (partition by f.device_id order by f.ts_utc),
  by_endpoint as (partition by f.ip_id order by f.ts_utc)
order by f.flow_id
"""
"""One row a flow: its ids and label, then facts; the names of codes end with `*`."""

KEYS = ("flow_id", "party_id", "channel_group", "bad")


class Rule(NamedTuple):
    """A rule and what it names among the parties that it was not chosen on."""

    words: str
    precision: float
    recall: float
    named: int  # flows


def read_facts(inputs: Inputs | Sealed, place: StreamPlace) -> dict[str, NDArray[np.generic]]:
    """Facts of all flows of a published stream and its world, by column of `FACTS`; (flows,).

    About 200 bytes a flow are held.
    """
    with connect(inputs, place) as connection:
        world = RunPlace(inputs.root)
        for name in LINKS:
            rows = parquet(parts(world.dataset(name, inputs.identity)))
            connection.execute(f"create view {identifier(name)} as select * from {rows}")
        return _columns(connection)


def _columns(connection: duckdb.DuckDBPyConnection) -> dict[str, NDArray[np.generic]]:
    found = connection.execute(FACTS).fetchnumpy()
    return {name: np.asarray(np.ma.getdata(column)) for name, column in found.items()}


def conditions(facts: Facts) -> Iterator[tuple[str, Bools]]:
    """Every condition over the facts, and the flows that meet it; (flows,)."""
    for name, values in facts.items():
        if name in KEYS:
            continue
        if name.endswith("*"):
            codes, which = np.unique(values, return_inverse=True)
            often = np.bincount(which) >= RARE * values.size
            for k in np.flatnonzero(often):
                yield f"{name[:-1]} = {codes[k]}", which == k
            continue
        numbers = values.astype(np.float64)
        cuts = np.unique(np.quantile(numbers, np.arange(1, QUANTILES) / QUANTILES, method="lower"))
        # Few flows lie above the last quantile; they are where rules against fraud begin.
        cuts = np.unique([*cuts, *np.quantile(numbers, (0.98, 0.995), method="lower")])
        for cut in cuts:
            if cut > numbers.min():
                yield f"{name} >= {cut:g}", numbers >= cut
            if cut < numbers.max():
                yield f"{name} <= {cut:g}", numbers <= cut


def search(
    facts: Facts, bad: Bools, chosen_on: Bools, recall: float, *, rules: int = 1
) -> list[Rule]:
    """The surest rules among those that name at least `recall` of the bad flows.

    facts: of the flows, (flows,) each; bad: (flows,); chosen_on: the flows a rule is chosen on, the
    others measure it; rules: how many, each with other conditions. None where either side has no
    bad flow.
    """
    words, rows = zip(*conditions(facts), strict=True)
    held = np.stack(rows)
    side = _counts(held[:, chosen_on], bad[chosen_on])
    other = _counts(held[:, ~chosen_on], bad[~chosen_on])
    if not (side.bad and other.bad):
        return []
    enough = side.bad_named >= recall * side.bad
    precision = np.where(enough, side.bad_named / np.maximum(side.named, 1), -1.0)
    out: list[Rule] = []
    for _ in range(rules):
        i, j = np.unravel_index(int(np.argmax(precision)), precision.shape)
        if precision[i, j] < 0:
            break
        named, hits = other.named[i, j], other.bad_named[i, j]
        text = words[i] if i == j else f"{words[i]} and {words[j]}"
        out.append(Rule(text, float(hits / max(named, 1)), float(hits / other.bad), int(named)))
        precision[[i, j], :] = precision[:, [i, j]] = -1.0
    return out


class _Counts(NamedTuple):
    """What pairs of conditions name; a condition with itself is the rule of one."""

    named: NDArray[np.float64]  # flows, (conditions, conditions)
    bad_named: NDArray[np.float64]
    bad: int


def _counts(held: Bools, bad: Bools) -> _Counts:
    """held: (conditions, flows)."""
    n = held.shape[0]
    named, bad_named = np.zeros((n, n)), np.zeros((n, n))
    for low in range(0, held.shape[1], CHUNK):
        # Counts of a chunk are below 2**24, so that reals of 32 bits hold them exactly.
        block = held[:, low : low + CHUNK].astype(np.float32)
        named += block @ block.T
        hit = block[:, bad[low : low + CHUNK]]
        bad_named += hit @ hit.T
    return _Counts(named, bad_named, int(np.count_nonzero(bad)))


def by_channel(facts: Facts, recall: float, *, rules: int = 1) -> dict[str, Sequence[Rule]]:
    """The surest rules of every channel; parties with even ids choose, the others measure."""
    channel, even = facts["channel_group"], facts["party_id"].astype(np.int64) % 2 == 0
    out: dict[str, Sequence[Rule]] = {}
    for name in np.unique(channel):
        at = channel == name
        part = {key: values[at] for key, values in facts.items()}
        out[str(name)] = search(part, part["bad"].astype(bool), even[at], recall, rules=rules)
    return out
