"""What later runs and challenges changed, read back from the chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from api.services import collect
from api.services.aftermath import LaterRuns, Made
from settlement.chain.events import AccountCorrected, ChallengeSettled, PartCorrected, decode
from settlement.chain.exchange import Exchange
from settlement.chain.rpc import Log
from settlement.chain.statements import logs_of_day, logs_with
from settlement.reports.aftermath import AccountChange, Aftermath, LaterRun


def aftermath(later: LaterRuns) -> Aftermath:
    """Every run in its order, and what everybody has in the end."""
    day, exchange = later.day, later.exchange
    everyone = [member.account for member in collect.members(day.cast)]
    accounts = exchange.accounts(everyone)
    return Aftermath(
        first=later.runs[0].name,
        runs=tuple(_run(later, made) for made in later.made),
        final_nano=tuple((account, accounts[account].cash.free) for account in everyone),
        vault_nano=collect.vault(exchange, day.token, day.cast.operator.address, day.session.epoch),
    )


def _run(later: LaterRuns, made: Made) -> LaterRun:
    """The changes of one, over all zones; the balancing party's last."""
    exchange, supplier = later.exchange, later.day.cast.supplier.address
    logs = list(_settled(exchange, made) if made.challenge else _corrected(later, made))
    changes = [change for log in logs for change in _accounts(exchange, log)]
    other = [_other_side(log) for log in logs]
    closing = AccountChange(supplier, sum(wh for wh, _ in other), sum(nano for _, nano in other))
    last = _last_block(later, made)
    on = datetime.fromtimestamp(exchange.chain.now(last), UTC).date()
    return LaterRun(made.name, str(on), (*changes, closing) if changes else (), made.estimated)


def _settled(exchange: Exchange, made: Made) -> Iterable[Log]:
    return logs_with(exchange, "ChallengeSettled", made.challenge)


def _corrected(later: LaterRuns, made: Made) -> Iterator[Log]:
    """The parts of one correction in every zone."""
    for zone, state in later.zones.items():
        for log in logs_of_day(later.exchange, "PartCorrected", state.day, zone):
            event = decode(log)
            assert isinstance(event, PartCorrected)
            if event.run == made.number:
                yield log


def _last_block(later: LaterRuns, made: Made) -> int:
    """In which the chain had all of it."""
    if made.challenge:
        return max(log.block for log in _settled(later.exchange, made))
    return max(
        logs_of_day(later.exchange, "RunCorrected", state.day, zone)[made.number - 1].block
        for zone, state in later.zones.items()
    )


def _accounts(exchange: Exchange, part: Log) -> Iterator[AccountChange]:
    """What the transaction of a part told of accounts."""
    for log in logs_with(exchange, "AccountCorrected"):
        event = decode(log)
        if isinstance(event, AccountCorrected) and log.tx_hash == part.tx_hash:
            yield AccountChange(event.account, event.imbalance_wh, event.cash_nano)


def _other_side(part: Log) -> tuple[int, int]:
    event = decode(part)
    assert isinstance(event, PartCorrected | ChallengeSettled)
    return event.imbalance_wh, event.cash_nano
