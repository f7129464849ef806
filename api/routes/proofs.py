"""Whether an order is in a book that was committed, with the proof that the chain's root is of."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from api.db.market_models import Book, Order
from api.deps import CallerDep, QueriesDep
from api.errors import NotFound, documented
from api.etag import cacheable
from api.routes.sessions import HAS_IT, Epoch
from api.schemas.common import Hash
from api.schemas.proofs import AbsenceAnswer, InclusionAnswer, ProofAnswer
from settlement.chain.rpc import to_bytes
from settlement.reference import membership

router = APIRouter(prefix="/v1/sessions/{epoch}/books/{zone}", tags=["market"])

Zone = Annotated[int, Path(ge=0, lt=1 << 32, description="A zone of the session's grid.")]


@router.get(
    "/proofs/{order}",
    summary="Whether a book has an order",
    response_model=ProofAnswer,
    responses=HAS_IT | documented(NotFound),
)
async def proof(
    epoch: Epoch,
    zone: Zone,
    order: Annotated[Hash, Path(description="Hash of the order.")],
    request: Request,
    caller: CallerDep,
    queries: QueriesDep,
) -> Response:
    """Inclusion or absence, by Merkle proof under the committed root. Known once all of the book's orders
    were read by the chain: before, only the operator knows them.
    """
    book = await queries.one(Book, epoch, zone)
    if book is None or book.cleared != book.count:
        raise NotFound("this book is not committed, or the chain has not read all of its orders yet")
    query = select(Order.hash).where(Order.epoch == epoch, Order.zone == zone, Order.outcome.is_not(None))
    async with queries.sessions() as db:
        hashes = sorted(map(to_bytes, await db.scalars(query)))
    return cacheable(request, await run_in_threadpool(_answer, book, hashes, order))


def _answer(book: Book, hashes: list[bytes], order: bytes) -> ProofAnswer:
    inclusion = membership.prove_inclusion(hashes, order)
    absence = None if inclusion else membership.prove_absence(hashes, order)
    return ProofAnswer.model_validate(
        {
            "epoch": book.epoch,
            "zone": book.zone,
            "order": order,
            "count": book.count,
            "root": book.root,
            "inclusion": inclusion and InclusionAnswer.model_validate(inclusion, from_attributes=True),
            "absence": absence and AbsenceAnswer.model_validate(absence, from_attributes=True),
            "block_number": book.block_number,
            "tx_hash": book.tx_hash,
        }
    )
