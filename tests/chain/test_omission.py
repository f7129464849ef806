"""Operators that leave out, clear against their word, or never prove: on the chain as in the model, and the
audit follows all of it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from audit_world import audited
from chain_world import GATE, STRANGER, World, key, running_world
from claims_world import (
    BIG,
    BOND,
    BUYER,
    POOR,
    SELLER,
    Bonded,
    fund_operator,
    make_intake,
    member_of,
    open_bonded,
)

from settlement.chain import claims, operator
from settlement.chain.errors import BadReceipt, ContractRevert, UnacceptableOrder, WrongProgress
from settlement.chain.receipts import Kept, cancel_hash, check_receipt, keep
from settlement.reference import orders
from settlement.reference.receipts import SignedReceipt
from settlement.reference.schedule import SELL, Schedule, SignedSchedule

AGENT = key(400)
LOCKED = BOND * 1010
ROUNDS = 12
STEPS = 60


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running_world() as found:
        fund_operator(found)
        yield found


@pytest.fixture
def bonded(turned_back: World) -> Bonded:
    return open_bonded(turned_back)


def test_an_omitted_order_is_paid_and_the_audit_follows(bonded: Bonded) -> None:
    world = bonded.world
    sold, bought = bonded.order(SELLER, side=SELL), bonded.order(BUYER)
    kept = keep(sold, bonded.receipt_of(sold, 3))
    assert Kept.from_json(kept.to_json()) == kept
    bonded.prove(bought)
    assert claims.book_hashes(world.exchange, bonded.session, 0) == bonded.hashes
    claims.claim(world.exchange, STRANGER, bonded.session, kept)
    world.model.claim_omission(
        world.now(), bonded.session.id, 0, kept.record, kept.receipt, bonded.absence(sold)
    )
    with pytest.raises(WrongProgress, match="was not left out"):
        claims.claim(world.exchange, STRANGER, bonded.session, keep(bought, kept.receipt))
    assert bonded.both("release_bond") == "DefenceOpen"
    bonded.pass_defence()
    assert bonded.both("pay_claim", bonded.hash(sold)) == ""
    assert bonded.both("release_bond") == ""
    assert bonded.both("release_bond") == "NothingToRelease"
    bonded.assert_same()
    assert audited(world).ok


def test_the_traders_word_defeats_a_claim(bonded: Bonded) -> None:
    world = bonded.world
    first, other = bonded.order(SELLER, side=SELL), bonded.order(POOR, side=SELL)
    second = bonded.replacing(first)
    third = bonded.replacing(second)
    bonded.prove(bonded.order(BUYER), third)
    for at, order in enumerate((first, other)):
        arguments = (0, bonded.record(order), bonded.receipt_of(order, at), bonded.absence(order))
        assert bonded.both("claim_omission", *arguments) == ""
    chain = [bonded.record(second), bonded.record(third)]
    claims.defend_replaced(world.exchange, STRANGER, bonded.session, bonded.hash(first), 0, chain)
    now = world.now()
    world.model.defend_replaced(now, bonded.hash(first), 0, b"".join(chain), bonded.inclusion(third))
    claims.defend_cancelled(world.exchange, STRANGER, bonded.hash(other), bonded.cancel(other))
    world.model.defend_cancelled(world.now(), bonded.hash(other), 0, b"", bonded.cancel(other))
    bonded.pass_defence()
    assert bonded.both("pay_claim", bonded.hash(first)) == "NoClaim"
    assert bonded.both("release_bond") == ""
    bonded.assert_same()
    assert audited(world).ok


def test_what_was_cleared_against_the_operators_word_is_paid(bonded: Bonded) -> None:
    world = bonded.world
    sold, bought = bonded.order(SELLER, side=SELL), bonded.order(BUYER)
    cancel, again = bonded.cancel(sold), bonded.replacing(bought)
    bonded.prove(bought, sold)
    digest = bonded.receipt(cancel_of(bonded, sold), 1)
    claims.claim_cancelled(world.exchange, STRANGER, bonded.session, keep(sold, digest), cancel, digest)
    arguments = (0, bonded.record(sold), bonded.inclusion(sold), cancel, digest)
    world.model.claim_cancelled(world.now(), bonded.session.id, *arguments)
    kept = keep(again, bonded.receipt_of(again, 2))
    claims.claim_replaced(world.exchange, STRANGER, bonded.session, bonded.record(bought), kept)
    arguments = (0, bonded.record(bought), bonded.inclusion(bought), kept.record, kept.receipt)
    world.model.claim_replaced(world.now(), bonded.session.id, *arguments)
    bonded.pass_defence()
    for order in (sold, bought):
        claims.pay(world.exchange, STRANGER, bonded.hash(order))
        world.model.pay_claim(world.now(), bonded.hash(order))
    claims.release(world.exchange, STRANGER, bonded.session)
    world.model.release_bond(world.now(), bonded.session.id)
    bonded.assert_same()
    assert audited(world).ok


def cancel_of(bonded: Bonded, order: SignedSchedule) -> bytes:
    return cancel_hash(bonded.separator, bonded.session.id, bonded.hash(order))


def test_a_void_session_pays_and_a_forced_order_makes_it_void(
    bonded: Bonded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator leaves a submitted order out: it cannot prove, and pays everyone."""
    world = bonded.world
    sold, bought = bonded.order(SELLER, side=SELL), bonded.order(BUYER)
    assert bonded.both("submit", 0, bonded.record(sold, submitted=True)) == ""
    assert [bonded.hash(one) for one in claims.submitted(world.exchange, bonded.session)] == [
        bonded.hash(sold)
    ]
    monkeypatch.setattr(claims, "submitted", lambda *_: [])
    with pytest.raises(ContractRevert, match="SubmissionOmitted"):
        bonded.prove(bought)
    bonded.pass_deadline()
    assert bonded.both("claim_submitted", 0, bonded.record(sold)) == ""
    assert bonded.both("claim_committed", 0, bonded.record(bought), bonded.inclusion(bought)) == ""
    bonded.pass_defence()
    for order in (sold, bought):
        assert bonded.both("pay_claim", bonded.hash(order)) == ""
    assert bonded.both("release_bond") == ""
    bonded.assert_same()
    assert audited(world).ok


