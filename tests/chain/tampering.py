"""Reaching into a chain behind its contracts' back: storage slots found by what they hold, and false code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from chain_world import World

from settlement.audit import storage
from settlement.audit.layout import storage_words
from settlement.chain.compile import compile_contracts
from settlement.chain.rpc import Log, to_bytes, to_hex
from settlement.reference.eip712 import keccak
from settlement.reference.words import word

MOST_SLOTS = 64
"""A contract of ours has fewer variables."""


def read_slot(world: World, contract: bytes, slot: bytes) -> int:
    return int(world.chain.rpc("eth_getStorageAt", to_hex(contract), to_hex(slot), "latest"), 16)


def write_slot(world: World, contract: bytes, slot: bytes, value: int) -> None:
    world.chain.rpc("anvil_setStorageAt", to_hex(contract), to_hex(slot), to_hex(word(value)))


def mapped(base: int, keys: Sequence[bytes]) -> bytes:
    """The slot of a mapping's entry, by its keys from the outermost on."""
    slot = word(base)
    for key in keys:
        slot = keccak(key.rjust(32, b"\0") + slot)
    return slot


def find_slot(world: World, contract: bytes, keys: Sequence[bytes], value: int, offset: int = 0) -> bytes:
    """The slot of the mapping whose entry has `value` in its word `offset`."""
    for base in range(MOST_SLOTS):
        slot = mapped(base, keys)
        if read_slot(world, contract, later(slot, offset)) == value:
            return slot
    raise AssertionError("no mapping holds this")


def stored(world: World) -> dict[str, Any]:
    """What each variable of the Exchange should hold."""
    return storage.values(world.model, world.deployment.authority)


def plant(world: World, **changed: Any) -> None:
    """Overwrites the words of these variables, or of these entries of a mapping, with other values."""
    blank = {name: type(value)() for name, value in stored(world).items()}
    for slot, value in storage_words(compile_contracts()["Exchange"].storage_layout, blank | changed).items():
        write_slot(world, world.exchange.address, word(slot), value)


def later(slot: bytes, words: int) -> bytes:
    return word((int.from_bytes(slot, "big") + words) % 2**256)


def number(value: int) -> bytes:
    return value.to_bytes(32, "big")


@contextmanager
def code_of(world: World, contract: bytes, code: bytes) -> Iterator[None]:
    """Other code at a contract, for a while."""
    before = to_hex(world.chain.code(contract))
    world.chain.rpc("anvil_setCode", to_hex(contract), to_hex(code))
    try:
        yield
    finally:
        world.chain.rpc("anvil_setCode", to_hex(contract), before)


ALLOWS_EVERYTHING = to_bytes("0x600160005260006020526040" + "6000f3")
"""Returns (true, 0), which an AccessManager answers to who may call at once."""


def forwards_to(contract: bytes) -> bytes:
    """Makes every call again, to another contract."""
    return to_bytes("0x36600060003760006000366000600073") + contract + to_bytes("0x5af100")


REFUSES_EVERYTHING = to_bytes("0x60006000fd")


def tells(logs: Sequence[Log]) -> bytes:
    """Code that tells these events and does nothing else."""
    body, data = b"", b"".join(one.data for one in logs)
    size = sum(4 + 3 + 2 + 33 * len(one.topics) + 6 + 1 for one in logs) + 1
    at = 0
    for one in logs:
        copy = push2(len(one.data)) + push2(size + at) + b"\x60\x00\x39"
        topics = b"".join(b"\x7f" + topic for topic in reversed(one.topics))
        emit = push2(len(one.data)) + b"\x60\x00" + bytes([0xA0 + len(one.topics)])
        body += copy + topics + emit
        at += len(one.data)
    assert len(body) <= size
    return body.ljust(size, b"\x00") + data


def push2(value: int) -> bytes:
    return b"\x61" + value.to_bytes(2, "big")
