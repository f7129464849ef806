"""What becomes of a settled day: reads that come late, a meter that was wrong, a challenge, and later runs.

    the first run     as posted the morning after
    a challenge       a home's meter says something else than what was posted; an oracle node answers with
                      what the meter had said before, so that it is corrected and costs the oracles nothing
    the second run    the readings that never came, and the one that was altered on its way, as they were
    the third         a meter that counted too little signs its day again (in the second, if that is the last)
    any further       nothing is known anew: it says that the day was gone over again

Each is made at noon of the day on which it is due (`settlement.rules.calendar`). What was issued stays: a run
posts the differences from the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time

import numpy as np

from api.services.agents import draw
from api.services.cast import QUORUM, Resident
from api.services.community import CommunityDay
from api.services.delivery import signed_readings
from api.services.plan import DAY_S
from oracle.commitments import open_reading
from oracle.contesting import contest, signed_read
from oracle.day import Mask
from oracle.messages import IMPORT, Reading, SignedReading, decode, public_point, sign
from oracle.node import OracleNode
from oracle.reruns import RunState, rerun
from settlement.chain import challenger, corrector
from settlement.chain.exchange import Exchange
from settlement.reference.posting import ACTUAL
from settlement.reports.facts import Incident
from settlement.rules import calendar
from settlement.rules.calendar import RunDate
from settlement.units import floor_div

BOND_NANO = 5 * 10**9
"""Of a challenge."""
POT_NANO = 50 * 10**9
"""What the operator sets aside for the oracles."""
TOO_LOW_PERCENT = 4
"""By which a meter counted too little."""
CONTESTED_WH = 250
"""So much less was drawn, says a meter."""
MOST_RUNS = 6
"""Those of the calendar."""


def runs_of(day: date, count: int) -> tuple[RunDate, ...]:
    """The first so many runs of a delivery day."""
    return calendar.runs_of(day)[:count]


def stake(day: CommunityDay) -> None:
    """Before anything is posted, the operator vouches for the oracles."""
    with day.phase("register"):
        day.exchange.send(day.cast.admin, "setChallengeBond", BOND_NANO)
        day.exchange.send(day.cast.operator, "bondOracles", POT_NANO)


@dataclass(frozen=True)
class Made:
    """A run, or a challenge that held, once it is on chain."""

    name: str
    number: int
    """Of the correction, from 1; of a challenge, that of the run before."""
    challenge: bytes
    """Its id; empty for a run."""
    estimated: int
    """Windows of homes that are not actual afterwards."""


class LaterRuns:
    """The later runs of one settled day, over all its zones."""

    def __init__(self, day: CommunityDay) -> None:
        self.day = day
        self.runs = runs_of(day.plan.day, day.plan.runs)
        self.nodes = [OracleNode(signer.secret) for signer in day.cast.oracles]
        self.zones = {
            one.signed.posting.zone: RunState(one.signed, inputs, one.computed)
            for one, inputs in zip(day.posted, day.inputs, strict=True)
        }
        self.made: list[Made] = []
        self.incidents: list[Incident] = []

    @property
    def exchange(self) -> Exchange:
        return self.day.exchange

    def advance_to_noon_of(self, due: date) -> None:
        """Of the chain's clock."""
        noon = datetime.combine(due, time(12), UTC)
        self.day.clock.advance_to(int(noon.timestamp()))

    # The challenge --------------------------------------------------------------------------------------

    def challenge(self) -> None:
        """One home's, opened a day after the first run, answered and settled; none if no home drew enough."""
        contested = self._contested()
        if not contested:
            return
        home, said = contested[draw(len(contested), self.day.plan.seed, "contested")]
        state, key = self.zones[home.zone], public_point(home.key)
        computed = state.computed
        which = decode(said.message).key
        opening = open_reading(computed.commitments, computed.readings, computed.salts, which)
        operator, node = self.day.cast.operator, self.day.cast.oracles[0]
        with self.day.phase("challenge"):
            corrector.open_corrections(self.exchange, node, state.signed.posting)
            self.day.clock.advance_to(self.exchange.time() + DAY_S)
            brought = contest(opening, said, key, home.zone, state.day)
            signed = challenger.signed_by(home.wallet, self.exchange, brought)
            opened = challenger.challenge(self.exchange, operator, signed)
            earlier = sign(decode(opening.message), home.key)
            challenger.answer(self.exchange, node, opened.id, signed_read(earlier, key))
            self.day.clock.advance_to(opened.answer_by + 1)
            challenger.settle(self.exchange, operator, opened.id)
        self.made.append(Made("challenge", 0, opened.id, self._estimated()))
        what = f"{home.name} challenges a reading: {CONTESTED_WH} Wh less than posted"
        outcome = "upheld; the oracles showed the meter's earlier word, so they pay nothing"
        self.incidents.append(Incident(what, outcome))

    def _contested(self) -> list[tuple[Resident, SignedReading]]:
        """Homes' imports that were posted as actual, each with what its meter may say of it now."""
        return [
            (home, _less(state.computed.readings.reading(row, int(column)), home))
            for home in self.day.cast.homes
            for state in [self.zones[home.zone]]
            for row in [state.computed.readings.row(home.meter.meter_id, IMPORT)]
            for column in np.flatnonzero(_contestable(state, row))
        ]

    # Runs -----------------------------------------------------------------------------------------------

    def run(self, number: int) -> None:
        """The run after `number` others, in every zone."""
        due, late = self.runs[number], list(self._late(number))
        self.advance_to_noon_of(due.due_date)
        with self.day.phase(f"run {due.name}"):
            for zone, state in self.zones.items():
                meters = {home.meter.meter_id for home in self.day.cast.homes if home.zone == zone}
                own = [one for one in late if one.message[1:33] in meters]
                key = draw(1 << 256, self.day.plan.seed, "day key", self.day.plan.day, zone, "run", number)
                signed, left = rerun(self.exchange, state, own, self.nodes, QUORUM, key.to_bytes(32, "big"))
                corrector.run(self.exchange, self.day.cast.oracles[0], signed)
                self.zones[zone] = left
        self.made.append(Made(due.name, number, b"", self._estimated()))

    def _late(self, number: int) -> Iterator[SignedReading]:
        """What comes in before a run; told as it does."""
        if number == 1:
            came = {one.message for one in self.day.received.batch}
            missing = [
                one for one in signed_readings(self.day.cast, self.day.delivered()) if one.message not in came
            ]
            yield from missing
            self.incidents.append(
                Incident("readings that came late", f"actual from run {self.runs[1].name} on", len(missing))
            )
        if number == min(2, len(self.runs) - 1):
            yield from self._meter_corrected(self.runs[number].name)

    def _meter_corrected(self, run: str) -> Iterator[SignedReading]:
        """One home's day under a higher sequence, every reading so much higher."""
        home = self.day.cast.homes[draw(len(self.day.cast.homes), self.day.plan.seed, "counted too little")]
        for signed in signed_readings(self.day.cast, self.day.delivered()):
            read = decode(signed.message)
            if read.meter_id == home.meter.meter_id:
                yield sign(replace(read, wh=_corrected_wh(read), sequence=3), home.key)
        what = f"{home.name}'s meter counted {TOO_LOW_PERCENT}% too little"
        self.incidents.append(Incident(what, f"its day is signed again, and corrected in run {run}"))

    def _estimated(self) -> int:
        """Windows of accounts that are not actual now."""
        flags = (state.computed.accounts.flags for state in self.zones.values())
        return sum(int(np.count_nonzero(one != ACTUAL)) for one in flags)


def _contestable(state: RunState, row: int) -> Mask:
    """(W,) windows of a register that are actual, and of more than is contested."""
    readings = state.computed.readings
    found: Mask = (readings.flags[row] == ACTUAL) & (readings.wh[row] > CONTESTED_WH)
    return found


def _less(posted: Reading, home: Resident) -> SignedReading:
    return sign(replace(posted, wh=posted.wh - CONTESTED_WH, sequence=2), home.key)


def _corrected_wh(read: Reading) -> int:
    return read.wh + floor_div(read.wh * TOO_LOW_PERCENT, 100)
