"""Files of segment 6B name every word they must and no other; prices ascend; shares leave room."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fraudworld.contracts.transactions import CAMPAIGN_TYPES, CODES
from fraudworld.policy.pack import PolicyPack
from fraudworld.policy.rules.finding import Finding, Findings, fault

MOST_FRAUD = 0.5
"""Share of all flows beyond which nothing legitimate is left to learn from."""


def transaction_words(pack: PolicyPack) -> Findings:
    """Every table of 6B has a row per word of its list, every list only known words."""
    for stem, key, words, wanted in _tables(pack):
        missing, strange = sorted(set(wanted) - set(words)), sorted(set(words) - set(wanted))
        if missing or strange:
            yield fault(
                stem,
                key,
                "words are missing or unknown",
                figure=", ".join(missing + strange),
                bound=", ".join(sorted(wanted)),
                remedy="give one figure to each word of the list",
            )
    for stem, key, words, known in _subsets(pack):
        strange = sorted(set(words) - set(known))
        if strange:
            yield fault(
                stem,
                key,
                "unknown words",
                figure=", ".join(strange),
                bound=", ".join(sorted(known)),
                remedy="use words of the list",
            )


def transaction_figures(pack: PolicyPack) -> Findings:
    """Prices ascend, every payer can pay, and attacks leave most flows alone."""
    prices = pack.flow_amounts.price_points
    if not prices or list(prices) != sorted(set(prices)):
        yield fault(
            "flow_amounts", "price_points", "prices must ascend", figure=str(len(prices)),
            bound="at least one, each above the last", remedy="sort them, drop repeats",
        )  # fmt: skip
    total = sum(kind.flow_share for kind in pack.campaigns.types.values())
    total += pack.campaigns.background_share + pack.campaigns.posture.cap
    if total > MOST_FRAUD:
        yield fault(
            "campaigns", "types", "attacks, background and the posture cap take most flows",
            figure=total, bound=MOST_FRAUD, remedy="lower flow_share or posture.cap",
        )  # fmt: skip
    yield from _idle(pack)


def _idle(pack: PolicyPack) -> Iterator[Finding]:
    """Weights of which at least one must be above zero."""
    attachment = pack.attachment
    weights = {"account_use": attachment.account_use, "device_use": attachment.device_use}
    weights |= {f"instrument_use.{c}": row for c, row in attachment.instrument_use.items()}
    for key, row in weights.items():
        if not any(row.values()):
            yield fault(
                "attachment", key, "all weights are zero: nobody could pay", figure=0.0,
                bound=1.0, remedy="give the usual kinds a weight above zero",
            )  # fmt: skip
    instruments = attachment.instrument_use.items()
    for key, zero in ((c, [i for i, w in row.items() if w == 0]) for c, row in instruments):
        if zero:
            yield fault(
                "attachment", f"instrument_use.{key}",
                "an account with this instrument alone could not pay here",
                figure=", ".join(zero), bound="above 0", remedy="give it a small weight",
            )  # fmt: skip


Words = Iterator[tuple[str, str, Iterable[str], Iterable[str]]]


def _tables(pack: PolicyPack) -> Words:
    """(file, key, words found, words wanted) of every table that must be complete."""
    channels, classes = CODES["channel"], pack.codes("merchant_class")
    attachment, money, attacks = pack.attachment, pack.flow_amounts, pack.campaigns
    yield "attachment", "home_share", attachment.home_share, channels
    yield "attachment", "segment_activity", attachment.segment_activity, pack.codes("segment")
    yield "attachment", "account_use", attachment.account_use, pack.codes("account_type")
    yield "attachment", "instrument_use", attachment.instrument_use, channels
    for channel, row in attachment.instrument_use.items():
        yield "attachment", f"instrument_use.{channel}", row, pack.codes("instrument_type")
    yield "attachment", "device_use", attachment.device_use, pack.codes("device_type")
    yield "flow_amounts", "classes", money.classes, classes
    yield "flow_amounts", "latency_ms", money.latency_ms, channels
    yield "flow_amounts", "declined_share", money.declined_share, channels
    yield "flow_amounts", "clearing_hours", money.clearing_hours, channels
    yield "campaigns", "types", attacks.types, CAMPAIGN_TYPES
    for name, kind in attacks.types.items():
        yield "campaigns", f"types.{name}.channels", kind.channels, channels
        yield "campaigns", f"types.{name}.merchant_classes", kind.merchant_classes, classes
        yield (
            "campaigns",
            f"types.{name}.account_roles",
            kind.account_roles,
            _families(pack, "account"),
        )
    yield "campaigns", "kit.device_roles", attacks.kit.device_roles, pack.codes("device_raw_role")
    posture = attacks.posture
    yield "campaigns", "posture.account", posture.account, _families(pack, "account")
    yield "campaigns", "posture.device", posture.device, pack.codes("device_raw_role")
    yield "campaigns", "posture.ip", posture.ip, _families(pack, "ip")
    yield "campaigns", "posture.merchant", posture.merchant, _families(pack, "merchant")
    yield "bank_view", "sensing", pack.bank_view.sensing, CODES["truth_subtype"]


def _subsets(pack: PolicyPack) -> Words:
    """(file, key, words found, words known) of every list that may name some."""
    for name, kind in pack.campaigns.types.items():
        key = f"types.{name}.merchant_roles"
        yield "campaigns", key, kind.merchant_roles, _families(pack, "merchant")
    types = pack.campaigns.kit.anonymiser_types
    yield "campaigns", "kit.anonymiser_types", types, pack.codes("ip_type")


def _families(pack: PolicyPack, entity: str) -> set[str]:
    return set(pack.fraud_role_taxonomy.entities[entity].mapping.values())
