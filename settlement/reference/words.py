"""Big-endian integers and 256-bit words: the bricks of every encoding in docs/formats.md."""

from collections.abc import Iterable

from settlement.reference.errors import ValueOutOfRange

WORD_BYTES = 32


def check_uint(field: str, value: int, bits: int) -> int:
    """`value`, or ValueOutOfRange if it is not an unsigned integer of `bits` bits."""
    if not 0 <= value < 1 << bits:
        raise ValueOutOfRange(field, value)
    return value


def check_int(field: str, value: int, bits: int) -> int:
    """`value`, or ValueOutOfRange if it is not a two's complement integer of `bits` bits."""
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise ValueOutOfRange(field, value)
    return value


def twos(field: str, value: int, bits: int) -> int:
    """The two's complement of a signed `value`, as an unsigned integer of `bits` bits."""
    return check_int(field, value, bits) % (1 << bits)


def signed(value: int, bits: int) -> int:
    """The signed integer whose two's complement in `bits` bits is the unsigned `value`."""
    return value - (1 << bits) if value >> (bits - 1) else value


def field(word: int, offset: int, bits: int) -> int:
    """The `bits` bits of `word` that start at bit `offset`, unsigned."""
    return (word >> offset) % (1 << bits)


def signed_field(word: int, offset: int, bits: int) -> int:
    """The `bits` bits of `word` that start at bit `offset`, two's complement."""
    return signed(field(word, offset, bits), bits)


def word(value: int) -> bytes:
    """One 32-byte word, as `abi.encode` of any integer type: negative values are sign-extended."""
    if not -(1 << 255) <= value < 1 << 256:
        raise ValueOutOfRange("word", value)
    return (value % (1 << 256)).to_bytes(WORD_BYTES, "big")


def words(values: Iterable[int]) -> bytes:
    """The words one after another, without a length."""
    return b"".join(word(value) for value in values)


def address_word(address: bytes) -> bytes:
    """An address in the low 20 bytes of a word."""
    return bytes(12) + check_address("address", address)


def check_address(field: str, address: bytes) -> bytes:
    """`address`, or ValueOutOfRange if it is not 20 bytes."""
    if len(address) != 20:
        raise ValueOutOfRange(field, address)
    return address


def check_hash(field: str, value: bytes) -> bytes:
    """`value`, or ValueOutOfRange if it is not 32 bytes."""
    if len(value) != WORD_BYTES:
        raise ValueOutOfRange(field, value)
    return value
