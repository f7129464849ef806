"""A session's parameters and the grid they name: fixed before anyone signs (docs/formats.md, Session and
Grid).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

from settlement.reference import quality
from settlement.reference.eip712 import keccak
from settlement.reference.errors import BadGrid, BadSession, SessionTooLarge, UnknownQuality
from settlement.reference.merkle import MOST_LEAVES
from settlement.reference.product_id import ENERGY, FLEXIBILITY_DOWN
from settlement.reference.words import check_address, check_int, check_uint, word, words
from settlement.units import POTENTIAL_LIMIT, furthest_potential

MOST_WINDOWS = 128
MOST_ROUNDS = 255
MOST_CLEARING_S = 86_400
"""From a session's gate to the deadline of its proof: cash stands still that long."""

MOST_CALL_BYTES = 127 << 10
"""Networks carry transactions of 2^17 bytes, of which a kibibyte is left to the envelope."""
PART_BYTES = 44 << 10
"""What `settle` and `certify` bring of accounts: rows, addresses and leaves of a hundred of 48 windows."""
RUN_HEADS_BYTES = 3 << 10
"""Of their other arguments: heads, lengths, and the hashes of 64 parts."""

MOST_ZONES = 4096
MOST_PAIRS = 32
"""Substitutions of a grid."""
CHARGE_LIMIT = 1 << 29
"""A line's charge lies strictly below, micro/kWh."""

NO_PARENT = 2**32 - 1
UNLIMITED_WH = 2**32 - 1

_ADDRESS = 160

_TYPES = {
    "kind": 8,
    "round": 8,
    "windows": 16,
    "grid_version": 32,
    "day": 32,
    "first_window": 32,
    "gate": 64,
    "commit_by": 64,
    "prove_by": 64,
    "floor": -32,
    "cap": -32,
    "buy_reserve": 32,
    "sell_reserve": 32,
    "imbalance_min": -32,
    "imbalance_max": -32,
    "max_orders": 32,
    "max_submitted": 32,
    "bond_nano": 64,
    "claim_by": 64,
    "receipt_signer": _ADDRESS,
    "certificate_run": 8,
}
"""Bits of each field in the order of the struct; negative for a signed one, `_ADDRESS` for an address."""


@dataclass(frozen=True)
class SessionParams:
    """Everything a trader relies on: the session's id is the hash of all of it."""

    kind: int
    round: int
    """The session's place among those of its day and kind, from 0."""
    windows: int
    grid_version: int
    day: int
    """First window of the delivery day."""
    first_window: int
    gate: int
    """Unix seconds from which no order is accepted."""
    commit_by: int
    prove_by: int
    floor: int
    """Lowest limit, micro/kWh."""
    cap: int
    """Highest limit, micro/kWh."""
    buy_reserve: int
    """Kept for each kWh bought until the first run, micro/kWh."""
    sell_reserve: int
    """Kept for each kWh sold until the first run, micro/kWh."""
    imbalance_min: int
    """Lowest price of an imbalance, micro/kWh."""
    imbalance_max: int
    """Highest price of an imbalance, micro/kWh."""
    max_orders: int
    """Receipts have sequences below it."""
    max_submitted: int
    """How many orders may be submitted on chain besides."""
    bond_nano: int
    """Paid for each order omitted, or committed in vain."""
    claim_by: int
    """The last moment to claim that."""
    receipt_signer: bytes
    """Whose receipts count."""
    certificate_run: int
    """The settlement run that mints certificates; 0 is the first, so far the only one."""

    @property
    def delivery_reserve(self) -> int:
        """Kept for each kWh of a sale that is paid on delivery, micro/kWh: the sale may be at any price down
        to the floor.
        """
        return self.sell_reserve + max(0, -self.floor)

    @property
    def bonded_claims(self) -> int:
        """How many claims the bond pays in full."""
        return self.max_orders + self.max_submitted


