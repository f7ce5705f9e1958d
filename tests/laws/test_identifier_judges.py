"""Judges of identifiers accept all that the laws write, and mark exactly the rows that are changed.

Every column holds rows of all countries of the default bank.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudworld.layers.profiles.identifiers import columns, digits, forms
from fraudworld.layers.profiles.identifiers.emails import wrong_emails
from fraudworld.layers.profiles.identifiers.networks import wrong_addresses, wrong_systems
from fraudworld.layers.profiles.identity import addresses, cards, emails, names, networks, numbers
from fraudworld.policy.identity import Template
from support.identities import COUNTRY_CODES, SEED, all_of, iban, policy, rows

EACH = 60
COUNTRY, COUNTER = rows(EACH)
KIND = (COUNTER % 2).astype(np.int32)
ENTITY = COUNTRY * np.int64(EACH) + COUNTER
SCHEMES = ("ACH", "AMEX", "APPLE_PAY", "DISCOVER", "GOOGLE_PAY", "MASTERCARD", "VISA")
SCHEME = (ENTITY % len(SCHEMES)).astype(np.int32)
CARDS = policy().numbers.cards
TAX = forms.tax_id_forms(policy(), COUNTRY_CODES)
POSTAL = forms.postal_code_forms(policy(), COUNTRY_CODES)
IBANS = forms.iban_forms(policy(), COUNTRY_CODES)
PHONES = digits.phone_ranges(policy(), COUNTRY_CODES)
PANS = digits.card_numbers(policy(), CARDS.schemes, SCHEMES)
TOKENS = digits.card_numbers(policy(), CARDS.wallets, SCHEMES)


class Case(NamedTuple):
    """A column of a law and its judge."""

    texts: list[str | None]
    judge: Callable[[pa.Array], np.ndarray]

    def wrong(self, changes: Mapping[int, str | None] | None = None) -> list[int]:
        """Rows that the judge marks after some are replaced."""
        texts = list(self.texts)
        for row, text in (changes or {}).items():
            texts[row] = text
        return np.flatnonzero(self.judge(pa.array(texts, type=pa.string()))).tolist()

    def marks(self, changes: Mapping[int, str | None]) -> bool:
        """Whether the judge marks the changed rows and no other."""
        assert changes
        return self.wrong(changes) == sorted(changes)

    def present(self) -> list[int]:
        """Rows with an identifier."""
        return [i for i, text in enumerate(self.texts) if text is not None]


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    """Name of an identifier → its column and judge."""
    phone, tax, account = (
        law(policy(), SEED, COUNTRY_CODES)
        for law in (numbers.phone_law, numbers.tax_law, numbers.iban_law)
    )
    name_law = names.name_law(policy(), COUNTRY_CODES)
    email = emails.email_law(policy(), SEED, COUNTRY_CODES, name_law, all_of(EACH), all_of(EACH))
    person = names.person_names(name_law, SEED, COUNTRY, ENTITY, ENTITY // 3)
    postal = addresses.postal_law(policy(), COUNTRY_CODES)
    of_cards = cards.card_law(policy(), SEED, SCHEMES)
    numbers_of = cards.card_numbers(of_cards, SCHEME, ENTITY % 693, ENTITY).rows()
    pan = [
        t if SCHEMES[s] in CARDS.schemes else None for t, s in zip(numbers_of, SCHEME, strict=True)
    ]
    token = [
        t if SCHEMES[s] in CARDS.wallets else None for t, s in zip(numbers_of, SCHEME, strict=True)
    ]
    endpoint = {
        version: networks.endpoints(
            networks.network_law(policy(), SEED, version, all_of(EACH), all_of(4)),
            SEED, COUNTRY, COUNTER, ENTITY,
        ).address.rows()
        for version in (networks.IPV4, networks.IPV6)
    }  # fmt: skip
    members = emails.firm_emails(email, COUNTRY, person.family, COUNTER // 5, COUNTER % 5)
    return {
        "phone": Case(
            numbers.phones(phone, COUNTRY, COUNTER).rows(),
            lambda c: digits.wrong_phones(PHONES, c),
        ),
        "tax id": Case(
            numbers.tax_ids(tax, COUNTRY, KIND, COUNTER).rows(),
            lambda c: forms.wrong_texts(TAX, COUNTRY, KIND, c),
        ),
        "iban": Case(
            numbers.ibans(account, COUNTRY, COUNTER % 9, COUNTER).rows(),
            lambda c: forms.wrong_ibans(IBANS, COUNTRY, c),
        ),
        "postal code": Case(
            addresses.postal_codes(postal, SEED, COUNTRY, ENTITY // 9, ENTITY).rows(),
            lambda c: forms.wrong_texts(POSTAL, COUNTRY, 0, c),
        ),
        "pan": Case(pan, lambda c: digits.wrong_cards(PANS, SCHEME, c)),
        "token": Case(token, lambda c: digits.wrong_cards(TOKENS, SCHEME, c)),
        "e-mail": Case(
            emails.emails(email, COUNTRY, person.given, person.family, COUNTER, COUNTER % 3).rows(),
            wrong_emails,
        ),
        "firm e-mail": Case(members.rows(), wrong_emails),
        "ipv4": Case(endpoint[networks.IPV4], wrong_addresses),
        "ipv6": Case(endpoint[networks.IPV6], wrong_addresses),
    }


NAMES = (
    "phone", "tax id", "iban", "postal code", "pan", "token", "e-mail", "firm e-mail", "ipv4",
    "ipv6",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_all_that_the_laws_write_is_right(cases: dict[str, Case], name: str) -> None:
    assert cases[name].wrong() == []
    assert len(cases[name].present()) > 1_000


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_identifier_is_wrong(cases: dict[str, Case], name: str) -> None:
    case = cases[name]
    changes = dict.fromkeys(case.present()[::7])
    assert case.marks(changes)
    assert case.marks(dict.fromkeys(changes, ""))


@pytest.mark.parametrize("name", ["tax id", "iban", "postal code", "pan", "token"])
def test_an_identifier_where_none_may_be_is_wrong(cases: dict[str, Case], name: str) -> None:
    case = cases[name]
    example = case.texts[case.present()[0]]
    absent = [i for i, text in enumerate(case.texts) if text is None]
    assert case.marks({i: example if i % 2 else "" for i in absent[::3]})


@pytest.mark.parametrize("name", NAMES)
def test_a_character_more_or_less_or_of_no_alphabet_is_wrong(
    cases: dict[str, Case], name: str
) -> None:
    case = cases[name]
    texts = {i: str(case.texts[i]) for i in case.present()[::5]}
    assert case.marks({i: f"{text} " for i, text in texts.items()})
    assert case.marks({i: f" {text}" for i, text in texts.items()})
    assert case.marks({i: f"{text}\0" for i, text in texts.items()})
    # One character of two bytes, so that the text keeps its length.
    assert case.marks({i: f"é{text[2:]}" for i, text in texts.items()})
    if name not in ("ipv4", "ipv6", "e-mail", "firm e-mail"):
        assert case.marks({i: text[:-1] for i, text in texts.items()})
        assert case.marks({i: f"{text}0" for i, text in texts.items()})
    if "e-mail" not in name:
        assert case.marks({i: f"{text[:-1]}٣"[-len(text) :] for i, text in texts.items()})


def test_identifiers_of_another_country_kind_or_scheme_are_wrong(cases: dict[str, Case]) -> None:
    accounts, tax = cases["iban"], cases["tax id"]
    de, fr = COUNTRY_CODES.index("DE"), COUNTRY_CODES.index("FR")
    german = next(i for i in accounts.present() if COUNTRY[i] == de)
    french = next(i for i in accounts.present() if COUNTRY[i] == fr)
    assert accounts.marks({german: accounts.texts[french], french: accounts.texts[german]})
    person, firm = (next(i for i in tax.present() if COUNTRY[i] == de and KIND[i] == k)
                    for k in (0, 1))  # fmt: skip
    assert tax.marks({person: tax.texts[firm], firm: tax.texts[person]})
    pan = cases["pan"]
    visa, amex = (next(i for i in pan.present() if SCHEMES[SCHEME[i]] == s)
                  for s in ("VISA", "AMEX"))  # fmt: skip
    assert pan.marks({visa: pan.texts[amex], amex: pan.texts[visa]})
    token = cases["token"]
    assert pan.marks({visa: token.texts[token.present()[0]]})


def test_a_code_that_is_no_country_or_scheme_has_no_identifier(cases: dict[str, Case]) -> None:
    texts = pa.array([cases["iban"].texts[cases["iban"].present()[0]], None])
    unknown = np.array([-1, -1])
    assert forms.wrong_ibans(IBANS, unknown, texts).tolist() == [True, False]
    assert forms.wrong_texts(TAX, unknown, np.array([0, 1]), texts).tolist() == [True, False]
    assert digits.wrong_cards(PANS, unknown, texts).tolist() == [True, False]


def _checked(template: Template) -> list[int]:
    return [p for p, position in enumerate(template.positions()) if position.check]


def _turned(text: str, position: int, by: int = 1) -> str:
    """The text with another digit or letter at a position."""
    old = text[position]
    new = (
        chr(ord("0") + (ord(old) - ord("0") + by) % 10)
        if old.isdigit()
        else chr(ord("A") + (ord(old) - ord("A") + by) % 26)
    )
    return text[:position] + new + text[position + 1 :]


@pytest.mark.parametrize("by", range(1, 10))
def test_every_other_check_character_of_a_tax_id_is_wrong(cases: dict[str, Case], by: int) -> None:
    case, changes, seen = cases["tax id"], {}, set()
    for i in case.present():
        of = policy().tax_ids.firm if KIND[i] else policy().tax_ids.person
        form = of[COUNTRY_CODES[COUNTRY[i]]]
        assert form is not None
        checks = _checked(form)
        if checks:
            changes[i] = _turned(str(case.texts[i]), checks[-1], by)
            seen.add((COUNTRY[i], KIND[i]))
    assert case.marks(changes)
    assert len(seen) > 80


@pytest.mark.parametrize("seed", range(3))
def test_one_changed_character_of_an_iban_is_wrong(cases: dict[str, Case], seed: int) -> None:
    case, generator = cases["iban"], np.random.default_rng(seed)
    changes = {}
    for i in case.present():
        text = str(case.texts[i])
        changes[i] = _turned(
            text, int(generator.integers(len(text))), int(generator.integers(1, 9))
        )
    assert case.marks(changes)


def test_check_digits_of_an_iban_are_those_of_the_standard(cases: dict[str, Case]) -> None:
    # 97 more leaves the remainder: a check by remainder alone would accept both.
    case, changes = cases["iban"], {}
    for i in case.present():
        text = str(case.texts[i])
        assert text == iban(text[:2], text[4:])
        check = int(text[2:4])
        for other in (check - 97, check + 97):
            if 0 <= other < 100:
                changes[i] = f"{text[:2]}{other:02d}{text[4:]}"
    assert case.marks(changes)


def test_account_numbers_of_letters_alone_are_checked() -> None:
    # Every letter counts as two digits, so that the number is the largest of its length.
    bank = forms.form(Template(template="[A-Z]" * 30))
    generator = np.random.default_rng(7)
    texts = [iban("XZ", "".join(map(chr, generator.integers(65, 91, 30)))) for _ in range(500)]
    table = forms.IbanForms(("XZ",), ((bank,),))
    country = np.zeros(len(texts), dtype=np.int64)
    assert not forms.wrong_ibans(table, country, pa.array(texts)).any()
    turned = [_turned(text, 3, 1 + i % 9) for i, text in enumerate(texts)]
    assert forms.wrong_ibans(table, country, pa.array(turned)).all()


def test_wrong_national_check_digits_are_wrong_under_a_right_check_of_the_iban(
    cases: dict[str, Case],
) -> None:
    case, changes, seen = cases["iban"], {}, set()
    for i in case.present():
        text, iso = str(case.texts[i]), COUNTRY_CODES[COUNTRY[i]]
        bank = policy().ibans.banks[iso][COUNTER[i] % 9]
        checks = _checked(bank)
        if checks:
            bban = _turned(text[4:], checks[-1], 1 + i % 9)
            changes[i] = iban(iso, bban)
            seen.add(iso)
    assert case.marks(changes)
    assert {"BE", "ES", "FI", "FR", "IS", "IT", "NO", "PT", "SI"} <= seen


def test_a_repair_digit_is_one_only_where_zero_has_no_check_character(
    cases: dict[str, Case],
) -> None:
    case, changes = cases["iban"], {}
    for i in case.present():
        iso = COUNTRY_CODES[COUNTRY[i]]
        bank, bban = policy().ibans.banks[iso][COUNTER[i] % 9], str(case.texts[i])[4:]
        positions, law = list(bank.positions()), bank.law()
        repairs = [p for p, one in enumerate(positions) if one.repair]
        if not repairs or bban[repairs[0]] != "0" or law is None:
            continue
        turned = list(bban)
        turned[repairs[0]] = "1"
        state, moves = law.initial, iter(law.moves)
        for character, one in zip(turned, positions, strict=True):
            if len(one.characters) > 1 and one.read:
                state = int(next(moves)[state, one.characters.index(character)])
        if law.endings[state]:
            for p, character in zip(_checked(bank), law.endings[state], strict=True):
                turned[p] = character
            changes[i] = iban(iso, "".join(turned))
    assert len(changes) > 50
    assert case.marks(changes)


def test_numbers_of_real_banks_are_wrong(cases: dict[str, Case]) -> None:
    # Examples of the IBAN registry.
    examples = (
        "BE68539007547034", "CH9300762011623852957", "DE89370400440532013000",
        "ES9121000418450200051332", "FR1420041010050500013M02606", "GB29NWBK60161331926819",
        "IT60X0542811101000000123456", "NL91ABNA0417164300", "NO9386011117947",
        "PL61109010140000071219812874", "SE4550000000058398257466",
    )  # fmt: skip
    case = cases["iban"]
    rows_of = {COUNTRY_CODES[COUNTRY[i]]: i for i in case.present()}
    assert all(text == iban(text[:2], text[4:]) for text in examples)
    assert case.marks({rows_of[text[:2]]: text for text in examples})


@pytest.mark.parametrize("name", ["pan", "token"])
def test_every_other_digit_of_a_card_number_is_wrong(cases: dict[str, Case], name: str) -> None:
    case = cases[name]
    for by in range(1, 10):
        texts = {i: str(case.texts[i]) for i in case.present()}
        assert case.marks({i: _turned(t, i % len(t), by) for i, t in texts.items()})


@pytest.mark.parametrize("name", ["pan", "token"])
def test_a_letter_is_no_digit_of_a_card_number(cases: dict[str, Case], name: str) -> None:
    case = cases[name]
    texts = {i: str(case.texts[i]) for i in case.present() if "9" in str(case.texts[i])[3:]}
    assert case.marks({i: text[:3] + text[3:].replace("9", "a") for i, text in texts.items()})


def test_card_numbers_of_schemes_are_wrong(cases: dict[str, Case]) -> None:
    # Luhn-correct test numbers of schemes.
    examples = {"VISA": "4111111111111111", "MASTERCARD": "5555555555554444",
                "AMEX": "378282246310005", "DISCOVER": "6011111111111117"}  # fmt: skip
    case = cases["pan"]
    rows_of = {SCHEMES[SCHEME[i]]: i for i in case.present()}
    assert case.marks({rows_of[scheme]: text for scheme, text in examples.items()})


def test_addresses_outside_the_reserved_ranges_or_written_otherwise_are_wrong(
    cases: dict[str, Case],
) -> None:
    wrong = (
        "192.0.2.1", "239.255.255.255", "255.255.255.255", "240.0.0", "240.0.0.0.0", "240.0.0.",
        "240.0.0.256", "240.0.0.01", "240.0.0.1000", "240..0.1", "240.0.0.a", "0240.0.0.1",
        "240.0.0.-1", "2001:4860::1", "2001:db9::1", "2001:DB8::1", "2001:db8::A",
        "2001:0db8::1", "2001:db8::01", "2001:db8:0:0:0:0:0:1", "2001:db8::0:1", "2001:db8:::1",
        "2001:db8::1::1", "2001:db8::1:", "2001:db8:1:1:1:1:1", "2001:db8:1:1:1:1:1:1:1",
        "2001:db8:1:1:1:1:1:",
        "2001:db8::1:1:1:1:1", "2001:db8:0:0:1::1", "2001:db8:1:0:0:1::", "2001:db8::12345",
        "2001:db8::240.0.0.1", "2001:db8::1%1", "::1", "2001:db8", "2001:db8:", ":", "::", ".",
        "...", "2001:db8::g", "2001:db8:1:1:1:1:1::",
    )  # fmt: skip
    right = (
        "240.0.0.0", "255.255.255.254", "250.0.100.9", "2001:db8::", "2001:db8::1",
        "2001:db8:1:1:1:1:1:1", "2001:db8:0:1:1:1:1:1", "2001:db8::1:0:0:1", "2001:db8:1::",
        "2001:db8::f:0:1:0", "2001:db8:1:1:1:1:1:0", "2001:db8:1:1:1:1::",
    )  # fmt: skip
    for name in ("ipv4", "ipv6"):
        case = cases[name]
        changes = dict(enumerate(wrong, start=3))
        kept = dict(enumerate(right, start=200))
        assert case.wrong({**changes, **kept}) == sorted(changes)


def _is_canonical(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        reserved = int(address) >> 28 == 15 and int(address) != 2**32 - 1
    else:
        reserved = int(address) >> 96 == 0x20010DB8
    return reserved and str(address) == text


@st.composite
def _addresses(draw: st.DrawFn) -> str:
    """Texts near a reserved address: canonical, or written otherwise, or with edits."""
    group = st.one_of(st.just(0), st.integers(0, 0xFFFF))
    low = draw(st.tuples(*[group] * 6))
    value = 0x20010DB8 << 96 | sum(g << 16 * (5 - k) for k, g in enumerate(low))
    v6 = ipaddress.IPv6Address(value)
    octets = draw(st.tuples(st.integers(238, 257), *[st.sampled_from([0, 7, 42, 255, 256])] * 3))
    full = ":".join(f"{g:x}" for g in (0x2001, 0xDB8, *low))
    text = draw(st.sampled_from([str(v6), full, v6.exploded, ".".join(map(str, octets))]))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        kept = draw(st.integers(0, 1))
        text = text[:at] + draw(st.sampled_from(["", ":", "::", ".", "0", "1", "a", "F"])) + text[
            at + kept :
        ]  # fmt: skip
    return text


@settings(deadline=None, max_examples=200)
@given(st.lists(_addresses(), min_size=1, max_size=20))
def test_canonical_addresses_are_those_of_the_standard_library(texts: list[str]) -> None:
    assert (~wrong_addresses(pa.array(texts))).tolist() == [_is_canonical(t) for t in texts]


def test_systems_are_private_ones() -> None:
    right = [64_512, 65_534, 4_200_000_000, 4_294_967_294]
    wrong = [0, -1, 64_511, 65_535, 65_536, 13_335, 4_199_999_999, 4_294_967_295, None]
    assert not wrong_systems(pa.array(right)).any()
    assert wrong_systems(pa.array(wrong)).all()
    assert (
        wrong_systems(pa.chunked_array([right[:2], wrong[:3]])).tolist() == [False] * 2 + [True] * 3
    )
    assert wrong_systems(pa.array([4_294_967_295, 64_512], type=pa.uint32())).tolist() == [
        True, False,
    ]  # fmt: skip


def test_emails_elsewhere_or_malformed_are_wrong(cases: dict[str, Case]) -> None:
    wrong = (
        "ana@gmail.com", "ana@mail.de.example.com", "ana@example", "ana@.example", "ana@test",
        "ana.mail.de.example", "a@b@mail.de.example", "@mail.de.example", "ana@", "@", ".example",
        "ana@mail.de.examples", "ana@mailexample", "ana@mail..de.example", "ana.@mail.de.example",
        ".ana@mail.de.example", "a..b@mail.de.example", "Ana@mail.de.example",
        "ana@mail.de.Example", "aña@mail.de.example", "a b@mail.de.example",
        "ana@ma_il.de.example", "ana@-mail.de.example", "ana@mail.de+1.example",
        "ana+@mail.de.example", "ana+1a@mail.de.example", "ana+1+2@mail.de.example",
        "ana+1.2@mail.de.example", "+1@mail.de.example", f"{'a' * 65}@mail.de.example",
        f"ana@{'a' * 250}.example", "ana@mail.de.example.", "ana@mail.de.example+1",
    )  # fmt: skip
    right = (
        "ana@mail.de.example", "a.b-c_d9@x.test", "ana+12@mail.de.example", "a+0@b.test",
        f"{'a' * 64}@mail.de.example",
    )  # fmt: skip
    for name in ("e-mail", "firm e-mail"):
        changes = dict(enumerate(wrong, start=3))
        assert cases[name].wrong({**changes, **dict(enumerate(right, 200))}) == sorted(changes)


_WORD = "[a-z0-9]+(?:[._-][a-z0-9]+)*"
_EMAIL = re.compile(
    rf"(?P<local>{_WORD}(?:\+[0-9]+)?)@[a-z0-9]+(?:[.-][a-z0-9]+)*\.(?:example|test)"
)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.builds(
            "".join,
            st.tuples(
                st.text("a1._-+@é", max_size=7),
                st.sampled_from(["@", "", "+1@"]),
                st.text("a1._-+@", max_size=4),
                st.sampled_from([".example", ".test", "example", ".com", ""]),
            ),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_emails_are_those_of_the_expression(texts: list[str]) -> None:
    found = (~wrong_emails(pa.array(texts))).tolist()
    assert found == [_EMAIL.fullmatch(text) is not None for text in texts]


def test_phone_numbers_outside_the_ranges_are_wrong(cases: dict[str, Case]) -> None:
    wrong = (
        "+493012345678", "+12025550123", "+442079460958", "00491012345678", "4910123456789",
        "+4910 1234567", "++4910123456", "+", "+49", "+491012345678901", "+4910123456a",
    )  # fmt: skip
    case = cases["phone"]
    assert case.marks(dict(enumerate(wrong, start=5)))
    assert case.marks({i: f"-{str(case.texts[i])[1:]}" for i in case.present()[::9]})


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_phone_numbers_are_those_of_the_templates(data: st.DataObject) -> None:
    templates = list(policy().phones.templates.values())
    allowed = re.compile("|".join(re.escape(t).replace(r"\#", "[0-9]") for t in templates))
    texts = []
    for _ in range(10):
        text = list(re.sub("#", "5", data.draw(st.sampled_from(templates))))
        at = data.draw(st.integers(0, len(text) - 1))
        text[at] = data.draw(st.sampled_from("0123456789+a"))
        texts.append("".join(text)[: data.draw(st.integers(len(text) - 1, len(text)))])
    found = (~digits.wrong_phones(PHONES, pa.array(texts))).tolist()
    assert found == [allowed.fullmatch(text) is not None for text in texts]


def test_ranges_that_begin_alike_are_an_error() -> None:
    templates = {**policy().phones.templates, "DE": "+331#######"}
    overlay = policy().phones.model_copy(update={"templates": {**templates, "FR": "+33########"}})
    with pytest.raises(ValueError, match=r"begin with \+33"):
        digits.phone_ranges(policy().model_copy(update={"phones": overlay}), ("DE", "FR"))


@pytest.mark.parametrize("name", NAMES)
def test_a_verdict_depends_on_no_other_row_no_layout_and_no_block(
    cases: dict[str, Case], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = cases[name]
    texts = list(case.texts)
    for i in case.present()[::3]:
        texts[i] = f"{texts[i]}x"
    whole = pa.array(texts, type=pa.string())
    expected = case.judge(whole)
    assert expected.any()
    assert not expected.all()
    padded = pa.array(["x", None, *texts, "y"], type=pa.string()).slice(2, len(texts))
    cut = len(texts) // 3
    layouts = (
        padded, pa.chunked_array([whole[:cut], whole[cut:]]), whole.cast(pa.large_string()),
        whole.dictionary_encode(),
    )  # fmt: skip
    for layout in layouts:
        np.testing.assert_array_equal(case.judge(layout), expected)
    monkeypatch.setattr(columns, "BLOCK_ROWS", 5)
    np.testing.assert_array_equal(case.judge(whole), expected)


@pytest.mark.parametrize("name", NAMES)
def test_bytes_of_a_null_row_are_not_read(cases: dict[str, Case], name: str) -> None:
    case = cases[name]
    text = pa.array([text or "" for text in case.texts], type=pa.string())
    absent = [t is None or i % 3 == 0 for i, t in enumerate(case.texts)]
    valid = pa.py_buffer(np.packbits(~np.array(absent), bitorder="little"))
    read = pa.StringArray.from_buffers(len(text), *text.buffers()[1:], valid)
    expected = [off and t is not None for off, t in zip(absent, case.texts, strict=True)]
    assert case.judge(read).tolist() == expected


def test_no_character_stands_for_a_check_character_that_is_none() -> None:
    bank = policy().ibans.banks["CZ"][0]
    of, law = forms.form(bank), bank.law()
    positions = list(bank.positions())
    assert law is not None
    for number in range(100):
        free = iter(f"0{number:08d}")
        text = "".join(
            p.characters if len(p.characters) == 1 else "\0" if p.check else next(free)
            for p in positions
        )
        state = law.initial
        for moves, character in zip(law.moves, f"0{number:08d}", strict=True):
            state = int(moves[state, int(character)])
        if not law.endings[state]:
            break
    assert not law.endings[state]
    column = np.frombuffer(text.encode("ascii"), dtype=np.uint8)[:, None]
    assert not forms.has_form(of, column).any()


def test_a_column_without_rows_has_no_wrong_row() -> None:
    none, text = np.zeros(0, dtype=np.int64), pa.array([], type=pa.string())
    assert digits.wrong_phones(PHONES, text).size == 0
    assert forms.wrong_texts(TAX, none, none, text).size == 0
    assert forms.wrong_ibans(IBANS, none, text).size == 0
    assert digits.wrong_cards(PANS, none, text).size == 0
    assert (
        wrong_emails(text).size
        == wrong_addresses(text).size
        == wrong_systems(pa.array([], pa.int64())).size
        == 0
    )
