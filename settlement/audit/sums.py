"""Nothing is lost: sums over the whole replay, taken from its events alone.

Cash: the Exchange holds, in the settlement token, what is free and reserved in all accounts, what filled
energy of unsettled days keeps reserved, and what operators, oracles and challengers set aside, less what a
run under way has paid out and not yet taken back. What certification, a later run or a challenge does to
accounts, the balancing party takes the other side of, Wh and nano.
Energy: in each window of a proved session as much was sold as bought, over all its zones; what its buyers
paid is what its sellers earned and its network operator got. Certificates: in each window, of every
band and the greener ones together, no more than was delivered of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

from settlement.audit.findings import Difference, Findings
from settlement.reference import quality
from settlement.reference.exchange import Exchange, RunStage, Stage
from settlement.reference.exchange import events as model
from settlement.reference.exchange.state import ChallengeStage
from settlement.reference.orders import Order
from settlement.reference.product_id import CLAIM, ENERGY, ProductId
from settlement.reference.record import BUY
from settlement.reference.settlement import Day, RunCarry


@dataclass
class Sums:
    """What is summed as the replay goes."""

    orders: dict[bytes, Order] = field(default_factory=dict)
    bought: dict[bytes, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """Wh by session and window."""
    sold: dict[bytes, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    kept: Counter[bytes] = field(default_factory=Counter)
    """Nano that filled energy keeps reserved, by session."""
    earned: Counter[bytes] = field(default_factory=Counter)
    """Nano that traders and beneficiaries earn together, less what they pay, by session."""
    rent: Counter[int] = field(default_factory=Counter)
    """Nano that the network operator got, by epoch."""
    donated: dict[bytes, int] = field(default_factory=dict)
    """Nano that an order earns for another, until the order itself is told."""
    returned: int = 0
    """Nano of it returned by settlement."""
    paid: dict[int, int] = field(default_factory=dict)
    """Nano that each run under way has paid to accounts, by day."""
    imbalance_cash: Counter[int] = field(default_factory=Counter)
    """Nano that each run paid, the balancing party included, by day."""
    closed: dict[int, tuple[RunCarry, Day]] = field(default_factory=dict)
    changed: tuple[int, int] = (0, 0)
    """Wh and nano of accounts whose other side was not taken yet, in the call being replayed."""
    left_open: list[tuple[model.Event, tuple[int, int]]] = field(default_factory=list)
    """Where the balancing party took another side than there was."""

    def follow(self, event: model.Event, exchange: Exchange) -> None:
        match event:
            case model.ScheduleCleared():
                self._cleared(event, exchange)
            case model.ProceedsDonated():
                self.donated[event.order] = event.worth_nano
            case model.NetworkPaid():
                self.rent[event.epoch] += event.rent_nano
            case model.AccountSettled() | model.RunSettled():
                self.returned += event.returned_nano
                self.imbalance_cash[event.day] += event.cash_nano
            case model.AccountDelivered() | model.AccountCorrected():
                self._change(event)
            case model.PartCertified() | model.PartCorrected() | model.ChallengeSettled():
                self._change(event)
                if self.changed != (0, 0):
                    self.left_open.append((event, self.changed))
                self.changed = (0, 0)

    def _change(self, event: Any) -> None:
        energy, cash = self.changed
        self.changed = (energy + event.imbalance_wh, cash + event.cash_nano)

    def _cleared(self, event: model.ScheduleCleared, exchange: Exchange) -> None:
        order, params = self.orders.pop(event.order), exchange.session(event.session).params
        buys = order.side == BUY
        side = self.bought if buys else self.sold
        for window, wh in enumerate(event.filled_wh, start=order.first_window):
            side[event.session][window] += wh
        rate = params.buy_reserve if buys else params.sell_reserve
        kept = sum(event.filled_wh) * rate
        self.kept[event.session] += kept
        self.earned[event.session] += event.net_nano + kept + self.donated.pop(event.order, 0)

    def close(self, day: int, carry: RunCarry, under: Day) -> None:
        """A run took its other side."""
        self.paid.pop(day, None)
        self.closed[day] = (carry, under)


def owed(sums: Sums, exchange: Exchange, now: int) -> int:
    """Nano that the Exchange owes to somebody."""
    cash = [exchange.cash(now, account) for account in exchange.state.members]
    held = sum(one.free + one.reserved for one in cash)
    proved = [s for s, r in exchange.state.sessions.items() if r.stage is Stage.PROVED]
    kept = sum(sums.kept[one] for one in proved) - sums.returned
    bonds = sum(bond.locked_nano for bond in exchange.state.bonds.values())
    challenges = exchange.state.challenges.values()
    at_stake = sum(one.bond_nano for one in challenges if one.stage is ChallengeStage.OPEN)
    return held + kept + bonds + exchange.state.pot + at_stake - sum(sums.paid.values())


def check(sums: Sums, exchange: Exchange, now: int, balance: int, donated: int, findings: Findings) -> None:
    """Difference where something does not add up."""
    total = owed(sums, exchange, now)
    if total != exchange.state.vault:
        raise Difference("cash", "what is owed is not what came in, nano", exchange.state.vault, total)
    if balance != total + donated:
        raise Difference("cash", "the Exchange's settlement tokens, nano", total + donated, balance)
    findings.add("cash", balance)
    _check_energy(sums, exchange, findings)
    for day, cash in sums.imbalance_cash.items():
        if day in sums.closed and cash != 0:
            raise Difference("runs", f"the run of day {day} does not net to zero, nano", 0, cash)
    for event, left in sums.left_open:
        raise Difference("runs", f"{type(event).__name__} leaves a side open, Wh and nano", (0, 0), left)
    for day in sums.closed:
        _check_delivery(sums, exchange, day, findings)


def _check_energy(sums: Sums, exchange: Exchange, findings: Findings) -> None:
    for id_, record in exchange.state.sessions.items():
        if record.stage is not Stage.PROVED:
            continue
        first = record.params.first_window
        for window in range(first, first + record.params.windows):
            bought, sold = sums.bought[id_][window], sums.sold[id_][window]
            what = f"window {window} of session {record.epoch}: bought and sold, Wh"
            findings.require(bought == sold, "energy", what, bought, sold)
        paid, got = -sums.earned[id_], sums.rent[record.epoch]
        if paid != got:
            what = f"session {record.epoch}: what its traders paid more than earned is not its rent, nano"
            raise Difference("cash", what, paid, got)


def _check_delivery(sums: Sums, exchange: Exchange, day: int, findings: Findings) -> None:
    """Once a day is certified, its claims' lanes hold certificates."""
    if exchange.run(day).stage is not RunStage.CERTIFIED:
        return
    carry, under = sums.closed[day]
    for window in range(under.windows):
        certified = _certified(exchange, under, day, window)
        delivered = {c: carry.tallies[under.index(c, window)].delivered for c in under.qualities}
        for least in {quality.band(code) for code in under.qualities} - {0}:
            most = sum(wh for code, wh in delivered.items() if quality.band(code) >= least)
            is_ = sum(wh for code, wh in certified.items() if quality.band(code) >= least)
            if is_ > most:
                what = f"window {window} of day {day}: certified from band {least} up, at most delivered, Wh"
                raise Difference("delivery", what, most, is_)
        findings.add("delivery")


def _certified(exchange: Exchange, under: Day, day: int, window: int) -> Counter[int]:
    """Wh of certificates by quality code, over all accounts."""
    found: Counter[int] = Counter()
    for code in under.qualities:
        for one in under.rounds:
            product = ProductId(day + window, exchange.window_length, 0, code, ENERGY, one.round, CLAIM)
            for zone in range(exchange.grid_of(day).zones):
                own = replace(product, zone=zone)
                found[code] += sum(exchange.held(account, own) for account in exchange.state.members)
    return found
