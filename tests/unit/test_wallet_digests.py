"""What a wallet signs is what the reference hashes: EIP-712 digests by eth_account, which knows nothing of
ours.
"""

from typing import Any

import pytest
from eth_account.messages import encode_typed_data
from eth_hash.auto import keccak
from test_reference_vectors import (
    CHAIN_ID,
    CONTRACT,
    CORRECTION,
    MESSAGES,
    POSTING,
    READING,
    SALT,
    SCHEDULES,
    SEPARATOR,
    digest,
)

from settlement.reference import challenge, correction, posting, reading
from settlement.reference.orders import order_hash
from settlement.reference.schedule import Schedule

DOMAIN = {
    "name": "Trellis",
    "version": "1",
    "chainId": CHAIN_ID,
    "verifyingContract": "0x" + CONTRACT.hex(),
}
TYPES = {
    "Schedule": (
        "address trader,bytes32 session,uint32 zone,uint8 side,uint8 kind,uint8 quality,uint32 firstWindow,"
        "uint64 nonce,bytes32 replaces,address beneficiary,uint32[] quantityWh,int32[] limitMicroPerKWh"
    ),
    "Posting": (
        "uint32 zone,uint32 firstWindow,uint16 windows,uint32 sequence,uint32 accounts,bytes32 commitments,"
        "int32[] surplusMicroPerKWh,int32[] deficitMicroPerKWh,bytes32[] parts"
    ),
    "Correction": (
        "uint32 zone,uint32 firstWindow,uint8 run,bytes32 previous,bytes32 commitments,"
        "int32[] surplusMicroPerKWh,int32[] deficitMicroPerKWh,uint32[] statements,bytes32[] parts"
    ),
    "ReadingChallenge": "uint32 zone,uint32 day,uint8 run,bytes32 commitment,bytes32 read",
    "Receipt": "bytes32 session,bytes32 hash,uint32 sequence",
    "Cancel": "bytes32 orderHash,bytes32 session",
    "Withdrawal": "address account,uint256 amountNano,uint256 nonce,uint256 deadline",
    "KeyGrant": (
        "address account,address key,uint32 zone,uint8 kinds,uint32 maxWhPerWindow,"
        "uint128 maxSpendNanoPerDay,uint64 expiry,uint256 nonce,uint256 deadline"
    ),
    "KeyRevocation": "address account,address key,uint256 nonce,uint256 deadline",
    "Transfer": "address from,address to,uint256 id,uint256 amountWh,uint256 nonce,uint256 deadline",
    "Acceptance": "address to,address from,uint256 id,uint256 amountWh,uint256 nonce,uint256 deadline",
}


def wallet_digest(name: str, values: list[Any]) -> bytes:
    """What a wallet would sign, by eth_account."""
    fields = [dict(zip(("type", "name"), field.split(), strict=True)) for field in TYPES[name].split(",")]
    message = {field["name"]: value for field, value in zip(fields, values, strict=True)}
    message = {
        key: "0x" + v.hex() if isinstance(v, bytes) and len(v) == 20 else v for key, v in message.items()
    }
    signable = encode_typed_data(DOMAIN, {name: fields}, message)
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


@pytest.mark.parametrize("order", SCHEDULES.values(), ids=list(SCHEDULES))
def test_a_wallet_hashes_a_schedule_alike(order: Schedule) -> None:
    o = order
    head = [o.trader, o.session, o.zone, o.side, o.kind, o.quality, o.first_window, o.nonce, o.replaces]
    values = [*head, o.beneficiary, list(o.quantity_wh), list(o.limit_micro_per_kwh)]
    assert wallet_digest("Schedule", values) == order_hash(SEPARATOR, order)


def test_a_wallet_hashes_a_posting_alike() -> None:
    values = [list(v) if isinstance(v, tuple) else v for v in vars(POSTING).values()]
    assert wallet_digest("Posting", values) == digest(posting.struct_hash(POSTING))


def test_a_wallet_hashes_a_correction_alike() -> None:
    values = [list(v) if isinstance(v, tuple) else v for v in vars(CORRECTION).values()]
    assert wallet_digest("Correction", values) == digest(correction.struct_hash(CORRECTION))


def test_a_wallet_hashes_a_challenge_alike() -> None:
    message = reading.encode(READING)
    values = [0, 960_000, 3, SALT, keccak(message)]
    assert wallet_digest("ReadingChallenge", values) == digest(
        challenge.struct_hash(0, 960_000, 3, SALT, message)
    )


@pytest.mark.parametrize("name", MESSAGES)
def test_a_wallet_hashes_a_message_alike(name: str) -> None:
    message = MESSAGES[name]
    assert wallet_digest(name, list(vars(message).values())) == digest(message.struct_hash())
