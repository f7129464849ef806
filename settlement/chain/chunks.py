"""How books are cut into transactions: a model of what clearing an order takes, measured on anvil.

On books of 1 to 128 windows chunks that it put at 15.8M took from 13.7M (nothing at the price) to 16.2M
(everything at the price). If one should run out of gas all the same, the operator halves it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from settlement.chain.books import Session
from settlement.chain.prepared import Prepared
from settlement.reference import flexible, record, schedule
from settlement.reference.clearing import Market
from settlement.reference.flexible import FlexibleSchedule
from settlement.reference.orders import Order

T = TypeVar("T")

CALLDATA_GAS = 12  # on the average: 16 a byte, 4 where it is zero
CALL_GAS = 150_000
CELL_GAS = 2_500
SCHEDULE_GAS = 36_000
KEY_GAS = 30_000
"""Of an order that a session key signed, the first of the key."""
GROUP_GAS = 23_000
ENTRY_GAS = 700
PAIR_GAS = 60
"""Of two windows of a flexible order: each may hold the other."""
POSTED_BYTES = 2_000

BOOK_GAS = 60_000
"""Of committing to one zone's book."""
JOIN_WINDOW_GAS = 4_000
JOIN_CELL_GAS = 700


@dataclass(frozen=True)
class Limits:
    """What one transaction may take."""

    gas: int = 15_800_000
    """By the model below, which errs by less than it leaves to what networks allow (16.7M)."""
    bytes: int = 120_000


def _cuts(
    items: Sequence[T], base: tuple[int, int], takes: Callable[[T], tuple[int, int]], most: Limits
) -> Iterator[tuple[int, int]]:
    """From where to where each transaction reaches: `base` is what the first item finds taken."""
    first, (gas, size) = 0, base
    for at, item in enumerate(items):
        more_gas, more_bytes = takes(item)
        if at > first and (gas + more_gas > most.gas or size + more_bytes > most.bytes):
            yield first, at
            first, (gas, size) = at, base
        gas, size = gas + more_gas, size + more_bytes
    if first < len(items):
        yield first, len(items)


def plan_chunks(
    prepared: Prepared,
    zone: int,
    lanes_of: Mapping[bytes, int],
    start: int = 0,
    limits: Limits | None = None,
) -> list[range]:
    """Which of a zone's orders go into which `clear`, from position `start` on.

    `lanes_of` is the number of lanes of each trader's slots. The model takes every fill for a first write.
    """
    cells = prepared.session.market.cells
    base = (CALL_GAS + cells * CELL_GAS, _posted_bytes(prepared.session.market))

    book = prepared.zones[zone].book

    def takes(given: tuple[Order, bytes]) -> tuple[int, int]:
        order, order_hash = given
        size, by_key = record_bytes(order), KEY_GAS * (order_hash in book.keys)
        return order_gas(order, lanes_of[order.trader]) + by_key + size * CALLDATA_GAS, size

    whole = zip((order.schedule for order in book.orders), book.hashes, strict=True)
    left = list(whole)[start:]
    cuts = _cuts(left, base, takes, limits or Limits())
    return [range(start + first, start + end) for first, end in cuts]


def _posted_bytes(market: Market) -> int:
    """What is posted and carried. The flows come with the call that closes only."""
    return POSTED_BYTES + 32 * (3 * market.cells + 2 * market.windows)


def _flow_bytes(market: Market) -> int:
    return 32 * len(market.grid.pairs()) * market.windows


def record_bytes(order: Order) -> int:
    extra = (32 if any(order.replaces) else 0) + (20 if any(order.beneficiary) else 0)
    if isinstance(order, FlexibleSchedule):
        body = flexible.TERMS_BYTES + flexible.SHARE_BYTES * order.windows
    else:
        body = schedule.ENTRY_BYTES * order.windows
    return record.HEAD_BYTES + extra + body


def order_gas(order: Order, lanes: int) -> int:
    """Most gas that clearing one order takes, besides its calldata."""
    count = order.windows
    groups = (order.first_window % lanes + count + lanes - 1) // lanes
    pairs = count * count * PAIR_GAS if isinstance(order, FlexibleSchedule) else 0
    return SCHEDULE_GAS + GROUP_GAS * groups + ENTRY_GAS * count + pairs


def plan_books(zones: range, limits: Limits | None = None) -> list[range]:
    """Which zones' books are committed to in which transaction."""
    cuts = _cuts(zones, (CALL_GAS, 200), lambda _: (BOOK_GAS, 64), limits or Limits())
    return [zones[first:end] for first, end in cuts]


def plan_children(
    session: Session, zone: int, joined: int | None = None, limits: Limits | None = None
) -> list[range]:
    """Which zones are joined to a zone in which transaction, after the first `joined`.

    If that is None the zone is not closed: the first batch goes with `closeZone`, and may be empty.
    """
    market, most, cuts = session.market, limits or Limits(), []
    own = _closed_bytes(market)
    check = JOIN_WINDOW_GAS * market.windows + JOIN_CELL_GAS * market.cells
    takes = (own * CALLDATA_GAS + check, own)
    below = market.grid.children(zone)[joined or 0 :]
    if joined is None:
        gas, size = _base(market, _posted_bytes(market) + _flow_bytes(market))
        fit = max(0, min((most.gas - gas) // takes[0], (most.bytes - size) // takes[1]))
        cuts, below = [below[:fit]], below[fit:]
    base = _base(market, own + _proof_bytes(market))
    return cuts + [below[first:end] for first, end in _cuts(below, base, lambda _: takes, most)]


def _base(market: Market, size: int) -> tuple[int, int]:
    """What a transaction of so many bytes takes before any child."""
    return CALL_GAS + market.cells * CELL_GAS + size * CALLDATA_GAS, size


def _closed_bytes(market: Market) -> int:
    return 400 + 32 * (market.windows + market.cells + market.qualities)


def _proof_bytes(market: Market) -> int:
    """The header and the flows, which the root brings again."""
    return 32 * market.cells + _flow_bytes(market)
