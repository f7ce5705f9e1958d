"""Judges of identifiers and the libraries agree on edited identifiers of every country.

A judge may refuse what a library knows nothing against, an account of another bank for instance;
what it accepts, the library must call well formed and nobody's.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from importlib import import_module

import numpy as np
import pyarrow as pa
import pytest

from fraudworld.layers.profiles.identifiers import digits, forms
from fraudworld.layers.profiles.identity import numbers
from fraudworld.policy.identity import DIGITS, LETTERS, TaxId
from support.identities import COUNTRY_CODES, SEED, iban, policy, rows

EACH = 40
COUNTRY, COUNTER = rows(EACH)
KIND = (COUNTER % 2).astype(np.int32)


def _tax_form(i: int) -> TaxId | None:
    of = policy().tax_ids.firm if KIND[i] else policy().tax_ids.person
    return of[COUNTRY_CODES[COUNTRY[i]]]


def _tax_ids() -> list[str | None]:
    law = numbers.tax_law(policy(), SEED, COUNTRY_CODES)
    return numbers.tax_ids(law, COUNTRY, KIND, COUNTER).rows()


def _wrong_tax_ids(texts: list[str | None]) -> list[bool]:
    table = forms.tax_id_forms(policy(), COUNTRY_CODES)
    found = forms.wrong_texts(table, COUNTRY, KIND, pa.array(texts, type=pa.string()))
    return list(found.tolist())


def _verdict(form: TaxId, text: str) -> str:
    """VALID, or the name of the exception that the library raises."""
    try:
        import_module(f"stdnum.{form.module}").validate(text)
    except import_module("stdnum.exceptions").ValidationError as error:
        return type(error).__name__
    return "VALID"


def test_phones_that_are_accepted_are_possible_and_not_valid() -> None:
    library = pytest.importorskip("phonenumbers")
    generator = np.random.default_rng(1)
    law = numbers.phone_law(policy(), SEED, COUNTRY_CODES)
    texts = []
    for text in numbers.phones(law, COUNTRY, COUNTER).rows():
        at = int(generator.integers(1, len(str(text))))
        texts.append(f"{str(text)[:at]}{generator.integers(10)}{str(text)[at + 1 :]}")
    ranges = digits.phone_ranges(policy(), COUNTRY_CODES)
    wrong = digits.wrong_phones(ranges, pa.array(texts))
    for text in np.array(texts)[~wrong].tolist():
        number = library.parse(text)
        assert library.is_possible_number(number)
        assert not library.is_valid_number(number)
    assert 200 < wrong.sum() < len(texts) - 1_000


def test_examples_of_phone_numbers_are_wrong() -> None:
    library = pytest.importorskip("phonenumbers")
    texts = [
        library.format_number(number, library.PhoneNumberFormat.E164)
        for iso in COUNTRY_CODES
        for kind in (library.PhoneNumberType.MOBILE, library.PhoneNumberType.FIXED_LINE)
        if (number := library.example_number_for_type(iso, kind)) is not None
    ]
    assert len(texts) > 140
    ranges = digits.phone_ranges(policy(), COUNTRY_CODES)
    assert digits.wrong_phones(ranges, pa.array(texts)).all()


def test_ibans_are_accepted_where_the_library_finds_no_fault() -> None:
    schwifty = pytest.importorskip("schwifty")
    errors = import_module("schwifty.exceptions")
    generator = np.random.default_rng(2)
    law = numbers.iban_law(policy(), SEED, COUNTRY_CODES)
    country, counter = rows(3 * EACH)
    table = forms.iban_forms(policy(), COUNTRY_CODES)
    chosen, texts, repaired, right = [], [], [], []
    with warnings.catch_warnings():
        # Hungary and Sweden: the library knows no algorithm of their check digits.
        warnings.simplefilter("ignore")
        for i, text in enumerate(numbers.ibans(law, country, counter % 9, counter).rows()):
            if text is None:
                continue
            iso = COUNTRY_CODES[country[i]]
            positions = list(policy().ibans.banks[iso][counter[i] % 9].positions())
            checks = [p for p, one in enumerate(positions) if one.check]
            free = [p for p, one in enumerate(positions) if len(one.characters) > 1]
            # A check character in every second text, so that many edits are refused.
            at = generator.choice(checks if checks and counter[i] % 2 else free)
            characters = positions[at].characters or "0123456789"
            bban = list(text[4:])
            bban[at] = characters[generator.integers(len(characters))]
            edited = iban(iso, "".join(bban))
            chosen.append(i)
            texts.append(edited)
            repaired.append(any(one.repair for one in positions))
            try:
                right.append(schwifty.IBAN(edited, validate_bban=True).bban.bank is None)
            except errors.SchwiftyException:
                right.append(False)
    accepted = ~forms.wrong_ibans(table, country[chosen], pa.array(texts))
    known, loose = np.array(right), np.array(repaired)
    np.testing.assert_array_equal(accepted[~loose], known[~loose])
    # Where both 0 and 1 at a `!` have check characters, the judge wants 0.
    assert (known | ~accepted)[loose].all()
    assert {COUNTRY_CODES[c] for c in country[chosen]} == set(policy().ibans.banks)
    assert min(known.sum(), (~known).sum()) > 500


def test_tax_ids_that_are_accepted_fail_as_their_rule_says() -> None:
    pytest.importorskip("stdnum")
    generator = np.random.default_rng(3)
    original, texts = _tax_ids(), []
    for i, text in enumerate(original):
        form = _tax_form(i)
        if form is None or text is None:
            texts.append(None)
            continue
        positions = list(form.positions())
        at = int(
            generator.choice([p for p, one in enumerate(positions) if len(one.characters) != 1])
        )
        characters = positions[at].characters or "0123456789"
        texts.append(text[:at] + characters[generator.integers(len(characters))] + text[at + 1 :])
    wrong: Counter[tuple[str, str]] = Counter()
    accepted = 0
    for i, off in enumerate(_wrong_tax_ids(texts)):
        form = _tax_form(i)
        if off or form is None:
            continue
        verdict = _verdict(form, str(texts[i]))
        allowed = {"InvalidChecksum"}
        if form.rule == "RANGE":
            allowed |= {"InvalidComponent", "InvalidFormat"}
        wrong[form.module, verdict] += verdict not in allowed
        accepted += texts[i] != original[i]
    assert +wrong == Counter()
    assert accepted > 100


def _endings(text: str, end: int) -> Iterator[str]:
    """The text with other check characters before `end`: one; then two and three digits.

    France and Luxembourg have more check digits than their templates leave open.
    """
    for character in DIGITS + LETTERS:
        yield text[: end - 1] + character + text[end:]
    for width in (2, 3):
        for number in range(10**width):
            yield f"{text[: end - width]}{number:0{width}d}{text[end:]}"


def test_tax_ids_made_valid_are_wrong() -> None:
    pytest.importorskip("stdnum")
    texts, changed, seen = _tax_ids(), [], set()
    for i, text in enumerate(texts):
        form = _tax_form(i)
        if form is None or text is None or form.rule != "CHECKSUM":
            continue
        checks = [p for p, one in enumerate(form.positions()) if one.check]
        assert len(checks) == 1
        for made in _endings(text, checks[0] + 1):
            if _verdict(form, made) == "VALID":
                texts[i] = made
                changed.append(i)
                seen.add((COUNTRY[i], KIND[i]))
                break
    assert np.flatnonzero(_wrong_tax_ids(texts)).tolist() == changed
    # Every country and kind of holder with a checksum.
    of = policy().tax_ids
    with_checksum = [f for k in (of.person, of.firm) for f in k.values()
                     if f is not None and f.rule == "CHECKSUM"]  # fmt: skip
    assert len(seen) == len(with_checksum)


def test_card_numbers_are_accepted_where_luhn_is_right() -> None:
    luhn = pytest.importorskip("stdnum.luhn")
    generator = np.random.default_rng(4)
    texts = [f"994{generator.integers(10**13):013d}" for _ in range(3_000)]
    of = digits.card_numbers(policy(), policy().numbers.cards.schemes, ("VISA",))
    wrong = digits.wrong_cards(of, np.zeros(len(texts), dtype=np.int64), pa.array(texts))
    assert (~wrong).tolist() == [luhn.is_valid(text) for text in texts]
    assert 200 < (~wrong).sum() < 400
