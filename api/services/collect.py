"""The facts of a day, read back from the chain: what the chain can tell is not taken from memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from api.services.cast import Cast
from settlement.chain import events
from settlement.chain.books import SealedBook
from settlement.chain.exchange import Exchange, Token
from settlement.chain.operator import ClearedSession
from settlement.chain.settler import SignedPosting
from settlement.reference import packed_windows
from settlement.reference.posting import Entry, unpack_part
from settlement.reference.schedule import Schedule, SignedSchedule
from settlement.reports.facts import AccountFact, MarketFact, MemberFact, OrderFact, Role, Series


@dataclass(frozen=True)
class Outside:
    """What no chain knows."""

    retail: Series
    feed_in: Series
    carbon_g_per_kwh: Series
    own_solar_wh: Series


def members(cast: Cast) -> tuple[MemberFact, ...]:
    """Everyone with an account, homes first."""
    homes = (MemberFact(home.address, home.name, Role.HOME, home.low_carbon) for home in cast.homes)
    return (
        *homes,
        MemberFact(cast.supplier.address, "Supplier", Role.SUPPLIER),
        MemberFact(cast.network.address, "Network operator", Role.NETWORK),
    )


def market(
    exchange: Exchange, cleared: ClearedSession, qualities: Series, posted: SignedPosting, outside: Outside
) -> MarketFact:
    """Terms and prices of the day."""
    prices = cleared.prices[0]
    energy = prices[0]
    return MarketFact(
        first_window=posted.posting.first_window,
        window_length_s=exchange.deployment.window_length,
        qualities=qualities,
        retail=outside.retail,
        feed_in=outside.feed_in,
        surplus=posted.posting.surplus,
        deficit=posted.posting.deficit,
        energy_prices=energy,
        premiums=tuple(
            tuple(price - base for price, base in zip(row, energy, strict=True)) for row in prices
        ),
        carbon_g_per_kwh=outside.carbon_g_per_kwh,
        own_solar_wh=outside.own_solar_wh,
    )


def orders(exchange: Exchange, sealed: SealedBook, told: Sequence[events.Event]) -> tuple[OrderFact, ...]:
    """Every plain order of the book with the fills that the chain derived."""
    cleared = {event.order: event for event in told if isinstance(event, events.ScheduleCleared)}
    refused = {event.order: event.reason for event in told if isinstance(event, events.ScheduleIneligible)}
    traders = sorted({order.schedule.trader for order in sealed.orders})
    found = exchange.accounts(traders)
    lanes = {address: one.member.lanes for address, one in found.items() if one.member}
    return tuple(
        _order(order_hash, signed.schedule, cleared.get(order_hash), refused.get(order_hash, 0), lanes)
        for order_hash, signed in zip(sealed.hashes, sealed.orders, strict=True)
        if isinstance(signed, SignedSchedule)
    )


def _order(
    order_hash: bytes,
    order: Schedule,
    event: events.ScheduleCleared | None,
    reason: int,
    lanes: Mapping[bytes, packed_windows.Lanes],
) -> OrderFact:
    filled = tuple(_fills(order, event, lanes[order.trader])) if event else (0,) * len(order.quantity_wh)
    return OrderFact(
        order_hash,
        order.trader,
        order.side,
        order.quality,
        order.quantity_wh,
        order.limit_micro_per_kwh,
        filled,
        reason,
    )


def _fills(order: Schedule, event: events.ScheduleCleared, lanes: packed_windows.Lanes) -> Iterator[int]:
    """Fills by entry: the event has the slots from that of the first window on."""
    start = order.first_window - order.first_window % lanes.count
    for window in range(order.first_window, order.first_window + len(order.quantity_wh)):
        place = window - start
        yield packed_windows.get(event.lanes[place // lanes.count], place % lanes.count, lanes)


def accounts(
    exchange: Exchange, cast: Cast, posted: SignedPosting, told: Sequence[events.Event]
) -> tuple[AccountFact, ...]:
    """Everyone's settled day, in the order of `members`."""
    windows = posted.posting.windows
    entries = {e.account: e for part in posted.parts for e in unpack_part(part, windows)}
    rest = tuple(-sum(column) for column in zip(*(e.metered for e in entries.values()), strict=True))
    entries[cast.supplier.address] = Entry(cast.supplier.address, (0,) * windows, rest)
    nothing = Entry(cast.network.address, (0,) * windows, (0,) * windows)
    paid, certified, deposited = _sums(cast, told)
    everyone = [member.account for member in members(cast)]
    cash = exchange.accounts(everyone)
    return tuple(
        AccountFact(
            account=account,
            metered_wh=entries.get(account, nothing).metered,
            flags=entries.get(account, nothing).flags,
            imbalance_nano=paid.get(account, 0),
            deposited_nano=deposited.get(account, 0),
            final_nano=cash[account].cash.free,
            certified_wh=certified.get(account, 0),
        )
        for account in everyone
    )


def _sums(
    cast: Cast, told: Sequence[events.Event]
) -> tuple[dict[bytes, int], dict[bytes, int], dict[bytes, int]]:
    """Paid for imbalances, certified and deposited, by account."""
    paid: dict[bytes, int] = {}
    certified: dict[bytes, int] = {}
    deposited: dict[bytes, int] = {}
    for event in told:
        if isinstance(event, events.AccountSettled):
            paid[event.account] = paid.get(event.account, 0) + event.cash_nano
        elif isinstance(event, events.RunSettled):
            paid[cast.supplier.address] = event.cash_nano
        elif isinstance(event, events.AccountCertified):
            certified[event.account] = certified.get(event.account, 0) + event.certified_wh
        elif isinstance(event, events.Deposited):
            deposited[event.account] = deposited.get(event.account, 0) + event.amount_nano
    return paid, certified, deposited


def vault(exchange: Exchange, token: Token, operator: bytes, epoch: int) -> int:
    """Settlement tokens that the Exchange holds, but for the operator's: its cash and the session's bond."""
    ((_, locked_nano, *_),) = exchange.view("bondOf", epoch)
    return token.balance(exchange.address) - int(locked_nano) - exchange.cash(operator).free
