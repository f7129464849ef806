"""What was known of a participant's day, and since when; told from the chain alone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from chain_world import DAY, NETWORK, STRANGER, SUPPLIER, World
from metered_world import (
    BOND,
    CALM,
    LATE,
    METERED,
    SURPLUS,
    MeteredDay,
    post_and_settle,
    read_of,
    stake,
    traded_world,
)

from settlement import cli
from settlement.chain import challenger, participant_day
from settlement.chain.participant_day import Known
from settlement.chain.rpc import to_hex
from settlement.chain.sign import Signer
from settlement.reference.accounts import PROSUMER, Member
from settlement.reference.errors import NotInStatement


@pytest.fixture(scope="module")
def day() -> Iterator[MeteredDay]:
    """Three runs and a challenge that held between the first two."""
    with traded_world() as world:
        stake(world)
        yield _lived(world)


def _lived(world: World) -> MeteredDay:
    exchange = world.exchange
    day = post_and_settle(world)
    day.correct()
    brought = challenger.signed_by(LATE, exchange, day.challenge(LATE.address, 0, 800))
    found = challenger.challenge(exchange, STRANGER, brought)
    world.clock.advance_to(found.answer_by + 1)
    challenger.settle(exchange, STRANGER, found.id)
    day.upheld = [(LATE.address, DAY, 100)]
    day.correct(read_of(LATE.address, 0, 800, 2), read_of(CALM.address, 0, 60, 2))
    day.correct(read_of(LATE.address, 0, 790, 3))
    return day


def told(found: list[Known]) -> list[tuple[str, int, int, int]]:
    return [(one.what, one.run, one.imbalance_wh[0], one.cash_nano) for one in found]


def test_every_run_and_challenge_is_told_with_what_was_known_then(day: MeteredDay) -> None:
    found = participant_day.history(day.world.exchange, LATE.address, 0, DAY)
    first = sum(
        wh * price for wh, price in zip(METERED[LATE.address], (SURPLUS[0], 350_000, 0, 50_000), strict=True)
    )
    assert told(found) == [
        ("settled", 0, 700, first),
        ("delivered", 0, 700, 0),
        ("corrected", 1, 700, 0),
        ("challenge opened", 1, 700, 0),
        ("challenge upheld", 1, 800, 100 * SURPLUS[0]),
        ("corrected", 2, 800, 0),
        ("corrected", 3, 790, -10 * SURPLUS[0]),
    ]
    assert [one.stake_nano for one in found] == [0, 0, 0, -BOND, 2 * BOND, 0, 0]
    assert found[-1].cumulative_nano == sum(one.cash_nano for one in found)
    assert [one.block for one in found] == sorted(one.block for one in found)


def test_the_last_entry_is_what_the_chain_has_a_hash_of(day: MeteredDay) -> None:
    for account in METERED:
        assert participant_day.history(day.world.exchange, account, 0, DAY)[-1].imbalance_wh == day.row(
            account
        )


def test_cash_told_is_all_that_settling_moved(day: MeteredDay) -> None:
    """Of the calm one, who traded nothing and set nothing at stake."""
    found = participant_day.history(day.world.exchange, CALM.address, 0, DAY)
    before = day.world.exchange.cash(CALM.address, found[0].block - 1).free
    assert day.free(CALM.address) - before == found[-1].cumulative_nano
    for one in found:
        after = day.world.exchange.cash(CALM.address, one.block).free
        assert after - before == one.cumulative_nano


def test_the_balancing_party_has_the_other_side_of_everyone(day: MeteredDay) -> None:
    """In every window after every run, and to the nano of what its free cash moved by."""
    exchange = day.world.exchange
    party = participant_day.history_of_party(exchange, DAY)
    everyone = [participant_day.history(exchange, account, 0, DAY) for account in METERED]
    for at in range(len(party[-1].imbalance_wh)):
        assert party[-1].imbalance_wh[at] == -sum(one[-1].imbalance_wh[at] for one in everyone)
    first = sum(one[0].imbalance_wh[0] for one in everyone)
    assert told(party)[0][:3] == ("settled", 0, -first)
    assert [one[:3] for one in told(party)[-3:]] == [
        ("challenge upheld", 1, -first - 100),
        ("corrected", 2, -first - 100 - (60 - METERED[CALM.address][0])),
        ("corrected", 3, -first - 90 - (60 - METERED[CALM.address][0])),
    ]
    assert party[-3].cash_nano == -100 * SURPLUS[0]
    before = exchange.cash(SUPPLIER.address, party[0].block).free
    assert day.free(SUPPLIER.address) - before == party[-1].cumulative_nano - party[0].cash_nano


def test_nobody_has_a_history_who_was_not_metered(day: MeteredDay) -> None:
    with pytest.raises(NotInStatement):
        participant_day.history(day.world.exchange, STRANGER.address, 0, DAY)


DATE, ZONE = "2024-10-04", "Etc/GMT+7"
"""The day's first window starts at that midnight."""


