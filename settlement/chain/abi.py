"""The contracts' interface: every error and event of the Exchange, its modules and libraries in one table.

Small calls are encoded by eth_abi from the ABI. The large ones (`clear`, `settle`, ...) are encoded here by
joining words: eth_abi would take longer than the chain. Addresses are 20 bytes throughout.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.codec import ABICodec
from eth_abi.decoding import AddressDecoder
from eth_abi.encoding import AddressEncoder
from eth_abi.exceptions import DecodingError
from eth_abi.registry import BaseEquals, registry

from settlement.chain.compile import Json, compile_contracts
from settlement.chain.errors import ContractRevert
from settlement.errors import InputError
from settlement.reference import clearing, closing, potential, settlement
from settlement.reference.clearing import Carry, Header, ZonePosting
from settlement.reference.closing import ClosedZone, Commitment
from settlement.reference.correction import Correction
from settlement.reference.eip712 import keccak
from settlement.reference.merkle import DEPTH
from settlement.reference.posting import Posting
from settlement.reference.prices import RoundPrices
from settlement.reference.settlement import RunCarry
from settlement.reference.statement import Statement
from settlement.reference.words import address_word, word, words


class _AddressBytes(AddressDecoder):
    decoder_fn = staticmethod(bytes)  # type: ignore[assignment]


def _codec() -> ABICodec:
    own = registry.copy()  # type: ignore[no-untyped-call]
    own.unregister("address")
    only = BaseEquals("address", with_sub=False)  # type: ignore[no-untyped-call]
    own.register(only, AddressEncoder, _AddressBytes, label="address")
    return ABICodec(own)


CODEC = _codec()

_STANDARD_ERRORS: list[Json] = [
    {"type": "error", "name": "Error", "inputs": [{"name": "message", "type": "string"}]},
    {"type": "error", "name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
]


@dataclass(frozen=True)
class Parameter:
    """One input of an error or event."""

    name: str
    type: str
    indexed: bool = False


@dataclass(frozen=True)
class Entry:
    """A function, error or event."""

    name: str
    signature: str
    inputs: tuple[Parameter, ...]
    outputs: tuple[str, ...] = ()

    @property
    def topic(self) -> bytes:
        return keccak(self.signature.encode())

    @property
    def selector(self) -> bytes:
        return self.topic[:4]

    @property
    def types(self) -> list[str]:
        return [parameter.type for parameter in self.inputs]


def _type(field: Json) -> str:
    """`tuple[]` spelled out by its components."""
    kind = str(field["type"])
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(map(_type, field["components"])) + ")" + kind.removeprefix("tuple")


def _entry(item: Json) -> Entry:
    inputs = tuple(Parameter(i["name"], _type(i), bool(i.get("indexed"))) for i in item["inputs"])
    signature = item["name"] + "(" + ",".join(one.type for one in inputs) + ")"
    return Entry(item["name"], signature, inputs, tuple(map(_type, item.get("outputs", ()))))


class Interface:
    """What a contract answers to, may emit and may refuse with."""

    def __init__(self, items: Iterable[Json]) -> None:
        by_type: dict[str, list[Entry]] = {"function": [], "error": [], "event": []}
        for item in items:
            if item["type"] in by_type:
                by_type[item["type"]].append(_entry(item))
        self.functions = {entry.name: entry for entry in by_type["function"]}
        self.errors = {entry.selector: entry for entry in by_type["error"]}
        self.events = {entry.topic: entry for entry in by_type["event"]}

    def function(self, name: str) -> Entry:
        if name not in self.functions:
            raise InputError(f"the contract has no function {name}")
        return self.functions[name]

    def selector(self, name: str) -> bytes:
        return self.function(name).selector

    def encode(self, name: str, *arguments: Any) -> bytes:
        """Calldata of a small call."""
        entry = self.function(name)
        return entry.selector + CODEC.encode(entry.types, arguments)

    def decode(self, name: str, data: bytes) -> tuple[Any, ...]:
        """What a call returned."""
        return CODEC.decode(self.function(name).outputs, data)

    def arguments(self, name: str, data: bytes) -> tuple[Any, ...]:
        """What a call was made with."""
        return CODEC.decode(self.function(name).types, data[4:])

    def decode_error(self, data: bytes) -> ContractRevert:
        """The error that a call reverted with; named by its selector if it is none of these contracts'."""
        if not data:
            return ContractRevert("")
        entry = self.errors.get(data[:4])
        if entry is None:
            return ContractRevert("0x" + data[:4].hex(), (data[4:],))
        try:
            return ContractRevert(entry.name, CODEC.decode(entry.types, data[4:]))
        except DecodingError:
            return ContractRevert(entry.name, (data[4:],))


