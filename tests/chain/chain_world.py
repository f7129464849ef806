"""A small community on an embedded chain, and the reference model of the same Exchange beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

import chain_place
from settling_world import Settler

from settlement.chain import abi, closer, deploy, events, operator, settler
from settlement.chain.books import SealedBook, Session
from settlement.chain.client import Chain
from settlement.chain.deploy import Deployment, Terms
from settlement.chain.exchange import Exchange, Token
from settlement.chain.held import day_of
from settlement.chain.prepared import Prepared
from settlement.chain.progress import Progress
from settlement.chain.settler import SignedPosting
from settlement.chain.sign import Signer, sign_schedule
from settlement.chain.steps import Step
from settlement.chain.traded import round_prices
from settlement.reference import eip712, packed_windows, posting, product_id, schedule
from settlement.reference import exchange as model
from settlement.reference.accounts import (
    BALANCING_PARTY,
    NETWORK_OPERATOR,
    OPERATOR,
    PROSUMER,
    Member,
    paid_on_delivery,
)
from settlement.reference.clearing import Carry
from settlement.reference.exchange import events as told
from settlement.reference.orders import Order, encode_all, signed_hash
from settlement.reference.posting import Entry, Posting
from settlement.reference.prices import RoundPrices
from settlement.reference.product_id import CERTIFICATE, ProductId
from settlement.reference.schedule import Schedule, SignedSchedule
from settlement.reference.session import SessionParams, single_zone
from settlement.reference.settlement import RunCarry

WINDOW_LENGTH = 1800
DAY = chain_place.day_of_the_world(960_014, WINDOW_LENGTH)
"""Its windows reach over the end of a slot, of a home's 16 lanes as of a wide account's 8."""
WINDOWS = 4
QUALITIES = (0, 5, 8, 15)
GRID = single_zone(QUALITIES, [(3, 2), (3, 1), (2, 0), (1, 0)])

OPENING = DAY * WINDOW_LENGTH - 86_400
GATE, COMMIT_BY, PROVE_BY = OPENING + 3_600, OPENING + 3_900, OPENING + 7_200
CLAIM_BY = PROVE_BY + 5 * 86_400
DAY_END = (DAY + WINDOWS) * WINDOW_LENGTH
RICH = 10**13


def key(number: int) -> Signer:
    """A key for tests, the same every time."""
    return Signer((0xACC0_0000 + number).to_bytes(32, "big"))


SUPPLIER, NETWORK = key(1), key(2)
PROSUMERS = [key(10 + number) for number in range(4)]
ORACLES = sorted((key(100 + number) for number in range(3)), key=lambda signer: signer.address)
OUTSIDER, STRANGER = key(20), key(200)
SIGNERS = {signer.address: signer for signer in (SUPPLIER, NETWORK, *PROSUMERS, OUTSIDER, STRANGER)}

MEMBERS = {
    SUPPLIER.address: Member(BALANCING_PARTY, 0, 15, 2**30 - 1, wide=True),
    NETWORK.address: Member(NETWORK_OPERATOR),
    PROSUMERS[0].address: Member(PROSUMER, 0, 15, 20_000),
    PROSUMERS[1].address: Member(PROSUMER, 0, 5, 8_000),
    PROSUMERS[2].address: Member(PROSUMER, 0, 0, 5_000),
    PROSUMERS[3].address: Member(PROSUMER, 0, 13, 100_000, wide=True),
    OUTSIDER.address: Member(PROSUMER, 1, 15, 20_000),  # of another zone
}
TRADERS = [SUPPLIER.address, OUTSIDER.address, *(signer.address for signer in PROSUMERS)]


def make_params(**changes: Any) -> SessionParams:
    """A session over the whole day."""
    base = SessionParams(
        kind=0,
        round=0,
        windows=WINDOWS,
        grid_version=1,
        day=DAY,
        first_window=DAY,
        gate=GATE,
        commit_by=COMMIT_BY,
        prove_by=PROVE_BY,
        floor=-2_000_000,
        cap=6_000_000,
        buy_reserve=100_000,
        sell_reserve=300_000,
        imbalance_min=-500_000,
        imbalance_max=900_000,
        max_orders=1000,
        max_submitted=10,
        bond_nano=0,
        claim_by=CLAIM_BY,
        receipt_signer=bytes(20),
        certificate_run=0,
    )
    return replace(base, **changes)


def make_schedule(session: Session, trader: bytes, **changes: Any) -> Schedule:
    base = Schedule(
        trader=trader,
        session=session.id,
        zone=0,
        side=schedule.BUY,
        kind=0,
        quality=0,
        first_window=session.params.first_window,
        nonce=1,
        quantity_wh=(1000,),
        limit_micro_per_kwh=(200_000,),
    )
    return replace(base, **changes)


@dataclass
class World:
    """A deployed Exchange with its members, and the model in lockstep."""

    anvil: Any
    """The embedded chain; on a network, its first node."""
    chain: Chain
    clock: Any
    deployment: Deployment
    exchange: Exchange
    token: Token
    model: model.Exchange
    admin: Signer
    operator: Signer
    node: Signer
    gas: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def sign(self, order: Schedule) -> SignedSchedule:
        return sign_schedule(SIGNERS[order.trader], self.exchange.separator, order)

    def hash_of(self, order: SignedSchedule) -> bytes:
        return signed_hash(self.exchange.separator, order)[0]

    def now(self) -> int:
        return self.chain.now()

    @contextmanager
    def turned_back(self) -> Iterator[World]:
        """The world, which afterwards is as it was: chain, model and notes."""
        snapshot, state, orders = self.clock.snapshot(), self.model.state.copy(), dict(self.orders)
        try:
            yield self
        finally:
            self.clock.revert(snapshot)
            self.model.state, self.orders = state, orders

    # Set-up ---------------------------------------------------------------------------------------------

    def populate(self) -> None:
        """Members, cash, oracles, a grid and a day, on the chain and in the model."""
        everyone = {**MEMBERS, self.operator.address: Member(OPERATOR)}
        self.token.mint(self.admin, self.admin.address, RICH * len(TRADERS))
        self.token.approve(self.admin, self.exchange.address, RICH * len(TRADERS))
        for address, member in everyone.items():
            self.exchange.register(self.admin, address, member)
            self.model.register(self.now(), address, member)
        for address in TRADERS:
            self.deposit(address, RICH)
        for node in ORACLES:
            self.exchange.send(self.admin, "setOracle", node.address, True)
        self.exchange.send(self.admin, "setQuorum", 2)
        version = self.exchange.set_grid(self.admin, GRID)
        assert version == self.model.add_grid(GRID)
        self.exchange.open_day(self.operator, DAY, WINDOWS, version)
        self.model.open_day(DAY, WINDOWS, version)

    def deposit(self, address: bytes, amount: int) -> None:
        self.exchange.send(self.admin, "deposit", address, amount)
        self.model.deposit(self.now(), address, amount)

    # A session ------------------------------------------------------------------------------------------

    def open_session(self, **changes: Any) -> Session:
        params = make_params(**changes)
        session = operator.open_session(self.exchange, self.operator, params)
        assert self.model.open_session(self.now(), params, self.operator.address) == session.id
        return session

    def commit(self, session: Session, orders: Sequence[SignedSchedule]) -> tuple[SealedBook, Prepared]:
        """Up to the commitment, and what is posted after it."""
        sealed = operator.seal(self.exchange, session, orders)
        self.clock.advance_to(session.params.gate)
        for step in operator.commit(self.exchange, self.operator, session, sealed):
            self.note(step)
        books = sealed.commitments
        counts, roots = [one.count for one in books], [one.root for one in books]
        self.model.commit_books(self.now(), session.id, counts, roots)
        return sealed, operator.prepare(self.exchange, session, sealed)

    def clear(self, session: Session, orders: Sequence[SignedSchedule], chunk: int = 100) -> Prepared:
        """A whole session, in chunks of so many orders."""
        _, prepared = self.commit(session, orders)
        self.note(operator.post_header(self.exchange, self.operator, prepared))
        self.model.post_header(self.now(), session.id, prepared.header)
        at, carry = Progress(), None
        for first in range(0, len(prepared.sealed.orders), chunk):
            part = range(first, min(first + chunk, len(prepared.sealed.orders)))
            at, carry = self.clear_chunk(prepared, at, part)
        self.note(closer.close(self.exchange, self.operator, prepared, at))
        args = (session.id, 0, prepared.header, prepared.root.posting, carry, (), prepared.flows)
        self.model.close_zone(self.now(), *args)
        return prepared

    def clear_chunk(self, prepared: Prepared, at: Progress, part: range) -> tuple[Progress, Carry]:
        before = at.carry
        at, step = operator.clear_next(self.exchange, self.operator, prepared, at, part)
        self.note(step)
        records = encode_all(prepared.sealed.orders[part.start : part.stop])
        posted = (prepared.session.id, 0, prepared.header, prepared.root.posting)
        carry = self.model.clear(self.now(), *posted, before, records)
        assert carry == at.carry
        return at, carry

    # A day's end ----------------------------------------------------------------------------------------

    def sign_posting(self, entries: Sequence[Entry], per_part: int = 2, **changes: Any) -> SignedPosting:
        """A posting by two of the three nodes."""
        ordered = sorted(entries, key=lambda entry: entry.account)
        cuts = range(0, len(ordered), per_part)
        parts = tuple(posting.pack_part(ordered[at : at + per_part]) for at in cuts)
        message = Posting(
            zone=0,
            first_window=DAY,
            windows=WINDOWS,
            sequence=1,
            accounts=len(entries),
            commitments=bytes(31) + b"\x07",
            surplus=(20_000, -10_000, 0, 50_000),
            deficit=(400_000, 350_000, 300_000, 50_000),
            parts=tuple(posting.part_hash(part) for part in parts),
        )
        return self.sign_message(replace(message, **changes), parts)

    def sign_message(self, message: Posting, parts: tuple[bytes, ...], nodes: int = 2) -> SignedPosting:
        digest = eip712.digest(self.exchange.separator, posting.struct_hash(message))
        signatures = tuple(node.sign_digest(digest) for node in ORACLES[:nodes])
        return SignedPosting(message, parts, signatures)

    def settle(self, signed: SignedPosting, corrected: SignedPosting | None = None) -> None:
        """Posts, settles and certifies; `corrected` replaces the posting after its first part."""
        self.clock.advance_to(DAY_END)
        twin, settled = Settler(self.model, self.now(), DAY, {0: self.prices(signed.posting)}), 0
        if corrected is not None:
            self._settle_first_part(signed, twin)
            signed, settled = corrected, 1
        for step in settler.run(self.exchange, self.node, signed).steps:
            self.note(step)
        twin.now = self.now()
        self.model.post_metering(twin.now, signed.posting, signed.signatures)
        for part in signed.parts[settled:]:
            twin.settle(0, part)
        twin.certify_all()

    def _settle_first_part(self, signed: SignedPosting, twin: Settler) -> None:
        settler.post(self.exchange, self.node, signed)
        self.model.post_metering(self.now(), signed.posting, signed.signatures)
        self.exchange.send_data(self.node, self.settle_data(signed, 0, None))
        twin.settle(0, signed.parts[0])

    def prices(self, message: Posting) -> tuple[RoundPrices, ...]:
        """What the day's proved rounds posted."""
        rounds = day_of(self.exchange, message).rounds
        return tuple(one.prices for one in rounds if one.prices is not None)

    def settle_data(self, signed: SignedPosting, part: int, carry: RunCarry | None) -> bytes:
        """Calldata that settles a part, with all prices."""
        message, entries = abi.posting_tuple(signed.posting), signed.parts[part]
        brought = abi.run_carry_tuple(carry), abi.prices_array(self.prices(signed.posting))
        return abi.settle(message, entries, *brought)

    def note(self, step: Step) -> None:
        self.gas.setdefault(step.name, []).append((step.gas_used, step.count))

    # Comparison -----------------------------------------------------------------------------------------

    def assert_same(self) -> None:
        """Cash, products, debts, vault and events are the model's, bit for bit, and nothing leaked."""
        now, members = self.now(), list(self.model.state.members)
        found = self.exchange.accounts(members)
        for address in members:
            assert found[address].cash == self.model.cash(now, address), address.hex()
            assert found[address].member == self.model.member(address), address.hex()
        assert self.exchange.view("totalNegative") == (self.model.state.total_negative,)
        assert self.token.balance(self.exchange.address) == self.model.state.vault
        self._assert_same_keys(now)
        self._assert_same_products(now)
        assert self.chain_events() == self.model_events()
        self._assert_conserved(now)

    def _assert_same_keys(self, now: int) -> None:
        places = list(self.model.state.keys)
        found = self.exchange.session_keys(places)
        assert found.keys == self.model.state.keys
        assert found.uses == {place: self.model.key_use(now, *place) for place in places}

    def _assert_same_products(self, now: int) -> None:
        slots = list(self.model.state.lanes)
        for slot, (word,) in zip(slots, self.exchange.views("lanesOf", slots), strict=True):
            assert word == self.model.state.lanes[slot], slot
        ids = [
            (address, product_id.encode(product))
            for address in TRADERS
            for product in all_products()
            if slot_of(address, product) in self.model.state.lanes
        ]
        balances = self.exchange.views("balanceOf", ids)
        for (address, id_), (balance,) in zip(ids, balances, strict=True):
            assert balance == self.model.balance(now, address, id_), (address.hex(), hex(id_))

    def _assert_conserved(self, now: int) -> None:
        """Every nano in the vault is somebody's, free or reserved, or in a bond."""
        cash = [self.model.cash(now, address) for address in self.model.state.members]
        held = sum(one.free + one.reserved for one in cash)
        held += sum(bond.locked_nano for bond in self.model.state.bonds.values())
        assert held + self._kept() == self.model.state.vault

    def _kept(self) -> int:
        """What filled energy of proved and unsettled sessions keeps reserved, and what those of its sales
        are worth that are paid on delivery.
        """
        cleared = (one for one in self.model.events if isinstance(one, told.ScheduleCleared))
        return sum(self._kept_of(one) for one in cleared if self._is_open(one.session))

    def _is_open(self, session: bytes) -> bool:
        proved = self.model.session(session).stage is model.Stage.PROVED
        return proved and DAY not in self.model.state.runs

    def _kept_of(self, event: told.ScheduleCleared) -> int:
        order, record = self.orders[event.order], self.model.session(event.session)
        params, filled = record.params, sum(event.filled_wh)
        if order.side == schedule.BUY:
            return filled * params.buy_reserve
        if not paid_on_delivery(self.model.member(order.trader), order):
            return filled * params.sell_reserve
        prices, dense = round_prices(self.exchange, record.epoch, 0), QUALITIES.index(order.quality)
        fills = enumerate(event.filled_wh, start=order.first_window - params.first_window)
        return filled * params.delivery_reserve + sum(wh * prices.price(dense, at) for at, wh in fills)

    orders: dict[bytes, Order] = field(default_factory=dict)
    """What was signed, to know what its fills keep."""

    def chain_events(self) -> list[tuple[Any, ...]]:
        found = events.events_of(self.exchange)
        told_ = (shown(event, getattr(event, "epoch", 0)) for event in found)
        return [one for one in told_ if one is not None]

    def model_events(self) -> list[tuple[Any, ...]]:
        sessions = self.model.state.sessions
        epochs = {id_: record.epoch for id_, record in sessions.items()}
        told_ = (shown(event, epochs.get(getattr(event, "session", b""), 0)) for event in self.model.events)
        return [one for one in told_ if one is not None]


