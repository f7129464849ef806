"""EDL40 and its kin: charge readings that meters of the eHZ family sign, as SML frames or as XML.

What is signed is not the message but 320 bytes laid out from its values (FNN Lastenheft EDL, "eHZ SML
Kundenidentifikation"); numbers are little-endian, times are local seconds, a contract id is filled up with
zeros, the last two bytes of a signature are the index of the log book. Signed is their SHA-256.

    edl40      secp192r1, signature of 48 + 2 bytes (and Mennekes' XML, `mennekes`)
    eMOC       secp256r1, 64 + 2 bytes: another status byte, losses, duration and price follow
    EDL40P     secp256r1, 64 + 2 bytes: a layout of its own, with the reading at the begin and its signature

    valid      the frame's and messages' check sums hold, and the signature does
    invalid    they do not, a value that is signed is missing, or the frame is cut short

The formats have no billing rules; a charge takes a begin and an end (`charges`). A frame by itself does not
say which it is (its container does), except EDL40P's, which holds both.
"""

from __future__ import annotations

import re
from typing import Final

from oracle.errors import BadFormat
from oracle.formats import curves, sml
from oracle.formats.bounds import MOST_RECORDS, at_most
from oracle.formats.charges import Charge, Kind, billed
from oracle.formats.edl40_layout import Layout, Missing, emoc, isa, plain
from oracle.formats.record import PublicKeySource, Record
from oracle.formats.sml_frames import START, Frame, frames
from oracle.formats.sml_tree import Malformed, Reader, Value

NAME = "edl40"

CONTRACT: Final = bytes.fromhex("8182815401ff")
ISA_START: Final = bytes.fromhex("010001080080")
WATT_HOURS: Final = 30
HEXED = re.compile(rb"\s*(?:1[bB]\s*){4}(?:01\s*){4}")


def recognises(data: bytes) -> bool:
    """A frame, as bytes or in hexadecimal, in which a contract id is signed along."""
    if HEXED.match(data):
        return b"8182815401FF" in b"".join(data.split()).upper()
    return data.startswith(START) and CONTRACT in data


def parse(data: bytes, key: PublicKeySource | None = None) -> list[Record]:
    """One record a frame. Raises `BadFormat` where no frame with a contract id starts."""
    if not recognises(data):
        raise BadFormat(NAME, "it is no SML frame with a contract id")
    capture = unhexed(data)
    found = at_most(MOST_RECORDS, frames(capture), NAME)
    return billed(_charge(index, frame, key, "", "") for index, frame in enumerate(found))


def unhexed(data: bytes) -> bytes:
    """The capture, however it is written; empty for an odd digit."""
    if not HEXED.match(data):
        return data
    return curves.unpacked(data.decode("latin-1")) or b""


def charge(
    index: int, data: bytes, key: PublicKeySource | None, transaction: str = "", kind: Kind = ""
) -> Charge:
    """The one frame in a container's value. `kind` is what the container says it is."""
    found = next(frames(unhexed(data)), None)
    if found is None:
        return invalid(index, "it is no SML frame: the start 1b1b1b1b 01010101 is missing")
    return _charge(index, found, key, transaction, kind)


def invalid(index: int, reason: str) -> Charge:
    return Charge(Record(index, NAME, "invalid", reason, False, ()))


def _charge(index: int, frame: Frame, key: PublicKeySource | None, transaction: str, kind: Kind) -> Charge:
    if frame.fault:
        return invalid(index, frame.fault)
    try:
        layout = _laid_out(_body(frame.data))
    except (Malformed, Missing) as fault:
        return invalid(index, str(fault))
    return signed(index, layout, key, transaction, kind)


def signed(
    index: int, layout: Layout, key: PublicKeySource | None, transaction: str = "", kind: Kind = ""
) -> Charge:
    """The record of a layout, its signature verified."""
    reason = curves.fault(layout.payload, layout.signature, key, layout.curve)
    problems = () if layout.unit == WATT_HOURS else (f"the unit is number {layout.unit}, not 30 (Wh)",)
    points = layout.points if any(p.kind for p in layout.points) else layout.as_kind(kind)
    return Charge(
        Record(
            index,
            NAME,
            "invalid" if reason else "valid",
            reason or "the signature holds",
            not reason and not problems,
            problems,
            layout.readings(),
            layout.server.hex(),
        ),
        points,
        (layout.server.hex(), layout.contract.hex()),
        layout.page,
        transaction,
    )


def _body(data: bytes) -> list[Value]:
    """The list response of the SML file. Raises `Malformed`."""
    reader = Reader(data)
    reader.skip_zeros()
    while not reader.done():
        body, _ = sml.message(reader)
        if isinstance(body, list) and len(body) == 2 and body[0] == sml.GET_LIST_RESPONSE:
            found = body[1]
            if isinstance(found, list) and len(found) == sml.LIST_FIELDS:
                return found
        reader.skip_zeros()
    raise Malformed("the frame holds no list of values")


def _laid_out(body: list[Value]) -> Layout:
    entries: dict[bytes, list[Value]] = {}
    listed = body[4] if isinstance(body[4], list) else []
    for entry in listed:
        if isinstance(entry, list) and len(entry) == sml.ENTRY_FIELDS and isinstance(entry[0], bytes):
            if entry[0] in entries:
                raise Malformed(f"the value {entry[0].hex()} is there twice")
            entries[entry[0]] = entry
    signature = body[5] if isinstance(body[5], bytes) else b""
    if ISA_START in entries:
        return isa(body, entries, signature)
    return emoc(body, entries, signature) if len(signature) == 66 else plain(body, entries, signature)
