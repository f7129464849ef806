"""A flexible schedule: so much energy, any time within its windows, at one limit (docs/formats.md, Flexible
record).

It takes any quality, so it trades quality 0. When it trades is the operator's to find and the Exchange's to
check: the record brings the split, which is not signed.
"""

from dataclasses import dataclass

from settlement.reference.eip712 import keccak
from settlement.reference.errors import MalformedRecord, Refused
from settlement.reference.record import BUY, NO_ADDRESS, NO_HASH, Head, Reader, encode_head
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
    b"FlexibleSchedule(address trader,bytes32 session,uint32 zone,uint8 side,uint8 kind,uint32 firstWindow,"
    b"uint16 windows,uint64 nonce,bytes32 replaces,address beneficiary,uint32 energyWh,"
    b"uint32 maxWhPerWindow,int32 limitMicroPerKWh)"
)
TYPE_HASH = keccak(TYPE)

TERMS_BYTES = 12
SHARE_BYTES = 4


@dataclass(frozen=True)
class FlexibleSchedule:
    """What a trader signs."""

    trader: bytes
    session: bytes
    zone: int
    side: int
    """0 buys, 1 sells."""
    kind: int
    first_window: int
    windows: int
    nonce: int
    energy_wh: int
    """The most over all windows together."""
    max_wh_per_window: int
    limit_micro_per_kwh: int
    replaces: bytes = NO_HASH
    beneficiary: bytes = NO_ADDRESS

    @property
    def quality(self) -> int:
        """The least: what takes any."""
        return 0

    @property
    def most_wh(self) -> int:
        """The most it asks for or offers in a window."""
        return self.max_wh_per_window

    @property
    def total_wh(self) -> int:
        """The most it asks for or offers in all."""
        return self.energy_wh


@dataclass(frozen=True)
class SignedFlexible:
    """A flexible schedule with its trader's signature, `r ‖ s ‖ v`, and the split found for it."""

    schedule: FlexibleSchedule
    signature: bytes
    shares_wh: tuple[int, ...]
    """What it trades in each of its windows."""
    submitted: bool = False
    """Whether its trader submitted it on chain."""


def check(schedule: FlexibleSchedule) -> None:
    """ValueOutOfRange unless every field fits its type, with 1 to 128 windows."""
    check_address("trader", schedule.trader)
    check_hash("session", schedule.session)
    check_uint("zone", schedule.zone, 32)
    check_uint("side", schedule.side, 1)
    check_uint("kind", schedule.kind, 8)
    check_uint("firstWindow", schedule.first_window, 32)
    check_uint("windows", schedule.windows - 1, 7)
    check_uint("nonce", schedule.nonce, 64)
    check_hash("replaces", schedule.replaces)
    check_address("beneficiary", schedule.beneficiary)
    check_uint("energyWh", schedule.energy_wh, 32)
    check_uint("maxWhPerWindow", schedule.max_wh_per_window, 32)
    check_int("limitMicroPerKWh", schedule.limit_micro_per_kwh, 32)


def struct_hash(schedule: FlexibleSchedule) -> bytes:
    """EIP-712 hash of the schedule without its domain."""
    check(schedule)
    return keccak(
        TYPE_HASH
        + address_word(schedule.trader)
        + schedule.session
        + word(schedule.zone)
        + word(schedule.side)
        + word(schedule.kind)
        + word(schedule.first_window)
        + word(schedule.windows)
        + word(schedule.nonce)
        + schedule.replaces
        + address_word(schedule.beneficiary)
        + word(schedule.energy_wh)
        + word(schedule.max_wh_per_window)
        + word(schedule.limit_micro_per_kwh)
    )


# The record ---------------------------------------------------------------------------------------------


def encode(order: SignedFlexible) -> bytes:
    """The record of a signed flexible schedule with its split."""
    schedule = order.schedule
    check(schedule)
    check_uint("shares", len(order.shares_wh) - schedule.windows, 0)
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
        flexible=True,
        submitted=order.submitted,
    )
    limit = twos("limit", schedule.limit_micro_per_kwh, 32)
    numbers = (schedule.energy_wh, schedule.max_wh_per_window, limit, *order.shares_wh)
    return encode_head(head) + b"".join(
        check_uint("shareWh", number, 32).to_bytes(4, "big") for number in numbers
    )


def read(reader: Reader, head: Head, session: bytes, kind: int, zone: int) -> SignedFlexible:
    """The flexible schedule behind a head, with its split."""
    energy_wh, max_wh_per_window, limit = (reader.uint(4) for _ in range(3))
    schedule = FlexibleSchedule(
        trader=head.trader,
        session=session,
        zone=zone,
        side=head.side,
        kind=kind,
        first_window=head.first_window,
        windows=head.windows,
        nonce=head.nonce,
        energy_wh=energy_wh,
        max_wh_per_window=max_wh_per_window,
        limit_micro_per_kwh=signed(limit, 32),
        replaces=head.replaces,
        beneficiary=head.beneficiary,
    )
    try:
        check(schedule)
    except Refused as cause:
        raise MalformedRecord(reader.start) from cause
    shares_wh = tuple(reader.uint(4) for _ in range(head.windows))
    return SignedFlexible(schedule, head.signature, shares_wh, head.submitted)


def cover(schedule: FlexibleSchedule, buy_reserve: int, sell_reserve: int) -> int:
    """What must be free to accept the schedule, nano; reserves are micro/kWh."""
    limit = schedule.limit_micro_per_kwh
    rate = buy_reserve + max(0, limit) if schedule.side == BUY else sell_reserve + max(0, -limit)
    return schedule.energy_wh * rate
