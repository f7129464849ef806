"""What `trellis claim` is given: records, receipts and signatures, in hex or in files."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from settlement.errors import InputError

if TYPE_CHECKING:
    from settlement.reference.receipts import SignedReceipt

SEQUENCE_BYTES, SIGNATURE_BYTES = 4, 65
HEX = re.compile(r"(0x)?([0-9a-fA-F]{2})+")


@dataclass(frozen=True)
class Given:
    """What the command line says is claimed for, read."""

    record: bytes
    zone: int | None
    """The trader's, if it is not given."""
    receipt: SignedReceipt
    cancel: bytes
    """Signature of the order's cancel; empty if none is given."""
    replacement: bytes
    """Record of the order in its place; empty if none is given."""


def read_given(arguments: argparse.Namespace) -> Given:
    order, cancel, replacement = _read(arguments.order, "--order"), b"", b""
    if arguments.cancel is not None:
        cancel = _bytes(_read(arguments.cancel, "--cancel", "cancel"), "cancel", "--cancel")
        _require_signature(cancel, "--cancel")
    if arguments.replacement is not None:
        replacement = _bytes(_read(arguments.replacement, "--replacement"), "record", "--replacement")
    zone = order.get("zone")
    if zone is not None and (not isinstance(zone, int) or isinstance(zone, bool) or not 0 <= zone < 2**32):
        raise InputError("--order, zone: must be a whole number from 0, below 2^32, or be left out")
    receipt = _receipt(_read(arguments.receipt, "--receipt"))
    return Given(_bytes(order, "record", "--order"), zone, receipt, cancel, replacement)


def _read(given: str, option: str, key: str = "record") -> dict[str, Any]:
    """The JSON object of a file; hex, given or in a file, as `{key: hex}`."""
    text = given if HEX.fullmatch(given) else _text_of(Path(given), option)
    if HEX.fullmatch(text.strip()):
        return {key: text.strip()}
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{option} {given}, line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except RecursionError:
        raise InputError(f"{option} {given}: nested too deeply") from None
    except ValueError:  # what Python reads of digits is bounded
        raise InputError(f"{option} {given}: holds a number of too many digits") from None
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
    _require_signature(signature, "--receipt")
    return SignedReceipt(sequence, signature)


def _require_signature(signature: bytes, option: str) -> None:
    if len(signature) != SIGNATURE_BYTES:
        raise InputError(f"{option}: a signature has {SIGNATURE_BYTES} bytes, not {len(signature)}")


def _bytes(found: dict[str, Any], key: str, option: str) -> bytes:
    text = found.get(key)
    if not isinstance(text, str) or not HEX.fullmatch(text):
        raise InputError(f"{option}, {key}: must be there, in hex")
    return bytes.fromhex(text.removeprefix("0x"))


def _text_of(file: Path, option: str) -> str:
    try:
        return file.read_text()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise InputError(f"{option} {file} cannot be read: {reason}") from None
