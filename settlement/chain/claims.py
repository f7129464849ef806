"""Claims against a session's bond, their defence and their payment, as transactions of whoever sends them.

Proofs are made from the hashes of a zone's book, which the calldata of clearing has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from settlement.chain.books import Session
from settlement.chain.errors import WrongProgress
from settlement.chain.events import OrderSubmitted, SubmissionReplaced, decode
from settlement.chain.exchange import Exchange, Stage
from settlement.chain.receipts import Kept
from settlement.chain.rpc import Log, Receipt, to_bytes, to_hex
from settlement.chain.sign import Signer
from settlement.chain.steps import logs_of
from settlement.reference import membership, merkle, orders
from settlement.reference.membership import NO_SIBLINGS, Absence, Inclusion, Neighbour
from settlement.reference.orders import SignedOrder
from settlement.reference.receipts import SignedReceipt

NOWHERE = Inclusion(0, NO_SIBLINGS)
"""Where a proof is not read."""

Claim = tuple[str, tuple[Any, ...]]
"""A claim that can be sent: the name of the call, and its arguments."""


# What the chain says ------------------------------------------------------------------------------------


def book_hashes(exchange: Exchange, session: Session, zone: int) -> list[bytes]:
    """Hashes of a zone's orders, ascending, out of the calldata that cleared them.

    WrongProgress unless they are those under the committed root.
    """
    found = [
        orders.signed_hash(exchange.separator, order)[0]
        for log in logs_of(exchange, "ZoneAdvanced", session.epoch, zone)
        for order in _cleared(exchange, session, zone, log.tx_hash)
    ]
    count, root = exchange.view("bookOf", session.epoch, zone)
    if (len(found), merkle.root([merkle.leaf_hash(one) for one in found])) != (count, root):
        raise WrongProgress(f"zone {zone} of session {session.epoch} was not cleared to its end")
    return found


def _cleared(exchange: Exchange, session: Session, zone: int, tx_hash: bytes) -> list[SignedOrder]:
    data = to_bytes(exchange.chain.rpc("eth_getTransactionByHash", to_hex(tx_hash))["input"])
    entry = exchange.abi.function("clear")
    records = exchange.abi.arguments("clear", data)[len(entry.inputs) - 1]
    return orders.decode_all(records, session.id, session.params.kind, zone)


def submitted(exchange: Exchange, session: Session) -> list[SignedOrder]:
    """The orders that a session's books must have because they were submitted on chain."""
    found: dict[bytes, SignedOrder] = {}
    for event in map(decode, _submissions(exchange, session)):
        if isinstance(event, SubmissionReplaced):
            found.pop(event.order)
        elif isinstance(event, OrderSubmitted):
            place = (session.id, session.params.kind, event.zone)
            found[event.order] = orders.decode(event.record, 0, *place)[0]
    return list(found.values())


def _submissions(exchange: Exchange, session: Session) -> list[Log]:
    names = ("OrderSubmitted", "SubmissionReplaced")
    logs = [log for name in names for log in logs_of(exchange, name, session.epoch)]
    return sorted(logs, key=lambda log: (log.block, log.index))


# Submitting and claiming --------------------------------------------------------------------------------


def submit(exchange: Exchange, sender: Signer, session: Session, record: bytes, zone: int) -> Receipt:
    """Forces an order into the session; its record is flagged as submitted."""
    return exchange.send(sender, "submit", session.epoch, zone, record)


def claim(exchange: Exchange, sender: Signer, session: Session, kept: Kept) -> Receipt:
    """Claims for an order by its receipt. WrongProgress if there is no reason to, or not yet."""
    if exchange.session(session.epoch)[1] is Stage.VOID:
        return send(exchange, sender, void_claim(session, kept))
    proof = absence_of(exchange, session, kept)
    if proof is None:
        order_hash = _hash_of(exchange, session, kept.zone, kept.record)
        raise WrongProgress(f"order 0x{order_hash.hex()} was not left out")
    return send(exchange, sender, omission_claim(session, kept, proof))


def absence_of(exchange: Exchange, session: Session, kept: Kept) -> Absence | None:
    """What shows that a proved session's book lacks an order; None if it has it. WrongProgress too early."""
    _require_proved(exchange, session)
    order_hash = _hash_of(exchange, session, kept.zone, kept.record)
    return membership.prove_absence(book_hashes(exchange, session, kept.zone), order_hash)


def inclusion_of(exchange: Exchange, session: Session, zone: int, record: bytes) -> Inclusion | None:
    """What shows that a proved session's book has an order; None if it lacks it. WrongProgress too early."""
    _require_proved(exchange, session)
    order_hash = _hash_of(exchange, session, zone, record)
    return membership.prove_inclusion(book_hashes(exchange, session, zone), order_hash)


def _require_proved(exchange: Exchange, session: Session) -> None:
    if exchange.session(session.epoch)[1] is not Stage.PROVED:
        raise WrongProgress(f"session {session.epoch} has not ended: claim when it is proved or void")


def claim_cancelled(
    exchange: Exchange, sender: Signer, session: Session, kept: Kept, cancel: bytes, receipt: SignedReceipt
) -> Receipt:
    """Claims for an order that was cleared though its cancel has a receipt."""
    proof = _included(exchange, session, kept.zone, kept.record)
    return send(exchange, sender, cancelled_claim(session, replace(kept, receipt=receipt), proof, cancel))


