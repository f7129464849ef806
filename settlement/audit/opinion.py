"""A second opinion: each proved session cleared again by the matcher, from the decoded orders alone.

The proof says that the posted potentials are optimal and extreme; the matcher finds the same ones by another
road. Fills may differ among orders exactly at the price, where several optima exist; potentials may not.
"""

from __future__ import annotations

from settlement.audit.findings import Difference, Findings
from settlement.audit.replay import Cleared
from settlement.chain import books
from settlement.chain.books import SealedBook, Session
from settlement.errors import TrellisError
from settlement.reference import schedule
from settlement.reference.exchange import Exchange
from settlement.reference.potential import Potential


def check(exchange: Exchange, id_: bytes, cleared: Cleared, findings: Findings) -> None:
    """Difference unless the matcher finds the posted potentials."""
    record = exchange.session(id_)
    assert cleared.header is not None
    assert cleared.zone is not None
    given = Session(record.epoch, record.params, exchange.state.grids[record.params.grid_version - 1])
    hashes = tuple(schedule.order_hash(exchange.separator, one.schedule) for one in cleared.orders)
    try:
        own = books.prepare(given, SealedBook(tuple(cleared.orders), hashes), cleared.reasons)
    except TrellisError as cause:
        raise Difference("prices", f"the matcher cannot clear the book: {cause}") from cause
    posted = (("quality", cleared.header.qualities), ("energy", cleared.zone.energy))
    found = (own.header.qualities, own.posting.energy)
    for (name, theirs), ours in zip(posted, found, strict=True):
        for index, (their, our) in enumerate(zip(theirs, ours, strict=True)):
            same = extremes(their) == extremes(our)
            what = f"session {record.epoch}: lowest and highest {name} potential {index}"
            findings.require(same, "prices", what, extremes(our), extremes(their))


def extremes(one: Potential) -> tuple[int, int]:
    return one.lo, one.hi
