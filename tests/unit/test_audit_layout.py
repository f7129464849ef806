"""Words of storage, by the rules that Solidity documents."""

import pytest

from settlement.audit.layout import storage_words
from settlement.reference.eip712 import keccak


def plain(name: str, size: int, encoding: str = "inplace", **more: object) -> dict[str, object]:
    return {"label": name, "numberOfBytes": str(size), "encoding": encoding, **more}


TYPES = {
    "uint24": plain("uint24", 3),
    "int32": plain("int32", 4),
    "bool": plain("bool", 1),
    "address": plain("address", 20),
    "bytes32": plain("bytes32", 32),
    "string": plain("string", 32, "bytes"),
    "uint256": plain("uint256", 32),
    "list": plain("uint24[]", 32, "dynamic_array", base="uint24"),
    "wide": plain("struct Pair[]", 32, "dynamic_array", base="pair"),
    "pair": plain(
        "struct Pair",
        64,
        members=[
            {"label": "flag", "slot": "0", "offset": 0, "type": "bool"},
            {"label": "price", "slot": "0", "offset": 1, "type": "int32"},
            {"label": "root", "slot": "1", "offset": 0, "type": "bytes32"},
        ],
    ),
    "by_number": plain("mapping", 32, "mapping", key="uint24", value="pair"),
    "by_both": plain("mapping", 32, "mapping", key="address", value="by_hash"),
    "by_hash": plain("mapping", 32, "mapping", key="bytes32", value="uint256"),
}
SPENDER, ROOT = bytes(range(20)), bytes(range(32))


def words(kind: str, value: object, slot: int = 3, offset: int = 0) -> dict[int, int]:
    variable = {"label": "it", "slot": str(slot), "offset": offset, "type": kind}
    return storage_words({"storage": [variable], "types": TYPES}, {"it": value})


def number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def at(*parts: bytes) -> int:
    return number(keccak(b"".join(parts)))


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def test_numbers_lie_at_their_offset_and_negative_ones_in_twos_complement() -> None:
    assert words("uint24", 5, offset=29) == {3: 5 << 232}
    assert words("int32", -1, offset=4) == {3: 0xFFFFFFFF << 32}
    assert words("address", SPENDER) == {3: number(SPENDER)}


def test_zeros_occupy_no_word() -> None:
    assert words("uint256", 0) == {}
    assert words("by_hash", {ROOT: 0}) == {}


def test_a_short_string_lies_with_its_length() -> None:
    assert words("string", "ab") == {3: number(b"ab".ljust(32, b"\0")) | 4}


def test_items_of_a_list_share_words_behind_the_hash_of_its_slot() -> None:
    first = at(word(3))
    assert words("list", list(range(1, 12))) == {
        3: 11,
        first: sum((i + 1) << 24 * i for i in range(10)),
        first + 1: 11,
    }
    pairs = [{"flag": True, "price": 2, "root": ROOT}, {"flag": False, "price": 0, "root": ROOT}]
    assert words("wide", pairs) == {3: 2, first: 0x201, first + 1: number(ROOT), first + 3: number(ROOT)}


def test_entries_of_a_mapping_lie_at_the_hash_of_key_and_slot() -> None:
    place = at(word(7), word(3))
    assert words("by_number", {7: {"flag": True, "price": 1, "root": ROOT}}) == {
        place: 0x101,
        place + 1: number(ROOT),
    }
    outer = keccak(bytes(12) + SPENDER + word(3))
    assert words("by_both", {SPENDER: {ROOT: 9}}) == {at(ROOT, outer): 9}


def test_what_is_left_out_or_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="it"):
        storage_words({"storage": [], "types": TYPES}, {"it": 1})
    with pytest.raises(ValueError, match="root"):
        words("by_number", {7: {"flag": True, "price": 1}})
    with pytest.raises(ValueError, match="24 bits"):
        words("uint24", 1 << 24)
