"""Settlement on the Exchange, the first pass: cash and tokens around `settlement.reference.settlement`."""

from collections.abc import Sequence
from dataclasses import replace

from settlement.reference import posting, settlement, statement
from settlement.reference.accounts import PROSUMER
from settlement.reference.errors import BadEntry, IncompleteRun, NotMember, WrongPart, WrongRunStage
from settlement.reference.exchange import events
from settlement.reference.exchange.core import transaction
from settlement.reference.exchange.holdings import Holdings
from settlement.reference.exchange.state import RunRecord, RunStage
from settlement.reference.gift import Gift, give
from settlement.reference.posting import Entry, Posting
from settlement.reference.prices import RoundPrices
from settlement.reference.product_id import CLAIM, OBLIGATION
from settlement.reference.record import NO_ADDRESS
from settlement.reference.settlement import AccountResult, Day, RunCarry
from settlement.units import floor_div

ACCOUNT_BYTES = 20
MOST_DEFAULT_PARTS = 1 << 15
"""Of a zone that nobody posted: whoever settles cuts it, and not so small that their count does not fit."""
MOST_DEFAULT_WINDOWS = 2048
"""Accounts times windows of such a part: what was settled in one transaction must be certified in one."""


class Settling(Holdings):
    """Zone by zone and part by part, in the postings' order; then the balancing party."""

    @transaction
    def settle(
        self,
        now: int,
        zone: int,
        day: int,
        carry: RunCarry | None,
        part: bytes,
        prices: Sequence[RoundPrices] = (),
    ) -> RunCarry:
        """Settles the next part of the zone under way; the first brings no carry, and the last of the last
        zone ends the run. IncompleteRun if a zone's last leaves accounts out.

        Anyone may send it where a quorum posted. `prices`, of each proved round, may be left out where
        nothing was sold as produced and all green energy delivered. Of a zone that nobody posted, `part` is
        its next accounts.
        """
        run, under, carry = self.under_way(now, zone, day, carry, prices)
        if run.stage not in (RunStage.POSTED, RunStage.SETTLING):
            raise WrongRunStage(zone, day, run.stage)
        message, imbalances = self.posting(zone, day), []
        presumed = posting.is_default(message)
        entries = _default_part(message, run, part) if presumed else self._part(message, run.parts, part)
        for entry in entries:
            carry, result = self._settle_entry(now, zone, day, under, carry, entry, presumed)
            imbalances.append((entry.account, result.imbalance))
        left = statement.statement_hash(statement.statement_of(imbalances))
        self.state.statements[(zone, day, run.parts)] = left
        accounts, parts = run.accounts + len(entries), run.parts + 1
        if presumed:
            self.state.default_parts[(zone, day)] = parts
        if accounts == message.accounts if presumed else parts == len(message.parts):
            if accounts != message.accounts:
                raise IncompleteRun(accounts, message.accounts)
            return self._zone_settled(now, zone, day, under, carry)
        if accounts > message.accounts:
            raise IncompleteRun(accounts, message.accounts)
        carry = replace(carry, parts=parts)
        changes = {} if presumed else {"consumed": posting.consumed(message, parts)}
        self.update_run(
            day, carry, stage=RunStage.SETTLING, zone=zone, parts=parts, accounts=accounts, **changes
        )
        return carry

    def _part(self, message: Posting, index: int, part: bytes) -> tuple[Entry, ...]:
        """The entries of a part; WrongPart unless its hash is the posting's at `index`."""
        if index >= len(message.parts) or posting.part_hash(part) != message.parts[index]:
            raise WrongPart(index)
        return posting.unpack_part(part, message.windows)

    def _zone_settled(self, now: int, zone: int, day: int, under: Day, carry: RunCarry) -> RunCarry:
        """On to the next zone that anyone is metered in; after the last, the balancing party is settled, and
        what was settled is certified in the same order.
        """
        following = self.next_metered(day, zone + 1)
        changes: dict[str, object] = {"stage": RunStage.SETTLING}
        if following == self.grid_of(day).zones:
            carry = self._settle_balancing_party(now, zone, day, under, carry)
            following = self.next_posted(day, 0)
            changes = {"stage": RunStage.SETTLED, "settled_at": now}
            self.keep_challengeable(now)
        carry = settlement.zone_start(carry)
        self.update_run(day, carry, zone=following, parts=0, accounts=0, **changes)
        return carry

    def _settle_entry(
        self, now: int, zone: int, day: int, under: Day, carry: RunCarry, entry: Entry, presumed: bool
    ) -> tuple[RunCarry, AccountResult]:
        account = entry.account
        member = self.state.members.get(account)
        if member is None or member.role != PROSUMER or member.zone != zone:
            raise BadEntry(account)
        held = self.holdings(day, under, account)
        if presumed:
            carry, result = settlement.presume_entry(under, carry, account, *held)
        else:
            carry, result = settlement.settle_entry(under, carry, entry, *held)
        cash = result.cash + result.credit - self._give(now, under, account, result)
        self.add_free(now, account, cash + result.returned)
        self.burn_held(day, account, OBLIGATION, held[1])
        told = (zone, day, account, result.imbalance, cash, result.returned)
        self.emit(events.AccountSettled(*told))
        return carry, result

    def _give(self, now: int, under: Day, account: bytes, result: AccountResult) -> int:
        """What of an account's credits goes to the beneficiaries of its sales, nano."""
        given = 0
        for (number, _), credit in result.earned.items():
            epoch = under.round(number).epoch
            left, nano = give(self.state.gifts.get((epoch, account), Gift()), credit)
            if nano:
                self.state.gifts[(epoch, account)] = left
                self.add_free(now, left.beneficiary, nano)
                self.emit(events.DeliveryDonated(left.beneficiary, account, epoch, nano))
            given += nano
        return given

    def _settle_balancing_party(self, now: int, zone: int, day: int, under: Day, carry: RunCarry) -> RunCarry:
        """It takes the other side of imbalances. It is not metered: its own products are burned, its reserves
        return, and it earns no certificates; but its claims share in what is not delivered, after everyone
        else's.
        """
        party = self.balancing_party()
        if party is None:
            raise NotMember(party)
        claims, obligations = self.holdings(day, under, party)
        closing = settlement.close(under, carry, claims, obligations)
        returned = settlement.party_reserve(under, claims, obligations)
        self.add_free(now, party, closing.cash + returned)
        self.burn_held(day, party, CLAIM, claims)
        self.burn_held(day, party, OBLIGATION, obligations)
        self.emit(events.RunSettled(zone, day, closing.imbalance, closing.cash, returned))
        return settlement.with_escrow(under, carry, claims)


def _default_part(message: Posting, run: RunRecord, part: bytes) -> tuple[Entry, ...]:
    """Accounts without quantities; BadEntry unless there is one, all are whole, they are not too many, and
    such parts, but for the one that completes the zone, can be counted.
    """
    count = floor_div(len(part), ACCOUNT_BYTES)
    enough = count * MOST_DEFAULT_PARTS >= message.accounts or run.accounts + count == message.accounts
    few = count * message.windows <= MOST_DEFAULT_WINDOWS
    if not part or len(part) % ACCOUNT_BYTES or not (few and enough):
        raise BadEntry(NO_ADDRESS)
    return tuple(Entry(part[ACCOUNT_BYTES * at : ACCOUNT_BYTES * (at + 1)], (), ()) for at in range(count))
