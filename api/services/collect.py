"""The facts of a day, read back from the chain: what the chain can tell is not taken from memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from api.services.cast import Cast
from settlement.chain import events
from settlement.chain.books import SealedBook, Session
from settlement.chain.exchange import Exchange, Token
from settlement.chain.operator import ClearedSession
from settlement.chain.settler import DayRun, SignedPosting
from settlement.reference import packed_windows
from settlement.reference.flexible import FlexibleSchedule
from settlement.reference.orders import Order
from settlement.reference.posting import Entry, unpack_part
from settlement.reference.session import SessionParams
from settlement.reports.facts import AccountFact, Flexible, MarketFact, MemberFact, OrderFact, Role, Series


@dataclass(frozen=True)
class Outside:
    """What no chain knows."""

    retail: Series
    feed_in: Series
    carbon_g_per_kwh: Series
    own_solar_wh: Series


def members(cast: Cast) -> tuple[MemberFact, ...]:
    """Everyone with an account, homes first."""
    homes = (
        MemberFact(home.address, home.name, Role.HOME, home.low_carbon, home.zone) for home in cast.homes
    )
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
        street_energy_prices=tuple(zone[0] for zone in cleared.prices[1:]),
    )


def orders(
    exchange: Exchange, session: Session, sealed: SealedBook, told: Sequence[events.Event]
) -> tuple[OrderFact, ...]:
    """Every order of the books with the fills that the chain derived."""
    cleared = {event.order: event for event in told if isinstance(event, events.ScheduleCleared)}
    refused = {event.order: event.reason for event in told if isinstance(event, events.ScheduleIneligible)}
    traders = sorted({order.schedule.trader for order in sealed.orders})
    found = exchange.accounts(traders)
    lanes = {address: one.member.lanes for address, one in found.items() if one.member}
    facts = []
    for order_hash, signed in zip(sealed.hashes, sealed.orders, strict=True):
        one, event = signed.schedule, cleared.get(order_hash)
        filled = tuple(_fills(one, event, lanes[one.trader])) if event else (0,) * one.windows
        fact = _order(session.params, order_hash, one, filled)
        facts.append(replace(fact, ineligible=refused.get(order_hash, 0)))
    return tuple(facts)


def _order(params: SessionParams, order_hash: bytes, order: Order, filled_wh: Series) -> OrderFact:
    """Over the whole day, also where it was signed for some windows."""
    first = order.first_window - params.first_window

    def over_day(values: Series) -> Series:
        return (0,) * first + values + (0,) * (params.windows - first - len(values))

    flexible = None
    if isinstance(order, FlexibleSchedule):
        flexible = Flexible(first, order.windows, order.energy_wh, order.max_wh_per_window)
        quantity_wh = (order.max_wh_per_window,) * order.windows
        limits = (order.limit_micro_per_kwh,) * order.windows
    else:
        quantity_wh, limits = order.quantity_wh, order.limit_micro_per_kwh
    return OrderFact(
        order=order_hash,
        trader=order.trader,
        side=order.side,
        quality=order.quality,
        quantity_wh=over_day(quantity_wh),
        limit_micro_per_kwh=over_day(limits),
        filled_wh=over_day(filled_wh),
        zone=order.zone,
        flexible=flexible,
    )


def _fills(order: Order, event: events.ScheduleCleared, lanes: packed_windows.Lanes) -> Iterator[int]:
    """Fills by entry: the event has the slots from that of the first window on."""
    start = order.first_window - order.first_window % lanes.count
    for window in range(order.first_window, order.first_window + order.windows):
        place = window - start
        yield packed_windows.get(event.lanes[place // lanes.count], place % lanes.count, lanes)


def accounts(
    exchange: Exchange,
    cast: Cast,
    postings: Sequence[SignedPosting],
    told: Sequence[events.Event],
    run: DayRun,
) -> tuple[AccountFact, ...]:
    """Everyone's settled day, in the order of `members`."""
    windows = postings[0].posting.windows
    entries = {e.account: e for one in postings for part in one.parts for e in unpack_part(part, windows)}
    rest = tuple(-sum(column) for column in zip(*(e.metered for e in entries.values()), strict=True))
    entries[cast.supplier.address] = Entry(cast.supplier.address, (0,) * windows, rest)
    nothing = Entry(cast.network.address, (0,) * windows, (0,) * windows)
    paid, certified, deposited = _sums(cast, told)
    rows, delivered = _imbalances(cast, run), _delivered(cast, told, run)
    everyone = [member.account for member in members(cast)]
    cash = exchange.accounts(everyone)
    return tuple(
        AccountFact(
            account=account,
            metered_wh=entries.get(account, nothing).metered,
            flags=entries.get(account, nothing).flags,
            imbalance_wh=rows.get(account, nothing.metered),
            imbalance_nano=paid.get(account, 0) - delivered.get(account, NOTHING).total,
            deposited_nano=deposited.get(account, 0),
            final_nano=cash[account].cash.free,
            certified_wh=certified.get(account, 0),
            lines_nano=_lines_nano(told) if account == cast.network.address else 0,
            proceeds_nano=delivered.get(account, NOTHING).proceeds,
            refund_nano=delivered.get(account, NOTHING).refund,
            premium_nano=delivered.get(account, NOTHING).premium,
            rest_nano=delivered.get(account, NOTHING).rest,
        )
        for account in everyone
    )


