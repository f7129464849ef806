"""Communities for both passes of a settled day: who sold what to whom, and what was metered.

A trade may be bought in a lesser quality than it was sold as, and either side may be the balancing party. The
prices of a trade need not be those of a market: what settlement keeps must hold at any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from settlement.reference import delivery, quality, settlement
from settlement.reference.delivery import Delivery
from settlement.reference.posting import Entry
from settlement.reference.potential import Potential
from settlement.reference.prices import RoundPrices
from settlement.reference.settlement import AccountResult, Closing, Day, Holdings, Key, Round, RunCarry

QUALITIES = (0, 3, 8, 11)
WINDOWS = 2
ACCOUNTS = 5
PARTY = ACCOUNTS
"""Place of the balancing party, behind all accounts."""


def prices(energy: tuple[int, ...], *premiums: tuple[int, ...]) -> RoundPrices:
    """Of a round whose potentials leave no room: `e` in each window, then `g` of each quality from 1 on."""
    rows = [Potential(-g, -g, 0, 0) for premium in premiums for g in premium]
    return RoundPrices(tuple(Potential(e, e, 0, 0) for e in energy), tuple(rows))


ROUNDS = (
    Round(0, 100, 300, 0, prices((150, -40), (20, 30), (5, 6), (50, 60)), delivery_reserve=340),
    Round(2, 50, 70, 0, prices((90, 110), (0, 8), (2, 1), (9, 12)), delivery_reserve=70),
)
DAY = Day(WINDOWS, QUALITIES, ROUNDS, surplus=(80, -20), deficit=(240, 10))
KEYS = DAY.keys
HOLDINGS = st.dictionaries(st.sampled_from(KEYS), st.integers(1, 1000), max_size=6)
METERED = st.tuples(*[st.integers(-2000, 2000)] * WINDOWS)
PAIRS = [(giver, taker) for giver in QUALITIES for taker in QUALITIES if quality.serves(giver, taker)]
"""What was sold, and what it was bought as."""


@dataclass(frozen=True)
class Community:
    """Metered accounts in ascending order, and what the balancing party traded with them."""

    day: Day
    entries: tuple[Entry, ...]
    claims: tuple[Holdings, ...]
    """Of each account, and last of the balancing party."""
    obligations: tuple[Holdings, ...]

    @property
    def accounts(self) -> list[tuple[Entry, Holdings, Holdings]]:
        """Entry, claims and obligations of each metered account."""
        return list(zip(self.entries, self.claims, self.obligations, strict=False))

    @property
    def party(self) -> tuple[Holdings, Holdings]:
        """What the balancing party bought and sold."""
        return self.claims[PARTY], self.obligations[PARTY]

    @property
    def withheld(self) -> int:
        """What sellers as produced were not paid when they sold, nano."""
        sold = [one for _, _, one in self.accounts]
        return sum(
            wh * self.day.price(key) for one in sold for key, wh in one.items() if not quality.firm(key[1])
        )


Trade = tuple[int, int, int, tuple[int, int], int, int]
"""Seller, buyer, round, (sold as, bought as), window, Wh."""


def trades(
    rounds: Sequence[int] = (0, 2), windows: Sequence[int] = range(WINDOWS)
) -> st.SearchStrategy[list[Trade]]:
    """Some trades of these rounds and windows, most between members."""
    anyone = st.integers(0, PARTY)
    return st.lists(
        st.tuples(
            anyone,
            anyone,
            st.sampled_from(rounds),
            st.sampled_from(PAIRS),
            st.sampled_from(windows),
            st.integers(1, 700),
        ),
        max_size=14,
    )


def traded(given: list[Trade], metered: list[tuple[int, ...]], day: Day = DAY) -> Community:
    """The community of these trades; `metered` of each account."""
    claims: list[dict[Key, int]] = [{} for _ in range(PARTY + 1)]
    obligations: list[dict[Key, int]] = [{} for _ in range(PARTY + 1)]
    for seller, buyer, number, (sold, bought), window, wh in given:
        for held, code in ((obligations[seller], sold), (claims[buyer], bought)):
            key = (number, code, window)
            held[key] = held.get(key, 0) + wh
    entries = tuple(Entry(bytes([n + 1] * 20), (0,) * WINDOWS, row) for n, row in enumerate(metered))
    return Community(day, entries, tuple(claims), tuple(obligations))


@st.composite
def energy_and_premiums(draw: st.DrawFn) -> RoundPrices:
    """Any prices of a round, negative ones too; premiums are not below 0."""
    energy = st.tuples(*[st.integers(-300, 300)] * WINDOWS)
    premium = st.tuples(*[st.integers(0, 90)] * WINDOWS)
    return prices(draw(energy), *(draw(premium) for _ in QUALITIES[1:]))


@st.composite
def communities(draw: st.DrawFn, among: st.SearchStrategy[list[Trade]] | None = None) -> Community:
    """Of these trades, or any, at any prices."""
    rounds = tuple(replace(one, prices=draw(energy_and_premiums())) for one in ROUNDS)
    metered = draw(st.lists(METERED, min_size=ACCOUNTS, max_size=ACCOUNTS))
    return traded(draw(trades() if among is None else among), metered, replace(DAY, rounds=rounds))


@dataclass(frozen=True)
class Settled:
    """A community after both passes."""

    closing: Closing
    """What the balancing party got at the end of the first."""
    run: RunCarry
    """What the second starts from."""
    after: RunCarry
    """What the second leaves; its cash is the balancing party's."""
    first: tuple[AccountResult, ...]
    second: tuple[Delivery, ...]


def settle(community: Community) -> tuple[RunCarry, tuple[AccountResult, ...]]:
    """The first pass over the accounts."""
    carry, results = settlement.initial_run(community.day), []
    for entry, claims, obligations in community.accounts:
        carry, result = settlement.settle_entry(community.day, carry, entry, claims, obligations)
        results.append(result)
    return carry, tuple(results)


def both_passes(community: Community) -> Settled:
    """A community settled and certified."""
    day = community.day
    carry, first = settle(community)
    closing = settlement.close(day, carry, *community.party)
    run = settlement.zone_start(settlement.with_escrow(day, carry, community.party[0]))
    after, second = run, []
    for _, claims, _ in community.accounts:
        after, one = delivery.deliver_account(day, after, claims)
        second.append(one)
    return Settled(closing, run, after, first, tuple(second))
