"""What logins and writes keep. Every change that must happen once is one conditional statement, so that two
processes on one database agree on who did it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, CursorResult, and_, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.dml import Delete, Update

from api.db.engine import Sessions
from api.db.models import IdempotencyRecord, Login, LoginNonce, RefreshToken


async def _changed(sessions: Sessions, statement: Update | Delete) -> int:
    """Rows that a statement changed, committed."""
    async with sessions.begin() as session:
        result = await session.execute(statement)
        assert isinstance(result, CursorResult)
        return result.rowcount


@dataclass(frozen=True, slots=True)
class Challenge:
    """A nonce that was given out."""

    nonce: str
    account: bytes
    request_id: str | None
    """What the caller asked to find again in the message."""


class NonceStore:
    """Nonces: given out, used once."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    async def add(self, challenge: Challenge, now: int, expires_at: int) -> None:
        """Keeps a new one, and forgets those that expired."""
        async with self.sessions.begin() as session:
            await session.execute(delete(LoginNonce).where(LoginNonce.expires_at <= now))
            values = {"nonce": challenge.nonce, "account": _hex(challenge.account)}
            optional = {"request_id": challenge.request_id, "expires_at": expires_at}
            await session.execute(insert(LoginNonce).values(**values, **optional))

    async def find(self, nonce: str, now: int) -> Challenge | None:
        """One that is neither used nor expired; it stays usable."""
        open_ = (LoginNonce.nonce == nonce, LoginNonce.used_at.is_(None), LoginNonce.expires_at > now)
        async with self.sessions() as session:
            found = await session.scalar(select(LoginNonce).where(*open_))
        return None if found is None else Challenge(nonce, bytes.fromhex(found.account[2:]), found.request_id)

    async def use(self, nonce: str, now: int) -> bool:
        """Uses it up; False if somebody did before, or it expired."""
        open_ = (LoginNonce.nonce == nonce, LoginNonce.used_at.is_(None), LoginNonce.expires_at > now)
        return await _changed(self.sessions, update(LoginNonce).where(*open_).values(used_at=now)) == 1


@dataclass(frozen=True, slots=True)
class KeptLogin:
    """A login and one of its refresh tokens."""

    id: str
    account: bytes
    expires_at: int
    revoked: bool
    used: bool
    """Whether the token was exchanged before."""