def test_an_operator_that_follows_its_intake_owes_nothing(bonded: Bonded) -> None:
    """Price steps, replacements, cancels and a forced order, and nobody can claim anything of it."""
    world, intake = bonded.world, make_intake(bonded)
    steps = [
        bonded.order(BUYER, nonce=n, limit_micro_per_kwh=(limit,)) for n, limit in ((1, 90_000), (2, 80_000))
    ]
    first, withdrawn = bonded.order(SELLER, side=SELL), bonded.order(POOR, side=SELL)
    forced = bonded.order(BIG, side=SELL, limit_micro_per_kwh=(10_000,))
    second = bonded.replacing(first, limit_micro_per_kwh=(50_000,))
    now = GATE - 100
    taken = [*steps, first, withdrawn, second]
    receipts = {bonded.hash(one): intake.take(now, one, member_of(world, one)) for one in taken}
    assert intake.take(now, second, member_of(world, second)) == receipts[bonded.hash(second)]
    gone = intake.cancel(now, bonded.hash(withdrawn), bonded.cancel(withdrawn))
    assert bonded.both("submit", 0, bonded.record(forced, submitted=True)) == ""
    intake.force(claims.submitted(world.exchange, bonded.session))
    book = intake.book()
    sealed = operator.seal(world.exchange, bonded.session, list(intake.taken.values()))
    assert sealed == operator.seal(world.exchange, bonded.session, book)
    assert {bonded.hash(one) for one in book} == {bonded.hash(one) for one in (*steps, second, forced)}
    bonded.prove(*book)
    for order in taken:
        receipt = receipts[bonded.hash(order)]
        check_receipt(bonded.separator, bonded.session.params, bonded.hash(order), receipt)
        told = bonded.both("claim_omission", 0, bonded.record(order), receipt, bonded.absence(order))
        assert told == ("" if order in (first, withdrawn) else "NotAbsent")
    arguments = (0, bonded.record(withdrawn), bonded.inclusion(withdrawn), bonded.cancel(withdrawn), gone)
    assert bonded.both("claim_cancelled", *arguments) == "NotIncluded"
    assert bonded.both("defend_cancelled", bonded.hash(withdrawn), 0, b"", bonded.cancel(withdrawn)) == ""
    arguments = (bonded.hash(first), 0, bonded.record(second), bonded.inclusion(second))
    assert bonded.both("defend_replaced", *arguments) == ""
    bonded.pass_defence()
    assert bonded.both("release_bond") == ""
    assert world.exchange.cash(world.operator.address).free == 10**13
    bonded.assert_same()


