"""Homes that trade and settle days on an embedded chain: the same keys, orders and readings every time.

Nothing here depends on the clock or the machine, so the gas of each transaction is the same to the last unit.
A day `n` is cleared at noon of the day before and settled once it is over:

    day 0     day 1     day 2     day 3
      | clear 1 | clear 2 |         |
                          | settle 1
                                    | settle 2
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from settlement.chain import deploy, operator, settler
from settlement.chain.anvil import Anvil
from settlement.chain.books import Session
from settlement.chain.client import AnvilClock, Chain, Clock
from settlement.chain.exchange import Exchange, Token
from settlement.chain.operator import ClearedSession
from settlement.chain.settler import SettledDay, SignedPosting
from settlement.chain.sign import Signer, sign_schedule
from settlement.reference import eip712, posting
from settlement.reference.accounts import BALANCING_PARTY, OPERATOR, PROSUMER, Member
from settlement.reference.packed_windows import HOME, WIDE
from settlement.reference.posting import Entry, Posting
from settlement.reference.schedule import BUY, SELL, Schedule, SignedSchedule
from settlement.reference.session import Grid, SessionParams, single_zone

WINDOW_LENGTH = 1800
WINDOWS = 48
DAY_S = WINDOWS * WINDOW_LENGTH
CLAIMS_S = 2 * deploy.MAX_PAUSE_S + 7 * 86_400
"""From the deadline of the proof to the last claim."""
MIDNIGHT = 20_254 * DAY_S
"""Of day 0, Unix seconds: windows of a day begin at a slot's first lane."""

GRIDS: dict[tuple[int, ...], Grid] = {
    (0, 15): single_zone((0, 15), [(1, 0)]),
    (0, 5, 8, 15): single_zone((0, 5, 8, 15), [(3, 2), (3, 1), (2, 0), (1, 0)]),
}

QUANTITY_WH = (300, 2_500)
SELL_LIMIT = (60_000, 150_000)  # micro/kWh
BUY_LIMIT = (140_000, 320_000)
FUNDS_NANO = 10**14
GREENEST = 15
EVERY_GREEN_BUYER = 6
"""One buying home in so many insists on the greenest quality."""

HOMES_PER_PART = 50
"""Of a posting, as oracle nodes cut it: so many are certified in a transaction whatever is short."""
REGISTRATION_GAS = 500_000
NEXT_STEP = 1 << 32
"""Between the nonces of a home's steps."""


@dataclass(frozen=True)
class Shape:
    """Who trades what."""

    homes: int = 100
    qualities: tuple[int, ...] = (0, 15)
    wide: bool = False
    """Lanes of 32 bits, 8 a slot, instead of 16."""
    both_sides: bool = False
    """Every home signs a schedule to sell and one to buy; else they take turns."""
    steps: int = 1
    """Schedules that each home signs for a side, as steps of its price."""

    @property
    def grid(self) -> Grid:
        return GRIDS[self.qualities]

    @property
    def window_orders(self) -> int:
        """Entries that a day's book has."""
        return self.homes * WINDOWS * (2 if self.both_sides else 1) * self.steps

    @property
    def windows(self) -> int:
        """Windows of all homes together, which is what settling is counted by."""
        return self.homes * WINDOWS


def key(number: int) -> Signer:
    """A key for benchmarks, the same every time: never for value."""
    return Signer((0xBE9C_0000 + number).to_bytes(32, "big"))


ORACLES = sorted((key(number) for number in range(1, 4)), key=lambda signer: signer.address)
SUPPLIER = key(4)
FIRST_HOME = 16


