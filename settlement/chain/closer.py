"""Closing a session's zones from the leaves up.

Breadth-first numbers fall from the leaves to the root: going through the zones from the last to the first,
those below a zone are done before it. A zone closes with the first of them; the rest is joined in as many
transactions as it takes. What a zone leaves is computed here, and the chain must tell the same hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from settlement.chain import abi, prepared
from settlement.chain.chunks import Limits, plan_children
from settlement.chain.client import MOST_GAS
from settlement.chain.errors import OutOfGas, WrongProgress
from settlement.chain.events import ZoneJoined, decode
from settlement.chain.exchange import Exchange
from settlement.chain.prepared import Prepared
from settlement.chain.progress import Progress
from settlement.chain.rpc import Receipt
from settlement.chain.sign import Signer
from settlement.chain.steps import Step, step
from settlement.reference.clearing import Carry, Header
from settlement.reference.closing import ROOT, ClosedZone, closed_hash


def close_all(
    exchange: Exchange,
    operator: Signer,
    ready: Prepared,
    found: Sequence[Progress],
    limits: Limits | None = None,
) -> list[Step]:
    """Closes and joins whatever is left, given that every zone is cleared; the root's end is the proof."""
    places, steps = list(found), []
    for zone in reversed(range(len(places))):
        places[zone], done = close_zone(exchange, operator, ready, places, zone, limits)
        steps += done
    return steps


def close_zone(
    exchange: Exchange,
    operator: Signer,
    ready: Prepared,
    places: Sequence[Progress],
    zone: int,
    limits: Limits | None = None,
) -> tuple[Progress, list[Step]]:
    """Closes a zone, if it is not, and joins those below that are left. A batch that runs out of gas is
    halved.
    """
    at, steps = places[zone], []
    joined = at.closed.joined if at.closed else None
    cuts = plan_children(ready.session, zone, joined, limits)
    while cuts:
        cut = cuts.pop(0)
        children = [_closed(places[child]) for child in cut]
        try:
            at, done = close_or_join(exchange, operator, ready, at, children)
        except OutOfGas:
            if len(cut) <= 1:
                raise
            half = cut.start + (len(cut) >> 1)
            cuts[:0] = [range(cut.start, half), range(half, cut.stop)]
        else:
            steps.append(done)
    return at, steps


def _closed(place: Progress) -> ClosedZone:
    assert place.closed is not None, place.zone
    return place.closed


def close_or_join(
    exchange: Exchange, operator: Signer, ready: Prepared, at: Progress, children: Sequence[ClosedZone]
) -> tuple[Progress, Step]:
    """One transaction: closes the zone with its first children, or joins the next ones to it."""
    name = "closeZone" if at.closed is None else "joinChildren"
    if at.closed is None:
        data = close_data(ready, at.carry, at.zone, children)
    else:
        data = join_data(ready, at.zone, at.closed, children)
    tx_hash = exchange.chain.submit(operator, exchange.address, data, gas=MOST_GAS)
    own = at.closed or prepared.close(ready, at.zone, at.carry)  # while the chain does the same
    own = prepared.join(ready, at.zone, own, children)
    receipt = exchange.chain.wait(tx_hash)
    _require_same(ready, own, receipt)
    return replace(at, closed=own), step(name, receipt, len(children))


def close(
    exchange: Exchange, operator: Signer, ready: Prepared, at: Progress, children: Sequence[ClosedZone] = ()
) -> Step:
    """Closes a zone with the first of its children."""
    return close_or_join(exchange, operator, ready, at, children)[1]


def close_data(
    ready: Prepared, carry: Carry | None, zone: int = ROOT, children: Sequence[ClosedZone] = ()
) -> bytes:
    """Calldata of a zone's close with the first of its children."""
    posted = abi.posted_tuple(ready.header, ready.zones[zone].posting)
    flows = ready.flows if _completes(ready, zone, len(children)) else ()
    return abi.close_zone(ready.session.epoch, zone, posted, abi.carry_tuple(carry), children, flows)


def join_data(ready: Prepared, zone: int, own: ClosedZone, children: Sequence[ClosedZone]) -> bytes:
    """Calldata of joining the next children to a closed zone."""
    last = _completes(ready, zone, own.joined + len(children))
    header, flows = (ready.header, ready.flows) if last else (Header(()), ())
    return abi.join_children(ready.session.epoch, zone, own, children, header, flows)


def _completes(ready: Prepared, zone: int, joined: int) -> bool:
    return zone == ROOT and joined == len(ready.session.grid.children(ROOT))


def _require_same(ready: Prepared, own: ClosedZone, receipt: Receipt) -> None:
    """The chain's word for what the zone left is ours; else the two implementations differ."""
    told = [event for event in map(decode, receipt.logs) if isinstance(event, ZoneJoined)]
    if not told or told[-1].hash != closed_hash(own):
        raise WrongProgress(f"session {ready.session.epoch}: the contract closed a zone otherwise than we")


def require_joined(ready: Prepared, places: Sequence[Progress], zone: int, event: ZoneJoined) -> Progress:
    """A closed zone as the chain has it. WrongProgress if it does not follow from these books."""
    below = ready.session.grid.children(zone)[: event.joined]
    own = prepared.close(ready, zone, places[zone].carry)
    own = prepared.join(ready, zone, own, [_closed(places[child]) for child in below])
    if closed_hash(own) != event.hash:
        raise WrongProgress(f"session {ready.session.epoch} was closed with another book or posting")
    return replace(places[zone], closed=own)
