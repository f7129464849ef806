"""Sign-In with Ethereum: the message of EIP-4361, read and written by its ABNF, and what a login requires.

    text ──parse──▶ Message ──check(Expected, now)──▶ accepted, or Refused with its reason
      ▲               │
      └────build──────┘        build(parse(text)) == text for every text that parse takes

Two things are stricter than the grammar: the domain is not empty (it is REQUIRED), and an address has the
checksum of EIP-55, which the text demands beside the grammar.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta, timezone

from eth_utils.address import is_checksum_address

from api.auth.rfc3986 import GEN_DELIMS, PCHAR, SCHEME, SUB_DELIMS, UNRESERVED, is_authority, is_uri
from settlement.reference.eip712 import keccak

MOST_BYTES = 4096
"""Of a message: a wallet shows it whole."""
PREAMBLE = " wants you to sign in with your Ethereum account:"

_PREAMBLE = re.compile(rf"(?:({SCHEME})://)?([^ ]+){PREAMBLE}", re.ASCII)
_ADDRESS = re.compile(r"0x[0-9A-Fa-f]{40}", re.ASCII)
_STATEMENT = re.compile(rf"[{GEN_DELIMS}{SUB_DELIMS}{UNRESERVED} ]*", re.ASCII)
_CHAIN_ID = re.compile(r"[0-9]{1,78}", re.ASCII)
_NONCE = re.compile(r"[A-Za-z0-9]{8,}", re.ASCII)
_REQUEST_ID = re.compile(rf"{PCHAR}*", re.ASCII)
_DATE_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)


class SiweError(Exception):
    """A login message that is not accepted."""


class Malformed(SiweError):
    """The text is no message of EIP-4361: the line (from 1) and what it should be."""

    def __init__(self, line: int, expected: str) -> None:
        super().__init__(f"line {line} of the message is not {expected}")
        self.line, self.expected = line, expected


class Refused(SiweError):
    """A well-formed message that this service does not accept."""


@dataclass(frozen=True, slots=True)
class Message:
    """The fields of a message; times as they were written, so that the text can be rebuilt byte for byte."""

    domain: str
    """Authority that asks for the login."""
    address: str
    """With the checksum of EIP-55."""
    uri: str
    """What the login is for."""
    chain_id: str
    """Decimal digits."""
    nonce: str
    """At least 8 letters or digits."""
    issued_at: str
    """date-time of RFC 3339, like the next two."""
    expiration_time: str | None = None
    not_before: str | None = None
    scheme: str | None = None
    """Of the origin; None if left out."""
    statement: str | None = None
    """None if there is none; an empty one is another text."""
    request_id: str | None = None
    resources: tuple[str, ...] | None = None
    """URIs; None if the heading is missing, empty if nothing follows it."""

    @property
    def account(self) -> bytes:
        return bytes.fromhex(self.address[2:])


@dataclass(frozen=True, slots=True)
class Expected:
    """What this service asked for when it gave the nonce out."""

    domain: str
    uri: str
    chain_id: int
    nonce: str
    account: bytes
    statement: str
    request_id: str | None
    resources: tuple[str, ...]
    """Those that may be listed."""
    max_age: timedelta
    """How old `issued_at` may be."""
    skew: timedelta
    """By how much the wallet's clock may differ."""


# Text ---------------------------------------------------------------------------------------------------


class _Lines:
    """The lines of a text, one after the other."""

    def __init__(self, text: str) -> None:
        self.lines, self.at = text.split("\n"), 0

    def next(self, expected: str) -> str:
        if self.at >= len(self.lines):
            raise Malformed(self.at + 1, expected)
        self.at += 1
        return self.lines[self.at - 1]

    def labelled(self, label: str, *, optional: bool = False) -> str | None:
        """What follows `label: ` on the next line; None if that may be another line and is."""
        if optional and not (self.at < len(self.lines) and self.lines[self.at].startswith(f"{label}: ")):
            return None
        line = self.next(f"`{label}: `")
        if not line.startswith(f"{label}: "):
            raise Malformed(self.at, f"`{label}: `")
        return line[len(label) + 2 :]

    def require(self, holds: object, expected: str) -> None:
        """Malformed, at the line just read, unless it holds."""
        if not holds:
            raise Malformed(self.at, expected)


