"""Flexible orders, beneficiaries and sessions of flexibility in the reference."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import reference_world as world
import tree_world
from reference_world import DAY, GATE, OPENING
from small_trees import FORK, flexible, free, plain, posted, session_of
from tree_world import (
    BALANCING_ADDRESS,
    NETWORK_ADDRESS,
    RICH,
    TreeSession,
    home,
    make_exchange,
)

from settlement.reference import errors, product_id, support
from settlement.reference.exchange.events import (
    ProceedsDonated,
    ScheduleCleared,
    ScheduleIneligible,
)
from settlement.reference.flexible import SignedFlexible
from settlement.reference.gift import Gift
from settlement.reference.orders import encode, encode_all
from settlement.reference.product_id import ProductId

# Flexible orders ----------------------------------------------------------------------------------------


def test_a_flexible_buyer_takes_the_cheapest_windows() -> None:
    limits = (100_000, 150_000, 90_000, 300_000)
    found = session_of(
        FORK,
        plain(home(1, 0), 1, 1, 0, 0, quantity_wh=(300, 900, 300, 900), limit_micro_per_kwh=limits),
        flexible(home(1, 1), 1, 0),
    )
    found.bring()
    (event,) = (e for e in found.exchange.events if isinstance(e, ScheduleCleared) and e.trader == home(1, 1))
    assert event.filled_wh == (300, 400, 300, 0)
    claims = [ProductId(DAY + w, world.WINDOW_LENGTH, 1, 0) for w in range(4)]
    balances = [found.exchange.balance(GATE, home(1, 1), product_id.encode(one)) for one in claims]
    assert balances == [300, 400, 300, 0]


def one_flexible(shares: tuple[int, ...], **changes: Any) -> tuple[TreeSession, bytes, Any]:
    """A flexible buyer between two sellers, up to the header; its record with other shares."""
    limits = (100_000, 150_000, 90_000, 300_000)
    found = posted(
        FORK,
        plain(home(0, 0), 0, 1, 0, 0, quantity_wh=(300, 900, 300, 900), limit_micro_per_kwh=limits),
        flexible(home(0, 1), 0, 0, **changes),
    )
    own = found.prepared.zones[0]
    orders = [replace(o, shares_wh=shares) if isinstance(o, SignedFlexible) else o for o in own.orders]
    return found, encode_all(orders), own


@pytest.mark.parametrize(
    ("shares", "error"),
    [
        ((300, 401, 299, 0), errors.SplitOutOfRange),
        ((301, 400, 300, 0), errors.SplitOutOfRange),
        ((300, 300, 300, 100), errors.SplitNotOptimal),
        ((300, 399, 300, 0), errors.SplitNotOptimal),
        ((0, 0, 0, 0), errors.SplitNotOptimal),
    ],
)
def test_a_split_that_the_order_would_not_choose_is_refused(
    shares: tuple[int, ...], error: type[errors.Refused]
) -> None:
    found, records, own = one_flexible(shares)
    with pytest.raises(error):
        found.exchange.clear(GATE, found.id, 0, found.prepared.header, own.posting, None, records)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"energy_wh": 2**30}, errors.QuantityOverflow),
        ({"max_wh_per_window": 2**30, "trader": BALANCING_ADDRESS}, errors.QuantityOverflow),
        ({"max_wh_per_window": 2**16}, errors.QuantityOverflow),
        ({"limit_micro_per_kwh": 6_000_001}, errors.LimitOutOfRange),
        ({"first_window": DAY + 1}, errors.WindowOutOfSession),
    ],
)
def test_a_flexible_order_that_fits_no_session_reverts(
    changes: dict[str, Any], error: type[errors.Refused]
) -> None:
    found = posted(FORK)
    order = flexible(changes.pop("trader", home(0, 1)), 0, 0, **changes)(found.id)
    record = encode(tree_world.sign(found.exchange.separator, order))
    args = (found.prepared.header, found.prepared.root.posting)
    with pytest.raises(error):
        found.exchange.clear(GATE, found.id, 0, *args, None, record)


def test_who_may_not_trade_has_no_split() -> None:
    found = posted(FORK)
    order = flexible(home(0, 1), 0, 1, max_wh_per_window=20_001)(found.id)
    signed = tree_world.sign(found.exchange.separator, order)
    assert isinstance(signed, SignedFlexible)
    args = (GATE, found.id, 0, found.prepared.header, found.prepared.root.posting, None)
    with pytest.raises(errors.SplitOutOfRange):
        found.exchange.clear(*args, encode(replace(signed, shares_wh=(1, 0, 0, 0))))
    found.exchange.clear(*args, encode(signed))
    (event,) = (e for e in found.exchange.events if isinstance(e, ScheduleIneligible))
    assert event.reason == 4


def test_a_flexible_order_holds_what_nothing_else_does() -> None:
    found = session_of(
        FORK,
        plain(home(2, 0), 2, 1, 0, 0, quantity_wh=(300, 300), limit_micro_per_kwh=(50_000, 50_000)),
        flexible(home(2, 1), 2, 0, windows=2),
    )
    closed = found.bring()
    assert support.holds(closed[2].energy_support, 0)
    assert support.holds(closed[2].energy_support, 1)
    assert found.prepared.zones[2].posting.energy[0].hi == 200_000


def test_a_flexible_order_covers_all_its_energy() -> None:
    found = session_of(FORK, flexible(home(0, 1), 0, 0))
    found.commit()
    found.post_header()
    found.clear_zone(0)
    assert found.exchange.cash(GATE, home(0, 1)).reserved == 1000 * (100_000 + 200_000)


# Beneficiaries ------------------------------------------------------------------------------------------


def donating(
    *beneficiaries: bytes, limit: int = 100_000, side: int = 1, seller: bytes = home(0, 0)
) -> TreeSession:
    """Somebody sells once for each of these, as produced, to a buyer at 200,000."""
    order = partial(plain, seller, 0, side, 100, limit)
    sells = [order(beneficiary=one, nonce=n) for n, one in enumerate(beneficiaries)]
    found = session_of(FORK, plain(home(0, 1), 0, 0, 300, 200_000), *sells)
    found.bring()
    return found


def test_a_sale_that_is_paid_at_once_earns_for_its_beneficiary() -> None:
    found = donating(home(2, 0), seller=BALANCING_ADDRESS)
    exchange = found.exchange
    (event,) = (e for e in exchange.events if isinstance(e, ProceedsDonated))
    assert (event.beneficiary, event.worth_nano) == (home(2, 0), 100 * 200_000)
    assert free(exchange, home(2, 0)) == RICH + event.worth_nano
    assert free(exchange, BALANCING_ADDRESS) == RICH - 100 * 300_000
    told = [e for e in exchange.events if isinstance(e, ScheduleCleared)]
    assert [e.net_nano for e in told if e.trader == BALANCING_ADDRESS] == [-100 * 300_000]
    assert (found.exchange.state.gifts[(1, BALANCING_ADDRESS)].nano, exchange.state.donors) == (0, set())


def test_a_sale_that_is_paid_on_delivery_is_promised_to_its_beneficiary() -> None:
    found = donating(home(2, 0))
    exchange, reserve = found.exchange, found.session.params.delivery_reserve
    assert not [e for e in exchange.events if isinstance(e, ProceedsDonated)]
    assert exchange.state.gifts == {(1, home(0, 0)): Gift(home(2, 0), 100 * 200_000)}
    assert exchange.state.donors == {home(0, 0)}
    assert free(exchange, home(2, 0)) == RICH
    assert free(exchange, home(0, 0)) == RICH - 100 * reserve


def test_a_loss_is_the_trader_s_own() -> None:
    found = session_of(
        FORK,
        plain(home(0, 0), 0, 1, 100, -50_000, beneficiary=home(2, 0)),
        plain(home(0, 1), 0, 0, 50, -10_000),
    )
    found.bring()
    assert not [e for e in found.exchange.events if isinstance(e, ProceedsDonated)]
    assert free(found.exchange, home(2, 0)) == RICH
    assert free(found.exchange, home(0, 0)) == RICH - 50 * found.session.params.delivery_reserve
    assert found.exchange.state.gifts == {(1, home(0, 0)): Gift(home(2, 0), 0)}
    assert not found.exchange.state.donors


@pytest.mark.parametrize("beneficiary", [home(0, 0), NETWORK_ADDRESS, b"\x09" * 20])
def test_a_beneficiary_is_another_that_may_trade(beneficiary: bytes) -> None:
    found = donating(beneficiary)
    assert [e.reason for e in found.exchange.events if isinstance(e, ScheduleIneligible)] == [7]


def test_a_buyer_has_no_beneficiary_and_a_seller_only_one() -> None:
    bought = donating(home(2, 0), side=0)
    assert [e.reason for e in bought.exchange.events if isinstance(e, ScheduleIneligible)] == [7]
    found = donating(home(2, 0), home(2, 1), home(2, 0))
    refused = [e for e in found.exchange.events if isinstance(e, ScheduleIneligible)]
    first = found.prepared.root.orders[0].schedule
    assert {e.reason for e in refused} == {7}
    assert len(refused) in (1, 2)
    assert [one.nano for one in found.exchange.state.gifts.values()] == [100 * 200_000 * (3 - len(refused))]
    assert first is not None


# Flexibility --------------------------------------------------------------------------------------------

FREE = {"kind": 1, "buy_reserve": 0, "sell_reserve": 0}


def test_the_network_operator_buys_flexibility_and_no_energy() -> None:
    for changes, refused in ((FREE, False), ({}, True)):
        found = posted_session(changes)
        order = plain(NETWORK_ADDRESS, 0, 0, 5, 100_000, kind=changes.get("kind", 0))(found.id)
        record = encode(tree_world.sign(found.exchange.separator, order))
        args = (GATE, found.id, 0, found.prepared.header, found.prepared.root.posting, None, record)
        if refused:
            with pytest.raises(errors.OperatorMayNotTrade):
                found.exchange.clear(*args)
        else:
            found.exchange.clear(*args)


def test_the_network_operator_sells_no_flexibility() -> None:
    found = posted_session(FREE)
    order = plain(NETWORK_ADDRESS, 0, 1, 5, 100_000, kind=1)(found.id)
    record = encode(tree_world.sign(found.exchange.separator, order))
    args = (GATE, found.id, 0, found.prepared.header, found.prepared.root.posting, None, record)
    with pytest.raises(errors.OperatorMayNotTrade):
        found.exchange.clear(*args)


def posted_session(changes: dict[str, int]) -> TreeSession:
    found = session_of(FORK, **changes)
    found.commit()
    found.post_header()
    return found


def test_flexibility_keeps_no_reserve_and_its_rounds_count_for_themselves() -> None:
    exchange = make_exchange(FORK, world.WINDOWS)
    with pytest.raises(errors.BadSession):
        exchange.open_session(OPENING, world.make_params(kind=1))
    tree_world.open_session(exchange, FORK)
    later = {"gate": world.PROVE_BY + 60, "commit_by": world.PROVE_BY + 61, "prove_by": world.PROVE_BY + 62}
    session = tree_world.open_session(exchange, FORK, **FREE, **later)
    assert session.params.round == 0
