"""What can go wrong at the edge to the chain. One tree, all of them things a user is told:

ChainError                 base; a TrellisError
├── NodeError              the node refused a request
│   └── NoAnswer           it, or none of several, answers
├── WrongChain             the node is of another chain than the deployment
├── TransactionTooLarge    more bytes than real networks take in one transaction
├── GasLimitExceeded       more gas than real networks give one transaction
├── OutOfGas               the transaction used up its gas
├── TransactionLost        no receipt in time
├── ContractRevert         the contract refused: name and arguments of its error
├── UnacceptableOrder      an order that no book may hold: its hash and the contract's error
├── SignerError            an external signer does not answer, or not with what was asked
└── WrongProgress          the chain is at another step than the data brought to it
"""

from __future__ import annotations

from typing import Any

from settlement.errors import TrellisError


class ChainError(TrellisError):
    """Something at the edge to the chain."""


class NodeError(ChainError):
    """The node refused a request: its message, code and data."""

    def __init__(self, method: str, message: str, code: int = 0, data: bytes = b"") -> None:
        super().__init__(f"the node refused {method}: {message}")
        self.method, self.code, self.data = method, code, data


class NoAnswer(NodeError):
    """Nobody answers: a request may have been taken all the same."""


class WrongChain(ChainError):
    """The node's chain is not the expected one."""

    def __init__(self, found: int, expected: int) -> None:
        super().__init__(f"the node is of chain {found}, not {expected}: give another RPC address")
        self.found, self.expected = found, expected


class TransactionTooLarge(ChainError):
    """A transaction has too many bytes."""

    def __init__(self, size: int, most: int) -> None:
        super().__init__(f"the transaction has {size} bytes, more than {most}: split it")
        self.size, self.most = size, most


class GasLimitExceeded(ChainError):
    """A transaction needs too much gas."""

    def __init__(self, gas: int, most: int) -> None:
        super().__init__(f"the transaction needs {gas} gas, more than {most}: split it")
        self.gas, self.most = gas, most


class OutOfGas(ChainError):
    """A transaction used up its gas and changed nothing."""

    def __init__(self, gas: int) -> None:
        super().__init__(f"the transaction used up its {gas} gas: give it more, or split it")
        self.gas = gas


class TransactionLost(ChainError):
    """No receipt came in time."""

    def __init__(self, tx_hash: bytes, seconds: int) -> None:
        super().__init__(f"no receipt of 0x{tx_hash.hex()} in {seconds} s: see whether the chain advances")
        self.tx_hash = tx_hash


class ContractRevert(ChainError):
    """The contract's custom error (or `Error`, `Panic`, empty if it said nothing), and its arguments."""

    def __init__(self, name: str, arguments: tuple[Any, ...] = ()) -> None:
        told = ", ".join(_told(value) for value in arguments)
        super().__init__(f"the contract refused: {name or 'without a reason'}({told})")
        self.name, self.arguments = name, arguments


class UnacceptableOrder(ChainError):
    """A book with this order could not be cleared."""

    def __init__(self, order_hash: bytes, reason: str) -> None:
        super().__init__(f"order 0x{order_hash.hex()} cannot enter a book: {reason}; leave it out")
        self.order_hash, self.reason = order_hash, reason


class BadReceipt(ChainError):
    """A receipt that nobody would have to pay for."""

    def __init__(self, hash_: bytes, reason: str) -> None:
        super().__init__(
            f"the receipt of 0x{hash_.hex()} is worth nothing: {reason}; submit on chain instead"
        )
        self.hash, self.reason = hash_, reason


class SignerError(ChainError):
    """An external signer refused, does not answer, or signed something else."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"the signer at {place} {reason}")
        self.place = place


class WrongProgress(ChainError):
    """The chain is at another step than expected."""


def _told(value: Any) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
