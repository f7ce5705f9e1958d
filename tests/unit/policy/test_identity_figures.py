"""Figures of identifiers: every fault has a file and a key, and templates mean what they say."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from fraudworld.errors import InputError
from fraudworld.inputs.embedded.geography import COUNTRIES
from fraudworld.policy.identity import SHIPPED, Automaton, Sum, Template, WordList, load_identity


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A copy of the shipped figures that a test may break."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "identity"))


def edit(path: Path, old: str, new: str) -> None:
    """Replaces the first `old` of a file."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def faults(pack: Path) -> tuple[str, str]:
    """Code and text of the error of a broken pack."""
    with pytest.raises(InputError) as caught:
        load_identity(pack)
    return caught.value.code, caught.value.what


def test_shipped_figures_cover_every_country_of_the_default_bank() -> None:
    loaded = load_identity()
    assert set(loaded.policy.locales.countries) == set(COUNTRIES)
    assert all("(MIT)" in people.source for people in loaded.policy.people.values())
    assert len(loaded.digest) == 64


def test_the_digest_covers_values_and_no_comments(pack: Path) -> None:
    before = load_identity(pack)
    numbers = pack / "numbers_6P.v1.yaml"
    numbers.write_text(numbers.read_text("utf-8") + "# a comment\n", "utf-8")
    same = load_identity(pack)
    edit(numbers, "house_numbers: 160", "house_numbers: 161")
    other = load_identity(pack)
    assert before.digest == same.digest != other.digest
    assert before.files["numbers_6P.v1.yaml"] != same.files["numbers_6P.v1.yaml"]


def test_a_missing_file_is_named(pack: Path) -> None:
    (pack / "phones_6P.v1.yaml").unlink()
    code, what = faults(pack)
    assert code == "6P.S0.PRIOR_PACK_MISSING"
    assert "phones_6P.v1.yaml" in what


def test_files_and_lists_that_nothing_reads_are_faults(pack: Path) -> None:
    (pack / "phone_6P.v1.yaml").write_text("a: 1\n", "utf-8")
    assert "phone_6P.v1.yaml: no such file" in faults(pack)[1]
    (pack / "phone_6P.v1.yaml").unlink()
    shutil.copy(pack / "people/de_DE.yaml", pack / "people/de_XX.yaml")
    assert "no country uses de_XX" in faults(pack)[1]


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        ("numbers_6P.v1.yaml", "house_numbers:", "houses:", "house_numbers"),
        ("numbers_6P.v1.yaml", "mail: 0.42", "mail: 0.43", "emails"),
        ("numbers_6P.v1.yaml", "AMEX: 3", "AMEX: 4", "two schemes share a digit"),
        ("numbers_6P.v1.yaml", '".": 0.55', '"+": 0.55', "separators are"),
        ("phones_6P.v1.yaml", "AE: +971", "AE: 971", "templates"),
        ("phones_6P.v1.yaml", "  AE:", "  XX:", "XX"),
        ("locales_6P.v1.yaml", "ar_AA: 0.5", "ar_ZZ: 0.5", "no list of names ar_ZZ"),
        ("people/de_DE.yaml", "Albers", "Albers;;0", "a weight below 1"),
        ("people/de_DE.yaml", "Albers", "Ålbers;å", "ASCII form"),
        ("people/de_DE.yaml", "Albers", "Anders", "a word appears twice"),
        ("streets/de_DE.yaml", "streets:", "roads:", "streets/de_DE.yaml"),
        ("ibans_6P.v1.yaml", "modulus: 97", "modulus: 98", "ibans_6P.v1.yaml"),
        ("tax_ids_6P.v1.yaml", "width: 1", "width: 3", "automaton.width"),
    ],
)
def test_faults_have_a_file_or_a_key(pack: Path, file: str, old: str, new: str, named: str) -> None:
    edit(pack / file, old, new)
    code, what = faults(pack)
    assert code == "6P.S0.PRIOR_PACK_SCHEMA_INVALID"
    assert named in what


@pytest.mark.parametrize(
    "template",
    [
        {"template": "AB_##"},  # no such character
        {"template": "##?"},  # a check without a law
        {"template": "##", "sum": {"modulus": 97, "least": 1, "start": 0, "terms": ["0 1", "0 1"]}},
        {"template": "[01]??", "sum": {"modulus": 97, "least": 1, "start": 0, "terms": ["0 1 2"]}},
        {"template": "[01]?", "automaton": {"width": 1, "moves": ["02"], "endings": "A B"}},
        {"template": "[01]?", "automaton": {"width": 1, "moves": ["01"], "endings": "AA B"}},
        {"template": "[01]?", "automaton": {"width": 1, "moves": ["01"], "endings": "A -"}},
        {"template": "![01]?", "automaton": {"width": 1, "moves": ["00", "01"], "endings": "A -"}},
    ],
)
def test_templates_that_do_not_fit_their_law_are_faults(template: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Template.model_validate(template)


def test_characters_of_a_template() -> None:
    template = Template(template="A#[X-Z7]*")
    assert [p.characters for p in template.positions()] == ["A", "0123456789", "XYZ7", "0123456789"]
    assert [p.read for p in template.positions()] == [True, True, True, False]


def test_a_sum_is_an_automaton_of_its_remainders() -> None:
    law = Sum(modulus=97, least=1, start=5, terms=("0 3 6", "0 10 20")).law()
    assert law.initial == 5
    state = int(law.moves[1][law.moves[0][5][2]][1])  # 5 + 6 + 10
    assert (state, law.endings[state], law.endings[0], law.endings[96]) == (21, "21", "97", "96")


def test_an_automaton_is_read_in_base_36() -> None:
    law = Automaton(width=2, moves=("000z10",), endings="A - B").law()
    assert law.moves[0].tolist() == [[0, 35, 36]]
    assert law.moves[0].dtype == np.int16
    assert law.endings == ("A", "", "B")


def test_words_have_letters_and_a_weight() -> None:
    words = WordList(lines="Søren;soeren;12\nvan Wijk\nIda;;3").words()
    assert [tuple(w) for w in words] == [
        ("Søren", "soeren", 12),
        ("van Wijk", "vanwijk", 1),
        ("Ida", "ida", 3),
    ]
