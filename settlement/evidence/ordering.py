"""Checks up to the gate: what was signed, what was promised, and what was committed to."""

from __future__ import annotations

from settlement.chain.events import (
    BookCommitted,
    ClaimDefeated,
    ClaimOpened,
    ClaimPaid,
    OrderSubmitted,
    SessionOpened,
    SessionProved,
    SubmissionReplaced,
)
from settlement.chain.key_events import KeyGranted
from settlement.chain.rpc import to_hex
from settlement.evidence.report import Missing, Report, Wrong, require
from settlement.evidence.subject import Subject
from settlement.reference import eip712, membership, orders, receipts, session
from settlement.reference.flexible import SignedFlexible
from settlement.reference.membership import Absence, Inclusion, Neighbour
from settlement.reference.receipts import Receipt

ON_CHAIN = ("/chain_id", "/exchange")


def check(subject: Subject, report: Report) -> None:
    """Session, order, receipt, book, claim."""
    _session(subject, report)
    _order(subject, report)
    _receipt(subject, report)
    _book(subject, report)
    _claim(subject, report)


def _session(subject: Subject, report: Report) -> None:
    told, epoch = subject.bundle.session, subject.bundle.order.epoch
    with report.check("session id", "the hash of the session's parameters", "/session/id", "/session/params"):
        require(told.id, session.session_id(subject.params), "the session's id")
    with report.check("session", "opened on chain with these parameters", "/session/id", "/order/epoch"):
        _, event = subject.evidence.get(SessionOpened, "openSession", epoch=epoch)
        require((told.id, subject.params), (event.id, event.params), "the session")
    with report.check("session proved", "the chain accepted its proof", "/session/proved"):
        found = subject.evidence.find(SessionProved, epoch=epoch)
        if found is None and not told.proved:
            raise Missing("that a session is not proved cannot be seen without the chain")
        require(told.proved, found is not None, "whether the session is proved")


def _order(subject: Subject, report: Report) -> None:
    bundle = subject.bundle
    if bundle.order.record is None:
        why = "the chain's calldata has no record of the order: another contract sent the call"
        report.add("order", "unchecked", why, "/order/record", "/order/hash", "/order/zone", *ON_CHAIN)
        return
    plain = () if _is_flexible(subject) else ("/order/record",)
    about = ("/order/hash", "/order/zone", "/account", *ON_CHAIN)
    with report.check("order hash", "EIP-712 hash of the record under this Exchange's domain", *about):
        signed = subject.signed
        require(bundle.order.hash, orders.signed_hash(subject.separator, signed)[0], "the order's hash")
        require(bundle.account, signed.schedule.trader, "the account")
        _check_submitted(subject, signed.submitted)
    with report.check("order signature", "its trader signed it, or a session key that it granted", *plain):
        _check_signer(subject, orders.signed_hash(subject.separator, subject.signed)[1])


def _check_signer(subject: Subject, signer: bytes) -> None:
    account = subject.bundle.account
    if not any(signer):
        raise Wrong("nobody can be told from its signature")
    if signer != account and subject.evidence.find(KeyGranted, account=account, key=signer) is None:
        raise Missing(f"{to_hex(signer)} signed it, and no grant of its trader to that key is told")


def _is_flexible(subject: Subject) -> bool:
    try:
        return isinstance(subject.signed, SignedFlexible)
    except Exception:  # what is wrong with the record is said by its check
        return False


def _check_submitted(subject: Subject, submitted: bool) -> None:
    """The record's mark, which no hash covers."""
    hash_ = subject.bundle.order.hash
    on_chain = subject.evidence.find(OrderSubmitted, order=hash_) is not None
    replaced = subject.evidence.find(SubmissionReplaced, order=hash_) is not None
    if submitted != on_chain and not (replaced and not submitted):
        raise Wrong("the record's mark of orders submitted on chain is not what the transactions say")


