"""A day that was traded, settled and certified, behind a real server, for clients of either kind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import index_world  # noqa: F401  (puts tests/chain on the path)
from api_world import AUDITOR, OPERATOR, REGULATOR
from audit_world import run_day
from chain_world import World, running_world

from api.client import AsyncClient, Client
from api.services.local_api import ChainTime, LocalApi, local_api
from settlement.chain import deploy
from settlement.chain.sign import Signer

GRANTS = {deploy.OPERATOR: OPERATOR, deploy.AUDITOR: AUDITOR, deploy.REGULATOR: REGULATOR}


@dataclass
class Market:
    """A served world."""

    world: World
    api: LocalApi

    @contextmanager
    def client(self, wallet: Signer | None = None, **options: Any) -> Iterator[Client]:
        with Client(self.api.service, wallet, **({"now": self.api.time} | options)) as found:
            yield found

    @asynccontextmanager
    async def async_client(self, wallet: Signer | None = None, **options: Any) -> AsyncIterator[AsyncClient]:
        async with AsyncClient(self.api.service, wallet, **({"now": self.api.time} | options)) as found:
            yield found


@contextmanager
def running_market(
    folder: Path, prepare: Callable[[World], None] = run_day, **changes: Any
) -> Iterator[Market]:
    """The market is closed and gone afterwards."""
    with running_world() as world:
        for role, signer in GRANTS.items():
            deploy.grant(world.chain, world.admin, world.deployment, role, [signer.address])
        prepare(world)
        time = ChainTime()
        time.tell(world.chain.now())
        place = (world.anvil.rpc_url, world.chain.chain_id, world.deployment.exchange)
        with local_api(*place, folder, time, **changes) as api, Client(api.service) as client:
            client.wait_for_block(world.chain.block_number())
            yield Market(world, api)
