"""One sentence per figure with the numbers of this world: its caption and alternative text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fraudworld.documents import Json

Facts = Mapping[str, Json]
Row = Mapping[str, Json]
MIN_PARTIES = 2_000
"""Parties of a type in a country below which its segments are not compared, as in the guard."""
MIN_IPS = 100


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
