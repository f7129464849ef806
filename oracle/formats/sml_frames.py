"""Frames of SML transport protocol version 1 in a serial capture (BSI TR-03109-1 annex IV, section 8).

    1b1b1b1b 01010101   data, zero bytes up to a multiple of 4   1b1b1b1b 1a pp cccc

`pp` counts the zero bytes, `cccc` is the check sum, low byte first, of all that was sent before it, start
included. Four 1b in the data are sent twice. So in a run of n bytes 1b the last four are an escape exactly if
n mod 8 is 4 or more: the data before them may itself end in up to three.

A capture may start inside a frame and hold noise between frames: what precedes a start is passed over. A
frame that meets the next start, or the end of the capture, before its own end is cut short, and said to
be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from oracle.formats.crc import crc16_kermit, crc16_x25

ESCAPE = b"\x1b" * 4
START = ESCAPE + b"\x01" * 4
END = b"\x1a"
TRAILER = 4
"""1a, the padding and the check sum."""
MOST_PADDING = 3
MOST_BYTES = 1 << 16
"""Of one frame; meters send some hundred."""
RUN = re.compile(rb"\x1b{4,}")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as found."""

    offset: int
    """Of its start in the capture, bytes."""
    data: bytes
    """The SML file in it, escapes and padding removed; empty when the frame is faulty."""
    fault: str
    """Why nothing can be read from it: cut short, an escape nobody defined, a wrong check sum. Else empty."""
    kermit: bool = False
    """Its check sum is CRC-16/KERMIT instead of X-25."""


def sum_fault(name: str, data: bytes, sent: int) -> tuple[str, bool]:
    """What is wrong with a check sum, and whether it is KERMIT's. Both algorithms are in use: meters of one
    maker send KERMIT (low byte first as well)."""
    right = crc16_x25(data)
    if sent == right:
        return "", False
    if sent == crc16_kermit(data):
        return "", True
    return f"the {name} has check sum {sent:04X}, its bytes have {right:04X}", False


def frames(capture: bytes) -> Iterator[Frame]:
    """All frames whose start is in the capture, in its order. Linear in the capture's length."""
    start = capture.find(START)
    while start >= 0:
        frame, rest = _frame(capture, start)
        yield frame
        start = capture.find(START, rest)


def _frame(capture: bytes, start: int) -> tuple[Frame, int]:
    """The frame that starts there, and from where to look for the next start."""
    limit = min(len(capture), start + MOST_BYTES)
    for run in RUN.finditer(capture, start + len(START), limit):
        after = run.end()
        if (after - run.start()) % 8 < len(ESCAPE):
            continue  # data
        if capture[after : after + 1] == END:
            end = after + TRAILER
            return (_ended(capture, start, end) if end <= limit else _cut(start, limit)), after
        if after == limit or capture.startswith(START, after - len(ESCAPE)):
            return _cut(start, after - len(ESCAPE)), after - len(ESCAPE)
        return Frame(
            start, b"", f"the escape at byte {after - len(ESCAPE)} means nothing in version 1"
        ), after
    return _cut(start, limit), limit


def _cut(start: int, limit: int) -> Frame:
    return Frame(start, b"", f"the frame is cut short after {limit - start} bytes")


def _ended(capture: bytes, start: int, end: int) -> Frame:
    fault, kermit = sum_fault(
        "frame", capture[start : end - 2], int.from_bytes(capture[end - 2 : end], "little")
    )
    if fault:
        return Frame(start, b"", fault)
    data = capture[start + len(START) : end - TRAILER - len(ESCAPE)].replace(ESCAPE * 2, ESCAPE)
    padding = capture[end - TRAILER + 1]
    if padding > min(MOST_PADDING, len(data)) or any(data[len(data) - padding :]):
        return Frame(start, b"", f"it ends with {padding} bytes of padding: there are 0 to 3, all zero")
    return Frame(start, data[: len(data) - padding], "", kermit)
