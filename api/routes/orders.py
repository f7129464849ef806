"""Orders: what to sign, taking them one by one or by the thousand, taking them back, and receipts."""

from __future__ import annotations

import json
import secrets
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import ValidationError

from api.db.intake_models import AcceptedCancel, AcceptedOrder
from api.deps import CallerDep, CursorsDep, IntakeDep, OnceDep, PageDep, ServicesDep, StoreDep
from api.errors import InvalidRequest, MalformedRequest, OrderRefused, UnsupportedMedia, documented
from api.etag import cacheable
from api.intake import answers, wire
from api.intake.answers import unknown
from api.intake.desk import Declined, Desk
from api.intake.store import IntakeStore, ReceiptLine
from api.schemas.common import Account, Hash, to_hex
from api.schemas.orders import (
    MOST_BATCH,
    RECORDS,
    AcceptedAnswer,
    BatchAnswer,
    BatchBody,
    CancelBody,
    CancelDraftBody,
    DraftBody,
    FlexibleMessage,
    OrderAnswer,
    OrderBody,
    ReceiptAnswer,
    ReceiptPage,
    ReceiptRow,
    ScheduleDraftBody,
    ScheduleMessage,
    TypedDataAnswer,
)
from settlement.chain import books, packed
from settlement.chain.errors import UnacceptableOrder
from settlement.chain.receipts import cancel_hash
from settlement.chain.rpc import to_bytes
from settlement.reference.errors import Refused
from settlement.reference.orders import Order, SignedOrder

router = APIRouter(prefix="/v1", tags=["orders"])

JSON = "application/json"
_SCHEMA = {"$ref": "#/components/schemas/BatchBody"}
_BATCH_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": _SCHEMA},
            RECORDS: {"schema": {"type": "string", "format": "binary", "maxLength": 4 * 1024 * 1024}},
        },
    }
}


# What to sign -------------------------------------------------------------------------------------------


@router.post("/orders/typed-data", summary="An order to sign", responses=documented(OrderRefused))
async def order_typed_data(body: DraftBody, caller: CallerDep, desk: IntakeDep) -> TypedDataAnswer:
    """The EIP-712 data of an order, complete, if such an order could be taken now."""
    chain_id, separator = await desk.domain()
    order = await _complete(body, caller.account, desk)
    hash_ = packed.order_hash(separator, order)
    typed = wire.typed_order(order, chain_id, desk.exchange)
    return TypedDataAnswer(order=hash_, digest=hash_, typed_data=typed)


async def _complete(body: Any, caller: bytes, desk: Desk) -> Order:
    """The order with what its draft leaves open; OrderRefused if no session could clear it."""
    draft = body.message
    session = await desk.markets.by_id(draft.session)
    if session is None:
        raise answers.refusal(Declined(None, "its session was not opened yet"))
    trader = draft.trader or caller
    if trader != caller and not (await desk.keys.of([(trader, caller)])).keys:
        raise answers.refusal(Declined(None, "you hold no session key of its trader"))
    member = (await desk.members.of([trader]))[trader]
    values = draft.model_dump() | {"trader": trader}
    values["kind"] = session.params.kind if draft.kind is None else draft.kind
    values["zone"] = (member.zone if member else 0) if draft.zone is None else draft.zone
    values["nonce"] = secrets.randbits(63) if draft.nonce is None else draft.nonce
    values |= {name: getattr(draft, name) for name in ("session", "replaces", "beneficiary")}
    plain = isinstance(body, ScheduleDraftBody)
    order: Order = (
        wire.schedule_of(ScheduleMessage(**values)) if plain else wire.flexible_of(FlexibleMessage(**values))
    )
    try:
        hash_ = packed.order_hash((await desk.domain())[1], order)
        books.check_terms(session, hash_, order, member)
    except UnacceptableOrder as error:
        raise answers.refusal(Declined(error.order_hash, error.reason)) from error
    except Refused as error:
        raise answers.refusal(Declined(None, str(error))) from error
    return order


@router.post("/cancels/typed-data", summary="A cancel to sign")
async def cancel_typed_data(
    body: CancelDraftBody, caller: CallerDep, desk: IntakeDep, store: StoreDep
) -> TypedDataAnswer:
    """The EIP-712 data that takes an accepted order back."""
    row = await store.order(body.order)
    if row is None or to_hex(caller.account) not in (row.trader, row.signer, row.brought_by):
        raise answers.refusal(Declined(body.order, "it is not in the book"), cancel=True)
    (chain_id, separator), session = await desk.domain(), to_bytes(row.session)
    typed = wire.typed_cancel(body.order, session, chain_id, desk.exchange)
    digest = cancel_hash(separator, session, body.order)
    return TypedDataAnswer(order=body.order, digest=digest, typed_data=typed)


# Taking orders ------------------------------------------------------------------------------------------


@router.post(
    "/orders",
    summary="Submit a signed order",
    response_model=AcceptedAnswer,
    responses=documented(OrderRefused),
)
async def submit(
    body: OrderBody, caller: CallerDep, parts: ServicesDep, desk: IntakeDep, once: OnceDep
) -> Response:
    """The receipt of an order, of any trader: its signature says whose it is. It is durable by then. The same
    order again has the same receipt.
    """
    parts.charge_orders(caller.account, 1)

    async def write() -> Response:
        (outcome,) = await desk.take([wire.order_of(body)], caller.account)
        return _json(answers.one_of(outcome))

    return await once(write)


