"""A session's terms, checked against its id: what a trader signs names the id, and the id is their hash."""

from __future__ import annotations

from dataclasses import dataclass

from api.client.errors import BadTerms, UnbelievedReceipt
from api.schemas.orders import ReceiptAnswer
from api.schemas.sessions import KINDS, SessionAnswer
from settlement.chain import receipts
from settlement.chain.errors import BadReceipt
from settlement.reference.receipts import SignedReceipt
from settlement.reference.session import SessionParams, session_id


@dataclass(frozen=True)
class Terms:
    """Of one session."""

    epoch: int
    id: bytes
    params: SessionParams


def checked_terms(told: SessionAnswer) -> Terms:
    """The terms of a session. BadTerms unless its id is their hash.

    Whether the chain opened a session of this id is for whoever reads the chain: `tx_hash` says where.
    """
    params = SessionParams(
        kind=KINDS.index(told.kind),
        round=told.round,
        windows=told.windows,
        grid_version=told.grid_version,
        day=told.day,
        first_window=told.first_window,
        gate=told.gate,
        commit_by=told.commit_by,
        prove_by=told.prove_by,
        floor=told.floor,
        cap=told.cap,
        buy_reserve=told.buy_reserve,
        sell_reserve=told.sell_reserve,
        imbalance_min=told.imbalance_min,
        imbalance_max=told.imbalance_max,
        max_orders=told.max_orders,
        max_submitted=told.max_submitted,
        bond_nano=told.order_bond_nano,
        claim_by=told.claim_by,
        receipt_signer=told.receipt_signer,
        certificate_run=told.certificate_run,
    )
    if session_id(params) != told.id:
        raise BadTerms(told.epoch)
    return Terms(told.epoch, told.id, params)


def checked_receipt(separator: bytes, terms: Terms, hash_: bytes, answer: ReceiptAnswer) -> SignedReceipt:
    """The receipt of an order or cancel. UnbelievedReceipt unless the operator would have to pay for it."""
    if (answer.session, answer.hash) != (terms.id, hash_):
        raise UnbelievedReceipt(f"the receipt of 0x{hash_.hex()} is for something else")
    found = SignedReceipt(answer.sequence, answer.signature)
    try:
        receipts.check_receipt(separator, terms.params, hash_, found)
    except BadReceipt as cause:
        raise UnbelievedReceipt(str(cause)) from cause
    return found
