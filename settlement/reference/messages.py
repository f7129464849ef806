"""What a member signs besides schedules, for anyone to relay (docs/formats.md, EIP-712)."""

from dataclasses import dataclass

from settlement.reference.eip712 import keccak
from settlement.reference.session_key import Scope
from settlement.reference.words import address_word, check_uint, word

WITHDRAWAL_TYPE_HASH = keccak(
    b"Withdrawal(address account,uint256 amountNano,uint256 nonce,uint256 deadline)"
)
TRANSFER_TYPE_HASH = keccak(
    b"Transfer(address from,address to,uint256 id,uint256 amountWh,uint256 nonce,uint256 deadline)"
)
ACCEPTANCE_TYPE_HASH = keccak(
    b"Acceptance(address to,address from,uint256 id,uint256 amountWh,uint256 nonce,uint256 deadline)"
)

KEY_GRANT_TYPE_HASH = keccak(
    b"KeyGrant(address account,address key,uint32 zone,uint8 kinds,uint32 maxWhPerWindow,"
    b"uint128 maxSpendNanoPerDay,uint64 expiry,uint256 nonce,uint256 deadline)"
)
KEY_REVOCATION_TYPE_HASH = keccak(
    b"KeyRevocation(address account,address key,uint256 nonce,uint256 deadline)"
)


@dataclass(frozen=True)
class Withdrawal:
    """A request to take cash out."""

    account: bytes
    amount_nano: int
    nonce: int
    deadline: int
    """Unix seconds; the message counts until then, inclusive."""

    def struct_hash(self) -> bytes:
        values = (self.amount_nano, self.nonce, self.deadline)
        return keccak(WITHDRAWAL_TYPE_HASH + address_word(self.account) + _uints(values))


@dataclass(frozen=True)
class Transfer:
    """A claim handed over by its holder."""

    sender: bytes
    to: bytes
    id: int
    amount_wh: int
    nonce: int
    deadline: int

    def struct_hash(self) -> bytes:
        values = (self.id, self.amount_wh, self.nonce, self.deadline)
        ends = address_word(self.sender) + address_word(self.to)
        return keccak(TRANSFER_TYPE_HASH + ends + _uints(values))


@dataclass(frozen=True)
class Acceptance:
    """The recipient's agreement to take the claim, and to keep its reserve."""

    to: bytes
    sender: bytes
    id: int
    amount_wh: int
    nonce: int
    deadline: int

    def struct_hash(self) -> bytes:
        values = (self.id, self.amount_wh, self.nonce, self.deadline)
        ends = address_word(self.to) + address_word(self.sender)
        return keccak(ACCEPTANCE_TYPE_HASH + ends + _uints(values))


@dataclass(frozen=True)
class KeyGrant:
    """A key that may sign orders for its account, within a scope."""

    account: bytes
    key: bytes
    zone: int
    """The account's."""
    kinds: int
    """Bit k: sessions of kind k."""
    max_wh_per_window: int
    max_spend_nano_per_day: int
    expiry: int
    """The last moment at which the key counts, Unix seconds."""
    nonce: int
    deadline: int

    @property
    def scope(self) -> Scope:
        return Scope(self.kinds, self.max_wh_per_window, self.max_spend_nano_per_day, self.expiry)

    def struct_hash(self) -> bytes:
        ends = address_word(self.account) + address_word(self.key)
        scope = (self.zone, self.kinds, self.max_wh_per_window, self.max_spend_nano_per_day, self.expiry)
        return keccak(KEY_GRANT_TYPE_HASH + ends + _uints((*scope, self.nonce, self.deadline)))


@dataclass(frozen=True)
class KeyRevocation:
    """A key that its account ends, for good."""

    account: bytes
    key: bytes
    nonce: int
    deadline: int

    def struct_hash(self) -> bytes:
        ends = address_word(self.account) + address_word(self.key)
        return keccak(KEY_REVOCATION_TYPE_HASH + ends + _uints((self.nonce, self.deadline)))


def _uints(values: tuple[int, ...]) -> bytes:
    return b"".join(word(check_uint("message", value, 256)) for value in values)