# The command --------------------------------------------------------------------------------------------


def command(day: MeteredDay, account: Signer, *more: str, date: str = "") -> list[str]:
    given = date or DATE
    place = ["--rpc", day.world.anvil.rpc_url, "--address", to_hex(day.world.exchange.address)]
    return [
        "settlement",
        "history",
        *place,
        "--account",
        to_hex(account.address),
        "--day",
        given,
        "--tz",
        ZONE,
        *more,
    ]


def test_a_participant_reads_its_day_window_by_window(
    day: MeteredDay, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(command(day, LATE, "--windows")) == 0
    shown = capsys.readouterr().out
    assert shown.count("window  1") == 7
    assert "challenge upheld" in shown
    assert "0.002000000" in shown


def test_the_balancing_party_reads_its_side_and_who_is_not_metered_is_told_so(
    day: MeteredDay, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(command(day, SUPPLIER, "--windows")) == 0
    shown = capsys.readouterr().out
    assert "rest" in shown
    assert "challenge upheld" in shown
    assert cli.main(command(day, SUPPLIER, "--json")) == 0
    entries = json.loads(capsys.readouterr().out)["entries"]
    assert all(sum(one["windows_wh"]) == one["imbalance_wh"] for one in entries)
    assert cli.main(command(day, NETWORK)) == 2
    assert "is not metered, and has no imbalance: give the account of" in capsys.readouterr().err


def test_a_member_that_came_after_the_day_is_told_to_look_later(
    day: MeteredDay, capsys: pytest.CaptureFixture[str]
) -> None:
    with day.world.turned_back():
        day.world.exchange.register(day.world.admin, STRANGER.address, Member(PROSUMER, 0))
        assert cli.main(command(day, STRANGER)) == 2
    assert "is not metered on that day: it was no member of zone 0" in capsys.readouterr().err


def test_programs_read_it_too(day: MeteredDay, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(command(day, LATE, "--json")) == 0
    entries = json.loads(capsys.readouterr().out)["entries"]
    assert entries[-1]["windows_wh"] == [790, *METERED[LATE.address][1:]]
    assert entries[-1]["cumulative_nano"] == str(sum(int(one["cash_nano"]) for one in entries))


@pytest.mark.parametrize(
    ("date", "why"), [("2020-01-01", "never opened on this chain"), ("tomorrow", "is no date")]
)
def test_a_day_that_is_not_there_is_told(
    day: MeteredDay, capsys: pytest.CaptureFixture[str], date: str, why: str
) -> None:
    assert cli.main(command(day, LATE, date=date)) == 2
    assert why in capsys.readouterr().err


def test_no_member_is_short_of_cover(day: MeteredDay, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--rpc", day.world.anvil.rpc_url, "--address", to_hex(day.world.exchange.address)]
    assert cli.main(["settlement", "credit", *place]) == 0
    assert "no member is above 80%" in capsys.readouterr().out
