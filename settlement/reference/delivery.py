"""The second pass: who bears what was not produced, and which claims become certificates (docs/formats.md,
Delivery).

Totals are known once every zone is settled. What was sold as produced and not produced is short, pro rata, to
buyers of energy as produced, who get back what its sellers were not paid. What is left of claims on green
energy is certified as far as green energy was delivered, and where it was not, its premium is refunded.

Each round is settled on its own: nothing crosses from one to another.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from settlement.reference import quality
from settlement.reference.fill import pro_rata
from settlement.reference.settlement import (
    Day,
    Holdings,
    Key,
    RunCarry,
    Tally,
    paid_on_delivery,
)
from settlement.units import floor_div


@dataclass(frozen=True)
class Shortfall:
    """What the claims on one quality of a round and window bear together."""

    short: int = 0
    """Wh that they never bought."""
    money: int = 0
    """What there is to refund, nano."""


NOTHING = Shortfall()


@dataclass(frozen=True)
class Share:
    """What becomes of one claim, Wh."""

    short: int
    """Not produced: the buyer never bought it."""
    certified: int
    """Becomes certificates; always 0 of band 0."""


@dataclass(frozen=True)
class Delivery:
    """What the second pass does to one account."""

    certificates: Holdings
    """None of zero."""
    short: tuple[int, ...]
    """By window, Wh: its imbalance falls by as much."""
    refund: int
    """Of the price of what was short, out of what sellers were not paid, nano."""
    premiums: int
    """Green premium of what was not certified, which the balancing party pays, nano."""
    released: int
    """Reserve of its claims as produced, nano."""


# Over all claims of a round and window ------------------------------------------------------------------


def shortfalls(day: Day, carry: RunCarry, number: int, window: int) -> dict[int, Shortfall]:
    """By quality code, from what sellers of a round did not produce and were not paid.

    From best to least; what claims on a quality cannot bear goes on to lesser ones, which it may have served,
    with its part of the money. Firm claims bear nothing.
    """
    loss = money = 0
    found = dict.fromkeys(day.qualities, NOTHING)
    for code in quality.best_first(filter(paid_on_delivery, day.qualities)):
        at = day.index((number, code, window))
        tally = carry.tallies[at]
        loss += tally.obligations - tally.delivered
        money += carry.pots[at]
        short = min(tally.claims, loss)
        part = floor_div(money * short, loss) if loss else 0
        found[code] = Shortfall(short, part)
        loss, money = loss - short, money - part
    return found


def certified(day: Day, carry: RunCarry, number: int, window: int) -> dict[int, int]:
    """Wh of each quality's remaining claims that delivery backs, for bands above 0.

    Greenest first, firm before as produced: a band's deliveries join the pool when it is reached, and what
    greener claims leave serves browner ones.
    """
    lacking = shortfalls(day, carry, number, window)
    pool, backed, reached = 0, {}, -1
    for code in _green_first(day):
        if quality.band(code) != reached:
            reached = quality.band(code)
            same = [other for other in day.qualities if quality.band(other) == reached]
            pool += sum(carry.tallies[day.index((number, other, window))].delivered for other in same)
        claims = carry.tallies[day.index((number, code, window))].claims
        backed[code] = min(claims - lacking[code].short, pool)
        pool -= backed[code]
    return backed


def _green_first(day: Day) -> list[int]:
    """Codes of bands above 0, best first."""
    return quality.best_first(code for code in day.qualities if quality.band(code) > 0)


def refunded_premium(day: Day, key: Key) -> int:
    """What a claim is refunded for each Wh that no green delivery backs: the least green premium of its
    quality and all better ones, micro/kWh. 0 of band 0.

    Whoever serves a claim is of its quality or a better one, so that no more is refunded than firm sellers
    gave back and the balancing party was paid for green energy.
    """
    number, code, window = key
    better = _green_first(day)
    if code not in better:
        return 0
    return min(day.green_premium((number, one, window)) for one in better[: better.index(code) + 1])


# One claim ----------------------------------------------------------------------------------------------


def share(tally: Tally, claim: int, short: int, backed: int) -> Share:
    """A claim's part of what its quality's claims are short and have backed, by cumulative rounding.

    The second split is over what the first leaves of all claims, so that both sum exactly.
    """
    mine = pro_rata(tally.gone_over, claim, tally.claims, short)
    before = tally.gone_over - _short_before(tally, short)
    return Share(mine, pro_rata(before, claim - mine, tally.claims - short, backed))


def _short_before(tally: Tally, short: int) -> int:
    """What of a shortfall the claims gone over bear."""
    return floor_div(tally.gone_over * short, tally.claims) if tally.claims else 0


def refund(tally: Tally, lacking: Shortfall, short: int, price: int) -> int:
    """Nano for a claim that is short: its part of what there is, by cumulative rounding over Wh that are
    short, and never more than it paid. Who was paid for taking energy keeps that: its sellers paid it.
    """
    part = pro_rata(_short_before(tally, lacking.short), short, lacking.short, lacking.money)
    return min(part, short * max(0, price))


# One account --------------------------------------------------------------------------------------------


def released(day: Day, claims: Holdings) -> int:
    """Reserve of claims as produced, nano: it could cover what they turned out to lack."""
    return sum(wh * day.round(key[0]).buy_reserve for key, wh in claims.items() if not quality.firm(key[1]))


def _gone_over(day: Day, found: Mapping[tuple[int, int], Mapping[int, Shortfall]]) -> list[tuple[int, int]]:
    """Rounds and codes whose claims matter: those of a band, and of band 0 if any window of the day is short.
    Of others `gone_over` stays.
    """
    lacking = {(key[0], code) for key, one in found.items() for code, part in one.items() if part.short}
    pairs = [(one.round, code) for one in day.rounds for code in day.qualities]
    return [(number, code) for number, code in pairs if quality.band(code) > 0 or (number, code) in lacking]


def deliver_account(day: Day, carry: RunCarry, claims: Holdings) -> tuple[RunCarry, Delivery]:
    """The carry with one more account, and what its claims come to.

    PricesMissing if something is refunded whose price was not brought.
    """
    tallies, certificates, refunds, premiums = list(carry.tallies), {}, 0, 0
    short_in = [0] * day.windows
    places = [(one.round, window) for one in day.rounds for window in range(day.windows)]
    lacking = {place: shortfalls(day, carry, *place) for place in places}
    backed = {place: certified(day, carry, *place) for place in places}
    for number, code in _gone_over(day, lacking):
        for window in range(day.windows):
            key, place = (number, code, window), (number, window)
            claim, tally = claims.get(key, 0), carry.tallies[day.index(key)]
            of_quality = lacking[place][code]
            mine = share(tally, claim, of_quality.short, backed[place].get(code, 0))
            tallies[day.index(key)] = replace(tally, gone_over=tally.gone_over + claim)
            if mine.short:
                refunds += refund(tally, of_quality, mine.short, day.price(key))
                short_in[window] += mine.short
            brown = claim - mine.short - mine.certified
            if brown:
                premiums += brown * refunded_premium(day, key)
            if mine.certified:
                certificates[key] = mine.certified
    found = Delivery(certificates, tuple(short_in), refunds, premiums, released(day, claims))
    return replace(carry, tallies=tuple(tallies), cash=carry.cash - refunds), found
