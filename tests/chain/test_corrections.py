"""Later runs of a day on an embedded chain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from chain_world import DAY, SUPPLIER, World
from metered_world import (
    BUYER,
    CALM,
    DEFICIT,
    LATE,
    METERED,
    MWH,
    SELLER,
    SURPLUS,
    MeteredDay,
    post_and_settle,
    read_of,
    traded_world,
)

from oracle.messages import IMPORT
from settlement.chain import corrector, statements
from settlement.chain.errors import ContractRevert, WrongProgress


@pytest.fixture(scope="module")
def traded() -> Iterator[World]:
    with traded_world() as found:
        yield found


@pytest.fixture
def turned_back(traded: World) -> Iterator[World]:
    with traded.turned_back():
        yield traded


@pytest.fixture
def day(turned_back: World) -> MeteredDay:
    return post_and_settle(turned_back)


@pytest.mark.parametrize(("price", "earned"), [(80_000, -8_000_000_000), (-50_000, 5_000_000_000)])
def test_a_tenth_of_a_megawatt_hour_missing_costs_8_at_80_and_earns_5_at_minus_50(
    turned_back: World, price: int, earned: int
) -> None:
    surplus, deficit = (-60_000, *SURPLUS[1:]), (price, *DEFICIT[1:])
    day = post_and_settle(turned_back, surplus=surplus, deficit=deficit)
    before = day.free(SELLER.address), day.free(SUPPLIER.address)
    assert day.row(SELLER.address)[0] == 0
    day.correct(read_of(SELLER.address, 0, MWH - 100_000, sequence=2))
    assert day.row(SELLER.address)[0] == -100_000
    after = day.free(SELLER.address), day.free(SUPPLIER.address)
    assert (after[0] - before[0], after[1] - before[1]) == (earned, -earned)
    day.assert_sums_are_zero()


def test_a_late_actual_changes_the_next_run_and_no_earlier_one(turned_back: World) -> None:
    late = read_of(LATE.address, 0, 700)
    day = post_and_settle(turned_back, without=[late])
    posted = day.signed
    estimated = day.row(LATE.address)
    signed = day.correct(late)
    assert day.row(LATE.address)[0] == 700 != estimated[0]
    assert day.signed is posted
    assert signed.correction.run == 1
    assert len(signed.correction.statements) == 1
    day.assert_sums_are_zero()


def test_runs_link_to_everything_before_and_each_nets_to_zero(day: MeteredDay) -> None:
    exchange = day.world.exchange
    links = []
    for run, wh in enumerate((650, 640, 700), start=1):
        day.correct(
            read_of(LATE.address, 0, wh, sequence=1 + run),
            read_of(BUYER.address, 0, 1200 + run, sequence=1 + run, register=IMPORT),
        )
        at = corrector.zone_day(exchange, 0, DAY)
        assert (at.run, any(at.pending), at.parts) == (run, False, 0)
        links.append(at.link)
        day.assert_sums_are_zero()
    assert len(set(links)) == 3
    assert day.row(LATE.address) == tuple(METERED[LATE.address])
    assert day.row(BUYER.address)[0] == METERED[BUYER.address][0] - 3


def test_a_run_in_which_nothing_differs_is_complete_when_it_is_posted(day: MeteredDay) -> None:
    signed = day.sign_correction()
    assert signed.correction.statements == ()
    steps = corrector.run(day.world.exchange, day.node, signed)
    assert [one.name for one in steps] == ["openCorrections", "postCorrection"]
    assert corrector.zone_day(day.world.exchange, 0, DAY).run == 1


@pytest.mark.parametrize("done", range(5))
def test_a_corrector_goes_on_after_any_transaction(day: MeteredDay, done: int) -> None:
    """Killed after so many of them; whoever goes on has the node and what was signed, nothing else."""
    exchange = day.world.exchange
    signed = day.sign_correction(*(read_of(one.address, 1, 77, sequence=2) for one in (BUYER, LATE, CALM)))
    assert len(signed.correction.statements) == 2
    names = ["openCorrections", "postCorrection", "correct", "correct"]
    with pytest.MonkeyPatch.context() as patched:
        sent = _killed_after(patched, exchange, done)
        if done < len(names):
            with pytest.raises(KeyboardInterrupt):
                corrector.run(exchange, day.node, signed)
        else:
            corrector.run(exchange, day.node, signed)
    assert len(sent) == done
    assert [one.name for one in corrector.run(exchange, day.node, signed)] == names[done:]
    assert corrector.zone_day(exchange, 0, DAY).run == 1
    assert [day.row(one.address)[1] for one in (BUYER, LATE, CALM)] == [77, 77 - 30, 77]
    assert corrector.run(exchange, day.node, signed) == []
    day.assert_sums_are_zero()


def _killed_after(patched: pytest.MonkeyPatch, exchange: corrector.Exchange, done: int) -> list[bytes]:
    sent: list[bytes] = []
    send = exchange.send_data

    def dying(signer: object, data: bytes, **options: object) -> object:
        if len(sent) == done:
            raise KeyboardInterrupt
        sent.append(data)
        return send(signer, data, **options)  # type: ignore[arg-type]

    patched.setattr(exchange, "send_data", dying)
    return sent


def test_other_differences_than_the_signed_ones_are_told(day: MeteredDay) -> None:
    signed = day.sign_correction(read_of(LATE.address, 0, 1, sequence=2))
    other = replace(signed, differences=(signed.differences[0][:-1] + b"\x01",))
    with pytest.raises(WrongProgress, match="other differences"):
        corrector.run(day.world.exchange, day.node, other)


def test_another_correction_of_a_run_that_is_complete_is_told(day: MeteredDay) -> None:
    other = day.sign_correction(read_of(LATE.address, 0, 1, sequence=2), keep=False)
    day.correct(read_of(LATE.address, 0, 2, sequence=2))
    with pytest.raises(WrongProgress, match="another correction's"):
        corrector.run(day.world.exchange, day.node, other)


@pytest.mark.parametrize(
    ("change", "error"), [({"run": 2}, "WrongRun"), ({"previous": bytes(31) + b"\x01"}, "WrongPrevious")]
)
def test_a_correction_that_skips_a_run_or_follows_another_link_is_refused(
    day: MeteredDay, change: dict[str, object], error: str
) -> None:
    other = day.sign_correction(read_of(LATE.address, 0, 1, sequence=2), **change)
    with pytest.raises(ContractRevert, match=error):
        corrector.run(day.world.exchange, day.node, other)


def test_a_correction_that_no_quorum_signed_is_refused(day: MeteredDay) -> None:
    signed = day.sign_correction(read_of(LATE.address, 0, 1, sequence=2))
    with pytest.raises(ContractRevert, match="QuorumNotReached"):
        corrector.run(day.world.exchange, day.node, replace(signed, signatures=signed.signatures[:1]))


def test_statements_are_rebuilt_from_calls_with_the_hashes_that_the_chain_has(day: MeteredDay) -> None:
    exchange = day.world.exchange
    day.correct(read_of(LATE.address, 0, 123, sequence=2))
    settled, certified = statements.first_run(exchange, DAY)
    changes = statements.changes_of(exchange, 0, DAY)
    assert [(one.account, one.difference, one.run) for one in changes] == [
        (LATE.address, (123 - 700, 0, 0, 0), 1)
    ]
    assert statements.fold(certified[0], changes) == statements.current(exchange, 0, DAY)
    with pytest.raises(WrongProgress, match="is not what its calls say"):
        statements.check(exchange, settled[0])
