"""Corrections on the Exchange: later runs of a zone and day, after its first is over."""

from collections.abc import Sequence
from dataclasses import replace

from settlement.reference import correction as corrections
from settlement.reference import eip712, posting, statement
from settlement.reference.correction import Correction
from settlement.reference.eip712 import keccak
from settlement.reference.errors import (
    AlreadyOpen,
    BadEntry,
    BadPosting,
    ChallengeOpen,
    CorrectionsNotOpen,
    CorrectionUnderWay,
    WrongCorrection,
    WrongPart,
    WrongPosting,
    WrongPrevious,
    WrongRun,
    WrongRunStage,
)
from settlement.reference.exchange import events
from settlement.reference.exchange.core import transaction
from settlement.reference.exchange.delivering import Delivering, Others
from settlement.reference.exchange.state import RunStage, ZoneDay
from settlement.reference.posting import Posting
from settlement.reference.statement import Ledger, Statement

NOTHING = bytes(32)


class Correcting(Delivering):
    """A run is never changed: a later one posts the difference and links to it. Delivery was allotted once,
    in the first run; later ones change imbalances only.
    """

    def zone_day(self, zone: int, day: int) -> ZoneDay:
        """CorrectionsNotOpen unless they are."""
        if (zone, day) not in self.state.zone_days:
            raise CorrectionsNotOpen(zone, day)
        return self.state.zone_days[(zone, day)]

    def update_zone_day(self, zone: int, day: int, **changes: object) -> None:
        found = self.state.zone_days[(zone, day)]
        self.state.zone_days[(zone, day)] = replace(found, **changes)  # type: ignore[arg-type]

    @transaction
    def open_corrections(self, message: Posting) -> None:
        """Keeps of a zone's posting what later runs and challenges refer to, once its day is certified.

        Anyone may.
        """
        zone, day = message.zone, message.first_window
        run = self.state.runs.get(day)
        if run is None or run.stage is not RunStage.CERTIFIED:
            raise WrongRunStage(zone, day, run and run.stage)
        if message != self.posting(zone, day):
            raise WrongPosting(zone, day)
        if (zone, day) in self.state.zone_days:
            raise AlreadyOpen(zone, day)
        unpriced = posting.is_default(message)
        self.state.zone_days[(zone, day)] = ZoneDay(
            commitments=message.commitments,
            prices=NOTHING if unpriced else posting.price_hash(message.surplus, message.deficit),
            link=posting.struct_hash(message),
            since=run.settled_at,
        )
        self.emit(events.CorrectionsOpened(zone, day, posting.struct_hash(message)))

    @transaction
    def post_correction(self, now: int, correction: Correction, signatures: Sequence[bytes]) -> None:
        """Begins a later run that enough oracles signed, in place of one of which no part is applied. Where
        nothing differs it is complete at once.
        """
        self.require_running(now)
        self.require_quiet(now)
        zone, day = correction.zone, correction.first_window
        hash_ = corrections.struct_hash(correction)
        self.check_signers(eip712.digest(self.separator, hash_), signatures)
        before = self.zone_day(zone, day)
        if before.parts:
            raise CorrectionUnderWay(zone, day)
        if before.open:
            raise ChallengeOpen(zone, day)
        self._check_follows_run(correction, before)
        self._check_statements(correction)
        self.update_zone_day(zone, day, pending=hash_)
        self.keep_challengeable(now)
        self.emit(events.CorrectionPosted(zone, day, correction.run, hash_))
        if not correction.parts:
            self._complete(now, correction)

    def _check_follows_run(self, correction: Correction, before: ZoneDay) -> None:
        """WrongRun or WrongPrevious unless it is the next, BadPosting if it changes the day's prices."""
        expected = before.run + 1
        if correction.run != expected or expected > corrections.MOST_RUNS:
            raise WrongRun(correction.run, expected)
        if correction.previous != before.link:
            raise WrongPrevious(before.link)
        if before.prices == NOTHING:
            fits = self._may_price(correction)
        else:
            fits = posting.price_hash(correction.surplus, correction.deficit) == before.prices
        if not fits:
            raise BadPosting("prices")

    def _may_price(self, correction: Correction) -> bool:
        """As of a posting."""
        windows = self.day(correction.first_window).windows
        if {len(correction.surplus), len(correction.deficit)} != {windows}:
            return False
        ordered = all(a <= b for a, b in zip(correction.surplus, correction.deficit, strict=True))
        return ordered and self.in_bounds(correction.first_window, correction.surplus + correction.deficit)

    def _check_statements(self, correction: Correction) -> None:
        """BadPosting unless each part names a statement of the zone, in ascending order."""
        parts = self.parts_of(correction.zone, correction.first_window)
        named = list(correction.statements)
        ascending = named == sorted(set(named)) and all(part < parts for part in named)
        if not ascending or len(named) != len(correction.parts):
            raise BadPosting("statements")

    @transaction
    def correct(self, now: int, correction: Correction, brought: Statement, differences: bytes) -> None:
        """Applies the next part of the correction under way. `brought` has the rows of its accounts."""
        self.require_running(now)
        self.require_quiet(now)
        zone, day = correction.zone, correction.first_window
        before = self.state.zone_days.get((zone, day))
        if before is None or corrections.struct_hash(correction) != before.pending:
            raise WrongCorrection(zone, day)
        if keccak(differences) != correction.parts[before.parts]:
            raise WrongPart(before.parts)
        part, others = correction.statements[before.parts], Others()
        ledger = self.brought_statement(zone, day, part, brought)
        prices = correction.surplus, correction.deficit
        for one in corrections.unpack_differences(differences, self.day(day).windows):
            if one.account not in brought.accounts:
                raise BadEntry(one.account)
            others.add(*self.change_account(now, ledger, one.account, one.wh, *prices))
        left = self.store_statement(zone, day, part, ledger)
        self.credit_balancing_party(now, -others.cash)
        told = (zone, day, correction.run, -others.imbalance, -others.cash, left)
        self.emit(events.PartCorrected(*told))
        self.update_zone_day(zone, day, parts=before.parts + 1)
        if before.parts + 1 == len(correction.parts):
            self._complete(now, correction)

    def change_account(
        self,
        now: int,
        ledger: Ledger,
        account: bytes,
        difference: Sequence[int],
        surplus: Sequence[int],
        deficit: Sequence[int],
        extra: int = 0,
    ) -> tuple[int, int]:
        """Adds to an account's imbalances and credits what that is worth, and `extra`. The change over all
        windows, Wh, and its worth, nano.
        """
        before, after = ledger.change(account, difference)
        imbalance, cash = sum(difference), statement.revalued(before, after, surplus, deficit)
        self.add_free(now, account, cash + extra)
        self.emit(events.AccountCorrected(account, imbalance, cash))
        return imbalance, cash

    def _complete(self, now: int, correction: Correction) -> None:
        """The run is over: what follows links to it, and it can be challenged from now on."""
        zone, day = correction.zone, correction.first_window
        link = corrections.follow(self.zone_day(zone, day).link, corrections.struct_hash(correction))
        self.state.zone_days[(zone, day)] = ZoneDay(
            commitments=correction.commitments,
            prices=posting.price_hash(correction.surplus, correction.deficit),
            link=link,
            since=now,
            run=correction.run,
        )
        self.keep_challengeable(now)
        self.emit(events.RunCorrected(zone, day, correction.run, link))
