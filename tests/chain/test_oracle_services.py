"""Oracle nodes and a settling service, from stored readings to certified and corrected days."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from chain_world import STRANGER
from month_troubles import LATE, SECOND, Trouble
from months import DAY_S, Month, starts_before
from service_world import PAST, Services, all_readings, fill, generated, noon_of, write_prices

from api.services.audit import audit_chain
from oracle import run_files
from oracle.messages import IMPORT, decode
from oracle.voting.ballots import Slot
from settlement.chain import market_days, signed_files
from settlement.chain.anvil import Anvil
from settlement.chain.corrector import zone_day
from settlement.chain.exchange import RunStage
from settlement.chain.sign import Signer
from settlement.chain.steps import logs_of

HOMES = 4
LATE_READS = Trouble(LATE, 0, 1, (IMPORT,), range(18, 21), SECOND)


@pytest.fixture(scope="module")
def traded() -> Iterator[Month]:
    measured = generated(HOMES, 1)
    with Anvil(timestamp=starts_before(measured, PAST)) as anvil:
        month = Month(anvil, measured, PAST, 1, [LATE_READS])
        month.trade(0)
        yield month


@pytest.fixture
def services(traded: Month, tmp_path: Path) -> Iterator[Services]:
    snapshot = traded.clock.snapshot()
    yield Services(traded, tmp_path)
    traded.clock.revert(snapshot)


def filled(services: Services, *without: int) -> Services:
    """All readings of the day at every node; a node of `without` lacks one home's meter."""
    month = services.month
    readings = all_readings(month, 0)
    meter = month.homes[0].meter.meter_id
    for number, node in enumerate(services.nodes, 1):
        heard = [one for one in readings if number not in without or one.message[1:33] != meter]
        fill(node.folder, services.registry, heard)
    return services


def first_run(services: Services, *numbers: int) -> None:
    """To the day on which the first run is due, and until it is posted."""
    services.advance_to(noon_of(services.month, 0, 0))
    for _ in range(6):
        services.tick(*numbers)


def postings(services: Services) -> list[tuple[int, int]]:
    """Zone and sequence of everything that was posted."""
    day = services.month.windows_of(0).first_window
    return [
        (event.zone, event.sequence)
        for zone in services.month.cast.zones
        for event in [market_days.posted(services.month.exchange, day, zone)]
        for _ in logs_of(services.month.exchange, "MeteringPosted", zone, day)
        if event is not None
    ]


def test_nodes_post_each_zone_once_and_a_stranger_settles_it(services: Services) -> None:
    month = filled(services).month
    services.tick()
    assert postings(services) == []  # it is not due
    first_run(services)
    assert postings(services) == [(zone, 1) for zone in month.cast.zones]
    services.settling(STRANGER).tick()
    day = month.windows_of(0).first_window
    assert month.exchange.run(0, day).stage is RunStage.CERTIFIED
    services.tick()
    for node in services.nodes:
        assert len(node.events("voted")) == len(month.cast.zones)
        assert node.events("finished")
        assert not node.events("dissent")
        assert [one["agrees"] for one in node.events("on chain")] == [True] * len(month.cast.zones)
        assert len(list((node.folder / "runs").glob("*.run"))) == len(month.cast.zones)
        assert node.engine.book.key(day, 0) is None


def test_a_node_that_lacks_readings_is_outvoted_and_told_in_what_it_differs(services: Services) -> None:
    month = filled(services, 3).month
    zone = month.homes[0].zone
    first_run(services)
    assert [place for place, _ in postings(services)] == month.cast.zones
    for node in services.nodes:
        (dissent,) = node.events("dissent")
        assert dissent["zone"] == zone
        assert dissent["node"] == "0x" + services.nodes[2].signer.address.hex()
        assert dissent["differs"] == ["commitments", "metered", "flags"]
        assert dissent["flags"] != dissent["quorum_flags"]
    liar = services.nodes[2]
    assert {one["zone"]: one["agrees"] for one in liar.events("on chain")}[zone] is False
    assert not list((liar.folder / "runs").glob(f"{zone}-*.run"))


def test_other_prices_are_a_dissent_by_prices_alone(services: Services) -> None:
    filled(services)
    write_prices(services.root / "prices-2.csv", services.month, [0], services.month.prices[0][0] + 1)
    first_run(services)
    assert {tuple(one["differs"]) for one in services.nodes[0].events("dissent")} == {("prices",)}


