"""OCMF, the Open Charge Metering Format of SAFE e.V., versions 0.4 to 1.3.

    OCMF|{payload}|{signature}

Signed are the bytes of the payload section as they stand, blanks included: nothing is written anew ("Payload
Data Section"). The pipe occurs in no section. The signature section names algorithm (SA, ECDSA on secp256r1
with SHA-256 if it does not), encoding (SE, hexadecimal or base64) and data (SD, DER; r || s is taken too).
The public key never travels in the record ("Relation of Serial Numbers, Charge Point and Public Key").

    valid      the signature holds over the payload, which is readable
    invalid    it does not, or a section is malformed: the reason says what

Whether it can be billed is another question: `ocmf_rules`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, NoReturn

from oracle.errors import BadFormat
from oracle.formats import curves
from oracle.formats.bounds import MOST_RECORDS, at_most
from oracle.formats.charges import Charge, Point, billed
from oracle.formats.ocmf_rules import Reading, problems_of, readings_of, serials
from oracle.formats.record import PublicKeySource, Record, RegisterReading

NAME = "ocmf"

HEADER: Final = b"OCMF|"
OPENING = re.compile(rb"^[ \t]*OCMF\|", re.MULTILINE)
ALGORITHM = re.compile(r"ECDSA-(\w{1,32})-(SHA\d{3})", re.ASCII)
DEFAULT: Final = "ECDSA-secp256r1-SHA256"
DER: Final = "application/x-der"
BLANKS: Final = b"\xef\xbb\xbf \t\r\n"


class Malformed(ValueError):
    """A sentence: what is wrong with the record."""


def recognises(data: bytes) -> bool:
    """It opens with the header."""
    return data[:64].lstrip(BLANKS).startswith(HEADER)


def parse(data: bytes, key: PublicKeySource | None = None) -> list[Record]:
    """One record a header at the start of a line. Raises `BadFormat` where none is."""
    if not recognises(data):
        raise BadFormat(NAME, "it does not open with OCMF|")
    body = data.lstrip(BLANKS)
    starts = at_most(MOST_RECORDS, (each.start() for each in OPENING.finditer(body)), NAME)
    ends = [*starts[1:], len(body)]
    return billed(
        charge(index, body[start:end], key)
        for index, (start, end) in enumerate(zip(starts, ends, strict=True))
    )


def charge(index: int, record: bytes, key: PublicKeySource | None, transaction: str = "") -> Charge:
    """One record, judged by itself. `transaction` is what its container calls the charge."""
    try:
        payload, signature = _sections(record.strip(BLANKS))
        content = _object(payload, "payload")
        reason = _fault(payload, _object(signature, "signature"), key)
    except Malformed as fault:
        return Charge(Record(index, NAME, "invalid", str(fault), False, ()))
    readings, faults = readings_of(content)
    problems = (*faults, *problems_of(content, readings))
    serial = serials(content)
    return Charge(
        Record(
            index,
            NAME,
            "invalid" if reason else "valid",
            reason or "the signature holds",
            not reason and not problems,
            problems,
            tuple(_typed(readings)),
            next((each for each in reversed(serial) if each), ""),
        ),
        points_of(readings),
        serial,
        page(content.get("PG")),
        transaction,
    )


def points_of(readings: list[Reading]) -> tuple[Point, ...]:
    """Begin, end and what is between; nothing where there is neither begin nor end."""
    if not any(each.kind for each in readings):
        return ()
    return tuple(each.point() for each in readings if each.kind or each.value is not None)


def page(value: object) -> int | None:
    """The number of a pagination, `T12`: one of the transaction context."""
    found = re.fullmatch(r"T(\d{1,18})", value, re.ASCII) if isinstance(value, str) else None
    return int(found.group(1)) if found else None


def _sections(record: bytes) -> tuple[bytes, bytes]:
    parts = record.split(b"|", 4)
    if len(parts) != 3:
        found = "more than two" if len(parts) > 3 else "only one"
        raise Malformed(f"OCMF|payload|signature has two pipes, the record {found}")
    return parts[1], parts[2]


def _object(section: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(
            section.decode("utf-8"),
            parse_float=Decimal,
            parse_constant=_no_number,
            object_pairs_hook=_once,
        )
    except Malformed as fault:
        raise Malformed(f"the {name} section {fault}") from fault
    except (ValueError, ArithmeticError, RecursionError) as fault:
        raise Malformed(f"the {name} section is no JSON") from fault
    if not isinstance(found, dict):
        raise Malformed(f"the {name} section is no JSON object")
    return found


def _no_number(text: str) -> NoReturn:
    raise Malformed(f"has the number {text}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names are told apart: of two values under one name readers pick different ones."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("names a field twice")
    return found


def _fault(payload: bytes, section: dict[str, Any], key: PublicKeySource | None) -> str:
    algorithm, encoding = section.get("SA", DEFAULT), section.get("SE", "hex")
    mime, text = section.get("SM", DER), section.get("SD")
    named = ALGORITHM.fullmatch(algorithm) if isinstance(algorithm, str) else None
    if not named or named.group(2) not in curves.HASHES:
        shown = repr(algorithm[:60]) if isinstance(algorithm, str) else "given"
        return f"the signature algorithm (SA) {shown} is none of OCMF's"
    if encoding not in ("hex", "base64") or mime != DER:
        return "the signature's encoding (SE, SM) is none of OCMF's: hex or base64, of DER"
    signature = curves.unpacked(text, encoding) if isinstance(text, str) else None
    if not signature:
        return "the signature data (SD) is missing or not " + (
            "base64" if encoding == "base64" else "hexadecimal"
        )
    return curves.fault(payload, signature, key, named.group(1), named.group(2))


def _typed(readings: list[Reading]) -> Iterator[RegisterReading]:
    for each in readings:
        if each.value is not None:
            status = "".join((each.reason, each.status, f" EF {each.flags}" if each.flags else ""))
            yield RegisterReading(
                each.register, each.time_ns, each.value, each.unit, f"{each.clock} {status}".strip()
            )
