"""A substation with two streets, an operator's processes, and what they must leave behind."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from api_world import key
from key_files import keystore_file
from killed_operator import Kill, start

from api.db.engine import open_engine, sessions_of
from api.db.migrate import upgrade
from api.intake.store import IntakeStore, Written
from settlement.audit.audit import audit
from settlement.audit.node import Node
from settlement.chain import claims, deploy, operator
from settlement.chain.anvil import Anvil
from settlement.chain.books import Session, name
from settlement.chain.calldata import function_of
from settlement.chain.client import AnvilClock, Chain
from settlement.chain.deploy import Deployment
from settlement.chain.exchange import Exchange, Stage, Token
from settlement.chain.intake import Intake, inspect
from settlement.chain.rpc import to_bytes
from settlement.chain.sign import Signer, sign_schedule
from settlement.reference.accounts import BALANCING_PARTY, NETWORK_OPERATOR, OPERATOR, PROSUMER, Member
from settlement.reference.orders import SignedOrder, encode, order_hash
from settlement.reference.record import BUY, SELL
from settlement.reference.schedule import Schedule
from settlement.reference.session import NO_PARENT, UNLIMITED_WH, Grid

CLERK, RECEIPTS, GRIDCO, SUPPLIER, CONSUMER, PRODUCER = (key(number) for number in range(40, 46))
MEMBERS = {
    CLERK.address: Member(OPERATOR),
    GRIDCO.address: Member(NETWORK_OPERATOR),
    SUPPLIER.address: Member(BALANCING_PARTY, 0, 5, 2**30 - 1, wide=True),
    CONSUMER.address: Member(PROSUMER, 1, 5, 8_000),
    PRODUCER.address: Member(PROSUMER, 2, 5, 8_000),
}
GRID = Grid((0,), (), (NO_PARENT, 0, 0), (0, 10_000, 10_000), (UNLIMITED_WH,) * 3)
DELIVERY = date(2027, 1, 7)
OPENING = int(datetime(2027, 1, 5, 20, tzinfo=UTC).timestamp())
PLAN = f"first_day = {DELIVERY}\nlast_day = {DELIVERY}\n"
TIMEOUT_S = 90


@dataclass
class OperatorWorld:
    """A deployment with members, cash and a grid, and no session."""

    anvil: Anvil
    chain: Chain
    deployment: Deployment
    clock: AnvilClock

    @property
    def exchange(self) -> Exchange:
        return Exchange(self.chain, self.deployment)

    @contextmanager
    def turned_back(self) -> Iterator[OperatorWorld]:
        snapshot = self.clock.snapshot()
        try:
            yield self
        finally:
            self.chain.rpc("evm_setAutomine", True)
            self.clock.revert(snapshot)


@contextmanager
def running_operator_world() -> Iterator[OperatorWorld]:
    with Anvil(timestamp=OPENING) as anvil:
        chain, admin = Chain(anvil.rpc_url), Signer(anvil.private_keys[0])
        found = deploy.deploy(chain, admin)
        deploy.grant(chain, admin, found, deploy.REGISTRAR, [admin.address])
        deploy.grant(chain, admin, found, deploy.MINTER, [admin.address])
        deploy.grant(chain, admin, found, deploy.OPERATOR, [CLERK.address])
        exchange, token = Exchange(chain, found), Token(chain, found)
        token.mint(admin, admin.address, 10**16)
        token.approve(admin, found.exchange, 10**16)
        for address, member in MEMBERS.items():
            exchange.register(admin, address, member)
            exchange.send(admin, "deposit", address, 2 * 10**15)
        exchange.set_grid(admin, GRID)
        yield OperatorWorld(anvil, chain, found, AnvilClock(chain))


def member_orders(exchange: Exchange, session: Session) -> list[SignedOrder]:
    """Two of each trader's: what the streets cannot do for each other the supplier does."""
    found = []
    for nonce, limit in ((1, 150_000), (2, 100_000)):
        for signer, side, zone in ((CONSUMER, BUY, 1), (PRODUCER, SELL, 2), (SUPPLIER, SELL, 0)):
            order = Schedule(
                trader=signer.address,
                session=session.id,
                zone=zone,
                side=side,
                kind=0,
                quality=0,
                first_window=session.params.first_window,
                nonce=nonce,
                quantity_wh=(500 * nonce, 700, 900),
                limit_micro_per_kwh=(limit if side == BUY else 50_000 * (1 + nonce),) * 3,
            )
            found.append(sign_schedule(signer, exchange.separator, order))
    return found


