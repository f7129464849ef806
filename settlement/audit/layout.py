"""Storage words of a contract from values by name, by the layout that its compiler reports.

Values follow their Solidity types: an int for every kind of number, enum and user-defined word, bytes for an
address and for bytesN, a bool, a str, a dict by member for a struct, a dict by key for a mapping, a list for
a dynamic array. What is zero occupies no word. Source: Solidity documentation, Layout of State Variables in
Storage and Transient Storage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from settlement.reference.eip712 import keccak

Json = dict[str, Any]

WORD_BITS = 256


def storage_words(layout: Json, values: Mapping[str, Any]) -> dict[int, int]:
    """The words that are not zero, by slot. ValueError where names and variables differ."""
    declared = {one["label"] for one in layout["storage"]}
    if declared != set(values):
        raise ValueError(f"variables without a value, or unknown: {sorted(declared ^ set(values))}")
    writer = _Writer(layout["types"])
    for one in layout["storage"]:
        writer.put(one["type"], int(one["slot"]), one["offset"], values[one["label"]])
    return {slot: word for slot, word in writer.words.items() if word}


class _Writer:
    def __init__(self, types: Json) -> None:
        self.types = types
        self.words: dict[int, int] = {}

    def put(self, name: str, slot: int, offset: int, value: Any) -> None:
        """A value of a type, from a byte of a slot on."""
        kind = self.types[name]
        if kind["encoding"] == "mapping":
            for key, one in value.items():
                self.put(kind["value"], _place(self._key(kind["key"], key), slot), 0, one)
        elif kind["encoding"] == "dynamic_array":
            self._put_array(kind, slot, value)
        elif kind["encoding"] == "bytes":
            self._put_text(slot, value.encode())
        elif "members" in kind:
            self._put_struct(kind, slot, value)
        else:
            self._put_bits(kind, slot, offset, value)

    def _put_struct(self, kind: Json, slot: int, value: Mapping[str, Any]) -> None:
        members = {one["label"]: one for one in kind["members"]}
        if set(members) != set(value):
            raise ValueError(f"{kind['label']}: members {sorted(set(members) ^ set(value))}")
        for label, one in members.items():
            self.put(one["type"], slot + int(one["slot"]), one["offset"], value[label])

    def _put_array(self, kind: Json, slot: int, items: list[Any]) -> None:
        """The length at the slot; items from its hash on, as many in a word as fit."""
        self._put_bits({"numberOfBytes": "32"}, slot, 0, len(items))
        first, size = (
            int.from_bytes(keccak(_word(slot)), "big"),
            int(self.types[kind["base"]]["numberOfBytes"]),
        )
        a_word = max(1, 32 // size)
        words = -(-size // 32)
        for index, item in enumerate(items):
            at, within = divmod(index, a_word)
            self.put(kind["base"], first + at * words, within * size, item)

    def _put_text(self, slot: int, text: bytes) -> None:
        """A short one: from the left, with twice its length in the last byte."""
        if len(text) > 31:
            raise ValueError("strings of more than 31 bytes are not laid out")
        self.words[slot] = int.from_bytes(text.ljust(32, b"\0"), "big") | 2 * len(text)

    def _put_bits(self, kind: Json, slot: int, offset: int, value: Any) -> None:
        bits = 8 * int(kind["numberOfBytes"])
        number = int.from_bytes(value, "big") if isinstance(value, bytes) else int(value)
        if not -(1 << bits - 1) <= number < 1 << bits:
            raise ValueError(f"{number} does not fit {bits} bits")
        self.words[slot] = self.words.get(slot, 0) | (number % (1 << bits)) << 8 * offset

    def _key(self, name: str, key: Any) -> bytes:
        """As it is hashed: numbers and addresses at the right of their word, bytesN at the left."""
        if isinstance(key, bytes):
            return (
                key.ljust(32, b"\0")
                if self.types[name]["label"].startswith("bytes")
                else key.rjust(32, b"\0")
            )
        return _word(key)


def _place(key: bytes, slot: int) -> int:
    return int.from_bytes(keccak(key + _word(slot)), "big")


def _word(number: int) -> bytes:
    return (number % (1 << WORD_BITS)).to_bytes(32, "big")
