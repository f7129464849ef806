"""Orders and cancels as they come in, receipts as they go out.

A message has the names and meaning of its EIP-712 type, so that what a wallet signed is sent as it is.
Numbers may come as JSON numbers or as decimal strings; they go out as strings.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from api.errors import FieldProblem
from api.pages import Page
from api.schemas.common import Account, Answer, Bytes, Hash, Integer, Time
from settlement.reference.record import MOST_ENTRIES, NO_ADDRESS, NO_HASH

MOST_BATCH = 10_000
"""Orders of one request."""
RECORDS = "application/vnd.trellis.orders"
"""Media type of a batch of records: session, then of each order its zone and its record."""


def _either(least: int, limit: int) -> WithJsonSchema:
    pattern = "^-?(?:0|[1-9][0-9]{0,19})$" if least < 0 else "^(?:0|[1-9][0-9]{0,19})$"
    number = {"type": "integer", "minimum": least, "maximum": limit - 1}
    return WithJsonSchema({"anyOf": [{"type": "string", "pattern": pattern}, number]})


Side = Annotated[int, Field(ge=0, lt=2), _either(0, 2)]
Byte = Annotated[int, Field(ge=0, lt=1 << 8), _either(0, 1 << 8)]
Uint32 = Annotated[int, Field(ge=0, lt=1 << 32), _either(0, 1 << 32)]
Uint64 = Annotated[int, Field(ge=0, lt=1 << 64), _either(0, 1 << 64)]
Int32 = Annotated[int, Field(ge=-(1 << 31), lt=1 << 31), _either(-(1 << 31), 1 << 31)]
Windows = Annotated[int, Field(ge=1, le=MOST_ENTRIES), _either(1, MOST_ENTRIES + 1)]


def _signature(value: bytes) -> bytes:
    if len(value) != 65:
        raise ValueError("65 bytes, 0x and 130 hex digits: r, s, v")
    return value


Signature = Annotated[Bytes, AfterValidator(_signature)]
_EXAMPLE: dict[str, Any] = {
    "primary_type": "Schedule",
    "message": {
        "trader": "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2",
        "session": "0x" + "1f" * 32,
        "zone": "0",
        "side": "0",
        "kind": "0",
        "quality": "0",
        "firstWindow": "989472",
        "nonce": "1",
        "replaces": "0x" + "00" * 32,
        "beneficiary": "0x" + "00" * 20,
        "quantityWh": ["500", "750"],
        "limitMicroPerKWh": ["210000", "205000"],
    },
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


# What is signed -----------------------------------------------------------------------------------------


class _Common(_Strict):
    session: Hash = Field(description="Id of the session.")
    side: Side = Field(description="0 buys, 1 sells.")
    firstWindow: Uint32
    replaces: Hash = Field(
        default_factory=lambda: NO_HASH,
        description="Hash of the order that goes out of the book for this one; none by default.",
    )
    beneficiary: Account = Field(
        default_factory=lambda: NO_ADDRESS,
        description="Who gets what a sale earns; zero, the default: the trader.",
    )


class _Signed(_Strict):
    trader: Account
    zone: Uint32
    kind: Byte = Field(description="0 energy, 1 flexibility up, 2 flexibility down.")
    nonce: Uint64


class _ScheduleTerms(_Common):
    quality: Byte
    quantityWh: list[Uint32] = Field(min_length=1, max_length=MOST_ENTRIES, description="By window.")
    limitMicroPerKWh: list[Int32] = Field(min_length=1, max_length=MOST_ENTRIES, description="By window.")


class _FlexibleTerms(_Common):
    windows: Windows
    energyWh: Uint32 = Field(description="The most over all windows together.")
    maxWhPerWindow: Uint32
    limitMicroPerKWh: Int32


class ScheduleMessage(_ScheduleTerms, _Signed):
    """A Schedule."""


class FlexibleMessage(_FlexibleTerms, _Signed):
    """A FlexibleSchedule."""


class ScheduleBody(_Strict):
    """A signed Schedule."""

    model_config = ConfigDict(
        json_schema_extra={"example": {**_EXAMPLE, "signature": "0x" + "2a" * 64 + "1b"}}
    )

    primary_type: Literal["Schedule"]
    message: ScheduleMessage
    signature: Signature


class FlexibleBody(_Strict):
    """A signed FlexibleSchedule."""

    primary_type: Literal["FlexibleSchedule"]
    message: FlexibleMessage
    signature: Signature


OrderBody = Annotated[ScheduleBody | FlexibleBody, Field(discriminator="primary_type")]


class BatchBody(_Strict):
    """Signed orders, of one trader or many."""

    orders: list[OrderBody] = Field(min_length=1, max_length=MOST_BATCH)


# What is to be signed -----------------------------------------------------------------------------------


class _Optional(_Strict):
    trader: Account | None = Field(None, description="None: the caller.")
    zone: Uint32 | None = Field(None, description="None: where the trader is registered.")
    kind: Byte | None = Field(None, description="None: the session's.")
    nonce: Uint64 | None = Field(None, description="None: a random one.")


class ScheduleDraft(_ScheduleTerms, _Optional):
    """What a Schedule must say; the rest is filled in."""


class FlexibleDraft(_FlexibleTerms, _Optional):
    """What a FlexibleSchedule must say; the rest is filled in."""


class ScheduleDraftBody(_Strict):
    """A Schedule to be."""

    primary_type: Literal["Schedule"]
    message: ScheduleDraft


class FlexibleDraftBody(_Strict):
    """A FlexibleSchedule to be."""

    primary_type: Literal["FlexibleSchedule"]
    message: FlexibleDraft


DraftBody = Annotated[ScheduleDraftBody | FlexibleDraftBody, Field(discriminator="primary_type")]


class TypedDataAnswer(Answer):
    """What a wallet signs."""

    order: Hash = Field(description="The order's hash; of a cancel, the order it takes back.")
    digest: Hash = Field(description="What the signature is over.")
    typed_data: dict[str, Any] = Field(description="For eth_signTypedData_v4.")


class CancelDraftBody(_Strict):
    """A cancel to be."""

    order: Hash


class CancelBody(_Strict):
    """A signed Cancel of an order."""

    order: Hash
    signature: Signature


# What goes out ------------------------------------------------------------------------------------------


class ReceiptAnswer(Answer):
    """The operator's word, EIP-712 `Receipt`. Without its order under the committed root it is money."""

    session: Hash
    hash: Hash = Field(description="Of the order, or the digest of its cancel.")
    sequence: Integer
    signature: Bytes = Field(description="Of the session's receipt signer: r, s, v.")


