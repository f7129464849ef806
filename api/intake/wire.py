"""Between what travels and the reference's orders: JSON messages, records, and what a wallet signs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.schemas.orders import FlexibleBody, FlexibleMessage, ScheduleBody, ScheduleMessage
from settlement.chain import packed
from settlement.chain.books import Session
from settlement.reference import flexible, schedule
from settlement.reference.errors import MalformedRecord
from settlement.reference.flexible import FlexibleSchedule, SignedFlexible
from settlement.reference.orders import Order, SignedOrder
from settlement.reference.schedule import Schedule, SignedSchedule

ZONE_BYTES, SESSION_BYTES = 4, 32
DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
CANCEL_TYPE = "Cancel(bytes32 orderHash,bytes32 session)"


class MalformedItem(Exception):
    """The record of this place in a batch is none."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


# JSON ---------------------------------------------------------------------------------------------------


def order_of(body: ScheduleBody | FlexibleBody) -> SignedOrder:
    """The signed order; its split is found later."""
    if isinstance(body, ScheduleBody):
        return SignedSchedule(schedule_of(body.message), body.signature)
    one = flexible_of(body.message)
    return SignedFlexible(one, body.signature, (0,) * one.windows)


def schedule_of(message: ScheduleMessage) -> Schedule:
    return Schedule(
        trader=message.trader,
        session=message.session,
        zone=message.zone,
        side=message.side,
        kind=message.kind,
        quality=message.quality,
        first_window=message.firstWindow,
        nonce=message.nonce,
        quantity_wh=tuple(message.quantityWh),
        limit_micro_per_kwh=tuple(message.limitMicroPerKWh),
        replaces=message.replaces,
        beneficiary=message.beneficiary,
    )


def flexible_of(message: FlexibleMessage) -> FlexibleSchedule:
    return FlexibleSchedule(
        trader=message.trader,
        session=message.session,
        zone=message.zone,
        side=message.side,
        kind=message.kind,
        first_window=message.firstWindow,
        windows=message.windows,
        nonce=message.nonce,
        energy_wh=message.energyWh,
        max_wh_per_window=message.maxWhPerWindow,
        limit_micro_per_kwh=message.limitMicroPerKWh,
        replaces=message.replaces,
        beneficiary=message.beneficiary,
    )


# Records ------------------------------------------------------------------------------------------------


def encode_batch(session: bytes, given: list[SignedOrder]) -> bytes:
    """The body of a batch of records: session, then of each order its zone and its record."""
    parts = [session]
    for one in given:
        parts += [one.schedule.zone.to_bytes(ZONE_BYTES, "big"), packed.encode(one)]
    return b"".join(parts)


def decode_batch(body: bytes, session: Session, most: int) -> list[SignedOrder]:
    """The orders behind the session of such a body. MalformedItem at the first that is none, or behind
    `most`. What is the operator's to say (a split, whether it was submitted) is not taken from here.
    """
    found: list[SignedOrder] = []
    at, terms = SESSION_BYTES, (session.id, session.params.kind)
    while at < len(body):
        zone, index = int.from_bytes(body[at : at + ZONE_BYTES], "big"), len(found)
        if index == most:
            raise MalformedItem(index)
        try:
            order, at = packed.decode(body, at + ZONE_BYTES, *terms, zone)
        except MalformedRecord as cause:
            raise MalformedItem(index) from cause
        if isinstance(order, SignedFlexible):
            order = SignedFlexible(order.schedule, order.signature, (0,) * order.schedule.windows)
        found.append(order)
    return found


# What a wallet signs ------------------------------------------------------------------------------------


def typed_order(order: Order, chain_id: int, exchange: bytes) -> dict[str, Any]:
    """EIP-712 JSON of an order."""
    type_ = flexible.TYPE if isinstance(order, FlexibleSchedule) else schedule.TYPE
    values = {field_of(name): _plain(value) for name, value in vars(order).items()}
    return _typed(type_.decode(), values, chain_id, exchange)


def typed_cancel(order_hash: bytes, session: bytes, chain_id: int, exchange: bytes) -> dict[str, Any]:
    """EIP-712 JSON of an order's cancel."""
    values = {"orderHash": _plain(order_hash), "session": _plain(session)}
    return _typed(CANCEL_TYPE, values, chain_id, exchange)


def _typed(type_: str, values: Mapping[str, Any], chain_id: int, exchange: bytes) -> dict[str, Any]:
    name, members = _members(type_)
    return {
        "types": {"EIP712Domain": _members(DOMAIN_TYPE)[1], name: members},
        "primaryType": name,
        "domain": {
            "name": "Trellis",
            "version": "1",
            "chainId": str(chain_id),
            "verifyingContract": _plain(exchange),
        },
        "message": {one["name"]: values[one["name"]] for one in members},
    }


def _members(type_: str) -> tuple[str, list[dict[str, str]]]:
    """Name and fields of a type as EIP-712 writes it."""
    name, _, rest = type_.rstrip(")").partition("(")
    return name, [dict(zip(("type", "name"), one.split(), strict=True)) for one in rest.split(",")]


def field_of(name: str) -> str:
    """`quantityWh` of `quantity_wh`: a field's name in EIP-712."""
    first, *rest = name.split("_")
    return first + "".join("KWh" if one == "kwh" else one.capitalize() for one in rest)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return [str(one) for one in value] if isinstance(value, tuple) else str(value)
