"""What a transaction told: its events, typed where this version knows them, and the call that made them.

Two events are named Transfer, the ERC-20's and the ERC-6909's: which one it is follows from the contract. An
event that no interface here has keeps topics and data, and no name: a later version reads it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, TypeVar

from eth_abi.exceptions import DecodingError

from api.readmodel.blocks import Sent, Watched
from api.readmodel.plain import plain
from settlement.chain import calldata
from settlement.chain.abi import CODEC, Entry, Interface, exchange_interface, interface
from settlement.chain.events import Event, decode
from settlement.chain.rpc import Log
from settlement.reference import eip712, orders
from settlement.reference.orders import SignedOrder

T = TypeVar("T")

SUBJECTS = ("account", "trader", "beneficiary", "operator", "sender", "receiver", "to", "from", "node")
"""Parameters that say whom an event is about."""


@dataclass(frozen=True, slots=True)
class Told:
    """One event."""

    log: Log
    event: Event | None
    """Typed, of the Exchange's own; None of others."""
    name: str | None
    args: dict[str, Any] | None
    """By name, as JSON tells them."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """Accounts that it is about."""
        args = self.args or {}
        found = [args[name] for name in SUBJECTS if isinstance(args.get(name), str) and len(args[name]) == 42]
        return tuple(dict.fromkeys(found))

    def number(self, name: str) -> int | None:
        """An argument that is a number."""
        value = (self.args or {}).get(name)
        return int(value) if isinstance(value, str) and value.isdecimal() else None


@dataclass(frozen=True)
class Telling:
    """One transaction with its events."""

    watched: Watched
    sent: Sent
    told: tuple[Told, ...]

    @cached_property
    def call(self) -> tuple[str, Mapping[str, Any]]:
        """Name and arguments of the Exchange's function that was called; no name if another contract was,
        which then called on.
        """
        to, data = self._carried_out
        entry = calldata.function_of(data) if to == self.watched.exchange else None
        if entry is None:
            return "", {}
        values = calldata.arguments(entry, data)
        return entry.name, {one.name: value for one, value in zip(entry.inputs, values, strict=True)}

    @property
    def _carried_out(self) -> tuple[bytes | None, bytes]:
        """Whom the transaction called with what; through the AccessManager's `execute`, what that called."""
        to, data = self.sent.to, self.sent.data
        execute = interface("Administration").function("execute")
        if to != self.watched.authority or data[:4] != execute.selector:
            return to, data
        target, inner = CODEC.decode(execute.types, data[4:])
        return target, inner

    def argument(self, name: str, *functions: str) -> Any:
        """An argument of the call, if it is of one of these functions; else None."""
        function, arguments = self.call
        return arguments[name] if function in functions else None

    def after(self, index: int, *kinds: type[T]) -> T | None:
        """The next event of some kinds behind a log: those of parts and chunks come behind what they have."""
        behind = (one.event for one in self.told if one.log.index > index)
        return next((event for event in behind if isinstance(event, kinds)), None)

    def orders_of(self, session: bytes, kind: int) -> Mapping[bytes, SignedOrder]:
        """Orders by hash that a call of `clear` brought."""
        records, zone = self.argument("records", "clear"), self.argument("zone", "clear")
        if records is None:
            return {}
        found = self._orders.get((session, zone))
        if found is None:
            separator = eip712.domain_separator(self.watched.chain_id, self.watched.exchange)
            each = orders.decode_each(records, session, kind, zone)
            found = {orders.signed_hash(separator, one)[0]: one for one in each}
            self._orders[(session, zone)] = found
        return found

    @cached_property
    def _orders(self) -> dict[tuple[bytes, int], Mapping[bytes, SignedOrder]]:
        return {}


def telling(watched: Watched, sent: Sent) -> Telling:
    """What a transaction told."""
    return Telling(watched, sent, tuple(_told(watched, one) for one in sent.logs))


def _told(watched: Watched, log: Log) -> Told:
    if log.address == watched.exchange:
        event = decode(log)
        if event is not None:
            args = {one.name: plain(getattr(event, one.name)) for one in fields(event)}
            return Told(log, event, type(event).__name__, args)
    return Told(log, None, *_standard(_interface_of(watched, log.address), log))


def _interface_of(watched: Watched, contract: bytes) -> Interface:
    if contract == watched.token:
        return interface("SettlementToken")
    return interface("Administration") if contract == watched.authority else exchange_interface()


def _standard(abi: Interface, log: Log) -> tuple[str | None, dict[str, Any] | None]:
    """Name and arguments of an event by its interface; None if it has none such."""
    entry = abi.events.get(log.topics[0]) if log.topics else None
    if entry is None:
        return None, None
    try:
        return entry.name, _arguments(entry, log.topics[1:], log.data)
    except (DecodingError, StopIteration):
        return None, None


def _arguments(entry: Entry, topics: Sequence[bytes], data: bytes) -> dict[str, Any]:
    indexed = iter(topics)
    rest = iter(CODEC.decode([one.type for one in entry.inputs if not one.indexed], data))
    values = [
        CODEC.decode([one.type], next(indexed))[0] if one.indexed else next(rest) for one in entry.inputs
    ]
    return {one.name: plain(value) for one, value in zip(entry.inputs, values, strict=True)}
