"""A day from signed readings to a quorum, with nodes that are offline, wrong or lying."""

from dataclasses import replace

import pytest
from oracle_world import (
    DAY,
    NODE_KEYS,
    NODES,
    SEPARATOR,
    account,
    batch,
    inputs,
    past,
    registry,
    signed,
    true_wh,
)

from oracle.errors import SplitQuorum, TooFewSigners
from oracle.estimation import no_history
from oracle.intake import Reason
from oracle.messages import SignedReading
from oracle.node import OracleNode, agree, compute
from oracle.posting import sign_posting, signer_of
from oracle.registry import MeterRegistry
from settlement.errors import CheckFailed

TEAM = [OracleNode(key) for key in NODE_KEYS]


def votes(*each):
    return [node.vote(given, SEPARATOR)[0] for node, given in zip(TEAM, each, strict=True)]


def test_a_whole_day_is_posted_as_measured() -> None:
    computed = compute(inputs())
    for n in range(3):
        metered, flags = computed.accounts.of(account(n))
        assert metered.tolist() == [true_wh(n, 2, w) - true_wh(n, 1, w) for w in range(DAY.windows)]
        assert not flags.any()
    posting = computed.posted.posting
    assert posting.commitments == computed.commitments.root
    assert (posting.first_window, posting.windows, posting.accounts) == (DAY.first_window, DAY.windows, 3)


def test_bad_readings_change_nothing_but_their_own_windows() -> None:
    missing = batch(without=lambda n, register, column: (n, register, column) == (1, 1, 2))
    forged = SignedReading(signed(1, 1, 2, 999).message, signed(1, 1, 3, 999).signature)
    computed = compute(inputs((*missing, forged, signed(7, 1, 2, 1), SignedReading(b"", b""))))
    metered, flags = computed.accounts.of(account(1))
    assert metered.tolist() == [
        true_wh(1, 2, w) - true_wh(1, 1, w) for w in range(DAY.windows)
    ]  # a line is right
    assert flags.tolist() == [0, 0, 1, 0, 0, 0]
    assert {r.reason for r in computed.intake.rejected} == {
        Reason.BAD_SIGNATURE, Reason.UNKNOWN_METER, Reason.MALFORMED,
    }  # fmt: skip
    for n in (0, 2):
        assert not computed.accounts.of(account(n))[1].any()


def test_a_silent_meter_is_its_past_or_zero_and_flagged() -> None:
    heard = batch(without=lambda n, register, column: n == 2)
    for history, wh, flag in ((no_history(6, DAY), 0, 2), (past(3, import_wh=40, export_wh=15), -25, 1)):
        metered, flags = compute(inputs(heard, history=history)).accounts.of(account(2))
        assert metered.tolist() == [wh] * DAY.windows
        assert flags.tolist() == [flag] * DAY.windows


def test_a_reading_beyond_its_connection_is_estimated_and_reported() -> None:
    limited = MeterRegistry(replace(meter, capacity_w=2000) for meter in registry().values())
    spiked = (*batch(), signed(0, 1, 2, 2001, sequence=2))
    computed = compute(inputs(spiked, registry=limited))
    assert [failure.reading.wh for failure in computed.failures] == [2001]
    assert computed.accounts.of(account(0))[1].tolist() == [0, 0, 1, 0, 0, 0]


def test_the_posting_does_not_depend_on_the_order_of_arrival() -> None:
    first, second = compute(inputs()), compute(inputs(batch()[::-1] + batch()[:5]))
    assert first.posted == second.posted


def test_three_nodes_agree() -> None:
    agreement = agree(votes(inputs(), inputs(), inputs()), NODES, 2, SEPARATOR)
    assert agreement.signers == tuple(sorted(NODES))
    assert agreement.dissents == ()
    assert [signer_of(agreement.digest, s) for s in agreement.signatures] == sorted(NODES)
    assert agreement.posted.is_whole()


