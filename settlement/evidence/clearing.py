"""Checks of the clearing: prices from the posted potentials, fills from the prices, cash from the fills.

With the transaction that cleared the order its whole chunk is read again, and what that leaves must be what
the chain kept. Without it, what follows from the posted prices alone is checked: all but what at-the-price
orders share, and whether the order was eligible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from settlement.chain.events import (
    HeaderPosted,
    ProceedsDonated,
    ScheduleCleared,
    ScheduleIneligible,
    ZoneAdvanced,
    ZoneJoined,
)
from settlement.evidence.bundle import ClearingPart
from settlement.evidence.proved import Proved
from settlement.evidence.report import Missing, Report, Wrong, require
from settlement.evidence.subject import Subject
from settlement.reference import accounts, orders, packed_windows
from settlement.reference import clearing as rule
from settlement.reference.cell import Cell
from settlement.reference.clearing import Fill, Header, ZonePosting
from settlement.reference.fill import fill_entry
from settlement.reference.record import NO_ADDRESS
from settlement.reference.schedule import Schedule
from settlement.reference.session import quality_index

Filled = Sequence[Fill]


def check(subject: Subject, report: Report) -> None:
    """The order's outcome, fills and cash."""
    told = subject.bundle.clearing
    if told is None:
        why = "the chain has not read the order, or the bundle leaves it out"
        report.add("clearing", "unchecked", why, "/clearing")
        return
    sent = _cleared_in(subject)
    if sent is None or sent.function != "clear":
        _posted_only(subject, report, told, sent)
        return
    with report.check("prices", "of the header that the session keeps", "/clearing/fills"):
        _check_header(subject, sent.arguments["posted"][0])
    fills: list[Fill] | None = None
    about = ("/order/record", "/clearing/fills")
    with report.check("fills", "the chunk read again leaves what the chain kept of it", *about):
        fills = _replay(subject, sent)
        require(_told_fills(told), fills or [], "the fills")
    with report.check("outcome", "as the chain told it", "/clearing/outcome", "/clearing/reason"):
        _check_outcome(subject, sent, told)
    with report.check("cash of the fills", "recomputed", "/clearing/net_nano", "/clearing/donated_nano"):
        _check_cash(subject, sent, told)


def _cleared_in(subject: Subject) -> Proved | None:
    """The transaction that told what became of the order."""
    hash_ = subject.bundle.order.hash
    found = subject.evidence.find(ScheduleCleared, order=hash_)
    found_not = subject.evidence.find(ScheduleIneligible, order=hash_)
    return (found or found_not or (None,))[0]


def _told_fills(told: ClearingPart) -> list[Fill]:
    return [Fill(one.window, one.filled_wh, one.price_micro_per_kwh) for one in told.fills]


def _check_header(subject: Subject, header: Header) -> None:
    epoch = subject.bundle.order.epoch
    _, event = subject.evidence.get(HeaderPosted, "postHeader", epoch=epoch)
    require(rule.header_hash(header), event.hash, "the header's hash")


def _replay(subject: Subject, sent: Proved) -> list[Fill] | None:
    """Reads the chunk again: what the order got, None if it is not eligible."""
    arguments, bundle, market = sent.arguments, subject.bundle, subject.market
    place = (arguments["epoch"], arguments["zone"])
    require((bundle.order.epoch, bundle.order.zone), place, "session and zone")
    header, posting = arguments["posted"]
    carry = arguments["carry"] or rule.initial_carry(market)
    refused = {one.order for one in sent.of(ScheduleIneligible)}
    mine: list[Fill] | None = None
    records, session = arguments["records"], bundle.session.id
    for signed in orders.decode_each(records, session, subject.params.kind, bundle.order.zone):
        hash_, _ = orders.signed_hash(subject.separator, signed)
        carry = rule.read_hash(carry, hash_, signed.submitted)
        fills: list[Fill] | None = None
        if hash_ not in refused:
            carry, fills = rule.fill_order(market, header, posting, carry, hash_, signed)
        if hash_ == bundle.order.hash:
            require(bundle.order.record, orders.encode(signed), "the record")
            mine = fills
    event = sent.event(ZoneAdvanced, epoch=bundle.order.epoch, zone=bundle.order.zone)
    left = None if event is None else event.carry_hash
    require(rule.carry_hash(posting, carry), left, "what the chunk leaves")
    return mine


def _check_outcome(subject: Subject, sent: Proved, told: ClearingPart) -> None:
    hash_, account = subject.bundle.order.hash, subject.bundle.account
    refused = sent.event(ScheduleIneligible, order=hash_, trader=account)
    if refused is not None:
        require((told.outcome, told.reason), ("ineligible", refused.reason), "the outcome")
        return
    cleared = sent.event(ScheduleCleared, order=hash_, trader=account)
    if cleared is None:
        raise Wrong("the chain told of another trader's order")
    require((told.outcome, told.reason), ("cleared", 0), "the outcome")
    lanes = subject.member.lanes
    first = lanes.of(subject.signed.schedule.first_window)
    places = (divmod(first + at, lanes.count) for at in range(len(told.fills)))
    kept = [packed_windows.get(cleared.lanes[word], lane, lanes) for word, lane in places]
    require([one.filled_wh for one in told.fills], kept, "what the account was allotted")


