"""The Exchange through its days: sessions, cover, withdrawals, transfers."""

from dataclasses import replace

import pytest
from reference_world import (
    BUYER,
    COMMIT_BY,
    DAY,
    DAY_END,
    GATE,
    GRID,
    KEYS,
    OPENING,
    OPERATOR_KEY,
    ORACLES,
    OTHER,
    PROSUMER_ADDRESSES,
    PROVE_BY,
    RICH,
    SELLER,
    WINDOW_LENGTH,
    WINDOWS,
    address_of,
    ascending,
    bring,
    claim_id,
    commit,
    hash_of,
    honest_posting,
    make_exchange,
    make_schedule,
    opened,
    prove,
    sign,
    sign_digest,
    trade,
)

from settlement.reference import eip712, errors, schedule
from settlement.reference.accounts import NETWORK_OPERATOR, PROSUMER, Member
from settlement.reference.closing import Commitment
from settlement.reference.exchange import Exchange, Stage
from settlement.reference.exchange.events import (
    ScheduleCleared,
    ScheduleIneligible,
)
from settlement.reference.messages import Acceptance, Transfer, Withdrawal
from settlement.reference.orders import encode_all
from settlement.reference.session import NO_PARENT, UNLIMITED_WH, Grid

# Sessions in time ---------------------------------------------------------------------------------------


def test_a_session_is_void_when_its_book_is_late() -> None:
    exchange = make_exchange()
    session = opened(exchange)
    assert exchange.stage(COMMIT_BY, session) is Stage.OPEN
    assert exchange.stage(COMMIT_BY + 1, session) is Stage.VOID
    with pytest.raises(errors.WrongStage):
        commit(exchange, COMMIT_BY + 1, session, Commitment(0, bytes(32)))


def test_a_session_is_void_when_its_proof_is_late() -> None:
    exchange = make_exchange()
    session = opened(exchange)
    commit(exchange, COMMIT_BY, session, Commitment(0, bytes(32)))
    assert exchange.stage(PROVE_BY, session) is Stage.COMMITTED
    assert exchange.stage(PROVE_BY + 1, session) is Stage.VOID


def test_a_book_is_not_committed_before_the_gate() -> None:
    exchange = make_exchange()
    session = opened(exchange)
    with pytest.raises(errors.GateStillOpen):
        commit(exchange, GATE - 1, session, Commitment(0, bytes(32)))


def test_sessions_follow_one_another() -> None:
    exchange = make_exchange()
    opened(exchange)
    later = {"round": 1, "commit_by": PROVE_BY + 70, "prove_by": PROVE_BY + 80}
    with pytest.raises(errors.BadSession):
        opened(exchange, gate=PROVE_BY + 59, **later)
    opened(exchange, gate=PROVE_BY + 60, **later)


BAD_PARAMS = [
    {"kind": 3},
    {"kind": 1},
    {"kind": 2, "buy_reserve": 0},
    {"round": 1},
    {"windows": 0},
    {"windows": WINDOWS + 1},
    {"first_window": DAY - 1},
    {"grid_version": 2},
    {"gate": OPENING},
    {"commit_by": GATE},
    {"prove_by": COMMIT_BY},
    {"floor": 7_000_000},
    {"cap": 2**29 + 1},
    {"floor": -(2**28) - 1, "cap": 2**28},
    {"imbalance_min": 900_001},
    {"max_orders": 0},
    {"max_orders": 2**20},
    {"max_submitted": 2**20 - 1000},
    {"claim_by": PROVE_BY + 86_399},
    {"claim_by": PROVE_BY + 30 * 86_400 + 1},
    {"bond_nano": 1},
    {"certificate_run": 1},
]


def deep_grid(qualities: int, zones: int, charge: int) -> Grid:
    """Each zone below the one before, each quality serving the next lower."""
    pairs = tuple(index for quality in range(1, qualities) for index in (quality, quality - 1))
    parents, charges = (NO_PARENT, *range(zones - 1)), (0, *[charge] * (zones - 1))
    codes = (0, 3, 11, 15)[:qualities]
    return Grid(codes, pairs, parents, charges, (1,) * zones)


