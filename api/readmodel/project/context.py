"""What a projection of one event sees and may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from api.db.market_models import CashMovement, Fact
from api.readmodel.blocks import Head, Watched
from api.readmodel.rows import Model, Rows
from api.readmodel.telling import Telling
from settlement.chain.rpc import to_hex

BALANCING_PARTY, NETWORK_OPERATOR = "balancing_party", "network_operator"
CHALLENGE_BOND = "challenge_bond"


class RunKey(TypedDict):
    """A run of a zone's day."""

    zone: int
    day: int
    run: int


class Place(TypedDict, total=False):
    """What else a movement of cash belongs to."""

    epoch: int
    zone: int
    day: int
    subject: bytes


@dataclass(frozen=True)
class Context:
    """One event at its place in the chain."""

    rows: Rows
    block: Head
    telling: Telling
    index: int
    """Of its log, in the block."""

    @property
    def watched(self) -> Watched:
        return self.telling.watched

    def put(self, model: Model, **values: object) -> None:
        """Makes or changes a row, and says where that comes from."""
        place = {"block_number": self.block.number, "tx_hash": to_hex(self.telling.sent.hash)}
        self.rows.put(model, **{**place, **values})

    def fact(self, name: str) -> str | None:
        """A single value of the deployment."""
        found = self.rows.find(Fact, name)
        return None if found is None else str(found["value"])

    def set_fact(self, name: str, value: object) -> None:
        self.put(Fact, name=name, value=str(value))

    def pay(
        self,
        account: bytes | str | None,
        kind: str,
        amount_nano: int,
        *,
        pending: bool = False,
        epoch: int | None = None,
        zone: int | None = None,
        day: int | None = None,
        run: int | None = None,
        subject: bytes | None = None,
    ) -> None:
        """Notes that an account's cash changed; nothing of zero, or of an account that is not there."""
        if account is None or amount_nano == 0:
            return
        self.rows.add(
            CashMovement,
            block_number=self.block.number,
            tx_hash=to_hex(self.telling.sent.hash),
            log_index=self.index,
            account=to_hex(account) if isinstance(account, bytes) else account,
            kind=kind,
            amount_nano=amount_nano,
            pending=pending,
            epoch=epoch,
            zone=zone,
            day=day,
            run=run,
            subject=None if subject is None else to_hex(subject),
            time=self.block.time,
        )
