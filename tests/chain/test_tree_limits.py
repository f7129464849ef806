"""What a tree's operator sends fits the transactions of real networks, whatever the grid."""

from __future__ import annotations

import pytest
from tree_chain import world

from settlement.chain import abi
from settlement.chain.books import Session
from settlement.chain.chunks import Limits, plan_books, plan_children
from settlement.reference.cell import Cell
from settlement.reference.clearing import Carry, Header, ZonePosting
from settlement.reference.closing import ClosedZone, Commitment
from settlement.reference.marginal import Marginal
from settlement.reference.potential import Potential
from settlement.reference.session import NO_PARENT, UNLIMITED_WH, Grid

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
