"""The intake: its rules are the plain ones, whatever it remembers; its fast hashes are the reference's."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.chain import packed
from settlement.chain.books import Session, asked, check_order, name
from settlement.chain.errors import UnacceptableOrder
from settlement.chain.intake import MOST_RECEIPTS, Booked, Intake
from settlement.chain.receipts import cancel_hash, sign_cancel
from settlement.chain.sign import Signer, sign_flexible, sign_schedule
from settlement.reference import orders
from settlement.reference.accounts import PROSUMER, Member
from settlement.reference.errors import MalformedRecord, Refused
from settlement.reference.flexible import FlexibleSchedule
from settlement.reference.orders import SignedOrder
from settlement.reference.receipts import Cancel
from settlement.reference.record import NO_HASH
from settlement.reference.schedule import Schedule, SignedSchedule
from settlement.reference.session import SessionParams, single_zone

SEPARATOR = b"\x05" * 32
RECEIPTS, *TRADERS = (Signer(bytes(31) + bytes([number])) for number in range(1, 4))
MEMBER = Member(PROSUMER, 0, 5, 8_000)
HALF_LANE = 2**15 - 1
PARAMS = SessionParams(
    kind=0,
    round=0,
    windows=4,
    grid_version=1,
    day=100,
    first_window=100,
    gate=1_000,
    commit_by=2_000,
    prove_by=3_000,
    floor=-1_000,
    cap=1_000,
    buy_reserve=0,
    sell_reserve=0,
    imbalance_min=0,
    imbalance_max=0,
    max_orders=70,
    max_submitted=5,
    bond_nano=1,
    claim_by=9_000,
    receipt_signer=RECEIPTS.address,
    certificate_run=0,
)
SESSION = Session(1, PARAMS, single_zone((0, 5), [(1, 0)]))


class PlainIntake:
    """The rules as they read: everything is looked for in everything that was taken."""

    def __init__(self) -> None:
        self.taken: dict[bytes, SignedOrder] = {}
        self.out: set[bytes] = set()
        self.sequences: dict[bytes, int] = {}
        self.given: Counter[bytes] = Counter()

    def take(self, now: int, order: SignedOrder) -> int:
        one, hash_ = order.schedule, orders.order_hash(SEPARATOR, order.schedule)
        if hash_ in self.taken:
            return self.sequences[hash_]
        self.require(now < PARAMS.gate and hash_ not in self.out)
        check_order(SESSION, name(SEPARATOR, order), MEMBER)
        if one.replaces != NO_HASH:
            self.require(one.replaces in self.taken)
            self.require(self.taken[one.replaces].schedule.trader == one.trader)
        totals = Counter(dict(asked(one)))
        for other, held in self.taken.items():
            place = (held.schedule.trader, held.schedule.side, held.schedule.quality)
            if other != one.replaces and place == (one.trader, one.side, one.quality):
                totals.update(dict(asked(held.schedule)))
        self.require(max(totals.values()) <= HALF_LANE)
        sequence = self.give(hash_, one.trader)
        self.taken.pop(one.replaces, None)
        self.out |= {one.replaces} - {NO_HASH}
        self.taken[hash_] = order
        return sequence

    def cancel(self, now: int, hash_: bytes) -> int:
        digest = cancel_hash(SEPARATOR, SESSION.id, hash_)
        if digest in self.sequences:
            return self.sequences[digest]
        self.require(now < PARAMS.gate and hash_ in self.taken)
        sequence = self.give(digest, self.taken[hash_].schedule.trader, 2 * MOST_RECEIPTS)
        del self.taken[hash_]
        self.out.add(hash_)
        return sequence

    def give(self, hash_: bytes, trader: bytes, most: int = MOST_RECEIPTS) -> int:
        self.require(len(self.sequences) < PARAMS.max_orders and self.given[trader] < most)
        self.sequences[hash_] = len(self.sequences)
        self.given[trader] += 1
        return self.sequences[hash_]

    @staticmethod
    def require(holds: bool) -> None:
        if not holds:
            raise UnacceptableOrder(bytes(32), "no")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "take", "replace", "cancel", "again", "restart", "late"]),
        st.integers(0, 1),  # trader
        st.integers(0, 1),  # side
        st.integers(100, 102),  # first window
        st.lists(st.integers(0, 20_000), min_size=1, max_size=3),
        st.booleans(),  # flexible
        st.integers(0, 50),  # which earlier order
    ),
    max_size=30,
)


def make(number: int, step: Any, replaces: bytes) -> SignedOrder:
    _, trader, side, first, wh, flexible, _ = step
    signer = TRADERS[trader]
    if flexible:
        one = FlexibleSchedule(
            signer.address, SESSION.id, 0, side, 0, first, 2, number, sum(wh), wh[0], 5, replaces
        )
        return sign_flexible(signer, SEPARATOR, one)
    limits = (7,) * len(wh)
    plain = Schedule(signer.address, SESSION.id, 0, side, 0, 0, first, number, tuple(wh), limits, replaces)
    return sign_schedule(signer, SEPARATOR, plain)


def same(call: Any, plain: Any, *first: Any, more: Any) -> None:
    """Both give the same sequence, or both refuse. `more` is what only the intake asks for."""
    found: list[int | None] = []
    for each in (lambda: call(*first, more).sequence, lambda: plain(*first)):
        try:
            found.append(each())
        except UnacceptableOrder:
            found.append(None)
    assert found[0] == found[1]


def restarted(intake: Intake, booked: list[Booked]) -> Intake:
    """The intake of a process that has only what was written down, read in another order."""
    found = Intake(SEPARATOR, SESSION, RECEIPTS)
    for one in reversed(booked):
        found.restore(one, intake.receipts[one.hash], is_in=one.hash in intake.entries)
    return found


class Noting(Intake):
    """Remembers what is to be written down."""

    def sign(self, booked: Booked) -> Any:
        self.__dict__.setdefault("booked", []).append(booked)
        return super().sign(booked)


@given(STEPS)
@settings(deadline=None, max_examples=60)
def test_whatever_is_sent_in_whatever_order_and_through_restarts_the_rules_are_the_plain_ones(
    steps: list[Any],
) -> None:
    intake, plain, sent = Noting(SEPARATOR, SESSION, RECEIPTS), PlainIntake(), list[SignedOrder]()
    for number, step in enumerate(steps):
        what, now = step[0], PARAMS.gate if step[0] == "late" else 10
        earlier = sent[step[-1] % len(sent)] if sent else None
        hash_ = orders.order_hash(SEPARATOR, earlier.schedule) if earlier else NO_HASH
        if what == "restart":
            before = intake.__dict__.get("booked", [])
            found = restarted(intake, before)
            intake = Noting(**{name: getattr(found, name) for name in found.__dataclass_fields__})
            intake.__dict__["booked"] = before
        elif what == "cancel" and earlier is not None:
            signer = next(one for one in TRADERS if one.address == earlier.schedule.trader)
            signature = sign_cancel(signer, SEPARATOR, Cancel(hash_, SESSION.id))
            same(intake.cancel, plain.cancel, 10, hash_, more=signature)
        else:
            order = make(number, step, hash_ if what == "replace" else NO_HASH)
            order = earlier if what == "again" and earlier is not None else order
            sent.append(order)
            same(intake.take, plain.take, now, order, more=MEMBER)
        assert {h: replace(o, submitted=False) for h, o in plain.taken.items()} == intake.taken
        assert intake.next_sequence == len(plain.sequences)


def test_a_session_s_receipts_and_a_trader_s_are_counted() -> None:
    intake = Intake(SEPARATOR, SESSION, RECEIPTS)
    tiny = ("take", 0, 0, 100, [1], False, 0)
    for number in range(MOST_RECEIPTS):
        intake.take(1, make(number, tiny, NO_HASH), MEMBER)
    with pytest.raises(UnacceptableOrder, match="no receipts left"):
        intake.take(1, make(MOST_RECEIPTS, tiny, NO_HASH), MEMBER)
    withdrawn = orders.order_hash(SEPARATOR, make(0, tiny, NO_HASH).schedule)
    intake.cancel(1, withdrawn, sign_cancel(TRADERS[0], SEPARATOR, Cancel(withdrawn, SESSION.id)))
    for number in range(PARAMS.max_orders - MOST_RECEIPTS - 1):
        intake.take(1, make(number, ("take", 1, *tiny[2:]), NO_HASH), MEMBER)
    with pytest.raises(UnacceptableOrder, match="no receipts left"):
        intake.take(1, make(99, ("take", 1, *tiny[2:]), NO_HASH), MEMBER)


# Fast hashes and records --------------------------------------------------------------------------------

WORDS = st.integers(-3, 2**33)
SCHEDULES = st.builds(
    Schedule,
    trader=st.binary(min_size=19, max_size=20),
    session=st.binary(min_size=32, max_size=33),
    zone=WORDS,
    side=st.integers(-1, 2),
    kind=st.integers(-1, 256),
    quality=st.integers(-1, 256),
    first_window=WORDS,
    nonce=st.integers(-1, 2**64),
    quantity_wh=st.lists(WORDS, max_size=129).map(tuple),
    limit_micro_per_kwh=st.lists(st.integers(-(2**31) - 1, 2**31), max_size=129).map(tuple),
    replaces=st.sampled_from([NO_HASH, b"\x01" * 32, b""]),
    beneficiary=st.sampled_from([bytes(20), b"\x01" * 20]),
)
SOUND = st.integers(1, 128).flatmap(
    lambda n: st.builds(
        Schedule,
        trader=st.binary(min_size=20, max_size=20),
        session=st.just(SESSION.id),
        zone=st.integers(0, 2**32 - 1),
        side=st.integers(0, 1),
        kind=st.integers(0, 255),
        quality=st.integers(0, 255),
        first_window=st.integers(0, 2**32 - 1),
        nonce=st.integers(0, 2**64 - 1),
        quantity_wh=st.tuples(*[st.integers(0, 2**32 - 1)] * n),
        limit_micro_per_kwh=st.tuples(*[st.integers(-(2**31), 2**31 - 1)] * n)
        | st.tuples(*[st.integers(0, 2**31 - 1)] * n),
        replaces=st.sampled_from([NO_HASH, b"\x01" * 32]),
        beneficiary=st.sampled_from([bytes(20), b"\x01" * 20]),
    )
)


@given(SCHEDULES | SOUND)
def test_the_fast_hash_is_the_reference_s_and_refuses_what_it_refuses(one: Schedule) -> None:
    try:
        expected: bytes | str = orders.order_hash(SEPARATOR, one)
    except Refused as error:
        expected = str(error)
    try:
        found: bytes | str = packed.order_hash(SEPARATOR, one)
    except Refused as error:
        found = str(error)
    assert found == expected


@given(SOUND, st.booleans())
def test_fast_records_are_the_reference_s_there_and_back(one: Schedule, submitted: bool) -> None:
    signed = SignedSchedule(one, b"\x03" * 64 + b"\x1b", submitted)
    record = packed.encode(signed)
    assert record == orders.encode(signed)
    read = packed.decode(b"\x07" + record + b"\x07", 1, one.session, one.kind, one.zone)
    assert read == (signed, 1 + len(record))


@given(st.binary(max_size=300))
def test_fast_decoding_refuses_what_the_reference_refuses(data: bytes) -> None:
    found: list[Any] = []
    for decode in (orders.decode, packed.decode):
        try:
            found.append(decode(data, 0, SESSION.id, 0, 0))
        except MalformedRecord:
            found.append(None)
    assert found[0] == found[1]
