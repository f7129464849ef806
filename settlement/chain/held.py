"""What a day's accounts held when it was posted, and what they traded it at: read from a node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from settlement.chain.errors import WrongProgress
from settlement.chain.events import MeteringPosted, SessionOpened, decode
from settlement.chain.exchange import Account, Exchange, Stage
from settlement.chain.rpc import Call
from settlement.chain.steps import logs_of
from settlement.chain.traded import round_prices
from settlement.reference import packed_windows, product_id
from settlement.reference.packed_windows import Lanes
from settlement.reference.posting import Posting
from settlement.reference.prices import RoundPrices
from settlement.reference.product_id import CLAIM, ENERGY, OBLIGATION, ProductId
from settlement.reference.settlement import Day, round_of

Held = dict[tuple[int, int, int], int]
"""Wh by (round, quality code, window of the day); none of zero."""


@dataclass(frozen=True)
class Holdings:
    """What everyone of a zone's posting held when it was posted."""

    day: Day
    """With the prices of its rounds in the zone."""
    claims: dict[bytes, Held]
    obligations: dict[bytes, Held]

    @property
    def prices(self) -> tuple[RoundPrices, ...]:
        """Of each proved round, ascending."""
        return tuple(one.prices for one in self.day.rounds if one.prices is not None)


def read_holdings(
    exchange: Exchange, posting: Posting, accounts: Sequence[bytes], posted: int | None = None
) -> Holdings:
    """These accounts' claims and obligations of the day, when the zone, or another one (`posted`), was first
    posted.
    """
    place = posting.zone if posted is None else posted
    day, block = day_of(exchange, posting), _posted_in(exchange, replace(posting, zone=place))
    found = exchange.accounts(accounts, block)
    sides = [_held(exchange, posting, day, found, side, block) for side in (CLAIM, OBLIGATION)]
    return Holdings(day, *sides)


def day_of(exchange: Exchange, posting: Posting) -> Day:
    """What the zone's day is settled under."""
    windows, _, qualities, count = exchange.view("dayOf", posting.first_window)
    rounds = []
    for log in logs_of(exchange, "SessionOpened"):
        event = decode(log)
        assert isinstance(event, SessionOpened)
        params = event.params
        if (params.day, params.kind) != (posting.first_window, ENERGY):
            continue
        if exchange.session(event.epoch)[1] is Stage.PROVED:
            prices = round_prices(exchange, event.epoch, posting.zone)
            rounds.append(round_of(params, event.epoch, prices))
    rounds.sort(key=lambda one: one.round)
    return Day(windows, tuple(qualities[:count]), tuple(rounds), posting.surplus, posting.deficit)


def _posted_in(exchange: Exchange, posting: Posting) -> int:
    logs = logs_of(exchange, "MeteringPosted", posting.zone, posting.first_window)
    if not logs or not isinstance(decode(logs[0]), MeteringPosted):
        raise WrongProgress(f"day {posting.first_window} is not posted: post it first")
    return logs[0].block


def _held(
    exchange: Exchange, posting: Posting, day: Day, accounts: dict[bytes, Account], side: int, block: int
) -> dict[bytes, Held]:
    """Reads only the slots of products that an account ever had."""
    wanted = [
        (address, round_.round, code, group)
        for address, account in accounts.items()
        for round_ in day.rounds
        for code in day.qualities
        if account.holds(side, code)
        for group in _groups(posting, _lanes_of(account))
    ]
    keys = [_key(exchange, posting, side, one[1], one[2], one[3]) for one in wanted]
    calls = [
        Call(exchange.address, exchange.abi.encode("lanesOf", one[0], key))
        for one, key in zip(wanted, keys, strict=True)
    ]
    found: dict[bytes, Held] = {address: {} for address in accounts}
    for (address, number, code, group), data in zip(
        wanted, exchange.chain.call_many(calls, block=block), strict=True
    ):
        lanes = _lanes_of(accounts[address])
        for window, wh in _windows(int.from_bytes(data, "big"), lanes, group, posting):
            found[address][(number, code, window)] = wh
    return found


def _lanes_of(account: Account) -> Lanes:
    return packed_windows.WIDE if account.member and account.member.wide else packed_windows.HOME


def _groups(posting: Posting, lanes: Lanes) -> range:
    last = posting.first_window + posting.windows - 1
    return range(posting.first_window // lanes.count, last // lanes.count + 1)


def _key(exchange: Exchange, posting: Posting, side: int, round_: int, code: int, group: int) -> int:
    length = exchange.deployment.window_length
    return product_id.encode(ProductId(group, length, posting.zone, code, ENERGY, round_, side))


def _windows(word: int, lanes: Lanes, group: int, posting: Posting) -> list[tuple[int, int]]:
    """The day's windows of a slot that hold something, counted from the day's first."""
    each = (
        (group * lanes.count + lane, packed_windows.get(word, lane, lanes)) for lane in range(lanes.count)
    )
    day = range(posting.first_window, posting.first_window + posting.windows)
    return [(window - posting.first_window, wh) for window, wh in each if wh and window in day]
