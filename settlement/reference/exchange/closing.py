"""Closing on the Exchange: zones close, are joined to the zones above them, and at the root the session is
proved.
"""

from collections.abc import Sequence

from settlement.reference import clearing, closing
from settlement.reference.clearing import Carry, Header, Market, ZonePosting, check_length
from settlement.reference.closing import ROOT, ClosedZone, closed_hash
from settlement.reference.errors import TooManyChildren, WrongClosedZone, WrongHeader
from settlement.reference.exchange import events
from settlement.reference.exchange.clearing import Clearing
from settlement.reference.exchange.core import transaction
from settlement.reference.exchange.state import Stage
from settlement.reference.prices import energy_hash


class Closing(Clearing):
    """From a zone's last chunk to the session's proof."""

    @transaction
    def close_zone(
        self,
        now: int,
        session: bytes,
        zone: int,
        header: Header,
        posting: ZonePosting,
        carry: Carry | None,
        children: Sequence[ClosedZone],
        flows: Sequence[int],
    ) -> ClosedZone:
        """Closes a zone whose orders are all read, and joins the first of its children to it."""
        self.require_running(now)
        carry = self.brought(now, session, zone, header, posting, carry)
        record, market = self.session(session), self.market(session)
        submissions = self.state.submissions.get((record.epoch, zone), 0)
        commitment = record.commitments[zone]
        own = closing.close(market, zone, header, posting, carry, commitment, submissions)
        self.update_zone(session, zone, energy_hash=energy_hash(posting.energy))
        return self._join(now, session, zone, header, own, children, flows)

    @transaction
    def join_children(
        self,
        now: int,
        session: bytes,
        zone: int,
        own: ClosedZone,
        children: Sequence[ClosedZone],
        header: Header,
        flows: Sequence[int],
    ) -> ClosedZone:
        """Joins the next children to a zone that is closed.

        Where that proves the session, its header is brought again, and nothing in its place otherwise.
        """
        self.require_running(now)
        self.require_stage(now, session, Stage.POSTED)
        if closed_hash(own) != self.zone(session, zone).closed_hash:
            raise WrongClosedZone(session, zone)
        if not _completes(self.market(session), zone, own.joined + len(children)):
            check_length("qualityPotentials", header.qualities, 0)
        return self._join(now, session, zone, header, own, children, flows)

    def _join(
        self,
        now: int,
        session: bytes,
        zone: int,
        header: Header,
        own: ClosedZone,
        children: Sequence[ClosedZone],
        flows: Sequence[int],
    ) -> ClosedZone:
        market = self.market(session)
        for child in children:
            own = self._join_next(session, market, zone, own, child)
        self.update_zone(session, zone, closed_hash=closed_hash(own))
        self.emit(events.ZoneJoined(session, zone, closed_hash(own), own.joined))
        if _completes(market, zone, own.joined):
            self._prove(now, session, market, header, own, flows)
        else:
            check_length("substitutions", flows, 0)
        return own

    def _join_next(
        self, session: bytes, market: Market, zone: int, own: ClosedZone, child: ClosedZone
    ) -> ClosedZone:
        """TooManyChildren beyond the last; WrongClosedZone unless the next is complete and as it was left."""
        below = market.grid.children(zone)
        if own.joined >= len(below):
            raise TooManyChildren(session, zone)
        place = below[own.joined]
        complete = child.joined == len(market.grid.children(place))
        if not complete or closed_hash(child) != self.zone(session, place).closed_hash:
            raise WrongClosedZone(session, place)
        return closing.join(market, own, place, child)

    def _prove(
        self,
        now: int,
        session: bytes,
        market: Market,
        header: Header,
        root: ClosedZone,
        flows: Sequence[int],
    ) -> None:
        """The session counts from now on, and the network operator has what its lines earned."""
        record = self.session(session)
        if clearing.header_hash(header) != record.header_hash:
            raise WrongHeader(session)
        closing.prove(market, header, root, flows)
        self.update_session(session, stage=Stage.PROVED)
        self.emit(events.SessionProved(session, record.epoch))
        party = self.network_operator()
        if root.rent_nano and party is not None:
            self.add_free(now, party, root.rent_nano)
            self.emit(events.NetworkPaid(record.epoch, root.rent_nano))


def _completes(market: Market, zone: int, joined: int) -> bool:
    """Whether so many joined children make a session's zones complete."""
    return zone == ROOT and joined == len(market.grid.children(ROOT))
