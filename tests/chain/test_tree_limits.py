"""What a tree's operator sends fits the transactions of real networks, whatever the grid."""

from __future__ import annotations

import pytest
from tree_chain import world

from settlement.chain import abi
from settlement.chain.books import Session
from settlement.chain.chunks import Limits, plan_books, plan_children, plan_chunks
from settlement.chain.prepared import Prepared, PreparedZone
from settlement.reference import orders
from settlement.reference.cell import Cell
from settlement.reference.clearing import Carry, Header, ZonePosting
from settlement.reference.closing import ClosedZone, Commitment
from settlement.reference.marginal import Marginal
from settlement.reference.posting import Posting, entry_bytes
from settlement.reference.potential import Potential
from settlement.reference.prices import RoundPrices
from settlement.reference.schedule import Schedule, SignedSchedule
from settlement.reference.session import (
    MOST_CALL_BYTES,
    NO_PARENT,
    PART_BYTES,
    UNLIMITED_WH,
    Grid,
    closing_bytes,
    run_bytes,
)
from settlement.reference.settlement import RunCarry, Tally
from settlement.reference.statement import Statement, row_bytes

MOST_BYTES = 131_072
"""Of a transaction, with its signature and fees."""

CODES = {1: (0,), 2: (0, 3), 4: (0, 5, 8, 15), 16: tuple(range(16))}


def star(qualities: int, children: int) -> Grid:
    """A root and the zones right below it."""
    pairs = tuple(index for code in range(1, qualities) for index in (code, 0))
    parents = (NO_PARENT, *(0 for _ in range(children)))
    charges = (0, *(1 for _ in range(children)))
    return Grid(CODES[qualities], pairs, parents, charges, (UNLIMITED_WH,) * len(parents))


def session_of(qualities: int, windows: int, children: int) -> Session:
    return Session(1, world.make_params(windows=windows), star(qualities, children))


@pytest.mark.parametrize(("qualities", "windows"), [(1, 1), (2, 48), (4, 48), (4, 128), (16, 48)])
def test_every_batch_of_children_fits_one_transaction(qualities: int, windows: int) -> None:
    session, one = session_of(qualities, windows, 40), Potential(-5, 2**29, 2**32 - 1, 2**32 - 1)
    cells = session.market.cells
    child = ClosedZone((one,) * windows, (-1,) * cells, 2**256 - 1, (2**256 - 1,) * (qualities - 1), 2**200)
    header = Header((Potential(-5, 0, 9, 9),) * (cells - windows))
    posted = abi.posted_tuple(header, ZonePosting((one,) * windows, (Marginal(),) * cells))
    carry, flows = abi.carry_tuple(Carry((Cell(net=-1),) * cells)), (2**63,) * (qualities - 1) * windows
    first, *cuts = plan_children(session, 0)
    assert [zone for cut in (first, *cuts) for zone in cut] == list(range(1, 41))
    assert len(abi.close_zone(1, 0, posted, carry, [child] * len(first), flows)) < MOST_BYTES - 300
    for cut in cuts:
        joining = abi.join_children(1, 0, child, [child] * len(cut), header, flows)
        assert len(joining) < MOST_BYTES - 300


@pytest.mark.parametrize(("qualities", "windows"), [(1, 1), (2, 48), (4, 128), (16, 51)])
def test_no_call_that_cannot_be_cut_is_longer_than_a_session_is_admitted_by(
    qualities: int, windows: int
) -> None:
    """The header, one longest order, a zone closed alone, the root's last child."""
    session, one = session_of(qualities, windows, 1), Potential(-5, 2**29, 2**32 - 1, 2**32 - 1)
    cells, longest = session.market.cells, 99 + 32 + 20 + 8 * windows
    child = ClosedZone((one,) * windows, (-1,) * cells, 0, (0,) * (qualities - 1), 2**200)
    header = Header((Potential(-5, 0, 9, 9),) * (cells - windows))
    posted = abi.posted_tuple(header, ZonePosting((one,) * windows, (Marginal(),) * cells))
    carry, flows = abi.carry_tuple(Carry((Cell(net=-1),) * cells)), (2**63,) * (qualities - 1) * windows
    calls = [
        abi.post_header(1, header),
        abi.clear(1, 0, posted, carry, bytes(longest)),
        abi.close_zone(1, 0, posted, carry, [], flows),
        abi.join_children(1, 0, child, [child], header, flows),
    ]
    assert max(map(len, calls)) <= closing_bytes(session.grid, windows) <= MOST_CALL_BYTES
    assert closing_bytes(session.grid, windows) - max(map(len, calls)) <= 32 * 14


