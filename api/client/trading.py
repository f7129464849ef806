"""Trading: orders are made and signed here, and receipts are checked before they are believed.

    terms         a session's, if its id is their hash
    complete      an order from what is wanted: the service fills in zone and nonce, nothing else may differ
    submit        signs an order and brings it; its receipt counts
    submit_all    the same with thousands, as records
    cancel        takes an order back

The hash that is signed is always computed here, from the order; no hash is taken from the service.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from api.client.errors import BadTypedData, UnbelievedReceipt
from api.client.read import read
from api.client.route import JSON, KEY, Operation
from api.client.routes import MarketRoutes, OrderRoutes
from api.client.service import Service, Wallet
from api.client.terms import Terms, checked_receipt, checked_terms
from api.client.wire import Flow, Request
from api.intake import wire
from api.schemas.orders import (
    MOST_BATCH,
    RECORDS,
    AcceptedAnswer,
    BatchAnswer,
    BatchItem,
    FlexibleDraft,
    FlexibleMessage,
    ItemProblem,
    ReceiptAnswer,
    ScheduleDraft,
    ScheduleMessage,
    TypedDataAnswer,
)
from settlement.chain import packed
from settlement.chain.receipts import Kept, cancel_hash, keep
from settlement.errors import InputError
from settlement.reference import orders
from settlement.reference.errors import Refused
from settlement.reference.flexible import FlexibleSchedule, SignedFlexible
from settlement.reference.orders import Order, SignedOrder
from settlement.reference.product_id import ENERGY
from settlement.reference.receipts import SignedReceipt
from settlement.reference.schedule import SignedSchedule

TypeName = Literal["Schedule", "FlexibleSchedule"]

MOST_BODY_BYTES = 3 << 20
"""Of a batch."""


@dataclass(frozen=True)
class Accepted:
    """An order that the operator answers for."""

    order: SignedOrder
    hash: bytes
    epoch: int
    receipt: SignedReceipt

    @property
    def kept(self) -> Kept:
        """What its trader keeps: with it an order that is left out is paid for (`trellis claim`)."""
        return keep(self.order, self.receipt)


@dataclass(frozen=True)
class Outcome:
    """What became of one order of many."""

    order: SignedOrder
    hash: bytes
    accepted: Accepted | None
    problem: ItemProblem | None
    """Why it was not taken."""


class Trading:
    """Of both clients."""

    core: Any

    # Terms ----------------------------------------------------------------------------------------------

    @Operation
    def terms(self, epoch: int) -> Flow[Terms]:
        """A session's terms. BadTerms unless its id, which orders name, is their hash."""
        known: Terms | None = self.core.terms.get(epoch)
        if known is None:
            known = checked_terms((yield from MarketRoutes.session.flow(self, epoch)))
            self.core.terms[epoch] = known
        return known

    @Operation
    def check_receipt(self, epoch: int, hash_: bytes, answer: ReceiptAnswer) -> Flow[SignedReceipt]:
        """A receipt of a session's order or cancel, whoever it came from. UnbelievedReceipt unless the
        operator would have to pay for it.
        """
        terms = yield from Trading.terms.flow(self, epoch)
        return checked_receipt(self.core.service.separator, terms, hash_, answer)

    # Orders ---------------------------------------------------------------------------------------------

    @Operation
    def complete(self, draft: ScheduleDraft | FlexibleDraft) -> Flow[Order]:
        """The order of a draft, the wallet's own unless the draft names its trader: the service fills in the
        zone and the nonce, if they are left out, and says whether such an order could be taken. BadTypedData
        if it changed anything else.
        """
        wanted = _with_own(draft, self.core.signer.address)
        name: TypeName = "Schedule" if isinstance(draft, ScheduleDraft) else "FlexibleSchedule"
        answer = yield from OrderRoutes.order_to_sign.flow(self, name, wanted)
        return checked_order(answer, wanted, self.core.service)

    @Operation
    def submit(self, order: Order, trader: bytes | None = None) -> Flow[Accepted]:
        """Signs the wallet's order and brings it; or `trader`'s, whose session key the wallet is.
        OrderRefused if it is not taken, UnbelievedReceipt if its receipt is worth nothing: then submit it on
        chain.
        """
        own = signed(self.core.signer, self.core.service, order, trader)
        return (yield from Trading.submit_signed.flow(self, own))

    @Operation
    def submit_signed(self, order: SignedOrder) -> Flow[Accepted]:
        """The same with an order that its trader has signed, whoever that is."""
        name, message = _message_of(order.schedule)
        hash_, _ = orders.signed_hash(self.core.service.separator, order)
        answer = yield from OrderRoutes.send_order.flow(self, name, message, order.signature)
        return (yield from self._accepted(order, hash_, answer))

    @Operation
    def submit_all(self, given: Sequence[SignedOrder]) -> Flow[list[Outcome]]:
        """Brings signed orders of any traders, as many at once as fit; tells what became of each."""
        found: dict[int, Outcome] = {}
        for batch in _batches(given):
            found |= yield from self._batch([(at, given[at]) for at in batch])
        return [found[at] for at in range(len(given))]

    def _batch(self, batch: Sequence[tuple[int, SignedOrder]]) -> Flow[dict[int, Outcome]]:
        request = _records([order for _, order in batch])
        answer = read(BatchAnswer, (yield from self.core.fetch(request)), request.what)
        if [one.index for one in answer.items] != list(range(len(batch))):
            raise UnbelievedReceipt("the service did not answer for each order of a batch")
        found = {}
        for (at, order), item in zip(batch, answer.items, strict=True):
            hash_, _ = orders.signed_hash(self.core.service.separator, order)
            accepted = yield from self._of_item(order, hash_, item)
            found[at] = Outcome(order, hash_, accepted, item.error)
        return found

    def _of_item(self, order: SignedOrder, hash_: bytes, item: BatchItem) -> Flow[Accepted | None]:
        if item.error is not None:
            return None
        if item.order is None or item.epoch is None or item.receipt is None:
            raise UnbelievedReceipt(f"0x{hash_.hex()} was taken without a receipt")
        told = AcceptedAnswer(order=item.order, epoch=item.epoch, receipt=item.receipt)
        return (yield from self._accepted(order, hash_, told))

    def _accepted(self, order: SignedOrder, hash_: bytes, answer: AcceptedAnswer) -> Flow[Accepted]:
        terms = yield from Trading.terms.flow(self, answer.epoch)
        if terms.id != order.schedule.session:  # kept from before the chain was reorganised?
            del self.core.terms[answer.epoch]
            terms = yield from Trading.terms.flow(self, answer.epoch)
        if (answer.order, terms.id) != (hash_, order.schedule.session):
            raise UnbelievedReceipt(f"the receipt of 0x{hash_.hex()} is for something else")
        receipt = checked_receipt(self.core.service.separator, terms, hash_, answer.receipt)
        return Accepted(order, hash_, terms.epoch, receipt)

    @Operation
    def cancel(self, order: bytes, epoch: int) -> Flow[SignedReceipt]:
        """Takes back an order of the wallet's in a session. The receipt makes including it a breach too."""
        terms = yield from Trading.terms.flow(self, epoch)
        digest = cancel_hash(self.core.service.separator, terms.id, order)
        signature = self.core.signer.sign_digest(digest)
        answer = yield from OrderRoutes.send_cancel.flow(self, order, signature)
        return checked_receipt(self.core.service.separator, terms, digest, answer.receipt)


