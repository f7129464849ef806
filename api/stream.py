"""The event stream: notices of the read model as server-sent events, from any of them on.

Each has the number of its notice as id. Whoever comes back with `Last-Event-ID` misses nothing and gets
nothing twice; after a reorganisation `removed` events take back what was said, the last first.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from sqlalchemy import func, or_, select

from api.db.chain_models import Notice
from api.db.engine import Sessions
from api.schemas.common import rfc3339

AT_ONCE = 500
POLL_S = 0.5
RETRY_MS = 1000
KEEP_ALIVE_S = 15.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller hears."""

    account: str
    sees_all: bool
    """Everybody's, not only its own and what is public."""
    topics: Collection[str]
    """Empty is all."""


async def latest(sessions: Sessions) -> int:
    """Number of the last notice; 0 if there is none."""
    async with sessions() as session:
        return await session.scalar(select(func.max(Notice.id))) or 0


async def behind(sessions: Sessions, wanted: Wanted, after: int) -> list[Notice]:
    """The next notices that a caller hears."""
    query = select(Notice).where(Notice.id > after).order_by(Notice.id).limit(AT_ONCE)
    if not wanted.sees_all:
        query = query.where(or_(Notice.account.is_(None), Notice.account == wanted.account))
    if wanted.topics:
        query = query.where(Notice.topic.in_(wanted.topics))
    async with sessions() as session:
        return list(await session.scalars(query))


async def events(sessions: Sessions, wanted: Wanted, after: int, seconds: float) -> AsyncIterator[bytes]:
    """Server-sent events from behind a number on, for so long; then whoever listens asks again."""
    yield f"retry: {RETRY_MS}\n\n".encode()
    loop = asyncio.get_running_loop()
    ends, quiet = loop.time() + seconds, loop.time()
    while True:
        found = await behind(sessions, wanted, after)
        for one in found:
            after = one.id
            yield written(one)
        if found:
            quiet = loop.time()
            continue
        if loop.time() >= ends:
            return
        if loop.time() - quiet >= KEEP_ALIVE_S:
            yield b": still here\n\n"
            quiet = loop.time()
        await asyncio.sleep(min(POLL_S, max(ends - loop.time(), 0)))


def written(notice: Notice) -> bytes:
    """One event in the format of the HTML standard, section 9.2."""
    body = {
        "topic": notice.topic,
        "name": notice.name,
        "removed": notice.removed,
        "account": notice.account,
        "block_number": str(notice.block_number),
        "block_hash": notice.block_hash,
        "log_index": str(notice.log_index),
        "tx_hash": notice.tx_hash,
        "time": rfc3339(notice.time),
        "args": notice.args,
    }
    data = json.dumps(body, separators=(",", ":"))
    return f"id: {notice.id}\nevent: {notice.topic}\ndata: {data}\n\n".encode()
