"""Nothing is lost: sums over the whole replay, taken from its events alone.

Cash: the Exchange holds, in the settlement token, what is free and reserved in all accounts, what filled
energy of unsettled days keeps reserved, what it withholds of sales as produced until they are delivered, and
what operators, oracles and challengers set aside. What is withheld is paid to sellers and their beneficiaries
on delivery, refunded to buyers, or the balancing party's, to the last nano. Everything else that a run, its
certification, a later run or a challenge does to accounts, the balancing party takes the other side of, Wh
and nano.
Energy: in each window of a proved session as much was sold as bought, over all its zones; what its buyers
paid is what its sales are worth and its network operator got. Certificates: in each round and window, of
every band and the greener ones together, no more than was delivered of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from settlement.audit.findings import Difference, Findings
from settlement.reference import accounts, quality
from settlement.reference.exchange import Exchange, RunStage, Stage
from settlement.reference.exchange import events as model
from settlement.reference.exchange.state import ChallengeStage
from settlement.reference.orders import Order
from settlement.reference.prices import RoundPrices
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
    """Nano that traders and beneficiaries earn together, less what they pay, by session; what is withheld
    included.
    """
    withheld: Counter[bytes] = field(default_factory=Counter)
    """Nano that sales paid on delivery are worth, by session."""
    prices: RoundPrices | None = None
    """Posted for the zone that is being cleared."""
    rent: Counter[int] = field(default_factory=Counter)
    """Nano that the network operator got, by epoch."""
    donated: dict[bytes, int] = field(default_factory=dict)
    """Nano that an order earns for another, until the order itself is told."""
    returned: int = 0
    """Nano of what is kept that was returned."""
    paid: Counter[int] = field(default_factory=Counter)
    """Nano that each run and its certification paid, the balancing party included, by day: what is withheld
    of the day falls by as much.
    """
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
            case model.AccountCorrected():
                self._change(event)
            case model.PartCorrected() | model.ChallengeSettled():
                self._end(event, self._change(event))
            case _:
                self._follow_run(event, exchange)

    def _follow_run(self, event: model.Event, exchange: Exchange) -> None:
        match event:
            case model.AccountSettled():
                self._pay(event)
            case model.RunSettled():
                self._pay(event)
                self._check_left(event.day, exchange)
            case model.DeliveryDonated():
                day = exchange.session(exchange.state.epochs[event.epoch - 1]).params.day
                self.paid[day] += event.nano
            case model.AccountDelivered():
                self.returned += event.released_nano
                self._change(event)
            case model.PartCertified():
                energy, refunds = self._change(event)
                self.paid[event.day] += refunds
                self._end(event, (energy, 0))
            case model.RunCertified():
                self.paid[event.day] += event.rest_nano

    def _change(self, event: Any) -> tuple[int, int]:
        energy, cash = self.changed
        self.changed = (energy + event.imbalance_wh, cash + event.cash_nano)
        return self.changed

    def _end(self, event: model.Event, left: tuple[int, int]) -> None:
        """The balancing party took its side: what is left."""
        if left != (0, 0):
            self.left_open.append((event, left))
        self.changed = (0, 0)

    def _cleared(self, event: model.ScheduleCleared, exchange: Exchange) -> None:
        order, params = self.orders.pop(event.order), exchange.session(event.session).params
        buys = order.side == BUY
        side = self.bought if buys else self.sold
        for window, wh in enumerate(event.filled_wh, start=order.first_window):
            side[event.session][window] += wh
        rate, worth = params.buy_reserve if buys else params.sell_reserve, 0
        if accounts.paid_on_delivery(exchange.member(event.trader), order):
            rate, worth = params.delivery_reserve, self._worth(event, order, exchange)
        kept = sum(event.filled_wh) * rate
        self.kept[event.session] += kept
        self.withheld[event.session] += worth
        self.earned[event.session] += event.net_nano + kept + worth + self.donated.pop(event.order, 0)

    def _worth(self, event: model.ScheduleCleared, order: Order, exchange: Exchange) -> int:
        """What a sale's fills are worth at the posted prices, nano."""
        assert self.prices is not None
        params = exchange.session(event.session).params
        dense = exchange.market(event.session).grid.qualities.index(order.quality)
        first = order.first_window - params.first_window
        fills = enumerate(event.filled_wh, start=first)
        return sum(wh * self.prices.price(dense, window) for window, wh in fills if wh)

    def close(self, day: int, carry: RunCarry, under: Day) -> None:
        """A run ended, of which the events are not yet followed."""
        self.closed[day] = (carry, under)

    def _pay(self, event: model.AccountSettled | model.RunSettled) -> None:
        self.returned += event.returned_nano
        self.paid[event.day] += event.cash_nano

    def _check_left(self, day: int, exchange: Exchange) -> None:
        """Difference unless what a run leaves is what was withheld of energy that was not delivered."""
        carry, _ = self.closed[day]
        left = _withheld(self, exchange, day) - self.paid[day]
        if left != carry.cash:
            what = f"the run of day {day} leaves another sum than was withheld of what is missing, nano"
            raise Difference("escrow", what, left, carry.cash)


