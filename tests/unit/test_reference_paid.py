"""Sales as produced on the Exchange: paid when they are delivered, to whom, and out of what."""

from __future__ import annotations

import pytest
import reference_world as world
import settling_world
from reference_world import DAY_END, GATE, OPENING
from small_trees import FORK, LINE, Ordered, flexible, plain
from trading_day import BUY, SELL, WINDOWS, TradingDay
from tree_world import BALANCING_ADDRESS, RICH, home

from settlement.reference import errors, posting
from settlement.reference.exchange.events import (
    AccountDelivered,
    AccountSettled,
    DeliveryDonated,
    Event,
)
from settlement.reference.exchange.metering import DEFAULT_AFTER_S
from settlement.reference.gift import Gift
from settlement.reference.record import NO_ADDRESS

SELLER, BUYER, OTHER, SCHOOL = (home(0, number) for number in range(4))
PRICE = 200_000
RESERVE = 300_000 + 2_000_000
"""Of a sale as produced, micro/kWh: the session's and its floor."""


def events_of(day: TradingDay, kind: type[Event]) -> list[Event]:
    return [event for event in day.exchange.events if isinstance(event, kind)]


def sold(beneficiary: bytes = NO_ADDRESS) -> tuple[Ordered, Ordered]:
    """The seller's to the buyer."""
    sale = plain(SELLER, 0, SELL, 1000, PRICE, beneficiary=beneficiary)
    return sale, plain(BUYER, 0, BUY, 1000, PRICE)


def test_a_seller_is_paid_for_what_it_delivered_and_its_buyer_refunded_the_rest() -> None:
    day = TradingDay(LINE)
    day.trade(*sold())
    assert day.free(SELLER, now=GATE) == -1000 * RESERVE
    settler = day.settle({SELLER: (700, 0, 0, 0), BUYER: (-1000, 0, 0, 0)})
    assert day.free(SELLER) == 700 * PRICE
    assert settler.carry is not None
    assert settler.carry.cash == 300 * PRICE
    settler.certify_all()
    assert day.free(BUYER) == -700 * PRICE - 300 * 240_000
    assert day.free(BALANCING_ADDRESS) == 300 * 240_000
    assert day.rest == 0
    day.check()


def test_events_tell_what_was_paid_refunded_and_released() -> None:
    day = TradingDay(LINE)
    day.trade(*sold())
    day.settle({SELLER: (700, 0, 0, 0), BUYER: (-1000, 0, 0, 0)}).certify_all()
    settled = {e.account: e for e in events_of(day, AccountSettled) if isinstance(e, AccountSettled)}
    assert (settled[SELLER].cash_nano, settled[SELLER].returned_nano) == (700 * PRICE, 1000 * RESERVE)
    assert (settled[BUYER].cash_nano, settled[BUYER].returned_nano) == (0, 0)
    (told,) = events_of(day, AccountDelivered)
    assert told == AccountDelivered(BUYER, -300, 300 * PRICE - 300 * 240_000, 1000 * 100_000)


def test_at_a_negative_price_who_sold_pays_for_all_of_it_whatever_it_delivers() -> None:
    day = TradingDay(LINE)
    day.trade(plain(SELLER, 0, SELL, 1000, -50_000), plain(BUYER, 0, BUY, 1000, -50_000))
    assert day.free(BUYER, now=GATE) == 1000 * (50_000 - 100_000)
    day.settle({SELLER: (700, 0, 0, 0), BUYER: (-700, 0, 0, 0)}).certify_all()
    assert (day.free(SELLER), day.free(BUYER), day.rest) == (-1000 * 50_000, 1000 * 50_000, 0)
    assert day.free(BALANCING_ADDRESS) == 0
    day.check()


def test_a_flexible_sale_is_paid_on_delivery_too() -> None:
    day = TradingDay(FORK)
    day.trade(flexible(SELLER, 0, SELL), plain(BUYER, 0, BUY, 400, 250_000))
    day.settle({SELLER: (300, 0, 0, 0), BUYER: (-400, 0, 0, 0)}).certify_all()
    price = 225_000
    assert day.free(SELLER) == 300 * price
    assert day.free(BUYER) == -300 * price - 100 * 240_000
    day.check()


def test_the_balancing_party_is_paid_at_the_proof_and_delivers_what_it_sold() -> None:
    day = TradingDay(LINE)
    day.trade(plain(BALANCING_ADDRESS, 0, SELL, 1000, PRICE), plain(BUYER, 0, BUY, 1000, PRICE))
    assert day.free(BALANCING_ADDRESS, now=GATE) == 1000 * (PRICE - 300_000)
    day.settle({BUYER: (-1000, 0, 0, 0)}).certify_all()
    assert (day.free(BALANCING_ADDRESS), day.free(BUYER)) == (1000 * PRICE, -1000 * PRICE)
    day.check()


