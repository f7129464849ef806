"""Metering on the Exchange: the oracles' postings."""

from collections.abc import Sequence

from settlement.reference import eip712, posting
from settlement.reference.accounts import PROSUMER
from settlement.reference.errors import (
    BadOracleSignature,
    BadPosting,
    OraclesUnbonded,
    QuorumNotReached,
    StalePosting,
    TooEarlyForDefault,
    WindowNotOver,
    WrongStage,
)
from settlement.reference.exchange import events
from settlement.reference.exchange.core import ENDED, transaction
from settlement.reference.exchange.registry import Registry
from settlement.reference.exchange.state import RunRecord, RunStage
from settlement.reference.posting import Posting
from settlement.reference.product_id import ENERGY
from settlement.reference.session import Grid
from settlement.units import POTENTIAL_LIMIT

MOST_PARTS = 2**16 - 1
CHALLENGE_WINDOW_S = 10 * 86_400
"""How long a run can be challenged."""
DEFAULT_AFTER_S = 10 * 86_400
"""How long the oracles have to post a day."""

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
        self.require_quiet(now)
        day = self.day(message.first_window)
        digest = eip712.digest(self.separator, posting.struct_hash(message))
        self.check_signers(digest, signatures)
        ends = (message.first_window + day.windows) * self.window_length
        if now < ends:
            raise WindowNotOver(message.first_window, ends)
        self._check_posting(message, day.windows)
        self._check_corrects(message)
        if self.state.pot < self.state.challenge_bond:
            raise OraclesUnbonded(self.state.pot, self.state.challenge_bond)
        self.keep_challengeable(now)
        self._store(message, digest)

    def keep_challengeable(self, now: int) -> None:
        """Something was posted or is complete: what the oracles set aside stays until it can no longer be
        challenged.
        """
        self.state.challengeable_until = now + CHALLENGE_WINDOW_S

    @transaction
    def post_default(self, now: int, message: Posting) -> None:
        """Stands in for the oracles where they posted nothing in time, so that reserves return: everyone is
        taken to have done what it contracted. Anyone may send it, and no posting follows it.
        """
        self.require_running(now)
        self.require_quiet(now)
        zone, first = message.zone, message.first_window
        day = self.day(first)
        since = (first + day.windows) * self.window_length + DEFAULT_AFTER_S
        if now < since:
            raise TooEarlyForDefault(zone, first, since)
        self._check_default(message, day.windows)
        for session, one in self.state.sessions.items():
            stage = self.stage(now, session)
            if (one.params.day, one.params.kind) == (first, ENERGY) and stage not in ENDED:
                raise WrongStage(session, stage)
        self._store(message, eip712.digest(self.separator, posting.struct_hash(message)))

    def _check_default(self, message: Posting, windows: int) -> None:
        """BadPosting, naming the part, unless it is the one default posting of a zone that has none."""
        zone, first = message.zone, message.first_window
        run = self.state.runs.get(first)
        passed = run is not None and run.stage is not RunStage.POSTED and zone < run.zone
        metered = self.metered_in(zone)
        due = posting.default_posting(zone, first, windows, metered)
        rules = {
            "windows": message.windows == windows,
            "zone": zone < self.grid_of(first).zones,
            "accounts": message.accounts == metered > 0,
            "sequence": message.sequence == due.sequence and (zone, first) not in self.state.postings,
            "stage": not passed,
            "commitments": message.commitments == due.commitments,
            "prices": (message.surplus, message.deficit) == (due.surplus, due.deficit),
            "parts": not message.parts,
        }
        _require(rules)

    def _store(self, message: Posting, digest: bytes) -> None:
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
            "prices": ordered and self.in_bounds(message.first_window, message.surplus + message.deficit),
        }
        _require(rules)

    def in_bounds(self, day: int, prices: Sequence[int]) -> bool:
        """Within the bounds of every session of the day, and never beyond 2^29."""
        if any(abs(price) > POTENTIAL_LIMIT for price in prices):
            return False
        params = [record.params for record in self.state.sessions.values()]
        bounds = [
            (one.imbalance_min, one.imbalance_max) for one in params if (one.day, one.kind) == (day, ENERGY)
        ]
        return all(least <= price <= most for least, most in bounds for price in prices)

    def check_signers(self, digest: bytes, signatures: Sequence[bytes]) -> None:
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
        were. The default posting's sequence is nobody else's.
        """
        day = message.first_window
        before = self.state.postings.get((message.zone, day), NOTHING)
        if message.sequence <= before.sequence or message.sequence == posting.DEFAULT_SEQUENCE:
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


def _require(rules: dict[str, bool]) -> None:
    """BadPosting with the first part whose rule does not hold."""
    for part, holds in rules.items():
        if not holds:
            raise BadPosting(part)


def _settled(message: Posting, parts: int) -> tuple[object, ...]:
    return message.surplus, message.deficit, message.parts[:parts]
