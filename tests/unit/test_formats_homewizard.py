"""HomeWizard measurements of both versions of its API."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from oracle.errors import BadFormat
from oracle.formats import homewizard

GAS = {
    "unique_id": "47303031",
    "type": "gas_meter",
    "timestamp": 260601120010,
    "value": 2569.646,
    "unit": "m3",
}


def only(measured):
    data = (measured if isinstance(measured, str) else json.dumps(measured, indent=2)).encode()
    assert homewizard.recognises(data)
    (record,) = homewizard.parse(data)
    return record


def test_version_1_is_read_exactly() -> None:
    record = only(
        '{"wifi_ssid": "home", "total_power_import_t1_kwh": 10830.510, "total_power_export_kwh": 0}'
    )
    assert (record.verdict, record.billable, record.problems) == ("unsigned", True, ())
    assert [(r.register, str(r.value), r.unit, r.time_ns) for r in record.readings] == [
        ("1-0:1.8.1", "10830.510", "kWh", None),
        ("1-0:2.8.0", "0", "kWh", None),
    ]


def test_version_2_is_read_with_its_local_time_as_status() -> None:
    record = only(
        {
            "energy_import_kwh": 1.5,
            "energy_export_t4_kwh": 2,
            "timestamp": "2026-06-01T12:00:00",
            "unique_id": "45",
        }
    )
    assert record.meter == "45"
    assert [(r.register, r.time_ns, r.status) for r in record.readings] == [
        ("1-0:1.8.0", None, "2026-06-01T12:00:00"),
        ("1-0:2.8.4", None, "2026-06-01T12:00:00"),
    ]


def test_external_meters_are_read_and_one_that_is_not_whole_is_named() -> None:
    record = only({"total_gas_m3": 1.25, "gas_timestamp": 260601120010, "external": [GAS]})
    assert [(r.register, r.value) for r in record.readings] == [
        ("0-0:24.2.1", Decimal("1.25")),
        ("gas_meter 47303031", Decimal("2569.646")),
    ]
    for field in homewizard.FIELDS:
        record = only({"external": [GAS, {k: v for k, v in GAS.items() if k != field}]})
        assert (record.verdict, record.billable) == ("unsigned", False)
        assert record.problems == (f"external meter 2 has no {field}",)
    assert "no known type" in only({"external": [GAS | {"type": "catfish"}]}).problems[0]
    assert only({"external": ["gas"]}).problems[0] == "external meter 1 has no unique_id"


def test_null_is_a_register_that_the_meter_does_not_have() -> None:
    record = only({"total_power_import_kwh": 1, "total_gas_m3": None, "total_power_export_kwh": None})
    assert [r.register for r in record.readings] == ["1-0:1.8.0"]


@pytest.mark.parametrize("value", ['"1"', "-1", "true", "[]", "1e3", "NaN", "1" * 40])
def test_a_register_that_is_no_plain_number_is_invalid_and_named(value) -> None:
    record = only(f'{{"total_power_import_kwh": {value}}}')
    assert (record.verdict, record.billable) == ("invalid", False)
    assert "total_power_import_kwh is no register value" in record.reason


def test_a_measurement_without_register_is_not_billable() -> None:
    assert only({"wifi_ssid": "home"}).problems == ("it shows no register",)
    assert only({"external": {}}).verdict == "invalid"


@pytest.mark.parametrize(
    "data", [b'{"external": ', b"[" * 100_000, b'{"external": ' * 100_000, b"[1]", b"\xff{}"]
)
def test_what_is_no_object_is_refused(data) -> None:
    with pytest.raises(BadFormat, match="homewizard"):
        homewizard.parse(data)


def test_another_object_is_not_recognised() -> None:
    assert not homewizard.recognises(b'{"records": []}')
    assert not homewizard.recognises(b'[{"total_gas_m3": 1}]')
    with pytest.raises(BadFormat, match="at most"):
        homewizard.parse(b"{" + b" " * homewizard.MOST_BYTES + b"}")
