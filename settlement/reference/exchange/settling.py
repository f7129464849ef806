"""Settlement on the Exchange: cash and tokens around `settlement.reference.settlement`."""

from dataclasses import replace

from settlement.reference import posting, quality, settlement
from settlement.reference.accounts import PROSUMER
from settlement.reference.errors import (
    BadEntry,
    IncompleteRun,
    NotMember,
    WrongPart,
    WrongPosting,
    WrongRunCarry,
    WrongRunStage,
    WrongStage,
)
from settlement.reference.exchange import events
from settlement.reference.exchange.clearing import ZONE
from settlement.reference.exchange.core import ENDED, transaction
from settlement.reference.exchange.metering import Metering
from settlement.reference.exchange.state import RunRecord, RunStage, Stage
from settlement.reference.posting import Entry
from settlement.reference.product_id import CLAIM, ENERGY, OBLIGATION, ProductId
from settlement.reference.settlement import Day, Round, RunCarry

Held = dict[tuple[int, int, int], int]
"""Wh by (round, quality code, window of the day)."""


class Settling(Metering):
    """Part by part, in the posting's order; then the balancing party; then, part by part again,
    certificates.
    """

    def run(self, day: int) -> RunRecord:
        """WrongPosting unless the day was posted."""
        if (ZONE, day) not in self.state.runs:
            raise WrongPosting(ZONE, day)
        return self.state.runs[(ZONE, day)]

    def settlement_day(self, now: int, day: int) -> Day:
        """What the day is settled under. WrongStage until each of its sessions is proved or void."""
        record, message = self.day(day), self.run(day).posting
        rounds = []
        for session, one in self.state.sessions.items():
            if (one.params.day, one.params.kind) != (day, ENERGY):
                continue
            stage = self.stage(now, session)
            if stage not in ENDED:
                raise WrongStage(session, stage)
            if stage is Stage.PROVED:
                rounds.append(Round(one.params.round, one.params.buy_reserve, one.params.sell_reserve))
        grid = self.state.grids[record.grid_version - 1]
        rounds.sort(key=lambda one: one.round)
        return Day(record.windows, grid.qualities, tuple(rounds), message.surplus, message.deficit)

    def _part(self, run: RunRecord, index: int, part: bytes) -> tuple[Entry, ...]:
        """The entries of a part; WrongPart unless its hash is the posting's at `index`."""
        parts = run.posting.parts
        if index >= len(parts) or posting.part_hash(part) != parts[index]:
            raise WrongPart(index)
        return posting.unpack_part(part, run.posting.windows)

    def _holding(self, day: int, key: tuple[int, int, int], **changes: int) -> ProductId:
        one_round, code, window = key
        product = ProductId(day + window, self.window_length, ZONE, code, ENERGY, one_round)
        return replace(product, **changes)

    def holdings(self, day: int, under: Day, account: bytes) -> tuple[Held, Held]:
        """The account's claims and obligations over the day, of proved sessions, none of zero."""
        claims: Held = {}
        obligations: Held = {}
        for one in under.rounds:
            for code in under.qualities:
                for window in range(under.windows):
                    key = (one.round, code, window)
                    claims[key] = self.held(account, self._holding(day, key))
                    obligations[key] = self.held(account, self._holding(day, key, side=OBLIGATION))
        return {k: wh for k, wh in claims.items() if wh}, {k: wh for k, wh in obligations.items() if wh}

    # Settling ---------------------------------------------------------------------------------------------

    @transaction
    def settle(self, now: int, day: int, carry: RunCarry | None, part: bytes) -> RunCarry:
        """Settles the next part of the posting; the first brings no carry, and the last ends the run.

        IncompleteRun if it leaves accounts out.
        """
        self.require_running(now)
        self.require_quiet(now)
        run, under = self.run(day), self.settlement_day(now, day)
        self._require_run(day, run.stage in (RunStage.POSTED, RunStage.SETTLING))
        carry = self._run_brought(day, under, carry)
        entries = self._part(run, run.parts, part)
        for entry in entries:
            carry = self._settle_entry(now, day, under, carry, entry)
        accounts, last = run.accounts + len(entries), run.parts + 1 == len(run.posting.parts)
        if last:
            if accounts != run.posting.accounts:
                raise IncompleteRun(accounts, run.posting.accounts)
            self._settle_balancing_party(now, day, under, carry)
        carry = settlement.certify_start(carry) if last else replace(carry, parts=run.parts + 1)
        self._update_run(
            day,
            stage=RunStage.SETTLED if last else RunStage.SETTLING,
            parts=carry.parts,
            accounts=accounts,
            carry_hash=settlement.run_carry_hash(carry),
        )
        return carry

    def _require_run(self, day: int, holds: bool) -> None:
        if not holds:
            raise WrongRunStage(ZONE, day, self.run(day).stage)

    def _run_brought(self, day: int, under: Day, carry: RunCarry | None) -> RunCarry:
        """What the part starts from: nothing is brought to the first."""
        if (None if carry is None else settlement.run_carry_hash(carry)) != self.run(day).carry_hash:
            raise WrongRunCarry(ZONE, day)
        return settlement.initial_run(under) if carry is None else carry

    def _settle_entry(self, now: int, day: int, under: Day, carry: RunCarry, entry: Entry) -> RunCarry:
        member = self.member(entry.account)
        if member.role != PROSUMER or member.zone != ZONE:
            raise BadEntry(entry.account)
        claims, obligations = self.holdings(day, under, entry.account)
        carry, result = settlement.settle_entry(under, carry, entry, claims, obligations)
        self.add_free(now, entry.account, result.cash + result.returned)
        self._burn(day, entry.account, OBLIGATION, obligations)
        self.emit(
            events.AccountSettled(ZONE, day, entry.account, result.imbalance, result.cash, result.returned)
        )
        return carry

    def _burn(self, day: int, account: bytes, side: int, held: Held) -> None:
        for key, wh in held.items():
            self.burn(account, self._holding(day, key, side=side), wh)

    def _update_run(self, day: int, **changes: object) -> None:
        run = self.state.runs[(ZONE, day)]
        self.state.runs[(ZONE, day)] = replace(run, **changes)  # type: ignore[arg-type]

    def _settle_balancing_party(self, now: int, day: int, under: Day, carry: RunCarry) -> None:
        """It takes the other side. It is not metered: its own products are burned, its reserves return, and
        it earns no certificates.
        """
        party = self.balancing_party()
        if party is None:
            raise NotMember(party)
        claims, obligations = self.holdings(day, under, party)
        closing = settlement.close(under, carry, claims, obligations)
        returned = settlement.reserve(under, claims, obligations)
        self.add_free(now, party, closing.cash + returned)
        self._burn(day, party, CLAIM, claims)
        self._burn(day, party, OBLIGATION, obligations)
        self.emit(events.RunSettled(ZONE, day, closing.imbalance, closing.cash, returned))

    # Certifying -------------------------------------------------------------------------------------------

    @transaction
    def certify(self, now: int, day: int, carry: RunCarry, part: bytes) -> RunCarry:
        """Turns the claims of the next part's accounts into certificates, once the run is settled."""
        self.require_running(now)
        self.require_quiet(now)
        run, under = self.run(day), self.settlement_day(now, day)
        self._require_run(day, run.stage is RunStage.SETTLED)
        carry = self._run_brought(day, under, carry)
        for entry in self._part(run, run.parts, part):
            carry = self._certify_account(day, under, carry, entry.account)
        carry = replace(carry, parts=run.parts + 1)
        self._update_run(day, parts=carry.parts, carry_hash=settlement.run_carry_hash(carry))
        if carry.parts == len(run.posting.parts):
            self._update_run(day, stage=RunStage.CERTIFIED)
            self.emit(events.RunCertified(ZONE, day))
        return carry

    def _certify_account(self, day: int, under: Day, carry: RunCarry, account: bytes) -> RunCarry:
        claims, _ = self.holdings(day, under, account)
        carry, certificates = settlement.certify_account(under, carry, claims)
        green = {key: wh for key, wh in claims.items() if quality.band(key[1]) > 0}
        self._burn(day, account, CLAIM, {key: wh - certificates.get(key, 0) for key, wh in green.items()})
        if certificates:
            self.emit(events.AccountCertified(ZONE, day, account, sum(certificates.values())))
        return carry
