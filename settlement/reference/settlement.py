"""Settlement, the first run: contracted against metered, window by window (docs/formats.md, Settlement).

The parts of a day's postings are gone over twice, zone by zone. `settle_entry` prices each account's
imbalance, allots what it delivered to its obligations and tallies claims and deliveries; after `close`,
`certify_account` turns claims into certificates in proportion to what was delivered. Both carry one state
from part to part as a hash.

Arrays are indexed `q * W + w`, q the grid's dense quality index, w counted from the day's first window.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from settlement.reference import quality
from settlement.reference.eip712 import keccak
from settlement.reference.errors import BadEntry, EnergyNotConserved, WrongLength
from settlement.reference.fill import pro_rata
from settlement.reference.posting import Entry
from settlement.reference.record import NO_ADDRESS
from settlement.reference.words import address_word, check_int, check_uint, word, words

Holdings = Mapping[tuple[int, int, int], int]
"""Wh by (round, quality code, window of the day); missing is none."""


@dataclass(frozen=True)
class Round:
    """A proved session of the day: its place and what it kept reserved, micro/kWh."""

    round: int
    buy_reserve: int
    sell_reserve: int


@dataclass(frozen=True)
class Day:
    """What a day is settled under."""

    windows: int
    qualities: tuple[int, ...]
    """Codes of the grid."""
    rounds: tuple[Round, ...]
    """Ascending."""
    surplus: tuple[int, ...]
    """Price of a positive imbalance in each window, micro/kWh."""
    deficit: tuple[int, ...]

    def index(self, code: int, window: int) -> int:
        """Of the cell of a quality code and a window."""
        return self.qualities.index(code) * self.windows + window


@dataclass(frozen=True)
class Tally:
    """One quality and window over the accounts settled, Wh."""

    claims: int = 0
    obligations: int = 0
    delivered: int = 0
    gone_over: int = 0
    """Claims that certification has passed."""


@dataclass(frozen=True)
class RunCarry:
    """What settling one part leaves to the next."""

    tallies: tuple[Tally, ...]
    imbalance: int = 0
    """Of the accounts settled so far over all windows, Wh."""
    cash: int = 0
    """Paid to accounts for imbalances so far, nano."""
    last_account: bytes = NO_ADDRESS
    parts: int = 0


@dataclass(frozen=True)
class AccountResult:
    """What a run does to one account."""

    imbalance: tuple[int, ...]
    """Metered less contracted in each window, Wh."""
    cash: int
    """For its imbalances, nano."""
    returned: int
    """Reserve of its filled energy, nano."""
    delivered: tuple[int, ...]
    """By cell, Wh."""


def initial_run(day: Day) -> RunCarry:
    """What the first part starts from."""
    return RunCarry((Tally(),) * len(day.qualities) * day.windows)


# Words --------------------------------------------------------------------------------------------------


def pack_tally(tally: Tally) -> int:
    """Bits 0..63 claims, 64..127 obligations, 128..191 delivered, 192..255 claims gone over."""
    return (
        check_uint("claims", tally.claims, 64)
        | check_uint("obligations", tally.obligations, 64) << 64
        | check_uint("delivered", tally.delivered, 64) << 128
        | check_uint("gone over", tally.gone_over, 64) << 192
    )


def run_carry_hash(carry: RunCarry) -> bytes:
    """What the chain keeps between two parts."""
    return keccak(
        words(pack_tally(tally) for tally in carry.tallies)
        + word(check_int("imbalance", carry.imbalance, 256))
        + word(check_int("cash", carry.cash, 256))
        + address_word(carry.last_account)
        + word(carry.parts)
    )


# Settling -----------------------------------------------------------------------------------------------


def contracted(day: Day, claims: Holdings, obligations: Holdings, window: int) -> int:
    """Sold less bought in a window over every round and quality, Wh."""
    keys = [(one.round, code, window) for one in day.rounds for code in day.qualities]
    return sum(obligations.get(key, 0) - claims.get(key, 0) for key in keys)


def imbalance_cash(imbalance: int, surplus: int, deficit: int) -> int:
    """Nano for an imbalance: earned at the surplus price if positive, owed at the deficit price if
    negative.
    """
    return imbalance * (surplus if imbalance > 0 else deficit)


def reserve(day: Day, claims: Holdings, obligations: Holdings) -> int:
    """What these holdings keep reserved, nano."""
    rates = {one.round: one for one in day.rounds}
    bought = sum(wh * rates[key[0]].buy_reserve for key, wh in claims.items() if key[0] in rates)
    sold = sum(wh * rates[key[0]].sell_reserve for key, wh in obligations.items() if key[0] in rates)
    return bought + sold


def allot(day: Day, metered: int, obligations: Holdings, window: int) -> dict[int, int]:
    """Delivered Wh by quality code: what was exported meets obligations by ascending round, then best
    quality.
    """
    left, delivered = max(0, metered), dict.fromkeys(day.qualities, 0)
    for one in day.rounds:
        for code in quality.best_first(day.qualities):
            part = min(left, obligations.get((one.round, code, window), 0))
            delivered[code] += part
            left -= part
    return delivered


def settle_account(
    day: Day, metered: Sequence[int], claims: Holdings, obligations: Holdings
) -> AccountResult:
    """One account's day: imbalances, their cash, the reserve that returns, and what it delivered."""
    if len(metered) != day.windows:
        raise WrongLength("metered", len(metered), day.windows)
    imbalance, delivered = [], [0] * (len(day.qualities) * day.windows)
    for window, wh in enumerate(metered):
        imbalance.append(wh - contracted(day, claims, obligations, window))
        for code, part in allot(day, wh, obligations, window).items():
            delivered[day.index(code, window)] = part
    cash = sum(map(imbalance_cash, imbalance, day.surplus, day.deficit))
    return AccountResult(tuple(imbalance), cash, reserve(day, claims, obligations), tuple(delivered))


