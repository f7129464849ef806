"""The second pass on the Exchange: shortfalls, refunds and certificates around
`settlement.reference.delivery`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from settlement.reference import delivery, quality, settlement, statement
from settlement.reference.errors import NotMember, WrongRunStage, WrongStatement
from settlement.reference.exchange import events
from settlement.reference.exchange.core import transaction
from settlement.reference.exchange.settling import Settling
from settlement.reference.exchange.state import RunStage
from settlement.reference.prices import RoundPrices
from settlement.reference.product_id import CLAIM
from settlement.reference.settlement import Day, RunCarry
from settlement.reference.statement import Ledger, Statement


@dataclass
class Others:
    """What a call does to accounts; the balancing party takes the other side of it."""

    imbalance: int = 0
    """Wh over all windows."""
    cash: int = 0
    """Nano."""

    def add(self, imbalance: int, cash: int) -> None:
        self.imbalance += imbalance
        self.cash += cash


class Delivering(Settling):
    """Zone by zone and part by part again, over the statements that the first pass left."""

    @transaction
    def certify(
        self,
        now: int,
        zone: int,
        day: int,
        carry: RunCarry | None,
        brought: Statement,
        prices: Sequence[RoundPrices] = (),
    ) -> RunCarry:
        """Goes over the claims of the next part's accounts once the run is settled: what was not produced is
        refunded and falls out of imbalances, what was delivered of a band is certified, and the reserves of
        claims as produced return. The last part of all leaves the rest to the balancing party.

        Anyone may send it. `brought` has the rows of the accounts that lose something, in order; `prices` may
        be left out where nothing is refunded.
        """
        run, under, carry = self.under_way(now, zone, day, carry, prices)
        if run.stage is not RunStage.SETTLED:
            raise WrongRunStage(zone, day, run.stage)
        ledger = self.brought_statement(zone, day, run.parts, brought)
        others = Others()
        for account in brought.accounts:
            carry = self._deliver(now, zone, day, under, carry, account, ledger, others)
        left = self.store_statement(zone, day, run.parts, ledger)
        self.credit_balancing_party(now, -others.cash)
        self.emit(events.PartCertified(zone, day, -others.imbalance, -others.cash, left))
        if run.parts + 1 < self.parts_of(zone, day):
            carry = replace(carry, parts=run.parts + 1)
            self.update_run(day, carry, parts=carry.parts)
            return carry
        carry, following = settlement.zone_start(carry), self.next_posted(day, zone + 1)
        if following == self.grid_of(day).zones:
            carry = self._end(now, zone, day, carry)
        self.update_run(day, carry, zone=following, parts=0)
        return carry

    def _end(self, now: int, zone: int, day: int, carry: RunCarry) -> RunCarry:
        """All is certified: what is left of the escrow is the balancing party's."""
        self.credit_balancing_party(now, carry.cash)
        self.update_run(day, carry, stage=RunStage.CERTIFIED, settled_at=now)
        self.keep_challengeable(now)
        self.emit(events.RunCertified(zone, day, carry.cash))
        return replace(carry, cash=0)

    def brought_statement(self, zone: int, day: int, part: int, brought: Statement) -> Ledger:
        """WrongStatement unless accounts and leaves are as the part left them."""
        kept = self.state.statements.get((zone, day, part))
        whole = len(brought.accounts) == len(brought.leaves)
        if kept is None or not whole or statement.statement_hash(brought) != kept:
            raise WrongStatement(part)
        return Ledger(brought, self.day(day).windows)

    def store_statement(self, zone: int, day: int, part: int, ledger: Ledger) -> bytes:
        """The hash of the statement as it is now. WrongRows if rows were brought that nobody needed."""
        hash_ = statement.statement_hash(ledger.close())
        self.state.statements[(zone, day, part)] = hash_
        return hash_

    def credit_balancing_party(self, now: int, amount: int) -> None:
        """The other side of what a call did."""
        party = self.balancing_party()
        if party is None:
            raise NotMember(party)
        self.add_free(now, party, amount)

    def _deliver(
        self,
        now: int,
        zone: int,
        day: int,
        under: Day,
        carry: RunCarry,
        account: bytes,
        ledger: Ledger,
        others: Others,
    ) -> RunCarry:
        claims, _ = self.holdings(day, under, account)
        carry, found = delivery.deliver_account(under, carry, claims)
        imbalance, cash = -sum(found.short), found.premiums
        if any(found.short):
            before, after = ledger.change(account, [-wh for wh in found.short], bounded=False)
            cash += statement.revalued(before, after, under.surplus, under.deficit)
        others.add(imbalance, cash)
        received = cash + found.refund
        self.add_free(now, account, received + found.released)
        if imbalance or received or found.released:
            self.emit(events.AccountDelivered(account, imbalance, received, found.released))
        green = {key: wh for key, wh in claims.items() if quality.band(key[1]) > 0}
        gone = {key: wh - found.certificates.get(key, 0) for key, wh in green.items()}
        self.burn_held(day, account, CLAIM, gone)
        if found.certificates:
            certified = sum(found.certificates.values())
            self.emit(events.AccountCertified(zone, day, account, certified))
        return carry