class Community:
    """A deployed Exchange and its members; days are numbered from 1."""

    clock: Clock

    def __init__(self, anvil: Anvil, shape: Shape) -> None:
        self.chain = Chain(anvil.rpc_url)
        self.clock = AnvilClock(self.chain)
        self.admin, self.operator = (Signer(secret) for secret in anvil.private_keys[:2])
        self._settle_in(shape)

    def _settle_in(self, shape: Shape) -> None:
        """Deploys, and lets everybody in."""
        self.shape = shape
        self.homes = [key(FIRST_HOME + number) for number in range(shape.homes)]
        found = deploy.deploy(self.chain, self.admin, deploy.Terms(window_length=WINDOW_LENGTH))
        self.exchange, self.token = Exchange(self.chain, found), Token(self.chain, found)
        self._populate()

    @staticmethod
    def starts_at() -> int:
        """When the chain begins, Unix seconds."""
        return midnight_of(0)

    @property
    def lanes(self) -> int:
        """A slot of each home's."""
        return (WIDE if self.shape.wide else HOME).count

    # Set-up ---------------------------------------------------------------------------------------------

    def _populate(self) -> None:
        roles = {deploy.REGISTRAR: self.admin, deploy.MINTER: self.admin}
        roles |= {deploy.OPERATOR: self.operator, deploy.ORACLE: self.operator}
        for role, holder in roles.items():
            deploy.grant(self.chain, self.admin, self.exchange.deployment, role, [holder.address])
        members = {home.address: self._home(number) for number, home in enumerate(self.homes)}
        members |= self._others()
        total = FUNDS_NANO * len(members)
        self.token.mint(self.admin, self.admin.address, total)
        self.token.approve(self.admin, self.exchange.address, total)
        terms = [
            (address, one.zone, one.role, one.max_quality, one.capacity_wh, one.wide)
            for address, one in (members | {self.operator.address: Member(OPERATOR)}).items()
        ]
        self._send_all("registerMember", terms)
        self._send_all("deposit", [(address, FUNDS_NANO) for address in members])
        for node in ORACLES:
            self.exchange.send(self.admin, "setOracle", node.address, True)
        self.exchange.send(self.admin, "setQuorum", 2)
        self.exchange.set_grid(self.admin, self.grid)

    @property
    def grid(self) -> Grid:
        return self.shape.grid

    def zone_of(self, number: int) -> int:
        """The zone of a home."""
        return 0

    def _home(self, number: int) -> Member:
        return Member(PROSUMER, self.zone_of(number), GREENEST, 20_000, wide=self.shape.wide)

    def _others(self) -> dict[bytes, Member]:
        return {SUPPLIER.address: Member(BALANCING_PARTY, 0, GREENEST, 2**30 - 1, wide=True)}

    def _send_all(self, name: str, calls: Sequence[tuple[Any, ...]]) -> None:
        """Waits only at the end."""
        encoded = [self.exchange.abi.encode(name, *one) for one in calls]
        sent = [
            self.chain.submit(self.admin, self.exchange.address, data, gas=REGISTRATION_GAS)
            for data in encoded
        ]
        for tx_hash in sent:
            self.chain.wait(tx_hash)

    # Trading --------------------------------------------------------------------------------------------

    def open(self, day: int) -> tuple[Session, list[SignedSchedule]]:
        """The day's session at its closed gate, and the orders for it."""
        first, gate = first_window(day), gate_of(day)
        self.clock.advance_to(gate - 3_600)
        self.exchange.open_day(self.operator, first, WINDOWS, 1)
        params = _params(first, gate, max_orders=2 * len(self.homes) * self.shape.steps)
        session = operator.open_session(self.exchange, self.operator, params)
        orders = self.sign_book(session, day)
        self.clock.advance_to(gate)
        return session, orders

    def sign_book(self, session: Session, day: int) -> list[SignedSchedule]:
        """What the homes ask for and offer, at random limits, in every window."""
        dice = random.Random(day)
        return [
            sign_schedule(
                home, self.exchange.separator, self._schedule(dice, session, day, number, side, step)
            )
            for number, home in enumerate(self.homes)
            for side in ((SELL, BUY) if self.shape.both_sides else (SELL if number % 2 else BUY,))
            for step in range(self.shape.steps)
        ]

    def _schedule(
        self, dice: random.Random, session: Session, day: int, number: int, side: int, step: int
    ) -> Schedule:
        limits = SELL_LIMIT if side == SELL else BUY_LIMIT
        return Schedule(
            trader=self.homes[number].address,
            session=session.id,
            zone=self.zone_of(number),
            side=side,
            kind=0,
            quality=quality_of(self.shape, number, side),
            first_window=session.params.first_window,
            nonce=2 * day + side + step * NEXT_STEP,
            quantity_wh=tuple(dice.randint(*QUANTITY_WH) for _ in range(WINDOWS)),
            limit_micro_per_kwh=tuple(dice.randint(*limits) for _ in range(WINDOWS)),
        )

    def trade(self, day: int) -> ClearedSession:
        """Opens a day's session and clears it, to the proof."""
        return self.clear(*self.open(day))

    def clear(self, session: Session, orders: Sequence[SignedSchedule]) -> ClearedSession:
        """All that an operator does from a closed gate on."""
        sealed = operator.seal(self.exchange, session, orders)
        return operator.run(self.exchange, self.operator, session, sealed)

    # Settling -------------------------------------------------------------------------------------------

    def settle(self, day: int) -> SettledDay:
        """Posts, settles and certifies a day that is over."""
        self.clock.advance_to(midnight_of(day + 1))
        return settler.run(self.exchange, self.operator, self.sign_posting(day))

    def sign_posting(self, day: int) -> SignedPosting:
        """Every home's readings, in parts as oracle nodes cut them, signed by two of the three."""
        dice = random.Random(-day)
        entries = [self._entry(dice, number) for number in range(len(self.homes))]
        entries.sort(key=lambda entry: entry.account)
        cuts = range(0, len(entries), HOMES_PER_PART)
        parts = tuple(posting.pack_part(entries[at : at + HOMES_PER_PART]) for at in cuts)
        message = Posting(
            zone=0,
            first_window=first_window(day),
            windows=WINDOWS,
            sequence=1,
            accounts=len(entries),
            commitments=self.commitments(day),
            surplus=tuple(dice.randint(20_000, 60_000) for _ in range(WINDOWS)),
            deficit=tuple(dice.randint(280_000, 400_000) for _ in range(WINDOWS)),
            parts=tuple(map(posting.part_hash, parts)),
        )
        digest = eip712.digest(self.exchange.separator, posting.struct_hash(message))
        return SignedPosting(message, parts, tuple(node.sign_digest(digest) for node in ORACLES[:2]))

    def commitments(self, day: int) -> bytes:
        """The root over a day's readings; nobody opens it here."""
        return eip712.keccak(b"readings of day %d" % day)

    def _entry(self, dice: random.Random, number: int) -> Entry:
        """Those that sell export, those that buy import; none quite what it traded."""
        sign = 1 if number % 2 else -1
        metered = tuple(sign * dice.randint(*QUANTITY_WH) for _ in range(WINDOWS))
        return Entry(self.homes[number].address, (posting.ACTUAL,) * WINDOWS, metered)


