"""The second pass: who bears what was not produced, and which claims become certificates (docs/formats.md,
Delivery).

Totals are known once every zone is settled. What was sold as produced and not produced is lost to buyers of
as-produced energy, pro rata; what is left of claims on green energy is certified as far as green energy was
delivered, and where it was not, its premium is refunded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from settlement.reference import quality
from settlement.reference.fill import pro_rata
from settlement.reference.settlement import Day, Holdings, RunCarry, Tally
from settlement.units import floor_div


@dataclass(frozen=True)
class Share:
    """What becomes of one claim, Wh."""

    lost: int
    """Not produced: the buyer never bought it."""
    certified: int
    """Becomes certificates; always 0 of band 0."""


@dataclass(frozen=True)
class Delivery:
    """What the second pass does to one account."""

    certificates: Holdings
    """None of zero."""
    lost: tuple[int, ...]
    """By window, Wh: its imbalance falls by as much."""
    refund: int
    """Nano: the price of what was lost, and the green premium of what was not certified."""


def shortfalls(day: Day, tallies: Sequence[Tally], window: int) -> dict[int, int]:
    """`X` by quality code, Wh: what claims lose of energy sold as produced.

    From best to least; what claims on a quality cannot bear goes on to lesser ones, which it may have
    served. Firm claims bear nothing.
    """
    lost, found = 0, dict.fromkeys(day.qualities, 0)
    if not day.shares:
        return found
    for code in quality.best_first(code for code in day.qualities if not quality.firm(code)):
        tally = tallies[day.index(code, window)]
        lost += tally.obligations - tally.delivered
        found[code] = min(tally.claims, lost)
        lost -= found[code]
    return found


def certified(day: Day, tallies: Sequence[Tally], window: int) -> dict[int, int]:
    """Wh of each quality's remaining claims that delivery backs, `C`, for bands above 0.

    Greenest first, firm before as produced: a band's deliveries join the pool when it is reached, and what
    greener claims leave serves browner ones.
    """
    lost = shortfalls(day, tallies, window)
    pool, backed, reached = 0, {}, -1
    for code in quality.best_first(code for code in day.qualities if quality.band(code) > 0):
        if quality.band(code) != reached:
            reached = quality.band(code)
            same = [other for other in day.qualities if quality.band(other) == reached]
            pool += sum(tallies[day.index(other, window)].delivered for other in same)
        backed[code] = min(tallies[day.index(code, window)].claims - lost[code], pool)
        pool -= backed[code]
    return backed


def share(tally: Tally, claim: int, lost: int, backed: int) -> Share:
    """A claim's part of its quality's `lost` and `backed`, by cumulative rounding.

    The second split is over what the first leaves of all claims, so that both sum exactly.
    """
    mine = pro_rata(tally.gone_over, claim, tally.claims, lost)
    before = tally.gone_over - _lost_before(tally, lost)
    return Share(mine, pro_rata(before, claim - mine, tally.claims - lost, backed))


def _lost_before(tally: Tally, lost: int) -> int:
    return floor_div(tally.gone_over * lost, tally.claims) if tally.claims else 0


def _gone_over(day: Day, tallies: Sequence[Tally]) -> list[int]:
    """Codes whose claims matter: those of a band, and of band 0 if any window of the day has something to
    lose. Others are not read, and their `gone_over` stays.
    """
    losing = {code for w in range(day.windows) for code, wh in shortfalls(day, tallies, w).items() if wh}
    return [code for code in day.qualities if quality.band(code) > 0 or code in losing]


def deliver_account(day: Day, carry: RunCarry, claims: Holdings) -> tuple[RunCarry, Delivery]:
    """The carry with one more account, and what its claims come to. Rounds share in ascending order.

    PricesMissing if something is refunded whose price was not brought.
    """
    tallies, certificates, refund = list(carry.tallies), {}, 0
    lost_in, read = [0] * day.windows, _gone_over(day, carry.tallies)
    for window in range(day.windows):
        lost, backed = shortfalls(day, carry.tallies, window), certified(day, carry.tallies, window)
        for code in read:
            at = day.index(code, window)
            for one in day.rounds:
                claim = claims.get((one.round, code, window), 0)
                mine = share(tallies[at], claim, lost[code], backed.get(code, 0))
                tallies[at] = replace(tallies[at], gone_over=tallies[at].gone_over + claim)
                lost_in[window] += mine.lost
                if mine.lost:
                    refund += mine.lost * day.price(one, code, window)
                brown = claim - mine.lost - mine.certified
                if brown and day.shares:
                    refund += brown * day.green_premium(one, code, window)
                if mine.certified:
                    certificates[(one.round, code, window)] = mine.certified
    carry = replace(carry, tallies=tuple(tallies))
    return carry, Delivery(certificates, tuple(lost_in), refund)
