"""Twin of P2 and P3: accounts and instruments.

Twin of layers/profiles/holdings.py.
"""

from __future__ import annotations

import math
from datetime import date, timedelta

from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.profiles.models import ProfilePack
from reference.draws import category
from reference.profiles.people import DAYS, START, People
from reference.profiles.towns import Row, draws
from reference.transactions.choices import below, happens, unit

MONTH = 30.436875


def accounts(people: People, world: dict[str, list[Row]]) -> list[Row]:
    """Rows of p2_account_profile_6P."""
    pack, law, seed = people.pack, people.policy.accounts, people.seed
    draw, base = draws(seed, "6P.P2/account", 8), world["s2_account_base_6A"]
    roles = [r["raw_role"] for r in world["s5_account_fraud_roles_6A"]]
    firsts: dict[int, int] = {}
    for a in base:
        firsts.setdefault(a["owner_party_id"], a["account_id"])
    owners = [people.parties[a["owner_party_id"] - 1] for a in base]
    is_first = [firsts[a["owner_party_id"]] == a["account_id"] for a in base]
    joined = sum(p.since >= START for p in owners)
    others = sum(p.since < START and not f for p, f in zip(owners, is_first, strict=True))
    inside = max(law.opens_inside * len(base) - joined, 0.0) / max(others, 1)
    opened = []
    for e, (p, first) in enumerate(zip(owners, is_first, strict=True)):
        end = START + timedelta(DAYS) if p.since >= START else START
        if p.since < START and not first and happens(draw(e, 0), inside):
            opened.append(START + timedelta(below(draw(e, 2), DAYS)))
        elif first or happens(draw(e, 1), law.first_day_share):
            opened.append(p.since)
        else:
            opened.append(p.since + timedelta(below(draw(e, 2), (end - p.since).days)))
    least = timedelta(law.least_days_open)
    may = [not f and day + least < START for f, day in zip(is_first, opened, strict=True)]
    share = min(law.closed_share * len(base) / max(sum(may), 1), 1.0)
    rows = []
    for e, (a, p) in enumerate(zip(base, owners, strict=True)):
        closed = None
        if may[e] and happens(draw(e, 3), share):
            from_ = opened[e] + least
            closed = from_ + timedelta(below(draw(e, 4), (START - from_).days))
        dormant = law.dormant_risky_share if roles[e] == "DORMANT_RISKY" else law.dormant_share
        overdraft, credit = _limits(people, pack, a, p.income, e)
        rows.append({
            "account_id": e + 1, "opened_on": opened[e], "closed_on": closed,
            "status": "CLOSED" if closed else
                "DORMANT" if happens(draw(e, 5), dormant) else "ACTIVE",
            "bank_id": _bank(people, a["owner_party_id"], p.row["country_iso"], e),
            "overdraft_limit_minor": overdraft, "credit_limit_minor": credit,
            "joint_party_id": _second(people, a, draw(e, 7)),
        })  # fmt: skip
    return rows


def _bank(people: People, owner: int, country: str, e: int) -> int:
    first, shares = people.towns.banks[country]
    main = category(draws(people.seed, "6P.P2/main_bank")(owner - 1), shares)
    if happens(
        draws(people.seed, "6P.P2/account", 8)(e, 6), people.policy.accounts.main_bank_share
    ):
        return first + main + 1
    other = category(draws(people.seed, "6P.P2/other_bank")(e), shares)
    return first + 1 + ((other + 1) % len(shares) if other == main else other)


def _limits(people: People, pack: PolicyPack, a: Row, income: int, e: int) -> tuple[int, int]:
    law, draw = people.policy.accounts, draws(people.seed, "6P.P2/limit", 2)
    kind = pack.account_taxonomy.account_types[a["account_type"]]
    least, most = law.credit_months if kind.ledger == "REVOLVING" else law.overdraft_months
    amount = round(income * (least + (most - least) * unit(draw(e, 1))))
    step = 1
    while amount // step >= 100:
        step *= 10
    amount = max(amount // step * step, 1)
    if kind.ledger == "REVOLVING":
        return 0, amount
    granted = (
        kind.ledger == "DEPOSIT" and kind.required and happens(draw(e, 0), law.overdraft_share)
    )
    return (amount if granted else 0), 0


def _second(people: People, a: Row, draw: int) -> int | None:
    owner = people.parties[a["owner_party_id"] - 1]
    share = people.policy.accounts.may_be_joint[a["account_type"]]
    if owner.row["household_id"] is None or not happens(draw, share):
        return None
    generations = people.policy.people.generations
    partners = [
        m for m in owner.home
        if m != owner.id and people.parties[m - 1].since <= owner.since
        and generations[people.parties[m - 1].row["segment_id"]]
        == generations[owner.row["segment_id"]]
    ]  # fmt: skip
    return partners[below((draw << 32) % 2**64, len(partners))] if partners else None


def instruments(
    pack: PolicyPack, policy: ProfilePack, seed: int, base: list[Row], account_rows: list[Row]
) -> list[Row]:
    """Rows of p3_instrument_profile_6P."""
    law, draw = policy.instruments, draws(seed, "6P.P3/instrument", 2)
    rows = []
    for e, i in enumerate(base):
        account = account_rows[i["account_id"] - 1]
        begun: date = account["opened_on"]
        last = account["closed_on"] or max(START - timedelta(1), begun)
        first = min(begun + timedelta(below(draw(e, 1), law.most_days_to_issue + 1)), last)
        family, issued, expires = _family(pack, i), begun, None
        if family == "CARD":
            low, high = law.card_months[i["instrument_type"]]
            valid = math.floor((low + below(draw(e, 0), high - low + 1)) * MONTH)
            issued = first + timedelta((last - first).days // valid * valid)
            expires = issued + timedelta(valid)
        elif family == "WALLET":
            born = max(first, last - timedelta(math.floor(law.token_months * MONTH)))
            issued = born + timedelta(below(draw(e, 0), (last - born).days + 1))
        rows.append({"instrument_id": e + 1, "issued_on": issued, "expires_on": expires})
    return rows


def _family(pack: PolicyPack, instrument: Row) -> str:
    return pack.instrument_taxonomy.instrument_types[instrument["instrument_type"]].family