@cache
def exchange_interface() -> Interface:
    """IExchange, the getters beside it, and all errors and events of any contract of ours."""
    artifacts = compile_contracts()
    items = [item for artifact in artifacts.values() for item in artifact.abi if item["type"] != "function"]
    functions = [
        item
        for name in (
            "ChallengeModule",
            "DeliveryModule",
            "OmissionModule",
            "SettlementModule",
            "ProofModule",
            "ClearingModule",
            "Exchange",
            "IExchange",
        )
        for item in artifacts[name].abi
        if item["type"] == "function"
    ]
    return Interface([*_STANDARD_ERRORS, *items, *functions])


@cache
def interface(contract: str) -> Interface:
    """The interface of any other contract, by name."""
    return Interface([*_STANDARD_ERRORS, *compile_contracts()[contract].abi])


def decode_error(data: bytes) -> ContractRevert:
    """The typed error of a revert's data."""
    return exchange_interface().decode_error(data)


# The large calls ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tail:
    """A dynamic member of a tuple: its head is an offset to it."""

    data: bytes


def pack(*members: bytes | Tail) -> bytes:
    """`abi.encode` of a tuple of words (or several words, of a static array) and dynamic members."""
    offset = sum(32 if isinstance(member, Tail) else len(member) for member in members)
    head, tail = [], []
    for member in members:
        if isinstance(member, Tail):
            head.append(word(offset))
            tail.append(member.data)
            offset += len(member.data)
        else:
            head.append(member)
    return b"".join(head + tail)


def array(values: Sequence[int]) -> Tail:
    """A dynamic array of integers."""
    return Tail(word(len(values)) + words(values))


def _hashes(values: Sequence[bytes]) -> Tail:
    return Tail(word(len(values)) + b"".join(values))


def blob(data: bytes) -> Tail:
    """`bytes`."""
    return Tail(word(len(data)) + data + bytes(-len(data) % 32))


def posted_tuple(header: Header, posting: ZonePosting) -> Tail:
    """`Posted`; the same for every chunk of a zone, so encode it once."""
    energy, marginals = clearing.zone_words(posting)
    return Tail(pack(array(clearing.header_words(header)), array(energy), array(marginals)))


def carry_tuple(carry: Carry | None) -> Tail:
    """`Carry`; nothing is brought to a first chunk."""
    if carry is None:
        return Tail(pack(array(()), bytes(32), word(0), bytes(32 * DEPTH), word(0), word(0)))
    frontier = carry.frontier
    cells = array(clearing.cell_words(carry))
    counts = (word(carry.support), word(carry.submitted))
    return Tail(pack(cells, carry.last_hash, word(frontier.count), b"".join(frontier.words), *counts))


def closed_tuple(zone: ClosedZone) -> Tail:
    """`ClosedZone`."""
    energy, nets = closing.energy_words(zone), closing.net_words(zone)
    support = (word(zone.energy_support), array(zone.quality_support))
    return Tail(pack(array(energy), array(nets), *support, word(zone.rent_nano), word(zone.joined)))


def closed_array(zones: Sequence[ClosedZone]) -> Tail:
    """`ClosedZone[]`."""
    return Tail(word(len(zones)) + pack(*map(closed_tuple, zones)))


def posting_tuple(posting: Posting) -> Tail:
    numbers = (posting.zone, posting.first_window, posting.windows, posting.sequence, posting.accounts)
    prices = (array(posting.surplus), array(posting.deficit))
    return Tail(pack(words(numbers), posting.commitments, *prices, _hashes(posting.parts)))