def test_what_the_balancing_party_bought_and_was_not_delivered_is_left_to_it() -> None:
    day = TradingDay(LINE)
    day.trade(plain(SELLER, 0, SELL, 1000, PRICE), plain(BALANCING_ADDRESS, 0, BUY, 1000, PRICE))
    day.settle({SELLER: (600, 0, 0, 0)}).certify_all()
    assert (day.free(SELLER), day.rest) == (600 * PRICE, 400 * PRICE)
    assert day.free(BALANCING_ADDRESS) == -600 * PRICE
    day.check()


def test_a_day_by_default_pays_all_that_was_sold() -> None:
    day = TradingDay(LINE)
    day.trade(*sold())
    day.settle_by_default().certify_all()
    now = DAY_END + DEFAULT_AFTER_S
    assert (day.free(SELLER, now=now), day.free(BUYER, now=now)) == (1000 * PRICE, -1000 * PRICE)
    assert (day.free(BALANCING_ADDRESS, now=now), day.rest) == (0, 0)


# Gifts --------------------------------------------------------------------------------------------------


def donated(metered: dict[bytes, tuple[int, ...]], *more: Ordered) -> TradingDay:
    """The seller gives a school what 1,000 Wh earn, which a buyer of more takes."""
    day = TradingDay(LINE)
    sale = plain(SELLER, 0, SELL, 1000, PRICE, beneficiary=SCHOOL)
    day.trade(sale, plain(BUYER, 0, BUY, 3000, PRICE), *more)
    day.settle(metered).certify_all()
    day.check()
    return day


@pytest.mark.parametrize("delivered", [0, 1, 700, 1000])
def test_a_beneficiary_gets_what_was_delivered(delivered: int) -> None:
    day = donated({SELLER: (delivered, 0, 0, 0), BUYER: (-delivered, 0, 0, 0)})
    assert (day.free(SCHOOL), day.free(SELLER)) == (delivered * PRICE, 0)
    told = [DeliveryDonated(SCHOOL, SELLER, 1, delivered * PRICE)] if delivered else []
    assert events_of(day, DeliveryDonated) == told
    assert day.exchange.state.gifts[(1, SELLER)] == Gift(SCHOOL, (1000 - delivered) * PRICE)


def test_what_is_delivered_meets_the_gift_first_and_the_donors_own_sales_after() -> None:
    own = plain(SELLER, 0, SELL, 1000, PRICE, nonce=2)
    day = donated({SELLER: (1400, 0, 0, 0), BUYER: (-1400, 0, 0, 0)}, own)
    assert (day.free(SCHOOL), day.free(SELLER)) == (1000 * PRICE, 400 * PRICE)


def test_a_gift_is_told_before_its_account_is_settled() -> None:
    day = donated({SELLER: (700, 0, 0, 0)})
    kinds = [e for e in day.exchange.events if isinstance(e, AccountSettled | DeliveryDonated)]
    at = next(n for n, event in enumerate(kinds) if isinstance(event, DeliveryDonated))
    after = kinds[at + 1]
    assert isinstance(after, AccountSettled)
    assert after.account == SELLER


def test_a_day_by_default_gives_all_that_was_donated() -> None:
    day = TradingDay(LINE)
    day.trade(*sold(beneficiary=SCHOOL))
    day.settle_by_default()
    now = DAY_END + DEFAULT_AFTER_S
    assert (day.free(SCHOOL, now=now), day.free(SELLER, now=now)) == (1000 * PRICE, 0)


# Cover --------------------------------------------------------------------------------------------------


def test_a_seller_as_produced_covers_the_floor() -> None:
    """What it reserves covers delivering at any price that the session may have."""
    day = TradingDay(LINE, deposit=0)
    for one in (BUYER, BALANCING_ADDRESS):
        day.exchange.deposit(OPENING, one, RICH)
    day.exchange.deposit(OPENING, SELLER, 1000 * RESERVE - 1)
    day.trade(*sold())
    assert day.exchange.cash(GATE, SELLER).free == 1000 * RESERVE - 1
    rich = TradingDay(LINE, deposit=0)
    for one in (BUYER, BALANCING_ADDRESS):
        rich.exchange.deposit(OPENING, one, RICH)
    rich.exchange.deposit(OPENING, SELLER, 1000 * RESERVE)
    rich.trade(*sold())
    assert rich.exchange.cash(GATE, SELLER).free == 0


@pytest.mark.parametrize("accounts", [0, 4096 // WINDOWS + 1])
def test_a_part_by_default_is_neither_empty_nor_too_large_to_be_certified(accounts: int) -> None:
    day = TradingDay(FORK)
    now, members = DAY_END + DEFAULT_AFTER_S, settling_world.metered_accounts(day.exchange, 0)
    day.exchange.post_default(now, posting.default_posting(0, world.DAY, WINDOWS, len(members)))
    part = b"".join((number + 1).to_bytes(20, "big") for number in range(accounts))
    with pytest.raises(errors.BadEntry) as caught:
        day.exchange.settle(now, 0, world.DAY, None, part)
    assert caught.value.args == (bytes(20),)
