"""Fills, what they make accounts hold, and claims that change hands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from api.db.market_models import Book, Order, Position, Session
from api.readmodel.project import certificates
from api.readmodel.project.context import Context, Place
from api.readmodel.project.places import lanes_of, slot_of
from api.readmodel.project.sessions import blank, posted, terms_of
from settlement.chain import events as told
from settlement.chain.rpc import to_bytes, to_hex
from settlement.reference import orders, packed_windows, product_id
from settlement.reference.flexible import FlexibleSchedule
from settlement.reference.orders import Order as Signed
from settlement.reference.orders import SignedOrder
from settlement.reference.packed_windows import Lanes
from settlement.reference.product_id import CERTIFICATE, ProductId


def cleared(c: Context, event: told.ScheduleCleared) -> None:
    order = _signed(c, event.order)
    epoch, zone = _place(c)
    c.pay(event.trader, "trade", event.net_nano, pending=True, epoch=epoch, zone=zone, subject=event.order)
    known = _known(c, event.order, event.trader)
    values = {**known, "outcome": "cleared", "net_nano": event.net_nano}
    if order is not None:
        lanes = lanes_of(c, event.trader)
        filled = fills(event.lanes, order.schedule.first_window, _windows(order.schedule), lanes)
        values["filled_wh"] = filled
        _allot(c, event.trader, order.schedule, epoch, filled)
    c.put(Order, hash=to_hex(event.order), **values)


def ineligible(c: Context, event: told.ScheduleIneligible) -> None:
    known = _known(c, event.order, event.trader)
    c.put(Order, hash=to_hex(event.order), **{**known, "outcome": "ineligible", "reason": event.reason})


def donated(c: Context, event: told.ProceedsDonated) -> None:
    epoch, zone = _place(c)
    place: Place = {"epoch": epoch, "zone": zone, "subject": event.order}
    c.pay(event.beneficiary, "donation", event.worth_nano, pending=True, **place)
    order = _signed(c, event.order)
    if order is not None:
        known = _known(c, event.order, order.schedule.trader)
        c.put(Order, hash=to_hex(event.order), **{**known, "donated_nano": event.worth_nano})


def advanced(c: Context, event: told.ZoneAdvanced) -> None:
    place = {"epoch": event.epoch, "zone": event.zone}
    c.put(Book, cleared=event.count, **place, **posted(c, "clear"))


def _place(c: Context) -> tuple[int, int]:
    """Session and zone of what a chunk tells: its own event stands behind."""
    behind = c.telling.after(c.index, told.ZoneAdvanced)
    assert behind is not None, "clearing tells of a chunk at its end"
    return behind.epoch, behind.zone


def _signed(c: Context, order: bytes) -> SignedOrder | None:
    """The order as its record says; None if a contract sent the call."""
    epoch, _ = _place(c)
    session = c.rows.get(Session, epoch)
    return c.telling.orders_of(to_bytes(session["id"]), session["kind"]).get(order)


def _known(c: Context, order: bytes, trader: bytes) -> dict[str, object]:
    """All fields of an order seen for the first time; what its record says of one seen before."""
    epoch, zone = _place(c)
    found = c.rows.find(Order, to_hex(order))
    values = blank(epoch, zone, trader) if found is None else dict(found)
    signed = _signed(c, order)
    if signed is not None:
        values |= {"record": to_hex(orders.encode(signed)), "terms": terms_of(signed)}
    return {name: value for name, value in values.items() if name not in ("hash", "block_number", "tx_hash")}


def _windows(schedule: Signed) -> int:
    return schedule.windows


def fills(words: Sequence[int], first_window: int, windows: int, lanes: Lanes) -> list[int]:
    """Wh in each window, from words that begin with the group of the first."""
    first = lanes.of(first_window)
    places = (divmod(first + at, lanes.count) for at in range(windows))
    return [packed_windows.get(words[word], lane, lanes) for word, lane in places]


def _allot(c: Context, account: bytes, schedule: Signed, epoch: int, filled: Iterable[int]) -> None:
    base = ProductId(
        window_index=schedule.first_window,
        window_length=c.watched.window_length,
        zone=schedule.zone,
        quality=0 if isinstance(schedule, FlexibleSchedule) else schedule.quality,
        kind=schedule.kind,
        round=c.rows.get(Session, epoch)["round"],
        side=schedule.side,
    )
    lanes = lanes_of(c, account)
    moved = [(replace(base, window_index=base.window_index + at), wh) for at, wh in enumerate(filled) if wh]
    c.rows.want(Position, [(to_hex(account), slot_of(product, lanes)) for product, _ in moved])
    for product, wh in moved:
        move(c, account, product, epoch, wh)


def move(c: Context, account: bytes, product: ProductId, epoch: int, wh: int) -> None:
    """Gives an account so much more of a product, or less."""
    lanes = lanes_of(c, account)
    slot = slot_of(product, lanes)
    found = c.rows.find(Position, to_hex(account), slot)
    held = [0] * lanes.count if found is None else list(found["wh"])
    lane = lanes.of(product.window_index)
    held[lane] += wh
    c.put(
        Position,
        account=to_hex(account),
        slot=slot,
        epoch=epoch,
        zone=product.zone,
        side=product.side,
        quality=product.quality,
        first_window=product.window_index - lane,
        wh=held,
    )


def transferred(c: Context, event: told.Transfer) -> None:
    """A claim goes with its reserve; a certificate alone."""
    product = product_id.decode(event.id)
    if product.kind == CERTIFICATE:
        certificates.handed_over(c, event)
        return
    sender = c.rows.find(Position, to_hex(event.sender), slot_of(product, lanes_of(c, event.sender)))
    if sender is None or event.amount_wh == 0:
        return
    epoch = sender["epoch"]
    move(c, event.sender, product, epoch, -event.amount_wh)
    move(c, event.receiver, product, epoch, event.amount_wh)
    reserve = event.amount_wh * c.rows.get(Session, epoch)["params"]["buy_reserve"]
    c.pay(event.sender, "reserve_handed_over", reserve, epoch=epoch, zone=product.zone)
    c.pay(event.receiver, "reserve_taken_over", -reserve, epoch=epoch, zone=product.zone)
