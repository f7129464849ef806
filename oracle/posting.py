"""From an account matrix to the posting that oracle nodes sign (docs/formats.md, Metering and EIP-712).

The bytes and hashes are defined by `settlement.reference.posting`; `pack_parts` is its fast twin on whole
matrices, and tests hold the two equal. Signatures are secp256k1, 65 bytes `r ‖ s ‖ v`, low `s`, `v` 27 or
28.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import coincurve
import numpy as np

from oracle.aggregate import AccountDay
from oracle.day import Flags
from oracle.errors import BadNodeSignature, OutOfRange, TooFewSigners, UnknownSigner, WrongShape
from settlement.reference import eip712
from settlement.reference.errors import InvalidSignature
from settlement.reference.posting import Posting, entry_bytes, flag_bytes, part_hash, struct_hash
from settlement.units import floor_div

WINDOWS_PER_PART = 2_400
"""Default size of a part, windows of its accounts in all rounds: 50 homes of 48 half-hours in one. Where
nothing of what was sold as produced is delivered, certifying a claim takes up to 3,760 gas, and one on
another quality in the same window 2,530 more; a transaction may take 2^24 (EIP-7825). So two of every account
and window fit.
"""


@dataclass(frozen=True)
class PostedDay:
    """A posting and the calldata behind its part hashes."""

    posting: Posting
    parts: tuple[bytes, ...]

    def digest(self, separator: bytes) -> bytes:
        """What each node signs, under the Exchange's domain separator (32 bytes)."""
        return posting_digest(self.posting, separator)

    def is_whole(self) -> bool:
        """Whether the parts are what the posting names: their hashes, and the count of their entries."""
        size = entry_bytes(self.posting.windows)
        hashes = tuple(part_hash(part) for part in self.parts)
        return hashes == self.posting.parts and sum(map(len, self.parts)) == size * self.posting.accounts


def build(
    accounts: AccountDay,
    *,
    zone: int,
    sequence: int,
    commitments: bytes,
    surplus: Sequence[int],
    deficit: Sequence[int],
    rounds: int = 1,
    accounts_per_part: int | None = None,
) -> PostedDay:
    """The posting of one zone and day, entries in ascending address order, in parts of at most
    `accounts_per_part`, or of as many as `accounts_of_a_part` says for the day's `rounds`.

    `surplus` and `deficit` are prices for each window, micro/kWh, surplus never above deficit. WrongShape or
    OutOfRange.
    """
    prices = _prices("surplus", surplus, accounts), _prices("deficit", deficit, accounts)
    for window, (low, high) in enumerate(zip(*prices, strict=True)):
        if low > high:
            raise OutOfRange(low, f"the surplus price of window {window} is above the deficit price")
    if not 0 <= sequence < 1 << 32 or not 0 <= zone < 1 << 32 or len(commitments) != 32:
        raise OutOfRange((zone, sequence, commitments), "zone, sequence or commitments do not fit")
    if accounts_per_part is None:
        accounts_per_part = accounts_of_a_part(accounts.day.windows, rounds)
    parts = pack_parts(accounts, accounts_per_part)
    posting = Posting(
        zone=zone,
        first_window=accounts.day.first_window,
        windows=accounts.day.windows,
        sequence=sequence,
        accounts=len(accounts.accounts),
        commitments=commitments,
        surplus=prices[0],
        deficit=prices[1],
        parts=tuple(part_hash(part) for part in parts),
    )
    return PostedDay(posting, parts)


def accounts_of_a_part(windows: int, rounds: int) -> int:
    """As many as can be certified in a transaction, whatever they bought and lack in each round.
    OutOfRange.
    """
    if windows <= 0 or rounds < 0:
        raise OutOfRange((windows, rounds), "a day has windows, and no fewer than no rounds")
    return max(1, floor_div(WINDOWS_PER_PART, windows * max(1, rounds)))


