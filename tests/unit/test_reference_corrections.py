"""Later runs change imbalances by differences, link to what stands, and net to zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import reference_world as world
import settling_world
from correction_world import (
    DEFICIT,
    HOMES,
    LATER,
    SURPLUS,
    Day,
    certified_day,
    unposted,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_world import BALANCING_ADDRESS, BUYER, DAY, DAY_END, OTHER, SELLER, WINDOWS
from settling_world import Settler

from settlement.reference import correction as corrections
from settlement.reference import errors, posting
from settlement.reference.correction import Difference
from settlement.reference.eip712 import keccak
from settlement.reference.exchange import Exchange, RunStage
from settlement.reference.exchange.events import (
    AccountCorrected,
    AccountSettled,
    CorrectionPosted,
    CorrectionsOpened,
    PartCorrected,
    RunCorrected,
)
from settlement.reference.exchange.metering import CHALLENGE_WINDOW_S, DEFAULT_AFTER_S
from settlement.reference.settlement import imbalance_cash

ROW = st.lists(st.integers(-5000, 5000), min_size=WINDOWS, max_size=WINDOWS)
DIFFERENCES = st.dictionaries(st.sampled_from(HOMES), ROW.filter(any), max_size=4)
FEW = settings(max_examples=15, deadline=None)

BASE = certified_day()


def fresh() -> Day:
    """The same certified day again, without clearing it anew."""
    exchange = object.__new__(Exchange)
    exchange.__dict__.update(BASE.exchange.__dict__, state=BASE.exchange.state.copy())
    parts = {zone: [list(part) for part in each] for zone, each in BASE.settler.parts.items()}
    settler = replace(BASE.settler, exchange=exchange, parts=parts)
    return replace(BASE, exchange=exchange, settler=settler, runs=[])


def cash(day: Day) -> dict[bytes, int]:
    return {account: day.free(account) for account in [*HOMES, BALANCING_ADDRESS]}


def worth(row: tuple[int, ...]) -> int:
    return sum(map(imbalance_cash, row, SURPLUS, DEFICIT))


# What a run does ----------------------------------------------------------------------------------------


def test_a_correction_pays_the_difference_of_what_imbalances_are_worth() -> None:
    day = fresh()
    before, row = day.free(OTHER), day.settler.imbalance(OTHER)
    day.correct({OTHER: (-80, 3, 0, 0)})
    after = (row[0] - 80, row[1] + 3, *row[2:])
    assert day.settler.imbalance(OTHER) == after
    assert day.free(OTHER) - before == worth(after) - worth(row) == -50 * 80_000 - 30 * 240_000 + 3 * 70_000
    day.assert_conserved()


def test_the_balancing_party_takes_the_other_side_of_a_correction() -> None:
    day = fresh()
    before = day.free(BALANCING_ADDRESS)
    day.correct({OTHER: (-80, 0, 0, 0), SELLER: (0, 11, 0, 0)})
    parts = [event for event in day.exchange.events if isinstance(event, PartCorrected)]
    accounts = [event for event in day.exchange.events if isinstance(event, AccountCorrected)]
    assert sum(one.cash_nano for one in parts) == -sum(one.cash_nano for one in accounts)
    assert sum(one.imbalance_wh for one in parts) == -sum(one.imbalance_wh for one in accounts) == 69
    assert day.free(BALANCING_ADDRESS) - before == sum(one.cash_nano for one in parts)


@FEW
@given(DIFFERENCES, DIFFERENCES)
def test_two_corrections_are_worth_one_of_their_sum(
    first: dict[bytes, list[int]], second: dict[bytes, list[int]]
) -> None:
    apart, together = fresh(), fresh()
    for differences in (first, second):
        apart.correct(differences)
        apart.assert_conserved()
    zero = [0] * WINDOWS
    added = {
        account: [a + b for a, b in zip(first.get(account, zero), second.get(account, zero), strict=True)]
        for account in {*first, *second}
    }
    together.correct({account: row for account, row in added.items() if any(row)})
    assert cash(apart) == cash(together)
    assert apart.exchange.state.statements == together.exchange.state.statements


@FEW
@given(DIFFERENCES)
def test_a_correction_and_its_inverse_leave_cash_and_statements_as_they_were(
    differences: dict[bytes, list[int]],
) -> None:
    day = fresh()
    before, statements = cash(day), dict(day.exchange.state.statements)
    day.correct(differences)
    day.correct({account: [-wh for wh in row] for account, row in differences.items()})
    assert (cash(day), day.exchange.state.statements) == (before, statements)


def test_a_run_without_differences_is_complete_at_once_and_renews_the_time_to_challenge() -> None:
    day = fresh()
    day.post(day.correction({}), now=LATER + 5000)
    found = day.exchange.zone_day(0, DAY)
    assert (found.run, found.pending, found.since) == (1, bytes(32), LATER + 5000)
    assert day.exchange.state.challengeable_until == LATER + 5000 + CHALLENGE_WINDOW_S
    assert isinstance(day.exchange.events[-2], CorrectionPosted)
    assert day.exchange.events[-1] == RunCorrected(0, DAY, 1, day.link)


def test_every_run_links_to_all_before_it() -> None:
    day = fresh()
    links = [day.link]
    assert links[0] == posting.struct_hash(day.message)
    for differences in ({OTHER: (1, 0, 0, 0)}, {SELLER: (0, 2, 0, 0)}):
        run = day.correct(differences)
        assert run.previous == links[-1]
        links.append(day.link)
        assert day.link == keccak(links[-2] + corrections.struct_hash(run))
    assert len(set(links)) == 3


def test_delivery_is_allotted_once_corrections_leave_certificates_alone() -> None:
    day = fresh()
    lanes = dict(day.exchange.state.lanes)
    day.correct({SELLER: (-700, 0, 0, 0)})
    assert day.exchange.state.lanes == lanes


# Opening ------------------------------------------------------------------------------------------------


def test_corrections_open_once_a_day_is_certified_and_only_once() -> None:
    day = fresh()
    opened = [event for event in day.exchange.events if isinstance(event, CorrectionsOpened)]
    assert opened == [CorrectionsOpened(0, DAY, posting.struct_hash(day.message))]
    assert day.exchange.zone_day(0, DAY).since == day.exchange.run(DAY).settled_at == LATER
    with pytest.raises(errors.AlreadyOpen):
        day.exchange.open_corrections(day.message)
    with pytest.raises(errors.WrongPosting):
        day.exchange.open_corrections(replace(day.message, sequence=2))


def test_corrections_do_not_open_before_certificates() -> None:
    exchange = world.make_exchange()
    entries = [posting.Entry(account, (0,) * WINDOWS, (0,) * WINDOWS) for account in HOMES]
    message, packed = settling_world.make_posting(0, DAY, entries, 6, SURPLUS, DEFICIT)
    settling_world.post(exchange, DAY_END, message)
    exchange.settle(DAY_END, 0, DAY, None, packed[0])
    with pytest.raises(errors.WrongRunStage):
        exchange.open_corrections(message)


# What is refused ----------------------------------------------------------------------------------------

ONE = {OTHER: (1, 0, 0, 0)}

BAD_RUNS: list[tuple[dict[str, Any], type[errors.Refused]]] = [
    ({"run": 2}, errors.WrongRun),
    ({"run": 0}, errors.WrongRun),
    ({"previous": bytes(32)}, errors.WrongPrevious),
    ({"surplus": (0,) * WINDOWS}, errors.BadPosting),
    ({"statements": (3,)}, errors.BadPosting),
    ({"statements": (0, 1)}, errors.BadPosting),
    ({"statements": (1, 0), "parts": (bytes(32),) * 2}, errors.BadPosting),
    ({"statements": (1, 1), "parts": (bytes(32),) * 2}, errors.BadPosting),
    ({"zone": 1}, errors.CorrectionsNotOpen),
]


@pytest.mark.parametrize(("changes", "error"), BAD_RUNS, ids=[str(changes) for changes, _ in BAD_RUNS])
def test_a_run_that_does_not_follow_is_refused(changes: dict[str, Any], error: type[errors.Refused]) -> None:
    day = fresh()
    with pytest.raises(error):
        day.post(day.correction(ONE, **changes))


def test_a_run_needs_a_quorum_that_signed_it() -> None:
    day = fresh()
    run = day.correction(ONE)
    signed = settling_world.signatures(day.exchange, corrections.struct_hash(run))
    with pytest.raises(errors.QuorumNotReached):
        day.exchange.post_correction(LATER, run, signed[:1])
    with pytest.raises(errors.BadOracleSignature):
        day.exchange.post_correction(LATER, replace(run, run=2), signed)


def test_a_run_may_be_replaced_until_its_first_part_is_applied() -> None:
    day = fresh()
    differences = {HOMES[0]: (1, 0, 0, 0), HOMES[5]: (2, 0, 0, 0)}
    replaced, run = day.correction(ONE), day.correction(differences)
    day.post(replaced)
    day.post(run)
    with pytest.raises(errors.WrongCorrection):
        day.apply(replaced, ONE, 0)
    day.apply(run, differences, 0)
    with pytest.raises(errors.CorrectionUnderWay):
        day.post(replaced)
    assert day.exchange.zone_day(0, DAY).run == 0
    day.apply(run, differences, 1)
    assert day.exchange.zone_day(0, DAY).run == 1


def test_sixteen_runs_are_one_too_many() -> None:
    day = fresh()
    for _ in range(corrections.MOST_RUNS):
        day.correct({})
    with pytest.raises(errors.WrongRun):
        day.correct({})


def test_only_the_run_under_way_is_applied_in_the_order_of_its_parts() -> None:
    day = fresh()
    differences = {HOMES[0]: (1, 0, 0, 0), HOMES[5]: (2, 0, 0, 0)}
    run = day.correction(differences)
    with pytest.raises(errors.WrongCorrection):
        day.apply(run, differences, 0)
    day.post(run)
    with pytest.raises(errors.WrongCorrection):
        day.apply(replace(run, previous=bytes(32)), differences, 0)
    with pytest.raises(errors.WrongPart):
        day.apply(run, differences, 1)
    packed, another = day.packed(differences, 0), day.settler.statement(0, 1)
    with pytest.raises(errors.WrongStatement):
        day.exchange.correct(LATER, run, another, packed)
    for at in range(2):
        day.apply(run, differences, at)
    with pytest.raises(errors.WrongCorrection):
        day.apply(run, differences, 1)


def _applied(change: Callable[[bytes, bytes], bytes], error: type[errors.Refused]) -> None:
    """Signs differences of homes 0 and 1 as `change` makes them of the two entries, and applies them."""
    day = fresh()
    rows = dict.fromkeys(HOMES[:2], (1, 0, 0, 0))
    size = corrections.difference_bytes(WINDOWS)
    packed = day.packed(rows, 0)
    data = change(packed[:size], packed[size:])
    run = day.correction(rows, parts=(keccak(data),))
    day.post(run)
    brought = day.settler.statement(0, 0, list(rows))
    with pytest.raises(error):
        day.exchange.correct(LATER, run, brought, data)


BAD_DIFFERENCES: dict[str, Callable[[bytes, bytes], bytes]] = {
    "none": lambda a, b: b"",
    "cut short": lambda a, b: a + b[:-1],
    "descending": lambda a, b: b + a,
    "twice": lambda a, b: a + a,
    "all zero": lambda a, b: a + b[:21] + bytes(4 * WINDOWS),
    "unknown flag": lambda a, b: a + b[:20] + b"\xc0" + b[21:],
}


@pytest.mark.parametrize("change", BAD_DIFFERENCES.values(), ids=BAD_DIFFERENCES)
def test_differences_that_are_none_are_refused(change: Callable[[bytes, bytes], bytes]) -> None:
    _applied(change, errors.BadEntry)


@pytest.mark.parametrize("stranger", [HOMES[5], b"\xff" * 20])
def test_differences_are_of_accounts_of_the_part(stranger: bytes) -> None:
    _applied(lambda a, b: a + stranger + b[20:], errors.BadEntry)


def test_rows_are_those_of_the_accounts_that_change_and_no_others() -> None:
    for accounts in ([], [HOMES[1]], HOMES[:2]):
        day = fresh()
        differences = {HOMES[0]: (1, 0, 0, 0)}
        run = day.correction(differences)
        day.post(run)
        brought = day.settler.statement(0, 0, accounts)
        with pytest.raises(errors.WrongRows):
            day.exchange.correct(LATER, run, brought, day.packed(differences, 0))


def test_an_imbalance_stays_below_its_bound() -> None:
    day = fresh()
    day.correct({HOMES[0]: (2**30, 0, 0, 0)})
    day.correct({HOMES[0]: (2**31 - 1 - day.settler.imbalance(HOMES[0])[0], 0, 0, 0)})
    with pytest.raises(errors.ImbalanceOutOfRange):
        day.correct({HOMES[0]: (1, 0, 0, 0)})


@given(ROW, st.lists(st.integers(0, 2), min_size=WINDOWS, max_size=WINDOWS))
def test_differences_unpack_to_what_was_packed(row: list[int], flags: list[int]) -> None:
    found = Difference(HOMES[0], tuple(flags), tuple(row))
    if any(row):
        assert corrections.unpack_differences(corrections.pack_difference(found), WINDOWS) == (found,)


# A day that nobody posted -------------------------------------------------------------------------------

DEFAULT_TIME = DAY_END + DEFAULT_AFTER_S


def settled_by_default(per_call: int = 4) -> Settler:
    exchange = world.make_exchange()
    prices = world.trade(exchange, world.opened(exchange))
    exchange.post_default(DEFAULT_TIME, unposted())
    settler = Settler(exchange, DEFAULT_TIME, DAY, {0: (prices,)})
    for at in range(0, len(HOMES), per_call):
        settler.settle(0, b"".join(HOMES[at : at + per_call]))
    return settler


def test_a_day_that_nobody_posts_returns_reserves_and_pays_all_as_delivered() -> None:
    settler = settled_by_default()
    exchange, paid = settler.exchange, 1000 * 150_000
    assert exchange.cash(DEFAULT_TIME, SELLER).free == world.RICH + paid
    assert exchange.cash(DEFAULT_TIME, BUYER).free == world.RICH - paid - 1000 * 100_000
    told = [event for event in exchange.events if isinstance(event, AccountSettled)]
    assert {(any(one.imbalance_wh), one.cash_nano) for one in told} == {(False, 0), (False, paid)}
    settler.certify_all()
    assert exchange.cash(DEFAULT_TIME, BUYER).free == world.RICH - paid
    assert exchange.run(DAY).stage is RunStage.CERTIFIED
    assert exchange.balance(DEFAULT_TIME, BUYER, world.claim_id(kind=3)) == 1000


def test_calls_that_settle_a_default_may_be_cut_anywhere() -> None:
    whole, cut = settled_by_default(6), settled_by_default(1)
    assert (len(whole.parts[0]), len(cut.parts[0])) == (1, 6)
    for settler in (whole, cut):
        settler.certify_all()
    assert whole.exchange.state.cash == cut.exchange.state.cash
    assert whole.exchange.state.lanes == cut.exchange.state.lanes


def test_a_correction_prices_a_day_that_nobody_posted() -> None:
    settler = settled_by_default(2)
    settler.certify_all()
    exchange, message = settler.exchange, unposted()
    exchange.open_corrections(message)
    day = replace(BASE, exchange=exchange, settler=settler, message=message)
    before = exchange.cash(DEFAULT_TIME, BUYER).free
    with pytest.raises(errors.BadPosting):
        day.post(day.correction({}, surplus=(900_001,) * WINDOWS, deficit=(900_001,) * WINDOWS))
    day.correct({BUYER: (-200, 0, 0, 0)})
    assert exchange.cash(DEFAULT_TIME, BUYER).free - before == -200 * 240_000
    with pytest.raises(errors.BadPosting):
        day.post(day.correction({}, surplus=(0,) * WINDOWS))
    day.assert_conserved()


BAD_DEFAULTS: list[dict[str, Any]] = [
    {"sequence": 1},
    {"windows": WINDOWS - 1},
    {"zone": 1},
    {"accounts": 5},
    {"commitments": b"\x01" * 32},
    {"surplus": (1,) * WINDOWS},
    {"deficit": ()},
    {"parts": (bytes(32),)},
]


@pytest.mark.parametrize("changes", BAD_DEFAULTS, ids=[str(changes) for changes in BAD_DEFAULTS])
def test_there_is_one_default_posting(changes: dict[str, Any]) -> None:
    exchange = world.make_exchange()
    with pytest.raises(errors.BadPosting):
        exchange.post_default(DEFAULT_TIME, replace(unposted(), **changes))


def test_a_default_waits_for_the_oracles_and_gives_way_to_them() -> None:
    exchange = world.make_exchange()
    with pytest.raises(errors.TooEarlyForDefault):
        exchange.post_default(DEFAULT_TIME - 1, unposted())
    entries = [posting.Entry(account, (0,) * WINDOWS, (0,) * WINDOWS) for account in HOMES]
    message, _ = settling_world.make_posting(0, DAY, entries, 6, SURPLUS, DEFICIT)
    settling_world.post(exchange, DEFAULT_TIME, message)
    with pytest.raises(errors.BadPosting):
        exchange.post_default(DEFAULT_TIME, unposted())


def test_no_posting_follows_a_default() -> None:
    exchange = world.make_exchange()
    exchange.post_default(DEFAULT_TIME, unposted())
    entries = [posting.Entry(account, (0,) * WINDOWS, (0,) * WINDOWS) for account in HOMES]
    message, _ = settling_world.make_posting(0, DAY, entries, 6, SURPLUS, DEFICIT, sequence=2**32 - 1)
    with pytest.raises(errors.StalePosting):
        settling_world.post(exchange, DEFAULT_TIME, message)


@pytest.mark.parametrize(
    "part", [b"", HOMES[0][:-1], HOMES[1] + HOMES[0], HOMES[0] * 2, b"\xff" * 20, BALANCING_ADDRESS]
)
def test_a_default_settles_members_of_the_zone_in_their_order(part: bytes) -> None:
    exchange = world.make_exchange()
    exchange.post_default(DEFAULT_TIME, unposted())
    with pytest.raises(errors.BadEntry):
        exchange.settle(DEFAULT_TIME, 0, DAY, None, part)