def session_id(params: SessionParams) -> bytes:
    """The hash a schedule names its session by. ValueOutOfRange if a field does not fit its type."""
    values = []
    for item in fields(params):
        value, bits = getattr(params, item.name), _TYPES[item.name]
        if bits == _ADDRESS:
            value = int.from_bytes(check_address(item.name, value), "big")
        values.append(check_uint(item.name, value, bits) if bits > 0 else check_int(item.name, value, -bits))
    return keccak(words(values))


def check(params: SessionParams) -> None:
    """BadSession, naming the field, unless the parameters make sense by themselves."""
    rules = {
        "kind": params.kind <= FLEXIBILITY_DOWN,
        "round": params.round < MOST_ROUNDS,
        "windows": 1 <= params.windows <= MOST_WINDOWS,
        "first_window": params.first_window >= params.day and params.first_window + params.windows <= 2**32,
        "commit_by": params.gate < params.commit_by,
        "prove_by": params.commit_by < params.prove_by <= params.gate + MOST_CLEARING_S,
        "floor": -POTENTIAL_LIMIT <= params.floor <= params.cap <= POTENTIAL_LIMIT,
        "imbalance_max": -POTENTIAL_LIMIT <= params.imbalance_min <= params.imbalance_max <= POTENTIAL_LIMIT,
        "buy_reserve": params.kind == ENERGY or params.buy_reserve == params.sell_reserve == 0,
        "max_orders": 1 <= params.max_orders <= MOST_LEAVES,
        "max_submitted": 0 <= params.max_submitted <= MOST_LEAVES - params.max_orders,
        "receipt_signer": params.bond_nano == 0 or any(params.receipt_signer),
        "certificate_run": params.certificate_run == 0,
    }
    for name, holds in rules.items():
        if not holds:
            raise BadSession(name)


def check_limits(params: SessionParams, grid: "Grid") -> None:
    """BadSession unless every book that floor and cap admit has potentials over this grid."""
    size = len(grid.qualities), grid.zones, grid.deepest_charge
    if furthest_potential(params.floor, params.cap, *size) > POTENTIAL_LIMIT:
        raise BadSession("cap")


def check_size(params: SessionParams, grid: "Grid", day_windows: int) -> None:
    """SessionTooLarge unless every call about the session, and about its day's run, fits a transaction with
    the least that it can bring beside its words of qualities and windows.
    """
    lengths = {
        "joinChildren": closing_bytes(grid, params.windows),
        "certify": run_bytes(params.round + 1, len(grid.qualities), day_windows),
    }
    for call, length in lengths.items():
        if length > MOST_CALL_BYTES:
            raise SessionTooLarge(call, length, MOST_CALL_BYTES)


def closing_bytes(grid: "Grid", windows: int) -> int:
    """Most bytes of a call that clears one order, closes a zone alone or joins one child, the root's last
    included: potentials, marginals and cells, or two closed zones and the header, and the substitutions.
    """
    qualities, substitutions = len(grid.qualities), len(grid.pairs())
    return 4 + 32 * (40 + 3 * qualities * windows + (substitutions + 1) * windows + 2 * qualities)


def run_bytes(rounds: int, qualities: int, windows: int) -> int:
    """Bytes of a call that settles or certifies a part: its accounts; of each round, quality and window of
    the day two words of carry and one of the prices; of each window two imbalance prices.
    """
    words = 3 * rounds * qualities * windows + 2 * windows + 5 * rounds
    return PART_BYTES + RUN_HEADS_BYTES + 32 * words


