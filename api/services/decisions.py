"""What everyone's agent wants to trade, as messages that are not signed yet. Pure.

A home's agent knows the days until the one before the gate's, and nothing of its car.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from api.services import agents
from api.services.agents import PAST_DAYS, Past, Tariff
from api.services.cast import Cast, Resident
from api.services.plan import Plan
from oracle.homes import Community, by_day
from settlement.reference.orders import Order
from settlement.reference.schedule import Schedule


@dataclass(frozen=True)
class Decisions:
    """Of one day."""

    plan: Plan
    cast: Cast
    measured: Community
    """All days that were measured; agents see those before the gate's."""
    tariff: Tariff
    windows: int

    def homes(self) -> dict[bytes, tuple[agents.Order, ...]]:
        """What each home's agent decides, by account."""
        plan = self.plan
        past = self.measured.before(plan.day - timedelta(days=1), PAST_DAYS)
        found = {}
        for resident, home in zip(self.cast.homes, past.homes, strict=True):
            own = Past(by_day(home.load_wh), by_day(home.pv_wh), past.weekdays)
            agent = agents.character(plan.seed, resident.number, self.windows, resident.low_carbon)
            found[resident.address] = agents.home_orders(own, plan.day.weekday(), self.tariff, agent)
        return found

    def home(self, home: Resident, decided: Sequence[agents.Order], session: bytes) -> list[Order]:
        """A home's messages: its schedules, and what its car wants."""
        found: list[Order] = [*self._schedules(decided, home.address, session, home.zone)]
        if home.car_wh:
            found.append(self._car(home, session, len(found)))
        return found

    def supplier(self, session: bytes) -> list[Order]:
        """At the substation, where the tariff is less the line to a street."""
        tariff = self.tariff
        if self.plan.streets > 1:
            tariff = agents.substation_tariff(tariff, self.plan.line_charge)
        decided = agents.supplier_orders(tariff, self.cast.ample_wh)
        return [*self._schedules(decided, self.cast.supplier.address, session, 0)]

    def in_another_s_name(self, session: bytes) -> Schedule:
        """A sale of what the first home has not got, for a stranger to sign."""
        order, home = agents.supplier_orders(self.tariff, 10_000)[1], self.cast.homes[0]
        return self._schedules([order], home.address, session, home.zone)[0]

    def _schedules(
        self, decided: Sequence[agents.Order], trader: bytes, session: bytes, zone: int
    ) -> list[Schedule]:
        first = self.plan.first_window
        return list(
            agents.to_schedules(decided, trader=trader, session=session, first_window=first, zone=zone)
        )

    def _car(self, home: Resident, session: bytes, nonce: int) -> Order:
        return agents.car_schedule(
            home.car_wh,
            self.tariff,
            trader=home.address,
            session=session,
            first_window=self.plan.first_window,
            zone=home.zone,
            nonce=nonce,
        )
