"""Rows a second of every identifier law, beside their bytes: one thread, warm.

python benches/identity.py [ROWS]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

from fraudworld.inputs.embedded.geography import COUNTRIES
from fraudworld.layers.profiles.identity import addresses, cards, emails, names, networks, numbers
from fraudworld.layers.profiles.identity.text import Text
from fraudworld.policy.identity import load_identity

SEED = 7


def main() -> None:
    """Prints a line for each law."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    policy, iso = load_identity().policy, sorted(COUNTRIES)
    entity = np.arange(n, dtype=np.int64)
    country = (entity * len(iso) // n).astype(np.int32)
    counter = entity - np.searchsorted(country, country)
    each = np.bincount(country, minlength=len(iso))
    name_law = names.name_law(policy, iso)
    phone, tax, iban = (
        law(policy, SEED, iso) for law in (numbers.phone_law, numbers.tax_law, numbers.iban_law)
    )
    schemes = ("AMEX", "APPLE_PAY", "DISCOVER", "GOOGLE_PAY", "MASTERCARD", "VISA")
    card = cards.card_law(policy, SEED, schemes)
    email = emails.email_law(policy, SEED, iso, name_law, each, each)
    street = addresses.street_law(policy, SEED, iso, each)
    postal = addresses.postal_law(policy, iso)
    v4, v6 = (networks.network_law(policy, SEED, v, each, 1 + 0 * each) for v in (4, 6))
    person = names.person_names(name_law, SEED, country, entity, entity // 2)
    word = names.firm_families(name_law, SEED, country, entity)[:, 0].copy()
    laws: dict[str, Callable[[], Text | names.Names]] = {
        "names": lambda: names.person_names(name_law, SEED, country, entity, entity // 2),
        "firm names": lambda: names.firm_names(name_law, SEED, country, entity),
        "phones": lambda: numbers.phones(phone, country, counter),
        "tax ids": lambda: numbers.tax_ids(tax, country, entity % 2, counter),
        "ibans": lambda: numbers.ibans(iban, country, entity % 9, counter),
        "cards": lambda: cards.card_numbers(card, entity % 6, entity % 693, entity),
        "e-mails": lambda: emails.emails(
            email, country, person.given, person.family, counter, 0 * counter
        ),
        "firm e-mails": lambda: emails.firm_emails(email, country, word, counter // 4, counter % 4),
        "streets": lambda: addresses.street_addresses(street, country, counter),
        "postal codes": lambda: addresses.postal_codes(
            postal, SEED, country, entity // 900, entity
        ),
        "ipv4": lambda: networks.endpoints(v4, SEED, country, counter, entity).address,
        "ipv6": lambda: networks.endpoints(v6, SEED, country, counter, entity).address,
    }
    for name, law in laws.items():
        law()
        start = time.perf_counter()
        out = law()
        taken = time.perf_counter() - start
        size = out.data.size if isinstance(out, Text) else 9 * n
        print(f"{name:14} {n / taken / 1e6:7.1f} M rows/s {size / n:6.1f} bytes a row")


if __name__ == "__main__":
    main()
