"""The event stream: notices of the read model from any of them on, over SSE and over WebSocket.

Each has the number of its notice as id. Whoever comes back with the last one misses nothing and gets nothing
twice; after a reorganisation `removed` events take back what was said, the last first.

    batches   what a listener hears, read from the database as fast as it takes them; one source for both
      ├── events          server-sent events   (routes/stream.py)
      └── sockets.Socket  WebSocket messages   (sockets.py)

Nothing is kept for a listener but the batch it is being sent: one that reads slowly is further behind in the
database, not in memory.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select

from api.db.chain_models import Notice
from api.db.engine import Sessions
from api.errors import ApiError
from api.schemas.common import rfc3339

AT_ONCE = 500
POLL_S = 0.5
RETRY_MS = 1000
KEEP_ALIVE_S = 15.0
"""Of silence, until a listener is told that the service is still there."""
JUDGE_S = 5.0
"""After so long, who listens is judged anew: a role may be gone, a login may have ended."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller hears."""

    account: str
    sees_all: bool
    """Everybody's, not only its own and what is public."""
    topics: Collection[str]
    """Empty is all."""


Judge = Callable[[], Awaitable[Wanted]]
"""What a listener may hear now; an ApiError if nothing."""


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


async def batches(
    sessions: Sessions, judge: Judge, after: int, seconds: float
) -> AsyncIterator[list[Notice]]:
    """What a listener hears behind a number, for so long; an empty batch after `KEEP_ALIVE_S` of silence.

    Raises what `judge` raises, at the start and later.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    wanted, judged, quiet = await judge(), loop.time(), loop.time()
    while True:
        if loop.time() - judged >= JUDGE_S:
            wanted, judged = await judge(), loop.time()
        found = await behind(sessions, wanted, after)
        if found:
            after, quiet = found[-1].id, loop.time()
            yield found
            continue
        if loop.time() >= ends:
            return
        if loop.time() - quiet >= KEEP_ALIVE_S:
            quiet = loop.time()
            yield []
        await asyncio.sleep(min(POLL_S, max(ends - loop.time(), 0)))


async def events(sessions: Sessions, judge: Judge, after: int, seconds: float) -> AsyncIterator[bytes]:
    """Server-sent events. They end with the time, or with the right to hear them: whoever listens asks again,
    and is told then.
    """
    # An id without data is no event, but what a client resumes from that was cut off before the first one.
    yield f"retry: {RETRY_MS}\nid: {after}\n\n".encode()
    try:
        async for found in batches(sessions, judge, after, seconds):
            yield b"".join(map(written, found)) or b": still here\n\n"
    except ApiError:
        return


def written(notice: Notice) -> bytes:
    """One event in the format of the HTML standard, section 9.2."""
    data = json.dumps(told(notice), separators=(",", ":"))
    return f"id: {notice.id}\nevent: {notice.topic}\ndata: {data}\n\n".encode()


def told(notice: Notice) -> dict[str, Any]:
    """What a notice says, however it travels."""
    return {
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