def settle_entry(
    day: Day, carry: RunCarry, entry: Entry, claims: Holdings, obligations: Holdings
) -> tuple[RunCarry, AccountResult]:
    """The carry with one more account, and its result. BadEntry unless it is above the last."""
    if entry.account <= carry.last_account:
        raise BadEntry(entry.account)
    result = settle_account(day, entry.metered, claims, obligations)
    carry = replace(
        carry,
        tallies=_tallied(day, carry, result, claims, obligations),
        imbalance=carry.imbalance + sum(result.imbalance),
        cash=carry.cash + result.cash,
        last_account=entry.account,
    )
    return carry, result


def _tallied(
    day: Day, carry: RunCarry, result: AccountResult, claims: Holdings, obligations: Holdings
) -> tuple[Tally, ...]:
    tallies = []
    for code in day.qualities:
        for window in range(day.windows):
            at = day.index(code, window)
            keys = [(one.round, code, window) for one in day.rounds]
            tallies.append(
                Tally(
                    claims=carry.tallies[at].claims + sum(claims.get(key, 0) for key in keys),
                    obligations=carry.tallies[at].obligations + sum(obligations.get(key, 0) for key in keys),
                    delivered=carry.tallies[at].delivered + result.delivered[at],
                )
            )
    return tuple(tallies)


@dataclass(frozen=True)
class Closing:
    """The balancing party's side of a run."""

    imbalance: int
    """Minus everyone else's, Wh over all windows."""
    cash: int
    """Minus everyone else's, nano."""


def close(day: Day, carry: RunCarry, claims: Holdings, obligations: Holdings) -> Closing:
    """Who balances takes the other side of all, so that the run nets to zero exactly.

    `claims` and `obligations` are the balancing party's. EnergyNotConserved if all contracts, its own and
    those settled, do not sum to zero in a window.
    """
    for window in range(day.windows):
        tallies = [carry.tallies[day.index(code, window)] for code in day.qualities]
        settled = sum(tally.obligations - tally.claims for tally in tallies)
        left = settled + contracted(day, claims, obligations, window)
        if left != 0:
            raise EnergyNotConserved(window, left)
    return Closing(-carry.imbalance, -carry.cash)


# Certifying ---------------------------------------------------------------------------------------------


def zone_start(carry: RunCarry) -> RunCarry:
    """What a zone's last part leaves to the next zone, and the last zone's to certification, which goes over
    all parts from the first again.
    """
    return replace(carry, last_account=NO_ADDRESS, parts=0)


def certified(day: Day, tallies: Sequence[Tally], window: int) -> dict[int, int]:
    """Wh of each quality's claims that delivery backs, `C`, for bands above 0.

    Greenest first, firm before as produced: a band's deliveries join the pool when it is reached, and what
    greener claims leave serves browner ones.
    """
    pool, backed, reached = 0, {}, -1
    for code in quality.best_first(code for code in day.qualities if quality.band(code) > 0):
        if quality.band(code) != reached:
            reached = quality.band(code)
            same = [other for other in day.qualities if quality.band(other) == reached]
            pool += sum(tallies[day.index(other, window)].delivered for other in same)
        backed[code] = min(tallies[day.index(code, window)].claims, pool)
        pool -= backed[code]
    return backed


def certify_account(day: Day, carry: RunCarry, claims: Holdings) -> tuple[RunCarry, Holdings]:
    """The carry with one more account, and its certificates, Wh; none of zero.

    Rounds share in ascending order, by cumulative rounding, so that certificates sum exactly to `C`.
    """
    tallies, certificates = list(carry.tallies), {}
    for window in range(day.windows):
        for code, backed in certified(day, carry.tallies, window).items():
            at = day.index(code, window)
            for one in day.rounds:
                claim = claims.get((one.round, code, window), 0)
                share = pro_rata(tallies[at].gone_over, claim, tallies[at].claims, backed)
                tallies[at] = replace(tallies[at], gone_over=tallies[at].gone_over + claim)
                if share:
                    certificates[(one.round, code, window)] = share
    return replace(carry, tallies=tuple(tallies)), certificates
