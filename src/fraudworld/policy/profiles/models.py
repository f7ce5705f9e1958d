"""Typed shape of the files of 6P's policy: frozen, closed, no default figures.

One class a file. Shares are fractions of one; weights are integers of which only ratios matter.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from fraudworld.policy.limits import ByCode, Codes, Ratio, Share, Shares, Table
from fraudworld.policy.models import Model

Weight = Annotated[int, Field(ge=0, le=1000)]
Age = Annotated[float, Field(ge=0.0, le=120.0)]
Years = Annotated[float, Field(gt=0.0, le=200.0)]
Sigma = Annotated[float, Field(ge=0.0, le=3.0)]
Months = Annotated[int, Field(ge=1, le=240)]
Days = Annotated[int, Field(ge=0, le=36_500)]
Words = Annotated[tuple[str, ...], Field(min_length=1, max_length=400)]
Generation = Annotated[int, Field(ge=0, le=2)]


class AgeLaw(Model):
    """Ages in years: shares of the intervals between edges, uniform inside each."""

    edges: tuple[Age, ...]
    shares: tuple[Share, ...]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        rising = all(a < b for a, b in zip(self.edges, self.edges[1:], strict=False))
        if not rising or len(self.shares) != len(self.edges) - 1:
            raise ValueError("edges must rise, with one share for every interval")
        if abs(sum(self.shares) - 1.0) > 1e-9:
            raise ValueError(f"shares must sum to 1, they sum to {sum(self.shares)}")
        return self


class AdultAges(Model):
    """Segments without an age law of their own follow the adults of their region."""

    segments: Codes
    regions: ByCode[AgeLaw]


class Spread(Model):
    """A log-normal law by its median and the spread of its logarithm."""

    median: Years
    sigma: Sigma


class FirmSize(Model):
    """Employees of a firm, a log-normal law; 0 for those who employ nobody."""

    median: Annotated[float, Field(ge=0.0, le=1e5)]
    sigma: Sigma


class Terminals(Model):
    """Terminals of an outlet."""

    mean: Annotated[float, Field(ge=1.0, le=50.0)]
    kiosk_share: Share


class NameWords(Model):
    """Words that trading names are made of."""

    first: Words
    second: Words
    trades: Table[Words]  # by merchant category code; `other` for the rest


class Places(Model):
    """`places_6P.v1`: towns, banks, terminals, cash machines, trading names."""

    least_population: Annotated[int, Field(ge=1, le=10_000_000)]
    spread_km: Annotated[float, Field(gt=0.0, le=50.0)]  # of a town of 100 000
    terminals: ByCode[Terminals]  # merchant class
    most_terminals: Annotated[int, Field(ge=1, le=1000)]
    people_per_cash_machine: Annotated[int, Field(ge=100, le=1_000_000)]
    most_cash_machines: Annotated[int, Field(ge=1, le=1000)]
    least_banks: Annotated[int, Field(ge=1, le=99)]
    most_banks: Annotated[int, Field(ge=1, le=99)]
    people_of_most_banks: Annotated[int, Field(ge=1)]
    bank_exponent: Annotated[float, Field(ge=0.0, le=5.0)]
    names: NameWords

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.least_banks > self.most_banks:
            raise ValueError("least_banks is above most_banks")
        return self


class People(Model):
    """`people_6P.v1`: ages, homes, tenure, risk class, languages."""

    ages: ByCode[AgeLaw]  # segment
    adult_ages: AdultAges
    generations: ByCode[Generation]  # segment → 0 the young, 1 their parents, 2 grandparents
    alone_below: Shares  # segment → of those alone, share younger than those who live with others
    home_age_width: Share  # how far members of a home differ in rank, of the range of their law
    mule_skew: Share
    adult_at: Annotated[int, Field(ge=1, le=30)]  # years of age of the youngest customer
    firm_age_years: ByCode[Spread]
    tenure_years: ByCode[Spread]
    joins_inside: Share  # customers that join inside the horizon
    recent_synthetic_share: Share  # SYNTHETIC_ID parties that joined between the next two
    recent_from_days: Days
    recent_to_days: Days
    kyc_shares: ByCode[Shares]  # segment → LOW, MEDIUM, HIGH
    least_language_percent: Annotated[float, Field(ge=0.0, le=50.0)]


class Work(Model):
    """`work_6P.v1`: who works, as what, for whom."""

    employed_share: Shares  # segment
    inside_share: Share  # of the employed, those whose employer is a party
    occupations: ByCode[ByCode[Weight]]  # segment → ISCO-08 major group
    firm_size: ByCode[FirmSize]  # segment
    industries: ByCode[ByCode[Weight]]  # segment → ISIC section


class Money(Model):
    """`money_6P.v1`: price levels and incomes."""

    ppp_units_per_dollar: Table[Ratio]  # country → local units of one international dollar
    zero_digit_currencies: Codes
    three_digit_currencies: Codes
    income_to_outflow: Annotated[float, Field(gt=1.0, le=3.0)]  # median
    rent_share: Share  # of income
    mandate_share: Share  # of income
    floor_to_outflow: Annotated[float, Field(gt=0.0, le=1.0)]  # outflow ÷ income, at most
    spending_exponent: Annotated[float, Field(ge=0.0, le=1.0)]
    income_sigma: Sigma
    least_visits: Share  # visits of a customer in any country, of the mean over the world

    @model_validator(mode="after")
    def _possible(self) -> Self:
        fixed = self.rent_share + self.mandate_share
        if fixed * self.income_to_outflow >= 1.0 or fixed >= self.floor_to_outflow:
            raise ValueError("rent and mandates leave nothing of the income")
        return self


class Accounts(Model):
    """`accounts_6P.v1`: life, bank, limits and second holders of accounts."""

    opens_inside: Share
    closed_share: Share
    least_days_open: Days  # of a closed account
    first_day_share: Share  # later accounts that are opened with the first
    dormant_risky_share: Share
    dormant_share: Share
    main_bank_share: Share
    overdraft_share: Share
    overdraft_months: tuple[Ratio, Ratio]  # of income, least and most
    credit_months: tuple[Ratio, Ratio]
    may_be_joint: Shares  # account type → share with a second holder, where there is a partner


class Instruments(Model):
    """`instruments_6P.v1`: validity of cards and delays of issue."""

    card_months: ByCode[tuple[Months, Months]]  # card type → least and most months of validity
    most_days_to_issue: Days
    token_months: Months  # age of the oldest wallet token


class Devices(Model):
    """`devices_6P.v1`: life and make of devices."""

    life_years: ByCode[Years]  # device type → mean life
    life_width: Share  # lives are uniform within this share of the mean
    retired_share: Share  # of devices without an endpoint
    model_classes: ByCode[ByCode[Weight]]  # device type → price class
    os_versions: ByCode[ByCode[Weight]]  # operating system → version
    other_language_share: Share
    other_language: str


class Endpoints(Model):
    """`endpoints_6P.v1`: autonomous systems and shared addresses."""

    systems: ByCode[Annotated[int, Field(ge=1, le=100)]]  # operator → systems of a country
    cgnat_share: Shares  # endpoint type


class Pool(Model):
    """`pool_6P.v1`: devices and endpoints nobody has used yet."""

    devices: Shares  # device type → for every device of the country's parties
    endpoints: Shares  # endpoint type → for every endpoint of the country
    least: Annotated[int, Field(ge=0, le=10_000)]
    operators: ByCode[ByCode[Weight]]  # endpoint type → operator


class Events(Model):
    """`events_6P.v1`: what happened before the horizon."""

    window_years: Annotated[float, Field(gt=0.0, le=20.0)]
    rates_per_year: ByCode[Annotated[float, Field(ge=0.0, le=1.0)]]  # change of contact data
    day_from: Annotated[float, Field(ge=4.0, le=11.0)]  # the day of UTC holds part of it anywhere
    day_hours: Annotated[float, Field(ge=9.0, le=12.0)]


class Gates(Model):
    """`gates_6P.v1`: bounds of guards."""

    age_divergence: Share
    place_divergence: Share
    least_persons: Annotated[int, Field(ge=1)]
    least_homes: Annotated[int, Field(ge=1)]
    column_area: Share
    tenure_area: Share
    tree_area: Share
    least_cases: Annotated[int, Field(ge=10)]
    sharing_error: Share  # observed ÷ expected − 1, of every kind of sharing
    cell_spread: Annotated[
        float, Field(ge=0.0, le=10.0)
    ]  # of members of cells that share, relative
    sharing_precision: Share  # of synthetic identities among parties that share contact data
    innocents_per_fraudster: Annotated[float, Field(gt=0.0, le=1000.0)]
    least_shared: Annotated[int, Field(ge=1)]


class Sized(Model):
    """Groups of `least` to `most` members."""

    least: Annotated[int, Field(ge=2, le=1000)]
    most: Annotated[int, Field(ge=2, le=1000)]

    @model_validator(mode="after")
    def _wide(self) -> Self:
        if self.most < 2 * self.least:
            raise ValueError("`most` is less than twice `least`: some numbers cannot be cut")
        return self


class Groups(Sized):
    """Groups of parties inside a country."""

    share: Share  # of the parties, in every country where that is `least` of them


class PhoneGroups(Groups):
    """Groups of which some have one number."""

    one_phone: Share  # of the groups


class Building(PhoneGroups):
    """Homes of one party that stand at one address."""

    segments: Codes


class Cells(Sized):
    """Cells of synthetic identities: their sizes, and what they share."""

    phone: Share  # of cells
    mailbox: Share  # of cells
    address: Share  # of cells
    takes_part: Share  # of members, in each of these
    near_miss: Share  # of pairs of neighbours of one segment
    tax_id: Share  # of near misses of one country


class Sharing(Model):
    """`sharing_6P.v1`: who shares an address, a phone number, a mailbox or a family name."""

    buildings: ByCode[Building]
    home_phone_share: Share  # of homes of several persons
    home_mailbox_share: Share  # of homes of several persons
    relatives: PhoneGroups  # of persons with a number and a mailbox of their own, one a home
    mistyped_tax_ids: Groups  # of persons, one a home
    earlier_owner_share: Share  # of persons
    own_name_share: Share  # of members of families
    misspelt_share: Share  # of persons
    twin_share: Share  # of pairs of brothers and sisters of one segment
    cells: Cells


class ProfilePack(Model):
    """All files of 6P's policy."""

    places: Places
    people: People
    work: Work
    money: Money
    accounts: Accounts
    instruments: Instruments
    devices: Devices
    endpoints: Endpoints
    pool: Pool
    events: Events
    sharing: Sharing
    gates: Gates
