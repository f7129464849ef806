"""The bundle: what is told of one order, and the blocks, transactions and paths that prove it.

One form for each value, so that no two files say the same: hex in lower case, integers as decimal strings
without leading zeros, lists in the order of their keys. An unknown field is refused.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)

from settlement.errors import InputError

FORMAT, VERSION = "trellis-evidence", 1
MOST_BYTES = 64 << 20
"""Of a file."""

_HEX = re.compile(r"0x(?:[0-9a-f]{2})*", re.ASCII)
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,77}", re.ASCII)


def _of_hex(value: Any) -> Any:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise ValueError("0x and an even number of hex digits in lower case")
    return bytes.fromhex(value[2:])


def _of_integer(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or not _INTEGER.fullmatch(value):
        raise ValueError("a whole number, as a decimal string")
    return int(value)


def _of_length(length: int) -> AfterValidator:
    def check(value: bytes) -> bytes:
        if len(value) != length:
            raise ValueError(f"{length} bytes, 0x and {2 * length} hex digits")
        return value

    return AfterValidator(check)


def _schema(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


_TO_HEX = PlainSerializer(lambda value: "0x" + value.hex(), return_type=str)
_HEX_SCHEMA = _schema("^0x(?:[0-9a-f]{2})*$", "0x0102")

Blob = Annotated[bytes, BeforeValidator(_of_hex), _TO_HEX, _HEX_SCHEMA]
Address = Annotated[Blob, _of_length(20)]
Word = Annotated[Blob, _of_length(32)]
"""A hash, or another word of 32 bytes."""
Int = Annotated[
    int,
    BeforeValidator(_of_integer),
    PlainSerializer(str, return_type=str),
    _schema("^(?:0|-?[1-9][0-9]{0,77})$", "1000000000"),
]


class Part(BaseModel):
    """A part of a bundle."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# What is told -------------------------------------------------------------------------------------------


class ReceiptPart(Part):
    """The operator's word that the order is in."""

    sequence: Int
    signature: Blob


class OrderPart(Part):
    """The order as its trader signed it."""

    hash: Word
    epoch: Int
    zone: Int
    record: Blob | None = Field(description="With its signature; null where the chain's calldata has none.")
    receipt: ReceiptPart | None = Field(description="Null if the API gave none.")


class ParamsPart(Part):
    """Everything the session was opened with: its id is the hash of all of it."""

    kind: Int
    round: Int
    windows: Int
    grid_version: Int
    day: Int
    first_window: Int
    gate: Int
    commit_by: Int
    prove_by: Int
    floor: Int
    cap: Int
    buy_reserve: Int
    sell_reserve: Int
    imbalance_min: Int
    imbalance_max: Int
    max_orders: Int
    max_submitted: Int
    bond_nano: Int
    claim_by: Int
    receipt_signer: Address
    certificate_run: Int


class SessionPart(Part):
    """The session that the order is of."""

    id: Word
    params: ParamsPart
    proved: bool


class BookPart(Part):
    """What the operator committed to for the order's zone."""

    count: Int
    root: Word


class NeighbourPart(Part):
    """An order of the book and its way to the root."""

    hash: Word
    siblings: list[Word]


class InclusionPart(Part):
    """Where the order is in the book."""

    index: Int
    siblings: list[Word]


class AbsencePart(Part):
    """Between which orders it would be."""

    index: Int
    left: NeighbourPart | None = Field(description="Null at the book's start.")
    right: NeighbourPart | None = Field(description="Null at its end.")


class FillPart(Part):
    """One window of the order."""

    window: Int
    filled_wh: Int
    price_micro_per_kwh: Int


class ClearingPart(Part):
    """What became of the order."""

    outcome: Literal["cleared", "ineligible"]
    reason: Int = Field(description="Why it is not eligible, as the contract numbers it; 0 if it is.")
    fills: list[FillPart]
    net_nano: Int = Field(description="Earned, less paid, less what filled energy keeps reserved.")
    donated_nano: Int = Field(description="What its beneficiary earned at once.")


class ClaimPart(Part):
    """A claim for the order against the operator's bond."""

    kind: Int
    state: Literal["open", "defeated", "paid"]
    paid_nano: Int


