"""NEM12 files: what is read, and each way to be malformed, named by line."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from oracle.errors import BadFormat
from oracle.formats import nem12

HEADER = "100,NEM12,202606011200,MDP1,RET1"
STREAM = "200,NMI1234567,E1B1,1,{suffix},N1,METER1,{unit},{minutes},"


def stream(suffix="E1", unit="kWh", minutes=30) -> str:
    return STREAM.format(suffix=suffix, unit=unit, minutes=minutes)


def day(date="20260601", values=None, quality="A", n=48) -> str:
    return ",".join(["300", date, *(values or ["0.125"] * n), quality, "", "", "20260602000000", ""])


def nem(*lines, header=HEADER, end="900") -> bytes:
    return "\r\n".join([*([header] if header else []), *lines, *([end] if end else [])]).encode() + b"\r\n"


def parse(*lines, **options):
    data = nem(*lines, **options)
    assert nem12.recognises(data)
    return nem12.parse(data)


def only(*lines, **options):
    (record,) = parse(*lines, **options)
    return record


def test_a_day_is_read_from_market_midnight_on_exactly() -> None:
    record = only(stream(), day(values=["0.125", "1.0005", *["0"] * 46]))
    assert (record.verdict, record.billable, record.problems) == ("unsigned", True, ())
    assert record.meter == "NMI1234567"
    first, second = record.readings[:2]
    assert first.start_utc_s == int(datetime(2026, 5, 31, 14, tzinfo=UTC).timestamp())
    assert (first.length_s, first.register, first.wh, first.flag) == (1800, "import", Decimal(125), "A")
    assert (second.start_utc_s - first.start_utc_s, second.wh) == (1800, Decimal("1000.5"))
    assert len(record.readings) == 48


@pytest.mark.parametrize(
    ("unit", "wh"), [("Wh", "0.125"), ("WH", "0.125"), ("kWh", "125"), ("KWH", "125"), ("MWh", "125000")]
)
def test_units_of_energy_are_read_in_any_case(unit, wh) -> None:
    assert only(stream(unit=unit), day()).readings[0].wh == Decimal(wh)


@pytest.mark.parametrize(("minutes", "n"), [(5, 288), ("05", 288), (15, 96), (30, 48)])
def test_a_day_has_as_many_values_as_intervals(minutes, n) -> None:
    assert len(only(stream(minutes=minutes), day(n=n)).readings) == n


def test_a_block_is_a_record_and_its_suffix_gives_the_direction() -> None:
    records = parse(stream(), day(), stream("B1"), day(), stream("Q1", "kVArh"), day())
    assert [r.readings[0].register for r in records[:2]] == ["import", "export"]
    assert [(r.verdict, r.billable) for r in records] == [("unsigned", True)] * 3
    assert records[2].readings == ()
    assert "KVARH of Q1 is checked and not read" in records[2].reason


def test_a_suffix_without_direction_is_not_billable() -> None:
    record = only(stream("D1"), day())
    assert (record.verdict, record.billable, record.readings) == ("unsigned", False, ())
    assert record.problems == ("suffix D1 is neither E (import) nor B (export)",)


def test_qualities_of_a_varying_day_come_from_its_400_records() -> None:
    record = only(stream(), day(quality="V"), "400,1,20,A,,", "400,21,40,F14,76,", "400,41,48,S14,,")
    assert record.billable
    assert [r.flag for r in record.readings] == ["A"] * 20 + ["F14"] * 20 + ["S14"] * 8


def test_null_intervals_are_not_billable() -> None:
    record = only(stream(), day(quality="V"), "400,1,47,A,,", "400,48,48,N,,")
    assert (record.verdict, record.billable) == ("unsigned", False)
    assert record.problems == ("1 intervals have no data (quality N)",)
    assert only(stream(), day(quality="N")).problems == ("48 intervals have no data (quality N)",)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([stream(), day(n=96)], "line 3: after 48 values of 30 min a quality is expected; '0.125' is there"),
        (
            [stream(minutes=15), day()],
            "line 3: after 96 values of 15 min a quality is expected; the record has 55",
        ),
        ([stream(), "300,20260601,V,,,20260602120000,"], "line 3: after 48 values"),
        (
            [stream(), ",".join(["300", "20260601", *["1"] * 48])],
            "line 3: after 48 values of 30 min a quality",
        ),
        ([stream(), day("19700101")], "line 3: 19700101 is not from 1970 to 2106"),
        ([stream(), "300"], "line 3: '' is no date"),
        ([stream(), day("20260631")], "line 3: '20260631' is no date"),
        ([stream(), day("00010101")], "line 3: 00010101 is not from 1970 to 2106"),
        ([stream(), day(values=["1"] * 9 + ["x"] + ["1"] * 38)], "line 3: value 10 is no energy: 'x'"),
        ([stream(), day(values=["1"] * 9 + ["-1"] + ["1"] * 38)], "line 3: value 10 is no energy: '-1'"),
        ([stream(), day(values=["1"] * 9 + ["1e3"] + ["1"] * 38)], "line 3: value 10 is no energy: '1e3'"),
        ([stream(), day(quality="Z")], "line 3: after 48 values of 30 min a quality is expected; 'Z'"),
        (
            [stream(minutes=15), day(n=96, quality="V"), "400,1,48,A,,"],
            "line 3: of 96 intervals of quality V",
        ),
        (
            [stream(), day(quality="V"), "400,1,49,A,,"],
            "line 4: interval '49' is no whole number from 1 to 48",
        ),
        (
            [stream(), day(quality="V"), "400,2,48,A,,"],
            "line 4: intervals 2 to 48: the next without a quality",
        ),
        ([stream(), day(quality="V"), "400,1,48,V,,"], "line 4: 'V' is no quality"),
        ([stream(), day(), "400,1,48,A,,"], "line 4: all 48 intervals have their quality already"),
        ([stream(), "400,1,48,A,,"], "line 3: a 400 record follows a 300"),
        ([stream(minutes=60), day(n=24)], "line 2: the interval length is 5, 15 or 30 minutes, not 60"),
        ([stream(minutes="x")], "line 2: interval length 'x'"),
        ([stream(unit="joule"), day()], "line 2: 'joule' is no unit"),
        (["200,NMI1234567,E1", day()], "line 2: a 200 record has 9 fields or 10, not 3"),
        ([stream(suffix=""), day()], "line 2: the meter point (NMI) or its suffix is empty"),
        ([day()], "line 2: there is no 200 record that can be read"),
        ([stream(), "250,NMI1234567"], "line 3: '250' is no record of NEM12"),
        ([stream(), day(), HEADER], "line 4: another 100 record before the 900"),
        ([], "there is no 200 record, and so no data"),
    ],
)
def test_malformed_records_are_named_by_line(lines, complaint) -> None:
    record = only(*lines)
    assert (record.verdict, record.billable) == ("invalid", False)
    assert record.reason.startswith(complaint)


def test_one_fault_is_one_problem_and_other_days_are_read() -> None:
    record = only(stream(), day(quality="V", n=96), "400,1,48,A,,", "400,49,96,N,,", day("20260602"))
    assert len(record.problems) == 1
    assert len(record.readings) == 48


def test_a_fault_is_of_its_block_alone() -> None:
    assert [r.verdict for r in parse(stream(), day(n=47), stream("B1"), day())] == ["invalid", "unsigned"]


def test_without_header_every_block_is_invalid_and_yet_read() -> None:
    records = parse(stream(), day(), stream("B1"), day(), header="")
    assert {r.reason for r in records} == {"line 1: there is no 100 record before this 200"}
    assert {r.verdict for r in records} == {"invalid"}
    assert [len(r.readings) for r in records] == [48, 48]


def test_a_file_without_end_is_cut() -> None:
    record = only(stream(), day(), end="")
    assert (record.verdict, record.reason) == ("invalid", "line 4: the file ends without a 900 record")


def test_files_put_together_are_read_and_a_day_that_comes_twice_is_not_billable() -> None:
    records = parse(stream(), day(), "900", HEADER, stream(), day(), day("20260602"))
    assert [r.verdict for r in records] == ["unsigned", "unsigned"]
    assert [r.billable for r in records] == [True, False]
    assert records[1].problems == ("record 0 has intervals of this stream that come again here",)
    assert "overlaps the one before" in only(stream(), day(), day()).problems[0]


@pytest.mark.parametrize(
    "data", [b"", b"100,NEM13,2026\r\n", b"100,OTHER\r\n", b"200,1,2\r\n300,\r\n", b"<a/>"]
)
def test_what_is_no_nem12_is_not_recognised(data) -> None:
    assert not nem12.recognises(data)


def test_bytes_without_any_record_are_refused() -> None:
    with pytest.raises(BadFormat, match="no line is one of its records"):
        nem12.parse(b"start_utc,length_s\n")
