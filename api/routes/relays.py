"""What members signed, sent for them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse, Response

from api.db.relay_models import Relay
from api.deps import CallerDep, OnceDep, Services, ServicesDep, take
from api.errors import (
    ContractRefused,
    Forbidden,
    InvalidRequest,
    NotFound,
    RelayUnavailable,
    documented,
)
from api.relays.kinds import EXECUTION, KINDS, BadField
from api.relays.relayer import Order
from api.schemas.cash import RelayAnswer, RelayRequest
from api.schemas.common import Account, Hash, to_hex
from settlement.chain.abi import exchange_interface
from settlement.chain.rpc import Call, to_bytes
from settlement.reference import eip712
from settlement.reference.eip712 import keccak
from settlement.reference.errors import InvalidSignature

router = APIRouter(prefix="/v1", tags=["relays"])

MINE = documented(ContractRefused, RelayUnavailable)


def _bad(pointer: str, detail: str) -> InvalidRequest:
    return InvalidRequest(f"not valid: {pointer}", errors=[{"pointer": pointer, "detail": detail}])


def answer_of(row: Relay) -> RelayAnswer:
    """What is told of a relay."""
    own = {name: getattr(row, name) for name in RelayAnswer.model_fields}
    return RelayAnswer.model_validate(own)


async def _sent(parts: Services, order: Order) -> Response:
    row = await parts.relayer.relay(order, lambda: take(parts, "relays", to_hex(order.account)))
    body = answer_of(row).model_dump(mode="json")
    return JSONResponse(body, 202, {"Location": f"/v1/relays/{row.tx_hash}"})


@router.post(
    "/relays", summary="Send what I signed", status_code=202, response_model=RelayAnswer, responses=MINE
)
async def relay(body: RelayRequest, caller: CallerDep, parts: ServicesDep, once: OnceDep) -> Response:
    """Sends a message that the caller signed, once: the same message again gets the same transaction. The
    chain is asked first, so what it would refuse costs nothing.
    """

    async def write() -> Response:
        parts.relayer.signer()
        return await _sent(parts, await _judged(body, caller.account, parts))

    return await once(write)


async def _judged(body: RelayRequest, caller: bytes, parts: Services) -> Order:
    """The order of a message that is of now, the caller's, and signed."""
    kind = KINDS[body.kind]
    try:
        values = kind.read(body.message)
    except BadField as fault:
        raise _bad(f"/message/{fault.field[:64]}", fault.detail) from fault
    if values[0] != caller:
        raise Forbidden("the message is another account's: whoever signed it sends it")
    deadline = values[-1]
    if not isinstance(deadline, int) or deadline < parts.now():
        raise _bad("/message/deadline", "it has passed: ask for a new message and sign it")
    separator = eip712.domain_separator(await parts.chain.chain_id(), parts.chain.exchange)
    digest = eip712.digest(separator, kind.struct_hash(values))
    try:
        signer = eip712.recover(digest, body.signature)
    except InvalidSignature as cause:
        raise _bad("/signature", "65 bytes with low s, v 27 or 28") from cause
    if signer != caller:
        raise _bad("/signature", "another key signed, or another message: sign the typed data as it is")
    return Order(body.kind, caller, digest, kind.calldata(values, body.signature))


@router.post(
    "/accounts/{account}/withdrawals/pending/execution",
    summary="Pay my withdrawal out",
    status_code=202,
    response_model=RelayAnswer,
    responses=MINE,
)
async def execute(account: Account, caller: CallerDep, parts: ServicesDep, once: OnceDep) -> Response:
    """Sends `executeWithdrawal`, which pays the account. Anyone may call it on chain; nothing is signed."""

    async def write() -> Response:
        parts.relayer.signer()
        abi, exchange = exchange_interface(), parts.chain.exchange
        data = abi.encode("executeWithdrawal", account)
        (found,) = await parts.chain.call_many([Call(exchange, abi.encode("withdrawalOf", account))])
        return await _sent(parts, Order(EXECUTION, account, keccak(data + found), data))

    return await once(write)


@router.get("/relays/{tx}", summary="What became of it", responses=documented(NotFound))
async def read_relay(
    tx: Annotated[Hash, Path(description="Hash of the transaction.")], caller: CallerDep, parts: ServicesDep
) -> RelayAnswer:
    """Pending, mined, or failed with the contract's error; of one's own messages."""
    row = await parts.relayer.store.of_hash(to_hex(tx))
    if row is None or not caller.may_see(to_bytes(row.account)):
        raise NotFound("no transaction of yours was sent with this hash")
    return answer_of(await parts.relayer.refreshed(row))
