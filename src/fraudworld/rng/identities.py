"""The streams of identifiers, part of the registry."""

from __future__ import annotations

from fraudworld.rng.law import StreamLaw

PHONE_PLACE = StreamLaw(
    "6P.P1/phone_place/{code}", "identity_sampling", 8,
    "round keys of the permutation of a country's phone numbers",
)  # fmt: skip
IBAN_PLACE = StreamLaw(
    "6P.P2/iban_place/{code}", "identity_sampling", 8,
    "round keys of the permutation of account numbers, by bank of a country",
)  # fmt: skip
TAX_PLACE = StreamLaw(
    "6P.P1/tax_place/{code}", "identity_sampling", 8,
    "round keys of the permutation of a country's tax ids: persons, then firms",
)  # fmt: skip
CARD_PLACE = StreamLaw(
    "6P.P3/card_place/{code}", "identity_sampling", 8,
    "round keys of the permutation of a scheme's card numbers or tokens",
)  # fmt: skip
EMAIL_PLACE = StreamLaw(
    "6P.P1/email_place/{code}", "identity_sampling", 8,
    "round keys of the permutation of a country's e-mail numbers",
)  # fmt: skip
DOMAIN_PLACE = StreamLaw(
    "6P.P1/domain_place/{code}", "identity_sampling", 8,
    "round keys of the permutation of a country's domains of firms",
)  # fmt: skip
ADDRESS_PLACE = StreamLaw(
    "6P.P1/address_place/{code}", "identity_sampling", 8,
    "round keys of the permutation of a country's streets and house numbers",
)  # fmt: skip
NETWORK_PLACE = StreamLaw(
    "6P.P4/network_place/{code}", "identity_sampling", 8,
    "round keys of the permutation of addresses of an IP version inside a range, by range",
)  # fmt: skip
INTERFACE = StreamLaw(
    "6P.P4/interface", "identity_sampling", 1,
    "interface identifier of an IPv6 address",
)  # fmt: skip
PERSON_NAME = StreamLaw(
    "6P.P1/person_name", "identity_sampling", 2,
    "sex, then given name of a person",
)  # fmt: skip
FAMILY_NAME = StreamLaw(
    "6P.P1/family_name", "identity_sampling", 2,
    "list of names, then family name of a family",
)  # fmt: skip
FIRM_NAME = StreamLaw(
    "6P.P1/firm_name", "identity_sampling", 8,
    "list, number of names, three names and legal form of a firm; two to spare",
)  # fmt: skip
POSTAL_PLACE = StreamLaw(
    "6P.P1/postal_place", "identity_sampling", 1,
    "first characters of the postal codes of a place",
)  # fmt: skip
POSTAL_STREET = StreamLaw(
    "6P.P1/postal_street", "identity_sampling", 1,
    "last characters of the postal code of an address",
)  # fmt: skip

IDENTITIES = (
    PHONE_PLACE,
    IBAN_PLACE,
    TAX_PLACE,
    CARD_PLACE,
    EMAIL_PLACE,
    DOMAIN_PLACE,
    ADDRESS_PLACE,
    NETWORK_PLACE,
    INTERFACE,
    PERSON_NAME,
    FAMILY_NAME,
    FIRM_NAME,
    POSTAL_PLACE,
    POSTAL_STREET,
)
"""Every stream of `layers/profiles/identity`."""