def all_products() -> Iterator[ProductId]:
    for window in range(DAY, DAY + WINDOWS):
        for code in QUALITIES:
            for round_ in range(2):
                for kind, side in ((0, 0), (0, 1), (CERTIFICATE, 0)):
                    yield ProductId(window, WINDOW_LENGTH, 0, code, kind, round_, side)


def slot_of(address: bytes, product: ProductId) -> tuple[bytes, int]:
    return address, product_id.group_key(product, MEMBERS[address].lanes.count)


# Events as plain tuples ---------------------------------------------------------------------------------


def shown(event: Any, epoch: int) -> tuple[Any, ...] | None:
    """What both kinds of event tell, the chain's and the model's, by name; None for those only one has."""
    name = type(event).__name__.replace("Transferred", "Transfer")
    names = _SHOWN.get(name)
    if name == "ScheduleCleared":
        epoch = 0  # its order is of one session
    return None if names is None else (name, epoch, *(_value(event, one) for one in names))


_SHOWN = {
    "Deposited": ("account", "amount_nano"),
    "SessionOpened": ("params",),
    "BookCommitted": ("zone", "count", "root"),
    "HeaderPosted": ("hash",),
    "ScheduleCleared": ("order", "trader", "net_nano", "fills"),
    "ScheduleIneligible": ("order", "trader", "reason"),
    "SessionProved": (),
    "MeteringPosted": ("zone", "day", "sequence"),
    "AccountSettled": ("account", "imbalance_wh", "cash_nano", "released_nano"),
    "RunSettled": ("zone", "day", "imbalance_wh", "cash_nano", "released_nano"),
    "DeliveryDonated": ("beneficiary", "account", "nano"),
    "AccountDelivered": ("account", "imbalance_wh", "cash_nano", "released_nano"),
    "AccountCertified": ("zone", "day", "account", "certified_wh"),
    "PartCertified": ("zone", "day", "imbalance_wh", "cash_nano", "statement"),
    "RunCertified": ("zone", "day", "rest_nano"),
    "MemberChanged": ("account", "member"),
    "WithdrawalRequested": ("account", "amount_nano"),
    "Withdrawn": ("account", "amount_nano"),
    "Accepted": ("to", "sender", "id", "amount_wh"),
    "Transfer": ("sender", "receiver", "id", "amount_wh"),
    "BondLocked": ("operator", "amount_nano"),
    "OrderSubmitted": ("zone", "order", "record"),
    "SubmissionReplaced": ("order",),
    "ClaimOpened": ("order", "trader", "kind"),
    "ClaimDefeated": ("order",),
    "ClaimPaid": ("order", "trader", "amount_nano"),
    "BondReleased": ("operator", "amount_nano"),
}

