"""Settlement, the first run: contracted against metered, window by window (docs/formats.md, Settlement).

The parts of a day's postings are gone over twice, zone by zone. Here is the first pass: `settle_entry` allots
what an account delivered to its obligations, prices its imbalance, takes back what it was paid for energy it
did not produce, and tallies claims and deliveries; `close` settles the balancing party. The second pass is in
`delivery`. Both carry one state from part to part as a hash.

Arrays are indexed `q * W + w`, q the grid's dense quality index, w counted from the day's first window.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from settlement.reference import quality
from settlement.reference.eip712 import keccak
from settlement.reference.errors import BadEntry, EnergyNotConserved, PricesMissing, WrongLength
from settlement.reference.posting import Entry
from settlement.reference.prices import RoundPrices
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
    first: int = 0
    """Its session's first window, counted from the day's."""
    prices: RoundPrices | None = None
    """What it posted for the zone being settled; None where nothing was brought."""


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
    shares: bool = True
    """Whether what sellers as produced lack is shared among buyers; else it is an imbalance, as of firm
    sales."""

    def index(self, code: int, window: int) -> int:
        """Of the cell of a quality code and a window."""
        return self.qualities.index(code) * self.windows + window

    def price(self, one: Round, code: int, window: int) -> int:
        """What the round priced a fill at, micro/kWh. PricesMissing if its prices were not brought."""
        dense = self.qualities.index(code)
        return _prices(one, window).price(dense, window - one.first)

    def green_premium(self, one: Round, code: int, window: int) -> int:
        """The part of that price paid for the band; 0 of band 0, whose price nobody need bring."""
        if quality.band(code) == 0:
            return 0
        return _prices(one, window).green_premium(self.qualities, code, window - one.first)


def _prices(one: Round, window: int) -> RoundPrices:
    if one.prices is None:
        raise PricesMissing(one.round, window)
    return one.prices


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
    """Paid to accounts so far, for imbalances less what they gave back, nano."""
    last_account: bytes = NO_ADDRESS
    parts: int = 0


@dataclass(frozen=True)
class AccountResult:
    """What a run does to one account."""

    imbalance: tuple[int, ...]
    """Metered less contracted in each window, Wh."""
    cash: int
    """For its imbalances, less `proceeds`, nano."""
    returned: int
    """Reserve of its filled energy, nano."""
    delivered: tuple[int, ...]
    """By cell, Wh."""
    proceeds: int = 0
    """What it gives back of its sales, nano: the price of what it sold as produced and did not produce, the
    green premium of what it sold firm and did not deliver."""


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


def allot(day: Day, metered: int, obligations: Holdings, window: int) -> dict[tuple[int, int], int]:
    """Delivered Wh by round and quality code: what was exported meets obligations by ascending round, then
    best quality.
    """
    left, delivered = max(0, metered), {}
    for one in day.rounds:
        for code in quality.best_first(day.qualities):
            part = min(left, obligations.get((one.round, code, window), 0))
            delivered[(one.round, code)] = part
            left -= part
    return delivered


@dataclass(frozen=True)
class Undelivered:
    """What an account sold in a window and did not deliver."""

    unproduced: int
    """Of what it sold as produced, Wh: it was never contracted."""
    proceeds: int
    """What it gives back, nano."""


def undelivered(
    day: Day, delivered: Mapping[tuple[int, int], int], obligations: Holdings, window: int
) -> Undelivered:
    """As produced, the sale shrinks to what was produced and the rest of its price goes back. Firm, the sale
    stands, and only the green premium of what was not delivered goes back.
    """
    unproduced = proceeds = 0
    if not day.shares:
        return Undelivered(0, 0)
    for one in day.rounds:
        for code in day.qualities:
            missing = obligations.get((one.round, code, window), 0) - delivered[(one.round, code)]
            if missing == 0:
                continue
            if quality.firm(code):
                proceeds += missing * day.green_premium(one, code, window)
            else:
                unproduced += missing
                proceeds += missing * day.price(one, code, window)
    return Undelivered(unproduced, proceeds)


def settle_account(
    day: Day, metered: Sequence[int], claims: Holdings, obligations: Holdings
) -> AccountResult:
    """One account's day: imbalances, their cash, what it gives back, the reserve that returns, and what it
    delivered. PricesMissing if that takes prices that were not brought.
    """
    if len(metered) != day.windows:
        raise WrongLength("metered", len(metered), day.windows)
    imbalance, delivered, proceeds = [], [0] * (len(day.qualities) * day.windows), 0
    for window, wh in enumerate(metered):
        allotted = allot(day, wh, obligations, window)
        missing = undelivered(day, allotted, obligations, window)
        sold_less_bought = contracted(day, claims, obligations, window) - missing.unproduced
        imbalance.append(wh - sold_less_bought)
        proceeds += missing.proceeds
        for (_, code), part in allotted.items():
            delivered[day.index(code, window)] += part
    cash = sum(map(imbalance_cash, imbalance, day.surplus, day.deficit)) - proceeds
    returned = reserve(day, claims, obligations)
    return AccountResult(tuple(imbalance), cash, returned, tuple(delivered), proceeds)


def presumed_account(day: Day, claims: Holdings, obligations: Holdings) -> AccountResult:
    """The same where nobody was metered: metered is taken to be what was contracted, and everything sold to
    be delivered.
    """
    delivered = [0] * (len(day.qualities) * day.windows)
    for (_, code, window), wh in obligations.items():
        delivered[day.index(code, window)] += wh
    returned = reserve(day, claims, obligations)
    return AccountResult((0,) * day.windows, 0, returned, tuple(delivered))


def settle_entry(
    day: Day, carry: RunCarry, entry: Entry, claims: Holdings, obligations: Holdings
) -> tuple[RunCarry, AccountResult]:
    """The carry with one more account, and its result. BadEntry unless it is above the last."""
    result = settle_account(day, entry.metered, claims, obligations)
    return _with_account(day, carry, entry.account, result, claims, obligations), result


def presume_entry(
    day: Day, carry: RunCarry, account: bytes, claims: Holdings, obligations: Holdings
) -> tuple[RunCarry, AccountResult]:
    """The same of an account that nobody posted (`presumed_account`)."""
    result = presumed_account(day, claims, obligations)
    return _with_account(day, carry, account, result, claims, obligations), result


def _with_account(
    day: Day,
    carry: RunCarry,
    account: bytes,
    result: AccountResult,
    claims: Holdings,
    obligations: Holdings,
) -> RunCarry:
    if account <= carry.last_account:
        raise BadEntry(account)
    return replace(
        carry,
        tallies=_tallied(day, carry, result, claims, obligations),
        imbalance=carry.imbalance + sum(result.imbalance),
        cash=carry.cash + result.cash,
        last_account=account,
    )


def _tallied(
    day: Day, carry: RunCarry, result: AccountResult, claims: Holdings, obligations: Holdings
) -> tuple[Tally, ...]:
    tallies = []
    for code in day.qualities:
        for window in range(day.windows):
            at = day.index(code, window)
            keys = [(one.round, code, window) for one in day.rounds]
            tallies.append(
                replace(
                    carry.tallies[at],
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


def with_claims(day: Day, carry: RunCarry, claims: Holdings) -> RunCarry:
    """The tallies with the balancing party's claims, which come last when a shortfall is shared. What it sold
    it is taken to have delivered.
    """
    tallies = list(carry.tallies)
    for (_, code, window), wh in claims.items():
        at = day.index(code, window)
        tallies[at] = replace(tallies[at], claims=tallies[at].claims + wh)
    return replace(carry, tallies=tuple(tallies))


def zone_start(carry: RunCarry) -> RunCarry:
    """What a zone's last part leaves to the next zone, and the last zone's to certification, which goes over
    all parts from the first again.
    """
    return replace(carry, last_account=NO_ADDRESS, parts=0)
