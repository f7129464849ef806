"""SML captures: frames in noise, check sums, registers, bounds."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.errors import BadFormat
from oracle.formats import sml
from oracle.formats.crc import crc16_kermit, crc16_x25
from oracle.formats.sml_frames import ESCAPE, MOST_BYTES, START, frames
from oracle.formats.sml_tree import MOST_DEPTH, Malformed, Reader

ABSENT = b"\x01"
SERVER = bytes.fromhex("0901444e540100002030")


def octets(data: bytes) -> bytes:
    if len(data) < 15:
        return bytes([len(data) + 1]) + data
    length = len(data) + 2
    return bytes([0x80 | length >> 4, length & 0xF]) + data


def unsigned(value: int, width: int = 4) -> bytes:
    return bytes([0x61 + width]) + value.to_bytes(width, "big")


def signed(value: int, width: int = 8) -> bytes:
    return bytes([0x51 + width]) + value.to_bytes(width, "big", signed=True)


def listing(*values: bytes) -> bytes:
    return bytes([0x70 | len(values)]) + b"".join(values)


def entry(code: bytes, value: bytes, *, unit=30, scaler=-1, time=ABSENT, status=ABSENT) -> bytes:
    scale = ABSENT if scaler is None else signed(scaler, 1)
    return listing(octets(code), status, time, unsigned(unit, 1), scale, value, ABSENT)


def message(choice: int, body: bytes, crc=crc16_x25) -> bytes:
    head = (
        b"\x76" + octets(b"\x00\x01") + unsigned(0, 1) + unsigned(0, 1) + listing(unsigned(choice, 2), body)
    )
    return head + b"\x63" + crc(head).to_bytes(2, "little") + b"\x00"


IMPORT = entry(b"\x01\x00\x01\x08\x00\xff", unsigned(10_010_001, 8), status=unsigned(0x1C0104))
EXPORT = entry(b"\x01\x00\x02\x08\x00\xff", signed(43730))
POWER = entry(b"\x01\x00\x10\x07\x00\xff", signed(-250, 4), unit=27, scaler=0)
CLOCK = listing(unsigned(1, 1), unsigned(88_000))


def get_list(*entries: bytes, server=SERVER, time=CLOCK) -> bytes:
    return listing(ABSENT, octets(server), ABSENT, time, listing(*entries), ABSENT, ABSENT)


def file(*entries: bytes, crc=crc16_x25, **options) -> bytes:
    return (
        message(0x0101, listing(*[ABSENT] * 6), crc)
        + message(0x0701, get_list(*(entries or (IMPORT, EXPORT, POWER)), **options), crc)
        + message(0x0201, listing(ABSENT), crc)
    )


def frame(data: bytes, crc=crc16_x25) -> bytes:
    padding = -len(data) % 4
    sent = START + data.replace(ESCAPE, ESCAPE * 2) + bytes(padding) + ESCAPE + bytes([0x1A, padding])
    return sent + crc(sent).to_bytes(2, "little")


def only(capture):
    assert sml.recognises(capture)
    (record,) = sml.parse(capture)
    return record


def test_a_frame_whose_check_sums_hold_is_valid_and_its_registers_are_exact() -> None:
    record = only(frame(file()))
    assert (record.verdict, record.billable, record.problems) == ("valid", True, ())
    assert record.meter == SERVER.hex()
    assert [(r.register, r.value, r.unit, r.time_ns, r.status) for r in record.readings] == [
        ("1-0:1.8.0", Decimal("1001000.1"), "Wh", None, "0x1C0104"),
        ("1-0:2.8.0", Decimal("4373.0"), "Wh", None, ""),
    ]


def test_each_byte_of_a_frame_counts() -> None:
    right = frame(file())
    for place in range(len(START), len(right)):
        wrong = bytearray(right)
        wrong[place] ^= 0x40
        assert only(bytes(wrong)).verdict == "invalid", place


def test_a_wrong_check_sum_is_said_with_the_right_one() -> None:
    right = frame(file())
    wrong = right[:-2] + b"\x12\x34"
    sum_of_it = int.from_bytes(right[-2:], "little")
    assert only(wrong).reason == (
        f"frame at byte 0: the frame has check sum 3412, its bytes have {sum_of_it:04X}"
    )


def test_the_check_sum_of_every_message_is_verified_too() -> None:
    data = bytearray(file())
    data[data.index(SERVER)] ^= 1
    record = only(frame(bytes(data)))
    assert record.verdict == "invalid"
    assert "the message has check sum" in record.reason


def test_kermit_in_place_of_x25_is_taken_and_said() -> None:
    record = only(frame(file(crc=crc16_kermit), crc16_kermit))
    assert (record.verdict, record.reason) == ("valid", "the check sums hold (CRC-16/KERMIT)")


def test_a_time_may_be_of_unix_or_a_bare_number_of_seconds() -> None:
    unix = listing(unsigned(2, 1), unsigned(1_780_000_000))
    assert only(frame(file(time=unix))).readings[0].time_ns == 1_780_000_000 * 10**9
    assert only(frame(file(time=unsigned(88_000)))).readings[0].time_ns is None
    own = entry(b"\x01\x00\x01\x08\x00\xff", unsigned(1), time=unix)
    assert only(frame(file(own))).readings[0].time_ns == 1_780_000_000 * 10**9


def test_a_value_without_scaler_is_whole_and_one_that_is_no_energy_is_left_out() -> None:
    plain = entry(b"\x01\x00\x01\x08\x01\xff", unsigned(7), scaler=None)
    text = entry(b"\x01\x00\x01\x08\x02\xff", octets(b"seven"))
    truth = entry(b"\x01\x00\x01\x08\x03\xff", b"\x42\x01")
    record = only(frame(file(plain, text, truth, POWER)))
    assert [(r.register, r.value) for r in record.readings] == [("1-0:1.8.1", Decimal(7))]


def test_a_frame_without_register_or_server_is_not_billable() -> None:
    record = only(frame(file(POWER, server=b"")))
    assert (record.verdict, record.billable) == ("valid", False)
    assert record.problems == ("the frame shows no register", "the frame names no server id")


def test_a_capture_may_start_inside_a_frame_and_hold_noise() -> None:
    whole = frame(file())
    records = sml.parse(whole[50:] + b"\x00\x1b\x1b" + whole + b"noise\x1b" + whole)
    assert [record.verdict for record in records] == ["valid", "valid"]


def test_a_frame_cut_by_the_next_or_by_the_end_is_reported() -> None:
    whole = frame(file())
    records = sml.parse(whole[:100] + whole + whole[:60])
    assert [record.verdict for record in records] == ["invalid", "valid", "invalid"]
    assert records[0].reason == "frame at byte 0: the frame is cut short after 100 bytes"
    assert "cut short after 60 bytes" in records[2].reason


def test_every_prefix_of_a_frame_is_cut_short() -> None:
    whole = frame(file())
    for length in range(len(START), len(whole)):
        assert "cut short" in only(whole[:length]).reason


@pytest.mark.parametrize("run", range(1, 21))
@pytest.mark.parametrize("after", [b"", b"\x01\x01\x01\x01", b"\x1a\x00\x00\x00", b"\x02"])
def test_escapes_in_the_data_are_undone_whatever_follows_them(run, after) -> None:
    data = file() + octets(b"\x1b" * run + after)
    found = list(frames(frame(data) * 2))
    assert [(each.data, each.fault) for each in found] == [(data, "")] * 2


@settings(deadline=None)
@given(st.lists(st.sampled_from([0x1B, 0x01, 0x1A, 0x00, 0x55]), max_size=40).map(bytes))
def test_any_data_comes_back_out_of_its_frame(data) -> None:
    found = list(frames(b"\x07" + frame(data) + b"\x1b" + frame(data)))
    assert [(each.data, each.fault) for each in found] == [(data, "")] * 2


def test_an_escape_nobody_defined_is_named() -> None:
    assert "the escape at byte 12 means nothing" in only(START + b"abcd" + ESCAPE + b"\x03abc").reason


def test_padding_is_at_most_three_zeros() -> None:
    sent = START + file() + b"\x00" * 4 + ESCAPE + b"\x1a\x04"
    assert "4 bytes of padding" in only(sent + crc16_x25(sent).to_bytes(2, "little")).reason
    for padding in (b"\x01", b"\x01\x00", b"\x00\x01"):
        sent = START + file() + padding + ESCAPE + bytes([0x1A, len(padding)])
        assert "all zero" in only(sent + crc16_x25(sent).to_bytes(2, "little")).reason


def test_a_frame_has_a_bound_and_the_next_is_found_behind_it() -> None:
    whole = frame(file())
    records = sml.parse(START + bytes(2 * MOST_BYTES) + whole)
    assert [record.verdict for record in records] == ["invalid", "valid"]
    assert f"cut short after {MOST_BYTES} bytes" in records[0].reason
    longest = MOST_BYTES - len(frame(b""))
    assert [each.fault for each in frames(frame(bytes(longest)))] == [""]
    assert "cut short" in next(frames(frame(bytes(longest + 4)))).fault


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"\x71" * (MOST_DEPTH + 2) + b"\x01", f"nested deeper than {MOST_DEPTH}"),
        (b"\xff\x8f\x8f\x8f\x0f", "length of more than 4 bytes"),
        (b"\xf0\x8f\x8f\x0f", "a list of 4095 values in 0 bytes"),
        (b"\x8f\x0f\x41", "253 bytes are announced, 1 are left"),
        (b"\x69" + bytes(7), "8 bytes are announced, 7 are left"),
        (b"\x6a" + bytes(9), "a number of 9 bytes"),
        (b"\x61", "a number of 0 bytes"),
        (b"\x21\x00", "type 2 is none of SML"),
        (b"\x00", "a message ends where a value is expected"),
        (b"", "1 bytes are announced, 0 are left"),
    ],
)
def test_malformed_values_are_refused_by_name(data, complaint) -> None:
    with pytest.raises(Malformed, match=complaint):
        Reader(data).value()


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_a_reader_refuses_or_reads_and_never_leaves_its_data(data) -> None:
    reader = Reader(data)
    with contextlib.suppress(Malformed):
        reader.value()
    assert reader.at <= len(data)


def test_data_that_is_no_message_is_named() -> None:
    assert "no message of 6 fields" in only(frame(b"\x75\x01\x01\x01\x01\x01")).reason
    short = message(0x0701, listing(ABSENT, ABSENT))
    assert "has not its 7 fields" in only(frame(short)).reason
    odd = message(0x0701, get_list(listing(ABSENT)))
    assert "has not its 7 fields" in only(frame(odd)).reason


def test_without_a_start_it_is_not_sml() -> None:
    assert not sml.recognises(frame(file())[1:])
    with pytest.raises(BadFormat, match="no start sequence"):
        sml.parse(b"\x1b\x1b\x1b\x1b\x1a\x00\x00\x00")
