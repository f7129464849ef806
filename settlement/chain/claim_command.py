"""`trellis claim`: whoever holds an order and a receipt is paid if the order was left out against it, or was
cleared although the receipt is for its cancel or for an order in its place.

All else is read from the chain: the session that the receipt is of, the hashes of the cleared book, and the
neighbours under its root between which the order would have been.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from settlement.chain.claim_input import Given, read_given
from settlement.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from settlement.chain.books import Session
    from settlement.chain.claims import Claim
    from settlement.chain.exchange import Exchange
    from settlement.chain.receipts import Kept
    from settlement.reference.orders import SignedOrder
    from settlement.reference.receipts import SignedReceipt

DESCRIPTION = """\
Claims from a session's bond for an order that the operator answered with a receipt and then left out, or
whose session is void; with --cancel or --replacement, for an order that was cleared although the receipt is
for its cancel, or for the order that replaces it. Finds the session by the receipt's signature, proves from
the chain that the order is not under the committed root, or is, and sends the claim. Anyone may send it; it
is the order's trader who is paid.

--order takes the order's record, --receipt the operator's answer: hex, or a file that holds hex or JSON:
  {"record": "0x…", "zone": 3}             "zone" is where the trader is registered, if it is left out
  {"sequence": 17, "signature": "0x…"}     as hex: 4 bytes of sequence, 65 of signature
