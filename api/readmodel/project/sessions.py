"""Sessions and their books, what was submitted, and claims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.db.market_models import Book, Claim, Day, GridVersion, Order, Session
from api.readmodel.plain import exact
from api.readmodel.project.context import NETWORK_OPERATOR, Context
from settlement.chain import events as told
from settlement.chain.rpc import to_bytes, to_hex
from settlement.reference import marginal, orders, potential
from settlement.reference.orders import SignedOrder
from settlement.reference.product_id import ENERGY


def grid_set(c: Context, event: told.GridSet) -> None:
    c.put(GridVersion, version=event.version, hash=to_hex(event.hash), terms=exact(event.grid))


def day_opened(c: Context, event: told.DayOpened) -> None:
    terms = {"windows": event.windows, "grid_version": event.grid_version}
    c.put(Day, day=event.day, settled=False, certified=False, sessions=[], **terms)


def opened(c: Context, event: told.SessionOpened) -> None:
    params = event.params
    if params.kind == ENERGY:
        traded = c.rows.get(Day, params.day)["sessions"]
        c.put(Day, day=params.day, sessions=[*traded, event.epoch])
    grid = c.rows.get(GridVersion, params.grid_version)
    c.put(
        Session,
        epoch=event.epoch,
        id=to_hex(event.id),
        kind=params.kind,
        round=params.round,
        day=params.day,
        gate=params.gate,
        commit_by=params.commit_by,
        prove_by=params.prove_by,
        params=exact(params),
        zones=len(grid["terms"]["parents"]),
        committed_zones=0,
        committed_orders=0,
        committed_at=None,
        proved_at=None,
        header_posted=False,
        qualities=None,
        rent_nano=None,
        bond_nano=0,
    )


def committed(c: Context, event: told.BookCommitted) -> None:
    session = c.rows.get(Session, event.epoch)
    zones = session["committed_zones"] + 1
    empty = {"cleared": 0, "joined": None, "energy": None, "marginals": None}
    place = {"epoch": event.epoch, "zone": event.zone}
    c.put(Book, count=event.count, root=to_hex(event.root), **place, **empty)
    c.put(
        Session,
        epoch=event.epoch,
        committed_zones=zones,
        committed_orders=session["committed_orders"] + event.count,
        committed_at=c.block.time if zones == session["zones"] else None,
    )


def header_posted(c: Context, event: told.HeaderPosted) -> None:
    """A contract may have sent it; then the words are not to be had from calldata."""
    words = c.telling.argument("qualityPotentials", "postHeader")
    qualities = None if words is None else [hex_word(one) for one in words]
    c.put(Session, epoch=event.epoch, header_posted=True, qualities=qualities)


def joined(c: Context, event: told.ZoneJoined) -> None:
    place = {"epoch": event.epoch, "zone": event.zone}
    c.put(Book, joined=event.joined, **place, **posted(c, "closeZone"))


def posted(c: Context, function: str) -> dict[str, list[str]]:
    """The zone's posted words, if the call brings them."""
    found = c.telling.argument("posted", function)
    if found is None:
        return {}
    _, zone = found
    return {
        "energy": [hex_word(potential.pack(one)) for one in zone.energy],
        "marginals": [hex_word(marginal.pack(one)) for one in zone.marginals],
    }


def hex_word(word: int) -> str:
    """The shortest bytes that hold a word."""
    return to_hex(word.to_bytes((word.bit_length() + 7) >> 3, "big"))


def proved(c: Context, event: told.SessionProved) -> None:
    c.put(Session, epoch=event.epoch, proved_at=c.block.time)


def network_paid(c: Context, event: told.NetworkPaid) -> None:
    c.put(Session, epoch=event.epoch, rent_nano=event.rent_nano)
    c.pay(c.fact(NETWORK_OPERATOR), "network", event.rent_nano, epoch=event.epoch)


# Orders submitted on chain, claims ----------------------------------------------------------------------


def submitted(c: Context, event: told.OrderSubmitted) -> None:
    session = c.rows.get(Session, event.epoch)
    order, _ = orders.decode(event.record, 0, to_bytes(session["id"]), session["kind"], event.zone)
    values = blank(event.epoch, event.zone, order.schedule.trader)
    values |= {"record": to_hex(event.record), "terms": terms_of(order), "submitted": True}
    c.put(Order, hash=to_hex(event.order), **values)


def submission_replaced(c: Context, event: told.SubmissionReplaced) -> None:
    c.put(Order, hash=to_hex(event.order), submitted=False)


def blank(epoch: int, zone: int, trader: bytes) -> dict[str, Any]:
    """An order of which only its place is known."""
    place = {"epoch": epoch, "zone": zone, "trader": to_hex(trader)}
    told_ = {"submitted": False, "record": None, "terms": None}
    return place | told_ | dict.fromkeys(("outcome", "reason", "filled_wh", "net_nano", "donated_nano"))


def terms_of(order: SignedOrder) -> dict[str, Any]:
    """What a trader signed; lists by window."""
    return dict(exact(order.schedule))


def bond_locked(c: Context, event: told.BondLocked) -> None:
    c.put(Session, epoch=event.epoch, bond_nano=event.amount_nano)
    c.pay(event.operator, "bond", -event.amount_nano, epoch=event.epoch)


def bond_released(c: Context, event: told.BondReleased) -> None:
    _take_bond(c, event.epoch, event.amount_nano)
    c.pay(event.operator, "bond", event.amount_nano, epoch=event.epoch)


def _take_bond(c: Context, epoch: int, amount_nano: int) -> None:
    left: Mapping[str, Any] = c.rows.get(Session, epoch)
    c.put(Session, epoch=epoch, bond_nano=left["bond_nano"] - amount_nano)


def claim_opened(c: Context, event: told.ClaimOpened) -> None:
    who = {"trader": to_hex(event.trader), "kind": event.kind}
    c.put(Claim, epoch=event.epoch, order=to_hex(event.order), state="open", paid_nano=0, **who)


def claim_defeated(c: Context, event: told.ClaimDefeated) -> None:
    c.put(Claim, epoch=event.epoch, order=to_hex(event.order), state="defeated")


def claim_paid(c: Context, event: told.ClaimPaid) -> None:
    place = {"epoch": event.epoch, "order": to_hex(event.order)}
    c.put(Claim, state="paid", paid_nano=event.amount_nano, **place)
    _take_bond(c, event.epoch, event.amount_nano)
    c.pay(event.trader, "claim", event.amount_nano, epoch=event.epoch, subject=event.order)
