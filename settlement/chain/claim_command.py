"""`trellis claim`: whoever holds an order and its receipt is paid if the order was left out.

All else is read from the chain: the session that the receipt is of, the hashes of the cleared book, and the
neighbours under its root between which the order would have been.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from settlement.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from settlement.chain.books import Session
    from settlement.chain.exchange import Exchange
    from settlement.chain.receipts import Kept
    from settlement.reference.orders import SignedOrder
    from settlement.reference.receipts import SignedReceipt

DESCRIPTION = """\
Claims from a session's bond for an order that the operator answered with a receipt and then left out, or
whose session is void. Finds the session by the receipt's signature, proves from the chain that the order is
not under the committed root, and sends the claim. Anyone may send it; it is the order's trader who is paid.

--order takes the order's record, --receipt the operator's answer: hex, or a file that holds hex or JSON:
  {"record": "0x…", "zone": 3}             "zone" is where the trader is registered, if it is left out
  {"sequence": 17, "signature": "0x…"}     as hex: 4 bytes of sequence, 65 of signature
One JSON file with all four may be given to both.
"""

EPILOG = """\
Without --key-file nothing is sent: it says what would be claimed.
docs/omission.md says who is paid when.
exit codes: 0 claimed (or could be), 1 there is nothing to claim, 2 bad input or usage
"""

SEQUENCE_BYTES, SIGNATURE_BYTES = 4, 65
HEX = re.compile(r"(0x)?([0-9a-fA-F]{2})+")


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
    parser.add_argument(
        "--key-file", type=Path, metavar="FILE", help="private key of who sends, 32 bytes in hex"
    )
    parser.add_argument("--session", type=int, metavar="N", help="its number (default: found by the receipt)")
    parser.add_argument("--from-block", type=int, default=0, metavar="N", help="where the deployment begins")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    from settlement.chain import claims
    from settlement.chain.exchange import Stage
    from settlement.chain.sign import Signer

    key = None if arguments.key_file is None else Signer(_key_of(arguments.key_file))
    exchange = _exchange(arguments)
    found = _find(exchange, arguments)
    void = exchange.session(found.session.epoch)[1] is Stage.VOID
    proof = None if void else claims.absence_of(exchange, found.session, found.kept)
    if not void and proof is None:
        raise CheckFailed(f"order 0x{found.order_hash.hex()} was not left out: there is nothing to claim")
    told: dict[str, Any] = {
        "claim": "void" if void else "omission",
        "session": found.session.epoch,
        "zone": found.kept.zone,
        "order": "0x" + found.order_hash.hex(),
        "trader": "0x" + found.order.schedule.trader.hex(),
        "sequence": found.kept.receipt.sequence,
        "bond_nano": found.session.params.bond_nano,
        "position": None if proof is None else proof.index,
        "transaction": None,
        "block": None,
    }
    if key is not None:
        sent = claims.claim(exchange, key, found.session, found.kept)
        told |= {"transaction": "0x" + sent.tx_hash.hex(), "block": sent.block}
    print(json.dumps(told, indent=2) if arguments.json else _sentence(told))


def _sentence(told: dict[str, Any]) -> str:
    why = (
        "the session is void"
        if told["claim"] == "void"
        else f"it is not in the book: {told['position']} orders with lower hashes, and none of its own"
    )
    what = (
        f"order {told['order']} of session {told['session']}, zone {told['zone']}, has receipt "
        f"{told['sequence']}, and {why}"
    )
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
    """An order with its receipt, and the session that both are of."""

    session: Session
    kept: Kept
    order: SignedOrder
    order_hash: bytes


def _exchange(arguments: argparse.Namespace) -> Exchange:
    from settlement.audit.cli import read_address
    from settlement.chain.client import Chain
    from settlement.chain.deploy import Deployment
    from settlement.chain.exchange import Exchange

    address, chain = read_address(arguments.address), Chain(arguments.rpc)
    if arguments.from_block < 0:
        raise InputError("--from-block is a block number, from 0")
    if chain.rpc("eth_getCode", arguments.address, "latest") == "0x":
        raise InputError(f"there is no contract at {arguments.address} on chain {chain.chain_id}")
    nobody = bytes(20)
    return Exchange(chain, Deployment(chain.chain_id, address, arguments.from_block, nobody, nobody, (), 0))


def _find(exchange: Exchange, arguments: argparse.Namespace) -> Found:
    """The session whose receipt signer signed for this order: the latest, if it is not named."""
    from settlement.chain.operator import find_session
    from settlement.reference.orders import order_hash

    order, receipt = _read(arguments.order, "--order"), _receipt(_read(arguments.receipt, "--receipt"))
    record = _bytes(order, "record", "--order")
    (latest,) = exchange.view("latestEpoch")
    named = arguments.session
    epochs = range(latest, 0, -1) if named is None else [named]
    for epoch in epochs:
        session = find_session(exchange, epoch)
        kept, signed = _kept(exchange, session, record, order.get("zone"), receipt)
        hash_ = order_hash(exchange.separator, signed.schedule)
        if _is_for(exchange, session, hash_, receipt, tell=named is not None):
            return Found(session, kept, signed, hash_)
    raise InputError(
        f"--receipt: no session of {len(epochs)} has a bond and a signer that gave it for this order"
    )


def _kept(
    exchange: Exchange, session: Session, record: bytes, zone: int | None, receipt: SignedReceipt
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
        raise InputError(f"--order: {refusal}") from None
    if end != len(record):
        raise InputError(f"--order: {len(record) - end} bytes follow the record: give one order")
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


# What is given ------------------------------------------------------------------------------------------


def _read(given: str, option: str) -> dict[str, Any]:
    """The JSON object of a file; hex, given or in a file, as `{"record": hex}`."""
    text = given if HEX.fullmatch(given) else _text_of(Path(given), option)
    if HEX.fullmatch(text.strip()):
        return {"record": text.strip()}
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{option} {given}, line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    if not isinstance(found, dict):
        raise InputError(f"{option} {given}: must be hex or one JSON object")
    return found


def _receipt(found: dict[str, Any]) -> SignedReceipt:
    from settlement.reference.receipts import SignedReceipt

    if "signature" in found:
        sequence, signature = found.get("sequence"), _bytes(found, "signature", "--receipt")
        if not isinstance(sequence, int) or isinstance(sequence, bool) or not 0 <= sequence < 2**32:
            raise InputError("--receipt, sequence: must be a whole number from 0, below 2^32")
    else:
        data = _bytes(found, "record", "--receipt")
        sequence, signature = int.from_bytes(data[:SEQUENCE_BYTES], "big"), data[SEQUENCE_BYTES:]
    if len(signature) != SIGNATURE_BYTES:
        raise InputError(f"--receipt: a signature has {SIGNATURE_BYTES} bytes, not {len(signature)}")
    return SignedReceipt(sequence, signature)


def _bytes(found: dict[str, Any], key: str, option: str) -> bytes:
    text = found.get(key)
    if not isinstance(text, str) or not HEX.fullmatch(text):
        raise InputError(f"{option}, {key}: must be there, in hex")
    return bytes.fromhex(text.removeprefix("0x"))


def _key_of(file: Path) -> str:
    text = _text_of(file, "--key-file").strip()
    if not re.fullmatch(r"(0x)?[0-9a-fA-F]{64}", text):
        raise InputError(f"--key-file {file}: must hold one private key, 64 hex digits")
    return text


def _text_of(file: Path, option: str) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise InputError(f"{option} {file} cannot be read: {reason}") from None