@pytest.mark.parametrize(
    ("qualities", "zones", "charge", "widest"),
    [
        (1, 1, 1, 2**29),
        (4, 1, 1, 2**29),
        (1, 4, 1, 2**29 - 6),
        (2, 2, 1, 178_956_969),
        (2, 4, 1, 178_956_966),
        (4, 2, 10**6, 177_623_637),
        (4, 4, 2**20, 73_100_726),
    ],
)
def test_floor_and_cap_leave_every_book_its_potentials(
    qualities: int, zones: int, charge: int, widest: int
) -> None:
    """2 (s - 1) (cap - floor) + (cap - floor) + 2 s (deepest zone's charges) <= 2^29, s the fewer of
    qualities and zones.
    """
    exchange = make_exchange(deep_grid(qualities, zones, charge))
    exchange.register(OPENING, address_of(ORACLES[0]), Member(NETWORK_OPERATOR))
    floor = -(2**25)
    with pytest.raises(errors.BadSession) as refusal:
        opened(exchange, floor=floor, cap=floor + widest + 1)
    assert refusal.value.args == errors.BadSession("cap").args
    opened(exchange, floor=floor, cap=floor + widest)


def test_limits_all_far_from_zero_count_by_their_distance_from_it() -> None:
    exchange = make_exchange(deep_grid(1, 2, 3))
    exchange.register(OPENING, address_of(ORACLES[0]), Member(NETWORK_OPERATOR))
    with pytest.raises(errors.BadSession):
        opened(exchange, floor=2**29 - 9, cap=2**29 - 5)
    with pytest.raises(errors.BadSession):
        opened(exchange, floor=-(2**29) + 5, cap=-(2**29) + 9)
    opened(exchange, floor=-(2**29) + 6, cap=-(2**29) + 9)


def wide_grid(substitutions: int) -> Grid:
    """Sixteen qualities: each serves the least, then the next below of like firmness, then the second."""
    down = [(giver, 0) for giver in range(1, 16)]
    near = [(giver, giver - far) for far in (1, 2) for giver in range(16) if far <= giver % 8 and far < giver]
    pairs = (*down, *near)[:substitutions]
    flat = tuple(index for pair in pairs for index in pair)
    return Grid(tuple(range(16)), flat, (NO_PARENT,), (0,), (UNLIMITED_WH,))


def too_large(exchange: Exchange, day: int, windows: int, **changes: int) -> tuple[object, ...]:
    """What a session of a day is refused by."""
    with pytest.raises(errors.SessionTooLarge) as refusal:
        opened(exchange, day=day, first_window=day, windows=windows, grid_version=2, **changes)
    return refusal.value.args


def test_calls_about_a_session_fit_a_transaction() -> None:
    exchange, day = make_exchange(), DAY + 100
    exchange.open_day(day, 51, exchange.add_grid(wide_grid(32)))
    assert too_large(exchange, day, 50) == ("joinChildren", 4 + 32 * 4122, 127 << 10)
    opened(exchange, day=day, first_window=day, windows=49, grid_version=2)


def test_calls_about_a_days_run_fit_a_transaction() -> None:
    """Sixteen qualities over 51 windows trade in one round, over 52 in none."""
    exchange, day = make_exchange(), DAY + 100
    exchange.open_day(day, 51, exchange.add_grid(wide_grid(15)))
    exchange.open_day(day + 51, 52, 2)
    assert too_large(exchange, day + 51, 1) == ("certify", (47 << 10) + 32 * 2605, 127 << 10)
    opened(exchange, day=day, first_window=day, windows=51, grid_version=2)
    two_rounds = (47 << 10) + 32 * (2 * 3 * 16 * 51 + 2 * 51 + 2 * 5)
    assert too_large(exchange, day, 51, round=1) == ("certify", two_rounds, 127 << 10)


@pytest.mark.parametrize("changes", BAD_PARAMS, ids=str)
def test_a_session_that_makes_no_sense_does_not_open(changes: dict[str, int]) -> None:
    exchange = make_exchange()
    with pytest.raises(errors.BadSession):
        opened(exchange, **changes)
    assert not exchange.state.sessions


def test_between_gate_and_end_only_clearing_changes_accounts() -> None:
    exchange = make_exchange()
    session = opened(exchange)
    for attempt in (
        lambda now: exchange.deposit(now, BUYER, 1),
        lambda now: exchange.register(now, bytes([9] * 20), Member(PROSUMER)),
        lambda now: exchange.change_member(now, BUYER, 0, 0, True),
        lambda now: exchange.transfer(now, BUYER, OTHER, claim_id(), 0),
    ):
        with pytest.raises(errors.ClearingInProgress):
            attempt(GATE)
    exchange.deposit(GATE - 1, BUYER, 1)
    exchange.deposit(COMMIT_BY + 1, BUYER, 1)
    assert exchange.stage(COMMIT_BY + 1, session) is Stage.VOID


