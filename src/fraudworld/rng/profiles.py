"""The streams of layer 6P, part of the registry."""

from __future__ import annotations

from fraudworld.rng.law import StreamLaw

MERCHANT_NAME = StreamLaw(
    "6P.P0/merchant_name", "profile_sampling", 8,
    "round keys of the permutation that deals trading names",
)  # fmt: skip
TERMINALS = StreamLaw(
    "6P.P0/terminals", "profile_sampling", 1,
    "terminals of an outlet",
)  # fmt: skip
TERMINAL_KIND = StreamLaw(
    "6P.P0/terminal_kind", "profile_sampling", 1,
    "whether a terminal of an outlet is a kiosk",
)  # fmt: skip
CASH_MACHINE = StreamLaw(
    "6P.P0/cash_machine", "profile_sampling", 1,
    "bank of a cash machine",
)  # fmt: skip
HOME_PLACE = StreamLaw(
    "6P.P1/home_place/{code}", "profile_sampling", 8,
    "round keys of the permutation that places the homes of a country",
)  # fmt: skip
HOME_POINT = StreamLaw(
    "6P.P1/home_point", "profile_sampling", 2,
    "latitude, then longitude of a home; entity: its first party",
)  # fmt: skip
HOME_RANK = StreamLaw(
    "6P.P1/home_rank", "profile_sampling", 1,
    "rank of the ages of a home; entity: its first party",
)  # fmt: skip
AGE = StreamLaw(
    "6P.P1/age", "profile_sampling", 1,
    "rank of a person beside that of its home, or age of a firm",
)  # fmt: skip
TENURE = StreamLaw(
    "6P.P1/tenure", "profile_sampling", 4,
    "whether a party joins inside the horizon, the day, whether it is recent, tenure",
)  # fmt: skip
FIRM = StreamLaw(
    "6P.P1/firm", "profile_sampling", 2,
    "employees, then industry of a firm",
)  # fmt: skip
WORK = StreamLaw(
    "6P.P1/work", "profile_sampling", 4,
    "whether a person works, for a party, for which, as what",
)  # fmt: skip
INCOME = StreamLaw(
    "6P.P1/income", "profile_sampling", 1,
    "noise of an income",
)  # fmt: skip
MANNER = StreamLaw(
    "6P.P1/manner", "profile_sampling", 2,
    "risk class, then language of a party",
)  # fmt: skip
MAIN_BANK = StreamLaw(
    "6P.P2/main_bank", "profile_sampling", 1,
    "main bank of a party",
)  # fmt: skip
ACCOUNT = StreamLaw(
    "6P.P2/account", "profile_sampling", 8,
    "opening (whether inside, whether with the first, when), closing (whether, when), "
    "status, bank, second holder",
)  # fmt: skip
OTHER_BANK = StreamLaw(
    "6P.P2/other_bank", "profile_sampling", 1,
    "bank of an account that is not at the main bank",
)  # fmt: skip
LIMIT = StreamLaw(
    "6P.P2/limit", "profile_sampling", 2,
    "whether an account has an overdraft, then months of income of its limit",
)  # fmt: skip
INSTRUMENT = StreamLaw(
    "6P.P3/instrument", "profile_sampling", 2,
    "validity of a card or age of a token, then delay of issue",
)  # fmt: skip
DEVICE = StreamLaw(
    "6P.P4/device", "profile_sampling", 8,
    "life, part of it that is over, whether and when retired, price class, version, "
    "language (whether other)",
)  # fmt: skip
ENDPOINT = StreamLaw(
    "6P.P4/endpoint", "profile_sampling", 2,
    "place, whether shared by a carrier",
)  # fmt: skip
POOL = StreamLaw(
    "6P.P4/pool", "profile_sampling", 2,
    "price class of a device or operator of an endpoint of the pool, then its IP version",
)  # fmt: skip
HOME_CONTACT = StreamLaw(
    "6P.P1/home_contact", "profile_sampling", 2,
    "rank of a home among those with one phone, with one mailbox; entity: its first party",
)  # fmt: skip
BUILDING = StreamLaw(
    "6P.P1/building", "profile_sampling", 3,
    "rank of a home of one party among those of a building, size of a building, rank of a building "
    "among those with one number",
)  # fmt: skip
RELATIVES = StreamLaw(
    "6P.P1/relatives", "profile_sampling", 4,
    "rank of a person among those who use a mailbox with other homes, how many do so together, "
    "rank of such a group among those with one number, which person of a home may be in one",
)  # fmt: skip
MISTYPED = StreamLaw(
    "6P.P1/mistyped", "profile_sampling", 3,
    "rank of a person among those with a tax id of several persons, how many have it, which person "
    "of a home may be one of them",
)  # fmt: skip
OWN_NAME = StreamLaw(
    "6P.P1/own_name", "profile_sampling", 2,
    "whether a member of a family keeps a family name of its own, whether a name is misspelt",
)  # fmt: skip
EARLIER_OWNER = StreamLaw(
    "6P.P1/earlier_owner", "profile_sampling", 2,
    "rank of a person among those whose number had an earlier owner, and which party that is",
)  # fmt: skip
TWINS = StreamLaw(
    "6P.P1/twins", "profile_sampling", 1,
    "rank of a pair of brothers and sisters among twins; entity: the first of them",
)  # fmt: skip
CELL = StreamLaw(
    "6P.P1/cell", "profile_sampling", 5,
    "order of synthetic identities, size of a cell; rank of a cell among those that share a phone, "
    "a mailbox, an address",
)  # fmt: skip
CELL_MEMBER = StreamLaw(
    "6P.P1/cell_member", "profile_sampling", 5,
    "whether a member takes part in the phone, mailbox and address of its cell, is a near miss of "
    "its neighbour, has the same tax id",
)  # fmt: skip
PARTY_EVENT = StreamLaw(
    "6P.P5/party", "profile_sampling", 1,
    "time of day at which a party joined",
)  # fmt: skip
ACCOUNT_EVENT = StreamLaw(
    "6P.P5/account", "profile_sampling", 2,
    "times of day of the opening and the closing of an account",
)  # fmt: skip
INSTRUMENT_EVENT = StreamLaw(
    "6P.P5/instrument", "profile_sampling", 1,
    "time of day of the issue of a card",
)  # fmt: skip
DEVICE_EVENT = StreamLaw(
    "6P.P5/device", "profile_sampling", 2,
    "times of day of the enrolment and the end of a device",
)  # fmt: skip
CHANGE = StreamLaw(
    "6P.P5/change/{code}", "profile_sampling", 4,
    "number of changes of contact data of a kind, then the moments of up to three",
)  # fmt: skip

PROFILES = (
    MERCHANT_NAME,
    TERMINALS,
    TERMINAL_KIND,
    CASH_MACHINE,
    HOME_PLACE,
    HOME_POINT,
    HOME_RANK,
    AGE,
    TENURE,
    FIRM,
    WORK,
    INCOME,
    MANNER,
    HOME_CONTACT,
    BUILDING,
    RELATIVES,
    MISTYPED,
    OWN_NAME,
    EARLIER_OWNER,
    TWINS,
    CELL,
    CELL_MEMBER,
    MAIN_BANK,
    ACCOUNT,
    OTHER_BANK,
    LIMIT,
    INSTRUMENT,
    DEVICE,
    ENDPOINT,
    POOL,
    PARTY_EVENT,
    ACCOUNT_EVENT,
    INSTRUMENT_EVENT,
    DEVICE_EVENT,
    CHANGE,
)
"""Every stream of 6P, state by state."""
