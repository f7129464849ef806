"""The values of SML's binary encoding (BSI TR-03109-1 annex IV, section 6).

Every value opens with a type-length byte: bit 7 says that another length byte follows, bits 6 to 4 are
the type, the others the length. A list's length counts its elements, any other counts bytes with the
type-length bytes included. `01`, an octet string of no bytes, stands for an optional value that is
absent; `00` ends a message.
"""

from __future__ import annotations

from typing import NoReturn, TypeAlias

MOST_DEPTH = 12
"""Of nested lists; a value list in a message is at depth 4, its time one below."""
MOST_LENGTH_BYTES = 4
MOST_INTEGER_BYTES = 8

OCTETS, BOOLEAN, INTEGER, UNSIGNED, LIST = 0, 4, 5, 6, 7

Value: TypeAlias = "bool | int | bytes | list[Value] | None"


class Malformed(ValueError):
    """A sentence: what is wrong in the data, and at which byte of it."""


class Reader:
    """Reads values one after the other; never past the data, never deeper than `MOST_DEPTH`."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def done(self) -> bool:
        return self.at >= len(self.data)

    def skip_zeros(self) -> None:
        """Past the zero bytes that some meters send between messages."""
        while not self.done() and not self.data[self.at]:
            self.at += 1

    def refuse(self, what: str) -> NoReturn:
        raise Malformed(f"byte {self.at} of the frame's data: {what}")

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            self.refuse(f"{count} bytes are announced, {len(self.data) - self.at} are left")
        self.at += count
        return self.data[self.at - count : self.at]

    def value(self, depth: int = 0) -> Value:
        """The next value; None where it is absent. Raises `Malformed`."""
        kind, length = self._type_and_length()
        if kind == LIST:
            return self._list(length, depth)
        body = self.take(length)
        if kind == OCTETS:
            return body or None
        if not 1 <= length <= MOST_INTEGER_BYTES:
            self.refuse(f"a number of {length} bytes: there are 1 to {MOST_INTEGER_BYTES}")
        if kind == BOOLEAN:
            return any(body)
        return int.from_bytes(body, "big", signed=kind == INTEGER)

    def _list(self, length: int, depth: int) -> list[Value]:
        if depth == MOST_DEPTH:
            self.refuse(f"lists nested deeper than {MOST_DEPTH}")
        if length > len(self.data) - self.at:
            self.refuse(f"a list of {length} values in {len(self.data) - self.at} bytes")
        return [self.value(depth + 1) for _ in range(length)]

    def _type_and_length(self) -> tuple[int, int]:
        first = byte = self.take(1)[0]
        length, count = byte & 0x0F, 1
        while byte & 0x80:
            if count == MOST_LENGTH_BYTES:
                self.refuse(f"a length of more than {MOST_LENGTH_BYTES} bytes")
            byte = self.take(1)[0]
            length, count = length << 4 | byte & 0x0F, count + 1
        kind = first >> 4 & 0b111
        if kind == LIST:
            return kind, length
        if kind not in (OCTETS, BOOLEAN, INTEGER, UNSIGNED):
            self.refuse(f"type {kind} is none of SML")
        if length < count:
            self.refuse("a message ends where a value is expected")
        return kind, length - count
