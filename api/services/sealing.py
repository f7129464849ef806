"""The API's accepted orders, as the operator needs them: sealed at the gate."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from api.db.engine import open_engine, sessions_of
from api.db.migrate import upgrade
from api.intake.store import IntakeStore
from settlement.chain.books import Named, Session
from settlement.reference.orders import SignedOrder


class StoredOrders:
    """The intake's tables in a database that the API writes to; a context manager."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        self._engine = open_engine(self._url)
        self._store = IntakeStore(sessions_of(self._engine))
        self._runner.run(upgrade(self._engine))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._engine.dispose())
        self._runner.close()

    def seal(self, session: Session, at: int, submitted: Iterable[Named]) -> list[SignedOrder]:
        """Takes no more, for ever; the orders that have a receipt and are in, the same every time."""
        return self._runner.run(self._store.seal(session, at, submitted))
