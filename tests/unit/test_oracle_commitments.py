"""Salted commitments: they prove one reading, hide the others, and survive the erasure of any salt."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from oracle_world import DAY, DAY_KEY, batch, inputs, reading, registry

from oracle.cells import cells_of, records
from oracle.commitments import Opening, check_opening, commit, commitment, open_reading, verify_leaf
from oracle.day import MISSING, OUT_OF_SERVICE, Day, blank, only_in_service
from oracle.errors import ErasedSalt, OutOfRange, UnknownReading, WrongShape
from oracle.intake import take, to_day
from oracle.messages import ReadingKey, decode, encode
from oracle.node import compute
from oracle.salts import derive, derive_all, erase
from oracle.tree import grow
from settlement.reference import merkle
from settlement.reference.eip712 import keccak

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "meter.json").read_text())
REGISTRY = registry()
READINGS = to_day(take(batch(), REGISTRY, DAY), REGISTRY, DAY)
SALTS = derive_all(DAY_KEY, 1, 1, READINGS)
COMMITTED = commit(READINGS, SALTS)
KEY = COMMITTED.keys[7]


def opened(key: ReadingKey = KEY) -> Opening:
    return open_reading(COMMITTED, READINGS, SALTS, key)


def test_leaves_are_the_formats_bytes_in_ascending_order() -> None:
    assert list(COMMITTED.keys) == sorted(COMMITTED.keys)
    assert len(COMMITTED.keys) == READINGS.wh.size
    for (read, flag), leaf in zip(READINGS.cells(), COMMITTED.leaves, strict=True):
        assert leaf == keccak(b"\x00" + SALTS[read.key] + encode(read) + bytes((flag,)))
    assert COMMITTED.root == merkle.root(COMMITTED.leaves)


def test_every_reading_can_be_proved() -> None:
    for key in COMMITTED.keys:
        opening = opened(key)
        assert check_opening(COMMITTED.root, opening)
        assert decode(opening.message).key == key


@pytest.mark.parametrize(
    "change",
    [
        {"flag": 1},
        {"flag": 3},
        {"salt": bytes(32)},
        {"salt": b""},
        {"index": 8},
        {"index": -1},
        {"index": 2**20},
        {"proof": ()},
        {"message": b""},
        {"message": encode(reading(0, 1, 0, 1))},
    ],
)
def test_a_changed_opening_proves_nothing(change: dict) -> None:
    assert not check_opening(COMMITTED.root, replace(opened(), **change))


def test_erasing_a_salt_leaves_the_root_and_every_other_proof_valid() -> None:
    before = [opened(key) for key in COMMITTED.keys]
    salts = erase(SALTS, KEY)
    assert KEY in SALTS
    assert KEY not in salts
    with pytest.raises(ErasedSalt) as caught:
        open_reading(COMMITTED, READINGS, salts, KEY)
    assert caught.value.offender == KEY
    for key, opening in zip(COMMITTED.keys, before, strict=True):
        if key != KEY:
            assert open_reading(COMMITTED, READINGS, salts, key) == opening
            assert check_opening(COMMITTED.root, opening)


def test_the_place_of_an_erased_reading_is_still_provable() -> None:
    index = COMMITTED.index(KEY)
    assert verify_leaf(COMMITTED.root, COMMITTED.leaves[index], index, COMMITTED.proof(KEY))


def test_an_erased_salt_cannot_be_committed_or_erased_again() -> None:
    salts = erase(SALTS, KEY)
    with pytest.raises(ErasedSalt):
        commit(READINGS, salts)
    with pytest.raises(UnknownReading):
        erase(salts, KEY)
    with pytest.raises(UnknownReading):
        opened(KEY._replace(window_index=0))


def test_salts_differ_by_key_zone_run_reading_and_flag() -> None:
    read = reading(0, 1, 0, 5)
    variants = [
        derive(DAY_KEY, 1, 1, read, 0),
        derive(bytes(32), 1, 1, read, 0),
        derive(DAY_KEY, 2, 1, read, 0),
        derive(DAY_KEY, 1, 2, read, 0),
        derive(DAY_KEY, 1, 1, read, 1),
        derive(DAY_KEY, 1, 1, reading(0, 1, 0, 6), 0),
        derive(DAY_KEY, 1, 1, reading(0, 1, 0, 5, sequence=2), 0),
    ]
    assert len(set(variants)) == len(variants)
    with pytest.raises(OutOfRange):
        derive(b"short", 1, 1, read, 0)


def test_estimates_are_committed_under_the_oracles_own_message_with_sequence_zero() -> None:
    computed = compute(inputs(batch(without=lambda n, register, column: (n, register, column) == (0, 1, 1))))
    key = reading(0, 1, 1, 0).key
    opening = open_reading(computed.commitments, computed.readings, computed.salts, key)
    assert opening.flag == 1
    assert decode(opening.message) == reading(0, 1, 1, 110, sequence=0)
    assert check_opening(computed.posted.posting.commitments, opening)


def test_what_is_out_of_service_is_not_committed_to() -> None:
    serving = np.ones(READINGS.wh.shape, np.bool_)
    serving[1, 2:] = False
    part = only_in_service(READINGS, serving)
    committed = commit(part, derive_all(DAY_KEY, 1, 1, part))
    meter_id, register = READINGS.series[1]
    gone = [ReadingKey(meter_id, register, DAY.first_window + column) for column in range(2, DAY.windows)]
    assert list(committed.keys) == [key for key in COMMITTED.keys if key not in gone]
    assert committed.leaf(KEY) == COMMITTED.leaf(KEY)
    with pytest.raises(UnknownReading):
        committed.index(gone[0])
    with pytest.raises(WrongShape):
        commit(part, SALTS)


@given(
    hnp.arrays(np.int64, (2, 5), elements=st.integers(0, 2**30 - 1)),
    hnp.arrays(np.uint64, (2, 5), elements=st.integers(0, 2**64 - 1)),
    hnp.arrays(np.uint8, (2, 5), elements=st.sampled_from([0, 1, 2, OUT_OF_SERVICE])),
    st.integers(0, 2**32 - 5),
)
def test_a_days_records_are_the_messages_and_flags_one_by_one(wh, sequence, flags, first) -> None:
    empty = blank(Day(1800, first, 5), ((bytes(range(32)), 1), (bytes(range(1, 33)), 2)))
    readings = empty.replace(np.where(flags == OUT_OF_SERVICE, 0, wh), flags, sequence)
    each = [(encode(read), flag) for read, flag in readings.cells()]
    assert records(readings, cells_of(readings)) == b"".join(m + bytes((flag,)) for m, flag in each)
    salts = derive_all(DAY_KEY, 7, 9, readings)
    for read, flag in readings.cells():
        assert salts[read.key] == derive(DAY_KEY, 7, 9, read, flag)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=9))
def test_the_tree_is_the_references(leaves: list[bytes]) -> None:
    tree = grow(b"".join(leaves))
    assert tree.root == merkle.root(leaves)
    for index in range(len(leaves)):
        assert tree.proof(index) == merkle.proof(leaves, index)
    for index in (-1, len(leaves)):
        with pytest.raises(OutOfRange):
            tree.proof(index)


def test_a_missing_reading_is_not_committed_to() -> None:
    flags = READINGS.flags.copy()
    flags[2, 3] = MISSING
    with pytest.raises(UnknownReading, match="not estimated"):
        commit(READINGS.replace(READINGS.wh, flags), SALTS)


def test_a_commitment_needs_a_whole_salt_and_a_flag() -> None:
    for salt, flag in ((bytes(31), 0), (bytes(32), 3)):
        with pytest.raises(OutOfRange):
            commitment(salt, reading(0, 1, 0, 5), flag)


def test_the_shared_vectors_hold() -> None:
    vector = VECTORS["commitments"]
    leaves = []
    for entry in vector["entries"]:
        read = decode(bytes.fromhex(entry["message"][2:]))
        salt = derive(
            bytes.fromhex(vector["dayKey"][2:]), vector["zone"], vector["sequence"], read, entry["flag"]
        )
        assert "0x" + salt.hex() == entry["salt"]
        leaves.append(commitment(salt, read, entry["flag"]))
        assert "0x" + leaves[-1].hex() == entry["commitment"]
    assert "0x" + merkle.root(leaves).hex() == vector["root"]
    for index, leaf in enumerate(leaves):
        proof = [bytes.fromhex(sibling[2:]) for sibling in vector["entries"][index]["proof"]]
        assert merkle.verify(bytes.fromhex(vector["root"][2:]), leaf, index, proof)
