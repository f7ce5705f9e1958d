"""One sentence per figure with the numbers of this world: its caption and alternative text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

from fraudworld.documents import Json

Facts = Mapping[str, Json]
Row = Mapping[str, Json]
MIN_PARTIES = 2_000
"""Parties of a type in a country below which its segments are not compared, as in the guard."""
MIN_IPS = 100
PARTNERS_APART = 12
"""Years that most partners are at most apart."""
GENERATIONS_APART = (20, 42)
"""Years between which most generations of a home are apart."""


def allowances(facts: Facts) -> str:
    """The metric closest to its limit."""
    rows = _rows(facts, "allowances")
    if not rows:
        return "No metric of this world has a share of an allowance."
    worst = max(rows, key=lambda r: r["used"])
    if worst["used"] > 1:
        return (
            f"{worst['metric']} ({_short(worst['value'])}) is furthest beyond its limit:"
            f" {worst['used']:.3g} times the allowance."
        )
    return (
        f"{worst['metric']} comes closest: {worst['used']:.0%} of the allowance"
        f" ({_short(worst['value'])})."
    )


def policy(facts: Facts) -> str:
    """The median and the largest deviation from the policy."""
    rows = [r for r in _rows(facts, "policy_and_observed") if r["policy"] > 0]
    off = sorted(rows, key=lambda r: abs(r["observed"] / r["policy"] - 1))
    middle, last = off[len(off) // 2], off[-1]
    return (
        f"{len(rows)} figures; half are within {abs(middle['observed'] / middle['policy'] - 1):.2%}"
        f" of the policy. Furthest: {last['what']} ({last['policy']:.4g} → {last['observed']:.4g})."
    )


def countries(facts: Facts) -> str:
    """The largest country and how many hold half the parties."""
    rows = _rows(facts, "countries")
    half = next(r["rank"] for r in rows if r["share_so_far"] >= 0.5)
    return (
        f"{len(rows)} countries; {rows[0]['country']} is the largest with {rows[0]['share']:.1%}"
        f" of the parties, and {half} hold half of them."
    )


def segments(facts: Facts) -> str:
    """The largest residual."""
    worst = _largest(_rows(facts, "segments"), lambda r: abs(r["residual"] or 0.0))
    return (
        f"Largest residual {worst['residual']:+.2f}: {worst['segment']} in {worst['region']}."
        if worst and worst["residual"] is not None
        else "No segment has an expectation to compare with."
    )


def segments_by_country(facts: Facts) -> str:
    """The largest difference among countries with at least MIN_PARTIES parties."""
    rows = [r for r in _rows(facts, "segments_by_country") if r["of"] >= MIN_PARTIES]
    worst = _largest(rows, lambda r: abs(r["difference_pp"]))
    return (
        f"Largest difference among types with {MIN_PARTIES:,} parties:"
        f" {worst['difference_pp']:+.1f} pp, {worst['segment']} in {worst['country']}."
        if worst
        else f"No country has {MIN_PARTIES:,} parties of one type."
    )


def caps(facts: Facts) -> str:
    """Breaches of the caps, and the holdings that the caps limited."""
    over = sum(r["parties_over"] for r in _rows(facts, "caps"))
    excess = sum(r["accounts_over"] for r in _rows(facts, "caps"))
    work = facts["caps_at_work"]
    return (
        f"{over:,} parties hold {excess:,} accounts beyond a cap. While allocating, the caps"
        f" moved {work['kmax_redistributed_rows']:,} accounts to other parties and dropped"
        f" {work['kmax_dropped_rows']:,}."
    )


def per_party(facts: Facts) -> str:
    """The largest owners."""
    accounts, devices = _rows(facts, "accounts_per_party"), _rows(facts, "devices_per_party")
    means = facts["measures"]
    return (
        f"{means['accounts_per_party']:.2f} accounts and {means['devices_per_party']:.2f} devices"
        f" per party; at most {_most(accounts)} accounts and {_most(devices)} devices."
    )


def instruments(facts: Facts) -> str:
    """The mean furthest from λ."""
    rows = [r for r in _rows(facts, "instruments") if r["policy"] > 0]
    worst = _largest(rows, lambda r: abs(r["observed"] / r["policy"] - 1))
    return (
        f"Furthest from λ: {worst['instrument_type']} on {worst['account_type']},"
        f" {worst['observed']:.4f} against {worst['policy']:.4f}."
        if worst
        else "The policy states no λ."
    )


def ip_types(facts: Facts) -> str:
    """The worst cell of T3."""
    worst = _largest(_rows(facts, "ip_types"), lambda r: abs(r["error_pp"]))
    return (
        f"Worst cell: {worst['ip_type']} in {worst['region']}, {worst['error_pp']:+.2f} pp."
        if worst
        else "No links."
    )


def devices_per_ip(facts: Facts) -> str:
    """Percentile and maximum against T5's bounds."""
    bounds = {(r["what"], r["grade"]): r for r in _rows(facts, "devices_per_ip_bounds")}
    tail, most = bounds["p99", "B"], bounds["max", "B"]
    return (
        f"99 % of linked IPs see at most {_short(tail['value'])} devices"
        f" (B {tail['devices']:.0f}, B+ {bounds['p99', 'B+']['devices']:.0f}), the busiest"
        f" {_short(most['value'])} (B {most['devices']:.0f},"
        f" B+ {bounds['max', 'B+']['devices']:.0f})."
    )


