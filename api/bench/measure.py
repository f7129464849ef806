"""What `trellis bench api` measures: a server of its own, orders of 48 windows that many wallets signed.

Client and server share the machine. At the end the server is killed with SIGKILL under load, and every
receipt that ever came back is looked for in the database.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from api.bench import load
from api.bench.load import Taken, request
from api.bench.market import Market, running_market
from api.bench.server import HOST, Server
from api.db.engine import open_engine, sessions_of
from api.intake import wire
from api.intake.store import IntakeStore
from api.readmodel.service import opened
from api.schemas.orders import RECORDS
from api.settings import Settings
from settlement.bench.registry import Figures, Tell
from settlement.chain.keystore import write_throwaway
from settlement.errors import CheckFailed
from settlement.reference.orders import SignedOrder
from settlement.reference.receipts import SignedReceipt

EACH = 60
"""Orders of a wallet: fewer than it may have receipts for."""
MOST_SINGLE_PER_S, MOST_BATCH_PER_S = 1_500, 12_000
"""So many orders are signed for a second of load."""
KILLED_AFTER = 300
"""Answers."""
WIDE = {"WRITES_PER_S": "100000", "WRITES_BURST": "100000"} | {
    "ORDERS_PER_S": "1000000",
    "ORDERS_BURST": "1000000",
    "LOGINS_PER_S": "1000",
    "LOGINS_BURST": "1000",
    "LOG_LEVEL": "INFO",
}
"""Limits of a wallet: a few wallets here bring what thousands would."""


@dataclass(frozen=True)
class Plan:
    """How much is sent."""

    seconds: int
    connections: int
    batch: int
    batches_at_once: int = 2

    @property
    def wallets(self) -> tuple[int, int, int]:
        """Of single orders, of batches, and of what is under way when the server is killed."""
        single = -(-self.seconds * MOST_SINGLE_PER_S // EACH)
        return max(single, self.connections), -(-self.seconds * MOST_BATCH_PER_S // EACH), self.connections


@dataclass(frozen=True)
class Measured:
    """A load and what it cost."""

    taken: Taken
    cpu_us: int
    """Of the server, an order."""


def measure(arguments: argparse.Namespace, tell: Tell) -> Figures:
    """The figures, on SQLite if no other database is named."""
    plan = Plan(arguments.seconds, arguments.connections, arguments.batch)
    with tempfile.TemporaryDirectory(prefix="trellis-bench-") as name:
        folder = Path(name)
        tell(f"registers {sum(plan.wallets)} wallets on a chain")
        with running_market(sum(plan.wallets)) as market:
            values = server_settings(market, folder, arguments.database)
            asyncio.run(index(values))
            server = Server(values, folder)
            try:
                server.start()
                return asyncio.run(_measure(plan, market, server, values["DATABASE_URL"], tell))
            finally:
                server.kill()


def server_settings(market: Market, folder: Path, database: str | None = None) -> dict[str, str]:
    """Of a server over the market."""
    return {
        "DATABASE_URL": database or f"sqlite+aiosqlite:///{folder / 'bench.db'}",
        "RPC": market.rpc,
        "EXCHANGE": "0x" + market.exchange.address.hex(),
        "RECEIPT_KEY_FILE": write_throwaway(folder, market.receipts),
        "INTAKE_LEASE_S": "1",
        **WIDE,
    }


async def index(values: dict[str, str]) -> None:
    """Reads the chain into the server's database."""
    given: dict[str, Any] = {name.lower(): values[name] for name in ("DATABASE_URL", "RPC", "EXCHANGE")}
    async with opened(Settings(**given, log_level="WARNING")) as indexer:
        await indexer.catch_up()


