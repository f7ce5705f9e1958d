"""What identifiers drew, as evidence for the RNG logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fraudworld.policy.identity import IdentityPolicy
from fraudworld.rng import StreamUse
from fraudworld.rng import identities as streams
from fraudworld.rng.law import StreamLaw

Drawn = Mapping[StreamLaw, tuple[int, int]]
"""Of the streams that draw by entity: the number of entities, and how many of them drew."""


def contact_keys(
    policy: IdentityPolicy, seed: int, countries: Sequence[str]
) -> Iterator[StreamUse]:
    """Round keys of phone numbers, e-mail addresses, streets and tax ids."""
    for iso in countries:
        for law in (
            streams.PHONE_PLACE,
            streams.EMAIL_PLACE,
            streams.DOMAIN_PLACE,
            streams.ADDRESS_PLACE,
        ):
            yield law.of(seed, code=iso).use("keys", 0, 1)
        person, firm = policy.tax_ids.person[iso], policy.tax_ids.firm[iso]
        shared = person is not None and firm is not None and person.template == firm.template
        tax = streams.TAX_PLACE.of(seed, code=iso)
        if person is not None:
            yield tax.use("person", 0, 1)
        if firm is not None and not shared:
            yield tax.use("firm", 1, 1)


def issued_keys(
    policy: IdentityPolicy, seed: int, countries: Sequence[str], schemes: Sequence[str], cells: int
) -> Iterator[StreamUse]:
    """Round keys of IBANs, card numbers and addresses; cells: country × class of operator."""
    for iso in countries:
        if iso in policy.ibans.banks:
            yield streams.IBAN_PLACE.of(seed, code=iso).use(
                "banks", 0, len(policy.ibans.banks[iso])
            )
    for scheme in schemes:
        yield streams.CARD_PLACE.of(seed, code=scheme).use("keys", 0, 1)
    for version in ("IPV4", "IPV6"):
        yield streams.NETWORK_PLACE.of(seed, code=version).use("cells", 0, cells)


def drawn_by(seed: int, drawn: Drawn) -> Iterator[StreamUse]:
    """Uses of streams that draw by entity; one from which nobody drew is left out."""
    for law, (entities, drew) in drawn.items():
        if drew:
            yield law.of(seed).use("world", 0, entities, entities=drew)