def test_without_prices_nothing_is_offered_and_what_is_missing_is_told(services: Services) -> None:
    filled(services)
    for number in (1, 2, 3):
        (services.root / f"prices-{number}.csv").write_text(
            "window_start,surplus_micro_per_kwh,deficit_micro_per_kwh\n"
        )
    first_run(services)
    assert postings(services) == []
    assert "has no prices of 24 of the day's 24 windows" in str(
        services.nodes[0].events("waiting")[-1]["why"]
    )
    for number in (1, 2, 3):
        write_prices(services.root / f"prices-{number}.csv", services.month, [0])
    for _ in range(4):
        services.tick()
    assert len(postings(services)) == len(services.month.cast.zones)


def test_two_nodes_are_enough_and_the_third_keeps_the_openings_when_it_is_back(services: Services) -> None:
    month = filled(services).month
    first_run(services, 1, 2)
    assert [zone for zone, _ in postings(services)] == month.cast.zones
    services.tick()
    third = services.nodes[2]
    assert not third.events("voted")
    assert [one["agrees"] for one in third.events("on chain")] == [True] * len(month.cast.zones)
    assert len(list((third.folder / "runs").glob("*.run"))) == len(month.cast.zones)


@pytest.mark.parametrize("rounds", range(5))
def test_nodes_that_are_killed_after_any_round_sign_the_same_and_post_once(
    services: Services, rounds: int
) -> None:
    month = filled(services).month
    services.advance_to(noon_of(month, 0, 0))
    for _ in range(rounds):
        services.tick()
    chosen = choices(services)
    late = services.month.signed(month.homes[0], IMPORT, month.windows_of(0).first_window, 1, 9)
    for number in (1, 2, 3):
        services.again(number)
        fill(services.folder(number), services.registry, [late])  # another result from now on
    for _ in range(6):
        services.tick()
    assert [zone for zone, _ in postings(services)] == month.cast.zones
    after = choices(services)
    assert all(now == before for before, now in zip(chosen, after, strict=True) if before)


def choices(services: Services) -> list[bytes | None]:
    """What each node chose to sign of each zone."""
    day = services.month.windows_of(0).first_window
    slots = [Slot(zone, day, 0, "1") for zone in services.month.cast.zones]
    return [node.engine.book.choice(slot) for node in services.nodes for slot in slots]


def test_readings_that_come_between_two_nodes_rounds_delay_the_vote_and_split_nothing(
    services: Services,
) -> None:
    month = filled(services).month
    services.advance_to(noon_of(month, 0, 0))
    services.tick(1)
    late = month.signed(month.homes[0], IMPORT, month.windows_of(0).first_window, 1, 9)
    for node in services.nodes:
        fill(node.folder, services.registry, [late])
    for _ in range(6):
        services.tick()
    assert [place for place, _ in postings(services)] == month.cast.zones
    assert all(one["agrees"] for node in services.nodes for one in node.events("on chain"))


def test_later_runs_take_in_what_came_late_and_the_audit_of_all_holds(services: Services) -> None:
    month = filled(services).month
    day = month.windows_of(0).first_window
    first_run(services)
    settling = services.settling(STRANGER)
    settling.tick()
    services.tick()
    late = all_readings(month, 0, SECOND)
    for node in services.nodes:
        fill(node.folder, services.registry, [one for one in late if decode(one.message).sequence == 2])
    for run in (1, 2):
        services.advance_to(noon_of(month, 0, run))
        for _ in range(5):
            services.tick()
        settling.tick()
        services.tick()
        assert {zone_day(month.exchange, zone, day).run for zone in month.cast.zones} == {run}
    assert [one["run"] for one in services.nodes[0].events("finished")] == [0, 1, 2]
    assert not any(node.events("dissent") for node in services.nodes)
    checks = audit_chain([month.anvil.rpc_url], "0x" + month.exchange.address.hex())
    assert [check.name for check in checks if not check.holds] == []


def test_what_nobody_posted_is_posted_by_default_and_corrected_with_the_feeds_prices(
    services: Services,
) -> None:
    month = filled(services).month
    day = month.windows_of(0).first_window
    services.advance_to(month.starts_at(0) + 11 * DAY_S)
    told: list[tuple[str, dict[str, object]]] = []
    settling = services.settling(month.cast.oracles[0], told)
    settling.tick()
    assert [event for event, _ in told].count("postDefault") == len(month.cast.zones)
    assert month.exchange.run(0, day).stage is RunStage.CERTIFIED
    services.advance_to(noon_of(month, 0, 1))
    for _ in range(6):
        services.tick()
    settling.tick()
    assert {zone_day(month.exchange, zone, day).run for zone in month.cast.zones} == {1}


