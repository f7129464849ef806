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
from settlement.reference.exchange.core import ENDED, transaction
from settlement.reference.exchange.metering import Metering
from settlement.reference.exchange.state import RunRecord, RunStage, Stage
from settlement.reference.posting import Entry, Posting
from settlement.reference.product_id import CLAIM, ENERGY, OBLIGATION, ProductId
from settlement.reference.settlement import Day, Round, RunCarry

Held = dict[tuple[int, int, int], int]
"""Wh by (round, quality code, window of the day)."""


class Settling(Metering):
    """Zone by zone and part by part, in the postings' order; then the balancing party; then, zone by zone and
    part by part again, certificates.
    """

    def run(self, day: int) -> RunRecord:
        """WrongPosting unless a zone of the day was posted."""
        if day not in self.state.runs:
            raise WrongPosting(None, day)
        return self.state.runs[day]

    def posting(self, zone: int, day: int) -> Posting:
        """WrongPosting unless the zone's day was posted."""
        if (zone, day) not in self.state.postings:
            raise WrongPosting(zone, day)
        return self.state.postings[(zone, day)]

    def settlement_day(self, now: int, zone: int, day: int) -> Day:
        """What a zone's day is settled under. WrongStage until each of its sessions is proved or void."""
        record, message = self.day(day), self.posting(zone, day)
        rounds = []
        for session, one in self.state.sessions.items():
            if (one.params.day, one.params.kind) != (day, ENERGY):
                continue
            stage = self.stage(now, session)
            if stage not in ENDED:
                raise WrongStage(session, stage)
            if stage is Stage.PROVED:
                rounds.append(Round(one.params.round, one.params.buy_reserve, one.params.sell_reserve))
        rounds.sort(key=lambda one: one.round)
        qualities = self.grid_of(day).qualities
        return Day(record.windows, qualities, tuple(rounds), message.surplus, message.deficit)

    def _part(self, message: Posting, index: int, part: bytes) -> tuple[Entry, ...]:
        """The entries of a part; WrongPart unless its hash is the posting's at `index`."""
        if index >= len(message.parts) or posting.part_hash(part) != message.parts[index]:
            raise WrongPart(index)
        return posting.unpack_part(part, message.windows)

    def _holding(self, zone: int, day: int, key: tuple[int, int, int], **changes: int) -> ProductId:
        one_round, code, window = key
        product = ProductId(day + window, self.window_length, zone, code, ENERGY, one_round)
        return replace(product, **changes)

    def holdings(self, day: int, under: Day, account: bytes) -> tuple[Held, Held]:
        """The account's claims and obligations over the day, of proved sessions, none of zero."""
        zone = self.member(account).zone
        claims: Held = {}
        obligations: Held = {}
        for one in under.rounds:
            for code in under.qualities:
                for window in range(under.windows):
                    key = (one.round, code, window)
                    claims[key] = self.held(account, self._holding(zone, day, key))
                    obligations[key] = self.held(account, self._holding(zone, day, key, side=OBLIGATION))
        return {k: wh for k, wh in claims.items() if wh}, {k: wh for k, wh in obligations.items() if wh}

    # Settling ---------------------------------------------------------------------------------------------

    @transaction
    def settle(self, now: int, zone: int, day: int, carry: RunCarry | None, part: bytes) -> RunCarry:
        """Settles the next part of the zone under way; the first brings no carry, and the last of the last
        zone ends the run. IncompleteRun if a zone's last leaves accounts out.
        """
        run, carry = self._under_way(now, zone, day, carry)
        if run.stage not in (RunStage.POSTED, RunStage.SETTLING):
            raise WrongRunStage(zone, day, run.stage)
        message, under = self.posting(zone, day), self.settlement_day(now, zone, day)
        entries = self._part(message, run.parts, part)
        for entry in entries:
            carry = self._settle_entry(now, zone, day, under, carry, entry)
        accounts = run.accounts + len(entries)
        if run.parts + 1 == len(message.parts):
            if accounts != message.accounts:
                raise IncompleteRun(accounts, message.accounts)
            return self._zone_settled(now, zone, day, under, carry)
        carry = replace(carry, parts=run.parts + 1)
        consumed = posting.consumed(message, carry.parts)
        changes = {"zone": zone, "parts": carry.parts, "accounts": accounts, "consumed": consumed}
        self._update_run(day, carry, stage=RunStage.SETTLING, **changes)
        return carry

    def _zone_settled(self, now: int, zone: int, day: int, under: Day, carry: RunCarry) -> RunCarry:
        """On to the next zone that anyone is metered in; after the last, the balancing party is settled, and
        what was settled is certified in the same order.
        """
        following, stage = self.next_metered(day, zone + 1), RunStage.SETTLING
        if following == self.grid_of(day).zones:
            self._settle_balancing_party(now, zone, day, under, carry)
            following, stage = self.next_posted(day, 0), RunStage.SETTLED
        carry = settlement.zone_start(carry)
        self._update_run(day, carry, stage=stage, zone=following, parts=0, accounts=0)
        return carry

    def _under_way(self, now: int, zone: int, day: int, carry: RunCarry | None) -> tuple[RunRecord, RunCarry]:
        """WrongPosting unless the zone is the run's next; WrongRunCarry unless what is brought is what the
        part before left. Nothing is brought to the first.
        """
        self.require_running(now)
        self.require_quiet(now)
        run = self.run(day)
        if zone != self.zone_under_way(day):
            raise WrongPosting(zone, day)
        if (None if carry is None else settlement.run_carry_hash(carry)) != run.carry_hash:
            raise WrongRunCarry(zone, day)
        under = self.settlement_day(now, zone, day)
        return run, settlement.initial_run(under) if carry is None else carry

    def _settle_entry(
        self, now: int, zone: int, day: int, under: Day, carry: RunCarry, entry: Entry
    ) -> RunCarry:
        member = self.member(entry.account)
        if member.role != PROSUMER or member.zone != zone:
            raise BadEntry(entry.account)
        claims, obligations = self.holdings(day, under, entry.account)
        carry, result = settlement.settle_entry(under, carry, entry, claims, obligations)
        self.add_free(now, entry.account, result.cash + result.returned)
        self._burn(day, entry.account, OBLIGATION, obligations)
        told = (zone, day, entry.account, result.imbalance, result.cash, result.returned)
        self.emit(events.AccountSettled(*told))
        return carry

    def _burn(self, day: int, account: bytes, side: int, held: Held) -> None:
        zone = self.member(account).zone
        for key, wh in held.items():
            self.burn(account, self._holding(zone, day, key, side=side), wh)

    def _update_run(self, day: int, carry: RunCarry, **changes: object) -> None:
        hash_ = settlement.run_carry_hash(carry)
        self.state.runs[day] = replace(self.state.runs[day], carry_hash=hash_, **changes)  # type: ignore[arg-type]

    def _settle_balancing_party(self, now: int, zone: int, day: int, under: Day, carry: RunCarry) -> None:
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
        self.emit(events.RunSettled(zone, day, closing.imbalance, closing.cash, returned))

    # Certifying -------------------------------------------------------------------------------------------

    @transaction
    def certify(self, now: int, zone: int, day: int, carry: RunCarry | None, part: bytes) -> RunCarry:
        """Turns the claims of the next part's accounts into certificates, once the run is settled."""
        run, carry = self._under_way(now, zone, day, carry)
        if run.stage is not RunStage.SETTLED:
            raise WrongRunStage(zone, day, run.stage)
        message, under = self.posting(zone, day), self.settlement_day(now, zone, day)
        for entry in self._part(message, run.parts, part):
            carry = self._certify_account(zone, day, under, carry, entry.account)
        if run.parts + 1 < len(message.parts):
            carry = replace(carry, parts=run.parts + 1)
            self._update_run(day, carry, parts=carry.parts)
            return carry
        carry, following = settlement.zone_start(carry), self.next_posted(day, zone + 1)
        self._update_run(day, carry, zone=following, parts=0)
        if following == self.grid_of(day).zones:
            self._update_run(day, carry, stage=RunStage.CERTIFIED)
            self.emit(events.RunCertified(zone, day))
        return carry

    def _certify_account(self, zone: int, day: int, under: Day, carry: RunCarry, account: bytes) -> RunCarry:
        claims, _ = self.holdings(day, under, account)
        carry, certificates = settlement.certify_account(under, carry, claims)
        green = {key: wh for key, wh in claims.items() if quality.band(key[1]) > 0}
        self._burn(day, account, CLAIM, {key: wh - certificates.get(key, 0) for key, wh in green.items()})
        if certificates:
            self.emit(events.AccountCertified(zone, day, account, sum(certificates.values())))
        return carry
