"""A chain with a bonded session that is open for orders, an index of it, and the app that takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import index_world  # noqa: F401  (puts tests/chain on the path)
from api_client import Api, running_api
from api_world import AUDITOR, OPERATOR
from chain_world import GATE, SIGNERS, World, running_world
from claims_world import Bonded, fund_operator, open_bonded
from index_world import indexed
from key_files import keystore_file

from settlement.chain import deploy
from settlement.chain.sign import Signer
from settlement.reference import orders
from settlement.reference.flexible import FlexibleSchedule
from settlement.reference.orders import SignedOrder

BEFORE_GATE = GATE - 600


@contextmanager
def bonded_world(**changes: Any) -> Iterator[Bonded]:
    """Open for orders; the chain is gone afterwards."""
    with running_world() as world:
        for role, signer in ((deploy.OPERATOR, OPERATOR), (deploy.AUDITOR, AUDITOR)):
            deploy.grant(world.chain, world.admin, world.deployment, role, [signer.address])
        fund_operator(world)
        yield open_bonded(world, **changes)


async def index(world: World, database_url: str) -> None:
    """Reads all of the chain into a database."""
    async with indexed(world, database_url) as found:
        await found.catch_up()


@asynccontextmanager
async def taking_orders(
    bonded: Bonded, folder: Path, database_url: str, signer: Signer, **changes: Any
) -> AsyncIterator[Api]:
    """An app that signs receipts with the key, some minutes before the gate."""
    changes = {"receipt_key_file": keystore_file(folder, signer), "database_url": database_url, **changes}
    async with running_api(bonded.world, folder, **changes) as api:  # type: ignore[arg-type]
        api.clock.now = BEFORE_GATE
        yield api


def hex_of(data: bytes) -> str:
    return "0x" + data.hex()


def body_of(order: SignedOrder) -> dict[str, Any]:
    """The JSON that submits an order: its EIP-712 message and signature."""
    one = order.schedule
    message: dict[str, Any] = {
        "trader": hex_of(one.trader),
        "session": hex_of(one.session),
        "zone": str(one.zone),
        "side": str(one.side),
        "kind": str(one.kind),
        "firstWindow": str(one.first_window),
        "nonce": str(one.nonce),
        "replaces": hex_of(one.replaces),
        "beneficiary": hex_of(one.beneficiary),
    }
    if isinstance(one, FlexibleSchedule):
        message |= {"windows": one.windows, "energyWh": str(one.energy_wh)}
        message |= {"maxWhPerWindow": one.max_wh_per_window, "limitMicroPerKWh": one.limit_micro_per_kwh}
        return {"primary_type": "FlexibleSchedule", "message": message, "signature": hex_of(order.signature)}
    message |= {"quality": one.quality, "quantityWh": [str(wh) for wh in one.quantity_wh]}
    message["limitMicroPerKWh"] = [str(limit) for limit in one.limit_micro_per_kwh]
    return {"primary_type": "Schedule", "message": message, "signature": hex_of(order.signature)}


def hash_of(bonded: Bonded, order: SignedOrder) -> str:
    return hex_of(orders.order_hash(bonded.separator, order.schedule))


def signer_of(account: bytes) -> Signer:
    return SIGNERS[account]