def midnight_of(day: int) -> int:
    return MIDNIGHT + day * DAY_S


def first_window(day: int) -> int:
    return midnight_of(day) // WINDOW_LENGTH


def gate_of(day: int) -> int:
    """Noon of the day before."""
    return midnight_of(day) - DAY_S // 2


def quality_of(shape: Shape, number: int, side: int) -> int:
    """Sellers offer everything in turn, firm (8 and above) and as produced; some buyers insist on the
    greenest, others take anything but that.
    """
    if side == BUY and number % EVERY_GREEN_BUYER == 0:
        return GREENEST
    kinds = shape.qualities[::-1] if side == SELL else shape.qualities[:-1]
    return kinds[number // EVERY_GREEN_BUYER % len(kinds)]


def _params(first: int, gate: int, max_orders: int) -> SessionParams:
    return SessionParams(
        kind=0,
        round=0,
        windows=WINDOWS,
        grid_version=1,
        day=first,
        first_window=first,
        gate=gate,
        commit_by=gate + 600,
        prove_by=gate + 3_600,
        floor=-2_000_000,
        cap=6_000_000,
        buy_reserve=100_000,
        sell_reserve=300_000,
        imbalance_min=-500_000,
        imbalance_max=900_000,
        max_orders=max_orders,
        max_submitted=10,
        bond_nano=0,
        claim_by=gate + 3_600 + CLAIMS_S,
        receipt_signer=bytes(20),
        certificate_run=0,
    )


@contextmanager
def running(shape: Shape) -> Iterator[Community]:
    """A community on a chain of its own, which is gone afterwards."""
    with Anvil(timestamp=midnight_of(0)) as anvil:
        yield Community(anvil, shape)
