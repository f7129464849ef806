"""What a report is made of. Plain values, as they came from the chain unless a field says otherwise.

Energy is in Wh, prices in micro/kWh, cash in nano. Tuples over windows run from the day's first window.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from settlement.reference.schedule import BUY, SELL
from settlement.reports.aftermath import Aftermath

Series = tuple[int, ...]

CLEAR, SETTLE = "clear", "settle"
"""Names of the two phases whose gas is compared by order."""

__all__ = ["BUY", "CLEAR", "SELL", "SETTLE", "AccountFact", "AuditCheck", "DayFacts", "Flexible"]
__all__ += ["Incident", "MarketFact", "MemberFact", "OrderFact", "PhaseFact", "Role", "Series", "StreetFact"]
__all__ += ["ToldFact"]


class Role(Enum):
    """What a member is."""

    HOME = "home"
    SUPPLIER = "supplier"
    NETWORK = "network operator"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class MemberFact:
    """Who holds an account."""

    account: bytes
    name: str
    """For the reader; not on chain."""
    role: Role
    low_carbon: bool = False
    """Whether its agent prefers low-carbon energy; not on chain, its orders are."""
    zone: int = 0
    """0 is the substation; the only one where there are no streets."""


@dataclass(frozen=True, slots=True)
class StreetFact:
    """A zone below the substation, and the line that joins it."""

    zone: int
    name: str
    charge_micro_per_kwh: int
    capacity_wh: int | None
    """In a window, either way; None for no limit."""


@dataclass(frozen=True, slots=True)
class Flexible:
    """What a flexible schedule asks for: so much energy within some windows."""

    first_window: int
    """Counted from the day's first."""
    windows: int
    energy_wh: int
    most_wh: int
    """In one window."""


@dataclass(frozen=True, slots=True)
class OrderFact:
    """A schedule that was cleared, with its fills."""

    order: bytes
    """Its hash."""
    trader: bytes
    side: int
    quality: int
    quantity_wh: Series
    limit_micro_per_kwh: Series
    filled_wh: Series
    ineligible: int = 0
    """Why it filled nothing (docs/formats.md, Carried between chunks); 0 if it took part."""
    zone: int = 0
    flexible: Flexible | None = None
    """None for a plain schedule; else quantities are the most that each window may have."""

    @property
    def asked_wh(self) -> Series:
        """By window; a flexible order asks where it is served, for it may be served anywhere."""
        return self.filled_wh if self.flexible else self.quantity_wh

    @property
    def signed_windows(self) -> int:
        """How many windows the contract reads of it."""
        return self.flexible.windows if self.flexible else len(self.quantity_wh)


@dataclass(frozen=True, slots=True)
class AccountFact:
    """One account's settled day."""

    account: bytes
    metered_wh: Series
    """Export less import. The balancing party's is minus everyone else's."""
    flags: Series
    """0 actual, 1 estimated, 2 default."""
    imbalance_wh: Series
    """As the run left it: metered less what was contracted and delivered. The balancing party's is minus
    everyone else's.
    """
    imbalance_nano: int
    """What the run paid it for that."""
    deposited_nano: int
    final_nano: int
    """Free cash when all was settled."""
    certified_wh: int = 0
    lines_nano: int = 0
    """Charges and congestion rent that it was paid: the network operator's."""
    proceeds_nano: int = 0
    """What settlement paid it for deliveries of what it sold as produced."""
    refund_nano: int = 0
    """Paid back for what it bought as produced and was not delivered."""
    premium_nano: int = 0
    """Green premium paid back for what was bought and not certified, less what it gave back for what it sold
    firm and did not deliver; of the balancing party the other side of everyone's.
    """
    rest_nano: int = 0
    """What neither sellers nor buyers received of sales as produced: the balancing party's."""


@dataclass(frozen=True, slots=True)
class MarketFact:
    """The day's terms and prices."""

    first_window: int
    window_length_s: int
    qualities: Series
    """Codes, ascending."""
    retail: Series
    """The tariff is not on chain but for the supplier's orders."""
    feed_in: Series
    surplus: Series
    deficit: Series
    energy_prices: Series
    """Of zone 0."""
    premiums: tuple[Series, ...]
    """By quality, as `qualities`."""
    carbon_g_per_kwh: Series
    """Of the grid, average. Not on chain."""
    own_solar_wh: Series = ()
    """Generated and used behind the homes' meters. Not on chain; empty if not known."""
    street_energy_prices: tuple[Series, ...] = ()
    """Of the zones from 1 on. Premiums are the same everywhere."""

    @property
    def windows(self) -> int:
        return len(self.energy_prices)

    def energy_price(self, zone: int, window: int) -> int:
        """Of energy in a zone, micro/kWh."""
        prices = self.street_energy_prices[zone - 1] if zone else self.energy_prices
        return prices[window]

    def price(self, quality: int, window: int, zone: int = 0) -> int:
        """Of a product, micro/kWh."""
        premium = self.premiums[self.qualities.index(quality)][window]
        return self.energy_price(zone, window) + premium


@dataclass(frozen=True, slots=True)
class PhaseFact:
    """A stage of the day on the chain."""

    name: str
    transactions: int
    gas: int
    calldata_bytes: int
    seconds: float
    """Of the wall clock, with the computing around it."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that went wrong, and what became of it."""

    what: str
    outcome: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class ToldFact:
    """What the API told a member of its own day."""

    account: bytes
    receipts: int
    """For its orders, each checked to be worth the session's bond."""
    filled: tuple[tuple[bytes, int], ...]
    """Wh over all windows by order."""
    certified_wh: int
    bill_nano: int
    """Of the day, once it was settled and certified."""
    final_bill_nano: int | None = None
    """After all later runs; None if there were none."""


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """One check of the auditor's."""

    name: str
    count: int
    holds: bool = True
    detail: str = ""


@dataclass(frozen=True)
class DayFacts:
    """Everything a report shows or follows from."""

    title: str
    date: str
    seed: int
    currency: str
    chain_id: int
    exchange: str
    """Address, checksummed hex."""
    market: MarketFact
    members: tuple[MemberFact, ...]
    orders: tuple[OrderFact, ...]
    accounts: tuple[AccountFact, ...]
    phases: tuple[PhaseFact, ...] = ()
    incidents: tuple[Incident, ...] = ()
    checks: tuple[AuditCheck, ...] = ()
    notes: tuple[str, ...] = ()
    streets: tuple[StreetFact, ...] = ()
    """Ascending by zone, from 1; none where all are in one zone."""
    vault_nano: int | None = None
    """Settlement tokens that the Exchange holds for its members, without the operator's own."""
    told: tuple[ToldFact, ...] = ()
    """By the API, to those who asked it; it is compared with all that the chain tells."""
    later: Aftermath | None = None
    """Runs after the first; the facts above are the first's."""

    @property
    def homes(self) -> tuple[MemberFact, ...]:
        return self.of_role(Role.HOME)

    def of_role(self, role: Role) -> tuple[MemberFact, ...]:
        return tuple(member for member in self.members if member.role is role)