# Signing ------------------------------------------------------------------------------------------------


def signed(wallet: Wallet, service: Service, order: Order, trader: bytes | None = None) -> SignedOrder:
    """The order with the wallet's signature over its digest. InputError unless it is the wallet's own, or
    that of the `trader` whose session key the wallet is.
    """
    if order.trader != (wallet.address if trader is None else trader):
        raise InputError(
            f"the order is 0x{order.trader.hex()}'s: its own wallet signs it, or a session key that is told "
            "whose it is (trader=)"
        )
    signature = wallet.sign_digest(orders.order_hash(service.separator, order))
    if isinstance(order, FlexibleSchedule):
        return SignedFlexible(order, signature, (0,) * order.windows)
    return SignedSchedule(order, signature)


def _with_own(draft: ScheduleDraft | FlexibleDraft, wallet: bytes) -> ScheduleDraft | FlexibleDraft:
    """The draft with what the service may not choose: who trades, and which kind."""
    kind = ENERGY if draft.kind is None else draft.kind
    trader = wallet if draft.trader is None else draft.trader
    return draft.model_copy(update={"kind": kind, "trader": trader})


def checked_order(answer: TypedDataAnswer, wanted: ScheduleDraft | FlexibleDraft, service: Service) -> Order:
    """The order of typed data. BadTypedData unless they are of this Exchange and type, their digest is the
    order's, and each field that was wanted is as it was.
    """
    plain = isinstance(wanted, ScheduleDraft)
    try:
        told = answer.typed_data["message"]
        order: Order = (
            wire.schedule_of(ScheduleMessage.model_validate(told))
            if plain
            else wire.flexible_of(FlexibleMessage.model_validate(told))
        )
        digest = orders.order_hash(service.separator, order)
    except (KeyError, TypeError, ValueError, Refused) as cause:
        raise BadTypedData("it is no order of that type") from cause
    if answer.typed_data != wire.typed_order(order, service.chain_id, service.exchange):
        raise BadTypedData("its types or domain are not the Exchange's")
    if (answer.digest, answer.order) != (digest, digest):
        raise BadTypedData("its digest is of something else")
    message = _message_of(order)[1].model_dump()
    for name, value in wanted.model_dump(exclude_none=True).items():
        if message[name] != value:
            raise BadTypedData(f"{name} was changed")
    return order


def draft_of(order: Order) -> ScheduleDraft | FlexibleDraft:
    """A draft that leaves nothing open: `complete` gives the order again, or refuses it."""
    kind = FlexibleDraft if isinstance(order, FlexibleSchedule) else ScheduleDraft
    return kind.model_validate(_fields(order))


def _message_of(order: Order) -> tuple[TypeName, ScheduleMessage | FlexibleMessage]:
    if isinstance(order, FlexibleSchedule):
        return "FlexibleSchedule", FlexibleMessage.model_validate(_fields(order))
    return "Schedule", ScheduleMessage.model_validate(_fields(order))


def _fields(order: Order) -> dict[str, Any]:
    """By their names in EIP-712."""
    return {wire.field_of(name): value for name, value in vars(order).items()}


# Records ------------------------------------------------------------------------------------------------


def _batches(given: Sequence[SignedOrder]) -> Iterator[list[int]]:
    """Places of orders that fit one request: of one session, not too many, not too long."""
    batch: list[int] = []
    size = 0
    for at, order in enumerate(given):
        length = wire.ZONE_BYTES + len(packed.encode(order))
        other = batch and given[batch[0]].schedule.session != order.schedule.session
        if batch and (other or len(batch) == MOST_BATCH or size + length > MOST_BODY_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(at)
        size += length
    if batch:
        yield batch


def _records(batch: Sequence[SignedOrder]) -> Request:
    content = wire.encode_batch(batch[0].schedule.session, list(batch))
    headers = {"Accept": JSON, "Content-Type": RECORDS, KEY: secrets.token_hex(16)}
    return Request("POST", "/v1/orders/batch", headers=headers, body=content)
