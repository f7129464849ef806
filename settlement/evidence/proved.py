"""What the bundle's transactions prove: which calls were made and what the Exchange told, block by block.

The only trust is in the hashes of blocks. A header hashes to one; a transaction and its receipt lead to the
header's roots by Merkle-Patricia paths (Ethereum Yellow Paper, appendix D).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import rlp
from trie.hexary import HexaryTrie

from settlement.chain import calldata
from settlement.chain.events import decode
from settlement.chain.rpc import Log, to_hex
from settlement.evidence.bundle import Bundle, TransactionPart
from settlement.evidence.report import Missing, Report, Wrong, require
from settlement.reference.eip712 import keccak

T = TypeVar("T")

TRANSACTIONS_ROOT, RECEIPTS_ROOT, NUMBER, TIME = 4, 5, 8, 11
"""Places in a header."""
TO_AND_DATA = {0: (3, 5), 1: (4, 6), 2: (5, 7)}
"""Places in a transaction's list by its type: legacy, EIP-2930, EIP-1559."""
SUCCEEDED = b"\x01"


@dataclass(frozen=True)
class Header:
    """What is read of a header."""

    number: int
    time: int
    transactions_root: bytes
    receipts_root: bytes


@dataclass(frozen=True)
class Proved:
    """A transaction that is in its block and succeeded."""

    hash: bytes
    header: Header
    function: str
    """Of the Exchange that it calls; empty if another contract was called, which may have called on."""
    arguments: Mapping[str, Any]
    events: tuple[Any, ...]
    """What the Exchange told, typed (`settlement.chain.events`)."""

    def event(self, kind: type[T], **values: object) -> T | None:
        """The one event of a kind with these values."""
        return next((one for one in self.of(kind) if _fits(one, values)), None)

    def of(self, kind: type[T]) -> Iterator[T]:
        return (one for one in self.events if isinstance(one, kind))


@dataclass(frozen=True)
class Evidence:
    """All that is proved."""

    sent: tuple[Proved, ...]
    withheld: frozenset[str]
    """Functions of transactions that are named only."""

    def find(self, kind: type[T], **values: object) -> tuple[Proved, T] | None:
        """The last transaction that told an event with these values, and the event."""
        for one in reversed(self.sent):
            event = one.event(kind, **values)
            if event is not None:
                return one, event
        return None

    def get(self, kind: type[T], function: str, **values: object) -> tuple[Proved, T]:
        """The same. Missing if there is none."""
        found = self.find(kind, **values)
        if found is None:
            raise Missing(self.why_not(kind.__name__, function))
        return found

    def call(self, kind: type[T], function: str, **values: object) -> tuple[Proved, T]:
        """The same, called directly so that its arguments are known. Missing if not."""
        found = self.get(kind, function, **values)
        if found[0].function != function:
            raise Missing(f"another contract sent the call of {function}: its arguments are not known")
        return found

    def why_not(self, event: str, function: str) -> str:
        """Why an event is not proved."""
        if function in self.withheld:
            return f"the transaction of {function} is withheld: it holds other accounts' data"
        return f"no transaction of the bundle told of {event}"


def _fits(event: Any, values: Mapping[str, object]) -> bool:
    return all(getattr(event, name) == value for name, value in values.items())


# Proving ------------------------------------------------------------------------------------------------


def prove(bundle: Bundle, report: Report) -> Evidence:
    """What the bundle's blocks and transactions prove; what does not is in the report and not in here."""
    headers = _headers(bundle, report)
    found = []
    for place, part in enumerate(bundle.transactions):
        name, at = f"transaction {to_hex(part.hash)[:10]}", f"/transactions/{place}"
        with report.check(name, "in its block with its receipt", at):
            found.append(_prove(bundle.exchange, headers, part))
    with report.check("order of transactions", "each once, in the chain's order", "/transactions"):
        if len(found) != len(bundle.transactions):
            raise Wrong("not all of them are proved")
        pairs = zip(found, bundle.transactions, strict=True)
        places = [(one.header.number, part.index) for one, part in pairs]
        if places != sorted(set(places)):
            raise Wrong("they are not in the chain's order, or one comes twice")
    for place, named in enumerate(bundle.withheld):
        why = "named only: not checkable offline, ask a node or an auditor for it"
        report.add(f"transaction {to_hex(named.hash)[:10]}", "unchecked", why, f"/withheld/{place}")
    return Evidence(tuple(found), frozenset(one.function for one in bundle.withheld))