def _receipt(subject: Subject, report: Report) -> None:
    order, params = subject.bundle.order, subject.params
    if order.receipt is None:
        report.add("receipt", "unchecked", "the bundle has none: the API did not know it", "/order/receipt")
        return
    with report.check("receipt", "signed by the session's receipt signer", "/order/receipt"):
        told = order.receipt
        digest = receipts.digest(
            subject.separator, Receipt(subject.bundle.session.id, order.hash, told.sequence)
        )
        require(params.receipt_signer, eip712.recover(digest, told.signature), "the receipt's signer")
        if not told.sequence < params.max_orders:
            raise Wrong(f"its sequence {told.sequence} is not below the session's {params.max_orders}")


# The book -----------------------------------------------------------------------------------------------


def _book(subject: Subject, report: Report) -> None:
    bundle, order = subject.bundle, subject.bundle.order
    if bundle.book is None:
        why = "no book is told: the commitment is not on chain, or the bundle leaves it out"
        report.add("book", "unchecked", why, "/book", "/inclusion", "/absence")
        return
    with report.check("book", "count and root as the operator committed", "/book", "/order/zone"):
        place = {"epoch": order.epoch, "zone": order.zone}
        _, event = subject.evidence.get(BookCommitted, "commitBooks", **place)
        require((bundle.book.count, bundle.book.root), (event.count, event.root), "the book")
    count, root = bundle.book.count, bundle.book.root
    if bundle.inclusion is not None and bundle.absence is not None:
        report.add("membership", "fails", "both inclusion and absence are told", "/inclusion", "/absence")
    elif bundle.inclusion is not None:
        found = Inclusion(bundle.inclusion.index, tuple(bundle.inclusion.siblings))
        with report.check("membership", "in the committed book", "/inclusion", "/absence"):
            if not membership.includes(count, root, order.hash, found):
                raise Wrong("the path does not lead to the committed root")
    elif bundle.absence is not None:
        with report.check("membership", _absent(subject), "/inclusion", "/absence"):
            if not membership.lacks(count, root, order.hash, _absence(subject)):
                raise Wrong("the neighbours do not show that the order is missing")
    else:
        why = "no proof of membership: the chain has not read the whole book yet"
        report.add("membership", "unchecked", why, "/inclusion", "/absence")


def _absence(subject: Subject) -> Absence:
    """Wrong if a neighbour is brought where the book ends, or none where it does not."""
    told, book = subject.bundle.absence, subject.bundle.book
    assert told is not None
    assert book is not None
    if (told.left is None) != (told.index == 0) or (told.right is None) != (told.index == book.count):
        raise Wrong("a neighbour is missing, or one too many")
    left, right = (
        Neighbour() if one is None else Neighbour(one.hash, tuple(one.siblings))
        for one in (told.left, told.right)
    )
    return Absence(told.index, left, right)


def _absent(subject: Subject) -> str:
    if subject.bundle.order.receipt is None:
        return "not in the committed book; without a receipt nobody owes anything for that"
    until = subject.params.claim_by
    return (
        f"not in the committed book although it has a receipt: an omission, to be claimed "
        f"(trellis claim omission) up to Unix second {until}, unless it was cancelled or replaced"
    )


# Claims -------------------------------------------------------------------------------------------------


def _claim(subject: Subject, report: Report) -> None:
    told, hash_ = subject.bundle.claim, subject.bundle.order.hash
    with report.check("claim", "as the chain has it", "/claim"):
        opened = subject.evidence.find(ClaimOpened, order=hash_)
        if told is None and opened is None:
            raise Missing("that nobody claimed for the order cannot be seen without the chain")
        if told is None or opened is None:
            raise Wrong("a claim is told that no transaction opened, or one that was opened is not told")
        require(told.kind, opened[1].kind, "the claim's kind")
        paid = subject.evidence.find(ClaimPaid, order=hash_)
        defeated = subject.evidence.find(ClaimDefeated, order=hash_)
        state = "paid" if paid else "defeated" if defeated else "open"
        require((told.state, told.paid_nano), (state, paid[1].amount_nano if paid else 0), "the claim")