def test_a_withdrawal_promised_before_is_paid_but_not_changed_while_a_session_clears() -> None:
    exchange = make_exchange()
    exchange.request_withdrawal(OPENING, BUYER, 1000)
    opened(exchange)
    with pytest.raises(errors.ClearingInProgress):
        exchange.request_withdrawal(GATE, BUYER, 0)
    exchange.execute_withdrawal(GATE, BUYER)
    exchange.request_withdrawal(GATE, BUYER, 5)
    with pytest.raises(errors.WithdrawalNotReady):
        exchange.execute_withdrawal(GATE, BUYER)


def test_an_error_leaves_the_state_as_it_was() -> None:
    exchange = make_exchange()
    session = opened(exchange)
    orders = [sign(exchange, make_schedule(session, BUYER, nonce=n)) for n in range(3)]
    posted = honest_posting(exchange, session, orders)
    commit(exchange, GATE, session, posted.commitment)
    exchange.post_header(GATE, session, posted.header)
    before = exchange.state.copy()
    records = encode_all([*posted.orders, posted.orders[0]])
    with pytest.raises(errors.NotAscending):
        exchange.clear(GATE, session, 0, posted.header, posted.zone, None, records)
    assert exchange.state == before


# Who may trade ------------------------------------------------------------------------------------------


def test_a_stranger_or_the_operator_reverts_the_chunk() -> None:
    stranger = ORACLES[0]
    for key, error in ((stranger, errors.UnregisteredTrader), (OPERATOR_KEY, errors.OperatorMayNotTrade)):
        exchange = make_exchange()
        session = opened(exchange)
        order = sign(exchange, make_schedule(session, address_of(key)))
        with pytest.raises(error):
            bring(exchange, session, honest_posting(exchange, session, [order]))


def test_another_s_signature_reverts_the_chunk() -> None:
    exchange = make_exchange()
    session = opened(exchange)
    order = sign(exchange, make_schedule(session, BUYER))
    forged = replace(order, schedule=replace(order.schedule, trader=SELLER))
    with pytest.raises(errors.BadSignature):
        bring(exchange, session, honest_posting(exchange, session, [forged]))


MALFORMED = [
    ({"first_window": DAY - 1}, errors.WindowOutOfSession),
    ({"first_window": DAY + WINDOWS}, errors.WindowOutOfSession),
    ({"limit_micro_per_kwh": (6_000_001,)}, errors.LimitOutOfRange),
    ({"quantity_wh": (2**16,)}, errors.QuantityOverflow),
    ({"quality": 5}, errors.UnknownQuality),
]


@pytest.mark.parametrize(("changes", "error"), MALFORMED, ids=[str(error.__name__) for _, error in MALFORMED])
def test_an_order_that_fits_no_session_reverts_the_chunk(
    changes: dict[str, int], error: type[errors.Refused]
) -> None:
    exchange = make_exchange()
    session = opened(exchange)
    posted = honest_posting(exchange, session, [])
    commit(exchange, GATE, session, posted.commitment)
    exchange.post_header(GATE, session, posted.header)
    record = schedule.encode(sign(exchange, make_schedule(session, BUYER, **changes)))
    with pytest.raises(error):
        exchange.clear(GATE, session, 0, posted.header, posted.zone, None, record)


INELIGIBLE = [
    (6, {}, {"suspended": True, "max_quality": 15, "capacity_wh": 20_000}),
    (3, {"side": 1, "quality": 3}, {"suspended": False, "max_quality": 8, "capacity_wh": 20_000}),
    (4, {"side": 1, "quality": 0}, {"suspended": False, "max_quality": 15, "capacity_wh": 999}),
]


@pytest.mark.parametrize(("reason", "order", "terms"), INELIGIBLE)
def test_who_may_not_trade_fills_zero_and_bounds_nothing(
    reason: int, order: dict[str, int], terms: dict[str, int]
) -> None:
    exchange = make_exchange()
    session = opened(exchange)
    exchange.change_member(OPENING, BUYER, **terms)
    refused = sign(exchange, make_schedule(session, BUYER, **order))
    prove(exchange, session, honest_posting(exchange, session, [], [refused]))
    reasons = [event.reason for event in exchange.events if isinstance(event, ScheduleIneligible)]
    assert reasons == [reason]
    assert exchange.cash(GATE, BUYER).free == RICH


