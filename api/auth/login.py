"""How a wallet logs in: a challenge to sign, then tokens for the signed challenge.

    challenge   a nonce for one account, kept for some minutes, inside a message of EIP-4361
    login       the message parses, is the one given out, and of now; its nonce is used up; its account signed

The nonce is used up before the signature is judged: whatever comes of it, the message is never judged again.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from eth_utils.address import to_checksum_address

from api.auth import signatures, siwe
from api.auth.siwe import Expected, Message
from api.auth.tokens import Pair, Tokens
from api.chain import ChainReader
from api.db.stores import Challenge, NonceStore
from api.errors import InvalidRequest, LoginRefused
from api.metrics import Metrics
from api.schemas.common import rfc3339
from api.settings import Settings

NONCE_LETTERS, NONCE_LENGTH = string.ascii_letters + string.digits, 22  # 130 bits


@dataclass(frozen=True, slots=True)
class Offer:
    """A message to sign."""

    text: str
    nonce: str
    expires_at: int
    """Unix seconds."""


class Gate:
    """Gives challenges out and lets wallets in."""

    def __init__(
        self,
        settings: Settings,
        chain: ChainReader,
        nonces: NonceStore,
        tokens: Tokens,
        metrics: Metrics,
        now: Callable[[], float],
    ) -> None:
        self._settings, self._chain, self._nonces, self._tokens = settings, chain, nonces, tokens
        self._metrics, self._now = metrics, now

    async def challenge(self, account: bytes, request_id: str | None) -> Offer:
        """A message for an account to sign."""
        settings, now = self._settings, int(self._now())
        nonce = "".join(secrets.choice(NONCE_LETTERS) for _ in range(NONCE_LENGTH))
        expires_at = now + settings.siwe_nonce_ttl_s
        message = Message(
            domain=settings.siwe_domain,
            address=to_checksum_address(account),
            uri=settings.siwe_uri,
            chain_id=str(await self._chain.chain_id()),
            nonce=nonce,
            issued_at=rfc3339(now),
            expiration_time=rfc3339(expires_at),
            statement=settings.siwe_statement,
            request_id=request_id,
            resources=settings.siwe_resources or None,
        )
        await self._nonces.add(Challenge(nonce, account, request_id), now, expires_at)
        return Offer(siwe.build(message), nonce, expires_at)

    async def login(self, text: str, signature: bytes) -> Pair:
        """Tokens for who signed the text. InvalidRequest if it is no message, LoginRefused if it does not
        count, ChainError if a wallet cannot be asked.
        """
        try:
            message = await self._accepted(text)
            how = await self._signed(message, text, signature)
        except (InvalidRequest, LoginRefused):
            self._metrics.logins.labels("refused").inc()
            raise
        self._metrics.logins.labels(how.value).inc()
        return await self._tokens.start(message.account)

    async def _accepted(self, text: str) -> Message:
        """The message, if it is one that was given out, whose nonce is now used up."""
        try:
            message = siwe.parse(text)
        except siwe.Malformed as cause:
            problem = {"pointer": "/message", "detail": str(cause)}
            raise InvalidRequest("the message is none of EIP-4361", errors=[problem]) from cause
        now = self._now()
        offered = await self._nonces.find(message.nonce, int(now))
        if offered is None:
            raise LoginRefused("the nonce is unknown, used or expired: ask for a new challenge")
        try:
            siwe.check(message, await self._expected(offered), datetime.fromtimestamp(now, UTC))
        except siwe.Refused as cause:
            raise LoginRefused(f"the message is refused: {cause}") from cause
        if not await self._nonces.use(message.nonce, int(now)):
            raise LoginRefused("the nonce is unknown, used or expired: ask for a new challenge")
        return message

    async def _signed(self, message: Message, text: str, signature: bytes) -> signatures.SignedBy:
        gas = self._settings.signature_gas
        try:
            return await signatures.verify(self._chain, message.account, siwe.digest(text), signature, gas)
        except signatures.BadSignature as cause:
            raise LoginRefused(f"the signature is refused: {cause}") from cause

    async def _expected(self, offered: Challenge) -> Expected:
        settings = self._settings
        return Expected(
            domain=settings.siwe_domain,
            uri=settings.siwe_uri,
            chain_id=await self._chain.chain_id(),
            nonce=offered.nonce,
            account=offered.account,
            statement=settings.siwe_statement,
            request_id=offered.request_id,
            resources=settings.siwe_resources,
            max_age=timedelta(seconds=settings.siwe_nonce_ttl_s),
            skew=timedelta(seconds=settings.clock_skew_s),
        )