def risk_by_degree(facts: Facts) -> str:
    """The first and the last bin with at least MIN_IPS endpoints."""
    rows = [r for r in _rows(facts, "risk_by_degree") if r["ips"] >= MIN_IPS]
    if not rows:
        return f"No bin has {MIN_IPS} IPs."
    first, last = rows[0], rows[-1]
    return (
        f"{first['share']:.2%} of IPs with {first['devices']} device are high-risk,"
        f" {last['share']:.1%} of those with {last['devices']}."
    )


def effects(facts: Facts) -> str:
    """T7's two ratios."""
    rows = [r for r in _rows(facts, "effects") if r["method"] == "crude, parties resampled"]
    said = [
        f"{r['asset']} {r['odds_ratio']:.2f}"
        + (f" ({r['low']:.2f}–{r['high']:.2f})" if r["low"] is not None else "")
        for r in rows
    ]
    return f"Odds ratios: {', '.join(said)}." if said else "No odds ratio could be computed."


def role_pairs(facts: Facts) -> str:
    """The pair of risky roles with the largest odds ratio."""
    rows = [r for r in _rows(facts, "role_pairs") if r["odds_ratio"] is not None]
    worst = _largest(rows, lambda r: r["odds_ratio"])
    return (
        f"Strongest: {worst['owner_role']} with {worst['asset_role']}, odds ratio"
        f" {worst['odds_ratio']:.2f} ({worst['low']:.2f}–{worst['high']:.2f})."
        if worst
        else "Too few pairs to say."
    )


def strata(facts: Facts) -> str:
    """How many strata have enough support, and the range of their ratios."""
    rows = _rows(facts, "strata")
    known = sorted(r["odds_ratio"] for r in rows if r["odds_ratio"] is not None)
    if not known:
        return f"None of {len(rows)} strata has support enough."
    return (
        f"{len(known)} of {len(rows)} strata have support enough; their odds ratios run from"
        f" {known[0]:.2f} to {known[-1]:.2f}."
    )


def homes(facts: Facts) -> str:
    """Who lives alone most, and least, often."""
    alone = sorted(
        (r for r in _rows(facts, "homes") if r["lives_with"] == 1), key=lambda r: r["share"]
    )
    if not alone:
        return f"Nobody lives alone; {len(_rows(facts, 'homes'))} kinds of homes."
    least, most = alone[0], alone[-1]
    return (
        f"{most['share']:.0%} of {most['segment']} and {least['share']:.0%} of {least['segment']}"
        " have a home with no other party of this bank."
    )


def living_together(facts: Facts) -> str:
    """The pair that meets most often beyond chance."""
    rows = [r for r in _rows(facts, "living_together") if r["lift"] is not None]
    worst = _largest(rows, lambda r: r["lift"])
    return (
        f"{worst['segment']} and {worst['other']} live together {worst['lift']:.1f} times as often"
        " as by chance."
        if worst
        else "No pair of segments has 5 expected homes."
    )


