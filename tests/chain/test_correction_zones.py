"""Later runs and challenges where a day has several zones, and where nobody posted it in time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from month_troubles import CONTESTED, NEVER, Trouble
from months import BOND_NANO, DAY_S, FEED_IN, MARGIN, RETAIL, Month, starts_before
from test_generated_month import PAST, generated

from api.services.audit import audit_chain
from oracle.day import Day
from oracle.estimation import no_history
from oracle.messages import IMPORT, SignedReading
from oracle.node import DayInputs
from oracle.reruns import Presumed, RunState, rerun
from settlement.chain import abi, challenger, corrector, participant_day, settler, statements
from settlement.chain.anvil import Anvil
from settlement.chain.challenger import UPHELD
from settlement.chain.corrector import SignedCorrection
from settlement.chain.errors import ContractRevert
from settlement.chain.statements import challenge_of

FIRST_STREET, SECOND_STREET = 1, 2
CONTEST = Trouble(CONTESTED, 0, 1, (IMPORT,), range(0, 1), NEVER)
"""Of the second home, which lives in the second street."""
DEFAULT_AFTER_S = 10 * DAY_S


@pytest.fixture(scope="module")
def traded() -> Iterator[Month]:
    """One day of three homes in two streets, over and not posted."""
    measured = generated()
    with Anvil(timestamp=starts_before(measured, PAST)) as anvil:
        found = Month(anvil, measured, PAST, 1, [CONTEST])
        found.trade(0)
        found.clock.advance_to(found.starts_at(1))
        yield found


@contextmanager
def turned_back(month: Month) -> Iterator[Month]:
    """The chain and what is known of it are afterwards as they were."""
    snapshot = month.clock.snapshot()
    kept = dict(month.zones), dict(month.first), dict(month.challenges), dict(month.opened_until)
    try:
        yield month
    finally:
        month.clock.revert(snapshot)
        month.zones, month.first, month.challenges, month.opened_until = kept


@pytest.fixture
def month(traded: Month) -> Iterator[Month]:
    """The day after its first run."""
    with turned_back(traded) as found:
        found.settle_first(0)
        yield found


def late(month: Month, home: int, window: int, wh: int, sequence: int = 2) -> SignedReading:
    who = month.homes[home]
    return month.signed(who, IMPORT, month.windows_of(0).first_window + window, wh, sequence)


def signed(month: Month, zone: int, *reads: SignedReading, run: int = 1) -> SignedCorrection:
    """The next run of a zone, not sent."""
    key = month.key_of_run(zone, 0, run)
    found, left = rerun(month.exchange, month.zones[zone, 0], reads, month.nodes, 2, key, month.verifier)
    month.zones[zone, 0] = left
    return found


def send(month: Month, correction: SignedCorrection) -> None:
    corrector.run(month.exchange, month.cast.oracles[0], correction)


def row(month: Month, home: int) -> tuple[int, ...]:
    who = month.homes[home]
    return statements.current(month.exchange, who.zone, month.windows_of(0).first_window).rows[who.address]


def run_of(month: Month, zone: int) -> int:
    return corrector.zone_day(month.exchange, zone, month.windows_of(0).first_window).run


def cash(month: Month) -> dict[bytes, int]:
    """Of every member, and what challenges have at stake."""
    accounts = month.exchange.accounts(list(month.cast.members))
    return {account: one.cash.free + one.cash.reserved for account, one in accounts.items()}


def changed(before: dict[bytes, int], after: dict[bytes, int]) -> dict[bytes, int]:
    return {account: after[account] - nano for account, nano in before.items() if after[account] != nano}


def audited(month: Month) -> dict[str, int]:
    checks = audit_chain([month.anvil.rpc_url], "0x" + month.exchange.address.hex())
    assert [check.name for check in checks if not check.holds] == []
    return {check.name: check.count for check in checks}


def test_each_zone_is_corrected_by_itself_and_the_supplier_takes_the_other_side(month: Month) -> None:
    before, rows = cash(month), [row(month, home) for home in range(3)]
    drawn = int(month.measured.register_wh(IMPORT)[0, PAST, 3])
    send(month, signed(month, FIRST_STREET, late(month, 0, 3, drawn + 500)))
    assert (run_of(month, FIRST_STREET), run_of(month, SECOND_STREET)) == (1, 0)
    assert row(month, 0)[3] == rows[0][3] - 500
    assert [row(month, home) for home in (1, 2)] == rows[1:]
    differences = changed(before, cash(month))
    assert set(differences) == {month.homes[0].address, month.cast.supplier.address}
    assert sum(differences.values()) == 0
    send(month, signed(month, SECOND_STREET))
    send(month, signed(month, FIRST_STREET, late(month, 0, 3, drawn, 3), run=2))
    assert (run_of(month, FIRST_STREET), run_of(month, SECOND_STREET)) == (2, 1)
    assert changed(before, cash(month)) == {}
    told = participant_day.history_of_party(month.exchange, month.windows_of(0).first_window)
    assert told[-1].imbalance_wh == tuple(-sum(wh) for wh in zip(*rows, strict=True))
    assert [(one.zone, one.run) for one in told[-2:]] == [(FIRST_STREET, 1), (FIRST_STREET, 2)]
    assert told[-2].cash_nano == -told[-1].cash_nano == differences[month.cast.supplier.address]


def test_a_correction_under_way_in_one_zone_holds_up_no_other(month: Month) -> None:
    """The first street's is posted and not applied; the second street's goes all the way."""
    first = signed(month, FIRST_STREET, late(month, 0, 3, 1))
    second = signed(month, SECOND_STREET, late(month, 1, 3, 1))
    exchange, node = month.exchange, month.cast.oracles[0]
    corrector.open_day(exchange, node, FIRST_STREET, first.correction.first_window)
    exchange.send_data(node, abi.post_correction(first.correction, first.signatures))
    send(month, second)
    assert (run_of(month, FIRST_STREET), run_of(month, SECOND_STREET)) == (0, 1)
    send(month, first)
    assert (run_of(month, FIRST_STREET), run_of(month, SECOND_STREET)) == (1, 1)


def test_a_zones_correction_is_none_of_another_zones(month: Month) -> None:
    first = signed(month, FIRST_STREET, late(month, 0, 3, 1))
    corrector.open_day(month.exchange, month.cast.oracles[0], SECOND_STREET, first.correction.first_window)
    moved = replace(first, correction=replace(first.correction, zone=SECOND_STREET))
    with pytest.raises(ContractRevert, match=r"QuorumNotReached|BadOracleSignature"):
        send(month, moved)


def test_a_challenge_holds_up_its_own_zone_alone(month: Month) -> None:
    month.open_challenge(CONTEST)
    (id_,) = month.challenges
    waiting = month.zones[SECOND_STREET, 0]
    with pytest.raises(ContractRevert, match="ChallengeOpen"):
        send(month, signed(month, SECOND_STREET))
    month.zones[SECOND_STREET, 0] = waiting
    send(month, signed(month, FIRST_STREET, late(month, 0, 3, 1)))
    before, supplier = row(month, 1)[0], cash(month)[month.cast.supplier.address]
    month.clock.advance_to(month.opened_until[id_] + 1)
    month.settle_challenges()
    assert challenge_of(month.exchange, id_).stage == UPHELD
    assert row(month, 1)[0] == before + 300
    worth = supplier - cash(month)[month.cast.supplier.address]
    assert worth in (300 * (RETAIL + MARGIN), 300 * (FEED_IN - MARGIN))
    send(month, signed(month, SECOND_STREET, late(month, 1, 5, 40)))
    assert row(month, 1)[0] == before + 300
    counted = audited(month)
    assert (counted["later runs"], counted["challenges"]) == (2, 1)


# Settled by default -------------------------------------------------------------------------------------


@pytest.fixture
def presumed(traded: Month) -> Iterator[Month]:
    """The day as nobody posted it in the second street; the first street's oracles did."""
    with turned_back(traded) as found:
        posted = found.first_state(FIRST_STREET, 0)
        found.zones[FIRST_STREET, 0] = posted
        settler.post(found.exchange, found.cast.oracles[0], posted.signed)
        found.clock.advance_to(found.starts_at(1) + DEFAULT_AFTER_S + 1)
        settler.run(found.exchange, found.cast.oracles[0], posted.signed, unposted(found))
        yield found


