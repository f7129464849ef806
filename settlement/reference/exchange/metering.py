"""Metering on the Exchange: the oracles' postings."""

from collections.abc import Sequence
from dataclasses import replace

from settlement.reference import eip712, posting
from settlement.reference.accounts import PROSUMER
from settlement.reference.errors import (
    BadOracleSignature,
    BadPosting,
    QuorumNotReached,
    StalePosting,
    WindowNotOver,
)
from settlement.reference.exchange import events
from settlement.reference.exchange.clearing import ZONE
from settlement.reference.exchange.core import transaction
from settlement.reference.exchange.registry import Registry
from settlement.reference.exchange.state import RunRecord, RunStage
from settlement.reference.posting import Posting
from settlement.reference.product_id import ENERGY
from settlement.units import POTENTIAL_LIMIT

NOTHING = Posting(0, 0, 0, 0, 0, bytes(32), (), (), ())
"""What a first posting follows: its sequence is at least 1."""


class Metering(Registry):
    """One posting a zone and day; a later one may correct what is not settled yet."""

    @transaction
    def post_metering(self, now: int, message: Posting, signatures: Sequence[bytes]) -> None:
        """Stores what enough oracles signed about a day that has ended. Signatures in ascending order of
        signer.
        """
        self.require_running(now)
        day = self.day(message.first_window)
        digest = eip712.digest(self.separator, posting.struct_hash(message))
        self._check_signers(digest, signatures)
        ends = (message.first_window + day.windows) * self.window_length
        if now < ends:
            raise WindowNotOver(message.first_window, ends)
        self._check_posting(message, day.windows)
        before = self.state.runs.get((message.zone, message.first_window), RunRecord(NOTHING))
        self._check_corrects(before, message)
        self.state.runs[(message.zone, message.first_window)] = replace(before, posting=message)
        self.emit(events.MeteringPosted(message.zone, message.first_window, message.sequence, digest))

    def _check_posting(self, message: Posting, windows: int) -> None:
        """BadPosting, naming the part, unless it is of the whole day, at prices within the sessions'
        bounds.
        """
        metered = sum(
            member.role == PROSUMER and member.zone == ZONE for member in self.state.members.values()
        )
        ordered = all(a <= b for a, b in zip(message.surplus, message.deficit, strict=False))
        rules = {
            "windows": message.windows == windows,
            "zone": message.zone == ZONE,
            "accounts": message.accounts == metered,
            "surplusMicroPerKWh": len(message.surplus) == windows,
            "deficitMicroPerKWh": len(message.deficit) == windows,
            "prices": ordered and self._in_bounds(message),
        }
        for part, holds in rules.items():
            if not holds:
                raise BadPosting(part)

    def _in_bounds(self, message: Posting) -> bool:
        """Within the bounds of every session of the day, and never beyond 2^29."""
        if any(abs(price) > POTENTIAL_LIMIT for price in message.surplus + message.deficit):
            return False
        for record in self.state.sessions.values():
            params = record.params
            if (params.day, params.kind) == (message.first_window, ENERGY):
                prices = message.surplus + message.deficit
                if not all(params.imbalance_min <= price <= params.imbalance_max for price in prices):
                    return False
        return True

    def _check_signers(self, digest: bytes, signatures: Sequence[bytes]) -> None:
        if len(signatures) < self.state.quorum or not self.state.quorum:
            raise QuorumNotReached(len(signatures), self.state.quorum)
        last = b""
        for signature in signatures:
            signer = eip712.recover(digest, signature)
            if signer <= last or signer not in self.state.oracles:
                raise BadOracleSignature(signer)
            last = signer

    def _check_corrects(self, before: RunRecord, message: Posting) -> None:
        """StalePosting or BadPosting unless it follows, and leaves settled parts and their prices as they
        were.
        """
        if message.sequence <= before.posting.sequence:
            raise StalePosting(message.sequence)
        if before.stage not in (RunStage.POSTED, RunStage.SETTLING):
            raise BadPosting("stage")
        settled = before.parts and _settled(before.posting, before.parts)
        if settled and (len(message.parts) <= before.parts or _settled(message, before.parts) != settled):
            raise BadPosting("parts")


def _settled(message: Posting, parts: int) -> tuple[object, ...]:
    return message.surplus, message.deficit, message.parts[:parts]
