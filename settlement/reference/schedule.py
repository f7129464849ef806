"""A schedule: quantities and limits that a trader signs, window by window (docs/formats.md, EIP-712 and
Schedule record).
"""

from dataclasses import dataclass

from settlement.reference.eip712 import hash_array, keccak
from settlement.reference.errors import MalformedRecord, Refused
from settlement.reference.record import BUY as BUY
from settlement.reference.record import NO_ADDRESS, NO_HASH, Head, Reader, encode_head
from settlement.reference.record import SELL as SELL
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

ENTRY_BYTES = 8


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

    @property
    def windows(self) -> int:
        return len(self.quantity_wh)

    @property
    def most_wh(self) -> int:
        """The most it asks for or offers in a window."""
        return max(self.quantity_wh)

    @property
    def total_wh(self) -> int:
        """The most it asks for or offers in all."""
        return sum(self.quantity_wh)


@dataclass(frozen=True)
class SignedSchedule:
    """A schedule with its trader's signature, `r ‖ s ‖ v`."""

    schedule: Schedule
    signature: bytes
    submitted: bool = False
    """Whether its trader submitted it on chain."""


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


# The record ---------------------------------------------------------------------------------------------


def encode(order: SignedSchedule) -> bytes:
    """The record of a signed schedule."""
    schedule = order.schedule
    check(schedule)
    head = Head(
        trader=schedule.trader,
        side=schedule.side,
        quality=schedule.quality,
        first_window=schedule.first_window,
        windows=schedule.windows,
        nonce=schedule.nonce,
        signature=order.signature,
        replaces=schedule.replaces,
        beneficiary=schedule.beneficiary,
        submitted=order.submitted,
    )
    entries = zip(schedule.quantity_wh, schedule.limit_micro_per_kwh, strict=True)
    return encode_head(head) + b"".join(
        wh.to_bytes(4, "big") + twos("limit", limit, 32).to_bytes(4, "big") for wh, limit in entries
    )


def read(reader: Reader, head: Head, session: bytes, kind: int, zone: int) -> SignedSchedule:
    """The schedule behind a head. Whether its values make sense is judged when it is cleared."""
    entries = [(reader.uint(4), signed(reader.uint(4), 32)) for _ in range(head.windows)]
    schedule = Schedule(
        trader=head.trader,
        session=session,
        zone=zone,
        side=head.side,
        kind=kind,
        quality=head.quality,
        first_window=head.first_window,
        nonce=head.nonce,
        quantity_wh=tuple(wh for wh, _ in entries),
        limit_micro_per_kwh=tuple(limit for _, limit in entries),
        replaces=head.replaces,
        beneficiary=head.beneficiary,
    )
    try:
        check(schedule)
    except Refused as cause:
        raise MalformedRecord(reader.start) from cause
    return SignedSchedule(schedule, head.signature, head.submitted)


def cover(schedule: Schedule, buy_reserve: int, sell_reserve: int) -> int:
    """What must be free to accept the schedule, nano: the most that filling all of it could cost.

    Reserves are micro/kWh. Wh x micro/kWh is nano, so nothing is rounded.
    """
    total = 0
    for wh, limit in zip(schedule.quantity_wh, schedule.limit_micro_per_kwh, strict=True):
        rate = buy_reserve + max(0, limit) if schedule.side == BUY else sell_reserve + max(0, -limit)
        total += wh * rate
    return total
