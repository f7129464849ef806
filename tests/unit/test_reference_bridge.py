"""The matcher and the proof agree: honest clearings of one zone are accepted, dishonest ones are not."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from reference_world import (
    DAY,
    GATE,
    PROSUMER_ADDRESSES,
    QUALITIES,
    WINDOWS,
    Posted,
    bring,
    clear_book,
    close,
    commit,
    hash_of,
    honest_posting,
    make_exchange,
    make_params,
    make_schedule,
    prove,
    set_aside,
    sign,
)

from settlement.reference.clearing import Header, ZonePosting, price
from settlement.reference.errors import Refused
from settlement.reference.exchange import Exchange, Stage
from settlement.reference.exchange.events import ScheduleCleared
from settlement.reference.marginal import Marginal
from settlement.reference.potential import Potential
from settlement.reference.prices import RoundPrices
from settlement.reference.schedule import SignedSchedule

SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

LIMITS = st.sampled_from([-50_000, 0, 100_000, 150_000, 150_001, 200_000, 6_000_000, -2_000_000])
"""Few, so that many orders meet at the price."""


@st.composite
def schedules(draw: st.DrawFn, session: bytes, nonce: int) -> dict[str, object]:
    first = draw(st.integers(0, WINDOWS - 1))
    entries = draw(st.integers(1, WINDOWS - first))
    return {
        "trader": draw(st.sampled_from(PROSUMER_ADDRESSES)),
        "session": session,
        "side": draw(st.integers(0, 1)),
        "quality": draw(st.sampled_from(QUALITIES)),
        "first_window": DAY + first,
        "nonce": nonce,
        "quantity_wh": tuple(draw(st.sampled_from([0, 1, 3, 700, 1000])) for _ in range(entries)),
        "limit_micro_per_kwh": tuple(draw(LIMITS) for _ in range(entries)),
    }


@st.composite
def books(draw: st.DrawFn) -> tuple[Exchange, bytes, list[SignedSchedule]]:
    exchange = make_exchange()
    session = exchange.open_session(GATE - 1, make_params())
    count = draw(st.integers(0, 14))
    orders = [make_schedule(**draw(schedules(session, nonce))) for nonce in range(count)]  # type: ignore[arg-type]
    return exchange, session, [sign(exchange, order) for order in orders]


@SLOW
@given(books(), st.integers(1, 5))
def test_an_honest_clearing_is_accepted_and_fills_as_the_matcher_says(
    book: tuple[Exchange, bytes, list[SignedSchedule]], chunk: int
) -> None:
    exchange, session, orders = book
    posted = honest_posting(exchange, session, orders)
    carry = None
    if not orders:
        commit(exchange, GATE, session, posted.commitment)
        exchange.post_header(GATE, session, posted.header)
        close(exchange, session, posted, carry)
    else:
        prove(exchange, session, posted, chunk)
    assert exchange.stage(GATE, session) is Stage.PROVED

    market = exchange.market(session)
    expected = clear_book(market.grid, market.params, posted.orders)
    filled = sum(sum(event.filled_wh) for event in exchange.events if isinstance(event, ScheduleCleared))
    assert filled == int(expected.fills_wh.sum())
    cash = [exchange.cash(GATE, address) for address in exchange.state.members]
    hashes = {hash_of(exchange, order): order for order in posted.orders}
    kept = set_aside(exchange, hashes, lambda _: RoundPrices(posted.zone.energy, posted.header.qualities))
    assert sum(one.free for one in cash) + kept == exchange.state.vault


def shifted(potential: Potential, name: str, by: int) -> Potential:
    return replace(potential, **{name: getattr(potential, name) + by})


@st.composite
def mutations(draw: st.DrawFn, posted: Posted) -> Posted:
    """One number of the posting off by one, or a whole window's prices."""
    kind = draw(st.sampled_from(["energy", "quality", "window", "M", "R", "flow", "book"]))
    name, by = draw(st.sampled_from(["lo", "hi"])), draw(st.sampled_from([-1, 1]))
    window = draw(st.integers(0, WINDOWS - 1))
    energy, qualities, marginals = (
        list(posted.zone.energy),
        list(posted.header.qualities),
        list(posted.zone.marginals),
    )
    flows, commitment = list(posted.flows), posted.commitment
    if kind in ("energy", "window"):
        energy[window] = shifted(energy[window], name, by)
    if kind == "window":
        for at in range(window, len(qualities), WINDOWS):
            qualities[at] = shifted(qualities[at], name, by)
    if kind == "quality":
        at = draw(st.integers(0, len(qualities) - 1))
        qualities[at] = shifted(qualities[at], name, by)
    if kind in ("M", "R"):
        at, side = draw(st.integers(0, len(marginals) - 1)), draw(st.integers(0, 1))
        field = "at_price" if kind == "M" else "filled"
        values = list(getattr(marginals[at], field))
        values[side] += 1 if values[side] == 0 else by
        marginals[at] = replace(marginals[at], **{field: tuple(values)})
    if kind == "flow":
        at = draw(st.integers(0, len(flows) - 1))
        flows[at] += 1 if flows[at] == 0 else by
    if kind == "book":
        commitment = replace(commitment, count=commitment.count + 1)
    return Posted(
        posted.orders,
        commitment,
        Header(tuple(qualities)),
        ZonePosting(tuple(energy), tuple(marginals)),
        tuple(flows),
    )


