"""Corrections: what the oracles sign when meter data changes after the first run (docs/formats.md,
Corrections).

A correction is a run of one zone and day. It holds differences only, links to everything before it, and names
the statements it changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from settlement.reference.eip712 import hash_array, keccak
from settlement.reference.errors import BadEntry
from settlement.reference.posting import DEFAULT, flag_bytes
from settlement.reference.record import NO_ADDRESS
from settlement.reference.words import (
    check_address,
    check_hash,
    check_int,
    check_uint,
    signed,
    twos,
    word,
)

TYPE = (
    b"Correction(uint32 zone,uint32 firstWindow,uint8 run,bytes32 previous,bytes32 commitments,"
    b"int32[] surplusMicroPerKWh,int32[] deficitMicroPerKWh,uint32[] statements,bytes32[] parts)"
)
TYPE_HASH = keccak(TYPE)

MOST_RUNS = 15
"""Corrections of one zone and day."""


@dataclass(frozen=True)
class Correction:
    """A later run of a zone and day."""

    zone: int
    first_window: int
    run: int
    """From 1, without a gap."""
    previous: bytes
    """Link that it follows: of the posting, then of each correction and challenge since."""
    commitments: bytes
    """Merkle root over the salted readings as they are known now."""
    surplus: tuple[int, ...]
    """The day's prices as in its posting, micro/kWh; of a day that nobody posted the first correction's."""
    deficit: tuple[int, ...]
    statements: tuple[int, ...]
    """Parts of the first run that change, ascending."""
    parts: tuple[bytes, ...]
    """Hash of the packed differences for each of those statements."""


@dataclass(frozen=True)
class Difference:
    """What changed about one account's metered day."""

    account: bytes
    flags: tuple[int, ...]
    """Of what is known now, by window."""
    wh: tuple[int, ...]
    """New less old metered energy by window, Wh; not all zero."""


def struct_hash(correction: Correction) -> bytes:
    """EIP-712 hash, signed under the Exchange's domain. ValueOutOfRange if a type does not fit."""
    for price in correction.surplus + correction.deficit:
        check_int("price", price, 32)
    return keccak(
        TYPE_HASH
        + word(check_uint("zone", correction.zone, 32))
        + word(check_uint("firstWindow", correction.first_window, 32))
        + word(check_uint("run", correction.run, 8))
        + check_hash("previous", correction.previous)
        + check_hash("commitments", correction.commitments)
        + hash_array(correction.surplus)
        + hash_array(correction.deficit)
        + hash_array(check_uint("statement", part, 32) for part in correction.statements)
        + keccak(b"".join(check_hash("part", part) for part in correction.parts))
    )


def follow(link: bytes, change: bytes) -> bytes:
    """The link after a correction's struct hash or a challenge's id."""
    return keccak(check_hash("link", link) + check_hash("change", change))


def difference_bytes(windows: int) -> int:
    """Length of one packed difference."""
    return 20 + flag_bytes(windows) + 4 * windows


def pack_difference(difference: Difference) -> bytes:
    """`account ‖ flags ‖ windows x int32`, flags as in a posting's entry."""
    flags, length = 0, flag_bytes(len(difference.flags))
    for flag in difference.flags:
        flags = flags << 2 | check_uint("flag", flag, 2)
    flags <<= 8 * length - 2 * len(difference.flags)
    values = b"".join(twos("difference", wh, 32).to_bytes(4, "big") for wh in difference.wh)
    return check_address("account", difference.account) + flags.to_bytes(length, "big") + values


def pack_differences(differences: Sequence[Difference]) -> bytes:
    """One after another."""
    return b"".join(pack_difference(one) for one in differences)


def unpack_differences(data: bytes, windows: int) -> tuple[Difference, ...]:
    """The differences of one part. BadEntry, naming the account, if there is none or one is cut short, if
    accounts do not ascend, a flag is unknown, or nothing differs.
    """
    size, found, last = difference_bytes(windows), [], b""
    if not data or len(data) % size:
        raise BadEntry(NO_ADDRESS)
    for at in range(0, len(data), size):
        one = _unpack(data[at : at + size], windows)
        if one.account <= last or not any(one.wh) or max(one.flags) > DEFAULT:
            raise BadEntry(one.account)
        last = one.account
        found.append(one)
    return tuple(found)


def _unpack(data: bytes, windows: int) -> Difference:
    start = 20 + flag_bytes(windows)
    bits, unused = int.from_bytes(data[20:start], "big"), 8 * flag_bytes(windows) - 2 * windows
    if bits % (1 << unused):
        raise BadEntry(data[:20])
    flags = tuple(bits >> (unused + 2 * (windows - 1 - at)) & 3 for at in range(windows))
    values = [int.from_bytes(data[at : at + 4], "big") for at in range(start, len(data), 4)]
    return Difference(bytes(data[:20]), flags, tuple(signed(value, 32) for value in values))
