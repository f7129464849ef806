"""Members with cash, and an app that sends what they sign."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
from api_client import Api, running_api
from api_world import NEIGHBOUR, PROSUMER_KEY, World, key

from settlement.chain import deploy
from settlement.chain.client import AnvilClock
from settlement.chain.exchange import Token
from settlement.chain.keystore import create_keystore
from settlement.chain.sign import Signer

RELAY = key(90)
CASH = 5_000_000_000
HOME, OTHER = "0x" + PROSUMER_KEY.address.hex(), "0x" + NEIGHBOUR.address.hex()


@contextmanager
def cash_world(world: World) -> Iterator[World]:
    """The world with cash in two accounts, and tokens in a wallet; it is turned back afterwards."""
    clock = AnvilClock(world.chain)
    before = clock.snapshot()
    try:
        deploy.grant(world.chain, world.admin, world.deployment, deploy.MINTER, [world.admin.address])
        token = Token(world.chain, world.deployment)
        token.mint(world.admin, world.admin.address, 2 * CASH)
        token.mint(world.admin, PROSUMER_KEY.address, CASH)
        token.approve(world.admin, world.deployment.exchange, 2 * CASH)
        for member in (PROSUMER_KEY, NEIGHBOUR):
            world.exchange.send(world.admin, "deposit", member.address, CASH)
        yield world
    finally:
        clock.revert(before)


@asynccontextmanager
async def relaying(world: World, folder: Path, **changes: Any) -> AsyncIterator[Api]:
    """An app with a relay key, whose time is the chain's."""
    file = folder / "relay.json"
    if not file.exists():
        create_keystore(file, RELAY.secret)
    async with running_api(world, folder, **{"relay_key_file": file, **changes}) as api:
        api.clock.now = world.chain.now()
        yield api


async def post(api: Api, path: str, signer: Signer, body: Any = None) -> httpx.Response:
    return await api.http.post(path, headers=await api.as_(signer), json=body)


async def to_sign(api: Api, what: str, terms: Any, signer: Signer = PROSUMER_KEY) -> Any:
    """Typed data of `withdrawals` and the like."""
    path = f"/v1/accounts/0x{signer.address.hex()}/{what}/typed-data"
    answer = await post(api, path, signer, terms)
    assert answer.status_code == 200, answer.text
    return answer.json()


def signed(data: Any, signer: Signer = PROSUMER_KEY) -> dict[str, Any]:
    """The request that sends typed data."""
    signature = signer.sign_digest(bytes.fromhex(data["digest"][2:]))
    message = data["typed_data"]["message"]
    return {"kind": data["kind"], "message": message, "signature": "0x" + signature.hex()}


async def withdrawal(api: Api, amount: int = 1_000, signer: Signer = PROSUMER_KEY) -> dict[str, Any]:
    """A signed withdrawal."""
    return signed(await to_sign(api, "withdrawals", {"amount_nano": str(amount)}, signer), signer)
