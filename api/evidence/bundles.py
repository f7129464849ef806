"""A bundle, made when it is asked for: rows, then proofs of the transactions that told of them.

Whoever may see one account's things only gets no transaction that holds others': it is named, and a node or
an auditor has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.concurrency import run_in_threadpool

from api.chain import ChainReader
from api.db.chain_models import Block, Transaction
from api.db.engine import Sessions
from api.db.market_models import Book, Order
from api.evidence import rows, told
from api.evidence.proofs import Place, Prover
from api.evidence.receipts import KeptReceipt, Receipts
from api.evidence.rows import DayRows, Market
from settlement.chain import calldata
from settlement.chain.rpc import to_bytes, to_hex
from settlement.evidence.bundle import FORMAT, VERSION, BookPart, Bundle, OrderPart, ReceiptPart, WithheldPart

MOST_TRANSACTIONS = 64
"""Of a bundle; what comes behind is named only."""

SHOWN = frozenset(
    {
        *("setGrid", "openDay", "openSession", "commitBooks", "postHeader", "closeZone", "joinChildren"),
        *("registerMember", "registerMeter", "submit", "postMetering", "postDefault", "postCorrection"),
        *("claimOmission", "claimSubmitted", "claimVoid", "payClaim"),
    }
)
"""Calls that hold nothing of other accounts: the market's own, and those about the order itself."""


@dataclass(frozen=True)
class Found:
    """Everything that a bundle is made of."""

    account: str
    order: bytes
    epoch: int
    zone: int
    market: Market
    day: DayRows | None
    receipt: KeptReceipt | None
    sent: Sequence[Transaction]


class Bundles:
    """Makes bundles of one database and node."""

    def __init__(self, sessions: Sessions, chain: ChainReader) -> None:
        self._sessions, self._chain = sessions, chain
        self._prover, self._receipts = Prover(chain), Receipts(sessions)

    async def make(self, account: bytes, order: bytes, whole: bool) -> Bundle | None:
        """Evidence of an account's order; None if it has none such. `whole` bundles have transactions that
        hold other accounts' orders and readings too.
        """
        found = await self._find(to_hex(account), order)
        if found is None:
            return None
        parts = await self._proved(found.sent, whole)
        parts |= {"chain_id": await self._chain.chain_id(), "exchange": self._chain.exchange}
        return await run_in_threadpool(_bundle, found, parts)

    async def _find(self, account: str, order: bytes) -> Found | None:
        name = to_hex(order)
        receipt = await self._receipts.find(name)
        async with self._sessions() as db:
            row = await db.get(Order, name)
            place = row or receipt
            if place is None or place.trader != account:
                return None
            epoch, zone = place.epoch, place.zone
            signer = None if receipt is None else receipt.signer
            market = await rows.find_market(db, account, epoch, zone, name, signer)
            if market is None:
                return None
            cleared, energy = row is not None and row.outcome is not None, market.session.kind == 0
            day = await rows.find_day(db, account, zone, market.session.day) if cleared and energy else None
            hashes = {one.tx_hash for one in market.events}
            hashes |= set() if day is None else set(told.hashes_of_day(day))
            sent = await rows.transactions(db, hashes)
        return Found(account, order, epoch, zone, market, day, receipt, sent)

    async def _proved(self, sent: Sequence[Transaction], whole: bool) -> dict[str, Any]:
        """Blocks, transactions, and what is withheld, in the chain's order."""
        async with self._sessions() as db:
            hashes = await _block_hashes(db, {one.block_number for one in sent})
        names = {one.hash: _function(self._chain.exchange, one) for one in sent}
        shown = [one for one in sent if whole or names[one.hash] in SHOWN][:MOST_TRANSACTIONS]
        places = {one.hash: Place(one.hash, hashes[one.block_number]) for one in shown}
        proofs = await self._prover.prove(list(places.values()))
        found = [proofs[places[one.hash]] for one in sent if places.get(one.hash) in proofs]
        rest = [one for one in sent if places.get(one.hash) not in proofs]
        blocks = {block.hash: block for block, _ in found}
        return {
            "blocks": list(blocks.values()),
            "transactions": [one for _, one in found],
            "withheld": [_withheld(one, names[one.hash]) for one in rest],
        }


def _bundle(found: Found, parts: dict[str, Any]) -> Bundle:
    """What is told, beside its proofs. Of a large book the proof of membership takes a while."""
    market = found.market
    return Bundle.model_validate(
        {
            **{"format": FORMAT, "version": VERSION, "account": to_bytes(found.account)},
            **{"order": _order_part(found), "session": told.session_part(market.session)},
            **{"book": _book_part(market.book), **told.membership_parts(market, found.order)},
            **{"clearing": told.clearing_part(market), "claim": told.claim_part(market)},
            **{**_day_parts(found), "openings": [], **parts},
        }
    )


async def _block_hashes(db: AsyncSession, numbers: Iterable[int]) -> dict[int, str]:
    found = [await db.get(Block, number) for number in numbers]
    return {one.number: one.hash for one in found if one is not None}


def _function(exchange: bytes, sent: Transaction) -> str:
    """What of the Exchange is called; nothing if another contract is."""
    entry = calldata.function_of(sent.input) if sent.to == to_hex(exchange) else None
    return "" if entry is None else entry.name


def _withheld(sent: Transaction, function: str) -> WithheldPart:
    return WithheldPart(hash=to_bytes(sent.hash), block_number=sent.block_number, function=function)


def _order_part(found: Found) -> OrderPart:
    row, receipt = found.market.order, found.receipt
    record = to_bytes(row.record) if row is not None and row.record is not None else None
    if record is None and receipt is not None:
        record = receipt.record
    signed = receipt and ReceiptPart(sequence=receipt.sequence, signature=receipt.signature)
    place = {"hash": found.order, "epoch": found.epoch, "zone": found.zone}
    return OrderPart.model_validate({**place, "record": record, "receipt": signed})


def _book_part(row: Book | None) -> BookPart | None:
    return None if row is None else BookPart(count=row.count, root=to_bytes(row.root))


def _day_parts(found: Found) -> dict[str, Any]:
    if found.day is None:
        return {"settlement": None, "delivery": None, "corrections": []}
    return {
        "settlement": told.settlement_part(found.day, found.zone),
        "delivery": told.delivery_part(found.day),
        "corrections": told.correction_parts(found.day),
    }
