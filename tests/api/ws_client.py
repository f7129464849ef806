"""A WebSocket to the app, in process, whose reader may be as slow as a test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from api_client import Api
from sqlalchemy import insert

from api.db.chain_models import Notice

PATIENCE_S = 5


class Talk:
    """One end of a socket."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outgoing: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.code: int | None = None
        self.reason = ""

    async def of_app(self, message: dict[str, Any]) -> None:
        """What a server does with a message: it waits while the other end does not read."""
        if message["type"] == "websocket.send":
            await self.reads.wait()
        if message["type"] == "websocket.close":
            self.code, self.reason = message["code"], message.get("reason") or ""
        self.incoming.put_nowait(message)

    def send(self, message: Any) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        self.outgoing.put_nowait({"type": "websocket.receive", "text": text})

    async def next(self) -> dict[str, Any]:
        """The next raw message of the app."""
        return await asyncio.wait_for(self.incoming.get(), PATIENCE_S)

    async def read(self) -> Any:
        """The next object."""
        message = await self.next()
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def read_events(self, count: int) -> list[Any]:
        found = [await self.read() for _ in range(count)]
        assert {one["type"] for one in found} <= {"event"}
        return found

    async def end(self) -> int:
        """The code that it is closed with, whatever comes before."""
        while (await self.next())["type"] != "websocket.close":
            pass
        assert self.code is not None
        return self.code


@asynccontextmanager
async def opened(
    api: Api, headers: dict[str, str] | None = None, protocols: Sequence[str] = (), accepted: bool = True
) -> AsyncIterator[Talk]:
    """A socket whose handshake was answered; at the end the listener is gone."""
    talk = Talk()
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/v1/ws",
        "raw_path": b"/v1/ws",
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        "subprotocols": list(protocols),
        "client": ("127.0.0.1", 1),
        "server": ("api.test", 80),
    }
    talk.outgoing.put_nowait({"type": "websocket.connect"})
    running = asyncio.create_task(api.app(scope, talk.outgoing.get, talk.of_app))
    try:
        first = await talk.next()
        assert (first["type"] == "websocket.accept") is accepted, first
        talk.incoming.put_nowait(first) if not accepted else None
        talk.accepted = first  # type: ignore[attr-defined]
        yield talk
        talk.outgoing.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(running, PATIENCE_S)
    finally:
        running.cancel()


async def tell(api: Api, *accounts: str | None, topic: str = "gate") -> list[str]:
    """Puts notices about accounts, or about everybody, behind all others; their ids."""
    about = {"name": "SessionOpened", "removed": False, "block_number": 1, "block_hash": "0x" + "11" * 32}
    place = {"log_index": 0, "tx_hash": "0x" + "22" * 32, "time": 0, "args": {}}
    ids = []
    async with api.services.sessions.begin() as session:
        for account in accounts:
            row = {**about, **place, "topic": topic, "account": account}
            found = await session.scalar(insert(Notice).values(row).returning(Notice.id))
            ids.append(str(found))
    return ids