One JSON file with all four may be given to both. --replacement takes a record like --order, --cancel the
signature of the cancel, 65 bytes: {"cancel": "0x…"} or hex.
"""

EPILOG = """\
Without --key-file nothing is sent: it says what would be claimed, having asked the contract whether it would
take that. Two claims on a void session need no receipt and are not made here, but by claim_committed and
claim_submitted of settlement.chain.claims: for an order under a committed root, or submitted on chain.
docs/omission.md says who is paid when.
exit codes: 0 claimed (or could be), 1 there is nothing to claim or the contract refuses, 2 bad input or usage
"""

REFUSALS = {
    "AlreadyClaimed": "each order is claimed once; payClaim pays it when the time to defend is over",
    "ClaimsClosed": "claims had to be made by {by:%Y-%m-%d %H:%M:%S} UTC",
    "Forced": "it was submitted on chain, so the operator had to clear it and owes nothing for that",
    "NotMember": "its trader is not registered, so nobody can be paid",
    "ExchangePaused": "claim when the pause is over, by {by:%Y-%m-%d %H:%M:%S} UTC",
}
"""What a refusal that depends on more than what was given means for who claims."""


def register(subparsers: Any) -> None:
    """Adds `trellis claim`."""
    parser = subparsers.add_parser(
        "claim",
        help="be paid for an order that was left out against its receipt",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rpc", required=True, metavar="URL", help="of a node, http(s) or an IPC socket")
    parser.add_argument("--address", required=True, help="of the Exchange, 0x and 40 hex digits")
    parser.add_argument("--order", required=True, metavar="FILE|HEX", help="the signed order's record")
    parser.add_argument("--receipt", required=True, metavar="FILE|HEX", help="the operator's receipt for it")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--cancel", metavar="FILE|HEX", help="its trader's signature; the receipt is for the cancel"
    )
    instead.add_argument(
        "--replacement", metavar="FILE|HEX", help="the order in its place; the receipt is for that one"
    )
    parser.add_argument(
        "--key-file", metavar="SOURCE", help="key of who sends: a keystore file or a signer (docs/keys.md)"
    )
    parser.add_argument("--session", type=int, metavar="N", help="its number (default: found by the receipt)")
    parser.add_argument("--from-block", type=int, default=0, metavar="N", help="where the deployment begins")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    from settlement.chain import claims
    from settlement.chain.keystore import open_signer

    key = None if arguments.key_file is None else open_signer(arguments.key_file)
    given = read_given(arguments)
    exchange = _exchange(arguments)
    found = _find(exchange, arguments.session, given)
    kind, position, claim = _judge(exchange, found)
    _check(exchange, found, claim)
    told: dict[str, Any] = {
        "claim": kind,
        "session": found.session.epoch,
        "zone": found.kept.zone,
        "order": "0x" + found.order_hash.hex(),
        "trader": "0x" + found.order.schedule.trader.hex(),
        "sequence": found.kept.receipt.sequence,
        "bond_nano": found.session.params.bond_nano,
        "position": position,
        "transaction": None,
        "block": None,
    }
    if key is not None:
        sent = claims.send(exchange, key, claim)
        told |= {"transaction": "0x" + sent.tx_hash.hex(), "block": sent.block}
    print(json.dumps(told, indent=2) if arguments.json else _sentence(told))


def _judge(exchange: Exchange, found: Found) -> tuple[str, int | None, Claim]:
    """The kind of claim, how many orders in the book come before, and what to send; CheckFailed if there is
    none.
    """
    from settlement.chain import claims
    from settlement.chain.exchange import Stage

    session, kept, name = found.session, found.kept, f"order 0x{found.order_hash.hex()}"
    void = exchange.session(session.epoch)[1] is Stage.VOID
    if not found.cancel and found.replacement is None:
        if void:
            return "void", None, claims.void_claim(session, kept)
        absent = claims.absence_of(exchange, session, kept)
        if absent is None:
            raise CheckFailed(f"{name} was not left out: there is nothing to claim")
        return "omission", absent.index, claims.omission_claim(session, kept, absent)
    if void:
        raise CheckFailed(
            f"session {session.epoch} is void, so {name} was not cleared: claim with a receipt for an order, "
            "without --cancel and --replacement"
        )
    present = claims.inclusion_of(exchange, session, kept.zone, kept.record)
    if present is None:
        raise CheckFailed(f"{name} was not cleared: there is nothing to claim")
    if found.replacement is None:
        return "cancelled", present.index, claims.cancelled_claim(session, kept, present, found.cancel)
    return (
        "replaced",
        present.index,
        claims.replaced_claim(session, kept.record, present, found.replacement),
    )


def _check(exchange: Exchange, found: Found, claim: Claim) -> None:
    """CheckFailed if the contract would not take the claim, as it is and now."""
    from settlement.chain import claims
    from settlement.chain.errors import ContractRevert

    try:
        claims.check(exchange, claim)
    except ContractRevert as refusal:
        why = REFUSALS.get(refusal.name, "docs/errors.md says what that means")
        if "{by" in why:
            why = why.format(by=datetime.fromtimestamp(found.session.params.claim_by, UTC))
        name = f"order 0x{found.order_hash.hex()}"
        raise CheckFailed(f"{name} cannot be claimed for: {refusal.message}: {why}") from None


def _sentence(told: dict[str, Any]) -> str:
    before = f"{told['position']} orders with lower hashes"
    why = {
        "void": "has receipt {}, and the session is void",
        "omission": f"has receipt {{}}, and it is not in the book: {before}, and none of its own",
        "cancelled": f"was cleared, behind {before}, although its cancel has receipt {{}}",
        "replaced": f"was cleared, behind {before}, although what replaces it has receipt {{}}",
    }[told["claim"]].format(told["sequence"])
    what = f"order {told['order']} of session {told['session']}, zone {told['zone']}, {why}"
    if told["transaction"] is None:
        claim = f"{told['bond_nano']:,} nano for {told['trader']}"
        return f"{what}\nnothing was sent: give --key-file to claim {claim}"
    return (
        f"{what}\nclaimed {told['bond_nano']:,} nano for {told['trader']} in block {told['block']}, "
        f"transaction {told['transaction']}; it is paid when the time to defend is over (payClaim)"
    )


# What is claimed ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """An order with a receipt, and the session that both are of."""

    session: Session
    kept: Kept
    order: SignedOrder
    order_hash: bytes
    cancel: bytes
    """As given."""
    replacement: Kept | None
    other: SignedOrder | None
    """The replacement, read."""
    answered: bytes
    """What the receipt is for: the order, its cancel, or the order in its place."""


def _exchange(arguments: argparse.Namespace) -> Exchange:
    from settlement.audit.cli import read_address
    from settlement.chain.client import Chain
    from settlement.chain.deploy import Deployment
    from settlement.chain.exchange import Exchange

    if not arguments.rpc.startswith(("http://", "https://")) and not Path(arguments.rpc).is_socket():
        raise InputError(f"--rpc {arguments.rpc}: must be an http(s) URL of a node, or its IPC socket")
    address, chain = read_address(arguments.address), Chain(arguments.rpc)
    if arguments.from_block < 0:
        raise InputError("--from-block is a block number, from 0")
    if chain.rpc("eth_getCode", arguments.address, "latest") == "0x":
        raise InputError(f"there is no contract at {arguments.address} on chain {chain.chain_id}")
    nobody = bytes(20)
    return Exchange(chain, Deployment(chain.chain_id, address, arguments.from_block, nobody, nobody, (), 0))


def _find(exchange: Exchange, named: int | None, given: Given) -> Found:
    """The session whose receipt signer signed the receipt: the latest, if it is not named."""
    from settlement.chain.operator import find_session

    (latest,) = exchange.view("latestEpoch")
    if named is not None and not 1 <= named <= latest:
        raise InputError(f"--session {named}: sessions are numbered from 1, and the latest is {latest}")
    epochs = range(latest, 0, -1) if named is None else [named]
    for epoch in epochs:
        found = _in_session(exchange, find_session(exchange, epoch), given)
        receipt = found.kept.receipt
        if _is_for(exchange, found.session, found.answered, receipt, tell=named is not None):
            _check_signed(exchange, found)
            return found
    what = "order's cancel" if given.cancel else "order in its place" if given.replacement else "order"
    raise InputError(
        f"--receipt: no session of {len(epochs)} has a bond and a signer that gave it for this {what}"
    )


def _in_session(exchange: Exchange, session: Session, given: Given) -> Found:
    """What was given, as if it were of this session."""
    from settlement.chain.receipts import cancel_hash

    kept, signed = _kept(exchange, session, given.record, given.zone, given.receipt, "--order")
    hash_ = answered = _hash_of(exchange, signed)
    replacement = other = None
    if given.cancel:
        answered = cancel_hash(exchange.separator, session.id, hash_)
    elif given.replacement:
        replacement, other = _kept(
            exchange, session, given.replacement, kept.zone, given.receipt, "--replacement"
        )
        answered = _hash_of(exchange, other)
    return Found(session, kept, signed, hash_, given.cancel, replacement, other, answered)


def _hash_of(exchange: Exchange, signed: SignedOrder) -> bytes:
    """What the order goes by. Where nobody signed it who may, that of its trader: `_check_signed` says so."""
    from settlement.reference.orders import order_hash, signed_hash

    hash_, signer = signed_hash(exchange.separator, signed)
    place = (signed.schedule.trader, signer)
    known = signer == place[0] or place in exchange.session_keys([place]).keys
    return hash_ if known else order_hash(exchange.separator, signed.schedule)


def _check_signed(exchange: Exchange, found: Found) -> None:
    """InputError unless the order's trader, or a session key of it, signed all that it is said to have."""
    from settlement.chain.receipts import cancel_hash
    from settlement.reference.orders import signed_hash

    trader, separator = found.order.schedule.trader, exchange.separator
    signer = signed_hash(separator, found.order)[1]
    granted = exchange.session_keys([(trader, signer)] if signer != trader else []).keys
    _require_signer(trader, {trader, *(key for _, key in granted)}, signer, "--order")
    if found.cancel:
        digest = cancel_hash(separator, found.session.id, found.order_hash)
        _require_signer(trader, {trader, signer}, _signer_of(digest, found.cancel), "--cancel")
    if found.other is not None:
        other = found.other.schedule
        if other.trader != trader:
            raise InputError(
                f"--replacement: is an order of 0x{other.trader.hex()}, and --order of 0x{trader.hex()}: "
                "give two orders of one trader"
            )
        if other.replaces != found.order_hash:
            raise InputError(
                f"--replacement: replaces 0x{other.replaces.hex()}, which is not --order, "
                f"0x{found.order_hash.hex()}: give the order that it replaces"
            )
        by = signed_hash(separator, found.other)[1]
        _require_signer(trader, {trader, signer}, by, "--replacement")


