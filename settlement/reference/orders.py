"""Orders of either kind: plain schedules and flexible ones."""

from collections.abc import Iterable, Iterator

from settlement.reference import eip712, flexible, schedule
from settlement.reference.errors import InvalidSignature
from settlement.reference.flexible import FlexibleSchedule, SignedFlexible
from settlement.reference.record import NO_ADDRESS, Reader, read_head
from settlement.reference.schedule import Schedule, SignedSchedule

Order = Schedule | FlexibleSchedule
SignedOrder = SignedSchedule | SignedFlexible


def struct_hash(order: Order) -> bytes:
    """EIP-712 hash of the order without its domain."""
    if isinstance(order, FlexibleSchedule):
        return flexible.struct_hash(order)
    return schedule.struct_hash(order)


def order_hash(separator: bytes, order: Order) -> bytes:
    """The digest that is signed; where its trader signs it, the order's hash (`signed_hash`)."""
    return eip712.digest(separator, struct_hash(order))


def signed_hash(separator: bytes, signed: SignedOrder) -> tuple[bytes, bytes]:
    """The hash that a signed order goes by, and who signed it.

    That is the digest where its trader signed; else the hash of digest and signer. So another signer's order
    of the same words is another order, and nobody's signature stands in for another's. Where no signer can be
    told it is the zero address, and the hash the digest.
    """
    return named(order_hash(separator, signed.schedule), signed)


def named(digest: bytes, signed: SignedOrder) -> tuple[bytes, bytes]:
    """As `signed_hash`, of an order whose digest is known."""
    try:
        signer = eip712.recover(digest, signed.signature)
    except InvalidSignature:
        return digest, NO_ADDRESS
    return (digest if signer == signed.schedule.trader else keyed_hash(digest, signer)), signer


def keyed_hash(digest: bytes, key: bytes) -> bytes:
    """The hash of an order whose digest a session key signed."""
    return eip712.keccak(digest + key)


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
