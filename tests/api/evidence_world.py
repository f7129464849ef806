"""A day with receipts, its read model, and bundles of its orders as an auditor and a member get them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import index_world  # noqa: F401  (puts tests/chain on the path)
from api_client import running_api
from api_world import AUDITOR
from chain_world import PROSUMERS, SIGNERS, World, key, running_world, settle_entries
from index_world import indexed
from test_day import small_book

from api.db.engine import Sessions
from api.db.intake_models import AcceptedOrder
from settlement.chain import deploy
from settlement.chain.receipts import sign_receipt
from settlement.chain.rpc import to_hex
from settlement.reference import orders
from settlement.reference.orders import SignedOrder
from settlement.reference.receipts import Receipt

RECEIPT_SIGNER = key(300)
PRODUCED = ((2900, 2300, 0, 700), (1100, 900, 1300, -5), (-2600,) * 4, (-700, 9000, 9000, 0))


@dataclass
class Evidenced:
    """A world, its database, and the orders of its one session."""

    world: World
    database: str
    folder: Path
    orders: list[SignedOrder]
    left_out: SignedOrder
    """Has a receipt and is not in the book."""

    def hash(self, order: SignedOrder) -> str:
        return to_hex(orders.order_hash(self.world.exchange.separator, order.schedule))

    def of(self, account: bytes, side: int | None = None) -> list[SignedOrder]:
        """The account's orders."""
        mine = [one for one in self.orders if one.schedule.trader == account]
        return [one for one in mine if side is None or one.schedule.side == side]

    def bundle(self, order: SignedOrder, whole: bool = True, **changes: Any) -> dict[str, Any]:
        """What the API answers an auditor, or its trader."""
        return asyncio.run(self._bundle(order, whole, changes))

    async def _bundle(self, order: SignedOrder, whole: bool, changes: dict[str, Any]) -> dict[str, Any]:
        trader = order.schedule.trader
        path = f"/v1/accounts/{to_hex(trader)}/orders/{self.hash(order)}/evidence"
        settings = {"database_url": self.database, **changes}
        async with running_api(self.world, self.folder, **settings) as api:  # type: ignore[arg-type]
            headers = await api.as_(AUDITOR if whole else SIGNERS[trader])
            answer = await api.http.get(path, headers=headers)
            assert answer.status_code == 200, answer.text
            return dict(json.loads(answer.text))


@contextmanager
def evidenced(folder: Path) -> Iterator[Evidenced]:
    """A day traded, settled and certified; one order with a receipt was left out of its book."""
    with running_world() as world:
        deploy.grant(world.chain, world.admin, world.deployment, deploy.AUDITOR, [AUDITOR.address])
        session = world.open_session(receipt_signer=RECEIPT_SIGNER.address)
        book = small_book(world, session)
        left_out, book = book[3], [*book[:3], *book[4:]]
        world.clear(session, book, chunk=4)
        metered = dict(zip((one.address for one in PROSUMERS), PRODUCED, strict=True))
        world.settle(world.sign_posting(settle_entries(metered), per_part=3))
        found = Evidenced(world, f"sqlite+aiosqlite:///{folder / 'day.db'}", folder, book, left_out)
        asyncio.run(_read(found, session.id))
        yield found


async def _read(found: Evidenced, session: bytes) -> None:
    async with indexed(found.world, found.database) as index:
        await index.catch_up()
        await keep_receipts(index.store.sessions, found, session)


async def keep_receipts(sessions: Sessions, found: Evidenced, session: bytes) -> None:
    """As the intake keeps them."""
    separator = found.world.exchange.separator
    async with sessions.begin() as db:
        for sequence, order in enumerate([*found.orders, found.left_out]):
            one = order.schedule
            hash_ = orders.order_hash(separator, one)
            receipt = sign_receipt(RECEIPT_SIGNER, separator, Receipt(session, hash_, sequence))
            trader = to_hex(one.trader)
            row = AcceptedOrder(
                hash=to_hex(hash_),
                session=to_hex(session),
                epoch=1,
                trader=trader,
                signer=trader,
                zone=0,
                side=one.side,
                quality=one.quality,
                kind=one.kind,
                record=orders.encode(order),
                sequence=sequence,
                receipt=receipt.signature,
                state="taken",
                brought_by=trader,
                accepted_at=0,
            )
            db.add(row)
