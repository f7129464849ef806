"""Green Button feeds: links, units, directions, faults."""

from __future__ import annotations

from decimal import Decimal

import pytest

from oracle.errors import BadFormat
from oracle.formats import espi

BASE = "https://custodian.example/espi/1_1/resource"
METER = f"{BASE}/Subscription/1/UsagePoint/1/MeterReading/1"
TYPE = f"{BASE}/ReadingType/7"
START = 1_780_272_000


def link(rel: str, href: str) -> str:
    return f'<link rel="{rel}" href="{href}"/>'


def entry(links: str, content: str) -> str:
    return f"<entry>{links}<content>{content}</content></entry>"


def reading_type(**fields) -> str:
    values = {"uom": 72, "powerOfTenMultiplier": 0, "flowDirection": 1, "accumulationBehaviour": 4} | fields
    inner = "".join(f"<e:{name}>{value}</e:{name}>" for name, value in values.items() if value is not None)
    return entry(link("self", TYPE), f"<e:ReadingType>{inner}</e:ReadingType>")


def meter_reading(*related: str) -> str:
    related = related or (TYPE,)
    links = link("self", METER) + "".join(link("related", each) for each in related)
    return entry(links + link("related", f"{METER}/IntervalBlock"), "<e:MeterReading/>")


def reading(value="450", start=START, duration=900, quality=None) -> str:
    period = "" if start is None else f"<e:duration>{duration}</e:duration><e:start>{start}</e:start>"
    period = f"<e:timePeriod>{period}</e:timePeriod>" if period else ""
    quality = (
        "" if quality is None else f"<e:ReadingQuality><e:quality>{quality}</e:quality></e:ReadingQuality>"
    )
    value = "" if value is None else f"<e:value>{value}</e:value>"
    return f"<e:IntervalReading>{quality}{period}{value}</e:IntervalReading>"


def block(*readings: str, up=f"{METER}/IntervalBlock", start=START) -> str:
    interval = f"<e:interval><e:duration>86400</e:duration><e:start>{start}</e:start></e:interval>"
    return entry(link("up", up), f"<e:IntervalBlock>{interval}{''.join(readings)}</e:IntervalBlock>")


def parse(*entries: str):
    names = 'xmlns="http://www.w3.org/2005/Atom" xmlns:e="http://naesb.org/espi"'
    data = f'<?xml version="1.0"?>\n<!-- a licence -->\n<feed {names}>{"".join(entries)}</feed>'.encode()
    assert espi.recognises(data)
    return espi.parse(data)


def only(*entries: str):
    (record,) = parse(*entries)
    return record


def test_a_linked_block_is_read_exactly() -> None:
    record = only(meter_reading(), reading_type(), block(reading(), reading("7", START + 900, quality=17)))
    assert (record.verdict, record.billable, record.problems) == ("unsigned", True, ())
    assert [(r.start_utc_s, r.length_s, r.register, r.wh, r.flag) for r in record.readings] == [
        (START, 900, "import", Decimal(450), ""),
        (START + 900, 900, "import", Decimal(7), "validated"),
    ]


@pytest.mark.parametrize(("exponent", "wh"), [(-3, "0.450"), (None, "450"), (3, "450000"), (-12, "4.50E-10")])
def test_the_multiplier_is_a_power_of_ten(exponent, wh) -> None:
    record = only(meter_reading(), reading_type(powerOfTenMultiplier=exponent), block(reading()))
    assert record.readings[0].wh == Decimal(wh)


def test_flow_direction_19_is_export() -> None:
    record = only(meter_reading(), reading_type(flowDirection=19), block(reading()))
    assert record.readings[0].register == "export"


def test_the_order_of_entries_does_not_matter_and_each_block_is_a_record() -> None:
    records = parse(block(reading()), block(reading(start=START + 900)), reading_type(), meter_reading())
    assert [(r.index, r.billable, len(r.readings)) for r in records] == [(0, True, 1), (1, True, 1)]