def test_the_intake_refuses_what_it_could_not_keep_its_word_on(bonded: Bonded) -> None:
    world, intake, now = bonded.world, make_intake(bonded), GATE - 100
    sold = bonded.order(SELLER, side=SELL, quantity_wh=(4_000,))
    member = member_of(world, sold)
    intake.take(now, sold, member)
    forced = bonded.order(BUYER)
    intake.take(now, forced, member_of(world, forced))
    intake.force([forced])

    def refused(match: str, order: SignedSchedule, at: int = now) -> None:
        with pytest.raises(UnacceptableOrder, match=match):
            intake.take(at, order, member_of(world, order))

    refused("the gate has closed", bonded.order(POOR), GATE)
    refused("exceeds 32767", bonded.order(SELLER, side=SELL, nonce=2, quantity_wh=(28_768,)))
    refused("is not in the book", bonded.replacing(bonded.order(SELLER, side=SELL, nonce=9)))
    refused("another trader's", bonded.world.sign(_replaced_by(bonded, sold, BIG.address)))
    refused("stays", bonded.replacing(forced))
    with pytest.raises(UnacceptableOrder, match="stays"):
        intake.cancel(now, bonded.hash(forced), bonded.cancel(forced))
    with pytest.raises(UnacceptableOrder, match="another account"):
        intake.cancel(now, bonded.hash(sold), bonded.cancel(sold, BUYER))
    receipt = intake.cancel(now, bonded.hash(sold), bonded.cancel(sold))
    assert intake.cancel(now, bonded.hash(sold), bonded.cancel(sold)) == receipt
    with pytest.raises(UnacceptableOrder):
        intake.cancel(now, bonded.hash(sold), b"")
    refused("replaced or cancelled", sold)
    assert [bonded.hash(one) for one in intake.book()] == [bonded.hash(forced)]


def _replaced_by(bonded: Bonded, order: SignedSchedule, trader: bytes) -> Schedule:
    return replace(order.schedule, replaces=bonded.hash(order), trader=trader)


def test_a_receipt_that_nobody_pays_for_is_not_believed(bonded: Bonded) -> None:
    sold, params = bonded.order(SELLER, side=SELL), bonded.session.params
    order_hash = bonded.hash(sold)
    good = bonded.receipt_of(sold, 999)
    check_receipt(bonded.separator, params, order_hash, good)
    for bad, match in (
        (bonded.receipt_of(sold, 1000), "not below"),
        (bonded.receipt(order_hash, 0, SELLER), "receipt signer"),
        (SignedReceipt(998, good.signature), "receipt signer"),
        (SignedReceipt(0, b""), "none"),
    ):
        with pytest.raises(BadReceipt, match=match):
            check_receipt(bonded.separator, params, order_hash, bad)