class AcceptedAnswer(Answer):
    """An order or a cancel that was written down."""

    order: Hash
    epoch: Integer
    receipt: ReceiptAnswer


class ItemProblem(Answer):
    """Why one order of a batch was not taken."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] | None = None


class BatchItem(Answer):
    """What became of one order of a batch."""

    index: int = Field(description="Its place in the request, from 0.")
    order: Hash | None
    epoch: Integer | None
    receipt: ReceiptAnswer | None
    error: ItemProblem | None = Field(description="None if it was taken.")


class BatchAnswer(Answer):
    """What became of each order, in their order."""

    accepted: int
    refused: int
    items: list[BatchItem]


class OrderAnswer(Answer):
    """An accepted order."""

    order: Hash
    epoch: Integer
    state: Literal["taken", "replaced", "cancelled"]
    trader: Account
    zone: Integer
    record: Bytes = Field(description="As it is cleared (docs/formats.md).")
    accepted_at: Time
    receipt: ReceiptAnswer
    cancel_receipt: ReceiptAnswer | None


class ReceiptRow(Answer):
    """A receipt that an account was given."""

    epoch: Integer
    order: Hash
    what: Literal["order", "cancel"]
    accepted_at: Time
    receipt: ReceiptAnswer


class ReceiptPage(Page[ReceiptRow]):
    """Receipts by session and sequence."""
