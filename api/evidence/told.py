"""Rows of the read model as a bundle tells them. Pure: whoever has the bundle checks every word of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from api.db.chain_models import Event
from api.db.market_models import Order, Position, Session
from api.evidence.rows import DayRows, Market
from settlement.chain.rpc import to_bytes
from settlement.evidence.bundle import (
    AbsencePart,
    CertificatePart,
    ClaimPart,
    ClearingPart,
    CorrectionPart,
    DeliveryPart,
    FillPart,
    HoldingPart,
    InclusionPart,
    NeighbourPart,
    ParamsPart,
    SessionPart,
    SettlementPart,
)
from settlement.reference import membership, potential, settlement
from settlement.reference.membership import Neighbour
from settlement.reference.settlement import Day, Key, Round


def session_part(row: Session) -> SessionPart:
    params = ParamsPart.model_validate({name: row.params[name] for name in ParamsPart.model_fields})
    return SessionPart(id=to_bytes(row.id), params=params, proved=row.proved_at is not None)


def membership_parts(market: Market, order: bytes) -> dict[str, Any]:
    """Inclusion or absence; neither before the chain has read the whole book."""
    book = market.book
    if book is None or book.cleared != book.count:
        return {"inclusion": None, "absence": None}
    hashes = [to_bytes(one) for one in market.others]
    found = membership.prove_inclusion(hashes, order)
    if found is not None:
        inclusion = InclusionPart(index=found.index, siblings=list(found.siblings))
        return {"inclusion": inclusion, "absence": None}
    lacks = membership.prove_absence(hashes, order)
    assert lacks is not None, "an order is in a book or not"
    ends = (
        None if lacks.index == 0 else _neighbour(lacks.left),
        None if lacks.index == len(hashes) else _neighbour(lacks.right),
    )
    return {"inclusion": None, "absence": AbsencePart(index=lacks.index, left=ends[0], right=ends[1])}


def _neighbour(one: Neighbour) -> NeighbourPart:
    return NeighbourPart(hash=one.hash, siblings=list(one.siblings))


def claim_part(market: Market) -> ClaimPart | None:
    row = market.claim
    if row is None:
        return None
    return ClaimPart.model_validate({"kind": row.kind, "state": row.state, "paid_nano": row.paid_nano})


def clearing_part(market: Market) -> ClearingPart | None:
    """None until the chain has read the order."""
    order = market.order
    if order is None or order.outcome is None:
        return None
    fills = _fills(market, order) if order.outcome == "cleared" else []
    return ClearingPart.model_validate(
        {
            "outcome": order.outcome,
            "reason": order.reason or 0,
            "fills": fills,
            "net_nano": order.net_nano or 0,
            "donated_nano": order.donated_nano or 0,
        }
    )


def _fills(market: Market, order: Order) -> list[FillPart]:
    """By window, at the prices posted for it; none where calldata did not tell them."""
    book, terms, params = market.book, order.terms, market.session.params
    if order.filled_wh is None or terms is None or book is None or book.energy is None:
        return []
    first = terms["first_window"] - params["first_window"]
    found = []
    for at, wh in enumerate(order.filled_wh, start=first):
        price = _mid(book.energy[at]) + _premium(market, terms.get("quality", 0), at)
        found.append(FillPart(window=at, filled_wh=wh, price_micro_per_kwh=price))
    return found


def _premium(market: Market, code: int, window: int) -> int:
    codes, words = market.qualities, market.session.qualities
    dense = codes.index(code)
    if dense == 0 or words is None:
        return 0
    return -_mid(words[(dense - 1) * market.session.params["windows"] + window])


def _mid(word: str) -> int:
    return potential.unpack(int.from_bytes(to_bytes(word), "big")).mid


# The day ------------------------------------------------------------------------------------------------


def settlement_part(rows: DayRows, zone: int) -> SettlementPart:
    """The first pass as it was: what is told of it by an event is taken from there."""
    event = _last(rows.events, "AccountSettled")
    reading = next((one for one in rows.readings if one.run == 0), None)
    held = _holdings(rows)
    metered = [] if reading is None else reading.wh
    return SettlementPart.model_validate(
        {
            "zone": zone,
            "day": rows.day.day,
            "metered_wh": metered,
            "flags": [] if reading is None else reading.flags,
            "holdings": [_holding(key, *pair) for key, pair in sorted(held.items())],
            "imbalance_wh": _imbalances(rows, metered, held),
            "cash_nano": event["cash_nano"],
            "released_nano": event["released_nano"],
        }
    )


def _last(events: Iterable[Event], name: str) -> dict[str, Any]:
    found = [one for one in events if one.name == name]
    return dict(found[-1].args or {}) if found else {}


def _holding(key: Key, claims: int, obligations: int) -> HoldingPart:
    number, code, window = key
    product = {"round": number, "quality": code, "window": window}
    return HoldingPart.model_validate({**product, "claims_wh": claims, "obligations_wh": obligations})


def _holdings(rows: DayRows) -> dict[Key, tuple[int, int]]:
    """Claims and obligations by product, none of nothing."""
    rounds = {one.epoch: one.round for one in rows.sessions}
    windows = range(rows.day.day, rows.day.day + rows.day.windows)
    found: dict[Key, tuple[int, int]] = {}
    for position in rows.positions:
        for window, wh in _lanes(position):
            if wh and window in windows:
                key = (rounds[position.epoch], position.quality, window - rows.day.day)
                claims, obligations = found.get(key, (0, 0))
                found[key] = (claims, obligations + wh) if position.side else (claims + wh, obligations)
    return found


def _lanes(position: Position) -> Iterable[tuple[int, int]]:
    return enumerate(position.wh, start=position.first_window)


def _imbalances(rows: DayRows, metered: Sequence[int], held: dict[Key, tuple[int, int]]) -> list[int]:
    """Metered less contracted; no prices are needed for it."""
    if not metered:
        return [0] * rows.day.windows
    rounds = tuple(Round(one.round, 0, 0) for one in rows.sessions)
    day = Day(rows.day.windows, rows.qualities, rounds, (), ())
    claims = {key: pair[0] for key, pair in held.items() if pair[0]}
    obligations = {key: pair[1] for key, pair in held.items() if pair[1]}
    found = []
    for window, wh in enumerate(metered):
        sold = settlement.counting(obligations, settlement.allot(day, wh, obligations, window))
        found.append(wh - settlement.contracted(day, claims, sold, window))
    return found


def delivery_part(rows: DayRows) -> DeliveryPart | None:
    """None before the day is certified."""
    if not rows.day.certified:
        return None
    event = _last(rows.events, "AccountDelivered")
    certificates = [
        CertificatePart(
            round=one.round, quality=one.quality, window=one.window - rows.day.day, wh=one.minted_wh
        )
        for one in sorted(rows.certificates, key=lambda one: (one.round, one.quality, one.window))
        if one.minted_wh
    ]
    booked = {name: event.get(name, 0) for name in ("imbalance_wh", "cash_nano", "released_nano")}
    return DeliveryPart.model_validate({**booked, "certificates": certificates})


def correction_parts(rows: DayRows) -> list[CorrectionPart]:
    """What each later run changed of the account."""
    runs = {one.tx_hash: (one.args or {})["run"] for one in rows.events if one.name == "PartCorrected"}
    changed = {
        int(runs[one.tx_hash]): one.args or {}
        for one in rows.events
        if one.name == "AccountCorrected" and one.tx_hash in runs
    }
    return [
        CorrectionPart.model_validate(
            {
                "run": one.run,
                "wh": one.wh,
                "flags": one.flags,
                "imbalance_wh": changed[one.run]["imbalance_wh"],
                "cash_nano": changed[one.run]["cash_nano"],
            }
        )
        for one in sorted(rows.readings, key=lambda one: one.run)
        if one.run in changed
    ]


def hashes_of_day(rows: DayRows) -> list[str]:
    """Transactions that told of the account's day. Its part is certified by the call of the same place."""
    settled = [one.tx_hash for one in rows.events if one.name == "PartSettled"]
    certified = [one.tx_hash for one in rows.events if one.name == "PartCertified"]
    mine = {one.tx_hash for one in rows.events if one.name in ("AccountSettled", "AccountCorrected")}
    mine |= {one.tx_hash for one in rows.events if one.name == "AccountDelivered"}
    place = next(at for at, one in enumerate(settled) if one in mine)
    mine |= set(certified[place : place + 1])
    of_day = ("MeteringPosted", "CorrectionPosted", "DayOpened", "SessionOpened", "SessionProved", "GridSet")
    return [*mine, *(one.tx_hash for one in rows.events if one.name in (*of_day, "MeterRegistered"))]