def claim_replaced(
    exchange: Exchange, sender: Signer, session: Session, record: bytes, replacement: Kept
) -> Receipt:
    """Claims for an order that was cleared though one that replaces it has a receipt."""
    proof = _included(exchange, session, replacement.zone, record)
    return send(exchange, sender, replaced_claim(session, record, proof, replacement))


def claim_committed(
    exchange: Exchange, sender: Signer, session: Session, zone: int, record: bytes, hashes: Sequence[bytes]
) -> Receipt:
    """Claims for an order of a void session's book, of which all hashes are known."""
    proof = membership.prove_inclusion(hashes, _hash_of(exchange, session, zone, record)) or NOWHERE
    arguments = (session.epoch, zone, record, inclusion_arguments(proof))
    return exchange.send(sender, "claimCommitted", *arguments)


def claim_submitted(
    exchange: Exchange, sender: Signer, session: Session, zone: int, record: bytes
) -> Receipt:
    """Claims for an order submitted on chain to a session that is void."""
    return exchange.send(sender, "claimSubmitted", session.epoch, zone, record)


# Claims by receipt, before they are sent ------------------------------------------------------------------


def void_claim(session: Session, kept: Kept) -> Claim:
    return "claimVoid", (session.epoch, kept.zone, kept.record, receipt_arguments(kept.receipt))


def omission_claim(session: Session, kept: Kept, proof: Absence) -> Claim:
    shown = (receipt_arguments(kept.receipt), absence_arguments(proof))
    return "claimOmission", (session.epoch, kept.zone, kept.record, *shown)


def cancelled_claim(session: Session, kept: Kept, proof: Inclusion, cancel: bytes) -> Claim:
    """Kept with the order is the receipt of its cancel."""
    shown = (inclusion_arguments(proof), cancel, receipt_arguments(kept.receipt))
    return "claimCancelled", (session.epoch, kept.zone, kept.record, *shown)


def replaced_claim(session: Session, record: bytes, proof: Inclusion, replacement: Kept) -> Claim:
    """Kept with the replacement is its receipt; `record` is the order that it replaces."""
    shown = (inclusion_arguments(proof), replacement.record, receipt_arguments(replacement.receipt))
    return "claimReplaced", (session.epoch, replacement.zone, record, *shown)


def check(exchange: Exchange, claim: Claim) -> None:
    """ContractRevert if the Exchange would refuse the claim. Nothing is sent; anyone may claim."""
    name, arguments = claim
    exchange.chain.call(exchange.address, exchange.abi.encode(name, *arguments))


def send(exchange: Exchange, sender: Signer, claim: Claim) -> Receipt:
    name, arguments = claim
    return exchange.send(sender, name, *arguments)


# Defending, paying --------------------------------------------------------------------------------------


def defend_cancelled(
    exchange: Exchange, sender: Signer, order_hash: bytes, cancel: bytes, zone: int = 0, records: bytes = b""
) -> Receipt:
    """Shows that the order, or the last of `records` that replaced it, was taken back."""
    return exchange.send(sender, "defendCancelled", order_hash, zone, records, cancel)


def defend_replaced(
    exchange: Exchange, sender: Signer, session: Session, order_hash: bytes, zone: int, chain: Sequence[bytes]
) -> Receipt:
    """Shows the records that replaced the order, the last of which was cleared or, if void, is claimed."""
    void = exchange.session(session.epoch)[1] is Stage.VOID
    proof = NOWHERE if void else _included(exchange, session, zone, chain[-1])
    arguments = (order_hash, zone, b"".join(chain), inclusion_arguments(proof))
    return exchange.send(sender, "defendReplaced", *arguments)


def pay(exchange: Exchange, sender: Signer, order_hash: bytes) -> Receipt:
    return exchange.send(sender, "payClaim", order_hash)


def release(exchange: Exchange, sender: Signer, session: Session) -> Receipt:
    return exchange.send(sender, "releaseBond", session.epoch)


# Arguments ----------------------------------------------------------------------------------------------


def _hash_of(exchange: Exchange, session: Session, zone: int, record: bytes) -> bytes:
    order, _ = orders.decode(record, 0, session.id, session.params.kind, zone)
    return orders.signed_hash(exchange.separator, order)[0]


def _included(exchange: Exchange, session: Session, zone: int, record: bytes) -> Inclusion:
    proof = inclusion_of(exchange, session, zone, record)
    if proof is None:
        raise WrongProgress(f"order 0x{_hash_of(exchange, session, zone, record).hex()} was not cleared")
    return proof


def receipt_arguments(receipt: SignedReceipt) -> tuple[int, bytes]:
    return (receipt.sequence, receipt.signature)


def inclusion_arguments(proof: Inclusion) -> tuple[int, tuple[bytes, ...]]:
    return (proof.index, proof.siblings)


def absence_arguments(proof: Absence) -> tuple[object, ...]:
    return (proof.index, _neighbour(proof.left), _neighbour(proof.right))


def _neighbour(one: Neighbour) -> tuple[bytes, tuple[bytes, ...]]:
    return (one.hash, one.siblings)
