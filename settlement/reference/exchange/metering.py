"""Metering on the Exchange: the oracles' postings."""

from collections.abc import Sequence

from settlement.reference import eip712, posting
from settlement.reference.errors import (
    MalformedPosting,
    NotAnOracle,
    NotEnoughSigners,
    RunStarted,
    SignersNotAscending,
    TooEarly,
)
from settlement.reference.exchange import events
from settlement.reference.exchange.clearing import ZONE, Clearing
from settlement.reference.exchange.core import transaction
from settlement.reference.exchange.state import RunRecord
from settlement.reference.posting import Posting
from settlement.reference.product_id import ENERGY


class Metering(Clearing):
    """One posting a zone and day; a later one takes its place until its run has started."""

    @transaction
    def post_metering(self, now: int, message: Posting, signatures: Sequence[bytes]) -> None:
        """Stores what enough oracles signed about a day that has ended. Signatures in ascending order of
        signer.
        """
        day = self.day(message.first_window)
        ends = (message.first_window + day.windows) * self.window_length
        if now < ends:
            raise TooEarly(ends)
        self._check_posting(message, day.windows)
        digest = eip712.digest(self.separator, posting.struct_hash(message))
        self._check_signers(digest, signatures)
        self._check_replaces(message)
        self.state.runs[(message.zone, message.first_window)] = RunRecord(message)
        self.emit(events.MeteringPosted(message.zone, message.first_window, message.sequence, digest))

    def _check_posting(self, message: Posting, windows: int) -> None:
        if message.zone != ZONE or message.windows != windows:
            raise MalformedPosting("zone or windows")
        if not len(message.surplus) == len(message.deficit) == windows:
            raise MalformedPosting("prices")
        if any(a > b for a, b in zip(message.surplus, message.deficit, strict=True)):
            raise MalformedPosting("surplus above deficit")
        for record in self.state.sessions.values():
            params = record.params
            if (params.day, params.kind) != (message.first_window, ENERGY):
                continue
            prices = message.surplus + message.deficit
            if any(not params.imbalance_min <= price <= params.imbalance_max for price in prices):
                raise MalformedPosting("price out of bounds")

    def _check_signers(self, digest: bytes, signatures: Sequence[bytes]) -> None:
        last = b""
        for signature in signatures:
            signer = eip712.recover(digest, signature)
            if signer not in self.oracles:
                raise NotAnOracle(signer)
            if signer <= last:
                raise SignersNotAscending(signer)
            last = signer
        if len(signatures) < self.oracles_needed:
            raise NotEnoughSigners(len(signatures), self.oracles_needed)

    def _check_replaces(self, message: Posting) -> None:
        """RunStarted once any part was settled or the run closed; a replacement has a higher sequence."""
        run = self.state.runs.get((message.zone, message.first_window))
        if run is None:
            return
        if run.carry_hash is not None or run.closed:
            raise RunStarted(message.zone, message.first_window)
        if message.sequence <= run.posting.sequence:
            raise MalformedPosting("sequence")
