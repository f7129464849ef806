"""DSMR telegrams and IEC 62056-21 read-outs: verdicts, registers, times, noise."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from oracle.errors import BadFormat
from oracle.formats import dsmr, iec62056
from oracle.formats.crc import bcc, crc16_arc, crc16_kermit, crc16_x25

HEAD = "/XYZ5\\253833635_A\r\n\r\n"
LINES = [
    "1-3:0.2.8(50)",
    "0-0:1.0.0(260601120000S)",
    "0-0:96.1.1(4530303334)",
    "1-0:1.8.1(001581.123*kWh)",
    "1-0:2.8.2(000000.007*kWh)",
    "0-0:96.14.0(0002)",
    "1-0:1.7.0(02.027*kW)",
    "0-1:24.2.1(260601115500S)(00981.443*m3)",
]
OLD_LINES = [*LINES[2:6], "0-1:24.3.0(161107190000)(00)(60)(1)(0-1:24.2.1)(m3)", "(00001.001)"]


def telegram(lines=LINES, head=HEAD, crc=None) -> bytes:
    """With its right check sum unless another is given."""
    covered = (head + "\r\n".join(lines) + "\r\n!").encode()
    return covered + (f"{crc16_arc(covered):04X}" if crc is None else crc).encode() + b"\r\n"


def only(data, module=dsmr):
    assert module.recognises(data)
    (record,) = module.parse(data)
    assert record.format == module.NAME
    return record


def seconds(*when):
    return int(datetime(*when, tzinfo=UTC).timestamp())


def test_check_sums_are_those_of_the_catalogue_of_parametrised_crcs() -> None:
    data = b"123456789"
    assert (crc16_arc(data), crc16_x25(data), crc16_kermit(data)) == (0xBB3D, 0x906E, 0x2189)
    assert bcc(data) == 0x31


def test_a_telegram_with_its_check_sum_is_valid_and_its_registers_are_exact() -> None:
    record = only(telegram())
    assert (record.verdict, record.billable, record.problems) == ("valid", True, ())
    assert record.meter == "4530303334"
    assert [(r.register, r.value, r.unit) for r in record.readings] == [
        ("1-0:1.8.1", Decimal("1581.123"), "kWh"),
        ("1-0:2.8.2", Decimal("0.007"), "kWh"),
        ("0-1:24.2.1", Decimal("981.443"), "m3"),
    ]
    noon = seconds(2026, 6, 1, 10) * 10**9
    assert [r.time_ns for r in record.readings] == [noon, noon, noon - 300 * 10**9]


def test_a_wrong_check_sum_is_invalid_and_both_are_said() -> None:
    right = telegram()
    record = only(right.replace(b"001581.123", b"001581.124"))
    assert (record.verdict, record.billable) == ("invalid", False)
    sent = right[-6:-2].decode()
    assert f"the check sum is {sent}, the telegram has " in record.reason
    assert sent not in record.reason.split("has ")[1]


@pytest.mark.parametrize("spelling", [str.lower, lambda text: text.lstrip("0")])
def test_a_check_sum_may_be_in_small_letters_or_lack_leading_zeros(spelling) -> None:
    ids = (f"0-0:96.1.1({n:06})" for n in range(100_000))
    lines = next(
        lines
        for each in ids
        for lines in [[*LINES[:2], each, *LINES[3:]]]
        if telegram(lines)[-6:-5] == b"0" and any(c in b"ABCDEF" for c in telegram(lines)[-5:-2])
    )
    crc = telegram(lines)[-6:-2].decode()
    assert only(telegram(lines, crc=spelling(crc))).verdict == "valid"


def test_changed_line_ends_are_named_as_the_cause() -> None:
    record = only(telegram().replace(b"\r\n", b"\n"))
    assert record.verdict == "invalid"
    assert "line ends were changed from CR LF" in record.reason


def test_before_version_4_there_is_nothing_to_verify() -> None:
    record = only(telegram(OLD_LINES, crc=""))
    assert (record.verdict, record.billable) == ("unsigned", True)
    assert [r.register for r in record.readings] == ["1-0:1.8.1", "1-0:2.8.2", "0-1:24.2.1"]
    assert (record.readings[2].value, record.readings[2].unit) == (Decimal("1.001"), "m3")
    assert {(r.time_ns, r.status) for r in record.readings} == {(None, "no time"), (None, dsmr.NO_FLAG)}


def test_a_version_that_has_a_check_sum_must_show_it() -> None:
    record = only(telegram(crc=""))
    assert record.verdict == "invalid"
    assert "version 50 and lacks its check sum" in record.reason


def test_a_check_sum_that_is_no_number_is_invalid() -> None:
    assert "'GG' is not hexadecimal" in only(telegram(crc="GG")).reason


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("261101120000W", (2026, 11, 1, 11)),
        ("260601120000S", (2026, 6, 1, 10)),
        ("261025023000S", (2026, 10, 25, 0, 30)),
        ("261025023000W", (2026, 10, 25, 1, 30)),
    ],
)
def test_the_summer_flag_tells_the_two_hours_of_october_apart(text, utc) -> None:
    assert dsmr.utc_ns(text) == (seconds(*utc) * 10**9, "")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("260201120000S", dsmr.WRONG_FLAG),
        ("260701120000W", dsmr.WRONG_FLAG),
        ("260701120000", dsmr.NO_FLAG),
        ("261301120000W", dsmr.NO_TIME),
        ("", dsmr.NO_TIME),
        ("٢60701120000S", dsmr.NO_TIME),
    ],
)
def test_a_doubtful_time_is_none(text, status) -> None:
    assert dsmr.utc_ns(text) == (None, status)


def test_telegrams_in_a_capture_are_found_between_noise_and_a_cut_one_is_said_to_be() -> None:
    whole = telegram()
    records = dsmr.parse(whole[40:] + b"\xff\x00 /noise" + whole + whole[:90] + b"\n" + whole + whole[:120])
    assert [record.verdict for record in records] == ["valid", "invalid", "valid", "invalid"]
    assert [record.index for record in records] == [0, 1, 2, 3]
    assert "cut short after 91 bytes" in records[1].reason
    assert "cut short after 120 bytes" in records[3].reason


def test_a_line_that_cannot_be_read_is_a_problem_and_without_a_check_sum_makes_it_invalid() -> None:
    garbled = [*OLD_LINES, "1-0:1.8.2(000001.000*kWh"]
    record = only(telegram(garbled, crc=""))
    assert record.verdict == "invalid"
    assert "line 9 is no data set" in record.reason
    signed = only(telegram(garbled))
    assert (signed.verdict, signed.billable) == ("valid", False)


def test_a_telegram_without_register_or_meter_is_not_billable() -> None:
    record = only(telegram(LINES[:2]))
    assert (record.verdict, record.billable) == ("valid", False)
    assert record.problems == ("the telegram shows no register", "the telegram names no meter")


MODE_D = [
    "1-0:0.0.0*255(1336001560)",
    "1-0:1.8.0*255(00032549.5061662*kWh)",
    "1.8.0*01(00030000.0*kWh)",
    "2.8.0(7*kWh)",
]


def block(lines=MODE_D, end=b"\r\n") -> bytes:
    """A read-out of mode A to C with its block check character."""
    covered = ("\r\n".join(lines) + "\r\n!").encode() + end + b"\x03"
    return b"/XYZ5METER\r\n\x02" + covered + bytes([bcc(covered)])


def test_mode_d_has_nothing_to_verify_and_what_follows_its_end_is_noise() -> None:
    record = only(telegram(MODE_D, crc="") + b"  25818685\r\nDE0000003\r\n", iec62056)
    assert (record.verdict, record.billable) == ("unsigned", True)
    assert record.meter == "1336001560"
    assert [(r.register, r.value) for r in record.readings] == [
        ("1-0:1.8.0", Decimal("32549.5061662")),
        ("1-0:2.8.0", Decimal(7)),
    ]


def test_an_empty_read_out_is_whole_and_not_billable() -> None:
    (record,) = iec62056.parse(b"/XYZ5METER\r\n!\r\n")
    assert (record.verdict, record.problems) == ("unsigned", ("no register is read out",))


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b""])
def test_the_block_check_character_decides_where_there_is_one(end) -> None:
    right = block(end=end)
    assert [r.verdict for r in iec62056.parse(right + right)] == ["valid", "valid"]
    wrong = right.replace(b"7*kWh", b"8*kWh")
    record = only(wrong, iec62056)
    assert record.verdict == "invalid"
    assert f"is {right[-1]:02X}, the block has {right[-1] ^ 0x0F:02X}" in record.reason
    assert "no ETX" in only(right[:-2], iec62056).reason


def test_a_meter_that_reports_an_error_is_not_billable() -> None:
    assert only(block(["F.F(00000000)", *MODE_D]), iec62056).billable
    record = only(block(["F.F(00000010)", *MODE_D]), iec62056)
    assert (record.verdict, record.problems) == ("valid", ("the meter reports error 00000010",))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"<a href='/abc'/>\n\n1-0:1.8.0(", b"/XYZ5METER\r\n", b"!6796\r\n"]
)
def test_what_is_no_read_out_is_not_recognised(data) -> None:
    assert not dsmr.recognises(data)
    assert not iec62056.recognises(data)


def test_a_read_out_is_of_one_of_the_two_formats() -> None:
    assert not iec62056.recognises(telegram())
    assert not dsmr.recognises(block())
    for module in (dsmr, iec62056):
        with pytest.raises(BadFormat, match=module.NAME):
            module.parse(b"nothing")


@pytest.mark.parametrize("number", ["999999999999999.345", "00000000000001.5", "12,5", "many"])
def test_a_register_whose_number_cannot_be_read_is_a_problem_that_names_it(number: str) -> None:
    p1 = only(telegram([*LINES, f"1-0:1.8.2({number}*kWh)"]))
    mode_d = only(telegram([*MODE_D, f"2.8.1({number}*kWh)"], crc=""), iec62056)
    for record, code in ((p1, "1-0:1.8.2"), (mode_d, "1-0:2.8.1")):
        assert (record.verdict == "invalid", record.billable) == (False, False)
        (problem,) = record.problems
        assert problem.startswith(f"register {code} shows '{number}*kWh'")
        assert code not in {reading.register for reading in record.readings}
