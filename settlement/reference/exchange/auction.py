"""Grids, days and sessions: what is fixed before anyone signs, and the book once the gate has closed."""

from settlement.reference import session as sessions
from settlement.reference.clearing import Commitment, Market
from settlement.reference.errors import (
    BadCommitment,
    BadDay,
    BadGrid,
    BadSession,
    GateStillOpen,
    NotCarried,
    UnknownDay,
    UnknownGrid,
    WrongStage,
)
from settlement.reference.exchange import events
from settlement.reference.exchange.core import transaction
from settlement.reference.exchange.state import DayRecord, SessionRecord, Stage
from settlement.reference.exchange.tokens import Tokens
from settlement.reference.session import Grid, SessionParams
from settlement.reference.words import check_hash, check_uint

MOST_OPEN_SESSIONS = 64
MOST_ROUND_QUALITIES = 255
"""Rounds of a day times its qualities: what settlement sums of one account and window stays exact."""

MOST_AHEAD_S = 30 * 86_400
"""How far ahead a gate may be."""
LEAST_OPEN_S = 60
"""Between the deadline of a session and the gate of the next."""


class Auction(Tokens):
    """Times are Unix seconds."""

    @transaction
    def add_grid(self, grid: Grid) -> int:
        """The version of a new grid, counted from 1. This model has one zone."""
        sessions.check_grid(grid)
        if len(grid.parents) != 1:
            raise BadGrid("zones")
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
    def open_session(self, now: int, params: SessionParams) -> bytes:
        """The id of a new session, which takes orders until its gate.

        BadSession, naming the field, if it does not fit itself, its day, or the session before;
        NotCarried while the balancing party could not pay what members owe.
        """
        self.require_running(now)
        self._check_negative_covered(now)
        session = sessions.session_id(params)
        sessions.check(params)
        self._check_day(params)
        self._check_follows(now, params)
        epoch = len(self.state.epochs) + 1
        self.state.epochs += (session,)
        self.state.sessions[session] = SessionRecord(params, epoch)
        self.emit(events.SessionOpened(session, epoch, params))
        return session

    def _check_day(self, params: SessionParams) -> None:
        day = self.day(params.day)
        if params.grid_version != day.grid_version:
            raise BadSession("grid_version")
        if params.first_window + params.windows > params.day + day.windows:
            raise BadSession("windows")
        if (0, params.day) in self.state.runs:
            raise BadSession("day")
        self._check_round(params, len(self.state.grids[day.grid_version - 1].qualities))

    def _check_round(self, params: SessionParams, qualities: int) -> None:
        """What the first session of a day let its traders sign about imbalance prices holds for the day."""
        earlier = [r.params for r in self.state.sessions.values() if r.params.day == params.day]
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
        day_ends = (params.day + self.day(params.day).windows) * self.window_length
        if not now < params.gate <= min(now + MOST_AHEAD_S, day_ends) or params.gate < after:
            raise BadSession("gate")

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
    def commit_book(self, now: int, session: bytes, commitment: Commitment) -> None:
        """Fixes count and root of the zone's orders, between the gate and `commitBy`, once every earlier
        session ended.
        """
        self.require_running(now)
        record = self.require_stage(now, session, Stage.OPEN)
        if now < record.params.gate:
            raise GateStillOpen(session, record.params.gate)
        if self.ended_through(now) + 1 != record.epoch:
            before = self.state.epochs[record.epoch - 2]
            raise WrongStage(before, self.stage(now, before))
        if not 0 <= commitment.count <= record.params.max_orders:
            raise BadCommitment(session, commitment.count)
        check_hash("root", commitment.root)
        self.update_session(session, commitment=commitment, stage=Stage.COMMITTED)
        self.emit(events.BookCommitted(session, 0, commitment.count, commitment.root))