class LoginStore:
    """Logins and the hashes of their refresh tokens."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    async def start(self, id_: str, account: bytes, token_hash: str, now: int, expires_at: int) -> None:
        """A new login with its first token; logins that expired are forgotten with theirs."""
        async with self.sessions.begin() as session:
            await session.execute(delete(Login).where(Login.expires_at <= now))
            values = {"id": id_, "account": _hex(account), "started_at": now, "expires_at": expires_at}
            await session.execute(insert(Login).values(values))
            token = {"hash": token_hash, "login_id": id_, "issued_at": now}
            await session.execute(insert(RefreshToken).values(token))

    async def find(self, token_hash: str) -> KeptLogin | None:
        """The login of a token, whatever its state."""
        query = select(Login, RefreshToken.used_at).join(RefreshToken, RefreshToken.login_id == Login.id)
        async with self.sessions() as session:
            row = (await session.execute(query.where(RefreshToken.hash == token_hash))).one_or_none()
        if row is None:
            return None
        login, used_at = row
        account = bytes.fromhex(login.account[2:])
        return KeptLogin(
            login.id, account, login.expires_at, login.revoked_at is not None, used_at is not None
        )

    async def exchange(self, login_id: str, old_hash: str, new_hash: str, now: int) -> bool:
        """Uses a token up for the next one; False, and no next one, if it was used or its login revoked."""
        live = select(Login.id).where(
            Login.id == login_id, Login.revoked_at.is_(None), Login.expires_at > now
        )
        mine = (
            RefreshToken.hash == old_hash,
            RefreshToken.used_at.is_(None),
            RefreshToken.login_id.in_(live),
        )
        async with self.sessions.begin() as session:
            result = await session.execute(update(RefreshToken).where(*mine).values(used_at=now))
            assert isinstance(result, CursorResult)
            if result.rowcount != 1:
                return False
            token = {"hash": new_hash, "login_id": login_id, "issued_at": now}
            await session.execute(insert(RefreshToken).values(token))
        return True

    async def revoke(self, login_id: str, now: int) -> None:
        """Ends a login; once is as good as often."""
        mine = (Login.id == login_id, Login.revoked_at.is_(None))
        await _changed(self.sessions, update(Login).where(*mine).values(revoked_at=now))

    async def revoked_since(self, moment: int) -> dict[str, int]:
        """Logins ended at or after a moment, and when."""
        query = select(Login.id, Login.revoked_at).where(Login.revoked_at >= moment)
        async with self.sessions() as session:
            return {id_: at for id_, at in (await session.execute(query)).all() if at is not None}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a write answered."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Earlier:
    """A write that has the same key."""

    fingerprint: str
    answer: Answer | None
    """None while it is being carried out."""


class IdempotencyStore:
    """Writes by caller and key."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    async def claim(
        self, account: str, key: str, fingerprint: str, claim: str, now: int, oldest: int, stale: int
    ) -> Earlier | None:
        """Takes the key for a request: None if it is taken, else who has it.

        A record from before `oldest` is forgotten. One without an answer from before `stale` belongs to a
        process that died: the same request takes it over.
        """
        if await self._insert(account, key, fingerprint, claim, now):
            return None
        mine = (IdempotencyRecord.account == account, IdempotencyRecord.key == key)
        died = (IdempotencyRecord.fingerprint == fingerprint, IdempotencyRecord.status.is_(None))
        free = or_(IdempotencyRecord.started_at < oldest, and_(*died, IdempotencyRecord.started_at < stale))
        fresh = {"fingerprint": fingerprint, "claim": claim, "started_at": now}
        empty = {"status": None, "media_type": None, "body": None}
        taken = update(IdempotencyRecord).where(*mine, free).values(**fresh, **empty)
        if await _changed(self.sessions, taken) == 1:
            return None
        return await self._earlier(account, key)

    async def _insert(self, account: str, key: str, fingerprint: str, claim: str, now: int) -> bool:
        record = {
            "account": account,
            "key": key,
            "fingerprint": fingerprint,
            "claim": claim,
            "started_at": now,
        }
        try:
            async with self.sessions.begin() as session:
                await session.execute(insert(IdempotencyRecord).values(record))
        except IntegrityError:
            return False
        return True

    async def _earlier(self, account: str, key: str) -> Earlier:
        async with self.sessions() as session:
            record = await session.get(IdempotencyRecord, (account, key))
        if record is None:  # given up in between: whoever asks again can have it
            return Earlier("", None)
        if record.status is None:
            return Earlier(record.fingerprint, None)
        answer = Answer(record.status, record.media_type or "", record.body or b"")
        return Earlier(record.fingerprint, answer)

    async def finish(self, account: str, key: str, claim: str, answer: Answer) -> None:
        """Keeps the answer for whoever sends the same request again."""
        values = {"status": answer.status, "media_type": answer.media_type, "body": answer.body}
        await _changed(
            self.sessions, update(IdempotencyRecord).where(*_of(account, key, claim)).values(values)
        )

    async def give_up(self, account: str, key: str, claim: str) -> None:
        """Frees the key: nothing was done."""
        await _changed(self.sessions, delete(IdempotencyRecord).where(*_of(account, key, claim)))

    async def forget(self, oldest: int) -> int:
        """Deletes records from before a moment; how many."""
        old = IdempotencyRecord.started_at < oldest
        return await _changed(self.sessions, delete(IdempotencyRecord).where(old))


def _of(account: str, key: str, claim: str) -> tuple[ColumnElement[bool], ...]:
    return (
        IdempotencyRecord.account == account,
        IdempotencyRecord.key == key,
        IdempotencyRecord.claim == claim,
    )


def _hex(account: bytes) -> str:
    return "0x" + account.hex()