@router.post(
    "/orders/batch",
    summary="Submit many signed orders",
    response_model=BatchAnswer,
    responses=documented(OrderRefused),
    openapi_extra=_BATCH_BODY,
)
async def submit_batch(
    request: Request, caller: CallerDep, parts: ServicesDep, desk: IntakeDep, once: OnceDep
) -> Response:
    """Receipts of orders of any traders, and why the others were not taken, one by one. If a single one
    cannot be read, nothing is taken.
    """
    given = await _read_batch(request, desk)
    parts.charge_orders(caller.account, len(given))

    async def write() -> Response:
        return _json(answers.batch(await desk.take(given, caller.account)))

    return await once(write)


async def _read_batch(request: Request, desk: Desk) -> list[SignedOrder]:
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == RECORDS:
        return await _read_records(await request.body(), desk)
    if kind != JSON:
        raise UnsupportedMedia(f"send {JSON} or {RECORDS}")
    try:
        found = BatchBody.model_validate_json(await request.body())
    except ValidationError as error:
        problems = [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_input=False)]
        raise RequestValidationError(problems) from error
    return [wire.order_of(one) for one in found.orders]


async def _read_records(body: bytes, desk: Desk) -> list[SignedOrder]:
    if len(body) <= wire.SESSION_BYTES:
        raise MalformedRequest("the body is a session's id, then of each order its zone and its record")
    session = await desk.markets.by_id(body[: wire.SESSION_BYTES])
    if session is None:
        raise answers.refusal(Declined(None, "its session was not opened yet"))
    try:
        return wire.decode_batch(body, session, MOST_BATCH)
    except wire.MalformedItem as error:
        problem = {"pointer": f"/orders/{error.index}", "detail": "no zone and record of an order"}
        if error.index == MOST_BATCH:
            problem["detail"] = f"at most {MOST_BATCH} orders in one request"
        raise InvalidRequest(f"not valid: order {error.index}", errors=[problem]) from error


@router.post(
    "/cancels",
    summary="Submit a signed cancel",
    response_model=AcceptedAnswer,
    responses=documented(OrderRefused),
)
async def cancel(
    body: CancelBody,
    caller: CallerDep,
    parts: ServicesDep,
    desk: IntakeDep,
    store: StoreDep,
    once: OnceDep,
) -> Response:
    """The receipt of a cancel; the order is out of the book by then."""
    parts.charge_orders(caller.account, 1)
    row = await store.order(body.order)
    session = None if row is None else await desk.markets.by_id(to_bytes(row.session))
    if session is None:
        raise answers.refusal(Declined(body.order, "it is not in the book"), cancel=True)

    async def write() -> Response:
        outcome = await desk.cancel(session, body.order, body.signature, caller.account)
        return _json(answers.one_of(outcome, cancel=True))

    return await once(write)


def _json(body: dict[str, Any]) -> Response:
    return Response(json.dumps(body, separators=(",", ":")), media_type=JSON)


# What was taken -----------------------------------------------------------------------------------------


@router.get(
    "/orders/{order}",
    summary="An accepted order",
    response_model=OrderAnswer,
    responses={304: {"description": "The caller has it"}},
)
async def accepted_order(order: Hash, request: Request, caller: CallerDep, store: StoreDep) -> Response:
    """Its state and receipts, for its trader and whoever brought it."""
    row = await store.order(order)
    if row is None or not (caller.may_see(to_bytes(row.trader)) or to_hex(caller.account) == row.brought_by):
        raise unknown(to_hex(order))
    return cacheable(request, await _order_answer(row, store))


async def _order_answer(row: AcceptedOrder, store: IntakeStore) -> OrderAnswer:
    cancelled = await store.cancel_of(to_bytes(row.hash))
    return OrderAnswer.model_validate(
        {
            "order": row.hash,
            "epoch": row.epoch,
            "state": row.state,
            "trader": row.trader,
            "zone": row.zone,
            "record": row.record,
            "accepted_at": row.accepted_at,
            "receipt": _receipt(row.session, row.hash, row),
            "cancel_receipt": cancelled and _receipt(row.session, cancelled.digest, cancelled),
        }
    )


def _receipt(session: str, hash_: str, row: AcceptedOrder | AcceptedCancel | ReceiptLine) -> ReceiptAnswer:
    fields = {"session": session, "hash": hash_, "sequence": row.sequence, "signature": row.receipt}
    return ReceiptAnswer.model_validate(fields)


@router.get(
    "/accounts/{account}/receipts",
    summary="An account's receipts",
    response_model=ReceiptPage,
    responses={304: {"description": "The caller has it"}},
)
async def receipts(
    account: Account,
    request: Request,
    caller: CallerDep,
    store: StoreDep,
    cursors: CursorsDep,
    page: PageDep,
) -> Response:
    """Of its orders and cancels, session by session."""
    whose = to_hex(account)
    scope = f"receipts {whose}"
    rows = await store.receipts(whose, cursors.read(scope, page.cursor), page.limit)
    items, cursor = cursors.page(scope, rows, page.limit, lambda row: (row.epoch, row.sequence))
    return cacheable(request, ReceiptPage(items=[_row(one) for one in items], next_cursor=cursor))


def _row(line: ReceiptLine) -> ReceiptRow:
    return ReceiptRow.model_validate(
        {
            "epoch": line.epoch,
            "order": line.order,
            "what": line.what,
            "accepted_at": line.accepted_at,
            "receipt": _receipt(line.session, line.hash, line),
        }
    )
