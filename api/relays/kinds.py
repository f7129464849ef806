"""What is relayed: one table. A line names a message of the reference, its fields as the wallet shows them,
and the function of the Exchange that takes it; whoever its first field names signs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from settlement.chain.abi import exchange_interface
from settlement.reference import eip712
from settlement.reference.messages import Acceptance, KeyGrant, KeyRevocation, Transfer, Withdrawal

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_UINT = re.compile(r"0|[1-9][0-9]{0,77}", re.ASCII)

DOMAIN_TYPE = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]
Value = bytes | int
"""Of a field: an address or an unsigned integer."""


class Message(Protocol):
    """What is signed."""

    def struct_hash(self) -> bytes: ...


class BadField(Exception):
    """A field that the message does not have, lacks or cannot hold."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field, self.detail = field, detail


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of message."""

    message: Callable[..., Message]
    """Of the reference; takes the fields in their order."""
    primary_type: str
    """Its name under EIP-712."""
    fields: tuple[tuple[str, str], ...]
    """Type and name of each, as EIP-712 encodes the type; the last two are nonce and deadline."""
    function: str
    """Of the Exchange, which takes the message and a signature of whoever its first field names."""

    def types(self) -> list[dict[str, str]]:
        """For `eth_signTypedData_v4`."""
        return [{"name": name, "type": type_} for type_, name in self.fields]

    def read(self, sent: Mapping[str, Any]) -> tuple[Value, ...]:
        """The values of a message as wallets have it. BadField names the first fault."""
        names = [name for _, name in self.fields]
        for name in sent:
            if name not in names:
                raise BadField(name, f"a {self.primary_type} has {', '.join(names)}")
        return tuple(_value(type_, name, sent.get(name)) for type_, name in self.fields)

    def told(self, values: tuple[Value, ...]) -> dict[str, str]:
        """The message as wallets have it: addresses in hex, integers as decimal strings."""
        pairs = zip(self.fields, values, strict=True)
        return {name: "0x" + one.hex() if isinstance(one, bytes) else str(one) for (_, name), one in pairs}

    def typed_data(self, values: tuple[Value, ...], chain_id: int, exchange: bytes) -> dict[str, Any]:
        """EIP-712 for `eth_signTypedData_v4`, of an Exchange."""
        domain = {"name": "Trellis", "version": "1", "chainId": str(chain_id)}
        return {
            "types": {"EIP712Domain": DOMAIN_TYPE, self.primary_type: self.types()},
            "primaryType": self.primary_type,
            "domain": {**domain, "verifyingContract": "0x" + exchange.hex()},
            "message": self.told(values),
        }

    def digest(self, values: tuple[Value, ...], separator: bytes) -> bytes:
        """What is signed in the end."""
        return eip712.digest(separator, self.struct_hash(values))

    def struct_hash(self, values: tuple[Value, ...]) -> bytes:
        return self.message(*values).struct_hash()

    def calldata(self, values: tuple[Value, ...], signature: bytes) -> bytes:
        return exchange_interface().encode(self.function, values, signature)


def _kind(message: Callable[..., Message], encoded: str, function: str) -> Kind:
    """Of a type as EIP-712 encodes it."""
    name, _, members = encoded.removesuffix(")").partition("(")
    first = [member.split(" ") for member in members.split(",")]
    return Kind(message, name, tuple((type_, field) for type_, field in first), function)


KINDS: Mapping[str, Kind] = {
    "withdrawal": _kind(
        Withdrawal,
        "Withdrawal(address account,uint256 amountNano,uint256 nonce,uint256 deadline)",
        "relayWithdrawal",
    ),
    "transfer": _kind(
        Transfer,
        "Transfer(address from,address to,uint256 id,uint256 amountWh,uint256 nonce,uint256 deadline)",
        "relayTransfer",
    ),
    "acceptance": _kind(
        Acceptance,
        "Acceptance(address to,address from,uint256 id,uint256 amountWh,uint256 nonce,uint256 deadline)",
        "relayAcceptance",
    ),
    "key_grant": _kind(
        KeyGrant,
        "KeyGrant(address account,address key,uint32 zone,uint8 kinds,uint32 maxWhPerWindow,"
        "uint128 maxSpendNanoPerDay,uint64 expiry,uint256 nonce,uint256 deadline)",
        "relayKeyGrant",
    ),
    "key_revocation": _kind(
        KeyRevocation,
        "KeyRevocation(address account,address key,uint256 nonce,uint256 deadline)",
        "relayKeyRevocation",
    ),
}
"""By the name that requests use."""
EXECUTION = "execution"
"""The one relay that nobody signs: a withdrawal that is due is paid to whoever announced it."""


def _value(type_: str, name: str, sent: Any) -> Value:
    if type_ == "address":
        if not isinstance(sent, str) or not _ADDRESS.fullmatch(sent):
            raise BadField(name, "an address, 0x and 40 hex digits")
        return bytes.fromhex(sent[2:])
    bits = int(type_.removeprefix("uint"))
    if isinstance(sent, int) and not isinstance(sent, bool):
        sent = str(sent) if abs(sent) < 1 << bits else ""
    if not isinstance(sent, str) or not _UINT.fullmatch(sent) or int(sent) >> bits:
        raise BadField(name, f"a whole number from 0, below 2^{bits}, as a decimal string")
    return int(sent)
