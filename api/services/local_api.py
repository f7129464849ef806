"""The API and its indexer in a thread of this process, on a loopback port, over a database in a folder.

It is the app that a deployment serves: whoever uses it goes over HTTP. Only its clock is somebody else's, so
that days can pass in seconds.
"""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from api.app import create_app
from api.client.service import Service
from api.db.engine import open_engine, sessions_of
from api.intake.store import IntakeStore
from api.readmodel.service import opened
from api.settings import Settings
from settlement.chain.books import Session
from settlement.errors import TrellisError
from settlement.reference.orders import SignedOrder

READY_S = 30.0
POLL_S = 0.05
PASSWORD = "of no value"
GENEROUS: dict[str, Any] = {
    **{"reads_per_s": 1e6, "writes_per_s": 1e6, "logins_per_s": 1e6, "orders_per_s": 1e6},
    **{"reads_burst": 10**6, "writes_burst": 10**6, "logins_burst": 10**6, "orders_burst": 10**6},
}
"""Limits of a service whose clients are all in this process, at one address."""


@dataclass
class ChainTime:
    """The chain's time, which goes on like this machine's until it is told again."""

    ahead_s: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s

    def tell(self, now: float) -> None:
        """Unix seconds of the chain."""
        self.ahead_s = now - time.time()


@dataclass
class LocalApi:
    """A running one."""

    service: Service
    """For its clients."""
    settings: Settings
    time: ChainTime


@dataclass
class _Thread:
    """One server with its indexer."""

    settings: Settings
    time: ChainTime
    listening: socket.socket
    from_block: int | None
    told: queue.Queue[uvicorn.Server | BaseException] = field(default_factory=queue.Queue)

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self.told.put(error)

    async def _serve(self) -> None:
        app = create_app(self.settings, self.time)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on"))
        async with opened(self.settings, self.from_block) as indexer:
            stop = asyncio.Event()
            following = asyncio.create_task(indexer.run(stop, self.settings.index_poll_s))
            serving = asyncio.create_task(server.serve(sockets=[self.listening]))
            while not server.started and not serving.done():
                await asyncio.sleep(0.005)
            if not serving.done():
                self.told.put(server)
            await serving
            stop.set()
            await following


@contextmanager
def local_api(
    rpc: str,
    chain_id: int,
    exchange: bytes,
    folder: Path,
    clock: ChainTime,
    from_block: int | None = None,
    **changes: Any,
) -> Iterator[LocalApi]:
    """An API of a deployment that begins in a block, gone afterwards. `folder` holds its database, `changes`
    are of its settings.
    """
    listening = socket.create_server(("127.0.0.1", 0))
    service = Service(f"http://127.0.0.1:{listening.getsockname()[1]}", chain_id, exchange)
    given: dict[str, Any] = {
        "database_url": f"sqlite+aiosqlite:///{folder / 'api.db'}",
        "rpc": rpc,
        "exchange": "0x" + exchange.hex(),
        "siwe_domain": service.domain,
        "siwe_uri": service.uri,
        "index_poll_s": POLL_S,
        "log_level": "ERROR",
    }
    settings = Settings(_env_file=None, **(given | GENEROUS | changes))  # type: ignore[call-arg]
    thread = _Thread(settings, clock, listening, from_block)
    running = threading.Thread(target=thread.run, name="api", daemon=True)
    running.start()
    server = _started(thread)
    try:
        yield LocalApi(service, settings, clock)
    finally:
        server.should_exit = True
        running.join(READY_S)
        listening.close()


def _started(thread: _Thread) -> uvicorn.Server:
    try:
        found = thread.told.get(timeout=READY_S)
    except queue.Empty:
        raise TrellisError(f"the API did not start within {READY_S:.0f} s") from None
    if isinstance(found, BaseException):
        raise found
    return found


# For the operator ---------------------------------------------------------------------------------------


def sealed_orders(settings: Settings, session: Session, at: int) -> list[SignedOrder]:
    """What the API took for a session, closed for ever; `at` is Unix seconds, not before the gate."""

    async def seal() -> list[SignedOrder]:
        engine = open_engine(settings.database_url)
        try:
            return await IntakeStore(sessions_of(engine)).seal(session, at)
        finally:
            await engine.dispose()

    return asyncio.run(seal())