def test_another_zone_s_member_fills_zero() -> None:
    exchange = make_exchange()
    session = opened(exchange)
    outsider = address_of(ORACLES[0])
    exchange.register(OPENING, outsider, Member(PROSUMER, zone=1))
    refused = sign(exchange, make_schedule(session, outsider))
    prove(exchange, session, honest_posting(exchange, session, [], [refused]))
    assert [event.reason for event in exchange.events if isinstance(event, ScheduleIneligible)] == [5]


# Cover --------------------------------------------------------------------------------------------------


def test_cover_counts_the_full_reserves_of_lower_hashes() -> None:
    cover = 1000 * (100_000 + 200_000)
    exchange = make_exchange(deposit=0)
    exchange.deposit(OPENING, BUYER, 2 * cover)
    session = opened(exchange)
    orders = [sign(exchange, make_schedule(session, BUYER, nonce=n)) for n in range(3)]
    first, second, third = ascending(exchange, orders)
    prove(exchange, session, honest_posting(exchange, session, [first, second], [third]))
    refused = [event for event in exchange.events if isinstance(event, ScheduleIneligible)]
    assert [(event.order, event.reason) for event in refused] == [(hash_of(exchange, third), 2)]
    assert exchange.cash(GATE, BUYER).free == 2 * cover


def test_a_void_session_returns_every_reserve_and_no_token() -> None:
    exchange = make_exchange()
    session = opened(exchange)
    orders = [
        sign(exchange, make_schedule(session, BUYER)),
        sign(exchange, make_schedule(session, SELLER, side=1)),
    ]
    posted = honest_posting(exchange, session, orders)
    bring(exchange, session, posted)
    assert exchange.cash(GATE, BUYER).reserved > 0
    late = PROVE_BY + 1
    assert exchange.cash(late, BUYER).free == exchange.cash(late, SELLER).free == RICH
    assert exchange.balance(late, BUYER, claim_id(0)) == 0


def test_a_proved_session_keeps_reserves_and_pays_no_sale_as_produced() -> None:
    exchange = make_exchange()
    session = opened(exchange)
    trade(exchange, session)
    assert exchange.balance(GATE, BUYER, claim_id()) == 1000
    assert exchange.balance(GATE, SELLER, claim_id(side=1)) == 1000
    assert exchange.cash(GATE, BUYER).free == RICH - 1000 * (150_000 + 100_000)
    assert exchange.cash(GATE, SELLER).free == RICH - 1000 * (300_000 + 2_000_000)
    filled = [event.filled_wh for event in exchange.events if isinstance(event, ScheduleCleared)]
    assert filled == [(1000,), (1000,)]


def test_a_proved_session_pays_firm_sales() -> None:
    exchange = make_exchange()
    trade(exchange, opened(exchange), quality=11)
    assert exchange.cash(GATE, SELLER).free == RICH + 1000 * (150_000 - 300_000)


# Withdrawals --------------------------------------------------------------------------------------------


def test_a_withdrawal_waits_for_the_sessions_open_at_its_request() -> None:
    exchange = make_exchange()
    session = opened(exchange)
    exchange.request_withdrawal(OPENING, BUYER, RICH)
    with pytest.raises(errors.WithdrawalNotReady):
        exchange.execute_withdrawal(OPENING, BUYER)
    trade(exchange, session)
    with pytest.raises(errors.InsufficientCash):
        exchange.execute_withdrawal(GATE, BUYER)
    exchange.request_withdrawal(GATE, BUYER, 1000)
    exchange.execute_withdrawal(GATE, BUYER)
    assert exchange.state.vault == RICH * (len(PROSUMER_ADDRESSES) + 1) - 1000
    with pytest.raises(errors.WithdrawalNotReady):
        exchange.execute_withdrawal(GATE, BUYER)


def test_a_withdrawal_is_cover_for_the_sessions_before_it_only() -> None:
    for opens_first, refused in ((True, []), (False, [2])):
        exchange = make_exchange()
        if not opens_first:
            exchange.request_withdrawal(OPENING, BUYER, RICH)
        session = opened(exchange)
        if opens_first:
            exchange.request_withdrawal(OPENING, BUYER, RICH)
        order = sign(exchange, make_schedule(session, BUYER))
        accepted, ineligible = ([order], []) if opens_first else ([], [order])
        prove(exchange, session, honest_posting(exchange, session, accepted, ineligible))
        reasons = [event.reason for event in exchange.events if isinstance(event, ScheduleIneligible)]
        assert reasons == refused


