"""The XML of EMH's eMOC: an EDL40 reading whose 320 signed bytes travel as they are.

    <signedMeterValue>
      <publicKey encoding="base64"/> <meterValueSignature encoding="base64"/>
      <signatureMethod>ECDSA256SHA256</signatureMethod>
      <encodedMeterValue encoding="base64"/>

`edl40_layout` says where what is. The signature has 2 bytes of the log book behind r || s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from xml.etree.ElementTree import Element

from oracle.errors import BadFormat
from oracle.formats import curves, edl40
from oracle.formats.charges import Charge, Kind, billed, by_own_key
from oracle.formats.edl40_layout import LENGTH, Layout, Missing, Register, split_log
from oracle.formats.record import PublicKeySource, Record
from oracle.formats.xml import root_name, root_of, text

NAME = "emh"

ROOT: Final = b"signedMeterValue"
METHODS: Final = {"ECDSA192SHA256": "secp192r1", "ECDSA256SHA256": "secp256r1"}


def recognises(data: bytes) -> bool:
    """XML whose first element is a signedMeterValue."""
    return root_name(data) == ROOT


def parse(data: bytes, key: PublicKeySource | None = None) -> list[Record]:
    """The one record. Raises `BadFormat` for another document."""
    if not recognises(data):
        raise BadFormat(NAME, "its root is no signedMeterValue")
    root_of(data, NAME)
    return billed([charge(0, data, key)])


def charge(
    index: int, data: bytes, key: PublicKeySource | None, transaction: str = "", kind: Kind = ""
) -> Charge:
    """The record of a container's value."""
    try:
        root = root_of(data, NAME)
        layout = _laid_out(root)
    except (BadFormat, Missing) as fault:
        return _named(edl40.invalid(index, str(fault)))
    own = curves.key_bytes(text(root, "publicKey"))
    found = _named(edl40.signed(index, layout, key or own, transaction, kind))
    return found if key else by_own_key(found)


def _named(charge: Charge) -> Charge:
    return replace(charge, record=replace(charge.record, format=NAME))


def _laid_out(root: Element) -> Layout:
    method = text(root, "signatureMethod")
    if method not in METHODS:
        raise Missing(f"the signature method {method[:30]!r} is none of {', '.join(METHODS)}")
    payload = curves.unpacked(text(root, "encodedMeterValue"), "base64")
    signature = curves.unpacked(text(root, "meterValueSignature"), "base64")
    if payload is None or len(payload) != LENGTH or signature is None:
        raise Missing(f"the meter value has not its {LENGTH} bytes, or the signature is no base64")
    signed, log = split_log(signature)
    if log != payload[39:41]:
        raise Missing("the log book's index in the signature is not the one in the value")
    scaler = int.from_bytes(payload[30:31], "little", signed=True)
    if not -12 <= scaler <= 12:
        raise Missing(f"the scaler is {scaler}")
    register = Register(
        payload[23:29], scaler, int.from_bytes(payload[31:39], "little"),
        int.from_bytes(payload[10:14], "little"), payload[14],
    )  # fmt: skip
    return Layout(
        payload, signed, METHODS[method], payload[:10], payload[42:169].rstrip(b"\0"),
        int.from_bytes(payload[19:23], "little"), payload[29], (register,), (register.point(),),
    )  # fmt: skip