def systems_by_country(facts: Facts) -> str:
    """The countries with most and fewest, and the largest difference from the policy."""
    rows = _rows(facts, "systems_by_country")
    if not rows:
        return "No country has 300 phones."
    low, high = (f(rows, key=lambda r: r["observed"]) for f in (min, max))
    off = max(abs(r["observed"] - r["policy"]) for r in rows)
    return (
        f"{high['country']} {high['observed']:.0%}, {low['country']} {low['observed']:.0%};"
        f" {len(rows)} countries are at most {100 * off:.1f} points from the policy."
    )


def cards_by_country(facts: Facts) -> str:
    """The countries with most and fewest holders."""
    rows = _rows(facts, "cards_by_country")
    if not rows:
        return "No country has 300 retail parties."
    low, high = (f(rows, key=lambda r: r["observed"]) for f in (min, max))
    return (
        f"{high['observed']:.0%} of retail parties in {high['country']} have a credit card,"
        f" {low['observed']:.0%} in {low['country']}."
    )


def transmission(facts: Facts) -> str:
    """The ratios and how many parties they rest on."""
    said = [
        f"{r['beside']} {r['odds_ratio']:.1f} ({r['exposed_risky']:,} of {r['exposed']:,} parties"
        " beside a risky one are risky)"
        for r in _rows(facts, "transmission")
    ]
    return f"Odds ratios: {'; '.join(said)}." if said else "No odds ratio could be computed."


def circle_risk(facts: Facts) -> str:
    """How many circles have nobody risky, and where the risky members are."""
    rows = _rows(facts, "circle_risk")
    if not rows:
        return "This world has no circles."
    circles, risky = (sum(r[key] for r in rows) for key in ("circles", "risky"))
    bad = [r for r in rows if r["tenths"] > 2]
    return (
        f"{rows[0]['circles'] if rows[0]['tenths'] == 0 else 0:,} of {circles:,} circles have no"
        f" risky member; {sum(r['circles'] for r in bad):,} with more than a fifth hold"
        f" {sum(r['risky'] for r in bad):,} of {risky:,} risky members."
    )


def circles(facts: Facts) -> str:
    """Members, shared devices and risk of the two that are drawn."""
    nodes = _rows(facts, "circle_nodes")
    said = []
    for which in dict.fromkeys(r["which"] for r in nodes):
        kinds = [r["kind"] for r in nodes if r["which"] == which]
        bad = sum(r["risky"] for r in nodes if r["which"] == which and r["kind"] == "party")
        said.append(
            f"{which}: {kinds.count('party')} members, {bad} of them risky,"
            f" {kinds.count('device')} shared devices"
        )
    return f"Drawn: {'; '.join(said)}." if said else "This world has no circles to draw."


def profile_ages(facts: Facts) -> str:
    """The class of ages furthest from its law."""
    worst = _largest(_rows(facts, "profile_ages"), lambda r: abs(r["observed"] - r["law"]))
    if worst is None:
        return "No ages are published."
    total = sum(r["persons"] for r in _rows(facts, "profile_ages"))
    return (
        f"{total:,} persons; furthest from the law: {worst['from_age']} to {worst['from_age'] + 4}"
        f" years in {worst['segment']}, {worst['observed']:.1%} against {worst['law']:.1%}."
    )


def age_differences(facts: Facts) -> str:
    """How many partners are near in age, and how many generations are a generation apart."""
    rows = _rows(facts, "age_differences")
    said = []
    for relation, name, low, high in (
        ("PARTNERS", "pairs of partners", 0, PARTNERS_APART),
        ("GENERATIONS", "pairs of two generations", *GENERATIONS_APART),
    ):
        pairs = {r["years"]: r["pairs"] for r in rows if r["relation"] == relation}
        if pairs:
            near = sum(n for years, n in pairs.items() if low <= years <= high)
            share = near / sum(pairs.values())
            said.append(
                f"{share:.1%} of {sum(pairs.values()):,} {name} are {low} to {high} years apart"
            )
    return f"{'; '.join(said)}." if said else "No two persons live together in this world."


