"""A meter's word against a posting: what upholds a challenge, what defeats it, and who pays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from correction_world import (
    BOND,
    DEFICIT,
    HOMES,
    LATER,
    POT,
    SURPLUS,
    Day,
    certified_day,
    meter_of,
    read_of,
    secret_of,
    sign_read,
    signed_challenge,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_world import (
    BALANCING_ADDRESS,
    BUYER,
    DAY,
    OTHER,
    RICH,
    SELLER,
    WINDOW_LENGTH,
    WINDOWS,
)

from settlement.reference import errors, p256, reading
from settlement.reference.challenge import ReadingChallenge, SignedRead
from settlement.reference.exchange import Exchange
from settlement.reference.exchange.challenging import ANSWER_WINDOW_S
from settlement.reference.exchange.events import (
    ChallengeAnswered,
    ChallengeDropped,
    ChallengeSettled,
    MeterRevoked,
    ReadingChallenged,
)
from settlement.reference.exchange.metering import CHALLENGE_WINDOW_S
from settlement.reference.exchange.state import ChallengeStage
from settlement.reference.posting import ACTUAL, ESTIMATED
from settlement.reference.reading import IMPORT

BASES = {flag: certified_day(flags=dict.fromkeys(HOMES, flag)) for flag in (ACTUAL, ESTIMATED)}
AFTER = LATER + ANSWER_WINDOW_S + 1


def fresh(flag: int = ACTUAL) -> Day:
    """A certified day whose readings were all committed with a flag."""
    base = BASES[flag]
    exchange = object.__new__(Exchange)
    exchange.__dict__.update(base.exchange.__dict__, state=base.exchange.state.copy())
    parts = {zone: [list(part) for part in each] for zone, each in base.settler.parts.items()}
    return replace(
        base, exchange=exchange, settler=replace(base.settler, exchange=exchange, parts=parts), runs=[]
    )


def opened(day: Day, account: bytes = SELLER, window: int = 0, wh: int = 900, **changes: Any) -> bytes:
    return day.exchange.challenge_reading(LATER, account, day.challenge(account, window, wh, **changes))


def answer(day: Day, id_: bytes, read: SignedRead, now: int = LATER) -> None:
    day.exchange.answer_challenge(now, id_, read)


def said(account: bytes, window: int, wh: int, sequence: int) -> SignedRead:
    return sign_read(read_of(account, window, wh, sequence), secret_of(account))


# Upheld -------------------------------------------------------------------------------------------------


def test_a_challenge_that_nobody_answers_corrects_the_imbalance_and_costs_the_oracles_its_bond() -> None:
    day = fresh()
    before, row = day.free(SELLER), day.settler.imbalance(SELLER)
    id_ = opened(day)
    assert day.free(SELLER) == before - BOND
    day.settle_challenge(id_, AFTER)
    assert day.settler.imbalance(SELLER) == (row[0] + 200, *row[1:])
    assert day.free(SELLER) == before + 200 * SURPLUS[0] + BOND
    assert day.exchange.state.pot == POT - BOND
    told = [event for event in day.exchange.events if isinstance(event, ChallengeSettled)]
    assert told == [ChallengeSettled(id_, 0, DAY, -200, -200 * SURPLUS[0], BOND)]
    day.assert_conserved()


def test_an_import_that_was_less_raises_the_imbalance() -> None:
    day = fresh()
    row = day.settler.imbalance(BUYER)
    id_ = opened(day, BUYER, 0, 1000, register=IMPORT)
    day.settle_challenge(id_, AFTER)
    assert day.settler.imbalance(BUYER)[0] == row[0] + 200


def test_an_estimate_is_corrected_at_no_cost_to_the_oracles() -> None:
    day = fresh(ESTIMATED)
    before = day.free(SELLER)
    day.settle_challenge(opened(day), AFTER)
    assert (day.free(SELLER), day.exchange.state.pot) == (before + 200 * SURPLUS[0], POT)


def test_oracles_who_posted_what_the_meter_had_said_pay_nothing() -> None:
    day = fresh()
    before = day.free(SELLER)
    id_ = opened(day)
    answer(day, id_, said(SELLER, 0, 700, 1))
    assert day.exchange.events[-1] == ChallengeAnswered(id_, False)
    with pytest.raises(errors.AnswerOpen):
        day.settle_challenge(id_, LATER)
    day.settle_challenge(id_, AFTER)
    assert (day.free(SELLER), day.exchange.state.pot) == (before + 200 * SURPLUS[0], POT)


def test_the_oracles_pay_no_more_than_they_set_aside() -> None:
    day = fresh()
    day.exchange.set_challenge_bond(POT + 1)
    day.settle_challenge(opened(day), AFTER)
    assert day.exchange.state.pot == 0
    day.assert_conserved()


def test_a_challenge_changes_the_link_and_not_the_time_to_challenge() -> None:
    day = fresh()
    link, since = day.link, day.exchange.zone_day(0, DAY).since
    day.settle_challenge(opened(day), AFTER)
    assert day.link != link
    assert day.exchange.zone_day(0, DAY).since == since


def test_what_was_upheld_stands_until_the_next_run() -> None:
    day = fresh()
    day.settle_challenge(opened(day, wh=900, sequence=5), AFTER)
    with pytest.raises(errors.StaleRead):
        opened(day, wh=800, sequence=4)
    with pytest.raises(errors.NothingContradicted):
        opened(day, wh=900, sequence=6)
    day.settle_challenge(opened(day, wh=850, sequence=6), AFTER)
    assert day.settler.imbalance(SELLER)[0] == 150
    day.correct({})
    opened(day, wh=820, sequence=2)


def test_what_a_challenge_corrected_costs_the_oracles_nothing_more() -> None:
    day = fresh()
    day.settle_challenge(opened(day, wh=900, sequence=5), AFTER)
    pot = day.exchange.state.pot
    day.settle_challenge(opened(day, wh=850, sequence=6), AFTER)
    assert day.exchange.state.pot == pot


def test_a_challenge_that_nobody_settles_is_dropped_and_its_bond_returns() -> None:
    day = fresh()
    before, row = day.free(SELLER), day.settler.imbalance(SELLER)
    id_ = opened(day)
    until = LATER + ANSWER_WINDOW_S + CHALLENGE_WINDOW_S
    with pytest.raises(errors.AnswerOpen):
        day.exchange.drop_challenge(until, id_)
    day.exchange.drop_challenge(until + 1, id_)
    assert (day.free(SELLER), day.settler.imbalance(SELLER)) == (before, row)
    assert day.exchange.events[-1] == ChallengeDropped(id_)
    assert day.exchange.zone_day(0, DAY).open == 0
    with pytest.raises(errors.NoChallenge):
        day.settle_challenge(id_, until + 1)


# Defeated -----------------------------------------------------------------------------------------------


def test_a_later_read_defeats_a_challenge_and_its_bond_goes_to_the_oracles() -> None:
    day = fresh()
    before = day.free(SELLER)
    id_ = opened(day)
    answer(day, id_, said(SELLER, 0, 700, 3), now=LATER + ANSWER_WINDOW_S)
    assert day.exchange.state.challenges[id_].stage is ChallengeStage.DEFEATED
    assert (day.free(SELLER), day.exchange.state.pot) == (before - BOND, POT + BOND)
    with pytest.raises(errors.NoChallenge):
        day.settle_challenge(id_, AFTER)
    day.assert_conserved()


def test_a_meter_that_said_two_things_is_revoked() -> None:
    day = fresh()
    id_ = opened(day)
    answer(day, id_, said(SELLER, 0, 899, 2))
    assert day.exchange.state.meters[meter_of(SELLER)].key is None
    assert MeterRevoked(meter_of(SELLER)) in day.exchange.events
    with pytest.raises(errors.BadMeterKey):
        opened(day, window=1, wh=5)


def test_a_meter_revoked_after_it_was_opened_still_settles_it() -> None:
    day = fresh()
    id_ = opened(day)
    day.exchange.revoke_meter(LATER, meter_of(SELLER))
    day.settle_challenge(id_, AFTER)
    assert day.settler.imbalance(SELLER)[0] == 200


@pytest.mark.parametrize(("wh", "sequence"), [(900, 3), (900, 2), (900, 1), (701, 1), (700, 0)])
def test_an_answer_that_shows_nothing_is_refused(wh: int, sequence: int) -> None:
    day = fresh()
    id_ = opened(day)
    with pytest.raises(errors.IrrelevantAnswer):
        answer(day, id_, said(SELLER, 0, wh, sequence))


def test_the_committed_message_of_an_estimate_is_no_answer() -> None:
    day = fresh(ESTIMATED)
    id_ = opened(day)
    with pytest.raises(errors.IrrelevantAnswer):
        answer(day, id_, said(SELLER, 0, 700, 1))


def test_answers_are_of_the_same_reading_signed_by_the_meter_and_in_time() -> None:
    day = fresh()
    id_ = opened(day)
    with pytest.raises(errors.NotTheSameReading):
        answer(day, id_, said(SELLER, 1, 700, 3))
    with pytest.raises(errors.BadMeterKey):
        answer(day, id_, sign_read(read_of(SELLER, 0, 700, 3), secret_of(BUYER)))
    with pytest.raises(errors.BadReadSignature):
        answer(day, id_, replace(said(SELLER, 0, 700, 3), r=b"\x01" * 32))
    with pytest.raises(errors.AnswerClosed):
        answer(day, id_, said(SELLER, 0, 700, 3), now=AFTER)
    with pytest.raises(errors.NoChallenge):
        answer(day, bytes(32), said(SELLER, 0, 700, 3))


# What a challenge must be -------------------------------------------------------------------------------


def test_a_challenge_tells_what_was_read_and_until_when_it_may_be_answered() -> None:
    day = fresh()
    id_ = opened(day)
    read = read_of(SELLER, 0, 900, 2)
    told = ReadingChallenged(id_, SELLER, 0, DAY, read, LATER + ANSWER_WINDOW_S)
    assert day.exchange.events[-1] == told


def test_anyone_may_send_what_the_account_signed() -> None:
    day = fresh()
    brought = day.challenge(SELLER, 0, 900)
    with pytest.raises(errors.NotTheAccount):
        day.exchange.challenge_reading(LATER, OTHER, brought)
    with pytest.raises(errors.NotTheAccount):
        day.exchange.challenge_reading(LATER, OTHER, signed_challenge(day, OTHER, brought))
    day.exchange.challenge_reading(LATER, OTHER, signed_challenge(day, SELLER, brought))
    assert day.exchange.state.holds == {SELLER: 1}


def _broken(day: Day) -> dict[str, tuple[ReadingChallenge, type[errors.Refused]]]:
    plain = day.challenge(SELLER, 0, 900)
    length = replace(read_of(SELLER, 0, 900, 2), window_length=WINDOW_LENGTH * 2)
    big = read_of(SELLER, 0, 2**30, 2)
    high = p256.ORDER - int.from_bytes(plain.read.s, "big")
    return {
        "flag": (replace(plain, flag=ESTIMATED), errors.NotCommitted),
        "salt": (replace(plain, salt=bytes(32)), errors.NotCommitted),
        "index": (replace(plain, index=plain.index + 1), errors.NotCommitted),
        "beyond": (replace(plain, index=2**20), errors.NotCommitted),
        "proof": (replace(plain, proof=plain.proof[1:]), errors.NotCommitted),
        "committed": (replace(plain, committed=plain.committed[:-1]), errors.NotCommitted),
        "window": (replace(plain, read=said(SELLER, 1, 900, 2)), errors.NotTheSameReading),
        "meter": (replace(plain, read=said(BUYER, 0, 900, 2)), errors.NotTheSameReading),
        "length": (replace(plain, read=sign_read(length, secret_of(SELLER))), errors.NotTheSameReading),
        "energy": (replace(plain, read=sign_read(big, secret_of(SELLER))), errors.NotTheSameReading),
        "version": (
            replace(plain, read=sign_read(b"\x02" + plain.read.message[1:], secret_of(SELLER))),
            errors.NotTheSameReading,
        ),
        "cut": (
            replace(plain, read=sign_read(plain.read.message[:-1], secret_of(SELLER))),
            errors.NotTheSameReading,
        ),
        "key": (
            replace(plain, read=sign_read(plain.read.message, secret_of(BUYER))),
            errors.BadMeterKey,
        ),
        "high s": (
            replace(plain, read=replace(plain.read, s=high.to_bytes(32, "big"))),
            errors.BadReadSignature,
        ),
        "zone": (replace(plain, zone=1), errors.CorrectionsNotOpen),
        "day": (replace(plain, day=DAY + 1), errors.CorrectionsNotOpen),
    }


@pytest.mark.parametrize("name", _broken(BASES[ACTUAL]))
def test_a_challenge_that_shows_nothing_is_refused(name: str) -> None:
    day = fresh()
    brought, error = _broken(day)[name]
    with pytest.raises(error):
        day.exchange.challenge_reading(LATER, SELLER, brought)


def test_a_read_must_be_as_late_as_what_stands_and_say_something_else() -> None:
    day = fresh()
    with pytest.raises(errors.StaleRead):
        opened(day, sequence=0)
    with pytest.raises(errors.NothingContradicted):
        opened(day, wh=700)
    opened(day, wh=701, sequence=1)


def test_a_read_is_brought_once_and_a_reading_challenged_once_at_a_time() -> None:
    day = fresh()
    id_ = opened(day)
    for sequence in (2, 3):
        with pytest.raises(errors.AlreadyChallenged):
            opened(day, sequence=sequence)
    opened(day, window=2, wh=1)
    answer(day, id_, said(SELLER, 0, 700, 4))
    with pytest.raises(errors.AlreadyChallenged):
        opened(day)
    opened(day, sequence=3)


def test_a_read_may_be_brought_again_against_a_run_that_forgets_it() -> None:
    day = fresh()
    day.settle_challenge(opened(day), AFTER)
    day.correct({SELLER: (-200, 0, 0, 0)})
    day.settle_challenge(opened(day), AFTER)
    assert day.settler.imbalance(SELLER)[0] == 200


def test_a_run_can_be_challenged_for_a_time_and_puts_off_a_later_one_that_has_not_begun() -> None:
    day = fresh()
    until, brought = LATER + CHALLENGE_WINDOW_S, day.challenge(SELLER, 0, 900)
    with pytest.raises(errors.TooLateToChallenge):
        day.exchange.challenge_reading(until + 1, SELLER, brought)
    day.post(day.correction({OTHER: (1, 0, 0, 0)}))
    day.exchange.challenge_reading(until, SELLER, brought)
    assert day.exchange.zone_day(0, DAY).pending == bytes(32), "to be signed anew"


def test_no_run_begins_while_a_challenge_is_open() -> None:
    day = fresh()
    id_ = opened(day)
    with pytest.raises(errors.ChallengeOpen):
        day.correct({})
    day.settle_challenge(id_, AFTER)
    day.correct({})


def test_nothing_is_settled_before_the_time_to_answer_is_over_or_at_other_prices() -> None:
    day = fresh()
    id_ = opened(day)
    with pytest.raises(errors.AnswerOpen):
        day.settle_challenge(id_, AFTER - 1)
    brought = day.settler.statement(0, day.part_of(SELLER), [SELLER])
    other = next(part for part in range(3) if part != day.part_of(SELLER))
    elsewhere = day.settler.statement(0, other)
    with pytest.raises(errors.NotInStatement):
        day.exchange.settle_challenge(AFTER, id_, elsewhere, other, SURPLUS, DEFICIT)
    with pytest.raises(errors.BadPosting):
        day.exchange.settle_challenge(AFTER, id_, brought, day.part_of(SELLER), DEFICIT, DEFICIT)
    with pytest.raises(errors.WrongStatement):
        day.exchange.settle_challenge(AFTER, id_, brought, other, SURPLUS, DEFICIT)


# Bonds and credit ---------------------------------------------------------------------------------------


def test_only_the_challengers_withdrawals_wait() -> None:
    day = fresh()
    for account in (SELLER, BUYER):
        day.exchange.request_withdrawal(LATER, account, 1)
    id_ = opened(day)
    day.exchange.execute_withdrawal(LATER, BUYER)
    with pytest.raises(errors.CreditHeld):
        day.exchange.execute_withdrawal(LATER, SELLER)
    day.settle_challenge(id_, AFTER)
    day.exchange.execute_withdrawal(AFTER, SELLER)


def test_who_has_not_the_bond_free_cannot_challenge_unless_it_is_free_of_charge() -> None:
    day = fresh()
    day.exchange.set_challenge_bond(2 * RICH)
    with pytest.raises(errors.CannotBond):
        opened(day)
    day.exchange.set_challenge_bond(0)
    opened(day)


def test_the_oracles_bond_stays_while_a_run_can_be_challenged() -> None:
    day = fresh()
    party, until = BALANCING_ADDRESS, LATER + CHALLENGE_WINDOW_S
    id_ = opened(day)
    with pytest.raises(errors.PotLocked):
        day.exchange.unbond_oracles(until + 1, party, 1)
    day.settle_challenge(id_, AFTER)
    with pytest.raises(errors.PotLocked):
        day.exchange.unbond_oracles(until, party, 1)
    with pytest.raises(errors.InsufficientCash):
        day.exchange.unbond_oracles(until + 1, party, POT)
    day.exchange.unbond_oracles(until + 1, party, POT - BOND)
    assert day.exchange.state.pot == 0
    day.assert_conserved()


def test_only_members_bond_what_they_have() -> None:
    day = fresh()
    with pytest.raises(errors.NotMember):
        day.exchange.bond_oracles(LATER, b"\x07" * 20, 1)
    with pytest.raises(errors.InsufficientCash):
        day.exchange.bond_oracles(LATER, BUYER, 2 * RICH)


def test_oracles_post_nothing_unless_they_could_pay_a_challenge() -> None:
    with pytest.raises(errors.OraclesUnbonded):
        certified_day(pot=BOND - 1)


# Random histories ---------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(HOMES),
        st.integers(0, WINDOWS - 1),
        st.integers(0, 3000),
        st.sampled_from(["unanswered", "explained", "defeated", "corrected"]),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=12, deadline=None)
@given(STEPS, st.sampled_from([ACTUAL, ESTIMATED]))
def test_cash_and_energy_are_conserved_whatever_becomes_of_challenges(
    steps: list[tuple[bytes, int, int, str]], flag: int
) -> None:
    day = fresh(flag)
    total = _total(day)
    for number, (account, window, wh, outcome) in enumerate(steps):
        if outcome == "corrected":
            day.correct({account: tuple(wh + 1 if at == window else 0 for at in range(WINDOWS))})
        else:
            _challenged(day, account, window, wh, outcome, 10 * (number + 1))
        day.assert_conserved()
        assert _total(day) == total
    assert not any(day.exchange.state.holds.values())
    assert not day.exchange.state.under_challenge
    assert day.exchange.zone_day(0, DAY).open == 0


def _total(day: Day) -> int:
    """Cash of all accounts, bonds and the pot."""
    return sum(day.free(account) for account in day.exchange.state.members) + day.exchange.state.pot


def _challenged(day: Day, account: bytes, window: int, wh: int, outcome: str, sequence: int) -> None:
    try:
        id_ = opened(day, account, window, wh, sequence=sequence)
    except errors.NothingContradicted:
        return
    found = day.exchange.state.challenges[id_]
    if outcome == "defeated":
        answer(day, id_, said(account, window, wh + 1, sequence + 1))
        return
    if outcome == "explained" and found.actual:
        answer(day, id_, sign_read(reading.encode(found.standing), secret_of(account)))
    day.settle_challenge(id_, AFTER)
