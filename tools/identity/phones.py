"""Finds one range of telephone numbers a country that is possible and not valid.

`phonenumbers` calls a number possible by its length, and valid if a pattern of some kind of
number of a region with its calling code matches. The search is exact: no number of the range
matches any pattern of any such region.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberType

from identity.patterns import free_prefixes

KINDS = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip",
    "pager", "uan", "voicemail",
)  # fmt: skip
LEAST_FREE = 6
"""Digits that stay free: a range holds a million numbers at least."""
CHECKED = 2_000


def ranges(countries: Iterable[str]) -> dict[str, dict[str, object]]:
    """Country → calling code, prefix of the national number, free digits after it."""
    out: dict[str, dict[str, object]] = {}
    taken: dict[int, list[str]] = {}
    for iso in sorted(countries):
        code = phonenumbers.country_code_for_region(iso)
        length, prefix = _range(iso, code, taken.setdefault(code, []))
        taken[code].append(prefix)
        out[iso] = {"calling_code": str(code), "prefix": prefix, "free": length - len(prefix)}
    return out


def _range(iso: str, code: int, taken: list[str]) -> tuple[int, str]:
    patterns = [
        kind.national_number_pattern
        for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]
        for metadata in [PhoneMetadata.metadata_for_region(region)]
        for kind in (getattr(metadata, name) for name in KINDS)
        if kind is not None and kind.national_number_pattern
    ]
    own = PhoneMetadata.metadata_for_region(iso)
    mobile = phonenumbers.example_number_for_type(iso, PhoneNumberType.MOBILE)
    usual = len(phonenumbers.national_significant_number(mobile))
    lengths = sorted(own.general_desc.possible_length, key=lambda n: (n != usual, abs(n - usual)))
    for length in lengths:
        for prefix in free_prefixes(patterns, length, max(length - LEAST_FREE, 0)):
            others = any(p.startswith(prefix) or prefix.startswith(p) for p in taken)
            if not others and length - len(prefix) >= LEAST_FREE and _holds(code, prefix, length):
                return length, prefix
    raise ValueError(f"{iso}: every range holds valid numbers")


def _holds(code: int, prefix: str, length: int) -> bool:
    """Whether numbers of the range are read as written, possible, and not valid."""
    random = Random(prefix)
    free = length - len(prefix)
    ends = ["0" * free, "9" * free]
    for tail in ends + ["".join(random.choices("0123456789", k=free)) for _ in range(CHECKED)]:
        text = f"+{code}{prefix}{tail}"
        try:
            number = phonenumbers.parse(text)
        except phonenumbers.NumberParseException:
            return False
        if (
            phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) != text
            or not phonenumbers.is_possible_number(number)
            or phonenumbers.is_valid_number(number)
        ):
            return False
    return True
