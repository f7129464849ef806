"""Receipts and cancels: signing them, believing them, and what a trader keeps.

A trader needs nothing but its signed order and the receipt to be paid if the order is left out; the rest is
on the chain. It should believe no answer that `check_receipt` does not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from settlement.chain.errors import BadReceipt
from settlement.chain.sign import Signer
from settlement.reference import eip712, orders, receipts
from settlement.reference.errors import Refused
from settlement.reference.orders import SignedOrder
from settlement.reference.receipts import Cancel, Receipt, SignedReceipt
from settlement.reference.session import SessionParams, session_id


def sign_receipt(signer: Signer, separator: bytes, message: Receipt) -> SignedReceipt:
    """The operator's word for an order or a cancel."""
    return SignedReceipt(message.sequence, signer.sign_digest(receipts.digest(separator, message)))


def sign_cancel(trader: Signer, separator: bytes, message: Cancel) -> bytes:
    """A trader's word that it takes an order back."""
    return trader.sign_digest(receipts.digest(separator, message))


def cancel_hash(separator: bytes, session: bytes, order_hash: bytes) -> bytes:
    """What the receipt of an order's cancel is for."""
    return receipts.digest(separator, Cancel(order_hash, session))


def check_receipt(separator: bytes, params: SessionParams, hash_: bytes, receipt: SignedReceipt) -> None:
    """BadReceipt unless the session's operator would have to pay for it."""
    if not params.bond_nano:
        raise BadReceipt(hash_, "its session has no bond")
    if not 0 <= receipt.sequence < params.max_orders:
        raise BadReceipt(hash_, f"sequence {receipt.sequence} is not below {params.max_orders}")
    message = Receipt(session_id(params), hash_, receipt.sequence)
    try:
        signer = eip712.recover(receipts.digest(separator, message), receipt.signature)
    except Refused as cause:
        raise BadReceipt(hash_, "its signature is none") from cause
    if signer != params.receipt_signer:
        raise BadReceipt(hash_, f"0x{signer.hex()} signed it, not the session's receipt signer")


@dataclass(frozen=True)
class Kept:
    """What a trader keeps of an order that the operator accepted."""

    zone: int
    record: bytes
    receipt: SignedReceipt

    def to_json(self) -> dict[str, Any]:
        return {
            "zone": self.zone,
            "record": "0x" + self.record.hex(),
            "sequence": self.receipt.sequence,
            "signature": "0x" + self.receipt.signature.hex(),
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Kept:
        record, signature = (bytes.fromhex(raw[name].removeprefix("0x")) for name in ("record", "signature"))
        return cls(raw["zone"], record, SignedReceipt(raw["sequence"], signature))


def keep(order: SignedOrder, receipt: SignedReceipt) -> Kept:
    """The order as claims read it: whether it was also submitted on chain does not matter to them."""
    return Kept(order.schedule.zone, orders.encode(replace(order, submitted=False)), receipt)
