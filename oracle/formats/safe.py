"""The XML of SAFE's Transparenzsoftware: signed records of any charge format, with the keys to them.

    <values>
      <value transactionId="1" context="Transaction.Begin">
        <signedData format="OCMF" encoding="plain">OCMF|...</signedData>
        <publicKey encoding="hex">3059...</publicKey>

Data and keys are plain, hexadecimal or base64. Their content decides, as files name encodings wrongly; so it
does for the format, whose name is only believed where the content says nothing. The keys serve where the
caller gives none: they show that a record is whole, not who signed it.

`transactionId` and `context` are not signed. They tie a begin to its end and no more: what is billed is
what the records say.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from xml.etree.ElementTree import Element

from oracle.errors import BadFormat
from oracle.formats import curves, edl40, emh, ocmf, pcdf
from oracle.formats.bounds import MOST_RECORDS, at_most
from oracle.formats.charges import Charge, Kind, billed, by_own_key
from oracle.formats.record import PublicKeySource, Record
from oracle.formats.sml_frames import START
from oracle.formats.xml import children, root_name, root_of, text

NAME = "safe"

ROOT: Final = b"values"
CONTEXTS: Final[tuple[tuple[str, Kind], ...]] = (("Transaction.Begin", "begin"), ("Transaction.End", "end"))


def recognises(data: bytes) -> bool:
    """XML whose first element is `values`."""
    return root_name(data) == ROOT


def parse(data: bytes, key: PublicKeySource | None = None) -> list[Record]:
    """One record a value, under the name of its own format. Raises `BadFormat` where there is no value."""
    if not recognises(data):
        raise BadFormat(NAME, "its root is no values")
    values = at_most(MOST_RECORDS, children(root_of(data, NAME), "value"), NAME)
    if not values:
        raise BadFormat(NAME, "it holds no value")
    return billed(_charge(index, value, key) for index, value in enumerate(values))


def _charge(index: int, value: Element, key: PublicKeySource | None) -> Charge:
    transaction = value.get("transactionId", "")
    context = value.get("context", "")
    kind: Kind = next((kind for mark, kind in CONTEXTS if context.startswith(mark)), "")
    element = next(children(value, "signedData"), None)
    if element is None or not "".join(element.itertext()).strip():
        return _unread(index, "the value has no signed data")
    data = unwrapped("".join(element.itertext()).strip(), element.get("encoding", ""))
    own = None if key else curves.key_bytes(text(value, "publicKey"))
    found = _read(index, data, key or own, transaction, kind)
    if found is None:
        named = element.get("format", "none is named")[:20]
        return _unread(index, f"the signed data is of no known format ({named})")
    return by_own_key(found) if own else found


def _read(
    index: int, data: bytes, key: PublicKeySource | None, transaction: str, kind: Kind
) -> Charge | None:
    if data.startswith(ocmf.HEADER):
        return ocmf.charge(index, data, key, transaction)
    if data.startswith(START):
        return edl40.charge(index, data, key, transaction, kind)
    if emh.recognises(data):
        return emh.charge(index, data, key, transaction, kind)
    if pcdf.recognises(data):
        return Charge(replace(pcdf.parse(data, key)[0], index=index))
    return None


def _unread(index: int, reason: str) -> Charge:
    return Charge(Record(index, NAME, "invalid", reason, False, ()))


def unwrapped(content: str, encoding: str) -> bytes:
    """The record's bytes."""
    plain = content.encode("utf-8")
    if ocmf.recognises(plain) or pcdf.recognises(plain) or plain.startswith(b"<"):
        return plain
    found = curves.unpacked(content)
    if found is None and encoding.lower() == "base64":
        found = curves.unpacked(content, "base64")
    return plain if found is None else found.strip(b" \t\r\n") if not found.startswith(START) else found
