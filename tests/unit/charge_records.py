"""Records of every charge format, signed here with keys of the moment."""

from __future__ import annotations

import base64
import json
from xml.sax.saxutils import escape, quoteattr

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from test_formats_sml import ABSENT, frame, listing, message, octets, signed, unsigned

from oracle.formats.curves import CURVES, size

ORDERS = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp256k1": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
}
KEYS = {name: ec.derive_private_key(0xC0FFEE1234567, curve) for name, curve in CURVES.items()}
OTHER = {name: ec.derive_private_key(0xBADC0DE, curve) for name, curve in CURVES.items()}


def info(curve: str = "secp256r1", keys=KEYS) -> bytes:
    """SubjectPublicKeyInfo."""
    return (
        keys[curve]
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def point(curve: str = "secp256r1") -> bytes:
    return (
        KEYS[curve]
        .public_key()
        .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    )


def sign(payload: bytes, curve: str = "secp256r1", digest=None) -> bytes:
    return KEYS[curve].sign(payload, ec.ECDSA(digest or hashes.SHA256()))


def raw(der: bytes, curve: str) -> bytes:
    width = size(CURVES[curve])
    return b"".join(part.to_bytes(width, "big") for part in decode_dss_signature(der))


def mirrored(der: bytes, curve: str, high: bool) -> bytes:
    """The signature with its s above half the order, or below."""
    r, s = decode_dss_signature(der)
    order = ORDERS[curve]
    return encode_dss_signature(r, max(s, order - s) if high else min(s, order - s))


def reading(reason: str, value, second: int = 0, **more) -> dict:
    return {
        "TM": f"2026-06-01T10:00:{second:02d},000+0200 S",
        "TX": reason,
        "RV": value,
        "RI": "1-0:1.8.0",
        "RU": "kWh",
        "EF": "",
        "ST": "G",
    } | more


def content(*readings, **more) -> dict:
    listed = readings or (reading("B", 12.5), reading("E", 13.25, 30))
    return {"FV": "1.0", "GS": "G1", "PG": "T7", "MS": "M1", "IS": False, "RD": list(listed)} | more


def ocmf(body=None, curve: str = "secp256r1", signature=None, **section) -> bytes:
    payload = body if isinstance(body, bytes) else json.dumps(body or content()).encode()
    made = sign(payload, curve) if signature is None else signature
    named = {"SA": f"ECDSA-{curve}-SHA256", "SD": made.hex()} | section
    return b"OCMF|" + payload + b"|" + json.dumps(named).encode()


def pcdf(signature=None, **fields: str) -> bytes:
    held = {
        "ST": "260601100000", "CT": "260601100130", "CD": "000130", "TV": "1", "BV": "1", "CSC": "1",
        "SP": "1", "RV": "0003.276*kWh", "SI": "55*1*session", "CS": "513f627b", "HW": "12345678901",
        "DT": "0", "PK": point().hex(),
    } | fields  # fmt: skip
    signed_part = ("128.8.0" + "".join(f"({name}:{value})" for name, value in held.items())).encode()
    made = sign(signed_part) if signature is None else signature
    return signed_part + b"(SG:" + made.hex().encode() + b")"


def little(value: int, width: int) -> bytes:
    return (value % (1 << 8 * width)).to_bytes(width, "little")


METER = bytes.fromhex("0901454d480000000001")
CONTRACT = b"CONTRACT"


def laid_out(
    value=3275, local=7200, status=8, second=729, page=33, contract=CONTRACT, log=b"\0\x07"
) -> bytes:
    """The 173 bytes that EDL40 signs, zeros left out."""
    return (
        METER + little(local, 4) + little(status, 1) + little(second, 4) + little(page, 4)
        + bytes.fromhex("0100011100ff") + little(30, 1) + little(-1, 1) + little(value, 8) + log
        + contract.ljust(128, b"\0") + little(local - 5, 4)
    )  # fmt: skip


def local_time(local: int) -> bytes:
    return listing(unsigned(3, 1), listing(unsigned(local - 3600), signed(60, 2), signed(0, 2)))


def entry(code: str, value: bytes, status=ABSENT, time=ABSENT, unit=ABSENT, scaler=ABSENT, signature=ABSENT):
    return listing(octets(bytes.fromhex(code)), status, time, unit, scaler, value, signature)


def edl40(payload: bytes | None = None, curve="secp192r1", more=(), **values) -> bytes:
    """A frame whose list is signed as EDL40 (or, with another curve and more entries, as eMOC)."""
    v = {"value": 3275, "local": 7200, "status": 8, "second": 729, "page": 33, "contract": CONTRACT} | values
    signed_bytes = (laid_out(**v) if payload is None else payload).ljust(320, b"\0")
    signature = raw(sign(signed_bytes, curve), curve) + b"\0\x07"
    entries = (
        entry("0100011100ff", signed(v["value"]), unsigned(v["status"]), local_time(v["local"]),
              unsigned(30, 1), signed(-1, 1)),
        entry("810060080001", listing(unsigned(1, 1), listing(unsigned(1, 1), unsigned(v["second"])))),
        entry("8180817101ff", unsigned(v["page"])),
        entry("8182815401ff", octets(v["contract"]), time=local_time(v["local"] - 5)),
        *more,
    )  # fmt: skip
    return _list(entries, bytes.fromhex("0100011100ff"), signature)


def _list(entries, name: bytes, signature: bytes) -> bytes:
    body = listing(ABSENT, octets(METER), octets(name), ABSENT, _entries(entries), octets(signature), ABSENT)
    return frame(message(0x0701, body))


def _entries(entries) -> bytes:
    return bytes([0x70 | len(entries)]) + b"".join(entries)


EMOC_STATUS = 0x80040104
"""Bits 31, 18, 8 and 2: the byte 0x88 is signed."""


def emoc(**values) -> bytes:
    v = {"contract": b"\x01CONTRACT", "status": EMOC_STATUS} | values
    tail = little(11, 8) + little(12, 8) + little(1000, 2) + little(60, 4) + b"\x01\x02"
    more = (
        entry("010001110064", signed(11)),
        entry("0100011100c8", signed(12)),
        entry("00af6c6c72ff", unsigned(1000, 2)),
        entry("00af647572ff", unsigned(60)),
        entry("00af707263ff", unsigned(0x0102, 2)),
    )
    return edl40(laid_out(**(v | {"status": 0x88})) + tail, "secp256r1", more, **v)


def isa(start=100, now=350, page=24, unit=30) -> bytes:
    """EDL40P: the reading now, signed by itself, and the reading at the begin."""
    name, esth, own = bytes.fromhex("8180816202ff"), bytes(range(20)), bytes(66)

    def short(code: str, value: int) -> bytes:
        return b"\x18" + bytes.fromhex(code) + little(unit, 1) + little(-1, 1) + little(value, 8)

    payload = (
        METER + little(9000, 4) + short("0100010800ff", now) + b"\0\x07" + own + CONTRACT.ljust(128, b"\0")
        + little(8000, 4) + esth + short("010001080080", start) + name + little(page, 4)
    ).ljust(320, b"\0")  # fmt: skip

    def register(code: str, value: int, moment: int, signature=ABSENT) -> bytes:
        time = listing(unsigned(2, 1), unsigned(moment))
        return entry(
            code, signed(value), unsigned(0x18, 8), time, unsigned(unit, 1), signed(-1, 1), signature
        )

    entries = (
        entry("8182815401ff", octets(CONTRACT), time=local_time(8000)),
        register("010001080080", start, 8000),
        entry("8180c7f040ff", unsigned(page)),
        entry("8180816101ff", octets(esth)),
        register("0100010800ff", now, 9000, octets(own)),
    )
    return _list(entries, name, raw(sign(payload), "secp256r1") + b"\0\x07")


def mennekes(changed: str = "", to: str = "") -> bytes:
    """A charging process from 100 to 250; `changed` is replaced in the text after signing."""
    halves = "".join(
        f"<Measurement{name}><TimestampCustomerIdent>{_clock(local - 5)}</TimestampCustomerIdent>"
        f"<Timestamp>{_clock(local)}</Timestamp><Signature>{_mennekes(value, local, page)}</Signature>"
        f"<EventCounter>7</EventCounter><MeterStatus>8</MeterStatus><Value>{value}</Value><Scaler>-1</Scaler>"
        f"<Pagination>{page}</Pagination><SecondIndex>729</SecondIndex></Measurement{name}>"
        for name, value, local, page in (("Start", 100, 7200, 25), ("End", 250, 7300, 26))
    )
    key = point("secp192r1")[1:].hex().upper()
    text = (
        '<Billing xmlns="http://www.mennekes.de/Mennekes.EdlVerification.xsd"><ChargingProcess>'
        f"<ServerId>{METER.hex()}</ServerId><PublicKey>{key}</PublicKey>"
        f"<CustomerIdent>{CONTRACT.hex()}</CustomerIdent>{halves}</ChargingProcess></Billing>"
    )
    assert not changed or changed in text
    return text.replace(changed, to).encode() if changed else text.encode()


def _mennekes(value: int, local: int, page: int) -> str:
    payload = laid_out(value=value, local=local, page=page).ljust(320, b"\0")
    return raw(sign(payload, "secp192r1"), "secp192r1").hex()


def _clock(local: int) -> str:
    return f"1970-01-01T{local // 3600:02d}:{local // 60 % 60:02d}:{local % 60:02d}+02:00"


def emh(payload: bytes | None = None, signed_payload: bytes | None = None) -> bytes:
    value = (payload or laid_out(contract=b"\x01CONTRACT")).ljust(320, b"\0")
    made = raw(sign((signed_payload or value).ljust(320, b"\0")), "secp256r1") + b"\0\x07"
    parts = (point()[1:], made, value)
    key, signature, encoded = (base64.b64encode(part).decode() for part in parts)
    return (
        f"<signedMeterValue><publicKey>{key}</publicKey><meterValueSignature>{signature}</meterValueSignature>"
        f"<signatureMethod>ECDSA256SHA256</signatureMethod><encodedMeterValue>{encoded}</encodedMeterValue>"
        "</signedMeterValue>"
    ).encode()


def value(data: str, key: str = "", context: str = "", transaction: str = "1", encoding="plain") -> str:
    shown = f"<publicKey>{key}</publicKey>" if key else ""
    return (
        f"<value transactionId={quoteattr(transaction)} context={quoteattr(context)}>"
        f"<signedData encoding={quoteattr(encoding)}>{escape(data)}</signedData>{shown}</value>"
    )


def safe(*values: str) -> bytes:
    return f'<?xml version="1.0"?>\n<values>{"".join(values)}</values>'.encode()
