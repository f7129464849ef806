"""The contracts are the ones of this release, built with one set of terms.

What created them is a transaction, so its bytes are bound to the chain: creation code and constructor
arguments. What runs now is compared with the compiler's, except for the words that a constructor fills in;
those must be among the values that this deployment's constructors fill in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.exceptions import DecodingError

from settlement.audit.findings import Difference
from settlement.audit.history import Sent
from settlement.chain.abi import CODEC
from settlement.chain.compile import compile_contracts
from settlement.chain.deploy import MODULES
from settlement.reference import eip712
from settlement.reference.words import address_word, word

TERMS = "(address,address,uint16,uint32)"
PUSH_WORD = 0x7F


@dataclass(frozen=True)
class Terms:
    """What a deployment never changes."""

    authority: bytes
    token: bytes
    window_length: int
    max_pause: int


@dataclass(frozen=True)
class Deployed:
    """The Exchange as its creation says it is."""

    terms: Terms
    modules: tuple[bytes, ...]
    """In the order of `MODULES`."""


def read_creation(created: Sent, modules: dict[bytes, tuple[str, Terms]]) -> Deployed:
    """What the Exchange was built with. Difference unless code, modules and terms are as they should be."""
    terms, *built = _arguments(created, "Exchange", [TERMS, *("address" for _ in MODULES)])
    found = Deployed(Terms(*terms), tuple(built))
    for address, name in zip(found.modules, MODULES, strict=True):
        if modules.get(address) != (name, found.terms):
            told = modules.get(address)
            raise Difference("code", f"the {name} is another contract", (name, found.terms), told)
    return found


@cache
def _creation(name: str) -> bytes:
    """What creates a contract of this release, before its arguments."""
    return compile_contracts()[name].linked()


def module_of(created: Sent) -> tuple[str, Terms] | None:
    """Which module a transaction created, and with what; None if none."""
    for name in MODULES:
        if created.data.startswith(_creation(name)):
            return name, Terms(*_arguments(created, name, [TERMS])[0])
    return None


def _arguments(created: Sent, name: str, types: list[str]) -> tuple[Any, ...]:
    code = _creation(name)
    if not created.data.startswith(code):
        raise Difference("code", f"what was deployed is not this release's {name}")
    try:
        return tuple(CODEC.decode(types, created.data[len(code) :]))
    except DecodingError as cause:
        raise Difference("code", f"the {name} was built without its terms") from cause


def filled_in(chain_id: int, exchange: bytes, found: Deployed) -> frozenset[bytes]:
    """Every word that a constructor of this deployment leaves in the code."""
    words = {
        *(address_word(one) for one in (found.terms.authority, found.terms.token)),
        *(word(found.terms.window_length), word(found.terms.max_pause), word(chain_id)),
        *(eip712.NAME_HASH, eip712.VERSION_HASH, _short("Trellis"), _short("1")),
    }
    for address in (exchange, *found.modules):
        words |= {address_word(address), eip712.domain_separator(chain_id, address)}
    return frozenset(words)


def _short(text: str) -> bytes:
    """A ShortString of OpenZeppelin: the text, and its length in the last byte."""
    return text.encode().ljust(31, b"\0") + bytes([len(text)])


def check_running(name: str, running: bytes, words: frozenset[bytes]) -> None:
    """Difference unless the code is the compiler's, with these words filled in."""
    compiled = bytes.fromhex(compile_contracts()[name].deployed_bytecode)
    if len(running) != len(compiled):
        sizes = [f"{len(one)} bytes" for one in (compiled, running)]
        raise Difference("code", f"other code runs as {name}", *sizes)
    at = 0
    while at < len(compiled):
        if compiled[at] == running[at]:
            at += 1
            continue
        start = _start_of_word(compiled, at)
        if start is None or running[start : start + 32] not in words:
            parts = [one[at : at + 32] for one in (compiled, running)]
            raise Difference("code", f"other code runs as {name}, from byte {at} on", *parts)
        at = start + 32


def _start_of_word(compiled: bytes, at: int) -> int | None:
    """Where the zero word begins that the compiler left at `at` for a constructor."""
    for start in range(max(1, at - 31), at + 1):
        if compiled[start - 1] == PUSH_WORD and not any(compiled[start : start + 32]):
            return start
    return None
