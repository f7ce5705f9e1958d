"""6P.P2 and P3: life, bank and limits of accounts; dates of instruments.

Twin: tests/reference/profiles/holdings.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fraudworld.contracts import profiles as tables
from fraudworld.jit import kernel
from fraudworld.kernels.discrete import choices
from fraudworld.layers.profiles.choose import happens, nearest_int, threshold, uniform, unit
from fraudworld.layers.profiles.merchants import Banks
from fraudworld.layers.profiles.parties import DAY_0, thresholds_of
from fraudworld.layers.profiles.world import ProfileWorld
from fraudworld.layers.transactions.choices import below
from fraudworld.layers.transactions.inputs import Inputs
from fraudworld.policy.profiles.models import ProfilePack
from fraudworld.rng import profiles as streams
from fraudworld.store.content import NO_TIME

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

DAYS_PER_MONTH = 30.436875


@dataclass(frozen=True)
class HoldingsLaw:
    """The laws of accounts and instruments over one world."""

    inputs: Inputs
    policy: ProfilePack
    world: ProfileWorld
    banks: Banks
    days: int  # of the horizon
    since: I64  # customer since, (parties,)
    income: I64  # minor units a month, (parties,)

    @property
    def _seed(self) -> int:
        return self.inputs.identity.seed

    def _first(self, low: int, high: int) -> NDArray[np.bool_]:
        """Whether accounts are the first of their owner."""
        base = self.world.base
        owner = base.account_owner[low:high]
        return np.asarray(base.account_start[owner] == np.arange(low, high))

    def inside(self, low: int, high: int) -> tuple[int, int]:
        """Accounts of owners who join inside the horizon; others that may be opened there."""
        joined = self.since[self.world.base.account_owner[low:high]] >= DAY_0
        return int(joined.sum()), int((~joined & ~self._first(low, high)).sum())

    def opened(self, low: int, high: int, share: float) -> I64:
        """Opening days. share: of later accounts of earlier customers, those opened inside."""
        n, base = high - low, self.world.base
        since = self.since[base.account_owner[low:high]]
        draws = streams.ACCOUNT.of(self._seed).draws(low, n)
        late = since >= DAY_0
        end = np.where(late, DAY_0 + self.days, DAY_0)
        later = since + uniform(draws[:, 2], end - since)
        with_first = self._first(low, high) | happens(
            draws[:, 1], self.policy.accounts.first_day_share
        )
        opened = np.where(with_first, since, later)
        moved = ~late & ~self._first(low, high) & happens(draws[:, 0], share)
        return np.where(moved, DAY_0 + uniform(draws[:, 2], np.full(n, self.days)), opened)

    def closable(self, low: int, high: int, opened: I64) -> NDArray[np.bool_]:
        """Whether accounts may have been closed: not the first, and open for long enough."""
        least = self.policy.accounts.least_days_open
        return ~self._first(low, high) & (opened + least < DAY_0)

    def closed(self, low: int, high: int, opened: I64, share: float) -> I64:
        """Closing days, NO_TIME while open. share: of accounts that may have been closed."""
        draws = streams.ACCOUNT.of(self._seed).draws(low, high - low)
        may = self.closable(low, high, opened)
        earliest = opened + self.policy.accounts.least_days_open
        day = earliest + uniform(draws[:, 4], np.maximum(DAY_0 - earliest, 1))
        return np.where(may & happens(draws[:, 3], share), day, NO_TIME)

    @cached_property
    def _statuses(self) -> tuple[int, int, int]:
        names = tables.CODES["account_status"]
        return names.index("ACTIVE"), names.index("CLOSED"), names.index("DORMANT")

    def status(self, low: int, high: int, closed: I64) -> U8:
        """ACTIVE, DORMANT or CLOSED at the start of the horizon."""
        active, gone, dormant = self._statuses
        law = self.policy.accounts
        draw = streams.ACCOUNT.of(self._seed).draws(low, high - low)[:, 5] >> np.uint64(1)
        share = np.where(self.world.dormant_risky[low:high], threshold(law.dormant_risky_share),
                         threshold(law.dormant_share))  # fmt: skip
        open_ = np.where(draw < share, dormant, active)
        return np.where(closed == NO_TIME, open_, gone).astype(np.uint8)

    def bank(self, low: int, high: int) -> I64:
        """Bank of accounts, as a position in the world."""
        base, seed, n = self.world.base, self._seed, high - low
        owner = base.account_owner[low:high]
        country = base.party_country[owner]
        main = choices(streams.MAIN_BANK.of(seed).at(owner), country, self.banks.shares)
        other = choices(streams.OTHER_BANK.of(seed).flat(low, n), country, self.banks.shares)
        draw = streams.ACCOUNT.of(seed).draws(low, n)[:, 6]
        at_main = happens(draw, self.policy.accounts.main_bank_share)
        # The next bank of the country, where the other one is the main one.
        number = np.diff(self.banks.first)[country]
        other = np.where(other == main, (other.astype(np.int64) + 1) % number, other)
        return np.asarray(self.banks.first[country] + np.where(at_main, main, other))

    def limits(self, low: int, high: int) -> tuple[I64, I64]:
        """Overdraft and credit limits in minor units, two leading digits; 0 for none."""
        law, base = self.policy.accounts, self.world.base
        draws = streams.LIMIT.of(self._seed).draws(low, high - low)
        types = [self.inputs.pack.account_taxonomy.account_types[t]
                 for t in self.inputs.codes("account_type")]  # fmt: skip
        current = np.array([t.ledger == "DEPOSIT" and t.required for t in types])
        credit = np.array([t.ledger == "REVOLVING" for t in types])
        kind = base.account_type[low:high]
        income = self.income[base.account_owner[low:high]].astype(np.float64)
        least = np.where(credit[kind], law.credit_months[0], law.overdraft_months[0])
        most = np.where(credit[kind], law.credit_months[1], law.overdraft_months[1])
        amount = rounded(nearest_int(income * (least + (most - least) * unit(draws[:, 1]))))
        granted = current[kind] & happens(draws[:, 0], law.overdraft_share)
        return np.where(granted, amount, 0), np.where(credit[kind], amount, 0)

    def second_holder(self, low: int, high: int) -> I64:
        """Second holder of accounts; −1: none."""
        shares = self.policy.accounts.may_be_joint
        share = thresholds_of([shares[t] for t in self.inputs.codes("account_type")])
        generations = self.policy.people.generations
        generation = np.array(
            [generations.get(s, 255) for s in self.inputs.codes("segment")], np.uint8
        )
        draw = streams.ACCOUNT.of(self._seed).draws(low, high - low)[:, 7]
        base, out = self.world.base, np.full(high - low, -1, dtype=np.int64)
        _second(draw, share, base.account_type[low:high], base.account_owner[low:high],
                base.party_segment, generation, self.world.household, base.home, base.home_start,
                base.home_member, self.since, out)  # fmt: skip
        return out

    def instrument_dates(self, low: int, high: int, opened: I64, closed: I64) -> tuple[I64, I64]:
        """Issue and expiry of instruments low … high − 1; NO_TIME for no expiry.

        opened, closed: of all accounts.
        """
        law, types = self.policy.instruments, self.inputs.codes("instrument_type")
        kinds = self.inputs.pack.instrument_taxonomy.instrument_types
        months = np.array([law.card_months.get(t, (1, 1)) for t in types])
        card = np.array([kinds[t].family == "CARD" for t in types])
        token = np.array([kinds[t].family == "WALLET" for t in types])
        draws = streams.INSTRUMENT.of(self._seed).draws(low, high - low)
        account = self.world.instrument_account[low:high]
        kind = self.world.base.instrument_type[low:high]
        begun, end = opened[account], closed[account]
        # The state at the start of the horizon, or when the account was closed.
        last = np.where(end == NO_TIME, np.maximum(DAY_0 - 1, begun), end)
        wait = uniform(draws[:, 1], np.full(high - low, law.most_days_to_issue + 1))
        first = np.minimum(begun + wait, last)
        span = months[:, 1] - months[:, 0] + 1
        valid_months = months[kind, 0] + uniform(draws[:, 0], span[kind])
        valid = np.floor(valid_months * DAYS_PER_MONTH).astype(np.int64)
        of_card = first + (last - first) // valid * valid
        oldest = int(np.floor(law.token_months * DAYS_PER_MONTH))
        born = np.maximum(first, last - oldest)
        of_token = born + uniform(draws[:, 0], last - born + 1)
        issued = np.where(card[kind], of_card, np.where(token[kind], of_token, begun))
        return issued, np.where(card[kind], issued + valid, NO_TIME)


def rounded(amount: I64) -> I64:
    """Amounts with two leading digits, rounded down, at least 1."""
    step = np.ones_like(amount)
    for _ in range(18):
        step = np.where(amount // step >= 100, step * 10, step)
    return np.asarray(np.maximum(amount // step * step, 1))


@kernel
def _second(  # type: ignore[no-untyped-def]
    draw, share, kind, owner, segment, generation, household, home, home_start, home_member, since,
    out,
):  # fmt: skip
    """Finds second holders: another member of the household of the owner's generation.

    Parameters
    ----------
    draw : uint64 (n,)
        Whether the account has one; its lower bits choose among several.
    share : uint64 (account types,)
        Thresholds.
    kind, owner : uint8, int32 (n,)
    segment, generation : uint8 (parties,), uint8 (segments,)
    household : bool (parties,)
    home, home_start, home_member : homes of the world
    since : int64 (parties,)
        A second holder is a customer for as long as the owner, or longer.
    out : int64 (n,)
        Filled; −1 where there is none.
    """
    for i in range(out.size):
        p = owner[i]
        if not household[p] or (draw[i] >> np.uint64(1)) >= share[kind[i]]:
            continue
        low, high, found = home_start[home[p]], home_start[home[p] + 1], 0
        for j in range(low, high):
            q = home_member[j]
            if q != p and generation[segment[q]] == generation[segment[p]] and since[q] <= since[p]:
                found += 1
        if found == 0:
            continue
        left = below(draw[i] << np.uint64(32), found)
        for j in range(low, high):
            q = home_member[j]
            if q != p and generation[segment[q]] == generation[segment[p]] and since[q] <= since[p]:
                if left == 0:
                    out[i] = q
                left -= 1
