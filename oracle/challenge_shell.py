"""What the commands of challenges share: the chain, keys, and what is told of a transaction."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from settlement.audit.cli import read_address
from settlement.chain import deploy
from settlement.chain.challenge_reasons import explained
from settlement.chain.challenger import OPEN
from settlement.chain.client import Chain
from settlement.chain.errors import ContractRevert
from settlement.chain.events import DayOpened
from settlement.chain.events import decode as decode_event
from settlement.chain.exchange import Exchange
from settlement.chain.keystore import open_signer
from settlement.chain.sign import Signer
from settlement.chain.statements import ChallengeState, challenge_of
from settlement.chain.steps import Step, logs_of, step
from settlement.errors import CheckFailed, InputError
from settlement.reference.errors import Refused

ID = re.compile(r"(0x)?[0-9a-fA-F]{64}")
NOT_SENT = "nothing was sent: give --key-file, and no --check, to send it"


def day_of_window(exchange: Exchange, window: int) -> tuple[int, int]:
    """The day that has a window: its first, and how many it has. InputError if none was opened."""
    for log in logs_of(exchange, "DayOpened"):
        event = decode_event(log)
        assert isinstance(event, DayOpened)
        if event.day <= window < event.day + event.windows:
            return event.day, event.windows
    raise InputError(f"no day of this Exchange has window {window}: give the read of a day that was traded")


def exchange_of(arguments: argparse.Namespace) -> Exchange:
    """The deployment at an address, or of a file. InputError."""
    if arguments.from_block < 0:
        raise InputError("--from-block is a block number, from 0")
    chain = Chain(arguments.rpc)
    if arguments.deployment is not None:
        return Exchange(chain, deploy.read_deployment(chain, arguments.deployment))
    address = read_address(arguments.address)
    return Exchange(chain, deploy.find_deployment(chain, address, arguments.from_block))


def sender_of(arguments: argparse.Namespace) -> Signer | None:
    """Who sends; nobody with --check."""
    sender = key_of(arguments.key_file, "--key-file")
    return None if arguments.check else sender


def key_of(source: str | None, option: str) -> Signer | None:
    """Whose key a source names. InputError, which never shows it."""
    return None if source is None else open_signer(source, option=option)


def id_of(text: str) -> bytes:
    """A challenge's id. InputError."""
    if not ID.fullmatch(text):
        raise InputError(f"--challenge {text!r} is no id: give 0x and 64 hex digits")
    return bytes.fromhex(text.removeprefix("0x"))


def open_challenge(exchange: Exchange, id_: bytes) -> ChallengeState:
    """CheckFailed if it is not open, with what became of it."""
    found = challenge_of(exchange, id_)
    if found.stage != OPEN:
        what = ("was never opened", "", "was defeated", "was upheld", "was dropped")[found.stage]
        raise CheckFailed(f"challenge 0x{id_.hex()} {what}: nothing is left to do")
    return found


def present_key(exchange: Exchange, found: ChallengeState) -> tuple[int, int]:
    _, x, y = exchange.view("meterOf", found.meter)
    if not (any(x) or any(y)):
        raise InputError(
            f"meter 0x{found.meter.hex()} is revoked: give its former key as public_key in --read"
        )
    return int.from_bytes(x, "big"), int.from_bytes(y, "big")


def send(exchange: Exchange, sender: Signer | None, name: str, call: bytes) -> dict[str, Any]:
    """Sends a call, or asks the chain whether it would take it. ChallengeRefused."""
    with refusals_told():
        if sender is None:
            exchange.chain.call(exchange.address, call)
            return {"transaction": None, "block": None}
        return sent_json(step(name, exchange.send_data(sender, call)))


def sent_json(made: Step) -> dict[str, Any]:
    return {"transaction": "0x" + made.tx_hash.hex(), "block": made.block}


def transaction_sentence(told: dict[str, Any]) -> str:
    if told["transaction"] is None:
        return NOT_SENT
    return f"sent in block {told['block']}, transaction {told['transaction']}"


@contextmanager
def refusals_told() -> Iterator[None]:
    """A contract's refusal, or one that was foreseen, becomes what to do about it."""
    try:
        yield
    except (ContractRevert, Refused) as refusal:
        raise explained(refusal) from refusal


def moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%MZ")
