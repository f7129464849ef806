"""Salted commitments: they prove one reading, hide the others, and survive the erasure of any salt."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from oracle_world import DAY, DAY_KEY, batch, inputs, reading, registry

from oracle.commitments import Opening, check_opening, commit, commitment, open_reading, verify_leaf
from oracle.errors import ErasedSalt, OutOfRange, UnknownReading
from oracle.intake import take, to_day
from oracle.messages import ReadingKey, decode, encode
from oracle.node import compute
from oracle.salts import derive, derive_all, erase
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
