"""Totals stay provable when salts are erased, and an erased reading cannot be found by trying them all."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle_world import DAY, DAY_KEY, account, inputs, meter, registry, true_wh

from oracle.commitments import check_opening, commitment, open_reading, verify_leaf
from oracle.errors import ErasedSalt, UnknownAccount, UnprovenTotal, WrongWindow
from oracle.messages import EXPORT, IMPORT, Reading, ReadingKey
from oracle.node import compute
from oracle.salts import Salts, derive, erase
from oracle.totals import Erased, TotalProof, check_total, prove_total

COMPUTED = compute(inputs(accounts_per_part=2))
POSTING = COMPUTED.posted.posting
WINDOW = DAY.first_window + 2
KEYS = {register: ReadingKey(meter(1).meter_id, register, WINDOW) for register in (IMPORT, EXPORT)}
METERED = true_wh(1, EXPORT, 2) - true_wh(1, IMPORT, 2)


def proof(salts: Salts = COMPUTED.salts, n: int = 1, window: int = WINDOW) -> TotalProof:
    return prove_total(
        COMPUTED.posted, COMPUTED.commitments, COMPUTED.readings, salts, registry(), account(n), window
    )


def test_every_total_is_proved_by_its_readings() -> None:
    for n in range(3):
        for column in range(DAY.windows):
            total = check_total(POSTING, proof(n=n, window=DAY.first_window + column))
            assert total.metered_wh == true_wh(n, EXPORT, column) - true_wh(n, IMPORT, column)
            assert (total.flag, total.erased, len(total.opened)) == (0, 0, 2)


@given(st.sets(st.sampled_from(list(COMPUTED.commitments.keys))))
def test_whatever_is_erased_totals_and_all_other_openings_hold(gone: set[ReadingKey]) -> None:
    salts = erase(COMPUTED.salts, *gone)
    assert len(salts) == len(COMPUTED.salts) - len(gone)
    for key in COMPUTED.commitments.keys:
        if key in gone:
            with pytest.raises(ErasedSalt):
                open_reading(COMPUTED.commitments, COMPUTED.readings, salts, key)
            index, leaf = COMPUTED.commitments.index(key), COMPUTED.commitments.leaf(key)
            assert verify_leaf(POSTING.commitments, leaf, index, COMPUTED.commitments.proof(key))
        else:
            opening = open_reading(COMPUTED.commitments, COMPUTED.readings, salts, key)
            assert check_opening(POSTING.commitments, opening)
    total = check_total(POSTING, proof(salts))
    assert total.metered_wh == METERED
    assert total.erased == len(gone & set(KEYS.values()))


def test_without_its_salt_no_wh_fits_the_commitment() -> None:
    salts = erase(COMPUTED.salts, KEYS[IMPORT])
    assert COMPUTED.salts[KEYS[IMPORT]] not in salts.blob
    leaf = COMPUTED.commitments.leaf(KEYS[IMPORT])
    known = [*salts.values(), bytes(32)]
    for wh in range(true_wh(1, IMPORT, 2) + 50):
        guess = Reading(*KEYS[IMPORT][:2], DAY.window_length_s, WINDOW, wh, 1)
        for salt in [*known[:3], known[-1], derive(bytes(32), 1, 1, guess, 0)]:
            assert commitment(salt, guess, 0) != leaf
    truth = Reading(*KEYS[IMPORT][:2], DAY.window_length_s, WINDOW, true_wh(1, IMPORT, 2), 1)
    assert not any(commitment(salt, truth, 0) == leaf for salt in known)
    # Which is why the day key is deleted: with it the guess that is right would show.
    assert commitment(derive(DAY_KEY, 1, 1, truth, 0), truth, 0) == leaf


def test_a_single_erased_reading_is_what_the_others_leave_of_the_public_total() -> None:
    total = check_total(POSTING, proof(erase(COMPUTED.salts, KEYS[IMPORT])))
    assert sum(read.wh for read in total.opened) - total.metered_wh == true_wh(1, IMPORT, 2)
    both = check_total(POSTING, proof(erase(COMPUTED.salts, *KEYS.values())))
    assert (both.opened, both.erased, both.metered_wh) == ((), 2, METERED)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"part": 1}, "no such part 1"),
        ({"part": 2}, "no such part 2"),
        ({"entries": b""}, "no such part 0"),
        ({"window_index": DAY.first_window - 1}, "no window"),
        ({"window_index": WINDOW + 1}, "of another window"),
        ({"account": bytes(20)}, "no entry in part 0"),
        ({"readings": ()}, "sum to 0 Wh"),
    ],
)
def test_a_changed_proof_proves_nothing(change: dict, why: str) -> None:
    with pytest.raises(UnprovenTotal, match=why):
        check_total(POSTING, replace(proof(), **change))


def test_changed_readings_prove_nothing() -> None:
    whole, erased = proof(), proof(erase(COMPUTED.salts, *KEYS.values()))
    first, second = whole.readings
    assert isinstance(erased.readings[0], Erased)
    for readings, why in [
        ((first,), "sum to"),
        ((first, first), "shown twice"),
        ((first, replace(second, flag=1)), "was not committed to"),
        ((first, replace(erased.readings[1], leaf=bytes(32))), "nothing is committed to"),
        ((first, replace(erased.readings[1], index=0)), "nothing is committed to"),
    ]:
        with pytest.raises(UnprovenTotal, match=why):
            check_total(POSTING, replace(whole, readings=readings))


def test_what_was_not_posted_cannot_be_proved() -> None:
    with pytest.raises(UnknownAccount):
        proof(n=9)
    with pytest.raises(WrongWindow):
        proof(window=DAY.first_window - 1)
