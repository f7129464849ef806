"""The app under test, called in process, with a clock that tests set."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from api_world import World
from fastapi import FastAPI

from api.app import create_app
from api.auth import siwe
from api.deps import Services
from api.settings import Settings
from settlement.chain.sign import Signer

START = 1_780_315_200  # 2026-06-01T12:00:00Z


@dataclass
class Clock:
    """Unix seconds."""

    now: float = START

    def __call__(self) -> float:
        return self.now


@dataclass
class Api:
    """A running app."""

    app: FastAPI
    http: httpx.AsyncClient
    clock: Clock
    world: World

    @property
    def services(self) -> Services:
        found = self.app.state.services
        assert isinstance(found, Services)
        return found

    async def challenge(self, account: bytes, **fields: Any) -> str:
        """A message to sign."""
        answer = await self.http.post("/v1/auth/challenge", json={"account": "0x" + account.hex(), **fields})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["message"])

    async def send_login(self, message: str, signature: bytes) -> httpx.Response:
        return await self.http.post(
            "/v1/auth/login", json={"message": message, "signature": "0x" + signature.hex()}
        )

    async def login(self, signer: Signer) -> dict[str, Any]:
        """The tokens of a wallet."""
        message = await self.challenge(signer.address)
        answer = await self.send_login(message, signer.sign_digest(siwe.digest(message)))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def as_(self, signer: Signer | None) -> dict[str, str]:
        """Headers of a wallet that has logged in; of nobody for None."""
        return {} if signer is None else bearer((await self.login(signer))["access_token"])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def settings_for(world: World, folder: Path, **changes: Any) -> Settings:
    """Of an app over a world, with generous limits."""
    keys = folder / "identity.keys"
    keys.write_text(f"first {base64.b64encode(bytes(range(32))).decode()}\n")
    found = {
        "identity_key_file": keys,
        "database_url": f"sqlite+aiosqlite:///{folder / 'api.db'}",
        "rpc": world.anvil.rpc_url,
        "exchange": "0x" + world.deployment.exchange.hex(),
        "siwe_domain": "market.example",
        "siwe_uri": "https://market.example",
        "roles_cache_s": 0,
        "stream_s": 0,
        "logins_per_s": 1000,
        "logins_burst": 1000,
        **changes,
    }
    return Settings(_env_file=None, **found)


@asynccontextmanager
async def running_api(world: World, folder: Path, **changes: Any) -> AsyncIterator[Api]:
    """Started and stopped as a server would do."""
    clock = Clock()
    app = create_app(settings_for(world, folder, **changes), clock)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api.test") as http,
    ):
        yield Api(app, http, clock, world)
