"""A settled day on an embedded chain whose meters, oracle nodes and participants are at hand.

Real meters sign, three oracle nodes compute and two of them post; the trade is one prosumer's sale of 1 MWh
in the first window to the supplier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from chain_world import (
    DAY,
    DAY_END,
    ORACLES,
    PROSUMERS,
    SUPPLIER,
    WINDOW_LENGTH,
    WINDOWS,
    World,
    make_schedule,
)
from chain_world import running_world as running_chain

from oracle.aggregate import AccountDay
from oracle.commitments import open_reading
from oracle.contesting import contest, signed_read
from oracle.correcting import Correcting, with_challenges
from oracle.day import Day as Windows
from oracle.estimation import no_history
from oracle.messages import (
    EXPORT,
    IMPORT,
    Reading,
    ReadingKey,
    SignedReading,
    meter_id,
    private_key,
    public_point,
    sign,
)
from oracle.node import Computed, DayInputs, OracleNode, agree
from oracle.registry import Meter, MeterRegistry
from settlement.chain import corrector, deploy, operator, settler, statements
from settlement.chain.corrector import SignedCorrection
from settlement.chain.settler import SignedPosting
from settlement.chain.sign import Signer
from settlement.chain.steps import logs_of
from settlement.reference.challenge import ReadingChallenge, SignedRead
from settlement.reference.posting import struct_hash
from settlement.reference.schedule import BUY, SELL
from settlement.units import WH_LIMIT

SELLER, BUYER, LATE, CALM = PROSUMERS[3], *PROSUMERS[:3]
MWH = 1_000_000
DAY_WINDOWS = Windows(WINDOW_LENGTH, DAY, WINDOWS)
FIRM = 8
"""Firm, of no band."""
SURPLUS, DEFICIT = (20_000, 10_000, 0, 50_000), (80_000, 350_000, 300_000, 50_000)
METERED: Mapping[bytes, Sequence[int]] = {
    SELLER.address: (MWH, 900_000, 950_000, 900_000),
    BUYER.address: (-1200, 5, 0, -7),
    LATE.address: (700, -30, 2, 9),
    CALM.address: (50, 0, 0, 1),
}
BOND, POT = 5_000_000_000, 12_000_000_000


def secret_of(account: bytes) -> int:
    """Of the account's meter."""
    return 1_000 + account[0]


def meter_of(account: bytes) -> bytes:
    return meter_id(f"METER-{account.hex()}")


def point_of(account: bytes) -> tuple[int, int]:
    return public_point(private_key(secret_of(account)))


def read_of(account: bytes, window: int, wh: int, sequence: int = 1, register: int = EXPORT) -> SignedReading:
    """What the account's meter says of a window of the day, counted from its first."""
    message = Reading(meter_of(account), register, WINDOW_LENGTH, DAY + window, wh, sequence)
    return sign(message, private_key(secret_of(account)))


def reads_of(metered: Mapping[bytes, Sequence[int]], sequence: int = 1) -> tuple[SignedReading, ...]:
    """Both registers of each account in each window."""
    return tuple(
        read_of(account, window, max(0, sign * wh), sequence, register)
        for account, row in metered.items()
        for window, wh in enumerate(row)
        for register, sign in ((IMPORT, -1), (EXPORT, 1))
    )


REGISTRY = MeterRegistry(Meter(meter_of(account), *point_of(account), account) for account in METERED)