@pytest.mark.parametrize(
    "other",
    [
        inputs(batch()[1:]),  # missed a message
        inputs(day_key=bytes(32)),  # has another day key
        inputs(surplus=(0,) * DAY.windows),  # believes another price
        inputs(sequence=2),
    ],
)
def test_a_node_that_computed_something_else_is_reported_and_changes_nothing(other) -> None:
    honest = agree(votes(inputs(), inputs(), inputs()), NODES, 2, SEPARATOR)
    agreement = agree(votes(inputs(), other, inputs()), NODES, 2, SEPARATOR)
    assert (agreement.posted, agreement.digest) == (honest.posted, honest.digest)
    assert agreement.signers == tuple(sorted((NODES[0], NODES[2])))
    assert [d.node for d in agreement.dissents] == [NODES[1]]
    assert "another posting" in agreement.dissents[0].why


def test_a_node_that_is_offline_is_reported_and_changes_nothing() -> None:
    agreement = agree(votes(inputs(), inputs(), inputs())[:2], NODES, 2, SEPARATOR)
    assert [(d.node, d.why) for d in agreement.dissents] == [(NODES[2], "did not vote")]


def test_a_vote_is_believed_only_as_far_as_it_is_checked() -> None:
    first, second, third = votes(inputs(), inputs(), inputs())
    stranger = OracleNode(bytes(31) + b"\x09").vote(inputs(), SEPARATOR)[0]
    lies = {
        "something else": [
            replace(third, digest=bytes(32), signature=sign_posting(bytes(32), NODE_KEYS[2])),
            replace(third, posted=replace(third.posted, parts=())),
        ],
        "posting that is none": [
            replace(third, posted=replace(third.posted, posting=replace(third.posted.posting, zone=-1))),
            replace(
                third, posted=replace(third.posted, posting=replace(third.posted.posting, commitments=b""))
            ),
        ],
        "malformed": [replace(third, signature=b"")],
        "not its own": [replace(third, signature=first.signature), replace(third, node=NODES[0])],
        "no oracle node": [stranger],
    }
    for why, changed in lies.items():
        for lie in changed:
            agreement = agree([first, second, lie], NODES, 2, SEPARATOR)
            assert agreement.digest == first.digest
            assert set(agreement.signers) == {NODES[0], NODES[1]}
            if lie.node not in agreement.signers:
                assert any(why in dissent.why for dissent in agreement.dissents if dissent.node == lie.node)


def test_no_quorum_is_an_error() -> None:
    different = votes(inputs(), inputs(sequence=2), inputs(sequence=3))
    with pytest.raises(TooFewSigners) as caught:
        agree(different, NODES, 2, SEPARATOR)
    assert isinstance(caught.value, CheckFailed)
    assert caught.value.offender == 1
    with pytest.raises(SplitQuorum):
        agree(different, NODES, 1, SEPARATOR)
    with pytest.raises(TooFewSigners):
        agree([], NODES, 2, SEPARATOR)


def test_a_node_that_votes_twice_counts_once() -> None:
    first = votes(inputs(), inputs(), inputs())[0]
    with pytest.raises(TooFewSigners):
        agree([first, first], NODES, 2, SEPARATOR)


def test_a_node_that_signs_two_postings_counts_for_neither() -> None:
    first, second, third = votes(inputs(), inputs(), inputs())
    again = TEAM[2].vote(inputs(sequence=2), SEPARATOR)[0]
    agreement = agree([first, third, again, second], NODES, 2, SEPARATOR)
    assert agreement.signers == tuple(sorted(NODES[:2]))
    assert [(d.node, d.why) for d in agreement.dissents] == [(NODES[2], "signed two different postings")]
    with pytest.raises(TooFewSigners):
        agree([first, third, again], NODES, 2, SEPARATOR)


def test_secrets_are_not_shown() -> None:
    assert "day_key" not in repr(inputs())
    assert NODE_KEYS[0].hex() not in repr(TEAM[0])
    assert "salts" not in repr(compute(inputs()))
