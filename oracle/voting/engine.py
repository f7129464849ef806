"""A node at work: what is due is computed, offered, signed, posted and told, again and again.

    for each run that is due, for each zone:
        on chain already?   compare, keep the openings if they are the node's own, mark it
        compute ─ offer ─ a quorum offers the same? choose on disk, sign ─ a quorum signed? post, in turn

`tick` is one round of it. All that it must not forget is in the book, the run files and on chain, so that it
may be killed anywhere; what it computed is worked out again. Nothing of one zone holds up another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from oracle import run_files
from oracle.day import Day
from oracle.errors import BadBallot, BadStore, NotYet
from oracle.posting import collect
from oracle.voting import answers, ballots, drafts
from oracle.voting.ballots import Ballot, Signature, Slot
from oracle.voting.book import Book
from oracle.voting.deciding import Said, Tally, turn
from oracle.voting.duties import Duty, Timetable
from oracle.voting.taken import OnChain, on_chain
from oracle.voting.telling import Report, Teller, figures_of
from oracle.voting.work import Work
from settlement.chain import corrector, market_days, settler, signed_files
from settlement.chain.errors import ContractRevert
from settlement.chain.exchange import Exchange, RunStage
from settlement.chain.market_days import MarketDay, Team
from settlement.chain.settler import SignedPosting
from settlement.chain.sign import Signer
from settlement.reference.correction import MOST_RUNS

SOMEBODY_ELSE = frozenset(
    ("StalePosting", "WrongRun", "AlreadyOpen", "CorrectionUnderWay", "NoChallenge", "AnswerClosed")
)
"""Refusals which say that it is done, or too late."""
FOR_GOOD = frozenset(("BadPosting",))
"""Refusals of a posting that will not change."""


@dataclass(frozen=True)
class Terms:
    """What an engine runs with."""

    data: Path
    timetable: Timetable
    turn_s: float
    """For each node to post before it is the next one's turn."""


@dataclass(frozen=True)
class Round:
    """What one tick goes by."""

    now: int
    team: Team
    members: Mapping[int, tuple[bytes, ...]]
    """Metered members by zone."""


