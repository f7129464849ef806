"""What `trellis meter challenge` does and prints."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from oracle.challenge_files import Opened, Told, read_opening, read_signed, to_json
from oracle.challenge_shell import (
    NOT_SENT,
    day_of_window,
    exchange_of,
    key_of,
    moment,
    refusals_told,
    sent_json,
)
from oracle.contesting import contest
from oracle.messages import EXPORT, decode
from settlement.chain import challenge_check, challenger, corrector
from settlement.chain.errors import ChainError
from settlement.chain.exchange import Exchange
from settlement.errors import CheckFailed, InputError
from settlement.reference import reading
from settlement.reference.challenge import ReadingChallenge
from settlement.reference.errors import Refused
from settlement.reference.posting import ACTUAL

FLAG_NAMES = ("actual", "estimated", "default")
REGISTER_NAMES = {1: "import", 2: "export"}


def challenge(arguments: argparse.Namespace) -> None:
    """`trellis meter challenge`."""
    opened, read = read_opening(arguments.opening), read_signed(arguments.read)
    account_key = key_of(arguments.account_key, "--account-key")
    key = key_of(arguments.key_file, "--key-file")
    sender = None if arguments.check else key
    exchange = exchange_of(arguments)
    brought = _brought(exchange, opened, read, arguments.zone)
    if account_key is not None:
        brought = challenger.signed_by(account_key, exchange, brought)
    if arguments.out is not None:
        _write(arguments.out, brought)
    told = _described(exchange, brought, opened)
    with refusals_told():
        told["opens_day_first"] = _would_open(exchange, brought, None if key is None else key.address)
        if sender is not None:
            corrector.open_day(exchange, sender, brought.zone, brought.day)
            made = challenger.challenge(exchange, sender, brought)
            told |= sent_json(made.step) | {"answer_by": made.answer_by}
    print(json.dumps(told, indent=2) if arguments.json else _challenge_sentence(told))


def _brought(exchange: Exchange, opened: Opened, read: Told, zone: int | None) -> ReadingChallenge:
    """InputError if the chain does not know the meter, or no day has its window."""
    account, x, y = exchange.view("meterOf", read.reading.meter_id)
    if not any(account):
        raise InputError(f"--read: meter 0x{read.reading.meter_id.hex()} is not registered on this Exchange")
    if read.key is None and not (any(x) or any(y)):
        raise CheckFailed(
            f"--read: meter 0x{read.reading.meter_id.hex()} is revoked: what it signs proves nothing now"
        )
    key = read.key or (int.from_bytes(x, "big"), int.from_bytes(y, "big"))
    if zone is not None and not 0 <= zone < 1 << 32:
        raise InputError(f"--zone {zone}: must be a whole number from 0, below 2^32")
    place = opened.zone if zone is None else zone
    if place is None:
        place = _zone_of(exchange, account)
    day = day_of_window(exchange, read.reading.window_index)[0] if opened.day is None else opened.day
    found = contest(opened.opening, read.signed, key, place, day)
    return replace(found, signature=opened.signature)


def _zone_of(exchange: Exchange, account: bytes) -> int:
    member = exchange.accounts([account])[account].member
    if member is None:
        raise InputError(f"the meter's account 0x{account.hex()} is no member of this Exchange")
    return member.zone


def _would_open(exchange: Exchange, brought: ReadingChallenge, who: bytes | None) -> bool:
    """Whether the day must be opened to challenges before it is taken from `who`, else its account or,
    signed, from anyone. Sends nothing. ContractRevert, Refused if it would not be taken.
    """
    if who is None and not brought.signature:
        who = meter_account(exchange, brought)
    return not challenge_check.check(exchange, brought, who)


def _described(exchange: Exchange, brought: ReadingChallenge, opened: Opened) -> dict[str, Any]:
    """What the challenge says, and what is at stake."""
    read, account = decode(brought.read.message), meter_account(exchange, brought)
    earlier = challenger.standing(exchange, brought.zone, brought.day, reading.decode(brought.read.message))
    stands_wh = opened.committed.wh if earlier is None else earlier.wh
    difference = (read.wh - stands_wh) * (1 if read.register == EXPORT else -1)
    pot, bond, _ = exchange.view("challengeTerms")
    pays = brought.flag == ACTUAL and earlier is None
    return {
        "challenge": "0x" + challenger.id_of(exchange, brought).hex(),
        "account": "0x" + account.hex(),
        "zone": brought.zone,
        "day": brought.day,
        "run": corrector.zone_day(exchange, brought.zone, brought.day).run,
        "meter": "0x" + read.meter_id.hex(),
        "register": REGISTER_NAMES[read.register],
        "window": read.window_index,
        "window_start": moment(read.start_s),
        "committed_wh": opened.committed.wh,
        "committed_sequence": opened.committed.sequence,
        "stands_wh": stands_wh,
        "flag": FLAG_NAMES[brought.flag],
        "read_wh": read.wh,
        "read_sequence": read.sequence,
        "difference_wh": difference,
        "worth_nano": _worth(exchange, brought, account, read.window_index, difference),
        "bond_nano": str(bond),
        "oracles_pay_nano": str(min(pot, bond) if pays else 0),
        "opens_day_first": False,
        "answer_by": None,
        "transaction": None,
        "block": None,
    }


def meter_account(exchange: Exchange, brought: ReadingChallenge) -> bytes:
    """Whose the meter is that signed."""
    account: bytes = exchange.view("meterOf", decode(brought.read.message).meter_id)[0]
    return account


def _worth(
    exchange: Exchange, brought: ReadingChallenge, account: bytes, window: int, difference: int
) -> str | None:
    """In nano, if the challenge holds; None where that cannot be told: the day is not settled, or the node
    does not keep old state.
    """
    try:
        return str(challenger.worth(exchange, brought.zone, brought.day, account, window, difference))
    except (ChainError, Refused, IndexError):
        return None


def _worth_sentence(told: dict[str, Any]) -> str:
    stands = told["stands_wh"]
    since = "" if stands == told["committed_wh"] else f"an earlier challenge made it {stands} Wh; "
    worth = "" if told["worth_nano"] is None else f"if it holds, worth {told['worth_nano']} nano; "
    return since + worth


def _challenge_sentence(told: dict[str, Any]) -> str:
    pays = (
        f"the oracles, who called it actual, would pay {told['oracles_pay_nano']} nano"
        if told["flag"] == "actual"
        else f"it was flagged {told['flag']}, so it is corrected and the oracles pay nothing"
    )
    what = (
        f"meter {told['meter']}, {told['register']}, window of {told['window_start']}: posted "
        f"{told['committed_wh']} Wh ({told['flag']}, sequence {told['committed_sequence']}), "
        f"the meter signed {told['read_wh']} Wh (sequence {told['read_sequence']}): "
        f"{told['difference_wh']:+} Wh of imbalance\n"
        f"{_worth_sentence(told)}account {told['account']} sets {told['bond_nano']} nano at stake; {pays}"
    )
    if told["transaction"] is None:
        first = "the day is opened to challenges first; " if told["opens_day_first"] else ""
        return f"{what}\n{first}{NOT_SENT}"
    return (
        f"{what}\nchallenge {told['challenge']} is open, in block {told['block']}: it may be answered until "
        f"{moment(told['answer_by'])}, then settle it (trellis meter settle-challenge)"
    )


def _write(file: Path, brought: ReadingChallenge) -> None:
    if not brought.signature:
        raise InputError("--out writes a signed challenge: give --account-key")
    try:
        file.write_text(json.dumps(to_json(brought), indent=2) + "\n")
    except OSError as error:
        raise InputError(f"--out {file} cannot be written: {error.strerror}") from None
