"""Plain twin of `layers/profiles/identity`: names, addresses and numbers, one row at a time."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Sequence
from itertools import accumulate

from fraudworld.kernels.apportion import largest_remainder
from fraudworld.layers.profiles.identity.names import NameLaw
from fraudworld.policy.identity import IdentityPolicy, Template, Word
from reference.draws import Draws, category, place

FAMILY = "identity_sampling"


STATES = {"iban": "P2", "card": "P3", "network": "P4"}
"""State of a kind of identifier; of all others, P1."""


def keys(seed: int, kind: str, code: str, entity: int = 0) -> list[int]:
    """Round keys of a permutation."""
    state = STATES.get(kind, "P1")
    return Draws(seed, f"6P.{state}/{kind}_place/{code}", FAMILY, 8).all_of(entity)


def identifier(template: Template, counter: int, round_keys: Sequence[int]) -> str:
    """The text that a counter has under a template.

    Its place among all texts is written in a mixed radix, last position first; then the check
    characters follow from the automaton.
    """
    positions = list(template.positions())
    free = [len(p.characters) for p in positions if not p.check and not p.repair]
    rest = place(counter, math.prod(free), round_keys)
    picks = [0] * len(positions)
    for i in reversed(range(len(positions))):
        if not positions[i].check and not positions[i].repair:
            rest, picks[i] = divmod(rest, len(positions[i].characters))
    law, ending = template.law(), ""
    if law is not None:
        for repaired in (0, 1):
            picks = [repaired if p.repair else k for p, k in zip(positions, picks, strict=True)]
            state, moves = law.initial, iter(law.moves)
            for p, k in zip(positions, picks, strict=True):
                if len(p.characters) > 1 and p.read:
                    state = int(next(moves)[state][k])
            ending = law.endings[state]
            if ending:
                break
    checks = iter(ending)
    return "".join(
        next(checks) if p.check else p.characters[k] for p, k in zip(positions, picks, strict=True)
    )


def phone(policy: IdentityPolicy, seed: int, iso: str, counter: int) -> str:
    """Phone number of a counter of a country."""
    template = Template(template=policy.phones.templates[iso])
    return identifier(template, counter, keys(seed, "phone", iso))


def tax_id(policy: IdentityPolicy, seed: int, iso: str, kind: int, counter: int) -> str | None:
    """Tax id of a person (kind 0) or a firm (1)."""
    person, firm = policy.tax_ids.person[iso], policy.tax_ids.firm[iso]
    one = firm if kind else person
    if one is None:
        return None
    shared = person is not None and one.template == person.template
    return identifier(one, counter, keys(seed, "tax", iso, 0 if shared else kind))


def iban(policy: IdentityPolicy, seed: int, iso: str, bank: int, counter: int) -> str | None:
    """IBAN of an account; its check digits make the number of the rearranged text 1 modulo 97."""
    if iso not in policy.ibans.banks:
        return None
    bban = identifier(policy.ibans.banks[iso][bank], counter, keys(seed, "iban", iso, bank))
    number = int("".join(str(int(c, 36)) for c in f"{bban}{iso}00"))
    return f"{iso}{98 - number % 97:02d}{bban}"


def card(policy: IdentityPolicy, seed: int, scheme: str, bank: int, counter: int) -> str | None:
    """Card number or token."""
    cards = policy.numbers.cards
    digit = {**cards.schemes, **cards.wallets}.get(scheme)
    if digit is None:
        return None
    head = f"{cards.prefix}{digit}{bank:03d}"
    free = cards.short.get(scheme, 16) - len(head) - 1
    number = f"{head}{place(counter, 10**free, keys(seed, 'card', scheme)):0{free}d}"
    total = sum(
        sum(map(int, str(int(c) * 2))) if i % 2 == 0 else int(c)
        for i, c in enumerate(reversed(number))
    )
    return f"{number}{-total % 10}"


def _pick(words: Sequence[Word], draw: int) -> Word:
    total = sum(w.weight for w in words)
    return words[category(draw, tuple(w.weight / total for w in words))]


def _list(policy: IdentityPolicy, iso: str, draw: int) -> str:
    people = sorted(policy.locales.countries[iso].people.items())
    total = sum(share for _, share in people)
    return people[category(draw, tuple(share / total for _, share in people))][0]


def _written(policy: IdentityPolicy, iso: str, word: Word) -> str:
    latin = policy.locales.countries[iso].latin and not word.text.isascii()
    return word.latin.capitalize() if latin else word.text


def _family_words(policy: IdentityPolicy, name: str, sex: int) -> Sequence[Word]:
    people = policy.people[name]
    own = people.family_male if sex else people.family_female
    return (people.family_female if own is None else own).words()


def person_name(
    policy: IdentityPolicy, seed: int, iso: str, person: int, family: int
) -> tuple[int, str, str]:
    """Sex (0 female, 1 male), given name and family name of a person of a family."""
    own = Draws(seed, "6P.P1/person_name", FAMILY, 2)
    shared = Draws(seed, "6P.P1/family_name", FAMILY, 2)
    sex = own(person, 0) >> 63
    name = _list(policy, iso, shared(family, 0))
    people = policy.people[name]
    given = _pick((people.male if sex else people.female).words(), own(person, 1))
    surname = _pick(_family_words(policy, name, sex), shared(family, 1))
    return sex, _written(policy, iso, given), _written(policy, iso, surname)


def firm_name(policy: IdentityPolicy, seed: int, iso: str, firm: int) -> str:
    """Name of a firm."""
    draws = Draws(seed, "6P.P1/firm_name", FAMILY, 8).all_of(firm)
    words = _family_words(policy, _list(policy, iso, draws[0]), 1)
    count = category(draws[1], policy.numbers.firm_name_parts) + 1
    parts = [_written(policy, iso, _pick(words, d)) for d in draws[2 : 2 + count]]
    forms = policy.locales.forms[policy.locales.countries[iso].forms]
    form = forms[category(draws[5], (1 / len(forms),) * len(forms))]
    return f"{' & '.join(filter(None, [', '.join(parts[:-1]), parts[-1]]))} {form}"


def firm_family(policy: IdentityPolicy, seed: int, iso: str, firm: int) -> str:
    """The first family name in the name of a firm."""
    draws = Draws(seed, "6P.P1/firm_name", FAMILY, 8).all_of(firm)
    words = _family_words(policy, _list(policy, iso, draws[0]), 1)
    return _written(policy, iso, _pick(words, draws[2]))


def email(
    policy: IdentityPolicy, seed: int, iso: str, names: NameLaw, given: int, family: int,
    counter: int, persons: int, tag: int = 0,
) -> str:  # fmt: skip
    """Address of a person; `persons`: counters of the country."""
    emails = policy.numbers.emails
    styles = [
        (provider, mark, short)
        for provider in emails.providers
        for mark in emails.separators
        for short in (False, True)
    ]
    shares = [
        emails.providers[p] * emails.separators[m]
        * (emails.initial_share if s else 1.0 - emails.initial_share)
        for p, m, s in styles
    ]  # fmt: skip
    slots = largest_remainder(emails.slots, shares).tolist()
    of_slot = [s for s, n in zip(styles, slots, strict=True) for _ in range(n)]

    def group(style: tuple[str, str, bool]) -> tuple[str, str, bool]:
        return style if style[1] != "NONE" else (style[0], "NONE", False)

    rest, slot = divmod(place(counter, persons, keys(seed, "email", iso)), emails.slots)
    provider, mark, short = style = of_slot[slot]
    groups = [group(s) for s in of_slot]
    number = rest * groups.count(group(style)) + groups[:slot].count(group(style))
    first = names.given_latin[given][:1] if short else names.given_latin[given]
    local = f"{first}{'' if mark == 'NONE' else mark}{names.family_latin[family]}{number or ''}"
    return f"{local}{f'+{tag}' if tag else ''}@{provider}.{iso.lower()}.example"


def firm_email(
    policy: IdentityPolicy, seed: int, iso: str, names: NameLaw, word: int, counter: int,
    member: int, firms: int,
) -> str:  # fmt: skip
    """Address of a member of a firm; `firms`: counters of the country."""
    emails = policy.numbers.emails
    where = place(counter, firms, keys(seed, "domain", iso))
    number, extra = divmod(where, len(emails.firm_words))
    boxes = emails.firm_boxes
    box = f"{boxes[(member + where) % len(boxes)]}{member // len(boxes) or ''}"
    domain = f"{names.family_latin[word]}-{emails.firm_words[extra]}{number or ''}"
    return f"{box}@{domain}.{iso.lower()}.test"


def street_address(
    policy: IdentityPolicy, seed: int, iso: str, counter: int, addresses: int
) -> str:
    """Street address of a counter; `addresses`: counters of the country."""
    locale = policy.locales.countries[iso]
    streets = policy.streets[locale.streets].streets.words()
    numbers = max(math.ceil(addresses * 1.25 / len(streets)), policy.numbers.house_numbers)
    where = place(counter, numbers * len(streets), keys(seed, "address", iso))
    number, street = divmod(where, len(streets))
    parts = [str(number + 1), streets[street].text]
    return " ".join(parts if locale.number_first else reversed(parts))


def postal_code(policy: IdentityPolicy, seed: int, iso: str, town: int, address: int) -> str | None:
    """Postal code of an address in a town."""
    template = policy.postal_codes.templates[iso]
    if template is None:
        return None
    of_town = Draws(seed, "6P.P1/postal_place", FAMILY)(town) >> 1
    of_street = Draws(seed, "6P.P1/postal_street", FAMILY)(address) >> 1
    text, free = "", 0
    for p in template.positions():
        pick, size = 0, len(p.characters)
        if size > 1 and free < template.place:
            of_town, pick = divmod(of_town, size)
        elif size > 1:
            of_street, pick = divmod(of_street, size)
        free += size > 1
        text += p.characters[pick]
    return text


def endpoint(
    policy: IdentityPolicy, seed: int, version: int, used: Sequence[int], systems: Sequence[int],
    cell: int, counter: int, entity: int,
) -> tuple[str, int]:  # fmt: skip
    """Address and autonomous system of an endpoint; `used`, `systems`: of every cell."""
    spare = policy.numbers.networks.spare
    sizes = [max(math.ceil(n * spare / s), 1) * s for n, s in zip(used, systems, strict=True)]
    where = place(counter, sizes[cell], keys(seed, "network", f"IPV{version}", cell))
    system = sum(systems[:cell]) + where * systems[cell] // sizes[cell]
    short = 65_534 - 64_512 + 1
    number = 64_512 + system if system < short else 4_200_000_000 + system - short
    network = [0, *accumulate(sizes)][cell] + where
    if version == 4:
        return str(ipaddress.IPv4Address((240 << 24) + network)), number
    low = Draws(seed, "6P.P4/interface", FAMILY)(entity)
    return str(ipaddress.IPv6Address((0x20010DB8 << 96) + (network << 64) + low)), number
