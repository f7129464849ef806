"""A transaction before and after it is signed: EIP-155, or EIP-1559 without access list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import rlp

from settlement.chain.rpc import to_hex
from settlement.reference.eip712 import keccak


@dataclass(frozen=True, slots=True)
class Transaction:
    """What a sender signs."""

    chain_id: int
    nonce: int
    gas: int
    gas_price: int
    """Wei; with `eip1559` the fee cap, and there is no tip."""
    to: bytes | None
    """None creates a contract."""
    value_wei: int
    data: bytes
    eip1559: bool = False

    @property
    def digest(self) -> bytes:
        """The 32 bytes that are signed."""
        if self.eip1559:
            return keccak(b"\x02" + bytes(rlp.encode(self._typed())))
        return keccak(bytes(rlp.encode([*self._legacy(), self.chain_id, 0, 0])))

    def signed(self, signature: bytes) -> bytes:
        """The bytes to send, with `r ‖ s ‖ v` of the digest, v 27 or 28."""
        r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:64]))
        parity = signature[64] - 27
        if self.eip1559:
            return b"\x02" + bytes(rlp.encode([*self._typed(), parity, r, s]))
        return bytes(rlp.encode([*self._legacy(), 2 * self.chain_id + 35 + parity, r, s]))

    def as_json(self, sender: bytes) -> dict[str, str]:
        """As `eth_signTransaction` takes it."""
        fields = {
            "from": to_hex(sender),
            "nonce": hex(self.nonce),
            "gas": hex(self.gas),
            "value": hex(self.value_wei),
            "data": to_hex(self.data),
            "chainId": hex(self.chain_id),
        }
        if self.to is not None:
            fields["to"] = to_hex(self.to)
        if self.eip1559:
            return fields | {"maxFeePerGas": hex(self.gas_price), "maxPriorityFeePerGas": "0x0"}
        return fields | {"gasPrice": hex(self.gas_price)}

    def _legacy(self) -> list[Any]:
        return [self.nonce, self.gas_price, self.gas, self.to or b"", self.value_wei, self.data]

    def _typed(self) -> list[Any]:
        fees = (0, self.gas_price, self.gas)
        return [self.chain_id, self.nonce, *fees, self.to or b"", self.value_wei, self.data, []]