@dataclass(frozen=True)
class Delivered:
    """What a run paid an account beside its imbalance, nano."""

    proceeds: int = 0
    refund: int = 0
    premium: int = 0
    rest: int = 0

    @property
    def total(self) -> int:
        return self.proceeds + self.refund + self.premium + self.rest


NOTHING = Delivered()


def _delivered(cast: Cast, told: Sequence[events.Event], run: DayRun) -> dict[bytes, Delivered]:
    """As the run worked it out; the supplier has the other side of premiums, and what the chain left it."""
    found = {
        account: Delivered(one.credit, run.delivered[account].refund, premium)
        for account, one in run.settled.items()
        for premium in (run.delivered[account].premiums - one.premiums,)
    }
    rest = sum(event.rest_nano for event in told if isinstance(event, events.RunCertified))
    premiums = sum(one.premium for one in found.values())
    return found | {cast.supplier.address: Delivered(premium=-premiums, rest=rest)}


def _imbalances(cast: Cast, run: DayRun) -> dict[bytes, Series]:
    """As the run left them; the supplier's closes the balance."""
    rows = {account: row for part in run.imbalances.values() for account, row in part}
    return rows | {cast.supplier.address: tuple(-sum(column) for column in zip(*rows.values(), strict=True))}


def _lines_nano(told: Sequence[events.Event]) -> int:
    """Charges and congestion rent that the network operator was paid."""
    return sum(event.rent_nano for event in told if isinstance(event, events.NetworkPaid))


def _sums(
    cast: Cast, told: Sequence[events.Event]
) -> tuple[dict[bytes, int], dict[bytes, int], dict[bytes, int]]:
    """Paid by the run, certified and deposited, by account."""
    paid: dict[bytes, int] = {}
    certified: dict[bytes, int] = {}
    deposited: dict[bytes, int] = {}
    for event in told:
        if isinstance(event, events.AccountSettled | events.AccountDelivered):
            paid[event.account] = paid.get(event.account, 0) + event.cash_nano
        elif isinstance(event, events.RunSettled):
            paid[cast.supplier.address] = event.cash_nano
        elif isinstance(event, events.PartCertified):
            paid[cast.supplier.address] += event.cash_nano
        elif isinstance(event, events.RunCertified):
            paid[cast.supplier.address] += event.rest_nano
        elif isinstance(event, events.AccountCertified):
            certified[event.account] = certified.get(event.account, 0) + event.certified_wh
        elif isinstance(event, events.Deposited):
            deposited[event.account] = deposited.get(event.account, 0) + event.amount_nano
    return paid, certified, deposited


def vault(exchange: Exchange, token: Token, operator: bytes, epoch: int) -> int:
    """Settlement tokens that the Exchange holds, but for the operator's: its cash, the session's bond, and
    what it set aside for challenges.
    """
    ((_, locked_nano, *_),) = exchange.view("bondOf", epoch)
    pot_nano, _, _ = exchange.view("challengeTerms")
    own = int(locked_nano) + int(pot_nano) + exchange.cash(operator).free
    return token.balance(exchange.address) - own
