"""Identities and disclosures in the database. An entry of the log and the identity it releases are of one
transaction: nothing is told that is not logged.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.db.engine import Sessions
from api.db.identity_models import Disclosure, Identity
from api.identity.log import FIRST, Entry, hash_of
from api.identity.seal import Opened, Person, Seals, new
from settlement.chain.rpc import to_bytes

ATTEMPTS = 20
"""Of two processes that log at once one comes later, and tries again."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a regulator asks."""

    account: str
    """`0x` hex."""
    regulator: str
    legal_basis: str
    reason: str


class Identities:
    """Of one database, sealed with one file's keys."""

    def __init__(self, sessions: Sessions, seals: Seals) -> None:
        self._sessions, self._seals = sessions, seals
        self._turn = asyncio.Lock()

    async def keep(self, account: str, person: Person, by: str, now: int) -> int:
        """Seals an identity in place of the one before; its version."""
        async with self._turn, self._sessions.begin() as db:
            row = await self._row(db, account)
            version = 1 if row is None else row.version + 1
            sealed = self._seals.seal(to_bytes(account), version, new(person))
            values = {"version": version, "key_id": self._seals.current, "sealed": sealed}
            await self._put(db, row, account, {**values, "changed_at": now, "changed_by": by})
            return version

    async def erase(self, account: str, by: str, now: int) -> bool:
        """Forgets an identity and the key of its commitments; whether there was one."""
        async with self._turn, self._sessions.begin() as db:
            row = await self._row(db, account)
            if row is None or row.sealed is None:
                return False
            gone = {"key_id": None, "sealed": None, "changed_at": now, "changed_by": by}
            await self._put(db, row, account, {"version": row.version + 1, **gone})
            return True

    async def find(self, account: str) -> Person | None:
        """The identity, for whom it is of."""
        async with self._sessions() as db:
            row = await db.get(Identity, account)
        opened = None if row is None else self._opened(row)
        return None if opened is None else opened.person

    async def disclose(self, asked: Request, now: int) -> int | None:
        """Logs a disclosure; its number, by which `told` gives what was disclosed. None, and no entry, if
        there is no identity.
        """
        for _ in range(ATTEMPTS):
            try:
                async with self._turn, self._sessions.begin() as db:
                    return await self._log(db, asked, now)
            except IntegrityError:  # another process took the number
                continue
        raise RuntimeError("the log of disclosures could not be written: others write it all the time")

    async def told(self, number: int) -> tuple[Disclosure, Person | None]:
        """An entry and what it released; None if that was changed or erased since."""
        async with self._sessions() as db:
            entry = await db.get_one(Disclosure, number)
            row = await db.get(Identity, entry.account)
        opened = None if row is None or row.version != entry.identity_version else self._opened(row)
        return entry, None if opened is None else opened.person

    # Inside a transaction -------------------------------------------------------------------------------

    async def _log(self, db: AsyncSession, asked: Request, now: int) -> int | None:
        row = await self._row(db, asked.account)
        opened = None if row is None else self._opened(row)
        if row is None or opened is None:
            return None
        last = (await db.scalars(select(Disclosure).order_by(Disclosure.number.desc()).limit(1))).first()
        entry = Entry(
            number=1 if last is None else last.number + 1,
            **asdict(asked),
            identity_version=row.version,
            commitment=opened.commitment,
            at=now,
            previous=FIRST if last is None else last.hash,
        )
        db.add(Disclosure(**asdict(entry), hash=hash_of(entry)))
        return entry.number

    async def _row(self, db: AsyncSession, account: str) -> Identity | None:
        """For a change: a write first, so that SQLite need not turn a reader into a writer."""
        mine = Identity.account == account
        await db.execute(update(Identity).where(mine).values(version=Identity.version))
        return await db.get(Identity, account, with_for_update=True)

    async def _put(
        self, db: AsyncSession, row: Identity | None, account: str, values: dict[str, object]
    ) -> None:
        if row is None:
            db.add(Identity(account=account, **values))
        else:
            await db.execute(update(Identity).where(Identity.account == account).values(**values))

    def _opened(self, row: Identity) -> Opened | None:
        if row.sealed is None or row.key_id is None:
            return None
        return self._seals.open(to_bytes(row.account), row.version, row.key_id, row.sealed)


def entry_of(row: Disclosure) -> Entry:
    """The row as the chain of hashes is over it."""
    return Entry(**{name: getattr(row, name) for name in Entry.__dataclass_fields__})


async def log_of(sessions: Sessions) -> list[tuple[Entry, str]]:
    """The whole log, by number."""
    async with sessions() as db:
        rows = await db.scalars(select(Disclosure).order_by(Disclosure.number))
        return [(entry_of(row), row.hash) for row in rows]
