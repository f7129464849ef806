"""What the event stream says of the chain's events: under which topic, and to whom.

Topics: `gate` (sessions and their books), `clearing`, `reading`, `settlement`, and `account` (cash and
terms). What is about an account is said to it, to whoever may see every account's, and to nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from api.readmodel.blocks import Head
from api.readmodel.telling import Telling, Told
from settlement.chain.rpc import to_hex

GATE, CLEARING, READING, SETTLEMENT, ACCOUNT = TOPICS = (
    *("gate", "clearing", "reading", "settlement", "account"),
)

PUBLIC: Mapping[str, str] = {
    **dict.fromkeys(("GridSet", "DayOpened", "SessionOpened", "BookCommitted"), GATE),
    **dict.fromkeys(("Paused", "Unpaused"), GATE),
    **dict.fromkeys(("HeaderPosted", "ZoneAdvanced", "ZoneJoined", "SessionProved"), CLEARING),
    **dict.fromkeys(("MeteringPosted", "CorrectionPosted"), READING),
    **dict.fromkeys(("PartSettled", "RunSettled", "PartCertified", "RunCertified"), SETTLEMENT),
    **dict.fromkeys(("CorrectionsOpened", "PartCorrected", "RunCorrected"), SETTLEMENT),
}
"""Said to everyone."""

PRIVATE: Mapping[str, str] = {
    **dict.fromkeys(("OrderSubmitted", "SubmissionReplaced"), GATE),
    **dict.fromkeys(("ScheduleCleared", "ScheduleIneligible", "ProceedsDonated"), CLEARING),
    **dict.fromkeys(("ReadingChallenged", "MeterRegistered"), READING),
    **dict.fromkeys(("AccountSettled", "AccountDelivered", "AccountCertified"), SETTLEMENT),
    **dict.fromkeys(("AccountCorrected", "DeliveryDonated"), SETTLEMENT),
    **dict.fromkeys(("MemberRegistered", "MemberChanged", "Deposited", "Transfer", "Accepted"), ACCOUNT),
    **dict.fromkeys(("WithdrawalRequested", "Withdrawn", "ClaimOpened", "ClaimPaid"), ACCOUNT),
    **dict.fromkeys(("KeyGranted", "KeyRevoked"), ACCOUNT),
}
"""Said to whom it is about."""


def notices_of(head: Head, telling: Telling) -> Iterator[dict[str, Any]]:
    """Rows of the stream for what a transaction told."""
    for one in telling.told:
        if one.event is None or one.name is None:
            continue
        for topic, account in _audience(one):
            yield {
                "topic": topic,
                "name": one.name,
                "account": account,
                "removed": False,
                "block_number": head.number,
                "block_hash": to_hex(head.hash),
                "log_index": one.log.index,
                "tx_hash": to_hex(one.log.tx_hash),
                "time": head.time,
                "args": one.args,
            }


def _audience(one: Told) -> Iterator[tuple[str, str | None]]:
    assert one.name is not None
    if one.name in PUBLIC:
        yield PUBLIC[one.name], None
    elif one.name in PRIVATE:
        for account in one.subjects:
            yield PRIVATE[one.name], account
