"""A second opinion: each proved session cleared again by the matcher, from the decoded orders alone.

The proof says that the posted potentials are optimal and extreme; the matcher finds the same ones by another
road. Fills may differ among orders exactly at the price, where several optima exist; potentials may not.
"""

from __future__ import annotations

from collections.abc import Sequence

from settlement.audit.findings import Difference, Findings
from settlement.audit.replay import Cleared
from settlement.chain import prepared
from settlement.chain.books import SealedBook, Session, ZoneBook
from settlement.errors import TrellisError
from settlement.reference import orders
from settlement.reference.exchange import Exchange
from settlement.reference.orders import SignedOrder
from settlement.reference.potential import Potential


def check(exchange: Exchange, id_: bytes, cleared: Cleared, findings: Findings) -> None:
    """Difference unless the matcher finds the posted potentials."""
    record = exchange.session(id_)
    given = Session(record.epoch, record.params, exchange.state.grids[record.params.grid_version - 1])
    zones = range(given.grid.zones)
    sealed = SealedBook(tuple(_book(exchange, cleared.orders[zone]) for zone in zones))
    try:
        own = prepared.prepare(given, sealed, tuple(tuple(cleared.reasons[zone]) for zone in zones))
    except TrellisError as cause:
        raise Difference("prices", f"the matcher cannot clear the book: {cause}") from cause
    what = f"session {record.epoch}: lowest and highest"
    _compare(f"{what} quality potential", cleared.header.qualities, own.header.qualities, findings)
    for zone in zones:
        posted, mine = cleared.postings[zone].energy, own.zones[zone].posting.energy
        _compare(f"{what} energy potential of zone {zone}", posted, mine, findings)


def _book(exchange: Exchange, read: Sequence[SignedOrder]) -> ZoneBook:
    hashes = (orders.signed_hash(exchange.separator, one)[0] for one in read)
    return ZoneBook(tuple(read), tuple(hashes))


def _compare(what: str, posted: Sequence[Potential], ours: Sequence[Potential], findings: Findings) -> None:
    for index, (their, our) in enumerate(zip(posted, ours, strict=True)):
        same = extremes(their) == extremes(our)
        findings.require(same, "prices", f"{what} {index}", extremes(our), extremes(their))


def extremes(one: Potential) -> tuple[int, int]:
    return one.lo, one.hi