@pytest.mark.parametrize(
    ("rounds", "qualities", "windows"), [(8, 2, 48), (4, 4, 48), (1, 4, 128), (1, 16, 51), (32, 1, 24)]
)
def test_a_part_of_a_hundred_accounts_fits_one_transaction(rounds: int, qualities: int, windows: int) -> None:
    """Or of fewer of more windows; whether it is settled, or certified with all of its rows."""
    accounts = min(100, PART_BYTES // (2 * 32 + row_bytes(windows)))
    one, cells = Potential(-5, 2**29, 2**32 - 1, 2**32 - 1), rounds * qualities * windows
    posting = Posting(
        0, 0, windows, 1, accounts, bytes(32), (-1,) * windows, (1,) * windows, (b"\x01" * 32,) * 64
    )
    price = RoundPrices((one,) * windows, (Potential(-5, 0, 9, 9),) * (windows * (qualities - 1)))
    prices = abi.prices_array([price] * rounds)
    carry = abi.run_carry_tuple(
        RunCarry((Tally(1, 2, 3, 4),) * cells, (2**256 - 1,) * cells, 1, 1, b"\x01" * 20, 1)
    )
    rows = bytes(row_bytes(windows) * accounts)
    statement = Statement((b"\x01" * 20,) * accounts, (b"\x01" * 32,) * accounts, rows)
    calls = [
        abi.settle(abi.posting_tuple(posting), bytes(entry_bytes(windows) * accounts), carry, prices),
        abi.certify(abi.posting_tuple(posting), abi.statement_tuple(statement), carry, prices),
    ]
    assert max(map(len, calls)) <= run_bytes(rounds, qualities, windows) <= MOST_CALL_BYTES
    assert MOST_CALL_BYTES + 1_024 == MOST_BYTES


def test_books_of_the_widest_session_are_not_cleared_one_order_a_transaction() -> None:
    """Sixteen qualities, 32 substitutions and 49 windows are admitted; the flows come with the close only."""
    serves = [(high, low) for low in range(16) for high in range(low + 1, 16) if low & high == low]
    pairs = tuple(index for pair in serves[:32] for index in pair)
    grid = Grid(CODES[16], pairs, (NO_PARENT,), (0,), (UNLIMITED_WH,))
    session, one = Session(1, world.make_params(windows=49), grid), Potential(-5, 2**29, 2**32 - 1, 2**32 - 1)
    assert len(grid.pairs()) == 32
    assert closing_bytes(grid, 49) <= MOST_CALL_BYTES
    trader, first = b"\x01" * 20, session.params.first_window
    order = Schedule(trader, session.id, 0, 0, 0, 3, first, 1, (900,) * 49, (10**5,) * 49)
    cells = session.market.cells
    posting = ZonePosting((one,) * 49, (Marginal(),) * cells)
    header = Header((Potential(-5, 0, 9, 9),) * (cells - 49))
    signed = (SignedSchedule(order, bytes(64) + b"\x1b"),) * 200
    zone = PreparedZone(0, signed, (bytes(32),) * 200, (0,) * 200, posting, ())
    chunks = plan_chunks(Prepared(session, header, (zone,), (), 0), 0, {trader: 16})
    assert [at for chunk in chunks for at in chunk] == list(range(200))
    assert min(map(len, chunks[:-1])) > 20
    posted, carry = abi.posted_tuple(header, posting), abi.carry_tuple(Carry((Cell(net=-1),) * cells))
    for chunk in chunks:
        records = orders.encode_all(signed[: len(chunk)])
        assert len(abi.clear(1, 0, posted, carry, records)) < Limits().bytes


def test_what_is_left_of_the_children_is_planned_from_there() -> None:
    session = session_of(4, 48, 40)
    whole, rest = plan_children(session, 0), plan_children(session, 0, joined=7)
    assert [zone for cut in rest for zone in cut] == [z for cut in whole for z in cut][7:]
    assert plan_children(session, 3) == [range(41, 41)]
    assert plan_children(session, 3, joined=0) == []
    small = plan_children(session, 0, limits=Limits(bytes=1))
    assert [len(cut) for cut in small] == [0, *[1] * 40]


def test_books_of_many_zones_are_committed_in_batches() -> None:
    cuts = plan_books(range(3, 1_000))
    assert [zone for cut in cuts for zone in cut] == list(range(3, 1_000))
    for cut in cuts:
        assert len(abi.commit_books(1, [Commitment(1, b"\x01" * 32)] * len(cut))) < MOST_BYTES
        assert len(cut) <= 300
