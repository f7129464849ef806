"""A day of 17 homes from the broker to certified and corrected accounts, by processes that are killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from chain_world import STRANGER
from live_world import needs_mosquitto, wait_for
from month_troubles import LATE, SECOND, Trouble
from months import Month, starts_before
from serve_world import NAMES, Live
from service_world import PAST, all_readings, fill, generated, noon_of, write_prices

from api.services.audit import audit_chain
from oracle import run_files
from oracle.contesting import contest
from oracle.live.store import Store
from oracle.messages import IMPORT, decode, public_point
from settlement.chain import challenger, corrector
from settlement.chain.anvil import Anvil
from settlement.chain.exchange import RunStage
from settlement.chain.statements import challenge_of
from settlement.chain.steps import logs_of
from settlement.cli import main

pytestmark = needs_mosquitto
HOMES = 17
LATE_READS = Trouble(LATE, 0, 3, (IMPORT,), range(18, 21), SECOND)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    measured = generated(HOMES, 1)
    with Anvil(timestamp=starts_before(measured, PAST)) as anvil:
        month = Month(anvil, measured, PAST, 1, [LATE_READS])
        month.trade(0)
        found = Live(month, tmp_path)
        try:
            yield found
        finally:
            found.stop()


def stored(live: Live, name: str) -> int:
    if not (live.root / name / "readings.sqlite").exists():
        return 0
    with Store(live.root / name, read_only=True) as store:
        return store.readings()


def posted(live: Live) -> list[int]:
    """Zones, as often as they were posted."""
    return sorted(
        int.from_bytes(log.topics[1], "big") for log in logs_of(live.month.exchange, "MeteringPosted")
    )


@pytest.mark.timeout(600)
def test_the_day_is_posted_once_settled_challenged_and_corrected_whoever_is_killed(live: Live) -> None:
    month, zones = live.month, live.month.cast.zones
    day = month.windows_of(0).first_window
    write_prices(live.root / "oracle-3.csv", month, [0], month.prices[0][0] + 1)  # it will dissent
    live.broker.start()
    for node in live.nodes:
        node.start()
        node.wait_told("ready")
        node.wait_told("connected")
    readings = all_readings(month, 0)
    live.publish(readings)
    for name in NAMES:
        wait_for(lambda name=name: stored(live, name) == len(readings), f"the readings at {name}")

    first, second, third = live.nodes
    second.kill()
    month.clock.advance_to(noon_of(month, 0, 0))
    first.wait_told("offered", len(zones))
    third.wait_told("offered", len(zones))
    assert posted(live) == []
    second.start()
    wait_for(lambda: posted(live) == zones, "both zones to be posted", 120)
    for node in (first, second):
        node.wait_told("on chain", len(zones))
        assert [one["agrees"] for one in node.events("on chain")] == [True] * len(zones)
        assert {tuple(one["differs"]) for one in node.events("dissent")} == {("prices",)}

    settling = live.settling(STRANGER)
    settling.start()
    try:
        wait_for(lambda: month.exchange.run(0, day).stage >= RunStage.SETTLING, "the first part", 120)
        settling.kill()
        settling.start()
        wait_for(lambda: month.exchange.run(0, day).stage is RunStage.CERTIFIED, "certificates", 120)
        for node in (first, second):
            node.wait_told("finished")
        answered(live)

        late = [one for one in all_readings(month, 0, SECOND) if decode(one.message).sequence == 2]
        live.publish(late)
        for name in NAMES:
            total = len(readings) + len(late)
            wait_for(lambda name=name, total=total: stored(live, name) == total, f"late reads at {name}")
        first.kill()
        month.clock.advance_to(noon_of(month, 0, 1))
        second.wait_told("offered", 2 * len(zones))
        first.start()
        wait_for(lambda: {run_of(live, zone) for zone in zones} == {1}, "the second run", 120)
    finally:
        settling.kill()
    assert posted(live) == zones
    first.wait_told("connected", 2)
    assert [node.terminate() for node in live.nodes] == [0, 0, 0]
    assert all("Traceback" not in node.log.read_text() for node in [*live.nodes, settling])
    checks = audit_chain([month.anvil.rpc_url], "0x" + month.exchange.address.hex())
    assert [check.name for check in checks if not check.holds] == []
    counted = {check.name: check.count for check in checks}
    assert (counted["later runs"], counted["challenges"]) == (len(zones), 1)


def run_of(live: Live, zone: int) -> int:
    return corrector.zone_day(live.month.exchange, zone, live.month.windows_of(0).first_window).run


def answered(live: Live) -> None:
    """A home challenges what was posted; a node shows what its meter had said; the challenge is settled."""
    month, home = live.month, live.month.homes[0]
    day, window = month.windows_of(0).first_window, month.windows_of(0).first_window + 20
    key = public_point(home.key)
    corrector.open_day(month.exchange, month.cast.operator, home.zone, day)
    (run,) = [one for one in run_files.kept(live.root / NAMES[0]) if one.zone == home.zone]
    (row,) = [one for one in run if one.key == (home.meter.meter_id, IMPORT, window)]
    opening = run.open(row)
    said = month.signed(home, IMPORT, window, decode(opening.message).wh - 100, 2)
    brought = challenger.signed_by(home.wallet, month.exchange, contest(opening, said, key, home.zone, day))
    opened = challenger.challenge(month.exchange, month.cast.operator, brought)
    wait_for(lambda: challenge_of(month.exchange, opened.id).answered, "an answer", 120)
    month.clock.advance_to(opened.answer_by + 1)
    wait_for(lambda: challenge_of(month.exchange, opened.id).stage == challenger.UPHELD, "its end", 120)


def test_without_a_broker_votes_are_brought_as_files_and_posted_at_once(
    live: Live, capsys: pytest.CaptureFixture[str]
) -> None:
    month, zone = live.month, live.month.cast.zones[0]
    day, place = month.windows_of(0).first_window, ("--day", str(month.date(0)), "--zone", str(zone))
    for name in NAMES[:2]:
        fill(live.root / name, live.registry, all_readings(month, 0))

    def command(name: str, *more: str) -> int:
        return main(["oracle", more[0], "--config", str(live.config(name)), *place, *more[1:]])

    ballot = str(live.root / "ballot")
    assert command(NAMES[1], "vote", "--out", ballot) == 1
    assert "it is not due" in capsys.readouterr().err
    month.clock.advance_to(noon_of(month, 0, 0))
    for _ in range(2):
        assert command(NAMES[1], "vote", "--out", ballot, "--json") == 0
        fill(live.root / NAMES[1], live.registry, [month.signed(month.homes[0], IMPORT, day, 1, 9)])
    first, second = (json.loads(part + "}")["digest"] for part in capsys.readouterr().out.split("}")[:2])
    assert first == second  # what was signed once stays
    assert command(NAMES[0], "post", ballot) == 1
    assert "only 1 nodes signed the same, 2 are needed" in capsys.readouterr().err
    assert command(NAMES[0], "vote", "--out", str(live.root / "own")) == 0
    assert command(NAMES[0], "post", ballot) == 0
    assert "postMetering in block" in capsys.readouterr().out
    assert posted(live) == [zone]
    assert command(NAMES[0], "post", ballot) == 0
    assert "nothing was left to post" in capsys.readouterr().out
    assert posted(live) == [zone]