def _withheld(sums: Sums, exchange: Exchange, day: int) -> int:
    """Nano of all proved sessions of a day."""
    records = exchange.state.sessions.items()
    proved = [id_ for id_, one in records if one.stage is Stage.PROVED and one.params.day == day]
    return sum(sums.withheld[one] for one in proved)


def owed(sums: Sums, exchange: Exchange, now: int) -> int:
    """Nano that the Exchange owes to somebody."""
    cash = [exchange.cash(now, account) for account in exchange.state.members]
    held = sum(one.free + one.reserved for one in cash)
    proved = [s for s, r in exchange.state.sessions.items() if r.stage is Stage.PROVED]
    kept = sum(sums.kept[one] for one in proved) - sums.returned
    withheld = sum(sums.withheld[one] for one in proved) - sum(sums.paid.values())
    bonds = sum(bond.locked_nano for bond in exchange.state.bonds.values())
    challenges = exchange.state.challenges.values()
    at_stake = sum(one.bond_nano for one in challenges if one.stage is ChallengeStage.OPEN)
    return held + kept + withheld + bonds + exchange.state.pot + at_stake


def check(sums: Sums, exchange: Exchange, now: int, balance: int, donated: int, findings: Findings) -> None:
    """Difference where something does not add up."""
    total = owed(sums, exchange, now)
    if total != exchange.state.vault:
        raise Difference("cash", "what is owed is not what came in, nano", exchange.state.vault, total)
    if balance != total + donated:
        raise Difference("cash", "the Exchange's settlement tokens, nano", total + donated, balance)
    findings.add("cash", balance)
    _check_energy(sums, exchange, findings)
    for event, left in sums.left_open:
        raise Difference("runs", f"{type(event).__name__} leaves a side open, Wh and nano", (0, 0), left)
    for day in sums.closed:
        if exchange.run(day).stage is RunStage.CERTIFIED:
            _check_escrow(sums, exchange, day, findings)
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
            what = (
                f"session {record.epoch}: what its buyers paid above its sales' worth is not its rent, nano"
            )
            raise Difference("cash", what, paid, got)


def _check_escrow(sums: Sums, exchange: Exchange, day: int, findings: Findings) -> None:
    """Once a day is certified, nothing that was withheld is left."""
    withheld, paid = _withheld(sums, exchange, day), sums.paid[day]
    what = f"day {day}: what was withheld of sales as produced is not what was paid out, nano"
    findings.require(withheld == paid, "escrow", what, withheld, paid)


def _check_delivery(sums: Sums, exchange: Exchange, day: int, findings: Findings) -> None:
    """Once a day is certified, its claims' lanes hold certificates."""
    carry, under = sums.closed[day]
    for window in range(under.windows):
        for number in (one.round for one in under.rounds):
            certified = _certified(exchange, under, day, number, window)
            keys = {code: (number, code, window) for code in under.qualities}
            delivered = {code: carry.tallies[under.index(key)].delivered for code, key in keys.items()}
            _check_bands(f"window {window} of day {day}, round {number}", delivered, certified)
        findings.add("delivery")


def _check_bands(where: str, delivered: Mapping[int, int], certified: Mapping[int, int]) -> None:
    """Of Wh by quality code."""
    for least in {quality.band(code) for code in delivered} - {0}:
        most = sum(wh for code, wh in delivered.items() if quality.band(code) >= least)
        is_ = sum(wh for code, wh in certified.items() if quality.band(code) >= least)
        if is_ > most:
            what = f"{where}: certified from band {least} up, at most delivered, Wh"
            raise Difference("delivery", what, most, is_)


def _certified(exchange: Exchange, under: Day, day: int, number: int, window: int) -> Counter[int]:
    """Wh of a round's certificates by quality code, over all accounts."""
    found: Counter[int] = Counter()
    for code in under.qualities:
        product = ProductId(day + window, exchange.window_length, 0, code, ENERGY, number, CLAIM)
        for zone in range(exchange.grid_of(day).zones):
            own = replace(product, zone=zone)
            found[code] += sum(exchange.held(account, own) for account in exchange.state.members)
    return found