def run_carry_tuple(carry: RunCarry | None) -> Tail:
    """`RunCarry`; nothing is brought to a first part."""
    if carry is None:
        return Tail(pack(array(()), array(()), word(0), word(0), word(0), word(0)))
    tallies = array([settlement.pack_tally(tally) for tally in carry.tallies])
    rest = (address_word(carry.last_account), word(carry.parts))
    return Tail(pack(tallies, array(carry.pots), word(carry.imbalance), word(carry.cash), *rest))


def _call(name: str, *members: bytes | Tail) -> bytes:
    return exchange_interface().selector(name) + pack(*members)


def commit_books(epoch: int, books: Sequence[Commitment]) -> bytes:
    counts, roots = array([one.count for one in books]), _hashes([one.root for one in books])
    return _call("commitBooks", word(epoch), counts, roots)


def post_header(epoch: int, header: Header) -> bytes:
    return _call("postHeader", word(epoch), array(clearing.header_words(header)))


def clear(epoch: int, zone: int, posted: Tail, carry: Tail, records: bytes) -> bytes:
    return _call("clear", word(epoch), word(zone), posted, carry, blob(records))


def close_zone(
    epoch: int, zone: int, posted: Tail, carry: Tail, children: Sequence[ClosedZone], flows: Sequence[int]
) -> bytes:
    members = (word(epoch), word(zone), posted, carry, closed_array(children), array(flows))
    return _call("closeZone", *members)


def join_children(
    epoch: int,
    zone: int,
    own: ClosedZone,
    children: Sequence[ClosedZone],
    header: Header,
    flows: Sequence[int],
) -> bytes:
    proof = (array(clearing.header_words(header)), array(flows))
    members = (word(epoch), word(zone), closed_tuple(own), closed_array(children), *proof)
    return _call("joinChildren", *members)


def prices_array(rounds: Sequence[RoundPrices]) -> Tail:
    """`RoundPrices[]`."""
    return Tail(word(len(rounds)) + pack(*map(_prices_tuple, rounds)))


def _prices_tuple(prices: RoundPrices) -> Tail:
    energy, qualities = (array([*map(potential.pack, one)]) for one in (prices.energy, prices.qualities))
    return Tail(pack(energy, qualities))


def statement_tuple(statement: Statement) -> Tail:
    """`Statement`."""
    accounts = Tail(word(len(statement.accounts)) + b"".join(map(address_word, statement.accounts)))
    return Tail(pack(accounts, _hashes(statement.leaves), blob(statement.rows)))


def correction_tuple(correction: Correction) -> Tail:
    """`Correction`."""
    numbers = words((correction.zone, correction.first_window, correction.run))
    prices = (array(correction.surplus), array(correction.deficit))
    parts = (array(correction.statements), _hashes(correction.parts))
    return Tail(pack(numbers, correction.previous, correction.commitments, *prices, *parts))


def _signatures(signatures: Sequence[bytes]) -> Tail:
    return Tail(word(len(signatures)) + pack(*map(blob, signatures)))


def post_metering(posting: Posting, signatures: Sequence[bytes]) -> bytes:
    return _call("postMetering", posting_tuple(posting), _signatures(signatures))


def post_default(posting: Posting) -> bytes:
    return _call("postDefault", posting_tuple(posting))


def settle(posting: Tail, entries: bytes, carry: Tail, prices: Tail) -> bytes:
    return _call("settle", posting, blob(entries), carry, prices)


def certify(posting: Tail, statement: Tail, carry: Tail, prices: Tail) -> bytes:
    return _call("certify", posting, statement, carry, prices)


def open_corrections(posting: Posting) -> bytes:
    return _call("openCorrections", posting_tuple(posting))


def post_correction(correction: Correction, signatures: Sequence[bytes]) -> bytes:
    return _call("postCorrection", correction_tuple(correction), _signatures(signatures))


def correct(correction: Correction, statement: Statement, differences: bytes) -> bytes:
    return _call("correct", correction_tuple(correction), statement_tuple(statement), blob(differences))
