"""Measurements of HomeWizard energy meters, as their local API answers them: version 1 (`/api/v1/data`) and 2
(`/api/measurement`). One JSON object, no signature.

    version 1              version 2           register
    total_power_import_kwh energy_import_kwh   1-0:1.8.0, likewise _t1_ to _t4_: 1-0:1.8.1 to 4
    total_power_export_kwh energy_export_kwh   1-0:2.8.0, likewise
    total_gas_m3                               0-0:24.2.1
    external: [{unique_id, type, timestamp, value, unit}]   `type` and the meter's unique_id

    unsigned   an object whose registers are numbers, or null where the meter has none
    invalid    a register is something else or negative: the reason names its key

Not billable: no register at all, or an external meter that lacks a field or is of no known type (it is
named). Times are local without a zone, so that a reading has none; its status is the text that stands
there.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Final

from oracle.errors import BadFormat
from oracle.formats import obis
from oracle.formats.record import PublicKeySource, Record, RegisterReading
from oracle.formats.spans import listed

NAME = "homewizard"

KEY = re.compile(r"(?:total_power|energy)_(import|export)(?:_t([1-4]))?_kwh", re.ASCII)
MARK = re.compile(
    rb'"(?:(?:total_power|energy)_(?:import|export)(?:_t[1-4])?_kwh|gas_unique_id|total_gas_m3|wifi_ssid|external)"\s*:'
)
QUANTITIES: Final = {"import": 1, "export": 2}
EXTERNAL: Final = ("gas_meter", "heat_meter", "warm_water_meter", "water_meter", "inlet_heat_meter")
FIELDS: Final = ("unique_id", "type", "timestamp", "value", "unit")
UNITS: Final = ("m3", "GJ", "kWh")
MOST_BYTES: Final = 1 << 20


class _Fault(ValueError):
    """A sentence: what is wrong with a key."""


def recognises(data: bytes) -> bool:
    """A JSON object with keys of its own."""
    return data.lstrip().startswith(b"{") and bool(MARK.search(data[:MOST_BYTES]))


def parse(data: bytes, key: PublicKeySource | None = None) -> list[Record]:
    """One record. `key` is not used. Raises `BadFormat` for what is no JSON object."""
    measured = _object(data)
    problems: list[str] = []
    try:
        readings = [*_registers(measured), *_external(measured, problems)]
    except _Fault as fault:
        return [Record(0, NAME, "invalid", str(fault), False, (str(fault),))]
    if not readings:
        problems.append("it shows no register")
    reason = "the measurement has no signature"
    number = str(measured.get("unique_id") or "")[:64]
    return [Record(0, NAME, "unsigned", reason, not problems, listed(problems), tuple(readings), number)]


def _object(data: bytes) -> dict[str, Any]:
    if len(data) > MOST_BYTES:
        raise BadFormat(NAME, f"{len(data)} bytes: a measurement has at most {MOST_BYTES}")
    try:
        found = json.loads(data, parse_float=_exact, parse_int=_exact, parse_constant=_exact)
    except (ValueError, RecursionError) as error:
        raise BadFormat(NAME, f"the JSON cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise BadFormat(NAME, "the JSON is no object")
    return found


def _exact(text: str) -> Decimal | str:
    """A number as written; text for what no register shows (an exponent, NaN), refused where it matters."""
    exact = obis.number(text)
    return text if exact is None else exact


def _registers(measured: dict[str, Any]) -> list[RegisterReading]:
    time = str(measured.get("timestamp") or "")[:32]
    found = []
    for name, value in measured.items():
        matched = KEY.fullmatch(name)
        if matched and value is not None:
            code = f"1-0:{QUANTITIES[matched.group(1)]}.8.{matched.group(2) or 0}"
            found.append(RegisterReading(code, None, _number(name, value), "kWh", time))
    gas = measured.get("total_gas_m3")
    if gas is not None:
        time = str(measured.get("gas_timestamp") or "")[:32]
        found.append(RegisterReading("0-0:24.2.1", None, _number("total_gas_m3", gas), "m3", time))
    return found


def _external(measured: dict[str, Any], problems: list[str]) -> list[RegisterReading]:
    listing = measured.get("external")
    if listing is None:
        return []
    if not isinstance(listing, list):
        raise _Fault("external is no list")
    found = []
    for count, each in enumerate(listing, 1):
        name = f"external meter {count}"
        missing = [key for key in FIELDS if not isinstance(each, dict) or each.get(key) is None]
        if missing:
            problems.append(f"{name} has no {missing[0]}")
        elif each["type"] not in EXTERNAL or each["unit"] not in UNITS:
            problems.append(
                f"{name} is of no known type and unit: {str(each['type'])[:32]}, {str(each['unit'])[:8]}"
            )
        else:
            register = f"{each['type']} {str(each['unique_id'])[:64]}"
            value = _number(name, each["value"])
            found.append(RegisterReading(register, None, value, each["unit"], str(each["timestamp"])[:32]))
    return found


def _number(name: str, value: object) -> Decimal:
    if not isinstance(value, Decimal) or value < 0:
        raise _Fault(f"{name} is no register value: {str(value)[:24]!r}")
    return value