# Whatever anybody does ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_chain_and_model_agree_whatever_anybody_does(turned_back: World, seed: int) -> None:
    """Calls at random, by the book and not: both do the same or refuse for the same reason."""
    dice = random.Random(seed)
    bonded = open_bonded(turned_back, max_orders=dice.choice((2, 1000)), max_submitted=2)
    play = Play(bonded, dice)
    for _ in range(10):
        play.submit()
    play.end()
    for _ in range(STEPS):
        play.step()
    for closed in (
        bonded.session.params.claim_by + 1,
        turned_back.model.defended_until(bonded.session.id) + 1,
    ):
        turned_back.clock.advance_to(closed)
        for _ in range(STEPS // 2):
            play.step()
    for _ in range(2):
        for order in play.orders:
            bonded.both("pay_claim", bonded.hash(order))
        bonded.both("release_bond")
    bonded.assert_same()
    assert audited(turned_back).ok


class Play:
    """One session and everybody's wits."""

    def __init__(self, bonded: Bonded, dice: random.Random) -> None:
        self.bonded, self.dice, self.proved = bonded, dice, False
        first = [
            bonded.order(who, side=side, nonce=n)
            for who in (BUYER, SELLER)
            for side in (0, 1)
            for n in (1, 7)
        ]
        second = [bonded.replacing(one) for one in first[::2]]
        third = [bonded.replacing(one) for one in second[::2]]
        self.orders = [*first, *second, *third, *self.of_an_agent(first[:4])]

    def of_an_agent(self, own: list[SignedSchedule]) -> list[SignedSchedule]:
        """Orders that it signs for the buyer, and what takes their place, or the place of the buyer's own."""
        bonded, dice = self.bonded, self.dice
        first = [bonded.by(AGENT, one) for one in own]
        second = [bonded.by(AGENT, bonded.replacing(one)) for one in first]
        third = [bonded.replacing(one) for one in second[:2]]
        never = [bonded.by(AGENT, bonded.replacing(one)) for one in own[2:]]
        self.granted = dice.random() < 0.85
        if self.granted:
            bonded.grant(BUYER, AGENT)
        return [*first, *second, *third, *never]

    def revoke(self) -> None:
        if self.granted and self.dice.random() < 0.3:
            self.granted = False
            self.bonded.revoke(BUYER, AGENT)

    def readable(self, order: SignedSchedule) -> bool:
        """Whether it may be in a book."""
        signer = orders.signed_hash(self.bonded.separator, order)[1]
        keys = self.bonded.world.model.state.keys
        return signer == order.schedule.trader or (order.schedule.trader, signer) in keys

    def pick(self) -> SignedSchedule:
        return self.dice.choice(self.orders)

    def submit(self) -> None:
        submitted = self.dice.random() < 0.9
        self.bonded.both("submit", self.dice.choice((0, 0, 0, 1)), self.bonded.record(self.pick(), submitted))

    def end(self) -> None:
        """Proved, committed and void, or never committed."""
        world, bonded = self.bonded.world, self.bonded
        forced = [one for one in self.orders if bonded.hash(one) in world.model.state.submitted]
        most = min(len(self.orders), bonded.session.params.max_orders)
        self.revoke()
        readable = [one for one in self.orders if self.readable(one)]
        chosen = self.dice.sample(readable, min(self.dice.randrange(most + 1), len(readable)))
        book = {bonded.hash(one): one for one in chosen}
        book |= {bonded.hash(one): replace(one, submitted=True) for one in forced}
        how = self.dice.choice(("prove", "prove", "commit", "silent"))
        self.proved = how == "prove"
        if how == "prove":
            bonded.prove(*book.values())
        elif how == "commit":
            bonded.commit(*book.values())
        if how != "prove":
            self.bonded.both("claim_void", 0, bonded.record(self.pick()), bonded.receipt_of(self.pick()))
            bonded.pass_deadline()
        self.revoke()

    def step(self) -> None:
        dice, bonded = self.dice, self.bonded
        order, other = self.pick(), self.pick()
        record, hash_ = bonded.record(order), bonded.hash(order)
        receipt = bonded.receipt_of(order, dice.choice((0, 1, 1, 1000)))
        if dice.random() < 0.1:
            receipt = dice.choice(
                (bonded.receipt_of(other), SignedReceipt(0, bytes(65)), SignedReceipt(1, b""))
            )
        cancel = bonded.cancel(order, dice.choice((None, None, BUYER, AGENT, AGENT)))
        cancel_receipt = bonded.receipt(cancel_of(bonded, order), 1)
        again = dice.choice([*self.orders, bonded.replacing(order)])
        shown = [order, *self.chain(order)][dice.randrange(2) : 1 + dice.randrange(3)]
        chain = b"".join(bonded.record(one) for one in shown)
        proved = (
            ("claim_omission", 0, record, receipt, bonded.absence(dice.choice((order, order, other)))),
            ("claim_cancelled", 0, record, bonded.inclusion(order), cancel, cancel_receipt),
            (
                *("claim_replaced", 0, record, bonded.inclusion(order)),
                *(bonded.record(again), bonded.receipt_of(again, 1)),
            ),
        )
        void = (
            ("claim_void", dice.choice((0, 0, 0, 0, 1)), record, receipt),
            ("claim_committed", 0, record, bonded.inclusion(dice.choice((order, order, other)))),
            ("claim_submitted", 0, record),
        )
        last = bonded.cancel(shown[-1], dice.choice((None, AGENT))) if chain else cancel
        late = (
            ("defend_cancelled", hash_, 0, chain, last),
            ("defend_replaced", hash_, 0, chain, bonded.inclusion(dice.choice([order, *self.chain(order)]))),
            ("pay_claim", hash_),
            ("release_bond",),
        )
        fitting = proved if self.proved else void
        some = dice.choices((fitting, late, proved + void), (5, 3, 1))[0]
        bonded.both(*dice.choice(some))

    def chain(self, order: SignedSchedule) -> list[SignedSchedule]:
        """The orders that replace it, one after another."""
        found = [one for one in self.orders if one.schedule.replaces == self.bonded.hash(order)]
        return [found[0], *self.chain(found[0])] if found else []
