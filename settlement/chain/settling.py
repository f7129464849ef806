"""`trellis settlement run`: whatever a quorum signed is settled, certified and corrected, zone by zone.

    posted zones, in their order ─ settle ─ (all zones) certify ─ corrections ─ challenges nobody answered
    ten days after its end: zones that nobody posted, by default

Each look at a day goes on where the chain is, so that it may be killed anywhere and several may run at once:
whoever comes second finds it done, or is refused and looks again. What postings and corrections consist of
comes from folders of oracle nodes (`signed_files`), or, once it was sent, from the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from settlement.chain import challenger, corrector, market_days, settler, signed_files, statements
from settlement.chain.corrector import SignedCorrection, ZoneDay
from settlement.chain.exchange import Exchange, RunStage
from settlement.chain.market_days import DEFAULT_AFTER_S, MarketDay
from settlement.chain.settler import DayRun, SignedPosting
from settlement.chain.sign import Signer
from settlement.chain.steps import Step
from settlement.errors import TrellisError
from settlement.reference.errors import Refused
from settlement.reference.posting import DEFAULT_SEQUENCE, struct_hash

Report = Callable[[str, Mapping[str, object]], None]
"""Told of each event: a name and its figures."""


@dataclass(frozen=True)
class Options:
    """What a settling service runs with."""

    folders: tuple[Path, ...]
    """Of oracle nodes, where what they signed is."""
    by_default: bool = True
    """Whether it posts for zones that nobody posted in time."""
    challenges: bool = True
    """Whether it settles challenges that nobody may answer any more."""


class Settling:
    """One service. `tick` does all that can be done now."""

    def __init__(
        self,
        exchange: Exchange,
        sender: Signer,
        options: Options,
        now: Callable[[], int],
        report: Report,
    ) -> None:
        """`now` gives Unix seconds, by which deadlines are judged."""
        self.exchange, self.sender, self.options = exchange, sender, options
        self.now, self.report = now, report
        self._certified: set[int] = set()
        self._told: dict[object, str] = {}
        self._looked_until = exchange.deployment.block - 1
        self._pending: set[tuple[int, int]] = set()
        """Zones and days of corrections that may wait for their parts."""

    def tick(self) -> int:
        """How many transactions were sent. What fails is told, and does not hold up anything else."""
        sent, now = 0, self.now()
        members = market_days.prosumers(self.exchange)
        days = [day for day in market_days.market_days(self.exchange) if day.ends_at <= now]
        for day in days:
            if day.day in self._certified:
                continue
            zones = market_days.zones_of(self.exchange, day.day, members)
            if zones:
                sent += self._guarded(("day", day.day), partial(self.first, day, zones, members, now))
        sent += self._correct()
        if self.options.challenges:
            sent += self._settle_challenges(now)
        return sent

    # The first run --------------------------------------------------------------------------------------

    def first(
        self, day: MarketDay, zones: Sequence[int], members: Mapping[int, tuple[bytes, ...]], now: int
    ) -> int:
        """Settles and certifies a day as far as its zones are posted."""
        stage = self.exchange.run(0, day.day).stage
        if stage is RunStage.CERTIFIED:
            self._certified.add(day.day)
            return 0
        sent = self._default(day, zones, members, now)
        known = self._postings(day, zones, members)
        if not known or (len(known) < len(zones) and not self._is_behind(day, known)):
            return sent
        run = DayRun(self.exchange, self.sender, known, whole=len(known) == len(zones))
        while run.left:
            self._tell(run.send_next(), day.day)
            sent += 1
        return sent

    def _is_behind(self, day: MarketDay, known: Sequence[SignedPosting]) -> bool:
        """Whether one of these first zones is not settled yet."""
        return self.exchange.zone_under_way(day.day)[0] <= known[-1].posting.zone

    def _default(
        self, day: MarketDay, zones: Sequence[int], members: Mapping[int, tuple[bytes, ...]], now: int
    ) -> int:
        """Posts, after the deadline, that nobody posted."""
        if not self.options.by_default or now < day.ends_at + DEFAULT_AFTER_S:
            return 0
        late = [zone for zone in zones if self.exchange.run(zone, day.day).sequence == 0]
        if not late or not market_days.traded(self.exchange, day.day).ended:
            return 0
        for zone in late:
            default = settler.by_default(zone, day.day, day.windows, members[zone])
            self._tell(settler.post(self.exchange, self.sender, default), day.day, zone)
        return len(late)

    def _postings(
        self, day: MarketDay, zones: Sequence[int], members: Mapping[int, tuple[bytes, ...]]
    ) -> list[SignedPosting]:
        """Those of the first zones, up to one that is not posted, or whose entries nobody has here."""
        found = []
        for zone in zones:
            one = self._posting(day, zone, members[zone])
            if one is None:
                break
            found.append(one)
        return found

    def _posting(self, day: MarketDay, zone: int, accounts: tuple[bytes, ...]) -> SignedPosting | None:
        posted = market_days.posted(self.exchange, day.day, zone)
        if posted is None:
            return None
        if posted.sequence == DEFAULT_SEQUENCE:
            return settler.by_default(zone, day.day, day.windows, accounts[: posted.posting.accounts])
        signed = signed_files.find(self.options.folders, posted.posting_hash)
        if isinstance(signed, SignedPosting):
            return signed
        for told in statements.settled_postings(self.exchange, day.day):
            if struct_hash(told.posting) == posted.posting_hash and len(told.parts) == len(
                posted.posting.parts
            ):
                return told
        self._once(("entries", day.day, zone), f"no folder has the entries of zone {zone}, day {day.day}")
        return None

    # Later runs -----------------------------------------------------------------------------------------

    def _correct(self) -> int:
        """Applies corrections that are posted and not complete."""
        head = self.exchange.chain.block_number()
        if self._looked_until < head:
            first = self._looked_until + 1
            self._pending |= market_days.corrections_posted(self.exchange, first, head)
            self._looked_until = head
        sent, places = 0, sorted(self._pending)
        for place, values in zip(places, self.exchange.views("zoneDayOf", places), strict=True):
            at = ZoneDay(*values)
            if any(at.pending):
                sent += self._guarded(("correction", place), partial(self._apply, *place, at.pending))
            else:
                self._pending.discard(place)
        return sent

    def _apply(self, zone: int, day: int, pending: bytes) -> int:
        """Applies what is left of the correction that the chain waits for."""
        signed = signed_files.find(self.options.folders, pending)
        if not isinstance(signed, SignedCorrection):
            what = f"no folder has the differences of the correction of zone {zone}, day {day}"
            self._once(("differences", pending), what)
            return 0
        steps = corrector.apply(self.exchange, self.sender, signed)
        for one in steps:
            self._tell(one, day, zone)
        return len(steps)

    # Challenges -----------------------------------------------------------------------------------------

    def _settle_challenges(self, now: int) -> int:
        sent = 0
        for id_, found in market_days.open_challenges(self.exchange):
            if now > found.answer_by:
                sent += self._guarded(("challenge", id_), partial(self._settle, id_, found.day, found.zone))
        return sent

    def _settle(self, id_: bytes, day: int, zone: int) -> int:
        self._tell(challenger.settle(self.exchange, self.sender, id_), day, zone)
        return 1

    # Telling --------------------------------------------------------------------------------------------

    def _guarded(self, what: object, work: Callable[[], int]) -> int:
        """What it sent. A refusal, of a node or of the contract, is told once and tried again later."""
        try:
            sent = work()
        except (TrellisError, Refused) as error:
            self._once(what, " ".join(str(error).split()))
            return 0
        if sent:
            self._told.pop(what, None)
        return sent

    def _once(self, what: object, why: str) -> None:
        if self._told.get(what) != why:
            self._told[what] = why
            self.report("waiting", {"why": why})

    def _tell(self, one: Step, day: int, zone: int | None = None) -> None:
        place = {"day": day} if zone is None else {"day": day, "zone": zone}
        self.report(one.name, {**place, "count": one.count, "gas": one.gas_used, "block": one.block})