def _signer_of(digest: bytes, signature: bytes) -> bytes:
    """The zero address where nobody can be told."""
    from settlement.reference import eip712
    from settlement.reference.errors import Refused
    from settlement.reference.record import NO_ADDRESS

    try:
        return eip712.recover(digest, signature)
    except Refused:
        return NO_ADDRESS


def _require_signer(trader: bytes, allowed: set[bytes], signer: bytes, option: str) -> None:
    if signer not in allowed or not any(signer):
        who = "0x" + signer.hex() if any(signer) else "nobody"
        raise InputError(
            f"{option}: must be signed by the order's trader, 0x{trader.hex()}, and {who} signed it: give "
            "what the trader sent to the operator"
        )


def _kept(
    exchange: Exchange,
    session: Session,
    record: bytes,
    zone: int | None,
    receipt: SignedReceipt,
    option: str,
) -> tuple[Kept, SignedOrder]:
    """What the trader kept, as claims read it; without a zone, that in which the trader is registered."""
    from settlement.chain.receipts import keep
    from settlement.reference.errors import Refused
    from settlement.reference.orders import decode

    try:
        signed, end = decode(record, 0, session.id, session.params.kind, 0)
        if zone is None:
            member = exchange.accounts([signed.schedule.trader])[signed.schedule.trader].member
            zone = 0 if member is None else member.zone
        signed, end = decode(record, 0, session.id, session.params.kind, zone)
    except Refused as refusal:
        raise InputError(
            f"{option}: these {len(record)} bytes are no signed order's record ({type(refusal).__name__}): "
            "give the whole record that was sent to the operator (docs/formats.md, Schedule record)"
        ) from None
    if end != len(record):
        raise InputError(f"{option}: {len(record) - end} bytes follow the record: give one order")
    return keep(signed, receipt), signed


def _is_for(
    exchange: Exchange, session: Session, order_hash: bytes, receipt: SignedReceipt, tell: bool
) -> bool:
    """Whether the session would have to pay for the receipt; `tell` says why not."""
    from settlement.chain.errors import BadReceipt
    from settlement.chain.receipts import check_receipt

    try:
        check_receipt(exchange.separator, session.params, order_hash, receipt)
    except BadReceipt:
        if tell:
            raise
        return False
    return True
