"""Who may trade, and who may sign for whom: asked once, and for all that are wanted at a time together.

What an order is judged by (role, zone, lanes) is fixed when a member is registered, so members that the read
model knows are taken from there. Of the others the registry is asked: the indexer may be behind.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import select

from api.chain import ChainReader
from api.db.engine import Sessions
from api.db.market_models import Member as MemberRow
from settlement.chain.abi import exchange_interface
from settlement.chain.exchange import key_of, member_of
from settlement.chain.rpc import Call, to_bytes, to_hex
from settlement.reference.accounts import Member
from settlement.reference.session_key import KeyRing, Place, SessionKey

MOST_KEPT = 1_000_000
NOBODY_FOR_S = 3.0
"""Who is no member may become one."""
KEY_FOR_S = 3.0
_BATCH = 500


class Members:
    """Members by account."""

    def __init__(self, chain: ChainReader, sessions: Sessions, now: Callable[[], float]) -> None:
        """`now` gives seconds that only go forward."""
        self._chain, self._sessions, self._now = chain, sessions, now
        self._kept: OrderedDict[bytes, tuple[Member | None, float]] = OrderedDict()
        self._wanted: set[bytes] = set()
        self._reading = asyncio.Lock()

    async def of(self, accounts: Iterable[bytes]) -> dict[bytes, Member | None]:
        """The member of each account, None if it is none. ChainError if the chain cannot be read."""
        wanted = set(accounts)
        missing = {one for one in wanted if not self._knows(one)}
        if missing:
            self._wanted |= missing
            async with self._reading:  # whoever comes first reads for all that wait
                if not all(map(self._knows, missing)):
                    together = [one for one in self._wanted | missing if not self._knows(one)]
                    self._wanted.clear()
                    await self._read(together)
        return {one: self._kept[one][0] for one in wanted}

    def _knows(self, account: bytes) -> bool:
        member, until = self._kept.get(account, (None, 0.0))
        return member is not None or self._now() < until

    async def _read(self, accounts: Sequence[bytes]) -> None:
        until = self._now() + NOBODY_FOR_S
        for start in range(0, len(accounts), _BATCH):
            part = accounts[start : start + _BATCH]
            found: dict[bytes, Member | None] = dict(await self._indexed(part))
            found |= await self._registered([one for one in part if one not in found])
            for account, member in found.items():
                self._kept[account] = member, until
        while len(self._kept) > MOST_KEPT + len(accounts):
            self._kept.popitem(last=False)

    async def _indexed(self, accounts: Sequence[bytes]) -> dict[bytes, Member]:
        """Those that the read model knows."""
        query = select(MemberRow).where(MemberRow.account.in_([to_hex(one) for one in accounts]))
        async with self._sessions() as db:
            rows = list(await db.scalars(query))
        return {
            to_bytes(one.account): Member(
                one.role, one.zone, one.max_quality, one.capacity_wh, one.wide, one.suspended
            )
            for one in rows
        }

    async def _registered(self, accounts: Sequence[bytes]) -> dict[bytes, Member | None]:
        """What the registry says of the others."""
        words = await _views(self._chain, "memberOf", [(account,) for account in accounts])
        return {account: member_of(int(word)) for account, (word,) in zip(accounts, words, strict=True)}


class Keys:
    """Session keys by account and key."""

    def __init__(self, chain: ChainReader, now: Callable[[], float]) -> None:
        """`now` gives seconds that only go forward."""
        self._chain, self._now = chain, now
        self._kept: OrderedDict[Place, tuple[SessionKey | None, float]] = OrderedDict()

    async def of(self, places: Iterable[Place]) -> KeyRing:
        """Those of the keys that were ever granted, some seconds old at most: what becomes of their orders is
        the chain's to say, at the gate. ChainError if the chain cannot be read.
        """
        wanted, now = set(places), self._now()
        old = [place for place in wanted if self._kept.get(place, (None, 0.0))[1] <= now]
        for place, terms in zip(old, await _views(self._chain, "keyOf", old), strict=True):
            self._kept[place] = key_of(terms), now + KEY_FOR_S
            self._kept.move_to_end(place)
        keys = {place: key for place in wanted if (key := self._kept[place][0]) is not None}
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return KeyRing(keys)


async def _views(chain: ChainReader, name: str, given: Sequence[Sequence[bytes]]) -> list[Sequence[Any]]:
    """What a view of the Exchange answers to each of these arguments."""
    abi, to = exchange_interface(), chain.exchange
    found: list[Sequence[Any]] = []
    for start in range(0, len(given), _BATCH):
        calls = [Call(to, abi.encode(name, *each)) for each in given[start : start + _BATCH]]
        found += [abi.decode(name, answer) for answer in await chain.call_many(calls)]
    return found