def _prices(name: str, prices: Sequence[int], accounts: AccountDay) -> tuple[int, ...]:
    values = tuple(int(price) for price in prices)
    if len(values) != accounts.day.windows:
        raise WrongShape(name, f"{len(values)} prices for {accounts.day.windows} windows")
    if any(not -(1 << 31) <= price < 1 << 31 for price in values):
        raise OutOfRange(name, "a price is an int32, micro/kWh")
    return values


def pack_parts(accounts: AccountDay, accounts_per_part: int) -> tuple[bytes, ...]:
    """The packed entries, cut every `accounts_per_part` accounts; no part for no accounts."""
    if accounts_per_part <= 0:
        raise OutOfRange(accounts_per_part, "a part has at least one account")
    table = _entries(accounts)
    return tuple(
        table[start : start + accounts_per_part].tobytes()
        for start in range(0, len(table), accounts_per_part)
    )


def _entries(accounts: AccountDay) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """(A, entry bytes) uint8: account, flags, metered as big-endian int32."""
    count, windows = accounts.metered.shape
    start = 20 + flag_bytes(windows)
    table = np.zeros((count, entry_bytes(windows)), np.uint8)
    table[:, :20] = np.frombuffer(b"".join(accounts.accounts), np.uint8).reshape(count, 20)
    table[:, 20:start] = pack_flags(accounts.flags)
    table[:, start:] = accounts.metered.astype(">i4").view(np.uint8).reshape(count, 4 * windows)
    return table


def pack_flags(flags: Flags) -> Flags:
    """(A, W) flags to (A, ceil(W / 4)) bytes, 2 bits a window, the first in the top bits of the first
    byte.
    """
    count, windows = flags.shape
    padded = np.zeros((count, 4 * flag_bytes(windows)), np.uint8)
    padded[:, :windows] = flags
    quads = padded.reshape(count, flag_bytes(windows), 4)
    shifts = np.array([6, 4, 2, 0], np.uint8)
    packed: Flags = np.bitwise_or.reduce(quads << shifts, axis=2)
    return packed


def posting_digest(posting: Posting, separator: bytes) -> bytes:
    """EIP-712 digest of the posting under a domain separator, 32 bytes."""
    return eip712.digest(separator, struct_hash(posting))


def node_address(private_key: bytes) -> bytes:
    """The 20-byte address of a node's secp256k1 key (32 bytes)."""
    return eip712.keccak(coincurve.PrivateKey(private_key).public_key.format(compressed=False)[1:])[12:]


def sign_posting(digest: bytes, private_key: bytes) -> bytes:
    """`r ‖ s ‖ v` over the 32-byte digest, the nonce after RFC 6979."""
    if len(digest) != 32:
        raise OutOfRange(digest, "a digest is 32 bytes")
    signature = coincurve.PrivateKey(private_key).sign_recoverable(digest, hasher=None)
    return bytes(signature[:64]) + bytes((27 + signature[64],))


def signer_of(digest: bytes, signature: bytes) -> bytes:
    """The 20-byte address that signed; BadNodeSignature if malformed."""
    try:
        return eip712.recover(digest, signature)
    except InvalidSignature as cause:
        raise BadNodeSignature(signature[:65]) from cause


def collect(
    digest: bytes, signatures: Iterable[bytes], nodes: Collection[bytes], quorum: int
) -> tuple[bytes, ...]:
    """One signature of each signer, ascending by signer address, as the contract reads them.

    A signer counts once however often it signs (of several, the smallest bytes). UnknownSigner for anybody
    not in `nodes`, BadNodeSignature for what recovers to nobody, TooFewSigners below `quorum`, OutOfRange if
    the quorum is not from 1 to the number of nodes.
    """
    if not 0 < quorum <= len(set(nodes)):
        raise OutOfRange(quorum, f"a quorum of {len(set(nodes))} nodes")
    by_signer: dict[bytes, bytes] = {}
    for signature in sorted(signatures, reverse=True):
        signer = signer_of(digest, signature)
        if signer not in nodes:
            raise UnknownSigner(signer)
        by_signer[signer] = signature
    if len(by_signer) < quorum:
        raise TooFewSigners(len(by_signer), f"{quorum} are needed")
    return tuple(signature for _, signature in sorted(by_signer.items()))
