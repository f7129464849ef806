"""Settlement on the Exchange: cash and tokens around `settlement.reference.settlement`."""

from dataclasses import replace

from settlement.reference import posting, product_id, quality, settlement
from settlement.reference.accounts import PROSUMER
from settlement.reference.errors import (
    CarryMismatch,
    NotMetered,
    NotRegistered,
    RunClosed,
    RunIncomplete,
    RunOpen,
    SessionsPending,
    UnknownPosting,
    WrongPart,
)
from settlement.reference.exchange import events
from settlement.reference.exchange.clearing import ZONE
from settlement.reference.exchange.core import transaction
from settlement.reference.exchange.metering import Metering
from settlement.reference.exchange.state import RunRecord, Status
from settlement.reference.posting import Entry
from settlement.reference.product_id import CERTIFICATE, ENERGY, OBLIGATION, ProductId
from settlement.reference.settlement import CertifyCarry, Day, Round, RunCarry

Held = dict[tuple[int, int, int], int]
"""Wh by (round, quality code, window of the day)."""


class Settling(Metering):
    """Part by part, in the posting's order; then the balancing party; then, part by part again,
    certificates.
    """

    def run(self, day: int) -> RunRecord:
        """UnknownPosting unless the day was posted."""
        if (ZONE, day) not in self.state.runs:
            raise UnknownPosting(ZONE, day)
        return self.state.runs[(ZONE, day)]

    def settlement_day(self, now: int, day: int) -> Day:
        """What the day is settled under. SessionsPending until each of its sessions is proved or void."""
        record, message = self.day(day), self.run(day).posting
        rounds = []
        for session, one in self.state.sessions.items():
            if (one.params.day, one.params.kind) != (day, ENERGY):
                continue
            status = self.status(now, session)
            if status not in (Status.PROVED, Status.VOID):
                raise SessionsPending(day)
            if status is Status.PROVED:
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
        """Settles the next part of the posting; the first brings no carry."""
        self.require_quiet(now)
        run, under = self.run(day), self.settlement_day(now, day)
        if run.closed:
            raise RunClosed(ZONE, day)
        carry = self._run_carry(run, under, carry)
        entries = self._part(run, carry.parts, part)
        for entry in entries:
            carry = self._settle_entry(now, day, under, carry, entry)
        carry = replace(carry, parts=carry.parts + 1)
        accounts = run.accounts + len(entries)
        self._update_run(day, accounts=accounts, carry_hash=settlement.run_carry_hash(carry))
        return carry

    def _run_carry(self, run: RunRecord, under: Day, carry: RunCarry | None) -> RunCarry:
        if (None if carry is None else settlement.run_carry_hash(carry)) != run.carry_hash:
            raise CarryMismatch(ZONE)
        return settlement.initial_run(under) if carry is None else carry

    def _settle_entry(self, now: int, day: int, under: Day, carry: RunCarry, entry: Entry) -> RunCarry:
        member = self.member(entry.account)
        if member.role != PROSUMER or member.zone != ZONE:
            raise NotMetered(entry.account)
        claims, obligations = self.holdings(day, under, entry.account)
        carry, result = settlement.settle_entry(under, carry, entry, claims, obligations)
        self.add_free(now, entry.account, result.cash + result.returned)
        uncertified = {key: wh for key, wh in claims.items() if quality.band(key[1]) == 0}
        self._burn(day, entry.account, uncertified, obligations)
        self.emit(
            events.AccountSettled(ZONE, day, entry.account, result.imbalance, result.cash, result.returned)
        )
        return carry

    def _burn(self, day: int, account: bytes, claims: Held, obligations: Held) -> None:
        for key, wh in claims.items():
            self.burn(account, self._holding(day, key), wh)
        for key, wh in obligations.items():
            self.burn(account, self._holding(day, key, side=OBLIGATION), wh)

    def _update_run(self, day: int, **changes: object) -> None:
        run = self.state.runs[(ZONE, day)]
        self.state.runs[(ZONE, day)] = replace(run, **changes)  # type: ignore[arg-type]

    @transaction
    def close_run(self, now: int, day: int, carry: RunCarry | None) -> None:
        """The balancing party takes the other side. RunIncomplete before every part and account is settled.

        It is not metered: its own products are burned, its reserves return, and it earns no certificates.
        """
        self.require_quiet(now)
        run, under = self.run(day), self.settlement_day(now, day)
        if run.closed:
            raise RunClosed(ZONE, day)
        carry = self._run_carry(run, under, carry)
        if (carry.parts, run.accounts) != (len(run.posting.parts), run.posting.accounts):
            raise RunIncomplete(run.accounts, run.posting.accounts)
        party = self.balancing_party()
        if party is None:
            raise NotRegistered(party)
        closing = settlement.close(carry)
        claims, obligations = self.holdings(day, under, party)
        self.add_free(now, party, closing.cash + settlement.reserve(under, claims, obligations))
        self._burn(day, party, claims, obligations)
        self._update_run(day, closed=True)
        self.emit(events.RunClosed(ZONE, day, party, closing.imbalance, closing.cash))

    # Certifying -------------------------------------------------------------------------------------------

    @transaction
    def certify(
        self, now: int, day: int, run_carry: RunCarry, carry: CertifyCarry | None, part: bytes
    ) -> CertifyCarry:
        """Turns the claims of the next part's accounts into certificates, once the run is closed."""
        self.require_quiet(now)
        run, under = self.run(day), self.settlement_day(now, day)
        if not run.closed:
            raise RunOpen(ZONE, day)
        self._run_carry(run, under, run_carry)
        if (None if carry is None else settlement.certify_carry_hash(carry)) != run.certify_hash:
            raise CarryMismatch(ZONE)
        carry = settlement.initial_certify(under) if carry is None else carry
        if carry.parts == len(run.posting.parts):
            raise RunClosed(ZONE, day)
        for entry in self._part(run, carry.parts, part):
            carry = self._certify_entry(day, under, run_carry, carry, entry)
        carry = replace(carry, parts=carry.parts + 1)
        self._update_run(day, certify_hash=settlement.certify_carry_hash(carry))
        return carry

    def _certify_entry(
        self, day: int, under: Day, run_carry: RunCarry, carry: CertifyCarry, entry: Entry
    ) -> CertifyCarry:
        claims, _ = self.holdings(day, under, entry.account)
        carry, certificates = settlement.certify_entry(under, run_carry, carry, entry, claims)
        for key, wh in claims.items():
            self.burn(entry.account, self._holding(day, key), wh)
        for key, wh in certificates.items():
            product = self._holding(day, key, kind=CERTIFICATE)
            self.mint(entry.account, product, wh)
            self.emit(events.CertificateMinted(entry.account, product_id.encode(product), wh))
        return carry
