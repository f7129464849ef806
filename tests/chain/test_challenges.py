"""A meter's own word against what was posted, on an embedded chain: who is right, and who pays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256

import pytest
from chain_world import DAY, STRANGER, SUPPLIER, World
from metered_world import (
    BOND,
    BUYER,
    CALM,
    LATE,
    MWH,
    POT,
    SELLER,
    SURPLUS,
    MeteredDay,
    meter_of,
    post_and_settle,
    read_of,
    stake,
    traded_world,
)

from oracle.messages import IMPORT, P256_ORDER
from settlement.chain import challenger, corrector
from settlement.chain.challenger import DEFEATED, DROPPED, OPEN, UPHELD
from settlement.chain.errors import ContractRevert, WrongProgress
from settlement.chain.rpc import to_bytes, to_hex
from settlement.chain.sign import Signer
from settlement.chain.statements import challenge_of
from settlement.reference.challenge import ReadingChallenge

DAYS_S = 86_400
P256_VERIFY = "0x" + "0100".zfill(40)
"""Where chains have the verification precompiled (EIP-7951)."""


@pytest.fixture(scope="module", params=["london", "osaka"])
def traded(request: pytest.FixtureRequest) -> Iterator[World]:
    """Without and with the precompiled verification of P-256."""
    with traded_world(request.param) as found:
        stake(found)
        yield found


@pytest.fixture
def turned_back(traded: World) -> Iterator[World]:
    with traded.turned_back():
        yield traded


@pytest.fixture
def day(turned_back: World) -> MeteredDay:
    found = post_and_settle(turned_back)
    corrector.open_corrections(turned_back.exchange, turned_back.node, found.signed.posting)
    return found


def opened(day: MeteredDay, account: Signer, brought: ReadingChallenge) -> challenger.Challenged:
    """Signed by the account, sent by a stranger."""
    exchange = day.world.exchange
    return challenger.challenge(exchange, STRANGER, challenger.signed_by(account, exchange, brought))


def settled(day: MeteredDay, found: challenger.Challenged) -> None:
    day.world.clock.advance_to(found.answer_by + 1)
    challenger.settle(day.world.exchange, STRANGER, found.id)


def pot(day: MeteredDay) -> int:
    return int(day.world.exchange.view("challengeTerms")[0])


def refusal(day: MeteredDay, account: Signer, brought: ReadingChallenge) -> str:
    with pytest.raises(ContractRevert) as caught:
        opened(day, account, brought)
    return caught.value.name


def test_whoever_is_right_is_corrected_on_the_spot_and_paid_by_the_oracles(day: MeteredDay) -> None:
    before, supplier = day.free(LATE.address), day.free(SUPPLIER.address)
    found = opened(day, LATE, day.challenge(LATE.address, 0, 1_700))
    assert day.free(LATE.address) == before - BOND
    day.assert_sums_are_zero()
    settled(day, found)
    worth = 1_000 * SURPLUS[0]
    assert day.row(LATE.address)[0] == 1_700
    assert day.free(LATE.address) == before + worth + BOND
    assert day.free(SUPPLIER.address) == supplier - worth
    assert (pot(day), challenge_of(day.world.exchange, found.id).stage) == (POT - BOND, UPHELD)
    day.assert_sums_are_zero()


def test_what_was_imported_counts_the_other_way(day: MeteredDay) -> None:
    found = opened(day, BUYER, day.challenge(BUYER.address, 0, 1_000, register=IMPORT))
    settled(day, found)
    assert day.row(BUYER.address)[0] == -1_000


def test_an_oracle_that_shows_the_read_it_committed_to_corrects_and_pays_nothing(day: MeteredDay) -> None:
    before = day.free(LATE.address)
    found = opened(day, LATE, day.challenge(LATE.address, 0, 1_700))
    challenger.answer(day.world.exchange, STRANGER, found.id, day.answer(LATE.address, 0, 700, sequence=1))
    settled(day, found)
    assert day.row(LATE.address)[0] == 1_700
    assert day.free(LATE.address) == before + 1_000 * SURPLUS[0]
    assert pot(day) == POT
    day.assert_sums_are_zero()


def test_whoever_holds_back_a_later_read_loses_what_it_set_at_stake(day: MeteredDay) -> None:
    before = day.free(LATE.address)
    found = opened(day, LATE, day.challenge(LATE.address, 0, 1_700))
    challenger.answer(day.world.exchange, STRANGER, found.id, day.answer(LATE.address, 0, 700, sequence=3))
    assert challenge_of(day.world.exchange, found.id).stage == DEFEATED
    assert (day.row(LATE.address)[0], day.free(LATE.address)) == (700, before - BOND)
    assert pot(day) == POT + BOND
    with pytest.raises(WrongProgress, match="is not open"):
        challenger.settle(day.world.exchange, STRANGER, found.id)
    day.assert_sums_are_zero()


def test_a_meter_that_says_two_things_at_once_is_revoked(day: MeteredDay) -> None:
    exchange = day.world.exchange
    found = opened(day, LATE, day.challenge(LATE.address, 0, 1_700))
    challenger.answer(exchange, STRANGER, found.id, day.answer(LATE.address, 0, 1_800, sequence=2))
    assert challenge_of(exchange, found.id).stage == DEFEATED
    account, x, y = exchange.view("meterOf", meter_of(LATE.address))
    assert (account, any(x), any(y)) == (LATE.address, False, False)
    assert pot(day) == POT + BOND
    assert refusal(day, LATE, day.challenge(LATE.address, 1, 5)) == "BadMeterKey"


def test_a_meter_that_says_two_things_under_one_number_contradicts_what_was_posted(day: MeteredDay) -> None:
    found = opened(day, LATE, day.challenge(LATE.address, 0, 701, sequence=1))
    settled(day, found)
    assert day.row(LATE.address)[0] == 701


def test_a_superseded_read_contradicts_nothing(day: MeteredDay) -> None:
    day.correct(read_of(LATE.address, 0, 650, sequence=4))
    assert refusal(day, LATE, day.challenge(LATE.address, 0, 700, sequence=1)) == "StaleRead"
    assert refusal(day, LATE, day.challenge(LATE.address, 0, 650, sequence=5)) == "NothingContradicted"


def test_a_read_is_brought_once_against_a_run(day: MeteredDay) -> None:
    brought = day.challenge(LATE.address, 0, 1_700)
    found = opened(day, LATE, brought)
    assert refusal(day, LATE, brought) == "AlreadyChallenged"
    assert refusal(day, LATE, day.challenge(LATE.address, 0, 1_800, sequence=3)) == "AlreadyChallenged"
    settled(day, found)
    assert refusal(day, LATE, brought) == "NothingContradicted"


def test_what_was_not_committed_to_or_not_signed_is_refused(day: MeteredDay) -> None:
    brought = day.challenge(LATE.address, 0, 1_700)
    read = brought.read
    forged = replace(read, s=bytes(31) + b"\x01")
    assert refusal(day, LATE, replace(brought, salt=bytes(32))) == "NotCommitted"
    assert refusal(day, LATE, replace(brought, flag=1)) == "NotCommitted"
    assert refusal(day, LATE, replace(brought, read=forged)) == "BadReadSignature"
    high = replace(read, s=(P256_ORDER - int.from_bytes(read.s, "big")).to_bytes(32, "big"))
    assert refusal(day, LATE, replace(brought, read=high)) == "BadReadSignature"
    other = day.answer(CALM.address, 0, 1_700, sequence=2)
    assert refusal(day, LATE, replace(brought, read=other)) == "NotTheSameReading"
    foreign = replace(read, x=other.x, y=other.y)
    assert refusal(day, LATE, replace(brought, read=foreign)) == "BadMeterKey"
    assert refusal(day, CALM, brought) == "NotTheAccount"


def test_nobody_challenges_for_ever(day: MeteredDay) -> None:
    since = corrector.zone_day(day.world.exchange, 0, DAY).since
    day.world.clock.advance_to(since + 10 * DAYS_S + 1)
    assert refusal(day, LATE, day.challenge(LATE.address, 0, 1_700)) == "TooLateToChallenge"


def test_credit_is_held_while_a_challenge_is_open(day: MeteredDay) -> None:
    exchange = day.world.exchange
    exchange.send(LATE, "requestWithdrawal", 1_000)
    found = opened(day, LATE, day.challenge(LATE.address, 0, 1_700))
    assert exchange.view("holdsOf", LATE.address) == (1,)
    with pytest.raises(ContractRevert, match="CreditHeld"):
        exchange.send(LATE, "executeWithdrawal", LATE.address)
    settled(day, found)
    assert exchange.view("holdsOf", LATE.address) == (0,)
    exchange.send(LATE, "executeWithdrawal", LATE.address)


def test_a_correction_waits_for_open_challenges_and_finds_what_they_left(day: MeteredDay) -> None:
    exchange = day.world.exchange
    found = opened(day, LATE, day.challenge(LATE.address, 0, 800))
    early = day.sign_correction(keep=False)
    with pytest.raises(ContractRevert, match="ChallengeOpen"):
        corrector.run(exchange, day.node, early)
    settled(day, found)
    day.upheld = [(LATE.address, DAY, 100)]
    day.correct(read_of(LATE.address, 0, 800, sequence=2), read_of(CALM.address, 0, 60, sequence=2))
    assert (day.row(LATE.address)[0], day.row(CALM.address)[0]) == (800, 60)
    day.assert_sums_are_zero()


def test_a_challenge_that_nobody_settles_is_dropped_in_the_end(day: MeteredDay) -> None:
    exchange, before = day.world.exchange, day.free(LATE.address)
    found = opened(day, LATE, day.challenge(LATE.address, 0, 1_700))
    with pytest.raises(ContractRevert, match="AnswerOpen"):
        challenger.settle(exchange, STRANGER, found.id)
    day.world.clock.advance_to(found.answer_by + 10 * DAYS_S + 1)
    assert challenge_of(exchange, found.id).stage == OPEN
    challenger.drop(exchange, STRANGER, found.id)
    assert (challenge_of(exchange, found.id).stage, day.free(LATE.address)) == (DROPPED, before)
    day.assert_sums_are_zero()


def test_the_precompile_makes_a_challenge_cheap(traded: World, day: MeteredDay) -> None:
    found = opened(day, SELLER, day.challenge(SELLER.address, 0, MWH - 1))
    native = _verifies(traded, day)
    print(f"challengeReading, precompile {native}: {found.step.gas_used:,} gas")
    assert (found.step.gas_used < 500_000) == native
    assert found.step.gas_used < 1_000_000


def _verifies(world: World, day: MeteredDay) -> bool:
    """Whether the chain has the precompile: it answers a valid signature with a word."""
    read = day.answer(LATE.address, 0, 1, sequence=1)
    data = sha256(read.message).digest() + read.r + read.s + read.x + read.y
    call = {"to": P256_VERIFY, "data": to_hex(data)}
    return to_bytes(world.chain.rpc("eth_call", call, "latest"))[-1:] == b"\x01"