class Engine:
    """One node's. One thread ticks; `hear` and `outgoing` may be called from others."""

    def __init__(
        self,
        work: Work,
        book: Book,
        signer: Signer,
        terms: Terms,
        now: Callable[[], int],
        report: Report,
        sender: Signer | None = None,
    ) -> None:
        """`signer` votes, and sends unless there is a `sender`; `now` gives Unix seconds, by which runs are
        due.
        """
        self.sender = sender or signer
        self.work, self.book, self.signer, self.terms = work, book, signer, terms
        self.now, self.report, self.teller = now, report, Teller(report, signer.address)
        self.exchange: Exchange = work.exchange
        self.stopping = False
        """Set from outside: what was begun is finished, and nothing else is begun."""
        self.changed: Callable[[], None] = lambda: None
        """Called when there is something new to tell the other nodes."""
        self._seen: dict[Slot, tuple[object, bytes]] = {}
        """What the latest digest of a slot followed from."""
        self._duties: dict[int, tuple[Duty, ...]] = {}
        """By first window: working days are slow to count."""
        self._agreed_at: dict[bytes, float] = {}
        self._known: frozenset[int] = frozenset()
        self._zones: frozenset[int] = frozenset()
        self._team = Team((), 0)

    # From and to other nodes ----------------------------------------------------------------------------

    def hear(self, payload: bytes) -> None:
        """Keep what another node said, if it is one and the day is. sqlite3.Error if it cannot be kept."""
        try:
            node, ballot = ballots.decode(payload, self.exchange.separator)
        except BadBallot as error:
            self.teller.once(("ballot", payload[:16]), "ballot refused", {"why": error.message})
            return
        slot = ballot.slot
        known = slot.day in self._known and slot.zone in self._zones and slot.run <= MOST_RUNS
        if known and node in self._team.nodes:
            self.book.hear(node, ballot)

    def outgoing(self) -> list[bytes]:
        """The node's own ballots of runs that are not on chain."""
        return [self.encode(one) for one in self.book.current(self.signer.address)]

    def encode(self, ballot: Ballot) -> bytes:
        """A ballot of this node's, signed."""
        return ballots.encode(ballot, self.exchange.separator, self.signer.sign_digest)

    # A round --------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Everything that can be done now. NodeError if no node of the chain answers; sqlite3.Error."""
        round_ = self.look()
        days = market_days.market_days(self.exchange)
        duties = self.duties(days)
        self.draw_keys(duties, round_)
        self.know(days)
        for group in duties:
            self._day(group, round_)
        self._answer(days, round_)

    def know(self, days: list[MarketDay]) -> None:
        """What others say of other days is not kept."""
        self._known = frozenset(day.day for day in days)

    def look(self) -> Round:
        """The chain as it is now."""
        self._team, members = market_days.team(self.exchange), market_days.prosumers(self.exchange)
        self._zones = frozenset(members)
        return Round(self.now(), self._team, members)

    def duties(self, days: list[MarketDay]) -> list[list[Duty]]:
        """The runs of each day that are not finished, in order."""
        finished = self.book.finished()
        length = self.exchange.deployment.window_length
        for one in days:
            if one.day not in self._duties:
                self._duties[one.day] = self.terms.timetable.duties(Day(length, one.day, one.windows))
        each = (self._duties[one.day] for one in days)
        left = ([d for d in group if (d.day.first_window, d.number) not in finished] for group in each)
        return [group for group in left if group]

    def draw_keys(self, duties: list[list[Duty]], round_: Round) -> None:
        """The keys of all runs that are due by today."""
        today = self.terms.timetable.today(round_.now)
        due = [duty for group in duties for duty in group if duty.due_date <= today]
        lacking = [one for one in due if self.book.key(one.day.first_window, one.number) is None]
        for duty in self.book.draw_keys(lacking, today):
            why = (
                f"its secret is of a later date than {duty.due_date}: bring an earlier one from another node"
            )
            self.teller.once(("key", duty), "waiting", {**_place(duty), "why": why})

    def _day(self, group: list[Duty], round_: Round) -> None:
        """The first of a day's runs that is left, if it is due; the next one waits for it."""
        duty = group[0]
        if duty.due_at > round_.now or self.stopping:
            return
        day = duty.day.first_window
        zones = market_days.zones_of(self.exchange, day, round_.members)
        for zone in zones:
            if not self.stopping and not self.book.is_done(zone, day, duty.number):
                self.teller.guarded(
                    (zone, duty), {**_place(duty), "zone": zone}, partial(self.zone, duty, zone, round_)
                )
        if all(self.book.is_done(zone, day, duty.number) for zone in zones) and self._is_over(duty):
            self._forget(duty, zones)
            self.report("finished", _place(duty))

    def _forget(self, duty: Duty, zones: list[int]) -> None:
        """Drafts that came to nothing, and the run's key."""
        day, separator = duty.day.first_window, self.exchange.separator
        found = (on_chain(self.exchange, duty, zone) for zone in zones)
        taken = {ballots.digest_of(one.struct, separator) for one in found if one is not None}
        for digest, struct in self.book.drafts_of(day, duty.number):
            drafts.discard(self.terms.data, digest, struct, on_chain=digest in taken)
        self.book.finish(day, duty.number)

    def _is_over(self, duty: Duty) -> bool:
        """Whether nothing can take its place any more: a posting may be replaced until it is settled."""
        stage = self.exchange.run(0, duty.day.first_window).stage
        return duty.number > 0 or stage in (RunStage.SETTLED, RunStage.CERTIFIED)

    # One zone's run -------------------------------------------------------------------------------------

    def zone(self, duty: Duty, zone: int, round_: Round) -> None:
        """One step of a zone's run."""
        if self._compare(duty, zone, round_):
            return
        slot = self.slot_of(duty, zone)
        if self.book.choice(slot) is None and not self.make(duty, slot, round_):
            return
        tally = self.tally(slot, round_)
        able = self.book.drafts(slot)
        chosen = self._unsigned(slot, tally) or tally.to_sign(self.signer.address, able)
        if chosen is not None:
            self.vote(slot, chosen)
            tally = self.tally(slot, round_)
        self.teller.breaches(slot, tally)
        agreed = tally.agreed()
        if agreed is not None:
            self.teller.dissent(slot, tally, agreed)
            self.post(slot, tally, agreed)
        elif tally.is_dead():
            self._bury(slot)

    def latest(self, slot: Slot) -> bytes:
        """The digest of what was computed last."""
        return self._seen[slot][1]

    def slot_of(self, duty: Duty, zone: int) -> Slot:
        """What is voted on now: a posting by its sequence, a correction by the link that it is to follow."""
        day = duty.day.first_window
        if duty.number == 0:
            spent = self.book.spent(zone, day, 0)
            return Slot(zone, day, 0, next(str(n) for n in range(1, len(spent) + 2) if str(n) not in spent))
        at = corrector.zone_day(self.exchange, zone, day)
        posted = None if at.is_open else market_days.posted(self.exchange, day, zone)
        if posted is None and not at.is_open:
            raise NotYet(day, f"zone {zone} was never posted")
        return Slot(zone, day, duty.number, _hex(at.link if posted is None else posted.posting_hash))

    def make(self, duty: Duty, slot: Slot, round_: Round) -> bool:
        """The node's run of a zone as it comes out now, offered to the others; False without a day key.
        NotYet, InputError.
        """
        key = self.book.key(slot.day, slot.run)
        if key is None:
            return False
        seen = (self.work.seen(duty), round_.members.get(slot.zone))
        if slot in self._seen and self._seen[slot][0] == seen:
            return True
        if slot.run == 0:
            made = self.work.post(duty, slot.zone, round_.members[slot.zone], int(slot.place), key)
        else:
            made = self.work.correct(duty, slot.zone, key)
        if made.slot != slot:
            return False  # the chain went on meanwhile
        struct = drafts.keep(self.terms.data, made)
        self._seen = {one: kept for one, kept in self._seen.items() if _run(one) != _run(slot)}
        self._seen[slot] = (seen, made.offer.digest)
        if self.book.offer(slot, self.signer.address, made.offer, struct):
            self.report("offered", {**figures_of(slot), "digest": _hex(made.offer.digest)})
            self.changed()
        return True

    def tally(self, slot: Slot, round_: Round) -> Tally:
        """What the admitted nodes said of a slot."""
        said = self.book.said(slot)
        return Tally(
            {n: s for n, s in said.items() if n in round_.team.nodes}, round_.team.nodes, round_.team.quorum
        )

    def _unsigned(self, slot: Slot, tally: Tally) -> bytes | None:
        """What was chosen before the node was killed, and not signed."""
        chosen = self.book.choice(slot)
        return None if tally.said.get(self.signer.address, Said()).votes else chosen

    def vote(self, slot: Slot, digest: bytes) -> None:
        """Choose and sign, once."""
        if self.book.choose(slot, digest) != digest:
            return
        self.book.signed(slot, self.signer.address, Signature(digest, self.signer.sign_digest(digest)))
        self.report("voted", {**figures_of(slot), "digest": _hex(digest)})
        self.changed()

    def post(self, slot: Slot, tally: Tally, digest: bytes, *, at_once: bool = False) -> None:
        """Post what a quorum signed, if this node signed it too, in its turn or `at_once`."""
        if self.book.choice(slot) != digest:
            return
        signed = signed_files.find([self.terms.data], self.book.drafts(slot)[digest])
        if signed is None:
            raise BadStore(self.terms.data, f"what was signed of zone {slot.zone}, day {slot.day} is gone")
        nodes, quorum = tally.nodes, tally.quorum
        signatures = collect(digest, tally.signatures(digest), nodes, quorum)
        if signatures != signed.signatures:
            signed = replace(signed, signatures=signatures)
            signed_files.write(self.terms.data, signed)
        since = self._agreed_at.setdefault(digest, time.monotonic())
        wait = turn(nodes, self.signer.address, digest) * self.terms.turn_s
        if not at_once and time.monotonic() - since < wait:
            return
        try:
            if isinstance(signed, SignedPosting):
                steps = [settler.post(self.exchange, self.sender, signed)]
            else:
                steps = corrector.post(self.exchange, self.sender, signed)
        except ContractRevert as refusal:
            self._refused(slot, refusal)
            return
        for one in steps:
            self.report(
                "posted", {**figures_of(slot), "step": one.name, "block": one.block, "gas": one.gas_used}
            )

    def _refused(self, slot: Slot, refusal: ContractRevert) -> None:
        """Somebody else was faster, or it will never be taken; anything else is tried again."""
        if slot.run == 0 and refusal.name in FOR_GOOD:
            self.book.spend(slot, str(refusal))
            self.report("refused", {**figures_of(slot), "why": str(refusal)})
        elif refusal.name not in SOMEBODY_ELSE:
            raise refusal

    def _bury(self, slot: Slot) -> None:
        """No digest can have a quorum: a posting is tried under the next sequence, a correction waits."""
        if slot.run == 0:
            self.book.spend(slot, "the nodes' votes are split")
        self.teller.once(("split", slot), "split", figures_of(slot))

    # What is on chain -----------------------------------------------------------------------------------

    def _compare(self, duty: Duty, zone: int, round_: Round) -> bool:
        """Whether a zone's run is on chain; then it is compared with what all nodes said, and marked."""
        found = on_chain(self.exchange, duty, zone)
        if found is None:
            return False
        digest = ballots.digest_of(found.struct, self.exchange.separator)
        self.teller.dissent(found.slot, self.tally(found.slot, round_), digest)
        agrees = drafts.promote(self.terms.data, digest) or self._adopt(duty, found)
        self.report("on chain", {**_place(duty), "zone": zone, "digest": _hex(digest), "agrees": agrees})
        self.book.mark_done(zone, found.slot.day, duty.number)
        return True

    def _adopt(self, duty: Duty, found: OnChain) -> bool:
        """The openings of a run that others posted, if this node gets the same; otherwise it keeps none."""
        key = self.book.key(found.slot.day, duty.number)
        if key is None or not any(found.commitments):
            return False
        zone, sequence = found.slot.zone, found.sequence
        inputs, computed = self.work.committed(duty, zone, found.accounts, sequence, key)
        if run_files.path_of(self.terms.data, inputs).exists():
            return True  # killed after it was kept
        if computed.commitments.root != found.commitments:
            return False
        run_files.keep(self.terms.data, inputs, computed)
        return True

    # Challenges -----------------------------------------------------------------------------------------

    def _answer(self, days: list[MarketDay], round_: Round) -> None:
        length = self.exchange.deployment.window_length
        by_first = {one.day: Day(length, one.day, one.windows) for one in days}
        for one in answers.answerable(self.exchange, self.terms.data, by_first, round_.now):
            since = self._agreed_at.setdefault(one.id, time.monotonic())
            mine = turn(round_.team.nodes, self.signer.address, one.id) * self.terms.turn_s
            if not self.stopping and time.monotonic() - since >= mine:
                place = {"challenge": _hex(one.id), "zone": one.found.zone, "day": one.found.day}
                self.teller.guarded(one.id, place, partial(self._send_answer, one, place))

    def _send_answer(self, one: answers.Open, place: Mapping[str, object]) -> None:
        try:
            step = answers.send(self.exchange, self.sender, one, self.work.registry)
        except ContractRevert as refusal:
            if refusal.name not in SOMEBODY_ELSE:
                raise
            return
        self.report("answered", {**place, "defeats": one.answer.defeats, "block": step.block})


def _place(duty: Duty) -> dict[str, object]:
    return {"day": duty.day.first_window, "run": duty.number, "name": duty.name}


def _run(slot: Slot) -> tuple[int, int, int]:
    return slot.zone, slot.day, slot.run


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
