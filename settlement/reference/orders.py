"""Orders of either kind: plain schedules and flexible ones."""

from collections.abc import Iterable, Iterator

from settlement.reference import eip712, flexible, schedule
from settlement.reference.flexible import FlexibleSchedule, SignedFlexible
from settlement.reference.record import Reader, read_head
from settlement.reference.schedule import Schedule, SignedSchedule

Order = Schedule | FlexibleSchedule
SignedOrder = SignedSchedule | SignedFlexible


def struct_hash(order: Order) -> bytes:
    """EIP-712 hash of the order without its domain."""
    if isinstance(order, FlexibleSchedule):
        return flexible.struct_hash(order)
    return schedule.struct_hash(order)


def order_hash(separator: bytes, order: Order) -> bytes:
    """The order's hash: the digest its trader signs."""
    return eip712.digest(separator, struct_hash(order))


def cover(order: Order, buy_reserve: int, sell_reserve: int) -> int:
    """What must be free to accept the order, nano: the most that filling all of it could cost."""
    if isinstance(order, FlexibleSchedule):
        return flexible.cover(order, buy_reserve, sell_reserve)
    return schedule.cover(order, buy_reserve, sell_reserve)


def encode(order: SignedOrder) -> bytes:
    """The record of an order."""
    return flexible.encode(order) if isinstance(order, SignedFlexible) else schedule.encode(order)


def encode_all(orders: Iterable[SignedOrder]) -> bytes:
    """The orders' records, one after another."""
    return b"".join(encode(order) for order in orders)


def decode(data: bytes, offset: int, session: bytes, kind: int, zone: int) -> tuple[SignedOrder, int]:
    """The order whose record starts at `offset`, and where the next one starts. MalformedRecord if it is
    none.
    """
    reader = Reader(data, offset)
    head = read_head(reader)
    read = flexible.read if head.flexible else schedule.read
    return read(reader, head, session, kind, zone), reader.at


def decode_each(data: bytes, session: bytes, kind: int, zone: int) -> Iterator[SignedOrder]:
    """The orders of the records, one by one: they follow each other without padding. MalformedRecord where
    one is none.
    """
    offset = 0
    while offset < len(data):
        order, offset = decode(data, offset, session, kind, zone)
        yield order


def decode_all(data: bytes, session: bytes, kind: int, zone: int) -> list[SignedOrder]:
    """Every order of the records."""
    return list(decode_each(data, session, kind, zone))
