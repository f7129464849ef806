"""Hashes and records of plain schedules, several times as fast as the reference, for whoever takes thousands.

Equal to `settlement.reference.orders`, byte for byte and refusal for refusal: a test compares them.
Whatever is not a plain schedule of the usual kind is left to the reference.
"""

from __future__ import annotations

import struct
from functools import cache
from itertools import chain

from settlement.reference import eip712, orders
from settlement.reference.errors import MalformedRecord
from settlement.reference.orders import Order, SignedOrder
from settlement.reference.record import MOST_ENTRIES, Head, Reader, encode_head, read_head
from settlement.reference.schedule import TYPE_HASH, Schedule, SignedSchedule

_FIXED = struct.Struct(">32s12x20s32s28xI31xB31xB31xB28xI24xQ32s12x20s32s32s")
"""Words of a schedule's struct hash: type, trader, session, numbers, replaces, beneficiary, two arrays."""


@cache
def _array(length: int) -> struct.Struct:
    """Unsigned numbers of 32 bits, each in a word of its own."""
    return struct.Struct(">" + "28xI" * length)


@cache
def _entries(length: int) -> struct.Struct:
    """Quantities and limits as a record has them."""
    return struct.Struct(">" + "Ii" * length)


def order_hash(separator: bytes, order: Order) -> bytes:
    """As `orders.order_hash`; a negative limit fills its word with ones, and takes the longer way."""
    if not isinstance(order, Schedule) or not _is_usual(order):
        return orders.order_hash(separator, order)
    array = _array(order.windows)
    try:
        words = _FIXED.pack(
            TYPE_HASH,
            order.trader,
            order.session,
            order.zone,
            order.side,
            order.kind,
            order.quality,
            order.first_window,
            order.nonce,
            order.replaces,
            order.beneficiary,
            eip712.keccak(array.pack(*order.quantity_wh)),
            eip712.keccak(array.pack(*order.limit_micro_per_kwh)),
        )
    except struct.error:  # a field is out of its range: the reference says which
        return orders.order_hash(separator, order)
    return eip712.digest(separator, eip712.keccak(words))


def signed_hash(separator: bytes, signed: SignedOrder) -> tuple[bytes, bytes]:
    """As `orders.signed_hash`."""
    return orders.named(order_hash(separator, signed.schedule), signed)


def _is_usual(order: Schedule) -> bool:
    """Whether packing refuses what the reference refuses: it would cut or fill bytes, and knows no side."""
    lengths = len(order.trader), len(order.session), len(order.replaces), len(order.beneficiary)
    entries, limits = order.quantity_wh, order.limit_micro_per_kwh
    return (
        lengths == (20, 32, 32, 20)
        and order.side in (0, 1)
        and 1 <= len(entries) <= MOST_ENTRIES
        and len(limits) == len(entries)
        and min(limits) >= 0
        and max(limits) < 1 << 31
    )


def encode(order: SignedOrder) -> bytes:
    """As `orders.encode`, of an order that was hashed before, so that its fields are known to fit."""
    one = order.schedule
    if not isinstance(one, Schedule) or not isinstance(order, SignedSchedule):
        return orders.encode(order)
    head = Head(
        trader=one.trader,
        side=one.side,
        quality=one.quality,
        first_window=one.first_window,
        windows=one.windows,
        nonce=one.nonce,
        signature=order.signature,
        replaces=one.replaces,
        beneficiary=one.beneficiary,
        submitted=order.submitted,
    )
    entries = chain.from_iterable(zip(one.quantity_wh, one.limit_micro_per_kwh, strict=True))
    return encode_head(head) + _entries(one.windows).pack(*entries)


def decode(data: bytes, offset: int, session: bytes, kind: int, zone: int) -> tuple[SignedOrder, int]:
    """As `orders.decode`."""
    reader = Reader(data, offset)
    head = read_head(reader)
    if head.flexible:
        return orders.decode(data, offset, session, kind, zone)
    found = _entries(head.windows)
    if reader.at + found.size > len(data):
        raise MalformedRecord(offset)
    numbers = found.unpack_from(data, reader.at)
    schedule = Schedule(
        trader=head.trader,
        session=session,
        zone=zone,
        side=head.side,
        kind=kind,
        quality=head.quality,
        first_window=head.first_window,
        nonce=head.nonce,
        quantity_wh=numbers[::2],
        limit_micro_per_kwh=numbers[1::2],
        replaces=head.replaces,
        beneficiary=head.beneficiary,
    )
    return SignedSchedule(schedule, head.signature, head.submitted), reader.at + found.size