def homes_by_cell(facts: Facts) -> str:
    """How many homes there are, and where most of them are."""
    rows = _rows(facts, "homes_by_cell")
    if not rows:
        return "No homes are published."
    first, so_far = rows[0], list(accumulate(r["homes"] for r in rows))
    total = so_far[-1]
    half = 1 + next(i for i, homes in enumerate(so_far) if 2 * homes >= total)
    south, north = _degrees(first["south"], "N", "S"), _degrees(first["north"], "N", "S")
    west, east = _degrees(first["west"], "E", "W"), _degrees(first["east"], "E", "W")
    return (
        f"{total:,} homes in {len(rows):,} cells; {half:,} cells hold half of them, the fullest"
        f" ({south} to {north}, {west} to {east}) {first['homes'] / total:.1%}."
    )


def _degrees(value: int, positive: str, negative: str) -> str:
    return f"{abs(value)}° {positive if value >= 0 else negative}"


def account_ages(facts: Facts) -> str:
    """Shares of accounts that closed and opened, and the oldest group of products."""
    rows = _rows(facts, "account_ages")
    if not rows:
        return "No dates of accounts are published."
    closed, opened = (
        facts["profiles"]["shares"][f"accounts_{name}_share"]
        for name in ("closed", "opened_inside")
    )
    medians: dict[str, int] = {}
    for group in dict.fromkeys(r["group"] for r in rows):
        years = [r for r in rows if r["group"] == group]
        shares = accumulate(r["share"] for r in years)
        medians[group] = next(
            r["years"] for r, share in zip(years, shares, strict=True) if share >= 0.5
        )
    oldest = max(medians, key=lambda group: medians[group])
    return (
        f"{closed['observed']:.2%} of all accounts closed before the horizon (policy"
        f" {closed['policy']:.2%}), {opened['observed']:.2%} open inside it (policy"
        f" {opened['policy']:.2%}); accounts of {oldest} are oldest, with a median of"
        f" {medians[oldest]} whole years."
    )


def sharing_kinds(facts: Facts) -> str:
    """The kind of sharing furthest from its law."""
    rows = _rows(facts, "sharing_kinds")
    judged = [r for r in rows if r["ratio"] is not None]
    worst = _largest(judged, lambda r: abs(r["ratio"] - 1))
    few = len(rows) - len(judged)
    more = f"; too rare in this world to judge: {few} of {len(rows)} kinds" if few else ""
    return (
        f"Furthest from the law: {worst['sharing']}, {worst['observed']:,} against"
        f" {worst['expected']:,.1f} expected{more}."
        if worst
        else "No kind of sharing can be judged: there are no identities, or too few."
    )


def crowded_addresses(facts: Facts) -> str:
    """Who lives at addresses of many parties."""
    rows = _rows(facts, "crowded_addresses")
    return (
        "Addresses of more than five parties hold "
        + " and ".join(f"{r['parties']:,} {r['who']}" for r in rows)
        + "."
        if rows
        else "No addresses are published: the profiles were made without identities."
    )


def seeds(facts: Facts) -> str:
    """The metric with the largest spread over the seeds."""
    worst = _largest(_rows(facts, "seeds"), lambda r: r["spread"] or 0.0)
    return (
        f"{worst['metric']} moves most: {worst['spread']:.2%} of its mean (sample standard"
        f" deviation)."
        if worst
        else "No certificate of this runs root names this run."
    )


def neighbourhood(facts: Facts) -> str:
    """The number of parties to choose from."""
    near = facts["neighbourhoods"]
    return (
        f"{len(near['parties'])} parties to pick from, a few of every type and fraud role; roles"
        " are truth that a bank could not see."
    )


def steps(facts: Facts) -> str:
    """The longest step."""
    longest = _largest(_rows(facts, "steps"), lambda r: r["elapsed_s"])
    time = facts["time"]
    slow = f"; longest: {longest['state']} {longest['step']}" if longest else ""
    return (
        f"S1 to S5 took {time['segment_elapsed_s']:.1f} s, at most {time['peak_rss_mib']:,.0f} MiB"
        f"{slow}."
    )


def _rows(facts: Facts, name: str) -> Sequence[Row]:
    rows: Sequence[Row] = facts["figures"][name]
    return rows


def _largest(rows: Sequence[Row], key: Callable[[Row], float]) -> Row | None:
    return max(rows, key=key, default=None)


def _most(rows: Sequence[Row]) -> int:
    return max((row["k"] for row in rows), default=0)


def _short(value: float | None) -> str:
    return "—" if value is None else f"{value:.4g}"
