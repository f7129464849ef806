"""Grids, days and sessions: what is fixed before anyone signs, and the book once the gate has closed."""

from collections.abc import Sequence

from settlement.reference import session as sessions
from settlement.reference.accounts import OPERATOR
from settlement.reference.clearing import Market
from settlement.reference.closing import Commitment
from settlement.reference.errors import (
    BadCommitment,
    BadDay,
    BadSession,
    GateStillOpen,
    InsufficientCash,
    NotCarried,
    UnknownDay,
    UnknownGrid,
    WrongStage,
)
from settlement.reference.exchange import events
from settlement.reference.exchange.core import transaction
from settlement.reference.exchange.state import Bond, DayRecord, SessionRecord, Stage
from settlement.reference.exchange.tokens import Tokens
from settlement.reference.record import NO_ADDRESS
from settlement.reference.session import Grid, SessionParams
from settlement.reference.words import check_hash, check_uint

MOST_OPEN_SESSIONS = 64
MOST_ROUND_QUALITIES = 255
"""Rounds of a day times its qualities: what settlement sums of one account and window stays exact."""

MOST_AHEAD_S = 30 * 86_400
"""How far ahead a gate may be."""
LEAST_CLAIMS_S, MOST_CLAIMS_S = 86_400, 30 * 86_400
"""From the latest moment at which a session can end, a pause later still, to the last claim."""
LEAST_OPEN_S = 60
"""Between the deadline of a session and the gate of the next."""