def _headers(bundle: Bundle, report: Report) -> dict[bytes, Header]:
    found: dict[bytes, Header] = {}
    used = {part.block for part in bundle.transactions}
    for place, part in enumerate(bundle.blocks):
        with report.check(f"block {to_hex(part.hash)[:10]}", "its header has its hash", f"/blocks/{place}"):
            require(part.hash, keccak(part.header), "the header's hash")
            if part.hash in found or part.hash not in used:
                raise Wrong("it comes twice, or no transaction is of it")
            found[part.hash] = _header(part.header)
    with report.check("order of blocks", "as in the chain", "/blocks"):
        numbers = [one.number for one in found.values()]
        if numbers != sorted(set(numbers)) or len(numbers) != len(bundle.blocks):
            raise Wrong("they are not in the chain's order, or not all of them are blocks")
    return found


def _header(data: bytes) -> Header:
    fields = rlp.decode(data)
    number, time = (int.from_bytes(fields[at], "big") for at in (NUMBER, TIME))
    return Header(number, time, bytes(fields[TRANSACTIONS_ROOT]), bytes(fields[RECEIPTS_ROOT]))


def _prove(exchange: bytes, headers: Mapping[bytes, Header], part: TransactionPart) -> Proved:
    header = headers.get(part.block)
    if header is None:
        raise Wrong("its block's header is not in the bundle, or is not its")
    raw = at_the_end(header.transactions_root, part.index, part.transaction, "transaction")
    receipt = at_the_end(header.receipts_root, part.index, part.receipt, "receipt")
    require(part.hash, keccak(raw), "the transaction's hash")
    status, _, _, told = rlp.decode(_payload(receipt)[1])
    if bytes(status) != SUCCEEDED:
        raise Wrong("it reverted: nothing of it counts")
    function, arguments = _call(exchange, raw)
    return Proved(part.hash, header, function, arguments, tuple(_events(exchange, header, part.hash, told)))


def at_the_end(root: bytes, index: int, path: list[bytes], what: str) -> bytes:
    """The item that the nodes, all of them and in their order, lead to from the root. Wrong if to none."""
    key, nodes = rlp.encode(index), [rlp.decode(one) for one in path]
    item = HexaryTrie.get_from_proof(root, key, nodes)  # type: ignore[no-untyped-call]
    tree = HexaryTrie({keccak(one): one for one in path}, root)
    needed = [bytes(rlp.encode(node)) for node in tree.get_proof(key)]  # type: ignore[no-untyped-call]
    require(path, needed, f"the path of the {what}")
    if not item:
        raise Wrong(f"the block has no {what} at {index}")
    return bytes(item)


def _payload(data: bytes) -> tuple[int, bytes]:
    """Type and list of a typed transaction or receipt (EIP-2718); type 0 of a legacy one."""
    return (data[0], data[1:]) if data and data[0] < 0x80 else (0, data)


def _call(exchange: bytes, raw: bytes) -> tuple[str, Mapping[str, Any]]:
    kind, payload = _payload(raw)
    to, data = (bytes(rlp.decode(payload)[at]) for at in TO_AND_DATA[kind])
    entry = calldata.function_of(data) if to == exchange else None
    if entry is None:
        return "", {}
    values = calldata.arguments(entry, data)
    return entry.name, {one.name: value for one, value in zip(entry.inputs, values, strict=True)}


def _events(exchange: bytes, header: Header, tx_hash: bytes, told: Any) -> Iterator[Any]:
    for index, (address, topics, data) in enumerate(told):
        if bytes(address) == exchange:
            one = Log(exchange, tuple(map(bytes, topics)), bytes(data), header.number, index, tx_hash)
            event = decode(one)
            if event is not None:
                yield event
