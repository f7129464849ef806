"""Deposits, withdrawals, transfers and keys: what a wallet signs or sends, and what became of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.readmodel.stages import Stage
from api.schemas.auth import STRICT
from api.schemas.common import Account, Answer, Bytes, Hash, Integer, Time
from api.schemas.sessions import Kind as Product

RelayKind = Literal["withdrawal", "transfer", "acceptance", "key_grant", "key_revocation"]
MOST_VALID_S = 30 * 86_400


def _unsigned(bits: int) -> AfterValidator:
    def check(value: int) -> int:
        if not 0 <= value < 1 << bits:
            raise ValueError(f"from 0, below 2^{bits}")
        return value

    return AfterValidator(check)


Nano = Annotated[Integer, _unsigned(128)]
"""Nano-currency."""
Wh = Annotated[Integer, _unsigned(32)]
Uint256 = Annotated[Integer, _unsigned(256)]


class Terms(BaseModel):
    """What a message says besides who signs it."""

    model_config = STRICT

    valid_s: int = Field(
        3600, ge=60, le=MOST_VALID_S, description="Seconds from now on for which the message counts."
    )


class WithdrawalTerms(Terms):
    """Announces a withdrawal in place of an earlier one."""

    amount_nano: Nano = Field(description="At most the free cash; 0 cancels.")


class TransferTerms(Terms):
    """Hands a claim or a certificate over."""

    to: Account = Field(description="A prosumer; of a claim, one who has accepted it.")
    product: Uint256 = Field(description="The token's id.")
    amount_wh: Uint256


class AcceptanceTerms(Terms):
    """Agrees to take a claim over, with its reserve."""

    sender: Account = Field(description="The holder it may come from.")
    product: Uint256 = Field(description="The token's id.")
    amount_wh: Uint256 = Field(description="The most that may come, in place of what was accepted before.")


class KeyGrantTerms(Terms):
    """Lets a key sign orders, within a scope."""

    key: Account
    zone: Wh = Field(description="The account's own.")
    kinds: list[Product] = Field(min_length=1, description="Kinds of sessions.")
    max_wh_per_window: Wh
    max_spend_nano_per_day: Nano
    expires_at: Annotated[Integer, _unsigned(64)] = Field(
        description="The last moment at which the key counts, Unix seconds."
    )


class KeyRevocationTerms(Terms):
    """Ends a key, for good."""

    key: Account


class TypedDataAnswer(Answer):
    """A message to sign with `eth_signTypedData_v4`."""

    kind: RelayKind
    typed_data: dict[str, Any] = Field(description="EIP-712; its `message` goes to `/v1/relays` as it is.")
    digest: Hash = Field(description="What is signed in the end.")
    nonce: Integer = Field(description="The next one of the account; each counts once.")
    deadline: Time


class RelayRequest(BaseModel):
    """A signed message to send."""

    model_config = STRICT

    kind: RelayKind
    message: dict[str, str | int] = Field(
        description="The `message` of the typed data.",
        examples=[
            {"account": "0x" + "c0" * 20, "amountNano": "1000000000", "nonce": "0", "deadline": "1780318800"}
        ],
    )
    signature: Bytes = Field(description="65 bytes, of whoever the message's first field names.")


class RelayAnswer(Answer):
    """A transaction that carries what a member signed."""

    tx_hash: Hash
    kind: RelayKind | Literal["execution"]
    account: Account = Field(description="Whose message it is.")
    state: Literal["pending", "mined", "failed"]
    created_at: Time
    block_number: Integer | None = Field(description="Once it is mined, or failed there.")
    error: str | None = Field(description="Why it failed: an error of the Exchange, NotTaken or Replaced.")
    arguments: list[Any] | None = Field(description="Of that error.")


class SessionWait(Answer):
    """A session that was open when the withdrawal was announced, and has not ended."""

    epoch: Integer
    stage: Stage
    deadline: Time = Field(description="Then it is void, if it is not proved before.")


class WithdrawalAnswer(Answer):
    """What an account has announced to take out."""

    account: Account
    amount_nano: Integer = Field(description="0: nothing.")
    after_epoch: Integer = Field(description="This session and those before it end first.")
    free_nano: Integer = Field(description="Free cash; of it the amount is paid.")
    waits_for: list[SessionWait]
    ready: bool = Field(description="Whether it would be paid out now.")
    error: str | None = Field(description="Why not: the Exchange's error.")


class DepositTerms(BaseModel):
    """How much is to come in."""

    model_config = STRICT

    amount_nano: Annotated[Nano, AfterValidator(lambda value: _positive(value))] = Field(
        description="Units of the settlement token."
    )


def _positive(value: int) -> int:
    if not value:
        raise ValueError("more than 0")
    return value


class UnsignedTransaction(Answer):
    """As `eth_sendTransaction` takes it."""

    model_config = ConfigDict(validate_by_name=True)

    purpose: Literal["approve", "deposit"]
    sender: Account = Field(alias="from")
    to: Account
    data: Bytes
    value: Literal["0x0"] = "0x0"
    chain_id: Integer


class DepositAnswer(Answer):
    """What a wallet sends, one after the other, to bring cash in."""

    token: Account = Field(description="The settlement token.")
    balance_nano: Integer = Field(description="What the wallet has of it.")
    allowance_nano: Integer = Field(description="What the Exchange may take already.")
    transactions: list[UnsignedTransaction]
