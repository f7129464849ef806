"""A node's store: each reading once, batches whole or not at all, and what bounds its disk."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest
from oracle_world import DAY, batch, meter, registry, signed

from oracle.day import Day
from oracle.errors import BadStore
from oracle.intake import Reason, take
from oracle.live.judge import Delivery, Verdict, judge
from oracle.live.store import FILE, Limits, Store, merged
from oracle.live.wire import (
    RECORD_BYTES,
    Receipt,
    join,
)
from oracle.messages import P256_ORDER, SignedReading
from oracle.registry import MeterRegistry

REGISTRY = registry()
ID = meter(0).meter_id
NOW_S = 1_800_000_000
GOOD = join(signed(0, register, column, 7) for register in (1, 2) for column in range(3))


def deliver(payload: bytes, meter_id: bytes | None = ID) -> list[Verdict]:
    return judge([Delivery(meter_id, payload)], REGISTRY)


def written(store: Store, *payloads: bytes, now_s: int = NOW_S) -> list[Receipt]:
    return store.write([verdict for payload in payloads for verdict in deliver(payload)], now_s)


def test_a_reading_is_stored_once_under_whatever_signature_and_however_often(tmp_path: Path) -> None:
    one = signed(0, 1, 0, 5)
    high = P256_ORDER - int.from_bytes(one.signature[32:], "big")
    other = SignedReading(one.message, one.signature[:32] + high.to_bytes(32, "big"))
    with Store(tmp_path) as store:
        for payload in (join([one]), join([other]), join([one, other, one])):
            receipt = written(store, payload)[0]
            assert (receipt.stored, receipt.refused) == (len(payload) // RECORD_BYTES, 0)
        assert store.readings() == 1
        assert store.counters() == {"duplicate": 4, "payloads": 3, "stored": 1}


def test_versions_of_one_reading_are_all_kept_and_the_day_chooses(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        written(store, join([signed(0, 1, 0, 5, 1)]), join([signed(0, 1, 0, 6, 2), signed(0, 1, 1, 8, 1)]))
        written(store, join([signed(0, 1, 1, 9, 1)]))
        intake = take(store.day(DAY).batch, REGISTRY, DAY)
        assert [r.wh for r, _ in intake.accepted] == [6]
        assert len(intake.equivocations) == 1


def test_a_day_has_its_own_windows_and_no_others(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        written(store, join([signed(0, 1, column, 5) for column in (-1, 0, DAY.windows - 1, DAY.windows)]))
        assert len(store.day(DAY).accepted) == 2
        assert store.day(Day(1800, DAY.first_window, 6)).accepted == ()


def test_a_store_is_there_again_when_opened_again_and_readable_while_it_is_written(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        written(store, GOOD)
        with Store(tmp_path, read_only=True) as reader:
            assert reader.readings() == 6
            with pytest.raises(sqlite3.OperationalError):
                written(reader, join([signed(0, 1, 5, 5)]))
    with Store(tmp_path) as again:
        assert again.readings() == 6
        assert again.counters()["stored"] == 6
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


def test_a_batch_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with Store(tmp_path, Limits(refused=1)) as store:
        good = deliver(GOOD)
        broken = Verdict(good[0].delivery, good[0].digest, (object(),))  # type: ignore[arg-type]
        with pytest.raises(AttributeError):
            store.write([*deliver(b"rubbish"), *good, broken], NOW_S)
        assert (store.readings(), store.counters()) == (0, {})
        assert written(store, GOOD)[0].stored == 6


def test_refused_records_are_sampled_once_each_and_never_beyond_their_bounds(tmp_path: Path) -> None:
    with Store(tmp_path, Limits(refused_a_meter=5, refused=8)) as store:
        rubbish = [n.to_bytes(4, "big") for n in range(50)]
        for payload in rubbish * 2:
            store.write(judge([Delivery(ID, payload), Delivery(None, payload)], REGISTRY), NOW_S)
        rows = store._connection.execute("SELECT count(*), max(times), min(times) FROM refused").fetchone()
        assert rows == (8, 2, 2)
        assert store.counters() == {"payloads": 200, "refused_truncated": 200}
    with Store(tmp_path, Limits(refused_a_meter=5, refused=8)) as again:
        written(again, b"more")
        assert again._connection.execute("SELECT count(*) FROM refused").fetchone() == (8,)


def test_the_disk_that_rubbish_takes_is_bounded(tmp_path: Path) -> None:
    rng = random.Random(1)
    with Store(tmp_path, Limits(refused_a_meter=50)) as store:
        for _ in range(60):
            written(store, *(rng.randbytes(50_000) for _ in range(20)))
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 300_000


def test_a_meter_that_signs_without_end_is_stopped_and_others_are_not(tmp_path: Path) -> None:
    with Store(tmp_path, Limits(readings_a_day=4)) as store:
        flood = join([signed(0, 1, 0, 5, sequence) for sequence in range(1, 8)])
        assert [(r.stored, r.refused) for r in written(store, flood)] == [(4, 3)]
        assert [(r.stored, r.refused) for r in written(store, flood)] == [(4, 3)]  # those four are there
        theirs = judge([Delivery(meter(1).meter_id, join([signed(1, 1, 0, 5)]))], REGISTRY)
        assert store.write(theirs, NOW_S)[0].stored == 1
        assert written(store, flood, now_s=NOW_S + 86_400)[0].stored == 7
        assert store.counters()["refused_over_quota"] == 6


def test_what_an_older_registry_refused_counts_once_a_newer_one_knows_the_meter(tmp_path: Path) -> None:
    message = signed(2, 1, 0, 5)
    with Store(tmp_path) as store:
        few = MeterRegistry([meter(0)])
        store.write(judge([Delivery(meter(2).meter_id, join([message]))], few), NOW_S)
        assert store.readings() == 0
        assert [s for _, s in take(store.day(DAY).batch, REGISTRY, DAY).accepted] == [message]
        assert [r.reason for r in take(store.day(DAY).batch, few, DAY).rejected] == [Reason.UNKNOWN_METER]


def test_what_was_refused_for_its_sender_or_number_never_counts(tmp_path: Path) -> None:
    """The signatures are right and the registry knows the meters: their receipts said refused."""
    with Store(tmp_path, Limits(readings_a_day=2)) as store:
        assert written(store, join([signed(1, 1, 0, 5)]))[0].refused == 1  # on another meter's topic
        assert written(store, join(signed(0, 1, column, 5) for column in range(3)))[0].refused == 1
        counted = store.counters()
        assert (counted["refused_wrong_topic"], counted["refused_over_quota"]) == (1, 1)
        assert store.day(DAY).refused == ()
        assert [r.meter_id for r, _ in take(store.day(DAY).batch, REGISTRY, DAY).accepted] == [ID, ID]


def test_a_reading_by_a_key_that_the_registry_did_not_have_yet_counts_when_it_has(tmp_path: Path) -> None:
    fresh = signed(0, 1, 0, 5)
    before = MeterRegistry([meter(0, public_x=meter(1).public_x, public_y=meter(1).public_y)])
    with Store(tmp_path) as store:
        receipt = store.write(judge([Delivery(ID, join([fresh]))], before), NOW_S)[0]
        assert (receipt.refused, store.counters()["refused_bad_signature"]) == (1, 1)
        assert [s for _, s in take(store.day(DAY).batch, REGISTRY, DAY).accepted] == [fresh]


def test_nodes_of_which_one_had_an_old_registry_compute_from_equal_batches(tmp_path: Path) -> None:
    """One refused a new meter's reading, one accepted it, one got it on a wrong topic; a forgery beside it
    is nowhere taken for it."""
    late, stores = signed(2, 1, 0, 5), []
    forged = SignedReading(late.message, signed(1, 1, 0, 5).signature)
    for name, known, topic in (
        ("old", MeterRegistry([meter(0)]), 2),
        ("new", REGISTRY, 2),
        ("x", REGISTRY, 0),
    ):
        with Store(tmp_path / name) as store:
            store.write(judge([Delivery(meter(topic).meter_id, join([forged, late]))], known), NOW_S)
            stores.append(store.day(DAY))
    assert merged(stores) == merged(reversed(stores)) == (late,)
    alone = merged([stores[0]])
    assert len(alone) == 2
    assert [s for _, s in take(alone, REGISTRY, DAY).accepted] == [late]
    assert merged([stores[2]]) == ()


def test_a_store_of_another_version_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadStore, match="oracle run"):
        Store(tmp_path, read_only=True)
    with Store(tmp_path) as store:
        store._connection.execute("PRAGMA user_version = 9")
    with pytest.raises(BadStore, match="version 9"):
        Store(tmp_path)
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    with pytest.raises(BadStore):
        Store(tmp_path)


def test_stores_that_missed_different_messages_have_all_of_them_together(tmp_path: Path) -> None:
    readings = batch()
    stores = []
    for n in range(3):
        with Store(tmp_path / str(n)) as store:
            part = [each for place, each in enumerate(readings) if place % 3 != n]
            store.write(judge([Delivery(None, join(part), any_meter=True)], REGISTRY), NOW_S)
            stores.append(store.day(DAY))
    assert {signed_.message for signed_ in merged(stores)} == {each.message for each in readings}
    assert merged(stores) == merged(stores[::-1])
