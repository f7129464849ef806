"""Settlement, the first run: contracted against metered, window by window (docs/formats.md, Settlement).

The parts of a day's postings are gone over twice, zone by zone. Here is the first pass: `settle_entry` allots
what an account delivered to its obligations, pays it for what it sold as produced and delivered, prices its
imbalance, and tallies claims, deliveries and what was not paid; `close` settles the balancing party. The
second pass is in `delivery`. Both carry one state from part to part as a hash.

Arrays are indexed `(k * Q + q) * W + w`: k the round's place among the proved ones of the day, q the grid's
dense quality index, w counted from the day's first window.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from settlement.reference import quality
from settlement.reference.eip712 import keccak
from settlement.reference.errors import BadEntry, EnergyNotConserved, PricesMissing, WrongLength
from settlement.reference.posting import Entry
from settlement.reference.prices import RoundPrices
from settlement.reference.record import NO_ADDRESS
from settlement.reference.session import SessionParams
from settlement.reference.words import address_word, check_int, check_uint, word, words

Key = tuple[int, int, int]
"""Round, quality code, window of the day."""
Holdings = Mapping[Key, int]
"""Wh by key; missing is none."""


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
    delivery_reserve: int = 0
    """Kept for each kWh that is paid on delivery: `sell_reserve`, and what the lowest price could cost."""
    epoch: int = 0
    """Number of its session."""


def round_of(params: SessionParams, epoch: int, prices: RoundPrices | None = None) -> Round:
    """A proved session as its day settles it."""
    return Round(
        round=params.round,
        buy_reserve=params.buy_reserve,
        sell_reserve=params.sell_reserve,
        first=params.first_window - params.day,
        prices=prices,
        delivery_reserve=params.delivery_reserve,
        epoch=epoch,
    )


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

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """Of every cell, in the order of their indices."""
        return tuple(
            (one.round, code, window)
            for one in self.rounds
            for code in self.qualities
            for window in range(self.windows)
        )

    @cached_property
    def _indices(self) -> dict[Key, int]:
        return {key: index for index, key in enumerate(self.keys)}

    def index(self, key: Key) -> int:
        """Of the key's cell."""
        return self._indices[key]

    def round(self, number: int) -> Round:
        """The round of this number."""
        return next(one for one in self.rounds if one.round == number)

    def price(self, key: Key) -> int:
        """What the round priced a fill at, micro/kWh. PricesMissing if its prices were not brought."""
        number, code, window = key
        one = self.round(number)
        return _prices(one, window).price(self.qualities.index(code), window - one.first)

    def green_premium(self, key: Key) -> int:
        """The part of that price paid for the band, never below 0; 0 of band 0, whose price nobody need
        bring.
        """
        number, code, window = key
        if quality.band(code) == 0:
            return 0
        one = self.round(number)
        return max(0, _prices(one, window).green_premium(self.qualities, code, window - one.first))


def _prices(one: Round, window: int) -> RoundPrices:
    if one.prices is None:
        raise PricesMissing(one.round, window)
    return one.prices


@dataclass(frozen=True)
class Tally:
    """One round, quality and window over the metered accounts settled, Wh."""

    claims: int = 0
    """With the balancing party's once the run is settled."""
    obligations: int = 0
    delivered: int = 0
    gone_over: int = 0
    """Claims that certification has passed."""


@dataclass(frozen=True)
class RunCarry:
    """What settling one part leaves to the next."""

    tallies: tuple[Tally, ...]
    pots: tuple[int, ...]
    """By cell: what was sold as produced and not delivered, at its price if that is not negative, nano; 0 of
    firm qualities.
    """
    imbalance: int = 0
    """Of the accounts settled so far over all windows, Wh."""
    cash: int = 0
    """While settling, paid to accounts for imbalances less premiums they gave back, of which the balancing
    party takes the other side. While certifying, what is left of what buyers paid for energy as produced
    that was not delivered. Nano.
    """
    last_account: bytes = NO_ADDRESS
    parts: int = 0