def _check_cash(subject: Subject, sent: Proved, told: ClearingPart) -> None:
    hash_ = subject.bundle.order.hash
    cleared, given = sent.event(ScheduleCleared, order=hash_), sent.event(ProceedsDonated, order=hash_)
    net, donated = (0, 0) if told.outcome == "ineligible" else cash_of(subject, _told_fills(told))
    require((told.net_nano, told.donated_nano), (net, donated), "the cash of the fills")
    require(net, cleared.net_nano if cleared else 0, "what the chain booked")
    require(donated, given.worth_nano if given else 0, "what the beneficiary got")


def cash_of(subject: Subject, fills: Filled) -> tuple[int, int]:
    """What fills change of the trader's cash at once, and what they earn a beneficiary, nano."""
    order, params = subject.signed.schedule, subject.params
    filled = sum(one.quantity_wh for one in fills)
    value = sum(one.quantity_wh * one.price_micro_per_kwh for one in fills)
    if accounts.paid_on_delivery(subject.member, order):
        return -filled * params.delivery_reserve, 0
    donated = value if order.beneficiary != NO_ADDRESS and value > 0 else 0
    reserves = (params.buy_reserve, params.sell_reserve)
    return accounts.net_of(order.side, filled, value - donated, *reserves), donated


# From the posted prices alone ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Expected:
    """What the posted prices give one window of an eligible order."""

    fill: Fill
    exact: bool
    """Whether it is not at the price, where orders of others decide too."""


def _posted_only(subject: Subject, report: Report, told: ClearingPart, sent: Proved | None) -> None:
    withheld = subject.evidence.why_not("its clearing", "clear")
    why = withheld if sent is None else "another contract sent the call: the chunk cannot be read again"
    about = ("/clearing/outcome", "/clearing/reason", "/order/record")
    report.add("outcome", "unchecked", f"whether the order was eligible: {why}", *about)
    if told.outcome == "ineligible":
        report.add("fills", "unchecked", "an ineligible order has none", "/clearing")
        return
    expected: list[Expected] = []
    with report.check("prices", "of the header that the session keeps", "/clearing/fills"):
        expected = _expected(subject)
        if len(told.fills) != len(expected):
            raise Wrong("a window is missing, or one too many")
    if len(told.fills) != len(expected):
        report.add("cash of the fills", "unchecked", "without the fills it cannot be said", "/clearing")
        return
    for at, (part, one) in enumerate(zip(_told_fills(told), expected, strict=True)):
        _check_window(report, at, part, one)
    cash = ("/clearing/net_nano", "/clearing/donated_nano")
    with report.check("cash of the fills", "recomputed", *cash):
        net = cash_of(subject, _told_fills(told))
        require((told.net_nano, told.donated_nano), net, "the cash of the fills")


def _check_window(report: Report, at: int, told: Fill, expected: Expected) -> None:
    place, name = f"/clearing/fills/{at}", f"fill {at}"
    with report.check(name, "what the posted price gives an eligible order", f"{place}/window"):
        require(told.window, expected.fill.window, "the window")
    with report.check(name, "the posted price", f"{place}/price_micro_per_kwh"):
        require(told.price_micro_per_kwh, expected.fill.price_micro_per_kwh, "the price")
    with report.check(name, "what the posted price gives an eligible order", f"{place}/filled_wh"):
        low, high = expected.fill.quantity_wh, expected.fill.quantity_wh + (not expected.exact)
        if not low <= told.quantity_wh <= high:
            raise Wrong(f"the fill is told as {told.quantity_wh}, and is {low} to {high} Wh")
        if low < high:
            raise Missing("at the price: between the two roundings; the chunk decides which")


def _expected(subject: Subject) -> list[Expected]:
    """Missing without the zone's posted prices, or of a flexible order, whose split the operator posts."""
    order = subject.bundle.order
    sent, _ = subject.evidence.call(ZoneJoined, "closeZone", epoch=order.epoch, zone=order.zone)
    schedule = subject.signed.schedule
    if not isinstance(schedule, Schedule):
        raise Missing("a flexible order's split is in the transaction that cleared it")
    header, posting = sent.arguments["posted"]
    _check_header(subject, header)
    return [_expected_in(subject, header, posting, schedule, at) for at in range(schedule.windows)]


def _expected_in(
    subject: Subject, header: Header, posting: ZonePosting, order: Schedule, at: int
) -> Expected:
    market = subject.market
    window = order.first_window - market.params.first_window + at
    code = quality_index(market.grid, order.quality)
    quote, marginal = (
        rule.quote(market, header, posting, code, window),
        posting.marginals[market.index(code, window)],
    )
    quantity, limit = order.quantity_wh[at], order.limit_micro_per_kwh[at]
    _, filled = fill_entry(Cell(), marginal, quote, order.side, quantity, limit)
    total, shared = marginal.at_price[order.side], marginal.filled[order.side]
    exact = limit != quote.price or quantity == 0 or quantity * shared % total == 0
    return Expected(Fill(window, filled, quote.price), exact)
