"""Sends what participants signed, with a key that has no right on chain: it only pays the gas.

    judged      the message is of now, of the caller, signed by the caller; then the chain is asked (eth_call)
    kept        a row with the signed transaction, unique by the digest of the message
    sent        the bytes of the row, again and again, until there is a receipt
    known       mined, or failed with the contract's error

A message comes twice: the row that is there answers. Its nonce is of single use on chain too, so a copy that
somebody else sends makes ours fail and nothing happens twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from anyio import to_thread

from api import logs
from api.chain import ChainReader
from api.db.relay_models import Relay
from api.errors import ContractRefused, RelayUnavailable, Unavailable
from api.relays.store import FAILED, MINED, PENDING, RelayStore
from api.schemas.common import to_hex
from settlement.chain.client import MOST_GAS
from settlement.chain.errors import ChainError, ContractRevert, NodeError
from settlement.chain.rpc import as_revert, request, to_bytes
from settlement.chain.sign import Signer
from settlement.chain.transaction import Transaction
from settlement.errors import TrellisError
from settlement.reference.eip712 import keccak

FOLLOW_S = 1.0
"""Between two looks at what is pending."""
ATTEMPTS = 5
"""At a nonce, where several processes send with one key."""
NOT_TAKEN, REPLACED = "NotTaken", "Replaced"
"""The node refused the transaction; another one of the same sender took its place."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be sent."""

    kind: str
    account: bytes
    claim: bytes
    """Names it: the digest that was signed."""
    data: bytes
    """Of the call of the Exchange."""
    once: bool = True
    """Whether it can be mined only once for ever; otherwise it may be sent anew once it was mined."""