@dataclass(frozen=True)
class AccountResult:
    """What the first pass does to one account."""

    imbalance: tuple[int, ...]
    """Metered less contracted in each window, Wh."""
    cash: int
    """For its imbalances, less `premiums`, nano."""
    returned: int
    """Reserve that returns: of all it sold, and of what it bought firm; nano."""
    delivered: tuple[int, ...]
    """By cell, Wh."""
    pots: tuple[int, ...]
    """By cell: what it is not paid, nano."""
    earned: Mapping[tuple[int, int], int]
    """What it is paid for sales as produced by round and quality code, nano, before any of it is given to a
    beneficiary; rounds ascending, then best quality first. Negative where prices are: then it pays.
    """
    premiums: int = 0
    """Green premium that it gives back of what it sold firm and did not deliver, nano."""

    @property
    def credit(self) -> int:
        """Everything it earned on delivery, nano."""
        return sum(self.earned.values())


NOTHING_CARRIED = RunCarry((), ())
"""What is brought to a first part; where no session was proved, maybe to a later one."""


def initial_run(day: Day) -> RunCarry:
    """What the first part starts from."""
    cells = len(day.keys)
    return RunCarry((Tally(),) * cells, (0,) * cells)


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
        + words(check_uint("pot", pot, 256) for pot in carry.pots)
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


def paid_on_delivery(code: int) -> bool:
    """Whether a metered account's sales of a quality are: those as produced."""
    return not quality.firm(code)


def reserve(day: Day, claims: Holdings, obligations: Holdings) -> int:
    """What the first pass returns to a metered account, nano. Claims on energy as produced keep theirs until
    the second, which may charge them an imbalance.
    """
    bought = sum(wh * day.round(key[0]).buy_reserve for key, wh in claims.items() if quality.firm(key[1]))
    sold = 0
    for (number, code, _), wh in obligations.items():
        one = day.round(number)
        sold += wh * (one.delivery_reserve if paid_on_delivery(code) else one.sell_reserve)
    return bought + sold


def party_reserve(day: Day, claims: Holdings, obligations: Holdings) -> int:
    """What returns to the balancing party, nano: it is not metered, and was paid when it sold."""
    bought = sum(wh * day.round(key[0]).buy_reserve for key, wh in claims.items())
    return bought + sum(wh * day.round(key[0]).sell_reserve for key, wh in obligations.items())


def allot(day: Day, metered: int, obligations: Holdings, window: int) -> dict[Key, int]:
    """Delivered Wh by key: what was exported meets obligations by ascending round, then best quality."""
    left, delivered = max(0, metered), {}
    for one in day.rounds:
        for code in quality.best_first(day.qualities):
            key = (one.round, code, window)
            delivered[key] = min(left, obligations.get(key, 0))
            left -= delivered[key]
    return delivered


def counting(obligations: Holdings, delivered: Holdings) -> dict[Key, int]:
    """What counts as sold: as produced, what was delivered; firm, all of it."""
    return {key: delivered.get(key, 0) if paid_on_delivery(key[1]) else wh for key, wh in obligations.items()}


def settle_account(
    day: Day, metered: Sequence[int], claims: Holdings, obligations: Holdings
) -> AccountResult:
    """One account's day: imbalances and their cash, what it earned on delivery, premiums it gives back, the
    reserve that returns, and what it delivered. PricesMissing if it sold as produced, or green and firm
    without delivering, and prices were not brought.
    """
    if len(metered) != day.windows:
        raise WrongLength("metered", len(metered), day.windows)
    delivered: dict[Key, int] = {}
    for window, wh in enumerate(metered):
        delivered |= allot(day, wh, obligations, window)
    sold = counting(obligations, delivered)
    imbalance = tuple(wh - contracted(day, claims, sold, window) for window, wh in enumerate(metered))
    return _result(day, imbalance, claims, obligations, delivered)


