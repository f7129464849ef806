"""`trellis bench meter`: its day is the same every time and adds up; figures have the names they go by."""

from __future__ import annotations

from argparse import Namespace

import pytest

from oracle import bench, bench_city
from oracle.bench import DAY, signed_day, take_s
from oracle.bench_city import check, city, first_homes, judge
from oracle.errors import OutOfRange
from oracle.intake import Reason, take, verify_all
from oracle.messages import SignedReading
from oracle.pool import VerifierPool
from settlement import cli
from settlement.errors import CheckFailed


def test_a_seed_makes_one_day() -> None:
    one, two = city(40), city(40)
    assert one.readings.wh.tobytes() == two.readings.wh.tobytes()
    assert one.history.wh.tobytes() == two.history.wh.tobytes()
    assert one.readings.wh.tobytes() != city(40, seed=2).readings.wh.tobytes()


def test_the_citys_day_is_filled_and_adds_up() -> None:
    given = city(1_000)
    taken_out, filled, accounts = judge(given)
    check(given, filled, accounts)
    assert taken_out > 0
    assert len(accounts.accounts) == 1_000
    with pytest.raises(CheckFailed, match="do not sum"):
        check(given, filled.replace(filled.wh + 1, filled.flags), accounts)


def test_the_day_is_as_large_as_asked() -> None:
    assert (bench_city.HOMES, bench_city.DAY.windows) == (100_000, 48)
    assert len(first_homes(judge(city(10))[1], 4).series) == 8


@pytest.fixture(scope="module")
def pool():
    with VerifierPool(2) as started:
        yield started


def test_a_pool_judges_every_message_as_one_process_does(pool: VerifierPool, monkeypatch) -> None:
    monkeypatch.setattr("oracle.pool.CHUNK", 7)  # so that keys are named from several chunks
    registry, batch = signed_day(3)
    batch += [SignedReading(batch[1].message, rest) for rest in (b"", bytes(64), bytes(65), b"\xff" * 64)]
    alone, together = take(batch, registry, DAY, verify_all), take(batch, registry, DAY, pool)
    assert together == alone
    assert sum(one.reason is Reason.BAD_SIGNATURE for one in together.rejected) == 2 + 4
    assert sum(one.reason is Reason.DUPLICATE for one in together.rejected) == 2
    assert take([], registry, DAY, pool).accepted == ()


def test_a_pool_has_a_process() -> None:
    with pytest.raises(OutOfRange):
        VerifierPool(0)


def test_a_batch_that_is_not_taken_as_it_should_is_an_error() -> None:
    registry, batch = signed_day(1)
    assert take_s(batch, registry, verify_all).wall > 0
    with pytest.raises(CheckFailed, match="48 readings count"):
        take_s(batch, registry, lambda pairs, _: [True] * len(pairs))


def test_figures_have_the_names_they_are_compared_by() -> None:
    told: list[str] = []
    figures = bench.measure(Namespace(repetitions=1, processes=1, shrink=1_000), told.append)
    assert {"p256_readings_per_s", "city_day_validate_s", "city_day_validate_peak_mb"} <= set(figures)
    assert all(number >= 0 for number in figures.values())
    assert len(told) == 4


@pytest.mark.parametrize("words", [["--processes", "0"], ["--shrink", "x"], ["--repetitions", "-1"]])
def test_options_are_checked(words: list[str]) -> None:
    assert cli.main(["bench", "meter", *words]) == 2
