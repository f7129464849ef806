"""Later runs and challenges of a chain pass the audit, and what the rules refuse does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from audit_world import audited, counts
from chain_world import DAY, STRANGER, SUPPLIER, World
from metered_world import (
    BUYER,
    CALM,
    LATE,
    MWH,
    SELLER,
    MeteredDay,
    meter_of,
    point_of,
    post_and_settle,
    read_of,
    stake,
    traded_world,
)
from tampering import code_of, find_slot, number, plant, read_slot, write_slot

from oracle.messages import IMPORT
from settlement.audit.findings import Difference
from settlement.chain import abi, challenger, corrector, deploy
from settlement.chain.client import MOST_GAS
from settlement.chain.errors import ContractRevert
from settlement.reference.eip712 import keccak

DAYS_S = 86_400


@pytest.fixture(scope="module")
def traded() -> Iterator[World]:
    with traded_world() as found:
        stake(found)
        yield found


@pytest.fixture
def turned_back(traded: World) -> Iterator[World]:
    with traded.turned_back():
        yield traded


@pytest.fixture
def day(turned_back: World) -> MeteredDay:
    return post_and_settle(turned_back)


def holds(day: MeteredDay) -> dict[str, int]:
    found = audited(day.world)
    assert found.difference is None, found.difference.as_json()
    return counts(found)


def difference(day: MeteredDay) -> Difference:
    found = audited(day.world).difference
    assert found is not None
    return found


def opened(day: MeteredDay) -> challenger.Challenged:
    """A read of a home that contradicts what was posted; sent by a stranger."""
    exchange, brought = day.world.exchange, day.challenge(LATE.address, 0, 1_700)
    return challenger.challenge(exchange, STRANGER, challenger.signed_by(LATE, exchange, brought))


# What is as it should be --------------------------------------------------------------------------------


def test_later_runs_are_audited(day: MeteredDay) -> None:
    day.correct(read_of(LATE.address, 0, 650, sequence=2), read_of(CALM.address, 1, 9, sequence=2))
    assert (holds(day)["later runs"], holds(day)["corrected"]) == (1, 2)
    day.correct(read_of(BUYER.address, 0, 1_201, sequence=2, register=IMPORT))
    day.correct()
    found = holds(day)
    assert (found["later runs"], found["corrected"]) == (3, 3)


def test_a_later_run_is_audited_between_its_transactions(day: MeteredDay) -> None:
    exchange = day.world.exchange
    signed = day.sign_correction(*(read_of(one.address, 1, 77, sequence=2) for one in (BUYER, LATE, CALM)))
    corrector.open_corrections(exchange, day.node, day.signed.posting)
    holds(day)
    with pytest.MonkeyPatch.context() as patched:
        sent = type(exchange).send_data

        def audited_after(self: object, *arguments: object, **options: object) -> object:
            receipt = sent(exchange, *arguments, **options)  # type: ignore[arg-type]
            holds(day)
            return receipt

        patched.setattr(type(exchange), "send_data", audited_after)
        assert len(corrector.run(exchange, day.node, signed)) == 3


def upheld(day: MeteredDay, found: challenger.Challenged) -> None:
    day.world.clock.advance_to(found.answer_by + 1)
    challenger.settle(day.world.exchange, STRANGER, found.id)


def shown(day: MeteredDay, found: challenger.Challenged) -> None:
    """The oracles show the read that they committed to."""
    challenger.answer(day.world.exchange, STRANGER, found.id, day.answer(LATE.address, 0, 700, sequence=1))
    upheld(day, found)


def defeated(day: MeteredDay, found: challenger.Challenged) -> None:
    challenger.answer(day.world.exchange, STRANGER, found.id, day.answer(LATE.address, 0, 700, sequence=3))


def revoked(day: MeteredDay, found: challenger.Challenged) -> None:
    challenger.answer(day.world.exchange, STRANGER, found.id, day.answer(LATE.address, 0, 1_800, sequence=2))


def dropped(day: MeteredDay, found: challenger.Challenged) -> None:
    day.world.clock.advance_to(found.answer_by + 10 * DAYS_S + 1)
    challenger.drop(day.world.exchange, STRANGER, found.id)


@pytest.mark.parametrize("end", [upheld, shown, defeated, revoked, dropped])
def test_challenges_are_audited_open_and_ended(
    day: MeteredDay, end: Callable[[MeteredDay, challenger.Challenged], None]
) -> None:
    corrector.open_corrections(day.world.exchange, day.node, day.signed.posting)
    found = opened(day)
    assert holds(day)["challenges"] == 1
    end(day, found)
    assert holds(day)["corrected"] == (end in (upheld, shown))


def test_what_was_refused_of_later_runs_is_refused_again(day: MeteredDay) -> None:
    exchange = day.world.exchange
    corrector.open_corrections(exchange, day.node, day.signed.posting)
    opened(day)
    with pytest.raises(ContractRevert):
        opened(day)  # the same read again
    with pytest.raises(ContractRevert):
        exchange.send(SUPPLIER, "unbondOracles", 1, gas=MOST_GAS)
    assert holds(day)["refusals"] == 1  # the first was not sent at all
    holds(day)


def test_keys_that_follow_one_another_are_audited(day: MeteredDay) -> None:
    exchange, admin = day.world.exchange, day.world.admin
    x, y = (value.to_bytes(32, "big") for value in point_of(STRANGER.address))
    exchange.send(admin, "rotateMeter", meter_of(CALM.address), x, y, DAY + 2)
    exchange.send(admin, "revokeMeter", meter_of(CALM.address))
    holds(day)


# What is not --------------------------------------------------------------------------------------------


def test_a_statement_changed_behind_the_contracts_back_is_found_when_it_is_used(day: MeteredDay) -> None:
    """The chain takes rows that no run left, and pays by them."""
    world, exchange = day.world, day.world.exchange
    signed = day.sign_correction(read_of(SELLER.address, 0, MWH - 5, sequence=2))
    (part,) = signed.correction.statements
    corrector.run(exchange, day.node, signed)
    (now,) = exchange.view("statementOf", 0, DAY, part)
    slot = find_slot(
        world, exchange.address, [number(0), number(DAY), number(part)], int.from_bytes(now, "big")
    )
    write_slot(world, exchange.address, slot, int.from_bytes(keccak(now), "big"))
    found = difference(day)
    assert (found.check, found.what) == ("statements", "statementOf answers otherwise")


def test_a_run_that_follows_a_planted_link_is_found(day: MeteredDay) -> None:
    """A correction out of order: signed on another history, on a chain that was made to believe it."""
    world, exchange = day.world, day.world.exchange
    day.correct(read_of(LATE.address, 0, 650, sequence=2))
    _, link, *_ = exchange.view("zoneDayOf", 0, DAY)
    other = keccak(b"another history")
    signed = day.sign_correction(keep=False, previous=other)
    slot = link_slot(world, link)
    write_slot(world, exchange.address, slot, int.from_bytes(other, "big"))
    corrector.run(exchange, day.node, signed)
    found = difference(day)
    assert (found.check, found.found) == ("calls", "done")
    assert "WrongPrevious" in found.expected


def link_slot(world: World, link: bytes) -> bytes:
    """Of the zone's day, the word that has its link."""
    keys, value = [number(0), number(DAY)], int.from_bytes(link, "big")
    return next(
        later_slot for offset in range(4) if (later_slot := _found(world, keys, value, offset)) is not None
    )


def _found(world: World, keys: list[bytes], value: int, offset: int) -> bytes | None:
    try:
        base = find_slot(world, world.exchange.address, keys, value, offset)
    except AssertionError:
        return None
    slot = (int.from_bytes(base, "big") + offset).to_bytes(32, "big")
    assert read_slot(world, world.exchange.address, slot) == value
    return slot


def test_a_pot_filled_from_nowhere_is_found(day: MeteredDay) -> None:
    plant(day.world, _oracleBond=10**15)
    assert difference(day).check == "later days"


def test_a_module_that_opens_corrections_in_silence_is_found(day: MeteredDay) -> None:
    world, exchange = day.world, day.world.exchange
    module = world.deployment.modules[deploy.MODULES.index("ChallengeModule")]
    with code_of(world, module, b"\x00"):
        exchange.send_data(STRANGER, abi.open_corrections(day.signed.posting))
    found = difference(day)
    assert (found.check, found.found) == ("events", None)
