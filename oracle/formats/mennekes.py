"""EDL40 readings as Mennekes' billing XML writes them (`Billing`, Mennekes.EdlVerification.xsd).

Each ChargingProcess has a MeasurementStart and a MeasurementEnd: the values that `edl40` reads from SML, here
as text, and signatures on secp192r1. A time is signed as local seconds: what its text says, zone ignored. The
event counter is the log book's index. Its own PublicKey serves where the caller gives none.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from xml.etree.ElementTree import Element

from oracle.errors import BadFormat
from oracle.formats import curves, edl40
from oracle.formats.bounds import MOST_RECORDS, at_most
from oracle.formats.charges import Charge, Kind, billed, by_own_key
from oracle.formats.edl40_layout import LENGTH, SIGNED, Layout, Missing, Register, basic
from oracle.formats.record import PublicKeySource, Record
from oracle.formats.xml import children, descendants, root_name, root_of, text

NAME = "mennekes"

ROOT: Final = b"Billing"
WATT_HOURS: Final = 30
SIGNATURE_BYTES: Final = (48, 50)
HALVES: Final[tuple[tuple[str, Kind], ...]] = (("MeasurementStart", "begin"), ("MeasurementEnd", "end"))
EPOCH: Final = datetime(1970, 1, 1)


def recognises(data: bytes) -> bool:
    """XML whose first element is a Billing."""
    return root_name(data) == ROOT


def parse(data: bytes, key: PublicKeySource | None = None) -> list[Record]:
    """Two records a charging process: begin, end. Raises `BadFormat` where there is none."""
    if not recognises(data):
        raise BadFormat(NAME, "its root is no Billing")
    processes = at_most(MOST_RECORDS, descendants(root_of(data, NAME), "ChargingProcess"), NAME)
    if not processes:
        raise BadFormat(NAME, "it has no ChargingProcess")
    return billed(
        _charge(2 * at + half, process, element, kind, key, str(at))
        for at, process in enumerate(processes)
        for half, (element, kind) in enumerate(HALVES)
    )


def _charge(
    index: int, process: Element, name: str, kind: Kind, key: PublicKeySource | None, transaction: str
) -> Charge:
    found = next(children(process, name), None)
    if found is None:
        return _named(edl40.invalid(index, f"the charging process has no {name}"))
    try:
        layout = _laid_out(process, found)
    except Missing as fault:
        return _named(edl40.invalid(index, f"{name}: {fault}"))
    own = curves.key_bytes(text(process, "PublicKey"))
    charge = _named(edl40.signed(index, layout, key or own, transaction, kind))
    return charge if key else by_own_key(charge)


def _named(charge: Charge) -> Charge:
    return replace(charge, record=replace(charge.record, format=NAME))


def _laid_out(process: Element, measured: Element) -> Layout:
    signature, server = _bytes(measured, "Signature"), _bytes(process, "ServerId")
    contract = _bytes(process, "CustomerIdent")
    if len(signature) not in SIGNATURE_BYTES:
        raise Missing(
            f"the Signature has {len(signature)} bytes in place of 48, or 50 with the log book's index"
        )
    own = next((each for each in (measured, process) if text(each, "TimestampCustomerIdent")), process)
    register = Register(
        SIGNED,
        _whole(measured, "Scaler", 12),
        _whole(measured, "Value", (1 << 63) - 1),
        _local(measured, "Timestamp"),
        _whole(measured, "MeterStatus", (1 << 32) - 1),
    )
    page = _whole(measured, "Pagination", (1 << 32) - 1)
    second = _whole(measured, "SecondIndex", (1 << 32) - 1)
    log = signature[48:] or _whole(measured, "EventCounter", 0xFFFF).to_bytes(2, "big", signed=False)
    payload = basic(
        server, register, WATT_HOURS, register.status, second, page, log, contract,
        _local(own, "TimestampCustomerIdent"),
    )  # fmt: skip
    return Layout(
        payload.ljust(LENGTH, b"\0"), signature[:48], "secp192r1", server, contract, page, WATT_HOURS,
        (register,), (register.point(),),
    )  # fmt: skip


def _bytes(element: Element, name: str) -> bytes:
    found = text(element, name)
    dense = "".join(found.split())
    if not curves.HEX.fullmatch(dense):
        raise Missing(f"{name} is missing or not hexadecimal")
    return bytes.fromhex(dense)


def _whole(element: Element, name: str, most: int) -> int:
    found = text(element, name)
    if not re.fullmatch(r"-?\d{1,19}", found, re.ASCII):
        raise Missing(f"{name} is missing or no whole number")
    number = int(found)
    if not (-most if name == "Scaler" else 0) <= number <= most:
        raise Missing(f"{name} is {number}, beyond what is signed of it")
    return number


def _local(element: Element, name: str) -> int:
    """Seconds from 1970 to what the clock on the wall showed."""
    try:
        shown = datetime.fromisoformat(text(element, name)).replace(tzinfo=None)
    except ValueError as fault:
        raise Missing(f"{name} is missing or no time") from fault
    return (shown - EPOCH) // timedelta(seconds=1)
