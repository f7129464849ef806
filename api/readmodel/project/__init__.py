"""Events to rows: pure, but for `Rows`, which remembers them.

What an event changes follows from the event, the rows of those before, the calldata of its transaction and
the events behind it there: some name their session, zone or day only in the event that ends a chunk or part.
Kinds that are in no table below change nothing; they are kept as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from api.db.market_models import Member, Order, Reading, Settlement
from api.readmodel.blocks import ReadBlock, Watched
from api.readmodel.project import clearing, keys, members, metering, sessions
from api.readmodel.project.context import Context
from api.readmodel.rows import Rows
from api.readmodel.telling import Telling, telling
from settlement.chain import events as told
from settlement.chain.key_events import KeyGranted, KeyRevoked

HANDLERS: Mapping[type, Callable[[Context, Any], None]] = {
    told.MemberRegistered: members.registered,
    told.MemberChanged: members.changed,
    told.Deposited: members.deposited,
    told.WithdrawalRequested: members.withdrawal_requested,
    told.Withdrawn: members.withdrawn,
    KeyGranted: keys.granted,
    KeyRevoked: keys.revoked,
    told.MeterRegistered: members.meter_registered,
    told.MeterRotated: members.meter_rotated,
    told.MeterRevoked: members.meter_revoked,
    told.OracleChanged: members.oracle_changed,
    told.QuorumChanged: members.quorum_changed,
    told.ChallengeBondChanged: members.challenge_bond_changed,
    told.Paused: members.paused,
    told.Unpaused: members.unpaused,
    told.GridSet: sessions.grid_set,
    told.DayOpened: sessions.day_opened,
    told.SessionOpened: sessions.opened,
    told.BookCommitted: sessions.committed,
    told.HeaderPosted: sessions.header_posted,
    told.ZoneJoined: sessions.joined,
    told.SessionProved: sessions.proved,
    told.NetworkPaid: sessions.network_paid,
    told.OrderSubmitted: sessions.submitted,
    told.SubmissionReplaced: sessions.submission_replaced,
    told.BondLocked: sessions.bond_locked,
    told.BondReleased: sessions.bond_released,
    told.ClaimOpened: sessions.claim_opened,
    told.ClaimDefeated: sessions.claim_defeated,
    told.ClaimPaid: sessions.claim_paid,
    told.ScheduleCleared: clearing.cleared,
    told.ScheduleIneligible: clearing.ineligible,
    told.ProceedsDonated: clearing.donated,
    told.ZoneAdvanced: clearing.advanced,
    told.Transfer: clearing.transferred,
    told.MeteringPosted: metering.posted,
    told.DeliveryDonated: metering.donated,
    told.AccountSettled: metering.settled,
    told.PartSettled: metering.part_settled,
    told.RunSettled: metering.run_settled,
    told.AccountDelivered: metering.delivered,
    told.AccountCertified: metering.certified,
    told.PartCertified: metering.part_certified,
    told.RunCertified: metering.run_certified,
    told.CorrectionsOpened: metering.corrections_opened,
    told.CorrectionPosted: metering.correction_posted,
    told.AccountCorrected: metering.corrected,
    told.PartCorrected: metering.part_corrected,
    told.RunCorrected: metering.run_corrected,
    told.ReadingChallenged: metering.challenged,
    told.ChallengeAnswered: metering.answered,
    told.ChallengeSettled: metering.challenge_settled,
    told.ChallengeDropped: metering.challenge_dropped,
    told.OracleBondChanged: metering.oracle_bond_changed,
}


def project(rows: Rows, watched: Watched, block: ReadBlock) -> list[Telling]:
    """Changes the rows by all that a block told; what it told."""
    tellings = [telling(watched, sent) for sent in block.sent]
    rows.begin()
    for each in tellings:
        _prepare(rows, each)
        for one in each.told:
            handler = HANDLERS.get(type(one.event))
            if handler is not None:
                handler(Context(rows, block.head, each, one.log.index), one.event)
    return tellings


def _prepare(rows: Rows, telling: Telling) -> None:
    """Asks for the rows that a transaction's events are about in a few questions."""
    own = [one for one in telling.told if one.event is not None]
    rows.want(Member, {(account,) for one in own for account in one.subjects})
    orders = {one.args["order"] for one in own if one.args and "order" in one.args}
    rows.want(Order, [(hash_,) for hash_ in orders])
    part = next((one.event for one in own if isinstance(one.event, PARTS)), None)
    if part is not None:
        run = getattr(part, "run", 0)
        accounts = {account for one in own for account in one.subjects}
        rows.want(Settlement, [(part.zone, part.day, account, run) for account in accounts])
        rows.want(Reading, [(part.zone, part.day, account, run) for account in accounts])


PARTS = (told.PartSettled, told.PartCertified, told.PartCorrected)
