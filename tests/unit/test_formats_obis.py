"""OBIS codes and exact numbers."""

from __future__ import annotations

from decimal import Decimal

import pytest

from oracle.formats import obis


@pytest.mark.parametrize(
    ("spelling", "normal"),
    [
        ("1-0:1.8.0*255", "1-0:1.8.0"),
        ("1-0:1.8.0", "1-0:1.8.0"),
        ("01-00:001.008.000", "1-0:1.8.0"),
        ("1.8.1", "1-0:1.8.1"),
        ("1.8.0*01", "1-0:1.8.0*1"),
        ("0-0:96.1.255*255", "0-0:96.1.255"),
        ("1-0:256.8.0", None),
        ("F.F", None),
        ("1.8", None),
        ("1-0:1.8.0 ", None),
        ("\u0661-0:1.8.0", None),
        ("", None),
    ],
)
def test_every_spelling_of_a_code_has_one_normal_form(spelling, normal) -> None:
    assert obis.normal(spelling) == normal


def test_six_bytes_are_a_code() -> None:
    assert obis.of_bytes(bytes([1, 0, 2, 8, 0, 255])) == "1-0:2.8.0"
    assert obis.of_bytes(bytes([129, 129, 199, 130, 3, 1])) == "129-129:199.130.3*1"
    assert obis.of_bytes(b"12345") is None


@pytest.mark.parametrize("code", ["1-0:1.8.0", "1-0:15.8.4", "0-1:24.2.1", "0-4:24.3.0"])
def test_what_accumulates_is_a_register(code) -> None:
    assert obis.is_register(code)


@pytest.mark.parametrize("code", ["1-0:1.7.0", "1-0:1.8.0*1", "0-0:96.1.1", "0-1:24.1.0", "0-0:1.8.0", "8.0"])
def test_what_does_not_is_none(code) -> None:
    assert not obis.is_register(code)


@pytest.mark.parametrize(
    "text", ["1e3", "NaN", "Infinity", "", ".", "1 ", "1,5", "0x1", "1_0", "\u0661", "1" * 14]
)
def test_a_number_is_plain_digits(text) -> None:
    assert obis.number(text) is None


@pytest.mark.parametrize("text", ["0", "-1.5", "+2", "12.", ".005", "00032549.5061662"])
def test_a_number_is_as_written(text) -> None:
    assert obis.number(text) == Decimal(text)


@pytest.mark.parametrize(("unit", "zeros"), [("Wh", 0), ("kWh", 3), ("MWH", 6)])
def test_no_unit_rounds_the_longest_number(unit, zeros) -> None:
    longest = obis.number("9" * 13 + "." + "9" * 15)
    assert longest is not None
    wh = longest * obis.WH_IN[unit.lower()]
    assert sum(d == 9 for d in wh.as_tuple().digits) == 28
    assert wh == Decimal("9" * 28).scaleb(zeros - 15)
