"""Everyone's agent at the API: each logs in with its own wallet, and believes what its client has checked.

Nothing goes around the API: sessions, orders, receipts, fills, bills and certificates travel over HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from types import TracebackType
from typing import Any, Self

from api.client import Client
from api.client.errors import OrderRefused
from api.client.trading import Accepted, draft_of, signed
from api.services.cast import Cast
from api.services.decisions import Decisions
from api.services.local_api import LocalApi
from settlement.chain.sign import Signer
from settlement.errors import CheckFailed
from settlement.reference.orders import Order, order_hash
from settlement.reference.schedule import SignedSchedule
from settlement.reports.facts import Incident, ToldFact

AT_ONCE = 8
"""Agents that ask at the same time."""


@dataclass(frozen=True)
class KeyScope:
    """What a session key may do."""

    max_wh_per_window: int
    max_spend_nano_per_day: int
    expires_at: int
    """Unix seconds."""


@dataclass
class Agent:
    """One wallet's."""

    name: str
    wallet: Signer
    client: Client
    key: Signer
    """Which signs its orders: the wallet, or a session key that the wallet let in."""
    trading: Client
    """Who brings them, logged in as that key."""
    accepted: list[Accepted] = field(default_factory=list)
    """With receipts that were checked."""
    filled: tuple[tuple[bytes, int], ...] = ()
    """Wh by order."""
    certified_wh: int = 0
    bills_nano: list[int] = field(default_factory=list)
    """Of the day, each time it was asked for."""

    @property
    def account(self) -> bytes:
        return self.wallet.address

    def trade(self, epoch: int, orders_of: Callable[[bytes], Sequence[Order]]) -> None:
        """Logs in, reads the session's terms, and brings what it wants to trade in one request. CheckFailed
        if an order of its own is refused.
        """
        client = self.trading
        client.log_in()
        terms = client.terms(epoch)
        wanted = [client.complete(draft_of(order)) for order in orders_of(terms.id)]
        own = [signed(self.key, client.core.service, order, trader=self.account) for order in wanted]
        for outcome in client.submit_all(own):
            if outcome.accepted is None:
                detail = "" if outcome.problem is None else outcome.problem.detail
                raise CheckFailed(f"an order of {self.name} is refused: {detail}")
            self.accepted.append(outcome.accepted)

    def grant(self, scope: KeyScope) -> bytes:
        """The transaction that lets its key in. CheckFailed if the Exchange refuses it."""
        member = self.client.me().member
        if member is None:
            raise CheckFailed(f"{self.name} is no member")
        sent = self.client.grant_key(
            self.key.address,
            member.zone,
            ["energy"],
            scope.max_wh_per_window,
            scope.max_spend_nano_per_day,
            scope.expires_at,
        )
        done = self.client.wait_for_relay(sent)
        if done.state != "mined":
            raise CheckFailed(f"the key of {self.name} is not granted: {done.error}")
        return done.tx_hash

    def read_fills(self, epoch: int) -> None:
        """What the clearing filled of its orders."""
        told = self.client.orders(self.account, epoch=epoch)
        self.filled = tuple((one.hash, sum(one.filled_wh or ())) for one in told)

    def read_bill(self, day: int) -> None:
        """What the day cost it so far, and which of its claims became certificates."""
        self.bills_nano.append(-self.client.bill(self.account, day).total_nano)
        certificates = [one for one in self.client.certificates(self.account) if one.day == day]
        self.certified_wh = sum(one.certified_wh for one in certificates)

    def told(self) -> ToldFact:
        first, *later = self.bills_nano
        final = later[-1] if later else None
        return ToldFact(self.account, len(self.accepted), self.filled, self.certified_wh, first, final)


class Agents:
    """Of one day."""

    def __init__(self, cast: Cast, api: LocalApi) -> None:
        self.cast, self.api, self._open = cast, api, ExitStack()
        keys = {cast.homes[0].address: cast.session_key}
        self.homes = [self._agent(home.name, home.wallet, keys.get(home.address)) for home in cast.homes]
        self.keyed = self.homes[0]
        """Its owner is not asked to sign each order."""
        self.supplier = self._agent("the supplier", cast.supplier)
        self.stranger = self._agent("a stranger", cast.network)

    def _agent(self, name: str, wallet: Signer, key: Signer | None = None) -> Agent:
        client = self._client(wallet)
        return Agent(name, wallet, client, key or wallet, self._client(key) if key else client)

    def _client(self, wallet: Signer) -> Client:
        return self._open.enter_context(Client(self.api.service, wallet, now=self.api.time))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def traders(self) -> list[Agent]:
        """Who trades, homes first."""
        return [*self.homes, self.supplier]

    def _all(self, do: Callable[[Agent, Any], None], each: Iterable[Any]) -> None:
        """Everyone at once, as they would."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(do, self.traders, each))

    def grant_key(self, scope: KeyScope, block: int) -> bytes:
        """The transaction that lets an agent's key in, after a block that has its owner as a member."""
        self.keyed.client.wait_for_block(block)
        return self.keyed.grant(scope)

    # The day --------------------------------------------------------------------------------------------

    def trade(self, decisions: Decisions, epoch: int, block: int) -> None:
        """Everyone trades in a session that the chain opened by a block."""
        self.supplier.client.wait_for_block(block)
        decided = decisions.homes()
        wanted = [partial(decisions.home, home, decided[home.address]) for home in self.cast.homes]
        self._all(lambda agent, orders_of: agent.trade(epoch, orders_of), [*wanted, decisions.supplier])

    def forge(self, decisions: Decisions, epoch: int) -> Incident:
        """A stranger brings an order in a home's name. CheckFailed if it is taken."""
        client, wallet = self.stranger.client, self.stranger.wallet
        order = decisions.in_another_s_name(client.terms(epoch).id)
        digest = order_hash(self.api.service.separator, order)
        try:
            client.submit_signed(SignedSchedule(order, wallet.sign_digest(digest)))
        except OrderRefused as refused:
            return Incident("order in another's name", f"refused by the API: {refused.detail}")
        raise CheckFailed("the API took an order that its trader did not sign")

    def read_fills(self, epoch: int, block: int) -> None:
        """Everyone asks for its fills, once the proof of a block was read."""
        self.supplier.client.wait_for_block(block)
        self._all(Agent.read_fills, repeat(epoch))

    def read_bills(self, day: int, block: int) -> None:
        """Everyone asks for its bill, as of a block."""
        self.supplier.client.wait_for_block(block)
        self._all(Agent.read_bill, repeat(day))

    def told(self) -> tuple[ToldFact, ...]:
        """What the API told everyone."""
        return tuple(agent.told() for agent in self.traders)