class HoldingPart(Part):
    """What the account had of a product when its day was settled."""

    round: Int
    quality: Int
    window: Int = Field(description="Counted from the day's first.")
    claims_wh: Int
    obligations_wh: Int


class SettlementPart(Part):
    """The account's day in the first run, its first pass."""

    zone: Int
    day: Int
    metered_wh: list[Int] = Field(description="By window; empty where nobody posted.")
    flags: list[Int]
    holdings: list[HoldingPart]
    imbalance_wh: list[Int] = Field(description="Metered less contracted, by window.")
    cash_nano: Int
    released_nano: Int


class CertificatePart(Part):
    """Claims that became certificates."""

    round: Int
    quality: Int
    window: Int = Field(description="Counted from the day's first.")
    wh: Int


class DeliveryPart(Part):
    """The second pass: what was not delivered to the account, and certificates."""

    imbalance_wh: Int
    cash_nano: Int
    released_nano: Int
    certificates: list[CertificatePart]


class CorrectionPart(Part):
    """What a later run changed."""

    run: Int
    wh: list[Int]
    flags: list[Int]
    imbalance_wh: Int
    cash_nano: Int


class OpeningPart(Part):
    """A reading that its oracle disclosed to the account: what is behind one salted commitment."""

    message: Blob
    flag: Int
    salt: Word
    index: Int
    proof: list[Word]


# What proves it -----------------------------------------------------------------------------------------


class BlockPart(Part):
    """A block's header as the bytes that its hash is of."""

    hash: Word
    header: Blob


class TransactionPart(Part):
    """A transaction and its receipt: nodes of its block's trees, from the root to the leaf that has it."""

    hash: Word
    block: Word
    index: Int
    transaction: list[Blob]
    receipt: list[Blob]


class WithheldPart(Part):
    """A transaction that is named only: it holds other accounts' orders or readings."""

    hash: Word
    block_number: Int
    function: str


class Bundle(Part):
    """Evidence of one order."""

    format: Literal["trellis-evidence"]
    version: Literal[1]
    chain_id: Int
    exchange: Address
    account: Address
    order: OrderPart
    session: SessionPart
    book: BookPart | None = Field(description="Null before the commitment.")
    inclusion: InclusionPart | None
    absence: AbsencePart | None
    clearing: ClearingPart | None = Field(description="Null until the order is read by the chain.")
    claim: ClaimPart | None
    settlement: SettlementPart | None
    delivery: DeliveryPart | None
    corrections: list[CorrectionPart]
    openings: list[OpeningPart]
    blocks: list[BlockPart]
    transactions: list[TransactionPart]
    withheld: list[WithheldPart]


# Files --------------------------------------------------------------------------------------------------


def parse(text: bytes | str, name: str) -> Bundle:
    """The bundle of a file. InputError, naming the field, if it is none of this version."""
    try:
        found = json.loads(text, object_pairs_hook=_once)
        if isinstance(found, dict) and (found.get("format"), found.get("version")) != (FORMAT, VERSION):
            raise InputError(f"{name} is no evidence bundle of version {VERSION}")
        return Bundle.model_validate(found, strict=False)
    except ValidationError as cause:
        first = cause.errors()[0]
        place = "/".join(map(str, first["loc"]))
        raise InputError(f"{name}, {place}: {first['msg']}") from cause
    except (ValueError, RecursionError) as cause:
        raise InputError(f"{name} is no JSON ({cause})") from cause


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name that comes twice would hide one of its values."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def read(file: Path) -> Bundle:
    """InputError if it cannot be read, is too large or no bundle."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise InputError(f"{file} is larger than {MOST_BYTES} bytes: no bundle is")
        return parse(file.read_bytes(), str(file))
    except OSError as cause:
        raise InputError(f"{file} cannot be read: {cause.strerror}") from cause


def pointers(value: Any, at: str = "") -> list[str]:
    """JSON pointers (RFC 6901) of all values of a document that are no lists or objects, or empty ones."""
    if isinstance(value, dict) and value:
        return [each for name, one in value.items() for each in pointers(one, f"{at}/{name}")]
    if isinstance(value, list) and value:
        return [each for place, one in enumerate(value) for each in pointers(one, f"{at}/{place}")]
    return [at]
