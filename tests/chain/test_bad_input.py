"""What the contract must refuse: each case is a custom error by name, and leaves the storage as it was.

Nothing is estimated: every refused transaction is mined, so that its effect could be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
from chain_world import (
    DAY,
    DAY_END,
    GATE,
    PROSUMERS,
    RICH,
    STRANGER,
    SUPPLIER,
    World,
    make_schedule,
    remember,
    settle_entries,
)

from settlement.chain import abi, books, operator, settler
from settlement.chain.books import Prepared, SealedBook, Session
from settlement.chain.client import MOST_GAS
from settlement.chain.errors import ContractRevert, UnacceptableOrder
from settlement.chain.events import ScheduleIneligible, events_of
from settlement.chain.rpc import to_hex
from settlement.chain.sign import Signer, sign_schedule
from settlement.reference import eip712, schedule
from settlement.reference.accounts import UNCOVERED
from settlement.reference.clearing import Carry, Commitment
from settlement.reference.schedule import BUY, SELL, Schedule, SignedSchedule

BUYER, SELLER = PROSUMERS[2], PROSUMERS[0]


@pytest.fixture
def turned_back(world: World) -> Iterator[World]:
    """The world, as it was again after the test."""
    with world.turned_back():
        yield world


def storage(world: World) -> str:
    """A hash of everything the Exchange stores."""
    proof = world.chain.rpc("eth_getProof", to_hex(world.exchange.address), [], "latest")
    return str(proof["storageHash"])


def refused(world: World, signer: Signer, data: bytes) -> ContractRevert:
    """The error of a transaction that must fail and change nothing."""
    before = storage(world), world.token.balance(world.exchange.address)
    with pytest.raises(ContractRevert) as caught:
        world.exchange.send_data(signer, data, gas=MOST_GAS)
    assert (storage(world), world.token.balance(world.exchange.address)) == before
    return caught.value


# One trade a window: a price from 100,000 to 200,000 is optimal, 150,000 is the rule's --------------------


def buy(session: Session, **changes: object) -> Schedule:
    fixed = {"quantity_wh": (1000,) * 4, "limit_micro_per_kwh": (200_000,) * 4, "nonce": 7}
    return make_schedule(session, BUYER.address, **(fixed | changes))


def sell(session: Session, **changes: object) -> Schedule:
    fixed = {"quantity_wh": (1000,) * 4, "limit_micro_per_kwh": (100_000,) * 4, "side": SELL, "nonce": 8}
    return make_schedule(session, SELLER.address, **(fixed | changes))


def honest(world: World, extra: Sequence[SignedSchedule] = ()) -> Prepared:
    """A committed book of one buyer and one seller, and `extra`."""
    session = world.open_session()
    orders = [world.sign(buy(session)), world.sign(sell(session)), *extra]
    remember(world, orders)
    return world.commit(session, orders)[1]


def order_hash(world: World, order: Schedule) -> bytes:
    return schedule.order_hash(world.exchange.separator, order)


def clear_data(prepared: Prepared, records: bytes, carry: Carry | None = None) -> bytes:
    posted = abi.posted_tuple(prepared.header, prepared.posting)
    return abi.clear(prepared.session.epoch, 0, posted, abi.carry_tuple(carry), records)


def try_records(world: World, prepared: Prepared, records: bytes) -> ContractRevert:
    operator.post_header(world.exchange, world.operator, prepared)
    return refused(world, world.operator, clear_data(prepared, records))


def try_order(world: World, build: Callable[[Session], SignedSchedule]) -> tuple[ContractRevert, bytes]:
    """A single order's refusal, and its hash."""
    prepared = honest(world)
    order = build(prepared.session)
    error = try_records(world, prepared, schedule.encode(order))
    return error, order_hash(world, order.schedule)


# Orders -------------------------------------------------------------------------------------------------


def test_an_order_signed_with_another_key_is_refused(turned_back: World) -> None:
    world = turned_back
    error, _ = try_order(
        world, lambda session: sign_schedule(STRANGER, world.exchange.separator, buy(session))
    )
    assert (error.name, error.arguments) == ("BadSignature", (STRANGER.address, BUYER.address))


