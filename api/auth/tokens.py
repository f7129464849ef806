"""Access and refresh tokens.

An access token is a JWT (RFC 9068, EdDSA) of a few minutes that names an account and its login; roles are not
in it, they are read from the chain. A refresh token is 32 random bytes, kept as its hash and exchanged once
for the next. One that comes twice was stolen, or its answer lost: the login ends for everyone who has a token
of it, and the wallet signs again.

Tokens travel in the Authorization header and in bodies, never in cookies: no other site can make a browser
send them. A login that ends is known at once to the process that ended it; other processes on the same
database accept its access tokens until they expire.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from api.db.stores import LoginStore
from api.errors import LoginRefused, Unauthenticated
from settlement.errors import InputError

ALGORITHM = "EdDSA"
TYPE = "at+jwt"
REFRESH_BYTES = 32
MOST_CHECKED = 10_000
"""Access tokens whose signature was checked and is not checked again."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a valid access token says."""

    account: bytes
    login_id: str
    expires_at: int
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What a login, and every refresh, hands out."""

    access: str
    access_ttl_s: int
    refresh: str
    refresh_expires_at: int
    """Unix seconds; the same through all refreshes of a login."""
    account: bytes


def load_key(path: Path | None) -> Ed25519PrivateKey:
    """The key of a PEM file; a new one without a file, so that a restart ends all access tokens."""
    if path is None:
        return Ed25519PrivateKey.generate()
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as cause:
        raise InputError(f"{path} is no PEM file of a private key: make one with openssl genpkey") from cause
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path} holds another key than Ed25519: openssl genpkey -algorithm ed25519")
    return key


class Tokens:
    """Issues, checks, exchanges and ends tokens."""

    def __init__(
        self,
        key: Ed25519PrivateKey,
        logins: LoginStore,
        issuer: str,
        access_ttl_s: int,
        refresh_ttl_s: int,
        now: Callable[[], float],
    ) -> None:
        """`issuer` is also the audience: this service. `now` gives Unix seconds."""
        self._key, self._public, self._logins = key, key.public_key(), logins
        self._issuer, self._access_ttl_s, self._refresh_ttl_s = issuer, access_ttl_s, refresh_ttl_s
        self._now = now
        self._ended: dict[str, int] = {}
        self._checked: OrderedDict[str, Access] = OrderedDict()

    # Access ---------------------------------------------------------------------------------------------

    def check(self, token: str) -> Access:
        """What an access token says. Unauthenticated unless it is ours, of now, and its login not ended."""
        found = self._checked.get(token) or self._read(token)
        if found.login_id in self._ended or found.expires_at <= self._now():
            raise Unauthenticated("the access token has expired: refresh it, or log in", invalid=True)
        return found

    def _read(self, token: str) -> Access:
        """Checks the signature; the next time the token comes, it is known."""
        try:
            claims = self._decode(token)
            account = bytes.fromhex(claims["sub"][2:])
            found = Access(account, str(claims["sid"]), int(claims["exp"]))
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError) as cause:
            raise Unauthenticated(
                "the access token is not valid: refresh it, or log in", invalid=True
            ) from cause
        if len(account) != 20:
            raise Unauthenticated("the access token is not valid: refresh it, or log in", invalid=True)
        self._checked[token] = found
        if len(self._checked) > MOST_CHECKED:
            self._checked.popitem(last=False)
        return found

    def _decode(self, token: str) -> dict[str, Any]:
        if jwt.get_unverified_header(token).get("typ") != TYPE:
            raise jwt.InvalidTokenError("another type of token")
        required = {"require": ["iss", "aud", "sub", "sid", "iat", "exp", "jti"]}
        # Time is judged by our own clock, which tests can set.
        options: Any = required | {"verify_exp": False, "verify_iat": False}
        return jwt.decode(
            token, self._public, [ALGORITHM], audience=self._issuer, issuer=self._issuer, options=options
        )

    def _access(self, account: bytes, login_id: str, now: int) -> str:
        claims = {"iss": self._issuer, "aud": self._issuer, "sub": "0x" + account.hex(), "sid": login_id}
        times = {"iat": now, "exp": now + self._access_ttl_s, "jti": secrets.token_hex(16)}
        return jwt.encode(claims | times, self._key, ALGORITHM, headers={"typ": TYPE})

    # Logins ---------------------------------------------------------------------------------------------

    async def start(self, account: bytes) -> Pair:
        """The first tokens of a wallet that just proved itself."""
        now, login_id, refresh = int(self._now()), secrets.token_hex(16), _new_refresh()
        expires_at = now + self._refresh_ttl_s
        await self._logins.start(login_id, account, token_hash(refresh), now, expires_at)
        return self._pair(account, login_id, refresh, now, expires_at)

    async def refresh(self, token: str) -> Pair:
        """The next tokens. LoginRefused if the token is none, too old, or was used: then its login ends."""
        now, old = int(self._now()), token_hash(token)
        login = await self._logins.find(old)
        if login is None or login.expires_at <= now:
            raise LoginRefused("the refresh token is unknown or has expired: log in")
        refresh = _new_refresh()
        if login.revoked or not await self._logins.exchange(login.id, old, token_hash(refresh), now):
            await self.end(login.id)
            raise LoginRefused("the refresh token was used before, so its login has ended: log in")
        return self._pair(login.account, login.id, refresh, now, login.expires_at)

    async def end(self, login_id: str) -> None:
        """Ends a login: no token of it is accepted any more."""
        now = int(self._now())
        self._forget_expired(now)
        self._ended[login_id] = now
        await self._logins.revoke(login_id, now)

    async def remember_ended(self) -> None:
        """After a start: logins whose access tokens could still be about."""
        since = int(self._now()) - self._access_ttl_s
        self._ended |= await self._logins.revoked_since(since)

    def _forget_expired(self, now: int) -> None:
        """Access tokens of a login that ended so long ago have expired by themselves."""
        self._ended = {id_: at for id_, at in self._ended.items() if at > now - self._access_ttl_s}

    def _pair(self, account: bytes, login_id: str, refresh: str, now: int, expires_at: int) -> Pair:
        access = self._access(account, login_id, now)
        return Pair(access, self._access_ttl_s, refresh, expires_at, account)


def _new_refresh() -> str:
    return secrets.token_urlsafe(REFRESH_BYTES)


def token_hash(token: str) -> str:
    """What is kept of a refresh token. It is random, so a plain hash cannot be guessed back."""
    return hashlib.sha256(token.encode()).hexdigest()