class Relayer:
    """Sends with one key."""

    def __init__(
        self, chain: ChainReader, store: RelayStore, signer: Signer | None, now: Callable[[], float]
    ) -> None:
        """Without a signer nothing is sent; what was sent before is still known."""
        self._chain, self.store, self._signer, self._now = chain, store, signer, now
        self._one_by_one = asyncio.Lock()

    def signer(self) -> Signer:
        """RelayUnavailable without one."""
        if self._signer is None:
            raise RelayUnavailable("this service sends nothing for others: send it from a wallet of your own")
        return self._signer

    async def relay(self, order: Order, allowed: Callable[[], None]) -> Relay:
        """The row of the order's transaction, sent before or now. `allowed` raises if no more may be sent.

        ContractRefused if the chain would refuse it, RelayUnavailable without a key.
        """
        signer, claim = self.signer(), to_hex(order.claim)
        found = await self.store.of_claim(claim)
        if found is not None:
            return await self.refreshed(found)
        allowed()
        gas = await self._gas(signer, order.data)
        async with self._one_by_one:
            kept = await self._kept(signer, order, gas)
        await self._send(kept)
        return await self.store.of_hash(kept.tx_hash) or kept

    # Judged ---------------------------------------------------------------------------------------------

    async def refusal(self, sender: bytes, data: bytes, block: str = "latest") -> ContractRevert | None:
        """What the Exchange would refuse a call with; None if it would not."""
        try:
            await self._chain.rpc("eth_call", request(sender, self._chain.exchange, data), block)
        except NodeError as error:
            why = as_revert(error)
            if isinstance(why, ContractRevert):
                return why
            raise
        return None

    async def _gas(self, signer: Signer, data: bytes) -> int:
        """What it needs and a quarter more: what others send first may change the path it takes."""
        why = await self.refusal(signer.address, data)
        if why is not None:
            raise refused(why)
        asked = request(signer.address, self._chain.exchange, data)
        estimate = int(await self._chain.rpc("eth_estimateGas", asked), 16)
        return min(estimate + estimate // 4, MOST_GAS)

    # Kept -----------------------------------------------------------------------------------------------

    async def _kept(self, signer: Signer, order: Order, gas: int) -> Relay:
        claim, sender = to_hex(order.claim), to_hex(signer.address)
        for _ in range(ATTEMPTS):
            counted = int(await self._chain.rpc("eth_getTransactionCount", sender, "pending"), 16)
            nonce = await self.store.next_nonce(sender, counted)
            raw = await self._signed(signer, order.data, nonce, gas)
            fields = {"tx_hash": to_hex(keccak(raw)), "kind": order.kind, "account": to_hex(order.account)}
            own = {"claim": claim, "sender": sender, "sender_nonce": nonce, "raw": raw}
            await self.store.add(**fields, **own, created_at=int(self._now()))
            found = await self.store.of_claim(claim)  # ours, or of whoever was faster
            if found is not None:
                return found
        raise Unavailable("too much is being sent at once: try again")

    async def _signed(self, signer: Signer, data: bytes, nonce: int, gas: int) -> bytes:
        block = await self._chain.rpc("eth_getBlockByNumber", "latest", False)
        price = 2 * int(block.get("baseFeePerGas", "0x0"), 16)  # the fee may rise until it is mined
        terms = (await self._chain.chain_id(), nonce, gas, price, self._chain.exchange, 0, data)
        try:
            return await to_thread.run_sync(signer.sign_transaction, Transaction(*terms))
        except TrellisError as cause:
            logs.event("the relay key does not sign", reason=type(cause).__name__)
            raise RelayUnavailable("the relay key does not sign now: try again") from cause

    # Sent -----------------------------------------------------------------------------------------------

    async def _send(self, row: Relay) -> None:
        """Once more; whoever has it already says so, and that is no refusal."""
        try:
            await self._chain.rpc("eth_sendRawTransaction", to_hex(row.raw))
        except NodeError as error:
            if error.__cause__ is not None or await self._seen(row):
                return  # it did not answer, and may have it; or it has it
            logs.event("relay not taken", tx_hash=row.tx_hash)
            await self.store.finish(row.tx_hash, FAILED, error=NOT_TAKEN, claim=None, sender_nonce=None)

    async def _seen(self, row: Relay) -> bool:
        return await self._chain.rpc("eth_getTransactionByHash", row.tx_hash) is not None

    # Known ----------------------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Sends what is pending again and notes what became of it, until it is cancelled."""
        while True:
            try:
                for row in await self.store.pending():
                    await self._look(row)
            except (ChainError, OSError):
                logs.event("relays cannot be followed")
            await asyncio.sleep(FOLLOW_S)

    async def refreshed(self, row: Relay) -> Relay:
        """As the chain has it now."""
        if row.state != PENDING:
            return row
        await self._look(row)
        return await self.store.of_hash(row.tx_hash) or row

    async def _look(self, row: Relay) -> None:
        count = int(await self._chain.rpc("eth_getTransactionCount", row.sender, "latest"), 16)
        receipt = await self._chain.rpc("eth_getTransactionReceipt", row.tx_hash)
        if receipt is not None:
            await self._note(row, receipt)
        elif row.sender_nonce is not None and count > row.sender_nonce and not await self._seen(row):
            await self.store.finish(row.tx_hash, FAILED, error=REPLACED, claim=None)
        else:
            await self._send(row)

    async def _note(self, row: Relay, receipt: Any) -> None:
        number = int(receipt["blockNumber"], 16)
        if int(receipt["status"], 16) == 1:
            freed = {"claim": None} if row.kind == "execution" else {}
            await self.store.finish(row.tx_hash, MINED, block_number=number, **freed)
            return
        sent = await self._chain.rpc("eth_getTransactionByHash", row.tx_hash)
        why = await self._why(row, to_bytes(sent["input"]), number)
        told = {"error": why.name[:64], "arguments": [plain(one) for one in why.arguments]}
        await self.store.finish(row.tx_hash, FAILED, block_number=number, claim=None, **told)

    async def _why(self, row: Relay, data: bytes, number: int) -> ContractRevert:
        try:
            found = await self.refusal(to_bytes(row.sender), data, hex(number))
        except ChainError:
            found = None
        return found or ContractRevert("")


def refused(why: ContractRevert) -> ContractRefused:
    """The problem of a contract's refusal."""
    return ContractRefused(why.name or "NoReason", [plain(one) for one in why.arguments])


def plain(value: Any) -> Any:
    """An argument of an error as it travels."""
    if isinstance(value, bytes):
        return to_hex(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(one) for one in value]
    return str(value)
