"""Metering on the Exchange: the oracles' postings."""

from collections.abc import Sequence

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
from settlement.reference.exchange.core import transaction
from settlement.reference.exchange.registry import Registry
from settlement.reference.exchange.state import RunRecord, RunStage
from settlement.reference.posting import Posting
from settlement.reference.product_id import ENERGY
from settlement.reference.session import Grid
from settlement.units import POTENTIAL_LIMIT

MOST_PARTS = 2**16 - 1

NOTHING = Posting(0, 0, 0, 0, 0, bytes(32), (), (), ())
"""What a first posting follows: its sequence is at least 1."""


class Metering(Registry):
    """One posting a zone and day; a later one may correct what is not settled yet.

    A day has one run over all zones of its grid that anyone is metered in, in their order.
    """

    def metered_in(self, zone: int) -> int:
        """How many accounts a zone's posting must have."""
        members = self.state.members.values()
        return sum(member.role == PROSUMER and member.zone == zone for member in members)

    def zone_under_way(self, day: int) -> int:
        """The zone whose parts are next; the number of zones if none is."""
        run = self.state.runs[day]
        return self.next_metered(day, 0) if run.stage is RunStage.POSTED else run.zone

    def next_metered(self, day: int, zone: int) -> int:
        """The first zone from `zone` on that anyone is metered in, or the number of zones."""
        zones = self.grid_of(day).zones
        return next((z for z in range(zone, zones) if self.metered_in(z)), zones)

    def next_posted(self, day: int, zone: int) -> int:
        """The first zone from `zone` on that was posted, or the number of zones."""
        zones = self.grid_of(day).zones
        return next((z for z in range(zone, zones) if (z, day) in self.state.postings), zones)

    def grid_of(self, day: int) -> Grid:
        return self.state.grids[self.day(day).grid_version - 1]

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
        self._check_corrects(message)
        place = (message.zone, message.first_window)
        self.state.postings[place] = message
        self.state.runs.setdefault(message.first_window, RunRecord())
        self.emit(events.MeteringPosted(*place, message.sequence, digest))

    def _check_posting(self, message: Posting, windows: int) -> None:
        """BadPosting, naming the part, unless it is of the whole day, at prices within the sessions'
        bounds.
        """
        metered = self.metered_in(message.zone)
        ordered = all(a <= b for a, b in zip(message.surplus, message.deficit, strict=False))
        rules = {
            "windows": message.windows == windows,
            "zone": message.zone < self.grid_of(message.first_window).zones,
            "accounts": message.accounts == metered > 0,
            "parts": 1 <= len(message.parts) <= MOST_PARTS,
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

    def _check_corrects(self, message: Posting) -> None:
        """StalePosting or BadPosting unless it follows, and leaves what is settled, and its prices, as they
        were.
        """
        day = message.first_window
        before = self.state.postings.get((message.zone, day), NOTHING)
        if message.sequence <= before.sequence:
            raise StalePosting(message.sequence)
        run = self.state.runs.get(day)
        if run is None:
            return
        if run.stage not in (RunStage.POSTED, RunStage.SETTLING) or message.zone < run.zone:
            raise BadPosting("stage")
        parts = run.parts if message.zone == run.zone else 0
        settled = parts and _settled(before, parts)
        if settled and (len(message.parts) <= parts or _settled(message, parts) != settled):
            raise BadPosting("parts")


def _settled(message: Posting, parts: int) -> tuple[object, ...]:
    return message.surplus, message.deficit, message.parts[:parts]
