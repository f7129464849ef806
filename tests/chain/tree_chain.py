"""Trees of zones on an embedded chain: members of every zone a tree may have, and days drawn from a seed."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

import reference_world as world
import tree_world

from settlement.audit.audit import audit
from settlement.audit.findings import Findings
from settlement.audit.node import Node
from settlement.chain import claims, deploy, operator, settler
from settlement.chain.anvil import Anvil
from settlement.chain.books import Session
from settlement.chain.chunks import Limits
from settlement.chain.client import AnvilClock, Chain
from settlement.chain.deploy import Deployment, Terms
from settlement.chain.errors import ContractRevert, UnacceptableOrder
from settlement.chain.exchange import Exchange, Token
from settlement.chain.operator import ClearedSession
from settlement.chain.settler import SettledDay, SignedPosting
from settlement.chain.sign import Signer
from settlement.reference import eip712, posting
from settlement.reference.accounts import OPERATOR, PROSUMER
from settlement.reference.orders import SignedOrder, encode, order_hash
from settlement.reference.posting import Entry, Posting
from settlement.reference.session import Grid

ORACLES = [Signer(key.secret) for key in sorted(world.ORACLES, key=world.address_of)]
RICH = 10**13


@dataclass
class TreeChain:
    """A deployed Exchange with members in every zone."""

    anvil: Anvil
    chain: Chain
    clock: AnvilClock
    deployment: Deployment
    exchange: Exchange
    token: Token
    admin: Signer
    operator: Signer
    node: Signer
    deposit: int = RICH

    @contextmanager
    def turned_back(self) -> Iterator[TreeChain]:
        """The chain, which afterwards is as it was."""
        snapshot = self.clock.snapshot()
        try:
            yield self
        finally:
            self.clock.revert(snapshot)

    def populate(self) -> None:
        everyone = tree_world.members(tree_world.MOST_ZONES)
        self.token.mint(self.admin, self.admin.address, RICH * len(everyone))
        self.token.approve(self.admin, self.exchange.address, RICH * len(everyone))
        for address, member in everyone.items():
            self.exchange.register(self.admin, address, member)
            if member.role != OPERATOR:
                self.exchange.send(self.admin, "deposit", address, RICH)
        for node in ORACLES:
            self.exchange.send(self.admin, "setOracle", node.address, True)
        self.exchange.send(self.admin, "setQuorum", 2)

    # A session ------------------------------------------------------------------------------------------

    def open_day(self, grid: Grid, windows: int = world.WINDOWS) -> None:
        version = self.exchange.set_grid(self.admin, grid)
        self.exchange.open_day(self.operator, world.DAY, windows, version)

    def open_session(self, **changes: int) -> Session:
        return operator.open_session(self.exchange, self.operator, world.make_params(**changes))

    def draw_book(self, dice: random.Random, session: Session, count: int) -> list[SignedOrder]:
        """Orders that a sealing operator takes."""
        told = tree_world.draw_orders(dice, session, count)
        return self.acceptable(session, [tree_world.sign(self.exchange.separator, one) for one in told])

    def acceptable(self, session: Session, given: Sequence[SignedOrder]) -> list[SignedOrder]:
        kept = {order_hash(self.exchange.separator, one.schedule): one for one in given}
        while True:
            try:
                operator.seal(self.exchange, session, list(kept.values()))
            except UnacceptableOrder as refusal:
                del kept[refusal.order_hash]
            else:
                return list(kept.values())

    def submit_some(self, session: Session, orders: Sequence[SignedOrder], most: int) -> list[SignedOrder]:
        """The book with some of its orders submitted on chain, as far as the chain takes them."""
        found: list[SignedOrder] = []
        for order in orders:
            flagged = replace(order, submitted=True)
            if most and self._submit(session, flagged):
                order, most = flagged, most - 1
            found.append(order)
        return found

    def _submit(self, session: Session, order: SignedOrder) -> bool:
        try:
            claims.submit(self.exchange, self.node, session, encode(order), order.schedule.zone)
        except ContractRevert:
            return False
        return True

    def clear(
        self, session: Session, orders: Sequence[SignedOrder], limits: Limits | None = None
    ) -> ClearedSession:
        self.clock.advance_to(session.params.gate)
        sealed = operator.seal(self.exchange, session, orders)
        return operator.run(self.exchange, self.operator, session, sealed, limits)

    # A day's end ----------------------------------------------------------------------------------------

    def settle(self, dice: random.Random, grid: Grid) -> SettledDay:
        self.clock.advance_to(world.DAY_END)
        return settler.run(self.exchange, self.node, *self.postings(dice, grid))

    def postings(self, dice: random.Random, grid: Grid) -> list[SignedPosting]:
        """One of each zone, in parts of one to three accounts."""
        return [self.posting_of(dice, zone, dice.randint(1, 3)) for zone in range(grid.zones)]

    def posting_of(self, dice: random.Random, zone: int, per_part: int) -> SignedPosting:
        known, windows = tree_world.members(tree_world.MOST_ZONES).items(), world.WINDOWS
        metered = sorted(a for a, m in known if m.role == PROSUMER and m.zone == zone)
        entries = [
            Entry(a, (0,) * windows, tuple(dice.randrange(-3000, 3000) for _ in range(windows)))
            for a in metered
        ]
        cuts = range(0, len(entries), per_part)
        parts = tuple(posting.pack_part(entries[at : at + per_part]) for at in cuts)
        hashes = tuple(map(posting.part_hash, parts))
        low = tuple(dice.randrange(-200_000, 100_000) for _ in range(windows))
        high = tuple(price + dice.randrange(0, 300_000) for price in low)
        message = Posting(zone, world.DAY, windows, 1, len(entries), bytes(32), low, high, hashes)
        digest = eip712.digest(self.exchange.separator, posting.struct_hash(message))
        return SignedPosting(message, parts, tuple(one.sign_digest(digest) for one in ORACLES[:2]))

    def audited(self) -> Findings:
        return audit([Node(self.anvil.rpc_url)], self.exchange.address)


@contextmanager
def running_tree_chain() -> Iterator[TreeChain]:
    """Everyone registered and rich; the chain is gone afterwards."""
    with Anvil(timestamp=world.OPENING - 600) as anvil:
        chain = Chain(anvil.rpc_url)
        admin, market, node = (Signer(secret) for secret in anvil.private_keys[:3])
        found = deploy.deploy(chain, admin, Terms(window_length=world.WINDOW_LENGTH))
        grants = {
            deploy.REGISTRAR: [admin.address],
            deploy.MINTER: [admin.address],
            deploy.OPERATOR: [market.address],
            deploy.ORACLE: [market.address, node.address],
        }
        for role, accounts in grants.items():
            deploy.grant(chain, admin, found, role, accounts)
        exchange, token = Exchange(chain, found), Token(chain, found)
        trees = TreeChain(anvil, chain, AnvilClock(chain), found, exchange, token, admin, market, node)
        trees.populate()
        yield trees