def unposted(month: Month) -> settler.SignedPosting:
    accounts = [home.address for home in month.homes if home.zone == SECOND_STREET]
    return settler.by_default(SECOND_STREET, month.windows_of(0).first_window, month.windows, accounts)


def known(month: Month, target: Day) -> DayInputs:
    """What the second street's oracles know at last."""
    registry = month.registry_of(SECOND_STREET)
    surplus, deficit = month.prices
    return DayInputs(
        zone=SECOND_STREET,
        day=target,
        registry=registry,
        batch=tuple(month.readings(SECOND_STREET, 0, 0)),
        history=no_history(len(registry.series), target),
        surplus=surplus,
        deficit=deficit,
        day_key=bytes(32),
    )


def first_corrected(month: Month) -> RunState:
    """The second street's first correction, on chain."""
    last = Presumed(unposted(month), known(month, month.windows_of(0)))
    key = month.key_of_run(SECOND_STREET, 0, 1)
    correction, left = rerun(month.exchange, last, (), month.nodes, 2, key, month.verifier)
    send(month, correction)
    return left


def test_a_day_settled_by_default_is_corrected_to_what_was_metered(presumed: Month) -> None:
    month, home = presumed, presumed.homes[1]
    assert not any(row(month, 1))
    first = month.windows_of(0).first_window
    standing = statements.first_run(month.exchange, first)[1][SECOND_STREET]
    contracted = statements.contracted(month.exchange, standing)[home.address]
    metered = (month.measured.pv_wh - month.measured.load_wh)[1, PAST].copy()
    metered[0] -= 300  # what its meter first said of the window that is contested
    before = cash(month)
    first_corrected(month)
    due = metered - np.array(contracted)
    assert row(month, 1) == tuple(due.tolist())
    price = np.where(due > 0, FEED_IN - MARGIN, RETAIL + MARGIN)
    differences = changed(before, cash(month))
    assert differences == {
        home.address: int((due * price).sum()),
        month.cast.supplier.address: -int((due * price).sum()),
    }
    assert audited(month)["later runs"] == 1