def presumed_account(day: Day, claims: Holdings, obligations: Holdings) -> AccountResult:
    """The same where nobody was metered: metered is taken to be what was contracted, and everything sold to
    be delivered.
    """
    return _result(day, (0,) * day.windows, claims, obligations, obligations)


def _result(
    day: Day, imbalance: tuple[int, ...], claims: Holdings, obligations: Holdings, delivered: Holdings
) -> AccountResult:
    missed = {key: wh - delivered.get(key, 0) for key, wh in obligations.items()}
    pots = {key: wh * max(0, day.price(key)) for key, wh in missed.items() if _on_delivery(key)}
    firm = {key: wh for key, wh in missed.items() if wh and not _on_delivery(key)}
    premiums = sum(wh * day.green_premium(key) for key, wh in firm.items())
    return AccountResult(
        imbalance=imbalance,
        cash=sum(map(imbalance_cash, imbalance, day.surplus, day.deficit)) - premiums,
        returned=reserve(day, claims, obligations),
        delivered=tuple(delivered.get(key, 0) for key in day.keys),
        pots=tuple(pots.get(key, 0) for key in day.keys),
        earned=_earned(day, obligations, delivered),
        premiums=premiums,
    )


def _on_delivery(key: Key) -> bool:
    return paid_on_delivery(key[1])


def _earned(day: Day, obligations: Holdings, delivered: Holdings) -> dict[tuple[int, int], int]:
    """What is paid on delivery, by round and quality code in the order in which delivery is allotted. At a
    negative price all that was sold is paid for, delivered or not: its buyers were paid for taking it.
    """
    earned: dict[tuple[int, int], int] = {}
    for one in day.rounds:
        for code in filter(paid_on_delivery, quality.best_first(day.qualities)):
            keys = [(one.round, code, window) for window in range(day.windows)]
            sold = [key for key in keys if obligations.get(key, 0)]
            if sold:
                earned[(one.round, code)] = sum(
                    delivered.get(key, 0) * max(0, day.price(key)) + obligations[key] * min(0, day.price(key))
                    for key in sold
                )
    return earned


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
    tallies = tuple(
        replace(
            tally,
            claims=tally.claims + claims.get(key, 0),
            obligations=tally.obligations + obligations.get(key, 0),
            delivered=tally.delivered + delivered,
        )
        for key, tally, delivered in zip(day.keys, carry.tallies, result.delivered, strict=True)
    )
    return replace(
        carry,
        tallies=tallies,
        pots=tuple(pot + more for pot, more in zip(carry.pots, result.pots, strict=True)),
        imbalance=carry.imbalance + sum(result.imbalance),
        cash=carry.cash + result.cash,
        last_account=account,
    )


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
        tallies = [carry.tallies[day.index(key)] for key in day.keys if key[2] == window]
        settled = sum(tally.obligations - tally.claims for tally in tallies)
        left = settled + contracted(day, claims, obligations, window)
        if left != 0:
            raise EnergyNotConserved(window, left)
    return Closing(-carry.imbalance, -carry.cash)


def with_escrow(day: Day, carry: RunCarry, claims: Holdings) -> RunCarry:
    """What certification starts from: the tallies with the balancing party's claims, which come last when a
    shortfall is shared, and as cash what buyers paid for energy as produced that was not delivered. What the
    balancing party sold it is taken to have delivered.
    """
    tallies = tuple(
        replace(tally, claims=tally.claims + claims.get(key, 0))
        for key, tally in zip(day.keys, carry.tallies, strict=True)
    )
    return replace(carry, tallies=tallies, cash=sum(carry.pots))


def zone_start(carry: RunCarry) -> RunCarry:
    """What a zone's last part leaves to the next zone, and the last zone's to certification, which goes over
    all parts from the first again.
    """
    return replace(carry, last_account=NO_ADDRESS, parts=0)
