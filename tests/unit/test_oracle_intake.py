"""Which signed messages count, whatever arrives and in whatever order."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_world import DAY, account, batch, meter, reading, registry, signed

from oracle.day import MISSING
from oracle.errors import BadMessage, BadMeterKey, BadSignature, DuplicateMeter, OutOfRange, UnknownMeter
from oracle.intake import Reason, take, to_day
from oracle.messages import P256_ORDER, SignedReading, encode, private_key, sign
from oracle.registry import MeterRegistry, authenticate
from settlement.errors import CheckFailed, InputError
from settlement.reference.posting import ACTUAL

REGISTRY = registry()


def high_s(message: SignedReading) -> SignedReading:
    s = P256_ORDER - int.from_bytes(message.signature[32:], "big")
    return SignedReading(message.message, message.signature[:32] + s.to_bytes(32, "big"))


def reasons(*messages: SignedReading) -> list[Reason]:
    return [rejected.reason for rejected in take(messages, REGISTRY, DAY).rejected]


def counted(*messages: SignedReading) -> list[int]:
    return [accepted.wh for accepted, _ in take(messages, REGISTRY, DAY).accepted]


def test_a_whole_day_of_good_readings_is_accepted() -> None:
    intake = take(batch(), REGISTRY, DAY)
    assert len(intake.accepted) == 3 * 2 * DAY.windows
    assert intake.rejected == ()
    assert intake.equivocations == ()
    assert (to_day(intake, REGISTRY, DAY).flags == ACTUAL).all()


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (SignedReading(b"", b""), Reason.MALFORMED),
        (SignedReading(b"\x02" + bytes(51), bytes(64)), Reason.MALFORMED),
        (signed(7, 1, 0, 5), Reason.UNKNOWN_METER),
        (sign(replace(reading(0, 1, 0, 5), window_length_s=1800), private_key(1)), Reason.WRONG_LENGTH),
        (signed(0, 1, -1, 5), Reason.OUTSIDE_DAY),
        (signed(0, 1, DAY.windows, 5), Reason.OUTSIDE_DAY),
        (signed(0, 1, 0, 2**30), Reason.TOO_LARGE),
        (SignedReading(encode(reading(0, 1, 0, 5)), bytes(64)), Reason.BAD_SIGNATURE),
        (SignedReading(encode(reading(0, 1, 0, 5)), b""), Reason.BAD_SIGNATURE),
        (sign(reading(0, 1, 0, 5), private_key(2)), Reason.BAD_SIGNATURE),
    ],
)
def test_a_bad_message_is_collected_with_its_reason_and_changes_nothing_else(message, reason) -> None:
    good = signed(1, 1, 0, 9)
    intake = take([message, good], REGISTRY, DAY)
    assert [(r.signed, r.reason) for r in intake.rejected] == [(message, reason)]
    assert [r.wh for r, _ in intake.accepted] == [9]


def test_a_register_that_its_meter_does_not_report_is_unknown() -> None:
    only_import = MeterRegistry([meter(0, registers=(1,))])
    assert [r.reason for r in take([signed(0, 2, 0, 5)], only_import, DAY).rejected] == [Reason.UNKNOWN_METER]


def test_the_highest_sequence_counts() -> None:
    old, new = signed(0, 1, 0, 10, sequence=1), signed(0, 1, 0, 20, sequence=2)
    assert counted(old, new) == counted(new, old) == [20]
    assert reasons(old, new) == [Reason.SUPERSEDED]


def test_the_same_reading_counts_once_even_under_another_signature() -> None:
    first = signed(0, 1, 0, 10)
    assert counted(first, first, high_s(first)) == [10]
    assert reasons(first, first, high_s(first)) == [Reason.DUPLICATE] * 2


def test_two_values_under_the_highest_sequence_are_reported_and_neither_counts() -> None:
    older, one, two = signed(0, 1, 0, 5, 1), signed(0, 1, 0, 10, 2), signed(0, 1, 0, 20, 2)
    intake = take([two, older, one], REGISTRY, DAY)
    assert intake.accepted == ()
    assert [(e.sequence, e.first, e.second) for e in intake.equivocations] == [(2, one, two)]
    assert sorted(r.reason.name for r in intake.rejected) == ["EQUIVOCATION", "EQUIVOCATION", "SUPERSEDED"]


def test_two_values_under_an_older_sequence_are_reported_and_the_newer_reading_counts() -> None:
    messages = [signed(0, 1, 0, 10, 2), signed(0, 1, 0, 20, 2), signed(0, 1, 0, 30, 3)]
    assert counted(*messages) == [30]
    assert len(take(messages, REGISTRY, DAY).equivocations) == 1


def test_a_forged_second_value_is_no_equivocation() -> None:
    forged = SignedReading(encode(reading(0, 1, 0, 20)), signed(0, 1, 0, 10).signature)
    intake = take([signed(0, 1, 0, 10), forged], REGISTRY, DAY)
    assert [r.wh for r, _ in intake.accepted] == [10]
    assert intake.equivocations == ()


POOL = (
    *(signed(n, register, column, wh, sequence)
      for n in (0, 1) for register in (1, 2) for column in (0, 1) for wh in (1, 2) for sequence in (1, 2)),
    signed(5, 1, 0, 1),
    SignedReading(b"rubbish", b""),
    SignedReading(encode(reading(0, 1, 0, 3)), bytes(64)),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(POOL), max_size=12), st.randoms(use_true_random=False))
def test_the_result_depends_on_the_set_of_messages_only(messages, random) -> None:
    first = take(messages, REGISTRY, DAY)
    shuffled = [
        high_s(m) if len(m.signature) == 64 and any(m.signature) and random.random() < 0.5 else m
        for m in messages
    ]
    random.shuffle(shuffled)
    second = take(shuffled, REGISTRY, DAY)
    assert first.accepted == second.accepted
    assert first.equivocations == second.equivocations
    assert len(first.accepted) + len(first.rejected) == len(messages)
    assert sorted(r.reason.name for r in first.rejected) == sorted(r.reason.name for r in second.rejected)


@settings(deadline=None)
@given(st.lists(st.builds(SignedReading, st.binary(max_size=60), st.binary(max_size=70)), max_size=6))
def test_random_bytes_never_raise_and_never_count(messages) -> None:
    intake = take(messages, REGISTRY, DAY)
    assert intake.accepted == ()
    assert len(intake.rejected) == len(messages)


def test_what_did_not_arrive_is_missing() -> None:
    day = to_day(take([signed(0, 1, 2, 5, 9)], REGISTRY, DAY), REGISTRY, DAY)
    row = day.row(reading(0, 1, 0, 0).meter_id, 1)
    assert (day.wh[row, 2], day.flags[row, 2], day.sequence[row, 2]) == (5, ACTUAL, 9)
    assert (day.flags == MISSING).sum() == day.flags.size - 1


def test_one_presented_reading_is_authenticated_or_refused_with_its_id() -> None:
    good = signed(0, 1, 0, 5)
    assert authenticate(good, REGISTRY) == reading(0, 1, 0, 5)
    assert authenticate(high_s(good), REGISTRY) == reading(0, 1, 0, 5)
    for bad, error in (
        (SignedReading(good.message, bytes(64)), BadSignature),
        (signed(7, 1, 0, 5), UnknownMeter),
        (SignedReading(b"", b""), BadMessage),
    ):
        with pytest.raises(error) as caught:
            authenticate(bad, REGISTRY)
        assert isinstance(caught.value, CheckFailed | InputError)
    with pytest.raises(UnknownMeter) as caught:
        REGISTRY[b"\x07" * 32]
    assert caught.value.offender == b"\x07" * 32
    assert "0x0707" in caught.value.message


@pytest.mark.parametrize(
    ("meters", "error"),
    [
        ([meter(0), meter(0)], DuplicateMeter),
        ([meter(0, public_x=1)], BadMeterKey),
        ([meter(0, public_x=0, public_y=0)], BadMeterKey),
        ([meter(0), replace(meter(0), meter_id=bytes(32), account=account(9))], BadMeterKey),
        ([meter(0, account=bytes(19))], OutOfRange),
        ([meter(0, meter_id=bytes(31))], OutOfRange),
        ([meter(0, registers=())], OutOfRange),
        ([meter(0, registers=(1, 1))], OutOfRange),
        ([meter(0, registers=(3,))], OutOfRange),
        ([meter(0, capacity_w=0)], OutOfRange),
    ],
)
def test_a_registry_that_makes_no_sense_is_refused(meters, error) -> None:
    with pytest.raises(error):
        MeterRegistry(meters)


def test_the_registry_is_ordered_and_immutable() -> None:
    assert list(REGISTRY) == sorted(REGISTRY)
    assert list(REGISTRY.accounts) == sorted(account(n) for n in range(3))
    assert list(REGISTRY.series) == sorted(REGISTRY.series)
    with pytest.raises(TypeError):
        REGISTRY[bytes(32)] = meter(0)  # type: ignore[index]