# The grid -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grid:
    """Qualities and zones that sessions clear over."""

    qualities: tuple[int, ...]
    """Codes, ascending, the first 0; their positions are the dense indices."""
    substitutions: tuple[int, ...]
    """Flat pairs of dense indices: a unit of the first may serve demand for the second."""
    parents: tuple[int, ...]
    """Each zone's parent; `NO_PARENT` for the root, zone 0."""
    charges: tuple[int, ...]
    """Of the line to the parent, micro/kWh."""
    capacities: tuple[int, ...]
    """Of the line to the parent, Wh a window each way; `UNLIMITED_WH` for none."""

    def pairs(self) -> list[tuple[int, int]]:
        """The substitutions as (from, to)."""
        return list(zip(self.substitutions[::2], self.substitutions[1::2], strict=True))

    @property
    def zones(self) -> int:
        return len(self.parents)

    def children(self, zone: int) -> range:
        """The zones right below: numbered breadth first, they are neighbours, behind those of the zones
        before.
        """
        first = bisect_left(self.parents, zone, lo=1)
        return range(first, bisect_right(self.parents, zone, lo=first))

    @property
    def has_lines(self) -> bool:
        return self.zones > 1

    @property
    def deepest_charge(self) -> int:
        """The most that the lines from a zone up to the root charge together, micro/kWh."""
        charges = [0]
        for parent, charge in zip(self.parents[1:], self.charges[1:], strict=True):
            charges.append(charges[parent] + charge)
        return max(charges)


def single_zone(qualities: Sequence[int], substitutions: Sequence[tuple[int, int]]) -> Grid:
    """A grid without lines."""
    flat = tuple(index for pair in substitutions for index in pair)
    return Grid(tuple(qualities), flat, (NO_PARENT,), (0,), (UNLIMITED_WH,))


def grid_hash(grid: Grid) -> bytes:
    """`keccak(abi.encode(Grid))`: a dynamic struct, so an offset to it, then its arrays' offsets and
    contents.
    """
    arrays = [grid.qualities, grid.substitutions, grid.parents, grid.charges, grid.capacities]
    head, tail = b"", b""
    for array in arrays:
        head += word(32 * len(arrays) + len(tail))
        tail += word(len(array)) + words(array)
    return keccak(word(32) + head + tail)


def check_grid(grid: Grid) -> None:
    """BadGrid, with the reason, unless the grid keeps the rules of docs/formats.md."""
    _check_qualities(grid)
    _check_substitutions(grid)
    _check_zones(grid)


def _check_qualities(grid: Grid) -> None:
    ascending = all(a < b for a, b in pairwise(grid.qualities))
    if not grid.qualities or grid.qualities[0] != 0 or not ascending or grid.qualities[-1] >= quality.CODES:
        raise BadGrid("qualities")


def _check_substitutions(grid: Grid) -> None:
    count = len(grid.qualities)
    if len(grid.substitutions) > 2 * MOST_PAIRS:
        raise BadGrid("substitutions")
    if len(grid.substitutions) % 2 or any(not 0 <= index < count for index in grid.substitutions):
        raise BadGrid("substitutions")
    pairs = grid.pairs()
    if len(set(pairs)) < len(pairs) or any(giver == taker for giver, taker in pairs):
        raise BadGrid("substitutions")
    if any(not quality.serves(grid.qualities[giver], grid.qualities[taker]) for giver, taker in pairs):
        raise BadGrid("substitution does not serve")
    reaches = {0}
    for _ in grid.qualities:
        reaches |= {giver for giver, taker in pairs if taker in reaches}
    if len(reaches) < count:
        raise BadGrid("a quality does not reach the least")


def _check_zones(grid: Grid) -> None:
    """Breadth-first numbering: parents come before their children, and do not fall."""
    if not len(grid.parents) == len(grid.charges) == len(grid.capacities):
        raise BadGrid("zones")
    if not 1 <= grid.zones <= MOST_ZONES:
        raise BadGrid("zones")
    for values in (grid.parents, grid.charges, grid.capacities):
        for value in values:
            check_uint("grid", value, 32)
    below = grid.parents[1:]
    if grid.parents[0] != NO_PARENT or any(parent >= zone for zone, parent in enumerate(below, start=1)):
        raise BadGrid("parents")
    if any(after < before for before, after in pairwise(below)):
        raise BadGrid("parents")
    if any(not 1 <= charge < CHARGE_LIMIT for charge in grid.charges[1:]):
        raise BadGrid("charges")


def quality_index(grid: Grid, code: int) -> int:
    """Dense index of a quality code; UnknownQuality if the grid has none."""
    if code not in grid.qualities:
        raise UnknownQuality(code)
    return grid.qualities.index(code)
