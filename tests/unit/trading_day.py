"""A day over a small tree from a few orders: traded in rounds, then settled and certified."""

from __future__ import annotations

from collections.abc import Sequence

import reference_world as world
import settling_world
import tree_world
from reference_world import DAY, DAY_END
from settling_world import Settler, round_prices
from small_trees import Ordered
from tree_world import RICH, TreeSession

from settlement.reference import posting
from settlement.reference.exchange.events import RunCertified
from settlement.reference.exchange.metering import DEFAULT_AFTER_S
from settlement.reference.posting import Entry
from settlement.reference.prices import RoundPrices
from settlement.reference.session import Grid

WINDOWS = world.WINDOWS
NOTHING = (0,) * WINDOWS
BUY, SELL = 0, 1


class TradingDay:
    """A day over a small tree: rounds are traded, then it is settled and certified."""

    def __init__(self, grid: Grid, deposit: int = RICH) -> None:
        self.grid = grid
        self.exchange = tree_world.make_exchange(grid, WINDOWS, deposit)
        self.prices: dict[int, list[RoundPrices]] = {zone: [] for zone in range(grid.zones)}

    def trade(self, *orders: Ordered, **changes: int) -> None:
        """One more round of these orders."""
        number = len(self.prices[0])
        times = {one: getattr(world, one.upper()) + 10_000 * number for one in ("gate", "commit_by")}
        terms = {"round": number, "prove_by": world.PROVE_BY + 10_000 * number} | times | changes
        session = tree_world.open_session(self.exchange, self.grid, **terms)
        signed = [tree_world.sign(self.exchange.separator, order(session.id)) for order in orders]
        prepared = tree_world.prepare(self.exchange, session, signed, terms["gate"])
        TreeSession(self.exchange, session, prepared, terms["gate"]).bring()
        for zone, brought in self.prices.items():
            brought.append(round_prices(prepared.header, prepared.zones[zone].posting))

    def settle_by_default(self) -> Settler:
        """The first pass where oracles posted nothing: a call a zone."""
        now = DAY_END + DEFAULT_AFTER_S
        settler = Settler(self.exchange, now, DAY, {z: tuple(one) for z, one in self.prices.items()})
        for zone in self.prices:
            accounts = settling_world.metered_accounts(self.exchange, zone)
            message = posting.default_posting(zone, DAY, WINDOWS, len(accounts))
            self.exchange.post_default(now, message)
            settler.settle(zone, b"".join(accounts))
        return settler

    def settle(
        self, metered: dict[bytes, Sequence[int]], surplus: int = 80_000, deficit: int = 240_000
    ) -> Settler:
        """The first pass over all zones; who is not named metered nothing."""
        settler = Settler(self.exchange, DAY_END, DAY, {z: tuple(one) for z, one in self.prices.items()})
        for zone in self.prices:
            accounts = settling_world.metered_accounts(self.exchange, zone)
            entries = [Entry(one, NOTHING, tuple(metered.get(one, NOTHING))) for one in accounts]
            rates = (surplus,) * WINDOWS, (deficit,) * WINDOWS
            message, parts = settling_world.make_posting(zone, DAY, entries, 3, *rates)
            settling_world.post(self.exchange, DAY_END, message)
            for part in parts:
                settler.settle(zone, part)
        return settler

    def free(self, *accounts: bytes, now: int = DAY_END) -> int:
        """What they have together beyond what they brought, nano."""
        return sum(self.exchange.cash(now, one).free - RICH for one in accounts)

    @property
    def rest(self) -> int:
        (event,) = (e for e in self.exchange.events if isinstance(e, RunCertified))
        return event.rest_nano

    def check(self) -> None:
        """Nothing is left in between."""
        assert sum(self.exchange.cash(DAY_END, a).free for a in self.exchange.state.members) == (
            self.exchange.state.vault
        )
