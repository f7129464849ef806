"""What `trellis meter answer` and `settle-challenge` do and print."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from oracle.answering import answer_of, reads_of
from oracle.challenge_files import Told, read_signed
from oracle.challenge_shell import (
    day_of_window,
    exchange_of,
    id_of,
    open_challenge,
    present_key,
    send,
    sender_of,
    transaction_sentence,
)
from oracle.contesting import signed_read
from oracle.day import Day
from oracle.live.store import Store
from settlement.chain import challenger
from settlement.chain.events import ChallengeSettled
from settlement.chain.events import decode as decode_event
from settlement.chain.exchange import Exchange
from settlement.chain.statements import ChallengeState, logs_with
from settlement.errors import CheckFailed


def answer(arguments: argparse.Namespace) -> None:
    """`trellis meter answer`."""
    id_, sender = id_of(arguments.challenge), sender_of(arguments)
    exchange = exchange_of(arguments)
    found = open_challenge(exchange, id_)
    read = read_signed(arguments.read) if arguments.data is None else _stored(exchange, found, arguments.data)
    key = read.key or present_key(exchange, found)
    call = challenger.answer_call(exchange, id_, signed_read(read.signed, key))
    defeats = read.reading.wh != found.wh and read.reading.sequence >= found.sequence
    told: dict[str, Any] = {
        "challenge": "0x" + id_.hex(),
        "read_wh": read.reading.wh,
        "read_sequence": read.reading.sequence,
        "defeats": defeats,
        "revokes_meter": defeats and read.reading.sequence == found.sequence,
    }
    told |= send(exchange, sender, "answerChallenge", call)
    print(json.dumps(told, indent=2) if arguments.json else _answer_sentence(told))


def _answer_sentence(told: dict[str, Any]) -> str:
    what = "it stands, but the oracles posted what the meter had said and pay nothing"
    if told["defeats"]:
        what = "it falls, and its bond goes to the oracles" + (
            "; the meter signed two values under one sequence and is revoked" if told["revokes_meter"] else ""
        )
    read = f"the meter signed {told['read_wh']} Wh under sequence {told['read_sequence']}"
    return f"challenge {told['challenge']}: {read}: {what}\n{transaction_sentence(told)}"


def _stored(exchange: Exchange, found: ChallengeState, folder: Path) -> Told:
    """The best read that a node has: one that defeats the challenge, else what the oracles committed to."""
    day, windows = day_of_window(exchange, found.window)
    with Store(folder, read_only=True) as store:
        accepted = store.day(Day(exchange.deployment.window_length, day, windows)).accepted
    best = answer_of(found, accepted)
    if best is None:
        count = len(reads_of(found, accepted))
        raise CheckFailed(f"--data {folder}: of {count} reads of the window none answers the challenge")
    return Told(best.signed, best.reading, None)


def settle(arguments: argparse.Namespace) -> None:
    """`trellis meter settle-challenge`."""
    id_, sender = id_of(arguments.challenge), sender_of(arguments)
    exchange = exchange_of(arguments)
    found = open_challenge(exchange, id_)
    told: dict[str, Any] = {
        "challenge": "0x" + id_.hex(),
        "account": "0x" + found.account.hex(),
        "zone": found.zone,
        "day": found.day,
        "window": found.window,
        "difference_wh": 0 if arguments.drop else found.difference,
        "bond_nano": str(found.bond_nano),
        "worth_nano": "0",
    }
    if arguments.drop:
        name, call = "dropChallenge", challenger.drop_call(exchange, id_)
    else:
        place = found.zone, found.day, found.account, found.window
        told["worth_nano"] = str(challenger.worth(exchange, *place, found.difference))
        name, call = "settleChallenge", challenger.settle_call(exchange, id_)
    told |= send(exchange, sender, name, call)
    ended = told["transaction"] is not None and not arguments.drop
    told["paid_nano"] = str(_paid(exchange, id_)) if ended else None
    print(json.dumps(told, indent=2) if arguments.json else _settle_sentence(told, arguments.drop))


def _settle_sentence(told: dict[str, Any], drop: bool) -> str:
    if drop:
        ended = f"challenge {told['challenge']} ends without effect; its bond returns"
        return f"{ended}\n{transaction_sentence(told)}"
    paid = "" if told["paid_nano"] is None else f", and {told['paid_nano']} nano from the oracles"
    return (
        f"challenge {told['challenge']} holds: {told['difference_wh']:+} Wh of account "
        f"{told['account']}, worth {told['worth_nano']} nano; "
        f"its bond of {told['bond_nano']} nano returns{paid}\n{transaction_sentence(told)}"
    )


def _paid(exchange: Exchange, id_: bytes) -> int:
    """What the account got from the oracles, nano."""
    (log,) = logs_with(exchange, "ChallengeSettled", id_)
    event = decode_event(log)
    assert isinstance(event, ChallengeSettled)
    return event.paid_nano