def parse(text: str) -> Message:
    """The message of a text. Malformed unless all of it follows the grammar."""
    if len(text) > MOST_BYTES or not text.isascii():
        raise Malformed(1, f"part of at most {MOST_BYTES} ASCII characters")
    lines = _Lines(text)
    scheme, domain = _parse_origin(lines)
    address = lines.next("an address")
    lines.require(_ADDRESS.fullmatch(address) and is_checksum_address(address), "an address with checksum")
    lines.require(lines.next("empty") == "", "empty")
    statement = _parse_statement(lines)
    uri = lines.labelled("URI") or ""
    lines.require(is_uri(uri), "a URI of RFC 3986")
    lines.require(lines.labelled("Version") == "1", "`Version: 1`")
    chain_id = lines.labelled("Chain ID") or ""
    lines.require(_CHAIN_ID.fullmatch(chain_id), "a chain id in digits")
    nonce = lines.labelled("Nonce") or ""
    lines.require(_NONCE.fullmatch(nonce), "a nonce of 8 letters or digits, or more")
    issued_at = _parse_time(lines, "Issued At")
    lines.require(issued_at is not None, "`Issued At: `")
    expires, begins = (_parse_time(lines, each, optional=True) for each in ("Expiration Time", "Not Before"))
    request_id = lines.labelled("Request ID", optional=True)
    lines.require(request_id is None or _REQUEST_ID.fullmatch(request_id), "a request id of RFC 3986 pchars")
    resources = _parse_resources(lines)
    return Message(
        domain,
        address,
        uri,
        chain_id,
        nonce,
        issued_at or "",
        expires,
        begins,
        scheme,
        statement,
        request_id,
        resources,
    )


def _parse_origin(lines: _Lines) -> tuple[str | None, str]:
    found = _PREAMBLE.fullmatch(lines.next("the domain"))
    lines.require(found is not None and is_authority(found[2]), f"`[scheme://]domain{PREAMBLE}`")
    assert found is not None
    return found[1], found[2]


def _parse_statement(lines: _Lines) -> str | None:
    """`[ statement LF ] LF`: a statement is there exactly if the line after the next is empty."""
    first = lines.next("a statement or empty")
    followed = lines.at < len(lines.lines) and lines.lines[lines.at] == ""
    if first == "" and not followed:
        return None
    lines.require(_STATEMENT.fullmatch(first), "a statement of reserved and unreserved letters of RFC 3986")
    lines.require(lines.next("empty") == "", "empty")
    return first


def _parse_time(lines: _Lines, label: str, *, optional: bool = False) -> str | None:
    text = lines.labelled(label, optional=optional)
    if text is None:
        return None
    try:
        date_time(text)
    except ValueError:
        raise Malformed(lines.at, "a date-time of RFC 3339") from None
    return text


def _parse_resources(lines: _Lines) -> tuple[str, ...] | None:
    if lines.at == len(lines.lines):
        return None
    lines.require(lines.next("`Resources:`") == "Resources:", "the end, or a field in its place")
    found = []
    while lines.at < len(lines.lines):
        line = lines.next("a resource")
        lines.require(line.startswith("- ") and is_uri(line[2:]), "`- ` and a URI of RFC 3986")
        found.append(line[2:])
    return tuple(found)


