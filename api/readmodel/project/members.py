"""Members, meters, cash that comes and goes, pauses, and what the registrar sets."""

from __future__ import annotations

from api.db.market_models import Member, Meter, Pause
from api.readmodel.project.context import BALANCING_PARTY, CHALLENGE_BOND, NETWORK_OPERATOR, Context
from settlement.chain import events as told
from settlement.chain.rpc import to_hex
from settlement.reference import accounts

UNIQUE = {accounts.BALANCING_PARTY: BALANCING_PARTY, accounts.NETWORK_OPERATOR: NETWORK_OPERATOR}
PAUSED_AT = "paused_at"


def registered(c: Context, event: told.MemberRegistered) -> None:
    account, member = to_hex(event.account), event.member
    c.put(
        Member,
        account=account,
        zone=event.zone,
        role=event.role,
        max_quality=member.max_quality,
        capacity_wh=member.capacity_wh,
        wide=member.wide,
        suspended=member.suspended,
        withdrawing_nano=0,
        withdrawing_after=0,
    )
    if event.role in UNIQUE:
        c.set_fact(UNIQUE[event.role], account)


def changed(c: Context, event: told.MemberChanged) -> None:
    member = event.member
    terms = {"max_quality": member.max_quality, "capacity_wh": member.capacity_wh}
    c.put(Member, account=to_hex(event.account), suspended=member.suspended, **terms)


def deposited(c: Context, event: told.Deposited) -> None:
    c.pay(event.account, "deposit", event.amount_nano)


def withdrawal_requested(c: Context, event: told.WithdrawalRequested) -> None:
    terms = {"withdrawing_nano": event.amount_nano, "withdrawing_after": event.after_epoch}
    c.put(Member, account=to_hex(event.account), **terms)


def withdrawn(c: Context, event: told.Withdrawn) -> None:
    c.put(Member, account=to_hex(event.account), withdrawing_nano=0, withdrawing_after=0)
    c.pay(event.account, "withdrawal", -event.amount_nano)


# Meters -------------------------------------------------------------------------------------------------


def meter_registered(c: Context, event: told.MeterRegistered) -> None:
    key = {"x": to_hex(event.x), "y": to_hex(event.y), "from_window": 0}
    c.put(Meter, meter=to_hex(event.meter), account=to_hex(event.account), revoked=False, **key)


def meter_rotated(c: Context, event: told.MeterRotated) -> None:
    key = {"x": to_hex(event.x), "y": to_hex(event.y), "from_window": event.from_window}
    c.put(Meter, meter=to_hex(event.meter), **key)


def meter_revoked(c: Context, event: told.MeterRevoked) -> None:
    c.put(Meter, meter=to_hex(event.meter), revoked=True)


# What is set --------------------------------------------------------------------------------------------


def oracle_changed(c: Context, event: told.OracleChanged) -> None:
    c.set_fact("oracle " + to_hex(event.node), int(event.active))


def quorum_changed(c: Context, event: told.QuorumChanged) -> None:
    c.set_fact("quorum", event.quorum)


def challenge_bond_changed(c: Context, event: told.ChallengeBondChanged) -> None:
    c.set_fact(CHALLENGE_BOND, event.amount_nano)


def paused(c: Context, event: told.Paused) -> None:
    """It ends by itself, and nothing tells of that."""
    began = event.until - c.watched.max_pause
    c.put(Pause, began=began, ended=event.until)
    c.set_fact(PAUSED_AT, began)


def unpaused(c: Context, event: told.Unpaused) -> None:
    c.put(Pause, began=int(c.fact(PAUSED_AT) or 0), ended=event.at)
