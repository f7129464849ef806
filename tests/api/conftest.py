"""One chain for the tests of the API; what they change on it, they turn back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from api_client import Api, running_api
from api_world import World, running_world
from databases import KINDS, create_database, running_postgres, why_not

from api.chain import ChainReader


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    with running_world() as found:
        yield found


@pytest.fixture
async def reader(world: World) -> AsyncIterator[ChainReader]:
    found = ChainReader(world.anvil.rpc_url, world.deployment.exchange, timeout_s=5)
    yield found
    await found.close()


@pytest.fixture
async def api(world: World, tmp_path: Path) -> AsyncIterator[Api]:
    async with running_api(world, tmp_path) as found:
        yield found


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A server for all tests that need one."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with running_postgres() as address:
        yield address


@pytest.fixture(params=KINDS)
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    return await create_database(request.getfixturevalue("postgres"))