def test_a_settling_service_settles_the_first_zones_while_others_are_not_posted(services: Services) -> None:
    month = filled(services).month
    first, second = month.cast.zones
    day = month.windows_of(0).first_window
    services.advance_to(noon_of(month, 0, 0))
    for node in services.nodes:
        node.engine.book.mark_done(second, day, 0)  # as if it had no time for it
    for _ in range(5):
        services.tick()
    settling = services.settling(STRANGER)
    assert settling.tick() == 1
    assert month.exchange.run(0, day).stage is RunStage.SETTLING
    assert month.exchange.zone_under_way(day)[0] == second > first
    assert settling.tick() == 0


def test_a_message_that_is_no_nodes_ballot_changes_nothing(services: Services) -> None:
    month = filled(services).month
    services.advance_to(noon_of(month, 0, 0))
    services.tick(1)
    (one, *_) = services.nodes[0].engine.outgoing()
    node = services.nodes[1]
    node.engine.tick()
    for payload in (b"", one[:60], one[:-1] + b" ", bytes(65) + one[65:], one + b"x" * 9_000):
        node.engine.hear(payload)
    slot = node.engine.book.current(node.signer.address)[0].slot
    assert set(node.engine.book.said(slot)) == {node.signer.address}
    stranger = replace(services.nodes[0])
    stranger.engine.signer = STRANGER
    node.engine.hear(
        stranger.engine.encode(stranger.engine.book.current(services.nodes[0].signer.address)[0])
    )
    assert set(node.engine.book.said(slot)) == {node.signer.address}


class Killed(BaseException):
    """What a test raises where a process would be killed."""


def dying_at(patched: pytest.MonkeyPatch, services: Services, boundary: int) -> list[str]:
    """The first node dies before (even) or after (odd) the given one of all that it writes or sends."""
    passed: list[str] = []
    engine = services.nodes[0].engine

    def wrap(owner: object, name: str, mine: Callable[..., bool]) -> None:
        real = getattr(owner, name)

        def wrapped(*arguments: object, **options: object) -> object:
            if not mine(*arguments):
                return real(*arguments, **options)
            for moment in ("before", "after"):
                if len(passed) == boundary:
                    raise Killed
                passed.append(f"{moment} {name}")
                if moment == "before":
                    result = real(*arguments, **options)
            return result

        patched.setattr(owner, name, wrapped)

    wrap(engine.book, "_change", lambda *_: True)
    wrap(engine.exchange, "send_data", lambda signer, *_: signer is engine.signer)
    for module, name in ((run_files, "keep"), (signed_files, "write")):
        wrap(module, name, lambda folder, *_: folder.is_relative_to(engine.terms.data))
    return passed


@pytest.mark.parametrize("part", range(4))
def test_killed_between_any_two_writes_a_node_signs_once_and_posts_once(
    services: Services, part: int, tmp_path: Path
) -> None:
    month = services.month
    zones, day = month.cast.zones, month.windows_of(0).first_window
    late = month.signed(month.homes[0], IMPORT, day, 1, 9)
    services.advance_to(noon_of(month, 0, 0))
    at = part
    while True:
        snapshot = month.clock.snapshot()
        team = filled(Services(month, tmp_path / f"at-{at}", turn_s=0))
        with pytest.MonkeyPatch.context() as patched:
            dying_at(patched, team, at)
            try:
                for _ in range(6):
                    team.tick(1, 2)
            except Killed:
                pass
            else:
                break  # past the last of them
        team.again(1)
        for number in (1, 2):
            fill(team.folder(number), team.registry, [late])  # what is computed now is another
        for _ in range(8):
            team.tick(1, 2)
        assert [zone for zone, _ in postings(team)] == zones, f"killed at {at}"
        for node in team.nodes[:2]:
            said = [node.engine.book.said(Slot(zone, day, 0, "1")) for zone in zones]
            assert all(len(one.votes) <= 1 for each in said for one in each.values()), f"killed at {at}"
        month.clock.revert(snapshot)
        at += 4
    assert at > 40


def test_a_settling_service_killed_after_any_transaction_is_taken_over_by_anyone(services: Services) -> None:
    month = filled(services).month
    exchange, day = month.exchange, month.windows_of(0).first_window
    first_run(services)
    send, steps = exchange.send_data, 2 * len(month.cast.zones)
    for done in range(steps):
        snapshot = month.clock.snapshot()
        sent: list[object] = []

        def dying(signer: Signer, data: bytes, done: int = done, sent: list[object] = sent) -> object:
            if len(sent) == done:
                raise Killed
            sent.append(data)
            return send(signer, data)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(exchange, "send_data", dying)
            with pytest.raises(Killed):
                services.settling(STRANGER).tick()
        assert services.settling(month.cast.operator).tick() == steps - done
        assert exchange.run(0, day).stage is RunStage.CERTIFIED
        month.clock.revert(snapshot)
