"""A schedule: what a trader signs, and the record it travels in (docs/formats.md, EIP-712 and Schedule
record).

A record omits what the call already says: the session, its kind and the zone. Exactly one record stands for
one schedule and signature; every other byte string is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from settlement.reference import eip712
from settlement.reference.eip712 import hash_array, keccak
from settlement.reference.errors import MalformedRecord, Refused
from settlement.reference.words import (
    address_word,
    check_address,
    check_hash,
    check_int,
    check_uint,
    signed,
    twos,
    word,
)

TYPE = (
    b"Schedule(address trader,bytes32 session,uint32 zone,uint8 side,uint8 kind,uint8 quality,"
    b"uint32 firstWindow,uint64 nonce,bytes32 replaces,address beneficiary,uint32[] quantityWh,"
    b"int32[] limitMicroPerKWh)"
)
TYPE_HASH = keccak(TYPE)

BUY, SELL = 0, 1
MOST_ENTRIES = 128

NO_HASH = bytes(32)
NO_ADDRESS = bytes(20)

HEAD_BYTES = 99
ENTRY_BYTES = 8
SIDE_FLAG, V_FLAG, REPLACES_FLAG, BENEFICIARY_FLAG = 1, 2, 4, 8
KNOWN_FLAGS = SIDE_FLAG | V_FLAG | REPLACES_FLAG | BENEFICIARY_FLAG


@dataclass(frozen=True)
class Schedule:
    """Quantities and limits of one product over neighbouring windows."""

    trader: bytes
    session: bytes
    zone: int
    side: int
    """0 buys, 1 sells."""
    kind: int
    quality: int
    first_window: int
    nonce: int
    quantity_wh: tuple[int, ...]
    limit_micro_per_kwh: tuple[int, ...]
    replaces: bytes = NO_HASH
    """Hash of the order that this one replaces, or zero."""
    beneficiary: bytes = NO_ADDRESS
    """Who gets what a sell order earns; zero is the trader."""


@dataclass(frozen=True)
class SignedSchedule:
    """A schedule with its trader's signature, `r ‖ s ‖ v`."""

    schedule: Schedule
    signature: bytes


def check(schedule: Schedule) -> None:
    """ValueOutOfRange unless every field fits its type, with 1 to 128 entries."""
    check_address("trader", schedule.trader)
    check_hash("session", schedule.session)
    check_uint("zone", schedule.zone, 32)
    check_uint("side", schedule.side, 1)
    check_uint("kind", schedule.kind, 8)
    check_uint("quality", schedule.quality, 8)
    check_uint("firstWindow", schedule.first_window, 32)
    check_uint("nonce", schedule.nonce, 64)
    check_hash("replaces", schedule.replaces)
    check_address("beneficiary", schedule.beneficiary)
    check_uint("entries", len(schedule.quantity_wh) - 1, 7)
    check_uint("limits", len(schedule.limit_micro_per_kwh) - len(schedule.quantity_wh), 0)
    for wh in schedule.quantity_wh:
        check_uint("quantityWh", wh, 32)
    for limit in schedule.limit_micro_per_kwh:
        check_int("limitMicroPerKWh", limit, 32)


def struct_hash(schedule: Schedule) -> bytes:
    """EIP-712 hash of the schedule without its domain."""
    check(schedule)
    return keccak(
        TYPE_HASH
        + address_word(schedule.trader)
        + schedule.session
        + word(schedule.zone)
        + word(schedule.side)
        + word(schedule.kind)
        + word(schedule.quality)
        + word(schedule.first_window)
        + word(schedule.nonce)
        + schedule.replaces
        + address_word(schedule.beneficiary)
        + hash_array(schedule.quantity_wh)
        + hash_array(schedule.limit_micro_per_kwh)
    )


def order_hash(separator: bytes, schedule: Schedule) -> bytes:
    """The order's hash: the digest its trader signs."""
    return eip712.digest(separator, struct_hash(schedule))


# The record ---------------------------------------------------------------------------------------------