_MODEL_NAMES = {"hash": "header_hash", "released_nano": "returned_nano", "receiver": "to"}


def _value(event: Any, name: str) -> Any:
    if name == "fills":
        return tuple(wh for wh in _fills(event) if wh)
    other = _MODEL_NAMES.get(name, name)
    value = getattr(event, other if hasattr(event, other) else name)
    return sum(value) if name == "imbalance_wh" and isinstance(value, tuple) else value


def _fills(event: Any) -> tuple[int, ...]:
    """By entry in the model, by lane on the chain."""
    if isinstance(event, told.ScheduleCleared):
        return event.filled_wh
    lanes = MEMBERS[event.trader].lanes
    return tuple(packed_windows.get(word, lane, lanes) for word in event.lanes for lane in range(lanes.count))


# Starting -----------------------------------------------------------------------------------------------


@contextmanager
def running_world(hardfork: str = "london") -> Iterator[World]:
    """Everyone registered, rich, and a day open; the chain is gone afterwards."""
    with chain_place.running_chain(
        OPENING - 600, hardfork, [*SIGNERS, *(o.address for o in ORACLES)]
    ) as site:
        chain = site.chain
        admin, market, node = (Signer(secret) for secret in site.node.private_keys[:3])
        found = deploy.deploy(chain, admin, Terms(window_length=WINDOW_LENGTH))
        grants = {
            deploy.REGISTRAR: [admin.address],
            deploy.MINTER: [admin.address],
            deploy.GUARDIAN: [admin.address],
            deploy.OPERATOR: [market.address],
            deploy.ORACLE: [market.address, node.address],
        }
        for role, accounts in grants.items():
            deploy.grant(chain, admin, found, role, accounts)
        oracles = frozenset(one.address for one in ORACLES)
        place = (chain.chain_id, found.exchange, WINDOW_LENGTH)
        twin = model.Exchange(*place, oracles, quorum=2, max_pause=deploy.MAX_PAUSE_S)
        exchange, token = Exchange(chain, found), Token(chain, found)
        parts = (found, exchange, token, twin, admin, market, node)
        world = World(site.node, chain, site.clock, *parts)
        world.populate()
        yield world


def remember(world: World, orders: Sequence[SignedSchedule]) -> None:
    """Keeps the orders of a book, to know what their fills keep reserved."""
    world.orders |= {world.hash_of(order): order.schedule for order in orders}


def settle_entries(metered: dict[bytes, Sequence[int]]) -> list[Entry]:
    """Actual readings of some accounts."""
    return [Entry(account, (0,) * len(values), tuple(values)) for account, values in metered.items()]
