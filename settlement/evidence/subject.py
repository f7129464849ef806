"""What the checks of one bundle share: its values in the reference's types."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from settlement.chain.events import DayOpened, GridSet, MemberRegistered, SessionOpened, SessionProved
from settlement.evidence.bundle import Bundle
from settlement.evidence.proved import Evidence
from settlement.evidence.report import Missing
from settlement.reference import eip712, orders
from settlement.reference.accounts import Member
from settlement.reference.clearing import Market
from settlement.reference.orders import SignedOrder
from settlement.reference.product_id import ENERGY
from settlement.reference.session import Grid, SessionParams


@dataclass(frozen=True)
class Subject:
    """The order, its account and its session."""

    bundle: Bundle
    evidence: Evidence

    @cached_property
    def separator(self) -> bytes:
        return eip712.domain_separator(self.bundle.chain_id, self.bundle.exchange)

    @cached_property
    def params(self) -> SessionParams:
        """As the bundle tells them."""
        told = self.bundle.session.params
        return SessionParams(**{name: getattr(told, name) for name in type(told).model_fields})

    @cached_property
    def signed(self) -> SignedOrder:
        """The order of its record. Missing without one; MalformedRecord if it is none."""
        order = self.bundle.order
        if order.record is None:
            raise Missing("the chain's calldata has no record of the order: another contract sent the call")
        found, end = orders.decode(order.record, 0, self.bundle.session.id, self.params.kind, order.zone)
        if end != len(order.record):
            raise ValueError("something follows the order's record")
        return found

    @cached_property
    def member(self) -> Member:
        """The account as it was registered: role, zone and lanes never change."""
        _, event = self.evidence.get(MemberRegistered, "registerMember", account=self.bundle.account)
        return event.member

    def grid(self, version: int) -> Grid:
        return self.evidence.get(GridSet, "setGrid", version=version)[1].grid

    @cached_property
    def market(self) -> Market:
        return Market(self.params, self.grid(self.params.grid_version))

    def day(self, day: int) -> DayOpened:
        return self.evidence.get(DayOpened, "openDay", day=day)[1]

    def rounds(self, day: int) -> list[SessionOpened]:
        """Energy sessions of a day that are proved, by ascending round."""
        opened = [one for sent in self.evidence.sent for one in sent.of(SessionOpened)]
        proved = {one.epoch for sent in self.evidence.sent for one in sent.of(SessionProved)}
        found = [one for one in opened if (one.params.day, one.params.kind) == (day, ENERGY)]
        return sorted((one for one in found if one.epoch in proved), key=lambda one: one.params.round)