def test_nothing_of_a_default_can_be_challenged_but_its_first_correction_can(presumed: Month) -> None:
    month = presumed
    first = month.windows_of(0).first_window
    corrector.open_day(month.exchange, month.cast.oracles[0], SECOND_STREET, first)
    never_posted = month.first_state(SECOND_STREET, 0)
    month.zones[SECOND_STREET, 0] = replace(never_posted, signed=unposted(month))
    with pytest.raises(ContractRevert, match="NotCommitted"):
        month.open_challenge(CONTEST)
    month.zones[SECOND_STREET, 0] = first_corrected(month)
    before, free = row(month, 1), cash(month)[month.homes[1].address]
    month.open_challenge(CONTEST)
    (id_,) = month.challenges
    month.clock.advance_to(month.opened_until[id_] + 1)
    month.settle_challenges()
    assert row(month, 1) == (before[0] + 300, *before[1:])
    gained = cash(month)[month.homes[1].address] - free - BOND_NANO
    assert gained in (300 * (RETAIL + MARGIN), 300 * (FEED_IN - MARGIN))
    send(month, signed(month, SECOND_STREET, late(month, 1, 5, 40), run=2))
    assert row(month, 1)[0] == before[0] + 300
    counted = audited(month)
    assert (counted["later runs"], counted["challenges"]) == (2, 1)


def test_a_later_correction_keeps_the_prices_that_the_first_brought(presumed: Month) -> None:
    month = presumed
    left = first_corrected(month)
    dearer = tuple(price + 1 for price in left.inputs.deficit)
    month.zones[SECOND_STREET, 0] = replace(left, inputs=replace(left.inputs, deficit=dearer))
    with pytest.raises(ContractRevert, match="BadPosting"):
        send(month, signed(month, SECOND_STREET, late(month, 1, 5, 40), run=2))


def test_a_zone_that_was_posted_is_corrected_beside_one_that_was_not(presumed: Month) -> None:
    month = presumed
    before = row(month, 0)
    send(month, signed(month, FIRST_STREET, late(month, 0, 3, 1)))
    assert (row(month, 0) != before, any(row(month, 1))) == (True, False)


def test_the_reads_of_challenges_are_found_on_chain(month: Month) -> None:
    month.open_challenge(CONTEST)
    (id_,) = month.challenges
    month.clock.advance_to(month.opened_until[id_] + 1)
    month.settle_challenges()
    day = month.windows_of(0).first_window
    (held,) = challenger.upheld(month.exchange, SECOND_STREET, day)
    assert (held.account, held.window, held.difference) == (month.homes[1].address, day, 300)
    assert challenger.upheld(month.exchange, FIRST_STREET, day) == []
