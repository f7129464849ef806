"""Topics and payloads: what is sound, and that nothing else is, whatever the bytes."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_world import meter, reading, registry, signed

from oracle.errors import OutOfRange
from oracle.intake import Reason
from oracle.live.judge import Delivery, Verdict, judge
from oracle.live.store import Store
from oracle.live.wire import (
    MOST_BYTES,
    MOST_RECORDS,
    RECORD_BYTES,
    Receipt,
    decode_receipt,
    digest,
    encode_receipt,
    join,
    meter_of,
    oracle_of,
    readings_topic,
    receipts_topic,
    split,
)
from oracle.messages import SignedReading, private_key, sign

REGISTRY = registry()
ID = meter(0).meter_id
NOW_S = 1_800_000_000


def deliver(payload: bytes, meter_id: bytes | None = ID) -> list[Verdict]:
    return judge([Delivery(meter_id, payload)], REGISTRY)


def reasons(payload: bytes, meter_id: bytes | None = ID) -> list[Reason | None]:
    return [record.reason for record in deliver(payload, meter_id)[0].records]


def written(store: Store, *payloads: bytes, now_s: int = NOW_S) -> list[Receipt]:
    return store.write([verdict for payload in payloads for verdict in deliver(payload)], now_s)


def test_a_topic_names_its_meter_and_only_whole_ids_are_meters() -> None:
    assert meter_of(readings_topic(ID)) == ID
    assert oracle_of(receipts_topic(ID, "oracle-1")) == "oracle-1"
    good = readings_topic(ID)
    others = (good.replace(ID.hex(), wrong) for wrong in ("+", "ab", ID.hex().upper(), ID.hex() + "/x"))
    for bad in (good[:-1], good + "/", *others, "", "#"):
        assert meter_of(bad) is None
    assert oracle_of(good) is None


def test_a_payload_is_whole_records_of_116_bytes_and_nothing_else() -> None:
    readings = [signed(0, 1, column, 5) for column in range(3)]
    assert split(join(readings)) == tuple(readings)
    for bad in (b"", join(readings)[:-1], join(readings) + b"\0", bytes(MOST_BYTES + RECORD_BYTES)):
        assert split(bad) is None
    assert len(split(bytes(MOST_BYTES)) or ()) == MOST_RECORDS


def test_a_payload_that_cannot_be_parsed_is_not_made() -> None:
    for bad in ([], [signed(0, 1, 0, 5)] * (MOST_RECORDS + 1), [SignedReading(b"", b"")]):
        with pytest.raises(OutOfRange):
            join(bad)


def test_a_receipt_survives_its_bytes() -> None:
    receipt = Receipt(digest(b"x"), 512, 3)
    assert decode_receipt(encode_receipt(receipt)) == receipt
    assert decode_receipt(b"") is None


# Judging


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", Reason.TRUNCATED),
        (join([signed(0, 1, 0, 5)])[:115], Reason.TRUNCATED),
        (bytes(RECORD_BYTES), Reason.MALFORMED),
        (join([signed(1, 1, 0, 5)]), Reason.WRONG_TOPIC),
        (join([signed(0, 1, 0, 2**30)]), Reason.TOO_LARGE),
        (join([sign(reading(0, 1, 0, 5), private_key(2))]), Reason.BAD_SIGNATURE),
    ],
)
def test_a_record_that_is_not_sound_is_refused_with_its_reason(payload, reason) -> None:
    assert reasons(payload) == [reason]


def test_a_topic_of_nobody_gives_nothing() -> None:
    assert reasons(join([signed(0, 1, 0, 5)]), None) == [Reason.WRONG_TOPIC]
    assert reasons(join([signed(9, 1, 0, 5)]), meter(9).meter_id) == [Reason.UNKNOWN_METER]


def test_a_bad_record_takes_no_other_of_its_payload_with_it() -> None:
    good = [signed(0, 1, column, 5) for column in range(4)]
    payload = bytearray(join(good))
    payload[RECORD_BYTES + 60] ^= 1
    assert reasons(bytes(payload)) == [None, Reason.BAD_SIGNATURE, None, None]


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=400) | st.binary(min_size=RECORD_BYTES, max_size=RECORD_BYTES))
def test_random_bytes_are_refused_and_raise_nothing(payload) -> None:
    assert None not in reasons(payload)


GOOD = join(signed(0, register, column, 7) for register in (1, 2) for column in range(3))
MUTATION = st.tuples(st.integers(0, len(GOOD) - 1), st.integers(1, 255))


@settings(deadline=None, max_examples=150)
@given(
    st.lists(MUTATION, min_size=1, max_size=6, unique_by=lambda m: m[0]),
    st.none() | st.integers(0, len(GOOD)),
)
def test_of_a_mutated_payload_only_untouched_records_are_sound(mutations, length) -> None:
    payload = bytearray(GOOD)
    for place, change in mutations:
        payload[place] ^= change
    cut = bytes(payload) if length is None else bytes(payload)[:length]
    verdict = deliver(cut)[0]
    for record in verdict.records:
        if record.reason is None:
            assert record.signed.message + record.signed.signature in {
                GOOD[i : i + RECORD_BYTES] for i in range(0, len(GOOD), RECORD_BYTES)
            }
    if split(cut) is not None:
        touched = {place // RECORD_BYTES for place, _ in mutations if place < len(cut)}
        assert [n for n, record in enumerate(verdict.records) if record.reason is not None] == sorted(touched)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.binary(max_size=300), max_size=5))
def test_whatever_arrives_is_written_and_receipted(tmp_path_factory, payloads) -> None:
    with Store(tmp_path_factory.mktemp("store")) as store:
        receipts = written(store, *payloads, GOOD)
        assert [receipt.digest for receipt in receipts] == [digest(p) for p in (*payloads, GOOD)]
        assert receipts[-1].stored == store.readings() == 6


def test_the_largest_payload_of_rubbish_is_judged_in_no_time() -> None:
    started_s = time.perf_counter()
    record = join([SignedReading(signed(0, 1, 0, 5).message, bytes(64))])
    assert set(reasons(record * MOST_RECORDS)) == {Reason.BAD_SIGNATURE}
    assert time.perf_counter() - started_s < 5