class Auction(Tokens):
    """Times are Unix seconds."""

    @transaction
    def add_grid(self, grid: Grid) -> int:
        """The version of a new grid, counted from 1."""
        sessions.check_grid(grid)
        self.state.grids += (grid,)
        version = len(self.state.grids)
        self.emit(events.GridAdded(version, grid, sessions.grid_hash(grid)))
        return version

    @transaction
    def open_day(self, day: int, windows: int, grid_version: int) -> None:
        """A delivery day from window `day` on. BadDay unless it begins after every earlier one has
        ended.
        """
        check_uint("day", day + windows, 32)
        last_end = max((start + record.windows for start, record in self.state.days.items()), default=0)
        if not 1 <= windows <= sessions.MOST_WINDOWS or day < last_end:
            raise BadDay(day)
        if not 1 <= grid_version <= len(self.state.grids):
            raise UnknownGrid(grid_version)
        self.state.days[day] = DayRecord(windows, grid_version)
        self.emit(events.DayOpened(day, windows, grid_version))

    @transaction
    def open_session(self, now: int, params: SessionParams, operator: bytes = NO_ADDRESS) -> bytes:
        """The id of a new session, which takes orders until its gate. If it has a bond, that is set aside of
        what `operator` has free.

        BadSession, naming the field, if it does not fit itself, its day, or the session before;
        SessionTooLarge if its calls or those of its day's run would not fit a transaction;
        NotCarried while the balancing party could not pay what members owe.
        """
        self.require_running(now)
        self._check_negative_covered(now)
        session = sessions.session_id(params)
        sessions.check(params)
        self._check_day(params)
        self._check_follows(now, params)
        self._check_claims(params)
        epoch = len(self.state.epochs) + 1
        self.state.ended = self.ended_through(now)
        self.state.epochs += (session,)
        self.state.sessions[session] = SessionRecord(params, epoch)
        self.emit(events.SessionOpened(session, epoch, params))
        if params.bond_nano:
            self._lock_bond(now, session, operator)
        return session

    def _lock_bond(self, now: int, session: bytes, operator: bytes) -> None:
        """All that claims may cost. The operator may not trade, so no session counts on its cash."""
        record = self.session(session)
        member = self.state.members.get(operator)
        if member is None or member.role != OPERATOR:
            raise BadSession("bond_nano")
        amount = record.params.bond_nano * record.params.bonded_claims
        free = self.cash(now, operator).free
        if free < amount:
            raise InsufficientCash(operator, free, amount)
        self.add_free(now, operator, -amount)
        self.state.bonds[record.epoch] = Bond(operator, amount)
        self.emit(events.BondLocked(session, operator, amount))

    def _check_day(self, params: SessionParams) -> None:
        day = self.day(params.day)
        if params.grid_version != day.grid_version:
            raise BadSession("grid_version")
        if params.first_window + params.windows > params.day + day.windows:
            raise BadSession("windows")
        if params.day in self.state.runs:
            raise BadSession("day")
        grid = self.state.grids[day.grid_version - 1]
        if grid.has_lines and self.network_operator() is None:
            raise BadSession("grid_version")
        sessions.check_limits(params, grid)
        sessions.check_size(params, grid, day.windows)
        self._check_round(params, len(grid.qualities))

    def _check_round(self, params: SessionParams, qualities: int) -> None:
        """What the first session of a day let its traders sign about imbalance prices holds for the day."""
        place = (params.day, params.kind)
        records = self.state.sessions.values()
        earlier = [one.params for one in records if (one.params.day, one.params.kind) == place]
        if params.round != len(earlier) or (params.round + 1) * qualities > MOST_ROUND_QUALITIES:
            raise BadSession("round")
        bounds = {(one.imbalance_min, one.imbalance_max) for one in [*earlier, params]}
        if len(bounds) > 1:
            raise BadSession("imbalance_min")

    def _check_follows(self, now: int, params: SessionParams) -> None:
        """Cash stands still from a gate to the session's end: there is time in between to withdraw."""
        if len(self.state.epochs) - self.ended_through(now) >= MOST_OPEN_SESSIONS:
            raise BadSession("epoch")
        after = max((r.params.prove_by + LEAST_OPEN_S for r in self.state.sessions.values()), default=0)
        delivery = params.first_window * self.window_length
        if not now < params.gate <= min(now + MOST_AHEAD_S, delivery) or params.gate < after:
            raise BadSession("gate")

    def _check_claims(self, params: SessionParams) -> None:
        """Pauses may put off the end by `max_pause`, and nothing is claimed in a pause."""
        since = params.prove_by + 2 * self.max_pause
        if not since + LEAST_CLAIMS_S <= params.claim_by <= since + MOST_CLAIMS_S:
            raise BadSession("claim_by")

    def _check_negative_covered(self, now: int) -> None:
        party = self.balancing_party()
        free = self.cash(now, party).free if party else 0
        if free < self.state.total_negative:
            raise NotCarried(free, self.state.total_negative)

    def day(self, day: int) -> DayRecord:
        """UnknownDay unless it was opened."""
        if day not in self.state.days:
            raise UnknownDay(day)
        return self.state.days[day]

    def market(self, session: bytes) -> Market:
        """What a session clears under."""
        params = self.session(session).params
        return Market(params, self.state.grids[params.grid_version - 1])

    @transaction
    def commit_books(self, now: int, session: bytes, counts: Sequence[int], roots: Sequence[bytes]) -> None:
        """Fixes counts and roots of the next zones' orders, from zone 0 on, between the gate and `commitBy`,
        once every earlier session ended. With the last zone the session is committed.
        """
        self.require_running(now)
        record = self.require_stage(now, session, Stage.OPEN)
        if now < record.params.gate:
            raise GateStillOpen(session, record.params.gate)
        if self.ended_through(now) + 1 != record.epoch:
            before = self.state.epochs[record.epoch - 2]
            raise WrongStage(before, self.stage(now, before))
        if not counts or len(counts) != len(roots):
            raise BadCommitment(session, len(record.commitments))
        for count, root in zip(counts, roots, strict=True):
            self._commit_next(session, Commitment(check_uint("count", count, 32), check_hash("root", root)))
        if len(self.session(session).commitments) == self.market(session).grid.zones:
            self.update_session(session, stage=Stage.COMMITTED)

    def _commit_next(self, session: bytes, commitment: Commitment) -> None:
        """BadCommitment beyond the last zone, or if the books together have more orders than they may."""
        record = self.session(session)
        zone, zones = len(record.commitments), self.market(session).grid.zones
        submitted = sum(self.state.submissions.get((record.epoch, z), 0) for z in range(zones))
        orders = sum(one.count for one in record.commitments) + commitment.count
        if zone >= zones or orders > record.params.max_orders + submitted:
            raise BadCommitment(session, zone)
        self.update_session(session, commitments=(*record.commitments, commitment))
        self.emit(events.BookCommitted(session, zone, commitment.count, commitment.root))
