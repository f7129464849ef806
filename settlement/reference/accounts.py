"""Accounts: a member's cash in one slot, what it may do, and what covers a schedule (DESIGN.md, Tokens and
cash).

    | 255..232 | 231..160 | 159..88  | 87..0 |
    | epoch    | net      | reserved | free  |
"""

from dataclasses import dataclass, replace

from settlement.reference import quality
from settlement.reference.errors import CashOutOfRange, InvalidMember
from settlement.reference.packed_windows import HOME, WIDE, Lanes
from settlement.reference.schedule import BUY, SELL, Schedule
from settlement.reference.words import check_address, field, signed_field

PROSUMER, BALANCING_PARTY, NETWORK_OPERATOR, OPERATOR = 1, 2, 3, 4
"""Roles. Prosumers and the balancing party trade; only prosumers are metered."""
TRADERS = (PROSUMER, BALANCING_PARTY)

NEGATIVE, UNCOVERED, WRONG_QUALITY, WRONG_QUANTITY, WRONG_ZONE, SUSPENDED = 1, 2, 3, 4, 5, 6
"""Why a schedule fills zero. If several hold, the lowest is said."""


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
        and 0 <= cash.reserved < 1 << 72
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


def check_member(account: bytes, member: Member) -> None:
    """InvalidMember unless role, zone, quality and capacity exist; the balancing party must be wide."""
    check_address("account", account)
    ok = (
        PROSUMER <= member.role <= OPERATOR
        and any(account)
        and 0 <= member.zone < 1 << 32
        and 0 <= member.max_quality < quality.CODES
        and 0 <= member.capacity_wh < 1 << 30
        and (member.wide or member.role != BALANCING_PARTY)
    )
    if not ok:
        raise InvalidMember(account)


def refusal(member: Member, schedule: Schedule, free: int, available: int, cover: int) -> int:
    """Why the schedule may not trade, the lowest code that holds; 0 if it may.

    `free` is the account's free cash, `available` what of it no withdrawal has been promised, both after
    the covers of the trader's schedules of lower hash; nano.
    """
    sells = schedule.side == SELL
    reasons = {
        NEGATIVE: free < 0,
        UNCOVERED: cover > available,
        WRONG_QUALITY: sells and not quality.serves(member.max_quality, schedule.quality),
        WRONG_QUANTITY: sells and max(schedule.quantity_wh) > member.capacity_wh,
        WRONG_ZONE: schedule.zone != member.zone,
        SUSPENDED: member.suspended,
    }
    return next((code for code, holds in reasons.items() if holds), 0)


@dataclass(frozen=True)
class Result:
    """What a cleared schedule changes, nano."""

    trader: int
    """To the trader's net: kept reserves, purchases, and sales that cost money."""
    beneficiary: int
    """To the net of whom the sale benefits."""


def result(side: int, filled_wh: int, value: int, buy_reserve: int, sell_reserve: int) -> Result:
    """Of a schedule with `filled_wh` in all, worth `value` nano at the price.

    A beneficiary gets what a sale earns; what a sale costs (at negative prices) the trader pays, who
    reserved for it.
    """
    if side == BUY:
        return Result(trader=-value - filled_wh * buy_reserve, beneficiary=0)
    return Result(trader=min(0, value) - filled_wh * sell_reserve, beneficiary=max(0, value))