def encode(order: SignedSchedule) -> bytes:
    """The record of an order. ValueOutOfRange unless `r` and `s` are 32 bytes each and `v` is 27 or 28."""
    schedule, signature = order.schedule, order.signature
    check(schedule)
    check_uint("signature", len(signature) - 65, 0)
    flags = schedule.side * SIDE_FLAG + check_uint("v", signature[64] - 27, 1) * V_FLAG
    tail = b""
    if schedule.replaces != NO_HASH:
        flags, tail = flags | REPLACES_FLAG, schedule.replaces
    if schedule.beneficiary != NO_ADDRESS:
        flags, tail = flags | BENEFICIARY_FLAG, tail + schedule.beneficiary
    head = (
        schedule.trader
        + bytes([flags, schedule.quality])
        + schedule.first_window.to_bytes(4, "big")
        + bytes([len(schedule.quantity_wh)])
        + schedule.nonce.to_bytes(8, "big")
        + signature[:64]
    )
    return head + tail + _encode_entries(schedule)


def _encode_entries(schedule: Schedule) -> bytes:
    entries = zip(schedule.quantity_wh, schedule.limit_micro_per_kwh, strict=True)
    return b"".join(
        wh.to_bytes(4, "big") + twos("limit", limit, 32).to_bytes(4, "big") for wh, limit in entries
    )


class _Reader:
    """Takes bytes from the front of the records; MalformedRecord where they end."""

    def __init__(self, data: bytes, offset: int) -> None:
        self.data, self.start, self.at = data, offset, offset

    def take(self, length: int) -> bytes:
        if self.at + length > len(self.data):
            raise MalformedRecord(self.start)
        self.at += length
        return bytes(self.data[self.at - length : self.at])

    def uint(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")

    def nonzero(self, length: int) -> bytes:
        value = self.take(length)
        if not any(value):
            raise MalformedRecord(self.start)
        return value


def decode(data: bytes, offset: int, session: bytes, kind: int, zone: int) -> tuple[SignedSchedule, int]:
    """The order whose record starts at `offset`, and where the next one starts.

    MalformedRecord if the record is truncated, has an unknown flag, a flagged field of zeros, no entry or
    more than 128. Whether its values make sense is judged when it is cleared.
    """
    reader = _Reader(data, offset)
    trader, flags = reader.take(20), reader.uint(1)
    if flags & ~KNOWN_FLAGS:
        raise MalformedRecord(offset)
    code, first_window, count, nonce = (reader.uint(length) for length in (1, 4, 1, 8))
    r_and_s = reader.take(64)
    replaces = reader.nonzero(32) if flags & REPLACES_FLAG else NO_HASH
    beneficiary = reader.nonzero(20) if flags & BENEFICIARY_FLAG else NO_ADDRESS
    entries = [(reader.uint(4), signed(reader.uint(4), 32)) for _ in range(count)]
    schedule = Schedule(
        trader=trader,
        session=session,
        zone=zone,
        side=flags & SIDE_FLAG,
        kind=kind,
        quality=code,
        first_window=first_window,
        nonce=nonce,
        quantity_wh=tuple(wh for wh, _ in entries),
        limit_micro_per_kwh=tuple(limit for _, limit in entries),
        replaces=replaces,
        beneficiary=beneficiary,
    )
    _check_decoded(schedule, offset)
    v = 28 if flags & V_FLAG else 27
    return SignedSchedule(schedule, r_and_s + bytes([v])), reader.at


def _check_decoded(schedule: Schedule, offset: int) -> None:
    try:
        check(schedule)
    except Refused as cause:
        raise MalformedRecord(offset) from cause


def decode_all(data: bytes, session: bytes, kind: int, zone: int) -> list[SignedSchedule]:
    """Every order of the records, which follow each other without padding."""
    orders, offset = [], 0
    while offset < len(data):
        order, offset = decode(data, offset, session, kind, zone)
        orders.append(order)
    return orders


def encode_all(orders: Sequence[SignedSchedule]) -> bytes:
    """The orders' records, one after another."""
    return b"".join(encode(order) for order in orders)


def cover(schedule: Schedule, buy_reserve: int, sell_reserve: int) -> int:
    """What must be free to accept the schedule, nano: the most that filling all of it could cost.

    Reserves are micro/kWh. Wh x micro/kWh is nano, so nothing is rounded.
    """
    total = 0
    for wh, limit in zip(schedule.quantity_wh, schedule.limit_micro_per_kwh, strict=True):
        rate = buy_reserve + max(0, limit) if schedule.side == BUY else sell_reserve + max(0, -limit)
        total += wh * rate
    return total
