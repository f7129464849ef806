"""Trellis's own interval files."""

from __future__ import annotations

from decimal import Decimal

import pytest

from oracle.errors import BadFormat
from oracle.formats import intervals

HEADER = "start_utc,length_s,register,wh,flag"
ROW = "2026-06-01T00:00:00Z,900,import,125,actual"


def only(*rows, header=HEADER):
    data = "\n".join([header, *rows]).encode()
    assert intervals.recognises(data)
    (record,) = intervals.parse(data)
    return record


def test_rows_are_read_exactly() -> None:
    record = only(
        ROW, "1780272900,900,export,0.25,estimated\r", "", "2026-06-01T02:30:00+02:00,900,import,7,"
    )
    assert (record.verdict, record.billable, record.problems) == ("unsigned", True, ())
    assert [(r.start_utc_s, r.length_s, r.register, r.wh, r.flag) for r in record.readings] == [
        (1780272000, 900, "import", Decimal(125), "actual"),
        (1780272900, 900, "export", Decimal("0.25"), "estimated"),
        (1780273800, 900, "import", Decimal(7), "actual"),
    ]


def test_columns_may_change_places_energy_may_be_in_kwh_and_the_flag_may_lack() -> None:
    record = only("0.1,import,60,0", header="kwh,register,length_s,start_utc")
    assert [(r.start_utc_s, r.wh, r.flag) for r in record.readings] == [(0, Decimal(100), "actual")]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("yesterday,900,import,1,", "column start_utc: 'yesterday' is no time"),
        ("2026-06-01T00:00:00,900,import,1,", "column start_utc: '2026-06-01T00:00:00' has no zone"),
        ("2026-06-01T00:00:00.5Z,900,import,1,", "column start_utc: '2026-06-01T00:00:00.5Z' lies between"),
        (
            "2026-06-01T00:05:00Z,900,import,1,",
            "column start_utc: 2026-06-01T00:05:00Z is no multiple of 900 s",
        ),
        ("1969-06-01T00:00:00Z,900,import,1,", "column start_utc: '1969-06-01T00:00:00Z' is not from 1970"),
        ("0001-01-01T00:00:00+14:00,900,import,1,", "column start_utc:"),
        ("999999999999,1,import,1,", "column start_utc: '999999999999' is not from 1970"),
        ("0,0,import,1,", "column length_s: '0' is no whole number from 1 to 86400"),
        ("0,15 min,import,1,", "column length_s: '15 min' is no whole number"),
        ("0,900,net,1,", "column register: 'net' is none of import, export"),
        ("0,900,import,-1,", "column wh: '-1' is no energy"),
        ("0,900,import,1e3,", "column wh: '1e3' is no energy"),
        ("0,900,import,NaN,", "column wh: 'NaN' is no energy"),
        ("0,900,import,,", "column wh: '' is no energy"),
        ("0,900,import,1,guess", "column flag: 'guess' is none of actual, estimated, default"),
        ("0,900,import", "column register: 3 cells for 5 columns"),
        ("0,900,import,1,,,", "column flag: 7 cells for 5 columns"),
    ],
)
def test_errors_name_line_and_column_and_the_other_rows_are_read(row, complaint) -> None:
    record = only(ROW, row)
    assert (record.verdict, record.billable, len(record.readings)) == ("invalid", False, 1)
    assert record.reason.startswith(f"line 3, {complaint}")


def test_no_energy_is_an_energy() -> None:
    record = only("0,900,import,0,", "0,900,export,0.000,")
    assert record.billable
    assert [r.wh for r in record.readings] == [0, 0]


def test_intervals_that_overlap_are_not_billable() -> None:
    record = only(ROW, "2026-06-01T00:00:00Z,1800,import,1,", "2026-06-01T00:00:00Z,900,export,1,")
    assert (record.verdict, record.billable) == ("unsigned", False)
    assert record.problems == ("import: the interval from 2026-06-01T00:00:00Z overlaps the one before",)


def test_what_nobody_measured_and_an_empty_file_are_not_billable() -> None:
    assert only("0,900,import,1,default").problems == ("flag default: nobody measured it",)
    assert only().problems == ("there is no interval",)


def test_many_faults_are_counted_beyond_the_first_twenty() -> None:
    record = only(*["0,900,import,x,"] * 50)
    assert len(record.problems) == 21
    assert record.problems[-1] == "and 31 more"


@pytest.mark.parametrize(
    "header",
    [
        "start_utc,length_s,register",
        "start_utc,length_s,register,wh,kwh",
        "start_utc,length_s,register,wh,note",
        "start_utc,length_s,register,wh,register",
    ],
)
def test_a_wrong_header_is_refused(header) -> None:
    with pytest.raises(BadFormat, match="line 1"):
        intervals.parse(header.encode() + b"\n")


def test_another_table_is_not_recognised() -> None:
    assert not intervals.recognises(b"order_id,side,zone\n")
    assert not intervals.recognises(b"")
    with pytest.raises(BadFormat, match="not UTF-8"):
        intervals.parse(HEADER.encode() + b"\n\xff")