async def _measure(plan: Plan, market: Market, server: Server, database: str, tell: Tell) -> Figures:
    tell("signs orders")
    groups = list(market.signed(EACH))
    single, batched, _ = plan.wallets
    tokens = [await load.login(HOST, server.port, one) for one in market.wallets[: plan.connections]]
    sent = [request("/v1/orders", body, tokens[0]) for body in map(body_of, _flat(groups[:single]))]
    tell("sends single orders")
    alone = await _measured(server, _dealt(sent, plan.connections), plan.seconds)
    tell("sends batches")
    bodies = _batches(market, _flat(groups[single : single + batched]), plan.batch)
    sent = [request("/v1/orders/batch", body, tokens[0], RECORDS) for body in bodies]
    together = await _measured(server, _dealt(sent, plan.batches_at_once), plan.seconds)
    tell("kills the server under load")
    rest = [
        request("/v1/orders", body, tokens[0]) for body in map(body_of, _flat(groups[-plan.connections :]))
    ]
    killed = await _killed(server, _dealt(rest, plan.connections))
    lost = await lost_receipts(market, database, [alone.taken, together.taken, killed])
    refused = [*alone.taken.refused, *together.taken.refused, *killed.refused][:1]
    if lost or refused:
        raise CheckFailed(f"{lost} receipts are not in the database; refused: {refused}")
    return _figures(plan, alone, together, killed)


def _figures(plan: Plan, single: Measured, batched: Measured, killed: Taken) -> dict[str, float | int]:
    alone, together = single.taken, batched.taken
    return {
        "single_orders_per_s": round(alone.per_s),
        "batch_orders_per_s": round(together.per_s),
        "p50_ms": round(alone.quantile_ms(0.5), 1),
        "p99_ms": round(alone.quantile_ms(0.99), 1),
        "batch_p99_ms": round(together.quantile_ms(0.99), 1),
        "batch_size": plan.batch,
        "connections": plan.connections,
        "single_orders": len(alone.receipts),
        "batch_orders": len(together.receipts),
        "receipts_before_kill": len(killed.receipts),
        "receipts_lost": 0,
        "server_us_single": single.cpu_us,
        "server_us_batch": batched.cpu_us,
        "load_average_1m": round(os.getloadavg()[0], 1),
    }


async def _measured(server: Server, requests: Sequence[Sequence[bytes]], seconds: float) -> Measured:
    """A load, and what it cost the server."""
    process = psutil.Process(server.pid)
    before = process.cpu_times()
    taken = await load.run(HOST, server.port, requests, seconds)
    after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    return Measured(taken, round(1e6 * spent / max(1, len(taken.receipts))))


async def _killed(server: Server, requests: Sequence[Sequence[bytes]]) -> Taken:
    """A load under which the server is killed, some hundred receipts on."""
    running = asyncio.create_task(load.run(HOST, server.port, requests, 60, taken := Taken()))
    while len(taken.seconds) < KILLED_AFTER and not running.done():
        await asyncio.sleep(0.001)
    server.kill()
    return await running


async def lost_receipts(market: Market, database: str, given: Iterable[Taken]) -> int:
    """Receipts that are not in the database as they were given out, or twice under one sequence."""
    store = IntakeStore(sessions_of(engine := open_engine(database)))
    try:
        kept = dict[bytes, SignedReceipt]()
        async for promises in store.promises(market.session):
            kept |= {one.booked.hash: one.receipt for one in promises}
    finally:
        await engine.dispose()
    if len({one.sequence for one in kept.values()}) != len(kept):
        raise CheckFailed("two receipts in the database have one sequence")
    lost = 0
    for one in (receipt["receipt"] for taken in given for receipt in taken.receipts):
        found = kept.get(bytes.fromhex(one["hash"][2:]))
        told = (int(one["sequence"]), bytes.fromhex(one["signature"][2:]))
        lost += found is None or (found.sequence, found.signature) != told
    return lost


# Bodies -------------------------------------------------------------------------------------------------


def body_of(order: SignedOrder) -> bytes:
    """The JSON that submits an order."""
    typed = wire.typed_order(order.schedule, 1, bytes(20))
    body = {"primary_type": typed["primaryType"], "message": typed["message"]}
    return json.dumps(body | {"signature": "0x" + order.signature.hex()}).encode()


def _batches(market: Market, given: Sequence[SignedOrder], size: int) -> list[bytes]:
    parts = [list(given[start : start + size]) for start in range(0, len(given), size)]
    return [wire.encode_batch(market.session.id, part) for part in parts]


def _flat(groups: Iterable[Sequence[SignedOrder]]) -> list[SignedOrder]:
    return [order for group in groups for order in group]


def _dealt(requests: Sequence[bytes], connections: int) -> list[list[bytes]]:
    return [list(requests[start::connections]) for start in range(connections)]
