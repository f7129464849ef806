"""A pause stops everything for at most `max_pause`, ends by itself, and is given back to the sessions it held
up.
"""

from dataclasses import replace

from settlement.reference.errors import NotPaused, PauseTooSoon
from settlement.reference.exchange import events
from settlement.reference.exchange.core import Core, transaction
from settlement.reference.exchange.state import Stage


class Emergency(Core):
    """Times are Unix seconds."""

    @transaction
    def pause(self, now: int) -> None:
        """PauseTooSoon unless as much time as a pause may last has passed without one."""
        self.require_running(now)
        self._end_pause(now)
        last = self.state.last_pause_end
        if last is not None and now < last + self.max_pause:
            raise PauseTooSoon(last + self.max_pause)
        self.state.paused_at = now
        self.emit(events.Paused(now + self.max_pause))

    @transaction
    def unpause(self, now: int) -> None:
        """Ends the pause early. NotPaused if there is none."""
        if not self.is_paused(now):
            raise NotPaused
        self._end_pause(now)
        self.emit(events.Unpaused(now))

    def _end_pause(self, now: int) -> None:
        """Writes down what the last pause gave to the sessions it held up, also if it ended by itself."""
        if self.state.paused_at is None:
            return
        elapsed = self.pause_elapsed(now)
        for session, record in self.state.sessions.items():
            plain = record.params.commit_by if record.stage is Stage.OPEN else record.params.prove_by
            unproved = record.stage is not Stage.PROVED
            if unproved and self.held_up(record, plain + record.extension, elapsed):
                extension = min(record.extension + elapsed, self.max_pause)
                self.state.sessions[session] = replace(record, extension=extension)
        self.state.last_pause_end = self.state.paused_at + elapsed
        self.state.paused_at = None
