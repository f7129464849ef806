"""Cash in and out, tokens handed over, keys let in: what the wallet signs or sends for it."""

from __future__ import annotations

from fastapi import APIRouter

from api.deps import CallerDep, ChainDep, QueriesDep, Services, ServicesDep
from api.errors import InvalidRequest, documented
from api.readmodel.query import Queries
from api.relays.kinds import KINDS, Value
from api.schemas.cash import (
    AcceptanceTerms,
    DepositAnswer,
    DepositTerms,
    KeyGrantTerms,
    KeyRevocationTerms,
    RelayKind,
    SessionWait,
    Terms,
    TransferTerms,
    TypedDataAnswer,
    UnsignedTransaction,
    WithdrawalAnswer,
    WithdrawalTerms,
)
from api.schemas.common import Account
from api.schemas.sessions import KINDS as PRODUCTS
from settlement.chain.abi import exchange_interface, interface
from settlement.chain.rpc import Call
from settlement.reference import eip712

router = APIRouter(prefix="/v1/accounts/{account}", tags=["cash"])

# What is signed -----------------------------------------------------------------------------------------


async def _typed_data(
    parts: Services, kind: RelayKind, account: bytes, terms: Terms, *values: Value
) -> TypedDataAnswer:
    """A message of the account, with its next nonce."""
    found, abi = KINDS[kind], exchange_interface()
    (word,) = await parts.chain.call_many([Call(parts.chain.exchange, abi.encode("nonces", account))])
    nonce, deadline = int(abi.decode("nonces", word)[0]), int(parts.now()) + terms.valid_s
    whole = (account, *values, nonce, deadline)
    chain_id = await parts.chain.chain_id()
    separator = eip712.domain_separator(chain_id, parts.chain.exchange)
    typed = found.typed_data(whole, chain_id, parts.chain.exchange)
    digest = found.digest(whole, separator)
    return TypedDataAnswer(kind=kind, typed_data=typed, digest=digest, nonce=nonce, deadline=deadline)


@router.post("/withdrawals/typed-data", summary="A withdrawal to sign")
async def withdrawal(
    account: Account, body: WithdrawalTerms, caller: CallerDep, parts: ServicesDep
) -> TypedDataAnswer:
    """Announces a withdrawal. It is paid out once every session that is open then has ended."""
    return await _typed_data(parts, "withdrawal", account, body, body.amount_nano)


@router.post("/transfers/typed-data", summary="A transfer to sign")
async def transfer(
    account: Account, body: TransferTerms, caller: CallerDep, parts: ServicesDep
) -> TypedDataAnswer:
    """Hands a claim or a certificate over. The recipient of a claim signs an acceptance first."""
    return await _typed_data(parts, "transfer", account, body, body.to, body.product, body.amount_wh)


@router.post("/acceptances/typed-data", summary="An acceptance to sign")
async def acceptance(
    account: Account, body: AcceptanceTerms, caller: CallerDep, parts: ServicesDep
) -> TypedDataAnswer:
    """Agrees to take a claim over from its holder."""
    return await _typed_data(parts, "acceptance", account, body, body.sender, body.product, body.amount_wh)


@router.post("/key-grants/typed-data", summary="A session key to grant")
async def key_grant(
    account: Account, body: KeyGrantTerms, caller: CallerDep, parts: ServicesDep
) -> TypedDataAnswer:
    """Lets a key sign orders within a scope."""
    kinds = sum(1 << PRODUCTS.index(kind) for kind in set(body.kinds))
    scope = (kinds, body.max_wh_per_window, body.max_spend_nano_per_day, body.expires_at)
    return await _typed_data(parts, "key_grant", account, body, body.key, body.zone, *scope)


@router.post("/key-revocations/typed-data", summary="A session key to end")
async def key_revocation(
    account: Account, body: KeyRevocationTerms, caller: CallerDep, parts: ServicesDep
) -> TypedDataAnswer:
    """Ends a key, for good."""
    return await _typed_data(parts, "key_revocation", account, body, body.key)


# What is announced --------------------------------------------------------------------------------------


@router.get("/withdrawals/pending", summary="The withdrawal that is announced")
async def pending(
    account: Account, caller: CallerDep, parts: ServicesDep, queries: QueriesDep
) -> WithdrawalAnswer:
    """As the chain has it, and which sessions it waits for."""
    abi, exchange = exchange_interface(), parts.chain.exchange
    block = await parts.chain.block_number()
    names = ("withdrawalOf", "cashOf")
    calls = [Call(exchange, abi.encode(name, account)) for name in names]
    announced, held = await parts.chain.call_many(calls, block)
    amount, after = abi.decode("withdrawalOf", announced)
    call = abi.encode("executeWithdrawal", account)
    why = await parts.relayer.refusal(account, call) if amount else None
    return WithdrawalAnswer(
        account=account,
        amount_nano=amount,
        after_epoch=after,
        free_nano=abi.decode("cashOf", held)[0],
        waits_for=await _waits(queries, after) if amount else [],
        ready=bool(amount) and why is None,
        error=None if why is None else why.name or "NoReason",
    )


async def _waits(queries: Queries, after: int) -> list[SessionWait]:
    """Sessions up to an epoch that have not ended, as the read model has them."""
    clock = await queries.clockwork()
    rows = [] if clock is None else await queries.unproved(after)
    return [
        SessionWait(epoch=row.epoch, stage=clock.stage(row), deadline=clock.deadline(row))
        for row in rows
        if clock is not None and clock.stage(row) != "void"
    ]


# What is sent by the wallet -----------------------------------------------------------------------------


@router.post(
    "/deposits/transactions", summary="Transactions that bring cash in", responses=documented(InvalidRequest)
)
async def deposit(account: Account, body: DepositTerms, caller: CallerDep, chain: ChainDep) -> DepositAnswer:
    """Unsigned: the wallet sends them itself, since the token is its own. The first is left out where the
    Exchange may take as much already.
    """
    abi, erc20 = exchange_interface(), interface("SettlementToken")
    (word,) = await chain.call_many([Call(chain.exchange, abi.encode("settlementToken"))])
    token = bytes(abi.decode("settlementToken", word)[0])
    asked = [
        Call(token, erc20.encode("balanceOf", account)),
        Call(token, erc20.encode("allowance", account, chain.exchange)),
    ]
    balance, allowance = (int.from_bytes(one, "big") for one in await chain.call_many(asked))
    if balance < body.amount_nano:
        problem = {"pointer": "/amount_nano", "detail": f"the wallet has {balance} of the settlement token"}
        raise InvalidRequest("not valid: /amount_nano", errors=[problem])
    calls = [("deposit", chain.exchange, abi.encode("deposit", account, body.amount_nano))]
    if allowance < body.amount_nano:
        calls.insert(0, ("approve", token, erc20.encode("approve", chain.exchange, body.amount_nano)))
    chain_id = await chain.chain_id()
    sent = [
        UnsignedTransaction.model_validate(
            {"purpose": purpose, "sender": account, "to": to, "data": data, "chain_id": chain_id}
        )
        for purpose, to, data in calls
    ]
    return DepositAnswer(token=token, balance_nano=balance, allowance_nano=allowance, transactions=sent)
