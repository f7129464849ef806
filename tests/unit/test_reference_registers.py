"""The reference's pauses, meters, oracle nodes and approvals."""

from __future__ import annotations

import pytest
from reference_world import (
    COMMIT_BY,
    CONTRACT,
    DAY,
    GATE,
    GRID,
    OPENING,
    PROSUMER_ADDRESSES,
    PROVE_BY,
    WINDOW_LENGTH,
    WINDOWS,
    make_params,
)

from settlement.reference.accounts import BALANCING_PARTY, PROSUMER, Member
from settlement.reference.errors import (
    BadMeter,
    BadQuorum,
    ExchangePaused,
    InsufficientAllowance,
    InsufficientBalance,
    NotMember,
    NotPaused,
    PauseTooSoon,
    UnknownMeter,
)
from settlement.reference.exchange import Exchange, Stage
from settlement.reference.p256 import on_curve

MAX_PAUSE = 5_000
OWNER, SPENDER = PROSUMER_ADDRESSES[:2]
GENERATOR = (
    bytes.fromhex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"),
    bytes.fromhex("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"),
)


@pytest.fixture
def exchange() -> Exchange:
    found = Exchange(1, CONTRACT, WINDOW_LENGTH, quorum=0, max_pause=MAX_PAUSE)
    found.register(OPENING, bytes(19) + b"\x01", Member(BALANCING_PARTY))
    found.register(OPENING, OWNER, Member(PROSUMER))
    found.open_day(DAY, WINDOWS, found.add_grid(GRID))
    return found


# Pauses -------------------------------------------------------------------------------------------------


def test_nothing_moves_during_a_pause(exchange: Exchange) -> None:
    exchange.pause(OPENING)
    with pytest.raises(ExchangePaused):
        exchange.deposit(OPENING + MAX_PAUSE - 1, OWNER, 1)
    exchange.deposit(OPENING + MAX_PAUSE, OWNER, 1)


@pytest.mark.parametrize(("length", "extension"), [(100, 100), (MAX_PAUSE + 1, MAX_PAUSE)])
def test_a_pause_extends_the_deadline_it_found_ahead(exchange: Exchange, length: int, extension: int) -> None:
    session = exchange.open_session(OPENING, make_params())
    exchange.pause(GATE)
    ended = GATE + length
    if length < MAX_PAUSE:
        exchange.unpause(ended)
    record = exchange.session(session)
    assert exchange.deadline(ended, record) == COMMIT_BY + extension
    assert exchange.stage(COMMIT_BY + extension, session) is Stage.OPEN
    assert exchange.stage(COMMIT_BY + extension + 1, session) is Stage.VOID


def test_a_pause_before_the_gate_gives_nothing(exchange: Exchange) -> None:
    session = exchange.open_session(OPENING, make_params())
    exchange.pause(OPENING + 10)
    exchange.unpause(OPENING + 20)
    assert exchange.deadline(GATE, exchange.session(session)) == COMMIT_BY


def test_a_session_that_was_void_before_the_pause_stays_void(exchange: Exchange) -> None:
    session = exchange.open_session(OPENING, make_params())
    exchange.pause(COMMIT_BY + 1)
    exchange.unpause(PROVE_BY)
    assert exchange.stage(PROVE_BY, session) is Stage.VOID


def test_pauses_extend_by_one_at_most_and_keep_their_distance(exchange: Exchange) -> None:
    session = exchange.open_session(OPENING, make_params(commit_by=GATE + 20_000, prove_by=GATE + 30_000))
    exchange.pause(GATE)
    exchange.unpause(GATE + 4_000)
    with pytest.raises(PauseTooSoon):
        exchange.pause(GATE + 4_000 + MAX_PAUSE - 1)
    exchange.pause(GATE + 4_000 + MAX_PAUSE)
    exchange.unpause(GATE + 4_000 + MAX_PAUSE + 4_000)
    assert exchange.session(session).extension == MAX_PAUSE


def test_only_a_pause_can_be_ended(exchange: Exchange) -> None:
    with pytest.raises(NotPaused):
        exchange.unpause(OPENING)
    exchange.pause(OPENING)
    with pytest.raises(NotPaused):  # it ended by itself
        exchange.unpause(OPENING + MAX_PAUSE)


# Meters and oracles -------------------------------------------------------------------------------------


def test_a_meter_is_registered_once_and_revoked_once(exchange: Exchange) -> None:
    exchange.register_meter(OPENING, bytes(32), OWNER, *GENERATOR)
    with pytest.raises(BadMeter):
        exchange.register_meter(OPENING, bytes(32), OWNER, *GENERATOR)
    exchange.revoke_meter(OPENING, bytes(32))
    with pytest.raises(UnknownMeter):
        exchange.revoke_meter(OPENING, bytes(32))
    with pytest.raises(BadMeter):  # it belonged to one account for ever
        exchange.register_meter(OPENING, bytes(32), OWNER, *GENERATOR)


def test_a_meters_key_is_a_point_and_its_account_a_member(exchange: Exchange) -> None:
    x, y = GENERATOR
    assert on_curve(int.from_bytes(x, "big"), int.from_bytes(y, "big"))
    with pytest.raises(BadMeter):
        exchange.register_meter(OPENING, bytes(32), OWNER, x, x)
    with pytest.raises(NotMember):
        exchange.register_meter(OPENING, bytes(32), SPENDER, x, y)
    assert exchange.state.meters == {}


def test_a_quorum_is_never_more_than_the_nodes(exchange: Exchange) -> None:
    with pytest.raises(BadQuorum):
        exchange.set_quorum(OPENING, 1)
    exchange.set_oracle(OPENING, OWNER, True)
    exchange.set_quorum(OPENING, 1)
    with pytest.raises(BadQuorum):
        exchange.set_oracle(OPENING, OWNER, False)
    assert exchange.state.oracles == {OWNER}
    exchange.set_oracle(OPENING, SPENDER, False)  # it was none


# Approvals ----------------------------------------------------------------------------------------------


def test_a_spender_may_take_what_was_approved(exchange: Exchange) -> None:
    id_ = 0
    with pytest.raises(InsufficientAllowance):
        exchange.transfer_from(OPENING, SPENDER, OWNER, SPENDER, id_, 1)
    exchange.approve(OWNER, SPENDER, id_, 1)
    exchange.state.operators = frozenset()
    with pytest.raises(InsufficientAllowance):
        exchange.transfer_from(OPENING, SPENDER, OWNER, SPENDER, id_, 2)
    assert exchange.state.allowances == {(OWNER, SPENDER, id_): 1}


@pytest.mark.parametrize("spender", [OWNER, SPENDER])
def test_the_owner_and_its_operator_need_no_approval(exchange: Exchange, spender: bytes) -> None:
    exchange.set_operator(OWNER, SPENDER, True)
    id_ = DAY | WINDOW_LENGTH << 32
    with pytest.raises(InsufficientBalance):  # not for want of an allowance
        exchange.transfer_from(OPENING, spender, OWNER, SPENDER, id_, 1)
    exchange.set_operator(OWNER, SPENDER, False)
    assert exchange.state.operators == frozenset()