def test_a_signature_of_another_schedule_is_refused(turned_back: World) -> None:
    world = turned_back

    def reused(session: Session) -> SignedSchedule:
        return SignedSchedule(buy(session, nonce=99), world.sign(buy(session)).signature)

    error, _ = try_order(world, reused)
    assert error.name == "BadSignature"
    assert error.arguments[1] == BUYER.address


def test_a_signature_with_high_s_is_refused(turned_back: World) -> None:
    world = turned_back

    def malleated(session: Session) -> SignedSchedule:
        order = world.sign(buy(session))
        r, s, v = order.signature[:32], order.signature[32:64], order.signature[64]
        high = eip712.CURVE_ORDER - int.from_bytes(s, "big")
        return SignedSchedule(order.schedule, r + high.to_bytes(32, "big") + bytes([55 - v]))

    error, _ = try_order(world, malleated)
    assert (error.name, error.arguments) == ("BadSignature", (bytes(20), BUYER.address))


def test_an_order_for_another_session_chain_or_contract_is_refused(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    operator.post_header(world.exchange, world.operator, prepared)
    order, session = buy(prepared.session), prepared.session
    chain_id, contract = world.chain.chain_id, world.exchange.address
    signatures = [
        sign_schedule(BUYER, world.exchange.separator, replace(order, session=b"\x01" * 32)),
        sign_schedule(BUYER, eip712.domain_separator(chain_id + 1, contract), order),
        sign_schedule(BUYER, eip712.domain_separator(chain_id, bytes(20)), order),
    ]
    for foreign in signatures:
        record = schedule.encode(foreign)
        error = refused(world, world.operator, clear_data(prepared, record))
        assert error.name == "BadSignature"
    with pytest.raises(UnacceptableOrder, match="another session"):
        operator.seal(world.exchange, session, [signatures[0]])


@pytest.mark.parametrize("limit", [-2_000_001, 6_000_001])
def test_a_limit_out_of_range_is_refused(turned_back: World, limit: int) -> None:
    world = turned_back
    error, hash_ = try_order(
        world, lambda session: world.sign(buy(session, limit_micro_per_kwh=(200_000, limit, 0, 0)))
    )
    assert (error.name, error.arguments) == ("LimitOutOfRange", (hash_,))


def test_a_quantity_that_no_lane_holds_is_refused(turned_back: World) -> None:
    world = turned_back
    error, hash_ = try_order(world, lambda s: world.sign(buy(s, quantity_wh=(0, 65_536, 0, 0))))
    assert (error.name, error.arguments) == ("QuantityOverflow", (hash_,))


def test_orders_that_overflow_a_lane_together_are_not_sealed(turned_back: World) -> None:
    world = turned_back
    session = world.open_session()
    orders = [world.sign(buy(session, nonce=n, quantity_wh=(40_000,) * 4)) for n in range(2)]
    with pytest.raises(UnacceptableOrder, match="with its trader's others"):
        operator.seal(world.exchange, session, orders)


@pytest.mark.parametrize("first", [-1, 1])
def test_an_order_beyond_its_sessions_windows_is_refused(turned_back: World, first: int) -> None:
    world = turned_back
    error, hash_ = try_order(world, lambda s: world.sign(buy(s, first_window=DAY + first)))
    assert (error.name, error.arguments) == ("WindowOutOfSession", (hash_,))


def test_an_order_of_a_quality_that_the_grid_lacks_is_refused(turned_back: World) -> None:
    world = turned_back
    error, _ = try_order(world, lambda s: world.sign(buy(s, quality=3)))
    assert (error.name, error.arguments) == ("UnknownQuality", (3,))


def test_an_order_that_earns_for_another_is_refused(turned_back: World) -> None:
    world = turned_back
    error, hash_ = try_order(world, lambda s: world.sign(sell(s, beneficiary=BUYER.address)))
    assert (error.name, error.arguments) == ("BeneficiaryUnavailable", (hash_,))


def test_an_unregistered_trader_is_refused(turned_back: World) -> None:
    world = turned_back
    error, _ = try_order(world, lambda s: world.sign(make_schedule(s, STRANGER.address)))
    assert (error.name, error.arguments) == ("UnregisteredTrader", (STRANGER.address,))


def test_the_operator_may_not_trade(turned_back: World) -> None:
    world = turned_back
    error, _ = try_order(
        world,
        lambda session: sign_schedule(
            world.operator,
            world.exchange.separator,
            make_schedule(session, world.operator.address),
        ),
    )
    assert (error.name, error.arguments) == ("OperatorMayNotTrade", (world.operator.address,))


def test_duplicate_and_unsorted_orders_are_refused(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    operator.post_header(world.exchange, world.operator, prepared)
    first, second = map(schedule.encode, prepared.sealed.orders)
    for records, previous, given in ((first + first, 0, 0), (second + first, 1, 0)):
        error = refused(world, world.operator, clear_data(prepared, records))
        hashes = prepared.sealed.hashes
        assert (error.name, error.arguments) == ("NotAscending", (hashes[previous], hashes[given]))


def test_an_order_of_an_earlier_chunk_is_refused_in_the_next(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    operator.post_header(world.exchange, world.operator, prepared)
    start = operator.Progress()
    at, _ = operator.clear_next(world.exchange, world.operator, prepared, start, range(0, 1))
    again = clear_data(prepared, schedule.encode(prepared.sealed.orders[0]), at.carry)
    assert refused(world, world.operator, again).name == "NotAscending"
    record = schedule.encode(prepared.sealed.orders[1])
    fresh = refused(world, world.operator, clear_data(prepared, record))
    assert (fresh.name, fresh.arguments) == ("WrongLength", ("cells", 0, 16))
    assert at.carry is not None
    other = replace(at.carry, last_hash=bytes(32))
    assert refused(world, world.operator, clear_data(prepared, record, other)).name == "WrongCarry"


def test_padded_and_truncated_records_are_refused(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    operator.post_header(world.exchange, world.operator, prepared)
    records = schedule.encode_all(prepared.sealed.orders)
    second = len(schedule.encode(prepared.sealed.orders[0]))
    bad = [
        (records + b"\0", len(records)),
        (records + bytes(99), len(records)),
        (records[:-1], second),
        (records[: second - 1], 0),
        (b"\0" * 20 + records, 0),
    ]
    for data, _offset in bad:
        error = refused(world, world.operator, clear_data(prepared, data))
        assert error.name in ("MalformedRecord", "BadSignature")
    for data, offset in bad[:4]:
        error = refused(world, world.operator, clear_data(prepared, data))
        assert (error.name, error.arguments) == ("MalformedRecord", (offset,))


def test_truncated_calldata_is_refused(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    operator.post_header(world.exchange, world.operator, prepared)
    data = clear_data(prepared, schedule.encode_all(prepared.sealed.orders))
    error = refused(world, world.operator, data[:-64])
    assert error.name == ""  # the decoder of the ABI has no words


def test_arrays_of_another_length_are_refused(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    short = replace(prepared.header, qualities=prepared.header.qualities[:-1])
    error = refused(
        world, world.operator, abi.post_header(prepared.session.epoch, short, prepared.session.grid)
    )
    assert (error.name, error.arguments) == ("WrongLength", ("qualityPotentials", 11, 12))
    operator.post_header(world.exchange, world.operator, prepared)
    posting = replace(prepared.posting, energy=prepared.posting.energy * 2)
    error = refused(world, world.operator, clear_data(replace(prepared, posting=posting), b""))
    assert (error.name, error.arguments) == ("WrongLength", ("energyPotentials", 8, 4))


# Prices -------------------------------------------------------------------------------------------------


def try_to_prove(world: World, prepared: Prepared) -> ContractRevert:
    """Where a dishonest posting ends: at its header, its orders or its close."""
    data = abi.post_header(prepared.session.epoch, prepared.header, prepared.session.grid)
    records = schedule.encode_all(prepared.sealed.orders)
    if (error := fails(world, data)) or (error := fails(world, clear_data(prepared, records))):
        return error
    carry = books_advance(prepared)
    return refused(world, world.operator, operator.close_data(prepared, carry))


def fails(world: World, data: bytes) -> ContractRevert | None:
    try:
        world.exchange.send_data(world.operator, data, gas=MOST_GAS)
    except ContractRevert:
        return refused(world, world.operator, data)
    return None


def books_advance(prepared: Prepared) -> Carry:
    """The carry under a dishonest posting, whose fills are not the matcher's."""
    from settlement.reference import clearing

    carry = clearing.initial_carry(prepared.session.market)
    for hash_, order in zip(prepared.sealed.hashes, prepared.sealed.orders, strict=True):
        args = (prepared.session.market, prepared.header, prepared.posting)
        carry = clearing.read_hash(carry, hash_)
        carry, _ = clearing.fill_schedule(*args, carry, hash_, order.schedule)
    return carry


def with_energy(prepared: Prepared, **changes: int) -> Prepared:
    first, *rest = prepared.posting.energy
    energy = (replace(first, **changes), *rest)
    return replace(prepared, posting=replace(prepared.posting, energy=energy))


def with_marginal(prepared: Prepared, name: str, by: int) -> Prepared:
    """The buys' M or R of the first cell changed."""
    first, *rest = prepared.posting.marginals
    buys, sells = getattr(first, name)
    marginals = (replace(first, **{name: (buys + by, sells)}), *rest)
    return replace(prepared, posting=replace(prepared.posting, marginals=marginals))


def at_the_price(world: World) -> Prepared:
    """Two buyers at one limit share what a seller offers at the same limit."""
    session = world.open_session()
    limit = {"limit_micro_per_kwh": (150_000,) * 4}
    orders = [
        world.sign(buy(session, **limit)),
        world.sign(make_schedule(session, PROSUMERS[1].address, quantity_wh=(500,) * 4, **limit)),
        world.sign(sell(session, **limit)),
    ]
    return world.commit(session, orders)[1]


def test_the_honest_posting_of_these_books_is_proved(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    first = prepared.posting.energy[0]
    assert (first.lo, first.hi, prepared.prices()[0][0]) == (100_000, 200_000, 150_000)
    operator.run(world.exchange, world.operator, prepared.session, prepared.sealed)
    assert world.exchange.session(prepared.session.epoch)[1].name == "PROVED"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"lo": 200_001, "hi": 200_001}, "EnergyUnbalanced"),  # not optimal by one unit: buyers leave
        ({"lo": 99_999, "hi": 99_999}, "EnergyUnbalanced"),  # sellers leave
        ({"hi": 200_001}, "CellViolated"),  # one bound beyond what is optimal
        ({"lo": 99_999}, "CellViolated"),
        ({"lo": 100_002}, "EnergyUnsupported"),  # the price optimal, but the rule's plus one
        ({"hi": 199_998}, "EnergyUnsupported"),  # the rule's less one
        ({"lo": 100_001}, "EnergyUnsupported"),  # the price the rule's, a bound unsupported
        ({"lo": 2**30, "hi": -(2**30)}, None),
    ],
)
def test_a_price_that_is_not_the_rules_is_refused(
    turned_back: World, changes: dict[str, int], name: str | None
) -> None:
    error = try_to_prove(turned_back, with_energy(honest(turned_back), **changes))
    assert error.name in ((name,) if name else ("PotentialOutOfRange", "EnergyUnbalanced", "CellViolated"))


def test_premiums_that_are_not_the_rules_are_refused(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    first, *rest = prepared.header.qualities
    moved = replace(first, lo=first.lo + 1)
    error = try_to_prove(world, replace(prepared, header=replace(prepared.header, qualities=(moved, *rest))))
    assert error.name in ("QualityUnsupported", "SubstitutionViolated")


def test_premiums_that_break_a_substitution_are_refused_with_the_header(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    entries = list(prepared.header.qualities)
    entries[0] = replace(entries[0], lo=1)  # quality 5 may serve 0: its premium is not negative
    data = abi.post_header(
        prepared.session.epoch,
        replace(prepared.header, qualities=tuple(entries)),
        prepared.session.grid,
    )
    assert refused(world, world.operator, data).name in ("PotentialOutOfRange", "SubstitutionViolated")


@pytest.mark.parametrize(
    ("field", "by", "names"),
    [
        ("at_price", 1, {"MarginalMismatch"}),
        ("at_price", -1, {"MarginalExceeded"}),
        ("filled", 1, {"EnergyUnbalanced"}),
        ("filled", -1, {"EnergyUnbalanced"}),
        ("filled", 501, {"MarginalOutOfRange"}),
    ],
)
def test_a_marginal_volume_off_by_one_is_refused(
    turned_back: World, field: str, by: int, names: set[str]
) -> None:
    assert try_to_prove(turned_back, with_marginal(at_the_price(turned_back), field, by)).name in names


def test_an_unbalanced_quality_is_refused(turned_back: World) -> None:
    prepared = honest(turned_back)
    flows = (prepared.flows[0] + 1, *prepared.flows[1:])
    assert try_to_prove(turned_back, replace(prepared, flows=flows)).name == "QualityUnbalanced"


def test_a_book_other_than_the_committed_one_is_refused(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    kept = SealedBook(prepared.sealed.orders[:1], prepared.sealed.hashes[:1])
    partial = books.prepare(prepared.session, kept, (0,))
    assert try_to_prove(world, partial).name == "BookMismatch"
    assert kept.commitment != prepared.sealed.commitment
    assert isinstance(kept.commitment, Commitment)


def test_only_the_operator_clears(turned_back: World) -> None:
    world = turned_back
    prepared = honest(world)
    data = abi.post_header(prepared.session.epoch, prepared.header, prepared.session.grid)
    assert refused(world, world.node, data).name == "AccessManagedUnauthorized"


# No error -----------------------------------------------------------------------------------------------


def test_an_uncovered_schedule_fills_zero_with_an_event(turned_back: World) -> None:
    world = turned_back
    session = world.open_session()
    vast = make_schedule(
        session,
        PROSUMERS[3].address,
        quantity_wh=(2**30 - 1,) * 4,
        limit_micro_per_kwh=(6_000_000,) * 4,
    )
    assert schedule.cover(vast, session.params.buy_reserve, 0) > RICH
    orders = [world.sign(vast), world.sign(buy(session)), world.sign(sell(session))]
    remember(world, orders)
    prepared = world.clear(session, orders)
    hash_ = order_hash(world, vast)
    told = [event for event in events_of(world.exchange) if isinstance(event, ScheduleIneligible)]
    assert told == [ScheduleIneligible(session.epoch, vast.trader, hash_, UNCOVERED)]
    assert prepared.fills[prepared.sealed.hashes.index(hash_)] == (0,) * 4
    assert sum(map(sum, prepared.fills)) == 8000
    world.assert_same()


# Metering and settlement --------------------------------------------------------------------------------


def entries_of(world: World) -> list[object]:
    return settle_entries({signer.address: (10, -20, 0, 5) for signer in PROSUMERS})  # type: ignore[return-value]


def proved_day(world: World) -> None:
    session = world.open_session()
    orders = [world.sign(buy(session)), world.sign(sell(session))]
    remember(world, orders)
    world.clear(session, orders)


def test_a_posting_before_its_windows_end_is_refused(turned_back: World) -> None:
    world = turned_back
    proved_day(world)
    signed = world.sign_posting(entries_of(world))
    world.clock.advance_to(DAY_END - 60)
    data = abi.post_metering(signed.posting, signed.signatures)
    error = refused(world, world.node, data)
    assert (error.name, error.arguments) == ("WindowNotOver", (DAY, DAY_END))


def test_a_posting_without_quorum_is_refused(turned_back: World) -> None:
    world = turned_back
    proved_day(world)
    world.clock.advance_to(DAY_END)
    signed = world.sign_posting(entries_of(world))
    one, two = signed.signatures
    error = refused(world, world.node, abi.post_metering(signed.posting, [one]))
    assert (error.name, error.arguments) == ("QuorumNotReached", (1, 2))
    for signatures in ([one, one], [two, one]):
        error = refused(world, world.node, abi.post_metering(signed.posting, signatures))
        assert error.name == "BadOracleSignature"
    digest = eip712.digest(world.exchange.separator, settler_hash(signed))
    forged = sorted([STRANGER.sign_digest(digest), one], key=lambda s: eip712.recover(digest, s))
    error = refused(world, world.node, abi.post_metering(signed.posting, forged))
    assert (error.name, error.arguments) == ("BadOracleSignature", (STRANGER.address,))


def settler_hash(signed: settler.SignedPosting) -> bytes:
    from settlement.reference.posting import struct_hash

    return struct_hash(signed.posting)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"windows": 3}, "windows"),
        ({"zone": 1}, "zone"),
        ({"accounts": 5}, "accounts"),
        ({"surplus": (0,) * 3}, "surplusMicroPerKWh"),
        ({"surplus": (-500_001, 0, 0, 0)}, "prices"),
        ({"deficit": (900_001,) * 4}, "prices"),
        ({"surplus": (1, 0, 0, 0), "deficit": (0, 0, 0, 0)}, "prices"),
    ],
)
def test_a_posting_that_does_not_fit_its_day_is_refused(
    turned_back: World, changes: dict[str, object], part: str
) -> None:
    world = turned_back
    proved_day(world)
    world.clock.advance_to(DAY_END)
    signed = world.sign_posting(entries_of(world), **changes)
    error = refused(world, world.node, abi.post_metering(signed.posting, signed.signatures))
    assert (error.name, error.arguments) == ("BadPosting", (part,))


def test_a_part_is_settled_once_and_a_run_closed_once(turned_back: World) -> None:
    world = turned_back
    proved_day(world)
    world.clock.advance_to(DAY_END)
    signed = world.sign_posting(entries_of(world))
    settler.post(world.exchange, world.node, signed)
    stale = refused(world, world.node, abi.post_metering(signed.posting, signed.signatures))
    assert (stale.name, stale.arguments) == ("StalePosting", (1,))
    holdings = settler.read_holdings(world.exchange, signed)
    message, nothing = abi.posting_tuple(signed.posting), abi.run_carry_tuple(None)
    early = refused(world, world.node, abi.close_run(message, nothing))
    assert (early.name, early.arguments) == ("IncompleteRun", (0, 2))
    settled = abi.settle(message, signed.parts[0], nothing)
    world.exchange.send_data(world.node, settled)
    assert refused(world, world.node, settled).name == "WrongRunCarry"
    carry = settler.settle_part(holdings, signed, None, 0)
    again = abi.settle(message, signed.parts[0], abi.run_carry_tuple(carry))
    assert refused(world, world.node, again).name == "WrongPart"
    left, _ = settler.settle_all(world.exchange, world.node, signed, holdings, carry)
    settler.close(world.exchange, world.node, signed, left)
    closed = abi.settle(message, signed.parts[1], abi.run_carry_tuple(left))
    assert refused(world, world.node, closed).name in ("WrongRunCarry", "WrongRunStage")


def test_a_tampered_entry_is_refused(turned_back: World) -> None:
    world = turned_back
    proved_day(world)
    world.clock.advance_to(DAY_END)
    signed = world.sign_posting(entries_of(world))
    settler.post(world.exchange, world.node, signed)
    part = bytearray(signed.parts[0])
    part[-1] ^= 1
    data = abi.settle(abi.posting_tuple(signed.posting), bytes(part), abi.run_carry_tuple(None))
    error = refused(world, world.node, data)
    assert (error.name, error.arguments) == ("WrongPart", (0,))
    changed = replace(signed.posting, commitments=b"\x01" * 32)
    data = abi.settle(abi.posting_tuple(changed), signed.parts[0], abi.run_carry_tuple(None))
    assert refused(world, world.node, data).name == "WrongPosting"


def test_a_stranger_and_the_supplier_cannot_be_metered(turned_back: World) -> None:
    world = turned_back
    proved_day(world)
    world.clock.advance_to(DAY_END)
    for signer in (STRANGER, SUPPLIER):
        metered = {one.address: (1, 1, 1, 1) for one in (*PROSUMERS[:3], signer)}
        signed = world.sign_posting(settle_entries(metered), sequence=1, per_part=4)
        snapshot = world.clock.snapshot()
        settler.post(world.exchange, world.node, signed)
        data = abi.settle(abi.posting_tuple(signed.posting), signed.parts[0], abi.run_carry_tuple(None))
        error = refused(world, world.node, data)
        assert (error.name, error.arguments) == ("BadEntry", (signer.address,))
        world.clock.revert(snapshot)


def test_cash_stands_still_while_a_session_clears(turned_back: World) -> None:
    world = turned_back
    honest(world)
    assert world.now() >= GATE
    data = world.exchange.abi.encode("deposit", BUYER.address, 1)
    assert refused(world, world.admin, data).name == "ClearingInProgress"
    assert BUY != SELL
