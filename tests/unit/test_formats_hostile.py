"""Hostile files: whatever the bytes, a format answers with records or refuses them, soon and in bounds."""

from __future__ import annotations

import time
import tracemalloc
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_formats_espi import block as espi_block
from test_formats_espi import meter_reading, reading, reading_type
from test_formats_nem12 import day, nem, stream
from test_formats_sml import ESCAPE, START, file, frame
from test_formats_telegrams import MODE_D, OLD_LINES, block, telegram

from oracle.errors import BadFormat
from oracle.formats import FORMATS, dsmr, espi, homewizard, iec62056, intervals, nem12, sml
from oracle.formats.record import IntervalReading, Record

NAMES = 'xmlns="http://www.w3.org/2005/Atom" xmlns:e="http://naesb.org/espi"'
FEED = f"<feed {NAMES}>{meter_reading()}{reading_type()}{espi_block(reading())}</feed>".encode()

SAMPLES = [
    (dsmr, telegram()),
    (dsmr, telegram(OLD_LINES, crc="")),
    (iec62056, telegram(MODE_D, crc="")),
    (iec62056, block()),
    (sml, frame(file())),
    (espi, FEED),
    (nem12, nem(stream(), day(quality="V"), "400,1,20,A,,", "400,21,48,F14,,", day("20260602"))),
    (intervals, b"start_utc,length_s,register,wh\n2026-06-01T00:00:00Z,900,import,1.5\n0,60,export,2\n"),
    (homewizard, b'{"total_power_import_kwh": 1.5, "external": [{"unique_id": "1", "type": "gas_meter"}]}'),
]
MODULES = [dsmr, iec62056, sml, espi, nem12, intervals, homewizard]


@pytest.mark.parametrize(("module", "sample"), SAMPLES, ids=[f"{m.NAME}-{len(s)}" for m, s in SAMPLES])
def test_a_file_is_recognised_by_its_own_format_alone(module, sample) -> None:
    assert [each.NAME for each in FORMATS if each.recognises(sample)] == [module.NAME]


edits = st.lists(
    st.tuples(
        st.sampled_from(["set", "cut", "double", "insert"]), st.integers(0, 1 << 16), st.binary(max_size=6)
    ),
    min_size=1,
    max_size=6,
)


def edited(data: bytes, changes) -> bytes:
    for kind, at, new in changes:
        place = at % (len(data) + 1)
        end = {"set": place + len(new), "cut": place + at % 40}.get(kind, place)
        doubled = data[place : place + 60] if kind == "double" else new
        data = data[:place] + (b"" if kind == "cut" else doubled) + data[end:]
    return data


def judge(module, data: bytes) -> list[Record]:
    """Its records, with what holds of all records; none where it refuses."""
    assert module.recognises(data) in (True, False)
    try:
        records = module.parse(data)
    except BadFormat:
        return []
    assert [record.index for record in records] == list(range(len(records)))
    for record in records:
        assert record.format == module.NAME
        assert record.reason
        assert record.billable == (record.verdict != "invalid" and not record.problems)
        for value in record.readings:
            exact = value.wh if isinstance(value, IntervalReading) else value.value
            assert isinstance(exact, Decimal)
            assert exact.is_finite()
    return records


@pytest.mark.parametrize("module", MODULES, ids=[m.NAME for m in MODULES])
@settings(deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes_are_records_or_no_such_format(module, data) -> None:
    judge(module, data)


@pytest.mark.parametrize(("module", "sample"), SAMPLES, ids=[f"{m.NAME}-{len(s)}" for m, s in SAMPLES])
@settings(deadline=None)
@given(changes=edits)
def test_a_damaged_file_is_records_or_no_such_format(module, sample, changes) -> None:
    judge(module, edited(sample, changes))


@pytest.mark.parametrize(
    ("module", "sample"),
    [(dsmr, telegram()), (sml, frame(file())), (iec62056, block())],
    ids=["dsmr", "sml", "bcc"],
)
@settings(deadline=None)
@given(place=st.integers(0, 1 << 16), mask=st.integers(1, 255))
def test_no_changed_byte_passes_a_check_sum(module, sample, place, mask) -> None:
    data = bytearray(sample)
    data[place % len(data)] ^= mask
    same = bytes(data).upper() == sample.upper()
    assert same or all(
        r.verdict != "valid" or r.readings == module.parse(sample)[0].readings
        for r in judge(module, bytes(data))
    )


SIZE = 1 << 18
FLOODS = [
    (dsmr, b"/abc\n"),
    (dsmr, b"/abc\n!\n"),
    (dsmr, b"x/abc\n!\n"),
    (dsmr, b"\n/abc\n1-0:1.8.0"),
    (iec62056, b"/abc5\r\n" + b"(" * 3000 + b"\r\n"),
    (iec62056, b"/abc5\r\n" + b"()" * 3000 + b"(\r\n!\r\n"),
    (iec62056, b"/abc5\r\na(" + b"9" * 3000 + b"*kWh)\r\n!\r\n"),
    (sml, START),
    (sml, ESCAPE),
    (sml, ESCAPE + START),
    (sml, START + ESCAPE + b"\x1a\x00\x00\x00"),
    (sml, b"\x71" * 64),
    (sml, b"\xff\x8f\x8f"),
    (nem12, b"200,1,2,3,E1,5,6,kWh,30,\n300,"),
    (nem12, b"100,NEM12\n"),
    (nem12, b"400,1,48,A\n"),
    (nem12, b"300,20260601," + b"0," * 288 + b"A\n"),
    (espi, b"<e:entry>"),
    (espi, b"<e:IntervalBlock><e:IntervalReading/></e:IntervalBlock>"),
    (espi, b'<a:link rel="up" href="u"/><e:IntervalBlock/><e:MeterReading/><e:ReadingType/>'),
    (intervals, b"0,1,import,0\n"),
    (intervals, b'"'),
    (homewizard, b'{"external":['),
]
OPENING = {
    espi: b'<a:feed xmlns:a="http://www.w3.org/2005/Atom" xmlns:e="http://naesb.org/espi">',
    intervals: b"start_utc,length_s,register,wh\n",
    nem12: b"100,NEM12\n200,1,2,3,E1,5,6,kWh,5,\n",
    sml: START,
}


@pytest.mark.parametrize(
    ("module", "flood"), FLOODS, ids=[f"{m.NAME}-{n}" for n, (m, _) in enumerate(FLOODS)]
)
def test_a_quarter_of_a_mebibyte_of_the_same_is_judged_in_seconds_and_bounded_memory(module, flood) -> None:
    data = OPENING.get(module, b"") + flood * (SIZE // len(flood))
    data += b"</a:feed>" if module is espi and b"/>" in flood else b""
    begun = time.process_time()
    judge(module, data)
    assert time.process_time() - begun < 5
    tracemalloc.start()
    judge(module, data[: SIZE // 4])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300 * SIZE // 4
