"""The metering posting: what the oracles sign for one zone and day (docs/formats.md, Metering)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from settlement.reference.eip712 import hash_array, keccak
from settlement.reference.errors import MalformedPosting
from settlement.reference.words import check_address, check_hash, check_int, check_uint, signed, twos, word

TYPE = (
    b"Posting(uint32 zone,uint32 firstWindow,uint16 windows,uint32 sequence,uint32 accounts,"
    b"bytes32 commitments,int32[] surplusMicroPerKWh,int32[] deficitMicroPerKWh,bytes32[] parts)"
)
TYPE_HASH = keccak(TYPE)

ACTUAL, ESTIMATED, DEFAULT = 0, 1, 2
"""Flags of a reading; an account's window has the worse of its registers'."""

METERED_BOUND_WH = 1 << 30
"""Metered energy of an account in a window lies strictly between minus this and this."""


@dataclass(frozen=True)
class Posting:
    """The metered day of one zone."""

    zone: int
    first_window: int
    windows: int
    sequence: int
    """Grows with each posting of the same zone and day."""
    accounts: int
    """Entries over all parts."""
    commitments: bytes
    """Merkle root over the salted readings."""
    surplus: tuple[int, ...]
    """Price of a positive imbalance in each window, micro/kWh."""
    deficit: tuple[int, ...]
    """Price of a negative imbalance in each window, micro/kWh; never below the surplus price."""
    parts: tuple[bytes, ...]
    """Hash of each part's packed entries."""


@dataclass(frozen=True)
class Entry:
    """One account's metered day."""

    account: bytes
    flags: tuple[int, ...]
    metered: tuple[int, ...]
    """Export less import in each window, Wh."""


def struct_hash(posting: Posting) -> bytes:
    """EIP-712 hash of the posting, signed under the Exchange's domain. ValueOutOfRange if a type does not
    fit.
    """
    for price in posting.surplus + posting.deficit:
        check_int("price", price, 32)
    return keccak(
        TYPE_HASH
        + word(check_uint("zone", posting.zone, 32))
        + word(check_uint("firstWindow", posting.first_window, 32))
        + word(check_uint("windows", posting.windows, 16))
        + word(check_uint("sequence", posting.sequence, 32))
        + word(check_uint("accounts", posting.accounts, 32))
        + check_hash("commitments", posting.commitments)
        + hash_array(posting.surplus)
        + hash_array(posting.deficit)
        + keccak(b"".join(check_hash("part", part) for part in posting.parts))
    )


DEFAULT_SEQUENCE = (1 << 32) - 1
"""Of the posting that anyone may make for a zone that the oracles left out: none is higher."""


def default_posting(zone: int, first_window: int, windows: int, accounts: int) -> Posting:
    """The only posting of that kind: no readings, no parts, all prices zero."""
    free = (0,) * windows
    nothing = bytes(32)
    return Posting(zone, first_window, windows, DEFAULT_SEQUENCE, accounts, nothing, free, free, ())


def is_default(posting: Posting) -> bool:
    """Oracles' postings have parts."""
    return not posting.parts


def price_hash(surplus: Sequence[int], deficit: Sequence[int]) -> bytes:
    """What a day keeps of its imbalance prices for later runs."""
    return hash_array([*surplus, *deficit])


def consumed(posting: Posting, parts: int) -> bytes:
    """What a later posting may not change once `parts` of this one are settled: prices and those parts."""
    chain = price_hash(posting.surplus, posting.deficit)
    for part in posting.parts[:parts]:
        chain = keccak(chain + part)
    return chain


def flag_bytes(windows: int) -> int:
    """Bytes that the flags of one entry take: 2 bits a window, rounded up."""
    return (windows + 3) >> 2


def entry_bytes(windows: int) -> int:
    """Length of one packed entry."""
    return 20 + flag_bytes(windows) + 4 * windows


def pack_entry(entry: Entry) -> bytes:
    """The entry's bytes; MalformedPosting where a flag or quantity is none."""
    _check_entry(entry)
    flags = 0
    for flag in entry.flags:
        flags = flags << 2 | flag
    length = flag_bytes(len(entry.flags))
    flags <<= 8 * length - 2 * len(entry.flags)
    metered = b"".join(twos("metered", wh, 32).to_bytes(4, "big") for wh in entry.metered)
    return entry.account + flags.to_bytes(length, "big") + metered


def _check_entry(entry: Entry) -> None:
    check_address("account", entry.account)
    if len(entry.flags) != len(entry.metered):
        raise MalformedPosting("flags and metered differ in length")
    if any(flag not in (ACTUAL, ESTIMATED, DEFAULT) for flag in entry.flags):
        raise MalformedPosting("flag")
    if any(not -METERED_BOUND_WH < wh < METERED_BOUND_WH for wh in entry.metered):
        raise MalformedPosting("metered out of range")


def unpack_entry(data: bytes, windows: int) -> Entry:
    """The entry that packs to exactly `data`; MalformedPosting if none does."""
    if len(data) != entry_bytes(windows):
        raise MalformedPosting("length")
    start = 20 + flag_bytes(windows)
    flags = int.from_bytes(data[20:start], "big")
    unused = 8 * flag_bytes(windows) - 2 * windows
    if flags % (1 << unused):
        raise MalformedPosting("unused flag bits")
    values = [int.from_bytes(data[i : i + 4], "big") for i in range(start, len(data), 4)]
    entry = Entry(
        account=bytes(data[:20]),
        flags=tuple(flags >> (unused + 2 * (windows - 1 - i)) & 3 for i in range(windows)),
        metered=tuple(signed(value, 32) for value in values),
    )
    _check_entry(entry)
    return entry


def _check_ascending(entries: Sequence[Entry]) -> None:
    if any(after.account <= before.account for before, after in pairwise(entries)):
        raise MalformedPosting("accounts do not ascend")


def pack_part(entries: Sequence[Entry]) -> bytes:
    """The entries one after another. MalformedPosting unless their addresses ascend strictly."""
    _check_ascending(entries)
    return b"".join(pack_entry(entry) for entry in entries)


def unpack_part(data: bytes, windows: int) -> tuple[Entry, ...]:
    """The entries of one part; MalformedPosting unless they are whole and their addresses ascend."""
    size = entry_bytes(windows)
    if len(data) % size:
        raise MalformedPosting("length")
    entries = tuple(unpack_entry(data[i : i + size], windows) for i in range(0, len(data), size))
    _check_ascending(entries)
    return entries


def part_hash(part: bytes) -> bytes:
    """What `parts` of the posting holds for these packed entries."""
    return keccak(part)