async def accept(database_url: str, exchange: Exchange, session: Session, given: list[SignedOrder]) -> None:
    """What the API does with orders: booked, with their receipts, in the database."""
    engine = open_engine(database_url)
    await upgrade(engine)
    store, now = IntakeStore(sessions_of(engine)), session.params.gate - 600
    await store.hold(session, "api", now, now + 600)
    intake, written = Intake(exchange.separator, session, RECEIPTS), []
    for order in given:
        inspected = inspect(session, name(exchange.separator, order), MEMBERS[order.schedule.trader])
        booked = intake.admit(inspected)
        written.append(Written(booked, intake.sign(booked), order.schedule.trader, inspected.named.order))
    await store.write(session, "api", 0, written, (), now)
    await engine.dispose()


@dataclass
class Day:
    """One session from before its opening to its proof, by processes that may be killed."""

    world: OperatorWorld
    folder: Path
    accepted: list[bytes] = field(default_factory=list)
    """Hashes of the orders that have a receipt, and of the one submitted on chain."""
    deaths: int = 0

    def __post_init__(self) -> None:
        self.first_block = self.world.chain.block_number() + 1
        (self.folder / "plan.toml").write_text(PLAN)
        self.database_url = f"sqlite+aiosqlite:///{self.folder / 'trellis.db'}"
        world = self.world
        self.argv = [
            *("operator", "run", "--rpc", world.anvil.rpc_url, "--data", str(self.folder / "operator")),
            *("--address", "0x" + world.deployment.exchange.hex(), "--database", self.database_url),
            *("--key-file", keystore_file(self.folder, CLERK), "--plan", str(self.folder / "plan.toml")),
            *("--receipt-signer", "0x" + RECEIPTS.address.hex(), "--poll-s", "0.05"),
        ]

    def run(self, kill: Kill | None) -> None:
        """Processes one after another, the first with its end in it, until the session is proved."""
        process = start(self.argv, self.world.anvil.rpc_url, kill)
        deadline = time.monotonic() + TIMEOUT_S
        try:
            while self.stage() is not Stage.PROVED or self.outbox() or self.deaths < (kill is not None):
                assert time.monotonic() < deadline, (self.stage(), process.exitcode)
                if not process.is_alive():
                    assert process.exitcode == -9, process.exitcode
                    self.deaths += 1
                    process = start(self.argv, self.world.anvil.rpc_url)
                    time.sleep(0.3)  # what is pending is found pending
                    self.world.chain.rpc("evm_setAutomine", True)
                    self.world.chain.rpc("evm_mine")
                if self.stage() is Stage.OPEN and not self.accepted:
                    self.take_orders()
                time.sleep(0.02)
        finally:
            process.terminate()
            process.join(10)
            process.kill()

    def stage(self) -> Stage:
        return self.world.exchange.session(1)[1]

    def take_orders(self) -> None:
        """Receipts, one order on chain, and the gate."""
        exchange = self.world.exchange
        session = operator.find_session(exchange, 1)
        given = member_orders(exchange, session)
        asyncio.run(accept(self.database_url, exchange, session, given[:-1]))
        claims.submit(exchange, SUPPLIER, session, encode(replace(given[-1], submitted=True)), 0)
        self.accepted = [order_hash(exchange.separator, one.schedule) for one in given]
        self.world.chain.rpc("evm_increaseTime", session.params.gate - self.world.chain.now() + 2)

    # What is left ---------------------------------------------------------------------------------------

    def sent(self) -> Counter[str]:
        """Names of what the operator sent, with how often it succeeded; nothing may have failed."""
        found: Counter[str] = Counter()
        for number in range(self.first_block, self.world.chain.block_number() + 1):
            block = self.world.chain.rpc("eth_getBlockByNumber", hex(number), True)
            for one in block["transactions"]:
                if one["from"] != "0x" + CLERK.address.hex():
                    continue
                receipt: Any = self.world.chain.rpc("eth_getTransactionReceipt", one["hash"])
                entry = function_of(to_bytes(one["input"]))
                name = entry.name if entry else "gate"
                assert receipt["status"] == "0x1", name
                found[name] += 1
        return found

    def book(self) -> list[bytes]:
        """Hashes of the orders that were cleared."""
        session = operator.find_session(self.world.exchange, 1)
        return [one for zone in range(3) for one in claims.book_hashes(self.world.exchange, session, zone)]

    def audit_holds(self) -> bool:
        node, place = Node(self.world.anvil.rpc_url), self.world.deployment
        return bool(audit([node], place.exchange, None, lambda *_: None).ok)

    def outbox(self) -> list[Path]:
        """What an operator that is restarted would send again."""
        return list((self.folder / "operator" / "outbox").glob("*"))
