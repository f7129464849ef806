"""The clients: one for threads, one for asyncio, the same methods."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx

from api.client.cache import Cache
from api.client.core import Core
from api.client.messages import Messages
from api.client.retries import Retries
from api.client.routes import Routes
from api.client.seams import AsyncSeam, Seam
from api.client.service import Service, Wallet
from api.client.session import Sessions
from api.client.trading import Trading


class Client(Routes, Trading, Messages, Sessions, Seam):
    """Asks and waits. Threads may share it; so may calls of one thread."""

    def __init__(
        self,
        service: Service,
        wallet: Wallet | None = None,
        *,
        retries: Retries | None = None,
        cache: Cache | None = None,
        now: Callable[[], float] = time.time,
        http: httpx.Client | None = None,
    ) -> None:
        """`now` gives Unix seconds. `http` brings a transport of its own, and is closed with the client."""
        super().__init__(_core(service, wallet, retries, cache, now), http)

    def close(self) -> None:
        """Closes its connections; the login stays valid until `log_out`."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(Routes, Trading, Messages, Sessions, AsyncSeam):
    """The same to be awaited. Tasks of one loop may share it."""

    def __init__(
        self,
        service: Service,
        wallet: Wallet | None = None,
        *,
        retries: Retries | None = None,
        cache: Cache | None = None,
        now: Callable[[], float] = time.time,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        """`now` gives Unix seconds. `http` brings a transport of its own, and is closed with the client."""
        super().__init__(_core(service, wallet, retries, cache, now), http)

    async def close(self) -> None:
        """Closes its connections; the login stays valid until `log_out`."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _core(
    service: Service,
    wallet: Wallet | None,
    retries: Retries | None,
    cache: Cache | None,
    now: Callable[[], float],
) -> Core:
    return Core(service, wallet, retries or Retries(), Cache() if cache is None else cache, now)