def test_two_meter_readings_keep_their_own_types() -> None:
    other, other_type = f"{BASE}/MeterReading/2", f"{BASE}/ReadingType/8"
    records = parse(
        meter_reading(),
        reading_type(),
        meter_reading().replace(METER, other).replace(TYPE, other_type),
        reading_type(flowDirection=19).replace(TYPE, other_type),
        block(reading()),
        block(reading(), up=f"{other}/IntervalBlock"),
    )
    assert [r.readings[0].register for r in records] == ["import", "export"]
    assert all(r.billable for r in records)


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ((block(reading()),), "no ReadingType is linked to it"),
        ((reading_type(), block(reading())), "no ReadingType is linked to it"),
        (
            (meter_reading(f"{BASE}/ReadingType/9"), reading_type(), block(reading())),
            "no ReadingType is linked",
        ),
        ((meter_reading(), reading_type(uom=38), block(reading())), "the unit (uom) is 38, not 72 (Wh)"),
        ((meter_reading(), reading_type(flowDirection=4), block(reading())), "flowDirection 4 is neither"),
        (
            (meter_reading(), reading_type(accumulationBehaviour=3), block(reading())),
            "accumulationBehaviour 3",
        ),
        (
            (meter_reading(), reading_type(powerOfTenMultiplier=99), block(reading())),
            "its ReadingType is wrong",
        ),
        (
            (meter_reading(), reading_type(uom="Wh"), block(reading())),
            "its ReadingType is wrong: uom is no whole",
        ),
    ],
)
def test_numbers_without_a_meaning_are_not_readings(entries, complaint) -> None:
    record = only(*entries)
    assert (record.verdict, record.billable, record.readings) == ("unsigned", False, ())
    assert record.problems[0].startswith(complaint)


@pytest.mark.parametrize(
    ("second", "complaint"),
    [
        (reading("4.5", START + 900), "value is no whole number: '4.5'"),
        (reading("", START + 900), "value is no whole number: ''"),
        (reading("9" * 19, START + 900), "value is no whole number"),
        (reading(None, START + 900), "there is no value"),
        (reading(start=-5), "the time is missing or out of range"),
        (reading(start=1 << 32), "the time is missing or out of range"),
        (reading(start=START + 900, duration=0), "the time is missing or out of range"),
        (reading(start="noon"), "start is no whole number: 'noon'"),
    ],
)
def test_a_fault_names_block_and_reading(second, complaint) -> None:
    record = only(meter_reading(), reading_type(), block(reading(), second))
    assert (record.verdict, record.billable) == ("invalid", False)
    assert record.reason.startswith(f"IntervalBlock 0: reading 2: {complaint}")


def test_readings_without_a_time_follow_each_other_by_the_interval_length() -> None:
    readings = [reading(start=None)] * 3
    record = only(meter_reading(), reading_type(intervalLength=900), block(*readings))
    assert [r.start_utc_s - START for r in record.readings] == [0, 900, 1800]
    assert only(meter_reading(), reading_type(), block(*readings)).verdict == "invalid"


def test_questionable_and_projected_readings_are_not_billable() -> None:
    for quality, name in ((10, "questionable"), (12, "projected")):
        record = only(meter_reading(), reading_type(), block(reading(quality=quality)))
        assert record.problems == (f"a reading's quality is {quality} ({name})",)


def test_of_several_qualities_the_worst_counts_and_else_the_first() -> None:
    def both(one, two):
        doubled = reading(quality=one).replace("<e:timePeriod>", f"{again.format(two)}<e:timePeriod>")
        return only(meter_reading(), reading_type(), block(doubled))

    again = "<e:ReadingQuality><e:quality>{}</e:quality></e:ReadingQuality>"
    assert both(17, 10).problems == ("a reading's quality is 10 (questionable)",)
    assert both(17, 8).readings[0].flag == "validated"


def test_energy_that_would_count_twice_is_not_billable() -> None:
    record = only(meter_reading(), reading_type(), block(reading(), reading(start=START + 600)))
    assert "overlaps the one before" in record.problems[0]
    records = parse(meter_reading(), reading_type(), block(reading()), block(reading()))
    assert [r.billable for r in records] == [True, False]


def test_a_feed_without_block_says_so() -> None:
    record = only(meter_reading(), reading_type())
    assert (record.verdict, record.billable, record.problems) == (
        "unsigned",
        False,
        ("there is no IntervalBlock",),
    )


@pytest.mark.parametrize(
    "data",
    [
        b'<!DOCTYPE f [<!ENTITY a "aaaa">]><f xmlns="http://naesb.org/espi">&a;</f>',
        b'<f xmlns="http://naesb.org/espi">',
        b'<?xml version="1.0" encoding="nonsense"?><f xmlns="http://naesb.org/espi"/>',
        b'<f note="http://naesb.org/espi"/>',
    ],
)
def test_document_types_and_broken_xml_are_refused(data) -> None:
    assert espi.recognises(data)
    with pytest.raises(BadFormat, match="espi"):
        espi.parse(data)


def test_other_xml_is_not_recognised() -> None:
    assert not espi.recognises(b"<values/>")
    assert not espi.recognises(b'{"a": "http://naesb.org/espi"}')