@dataclass
class MeteredDay:
    """A day after its first run, and what oracles and participants have of it."""

    world: World
    computed: Computed
    signed: SignedPosting
    batch: tuple[SignedReading, ...]
    runs: list[SignedCorrection] = field(default_factory=list)
    upheld: list[tuple[bytes, int, int]] = field(default_factory=list)
    """Account, window's index, Wh."""
    proved: tuple[Reading, ...] = ()
    """What challenges of the day upheld."""

    @property
    def node(self) -> Signer:
        return self.world.node

    def inputs(self, batch: Iterable[SignedReading], sequence: int) -> DayInputs:
        return inputs_of(tuple(batch), sequence)

    def standing(self) -> AccountDay:
        return with_challenges(self.computed.accounts, self.upheld)

    def sign_correction(self, *late: SignedReading, keep: bool = True, **changes: Any) -> SignedCorrection:
        """What two of three nodes sign next, `late` having come in since; they go on from it if `keep`."""
        exchange = self.world.exchange
        at = corrector.zone_day(exchange, 0, DAY)
        posting = self.signed.posting
        parts = tuple(tuple(self.signed.accounts(part)) for part in range(len(posting.parts)))
        previous = at.link if at.is_open else struct_hash(posting)
        given = Correcting(0, at.run + 1, previous, posting.surplus, posting.deficit, parts)
        given = replace(given, **changes)
        inputs = replace(inputs_of((*self.batch, *late), 2 + at.run), upheld=self.proved)
        votes = [
            OracleNode(node.secret).vote_again(inputs, self.standing(), given, exchange.separator)
            for node in ORACLES
        ]
        nodes = [node.address for node in ORACLES]
        agreed = agree([one for one, _ in votes], nodes, 2, exchange.separator)
        signed = SignedCorrection(agreed.posted.correction, agreed.posted.differences, agreed.signatures)
        if keep:
            self.batch, self.computed, self.upheld = inputs.batch, votes[0][1], []
            self.runs.append(signed)
        return signed

    def correct(self, *late: SignedReading) -> SignedCorrection:
        signed = self.sign_correction(*late)
        corrector.run(self.world.exchange, self.node, signed)
        return signed

    def challenge(
        self, account: bytes, window: int, wh: int, sequence: int = 2, register: int = EXPORT
    ) -> ReadingChallenge:
        """What an account brings whose meter said something else."""
        key = ReadingKey(meter_of(account), register, DAY + window)
        computed = self.computed
        opening = open_reading(computed.commitments, computed.readings, computed.salts, key)
        read = read_of(account, window, wh, sequence, register)
        return contest(opening, read, point_of(account), 0, DAY)

    def answer(
        self, account: bytes, window: int, wh: int, sequence: int, register: int = EXPORT
    ) -> SignedRead:
        return signed_read(read_of(account, window, wh, sequence, register), point_of(account))

    def free(self, account: bytes) -> int:
        return self.world.exchange.cash(account).free

    def row(self, account: bytes) -> tuple[int, ...]:
        """The account's imbalance as the chain's calls tell it, proved by its hash."""
        return statements.current(self.world.exchange, 0, DAY).rows[account]

    def assert_sums_are_zero(self) -> None:
        """Imbalances of everyone and the supplier, and what they are worth; nothing leaks from the vault."""
        exchange = self.world.exchange
        pot, _, _ = exchange.view("challengeTerms")
        accounts = exchange.accounts(list(self.world.model.state.members))
        held = sum(one.cash.free + one.cash.reserved for one in accounts.values())
        assert held + pot + self._stakes() == self.world.token.balance(exchange.address)

    def _stakes(self) -> int:
        exchange = self.world.exchange
        ids = {log.topics[1] for log in logs_of(exchange, "ReadingChallenged")}
        found = (statements.challenge_of(exchange, one) for one in ids)
        return sum(one.bond_nano for one in found if one.stage == 1)


def inputs_of(
    batch: tuple[SignedReading, ...],
    sequence: int,
    surplus: Sequence[int] = SURPLUS,
    deficit: Sequence[int] = DEFICIT,
) -> DayInputs:
    return DayInputs(
        zone=0,
        day=DAY_WINDOWS,
        registry=REGISTRY,
        batch=batch,
        history=no_history(2 * len(METERED), DAY_WINDOWS),
        surplus=tuple(surplus),
        deficit=tuple(deficit),
        day_key=bytes(31) + bytes((sequence,)),
        sequence=sequence,
        accounts_per_part=2,
    )


def trade(world: World) -> None:
    """The seller's megawatt-hour, sold firm; everyone else is the supplier's."""
    world.exchange.send(world.admin, "changeMember", SELLER.address, 13, WH_LIMIT - 1, False)
    session = world.open_session()
    terms = {"quantity_wh": (MWH,), "first_window": DAY}
    orders = [
        make_schedule(
            session, SELLER.address, side=SELL, quality=FIRM, limit_micro_per_kwh=(10_000,), **terms
        ),
        make_schedule(session, SUPPLIER.address, side=BUY, quality=0, limit_micro_per_kwh=(90_000,), **terms),
    ]
    sealed = operator.seal(world.exchange, session, [world.sign(order) for order in orders])
    world.clock.advance_to(session.params.gate)
    operator.commit(world.exchange, world.operator, session, sealed)
    operator.run(world.exchange, world.operator, session, sealed)
    world.clock.advance_to(DAY_END)


def register_meters(world: World) -> None:
    for meter in REGISTRY.values():
        point = (meter.public_x.to_bytes(32, "big"), meter.public_y.to_bytes(32, "big"))
        world.exchange.send(world.admin, "registerMeter", meter.meter_id, meter.account, *point)


def post_and_settle(
    world: World,
    metered: Mapping[bytes, Sequence[int]] = METERED,
    surplus: Sequence[int] = SURPLUS,
    deficit: Sequence[int] = DEFICIT,
    without: Iterable[SignedReading] = (),
) -> MeteredDay:
    """The first run, of what meters said but for what did not come in."""
    missing = {one.message for one in without}
    batch = tuple(one for one in reads_of(metered) if one.message not in missing)
    inputs = inputs_of(batch, 1, surplus, deficit)
    separator = world.exchange.separator
    votes = [OracleNode(node.secret).vote(inputs, separator) for node in ORACLES]
    agreed = agree([one for one, _ in votes], [node.address for node in ORACLES], 2, separator)
    signed = SignedPosting(agreed.posted.posting, agreed.posted.parts, agreed.signatures)
    settler.run(world.exchange, world.node, signed)
    return MeteredDay(world, votes[0][1], signed, batch)


def stake(world: World, bond: int = BOND, pot: int = POT) -> None:
    """The supplier vouches for the oracles."""
    deploy.grant(world.chain, world.admin, world.deployment, deploy.ORACLE, [SUPPLIER.address])
    world.exchange.send(world.admin, "setChallengeBond", bond)
    world.exchange.send(SUPPLIER, "bondOracles", pot)


@contextmanager
def traded_world(hardfork: str = "london") -> Iterator[World]:
    """Everything before the posting, on a chain of a hard fork."""
    with running_chain(hardfork) as world:
        register_meters(world)
        trade(world)
        yield world
