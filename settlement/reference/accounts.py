"""Accounts: a member's cash in one slot, what it may do, and what covers a schedule (DESIGN.md, Tokens and
cash).

    | 255..232 | 231..160 | 159..88  | 87..0 |
    | epoch    | net      | reserved | free  |
"""

from dataclasses import dataclass, replace

from settlement.reference import orders, quality
from settlement.reference.errors import BadTerms, CashOutOfRange
from settlement.reference.orders import Order
from settlement.reference.packed_windows import HOME, WIDE, Lanes
from settlement.reference.product_id import ENERGY
from settlement.reference.record import BUY, NO_ADDRESS, SELL
from settlement.reference.session import SessionParams
from settlement.reference.words import check_address, field, signed_field

PROSUMER, BALANCING_PARTY, NETWORK_OPERATOR, OPERATOR = 1, 2, 3, 4
"""Roles. Prosumers and the balancing party trade; only prosumers are metered."""
TRADERS = (PROSUMER, BALANCING_PARTY)
UNIQUE = (BALANCING_PARTY, NETWORK_OPERATOR)
"""Roles of at most one member, who is of the root zone."""

NEGATIVE, UNCOVERED, WRONG_QUALITY, WRONG_QUANTITY, WRONG_ZONE, SUSPENDED, WRONG_BENEFICIARY = range(1, 8)
"""Why an order fills zero. If several hold: what it may not (suspended, zone, quality, quantity) before what
it cannot (negative, uncovered), and its beneficiary last."""

RESERVED_BITS = 72
MOST_COVER = 1 << 70
"""What a session may lock of one account, nano: its result then fits the slot, whichever way it goes."""


@dataclass(frozen=True)
class Cash:
    """Cash of one account, nano."""

    free: int = 0
    """Negative after imbalances it could not pay."""
    reserved: int = 0
    """What its schedules lock in session `epoch`."""
    net: int = 0
    """What session `epoch` earns, less what it costs, less what filled energy keeps reserved."""
    epoch: int = 0
    """Number of the session that `reserved` and `net` belong to; 0 for none."""


def pack(cash: Cash) -> int:
    """The slot. CashOutOfRange if an amount does not fit: int88, uint72, int72, uint24."""
    fits = (
        -(1 << 87) <= cash.free < 1 << 87
        and 0 <= cash.reserved < 1 << RESERVED_BITS
        and -(1 << 71) <= cash.net < 1 << 71
        and 0 <= cash.epoch < 1 << 24
    )
    if not fits:
        raise CashOutOfRange(cash.free, cash.reserved, cash.net)
    free, net = cash.free % (1 << 88), cash.net % (1 << 72)
    return free | cash.reserved << 88 | net << 160 | cash.epoch << 232


def unpack(word: int) -> Cash:
    """The cash of a slot."""
    return Cash(
        signed_field(word, 0, 88), field(word, 88, 72), signed_field(word, 160, 72), field(word, 232, 24)
    )


def fold(cash: Cash, proved: bool) -> Cash:
    """The account after its session ended: the result counts if proved; if void, only the reserve returns."""
    return Cash(free=cash.free + cash.reserved + (cash.net if proved else 0))


def lock(cash: Cash, cover: int) -> Cash:
    """The account with a schedule's cover set aside."""
    return replace(cash, free=cash.free - cover, reserved=cash.reserved + cover)


@dataclass(frozen=True)
class Member:
    """Who an account is and what it may do."""

    role: int
    zone: int = 0
    max_quality: int = 0
    """It sells what this quality serves."""
    capacity_wh: int = 0
    """The most one entry of a sell schedule may offer in a window."""
    wide: bool = False
    """Whether its slots have 8 lanes of 32 bits instead of 16 of 16."""
    suspended: bool = False

    @property
    def lanes(self) -> Lanes:
        return WIDE if self.wide else HOME

    @property
    def widest_wh(self) -> int:
        """The most it may buy or offer in a window with one schedule: what a lane holds, below 2^30."""
        return (1 << min(self.lanes.bits, 30)) - 1


def check_member(account: bytes, member: Member) -> None:
    """BadTerms unless role, zone and quality exist, and the capacity fits the account's lanes. The balancing
    party and the network operator are of the root zone.
    """
    check_address("account", account)
    ok = (
        PROSUMER <= member.role <= OPERATOR
        and any(account)
        and 0 <= member.zone < 1 << 32
        and 0 <= member.max_quality < quality.CODES
        and 0 <= member.capacity_wh <= member.widest_wh
        and not (member.role in UNIQUE and member.zone)
    )
    if not ok:
        raise BadTerms(account)


def may_trade(member: Member, kind: int, side: int) -> bool:
    """Whether the role takes part in sessions of a kind: the network operator buys flexibility too."""
    buys_flexibility = member.role == NETWORK_OPERATOR and kind != ENERGY and side == BUY
    return member.role in TRADERS or buys_flexibility


def paid_on_delivery(member: Member, order: Order) -> bool:
    """Whether an order is a metered account's sale of energy as produced: proof reserves what it may cost,
    and settlement pays for what was delivered.
    """
    sells_energy = order.side == SELL and order.kind == ENERGY
    return member.role == PROSUMER and sells_energy and not quality.firm(order.quality)


def cover(member: Member, order: Order, params: SessionParams) -> int:
    """What must be free to accept the member's order, nano: the most that filling all of it could cost."""
    if paid_on_delivery(member, order):
        return order.total_wh * params.delivery_reserve
    return orders.cover(order, params.buy_reserve, params.sell_reserve)


def refusal(
    member: Member, order: Order, cash: Cash, promised: int, cover: int, wrong_beneficiary: bool = False
) -> int:
    """Why the order may not trade, the first that holds; 0 if it may.

    `cash` is the account's after the covers of the trader's orders of lower hash, `promised` what of its
    free cash a withdrawal will take; nano.
    """
    sells = order.side == SELL
    reasons = {
        SUSPENDED: member.suspended,
        WRONG_ZONE: order.zone != member.zone,
        WRONG_QUALITY: sells and not quality.serves(member.max_quality, order.quality),
        WRONG_QUANTITY: sells and order.most_wh > member.capacity_wh,
        NEGATIVE: cash.free < 0,
        UNCOVERED: cover > cash.free - promised or cash.reserved + cover > MOST_COVER,
        WRONG_BENEFICIARY: wrong_beneficiary,
    }
    return next((code for code, holds in reasons.items() if holds), 0)


def wrong_beneficiary(order: Order, beneficiary: Member | None, earlier: bytes | None) -> bool:
    """Whether an order names a beneficiary that it may not: only sales earn, for one other member of a
    trading role, the same in all of the trader's orders of a session.
    """
    if order.beneficiary == NO_ADDRESS:
        return False
    trades = beneficiary is not None and beneficiary.role in TRADERS
    another = earlier not in (None, order.beneficiary)
    return order.side == BUY or not trades or order.beneficiary == order.trader or another


def net_of(side: int, filled_wh: int, value: int, buy_reserve: int, sell_reserve: int) -> int:
    """Nano that a schedule earns, less what it pays, less what its filled energy keeps reserved.

    `value` is its fills at the price, nano, or 0 where that is not its to have now; reserves are micro/kWh.
    """
    if side == BUY:
        return -value - filled_wh * buy_reserve
    return value - filled_wh * sell_reserve