@SLOW
@given(books(), st.data())
def test_a_posting_off_by_one_anywhere_is_refused(
    book: tuple[Exchange, bytes, list[SignedSchedule]], data: st.DataObject
) -> None:
    exchange, session, orders = book
    honest = honest_posting(exchange, session, orders)
    changed = data.draw(mutations(honest))
    with pytest.raises(Refused):
        prove(exchange, session, changed)
    assert exchange.stage(GATE, session) is not Stage.PROVED


@SLOW
@given(books(), st.data())
def test_a_book_with_an_order_missing_is_refused(
    book: tuple[Exchange, bytes, list[SignedSchedule]], data: st.DataObject
) -> None:
    exchange, session, orders = book
    if not orders:
        return
    honest = honest_posting(exchange, session, orders)
    left_out = data.draw(st.integers(0, len(orders) - 1))
    kept = [order for at, order in enumerate(honest.orders) if at != left_out]
    partial = replace(honest_posting(exchange, session, kept), commitment=honest.commitment)
    carry = bring(exchange, session, partial)
    with pytest.raises(Refused):
        close(exchange, session, partial, carry)


def at_price(
    exchange: Exchange, session: bytes, posted: Posted, header: Header, zone: ZonePosting
) -> list[Marginal]:
    """The marginal totals that other prices would have."""
    market = exchange.market(session)
    totals = [[0, 0] for _ in range(market.cells)]
    for order in (signed.schedule for signed in posted.orders):
        code = market.grid.qualities.index(order.quality)
        for k, (wh, limit) in enumerate(zip(order.quantity_wh, order.limit_micro_per_kwh, strict=True)):
            window = order.first_window - DAY + k
            if limit == price(market, header, zone, code, window):
                totals[market.index(code, window)][order.side] += wh
    return [Marginal((buys, sells)) for buys, sells in totals]


@SLOW
@given(books(), st.data())
def test_an_operator_that_moves_the_price_and_all_that_follows_is_refused(
    book: tuple[Exchange, bytes, list[SignedSchedule]], data: st.DataObject
) -> None:
    exchange, session, orders = book
    honest = honest_posting(exchange, session, orders)
    window = data.draw(st.integers(0, WINDOWS - 1))
    moved = data.draw(st.sampled_from(["both", "lo to hi", "hi to lo"]))
    by = data.draw(st.sampled_from([-50_000, -1, 1, 7, 50_000]))
    rank = data.draw(st.sampled_from([None, 0, 10**6]))

    def move(entry: Potential) -> Potential:
        lo, hi = {
            "both": (entry.lo + by, entry.hi + by),
            "lo to hi": (entry.hi, entry.hi),
            "hi to lo": (entry.lo, entry.lo),
        }[moved]
        kept = entry if rank is None else replace(entry, rank_lo=rank, rank_hi=rank)
        return replace(kept, lo=lo, hi=hi)

    energy = list(honest.zone.energy)
    energy[window] = move(energy[window])
    before = honest.zone.energy[window]
    assume((energy[window].lo, energy[window].hi) != (before.lo, before.hi))
    prices = ZonePosting(tuple(energy), honest.zone.marginals)
    totals = at_price(exchange, session, honest, honest.header, prices)
    shares = data.draw(st.sampled_from(["all", "none", "as before"]))
    marginals = []
    for total, once in zip(totals, honest.zone.marginals, strict=True):
        most = {"all": total.at_price, "none": (0, 0), "as before": once.filled}[shares]
        filled = (min(most[0], total.at_price[0]), min(most[1], total.at_price[1]))
        marginals.append(Marginal(total.at_price, filled))
    dishonest = replace(honest, zone=ZonePosting(prices.energy, tuple(marginals)))
    with pytest.raises(Refused):
        prove(exchange, session, dishonest)