def build(message: Message) -> str:
    """The text of a message. Malformed if a field does not fit the grammar."""
    origin = message.domain if message.scheme is None else f"{message.scheme}://{message.domain}"
    lines = [origin + PREAMBLE, message.address, ""]
    lines += [] if message.statement is None else [message.statement]
    lines += ["", f"URI: {message.uri}", "Version: 1", f"Chain ID: {message.chain_id}"]
    lines += [f"Nonce: {message.nonce}", f"Issued At: {message.issued_at}"]
    optional = (
        ("Expiration Time", message.expiration_time),
        ("Not Before", message.not_before),
        ("Request ID", message.request_id),
    )
    lines += [f"{label}: {value}" for label, value in optional if value is not None]
    if message.resources is not None:
        lines += ["Resources:", *(f"- {each}" for each in message.resources)]
    text = "\n".join(lines)
    again = parse(text)
    if wrong := [
        each.name for each in fields(Message) if getattr(again, each.name) != getattr(message, each.name)
    ]:
        raise Malformed(1, f"readable: {wrong[0]} holds what belongs elsewhere")
    return text


def date_time(text: str) -> datetime:
    """The instant of an RFC 3339 date-time (section 5.6). ValueError if it is none.

    A leap second is the second after; digits below the microsecond are cut off.
    """
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text} is no date-time of RFC 3339")
    *date, second = (int(part) for part in found.groups()[:6])
    hours, minutes = int(found[9] or 0), int(found[10] or 0)
    if hours > 23 or minutes > 59 or second > 60:
        raise ValueError(f"{text} names an hour, minute or second that no clock shows")
    offset = timedelta(hours=hours, minutes=minutes) * (-1 if found[8] == "-" else 1)
    micro = int((found[7] or "0").ljust(6, "0")[:6])
    year, month, day, hour, minute = date
    whole = datetime(year, month, day, hour, minute, min(second, 59), micro, timezone(offset))
    try:
        return (whole + timedelta(seconds=second == 60)).astimezone(UTC)
    except OverflowError as cause:
        raise ValueError(f"{text} lies outside the years 1 to 9999") from cause


def digest(text: str) -> bytes:
    """What a wallet signs for a text: `personal_sign`, version 0x45 of EIP-191."""
    data = text.encode()
    return keccak(b"\x19Ethereum Signed Message:\n" + str(len(data)).encode() + data)


# Acceptance ---------------------------------------------------------------------------------------------


def check(message: Message, expected: Expected, now: datetime) -> None:
    """Refused unless the message is the one that was asked for, and now is its time."""
    allowed_scheme = (None, expected.uri.split(":", 1)[0])
    held = {
        f"it is for the domain {message.domain}, not {expected.domain}": message.domain == expected.domain,
        f"its scheme is {message.scheme}, not {allowed_scheme[1]}": message.scheme in allowed_scheme,
        f"its URI is not {expected.uri}": message.uri == expected.uri,
        f"it is for another chain than {expected.chain_id}": int(message.chain_id) == expected.chain_id,
        "its nonce is not the one given out": message.nonce == expected.nonce,
        "its address is not the one that the nonce was given to": message.account == expected.account,
        "its statement was changed": message.statement == expected.statement,
        "its request id is not the one of the challenge": message.request_id == expected.request_id,
        "it lists a resource that this service does not know": set(message.resources or ())
        <= set(expected.resources),
    }
    for reason, holds in held.items():
        if not holds:
            raise Refused(reason)
    _check_times(message, expected, now)


def _check_times(message: Message, expected: Expected, now: datetime) -> None:
    issued = date_time(message.issued_at)
    if issued > now + expected.skew:
        raise Refused("it was issued in the future: set the clock right")
    if issued < now - expected.max_age - expected.skew:
        raise Refused("it was issued too long ago: ask for a new challenge")
    if message.expiration_time is not None:
        expires = date_time(message.expiration_time)
        # A short skew may not turn an expired message valid: only the wallet's own lateness counts.
        if expires <= now or expires <= issued:
            raise Refused("it has expired: ask for a new challenge")
    if message.not_before is not None and date_time(message.not_before) > now + expected.skew:
        raise Refused("it is not valid yet")