def test_a_relayed_withdrawal_counts_once_in_time_and_from_its_account_only() -> None:
    exchange = make_exchange()
    message = Withdrawal(BUYER, 5000, 0, OPENING)
    digest = eip712.digest(exchange.separator, message.struct_hash())
    with pytest.raises(errors.WrongSigner):
        exchange.request_withdrawal_signed(OPENING, message, sign_digest(KEYS[SELLER], digest))
    signature = sign_digest(KEYS[BUYER], digest)
    with pytest.raises(errors.Expired):
        exchange.request_withdrawal_signed(OPENING + 1, message, signature)
    exchange.request_withdrawal_signed(OPENING, message, signature)
    with pytest.raises(errors.InvalidAccountNonce):
        exchange.request_withdrawal_signed(OPENING, message, signature)
    exchange.execute_withdrawal(OPENING, BUYER)
    assert exchange.cash(OPENING, BUYER).free == RICH - 5000


# Transfers ----------------------------------------------------------------------------------------------


def accepted_by(exchange: Exchange, to: bytes, amount: int, nonce: int = 0) -> None:
    message = Acceptance(to, BUYER, claim_id(), amount, nonce, DAY_END)
    digest = eip712.digest(exchange.separator, message.struct_hash())
    exchange.accept_signed(GATE, message, sign_digest(KEYS[to], digest))


def test_a_claim_moves_with_its_reserve_once_accepted() -> None:
    exchange = make_exchange()
    trade(exchange, opened(exchange))
    before = exchange.cash(GATE, BUYER).free
    with pytest.raises(errors.NotAccepted):
        exchange.transfer(GATE, BUYER, OTHER, claim_id(), 400)
    accepted_by(exchange, OTHER, 500)
    message = Transfer(BUYER, OTHER, claim_id(), 400, 0, DAY_END)
    digest = eip712.digest(exchange.separator, message.struct_hash())
    exchange.transfer_signed(GATE, message, sign_digest(KEYS[BUYER], digest))
    assert exchange.balance(GATE, BUYER, claim_id()) == 600
    assert exchange.balance(GATE, OTHER, claim_id()) == 400
    assert exchange.cash(GATE, BUYER).free == before + 400 * 100_000
    assert exchange.cash(GATE, OTHER).free == RICH - 400 * 100_000
    with pytest.raises(errors.NotAccepted):
        exchange.transfer(GATE, BUYER, OTHER, claim_id(), 101)


def test_what_may_not_move() -> None:
    exchange = make_exchange()
    trade(exchange, opened(exchange))
    exchange.register(GATE, address_of(ORACLES[0]), Member(NETWORK_OPERATOR))
    with pytest.raises(errors.InsufficientBalance):
        exchange.transfer(GATE, BUYER, OTHER, claim_id(), 1001)
    with pytest.raises(errors.WrongRecipient):
        exchange.transfer(GATE, BUYER, address_of(ORACLES[0]), claim_id(), 1)
    with pytest.raises(errors.NotTransferable):
        exchange.transfer(GATE, SELLER, OTHER, claim_id(side=1), 1)
    accepted_by(exchange, OTHER, 500)
    with pytest.raises(errors.NotTransferable):
        exchange.transfer(DAY * WINDOW_LENGTH, BUYER, OTHER, claim_id(), 1)
    exchange.request_withdrawal(GATE, OTHER, RICH)
    with pytest.raises(errors.InsufficientCash):
        exchange.transfer(GATE, BUYER, OTHER, claim_id(), 1)


BAD_GRIDS = [
    {"qualities": (3, 11)},
    {"qualities": (0, 3, 3)},
    {"qualities": (0, 3, 16)},
    {"substitutions": (1, 0)},
    {"substitutions": (1, 0, 0, 2)},
    {"substitutions": (1, 0, 2)},
    {"substitutions": (1, 0, 2, 3)},
    {"parents": (0,)},
    {"parents": ()},
    {"parents": (NO_PARENT, 0), "charges": (0,)},
    {"parents": (NO_PARENT, 1), "charges": (0, 1), "capacities": (0, 1)},
    {"parents": (NO_PARENT, 0, 1, 0), "charges": (0, 1, 1, 1), "capacities": (0, 1, 1, 1)},
    {"parents": (NO_PARENT, 0), "charges": (0, 0), "capacities": (0, 1)},
    {"parents": (NO_PARENT, 0), "charges": (0, 2**29), "capacities": (0, 1)},
]


@pytest.mark.parametrize("changes", BAD_GRIDS, ids=str)
def test_a_grid_that_breaks_the_rules_is_refused(changes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(errors.BadGrid):
        make_exchange().add_grid(replace(GRID, **changes))
