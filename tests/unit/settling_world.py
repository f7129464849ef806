"""What a settler brings to the reference Exchange: prices of the rounds, and statements of the parts.

Everything is worked out from the Exchange's own state and events, as a settler does from a chain's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import reference_world as world
from reference_world import Posted

from settlement.reference import delivery, eip712, posting, settlement, statement
from settlement.reference.accounts import PROSUMER
from settlement.reference.clearing import Header, ZonePosting
from settlement.reference.exchange import Exchange
from settlement.reference.exchange.events import AccountSettled
from settlement.reference.posting import Entry, Posting
from settlement.reference.prices import RoundPrices
from settlement.reference.settlement import RunCarry
from settlement.reference.statement import Statement

Row = tuple[bytes, tuple[int, ...]]
"""An account and its imbalances."""


def round_prices(header: Header, zone: ZonePosting) -> RoundPrices:
    """What a round posted for a zone."""
    return RoundPrices(zone.energy, header.qualities)


def prices_of(posted: Posted) -> RoundPrices:
    return round_prices(posted.header, posted.zone)


def metered_accounts(exchange: Exchange, zone: int) -> list[bytes]:
    known = exchange.state.members.items()
    return sorted(a for a, m in known if m.role == PROSUMER and m.zone == zone)


def make_posting(
    zone: int,
    day: int,
    entries: Sequence[Entry],
    per_part: int,
    surplus: Sequence[int],
    deficit: Sequence[int],
    sequence: int = 1,
    commitments: bytes = bytes(32),
) -> tuple[Posting, list[bytes]]:
    """A posting of entries cut into parts, and the parts."""
    packed = [posting.pack_part(entries[at : at + per_part]) for at in range(0, len(entries), per_part)]
    hashes = tuple(posting.part_hash(part) for part in packed)
    prices = tuple(surplus), tuple(deficit)
    windows = len(surplus)
    message = Posting(zone, day, windows, sequence, len(entries), commitments, *prices, hashes)
    return message, packed


def signatures(exchange: Exchange, struct_hash: bytes, count: int = 2) -> list[bytes]:
    """Of so many oracles, ascending by signer."""
    digest = eip712.digest(exchange.separator, struct_hash)
    nodes = sorted(world.ORACLES[:count], key=world.address_of)
    return [world.sign_digest(key, digest) for key in nodes]


def post(exchange: Exchange, now: int, message: Posting) -> None:
    exchange.post_metering(now, message, signatures(exchange, posting.struct_hash(message)))


def total_cash(exchange: Exchange, now: int) -> int:
    """Everything that the Exchange owes anyone, nano."""
    free = sum(exchange.cash(now, account).free for account in exchange.state.members)
    bonds = sum(bond.locked_nano for bond in exchange.state.bonds.values())
    return free + bonds


@dataclass
class Settler:
    """Brings a day's parts, with what they need, and keeps everyone's imbalances."""

    exchange: Exchange
    now: int
    day: int
    prices: dict[int, tuple[RoundPrices, ...]]
    """Of the proved rounds, by zone."""
    parts: dict[int, list[list[Row]]] = field(default_factory=dict)
    """Imbalances of each settled part, by zone."""
    carry: RunCarry | None = None

    def settle(self, zone: int, part: bytes) -> None:
        """Settles one part and remembers its imbalances."""
        before = len(self.exchange.events)
        prices = self.prices.get(zone, ())
        self.carry = self.exchange.settle(self.now, zone, self.day, self.carry, part, prices)
        told = [e for e in self.exchange.events[before:] if isinstance(e, AccountSettled)]
        self.parts.setdefault(zone, []).append([(e.account, e.imbalance_wh) for e in told])

    def certify(self, zone: int, part: int) -> None:
        """Certifies one part, bringing the rows that change."""
        rows = self.parts[zone][part]
        lost = self.lost(zone, rows)
        brought = statement.statement_of(rows, [account for account, wh in lost.items() if any(wh)])
        prices = self.prices.get(zone, ())
        self.carry = self.exchange.certify(self.now, zone, self.day, self.carry, brought, prices)
        self.parts[zone][part] = [
            (account, tuple(wh - less for wh, less in zip(row, lost[account], strict=True)))
            for account, row in rows
        ]

    def lost(self, zone: int, rows: Sequence[Row]) -> dict[bytes, tuple[int, ...]]:
        """What each account of a part loses in each window, Wh."""
        prices = self.prices.get(zone, ())
        under = self.exchange.settlement_day(self.now, zone, self.day, prices)
        carry, found = self.carry or settlement.initial_run(under), {}
        for account, _ in rows:
            claims, _ = self.exchange.holdings(self.day, under, account)
            carry, one = delivery.deliver_account(under, carry, claims)
            found[account] = one.short
        return found

    def certify_all(self) -> None:
        """All parts in their order."""
        for zone in sorted(self.parts):
            for part in range(len(self.parts[zone])):
                self.certify(zone, part)

    def statement(self, zone: int, part: int, changing: Sequence[bytes] = ()) -> Statement:
        """What to bring where some accounts of a part change."""
        return statement.statement_of(self.parts[zone][part], changing)

    def change(self, zone: int, part: int, account: bytes, difference: Sequence[int]) -> None:
        """Remembers a change that the Exchange was told of."""
        self.parts[zone][part] = [
            (one, tuple(a + b for a, b in zip(row, difference, strict=True)) if one == account else row)
            for one, row in self.parts[zone][part]
        ]

    def imbalance(self, account: bytes) -> tuple[int, ...]:
        """As it stands, Wh."""
        rows = {one: row for parts in self.parts.values() for part in parts for one, row in part}
        return rows[account]
